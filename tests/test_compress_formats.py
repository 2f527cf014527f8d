"""Packing round trips for all widths and shapes; the master's reader names what is wrong; the classic layouts."""

from __future__ import annotations

import json
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_phone.compress.algorithms.grid import search_grid
from autoglm_phone.compress.formats import classic, export, master, packing
from autoglm_phone.compress.formats.master import ModuleSpec, QuantizedWeight
from autoglm_phone.errors import CheckpointError, ConfigError


def quantized(rows: int, columns: int, bits: int, group: int, symmetric: bool, seed: int = 0) -> QuantizedWeight:
    weight = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    grid = search_grid(weight, bits, group, symmetric=symmetric)
    spec = ModuleSpec("linear", bits, group, symmetric, (rows, columns))
    return QuantizedWeight(spec, grid.quantize(weight), grid.scales, grid.zeros)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(packing.BITS), st.integers(0, 9), st.integers(1, 67), st.integers(0, 2**31))
def test_codes_survive_packing(bits: int, rows: int, columns: int, seed: int) -> None:
    half = 1 << (bits - 1)
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(-half, half, (rows, columns), dtype=torch.int8, generator=generator)
    packed = packing.pack_codes(codes, bits)
    assert packed.shape == (rows, -(-columns * bits // 8))
    assert torch.equal(packing.unpack_codes(packed, bits, columns), codes)


def test_three_bit_codes_lie_in_a_bit_stream() -> None:
    codes = torch.tensor([[-4, -3, -2, -1, 0, 1, 2, 3]], dtype=torch.int8)
    stream = sum(value << (3 * place) for place, value in enumerate(range(8)))
    assert packing.pack_codes(codes, 3)[0].tolist() == list(stream.to_bytes(3, "little"))


def test_codes_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="3-bit codes"):
        packing.pack_codes(torch.tensor([[4]], dtype=torch.int8), 3)


def test_dequantize_against_float64() -> None:
    weight = quantized(5, 24, 3, 8, False)
    stored = weight.tensors("m")
    made = packing.dequantize(stored["m.qweight"], stored["m.scales"], stored["m.zeros"], bits=3, columns=24)
    for row in range(5):
        for column in range(24):
            group = column // 8
            expected = (int(weight.codes[row, column]) - int(weight.zeros[row, group])) * float(  # type: ignore[index]
                weight.scales[row, group]
            )
            assert abs(float(made[row, column]) - expected) < 1e-6


def write_master(folder, weight: QuantizedWeight) -> None:
    writer = master.ShardWriter(folder)
    for name, tensor in weight.tensors("model.m").items():
        writer.add(name, tensor)
    writer.add("model.norm.weight", torch.ones(4))
    config = master.MasterConfig({"model.m": weight.spec}, writer.close())
    (folder / "config.json").write_text(json.dumps({"quantization_config": config.to_json()}))


def test_master_round_trip_and_checksums(tmp_path) -> None:
    weight = quantized(7, 40, 3, 8, False)
    write_master(tmp_path, weight)
    config = master.read_config(tmp_path)
    assert config is not None
    master.verify(tmp_path, config)
    reader = master.MasterReader(tmp_path)
    assert torch.equal(reader.module("model.m").dequantize(), weight.dequantize())
    assert {name for name, _ in reader.float_weights()} == {"model.m.weight", "model.norm.weight"}
    shard = next(tmp_path.glob("*.safetensors"))
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match=shard.name):
        master.verify(tmp_path, config)
    shard.write_bytes(bytes(data[:-20]))
    with pytest.raises(CheckpointError, match=shard.name):
        master.MasterReader(tmp_path)


def test_a_master_of_another_version_is_refused(tmp_path) -> None:
    write_master(tmp_path, quantized(4, 8, 4, 8, True))
    raw = json.loads((tmp_path / "config.json").read_text())
    raw["quantization_config"]["version"] = 99
    (tmp_path / "config.json").write_text(json.dumps(raw))
    with pytest.raises(CheckpointError, match="version 99"):
        master.read_config(tmp_path)


