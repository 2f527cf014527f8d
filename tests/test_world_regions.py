"""Labelled regions: inside the picture, named, and where the answers say that things are."""

from __future__ import annotations

import numpy as np
import pytest

from autoglm_phone.errors import ConfigError
from autoglm_phone.train.world import assets, registry
from autoglm_phone.train.world.fillings import rng_for
from autoglm_phone.train.world.sample import Region, Sample

try:
    assets.families(True, False)
except ConfigError:
    pytest.skip("the fonts of the drawn world are not installed", allow_module_level=True)

from autoglm_phone.train.world.visual import chart, chart_mpl, scene, screen
from autoglm_phone.train.world.visual.chart_data import Chart, make_chart
from autoglm_phone.train.world.visual.chart_draw import pick_style
from autoglm_phone.train.world.visual.labelled import MOST, finished

CATEGORIES = [name for name, item in registry.CATEGORIES.items() if item.group in {"screen", "chart", "scene"}]
CATEGORIES += ["speech_screen", "speech_chart"]
COUNT = 40


def middle(region: Region) -> tuple[float, float]:
    return (region.x0 + region.x1) / 2, (region.y0 + region.y1) / 2


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("split", ["train", "test"])
def test_regions_are_named_and_inside_the_picture(category: str, split: str) -> None:
    if category.startswith("speech") and not registry.is_available(category):
        pytest.skip("no speech synthesis")
    for index in range(6 if category.startswith("speech") else COUNT):
        (picture,) = registry.generate(category, split, index).pictures  # type: ignore[arg-type]
        height, width = picture.pixels.shape[:2]
        assert len(picture.regions) <= MOST
        assert picture.regions or category in {"screen", "screen_read", "speech_screen"}
        for region in picture.regions:
            assert region.text.strip()
            assert 0 <= region.x0 < region.x1 <= width
            assert 0 <= region.y0 < region.y1 <= height


@pytest.mark.parametrize("split", ["train", "test"])
def test_tap_targets_are_regions(split: str) -> None:
    found = total = 0
    for index in range(150):
        sample: Sample = registry.generate("screen", split, index)  # type: ignore[arg-type]
        if sample.truth["kind"] != "tap":
            continue
        (picture,) = sample.pictures
        height, width = picture.pixels.shape[:2]
        x0, y0, x1, y1 = sample.truth["box"]
        total += 1
        found += any(
            abs(x / width * 1000 - (x0 + x1) / 2) <= 1.5 and abs(y / height * 1000 - (y0 + y1) / 2) <= 1.5
            for x, y in map(middle, picture.regions)
        )
    assert total > 50
    assert found >= 0.9 * total


def test_regions_follow_a_new_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    windows: list[tuple[float, float, float, float]] = []
    reframe = screen.reframe

    def noting(*args):  # type: ignore[no-untyped-def]
        made = reframe(*args)
        windows.append(made[2])
        return made

    monkeypatch.setattr(screen, "reframe", noting)
    checked = 0
    for seed in range(120):
        windows.clear()
        shown = screen.render(rng_for("regions", "train", seed), "train", False, framed=True)
        if not windows:
            continue
        height, width = shown.picture.pixels.shape[:2]
        spots = [(x / width * 1000, y / height * 1000) for x, y in map(middle, shown.picture.regions)]
        for task in shown.taps:
            x0, y0, x1, y1 = task.truth["box"]
            checked += 1
            assert any(abs(x - (x0 + x1) / 2) <= 1.5 and abs(y - (y0 + y1) / 2) <= 1.5 for x, y in spots), task
    assert checked > 20


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_object_of_a_scene_is_a_region(lang: str) -> None:
    for seed in range(COUNT):
        picture, drawn = scene.render_scene(rng_for("regions", "test", seed), "test", seed % 4 == 3, lang)  # type: ignore[arg-type]
        height, width = picture.pixels.shape[:2]
        assert len(picture.regions) == len(drawn.things)
        for region, thing in zip(picture.regions, drawn.things, strict=True):
            x, y = middle(region)
            assert abs(x / width - thing.x) <= 0.6 * thing.rx
            assert abs(y / height - thing.y) <= 0.6 * thing.ry
            assert region.x1 - region.x0 <= 2.3 * thing.rx * width
            assert region.x1 - region.x0 > 0.4 * thing.rx * width
    assert {r.text for r in scene.render_scene(rng_for("regions", "test", 0), "test", False, "zh")[0].regions}


def marks(drawn: Chart, regions: tuple[Region, ...]) -> dict[tuple[int, int], Region]:
    named = {region.text: region for region in regions}
    return {(s, i): named[drawn.mark(s, i)] for s in range(len(drawn.series)) for i in range(len(drawn.labels))}


