"""Short answers that end in a value, and the shape that a computed sample has."""

from __future__ import annotations

import random
from decimal import Decimal

from autoglm_phone.train.world.registry import Draft
from autoglm_phone.train.world.sample import Lang, Turn
from autoglm_phone.train.world.text.grammar import full_width, vary

MAX_REASONING = 230  # characters; nearly every character of a calculation is a token of its own


def reply(lang: Lang, text: str, reasoning: str = "") -> Turn:
    """The assistant's turn, with the punctuation of its language."""
    return Turn("assistant", full_width(text) if lang == "zh" else text, reasoning)


def answer_text(lang: Lang, value: str) -> str:
    """The one way in which computed values are told."""
    return f"答案是 {value}。" if lang == "zh" else f"The answer is {value}."


def computed(
    rng: random.Random,
    lang: Lang,
    question: str,
    reasoning: list[str],
    value: Decimal | str,
    difficulty: int,
    unit: str = "",
) -> Draft:
    """A question whose answer is one number, perhaps with a unit after it."""
    text = value if isinstance(value, str) else format(value, "f")
    shown = (
        f"{text}{'' if unit in ('', '%', '元') or unit.startswith('°') else ' '}{unit}"
        if lang == "en"
        else f"{text}{unit}"
    )
    turns = (
        Turn("user", vary(rng, question, lang)),
        reply(lang, answer_text(lang, shown), "\n".join(reasoning)),
    )
    return Draft(lang, difficulty, turns, {"kind": "number", "value": text})
