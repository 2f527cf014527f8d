"""Composed screens: drawn in training only, every target inside the screen and apart from the others."""

from __future__ import annotations

import random

import pytest

from autoglm_phone.errors import ConfigError
from autoglm_phone.train.world import assets
from autoglm_phone.train.world.fillings import rng_for
from autoglm_phone.train.world.sample import Lang, Split

try:
    assets.families(True, False)
except ConfigError:
    pytest.skip("the fonts of the drawn world are not installed", allow_module_level=True)

from autoglm_phone.train.world.visual import screen as screens
from autoglm_phone.train.world.visual.canvas import make_canvas, pick_typeset
from autoglm_phone.train.world.visual.content import Content
from autoglm_phone.train.world.visual.layouts import LAYOUTS
from autoglm_phone.train.world.visual.stage import Stage
from autoglm_phone.train.world.visual.tasks import Screen
from autoglm_phone.train.world.visual.theme import pick_theme

MOSAICS = [name for name, item in LAYOUTS.items() if item.training]
SIZES = ((320.0, 569.0), (360.0, 760.0), (412.0, 915.0), (800.0, 600.0))


def drawn(name: str, seed: int, lang: Lang) -> Stage:
    rng = rng_for(f"mosaic {name}", "train", seed)
    width, height = SIZES[seed % len(SIZES)]
    theme = pick_theme(rng)
    canvas = make_canvas(rng, width, height, 1.0, theme.back, pick_typeset(rng, lang, False))
    stage = Stage(canvas, theme, lang, rng, Content(rng, lang, "train"), "train", bottom=height)
    LAYOUTS[name].draw(stage)
    return stage


@pytest.fixture(scope="module", params=MOSAICS)
def stages(request: pytest.FixtureRequest) -> list[Stage]:
    return [drawn(request.param, seed, "zh" if seed % 8 < 4 else "en") for seed in range(24)]


def test_targets_are_inside_and_apart(stages: list[Stage]) -> None:
    for stage in stages:
        width, height = stage.canvas.width, stage.canvas.height
        for k, element in enumerate(stage.elements):
            x0, y0, x1, y1 = element.box
            assert -0.01 <= x0 < x1 <= width + 0.01, element
            assert -0.01 <= y0 < y1 <= height + 0.01, element
            for other in stage.elements[:k]:
                across = min(x1, other.box[2]) - max(x0, other.box[0])
                down = min(y1, other.box[3]) - max(y0, other.box[1])
                assert min(across, down) < 1, (element, other)


def test_texts_are_inside_the_screen(stages: list[Stage]) -> None:
    for stage in stages:
        for glyph in stage.canvas.glyphs:
            assert glyph.x0 >= -2, glyph
            assert glyph.x1 <= stage.canvas.width + 2, glyph
            assert glyph.y1 <= stage.canvas.height + 3, glyph


def test_much_can_be_asked_and_nothing_has_two_answers(stages: list[Stage]) -> None:
    few = 0
    for stage in stages:
        screen = Screen(stage, False)
        taps, reads = screen.taps(), screen.reads()
        few += len(taps) < 3
        assert stage.specials
        for tasks in (taps, reads):
            answers: dict[str, set[str]] = {}
            for task in tasks:
                answers.setdefault(task.question, set()).add(task.answer)
            double = {question: found for question, found in answers.items() if len(found) > 1}
            assert not double
    assert few <= 1


def test_only_training_draws_them() -> None:
    known = [item for item in LAYOUTS.values() if not item.training and not item.unseen]
    weights = [item.weight for item in known]
    splits: tuple[Split, ...] = ("val", "test")
    for split in splits:
        for seed in range(300):
            picked = screens.pick_layout(random.Random(seed), False, split)
            assert picked is random.Random(seed).choices(known, weights)[0]
    train = sum(screens.pick_layout(random.Random(seed), False, "train").training for seed in range(2000))
    assert 0.3 < train / 2000 < 0.4


def test_no_two_are_alike() -> None:
    shapes = {
        tuple((e.kind, *(round(v / 4) for v in e.box)) for e in drawn("mosaic_free", 4 * seed, "en").elements)
        for seed in range(20)
    }
    assert len(shapes) == 20
