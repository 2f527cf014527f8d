"""Reads tensors from safetensors files long after start-up: towers and segments that come and go.

A checkpoint's mapping is right at start-up, when everything is read once. Later it is dangerous: a mapped file that
somebody truncates kills the whole process (SIGBUS) at the next touch. Here bytes are read with `preadv` into the
tensor's own memory, so a file that vanished, shrank or changed its layout is a typed error, and a warm page cache still
makes reading a copy. Format: https://huggingface.co/docs/safetensors (8 bytes length, JSON header, data).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autoglm_phone.errors import CheckpointError
from autoglm_phone.runner.checkpoint import Checkpoint

logger = logging.getLogger(__name__)

MAX_HEADER = 100 << 20  # the format's own bound in bytes
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8,
    "U16": torch.uint16, "U32": torch.uint32, "U64": torch.uint64, "BOOL": torch.bool, "C64": torch.complex64,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "F8_E8M0": torch.float8_e8m0fnu,
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A tensor in a file: `start` and `end` are byte offsets from the file's beginning."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    end: int


class Shard:
    """One safetensors file as it was at start-up; each read opens it anew.

    Raises:
        CheckpointError: the file is missing or is no safetensors file.
    """

    def __init__(self, path: Path):
        self.path = path
        with _open(path) as file:
            header, self._digest = _header(file.fileno(), path)
            self._size = os.fstat(file.fileno()).st_size
            self._stamp = _stamp(file.fileno())
        base = 8 + len(header)
        # A tensor of a type that torch lacks is nobody's business until somebody asks for it.
        self.entries = {
            name: _entry(name, raw, base, self._size, path)
            for name, raw in _tensors(header, path)
            if not isinstance(raw, dict) or raw.get("dtype") in DTYPES
        }

    def read(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Tensors by stored name, on the CPU, in memory of their own; those that are neighbours in the file share it.

        Raises:
            CheckpointError: the file is gone, truncated or holds something else now. It may come back.
        """
        with _open(self.path) as file:
            descriptor = file.fileno()
            self._same(descriptor)
            out: dict[str, Tensor] = {}
            for run in _runs({name: self._entry(name) for name in names}):
                out |= self._read_run(descriptor, run)
            return out

    def _entry(self, name: str) -> Entry:
        if name not in self.entries:
            raise CheckpointError(f"tensor {name} in {self.path.name} is of a type that can't be read here")
        return self.entries[name]

    def _same(self, descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        if size != self._size:
            raise CheckpointError(
                f"{self.path.name} has {size} bytes; it had {self._size} when the model was loaded: copy it again"
            )
        if _stamp(descriptor) != self._stamp:  # the file came back: is it the one we know?
            if _header(descriptor, self.path)[1] != self._digest:
                raise CheckpointError(f"{self.path.name} was replaced by another model's file; restart the server")
            logger.warning("%s was written again since the model was loaded; its layout is the same", self.path.name)
            self._stamp = _stamp(descriptor)

    def _read_run(self, descriptor: int, run: dict[str, Entry]) -> dict[str, Tensor]:
        first, last = next(iter(run.values())), list(run.values())[-1]
        raw = torch.empty(last.end - first.start, dtype=torch.uint8)
        view, done = memoryview(raw.numpy()), 0  # type: ignore[arg-type]
        while done < len(view):
            count = os.preadv(descriptor, [view[done:]], first.start + done)
            if count == 0:
                raise CheckpointError(f"{self.path.name} ends in the middle of a tensor: copy it again")
            done += count
        return {
            name: raw[entry.start - first.start : entry.end - first.start].view(entry.dtype).view(entry.shape)
            for name, entry in run.items()
        }


def _runs(entries: dict[str, Entry]) -> list[dict[str, Entry]]:
    """Entries that lie side by side, in the file's order: a layer's tensors are one read instead of fifteen."""
    runs: list[dict[str, Entry]] = []
    end, width = -1, 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].start):
        if entry.start != end or entry.dtype.itemsize != width:  # of one width, views are aligned
            runs.append({})
        runs[-1][name] = entry
        end, width = entry.end, entry.dtype.itemsize
    return runs


