"""Masters in public formats: compressed-tensors (portable: vLLM, transformers), classic AWQ and classic GPTQ.

The portable file is one compressed-tensors group, "pack-quantized": int4 symmetric, one group size for all. Codes of
fewer bits lie in int4 boxes; a module with larger groups repeats its scales. True 3-bit files are left to the master:
public programs pack 3 bits differently under one name. What a format can't hold is written as floats and named in the
format's ignore list. Quantized embeddings are written as floats too, because transformers loads quantized ones wrongly
without a word; a tied head becomes a tensor of its own, quantized.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
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
    chosen = {name: spec for name, spec in reader.config.modules.items() if _holds(format, spec)}
    if not chosen:
        raise ConfigError(f"{folder} has no module that the {format} format can hold", param="format")
    floats = [name for name in reader.config.modules if name not in chosen]
    writer = ShardWriter(out, max_shard_bytes)
    dtype = getattr(torch, str(config.get("dtype") or config.get("torch_dtype") or "bfloat16"))
    if format == "compressed-tensors":
        head = _tied_head(config, reader)
        config["quantization_config"] = _portable(reader, chosen, writer, dtype, head)
        if head is not None:
            config["tie_word_embeddings"] = False
    else:
        config["quantization_config"] = classic.config(format, chosen, _linears(reader, floats))
        version = 1 if config["quantization_config"].get("checkpoint_format", "gptq") == "gptq" else 2
        for name in chosen:
            weight = reader.module(name)
            made = classic.write_awq(weight) if format == "awq" else classic.write_gptq(weight, version=version)
            for part, tensor in made.items():
                writer.add(f"{name}.{part}", tensor)
    for name in floats:
        writer.add(f"{name}.weight", reader.module(name).dequantize(dtype))
    for name, tensor in _plain(reader):
        writer.add(name, tensor)
    writer.close()
    for pattern in _COPIED:
        for file in sorted(folder.glob(pattern)):
            if file.name not in ("config.json", INDEX, "compression.json"):
                shutil.copy(file, out / file.name)
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    return out


def portable_tensors(weight: QuantizedWeight, group_size: int) -> dict[str, Tensor]:
    """A linear in compressed-tensors' "pack-quantized" layout, codes in int4 boxes.

    Args:
        group_size: divides the weight's own; its scales are repeated.
    """
    spec = weight.spec
    repeat = spec.group_size // group_size
    packed = packing.pack_codes(weight.codes, 4)
    words = -(-spec.columns // 8)
    packed = torch.nn.functional.pad(packed, (0, words * 4 - packed.shape[1]))
    return {
        "weight_packed": packed.contiguous().view(torch.int32),
        "weight_scale": weight.scales.repeat_interleave(repeat, 1).contiguous(),
        "weight_shape": torch.tensor(spec.shape, dtype=torch.int64),
    }


def _portable(
    reader: MasterReader, chosen: dict[str, ModuleSpec], writer: ShardWriter, dtype: torch.dtype, head: str | None
) -> dict[str, Any]:
    held_specs = [*chosen.values(), *([reader.config.modules[head]] if head is not None else [])]
    group = math.gcd(*(spec.group_size for spec in held_specs))
    for name in chosen:
        for part, tensor in portable_tensors(reader.module(name), group).items():
            writer.add(f"{name}.{part}", tensor.to(dtype) if part == "weight_scale" else tensor)
    if head is not None:
        for part, tensor in portable_tensors(reader.module(head), group).items():
            writer.add(f"lm_head.{part}", tensor.to(dtype) if part == "weight_scale" else tensor)
    held = {*chosen, *(["lm_head"] if head is not None else [])}
    ignore = [name for name in _all_linears(reader) if name not in held]
    weights = {
        "num_bits": 4,
        "type": "int",
        "symmetric": True,
        "strategy": "group",
        "group_size": group,
        "dynamic": False,
        "observer": "minmax",
    }
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
        "ignore": sorted(ignore),
    }


def _tied_head(config: dict[str, Any], reader: MasterReader) -> str | None:
    """The embedding's module name if the head reads it."""
    text = config.get("text_config") or {}
    tied = bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", False)))
    names = [n for n, spec in reader.config.modules.items() if spec.kind == "embedding" and spec.symmetric]
    return names[0] if tied and names and reader.config.modules[names[0]].bits <= 4 else None


def _holds(format: str, spec: ModuleSpec) -> bool:
    if format == "compressed-tensors":
        return spec.kind == "linear" and spec.symmetric and spec.bits <= 4
    return classic.fits(format, spec)


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
