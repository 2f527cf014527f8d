"""Whole compressions of tiny models of both families: folding exact, kills survived, masters and exports equal."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import compress_cases
from autoglm_phone.compress import calibrate, measure, pipeline, recipe, sensitivity
from autoglm_phone.compress.formats import master
from autoglm_phone.compress.formats.export import export
from autoglm_phone.errors import CheckpointError, ConfigError
from autoglm_phone.models.glm4v.reference import make_tiny_checkpoint

CPU = torch.device("cpu")
GLM = """
calibration: {samples: 4, max_tokens: 64}
steps:
  - awq: {targets: [attention, mlp, vision], bits: BITS, group_size: [32, 16], points: 6}
  - gptq: {targets: [attention, mlp, vision], compensate: 0.5, refine: 2}
  - gptq: {targets: [embedding, head], bits: 3, group_size: 32, refine: 1}
"""
NATIVE = """
calibration: {samples: 4, max_tokens: 64}
steps:
  - awq: {targets: [attention, mlp, cross-attention, towers], skip: ["*position"], bits: BITS, group_size: [32, 16, 8]}
  - gptq: {targets: [attention, mlp, cross-attention, towers], skip: ["*position"], compensate: 0.5, refine: 1}
  - round: {targets: [mlp], iterations: 4, batch: 2}
  - gptq: {targets: [convolutions], bits: 4, group_size: [32, 16, row]}
  - gptq: {targets: [embedding, head], bits: BITS, group_size: 16}
  - tune: {targets: ["*"], iterations: 2, batch: 2, codes: 0.4}
"""


@pytest.fixture(scope="module")
def glm4v(tmp_path_factory) -> Path:
    return make_tiny_checkpoint(tmp_path_factory.mktemp("glm") / "model", dtype=torch.bfloat16)


@pytest.fixture(scope="module")
def native(tiny_model: Path, tmp_path_factory) -> Path:
    return compress_cases.lively(tiny_model, tmp_path_factory.mktemp("native") / "model")


@pytest.fixture(scope="module")
def conversations(tmp_path_factory) -> Path:
    """Text, and a picture as a path, as a user's JSONL has them."""
    return compress_cases.conversations(tmp_path_factory.mktemp("talk"))


@pytest.fixture(scope="module")
def glm_samples(glm4v: Path, conversations: Path) -> list[calibrate.Sample]:
    return calibrate.load(glm4v, calibrate.Calibration(samples=6, path=conversations))


@pytest.fixture(scope="module")
def native_samples(native: Path, conversations: Path) -> list[calibrate.Sample]:
    return calibrate.load(native, calibrate.Calibration(samples=6, path=conversations))


def divergence(model: Path, other: Path, samples: list[calibrate.Sample]) -> measure.Divergence:
    first = measure.predictions(pipeline.open_model(model), samples, CPU)
    second = measure.predictions(pipeline.open_model(other), samples, CPU)
    return measure.compare(first, second, samples)["all"]


def test_kinds_follow_the_media(glm_samples: list[calibrate.Sample]) -> None:
    assert {sample.modality for sample in glm_samples} == {"text", "picture"}
    picture = glm_samples[1]
    assert sum(kind == calibrate.KINDS.index("media") for kind in picture.kinds) == picture.media[0].length
    assert picture.answer_positions[-1] == len(picture.ids) - 1


def test_units_are_the_reference_model_glm4v(glm4v: Path, glm_samples: list[calibrate.Sample]) -> None:
    from autoglm_phone.models.glm4v.model import Glm4vModel, Prompt

    opened = pipeline.open_model(glm4v)
    made = measure.predictions(opened, glm_samples, CPU)
    model = Glm4vModel.from_folder(glm4v, torch.float32)
    expected = model([Prompt(s.ids, [m.data for m in s.media]) for s in glm_samples])
    for sample, state, want in zip(glm_samples, made.states, expected, strict=True):
        logits = made.unit.run(made.head, state)["logits"][0]
        assert torch.allclose(logits, want[[p - 1 for p in sample.answer_positions]], atol=2e-4)


