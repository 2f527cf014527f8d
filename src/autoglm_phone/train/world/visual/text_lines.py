"""Pictures of nothing but text (`ocr`): lines in mixed fonts, sizes and colours, with the box of every character.

An aid for training the vision tower to read; every character of the world turns up here.
"""

from __future__ import annotations

import random
from functools import lru_cache

from autoglm_phone.edits import edit_distance
from autoglm_phone.train.world.fillings import compose
from autoglm_phone.train.world.phrasing import ask, rich, typed
from autoglm_phone.train.world.registry import Builder, Draft
from autoglm_phone.train.world.sample import Lang, Picture, Sample, Split, Turn
from autoglm_phone.train.world.scoring import Score, scorer
from autoglm_phone.train.world.visual import wishes_screen as wishes
from autoglm_phone.train.world.visual.canvas import Color, make_canvas, pick_typeset
from autoglm_phone.train.world.visual.content import Content
from autoglm_phone.train.world.visual.degrade import degrade
from autoglm_phone.train.world.visual.labelled import finished
from autoglm_phone.train.world.visual.regions import look_at, written
from autoglm_phone.train.world.visual.tasks import phrase
from autoglm_phone.train.world.visual.theme import BRIGHT, mix

_ASCII = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_MARKS = ".,:;!?%+-*/=()@#&$'\""
_ZH_MARKS = "，。！？：；“”《》（）、¥"


@lru_cache(maxsize=1)
def inventory() -> str:
    """The 3,755 common characters of GB 2312's first level: the world's Chinese is written with these."""
    rows = (bytes((high, low)) for high in range(0xB0, 0xD8) for low in range(0xA1, 0xFF))
    return "".join(pair.decode("gb2312", errors="ignore") for pair in rows)


