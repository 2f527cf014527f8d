"""Quantized copies of tiny models for the tests of the engine, and the float copies that they must equal."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from autoglm_phone.compress.algorithms.grid import absmax_grid
from autoglm_phone.compress.formats.master import MasterConfig, MasterReader, ModuleSpec, QuantizedWeight, ShardWriter


@dataclass(frozen=True)
class Widths:
    """bits of linears, of the embedding and of an untied head. group: columns that share a scale, if they divide."""

    bits: int
    embedding: int = 3
    symmetric: bool = False
    activation_bits: int | None = None
    group: int = 16


def group_of(columns: int, wanted: int) -> int:
    return next(size for size in range(min(wanted, columns), 0, -1) if columns % size == 0)


def rounded(
    weight: Tensor, kind: str, bits: int, symmetric: bool, activation_bits: int | None, group: int
) -> QuantizedWeight:
    """Round to nearest: what the engine runs need not be good, only known."""
    matrix = weight.float().flatten(1)
    size = group_of(matrix.shape[1], group)
    if activation_bits == 8:
        size = matrix.shape[1]
    spec = ModuleSpec(kind, bits, size, symmetric, tuple(weight.shape), activation_bits=activation_bits)  # type: ignore[arg-type]
    grid = absmax_grid(matrix, bits, size, symmetric=symmetric)
    return QuantizedWeight(spec, grid.quantize(matrix), grid.scales, grid.zeros)


def kind_of(name: str, tensor: Tensor) -> str | None:
    if not name.endswith(".weight"):
        return None
    if "embed_tokens" in name:
        return "embedding"
    if tensor.dim() > 2 and ".conv.weight" not in name:  # depthwise convolutions stay floats
        return "conv" if "visual" not in name else None
    if tensor.dim() == 2 and not any(part in name for part in ("media_embed", "position")):
        return "linear"
    return None


def write_quantized(
    source: Path,
    folder: Path,
    widths: Widths | Callable[[str], Widths],
    chosen: Callable[[str], bool] | None = None,
) -> Path:
    """A master made of every matrix of a plain checkpoint; widths may depend on a tensor's name."""
    widths_of = widths if callable(widths) else lambda _: widths
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors*"))
    writer, modules = ShardWriter(folder, 1 << 20), {}
    for shard in sorted(source.glob("*.safetensors")):
        for name, tensor in sorted(load_file(shard).items()):
            kind = kind_of(name, tensor)
            if kind is None or (chosen is not None and not chosen(name)):
                writer.add(name, tensor)
                continue
            given = widths_of(name)
            outer = kind == "embedding" or "lm_head" in name
            weight = rounded(
                tensor,
                kind,
                given.embedding if outer else given.bits,
                given.symmetric or outer,
                given.activation_bits if kind == "linear" and not outer else None,
                given.group,
            )
            module = name.removesuffix(".weight")
            modules[module] = weight.spec
            for part, held in weight.tensors(module).items():
                writer.add(part, held)
    sums = writer.close()
    edit(folder, quantization_config=MasterConfig(modules, sums).to_json())
    return folder


def edit(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def write_floats(master: Path, folder: Path) -> Path:
    """The float checkpoint that a master stands for, in float32."""
    shutil.copytree(master, folder, ignore=shutil.ignore_patterns("*.safetensors*"))
    raw = json.loads((folder / "config.json").read_text())
    del raw["quantization_config"]
    (folder / "config.json").write_text(json.dumps(raw))
    tensors = {name: tensor.contiguous().clone() for name, tensor in MasterReader(master).float_weights(torch.float32)}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
