"""Models with 8-bit inputs are measured as the engine runs them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from autoglm_phone.backends.quantized import PackedWeight, pack
from autoglm_phone.backends.quantized_int8 import Int8Handle
from autoglm_phone.compress import calibrate, measure, pipeline, recipe
from autoglm_phone.compress.formats import master
from autoglm_phone.compress.formats.export import export
from autoglm_phone.compress.opening import open_model
from autoglm_phone.compress.plan import table
from autoglm_phone.runner.quantized import open_weights, read_quantization
from compress_cases import conversations, lively
from quantized_cases import Widths, write_floats, write_quantized
from test_quantized_engine import engine_of

RECIPES = Path(__file__).parent.parent / "recipes"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def native(tiny_model: Path, tmp_path_factory) -> Path:
    return lively(tiny_model, tmp_path_factory.mktemp("native") / "model")


def measured(folder: Path, samples: list[calibrate.Sample]) -> tuple[measure.Predictions, dict[str, list[Tensor]]]:
    """The predictions, and of every linear on the way its last input and output."""
    opened = open_model(folder)
    seen: dict[str, list[Tensor]] = {}
    plain = opened.source.load

    def load(unit, device, dtype):
        module = plain(unit, device, dtype)
        for name, child in module.named_modules():
            if isinstance(child, nn.Linear):
                entry = seen.setdefault(unit.disk_name(f"{name}.weight"), [])

                def before(_, inputs, entry=entry) -> None:
                    entry[:] = [inputs[0]]

                child.register_forward_pre_hook(before)
                child.register_forward_hook(lambda _, inputs, made, entry=entry: entry.append(made))
        return module

    opened.source.load = load
    return measure.predictions(opened, samples, CPU, exits=True), seen


@pytest.mark.parametrize("format", ["master", "compressed-tensors"])
def test_every_linear_computes_what_the_engine_does(native: Path, tmp_path: Path, format: str) -> None:
    samples = calibrate.load(native, calibrate.Calibration(samples=2, path=conversations(tmp_path / "talk")))
    folder = write_quantized(native, tmp_path / "packed", Widths(8, 8, symmetric=True, activation_bits=8))
    floats = write_floats(folder, tmp_path / "floats")
    if format != "master":
        folder = export(folder, tmp_path / "public", format)
    made, seen = measured(folder, samples)
    stored = open_weights(folder, read_quantization(folder))
    rounded = 0
    for name, entry in seen.items():
        weight = stored.get(name)
        if entry and isinstance(weight, PackedWeight) and weight.activation_bits == 8:
            x, y = (tensor.flatten(0, -2) for tensor in entry)
            bias = name.removesuffix("weight") + "bias"
            expected = pack(weight, stored.get(bias).float() if bias in stored else None, CPU, torch.float32).multiply(
                x
            )
            assert torch.allclose(y, expected, atol=1e-4 * float(expected.abs().max())), name
            rounded += 1
    assert rounded > 30  # layers, exits and the vision tower
    plain, _ = measured(floats, samples)
    if format == "master":
        assert measure.compare(plain, made, samples)["all"].kl_mean > 1e-5, "the rounded inputs show"


W8A8 = """
steps:
  - awq: {targets: [attention], bits: 8, group_size: row, activations: 8}
  - gptq: {targets: [attention]}
  - rtn: {targets: [mlp], bits: 8, group_size: row, activations: 8, clip_search: true}
  - rtn: {targets: [embedding], bits: 8, group_size: row}
"""


def test_a_recipe_gives_8_bit_inputs_without_training(native: Path, tmp_path: Path) -> None:
    """The weights are what the same recipe gives for float inputs; the engine multiplies them in integers."""
    samples = calibrate.load(native, calibrate.Calibration(samples=2, path=conversations(tmp_path / "talk")))
    parsed = recipe.parse(W8A8)
    said = {how for _, how, *_ in table(pipeline.plan_for(open_model(native), parsed))}
    assert "8 bit, symmetric, group 64, 8-bit inputs" in said
    assert "8 bit, symmetric, group 64" in said, "the embedding has none"
    folder = pipeline.compress(native, parsed, tmp_path / "w8a8", samples=samples)
    plain = recipe.parse(W8A8.replace(", activations: 8", ""))
    other = pipeline.compress(native, plain, tmp_path / "w8", samples=samples)
    packed, floats = (open_weights(f, read_quantization(f)) for f in (folder, other))
    config = master.read_config(folder)
    assert config is not None
    for name, spec in config.modules.items():
        one, two = packed.get(f"{name}.weight"), floats.get(f"{name}.weight")
        assert torch.equal(one.codes, two.codes)
        assert torch.equal(one.scales, two.scales)
        assert (spec.activation_bits, one.activation_bits) == ((None,) * 2 if "embed" in name else (8, 8))
        assert two.activation_bits is None
    layer = engine_of(folder).runner.decoder.weights.segments[0][0]
    assert all(isinstance(handle, Int8Handle) for handle in (layer.qkv, layer.out, layer.gate_up, layer.down))


def test_the_shipped_pair_differs_in_training_alone(native: Path) -> None:
    """int8-qat is compared with int8-w8a8: the same modules, bits, groups and rounded inputs."""
    opened = open_model(native)
    plans = [pipeline.plan_for(opened, recipe.load(RECIPES / f"{name}.yaml")) for name in ("int8-qat", "int8-w8a8")]
    specs = [
        {name: (m.bits, m.group_size, m.symmetric, m.activation_bits) for name, m in plan.modules.items()}
        for plan in plans
    ]
    assert specs[0] == specs[1]
    assert any(plan.trained for plan in plans[0].modules.values())
    assert not any(plan.trained for plan in plans[1].modules.values())