def test_units_are_the_reference_model_native(native: Path, native_samples: list[calibrate.Sample]) -> None:
    from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration

    model = AutoGLMPhoneForConditionalGeneration.from_pretrained(native, dtype=torch.float32).eval()
    made = measure.predictions(pipeline.open_model(native), native_samples, CPU)
    for sample, state in zip(native_samples, made.states, strict=True):
        pixels = [torch.from_numpy(m.data["pixels"].copy()).permute(2, 0, 1) / 127.5 - 1 for m in sample.media]
        with torch.no_grad():
            want = model(torch.tensor([sample.ids]), pixel_values=torch.stack(pixels) if pixels else None).logits[0]
        logits = made.unit.run(made.head, state)["logits"][0]
        assert torch.allclose(logits, want[[p - 1 for p in sample.answer_positions]], atol=2e-4)


@pytest.mark.parametrize("family", ["glm4v", "native"])
def test_eight_bits_keep_the_predictions_whatever_is_folded(family: str, tmp_path, request) -> None:
    model = request.getfixturevalue(family)
    samples = request.getfixturevalue("glm_samples" if family == "glm4v" else "native_samples")
    text = (GLM if family == "glm4v" else NATIVE).replace("BITS", "8").replace("bits: 3", "bits: 8")
    text = text.replace("bits: 4", "bits: 8")
    out = pipeline.compress(model, recipe.parse(text), tmp_path / "out", samples=samples)
    found = divergence(model, out, samples)
    assert found.kl_mean < 2e-3
    assert found.top1 > 0.9
    config = master.read_config(out)
    assert config is not None
    master.verify(out, config)
    assert not (out / pipeline.WORK).exists()


def test_sizes_are_those_of_the_plan(glm4v: Path, glm_samples, tmp_path) -> None:
    parsed = recipe.parse(GLM.replace("BITS", "4"))
    plan = pipeline.plan_for(pipeline.open_model(glm4v), parsed)
    out = pipeline.compress(glm4v, parsed, tmp_path / "out", samples=glm_samples, max_shard_bytes=100_000)
    tensors = [t for shard in out.glob("*.safetensors") for t in load_file(shard).values()]
    assert sum(t.numel() * t.element_size() for t in tensors) == plan.num_bytes
    assert len(list(out.glob("*.safetensors"))) > 1
    better = divergence(glm4v, out, glm_samples)
    text = "steps:\n  - rtn: {targets: [attention, mlp, vision], bits: 4, group_size: [32, 16]}\n"
    text += "  - rtn: {targets: [embedding, head], bits: 3, group_size: 32}\n"
    plain = pipeline.compress(glm4v, recipe.parse(text), tmp_path / "rtn", samples=glm_samples)
    assert better.kl_mean < divergence(glm4v, plain, glm_samples).kl_mean


class KilledError(Exception):
    pass


