"""Folders as AutoAWQ and GPTQModel write them, made here word by word from the formats' descriptions, and float copies.

Nothing of our own packing is used: a mistake in it must show.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


@dataclass(frozen=True)
class Rounded:
    """codes, points: unsigned, int64 [in, out] and [groups, out]; scales float16 [groups, out]; index: group of each
    input."""

    codes: np.ndarray
    points: np.ndarray
    scales: np.ndarray
    index: np.ndarray

    def floats(self) -> Tensor:
        """The weight [out, in] that they stand for."""
        values = (self.codes - self.points[self.index]) * self.scales[self.index].astype(np.float32)
        return torch.from_numpy(values.T.astype(np.float32).copy())


def rounded(weight: Tensor, bits: int, group: int, *, symmetric: bool, scattered: bool, seed: int = 0) -> Rounded:
    """Round to the nearest; scattered: which input belongs to which group is drawn."""
    matrix = weight.float().numpy().T
    groups, top = matrix.shape[0] // group, (1 << bits) - 1
    index = np.arange(matrix.shape[0]) // group
    if scattered:
        np.random.default_rng(seed).shuffle(index)
    scales, points = np.zeros((2, groups, matrix.shape[1]))
    for g in range(groups):
        part = matrix[index == g]
        if symmetric:
            scales[g], points[g] = 2 * np.abs(part).max(0) / top, (top + 1) // 2
        else:
            low, high = np.minimum(part.min(0), 0), np.maximum(part.max(0), 0)
            scales[g] = (high - low) / top
            points[g] = np.clip(np.round(-low / scales[g]), 1, top)
    scales = scales.astype(np.float16)
    codes = np.clip(np.round(matrix / scales[index].astype(np.float32) + points[index]), 0, top)
    return Rounded(codes.astype(np.int64), points.astype(np.int64), scales, index)


def awq_tensors(made: Rounded) -> dict[str, Tensor]:
    """AutoAWQ's WQLinear_GEMM: eight outputs a word, interleaved."""

    def pack(codes: np.ndarray) -> Tensor:
        words = np.zeros((codes.shape[0], codes.shape[1] // 8), dtype=np.uint32)
        for column in range(words.shape[1]):
            for place, output in enumerate(AWQ_ORDER):
                words[:, column] |= (codes[:, column * 8 + output] << (4 * place)).astype(np.uint32)
        return torch.from_numpy(words.view(np.int32))

    return {"qweight": pack(made.codes), "qzeros": pack(made.points), "scales": torch.from_numpy(made.scales)}


def gptq_tensors(made: Rounded, bits: int, version: int) -> dict[str, Tensor]:
    """GPTQModel's linears: bit streams down the inputs; zero points less one in version 1."""

    def pack_rows(codes: np.ndarray) -> np.ndarray:
        rows, columns = codes.shape
        stream = np.zeros((rows * bits, columns), dtype=np.uint8)
        for bit in range(bits):
            stream[bit::bits] = (codes >> bit) & 1
        words = stream.reshape(rows * bits // 32, 32, columns).astype(np.uint64)
        return (words << np.arange(32, dtype=np.uint64)[None, :, None]).sum(1).astype(np.uint32).view(np.int32)

    points = made.points - 1 if version == 1 else made.points
    return {
        "qweight": torch.from_numpy(pack_rows(made.codes)),
        "qzeros": torch.from_numpy(np.ascontiguousarray(pack_rows(points.T.copy()).T)),
        "scales": torch.from_numpy(made.scales),
        "g_idx": torch.from_numpy(made.index.astype(np.int32)),
    }


@dataclass(frozen=True)
class Recipe:
    """How to write a folder. bits_of: name of a module → its bits. split: gate and up apart, as GPTQModel has them."""

    method: str
    bits: int = 4
    group: int = 32
    symmetric: bool = False
    scattered: bool = False
    version: int = 1
    split: bool = False
    bits_of: Callable[[str], int] | None = None
    config: dict[str, Any] = field(default_factory=dict)


def is_linear(name: str, tensor: Tensor) -> bool:
    """The decoder's linears with whole groups of 32."""
    inside = ".layers." in name and name.endswith("_proj.weight") and "cross_attn" not in name
    return inside and tensor.dim() == 2 and tensor.shape[1] % 32 == 0 and tensor.shape[0] % 32 == 0


def write_folders(source: Path, folder: Path, recipe: Recipe) -> tuple[Path, Path]:
    """(the quantized folder, the float folder that it stands for)."""
    quantized, floats = folder / "quantized", folder / "floats"
    for made in (quantized, floats):
        shutil.copytree(source, made, ignore=shutil.ignore_patterns("*.safetensors*"))
    packed: dict[str, Tensor] = {}
    plain: dict[str, Tensor] = {}
    for shard in sorted(source.glob("*.safetensors")):
        for name, tensor in sorted(load_file(shard).items()):
            parts = {name: tensor}
            if recipe.split and name.endswith("gate_up_proj.weight") and ".layers." in name:
                half = tensor.shape[0] // 2
                parts = {
                    name.replace("gate_up_proj", "gate_proj"): tensor[:half],
                    name.replace("gate_up_proj", "up_proj"): tensor[half:],
                }
            for part, weight in parts.items():
                if not is_linear(part, weight):
                    packed[part] = plain[part] = weight.float().contiguous()
                    continue
                module = part.removesuffix(".weight")
                bits = recipe.bits_of(module) if recipe.bits_of else recipe.bits
                # Inputs that several linears share are ordered alike, as one Hessian orders them.
                seed = 1 if any(q in part for q in ("q_proj", "k_proj", "v_proj")) else 2
                made = rounded(
                    weight, bits, recipe.group, symmetric=recipe.symmetric, scattered=recipe.scattered, seed=seed
                )
                plain[part] = made.floats()
                tensors = awq_tensors(made) if recipe.method == "awq" else gptq_tensors(made, bits, recipe.version)
                packed |= {f"{module}.{suffix}": tensor.contiguous() for suffix, tensor in tensors.items()}
    save_file(packed, quantized / "model.safetensors", metadata={"format": "pt"})
    save_file({name: t.contiguous() for name, t in plain.items()}, floats / "model.safetensors", {"format": "pt"})
    base: dict[str, Any] = {"quant_method": recipe.method, "bits": recipe.bits, "group_size": recipe.group}
    if recipe.method == "awq":
        base |= {"zero_point": True, "version": "gemm", "modules_to_not_convert": ["visual"]}
    else:
        form = "gptq" if recipe.version == 1 else "gptq_v2"
        base |= {"sym": recipe.symmetric, "desc_act": recipe.scattered, "checkpoint_format": form, "lm_head": False}
        base |= {"pack_dtype": "int32", "meta": {"quantizer": ["gptqmodel:7.6.0"]}}
    write_config(quantized, {**base, **recipe.config})
    return quantized, floats


def write_config(folder: Path, quantization: dict[str, Any] | None) -> None:
    path = folder / "config.json"
    raw = json.loads(path.read_text())
    raw.pop("quantization_config", None)
    path.write_text(json.dumps(raw if quantization is None else {**raw, "quantization_config": quantization}))
