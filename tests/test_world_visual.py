"""The drawn world: same seed same picture, boxes inside, right answers judged right and wrong ones wrong."""

from __future__ import annotations

import time
from collections import Counter
from typing import get_args

import numpy as np
import pytest

from autoglm_phone.errors import ConfigError
from autoglm_phone.train.world import assets, registry
from autoglm_phone.train.world.fillings import rng_for
from autoglm_phone.train.world.sample import Sample, Split
from autoglm_phone.train.world.scoring import score

try:
    assets.families(True, False)
except ConfigError:
    pytest.skip("the fonts of the drawn world are not installed", allow_module_level=True)

from autoglm_phone.train.world.visual import screen as screens
from autoglm_phone.train.world.visual import text_lines
from autoglm_phone.train.world.visual.actions import parse
from autoglm_phone.train.world.visual.icons import ICONS
from autoglm_phone.train.world.visual.layouts import LAYOUTS

CATEGORIES = [name for name, item in registry.CATEGORIES.items() if item.group in {"screen", "chart", "scene"}]
COUNT = 50
_made: dict[tuple[str, str], list[Sample]] = {}


def samples(category: str, split: str = "test", count: int = COUNT) -> list[Sample]:
    key = (category, split)
    if key not in _made:
        _made[key] = [registry.generate(category, split, i) for i in range(count)]  # type: ignore[arg-type]
    return _made[key]


@pytest.mark.parametrize("category", CATEGORIES)
def test_same_seed_same_sample(category: str) -> None:
    for index in (0, 3):
        first, again = (registry.generate(category, "test", index) for _ in range(2))
        assert first.turns == again.turns
        assert first.truth == again.truth
        assert first.alternatives == again.alternatives
        assert np.array_equal(first.pictures[0].pixels, again.pictures[0].pixels)
        assert first.pictures[0].glyphs == again.pictures[0].glyphs


@pytest.mark.parametrize("category", CATEGORIES)
def test_picture_and_glyph_boxes(category: str) -> None:
    for sample in samples(category):
        (picture,) = sample.pictures
        height, width, channels = picture.pixels.shape
        assert picture.pixels.dtype == np.uint8
        assert channels == 3
        assert 120 <= width <= 3200
        for glyph in picture.glyphs:
            assert glyph.x0 < glyph.x1
            assert glyph.y0 < glyph.y1
            assert 0 <= (glyph.x0 + glyph.x1) / 2 <= width
            assert 0 <= (glyph.y0 + glyph.y1) / 2 <= height
        assert sample.turns[-2].text.startswith("<image>")
        for turns in sample.alternatives:
            assert [turn.role for turn in turns] == ["user", "assistant"]
            assert "<image>" in turns[0].text


@pytest.mark.parametrize("category", CATEGORIES)
def test_reference_is_right_and_nonsense_is_wrong(category: str) -> None:
    for sample in samples(category):
        assert score(sample, sample.answer.text, sample.answer.reasoning).correct, (
            sample.id,
            sample.answer,
            sample.truth,
        )
        for wrong in ("", "qwerty", "-98765"):
            assert not score(sample, wrong).correct, (sample.id, wrong)


def test_wrong_steps_are_wrong() -> None:
    for sample in samples("screen"):
        action = parse(sample.answer.text)
        assert action is not None
        if action.name == "Tap":
            x, y = (int(v) for v in action.fields["element"])
            far = f'do(action="Tap", element=[{(x + 500) % 1000},{(y + 500) % 1000}])'
            assert not score(sample, far).correct
            assert score(sample, far).detail["parsed"]
            assert not score(sample, sample.answer.text[:-1]).detail["parsed"]
        other = 'do(action="Back")' if action.name != "Back" else 'do(action="Home")'
        assert not score(sample, other).correct


def test_every_layout_gives_boxes_inside_and_no_two_targets_for_one_question() -> None:
    for name, layout in LAYOUTS.items():
        reads = 0
        for seed in range(4):
            rng = rng_for("layout", "test", seed)
            shown = screens.render(rng, "test", layout.unseen, layout=name)
            assert shown.taps, name
            assert shown.actions, name
            reads += len(shown.reads)
            targets: dict[str, set[tuple[int, ...]]] = {}
            for task in shown.taps:
                x0, y0, x1, y1 = task.truth["box"]
                assert 0 <= x0 < x1 <= 999, (name, task)
                assert 0 <= y0 < y1 <= 999, (name, task)
                targets.setdefault(task.question, set()).add((x0, y0, x1, y1))
            double = [question for question, boxes in targets.items() if len(boxes) > 1]
            assert not double, (name, seed, double)
        assert reads, name


def test_layouts_for_training_and_for_unseen_tests() -> None:
    assert sum(not item.unseen for item in LAYOUTS.values()) >= 20
    assert sum(item.unseen for item in LAYOUTS.values()) >= 4
    for split in get_args(Split):
        seen = [screens.pick_layout(rng_for("x", split, i), False, split) for i in range(200)]
        assert not any(item.unseen for item in seen)
        assert any(item.training for item in seen) == (split == "train")
    held = [screens.pick_layout(rng_for("x", "test", i), True, "test") for i in range(200)]
    assert all(item.unseen for item in held)


@pytest.mark.parametrize("category", CATEGORIES)
def test_no_picture_of_the_test_set_is_in_training(category: str) -> None:
    train = {sample.pictures[0].pixels.tobytes() for sample in samples(category, "train")}
    assert not any(sample.pictures[0].pixels.tobytes() in train for sample in samples(category))


def test_charts_and_scenes_keep_their_contents_apart() -> None:
    for category in ("chart_forecast", "scene_caption"):
        train = {(s.answer.text, s.answer.reasoning) for s in samples(category, "train")}
        assert not {(s.answer.text, s.answer.reasoning) for s in samples(category)} & train


def test_answers_are_balanced() -> None:
    values = Counter(sample.truth["value"] for sample in samples("scene_match", "train"))
    assert min(values[True], values[False]) >= COUNT * 0.25


def test_icons_exist_in_both_fonts() -> None:
    from PIL import ImageFont

    for family, face in assets.icon_faces().items():
        font = ImageFont.truetype(face.path, 24)
        missing = bytes(font.getmask("\uf8f0"))
        for icon in ICONS.values():
            drawn = bytes(font.getmask(icon.material if family == "material" else icon.awesome))
            assert drawn != missing, (family, icon.name)
            assert any(drawn), (family, icon.name)


def test_missing_fonts_say_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("AUTOGLM_ASSETS", str(tmp_path))
    with pytest.raises(ConfigError, match="apt-get install"):
        assets.find_font("Roboto-Regular.ttf")


def test_pillow_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "autoglm_phone.train.world.visual.canvas_skia", None)
    for category in ("screen", "chart_value", "scene_count"):
        sample = registry.generate(category, "train", 1)
        assert sample.pictures[0].pixels.std() > 1


def test_text_pictures() -> None:
    for index in range(20):
        draft = text_lines.build_ocr(rng_for("ocr", "train", index), "train", False)
        drawn = "".join(glyph.char for glyph in draft.pictures[0].glyphs)
        assert draft.truth["text"].replace("\n", "").replace(" ", "") in drawn


def test_print_render_times(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        for category in CATEGORIES:
            start = time.process_time()
            for index in range(20):
                registry.generate(category, "train", 1000 + index)
            print(f"\n{category}: {(time.process_time() - start) / 20 * 1000:.1f} ms", end="")
