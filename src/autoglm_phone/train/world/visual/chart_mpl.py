"""Charts drawn by Matplotlib (Agg), a minority for variety: its look is the one most people know from papers."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from autoglm_phone.train.world.assets import families
from autoglm_phone.train.world.sample import Region
from autoglm_phone.train.world.visual.chart_data import Chart, number
from autoglm_phone.train.world.visual.chart_draw import Style, order_colors, point_side, slice_spot, spot


@lru_cache(maxsize=1)
def _figure():  # type: ignore[no-untyped-def]
    """One figure for the whole process: making one costs more than drawing on it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(dpi=100)
    return figure, FigureCanvasAgg(figure)


@lru_cache(maxsize=16)
def _font(path: str, size: float):  # type: ignore[no-untyped-def]
    from matplotlib.font_manager import FontProperties

    return FontProperties(fname=path, size=size)


def _tint(color: tuple[int, ...]) -> tuple[float, ...]:
    return tuple(v / 255 for v in color[:3])


def draw_with_matplotlib(
    chart: Chart, style: Style, rng: random.Random, width: int, height: int, unseen: bool
) -> tuple[np.ndarray, list[Region]]:
    """Picture, uint8 [height, width, 3], and what it shows where."""
    figure, canvas = _figure()
    figure.clear()
    figure.set_size_inches(width / 100, height / 100)
    figure.set_facecolor(_tint(style.back))
    # Matplotlib always takes the first face of a collection; ZenHei's is the right one and has Latin letters, too.
    face = (
        next(f for f in families(True, False) if f.id == "zenhei")
        if chart.lang == "zh"
        else rng.choice(families(False, unseen))
    )
    font = _font(face.regular.path, style.size * 0.72)
    digits = _font(families(False, unseen)[0].regular.path, style.size * 0.72)
    axes = figure.add_axes((0.13, 0.14, 0.83, 0.66))
    ordered = order_colors(rng, style.palette, style.back)
    style.used = tuple(ordered[: len(chart.series)])
    ink, colors = _tint(style.ink), [_tint(c) for c in ordered]
    axes.set_facecolor(_tint(style.back))
    figure.text(0.5, 0.94, chart.title, fontproperties=font, color=ink, ha="center", va="center")
    at = np.arange(len(chart.labels))
    if chart.kind == "pie":
        axes.set_position((0.2, 0.08, 0.6, 0.76))
        texts = [f"{n} {number(v)}%" if style.labels else n for n, v in zip(chart.labels, chart.values[0], strict=True)]
        axes.pie(chart.values[0], labels=texts, colors=colors, textprops={"fontproperties": font, "color": ink})
    elif chart.kind == "hbar":
        axes.set_position((0.24, 0.14, 0.7, 0.7))
        axes.barh(at, chart.values[0], color=colors[0])
        axes.set_yticks(at, chart.labels, fontproperties=font, color=ink)
        axes.set_xlim(chart.low, chart.high)
        axes.set_xticks(np.arange(chart.low, chart.high + 1e-6, chart.step))
        axes.invert_yaxis()
    else:
        many = len(chart.series)
        for s, row in enumerate(chart.values):
            if chart.kind == "line":
                axes.plot(at, row, marker="o^s"[s], color=colors[s], label=chart.series[s])
            else:
                axes.bar(
                    at + (s - (many - 1) / 2) * 0.75 / many, row, 0.72 / many, color=colors[s], label=chart.series[s]
                )
        axes.set_xticks(at, chart.labels, fontproperties=font, color=ink)
        axes.set_ylim(chart.low, chart.high)
        axes.set_yticks(np.arange(chart.low, chart.high + 1e-6, chart.step))
        if many > 1:
            axes.legend(
                prop=font, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=many, frameon=False, labelcolor=ink
            )
    if chart.kind != "pie":
        if style.grid:
            axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        for label in axes.get_yticklabels() if chart.kind != "hbar" else axes.get_xticklabels():
            label.set_fontproperties(digits)
            label.set_color(ink)
        if style.labels and len(chart.series) == 1:
            for i, v in enumerate(chart.values[0]):
                spot = (v, i) if chart.kind == "hbar" else (i, v)
                shift = (4, -3) if chart.kind == "hbar" else (0, 5)
                axes.annotate(
                    number(v),
                    spot,
                    shift,
                    textcoords="offset points",
                    fontproperties=digits,
                    color=ink,
                    ha="left" if chart.kind == "hbar" else "center",
                )
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
    return pixels, [*_marks(axes, chart, *pixels.shape[:2]), *_tick_labels(axes, chart, len(pixels))]


def _marks(axes, chart: Chart, height: int, width: int) -> Iterator[Region]:  # type: ignore[no-untyped-def]
    """Bars, points or slices of a figure that has been drawn. Matplotlib's pixels start at the lower left corner."""
    count = len(chart.labels)
    if chart.kind == "line":
        for s, line in enumerate(axes.lines):
            for i, (x, y) in enumerate(axes.transData.transform(line.get_xydata())):
                yield Region(chart.mark(s, i), *spot((float(x), float(height - y)), point_side(width, height)))
        return
    for at, patch in enumerate(axes.patches):  # in the order in which they were added: series by series
        text = chart.mark(at // count, at % count)
        if chart.kind == "pie":
            (cx, cy), (edge, _) = axes.transData.transform([patch.center, (patch.center[0] + patch.r, 0)])
            # Wedges turn counter-clockwise, pictures clockwise, since their y points down.
            middle = -math.radians((patch.theta1 + patch.theta2) / 2)
            sweep = math.radians(patch.theta2 - patch.theta1)
            yield Region(text, *slice_spot((float(cx), float(height - cy)), float(edge - cx), middle, sweep))
        else:
            yield _region(text, patch.get_window_extent(), height)


def _tick_labels(axes, chart: Chart, height: int) -> Iterator[Region]:  # type: ignore[no-untyped-def]
    if chart.kind != "pie":
        for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            yield _region(label.get_text(), label.get_window_extent(), height)


def _region(text: str, extent, height: int) -> Region:  # type: ignore[no-untyped-def]
    return Region(text, float(extent.x0), float(height - extent.y1), float(extent.x1), float(height - extent.y0))
