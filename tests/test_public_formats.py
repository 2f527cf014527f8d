"""Folders of other programs in the engine: AutoAWQ's and GPTQModel's layouts, compressed-tensors, and damaged files."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from autoglm_phone.backends.quantized import OrderedHandle
from autoglm_phone.backends.torch_backend import Linear
from autoglm_phone.compress.formats import export
from autoglm_phone.errors import CheckpointError, ConfigError
from autoglm_phone.models.glm4v.reference import make_tiny_checkpoint
from native_cases import run, save_case
from public_cases import Recipe, is_linear, write_config, write_folders
from quantized_cases import Widths, write_quantized
from test_quantized_engine import difference, engine_of, glm_requests, native_requests, refused

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_case(tmp_path_factory.mktemp("native")).folder


@pytest.fixture(scope="module")
def glm4v(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_checkpoint(tmp_path_factory.mktemp("glm") / "model")


def bits_of(module: str) -> int:
    return 8 if "down_proj" in module else 4


CASES = {
    "awq": Recipe("awq"),
    "awq by GPTQModel": Recipe("awq", config={"version": None, "checkpoint_format": "gemm"}),
    "gptq 4, version 1": Recipe("gptq", symmetric=True),
    "gptq 4, version 2": Recipe("gptq", version=2),
    "gptq 3": Recipe("gptq", 3, symmetric=True, split=True),
    "gptq 8": Recipe("gptq", 8, version=2),
    "gptq 2": Recipe("gptq", 2, version=2),
    "gptq, scattered groups": Recipe("gptq", scattered=True, split=True),
    "gptq, bits of their own": Recipe("gptq", bits_of=bits_of, config={"dynamic": {"+:.*down_proj": {"bits": 8}}}),
}


@pytest.mark.parametrize("name", CASES)
def test_classic_folders_of_other_programs(glm4v: Path, tmp_path: Path, name: str) -> None:
    quantized, floats = write_folders(glm4v, tmp_path, CASES[name])
    packed = engine_of(quantized)
    assert difference(packed, engine_of(floats), glm_requests(glm4v)) <= TOLERANCE
    layer = packed.runner.decoder.weights.segments[0][0]
    assert not any(isinstance(handle, Linear) for handle in (layer.qkv, layer.out, layer.gate_up, layer.down))
    if CASES[name].scattered:
        assert isinstance(layer.qkv, OrderedHandle), "one order for what shares its inputs"


@pytest.mark.parametrize("recipe", [Recipe("awq"), Recipe("gptq", 3, symmetric=True, scattered=True)], ids=str)
def test_classic_folders_of_the_native_family(native: Path, tmp_path: Path, recipe: Recipe) -> None:
    quantized, floats = write_folders(native, tmp_path, recipe)
    assert difference(engine_of(quantized), engine_of(floats), native_requests()) <= TOLERANCE


@pytest.mark.parametrize("format", ["awq", "gptq", "compressed-tensors"])
def test_our_own_exports_of_the_native_family(native: Path, tmp_path: Path, format: str) -> None:
    widths = Widths(4, 3, symmetric=format != "awq")
    master = write_quantized(native, tmp_path / "packed", widths, lambda name: ".layers." in name)
    written = export.export(master, tmp_path / "public", format)
    bound = 0.02 if format == "compressed-tensors" else TOLERANCE  # its scales are bfloat16
    assert difference(engine_of(written, quantization=format), engine_of(master), native_requests()) <= bound


@pytest.mark.parametrize("format", ["awq", "gptq"])
def test_modules_of_several_groups_and_bits(native: Path, tmp_path: Path, format: str) -> None:
    """Groups become the largest that divides all; GPTQ tells bits apart, AWQ leaves what has not 4 as floats."""
    widths = lambda name: Widths(8 if "self_attn" in name else 4, group=16 if "down_proj" in name else 32)  # noqa: E731
    master = write_quantized(native, tmp_path / "packed", widths, lambda name: ".layers." in name)
    written = export.export(master, tmp_path / "public", format)
    raw = json.loads((written / "config.json").read_text())["quantization_config"]
    assert raw["group_size"] == 16
    if format == "gptq":
        assert {value["bits"] for key, value in raw["dynamic"].items() if key.startswith("+:")} == {8}
    else:
        assert any("self_attn" in name for name in raw["modules_to_not_convert"])
    assert difference(engine_of(written, quantization=format), engine_of(master), native_requests()) <= TOLERANCE


def test_configurations_beside_config_json(glm4v: Path, tmp_path: Path) -> None:
    """What older releases of both programs wrote."""
    for method, file, content in (
        ("gptq", "quantize_config.json", {"bits": 4, "group_size": 32, "desc_act": False, "sym": True}),
        ("awq", "quant_config.json", {"zero_point": True, "q_group_size": 32, "w_bit": 4, "version": "GEMM"}),
    ):
        quantized, floats = write_folders(glm4v, tmp_path / method, Recipe(method, symmetric=method == "gptq"))
        write_config(quantized, None)
        (quantized / file).write_text(json.dumps(content))
        packed = engine_of(quantized, quantization=method)
        assert difference(packed, engine_of(floats), glm_requests(glm4v)[:1]) <= TOLERANCE
        refused(quantized, f"classic {method.upper()} of 4 bits", quantization="int8", error=ConfigError)


def test_what_does_not_fit_together_is_named(glm4v: Path, tmp_path: Path) -> None:
    quantized, _ = write_folders(glm4v, tmp_path, Recipe("gptq", symmetric=True))
    shard = quantized / "model.safetensors"
    whole = load_file(shard)
    raw = json.loads((quantized / "config.json").read_text())["quantization_config"]

    def damaged(change: dict[str, torch.Tensor | None], *words: str) -> None:
        kept = {n: t for n, t in {**whole, **change}.items() if t is not None}
        save_file(kept, shard, metadata={"format": "pt"})
        refused(quantized, *words, error=CheckpointError)

    module = "model.language_model.layers.1.mlp.down_proj"
    engine_name = "model.layers.1.mlp.down_proj"
    damaged({f"{module}.qweight": whole[f"{module}.qweight"][:-1].clone()}, engine_name, "model.safetensors")
    damaged({f"{module}.scales": None}, f"{engine_name}.scales", "missing")
    damaged({f"{module}.qzeros": whole[f"{module}.qzeros"][:, :-1].clone()}, engine_name, "qzeros")
    uneven = whole[f"{module}.g_idx"].clone()
    uneven[0] = 1
    damaged({f"{module}.g_idx": uneven}, engine_name, "g_idx")
    damaged({n: None for n in whole if n.endswith(".qweight")}, "no tensor is called *.qweight")
    save_file(whole, shard, metadata={"format": "pt"})
    for change, words in (
        ({"bits": 8}, (engine_name.replace("1", "0", 1).split(".mlp")[0], "qweight")),
        ({"quant_method": "awq", "version": "gemm"}, ("do not fit together", "model.safetensors")),
        ({"quant_method": "awq", "version": "gemv"}, ("version gemm",)),
        ({"checkpoint_format": "marlin"}, ("checkpoint_format",)),
        ({"bits": 5}, ("2, 3, 4 or 8 bits",)),
    ):
        write_config(quantized, {**raw, **change})
        refused(quantized, *words, error=CheckpointError)


@pytest.mark.parametrize("method", ["awq", "gptq"])
def test_truncated_shards_of_public_folders_are_named(native: Path, tmp_path: Path, method: str) -> None:
    widths = Widths(4, 3, symmetric=method == "gptq")
    master = write_quantized(native, tmp_path / "packed", widths, lambda name: ".layers." in name)
    written = export.export(master, tmp_path / "public", method, max_shard_bytes=40_000)
    shards = sorted(written.glob("*.safetensors"))
    assert len(shards) > 2
    whole = shards[1].read_bytes()
    shards[1].write_bytes(whole[: len(whole) // 2])
    refused(written, shards[1].name, error=CheckpointError)
    shards[1].unlink()
    refused(written, shards[1].name, "missing", error=CheckpointError)
    shards[1].write_bytes(whole)
    engine_of(written)


@pytest.mark.parametrize("format", export.FORMATS)
def test_a_flipped_bit_of_an_export_is_named(native: Path, tmp_path: Path, format: str) -> None:
    master = write_quantized(native, tmp_path / "packed", Widths(4, 4, True), lambda name: ".layers." in name)
    written = export.export(master, tmp_path / "public", format, max_shard_bytes=40_000)
    engine_of(written)
    shard = sorted(written.glob("*.safetensors"))[1]
    whole = shard.read_bytes()
    damaged = bytearray(whole)
    damaged[-9] ^= 4
    shard.write_bytes(bytes(damaged))
    refused(written, shard.name, "is damaged", "model.safetensors.index.json", error=CheckpointError)
    index = written / "model.safetensors.index.json"
    raw = json.loads(index.read_text())
    del raw["metadata"]["sha256"]
    index.write_text(json.dumps(raw))
    engine_of(written)  # as another program's, whose files have none


# compressed-tensors, with the library itself as the writer.


def write_compressed_tensors(
    source: Path, folder: Path, weights: dict, inputs: dict | None = None
) -> tuple[Path, Path]:
    """(a folder packed by the library, the floats that the library makes of it)."""
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationScheme
    from compressed_tensors.quantization.utils import calculate_qparams

    format = "int-quantized" if inputs else "pack-quantized"
    scheme = QuantizationScheme.model_validate({"targets": ["Linear"], "weights": weights, "input_activations": inputs})
    compressor = BaseCompressor.get_value_from_registry(format)
    packed, floats = {}, {}
    for name, tensor in load_file(source / "model.safetensors").items():
        if not is_linear(name, tensor):
            packed[name] = floats[name] = tensor.contiguous()
            continue
        size = weights.get("group_size") or tensor.shape[1]
        blocks = tensor.float().unflatten(1, (-1, size))
        scale, zero = calculate_qparams(blocks.amin(-1), blocks.amax(-1), scheme.weights)
        made = compressor.compress(
            {"weight": tensor.float(), "weight_scale": scale, "weight_zero_point": zero.to(torch.int8)}, scheme
        )
        stem = name.removesuffix("weight")
        packed |= {stem + part: held.contiguous() for part, held in made.items()}
        floats[name] = compressor.decompress(dict(made), scheme)["weight"].float().contiguous()
    made_folders = []
    for kind, tensors in (("packed", packed), ("floats", floats)):
        shutil.copytree(source, folder / kind, ignore=shutil.ignore_patterns("*.safetensors*"))
        save_file(tensors, folder / kind / "model.safetensors", metadata={"format": "pt"})
        made_folders.append(folder / kind)
    scheme_json = {"targets": ["Linear"], "weights": weights, "input_activations": inputs}
    write_config(
        folder / "packed",
        {"quant_method": "compressed-tensors", "format": format, "config_groups": {"group_0": scheme_json}},
    )
    return made_folders[0], made_folders[1]


@pytest.mark.parametrize(
    "weights",
    [
        {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 32},
        {"num_bits": 4, "type": "int", "symmetric": False, "strategy": "group", "group_size": 32},
        {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel"},
        {"num_bits": 8, "type": "int", "symmetric": False, "strategy": "group", "group_size": 32},
    ],
    ids=lambda w: f"{w['num_bits']} bits, {'symmetric' if w['symmetric'] else 'asymmetric'}, {w['strategy']}",
)
def test_against_the_compressed_tensors_library(glm4v: Path, tmp_path: Path, weights: dict) -> None:
    pytest.importorskip("compressed_tensors")
    packed, floats = write_compressed_tensors(glm4v, tmp_path, weights)
    engine = engine_of(packed)
    assert not isinstance(engine.runner.decoder.weights.segments[0][0].qkv, Linear)
    assert difference(engine, engine_of(floats), glm_requests(glm4v)) <= TOLERANCE
    raw = json.loads((packed / "config.json").read_text())["quantization_config"]
    raw["config_groups"]["group_0"]["weights"]["symmetric"] = not weights["symmetric"]
    write_config(packed, raw)
    refused(packed, "weight_zero_point", "model.safetensors", error=CheckpointError)


def test_int8_weights_and_inputs_of_compressed_tensors(glm4v: Path, tmp_path: Path) -> None:
    pytest.importorskip("compressed_tensors")
    weights = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel"}
    inputs = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True}
    packed, floats = write_compressed_tensors(glm4v, tmp_path, weights, inputs)
    one = [replace(r, sampling=replace(r.sampling, max_tokens=1)) for r in glm_requests(glm4v)]
    found = difference(engine_of(packed), engine_of(floats), one)  # a second token might be another one
    assert TOLERANCE < found < 0.1, "inputs are rounded, the weights are the library's"
    raw = json.loads((packed / "config.json").read_text())["quantization_config"]
    raw["config_groups"]["group_0"]["input_activations"]["dynamic"] = False
    write_config(packed, raw)
    refused(packed, "token by token", error=CheckpointError)


@pytest.mark.parametrize("activation_bits", [None, 8])
def test_int8_masters_are_exported_to_int8(glm4v: Path, tmp_path: Path, activation_bits: int | None) -> None:
    pytest.importorskip("compressed_tensors")
    from transformers import Glm4vForConditionalGeneration

    widths = Widths(8, 8, symmetric=True, activation_bits=activation_bits)
    master = write_quantized(glm4v, tmp_path / "packed", widths)
    written = export.export(master, tmp_path / "portable", "compressed-tensors")
    raw = json.loads((written / "config.json").read_text())["quantization_config"]
    assert raw["format"] == ("int-quantized" if activation_bits else "pack-quantized")
    one = [replace(r, sampling=replace(r.sampling, max_tokens=1)) for r in glm_requests(glm4v)]
    public, ours = engine_of(written, quantization="int8"), engine_of(master)
    assert difference(public, ours, one) <= 0.02, "bfloat16 scales"
    kinds = [type(engine.runner.decoder.weights.segments[0][0].out) for engine in (public, ours)]
    assert kinds[0] is kinds[1], "inputs in 8 bits where the master has them"
    theirs = Glm4vForConditionalGeneration.from_pretrained(written, dtype=torch.float32).eval()
    request = one[0]
    with torch.no_grad():
        logits = theirs(torch.tensor([request.prompt_ids])).logits[0, -1:]
    made = run(public, [request]).logits[0][2][-1:]
    assert float((made - logits).norm() / logits.norm()) <= (0.05 if activation_bits else 1e-3)


def test_the_portable_export_gives_the_masters_logits_in_transformers_glm4v(glm4v: Path, tmp_path: Path) -> None:
    pytest.importorskip("compressed_tensors")
    from transformers import Glm4vForConditionalGeneration

    from autoglm_phone.models.glm4v.model import Glm4vModel, Prompt
    from quantized_cases import write_floats

    master = write_quantized(glm4v, tmp_path / "packed", Widths(4, 3, True))
    written = export.export(master, tmp_path / "portable", "compressed-tensors")
    theirs = Glm4vForConditionalGeneration.from_pretrained(written, dtype=torch.float32).eval()
    ids = tuple(range(40, 72))
    with torch.no_grad():
        made = theirs(torch.tensor([ids])).logits[0]
    ours = Glm4vModel.from_folder(write_floats(master, tmp_path / "floats"), torch.float32)([Prompt(ids, [])])[0]
    scales = next(t for n, t in load_file(next(written.glob("*.safetensors"))).items() if n.endswith("weight_scale"))
    bound = 0.02 if scales.dtype == torch.bfloat16 else TOLERANCE
    assert float((made - ours).norm() / ours.norm()) <= bound
