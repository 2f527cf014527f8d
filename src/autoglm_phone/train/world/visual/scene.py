"""Scenes of drawn objects: caption, does-this-match, count, locate."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from PIL import Image

from autoglm_phone.train.world.fillings import split_of
from autoglm_phone.train.world.phrasing import typed
from autoglm_phone.train.world.registry import Builder, Draft
from autoglm_phone.train.world.sample import Glyph, Lang, Picture, Split, Turn
from autoglm_phone.train.world.visual import scene_questions as ask
from autoglm_phone.train.world.visual.backdrops import draw_backdrop
from autoglm_phone.train.world.visual.canvas import make_canvas, pick_typeset
from autoglm_phone.train.world.visual.degrade import degrade
from autoglm_phone.train.world.visual.labelled import finished
from autoglm_phone.train.world.visual.scene_words import BACKGROUNDS, COLORS, KINDS, Thing, bare, caption
from autoglm_phone.train.world.visual.shapes import DRAW, STYLES, Pen

_SIZES = ((320, 320), (384, 288), (400, 300), (448, 336), (360, 480), (512, 384), (480, 320))
_HELD_OUT_SIZES = ((416, 416), (540, 360))


@dataclass(frozen=True)
class Scene:
    """What is in a picture. things: in drawing order. split: whose wordings its questions use."""

    things: list[Thing]
    background: str
    lang: Lang
    split: Split


def _place(rng: random.Random, count: int, aspect: float) -> list[tuple[float, float, float]]:
    """Non-overlapping (x, y, radius) in units of the picture's width; y runs to 1 / aspect."""
    height = 1 / aspect
    largest = min(0.2, 0.42 * height, 0.62 * (height / count) ** 0.5)
    for shrink in range(12):
        spots: list[tuple[float, float, float]] = []
        for _ in range(count * 25):
            r = largest * rng.choice((0.5, 0.7, 1.0)) * 0.92**shrink
            r = max(r, 0.04)
            x, y = rng.uniform(r + 0.01, 0.99 - r), rng.uniform(r + 0.01, height - r - 0.01)
            if all(abs(x - a) > (r + b) * 0.98 or abs(y - c) > (r + b) * 0.98 for a, c, b in spots):
                spots.append((x, y, r))
                if len(spots) == count:
                    return spots
    return spots


def make_scene(rng: random.Random, split: Split, lang: Lang, aspect: float) -> Scene:
    """Contents of a scene whose caption belongs to this split."""
    for _ in range(200):
        background = rng.choice(list(BACKGROUNDS))
        colors = [c for c in COLORS if c not in BACKGROUNDS[background][2]]
        kinds = rng.sample(list(KINDS), rng.choice((1, 2, 2, 3, 3, 4)))
        if rng.random() < 0.3:
            kinds.append(kinds[0])  # the same kind once more, in another colour
        wanted: list[tuple[str, str]] = []
        for kind in kinds:
            color = rng.choice([c for c in colors if (kind, c) not in wanted])
            most = 9 - len(wanted)
            if most > 0:
                wanted += [(kind, color)] * min(most, rng.choice((1, 1, 1, 2, 2, 3, 4, 5, 6)))
        rng.shuffle(wanted)
        spots = _place(rng, len(wanted), aspect)
        things = [
            Thing(kind, color, x, y * aspect, r, r * aspect)
            for (kind, color), (x, y, r) in zip(wanted, spots, strict=False)
        ]
        scene = Scene(things, background, lang, split)
        if things and split_of("visual.scene", caption(things, background, "en")) == split:
            return scene
    return scene


def render_scene(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> tuple[Picture, Scene]:
    """Draws a scene at about one px per unit; Pillow draws at twice the size and is reduced, for smooth edges."""
    width, height = rng.choice(_HELD_OUT_SIZES if unseen else _SIZES)
    scene = make_scene(rng, split, lang, width / height)
    canvas = make_canvas(rng, width, height, 1.0, (255, 255, 255), pick_typeset(rng, lang, unseen), smooth=2)
    draw_backdrop(canvas, rng, scene.background)
    style = STYLES[-1] if unseen else rng.choice(STYLES[:-1])
    for thing in scene.things:
        base = COLORS[thing.color][1]
        tint = 10 if max(base) - min(base) > 20 else 2  # a tinted gray would look like another colour
        light = rng.randint(-8, 8)
        color = tuple(min(255, max(0, v + light + rng.randint(-tint, tint))) for v in base)
        pen = Pen(canvas, rng, (thing.x * width, thing.y * height), thing.rx * width, color, style, rng.random() < 0.4)
        DRAW[thing.kind](pen)
        canvas.note(bare(thing.kind, thing.color, lang), pen.extent)
        r = thing.rx * width
        x, y = thing.x * width, thing.y * height
        canvas.mark(f"thing:{thing.color} {thing.kind}", (x - r, y - r, x + r, y + r))
    pixels, glyphs = canvas.pixels(), canvas.visible_glyphs()
    k = int(canvas.scale)
    regions = finished(canvas.regions, width, height, k)
    if k > 1:
        pixels = np.asarray(Image.fromarray(pixels).reduce(k))
        glyphs = tuple(Glyph(g.char, g.x0 / k, g.y0 / k, g.x1 / k, g.y1 / k) for g in glyphs)
    return Picture(degrade(pixels, rng), glyphs, regions), scene


def _lang(rng: random.Random) -> Lang:
    return "zh" if rng.random() < 0.5 else "en"


def _draft(rng: random.Random, picture: Picture, scene: Scene, asked: list[ask.Asked]) -> Draft:
    pairs = [
        (
            Turn("user", f"<image>{typed(rng, a.question, scene.lang, scene.split)}"),
            Turn("assistant", a.answer, a.thought),
        )
        for a in asked
    ]
    first = asked[0]
    return Draft(scene.lang, first.difficulty, pairs[0], first.truth, (picture,), alternatives=tuple(pairs[1:]))


def _build(rng: random.Random, split: Split, unseen: bool, makers: tuple[ask.Maker, ...]) -> Draft:
    """The first maker asks the sample's question; all of them ask the alternatives."""
    picture, scene = render_scene(rng, split, unseen, _lang(rng))
    asked: list[ask.Asked] = [makers[0](rng, scene, unseen)]
    seen = {asked[0].question}
    for maker in [*makers, *makers]:
        more = maker(rng, scene, unseen)
        if more.question not in seen:
            seen.add(more.question)
            asked.append(more)
    return _draft(rng, picture, scene, asked[:9])


def build_caption(rng: random.Random, split: Split, unseen: bool) -> Draft:
    return _build(rng, split, unseen, (ask.captioned, ask.match, ask.match, ask.count, ask.locate))


def build_match(rng: random.Random, split: Split, unseen: bool) -> Draft:
    return _build(rng, split, unseen, (ask.match, ask.match, ask.match, ask.captioned))


def build_count(rng: random.Random, split: Split, unseen: bool) -> Draft:
    return _build(rng, split, unseen, (ask.count, ask.count, ask.count, ask.captioned))


def build_locate(rng: random.Random, split: Split, unseen: bool) -> Draft:
    return _build(rng, split, unseen, (ask.locate, ask.locate, ask.locate, ask.captioned))


BUILDERS: dict[str, Builder] = {
    "scene_caption": build_caption,
    "scene_match": build_match,
    "scene_count": build_count,
    "scene_locate": build_locate,
}
