"""Questions about a chart with deterministic answers: read a value, name a trend, compare, forecast."""

from __future__ import annotations

import random

from autoglm_phone.train.world.phrasing import Ask
from autoglm_phone.train.world.sample import Lang, Sample
from autoglm_phone.train.world.scoring import Score, normalise, numbers, scorer
from autoglm_phone.train.world.visual import wishes_chart as wishes
from autoglm_phone.train.world.visual.chart_data import Chart, number
from autoglm_phone.train.world.visual.scene_questions import Asked
from autoglm_phone.train.world.visual.tasks import phrased

TREND_NAMES: dict[Lang, dict[str, str]] = {
    "zh": {"rising": "上升", "falling": "下降", "flat": "平稳", "peak": "先升后降", "valley": "先降后升"},
    "en": {
        "rising": "rising",
        "falling": "falling",
        "flat": "flat",
        "peak": "rises then falls",
        "valley": "falls then rises",
    },
}


def _of(chart: Chart, series: int, label: str = "") -> str:
    """How people name one value or one series: "Paris in Mar", "三月巴黎的销量"."""
    name = chart.series[series]
    if chart.lang == "zh":
        return f"{label}{name}的{chart.measure}" if label or name else chart.measure
    measure = chart.measure.lower()
    owner = f"{measure} of {name}" if name else measure
    return f"{owner} {_preposition(chart)} {label}" if label else owner


def _preposition(chart: Chart) -> str:
    return "on" if chart.period == "day" else "in" if chart.time else "for"


def _said(chart: Chart, value: float) -> str:
    return chart.said(value)


def _reading(chart: Chart, value: float, labelled: bool) -> str:
    """How the value is read off: from its label, or from the ticks around it."""
    zh = chart.lang == "zh"
    said = _said(chart, value)
    if labelled:
        return f"图上标着{said}" if zh else f"it is labelled {said}"
    if chart.kind == "pie":
        return f"约占一圈的{said}" if zh else f"it takes about {said} of the circle"
    below = chart.low + chart.step * int((value - chart.low) / chart.step + 1e-9)
    if abs(value - below) < 1e-9:
        return f"正对刻度{number(below)}" if zh else f"it is at the tick {number(below)}"
    above = number(below + chart.step)
    return (
        f"在{number(below)}和{above}之间，约{said}" if zh else f"it is between {number(below)} and {above}, near {said}"
    )


def _found(chart: Chart, series: int) -> str:
    """Where several series are drawn, a thought begins with the colour of the one that is asked for."""
    if not chart.colors:
        return ""
    name, color = chart.series[series], chart.colors[series]
    return f"{name}是{color}。" if chart.lang == "zh" else f"{name} is {color}. "


def _phrased(
    rng: random.Random,
    chart: Chart,
    wish: dict[Lang, Ask],
    table: dict[Lang, tuple[str, ...]],
    unseen: bool,
    **slots: str,
) -> str:
    """The question about a chart, which says what its labels are."""
    was = "were" if chart.measure.endswith("s") and chart.kind != "pie" else "was"
    return phrased(rng, chart.lang, chart.split, wish, table, unseen, was=was, period=chart.period, **slots)


# What the grammar says for a way ("lowest", "更高"): the same words as the table, or words of the same meaning.
_WAYS = {
    "高": ("高", "高", "大"),
    "低": ("低", "低", "小"),
    "highest": ("highest", "highest", "largest", "greatest", "biggest", "top"),
    "lowest": ("lowest", "lowest", "smallest", "least"),
    "higher": ("higher", "higher", "larger", "greater", "bigger"),
    "lower": ("lower", "lower", "smaller"),
}


def _way(rng: random.Random, chart: Chart, way: str) -> str:
    return way if chart.split == "test" else rng.choice(_WAYS[way])


_VALUE: dict[Lang, tuple[str, ...]] = {
    "zh": ("{x}是多少？", "请读出{x}。", "图中{x}大约是多少？", "看图，{x}有多少？"),
    "en": ("What is the {x}?", "Read the {x}.", "About how much is the {x}?", "From the chart, what is the {x}?"),
}


def value(rng: random.Random, chart: Chart, labelled: bool, unseen: bool) -> Asked:
    s, i = rng.randrange(len(chart.series)), rng.randrange(len(chart.labels))
    amount = chart.values[s][i]
    what = _of(chart, s, chart.labels[i])
    if chart.kind == "pie":
        what = f"{chart.labels[i]}的占比" if chart.lang == "zh" else f"share of {chart.labels[i]}"
    question = _phrased(rng, chart, wishes.VALUE, _VALUE, unseen, x=what)
    reading = _reading(chart, amount, labelled)
    thought = f"找到{chart.labels[i]}，{reading}。" if chart.lang == "zh" else f"Find {chart.labels[i]}: {reading}."
    truth = {"kind": "chart_value", "value": amount, "range": chart.span, "tolerance": 0.05}
    return Asked(question, _said(chart, amount), _found(chart, s) + thought, truth, 1 if labelled else 2)


