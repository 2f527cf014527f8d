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
        (steps("rtn: {targets: [mlp], bits: 8, group_size: row, activations: 4}"), 2, "8, or 0 for floats"),
        (
            "format: gptq\n" + steps("rtn: {targets: [mlp], bits: 8, group_size: 32, activations: 8}"),
            3,
            "quantized inputs",
        ),
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
        (steps("rtn: {targets: [mlp], bits: 4, group_size: 32, activations: 8}"), 2, "goes with bits: 8"),
        (steps("rtn: {targets: [embedding], bits: 8, group_size: row, activations: 8}"), 2, "inputs of linears"),
        (
            steps("rtn: {targets: [mlp], bits: 8, group_size: row}", "gptq: {targets: [mlp], activations: 8}"),
            3,
            "contradicts line 2",
        ),
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


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        (steps(QUANTIZE) + "seed: abc\n", 3, "seed must be a whole number"),
        (steps(QUANTIZE) + "seed: 2020-01-01\n", 3, "seed must be a whole number"),
        (steps(QUANTIZE) + "seed: true\n", 3, "seed must be a whole number"),
        (steps(QUANTIZE) + "name: [a]\n", 3, "name must be a text"),
        (steps(QUANTIZE) + "choices: 4\n", 3, "choices must be a list"),
        (steps(QUANTIZE) + "choices: []\n", 3, "choices must be a list"),
        (steps(QUANTIZE) + "choices: [auto]\n", 3, "choices must be a list"),
        (steps(QUANTIZE) + "choices: [4.0]\n", 3, "choices must be a list"),
        (steps(QUANTIZE) + "budget: .inf\n", 3, "budget"),
        (steps(QUANTIZE) + "budget: infGB\n", 3, "budget"),
        (steps(QUANTIZE) + "calibration:\n  path: 5\n", 4, "path must be the name of a file"),
        (steps(QUANTIZE) + "calibration:\n  answer_weight: [1]\n", 4, "answer_weight must be a number"),
        (steps(QUANTIZE) + "calibration:\n  answer_weight: .nan\n", 4, "answer_weight must be a number"),
        (steps(QUANTIZE) + "calibration:\n  seed: foo\n", 4, "seed must be a whole number"),
        (steps(QUANTIZE) + "calibration:\n  samples: true\n", 4, "samples must be a whole number"),
        (steps(QUANTIZE) + "calibration:\n  samples: 0\n", 4, "samples must be a whole number"),
        (steps(QUANTIZE) + "calibration:\n  gradients: [kinds]\n", 4, "gradients must be one of"),
        (steps(QUANTIZE) + "calibration:\n  mix: {text: 0, picture: 0}\n", 4, "0 for everything"),
        (steps(QUANTIZE) + "calibration:\n  mix: {}\n", 4, "mix maps"),
        (steps(QUANTIZE) + "calibration:\n  mix: {text: .nan}\n", 4, "not negative"),
        (steps(QUANTIZE) + "calibration:\n  weights: {text: true}\n", 4, "not negative"),
        (steps("rtn: {targets: [mlp], bits: !!int foo, group_size: 32}"), 2, "not a value that YAML can read"),
        (steps("rtn: {targets: [mlp], bits: 4.0, group_size: 32}"), 2, "bits must be one of"),
        (steps("rtn: {targets: [mlp], bits: 4, group_size: true}"), 2, "group_size must be"),
        (steps("gptq: {targets: [mlp], bits: 4, group_size: 32, compensate: 5}"), 2, "compensate must be"),
        (steps("gptq: {targets: [mlp], bits: 4, group_size: 32, damping: .inf}"), 2, "damping must be"),
        (steps("gptq: {targets: [mlp], bits: 4, group_size: 32, block: 0}"), 2, "block must be"),
        (steps("awq: {targets: [mlp], bits: 4, group_size: 32, points: 0}"), 2, "points must be"),
        (steps("rtn: {targets: [mlp], bits: 8, group_size: row, activations: 5}"), 2, "activations must be"),
        (steps(QUANTIZE, "tune: {targets: [mlp], iterations: 0}"), 3, "iterations must be"),
    ],
)
def test_values_of_the_wrong_kind_name_their_line(text: str, line: int, word: str) -> None:
    message = refused(text)
    assert message.startswith(f"r.yaml:{line}: ")
    assert word in message
    assert "\n" not in message


