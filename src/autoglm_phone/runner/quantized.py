"""Quantized checkpoints behind the names of a float one: `X.weight` of a quantized module is a `PackedWeight`.

Which format a folder holds is read from config.json's `quantization_config`, never guessed:

- "autoglm": our master (compress/formats/master.py); its checksums are compared before anything is read;
- "compressed-tensors", "awq" and "gptq": as `public_formats` says; of our own exports the index has checksums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autoglm_phone.backends.quantized import PackedWeight
from autoglm_phone.compress.formats import master, packing
from autoglm_phone.errors import CheckpointError, ConfigError
from autoglm_phone.runner import public_formats
from autoglm_phone.runner.checkpoint import Checkpoint
from autoglm_phone.runner.public_formats import Stored, fits
from autoglm_phone.runner.shards import ShardReader


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
    raw = public_formats.declared(folder)
    if raw is None:
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
        bits = public_formats.portable_bits(folder, raw)
        return Quantization(method, f"compressed-tensors of {bits} bits", frozenset({method, f"int{bits}"}), raw)
    if method in ("awq", "gptq"):
        bits = public_formats.classic_bits(folder, method, raw)
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
        CheckpointError: a shard is missing, truncated, or not the one whose checksum config.json (or, of an export, the
            index) holds; it is named.
    """
    checkpoint = Checkpoint(folder, rename)
    if found is None:
        return checkpoint
    if found.master is not None:
        master.verify(folder, found.master)
        table = _master_table(found.master, rename)
    else:
        master.verify_sums(folder, master.index_sums(folder), master.INDEX)
        table = public_formats.table(folder, checkpoint, found.method, found.config)
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
            fits(f"{name}.{part}", tensors.get(part), dtype, shape)
        zeros = None if spec.symmetric else tensors["zeros"]
        return PackedWeight(spec.bits, spec.columns, tensors["qweight"], tensors["scales"], zeros, spec.activation_bits)

    return read
