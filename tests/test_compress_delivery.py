"""The end of a run: kills while the result is put in place, the recipe's format, what a rerun may go on with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

import compress_cases
from autoglm_phone.compress import calibrate, measure, pipeline, recipe
from autoglm_phone.errors import ConfigError
from autoglm_phone.models.glm4v.reference import make_tiny_checkpoint

CPU = torch.device("cpu")
PRUNE = "steps:\n  - prune: {mlp: 0.4}\n"
RTN = "steps:\n  - rtn: {targets: [mlp], bits: 4, group_size: 32}\n"


class KilledError(Exception):
    pass


@pytest.fixture(scope="module")
def glm4v(tmp_path_factory) -> Path:
    return make_tiny_checkpoint(tmp_path_factory.mktemp("glm") / "model", dtype=torch.bfloat16)


@pytest.fixture(scope="module")
def samples(glm4v: Path, tmp_path_factory) -> list[calibrate.Sample]:
    talk = compress_cases.conversations(tmp_path_factory.mktemp("talk"))
    return calibrate.load(glm4v, calibrate.Calibration(samples=4, path=talk))


def kill_after(monkeypatch: pytest.MonkeyPatch, folder: Path, count: int) -> None:
    """Every file comes to its place by a rename: die when `count` have come to `folder`."""
    real, left = Path.replace, iter(range(count))

    def replace(self: Path, target: Path) -> Path:
        if Path(target).parent == folder and next(left, None) is None:
            raise KilledError
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("text", [PRUNE, RTN, "format: gptq\n" + RTN], ids=["prune", "rtn", "gptq"])
def test_a_kill_while_the_result_is_put_in_place_loses_nothing(
    glm4v: Path, samples, tmp_path: Path, monkeypatch, text: str
) -> None:
    whole = pipeline.compress(glm4v, recipe.parse(text), tmp_path / "whole", samples=samples)
    torn = tmp_path / "torn"
    expected = files(whole)
    for count in range(1, len(expected)):  # one more each time, up to the last before config.json
        with monkeypatch.context() as patch:
            kill_after(patch, torn, count)
            with pytest.raises(KilledError):
                pipeline.compress(glm4v, recipe.parse(text), torn, samples=samples)
        assert not (torn / "config.json").exists()
    pipeline.compress(glm4v, recipe.parse(text), torn, samples=samples)
    assert files(torn) == expected
    assert not (torn / pipeline.WORK).exists()


@pytest.mark.parametrize("text", [PRUNE, RTN], ids=["prune", "rtn"])
def test_a_kill_while_the_work_folder_goes_leaves_a_finished_model(
    glm4v: Path, samples, tmp_path: Path, monkeypatch, text: str
) -> None:
    out = tmp_path / "out"
    work = out / pipeline.WORK
    real = shutil.rmtree

    def die(path: Path, *args, **options) -> None:
        if Path(path) == work:
            (work / "run.json").unlink()  # it went first
            raise KilledError
        real(path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", die)
        with pytest.raises(KilledError):
            pipeline.compress(glm4v, recipe.parse(text), out, samples=samples)
    expected = files(out)
    assert work.exists()
    with pytest.raises(ConfigError, match="already holds a model"):
        pipeline.compress(glm4v, recipe.parse(text + "seed: 3\n"), out, samples=samples)
    lines: list[str] = []
    assert pipeline.compress(glm4v, recipe.parse(text), out, samples=samples, say=lines.append) == out
    assert any("was finished by an earlier call" in line for line in lines)
    assert files(out) == expected
    assert not work.exists()
    with pytest.raises(ConfigError, match="already holds a model"):
        pipeline.compress(glm4v, recipe.parse(text), out, samples=samples)


@pytest.mark.parametrize(("format", "bits"), [("awq", 4), ("gptq", 3), ("compressed-tensors", 4)])
def test_a_recipes_format_is_the_results(glm4v: Path, samples, tmp_path: Path, format: str, bits: int) -> None:
    text = f"format: {format}\nscales: float16\nsteps:\n"
    text += f"  - rtn: {{targets: [attention, mlp], bits: {bits}, group_size: 32}}\n"
    lines: list[str] = []
    out = pipeline.compress(glm4v, recipe.parse(text), tmp_path / "out", samples=samples, say=lines.append)
    config = json.loads((out / "config.json").read_text())
    assert config["quantization_config"]["quant_method"] == format
    said = next(line for line in lines if f"in the {format} format" in line)
    assert "modules quantized" in said
    report = json.loads((out / "compression.json").read_text())
    assert report["format"] == format
    assert report["bytes"] < report["float_bytes"]
    master = pipeline.compress(
        glm4v, recipe.parse(text.replace(format, "master")), tmp_path / "master", samples=samples
    )
    first, second = (measure.predictions(pipeline.open_model(folder), samples, CPU) for folder in (master, out))
    assert measure.compare(first, second, samples)["all"].kl_mean < 1e-4


def test_a_format_needs_something_to_hold(glm4v: Path) -> None:
    parsed = recipe.parse("format: awq\n" + PRUNE, "r.yaml")
    with pytest.raises(ConfigError, match=r"r\.yaml:1: .*nothing is quantized"):
        pipeline.plan_for(pipeline.open_model(glm4v), parsed)


def test_work_of_another_device_or_model_is_not_gone_on_with(glm4v: Path, samples, tmp_path: Path) -> None:
    def mark(folder: Path, device: str) -> str:
        return pipeline._mark(pipeline.open_model(folder), recipe.parse(RTN), samples, torch.device(device))

    copy = shutil.copytree(glm4v, tmp_path / "copy")
    assert mark(glm4v, "cpu") == mark(copy, "cpu")
    assert mark(glm4v, "cuda") == mark(glm4v, "cuda:1") != mark(glm4v, "cpu")
    shard = next(copy.glob("*.safetensors"))
    data = bytearray(shard.read_bytes())
    assert len(data) > 1 << 18
    data[len(data) // 2] ^= 1  # far from both ends
    shard.write_bytes(data)
    assert mark(glm4v, "cpu") != mark(copy, "cpu")


def test_widths_that_were_half_written_are_made_again(tiny_model: Path, tmp_path: Path, monkeypatch) -> None:
    folder = compress_cases.lively(tiny_model, tmp_path / "model")
    talk = compress_cases.conversations(tmp_path / "talk")
    found = calibrate.load(folder, calibrate.Calibration(samples=2, path=talk))
    parsed = recipe.parse("steps:\n  - prune: {mlp: 0.5, multiple: 8, allocate: sensitivity}\n")
    real = Path.write_text

    def half(self: Path, text: str, *args, **options) -> int:
        if self.name.startswith("widths.json"):
            real(self, text[:3], *args, **options)
            raise KilledError
        return real(self, text, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", half)
        with pytest.raises(KilledError):
            pipeline.compress(folder, parsed, tmp_path / "out", samples=found)
    out = pipeline.compress(folder, parsed, tmp_path / "out", samples=found)
    assert json.loads((out / "config.json").read_text())["intermediate_sizes"]
