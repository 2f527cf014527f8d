"""Charts: read a value, name the trend, compare, forecast. Drawn with Skia, Pillow or Matplotlib."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from PIL import Image

from autoglm_phone.train.world.phrasing import typed
from autoglm_phone.train.world.registry import Builder, Draft
from autoglm_phone.train.world.sample import Glyph, Lang, Picture, Split, Turn
from autoglm_phone.train.world.visual import chart_questions as ask
from autoglm_phone.train.world.visual.canvas import make_canvas, pick_typeset
from autoglm_phone.train.world.visual.chart_data import Chart, make_chart
from autoglm_phone.train.world.visual.chart_draw import Style, draw_chart, pick_style
from autoglm_phone.train.world.visual.degrade import degrade
from autoglm_phone.train.world.visual.labelled import finished
from autoglm_phone.train.world.visual.scene_questions import Asked
from autoglm_phone.train.world.visual.scene_words import color_word

_SIZES = ((480, 320), (480, 360), (520, 360), (560, 400), (600, 400), (360, 360), (400, 480), (640, 420))
_HELD_OUT_SIZES = ((500, 400), (440, 330))


def render_chart(
    rng: random.Random, split: Split, unseen: bool, lang: Lang, want: str = "any"
) -> tuple[Picture, Chart, bool]:
    """Draws one chart; also says whether its values are written on it. want: see make_chart."""
    chart = make_chart(rng, split, lang, want)
    style = pick_style(rng, unseen)
    if len(chart.series) * len(chart.labels) > 9 and chart.kind == "grouped":
        style.labels = False  # they would run into each other
    width, height = rng.choice(_HELD_OUT_SIZES if unseen else _SIZES)
    if rng.random() < 0.06:
        from autoglm_phone.train.world.visual.chart_mpl import draw_with_matplotlib

        pixels, noted = draw_with_matplotlib(chart, style, rng, width, height, unseen)
        regions = finished(noted, pixels.shape[1], pixels.shape[0])
        return (
            Picture(degrade(pixels, rng), (), regions),
            _coloured(chart, style),
            style.labels and len(chart.series) == 1,
        )
    scale = rng.choice((1.0, 1.0, 1.0, 1.5, 2.0))
    canvas = make_canvas(rng, width, height, scale, style.back, pick_typeset(rng, lang, unseen, screens_only=False))
    smooth = type(canvas).__name__ == "PillowCanvas" and scale == 2.0
    draw_chart(canvas, chart, style, rng)
    pixels, glyphs = canvas.pixels(), canvas.visible_glyphs()
    shrink = 1
    if smooth and rng.random() < 0.7:
        shrink = 2
        pixels = np.asarray(Image.fromarray(pixels).reduce(shrink))
        glyphs = tuple(Glyph(g.char, g.x0 / 2, g.y0 / 2, g.x1 / 2, g.y1 / 2) for g in glyphs)
    regions = finished(canvas.regions, pixels.shape[1], pixels.shape[0], shrink)
    labelled = style.labels and not (chart.kind == "line" and len(chart.series) > 1)
    return Picture(degrade(pixels, rng), glyphs, regions), _coloured(chart, style), labelled


def _coloured(chart: Chart, style: Style) -> Chart:
    """The chart with what its series' colours are called, if that tells them apart."""
    names = tuple(color_word(color, chart.lang) for color in style.used)
    return replace(chart, colors=names) if len(names) > 1 and len(set(names)) == len(names) else chart


def questions(rng: random.Random, chart: Chart, labelled: bool, unseen: bool, first: str, count: int) -> list[Asked]:
    """A question of kind `first`, then other ones that this chart can answer."""
    makers = {"value": ask.value, "compare": ask.compare}
    if chart.time and chart.kind != "pie" and all(shape != "free" for shape in chart.shapes):
        makers["trend"] = ask.trend
    if first == "forecast":
        makers["forecast"] = ask.forecast
    found: dict[tuple[str, str], Asked] = {}  # another wording of the same question teaches nothing new
    asked = makers[first](rng, chart, labelled, unseen)
    found[asked.answer, asked.thought] = asked
    for _ in range(count * 3):
        more = makers[rng.choice(sorted(makers))](rng, chart, labelled, unseen)
        found.setdefault((more.answer, more.thought), more)
        if len(found) == count:
            break
    return list(found.values())


def _builder(first: str, want: str, by_hand: bool = True) -> Builder:
    """by_hand: questions are typed, with what that does to them; spoken ones are not."""

    def build(rng: random.Random, split: Split, unseen: bool) -> Draft:
        lang: Lang = "zh" if rng.random() < 0.5 else "en"
        picture, chart, labelled = render_chart(rng, split, unseen, lang, want)
        asked = questions(rng, chart, labelled, unseen, first, 7)
        worded = [typed(rng, a.question, lang, split) if by_hand else a.question for a in asked]
        pairs = [
            (Turn("user", f"<image>{question}"), Turn("assistant", a.answer, a.thought))
            for question, a in zip(worded, asked, strict=True)
        ]
        return Draft(lang, asked[0].difficulty, pairs[0], asked[0].truth, (picture,), alternatives=tuple(pairs[1:]))

    return build


_KINDS = {"value": "any", "trend": "trend", "compare": "any", "forecast": "forecast"}
BUILDERS: dict[str, Builder] = {f"chart_{first}": _builder(first, want) for first, want in _KINDS.items()}
ALOUD: dict[str, Builder] = {f"chart_{first}": _builder(first, want, False) for first, want in _KINDS.items()}