def _random_text(r: random.Random, lang: Lang, length: int) -> str:
    if lang == "en":
        words = ["".join(r.choices(_ASCII, k=r.randint(1, 8))) for _ in range(max(1, length // 6))]
        return " ".join(words) + r.choice(("", "", r.choice(_MARKS)))
    kind = r.random()
    if kind < 0.2:
        return "".join(r.choices(_ASCII + _MARKS, k=length // 2 + 1))
    chars = r.choices(inventory(), k=length)
    if kind < 0.5 and length > 3:
        chars[r.randrange(1, length)] = r.choice(_ZH_MARKS)
    return "".join(chars)


def line_text(rng: random.Random, content: Content, split: Split, length: int, words: float = 0.5) -> str:
    """A line of about `length` characters that belongs to this split: composed words, or any characters at all.

    words: share of the former.
    """
    if rng.random() < words:
        makers = (
            content.chat,
            content.topic,
            content.good,
            content.song,
            content.road,
            content.file,
            content.person,
            content.phone,
        )
        return rng.choice(makers)()
    return compose(rng, f"visual.ocr.{content.lang}", lambda r: _random_text(r, content.lang, length), split)


def _colors(rng: random.Random) -> tuple[Color, Color]:
    """Background and ink with enough contrast to read."""
    tone = rng.random()
    if tone < 0.5:
        return (255, 255, 255), rng.choice(((0, 0, 0), (40, 40, 44), (90, 90, 96), (30, 60, 140), (160, 30, 30)))
    if tone < 0.7:
        return rng.choice(((16, 16, 18), (30, 32, 40), (0, 0, 0))), rng.choice(
            ((240, 240, 240), (170, 170, 176), (250, 220, 120))
        )
    if tone < 0.85:
        return mix(rng.choice(BRIGHT), (255, 255, 255), 0.85), (30, 30, 34)
    return mix(rng.choice(BRIGHT), (0, 0, 0), 0.35), (255, 255, 255)


_SIZES = (11, 12, 13, 14, 14, 15, 16, 18, 20, 24, 28)
# Training mostly reads what can be read: a rare Chinese character of 12 px is a guess, and guessing is what it teaches.
_READABLE_SIZES = (12, 14, 15, 16, 16, 17, 18, 18, 20, 22, 24, 26, 30)
_SMALL = 15  # below this, training's lines are mostly words


_ALL: dict[Lang, tuple[str, ...]] = {
    "zh": ("读出图中的文字。", "图里写了什么？", "识别图片中的文字。", "把图上的字写出来。", "图片上的文字是什么？"),
    "en": (
        "Read the text.",
        "What does the picture say?",
        "Write down the text in the image.",
        "Transcribe the picture.",
        "What is written here?",
    ),
}
_LINE: dict[Lang, tuple[str, ...]] = {
    "zh": ("第{}行写的是什么？", "读出第{}行。", "第{}行的文字是什么？", "图中第{}行是什么字？"),
    "en": ("What does line {} say?", "Read line {}.", "What is written in line {}?", "Give the text of line {}."),
}


def _ask_all(rng: random.Random, lang: Lang, split: Split, unseen: bool) -> str:
    """A question for all of the text."""
    if rich(rng, split):
        found = ask(rng, wishes.ALL_TEXT[lang], lang, _ALL[lang][-1:])
        if found:
            return typed(rng, found, lang, split)
    return phrase(rng, _ALL[lang], unseen)


def _ask_line(rng: random.Random, lang: Lang, split: Split, unseen: bool, number: int) -> str:
    """A question for line `number`, counted from one."""
    if rich(rng, split) and number <= len(wishes.ORDINALS_EN):
        k = wishes.NUMERALS_ZH[number - 1] if lang == "zh" and rng.random() < 0.4 else str(number)
        found = ask(rng, wishes.LINE[lang], lang, _LINE[lang][-1:], k=k, kth=wishes.ORDINALS_EN[number - 1])
        if found:
            return typed(rng, found, lang, split)
    return phrase(rng, _LINE[lang], unseen).format(number)


def build_ocr(rng: random.Random, split: Split, unseen: bool) -> Draft:
    lang: Lang = "zh" if rng.random() < 0.6 else "en"
    width, height = rng.choice(((320, 160), (352, 240), (400, 300), (352, 400), (480, 240), (256, 128)))
    content = Content(rng, lang, split)
    background, ink = _colors(rng)
    canvas = make_canvas(
        rng,
        width,
        height,
        rng.choice((1.0, 1.0, 1.0, 1.5, 2.0)),
        background,
        pick_typeset(rng, lang, unseen, screens_only=False),
    )
    if rng.random() < 0.2:
        canvas.gradient((0, 0, width, height), background, mix(background, ink, 0.15), rng.random() < 0.5)
    y, lines = rng.uniform(6, 16), []
    while True:
        trained = split != "test"
        size = rng.choice(_READABLE_SIZES if trained and rng.random() < 0.8 else _SIZES)
        if y + size * 1.3 > height:
            break
        if rng.random() < 0.5:
            canvas.typeset = pick_typeset(rng, lang, unseen, screens_only=False)
        room = width - 20
        length = rng.randint(3, max(4, int(room / size * (1 if lang == "zh" else 1.7)) - 2))
        words = 0.5 if not trained else 0.85 if size < _SMALL else 0.55
        text = line_text(rng, content, split, min(length, 16) if trained and rng.random() < 0.5 else length, words)
        bold = rng.random() < 0.25
        while canvas.measure(text, size, bold) > room and len(text) > 1:
            text = text[:-1].rstrip()
        x = rng.uniform(8, max(8.1, width - 10 - canvas.measure(text, size, bold)))
        color = ink if rng.random() < 0.8 else mix(ink, background, 0.25)
        canvas.note(text, canvas.text(x, y + size / 2, text, size, color, bold))
        lines.append(text)
        y += size * rng.uniform(1.35, 2.2)
    regions = finished(canvas.regions, *canvas.size)
    picture = Picture(degrade(canvas.pixels(), rng), canvas.visible_glyphs(), regions)
    asked = [
        (_ask_line(rng, lang, split, unseen, i + 1), line, look_at(picture, written(picture, line), lang))
        for i, line in enumerate(lines)
    ]
    rng.shuffle(asked)
    if sum(map(len, lines)) < 60 or not asked:
        asked.insert(rng.choice((0, len(asked))), (_ask_all(rng, lang, split, unseen), "\n".join(lines), ""))
    pairs = [(Turn("user", f"<image>{q}"), Turn("assistant", a, thought)) for q, a, thought in asked[:6]]
    truth = {"kind": "ocr", "text": asked[0][1]}
    return Draft(lang, 1, pairs[0], truth, (picture,), alternatives=tuple(pairs[1:]))


@scorer("ocr")
def _ocr(sample: Sample, answer: str, reasoning: str) -> Score:
    """truth: text. value: 1 − character error rate (spaces ignored); correct: no error."""
    reference = "".join(sample.truth["text"].split())
    edits = edit_distance(reference, "".join(answer.split()))
    return Score(
        edits == 0, max(0.0, 1 - edits / max(1, len(reference))), {"char_edits": edits, "chars": len(reference)}
    )


BUILDERS: dict[str, Builder] = {"ocr": build_ocr}
