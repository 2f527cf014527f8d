"""Draws a chart on a canvas: axes, grid, bars, lines, slices, legend, labels."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from autoglm_phone.train.world.visual.canvas import Box, Canvas, Color
from autoglm_phone.train.world.visual.chart_data import Chart, number
from autoglm_phone.train.world.visual.theme import mix

PALETTES: tuple[tuple[Color, ...], ...] = (
    (
        (84, 112, 198),
        (145, 204, 117),
        (250, 200, 88),
        (238, 102, 102),
        (115, 192, 222),
        (59, 162, 114),
        (252, 132, 82),
        (154, 96, 180),
        (234, 124, 204),
    ),
    (
        (31, 119, 180),
        (255, 127, 14),
        (44, 160, 44),
        (214, 39, 40),
        (148, 103, 189),
        (140, 86, 75),
        (227, 119, 194),
        (127, 127, 127),
        (188, 189, 34),
    ),
    (
        (66, 133, 244),
        (219, 68, 55),
        (244, 180, 0),
        (15, 157, 88),
        (171, 71, 188),
        (0, 172, 193),
        (255, 112, 67),
        (158, 157, 36),
        (92, 107, 192),
    ),
    (
        (0, 63, 92),
        (122, 81, 149),
        (239, 86, 117),
        (255, 166, 0),
        (47, 75, 124),
        (188, 80, 144),
        (249, 93, 106),
        (100, 160, 160),
        (30, 120, 90),
    ),
    (
        (255, 99, 132),
        (54, 162, 235),
        (255, 206, 86),
        (75, 192, 192),
        (153, 102, 255),
        (255, 159, 64),
        (120, 120, 130),
        (60, 180, 75),
        (145, 30, 180),
    ),
)
HELD_OUT_PALETTE: tuple[Color, ...] = (
    (38, 70, 83),
    (231, 111, 81),
    (42, 157, 143),
    (233, 196, 106),
    (130, 2, 99),
    (80, 125, 188),
    (200, 85, 61),
    (90, 90, 90),
    (140, 190, 80),
)


@dataclass
class Style:
    """How this chart looks. labels: values are written at the marks. used: the series' colours, once they are drawn."""

    palette: tuple[Color, ...]
    back: Color
    ink: Color
    faint: Color
    grid: bool
    labels: bool
    size: float
    rounded: bool
    lollipop: bool
    colorful: bool
    used: tuple[Color, ...] = ()


def pick_style(rng: random.Random, unseen: bool) -> Style:
    dark = rng.random() < 0.15
    back: Color = (
        rng.choice(((24, 26, 32), (16, 12, 42)))
        if dark
        else rng.choice(((255, 255, 255), (255, 255, 255), (250, 250, 252), (246, 248, 250), (253, 250, 243)))
    )
    ink: Color = (225, 227, 232) if dark else rng.choice(((40, 40, 44), (0, 0, 0), (70, 74, 82)))
    return Style(
        HELD_OUT_PALETTE if unseen else rng.choice(PALETTES),
        back,
        ink,
        mix(back, ink, 0.5),
        rng.random() < 0.65,
        rng.random() < 0.4,
        rng.choice((12.0, 12.0, 13.0, 14.0)),
        rng.random() < 0.3,
        unseen and rng.random() < 0.5,
        rng.random() < 0.25,
    )


def order_colors(rng: random.Random, palette: tuple[Color, ...], background: Color) -> list[Color]:
    """The palette, often in another order; the first three are well apart from each other and from the background."""
    pool = list(palette)
    if rng.random() < 0.5:
        rng.shuffle(pool)
    chosen: list[Color] = []
    for color in pool:
        if len(chosen) < 3 and all(
            sum(abs(a - b) for a, b in zip(color, o, strict=True)) > 150 for o in (*chosen, background)
        ):
            chosen.append(color)
    return chosen + [color for color in pool if color not in chosen]


def spot(center: tuple[float, float], side: float) -> Box:
    """The square of this side around a point."""
    x, y = center
    return (x - side / 2, y - side / 2, x + side / 2, y + side / 2)


def point_side(width: float, height: float) -> float:
    """Side of the square that stands for a point of a line: 3 % of the picture."""
    return 0.03 * (width + height) / 2


def slice_spot(center: tuple[float, float], radius: float, middle: float, sweep: float) -> Box:
    """The square in the middle of a pie slice, outside of a ring's hole; angles in radians, clockwise."""
    away = 0.75 * radius
    side = min(0.4 * radius, max(0.15 * radius, 0.7 * away * sweep))
    return spot((center[0] + math.cos(middle) * away, center[1] + math.sin(middle) * away), side)


