"""Quantized checkpoints of other programs: compressed-tensors, AWQ and GPTQ folders, as packed weights by module.

- "compressed-tensors" (llm-compressor, our portable export): pack-quantized int4 and int8 in groups or by row, with or
  without zero points, and "int-quantized" int8 by row with inputs in 8 bits, token by token;
- "awq" (AutoAWQ, GPTQModel): 4 bits, version gemm;
- "gptq" (AutoGPTQ, GPTQModel): 2, 3, 4 or 8 bits; also where single modules have bits of their own ("dynamic") and
  where inputs belong to scattered groups (desc_act).

Other programs write no checksums; what does not fit together is named by tensor and shard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autoglm_phone.backends.quantized import PackedWeight
from autoglm_phone.compress.formats import classic, packing
from autoglm_phone.errors import CheckpointError
from autoglm_phone.models.glm4v.configuration import read_json
from autoglm_phone.runner.checkpoint import Checkpoint

# Older programs left config.json alone and wrote these: file → method.
_SIDE_FILES = {"quantize_config.json": "gptq", "quant_config.json": "awq"}
_CLASSIC = ("qweight", "qzeros", "scales", "g_idx")
_PACKED = ("weight_packed", "weight_scale", "weight_shape", "weight_zero_point", "weight_g_idx")
_WHOLE = ("weight", "weight_scale")  # of an int-quantized linear
_UNREAD = ("weight_global_scale", "input_scale", "input_zero_point")
_SLICE = 512  # outputs that are turned from a classic layout into ours at once


@dataclass(frozen=True)
class Stored:
    """How one module lies in the files. parts: suffixes of its tensors. read: those tensors → the weight."""

    kind: str  # linear, embedding or conv
    shape: tuple[int, ...]
    parts: tuple[str, ...]
    read: Callable[[Mapping[str, Tensor]], PackedWeight]


def declared(folder: Path) -> Mapping[str, Any] | None:
    """A folder's quantization_config with its quant_method; None for plain weights.

    Raises:
        CheckpointError: a file that should say it does not.
    """
    raw = read_json(folder / "config.json").get("quantization_config")
    if isinstance(raw, Mapping) and raw.get("quant_method"):
        return raw
    for name, method in _SIDE_FILES.items():
        if (folder / name).is_file():
            raw = read_json(folder / name)
            return {**raw, "quant_method": raw.get("quant_method") or method}
    return None


def portable_bits(folder: Path, raw: Mapping[str, Any]) -> int:
    """The width of a compressed-tensors checkpoint (the largest of its groups').

    Raises:
        CheckpointError: a variant that is not read here; says which.
    """
    groups = raw.get("config_groups")
    format = raw.get("format")
    if format not in ("pack-quantized", "int-quantized") or not isinstance(groups, Mapping) or not groups:
        raise CheckpointError(
            f"{folder}: of compressed-tensors this engine reads the formats pack-quantized and int-quantized, not "
            f"{format!r} with {len(groups) if isinstance(groups, Mapping) else 0} groups"
        )
    widths = []
    for name, scheme in groups.items():
        scheme = scheme if isinstance(scheme, Mapping) else {}
        weights = scheme.get("weights")
        weights = weights if isinstance(weights, Mapping) else {}
        bits: Any = weights.get("num_bits")
        whole = weights.get("strategy") in ("group", "channel") and weights.get("type", "int") == "int"
        known = (4, 8) if format == "pack-quantized" else (8,)
        inputs = scheme.get("input_activations")
        if bits not in known or not whole or scheme.get("format", format) != format:
            raise CheckpointError(
                f"{folder}: of compressed-tensors {format} this engine reads int{' and int'.join(map(str, known))} "
                f"weights in groups or by row; group {name!r} has {dict(weights)}"
            )
        if (inputs is not None) if format == "pack-quantized" else not _dynamic_int8(inputs):
            raise CheckpointError(
                f"{folder}: of compressed-tensors {format} this engine reads "
                + ("float inputs" if format == "pack-quantized" else "inputs in 8 symmetric bits, token by token")
                + f"; group {name!r} has {inputs}"
            )
        widths.append(int(bits))
    return max(widths)


def _dynamic_int8(inputs: Any) -> bool:
    if not isinstance(inputs, Mapping):
        return False
    wanted = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True}
    return all(inputs.get(key, wanted[key] if key == "type" else None) == value for key, value in wanted.items())


def classic_bits(folder: Path, method: str, raw: Mapping[str, Any]) -> int:
    """The width of an AWQ or GPTQ checkpoint.

    Raises:
        CheckpointError: a variant that is not read here; says which.
    """
    bits: Any = raw.get("bits", raw.get("w_bit"))
    if method == "awq":
        version = str(raw.get("version") or raw.get("checkpoint_format") or "gemm").lower()
        if bits != 4 or version != "gemm":
            raise CheckpointError(
                f"{folder}: of AWQ this engine reads 4 bits, version gemm; not {bits} bits, {version}"
            )
    elif bits not in packing.BITS or _gptq_form(raw) not in ("gptq", "gptq_v2"):
        raise CheckpointError(
            f"{folder}: of GPTQ this engine reads 2, 3, 4 or 8 bits, checkpoint_format gptq or gptq_v2; not "
            f"{bits} bits, {_gptq_form(raw)!r}"
        )
    return int(bits)


def _gptq_form(raw: Mapping[str, Any]) -> str:
    return str(raw.get("checkpoint_format") or raw.get("format") or "gptq")


def table(folder: Path, checkpoint: Checkpoint, method: str, raw: Mapping[str, Any]) -> dict[str, Stored]:
    """Every quantized module by its tensors' stem: public formats do not list them.

    Raises:
        CheckpointError: tensors that are missing or do not fit together, named with their shard.
    """
    main = "qweight" if method in ("awq", "gptq") else "weight_packed"
    if method == "compressed-tensors" and raw.get("format") == "int-quantized":
        main = "weight_scale"
    found = {}
    for name in [n.removesuffix(f".{main}") for n in checkpoint.names() if n.endswith(f".{main}")]:
        for part in _UNREAD:
            if f"{name}.{part}" in checkpoint:
                raise CheckpointError(f"{folder}: {name} has a {part}, which this engine does not read")
        if main == "qweight":
            found[name] = _classic(name, checkpoint, method, raw)
        elif main == "weight_packed":
            found[name] = _portable(name, checkpoint, raw)
        else:
            found[name] = _whole(name, checkpoint)
    if not found:
        raise CheckpointError(
            f"{folder}: config.json says {method}, but no tensor is called *.{main}; the files belong to another "
            "model, or the download is incomplete"
        )
    return found


def fits(name: str, tensor: Tensor | None, dtype: torch.dtype | None, shape: tuple[int, ...]) -> Tensor:
    """The tensor, checked. dtype None: any floats.

    Raises:
        CheckpointError: it is missing, or of another type or shape.
    """
    if tensor is None:
        raise CheckpointError(f"tensor {name} is missing: the checkpoint is incomplete")
    kind = tensor.dtype.is_floating_point if dtype is None else tensor.dtype == dtype
    if tuple(tensor.shape) != shape or not kind:
        raise CheckpointError(
            f"tensor {name} is {tensor.dtype} {tuple(tensor.shape)}; config.json asks for {dtype or 'floats'} {shape}"
        )
    return tensor


def _part(checkpoint: Checkpoint, name: str, part: str, dtype: torch.dtype | None, dims: int) -> Tensor:
    """A tensor of a module (mapped, not read), checked for what can be said of it alone."""
    full = f"{name}.{part}"
    if full not in checkpoint:
        raise CheckpointError(f"tensor {full} is missing: a shard of {checkpoint.folder} was left out")
    tensor = checkpoint.get(full)
    kind = tensor.dtype.is_floating_point if dtype is None else tensor.dtype == dtype
    if tensor.dim() != dims or not kind:
        raise _unfit(checkpoint, name, f"{part} is {tensor.dtype} {tuple(tensor.shape)}", part)
    return tensor


def _unfit(checkpoint: Checkpoint, name: str, why: str, part: str) -> CheckpointError:
    shard = checkpoint.where(f"{name}.{part}")[0]
    return CheckpointError(
        f"the tensors of {name} do not fit together ({why}): {shard} is damaged or not what config.json says"
    )


def _portable(name: str, checkpoint: Checkpoint, raw: Mapping[str, Any]) -> Stored:
    packed = _part(checkpoint, name, "weight_packed", torch.int32, 2)
    if f"{name}.weight_shape" not in checkpoint or checkpoint.get(f"{name}.weight_shape").shape != (2,):
        raise _unfit(checkpoint, name, "weight_shape is missing or no shape of a matrix", "weight_packed")
    rows, columns = (int(size) for size in checkpoint.get(f"{name}.weight_shape").tolist())
    scales = _part(checkpoint, name, "weight_scale", None, 2)
    groups = scales.shape[1]
    bits = next((b for b in (4, 8) if packed.shape == (rows, -(-columns * b // 32))), None)
    if bits is None or groups < 1 or columns % groups or scales.shape[0] != rows:
        raise _unfit(checkpoint, name, f"{tuple(packed.shape)} words, {tuple(scales.shape)} scales", "weight_packed")
    asymmetric = f"{name}.weight_zero_point" in checkpoint
    promised = {scheme["weights"].get("symmetric", True) for scheme in raw["config_groups"].values()}
    if promised == {asymmetric}:
        said = "has" if asymmetric else "lacks"
        raise _unfit(checkpoint, name, f"it {said} weight_zero_point, against config.json", "weight_packed")
    if asymmetric:
        points = _part(checkpoint, name, "weight_zero_point", torch.int32, 2)
        if tuple(points.shape) != (-(-rows * bits // 32), groups):
            raise _unfit(checkpoint, name, f"zero points {tuple(points.shape)}", "weight_zero_point")
    order = _order(name, checkpoint, "weight_g_idx", columns, groups)

    def read(tensors: Mapping[str, Tensor]) -> PackedWeight:
        width = packing.packed_width(columns, bits)
        codes = tensors["weight_packed"].contiguous().view(torch.uint8)[:, :width].contiguous()
        zeros = None
        if asymmetric:  # packed down the rows
            stream = tensors["weight_zero_point"].T.contiguous().view(torch.uint8)
            points = packing.unpack_codes(stream[:, : packing.packed_width(rows, bits)].contiguous(), bits, rows)
            zeros = packing.pack_codes(points.T.contiguous(), bits)
        if order is not None:
            codes = packing.pack_codes(packing.unpack_codes(codes, bits, columns)[:, order], bits)
        return PackedWeight(bits, columns, codes, tensors["weight_scale"], zeros, order=order)

    return Stored("linear", (rows, columns), _PACKED, read)


def _whole(name: str, checkpoint: Checkpoint) -> Stored:
    """Int8 weights as they are, inputs in 8 bits."""
    weight = _part(checkpoint, name, "weight", torch.int8, 2)
    rows, columns = weight.shape
    scales = _part(checkpoint, name, "weight_scale", None, 2)
    if scales.shape[0] != rows or scales.shape[1] < 1 or columns % scales.shape[1]:
        raise _unfit(checkpoint, name, f"{tuple(weight.shape)} codes, {tuple(scales.shape)} scales", "weight_scale")

    def read(tensors: Mapping[str, Tensor]) -> PackedWeight:
        codes = tensors["weight"].contiguous().view(torch.uint8) ^ 128
        return PackedWeight(8, columns, codes, tensors["weight_scale"], activation_bits=8)

    return Stored("linear", (rows, columns), _WHOLE, read)


def _classic(name: str, checkpoint: Checkpoint, method: str, raw: Mapping[str, Any]) -> Stored:
    qweight = _part(checkpoint, name, "qweight", torch.int32, 2)
    qzeros = _part(checkpoint, name, "qzeros", torch.int32, 2)
    scales = _part(checkpoint, name, "scales", None, 2)
    bits = classic_bits(checkpoint.folder, method, raw)
    groups, rows = scales.shape
    if method == "awq":
        columns, whole = qweight.shape[0], qweight.shape[1] * 8 == rows
    else:
        columns = qweight.shape[0] * 32 // bits
        if f"{name}.g_idx" in checkpoint:  # says how many inputs there are, and so the bits of a "dynamic" module
            columns = checkpoint.get(f"{name}.g_idx").shape[0]
            bits = next((b for b in packing.BITS if columns * b == qweight.shape[0] * 32), 0)
        own = bits == int(raw.get("bits", 0)) or bool(raw.get("dynamic"))
        whole = bits > 0 and own and qweight.shape[1] == rows
    if not whole or groups < 1 or columns % groups or tuple(qzeros.shape) != (groups, rows * bits // 32):
        shapes = f"qweight {tuple(qweight.shape)}, qzeros {tuple(qzeros.shape)}, scales {tuple(scales.shape)}"
        raise _unfit(checkpoint, name, shapes, "qweight")
    version = 2 if _gptq_form(raw) == "gptq_v2" else 1
    order = _order(name, checkpoint, "g_idx", columns, groups) if method == "gptq" else None

    def read(tensors: Mapping[str, Tensor]) -> PackedWeight:
        pieces = []
        for start in range(0, rows, _SLICE):
            end = min(rows, start + _SLICE)
            word = slice(start * bits // 32, end * bits // 32)
            part = {"qzeros": tensors["qzeros"][:, word], "scales": tensors["scales"][:, start:end]}
            if method == "awq":
                pieces.append(classic.read_awq({**part, "qweight": tensors["qweight"][:, word]}))
            else:
                part["qweight"] = tensors["qweight"][:, start:end]
                pieces.append(classic.read_gptq(part, bits, version=version))
        chosen = slice(None) if order is None else order
        codes = torch.cat([packing.pack_codes(piece.codes[:, chosen], bits) for piece in pieces])
        scales = torch.cat([piece.scales for piece in pieces])
        zeros = None
        if any(piece.zeros is not None for piece in pieces):
            empty = [torch.zeros_like(p.scales, dtype=torch.int8) if p.zeros is None else p.zeros for p in pieces]
            zeros = packing.pack_codes(torch.cat(empty), bits)
        return PackedWeight(bits, columns, codes, scales, zeros, order=order)

    return Stored("linear", (rows, columns), _CLASSIC, read)


def _order(name: str, checkpoint: Checkpoint, part: str, columns: int, groups: int) -> Tensor | None:
    """Inputs in the order of their groups, long [columns]; None where they lie so already.

    Raises:
        CheckpointError: groups of unequal size, which nobody writes.
    """
    if f"{name}.{part}" not in checkpoint:
        return None
    index = checkpoint.get(f"{name}.{part}").long()
    size = columns // groups
    if bool((index < 0).all()) or torch.equal(index, torch.arange(columns) // size):
        return None  # -1: compressed-tensors' word for "as they lie"
    sizes = index.clamp_min(0).bincount(minlength=groups)
    if index.shape != (columns,) or bool((index < 0).any()) or sizes.tolist() != [size] * groups:
        raise _unfit(checkpoint, name, f"{part} does not share {columns} inputs among {groups} groups", part)
    return index.argsort(stable=True)
