"""What a chart shows: labels, series, axis, words. Drawn by chart_draw.py, asked about by chart_questions.py."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from autoglm_phone.train.world.fillings import split_of
from autoglm_phone.train.world.sample import Lang, Split
from autoglm_phone.train.world.visual import words
from autoglm_phone.train.world.visual.content import Content

ChartKind = Literal["bar", "hbar", "grouped", "line", "pie"]
Shape = Literal["rising", "falling", "flat", "peak", "valley", "free"]
# Axis top and tick step. Values are read to a hundredth of the axis.
_AXES = (
    (10, 2),
    (12, 2),
    (20, 5),
    (25, 5),
    (30, 5),
    (40, 10),
    (50, 10),
    (60, 10),
    (80, 20),
    (100, 20),
    (100, 25),
    (120, 20),
    (150, 30),
    (200, 50),
    (250, 50),
    (300, 50),
    (400, 100),
    (500, 100),
    (600, 100),
    (800, 200),
    (1000, 200),
    (1200, 200),
    (1500, 300),
    (2000, 500),
    (3000, 500),
    (5000, 1000),
)

# zh measure, zh unit, en measure, en unit
_MEASURES = (
    ("销量", "件", "Sales", "units"),
    ("收入", "万元", "Revenue", "k$"),
    ("利润", "万元", "Profit", "k$"),
    ("访客数", "人", "Visitors", "people"),
    ("用电量", "度", "Power use", "kWh"),
    ("降雨量", "毫米", "Rainfall", "mm"),
    ("产量", "吨", "Output", "tons"),
    ("订单数", "单", "Orders", "orders"),
    ("用户数", "万人", "Users", "k"),
    ("平均分", "分", "Average score", "points"),
    ("客流量", "人次", "Passengers", "trips"),
    ("支出", "元", "Spending", "$"),
    ("阅读量", "次", "Page views", "views"),
    ("步数", "百步", "Steps", "hundred"),
    ("库存", "箱", "Stock", "boxes"),
)


@dataclass(frozen=True)
class Chart:
    """values: [series][label]. low, high, step: the value axis. period: what one label is ("month", "item", …).

    time: whether the labels are steps of time. following: the label after the last one, for forecasts.
    split: whose wordings its questions use. colors: what the series' colours are called, once they are drawn; () where
    two of them would be called the same, or there is only one series.
    """

    kind: ChartKind
    lang: Lang
    title: str
    measure: str
    unit: str
    labels: tuple[str, ...]
    series: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    low: float
    high: float
    step: float
    time: bool
    period: str
    following: str
    shapes: tuple[Shape, ...]
    split: Split
    colors: tuple[str, ...] = ()

    @property
    def span(self) -> float:
        return self.high - self.low

    def said(self, value: float) -> str:
        """A value as answers write it."""
        return f"{number(value)}%" if self.unit == "%" else number(value)

    def mark(self, series: int, at: int) -> str:
        """What a bar, point or slice is called: "Mar Paris 120"; a single series has no name."""
        parts = (self.labels[at], self.series[series], self.said(self.values[series][at]))
        return " ".join(part for part in parts if part)


def number(value: float) -> str:
    """Plain decimal without a trailing .0"""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value != int(value) else str(int(value))


def _time_labels(rng: random.Random, lang: Lang, count: int) -> tuple[tuple[str, ...], str, str]:
    """Labels, the name of one step, and the label that follows."""
    zh = lang == "zh"
    kind = rng.choice(("month", "month", "quarter", "year", "day"))
    if kind == "month":
        start = rng.randint(0, 11 - min(count, 11))
        names = (
            [f"{i}月" for i in range(1, 13)]
            if zh
            else ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        )
        labels = [names[(start + i) % 12] for i in range(count + 1)]
        return tuple(labels[:-1]), kind, labels[-1]
    if kind == "quarter":
        year, quarter = rng.randint(2015, 2025), rng.randint(0, 3)
        style = rng.random()
        found = []
        for i in range(count + 1):
            y, q = year + (quarter + i) // 4, (quarter + i) % 4 + 1
            short = f"{y % 100:02d}"
            found.append(f"{short}年Q{q}" if zh and style < 0.5 else f"{short}Q{q}" if zh else f"Q{q} {short}")
        return tuple(found[:-1]), kind, found[-1]
    if kind == "year":
        start = rng.randint(2000, 2020)
        suffix = "年" if zh and rng.random() < 0.5 else ""
        found = [f"{start + i}{suffix}" for i in range(count + 1)]
        return tuple(found[:-1]), kind, found[-1]
    count = min(count, 7)
    days = [f"周{d}" for d in "一二三四五六日一"] if zh else ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Mon"]
    return tuple(days[:count]), kind, days[count]


def _item_labels(rng: random.Random, content: Content, count: int) -> tuple[tuple[str, ...], str]:
    lang = content.lang
    pools = {
        "product": words.GOODS[lang],
        "city": words.CITIES[lang],
        "road": [r + ("店" if lang == "zh" else " St") for r in words.ROADS[lang]],
        "class": [f"{i}班" for i in range(1, 13)] if lang == "zh" else [f"Team {c}" for c in "ABCDEFGHJK"],
    }
    kind = rng.choice(sorted(pools))
    return tuple(rng.sample(pools[kind], min(count, len(pools[kind])))), kind


def _walk(rng: random.Random, shape: Shape, count: int) -> list[float]:
    """`count` values in 0–1 of the asked shape, clear enough that two people would name it alike."""
    if shape == "flat":
        base = rng.uniform(0.3, 0.8)
        return [base + rng.uniform(-0.025, 0.025) for _ in range(count)]
    if shape == "free":
        return [rng.uniform(0.08, 0.97) for _ in range(count)]
    low, high = rng.uniform(0.06, 0.3), rng.uniform(0.7, 0.97)
    if shape in {"rising", "falling"}:
        cuts = [rng.uniform(0.5, 1.5) for _ in range(count - 1)]
        total, at, path = sum(cuts), 0.0, [0.0]
        for cut in cuts:
            at += cut
            path.append(at / total)
        values = [low + (high - low) * p for p in path]
        return values if shape == "rising" else values[::-1]
    turn = rng.randint(max(1, count // 3), max(1, count - 1 - count // 3))
    values = []
    for i in range(count):
        part = i / turn if i <= turn else (count - 1 - i) / (count - 1 - turn)
        values.append(low + (high - low) * min(1.0, max(0.0, part + rng.uniform(-0.04, 0.04))))
    values[turn] = high
    return values if shape == "peak" else [low + high - v for v in values]


def _rounded(value: float, low: float, high: float) -> float:
    """A value on a grid of a hundredth of the axis, so that it can be said in few digits."""
    grain = {10: 0.1, 12: 0.1, 20: 0.2, 25: 0.5, 30: 0.5}.get(
        int(high), 1.0 if high <= 250 else 5.0 if high <= 1000 else 10.0 if high <= 2000 else 50.0
    )
    return round(round((low + value * (high - low)) / grain) * grain, 2)


def make_chart(rng: random.Random, split: Split, lang: Lang, want: str = "any") -> Chart:
    """A chart of this split.

    want: "any", "trend" (time axis, clear shapes) or "forecast" (few points one way, the next one on the axis).
    """
    content = Content(rng, lang, split)
    while True:
        chart = _draw_chart(rng, content, lang, want)
        row = chart.values[0]
        off_axis = want == "forecast" and row[-1] + (row[-1] - row[0]) / (len(row) - 1) < chart.low
        if split_of("visual.chart", repr(chart.values)) == split and not off_axis:
            return chart


def _draw_chart(rng: random.Random, content: Content, lang: Lang, want: str) -> Chart:
    time = want != "any" or rng.random() < 0.5
    kinds: tuple[ChartKind, ...] = ("bar", "bar", "hbar", "grouped", "line", "line", "pie")
    if time:
        kinds = ("bar", "line", "line", "grouped") if want != "forecast" else ("bar", "line")
    kind = rng.choice(kinds)
    count = rng.randint(3, 6) if kind in {"pie", "grouped"} or want == "forecast" else rng.randint(4, 9)
    count = max(4, count) if want == "trend" else count
    following, period = "", "item"
    if time:
        labels, period, following = _time_labels(rng, lang, count)
    else:
        labels, period = _item_labels(rng, content, count)
    count = len(labels)
    zh, zh_unit, en, en_unit = rng.choice(_MEASURES)
    measure, unit = (zh, zh_unit) if lang == "zh" else (en, en_unit)
    several = (
        rng.choice((2, 2, 3))
        if kind == "grouped"
        else rng.choice((1, 1, 2, 3))
        if kind == "line" and want != "forecast"
        else 1
    )
    names = (
        tuple(content.distinct(content.shop if rng.random() < 0.5 else lambda: rng.choice(words.CITIES[lang]), several))
        if several > 1
        else ("",)
    )
    high, step = rng.choice(_AXES)
    low = 0.0
    if kind == "line" and rng.random() < 0.2 and high / step >= 4:
        low = float(step) * rng.choice((1, 2)) if high / step >= 5 else float(step)
    shapes: list[Shape] = []
    rows = []
    for _ in names:
        if want == "forecast":
            shape: Shape = rng.choice(("rising", "rising", "falling"))
        elif want == "trend" or (time and rng.random() < 0.5):
            shape = rng.choice(("rising", "falling", "flat", "peak", "valley"))
        else:
            shape = "free"
        shapes.append(shape)
        path = _walk(rng, shape, count)
        if want == "forecast":  # leave room for the next value
            path = [0.15 + 0.65 * v for v in path]
        rows.append(tuple(_rounded(v, low, high) for v in path))
    if kind == "pie":
        shares = [rng.uniform(0.3, 2.0) for _ in labels]
        parts = [max(4, round(100 * s / sum(shares))) for s in shares]
        parts[parts.index(max(parts))] += 100 - sum(parts)
        rows, low, high, step, unit = [tuple(float(p) for p in parts)], 0.0, 100, 20, "%"
    subject = rng.choice(
        (content.city(), content.shop(), content.good() if period not in {"product"} else content.city())
    )
    sep = " " if lang == "en" else ""
    name = measure if kind != "pie" else (f"{measure}占比" if lang == "zh" else f"{measure} share")
    titles = [
        f"{subject}{sep}{name}",
        f"{name}（{unit}）" if lang == "zh" else f"{name} ({unit})",
        f"{subject}{sep}{name}",
    ]
    return Chart(
        kind,
        lang,
        rng.choice(titles),
        measure,
        unit,
        labels,
        names,
        tuple(rows),
        low,
        float(high),
        float(step),
        time,
        period,
        following,
        tuple(shapes),
        content.split,
    )