@pytest.mark.parametrize("family", ["glm4v", "native"])
def test_a_killed_run_goes_on_to_the_same_bits(family: str, tmp_path, request) -> None:
    model = request.getfixturevalue(family)
    samples = request.getfixturevalue("glm_samples" if family == "glm4v" else "native_samples")
    parsed = recipe.parse((GLM if family == "glm4v" else NATIVE).replace("BITS", "4"))
    whole = pipeline.compress(model, parsed, tmp_path / "whole", samples=samples)
    for stop in (3, 5, 9):  # each attempt dies a little later
        left = iter(range(stop))

        def die(line: str, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise KilledError

        with pytest.raises(KilledError):
            pipeline.compress(model, parsed, tmp_path / "torn", samples=samples, say=die)
    # A kill while a file is written leaves it aside, half done.
    (tmp_path / "torn" / pipeline.WORK / "model.layers.0.part").write_bytes(b"half")
    torn = pipeline.compress(model, parsed, tmp_path / "torn", samples=samples)
    first, second = (master.read_config(folder) for folder in (whole, torn))
    assert first == second
    assert first is not None
    assert first.checksums


def test_work_of_another_recipe_is_refused(glm4v: Path, glm_samples, tmp_path) -> None:
    def die(line: str) -> None:
        if line.startswith("[2/"):
            raise KilledError

    with pytest.raises(KilledError):
        pipeline.compress(glm4v, recipe.parse(GLM.replace("BITS", "4")), tmp_path / "o", samples=glm_samples, say=die)
    with pytest.raises(ConfigError, match="another run"):
        pipeline.compress(glm4v, recipe.parse(GLM.replace("BITS", "2")), tmp_path / "o", samples=glm_samples)


def test_a_compressed_model_is_not_compressed_again(glm4v: Path, glm_samples, tmp_path) -> None:
    text = "steps:\n  - rtn: {targets: [mlp], bits: 4, group_size: 32}\n"
    out = pipeline.compress(glm4v, recipe.parse(text), tmp_path / "o", samples=glm_samples)
    with pytest.raises(CheckpointError, match="compressed already"):
        pipeline.compress(out, recipe.parse(text), tmp_path / "p", samples=glm_samples)
    with pytest.raises(ConfigError, match="already holds a model"):
        pipeline.compress(glm4v, recipe.parse(text), out, samples=glm_samples)


def test_the_portable_export_gives_the_masters_logits_in_transformers(native: Path, native_samples, tmp_path) -> None:
    pytest.importorskip("compressed_tensors")
    from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration

    out = pipeline.compress(native, recipe.parse(NATIVE.replace("BITS", "4")), tmp_path / "o", samples=native_samples)
    folder = export(out, tmp_path / "portable", "compressed-tensors")
    model = AutoGLMPhoneForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.tensor([native_samples[0].ids])
    made = measure.predictions(pipeline.open_model(out), native_samples[:1], CPU)
    ours = made.unit.run(made.head, made.states[0])["logits"][0]
    with torch.no_grad():
        theirs = model(ids).logits[0, made.states[0]["predict"]]
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_bad_calibration_files_name_their_line(glm4v: Path, tmp_path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(
        '{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}\n{"x": 1}\n'
    )
    with pytest.raises(ConfigError, match=r"bad\.jsonl:2"):
        calibrate.load(glm4v, calibrate.Calibration(samples=9, path=path))
    shutil.rmtree(tmp_path)


def test_a_budget_is_met_by_what_costs_least(glm4v: Path, glm_samples, tmp_path) -> None:
    text = """
budget: BUDGET
choices: [2, 4, 8]
steps:
  - rtn: {targets: [attention, mlp], bits: auto, group_size: [32, 16], clip_search: true}
"""
    opened = pipeline.open_model(glm4v)
    plan = pipeline.plan_for(opened, recipe.parse(text.replace("BUDGET", "100%")))
    costs = sensitivity.measure(opened.architecture, opened.source, plan, glm_samples, (2, 4, 8), CPU).cost
    assert set(costs) == set(plan.modules)
    assert all(table[2] > table[4] > table[8] > 0 for table in costs.values())
    tight = plan.rest + int(1.1 * sum(p.with_bits(4).spec.num_bytes for p in plan.modules.values()))
    chosen = sensitivity.choose(plan, costs, tight, (2, 4, 8))
    assert chosen.num_bytes <= tight
    uniform = sum(costs[name][4] for name in plan.modules)
    assert sum(costs[name][p.bits] for name, p in chosen.modules.items()) <= uniform
    with pytest.raises(ConfigError, match="can't be met"):
        sensitivity.choose(plan, costs, plan.rest, (2, 4, 8))
    out = pipeline.compress(
        glm4v, recipe.parse(text.replace("BUDGET", f"{tight}")), tmp_path / "o", samples=glm_samples
    )
    config = master.read_config(out)
    assert config is not None
    assert {name: spec.bits for name, spec in config.modules.items()} == {
        opened.source.disk[name + ".weight"].removesuffix(".weight"): p.bits for name, p in chosen.modules.items()
    }
    assert len({p.bits for p in chosen.modules.values()}) > 1


def test_sensitivity_predicts_the_divergence_of_one_module(glm4v: Path, glm_samples, tmp_path) -> None:
    """Second-order theory against the measured KL, within a factor of four, for a matrix that matters."""
    name = "model.layers.1.mlp.down_proj"
    text = f"steps:\n  - rtn: {{targets: ['{name}'], bits: 4, group_size: 32, clip_search: true}}\n"
    opened = pipeline.open_model(glm4v)
    plan = pipeline.plan_for(opened, recipe.parse(text))
    costs = sensitivity.measure(opened.architecture, opened.source, plan, glm_samples, (4,), CPU).cost
    out = pipeline.compress(glm4v, recipe.parse(text), tmp_path / "o", samples=glm_samples)
    measured = divergence(glm4v, out, glm_samples).kl_mean
    assert measured / 4 < costs[name][4] < measured * 4