def test_a_recipe_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="can't be read"):
        recipe.load(tmp_path / "r.yaml")


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        (steps("rtn: {targets: [mlp], skip: ['*'], bits: 4, group_size: 32}"), 2, "skip leaves nothing"),
        (steps("prune: {mlp: 0.001}"), 2, "takes none of the 160 channels away"),
        (steps("prune: {mlp: 0.9999}"), 2, "not even the 32"),
        (steps("prune: {mlp: 0.4}") + "calibration:\n  path: /none/talks.jsonl\n", 4, "is not there"),
        ("budget: 5KB\n" + steps("rtn: {targets: [mlp], bits: auto, group_size: 32}"), 1, "can't be met: with 3 bits"),
        ("budget: 5KB\n" + steps(QUANTIZE), 1, "can't be met: as it is"),
        ("budget: 50%\n" + steps("rtn: {targets: [vision], bits: auto, group_size: 16}"), 3, "decoder's linears"),
        ("budget: 50%\n" + steps("rtn: {targets: [mlp, embedding], bits: auto, group_size: 32}"), 3, "(embedding)"),
        ("format: gptq\n" + steps("prune: {mlp: 0.4}"), 1, "nothing is quantized"),
    ],
)
def test_what_would_fail_or_do_nothing_later_is_said_before(tiny: Path, text: str, line: int, word: str) -> None:
    message = refused(text, tiny)
    assert message.startswith(f"r.yaml:{line}: ")
    assert word in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        (steps("prune: {mlp: 0.4, multiple: 8}", "distill:\n      teacher: /none/teacher"), 4, "/none/teacher"),
        (steps("prune: {heads: 0.1}"), 2, "takes none"),
        (steps("prune: {heads: 0.9}"), 2, "takes all"),
        (steps("prune: {towers: 0.999, multiple: 8}"), 2, "not even the 8"),
        ("budget: 50%\n" + steps("rtn: {targets: [exits], bits: auto, group_size: [32, 16, 8]}"), 3, "(exit heads)"),
    ],
)
def test_what_a_native_model_would_trip_over_is_said_before(tiny_model: Path, text: str, line: int, word: str) -> None:
    message = refused(text, tiny_model)
    assert message.startswith(f"r.yaml:{line}: ")
    assert word in message


def test_a_budget_is_held_against_the_fewest_bits(tiny: Path) -> None:
    text = "budget: BUDGET\n" + steps("rtn: {targets: [attention, mlp], bits: auto, group_size: 32}")
    opened = pipeline.open_model(tiny)
    plan = pipeline.plan_for(opened, recipe.parse(text.replace("BUDGET", "100%")))
    least = plan.rest + sum(made.with_bits(3).spec.num_bytes for made in plan.modules.values())
    assert pipeline.plan_for(opened, recipe.parse(text.replace("BUDGET", str(least)))).num_bytes > least
    with pytest.raises(ConfigError, match="can't be met"):
        pipeline.plan_for(opened, recipe.parse(text.replace("BUDGET", str(least - 1))))


@pytest.mark.parametrize("later", [QUANTIZE.replace("rtn", "gptq"), QUANTIZE.replace("rtn", "awq"), "share: {}"])
def test_what_is_advised_about_a_pattern_is_accepted(later: str) -> None:
    pattern = "prune: {pattern: '2:4'}"
    message = refused(steps(pattern, later))
    kind = later.split(":")[0]
    advised = steps(later, pattern) if f"put {kind} before it" in message else steps(pattern, QUANTIZE)
    assert f"put {kind} before it" in message or f"use rtn instead of {kind}" in message
    assert recipe.parse(advised).steps


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_recipes_are_valid(path: Path) -> None:
    assert recipe.load(path).steps


def test_the_native_recipe_is_the_bundled_minis() -> None:
    """Its patterns are all there, every linear has bits, and late MLPs pay for the table."""
    plan = pipeline.plan_for(pipeline.open_model("mini"), recipe.load(RECIPES / "int4-native.yaml"))
    assert plan.num_bytes < 0.26 * plan.float_bytes
    bits = {name: made.bits for name, made in plan.modules.items()}
    late = [name for name, width in bits.items() if width == 3]
    assert {name.split(".")[2] for name in late} == {"19", "20", "21", "22"}
    assert all(".mlp." in name for name in late)
    assert len(late) == 4 * 2
    assert bits["model.embed_tokens"] == bits["model.layers.0.mlp.down_proj"] == 4


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


def test_tune_is_refused_where_the_model_would_not_fit(tmp_path: Path) -> None:
    """Before anything is read: the plan is made from shapes alone."""
    from autoglm_phone.compress.opening import open_shape
    from autoglm_phone.compress.plan import TUNED_MOST, resolve

    folder = make_tiny_checkpoint(tmp_path / "tiny")
    opened = open_shape(folder)
    parsed = recipe.parse(steps(QUANTIZE, "tune: {targets: [mlp]}"), "r.yaml")
    assert resolve(parsed, opened.architecture, opened.sizes).modules
    large = {**opened.sizes, "model.more": (TUNED_MOST, 2 * TUNED_MOST)}
    with pytest.raises(ConfigError, match=r"r.yaml:3: tune holds the whole model in floats"):
        resolve(parsed, opened.architecture, large)
    plain = recipe.parse(steps(QUANTIZE), "r.yaml")
    assert resolve(plain, opened.architecture, large).modules
