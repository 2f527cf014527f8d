"""States of calibration samples that wait for the way back through a model, in memory while they fit, then in files.

A unit's states are 1.1 GB for 128 samples of 512 tokens, 4096 wide, and the 9B decoder has 42 units: 45 GB. What a unit
did not change is held once, whoever waits. Files are mapped when their turn comes: the system reads what is touched and
drops it again under pressure, so it does not count as the program's own memory.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from autoglm_phone.compress.units import State
from autoglm_phone.errors import ConfigError

ROOM = 1 << 30  # bytes; what walks forward and the gradients on the way back take as much for two units besides
_ALIGNED = 64


class _Place(NamedTuple):
    """Where a tensor is in its unit's file."""

    offset: int
    shape: torch.Size
    dtype: torch.dtype


class WaitingStates:
    """States by unit, as a stack: what was put last is taken first. Used as a context; its files go with it.

    Args:
        folder: for files, emptied first; None: the system's folder for temporary files.
        room: bytes that may stay in memory; None: ROOM.
    """

    def __init__(self, folder: Path | None = None, room: int | None = None):
        self.held = 0  # bytes that wait in memory
        self.written = 0  # bytes that wait in files
        self._given, self._room = folder, ROOM if room is None else room
        self._folder: Path | None = None
        self._stack: list[tuple[list[dict[str, Any]], Path | None, int, int]] = []
        self._before: Sequence[State] = ()

    def __enter__(self) -> WaitingStates:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __len__(self) -> int:
        return len(self._stack)

    def put(self, states: Sequence[State]) -> None:
        """The states in front of the next unit. They are not copied: nobody may change their tensors."""
        fresh = [
            {name for name, value in state.items() if isinstance(value, Tensor) and not self._known(index, name, value)}
            for index, state in enumerate(states)
        ]
        size = sum(state[name].nbytes for state, names in zip(states, fresh, strict=True) for name in names)
        self._before = states
        if self.held + size <= self._room:
            self.held += size
            self._stack.append(([dict(state) for state in states], None, size, 0))
            return
        path = self._place() / f"{len(self._stack)}.bin"
        try:
            kept, written = _write(path, states, fresh)
        except OSError as error:
            raise ConfigError(
                f"{(self.written + size) / 1e9:.1f} GB of calibration samples' states have no room in {path.parent} "
                f"({error.strerror}); give fewer samples, or a folder with more room",
                param="calibration",
            ) from error
        self.written += written
        self._stack.append((kept, path, 0, written))

    def take(self) -> list[State]:
        """The states that were put last."""
        kept, path, held, written = self._stack.pop()
        self._before = ()
        self.held -= held
        if path is None or not written:
            return kept
        self.written -= written
        whole = torch.from_file(str(path), shared=False, size=written, dtype=torch.uint8)
        path.unlink()  # the mapping keeps its pages
        return [{name: _read(whole, value) for name, value in entry.items()} for entry in kept]

    def _known(self, index: int, name: str, value: Tensor) -> bool:
        """Is it what the unit before had as well?"""
        return index < len(self._before) and self._before[index].get(name) is value

    def _place(self) -> Path:
        if self._folder is None:
            if self._given is not None:
                shutil.rmtree(self._given, ignore_errors=True)
                self._given.mkdir(parents=True)
            self._folder = self._given or Path(tempfile.mkdtemp(prefix="autoglm-phone-states-"))
        return self._folder


def _write(path: Path, states: Sequence[State], names: Sequence[set[str]]) -> tuple[list[dict[str, Any]], int]:
    """(the states with places in the file instead of the tensors named, bytes of the file)."""
    kept = []
    with path.open("wb") as file:
        for state, chosen in zip(states, names, strict=True):
            entry = dict(state)
            for name in sorted(chosen):
                tensor = state[name]
                file.write(bytes(-file.tell() % _ALIGNED))
                entry[name] = _Place(file.tell(), tensor.shape, tensor.dtype)
                file.write(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
            kept.append(entry)
        return kept, file.tell()


def _read(whole: Tensor, value: Any) -> Any:
    if not isinstance(value, _Place):
        return value
    size = value.shape.numel() * value.dtype.itemsize
    return whole[value.offset : value.offset + size].view(value.dtype).view(value.shape)
