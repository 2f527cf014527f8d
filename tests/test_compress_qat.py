"""INT8 QAT: torchao's grid is the one that is exported, and a recipe leads from float to int8 with int8 inputs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from autoglm_phone.backends.quantized import PackedWeight, pack
from autoglm_phone.backends.quantized_blocks import BlockHandle, quantize_rows
from autoglm_phone.compress import calibrate, pipeline, recipe
from autoglm_phone.compress.formats import master, packing
from autoglm_phone.compress.plan import ModuleInfo, ModulePlan
from autoglm_phone.compress.quantize_matrix import quantize_matrix
from autoglm_phone.compress.statistics import Moments
from autoglm_phone.errors import ConfigError
from autoglm_phone.train import stream as stream_module
from autoglm_phone.train.qat import fake_quantize
from compress_cases import conversations, lively
from test_train_path import toy_sample

pytest.importorskip("torchao")


def test_the_export_is_what_training_simulated() -> None:
    """The engine's own product, not a formula: it differs from the simulation by the scales' float16 alone."""
    torch.manual_seed(0)
    linear = nn.Linear(256, 512)
    plain = nn.Linear(256, 512)
    plain.load_state_dict(linear.state_dict())
    fake_quantize(model := nn.Sequential(linear), {"0"})
    x = torch.randn(2, 50, 256)
    with torch.no_grad():
        simulated, floats = model(x), plain(x)
    info = ModuleInfo("m", "u", "linear", (512, 256))
    plan = ModulePlan(info, 8, 256, True, 1, scales="float16", activation_bits=8, trained=True)
    weight = plain.weight.detach()
    grid, codes = quantize_matrix(weight, Moments(torch.eye(256), None, 1.0), plan)
    packed = PackedWeight(8, 256, packing.pack_codes(codes, 8), grid.scales, activation_bits=8)
    handles = [pack(packed, None, torch.device("cpu"), torch.float32)]
    handles.append(BlockHandle.of(packed, None, torch.device("cpu"), torch.float32))
    for handle in handles:
        exported = handle.multiply(x.flatten(0, 1)).view_as(simulated) + plain.bias.detach()
        missed, moved = ((y - simulated).square().mean().sqrt() for y in (exported, floats))
        assert float(missed) < 0.25 * float(moved)


def test_the_engine_rounds_inputs_as_torchao_does() -> None:
    model = nn.Sequential(nn.Linear(64, 32))
    fake_quantize(model, {"0"})
    x = torch.randn(200, 64) * torch.logspace(-6, 4, 200)[:, None]
    x[0], x[1, 0] = 0.0, -x[1].abs().max() - 1  # nothing at all, and a largest that is negative
    codes, steps = quantize_rows(x)
    assert torch.equal(codes.float() * steps, model[0].activation_fake_quantizer(x).detach())
    assert int(codes.min()) == -128


def test_gradients_pass_the_rounding() -> None:
    model = nn.Sequential(nn.Linear(16, 8), nn.Linear(8, 4))
    fake_quantize(model, {"0"})
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias", "1.weight", "1.bias"]
    model(torch.randn(3, 16)).sum().backward()
    assert float(model[0].weight.grad.abs().sum()) > 0
    with pytest.raises(ConfigError, match="no linear"):
        fake_quantize(model, {"tail"})


def test_a_recipe_trains_and_exports_int8(tiny_model: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(stream_module.registry, "generate", toy_sample)
    folder = lively(tiny_model, tmp_path / "model")
    samples = calibrate.load(folder, calibrate.Calibration(samples=2, path=conversations(tmp_path / "talk")))
    text = """
steps:
  - qat: {targets: [mlp, attention], steps: 2, lr: 0.001, small: true, workers: 0}
  - rtn: {targets: [embedding, head], bits: 8, group_size: row}
"""
    made = pipeline.compress(folder, recipe.parse(text), tmp_path / "out", samples=samples)
    config = master.read_config(made)
    assert config is not None
    specs = config.modules
    mlp = specs["model.layers.0.mlp.gate_up_proj"]
    assert (mlp.bits, mlp.activation_bits, mlp.group_size) == (8, 8, mlp.columns)
    assert specs["model.embed_tokens"].activation_bits is None
    assert not (tmp_path / "out" / ".work").exists()


def test_steps_that_contradict_qat_name_their_line(tiny_model: Path) -> None:
    text = "steps:\n  - qat: {targets: [mlp]}\n  - rtn: {targets: [mlp], bits: 4, group_size: row}\n"
    with pytest.raises(ConfigError, match=r"r.yaml:3: .*qat exports it as int8"):
        pipeline.plan_for(pipeline.open_model(tiny_model), recipe.parse(text, "r.yaml"))
