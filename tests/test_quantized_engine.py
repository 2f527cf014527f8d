"""Quantized checkpoints in the engine: logits of the float model that their codes stand for, both families."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from autoglm_phone.api.config import ServeConfig
from autoglm_phone.backends.quantized import Stacked
from autoglm_phone.backends.quantized_int8 import Int8Handle
from autoglm_phone.backends.quantized_modules import QuantizedLinear
from autoglm_phone.backends.quantized_table import TableHandle
from autoglm_phone.backends.torch_backend import Linear
from autoglm_phone.compress.formats import export
from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.core import Engine
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.request import EngineRequest, SamplingParams
from autoglm_phone.errors import CheckpointError, ConfigError
from autoglm_phone.models import registry
from autoglm_phone.models.glm4v.reference import make_tiny_checkpoint
from autoglm_phone.runner.offload import segment_bytes
from glm4v_cases import CheckpointUnderTest
from glm4v_cases import picture as glm_picture
from native_cases import clip, make_request, picture, run, save_case
from quantized_cases import Widths, edit, write_floats, write_quantized

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_case(tmp_path_factory.mktemp("native")).folder


@pytest.fixture(scope="module")
def untied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_case(tmp_path_factory.mktemp("untied"), tie_word_embeddings=False, attention_bias=False).folder


@pytest.fixture(scope="module")
def glm4v(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_checkpoint(tmp_path_factory.mktemp("glm") / "model")


def engine_of(folder: Path, **fields) -> Engine:
    defaults = {"page_size": 4, "kv_cache_memory": 4 << 20, "dtype": "float32", "device": "cpu"}
    defaults["enable_prefix_caching"] = False  # so that all rows of logits are computed again
    return load_engine(folder, EngineConfig(**{**defaults, **fields}))


def native_requests() -> list[EngineRequest]:
    """Long enough for both ways of multiplying, with pictures and sound."""
    return [
        make_request("text", [20 + i % 90 for i in range(40)], []),
        make_request("both", list(range(30, 62)), [picture(2, 3, 0, 5), clip(30, 1, 12)]),
        make_request("short", [33, 44], []),
    ]


def glm_requests(folder: Path) -> list[EngineRequest]:
    checkpoint = CheckpointUnderTest(folder)
    shown = {"image": glm_picture(70, 90, 1)}
    made = []
    for name, parts in (("text", ["what is the time?"]), ("seen", [shown, "and this?"])):
        ids, items = checkpoint.place([{"role": "user", "content": parts}])
        made.append(EngineRequest(name, ids, SamplingParams(max_tokens=5, temperature=0.0, ignore_eos=True), items))
    return made


def difference(engine: Engine, other: Engine, requests: list[EngineRequest]) -> float:
    """Largest difference of any logit row, relative to the row's size."""
    made, expected = run(engine, requests), run(other, requests)
    assert made.logits
    worst = 0.0
    rows = {(name, first): logits for name, first, logits in expected.logits}
    for name, first, logits in made.logits:
        assert all(output.error is None for output in made.outputs[name])
        wanted = rows[name, first]
        worst = max(worst, float(((logits - wanted).norm(dim=-1) / wanted.norm(dim=-1)).max()))
    return worst


ALL_BITS = [Widths(2), Widths(3, 3, True), Widths(4), Widths(4, 4, True), Widths(8, 8)]


@pytest.mark.parametrize("widths", ALL_BITS, ids=str)
def test_native_equals_its_floats(native: Path, tmp_path: Path, widths: Widths) -> None:
    master = write_quantized(native, tmp_path / "packed", widths)
    packed, floats = engine_of(master), engine_of(write_floats(master, tmp_path / "floats"))
    assert difference(packed, floats, native_requests()) <= TOLERANCE
    layer = packed.runner.decoder.weights.segments[1][0]
    assert all(isinstance(h, TableHandle) for h in (layer.qkv, layer.gate_up, layer.cross.q, layer.cross.out))
    assert packed.runner.decoder.weights.embedding is packed.runner.decoder.weights.head, "tied: kept once"
    with packed.runner.towers.store.use("image") as (tower, _):
        assert isinstance(tower.blocks[0].attn.qkv, QuantizedLinear)


