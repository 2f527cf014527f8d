"""Data workers that may die: renderers and speech synthesizers are native code, and one crash must not end a run.

Every worker is a process of its own that sends batches through a pipe. One that dies is replaced, and its successor
starts further on in the world, past whatever killed it. (A DataLoader would raise and take the run with it.)
"""

from __future__ import annotations

import faulthandler
import logging
import signal
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from typing import Any

import torch
import torch.multiprocessing as mp

from autoglm_phone.errors import EngineError
from autoglm_phone.train.data import Batch

log = logging.getLogger(__name__)
Source = Callable[[int, int], Iterator[Batch]]  # (lane, lives already lost in that lane) -> batches


def _work(source: Source, lane: int, lives: int, pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    faulthandler.enable()  # a crash in native code names its Python line
    torch.set_num_threads(1)
    mp.set_sharing_strategy("file_system")
    try:
        for batch in source(lane, lives):
            pipe.send_bytes(ForkingPickler.dumps(batch))
    except (BrokenPipeError, ConnectionResetError):
        return


class Crew:
    """Iterates over the batches of `size` workers in the order in which they are ready.

    Raises:
        EngineError: more than `max_deaths` workers died.
    """

    def __init__(self, source: Source, size: int, *, max_deaths: int = 200):
        self.source = source
        self.max_deaths = max_deaths
        self.deaths = 0
        self.context = mp.get_context("fork")
        self.lives = [0] * size
        self.pipes: dict[Connection, int] = {}
        self.processes: dict[int, Any] = {}
        for lane in range(size):
            self._start(lane)

    def _start(self, lane: int) -> None:
        reader, writer = self.context.Pipe(duplex=False)
        process = self.context.Process(
            target=_work, args=(self.source, lane, self.lives[lane], writer), daemon=True, name=f"world-{lane}"
        )
        process.start()
        writer.close()
        self.pipes[reader] = lane
        self.processes[lane] = process

    def __iter__(self) -> Iterator[Batch]:
        while True:
            for ready in wait(list(self.pipes), timeout=5.0):
                pipe: Connection = ready  # type: ignore[assignment]
                try:
                    yield ForkingPickler.loads(pipe.recv_bytes())
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
        self._start(lane)

    def close(self) -> None:
        """End all workers."""
        for process in self.processes.values():
            process.terminate()
