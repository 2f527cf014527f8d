"""Thoughts about pictures go in steps that can be copied: tallies, claims, compared places, counted lists, colours."""

from __future__ import annotations

import random
import re

import pytest

from autoglm_phone.train.looks import Sights
from autoglm_phone.train.world import registry
from autoglm_phone.train.world.sample import Sample
from autoglm_phone.train.world.visual.chart import render_chart
from autoglm_phone.train.world.visual.scene_thoughts import claims, colours_of, sides, tally
from autoglm_phone.train.world.visual.scene_words import Thing, color_word
from autoglm_phone.train.world.visual.screen import render
from autoglm_phone.train.world.visual.tasks import _ORDINALS

THINGS = [
    Thing("cup", "red", 0.1, 0.1, 0.05, 0.05),
    Thing("key", "gray", 0.5, 0.1, 0.05, 0.05),
    Thing("cup", "red", 0.9, 0.5, 0.05, 0.05),
    Thing("cup", "blue", 0.1, 0.9, 0.05, 0.05),
]


def turns(category: str, count: int, split: str = "train") -> list[tuple[str, str, str, Sample]]:
    """Question, thought and answer of every turn of the first samples."""
    found = []
    for index in range(count):
        sample = registry.generate(category, split, index)  # type: ignore[arg-type]
        found.append((sample.turns[-2].text, sample.answer.reasoning, sample.answer.text, sample))
        for user, said in sample.alternatives:
            found.append((user.text, said.reasoning, said.text, sample))
    return found


def test_what_is_counted_is_numbered() -> None:
    cups = [thing for thing in THINGS if thing.kind == "cup"]
    said = tally(THINGS, cups, "cups", "", "en")
    assert said == "red cup top left (1), gray key top, red cup right (2), blue cup bottom left (3). Cups: 3."
    assert tally(THINGS, cups[:2], "红色的杯子", "个", "zh") == (
        "左上方红色的杯子(1)、上方灰色的钥匙、右侧红色的杯子(2)、左下方蓝色的杯子。红色的杯子：2个。"
    )
    assert tally(THINGS, [], "suns", "", "en").endswith("Suns: 0.")


def test_tallies_end_with_the_answer() -> None:
    for _, thought, answer, _ in turns("scene_count", 30):
        if numbers := re.findall(r"\((\d+)\)", thought):
            assert [int(n) for n in numbers] == list(range(1, len(numbers) + 1))
            assert numbers[-1] == answer


def test_claims_stand_beside_what_the_picture_has() -> None:
    assert claims(THINGS, THINGS, "en") == (
        "two red cups: two red cups, yes; a blue cup: a blue cup, yes; a gray key: a gray key, yes."
    )
    more = [*THINGS, THINGS[0]]
    assert claims(more, THINGS, "en").startswith("three red cups: two red cups, no; a blue cup: ")
    other = [*THINGS[:3], Thing("cup", "pink", 0.1, 0.9, 0.05, 0.05)]
    assert "一个粉色的杯子：一个蓝色的杯子，不是" in claims(other, THINGS, "zh")
    strange = [*THINGS[:3], Thing("sun", "blue", 0.1, 0.9, 0.05, 0.05)]
    assert "a blue sun: a blue cup, no" in claims(strange, THINGS, "en")
    assert "a pink cup: none, no" in claims([*THINGS, other[3]], THINGS, "en")


def test_asked_colours_stand_beside_those_of_the_kind() -> None:
    assert colours_of(THINGS, "cup", "red", "en") == "Cups: red, blue. Asked: red, yes."
    assert colours_of(THINGS, "cup", "pink", "zh") == "杯子：红色、蓝色。问的是粉色，不是。"
    assert colours_of(THINGS, "sun", "", "zh") == "太阳：没有，不是。"
    assert colours_of(THINGS, "sun", "red", "en") == "Suns: none, no."


def test_sides_compare_the_numbers_across() -> None:
    assert sides(THINGS[0], THINGS[1], True, "en").endswith("100<500: left, asked left, yes.")
    assert sides(THINGS[1], THINGS[0], True, "zh").endswith("500>100：右边，问的是左边，不是。")


