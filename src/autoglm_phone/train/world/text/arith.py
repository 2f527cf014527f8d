"""Arithmetic: bare expressions and word problems of one to four operations, solved by the algorithms of `steps`."""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

import random
from decimal import Decimal

from autoglm_phone.errors import ConfigError
from autoglm_phone.train.world.fillings import split_of
from autoglm_phone.train.world.lexicon import THINGS, person_name
from autoglm_phone.train.world.registry import Draft
from autoglm_phone.train.world.sample import Lang, Split
from autoglm_phone.train.world.text.grammar import say_one
from autoglm_phone.train.world.text.reply import MAX_REASONING, computed
from autoglm_phone.train.world.text.steps import Expr, NotWritable, parse, render, work_out
from autoglm_phone.train.world.text.stories import STORIES, Story

_ASK_ZH = (
    "{x}[=|等于|是|得][多少|几|?]", "{x}=", "{x}=?", "计算[一下|下|:|]{x}", "算[一下|算|:]{x}", "请[你|]计算{x}[。|]",
    "{x}[的结果|的值|]是多少?", "[帮我|麻烦|请][算一下|算算|计算一下]{x}[等于多少|是多少|]", "求{x}[的值|的结果|]", "{x}[怎么算|算出来是多少|一共是多少]?",
    "[口算|心算|速算]:{x}", "我[想知道|要算]{x}[是多少|等于几|]", "[题目|问题]:{x}=?", "[你知道|知道|你会算]{x}[等于多少|是多少|吗]?",
    "请[问|教]{x}[得多少|等于多少]?", "[给我|告诉我]{x}的[答案|结果|得数]", "{x},[结果|答案|得数][是什么|是多少|呢]?",
)  # fmt: skip
_ASK_EN = (
    "What is {x}?", "What's {x}?", "{x}=", "{x} = ?", "Calculate {x}[.|]", "Compute {x}[.|]", "[Please |]work out {x}[.|]",
    "How much is {x}?", "Can you [calculate|solve|compute] {x}?", "Solve: {x}", "[Tell|Give] me {x}", "{x} equals what?",
    "[Find|Evaluate] {x}[.|]", "What does {x} [equal|come to|give]?", "[The value|The result] of {x}?",
    "I need [the result of|] {x}", "[Let's|Let us] compute {x}[.|]", "Do you know what {x} is?",
)  # fmt: skip

# Per difficulty: expression shapes. A letter draws a number: d 2–9, n 10–99, h 100–999, t 1000–9999, k 2–20.
_SHAPES: tuple[tuple[str, ...], ...] = (
    ("d+d", "d-d", "d*d", "n+d", "n-d", "n/d", "n+n", "n-n"),
    ("n+n", "n-n", "n*d", "n/d", "h+n", "h-n", "h+h", "h-h", "n+n+n", "h*d", "n-n-d", "h/d"),
    ("n+n-n", "n*d+n", "n*d-n", "(n+n)*d", "h+h", "t+h", "t-h", "h/d", "n*n", "h+h-n", "n/d+n", "(n-n)*d", "d*d*d", "h-n*d", "h*d"),
    ("(n+n)*d-n", "h+n*d", "h-n*d+n", "n*d+n*d", "(h-n)/d", "(n+n)*(d+d)", "h+h-h", "t+t", "t-t", "h/d+n", "n*n+n", "(h+n)*d", "h*n", "t/d", "(n+h)/d-d", "n*d/d"),
    ("(n+n)*d-n*d", "(h+n)/d+n*d", "n*d+n*d-n", "(n-d)*(d+d)-n", "h-(n+n)*d", "((n+n)*d-n)/d", "t-h-h", "h*d-h", "(h+h)/d", "h*n", "t/d+h", "n*n-n*d", "h/n", "t/n", "(n+n+n)*d", "(n+d)*(n-n)"),
)  # fmt: skip
_RANGES = {"d": (2, 9), "n": (10, 99), "h": (100, 999), "t": (1000, 9999)}


def _numbers(rng: random.Random, shape: str) -> str:
    """Numbers for the letters of a shape; a divided shape is made exact by `_fit`."""
    out: list[str] = []
    for char in shape:
        if char in _RANGES:
            low, high = _RANGES[char]
            value = rng.randint(low, high)
            if char == "h" and rng.random() < 0.2:
                value -= value % 10  # round numbers are common in real questions
            if char == "n" and "/n" in shape and out and out[-1] == "/":
                value = rng.randint(11, 25)
            out.append(str(value))
        else:
            out.append(char)
    return "".join(out)