def spread(drawn: Chart, found: dict[tuple[int, int], Region]) -> float:
    """Largest distance of a mark from the straight line between its value and its place, as a share of the picture."""
    at = {
        key: -region.y0
        if drawn.kind in {"bar", "grouped"}
        else region.x1
        if drawn.kind == "hbar"
        else -middle(region)[1]
        for key, region in found.items()
    }
    values = np.array([drawn.values[s][i] for s, i in at])
    places = np.array(list(at.values()))
    line = np.polyfit(values, places, 1)
    assert line[0] > 0  # larger values are higher up, or farther right
    return float(np.abs(np.polyval(line, values) - places).max())


def test_marks_of_charts_are_where_their_values_are(monkeypatch: pytest.MonkeyPatch) -> None:
    by_matplotlib: list[str] = []
    draw = chart_mpl.draw_with_matplotlib

    def noting(drawn, *args):  # type: ignore[no-untyped-def]
        by_matplotlib.append(drawn.kind)
        return draw(drawn, *args)

    monkeypatch.setattr(chart_mpl, "draw_with_matplotlib", noting)
    kinds = set()
    for seed in range(150):
        picture, drawn, _ = chart.render_chart(rng_for("regions", "train", seed), "train", False, "en")
        found = marks(drawn, picture.regions)
        assert len(found) == sum(map(len, drawn.values))
        kinds.add(drawn.kind)
        if drawn.kind != "pie":
            assert spread(drawn, found) < 2.5, (seed, drawn.kind)  # px
            texts = [region.text for region in picture.regions]
            assert "0" in texts or drawn.low > 0
            assert any(label in texts for label in drawn.labels)
    assert kinds == {"bar", "hbar", "grouped", "line", "pie"}
    assert len(set(by_matplotlib)) >= 2


@pytest.mark.parametrize("matplotlib", [False, True])
def test_slices_have_one_colour_each(matplotlib: bool) -> None:
    """The middle of a slice's box is neither in its neighbour's colour nor in the background's."""
    seen = 0
    for seed in range(300):
        rng = rng_for("slices", "train", seed)
        if matplotlib:
            drawn, style = make_chart(rng, "train", "en"), pick_style(rng, False)
            if drawn.kind != "pie":
                continue
            pixels, noted = chart_mpl.draw_with_matplotlib(drawn, style, rng, 480, 360, False)
            found = marks(drawn, tuple(noted))
        else:
            picture, drawn, labelled = chart.render_chart(rng, "train", False, "en")
            if drawn.kind != "pie" or labelled:  # a label hides the slice's colour
                continue
            pixels, found = picture.pixels, marks(drawn, picture.regions)
        colors = []
        for region in found.values():
            x, y = (round(v) for v in middle(region))
            colors.append(np.median(pixels[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3), axis=0))
        for i, color in enumerate(colors):
            assert np.abs(color - pixels[2, 2]).sum() > 40
            assert np.abs(color - colors[i - 1]).sum() > 15
        assert boxes_turn_as_the_shares_do(drawn, list(found.values()))
        seen += 1
    assert seen > 10


def boxes_turn_as_the_shares_do(drawn: Chart, found: list[Region]) -> bool:
    """Whether the angle between two neighbours' middles is half the sum of their shares, seen from the pie's middle."""
    spots = np.array([middle(region) for region in found])
    # The circle through the middles: |p|² = 2·c·p + d.
    fit, *_ = np.linalg.lstsq(np.c_[2 * spots, np.ones(len(spots))], (spots**2).sum(axis=1), rcond=None)
    angles = np.degrees(np.arctan2(*(spots - fit[:2]).T[::-1]))
    shares = np.array(drawn.values[0]) * 3.6
    turned = np.abs(np.diff(angles)) % 360
    expected = (shares[:-1] + shares[1:]) / 2
    return bool((np.minimum(np.abs(turned - expected), np.abs(360 - turned - expected)) < 2).all())


def test_lines_of_text() -> None:
    for index in range(20):
        sample = registry.generate("ocr", "test", index)
        texts = [region.text for region in sample.pictures[0].regions]
        assert all(line in texts for line in sample.truth["text"].split("\n"))
        tops = [region.y0 for region in sample.pictures[0].regions]
        assert tops == sorted(tops)


def test_finishing_clips_drops_and_limits() -> None:
    noted = [
        Region("half outside", -10, 20, 30, 40),
        Region("outside", 300, 0, 320, 10),
        Region(" ", 0, 0, 10, 10),
        *(Region(str(i), 10, 10, 20, 20) for i in range(100)),
    ]
    made = finished(noted, 100, 50, shrink=2)
    assert made[0] == Region("half outside", 0, 10, 15, 20)
    assert made[1] == Region("0", 5, 5, 10, 10)
    assert len(made) == MOST
