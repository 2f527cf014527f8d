"""A model folder's safetensors files: which tensor is where, read lazily (memory-mapped), every fault named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from autoglm_phone.errors import CheckpointError
from autoglm_phone.models.shared import shared_weights

INDEX = "model.safetensors.index.json"


class Checkpoint:
    """Tensors of a folder by name.

    Args:
        rename: stored name → name used here, for families whose checkpoints come in several layouts.

    Raises:
        CheckpointError: no weights, a missing shard, or one that is no safetensors file (truncated, for one).
    """

    def __init__(self, folder: Path, rename: Callable[[str], str] | None = None):
        self.folder = folder
        self._stack = ExitStack()
        self._files: dict[str, Any] = {}
        self._where: dict[str, tuple[str, str]] = {}  # name → (shard, stored name)
        for shard in self._shards():
            try:
                handle = self._stack.enter_context(safe_open(folder / shard, framework="pt"))
            except (SafetensorError, OSError) as error:
                raise CheckpointError(
                    f"{folder / shard} is damaged or incomplete ({error}); download or copy it again"
                ) from error
            self._files[shard] = handle
            for name in handle.keys():  # noqa: SIM118  (a safetensors handle is no mapping)
                self._where[rename(name) if rename else name] = (shard, name)
        for name, stored in shared_weights(folder).items():
            place = self._where.get(rename(stored) if rename else stored)
            if place is not None:
                self._where.setdefault(rename(name) if rename else name, place)

    def names(self) -> Iterable[str]:
        return self._where.keys()

    def __contains__(self, name: str) -> bool:
        return name in self._where

    def where(self, name: str) -> tuple[Path, str]:
        """The file that holds a tensor, and its name in there."""
        shard, stored = self._where[name]
        return self.folder / shard, stored

    def get(self, name: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """A tensor on the CPU in its stored type.

        Raises:
            CheckpointError: not there, of another shape, or unreadable.
        """
        if name not in self._where:
            raise CheckpointError(f"{self.folder} has no tensor {name}: it is incomplete or of another kind")
        shard, stored = self._where[name]
        try:
            tensor = self._files[shard].get_tensor(stored)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"tensor {stored} in {self.folder / shard} can't be read: {error}") from error
        if shape is not None and tuple(tensor.shape) != shape:
            raise CheckpointError(
                f"tensor {stored} in {shard} has shape {tuple(tensor.shape)}; config.json asks for {shape}"
            )
        return tensor

    def under(self, prefix: str) -> dict[str, Tensor]:
        """All tensors whose names start with the prefix, which is taken off."""
        return {name[len(prefix) :]: self.get(name) for name in self._where if name.startswith(prefix)}

    def _shards(self) -> list[str]:
        if not self.folder.is_dir():
            raise CheckpointError(f"model folder {self.folder} does not exist")
        index = self.folder / INDEX
        if not index.exists():
            found = sorted(path.name for path in self.folder.glob("*.safetensors"))
            if not found:
                raise CheckpointError(f"{self.folder} holds no *.safetensors weights")
            return found
        try:
            weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
            shards = sorted(set(weight_map.values()))
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise CheckpointError(f"{index} is not a safetensors index: {error}") from error
        for shard in shards:
            if Path(shard).name != shard:
                raise CheckpointError(f"{index} names {shard!r}, which lies outside the model folder")
            if not (self.folder / shard).is_file():
                raise CheckpointError(f"{self.folder / shard} is missing; {INDEX} lists it: copy it into the folder")
        return shards
