"""INT8 QAT: torchao's grid is the one that is exported, and a recipe leads from float to int8 with int8 inputs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from autoglm_phone.compress import calibrate, pipeline, recipe
from autoglm_phone.compress.formats import master
from autoglm_phone.compress.plan import ModuleInfo, ModulePlan
from autoglm_phone.compress.quantize_matrix import quantize_matrix
from autoglm_phone.compress.statistics import Moments
from autoglm_phone.errors import ConfigError
from autoglm_phone.train import data as data_module
from autoglm_phone.train.qat import fake_quantize
from compress_cases import conversations, lively
from test_train_path import toy_sample

pytest.importorskip("torchao")


def test_the_export_is_what_training_simulated() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(64, 32)
    plain = nn.Linear(64, 32)
    plain.load_state_dict(linear.state_dict())
    model = nn.Sequential(linear)
    fake_quantize(model, {"0"})
    x = torch.randn(2, 5, 64)
    simulated = model(x)
    info = ModuleInfo("m", "u", "linear", (32, 64))
    plan = ModulePlan(info, 8, 64, True, 1, scales="float16", activation_bits=8)
    weight = plain.weight.detach()
    grid, codes = quantize_matrix(weight, Moments(torch.eye(64), None, 1.0), plan)
    steps = x.abs().amax(-1, keepdim=True) / 127.5
    rounded = (x / steps).round().clamp(-128, 127) * steps
    exported = rounded @ grid.dequantize(codes).T + plain.bias
    assert torch.allclose(exported, simulated, atol=5e-3)  # float16 scales
    assert float((plain(x) - simulated).abs().max()) > 5e-3  # and it is not the float model


def test_gradients_pass_the_rounding() -> None:
    model = nn.Sequential(nn.Linear(16, 8), nn.Linear(8, 4))
    fake_quantize(model, {"0"})
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias", "1.weight", "1.bias"]
    model(torch.randn(3, 16)).sum().backward()
    assert float(model[0].weight.grad.abs().sum()) > 0
    with pytest.raises(ConfigError, match="no linear"):
        fake_quantize(model, {"tail"})


def test_a_recipe_trains_and_exports_int8(tiny_model: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(data_module.registry, "generate", toy_sample)
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
