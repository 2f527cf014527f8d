"""How date and time questions are asked and their answers judged."""

from __future__ import annotations

import random
from typing import Any

from autoglm_phone.train.world.registry import Draft
from autoglm_phone.train.world.sample import Lang, Split, Turn
from autoglm_phone.train.world.text.grammar import say_one, vary
from autoglm_phone.train.world.text.reply import reply


def ask(
    rng: random.Random,
    lang: Lang,
    split: Split,
    unseen: bool,
    zh: tuple[str, ...],
    en: tuple[str, ...],
    **slots: str,
) -> str:
    patterns = zh if lang == "zh" else en
    return vary(rng, say_one(rng, patterns, split, unseen, **slots), lang)


def fact(
    lang: Lang, level: int, question: str, answer: str, lines: list[str], must: list[Any], must_not: list | None = None
) -> Draft:
    truth = {"kind": "contains", "must": must, "must_not": must_not or []}
    return Draft(lang, level, (Turn("user", question), reply(lang, answer, "\n".join(lines))), truth)


def numeric(lang: Lang, level: int, question: str, answer: str, lines: list[str], values: list[str]) -> Draft:
    truth = {"kind": "number", "values": values}
    return Draft(lang, level, (Turn("user", question), reply(lang, answer, "\n".join(lines))), truth)
