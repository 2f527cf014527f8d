"""Phrases with choices: a small compositional grammar and the noise that real typing has.

A pattern is text with `[a|b|]` (one of; may nest, may be empty) and `{slot}` (filled by the caller):
`say(rng, "[请问|]{x}[是多少|等于几][?|]", x="3+4")`.
"""

from __future__ import annotations

import random
import re
from functools import lru_cache

from autoglm_phone.train.world.sample import Lang, Split
from autoglm_phone.train.world.text.grammar_parse import say, say_open
from autoglm_phone.train.world.text.phrases import fill, held_out_keys, phrase_key, wording

__all__ = ["full_width", "further", "phrase_key", "say", "say_one", "vary"]


MORE_SHARE = 0.55  # of training's phrases, where a pool has further patterns


def say_one(
    rng: random.Random,
    patterns: tuple[str, ...],
    split: Split,
    unseen: bool,
    more: tuple[str, ...] = (),
    /,
    **slots: str,
) -> str:
    """One expansion of a pattern of the pool that this split may use.

    more: patterns that the test split never uses; what they share with the pool's held-out wordings is not said.
    """
    if more and split != "test" and rng.random() < MORE_SHARE:
        text = further(rng, more, patterns)
        if text:
            return fill(text, slots)
    return fill(wording(rng, patterns, split, unseen), slots)


@lru_cache(maxsize=4096)
def _long_keys(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Keys of held-out wordings that are long enough to tell a phrase by that holds them."""
    return tuple(sorted(key for key in held_out_keys(patterns) if len(key) > 7))


def further(rng: random.Random, more: tuple[str, ...], patterns: tuple[str, ...]) -> str:
    """An expansion of `more`, its slots open, that is and holds no held-out wording of `patterns`; "" if none."""
    held, long = held_out_keys(patterns), _long_keys(patterns)
    for _ in range(20):
        text = say_open(rng, rng.choice(more))
        key = phrase_key(text)
        if key not in held and not any(other in key for other in long):
            return text
    return ""


_HELLO = {
    "zh": (
        "你好,",
        "您好,",
        "嗨,",
        "那个,",
        "请问",
        "请问一下,",
        "麻烦问下,",
        "帮我看看,",
        "我想知道,",
        "想问一下,",
        "嘿,",
        "在吗?",
    ),
    "en": (
        "Hi, ",
        "Hello, ",
        "Hey, ",
        "Please: ",
        "Quick question: ",
        "Excuse me, ",
        "So, ",
        "Um, ",
        "Hey there, ",
        "OK, ",
    ),
}
_TAIL = {
    "zh": ("谢谢", "谢谢!", ",谢谢", ",多谢", ",快点", ",急", "呢", "哈", "~", "…", " 🙏"),
    "en": (" Thanks!", " Thank you.", " please", " pls", " thx", " :)", " …", " Thanks in advance."),
}


def vary(rng: random.Random, text: str, lang: Lang, level: float = 1.0, framed: bool = True) -> str:
    """The same question as people type it: greeting, missing or doubled punctuation, casing, a typo, stray spaces.

    Half of the texts stay as they are. Digits are never touched, so an answer stays what it was.
    """
    if lang == "zh":
        text = full_width(text)
    if rng.random() > 0.55 * level:
        return text
    if framed and rng.random() < 0.2:
        head = full_width(rng.choice(_HELLO[lang])) if lang == "zh" else rng.choice(_HELLO[lang])
        keep_case = lang == "zh" or text[1:2].isupper() or text[:2] in ("I ", "I'") or rng.random() < 0.4
        text = head + (text if keep_case else text[:1].lower() + text[1:])
    draw = rng.random()
    if draw < 0.35:
        text = text.rstrip("。.?!\uff1f\uff01")
    elif draw < 0.42:
        text = text.rstrip("。.") + rng.choice(
            ("??", "?", "!", "!!", "。。", "...", "?!") if lang == "zh" else ("??", "?", "!", "..", "...", "?!")
        )
    elif draw < 0.5 and lang == "zh":
        text = text.translate(_HALF)
    if framed and rng.random() < 0.06:
        text = text + (full_width(rng.choice(_TAIL[lang])) if lang == "zh" else rng.choice(_TAIL[lang]))
    if lang == "en":
        draw = rng.random()
        if draw < 0.3:
            text = text.lower()
        elif draw < 0.34:
            text = text.upper()
        if rng.random() < 0.08:
            text = _typo(rng, text)
    if rng.random() < 0.03:
        text = " " * rng.randint(0, 1) + text + rng.choice((" ", "\n", "  "))
    return text


# Full-width comma, question and exclamation mark, colon, semicolon and brackets, as escapes: they look like ASCII.
_FULL = {",": "\uff0c", "?": "\uff1f", "!": "\uff01", ":": "\uff1a", ";": "\uff1b", "(": "\uff08", ")": "\uff09"}
_HALF = str.maketrans({full: half for half, full in _FULL.items()})
_HAN = "\u3001-\u3011\u4e00-\u9fff\u2018-\u201d"
_BESIDE_HAN = re.compile(f"(?<=[{_HAN}])[,?!:;()]|[,?!:;()](?=[{_HAN}])|(?<=[0-9]),(?=[0-9])")


def full_width(text: str) -> str:
    """Chinese punctuation: marks beside a Chinese character become full-width, those in formulas and times stay.

    A comma between digits separates clauses here: Chinese text of the world never groups thousands.
    """
    return _BESIDE_HAN.sub(lambda match: _FULL[match.group()], text)


def _typo(rng: random.Random, text: str) -> str:
    """Drop, double or swap one letter inside a word of four letters or more."""
    words = text.split(" ")
    at = rng.randrange(len(words))
    word = words[at]
    if len(word) < 4 or not word.isalpha() or not word.isascii():
        return text
    i = rng.randrange(1, len(word) - 1)
    kind = rng.randrange(3)
    if kind == 0:
        word = word[:i] + word[i + 1 :]
    elif kind == 1:
        word = word[:i] + word[i] + word[i:]
    else:
        word = word[: i - 1] + word[i] + word[i - 1] + word[i + 1 :]
    words[at] = word
    return " ".join(words)