def draw_chart(c: Canvas, chart: Chart, style: Style, rng: random.Random) -> None:
    """The whole chart; the canvas is its background already."""
    colors = order_colors(rng, style.palette, style.back)
    style.used = tuple(colors[: len(chart.series)])
    top = 10.0
    if rng.random() < 0.9:
        size = style.size + rng.choice((1, 2, 3, 4))
        title = c.fit(chart.title, size, c.width - 20, True)
        where = rng.choice("ml")
        c.text(c.width / 2 if where == "m" else 14, top + size * 0.6, title, size, style.ink, True, where)
        top += size + 12
    if chart.kind == "pie":
        _pie(c, chart, style, rng, colors, top)
        return
    bottom = c.height - 10.0
    if len(chart.series) > 1:
        if rng.random() < 0.6:
            _legend(c, chart, style, colors, top + 8)
            top += style.size + 14
        else:
            bottom -= style.size + 8
            _legend(c, chart, style, colors, bottom + style.size / 2 + 2)
    if chart.kind == "hbar":
        _horizontal(c, chart, style, rng, colors, top, bottom)
    else:
        _vertical(c, chart, style, rng, colors, top, bottom)


def _legend(c: Canvas, chart: Chart, style: Style, colors: list[Color], y: float) -> None:
    widths = [c.measure(name, style.size) + 30 for name in chart.series]
    x = max(8.0, (c.width - sum(widths)) / 2)
    for i, name in enumerate(chart.series):
        if chart.kind == "line":
            c.line([(x, y), (x + 16, y)], colors[i], 2.5)
        else:
            c.rect((x, y - 5, x + 14, y + 5), colors[i], 2)
        c.text(x + 19, y, name, style.size, style.ink)
        x += widths[i]


def _ticks(chart: Chart) -> list[float]:
    return [chart.low + chart.step * i for i in range(int(chart.span / chart.step + 1e-6) + 1)]


def _vertical(
    c: Canvas, chart: Chart, style: Style, rng: random.Random, colors: list[Color], top: float, bottom: float
) -> None:
    """Bars, grouped bars or lines over a horizontal axis of labels."""
    ticks = _ticks(chart)
    left = 14 + max(c.measure(number(t), style.size) for t in ticks)
    right = c.width - 14
    if rng.random() < 0.5:
        c.text(
            6,
            top + 6,
            chart.unit if rng.random() < 0.5 else f"{chart.measure}/{chart.unit}",
            style.size - 1,
            style.faint,
        )
        top += style.size + 4
    top += 10 if style.labels else 4
    room = (right - left) / len(chart.labels)
    longest = max(c.measure(label, style.size) for label in chart.labels)
    stagger = longest > room * 0.96
    bottom -= (style.size + 8) * (2 if stagger else 1)
    y_of = lambda v: bottom - (v - chart.low) / chart.span * (bottom - top)  # noqa: E731
    for t in ticks:
        y = y_of(t)
        if style.grid:
            c.line([(left, y), (right, y)], mix(style.back, style.ink, 0.13), 1)
        ink = style.faint if rng.random() < 0.5 else style.ink
        c.note(number(t), c.text(left - 6, y, number(t), style.size, ink, anchor="r"))
        if not style.grid:
            c.line([(left - 4, y), (left, y)], style.faint, 1)
    c.line([(left, bottom), (right, bottom)], style.ink if rng.random() < 0.5 else style.faint, 1)
    if rng.random() < 0.5 or not style.grid:
        c.line([(left, top), (left, bottom)], style.faint, 1)
    for i, label in enumerate(chart.labels):
        y = bottom + style.size * 0.8 + (style.size + 4 if stagger and i % 2 else 0)
        shown = c.fit(label, style.size, room * (2 if stagger else 1) - 2)
        c.note(shown, c.text(left + room * (i + 0.5), y, shown, style.size, style.ink, anchor="m"))
    if chart.kind == "line":
        _lines(c, chart, style, rng, colors, left, room, y_of)
        return
    many = len(chart.series)
    width = room * rng.uniform(0.5, 0.8) / many
    for s, row in enumerate(chart.values):
        for i, value in enumerate(row):
            color = colors[i % len(colors)] if style.colorful and many == 1 else colors[s]
            x = left + room * (i + 0.5) + width * (s - (many - 1) / 2)
            y = y_of(value)
            if style.lollipop:
                c.line([(x, bottom), (x, y)], color, 3)
                knob = min(7, width / 2)
                c.circle((x, y), knob, color)
                c.note(chart.mark(s, i), (x - knob, y - knob, x + knob, max(bottom, y + knob)))
            else:
                c.note(chart.mark(s, i), (x - width * 0.47, y, x + width * 0.47, bottom))
                c.rect(
                    (x - width * 0.47, y, x + width * 0.47, bottom), color, min(4.0, width / 4) if style.rounded else 0
                )
            if style.labels:
                c.text(
                    x,
                    y - 8 - (5 if style.lollipop else 0),
                    number(value),
                    style.size - (1 if many == 1 else 2),
                    style.ink,
                    anchor="m",
                )