_TREND: dict[Lang, tuple[str, ...]] = {
    "zh": ("{x}的趋势是什么？", "{x}是怎么变化的？", "{x}整体走势如何？", "总结{x}的变化趋势。"),
    "en": (
        "What is the trend of the {x}?",
        "How does the {x} change?",
        "Describe the trend of the {x}.",
        "Which way does the {x} go?",
    ),
}


def trend(rng: random.Random, chart: Chart, labelled: bool, unseen: bool) -> Asked:
    s = rng.randrange(len(chart.series))
    row, shape = chart.values[s], chart.shapes[s]
    wish = wishes.TREND_MORE if chart.split == "train" and rng.random() < 0.5 else wishes.TREND
    question = _phrased(rng, chart, wish, _TREND, unseen, x=_of(chart, s))
    answer = TREND_NAMES[chart.lang][shape]
    # The same four readings whatever the shape: a thought must not have to know the answer before it looks.
    first, top, bottom, last = (number(v) for v in (row[0], max(row), min(row), row[-1]))
    highest, lowest = chart.labels[row.index(max(row))], chart.labels[row.index(min(row))]
    if chart.lang == "zh":
        thought = f"开头约{first}，最高是{highest}的约{top}，最低是{lowest}的约{bottom}，最后约{last}。"
    else:
        thought = (
            f"It starts at about {first}, is highest at {highest} ({top}), "
            f"lowest at {lowest} ({bottom}), ends at {last}."
        )
    return Asked(question, answer, _found(chart, s) + thought, {"kind": "trend", "value": shape}, 1)


def compare(rng: random.Random, chart: Chart, labelled: bool, unseen: bool) -> Asked:
    """Highest or lowest label, the higher of two, the difference of two; pairs too close to tell are not asked."""
    way = rng.random()
    s = rng.randrange(len(chart.series))
    row = chart.values[s]
    if way < 0.4:
        asked = _extreme(rng, chart, s, row, unseen)
    else:
        asked = _pair(rng, chart, s, row, difference=way > 0.7)
    return asked or value(rng, chart, labelled, unseen)


_BEST: dict[Lang, tuple[str, ...]] = {
    "zh": ("{x}最{way}的是哪个？", "哪个的{x}最{way}？", "哪一项{x}最{way}？", "{x}在哪里最{way}？"),
    "en": (
        "Which one has the {way} {x}?",
        "Where is the {x} {way}?",
        "What has the {way} {x}?",
        "Name the one with the {way} {x}.",
    ),
}
_BEST_TIME: dict[Lang, tuple[str, ...]] = {
    "zh": (
        "{x}什么时候最{way}？",
        "哪个时间的{x}最{way}？",
        "{x}最{way}的是哪个时间？",
        "{x}在何时最{way}？",
    ),
    "en": (
        "When is the {x} {way}?",
        "Which {period} has the {way} {x}?",
        "In which {period} is the {x} {way}?",
        "Name the {period} with the {way} {x}.",
    ),
}


def _extreme(rng: random.Random, chart: Chart, s: int, row: tuple[float, ...], unseen: bool) -> Asked | None:
    most = rng.random() < 0.6
    ranked = sorted(row, reverse=most)
    if abs(ranked[0] - ranked[1]) < 0.03 * chart.span:
        return None
    label = chart.labels[row.index(ranked[0])]
    table, wish = (_BEST_TIME, wishes.BEST_TIME) if chart.time else (_BEST, wishes.BEST)
    if chart.lang == "zh":
        way = "高" if most else "低"
    else:
        way = "highest" if most else "lowest"
    question = _phrased(rng, chart, wish, table, unseen, x=_of(chart, s), way=_way(rng, chart, way))
    pairs = [(name, _said(chart, amount)) for name, amount in zip(chart.labels, row, strict=True)]
    if chart.lang == "zh":
        thought = f"{'，'.join(f'{name}约{said}' for name, said in pairs)}。最{way}的是{label}。"
    else:
        thought = f"About: {', '.join(f'{name} {said}' for name, said in pairs)}. The {way} is {label}."
    return Asked(question, label, _found(chart, s) + thought, {"kind": "chart_label", "value": label}, 1)


def _readings(chart: Chart, first: tuple[str, float], second: tuple[str, float]) -> str:
    (one, a), (two, b) = first, second
    if chart.lang == "zh":
        return f"{one}约{_said(chart, a)}，{two}约{_said(chart, b)}"
    return f"{one} is about {_said(chart, a)}, {two} about {_said(chart, b)}"