@pytest.mark.parametrize("symmetric", [True, False])
def test_awq_layout_round_trip(symmetric: bool) -> None:
    weight = quantized(16, 64, 4, 32, symmetric)
    stored = classic.write_awq(weight)
    assert stored["qweight"].shape == (64, 2)
    assert stored["qweight"].dtype == torch.int32
    # Word 0 of input 0 holds outputs 0 2 4 6 1 3 5 7, low nibble first.
    nibbles = [(int(stored["qweight"][0, 0]) >> (4 * k)) & 15 for k in range(8)]
    assert nibbles == [int(weight.codes[o, 0]) + 8 for o in (0, 2, 4, 6, 1, 3, 5, 7)]
    again = classic.read_awq(stored)
    assert torch.equal(again.dequantize(), weight.dequantize())


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("version", [1, 2])
def test_gptq_layout_round_trip(bits: int, version: int) -> None:
    weight = quantized(32, 64, bits, 32, True)
    stored = classic.write_gptq(weight, version=version)
    assert stored["qweight"].shape == (64 * bits // 32, 32)
    first = int(stored["qweight"][0, 3]) & ((1 << bits) - 1)
    assert first == int(weight.codes[3, 0]) + (1 << (bits - 1))
    again = classic.read_gptq(stored, bits, version=version)
    assert torch.equal(again.dequantize(), weight.dequantize())


def test_scattered_groups_are_refused() -> None:
    stored = classic.write_gptq(quantized(32, 64, 4, 32, True))
    stored["g_idx"] = stored["g_idx"].flip(0)
    with pytest.raises(CheckpointError, match="desc_act"):
        classic.read_gptq(stored, 4)


def test_classic_formats_refuse_what_they_cannot_hold() -> None:
    with pytest.raises(ConfigError, match="awq"):
        classic.write_awq(quantized(16, 64, 3, 32, True))


def test_smaller_groups_are_the_same_weight() -> None:
    weight = quantized(16, 64, 4, 32, False)
    made = weight.regrouped(8)
    assert made.spec.group_size == 8
    assert made.scales.shape == (16, 8)
    assert torch.equal(made.dequantize(), weight.dequantize())
    assert torch.equal(classic.read_awq(classic.write_awq(made)).dequantize(), weight.dequantize())


def test_gptq_names_modules_of_other_bits() -> None:
    def spec(bits: int, group: int, symmetric: bool = True) -> ModuleSpec:
        return ModuleSpec("linear", bits, group, symmetric, (64, 128))

    layer = "model.language_model.layers.1"
    heads = {f"{layer}.self_attn.{n}_proj": spec(8, 128) for n in "qkv"}
    specs = {f"{layer}.mlp.down_proj": spec(4, 64), f"{layer}.mlp.gate_up_proj": spec(4, 128)}
    specs |= {f"model.language_model.layers.{i}.mlp.down_proj": spec(4, 128) for i in (11, 2)}
    made = classic.config("gptq", {**specs, **heads}, [f"{layer}.self_attn.o_proj"])
    assert (made["bits"], made["group_size"], made["sym"]) == (4, 64, True)

    def bits(name: str) -> int | None:  # as GPTQModel and vLLM read the field
        for key, values in made["dynamic"].items():
            if re.match(key[2:], name):
                return None if key.startswith("-:") else values["bits"]
        return made["bits"]

    for name, module in {**specs, **heads}.items():
        assert bits(name) == module.bits
        assert bits(name.replace("model.language_model", "language_model.model")) == module.bits
    assert bits("language_model.model.layers.1.self_attn.qkv_proj") == 8
    assert bits("language_model.model.layers.11.self_attn.qkv_proj") == 4
    assert bits(f"{layer}.self_attn.o_proj") is None
    mixed = classic.config("gptq", {"a": spec(4, 64), "b": spec(4, 64, False)}, [])
    assert (mixed["sym"], mixed["checkpoint_format"]) == (False, "gptq_v2")
    assert classic.config("awq", {"a": spec(4, 64), "b": spec(4, 32)}, [])["group_size"] == 32


def test_portable_boxes_hold_three_bit_codes() -> None:
    weight = quantized(4, 64, 3, 64, True)
    made = export.portable_tensors(weight, 32)
    words = made["weight_packed"][0, 0].item() & 0xFFFFFFFF
    assert [((words >> (4 * k)) & 15) - 8 for k in range(8)] == weight.codes[0, :8].tolist()
    assert made["weight_scale"].shape == (4, 2)
