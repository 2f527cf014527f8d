"""Unit questions: metric length, mass and volume, time, data, temperature; converting, adding and comparing."""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

import random
from dataclasses import dataclass
from decimal import Decimal

from autoglm_phone.errors import ConfigError
from autoglm_phone.train.world.fillings import split_of
from autoglm_phone.train.world.registry import Draft
from autoglm_phone.train.world.sample import Lang, Split, Turn
from autoglm_phone.train.world.text.grammar import say_one, vary
from autoglm_phone.train.world.text.reply import MAX_REASONING, reply
from autoglm_phone.train.world.text.steps import NotWritable, compare, parse, show, work_out


@dataclass(frozen=True)
class Unit:
    """zh: written forms in Chinese, the first is used in answers; en: the same in English (plural)."""

    zh: tuple[str, ...]
    en: tuple[str, ...]


U = {
    "km": Unit(("千米", "公里", "km"), ("km", "kilometers", "kilometres")),
    "m": Unit(("米", "m"), ("m", "meters", "metres")),
    "dm": Unit(("分米", "dm"), ("dm", "decimeters")),
    "cm": Unit(("厘米", "cm"), ("cm", "centimeters", "centimetres")),
    "mm": Unit(("毫米", "mm"), ("mm", "millimeters", "millimetres")),
    "t": Unit(("吨",), ("tonnes", "t", "metric tons")),
    "kg": Unit(("千克", "公斤", "kg"), ("kg", "kilograms", "kilos")),
    "g": Unit(("克", "g"), ("g", "grams")),
    "mg": Unit(("毫克", "mg"), ("mg", "milligrams")),
    "jin": Unit(("斤",), ()),
    "L": Unit(("升", "L"), ("L", "liters", "litres")),
    "mL": Unit(("毫升", "mL", "ml"), ("mL", "milliliters", "ml")),
    "day": Unit(("天",), ("days",)),
    "week": Unit(("周", "个星期"), ("weeks",)),
    "h": Unit(("小时", "个小时"), ("hours", "h")),
    "min": Unit(("分钟", "min"), ("minutes", "min")),
    "s": Unit(("秒", "秒钟"), ("seconds", "s")),
    "TB": Unit(("TB",), ("TB", "terabytes")),
    "GB": Unit(("GB", "G"), ("GB", "gigabytes")),
    "MB": Unit(("MB", "兆"), ("MB", "megabytes")),
    "KB": Unit(("KB",), ("KB", "kilobytes")),
    "C": Unit(("摄氏度", "°C", "℃"), ("°C", "degrees Celsius", "Celsius")),
    "F": Unit(("华氏度", "°F", "℉"), ("°F", "degrees Fahrenheit", "Fahrenheit")),
    "year": Unit(("年",), ("years",)),
    "month": Unit(("个月",), ("months",)),
}

# (large, small, how many small ones are a large one); kept to pairs that differ by one familiar factor.
PAIRS: tuple[tuple[str, str, int], ...] = (
    ("km", "m", 1000), ("m", "cm", 100), ("m", "mm", 1000), ("cm", "mm", 10), ("m", "dm", 10), ("dm", "cm", 10), ("t", "kg", 1000), ("kg", "g", 1000),
    ("g", "mg", 1000), ("L", "mL", 1000), ("day", "h", 24), ("week", "day", 7), ("h", "min", 60), ("min", "s", 60), ("TB", "GB", 1024), ("GB", "MB", 1024),
    ("MB", "KB", 1024), ("kg", "jin", 2), ("year", "month", 12),
)  # fmt: skip

_CONVERT_ZH = (
    "{n}{a}[等于|是|合|有]多少{b}?", "{n}{a}=[多少|?|几]{b}", "把{n}{a}[换算|换|转换]成{b}[。|]", "{n}{a}[换算成|转成|换成|化成]{b}[是多少|]?", "请[把|将]{n}{a}[换算|化]成{b}", "[帮我|]换算[:|]{n}{a}是[几|多少]{b}",
    "{n}{a}[用{b}表示|以{b}为单位]是多少?", "多少{b}[等于|是]{n}{a}?", "[请问|]{n}{a}有几{b}?",
)  # fmt: skip
_CONVERT_EN = (
    "How many {b} [are|is|are in] {n} {a}?", "Convert {n} {a} [to|into] {b}[.|]", "{n} {a} = ? {b}", "What is {n} {a} in {b}?", "[Express|Write] {n} {a} in {b}[.|]", "{n} {a} [to|in] {b}", "How much is {n} {a} in {b}?",
    "[Change|Turn] {n} {a} into {b}[.|]", "{n} {a} equals how many {b}?",
)  # fmt: skip


def _names(unit: str, lang: Lang) -> tuple[str, ...]:
    return U[unit].zh if lang == "zh" else U[unit].en


def _name(rng: random.Random, unit: str, lang: Lang) -> str:
    """How the question writes the unit."""
    names = _names(unit, lang)
    return names[0] if rng.random() < 0.6 else rng.choice(names)


