"""Adapters on packed weights: gradients, a falling loss, peft's files, and a merged model that computes the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import compress_cases
from autoglm_phone.backends.quantized import PackedWeight
from autoglm_phone.compress import calibrate
from autoglm_phone.compress.formats import packing
from autoglm_phone.errors import CheckpointError, ConfigError
from autoglm_phone.models.glm4v.reference import make_tiny_checkpoint
from autoglm_phone.train.frozen import PackedEmbedding, PackedLinear, load_frozen
from autoglm_phone.train.merge import merge
from autoglm_phone.train.qlora import QLoraConfig, _micro_batches, adapt, evaluate, media_inputs, train
from public_cases import Recipe, write_folders
from quantized_cases import Widths, write_floats, write_quantized

peft = pytest.importorskip("peft")
pytest.importorskip("accelerate")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def native(tiny_model: Path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("native")
    return write_quantized(compress_cases.lively(tiny_model, folder / "float"), folder / "int4", Widths(4, 3))


@pytest.fixture(scope="module")
def glm4v(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("glm")
    return write_quantized(make_tiny_checkpoint(folder / "float"), folder / "int4", Widths(4, 4, True))


@pytest.fixture(scope="module")
def talk(tmp_path_factory) -> Path:
    return compress_cases.conversations(tmp_path_factory.mktemp("talk"))


def config(talk: Path, **fields) -> QLoraConfig:
    return QLoraConfig(**{"steps": 12, "batch": 4, "samples": 6, "path": talk, "rank": 4, "lr": 5e-3, **fields})


def logits(model: nn.Module, samples: list[calibrate.Sample]) -> list[torch.Tensor]:
    found = []
    with torch.no_grad():
        for part in ([s] for s in samples):
            ids = torch.tensor([part[0].ids])
            found.append(model(input_ids=ids, use_cache=False, **media_inputs(part, ids)).logits[0])
    return found


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
def test_gradients_through_a_packed_linear(bits: int, symmetric: bool) -> None:
    generator = torch.Generator().manual_seed(bits)
    half = 1 << (bits - 1)
    codes = torch.randint(-half, half, (40, 24), generator=generator).to(torch.int8)
    points = None if symmetric else torch.randint(-half, half, (40, 3), generator=generator).to(torch.int8)
    scales = torch.rand(40, 3, generator=generator) + 0.1
    order = torch.randperm(24, generator=generator)
    packed = PackedWeight(
        bits,
        24,
        packing.pack_codes(codes, bits),
        scales,
        None if points is None else packing.pack_codes(points, bits),
        order=order,
    )
    dense = packing.dequantize_codes(codes, scales, points)[:, order.argsort()]
    layer = PackedLinear(packed, torch.randn(40, generator=generator))
    x = torch.randn(2, 5, 24, generator=generator, requires_grad=True)
    y = torch.randn(2, 5, 40, generator=generator)
    (layer(x) * y).sum().backward()
    expected = torch.nn.functional.linear(x.detach(), dense, layer.bias)
    assert torch.allclose(layer(x.detach()), expected, atol=1e-5)
    assert torch.allclose(x.grad, y @ dense, atol=1e-4)
    assert not any(p.requires_grad for p in layer.parameters())


@pytest.mark.parametrize("family", ["native", "glm4v"])
def test_a_frozen_model_is_its_float_copy(family: str, talk: Path, tmp_path: Path, request) -> None:
    folder = request.getfixturevalue(family)
    frozen, floats = load_frozen(folder), load_frozen(write_floats(folder, tmp_path / "floats"))
    kinds = [type(module) for module in frozen.modules()]
    assert kinds.count(PackedLinear) > 20
    assert PackedEmbedding in kinds
    assert not any(isinstance(m, PackedLinear | PackedEmbedding) for m in floats.modules())
    samples = calibrate.load(folder, calibrate.Calibration(samples=4, path=talk))
    assert any(s.media for s in samples)
    for made, wanted in zip(logits(frozen, samples), logits(floats, samples), strict=True):
        assert torch.allclose(made, wanted, atol=2e-4)


@pytest.mark.parametrize("family", ["native", "glm4v"])
def test_a_few_steps_lower_the_loss_and_merge_to_the_same_model(
    family: str, talk: Path, tmp_path: Path, request
) -> None:
    folder = request.getfixturevalue(family)
    made = train(folder, tmp_path / "adapter", config(talk))
    assert sum(made.losses[-3:]) < 0.8 * sum(made.losses[:3])
    samples = calibrate.load(folder, calibrate.Calibration(samples=6, path=talk))
    tensors = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert all(".lora_A." in name or ".lora_B." in name for name in tensors)
    assert made.trainable == sum(t.numel() for t in tensors.values())
    adapted = peft.PeftModel.from_pretrained(load_frozen(folder), str(tmp_path / "adapter")).eval()
    assert evaluate(adapted, samples, CPU) < evaluate(load_frozen(folder), samples, CPU)
    merged = load_frozen(merge(tmp_path / "adapter", tmp_path / "merged", dtype="float32"))
    assert not any(isinstance(module, PackedLinear) for module in merged.modules())
    base = logits(load_frozen(folder), samples)
    for one, other, before in zip(logits(merged, samples), logits(adapted, samples), base, strict=True):
        assert torch.allclose(one, other, atol=5e-4)
        assert not torch.allclose(one, before, atol=5e-2), "the adapters do something"


def test_a_merged_model_runs_in_the_engine_and_so_do_adapters(native: Path, talk: Path, tmp_path: Path) -> None:
    from test_quantized_engine import engine_of

    train(native, tmp_path / "adapter", config(talk, steps=2))
    folder = merge(tmp_path / "adapter", tmp_path / "merged")
    assert engine_of(folder).runner.vocab_size
    assert engine_of(native, lora_modules={"mine": tmp_path / "adapter"}).runner.adapters
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"


def test_adapters_on_gptq_folders_with_split_gates(tmp_path: Path, talk: Path) -> None:
    base = make_tiny_checkpoint(tmp_path / "float")
    folder, _ = write_folders(base, tmp_path, Recipe("gptq", scattered=True, split=True))
    train(folder, tmp_path / "adapter", config(talk, steps=2, targets=("mlp",)))
    merged = load_frozen(merge(tmp_path / "adapter", tmp_path / "merged", dtype="float32"))
    adapted = peft.PeftModel.from_pretrained(load_frozen(folder), str(tmp_path / "adapter")).eval()
    samples = calibrate.load(folder, calibrate.Calibration(samples=2, path=talk))
    for one, other in zip(logits(merged, samples), logits(adapted, samples), strict=True):
        assert torch.allclose(one, other, atol=5e-4)


def test_padding_and_micro_batches_do_not_change_the_loss(native: Path, talk: Path) -> None:
    samples = calibrate.load(native, calibrate.Calibration(samples=6, path=talk))
    model = load_frozen(native)
    assert max(map(len, _micro_batches(samples))) > 1
    single = sum(evaluate(model, [s], CPU) * len(s.answer_positions) for s in samples)
    assert evaluate(model, samples, CPU) == pytest.approx(
        single / sum(len(s.answer_positions) for s in samples), rel=1e-4
    )


def test_what_is_refused(native: Path, glm4v: Path, talk: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name no linear"):
        adapt(load_frozen(native), native, config(talk, targets=("model.layers.99.*",)))
    with pytest.raises(ConfigError, match="--rank"):
        config(talk, rank=0)
    adapter = tmp_path / "adapter"
    train(native, adapter, config(talk, steps=1))
    with pytest.raises(ConfigError, match="already holds adapters"):
        train(native, adapter, config(talk, steps=1))
    with pytest.raises(CheckpointError, match="for another model"):
        merge(adapter, tmp_path / "out", model=str(glm4v))
    with pytest.raises(ConfigError, match="--dtype"):
        merge(adapter, tmp_path / "out", dtype="int8")
    raw = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**raw, "use_dora": True}))
    with pytest.raises(CheckpointError, match="use_dora"):
        merge(adapter, tmp_path / "out")
    (adapter / "adapter_config.json").write_text(json.dumps(raw))
    weights = adapter / "adapter_model.safetensors"
    whole = load_file(weights)
    save_file({n: t for n, t in whole.items() if "lora_B" not in n}, weights)
    with pytest.raises(CheckpointError, match="two halves"):
        merge(adapter, tmp_path / "out")
    weights.write_bytes(b"none of this")
    with pytest.raises(CheckpointError, match=r"adapter_model\.safetensors is damaged"):
        merge(adapter, tmp_path / "out")
