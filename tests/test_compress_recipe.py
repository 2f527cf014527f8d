"""Recipes that make no sense are refused before any work, naming the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoglm_phone.compress import pipeline, recipe
from autoglm_phone.errors import ConfigError
from autoglm_phone.models.glm4v.reference import make_tiny_checkpoint

RECIPES = Path(__file__).parent.parent / "recipes"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return make_tiny_checkpoint(tmp_path_factory.mktemp("recipe") / "tiny")


def refused(text: str, folder: Path | None = None) -> str:
    try:
        parsed = recipe.parse(text, "r.yaml")
        if folder is not None:
            pipeline.plan_for(pipeline.open_model(folder), parsed)
    except ConfigError as error:
        return error.message
    return pytest.fail("the recipe was accepted")


def steps(*lines: str) -> str:
    return "steps:\n" + "\n".join(f"  - {line}" for line in lines) + "\n"


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        (steps("awq: {targets: [mlp], bits: 5, group_size: 32}"), 2, "bits"),
        (steps("gtpq: {targets: [mlp], bits: 4, group_size: 32}"), 2, "gtpq"),
        (steps("gptq: {targets: [mlp], bits: 4, group_size: 32, damp: 1}"), 2, "damp"),
        (steps("gptq: {bits: 4, group_size: 32}"), 2, "targets"),
        (steps("rtn: {targets: [mlp], bits: 4, group_size: big}"), 2, "group_size"),
        (steps("gptq: {targets: [mlp], bits: 4, group_size: 32}", "prune: {mlp: 0.15}"), 3, "prune comes after gptq"),
        ("format: awq\n" + steps("awq: {targets: [mlp], bits: 3, group_size: 32}"), 3, "classic awq format"),
        ("format: gptq\n" + steps("gptq: {targets: [embedding], bits: 4, group_size: 32}"), 3, "linears only"),
        ("budget: lots\n" + steps("gptq: {targets: [mlp], bits: 4, group_size: 32}"), 1, "budget"),
        (steps("gptq: {targets: [mlp], bits: auto, group_size: 32}"), 2, "budget"),
        ("calibration: {samples: none}\n" + steps("rtn: {targets: [mlp], bits: 4, group_size: 32}"), 1, "samples"),
        ("steps: []\n", 1, "steps"),
        ("steps:\n  - {", 2, "YAML"),
    ],
)
def test_senseless_recipes_name_their_line(text: str, line: int, word: str) -> None:
    message = refused(text)
    assert message.startswith(f"r.yaml:{line}: ")
    assert word in message


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        (steps("rtn: {targets: [mlp, 'model.tail.*'], bits: 4, group_size: 32}"), 2, "matches no module"),
        (
            steps("rtn: {targets: [mlp], bits: 4, group_size: 32}", "rtn: {targets: [mlp], bits: 4, group_size: 48}"),
            3,
            "48",
        ),
        (steps("rtn: {targets: [mlp], bits: 4, group_size: 64}"), 2, "do not divide the 160 columns"),
        (
            steps("rtn: {targets: [mlp], bits: 4, group_size: 32}", "gptq: {targets: [mlp], bits: 3}"),
            3,
            "contradicts line 2",
        ),
        (steps("gptq: {targets: [mlp]}"), 2, "first step"),
        (steps("awq: {targets: [embedding], bits: 4, group_size: 32}"), 2, "inputs of linears"),
        (steps("round: {targets: [mlp]}"), 2, "earlier step"),
        (
            "format: compressed-tensors\n" + steps("rtn: {targets: [mlp], bits: 8, group_size: 32}"),
            3,
            "portable compressed-tensors",
        ),
    ],
)
def test_recipes_that_do_not_fit_the_model_name_their_line(tiny: Path, text: str, line: int, word: str) -> None:
    message = refused(text, tiny)
    assert message.startswith(f"r.yaml:{line}: ")
    assert word in message


def test_a_line_of_a_long_recipe_is_the_targets_own(tiny: Path) -> None:
    text = "steps:\n  - rtn:\n      bits: 4\n      group_size: 32\n      targets:\n        - mlp\n        - nothing.*\n"
    assert refused(text, tiny).startswith("r.yaml:7: ")


QUANTIZE = "rtn: {targets: [mlp], bits: 4, group_size: 32}"


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        (steps("prune: {}"), 2, "nothing away"),
        (steps("prune: {mlp: 1.5}"), 2, "below 1"),
        (steps("prune: {mlp: 0.2, pattern: '2:4'}"), 2, "pattern"),
        (steps("prune: {mlp: 0.2, allocate: random}"), 2, "uniform or sensitivity"),
        (steps("prune: {pattern: '2:4'}", "gptq: {targets: [mlp], bits: 4, group_size: 32}"), 3, "fill the zeros"),
        (steps("distill: {steps: 5}", QUANTIZE), 2, "nothing to heal"),
        (steps("prune: {mlp: 0.2}", "distill: {steps: 0}"), 3, "steps"),
        (steps("share: {volume: 0.9}"), 2, "volume"),
        (steps("qat: {targets: [mlp]}", "prune: {mlp: 0.2}"), 3, "prune comes after qat"),
        ("format: gptq\n" + steps("qat: {targets: [mlp]}"), 3, "quantized inputs"),
    ],
)
def test_senseless_transforms_name_their_line(text: str, line: int, word: str) -> None:
    message = refused(text)
    assert message.startswith(f"r.yaml:{line}: ")
    assert word in message


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (steps("prune: {heads: 0.5}", QUANTIZE), "hidden_size / heads"),
        (steps("prune: {mlp: 0.4, allocate: sensitivity}", QUANTIZE), "one width"),
        (steps("share: {}", QUANTIZE), "native"),
        (steps("qat: {targets: [mlp]}"), "native"),
    ],
)
def test_transforms_that_glm4v_cannot_have_name_their_line(text: str, word: str, tiny: Path) -> None:
    message = refused(text, tiny)
    assert message.startswith("r.yaml:2: ")
    assert word in message


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_recipes_are_valid(path: Path) -> None:
    assert recipe.load(path).steps


@pytest.mark.parametrize(
    ("text", "size"), [("4.8GB", 4_800_000_000), ("15MB", 15_000_000), ("1GiB", 2**30), ("7", None)]
)
def test_sizes(text: str, size: int | None) -> None:
    assert recipe.read_size(text) == size


def test_the_plan_counts_every_byte(tiny: Path) -> None:
    opened = pipeline.open_model(tiny)
    plan = pipeline.plan_for(opened, recipe.parse(steps("rtn: {targets: [mlp], bits: 4, group_size: 32}")))
    saved = sum(p.info.parameters * 4 - p.spec.num_bytes for p in plan.modules.values())
    assert plan.num_bytes == plan.float_bytes - saved
    assert {name.rsplit(".", 1)[1] for name in plan.modules} == {"gate_up_proj", "down_proj"}