def test_exits_of_the_native_model(native: Path, tmp_path: Path) -> None:
    master = write_quantized(native, tmp_path / "packed", Widths(4))
    packed, floats = engine_of(master), engine_of(write_floats(master, tmp_path / "floats"))
    one, other = packed.runner.decoder, floats.runner.decoder
    assert set(one.weights.exits) == set(other.weights.exits) == {1, 3, 5}
    for segment in range(one.num_segments):
        for rows in (1, 20):
            states = torch.randn(rows, one.spec.hidden_size)
            made, wanted = one.logits(states, segment), other.logits(states, segment)
            assert float((made - wanted).norm() / wanted.norm()) <= TOLERANCE


@pytest.mark.parametrize("widths", [Widths(2), Widths(3), Widths(4, 3, True), Widths(8, 4)], ids=str)
def test_glm4v_equals_its_floats(glm4v: Path, tmp_path: Path, widths: Widths) -> None:
    master = write_quantized(glm4v, tmp_path / "packed", widths)
    packed, floats = engine_of(master), engine_of(write_floats(master, tmp_path / "floats"))
    assert difference(packed, floats, glm_requests(glm4v)) <= TOLERANCE


def test_untied_head_and_mixed_widths(untied: Path, tmp_path: Path) -> None:
    """q, k and v of different kinds, an embedding by itself, a layer that stayed in floats."""

    def chosen(name: str) -> bool:
        return "layers.2." not in name and "v_proj" not in name

    master = write_quantized(untied, tmp_path / "packed", Widths(4, 3), chosen)
    packed, floats = engine_of(master), engine_of(write_floats(master, tmp_path / "floats"))
    assert difference(packed, floats, native_requests()) <= TOLERANCE
    weights = packed.runner.decoder.weights
    assert isinstance(weights.segments[1][1].qkv, Linear)
    assert not isinstance(weights.segments[0][0].qkv, (Linear, TableHandle, Stacked))
    assert weights.embedding is not weights.head


def test_int8_inputs(native: Path, tmp_path: Path) -> None:
    """W8A8: close to the float weights, and not equal, as inputs are rounded too."""
    master = write_quantized(native, tmp_path / "packed", Widths(8, 8, True, 8))
    packed, floats = engine_of(master), engine_of(write_floats(master, tmp_path / "floats"))
    assert isinstance(packed.runner.decoder.weights.segments[0][0].qkv, Int8Handle)
    assert TOLERANCE < difference(packed, floats, native_requests()) < 0.1


def test_offloaded_segments_and_bfloat16(native: Path, tmp_path: Path) -> None:
    master = write_quantized(native, tmp_path / "packed", Widths(4))
    packed = engine_of(master)
    assert difference(engine_of(master, offload_segments=True), packed, native_requests()) < 1e-5
    assert difference(engine_of(master, dtype="bfloat16"), packed, native_requests()[:1]) < 0.1


def test_resident_bytes_of_segments(native: Path, tmp_path: Path) -> None:
    sizes = {}
    for bits in (4, 8):
        engine = engine_of(write_quantized(native, tmp_path / str(bits), Widths(bits, bits, True)))
        sizes[bits] = sum(segment_bytes(segment) for segment in engine.runner.decoder.weights.segments)
    floats = sum(segment_bytes(segment) for segment in engine_of(native).runner.decoder.weights.segments)
    # Groups of 16 columns: 2 bits of scale a code; and norms, biases and gates are floats.
    assert sizes[4] < floats * 8 / 32
    assert sizes[8] < floats * 12 / 32


# Public formats


@pytest.mark.parametrize("format", ["compressed-tensors", "awq", "gptq"])
def test_public_formats(glm4v: Path, tmp_path: Path, format: str) -> None:
    """Written by our exporter, read by the engine: the master's logits."""
    widths = Widths(4, 4 if format == "gptq" else 3, symmetric=format != "awq")
    master = write_quantized(glm4v, tmp_path / "packed", widths)
    written = export.export(master, tmp_path / "public", format)
    raw = json.loads((written / "config.json").read_text())["quantization_config"]
    assert raw["quant_method"] == format
    public = engine_of(written, quantization=format)
    assert not isinstance(public.runner.decoder.weights.segments[0][0].gate_up, Linear)
    # bfloat16 scales in the portable file round those of the master; the classic ones are the same numbers.
    bound = 0.02 if format == "compressed-tensors" else TOLERANCE
    assert difference(public, engine_of(master), glm_requests(glm4v)) <= bound


# What is refused, and how


