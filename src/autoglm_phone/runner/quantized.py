"""Quantized checkpoints behind the names of a float one: `X.weight` of a quantized module is a `PackedWeight`.

Which format a folder holds is read from config.json's `quantization_config`, never guessed:

- "autoglm": our master (compress/formats/master.py); its checksums are compared before anything is read;
- "compressed-tensors", pack-quantized int4 or int8 in one symmetric group: what our portable export writes;
- "awq" (gemm) and "gptq": the classic layouts, turned into ours module by module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from autoglm_phone.backends.quantized import PackedWeight
from autoglm_phone.compress.formats import classic, master, packing
from autoglm_phone.errors import CheckpointError, ConfigError
from autoglm_phone.models.glm4v.configuration import read_json
from autoglm_phone.runner.checkpoint import Checkpoint
from autoglm_phone.runner.shards import ShardReader

_SUFFIXES = {
    "compressed-tensors": ("weight_packed", "weight_scale", "weight_shape"),
    "awq": ("qweight", "qzeros", "scales"),
    "gptq": ("qweight", "qzeros", "scales", "g_idx"),
}
_REFUSED = {
    "compressed-tensors": ("weight_zero_point", "weight_g_idx", "weight_global_scale", "input_scale"),
}
_SLICE = 512  # outputs that are turned from a classic layout into ours at once


class _Tensors(Protocol):
    def __contains__(self, name: str) -> bool: ...
    def get(self, name: str, shape: tuple[int, ...] | None = None) -> Tensor: ...


@dataclass(frozen=True)
class Stored:
    """How one module lies in the files. parts: suffixes of its tensors. read: those tensors → the weight."""

    kind: str  # linear, embedding or conv
    shape: tuple[int, ...]
    parts: tuple[str, ...]
    read: Callable[[Mapping[str, Tensor]], PackedWeight]


@dataclass(frozen=True)
class Quantization:
    """A folder's quantization. method: quant_method of config.json. words: what the files are, for messages.
    answers_to: values of --quantization that describe these files. config: quantization_config."""

    method: str
    words: str
    answers_to: frozenset[str]
    config: Mapping[str, Any]
    master: master.MasterConfig | None = None


def read_quantization(folder: Path) -> Quantization | None:
    """What config.json says; None for plain weights.

    Raises:
        CheckpointError: a format that is not read here, or not in this variant.
    """
    raw = read_json(folder / "config.json").get("quantization_config")
    if not isinstance(raw, Mapping) or not raw.get("quant_method"):
        return None
    method = str(raw["quant_method"])
    if method == master.METHOD:
        config = master.read_config(folder)
        if config is None:
            raise CheckpointError(f"{folder}/config.json: quantization_config is not readable")
        bits = _usual_bits(config)
        answers = {"int8"} if bits == 8 else {"awq", "gptq", "int4"}
        words = f"a master of autoglm-phone, mostly {bits}-bit"
        return Quantization(method, words, frozenset({*answers, method}), raw, config)
    if method == "compressed-tensors":
        bits = _portable_bits(folder, raw)
        return Quantization(method, f"compressed-tensors of {bits} bits", frozenset({method, f"int{bits}"}), raw)
    if method in ("awq", "gptq"):
        bits = _classic_bits(folder, method, raw)
        return Quantization(method, f"classic {method.upper()} of {bits} bits", frozenset({method, f"int{bits}"}), raw)
    raise CheckpointError(
        f"{folder} holds weights quantized by {method!r}, which this engine does not read; it reads autoglm, "
        "compressed-tensors, awq and gptq",
        param="model",
    )


def check_asked(folder: Path, found: Quantization | None, asked: str | None) -> None:
    """Does --quantization describe the files?

    Raises:
        ConfigError: it doesn't; the message says what the files are, or how to make such files.
    """
    if asked is None:
        return
    if found is None:
        if asked == "none":
            return
        recipe = "recipes/int8.yaml" if asked == "int8" else "recipes/int4.yaml"
        name = "mini" if folder.parent.name == "models" and folder.name == "mini" else str(folder)
        ready = '; or serve the bundled INT4 model with --quantized (in Python: model "mini-int4")'
        raise ConfigError(
            f"{folder.name} holds plain weights and quantization {asked!r} was asked for: make a quantized copy once "
            f"with `autoglm-phone compress --model {name} --recipe {recipe} --out <folder>` and pass that folder"
            + (ready if name == "mini" and asked != "int8" else ""),
            param="quantization",
        )
    if asked not in found.answers_to:
        raise ConfigError(
            f"quantization {asked!r} was asked for, but the files of {folder.name} are {found.words}; leave the flag "
            "out, as the engine recognizes them by itself",
            param="quantization",
        )


def open_weights(
    folder: Path, found: Quantization | None, rename: Callable[[str], str] | None = None
) -> Checkpoint | QuantizedCheckpoint:
    """The folder's tensors, plain or packed.

    Raises:
        CheckpointError: a shard is missing, truncated, or not the one whose checksum config.json holds; it is named.
    """
    checkpoint = Checkpoint(folder, rename)
    if found is None:
        return checkpoint
    if found.master is not None:
        master.verify(folder, found.master)
        table = _master_table(found.master, rename)
    else:
        table = _public_table(folder, checkpoint, found)
    return QuantizedCheckpoint(checkpoint, table)


class QuantizedCheckpoint:
    """As a Checkpoint (or, from `reader`, a ShardReader), but weights of quantized modules come packed."""

    def __init__(self, stored: Checkpoint | ShardReader, table: Mapping[str, Stored]):
        self._stored, self._table = stored, table
        parts = {f"{name}.{part}" for name, module in table.items() for part in module.parts}
        self._names = [name for name in stored.names() if name not in parts]
        self._names += [f"{name}.weight" for name in table]
        self._known = frozenset(self._names)

    def names(self) -> Iterable[str]:
        return self._names

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def quantized(self, prefix: str) -> dict[str, tuple[int, ...]]:
        """Linears under a prefix (taken off) that come packed, with their shapes."""
        return {
            name[len(prefix) :]: module.shape
            for name, module in self._table.items()
            if name.startswith(prefix) and module.kind != "conv"
        }

    def get(self, name: str, shape: tuple[int, ...] | None = None) -> Any:
        """As Checkpoint.get; a PackedWeight for a quantized linear or embedding, floats for a convolution."""
        module = self._table.get(name.removesuffix(".weight"))
        if module is None or not name.endswith(".weight"):
            return self._stored.get(name, shape)
        if shape is not None and module.shape != shape:
            raise CheckpointError(f"{name} is quantized from shape {module.shape}; config.json asks for {shape}")
        stem = name.removesuffix("weight")
        tensors = {part: self._stored.get(stem + part) for part in module.parts if stem + part in self._stored}
        weight = module.read(tensors)
        return weight.dequantize().view(module.shape) if module.kind == "conv" else weight

    def under(self, prefix: str) -> dict[str, Any]:
        """As Checkpoint.under, with packed weights."""
        return {name[len(prefix) :]: self.get(name) for name in self._names if name.startswith(prefix)}

    def nbytes(self, prefix: str, dtype: torch.dtype) -> int:
        """As ShardReader.nbytes; convolutions count as the floats that they become, 3-bit codes as they are stored."""
        if not isinstance(self._stored, ShardReader):
            raise TypeError("sizes are read from a reader of shards")
        total = self._stored.nbytes(prefix, dtype)
        for name, module in self._table.items():
            if name.startswith(prefix) and module.kind == "conv":
                elements = 1
                for size in module.shape:
                    elements *= size
                total += elements * dtype.itemsize - sum(
                    self._stored.nbytes(f"{name}.{part}", dtype) for part in module.parts
                )
        return total

    def reader(self) -> QuantizedCheckpoint:
        """The same weights, read from the files at every call."""
        stored = self._stored
        return self if isinstance(stored, ShardReader) else QuantizedCheckpoint(ShardReader(stored), self._table)


def reader(checkpoint: Checkpoint | QuantizedCheckpoint) -> ShardReader | QuantizedCheckpoint:
    """For what is loaded long after start-up."""
    return checkpoint.reader() if isinstance(checkpoint, QuantizedCheckpoint) else ShardReader(checkpoint)


def _usual_bits(config: master.MasterConfig) -> int:
    """The width of most weights of linears."""
    counts: dict[int, int] = {}
    for spec in config.modules.values():
        if spec.kind == "linear":
            counts[spec.bits] = counts.get(spec.bits, 0) + spec.rows * spec.columns
    return max(counts, key=lambda bits: counts[bits]) if counts else 4


def _master_table(config: master.MasterConfig, rename: Callable[[str], str] | None) -> dict[str, Stored]:
    table = {}
    for disk, spec in config.modules.items():
        name = (rename(disk + ".weight") if rename else disk + ".weight").removesuffix(".weight")
        table[name] = Stored(spec.kind, spec.shape, master.PARTS, _master_reader(name, spec))
    return table


def _master_reader(name: str, spec: master.ModuleSpec) -> Callable[[Mapping[str, Tensor]], PackedWeight]:
    wanted = {
        "qweight": (torch.uint8, (spec.rows, packing.packed_width(spec.columns, spec.bits))),
        "scales": (master.SCALE_DTYPES[spec.scale_dtype], (spec.rows, spec.groups)),
    }
    if not spec.symmetric:
        wanted["zeros"] = (torch.uint8, (spec.rows, packing.packed_width(spec.groups, spec.bits)))

    def read(tensors: Mapping[str, Tensor]) -> PackedWeight:
        for part, (dtype, shape) in wanted.items():
            _fits(f"{name}.{part}", tensors.get(part), dtype, shape)
        zeros = None if spec.symmetric else tensors["zeros"]
        return PackedWeight(spec.bits, spec.columns, tensors["qweight"], tensors["scales"], zeros, spec.activation_bits)

    return read


def _fits(name: str, tensor: Tensor | None, dtype: torch.dtype | None, shape: tuple[int, ...]) -> Tensor:
    if tensor is None:
        raise CheckpointError(f"tensor {name} is missing: the checkpoint is incomplete")
    if tuple(tensor.shape) != shape or (dtype is not None and tensor.dtype != dtype):
        raise CheckpointError(
            f"tensor {name} is {tensor.dtype} {tuple(tensor.shape)}; config.json asks for {dtype or 'floats'} {shape}"
        )
    return tensor


def _portable_bits(folder: Path, raw: Mapping[str, Any]) -> int:
    groups = raw.get("config_groups")
    if raw.get("format") != "pack-quantized" or not isinstance(groups, Mapping) or len(groups) != 1:
        raise CheckpointError(
            f"{folder}: of compressed-tensors this engine reads the pack-quantized format with one group, not "
            f"{raw.get('format')!r} with {len(groups) if isinstance(groups, Mapping) else 0}"
        )
    scheme = next(iter(groups.values()))
    weights = scheme.get("weights") if isinstance(scheme, Mapping) else None
    weights = weights if isinstance(weights, Mapping) else {}
    symmetric, bits = weights.get("symmetric", True), weights.get("num_bits")
    whole = weights.get("strategy") in ("group", "channel") and weights.get("type", "int") == "int"
    if bits not in (4, 8) or not symmetric or not whole or scheme.get("input_activations"):
        raise CheckpointError(
            f"{folder}: of compressed-tensors this engine reads symmetric int4 and int8 weights in groups or by row, "
            f"with float inputs; these are {dict(weights)}"
        )
    return int(bits)


def _classic_bits(folder: Path, method: str, raw: Mapping[str, Any]) -> int:
    bits, version = raw.get("bits"), str(raw.get("version", "gemm")).lower()
    if method == "awq" and (bits != 4 or version != "gemm"):
        raise CheckpointError(f"{folder}: of AWQ this engine reads 4 bits, version gemm; not {bits} bits, {version}")
    if method == "gptq" and (
        bits not in packing.BITS or raw.get("checkpoint_format", "gptq") not in ("gptq", "gptq_v2")
    ):
        raise CheckpointError(
            f"{folder}: of GPTQ this engine reads 2, 3, 4 or 8 bits, checkpoint_format gptq or gptq_v2; not "
            f"{bits} bits, {raw.get('checkpoint_format')!r}"
        )
    return int(bits)  # type: ignore[arg-type]


def _public_table(folder: Path, checkpoint: Checkpoint, found: Quantization) -> dict[str, Stored]:
    """Modules are found by their tensors: public formats do not list them."""
    parts = _SUFFIXES[found.method]
    main = "." + parts[0]
    table = {}
    for stored in list(checkpoint.names()):
        if not stored.endswith(main):
            continue
        name = stored.removesuffix(main)
        for part in _REFUSED.get(found.method, ()):
            if f"{name}.{part}" in checkpoint:
                raise CheckpointError(f"{folder}: {name} has a {part}, which this engine does not read")
        if found.method == "compressed-tensors":
            table[name] = _portable(name, checkpoint, parts, found)
        else:
            table[name] = _classic(name, checkpoint, parts, found)
    if not table:
        raise CheckpointError(
            f"{folder}: config.json says {found.words}, but no tensor is called *{main}; the files belong to another "
            "model, or the download is incomplete"
        )
    return table


def _portable(name: str, checkpoint: Checkpoint, parts: tuple[str, ...], found: Quantization) -> Stored:
    bits = 8 if "int8" in found.answers_to else 4
    rows, columns = (int(size) for size in checkpoint.get(name + ".weight_shape").tolist())

    def read(tensors: Mapping[str, Tensor]) -> PackedWeight:
        words = -(-columns * bits // 32)
        packed = _fits(name + ".weight_packed", tensors.get("weight_packed"), torch.int32, (rows, words))
        scales = tensors.get("weight_scale")
        groups = 1 if scales is None or scales.dim() < 2 else scales.shape[1]
        scales = _fits(name + ".weight_scale", scales, None, (rows, groups))
        if columns % groups:
            raise CheckpointError(f"{name}: {groups} groups do not divide {columns} columns")
        codes = packed.contiguous().view(torch.uint8)[:, : packing.packed_width(columns, bits)].contiguous()
        return PackedWeight(bits, columns, codes, scales)

    return Stored("linear", (rows, columns), parts, read)


def _classic(name: str, checkpoint: Checkpoint, parts: tuple[str, ...], found: Quantization) -> Stored:
    bits = int(found.config["bits"])
    qweight, scales = checkpoint.get(name + ".qweight"), checkpoint.get(name + ".scales")  # mapped, not read
    columns = qweight.shape[0] if found.method == "awq" else qweight.shape[0] * 32 // bits
    rows = scales.shape[1]
    version = 2 if found.config.get("checkpoint_format") == "gptq_v2" else 1

    def read(tensors: Mapping[str, Tensor]) -> PackedWeight:
        missing = [part for part in ("qweight", "qzeros", "scales") if part not in tensors]
        if missing:
            raise CheckpointError(f"tensor {name}.{missing[0]} is missing: the checkpoint is incomplete")
        pieces = []
        for start in range(0, rows, _SLICE):
            end = min(rows, start + _SLICE)
            word = slice(start * bits // 32, end * bits // 32)
            part = {"qzeros": tensors["qzeros"][:, word], "scales": tensors["scales"][:, start:end]}
            if found.method == "awq":
                pieces.append(classic.read_awq({**part, "qweight": tensors["qweight"][:, word]}))
            else:
                index = {"g_idx": tensors["g_idx"]} if "g_idx" in tensors else {}
                part["qweight"] = tensors["qweight"][:, start:end]
                pieces.append(classic.read_gptq({**part, **index}, bits, version=version))
        codes = torch.cat([packing.pack_codes(piece.codes, bits) for piece in pieces])
        scales = torch.cat([piece.scales for piece in pieces])
        zeros = None
        if any(piece.zeros is not None for piece in pieces):
            empty = [torch.zeros_like(p.scales, dtype=torch.int8) if p.zeros is None else p.zeros for p in pieces]
            zeros = packing.pack_codes(torch.cat(empty), bits)
        return PackedWeight(bits, columns, codes, scales, zeros)

    return Stored("linear", (rows, columns), parts, read)
