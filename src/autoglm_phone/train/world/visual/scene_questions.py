"""Questions about a scene: caption, match, count, locate, each with its answer, thought and truth."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autoglm_phone.train.world.phrasing import ask, fill, rich, too_near
from autoglm_phone.train.world.sample import Lang, Sample
from autoglm_phone.train.world.scoring import Score, numbers, scorer
from autoglm_phone.train.world.text.grammar_parse import say_open
from autoglm_phone.train.world.visual import scene_thoughts as thoughts
from autoglm_phone.train.world.visual import wishes_scene as wishes
from autoglm_phone.train.world.visual.regions import grid, region
from autoglm_phone.train.world.visual.scene_words import COLORS, KINDS, Thing, bare, caption, groups, noun
from autoglm_phone.train.world.visual.tasks import phrase, phrased

if TYPE_CHECKING:
    from autoglm_phone.train.world.visual.scene import Scene


@dataclass(frozen=True)
class Asked:
    question: str
    answer: str
    thought: str
    truth: dict[str, Any]
    difficulty: int


Maker = Callable[[random.Random, "Scene", bool], Asked]


_CAPTION: dict[Lang, tuple[str, ...]] = {
    "zh": (
        "描述这张图片。",
        "图里有什么？",
        "这张图画了什么？",
        "说说图片的内容。",
        "请描述画面。",
        "用一句话描述图片。",
    ),
    "en": (
        "Describe this picture.",
        "What is in the picture?",
        "What does the image show?",
        "Write a caption.",
        "Describe the image.",
        "Describe the picture in one sentence.",
    ),
}


def captioned(rng: random.Random, scene: Scene, unseen: bool) -> Asked:
    text = caption(scene.things, scene.background, scene.lang)
    question = phrased(rng, scene.lang, scene.split, wishes.CAPTION, _CAPTION, unseen)
    return Asked(
        question, text, "", {"kind": "bleu", "reference": text, "lang": scene.lang}, len(groups(scene.things)) // 2
    )


_MATCH: dict[Lang, tuple[str, ...]] = {
    "zh": ("图里有{x}吗？", "图片中有没有{x}？", "你看到{x}了吗？", "这张图里能找到{x}吗？"),
    "en": (
        "Does the picture show {x}?",
        "Is there {x} in the picture?",
        "Can you see {x}?",
        "Can {x} be found in this image?",
    ),
}
_FITS: dict[Lang, tuple[str, ...]] = {
    "zh": ("这句话符合图片吗？{x}", "下面的描述对不对？{x}", "图片和描述一致吗？{x}", "判断描述是否正确：{x}"),
    "en": (
        "Does this description match the picture? {x}",
        "Is this true of the picture? {x}",
        "Is the description right? {x}",
        "Check this description: {x}",
    ),
}


def _yes(scene: Scene, right: bool, reason: str) -> str:
    if scene.lang == "zh":
        return f"{'是' if right else '不是'}。{reason}"
    return f"{'Yes' if right else 'No'}. {reason}"


def _seen(scene: Scene) -> str:
    """A thought that says what the picture holds before it judges."""
    told = caption(scene.things, scene.background, scene.lang)
    return f"图片内容：{told}" if scene.lang == "zh" else f"The picture: {told}"


def _gap(lang: Lang) -> str:
    return "" if lang == "zh" else " "


def match(rng: random.Random, scene: Scene, unseen: bool) -> Asked:
    """Balanced yes / no: a thing with its colour, a count, a whole caption, or who is left of whom.

    Training checks more captions: they have the most steps.
    """
    right = rng.random() < 0.5
    kind = rng.random()
    thing, told = (0.4, 0.8) if scene.split == "train" else (0.55, 0.85)
    if kind < thing or len(scene.things) < 2:
        return _match_thing(rng, scene, unseen, right)
    if kind < told:
        return _match_caption(rng, scene, unseen, right)
    return _match_side(rng, scene, unseen, right)


def _match_thing(rng: random.Random, scene: Scene, unseen: bool, right: bool) -> Asked:
    lang = scene.lang
    present = {(t.kind, t.color) for t in scene.things}
    what = rng.choice(sorted(present))
    kind, asked, difficulty = what[0], what[1], 0
    if right:
        shown = noun(*what, 1, lang)
        count = sum((t.kind, t.color) == what for t in scene.things)
        held = noun(*what, count, lang)
        reason = f"图中有{held}。" if lang == "zh" else f"There {'is' if count == 1 else 'are'} {held}."
    elif rng.random() < 0.6:  # right kind, wrong colour
        difficulty = 1
        taken = {c for k, c in present if k == what[0]}
        color = rng.choice([c for c in COLORS if c not in taken])
        shown, asked = noun(what[0], color, 1, lang), color
        real = [c for k, c in sorted(present) if k == what[0]]
        if lang == "zh":
            reason = f"图中的{KINDS[what[0]][1]}是{'和'.join(COLORS[c][0] for c in real)}的。"
        else:
            many = sum(t.kind == what[0] for t in scene.things) > 1
            reason = f"The {bare(what[0], '', 'en', many)} {'are' if many else 'is'} {' and '.join(real)}."
    else:  # a kind that is not there
        kind = rng.choice([k for k in KINDS if k not in {t.kind for t in scene.things}])
        asked = what[1] if rng.random() < 0.5 else ""
        shown = noun(kind, asked, 1, lang)
        reason = f"图中没有{KINDS[kind][1]}。" if lang == "zh" else f"There is no {KINDS[kind][2]}."
    question = phrased(rng, scene.lang, scene.split, wishes.MATCH, _MATCH, unseen, x=shown)
    thought = _seen(scene) + _gap(lang) + thoughts.colours_of(scene.things, kind, asked, lang)
    return Asked(question, _yes(scene, right, reason), thought, {"kind": "yesno", "value": right}, difficulty)


def _match_caption(rng: random.Random, scene: Scene, unseen: bool, right: bool) -> Asked:
    lang, things = scene.lang, list(scene.things)
    kind, color, count = rng.choice(groups(things))
    real = noun(kind, color, count, lang)
    if not right:
        way = rng.random()
        if scene.split == "train" and rng.random() < 0.3:
            way = 1.0  # a number that is wrong is the smallest difference
        if way < 0.35:  # another colour
            fresh = rng.choice([c for c in COLORS if not any(t.kind == kind and t.color == c for t in things)])
            things = [
                Thing(t.kind, fresh, t.x, t.y, t.rx, t.ry) if (t.kind, t.color) == (kind, color) else t for t in things
            ]
        elif way < 0.7:  # another kind
            other = rng.choice([k for k in KINDS if not any(t.kind == k for t in things)])
            things = [
                Thing(other, t.color, t.x, t.y, t.rx, t.ry) if (t.kind, t.color) == (kind, color) else t for t in things
            ]
        else:  # one more; in training sometimes one less
            extra = next(t for t in things if (t.kind, t.color) == (kind, color))
            if scene.split == "train" and count > 1 and rng.random() < 0.4:
                things.remove(extra)
            else:
                things.append(extra)
    told = caption(things, scene.background, lang)
    question = ""
    if rich(rng, scene.split):
        text = say_open(rng, rng.choice(wishes.FITS[lang]))
        question = "" if too_near(text, _FITS[lang][-1:]) else fill(text, {"x": told}, lang)
    question = question or phrase(rng, _FITS[lang], unseen).format(x=told)
    if right:
        reason = "描述与图片一致。" if lang == "zh" else "The description matches."
    else:
        reason = f"图中有{real}。" if lang == "zh" else f"There {'is' if count == 1 else 'are'} {real}."
    thought = _seen(scene) + _gap(lang) + thoughts.claims(things, scene.things, lang)
    return Asked(question, _yes(scene, right, reason), thought, {"kind": "yesno", "value": right}, 2)


_SIDE: dict[Lang, tuple[str, ...]] = {
    "zh": ("{one}在{two}的{side}边吗？",),
    "en": ("Is the {one} to the {side} of the {two}?",),
}


def _match_side(rng: random.Random, scene: Scene, unseen: bool, right: bool) -> Asked:
    lang = scene.lang
    single = [t for t in scene.things if sum((o.kind, o.color) == (t.kind, t.color) for o in scene.things) == 1]
    pairs = [(a, b) for a in single for b in single if b.x - a.x > 0.12]
    if not pairs:
        return _match_thing(rng, scene, unseen, right)
    a, b = rng.choice(pairs)
    left_asked = rng.random() < 0.5
    first, second = (a, b) if left_asked == right else (b, a)
    one, two = bare(first.kind, first.color, lang), bare(second.kind, second.color, lang)
    side = ("左" if left_asked else "右") if lang == "zh" else "left" if left_asked else "right"
    question = phrased(rng, scene.lang, scene.split, wishes.SIDE, _SIDE, False, one=one, two=two, side=side)
    if lang == "zh":
        reason = f"{one}在{two}的{'左' if first is a else '右'}边。"
    else:
        reason = f"The {one} is to the {'left' if first is a else 'right'} of the {two}."
    thought = thoughts.sides(first, second, left_asked, lang)
    return Asked(question, _yes(scene, right, reason), thought, {"kind": "yesno", "value": right}, 2)


_COUNT: dict[Lang, tuple[str, ...]] = {
    "zh": ("图里有几{m}{n}？", "图中有多少{m}{n}？", "数一数有几{m}{n}。", "{n}一共有几{m}？"),
    "en": (
        "How many {n} are there?",
        "How many {n} are in the picture?",
        "Count the {n}.",
        "How many {n} can you see?",
        "What is the number of {n}?",
    ),
}


def count(rng: random.Random, scene: Scene, unseen: bool) -> Asked:
    """Number of a kind, of a kind and colour, of a colour, of everything, sometimes of what is not there."""
    lang = scene.lang
    way = rng.random()
    if way < 0.45:
        kind, color = rng.choice(sorted({t.kind for t in scene.things})), ""
    elif way < 0.75:
        kind, color = rng.choice(sorted({(t.kind, t.color) for t in scene.things}))
    elif way < 0.9:
        kind, color = "", ""
    else:
        kind, color = rng.choice([k for k in KINDS if k not in {t.kind for t in scene.things}]), ""
    found = [t for t in scene.things if kind in {"", t.kind} and color in {"", t.color}]
    measure = KINDS[kind][0] if kind else "个"
    name = bare(kind, color, lang, True) if kind else ("物体" if lang == "zh" else "objects")
    question = phrased(rng, scene.lang, scene.split, wishes.COUNT, _COUNT, unseen, m=measure, n=name)
    thought = thoughts.tally(scene.things, found, name, measure, lang)
    return Asked(
        question, str(len(found)), thought, {"kind": "number", "value": str(len(found))}, min(3, len(found) // 3 + 1)
    )


_WHERE: dict[Lang, tuple[str, ...]] = {
    "zh": ("{x}在图片的什么位置？", "{x}在哪里？", "{x}在图中哪个方位？", "指出{x}所在的区域。"),
    "en": (
        "Where is the {x}?",
        "In which part of the picture is the {x}?",
        "Where can the {x} be found?",
        "Name the area of the {x}.",
    ),
}
_POINT: dict[Lang, tuple[str, ...]] = {
    "zh": ("给出{x}的坐标。", "{x}的中心坐标是多少？", "用坐标指出{x}。", "标出{x}的中心点坐标。"),
    "en": (
        "Point to the {x}.",
        "Give the coordinates of the {x}.",
        "What are the coordinates of the {x}?",
        "Mark the center of the {x}.",
    ),
}


def locate(rng: random.Random, scene: Scene, unseen: bool) -> Asked:
    """The region or the middle of a thing that is alone of its kind and colour; else which thing is in a place."""
    lang = scene.lang
    single = [t for t in scene.things if sum((o.kind, o.color) == (t.kind, t.color) for o in scene.things) == 1]
    if not single:
        return _extreme(rng, scene)
    thing = rng.choice(single)
    alone = sum(o.kind == thing.kind for o in scene.things) == 1
    name = bare(thing.kind, "" if alone and rng.random() < 0.6 else thing.color, lang)
    x, y = thing.x * 1000, thing.y * 1000
    # Near the border of two regions either word is right, but only clear cases are asked.
    clear = all(abs(v - edge) > 30 for v in (x, y) for edge in (333.3, 666.7))
    if clear and rng.random() < 0.5:
        where = region(x, y, lang)
        accept = [where] + ([f"{where[:-1]}边" if where.endswith("侧") else where] if lang == "zh" else [])
        question = phrased(rng, scene.lang, scene.split, wishes.WHERE, _WHERE, unseen, x=name)
        thought = f"{name}在{thoughts.spot(thing)}。" if lang == "zh" else f"The {name} is at {thoughts.spot(thing)}."
        return Asked(question, where, thought, {"kind": "exact", "value": where, "accept": accept}, 1)
    box = [
        grid(thing.x - thing.rx, 1),
        grid(thing.y - thing.ry, 1),
        grid(thing.x + thing.rx, 1),
        grid(thing.y + thing.ry, 1),
    ]
    question = phrased(rng, scene.lang, scene.split, wishes.POINT, _POINT, unseen, x=name)
    where = region(x, y, lang)
    thought = f"{name}在{where}。" if lang == "zh" else f"The {name} is at the {where}."
    return Asked(question, thoughts.spot(thing), thought, {"kind": "point", "box": box}, 2)


_EXTREME: dict[Lang, str] = {"zh": "给出{x}的坐标。", "en": "Point to the {x}."}


def _extreme(rng: random.Random, scene: Scene) -> Asked:
    """The leftmost or rightmost thing's coordinates."""
    left = rng.random() < 0.5
    thing = min(scene.things, key=lambda t: t.x if left else -t.x)
    box = [
        grid(thing.x - thing.rx, 1),
        grid(thing.y - thing.ry, 1),
        grid(thing.x + thing.rx, 1),
        grid(thing.y + thing.ry, 1),
    ]
    side = ("左" if left else "右") if scene.lang == "zh" else "left" if left else "right"
    name = f"最{side}边的物体" if scene.lang == "zh" else f"{side}most object"
    question = ""
    if rich(rng, scene.split):
        question = ask(rng, wishes.POINT[scene.lang], scene.lang, _POINT[scene.lang][-1:], x=name) or ""
    question = question or _EXTREME[scene.lang].format(x=name)
    if scene.lang == "zh":
        thought = f"最{'左' if left else '右'}边的是{bare(thing.kind, thing.color, 'zh')}。"
    else:
        thought = f"The {'leftmost' if left else 'rightmost'} one is the {bare(thing.kind, thing.color, 'en')}."
    return Asked(question, thoughts.spot(thing), thought, {"kind": "point", "box": box}, 3)


@scorer("yesno")
def _yesno(sample: Sample, answer: str, reasoning: str) -> Score:
    """truth: value (bool). Judged by how the answer begins."""
    text = answer.strip().lower()
    no = text.startswith(("no", "不", "没", "否", "wrong"))
    yes = not no and text.startswith(("yes", "是", "有", "对", "right"))
    correct = (yes and sample.truth["value"]) or (no and not sample.truth["value"])
    return Score(bool(correct), float(bool(correct)), {"yes": yes, "no": no})


@scorer("point")
def _point(sample: Sample, answer: str, reasoning: str) -> Score:
    """truth: box in 0–999; the answer's two numbers must lie inside it."""
    found = [float(v) for v in numbers(answer.replace(",", " , "))]
    if len(found) != 2:
        return Score(False, 0.0, {"parsed": False})
    x0, y0, x1, y1 = sample.truth["box"]
    inside = x0 <= found[0] <= x1 and y0 <= found[1] <= y1
    return Score(inside, float(inside), {"parsed": True})