class ShardReader:
    """The same names as a Checkpoint, read from the files at every call."""

    def __init__(self, checkpoint: Checkpoint):
        self._where = {name: checkpoint.where(name) for name in checkpoint.names()}
        self._shards = {path: Shard(path) for path in sorted({path for path, _ in self._where.values()})}
        self._groups: dict[str, dict[Path, dict[str, str]]] = {}  # by prefix, as layers are asked for again and again

    def names(self) -> Iterable[str]:
        return self._where.keys()

    def __contains__(self, name: str) -> bool:
        return name in self._where

    def get(self, name: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """As Checkpoint.get."""
        if name not in self._where:
            raise CheckpointError(f"the checkpoint has no tensor {name}: it is incomplete or of another kind")
        path, stored = self._where[name]
        tensor = self._shards[path].read([stored])[stored]
        if shape is not None and tuple(tensor.shape) != shape:
            raise CheckpointError(
                f"tensor {stored} in {path.name} has shape {tuple(tensor.shape)}; config.json asks for {shape}"
            )
        return tensor

    def under(self, prefix: str) -> dict[str, Tensor]:
        """All tensors whose names start with the prefix, which is taken off."""
        out: dict[str, Tensor] = {}
        for path, names in self._group(prefix).items():
            tensors = self._shards[path].read(names.values())
            out |= {name[len(prefix) :]: tensors[stored] for name, stored in names.items()}
        return out

    def nbytes(self, prefix: str, dtype: torch.dtype) -> int:
        """Bytes of the tensors under a prefix once floating-point ones have this dtype."""
        total = 0
        for path, names in self._group(prefix).items():
            for stored in names.values():
                entry = self._shards[path].entries.get(stored)
                if entry is None:
                    continue  # reading it will say what is wrong
                size = dtype.itemsize if entry.dtype.is_floating_point else entry.dtype.itemsize
                total += prod(entry.shape) * size
        return total

    def _group(self, prefix: str) -> dict[Path, dict[str, str]]:
        """File → {name: stored name} of everything under a prefix."""
        if prefix not in self._groups:
            groups: dict[Path, dict[str, str]] = {}
            for name, (path, stored) in self._where.items():
                if name.startswith(prefix):
                    groups.setdefault(path, {})[name] = stored
            self._groups[prefix] = groups
        return self._groups[prefix]


def _open(path: Path) -> Any:
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise CheckpointError(
            f"{path.name} can't be opened ({error.strerror}); copy it back into the folder"
        ) from error


def _stamp(descriptor: int) -> tuple[int, int]:
    stat = os.fstat(descriptor)
    return stat.st_ino, stat.st_mtime_ns


def _header(descriptor: int, path: Path) -> tuple[bytes, str]:
    """(JSON bytes, their SHA-256)"""
    length = int.from_bytes(os.pread(descriptor, 8, 0), "little")
    raw = os.pread(descriptor, length, 8) if 0 < length <= MAX_HEADER else b""
    if not raw or len(raw) != length:
        raise CheckpointError(f"{path.name} is damaged or incomplete (no safetensors header); copy it again")
    return raw, hashlib.sha256(raw).hexdigest()


def _tensors(header: bytes, path: Path) -> list[tuple[str, Any]]:
    try:
        table = json.loads(header)
        return [(name, raw) for name, raw in table.items() if name != "__metadata__"]
    except (ValueError, AttributeError) as error:
        raise CheckpointError(f"{path.name} has a damaged safetensors header: {error}") from error


def _entry(name: str, raw: Any, base: int, size: int, path: Path) -> Entry:
    try:
        dtype, shape = DTYPES[raw["dtype"]], tuple(int(n) for n in raw["shape"])
        start, end = (base + int(offset) for offset in raw["data_offsets"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path.name}: the header's entry of {name} can't be read") from error
    if not base <= start <= end <= size or min(shape, default=0) < 0 or end - start != prod(shape) * dtype.itemsize:
        raise CheckpointError(f"{path.name}: the header's entry of {name} does not fit the file: copy it again")
    return Entry(dtype, shape, start, end)