def refused(folder: Path, *words: str, error: type[Exception] = ConfigError, **fields) -> None:
    with pytest.raises(error) as caught:
        engine_of(folder, **fields)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("asked", ["none", "int8", "compressed-tensors"])
def test_contradicting_flags(native: Path, tmp_path: Path, asked: str) -> None:
    master = write_quantized(native, tmp_path / "packed", Widths(4))
    refused(master, asked, "a master of autoglm-phone, mostly 4-bit", quantization=asked)
    for fitting in ("awq", "gptq", "int4", "autoglm", None):
        engine_of(master, quantization=fitting)


@pytest.mark.parametrize("asked", ["awq", "int8"])
def test_plain_files_say_how_to_quantize(native: Path, asked: str) -> None:
    recipe = "recipes/int8.yaml" if asked == "int8" else "recipes/int4.yaml"
    refused(native, "plain weights", f"autoglm-phone compress --model {native} --recipe {recipe}", quantization=asked)
    engine_of(native, quantization="none")
    assert (Path(__file__).parent.parent / recipe).is_file()


def test_the_bundled_mini_hints_at_its_int4_build() -> None:
    folder = registry.locate("mini")
    refused(folder, "--model mini --recipe recipes/int4.yaml", "--quantized", "mini-int4", quantization="awq")


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def test_damaged_shards_are_named(native: Path, tmp_path: Path) -> None:
    master = write_quantized(native, tmp_path / "packed", Widths(4))
    shard = shards(master)[0]
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-200])
    refused(master, shard.name, error=CheckpointError)
    flipped = bytearray(whole)
    flipped[-100] ^= 1  # one bit of one code: nothing but a checksum can see it
    shard.write_bytes(flipped)
    refused(master, shard.name, "SHA-256", error=CheckpointError)
    shard.unlink()
    refused(master, shard.name, "missing", error=CheckpointError)
    shard.write_bytes(whole)
    engine_of(master)


def test_files_that_do_not_fit_their_configuration(native: Path, tmp_path: Path) -> None:
    master = write_quantized(native, tmp_path / "packed", Widths(4))
    raw = json.loads((master / "config.json").read_text())["quantization_config"]
    module = "model.layers.0.mlp.down_proj"
    bits = json.loads(json.dumps(raw))
    bits["modules"][module]["bits"] = 8
    edit(master, quantization_config=bits)
    refused(master, module + ".qweight", error=CheckpointError)
    edit(master, quantization_config={**raw, "version": 99})
    refused(master, "version 99", error=CheckpointError)
    edit(master, quantization_config={"quant_method": "bitsandbytes"})
    refused(master, "bitsandbytes", "compressed-tensors", error=CheckpointError)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "marlin-24"},
        {"config_groups": {}},
        {"config_groups": {"g": {"weights": {"num_bits": 3, "symmetric": True, "strategy": "group"}}}},
        {"config_groups": {"g": {"weights": {"num_bits": 4, "symmetric": True, "strategy": "block"}}}},
        {
            "config_groups": {
                "g": {"weights": {"num_bits": 4, "strategy": "group"}, "input_activations": {"num_bits": 8}}
            }
        },
    ],
)
def test_unread_variants_of_compressed_tensors(glm4v: Path, tmp_path: Path, change: dict[str, object]) -> None:
    master = write_quantized(glm4v, tmp_path / "packed", Widths(4, 3, True))
    written = export.export(master, tmp_path / "public", "compressed-tensors")
    raw = json.loads((written / "config.json").read_text())["quantization_config"]
    edit(written, quantization_config={**raw, **change})
    refused(written, "compressed-tensors", error=CheckpointError)


def test_the_bundled_int4_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_BUNDLED", tmp_path)
    with pytest.raises(CheckpointError, match="autoglm-phone compress --model mini"):
        registry.locate("mini-int4")
    (tmp_path / "mini-int4").mkdir()
    (tmp_path / "mini-int4" / "config.json").write_text("{}")
    assert registry.locate("mini-int4") == (tmp_path / "mini-int4").resolve()
    assert ServeConfig(quantized=True).model_name == "mini-int4"
    assert ServeConfig().model_name == "mini"
    with pytest.raises(ConfigError, match="leave the flag out"):
        ServeConfig(model=str(tmp_path), quantized=True)
    assert ServeConfig(quantized=True, quantization="awq").engine_config().quantization == "awq"
