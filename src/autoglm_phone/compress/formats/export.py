"""Masters in public formats: compressed-tensors (portable: vLLM, transformers), classic AWQ and classic GPTQ.

The portable file is one compressed-tensors group, symmetric, one group size for all: "pack-quantized" int4 (int8 where
most weights have 8 bits), and "int-quantized" for a model trained for inputs in 8 bits. Codes of fewer bits lie in
larger boxes; a module with larger groups repeats its scales. True 3-bit files are left to the master:
public programs pack 3 bits differently under one name. What a format can't hold is written as floats and named in the
format's ignore list. Quantized embeddings are written as floats too, because transformers loads quantized ones wrongly
without a word; a tied head becomes a tensor of its own, quantized.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autoglm_phone.compress.formats import classic, packing
from autoglm_phone.compress.formats.master import INDEX, MasterReader, ModuleSpec, QuantizedWeight, ShardWriter
from autoglm_phone.errors import ConfigError
from autoglm_phone.models.glm4v.configuration import read_json

FORMATS = ("compressed-tensors", "awq", "gptq")
_COPIED = ("*.json", "*.jinja", "*.txt", "*.model")


def export(folder: Path, out: Path, format: str, *, max_shard_bytes: int = 1 << 30) -> Path:
    """Write a master in a public format.

    Raises:
        ConfigError: an unknown format, or a master that it can't hold. CheckpointError: no readable master.
    """
    if format not in FORMATS:
        raise ConfigError(f"format {format!r} is unknown; choose one of {', '.join(FORMATS)}", param="format")
    if (out / "config.json").exists():
        raise ConfigError(f"{out} already holds a model; choose another folder", param="out")
    reader = MasterReader(folder)
    config = read_json(folder / "config.json")
    box = _box(reader)
    chosen = {name: spec for name, spec in reader.config.modules.items() if _holds(format, spec, box)}
    if not chosen:
        raise ConfigError(f"{folder} has no module that the {format} format can hold", param="format")
    floats = [name for name in reader.config.modules if name not in chosen]
    writer = ShardWriter(out, max_shard_bytes)
    dtype = getattr(torch, str(config.get("dtype") or config.get("torch_dtype") or "bfloat16"))
    if format == "compressed-tensors":
        head = _tied_head(config, reader, box)
        config["quantization_config"] = _portable(reader, chosen, writer, dtype, head, box)
        if head is not None:
            config["tie_word_embeddings"] = False
    else:
        made_config = classic.config(format, chosen, _linears(reader, floats))
        config["quantization_config"] = made_config
        version = 1 if made_config.get("checkpoint_format", "gptq") == "gptq" else 2
        for name in chosen:
            weight = reader.module(name).regrouped(made_config["group_size"])
            made = classic.write_awq(weight) if format == "awq" else classic.write_gptq(weight, version=version)
            for part, tensor in made.items():
                writer.add(f"{name}.{part}", tensor)
    for name in floats:
        writer.add(f"{name}.weight", reader.module(name).dequantize(dtype))
    for name, tensor in _plain(reader):
        writer.add(name, tensor)
    writer.close(sums_in_index=True)
    for pattern in _COPIED:
        for file in sorted(folder.glob(pattern)):
            if file.name not in ("config.json", INDEX, "compression.json"):
                shutil.copy(file, out / file.name)
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    return out


@dataclass(frozen=True)
class Box:
    """What the portable file holds codes in. inputs: linears read inputs rounded to 8 bits, token by token."""

    bits: int
    inputs: bool


def _box(reader: MasterReader) -> Box:
    """8 bits if most weights of linears have them."""
    counts = {4: 0, 8: 0}
    linears = [spec for spec in reader.config.modules.values() if spec.kind == "linear"]
    for spec in linears:
        counts[8 if spec.bits == 8 else 4] += spec.rows * spec.columns
    inputs = any(spec.activation_bits == 8 for spec in linears)
    return Box(8 if inputs or counts[8] > counts[4] else 4, inputs)


def portable_tensors(weight: QuantizedWeight, group_size: int, bits: int = 4) -> dict[str, Tensor]:
    """A linear in compressed-tensors' "pack-quantized" layout, codes in boxes of 4 or 8 bits.

    Args:
        group_size: divides the weight's own; its scales are repeated.
    """
    spec = weight.spec
    packed = packing.pack_codes(weight.codes, bits)
    words = -(-spec.columns * bits // 32)
    packed = torch.nn.functional.pad(packed, (0, words * 4 - packed.shape[1]))
    return {
        "weight_packed": packed.contiguous().view(torch.int32),
        "weight_scale": weight.regrouped(group_size).scales.contiguous(),
        "weight_shape": torch.tensor(spec.shape, dtype=torch.int64),
    }


def _portable(
    reader: MasterReader,
    chosen: dict[str, ModuleSpec],
    writer: ShardWriter,
    dtype: torch.dtype,
    head: str | None,
    box: Box,
) -> dict[str, Any]:
    held_specs = [*chosen.values(), *([reader.config.modules[head]] if head is not None else [])]
    group = math.gcd(*(spec.group_size for spec in held_specs))
    names = {name: name for name in chosen} | ({"lm_head": head} if head is not None else {})
    for name, source in names.items():
        weight = reader.module(source)
        if box.inputs:
            tensors = {"weight": weight.codes.contiguous(), "weight_scale": weight.scales}
        else:
            tensors = portable_tensors(weight, group, box.bits)
        for part, tensor in tensors.items():
            writer.add(f"{name}.{part}", tensor.to(dtype) if part == "weight_scale" else tensor)
    ignore = [name for name in _all_linears(reader) if name not in names]
    weights: dict[str, Any] = {"num_bits": box.bits, "type": "int", "symmetric": True, "dynamic": False}
    weights |= {"strategy": "channel"} if box.inputs else {"strategy": "group", "group_size": group}
    scheme: dict[str, Any] = {"targets": ["Linear"], "weights": {**weights, "observer": "minmax"}}
    if box.inputs:
        inputs = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True}
        scheme["input_activations"] = inputs
    return {
        "quant_method": "compressed-tensors",
        "format": "int-quantized" if box.inputs else "pack-quantized",
        "quantization_status": "compressed",
        "config_groups": {"group_0": scheme},
        "ignore": sorted(ignore),
    }


def _tied_head(config: dict[str, Any], reader: MasterReader, box: Box) -> str | None:
    """The embedding's module name if the head reads it, and the format can hold it."""
    text = config.get("text_config") or {}
    tied = bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", False)))
    names = [n for n, spec in reader.config.modules.items() if spec.kind == "embedding" and spec.symmetric]
    # With 8-bit inputs the head would get them too, which it was not made for.
    return names[0] if tied and names and not box.inputs and reader.config.modules[names[0]].bits <= box.bits else None


def _holds(format: str, spec: ModuleSpec, box: Box) -> bool:
    if format == "compressed-tensors":
        fits = spec.kind == "linear" and spec.symmetric and spec.bits <= box.bits
        return fits and (not box.inputs or (spec.activation_bits == 8 and spec.groups == 1))
    return classic.fits(format, spec) and spec.activation_bits is None


def _linears(reader: MasterReader, names: list[str]) -> list[str]:
    return [name for name in names if reader.config.modules[name].kind == "linear"]


def _plain(reader: MasterReader) -> Iterator[tuple[str, Tensor]]:
    hidden = {f"{name}.{part}" for name in reader.config.modules for part in ("qweight", "scales", "zeros")}
    for name in reader.names():
        if name not in hidden:
            yield name, reader.tensor(name)


def _all_linears(reader: MasterReader) -> list[str]:
    """Every module with a 2-D weight: a superset of the linears, which is what an ignore list may be."""
    found = [name for name, spec in reader.config.modules.items() if spec.kind == "linear"]
    for name, tensor in _plain(reader):
        if name.endswith(".weight") and tensor.dim() == 2:
            found.append(name.removesuffix(".weight"))
    return found