def _lines(
    c: Canvas, chart: Chart, style: Style, rng: random.Random, colors: list[Color], left: float, room: float, y_of
) -> None:  # type: ignore[no-untyped-def]
    marks = rng.random() < 0.75 or len(chart.labels) < 6
    stroke = rng.choice((1.5, 2.0, 2.5, 3.0))
    area = rng.random() < 0.2 and len(chart.series) == 1
    for s, row in enumerate(chart.values):
        points = [(left + room * (i + 0.5), y_of(v)) for i, v in enumerate(row)]
        if area:
            base = y_of(chart.low)
            c.polygon([(points[0][0], base), *points, (points[-1][0], base)], mix(style.back, colors[s], 0.25))
        c.line(points, colors[s], stroke)
        for i, ((x, y), value) in enumerate(zip(points, row, strict=True)):
            c.note(chart.mark(s, i), spot((x, y), point_side(c.width, c.height)))
            if marks:
                if s % 2 == 0:
                    c.circle((x, y), stroke + 1.6, style.back if style.rounded else colors[s], colors[s], 1.5)
                else:
                    c.rect((x - 3.5, y - 3.5, x + 3.5, y + 3.5), colors[s])
            if style.labels and len(chart.series) == 1:
                c.text(x, y - 11, number(value), style.size - 1, style.ink, anchor="m")


def _horizontal(
    c: Canvas, chart: Chart, style: Style, rng: random.Random, colors: list[Color], top: float, bottom: float
) -> None:
    ticks = _ticks(chart)
    left = 14 + min(c.width * 0.35, max(c.measure(label, style.size) for label in chart.labels))
    right = c.width - (46 if style.labels else 22)
    bottom -= style.size + 8
    x_of = lambda v: left + (v - chart.low) / chart.span * (right - left)  # noqa: E731
    for t in ticks:
        x = x_of(t)
        if style.grid:
            c.line([(x, top), (x, bottom)], mix(style.back, style.ink, 0.13), 1)
        else:
            c.line([(x, bottom), (x, bottom + 4)], style.faint, 1)
        c.note(number(t), c.text(x, bottom + style.size, number(t), style.size, style.ink, anchor="m"))
    c.line([(left, top), (left, bottom)], style.faint, 1)
    c.line([(left, bottom), (right, bottom)], style.faint, 1)
    room = (bottom - top) / len(chart.labels)
    height = room * rng.uniform(0.5, 0.75)
    for i, (label, value) in enumerate(zip(chart.labels, chart.values[0], strict=True)):
        y = top + room * (i + 0.5)
        color = colors[i % len(colors)] if style.colorful else colors[0]
        if style.lollipop:
            c.line([(left, y), (x_of(value), y)], color, 3)
            knob = min(7, height / 2)
            c.circle((x_of(value), y), knob, color)
            c.note(chart.mark(0, i), (min(left, x_of(value) - knob), y - knob, x_of(value) + knob, y + knob))
        else:
            bar = (left, y - height / 2, x_of(value), y + height / 2)
            c.rect(bar, color, 3 if style.rounded else 0)
            c.note(chart.mark(0, i), bar)
        shown = c.fit(label, style.size, left - 10)
        c.note(shown, c.text(left - 6, y, shown, style.size, style.ink, anchor="r"))
        if style.labels:
            c.text(x_of(value) + (12 if style.lollipop else 5), y, number(value), style.size - 1, style.ink)


def _pie(c: Canvas, chart: Chart, style: Style, rng: random.Random, colors: list[Color], top: float) -> None:
    legend = rng.random() < 0.5
    width = c.width * (0.6 if legend else 1.0)
    height = c.height - top - 8
    radius = min(width, height) * (0.44 if legend else 0.34)
    cx, cy = width / 2, top + height / 2
    angle = -90.0 if rng.random() < 0.7 else rng.uniform(0, 360)
    for i, (label, value) in enumerate(zip(chart.labels, chart.values[0], strict=True)):
        sweep = value * 3.6
        c.sector((cx, cy), radius, angle, angle + sweep, colors[i % len(colors)])
        middle = math.radians(angle + sweep / 2)
        c.note(chart.mark(0, i), slice_spot((cx, cy), radius, middle, math.radians(sweep)))
        share = f"{number(value)}%"
        if legend:
            x, y = c.width * 0.62, cy + (i - (len(chart.labels) - 1) / 2) * (style.size + 12)
            c.rect((x, y - 6, x + 12, y + 6), colors[i % len(colors)], 2)
            c.text(x + 18, y, c.fit(label, style.size, c.width - x - 22), style.size, style.ink)
            if style.labels and value >= 6:
                c.text(
                    cx + math.cos(middle) * radius * 0.7,
                    cy + math.sin(middle) * radius * 0.7,
                    share,
                    style.size - 1,
                    (255, 255, 255),
                    anchor="m",
                )
        else:
            text = f"{label} {share}" if style.labels else label
            x, y = cx + math.cos(middle) * (radius + 10), cy + math.sin(middle) * (radius + 12)
            side = "l" if math.cos(middle) > 0.25 else "r" if math.cos(middle) < -0.25 else "m"
            room = (c.width - x if side == "l" else x if side == "r" else c.width) - 4
            c.text(x, y, c.fit(text, style.size, room), style.size, style.ink, anchor=side)
        angle += sweep
    if rng.random() < 0.4 and not (legend and style.labels):
        c.circle((cx, cy), radius * rng.uniform(0.45, 0.6), style.back)