def test_a_matching_thought_holds_its_verdict() -> None:
    """The verdict on a claim follows from the words on both sides of the colon, and the answer from the verdicts."""
    checked = sided = 0
    for question, thought, answer, _ in turns("scene_match", 150):
        if not re.match(r"(Yes|No|是|不是)[.。]", answer):
            continue
        right = answer.startswith(("是", "Yes"))
        verdicts = re.findall(r"[,，][ ]?(yes|no|是|不是)(?=[;；.。])", thought)
        assert verdicts, thought
        assert all(verdict in ("yes", "是") for verdict in verdicts) == right, thought
        picture, _, checks = re.sub(r"^(The picture: |图片内容：)", "", thought).partition(
            "。" if "。" in thought else "."
        )
        for claim, shown, verdict in re.findall(r"([^:：;；。]+)[:：] ?([^,，;；]+)[,，] ?(yes|no|是|不是)", checks):
            if not re.search("sked|问的是|none|没有", checks):
                assert (claim.strip() == shown) == (verdict in ("yes", "是")), thought
                assert shown in picture.lower(), thought
                assert claim.strip() in question.lower(), (question, thought)
                checked += 1
        if order := re.search(
            r"(\d+)([<>])(\d+)[:：] ?(left|right|左|右)边?[,，](?: asked |问的是)(left|right|左|右)", thought
        ):
            first, sign, second, side, asked = order.groups()
            assert (int(first) < int(second)) == (sign == "<") == (side in ("left", "左")), thought
            assert (side == asked) == right, thought
            sided += 1
    assert checked > 40
    assert sided > 10


def test_lists_are_counted_through_to_the_target() -> None:
    seen = 0
    for _, thought, answer, sample in turns("screen", 60):
        counted = re.match(r"依次是：([^。]+)。|In order: (.+?)\. The target is", thought)
        if not counted or 'action="Tap"' not in answer:
            continue
        labels = re.split("、|, ", counted[1] or counted[2])
        ordinals = _ORDINALS["zh" if counted[1] else "en"]
        assert labels[0] == ordinals[0]
        assert [label for label in labels if label in ordinals] == list(ordinals[: len(set(labels) & set(ordinals))])
        last = (counted[1] or counted[2]).rsplit("、" if counted[1] else ", ", 1)[-1]
        assert f"“{last}”" in thought or f'{last}"' in thought
        looks = [look for look in Sights(sample.pictures[0]).looks(thought, answer) if look.part == "reasoning"]
        for look in looks[:-1]:
            assert thought[look.start : look.end] in (*labels, counted[1] or counted[2])
        seen += 1
    assert seen > 15


def test_the_state_of_a_switch_is_said_before_it_is_touched_or_left() -> None:
    """The same words come first whether there is something to tap or not; then the answer follows from them."""
    touched = left = 0
    for index in range(400):
        shown = render(random.Random(index), "train", False)
        for task in (*shown.taps, *shown.actions):
            state = re.match(r"(.+?)现在是([开关])的。|(.+?) is (on|off) now\.", task.thought)
            if not state:
                continue
            on = (state[2] or state[4]) in ("开", "on")
            if task.answer.startswith("finish"):
                assert ("打开" in task.answer or " on" in task.answer) == on
                left += 1
            else:
                touched += 1
                assert 'action="Tap"' in task.answer
        if touched > 20 and left > 20:
            return
    raise AssertionError((touched, left))


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_series_are_called_by_the_colour_they_are_drawn_in(lang: str) -> None:
    right = seen = 0
    for seed in range(60):
        rng = random.Random(seed)
        picture, chart, _ = render_chart(rng, "train", False, lang, "any")  # type: ignore[arg-type]
        if not chart.colors or chart.kind != "grouped":
            continue
        for series, color in enumerate(chart.colors):
            tallest = max(range(len(chart.labels)), key=lambda i: chart.values[series][i])
            mark = next(r for r in picture.regions if r.text == chart.mark(series, tallest))
            pixel = picture.pixels[int((mark.y0 + mark.y1) / 2), int((mark.x0 + mark.x1) / 2)]
            right += color_word(tuple(int(v) for v in pixel), lang) == color  # type: ignore[arg-type]
            seen += 1
    assert seen > 15
    assert right > 0.85 * seen  # compression and tint move a few across a border of hues


@pytest.mark.parametrize(
    ("color", "word"),
    [
        ((214, 39, 40), "red"),
        ((255, 127, 14), "orange"),
        ((250, 210, 30), "yellow"),
        ((44, 160, 44), "green"),
        ((31, 119, 180), "blue"),
        ((148, 103, 189), "purple"),
        ((227, 119, 194), "pink"),
        ((127, 127, 127), "gray"),
        ((120, 72, 36), "brown"),
        ((20, 20, 22), "black"),
        ((250, 250, 250), "white"),
    ],
)
def test_colours_have_their_usual_names(color: tuple[int, int, int], word: str) -> None:
    assert color_word(color, "en") == word