def _amount(rng: random.Random, low: int, high: int) -> Decimal:
    """An integer, or with one decimal (20 %) or two (5 %)."""
    draw = rng.random()
    if draw < 0.2:
        return Decimal(rng.randint(low * 10 + 1, high * 10)).scaleb(-1)
    if draw < 0.25:
        return Decimal(rng.randint(low * 100 + 1, max(low + 1, high) * 100)).scaleb(-2)
    return Decimal(rng.randint(low, high))


def _tell(lang: Lang, value: Decimal, unit: str) -> str:
    text = show(value)
    if lang == "zh":
        return f"等于 {text} {U[unit].zh[0]}。"
    name = U[unit].en[0]
    if value == 1 and len(name) > 3 and name.endswith("s"):
        name = name[:-1]
    return f"It is {text}{'' if name.startswith('°') else ' '}{name}."


def _draft(lang: Lang, level: int, question: str, answer: str, lines: list[str], value: Decimal) -> Draft:
    truth = {"kind": "number", "value": show(value)}
    return Draft(lang, level, (Turn("user", question), reply(lang, answer, "\n".join(lines))), truth)


def _convert(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    pairs = PAIRS if lang == "zh" else tuple(pair for pair in PAIRS if "jin" not in pair)
    for _ in range(500):
        big, small, factor = rng.choice(pairs)
        down = rng.random() < 0.6
        if down:
            amount = _amount(rng, 1, 99 if factor not in (24, 60, 1024) else 48 if factor != 1024 else 9)
            if factor in (7, 12, 24, 60, 1024):
                amount = Decimal(int(amount)) or Decimal(1)
            start, end, text = big, small, f"{show(amount)}*{factor}"
        else:
            if factor in (10, 100, 1000):
                amount = Decimal(rng.randint(1, 9999 if factor > 10 else 999) * rng.choice((1, 1, 10)))
            else:
                amount = Decimal(rng.randint(1, 99 if factor < 1024 else 9) * factor)
            start, end, text = small, big, f"{show(amount)}/{factor}"
        if split_of("units.convert", f"{text}{start}{end}") != split:
            continue
        try:
            lines, value = _factor_lines(amount, factor, down)
        except NotWritable:
            continue
        if len("\n".join(lines)) > MAX_REASONING:
            continue
        question = say_one(rng, _CONVERT_ZH if lang == "zh" else _CONVERT_EN, split, unseen,
                           n=show(amount), a=_name(rng, start, lang), b=_name(rng, end, lang))  # fmt: skip
        head = f"1{_short(big)}={factor}{_short(small)}"
        return _draft(lang, 1, vary(rng, question, lang), _tell(lang, value, end), [head, *lines], value)
    raise ConfigError(f"units: no conversion for split {split!r}")


def _short(unit: str) -> str:
    return {"jin": "斤"}.get(unit, unit)


def _factor_lines(amount: Decimal, factor: int, down: bool) -> tuple[list[str], Decimal]:
    if factor == 1024:
        if down:
            return work_out(parse(f"{factor}*{show(amount)}"))
        # A division by 1024 is beyond `divide`; few multiples occur, so the quotient is shown as a product.
        count = int(amount) // factor
        if count > 9 or count * factor != amount:
            raise NotWritable
        return [f"1024×{count}={show(amount)}"], Decimal(count)
    return work_out(parse(f"{show(amount)}*{factor}" if down else f"{show(amount)}/{factor}"))


def _temperature(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    for _ in range(500):
        to_f = rng.random() < 0.6
        celsius = rng.randint(-4, 20) * 5 if rng.random() < 0.5 or not to_f else rng.randint(1, 100)
        if celsius < 0 and not to_f:
            continue
        fahrenheit = Decimal(celsius) * 9 / 5 + 32
        if split_of("units.temp", f"{celsius}{to_f}") != split:
            continue
        if to_f and celsius < 0:
            low = -celsius
            lines = [f"{low}×9={low * 9}", *work_out(parse(f"{low * 9}/5"))[0]]
            less = low * 9 // 5
            rest = 32 - less
            lines.append(f"32-{less}={rest}")
        elif to_f:
            lines, _ = work_out(parse(f"{celsius}*18/10+32"))  # ×9÷5 is ×18÷10: exact for every integer
        else:
            lines, _ = work_out(parse(f"({int(fahrenheit)}-32)*5/9"))
        value = fahrenheit.normalize() if to_f else Decimal(celsius)
        if value == int(value):
            value = Decimal(int(value))
        amount = Decimal(celsius) if to_f else Decimal(int(fahrenheit))
        start, end = ("C", "F") if to_f else ("F", "C")
        question = say_one(rng, _CONVERT_ZH if lang == "zh" else _CONVERT_EN, split, unseen,
                           n=show(amount), a=_name(rng, start, lang), b=_name(rng, end, lang))  # fmt: skip
        return _draft(lang, 2, vary(rng, question.replace(" °", "°"), lang), _tell(lang, value, end), lines, value)
    raise ConfigError(f"units: no temperature for split {split!r}")


# Compound amounts that people say: 2 km 300 m, 1 h 20 min.
_COMPOUND = (
    ("km", "m", 1000),
    ("kg", "g", 1000),
    ("h", "min", 60),
    ("min", "s", 60),
    ("m", "cm", 100),
    ("L", "mL", 1000),
)


def _compound(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    """a big + b small (± c small) = ? small."""
    for _ in range(500):
        big, small, factor = rng.choice(_COMPOUND)
        a = rng.randint(1, 9)
        b = rng.randint(1, factor - 1) if factor < 1000 else rng.randint(1, 99) * 10
        c = rng.randint(2, 90) * (1 if factor < 1000 else 10)
        op = rng.choice(("", "+", "-"))
        text = f"{a}*{factor}+{b}{op}{c if op else ''}"
        if split_of("units.compound", text + big) != split:
            continue
        try:
            lines, value = work_out(parse(text))
        except NotWritable:
            continue
        if len("\n".join(lines)) > MAX_REASONING:
            continue
        x, y = _name(rng, big, lang), _name(rng, small, lang)
        if lang == "zh":
            amount = f"{a}{x}{b}{y}"
            other = f"{'加' if op == '+' else '减'}{c}{y}" if op else ""
        else:
            amount = f"{a} {x} {b} {y}" if rng.random() < 0.5 else f"{a} {x} and {b} {y}"
            other = f" {'plus' if op == '+' else 'minus'} {c} {y}" if op else ""
        question = say_one(rng,
            ("{q}[等于|是|一共是|合]多少{u}?", "{q}[是|有]几{u}?", "把{q}换算成{u}", "[计算|算一下]{q}[,用{u}表示|是多少{u}]", "{q}=?{u}", "求{q},单位用{u}。") if lang == "zh" else
            ("How many {u} is {q}?", "What is {q} in {u}?", "{q} = ? {u}", "Convert {q} to {u}[.|]", "Give {q} in {u}[.|]", "Work out {q} in {u}[.|]"),
            split, unseen, q=amount + other, u=_name(rng, small, lang))  # fmt: skip
        return _draft(lang, 3 if op else 2, vary(rng, question, lang), _tell(lang, value, small), lines, value)
    raise ConfigError(f"units: no compound for split {split!r}")


def _compare(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    """Which is more: a big or b small?"""
    for _ in range(500):
        big, small, factor = rng.choice(
            [pair for pair in PAIRS if pair[2] in (60, 100, 1000, 10, 24) and "mg" not in pair]
        )
        a = rng.randint(1, 20)
        b = a * factor + rng.choice((-1, 1)) * rng.randint(1, max(2, a * factor // 3))
        if split_of("units.compare", f"{a}{big}{b}") != split:
            continue
        lines, value = work_out(parse(f"{a}*{factor}"))
        left, right = (
            (f"{a}{_name(rng, big, lang)}", f"{b}{_name(rng, small, lang)}")
            if lang == "zh"
            else (f"{a} {_name(rng, big, lang)}", f"{b} {_name(rng, small, lang)}")
        )
        more_first = value > b
        swapped = rng.random() < 0.5
        lines.append(compare(value, b))
        word_zh, word_en = {
            "m": ("长", "longer"),
            "cm": ("长", "longer"),
            "mm": ("长", "longer"),
            "dm": ("长", "longer"),
            "kg": ("重", "heavier"),
            "g": ("重", "heavier"),
            "min": ("长", "longer"),
            "s": ("长", "longer"),
            "h": ("长", "longer"),
        }.get(small, ("多", "more"))
        question = say_one(rng,
            ("{x}和{y}哪个更{w}?", "{x}与{y},哪个{w}?", "哪个更{w}:{x}还是{y}?", "比较{x}和{y},哪个{w}?") if lang == "zh" else
            ("Which is {w}: {x} or {y}?", "Which is {w}, {x} or {y}?", "{x} or {y}: which is {w}?", "Compare {x} and {y}: which is {w}?"),
            split, unseen, x=right if swapped else left, y=left if swapped else right, w=word_zh if lang == "zh" else word_en)  # fmt: skip
        winner, loser = (left, right) if more_first else (right, left)
        amount, unit = (a, big) if more_first else (b, small)
        # The unit by any of its names: "12 t" may be answered as "12 tonnes".
        same = [f"{amount}{name}" if lang == "zh" else f"{amount} {name}" for name in _names(unit, lang)]
        answer = f"{winner}更{word_zh}。" if lang == "zh" else f"{winner} is {word_en}."
        truth = {"kind": "contains", "must": [[winner, *same]], "must_not": [loser]}
        return Draft(lang, 2, (Turn("user", vary(rng, question, lang)), reply(lang, answer, "\n".join(lines))), truth)
    raise ConfigError(f"units: no comparison for split {split!r}")


_KINDS = (_convert, _convert, _convert, _temperature, _compound, _compound, _compare)


def build(rng: random.Random, split: Split, unseen: bool) -> Draft:
    lang: Lang = "zh" if rng.random() < 0.5 else "en"
    return rng.choice(_KINDS)(rng, split, unseen, lang)


BUILDERS = {"units": build}