_PAIR: dict[Lang, tuple[str, ...]] = {
    "zh": ("{one}和{two}，哪个的{x}更{way}？",),
    "en": ("Which has the {way} {x}, {one} or {two}?",),
}
_GAP: dict[Lang, tuple[str, ...]] = {
    "zh": ("{first}比{low}高多少？",),
    "en": ("How much higher is the {x} {at} {high} than {at} {low}?",),
}


def _pair(rng: random.Random, chart: Chart, s: int, row: tuple[float, ...], difference: bool) -> Asked | None:
    zh = chart.lang == "zh"
    i, j = rng.sample(range(len(row)), 2)
    a, b = row[i], row[j]
    if abs(a - b) < 0.04 * chart.span:
        return None
    one, two = chart.labels[i], chart.labels[j]
    what, at = _of(chart, s), _preposition(chart)
    if not difference:
        more = rng.random() < 0.7
        best = one if (a > b) == more else two
        way = ("高" if more else "低") if zh else "higher" if more else "lower"
        question = _phrased(
            rng, chart, wishes.PAIR, _PAIR, False, x=what, way=_way(rng, chart, way), one=one, two=two, at=at
        )
        read = _found(chart, s) + _readings(chart, (one, a), (two, b))
        return Asked(question, best, f"{read}。" if zh else f"{read}.", {"kind": "chart_label", "value": best}, 1)
    high, low = (one, two) if a > b else (two, one)
    gap = abs(a - b)
    top, less = max(a, b), min(a, b)
    read = _found(chart, s) + _readings(chart, (high, top), (low, less))  # in the order of the question
    first = _of(chart, s, high)
    question = _phrased(rng, chart, wishes.GAP, _GAP, False, x=what, high=high, low=low, at=at, first=first)
    if zh:
        thought = f"{read}。{number(top)}-{number(less)}={number(round(gap, 2))}。"
    else:
        thought = f"{read}. {number(top)}-{number(less)}={number(round(gap, 2))}."
    truth = {"kind": "chart_value", "value": round(gap, 2), "range": chart.span, "tolerance": 0.05}
    return Asked(question, _said(chart, round(gap, 2)), thought, truth, 3)


_FORECAST: dict[Lang, tuple[str, ...]] = {
    "zh": (
        "预测{next}的{x}。",
        "按这个趋势，{next}的{x}会是多少？",
        "{next}的{x}预计是多少？",
        "估计一下{next}的{x}。",
        "照此发展，{next}{x}大约多少？",
    ),
    "en": (
        "Forecast the {x} for {next}.",
        "If this goes on, what will the {x} be in {next}?",
        "What {x} do you expect in {next}?",
        "Predict the {x} of {next}.",
        "Estimate the next value ({next}) of the {x}.",
    ),
}


def forecast(rng: random.Random, chart: Chart, labelled: bool, unseen: bool) -> Asked:
    """Rule: the last value plus the average change per step, (last − first) / steps, never below the axis."""
    row = chart.values[0]
    zh = chart.lang == "zh"
    steps = len(row) - 1
    change = round((row[-1] - row[0]) / steps, 1)
    result = max(chart.low, round(row[-1] + change, 1))
    what = chart.measure if zh else chart.measure.lower()
    question = _phrased(rng, chart, wishes.FORECAST, _FORECAST, unseen, x=what, next=chart.following)
    listed = ("、" if zh else ", ").join(number(v) for v in row)
    first, last, sign = number(row[0]), number(row[-1]), "+" if change >= 0 else "-"
    average = f"({last}-{first})/{steps}={number(change)}"
    ahead = f"{last}{sign}{number(abs(change))}={number(result)}"
    if zh:
        thought = f"读数：{listed}。平均变化{average}。{ahead}。"
    else:
        thought = f"Values: {listed}. Average change {average}. {ahead}."
    answer = f"约{number(result)}" if zh else f"About {number(result)}"
    return Asked(
        question, answer, thought, {"kind": "chart_value", "value": result, "range": chart.span, "tolerance": 0.08}, 4
    )


@scorer("chart_value")
def _chart_value(sample: Sample, answer: str, reasoning: str) -> Score:
    """truth: value, range (of the axis), tolerance (share of the range). The last number of the answer counts."""
    truth = sample.truth
    found = numbers(answer)
    if not found:
        return Score(False, 0.0, {"error": None})
    error = abs(float(found[-1]) - truth["value"]) / truth["range"]
    return Score(error <= truth["tolerance"] + 1e-9, max(0.0, 1.0 - error), {"error": round(error, 4)})


@scorer("chart_label")
def _chart_label(sample: Sample, answer: str, reasoning: str) -> Score:
    correct = normalise(answer) == normalise(sample.truth["value"])
    return Score(correct, float(correct))


@scorer("trend")
def _trend(sample: Sample, answer: str, reasoning: str) -> Score:
    correct = any(normalise(answer) == normalise(names[sample.truth["value"]]) for names in TREND_NAMES.values())
    return Score(correct, float(correct))