def draw_expression(
    rng: random.Random, shapes: tuple[str, ...], split: Split, limit: int = MAX_REASONING
) -> tuple[Expr, list[str], Decimal]:
    """A writable expression of this split, with its steps and value."""
    shape = rng.choice(shapes)
    for attempt in range(4000):
        if attempt % 400 == 399:
            shape = rng.choice(shapes)
        text = _numbers(rng, shape)
        if "/" in text:
            text = _make_exact(rng, text)
        expr = parse(text)
        try:
            lines, value = work_out(expr)
        except NotWritable:
            continue
        if sum(map(len, lines)) + len(lines) > limit or split_of("arith.expr", text) != split:
            continue
        return expr, lines, value
    raise ConfigError(f"no writable expression of the shapes {shapes} for split {split!r}")


def _make_exact(rng: random.Random, text: str) -> str:
    """For a plain `a/b` at the start, make a a multiple of b; other divisions are left to rejection."""
    head, _, tail = text.partition("/")
    if not head.isdigit():
        return text
    digits = ""
    while tail and tail[0].isdigit():
        digits, tail = digits + tail[0], tail[1:]
    if not digits:
        return text
    value = int(head) // int(digits) * int(digits)
    return f"{value or int(digits)}/{digits}{tail}"


def written(rng: random.Random, expr: Expr, lang: Lang) -> str:
    """The expression as people type it: × or * or x, spaces or none, full-width brackets."""
    text = render(expr)
    style = rng.random()
    if style < 0.2:
        text = text.replace("×", "*").replace("÷", "/")
    elif style < 0.25:
        text = text.replace("×", "x")
    elif style < 0.3 and lang == "en":
        text = text.replace("×", " times ").replace("÷", " divided by ").replace("+", " plus ").replace("-", " minus ")
    elif style < 0.4 and lang == "zh":
        text = text.replace("×", "乘以").replace("÷", "除以").replace("+", "加").replace("-", "减")
    if rng.random() < 0.3 and " " not in text:
        for sign in "+-×÷*/":
            text = text.replace(sign, f" {sign} ")
    if lang == "zh" and rng.random() < 0.1:
        text = text.replace("(", "\uff08").replace(")", "\uff09")
    return text


def _bare(rng: random.Random, split: Split, unseen: bool, lang: Lang, level: int) -> Draft:
    expr, lines, value = draw_expression(rng, _SHAPES[level], split)
    question = say_one(rng, _ASK_ZH if lang == "zh" else _ASK_EN, split, unseen, x=written(rng, expr, lang))
    trivial = (
        level == 0
        and len(lines) == 1
        and isinstance(expr, tuple)
        and all(isinstance(side, Decimal) and side < 10 for side in expr[1:])
    )
    if level == 0 and len(lines) == 1 and value <= 20 and value < 100 and isinstance(expr, tuple) and expr[0] in "+-":
        trivial = True
    return computed(rng, lang, question, [] if trivial else lines, value, level)


def _story(rng: random.Random, split: Split, unseen: bool, lang: Lang, level: int) -> Draft:
    group = tuple(story for story in STORIES if story.level == level)
    story: Story = rng.choice(group)
    zh, unit, en = rng.choice(THINGS)
    who = person_name(rng, lang, split)
    other = person_name(rng, lang, split)
    while other == who:
        other = person_name(rng, lang, split)
    for _ in range(3000):
        values = {letter: Decimal(rng.randint(low, high)) for letter, (low, high) in story.ranges.items()}
        expr = parse(story.formula, values)
        try:
            lines, value = work_out(expr)
        except NotWritable:
            continue
        key = f"{story.formula}{sorted(values.items())}"
        if value <= 0 or sum(map(len, lines)) + len(lines) > MAX_REASONING or split_of("arith.story", key) != split:
            continue
        slots = {letter: format(number, "f") for letter, number in values.items()}
        tellings = story.zh if lang == "zh" else story.en
        question = say_one(
            rng, tellings, split, unseen, who=who, other=other, thing=zh if lang == "zh" else en, unit=unit, **slots
        )
        return computed(rng, lang, question, lines, value, level)
    raise ConfigError(f"story {story.formula!r} with ranges {story.ranges} gives no writable numbers")


def build(rng: random.Random, split: Split, unseen: bool) -> Draft:
    lang: Lang = "zh" if rng.random() < 0.5 else "en"
    level = rng.choice((0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4))
    if level >= 1 and rng.random() < 0.5:
        return _story(rng, split, unseen, lang, level)
    return _bare(rng, split, unseen, lang, level)


BUILDERS = {"arith": build}
