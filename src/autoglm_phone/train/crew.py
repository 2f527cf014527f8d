"""Data workers that may die: renderers and speech synthesizers are native code, and one crash must not end a run.

Every worker is a process of its own. Batches travel as files in memory, named through a pipe: to read them from the
pipe itself would keep the trainer's own thread from launching kernels. One that dies is replaced, and its successor
starts further on in the world, past whatever killed it. (A DataLoader would raise and take the run with it.)
"""

from __future__ import annotations

import faulthandler
import json
import logging
import math
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.multiprocessing as mp

from autoglm_phone.errors import EngineError
from autoglm_phone.train.batches import Batch

log = logging.getLogger(__name__)
ALIGN = 64  # bytes
ROOM = 4 << 30  # bytes that must be free in memory for it to be used
Source = Callable[[int, int], Iterator[Batch]]  # (lane, lives already lost in that lane) -> batches


def pack(batch: Batch, path: Path) -> bytes:
    """Write a batch's tensors to a file one after another; returns a JSON header that says where each of them is."""
    places, offset, plain = {}, 0, {}
    with open(path, "wb") as file:
        for name, value in vars(batch).items():
            if not isinstance(value, torch.Tensor):
                plain[name] = value
                continue
            places[name] = [str(value.dtype).removeprefix("torch."), list(value.shape), offset]
            file.write(np.ascontiguousarray(value.numpy()).reshape(-1).view(np.uint8).data)
            offset = -(-(offset + value.nbytes) // ALIGN) * ALIGN
            file.seek(offset)
        file.truncate(max(offset, ALIGN))
    return json.dumps({"plain": plain, "tensors": places, "path": str(path)}).encode()


def unpack(header: bytes) -> Batch:
    """The batch that `pack` wrote. Its tensors are views of the file, whose name is removed: it goes with them."""
    known = json.loads(header)
    memory = np.memmap(known["path"], dtype=np.uint8, mode="r+")
    Path(known["path"]).unlink()
    fields: dict[str, Any] = dict(known["plain"])
    for name, (dtype, shape, offset) in known["tensors"].items():
        kind = getattr(torch, dtype)
        size = kind.itemsize * math.prod(shape)
        raw = torch.from_numpy(memory[offset : offset + size])
        fields[name] = raw.view(kind).view(shape) if size else torch.empty(shape, dtype=kind)
    return Batch(**fields)


def _work(source: Source, lane: int, lives: int, pipe: Connection, folder: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    os.nice(10)  # the trainer's launches come first
    faulthandler.enable()  # a crash in native code names its Python line
    torch.set_num_threads(1)
    try:
        for count, batch in enumerate(source(lane, lives)):
            path = folder / f"{lane}-{lives}-{count}"
            pipe.send_bytes(pack(batch, path))
            while path.exists():  # one batch at a time: the memory behind the files has an end
                time.sleep(0.01)
    except (BrokenPipeError, ConnectionResetError):
        return


class Crew:
    """Iterates over the batches of `size` workers in the order in which they are ready.

    Args:
        lost: told the lane of a worker that died, before its successor starts.

    Raises:
        EngineError: more than `max_deaths` workers died.
    """

    def __init__(
        self, source: Source, size: int, *, max_deaths: int = 200, lost: Callable[[int], None] = lambda lane: None
    ):
        self.source, self.lost = source, lost
        self.max_deaths = max_deaths
        self.deaths = 0
        self.context = mp.get_context("fork")
        self.folder = tempfile.TemporaryDirectory(prefix="autoglm-train-", dir=_memory_folder())
        self.lives = [0] * size
        self.pipes: dict[Connection, int] = {}
        self.processes: dict[int, Any] = {}
        for lane in range(size):
            self._start(lane)

    def _start(self, lane: int) -> None:
        reader, writer = self.context.Pipe(duplex=False)
        process = self.context.Process(
            target=_work, daemon=True, name=f"world-{lane}",
            args=(self.source, lane, self.lives[lane], writer, Path(self.folder.name)),
        )  # fmt: skip
        process.start()
        writer.close()
        self.pipes[reader] = lane
        self.processes[lane] = process

    def __iter__(self) -> Iterator[Batch]:
        while True:
            for ready in wait(list(self.pipes), timeout=5.0):
                pipe: Connection = ready  # type: ignore[assignment]
                try:
                    yield unpack(pipe.recv_bytes())
                except (EOFError, OSError):
                    self._replace(pipe)

    def _replace(self, pipe: Connection) -> None:
        lane = self.pipes.pop(pipe)
        pipe.close()
        process = self.processes[lane]
        process.join(5.0)
        self.deaths += 1
        self.lives[lane] += 1
        log.warning("data worker %d ended with code %s; a new one takes over", lane, process.exitcode)
        if self.deaths > self.max_deaths:
            raise EngineError(f"{self.deaths} data workers died; the world's renderers do not work on this machine")
        self.lost(lane)
        self._start(lane)

    def close(self) -> None:
        """End all workers."""
        for process in self.processes.values():
            process.terminate()
            process.join(5.0)
        self.folder.cleanup()


def _memory_folder() -> str | None:
    """Where files live in memory, if this machine has such a place with room; None for the usual temporary folder."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() and shutil.disk_usage(shared).free > ROOM else None
