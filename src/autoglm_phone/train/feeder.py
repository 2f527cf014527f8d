"""Keeps the GPU busy while CPUs draw: a shelf of recent batches per kind, fresh ones first, then repeats.

Rendering and speaking cost far more than a training step on the result. Every batch is used once when it arrives and
may be used again, with other augmentation, up to `reuse` times on average; when a shelf is worn out, the step waits.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor

from autoglm_phone.errors import EngineError
from autoglm_phone.train.batches import Batch

FRESH_LIMIT = 24


class Shelf:
    """Batches of one kind: `fresh` not used yet, `used` kept for repeats (oldest forgotten first)."""

    def __init__(self, capacity: int, reuse: float):
        self.fresh: deque[Batch] = deque()
        self.used: deque[Batch] = deque(maxlen=capacity)
        self.arrived = 0
        self.taken = 0
        self.reuse = reuse

    def take(self, rng: random.Random) -> Batch | None:
        """A fresh batch, a repeat if the reuse bound allows one, or None: wait."""
        if self.fresh:
            batch = self.fresh.popleft()
            self.used.append(batch)
        elif self.used and self.taken < self.reuse * self.arrived:
            batch = self.used[rng.randrange(len(self.used))]
        else:
            return None
        self.taken += 1
        return batch


class Staging:
    """Page-locked memory that batches pass on their way to the GPU, one at a time, grown as needed.

    A copy from ordinary memory would hold the driver's lock, and the trainer could not launch kernels meanwhile.
    """

    ALIGN = 64  # bytes

    def __init__(self, pinned: bool = True):
        self.pinned = pinned
        self.memory = torch.empty(0, dtype=torch.uint8)

    def through(self, batch: Batch) -> Batch:
        """The batch with its tensors in page-locked memory, which the next call overwrites."""
        sizes = {name: -(-tensor.nbytes // self.ALIGN) * self.ALIGN for name, tensor in batch.tensors()}
        if sum(sizes.values()) > len(self.memory):
            self.memory = torch.empty(2 * sum(sizes.values()), dtype=torch.uint8, pin_memory=self.pinned)
        offset = 0
        staged: dict[str, Tensor] = {}
        for name, tensor in batch.tensors():
            place = self.memory[offset : offset + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
            staged[name] = place.copy_(tensor)
            offset += sizes[name]
        return Batch(**{**vars(batch), **staged})


class Feeder:
    """Moves batches from the loader to the device in a thread; `next(kind)` gives one of that kind."""

    def __init__(
        self,
        loader: Iterator[Batch],
        device: torch.device,
        kinds: tuple[str, ...],
        *,
        capacity: dict[str, int],
        reuse: dict[str, float],
        seed: int,
    ):
        self.loader = loader
        self.device = device
        self.shelves = {kind: Shelf(capacity[kind], reuse[kind]) for kind in kinds}
        self.rng = random.Random(seed)
        self.lock = threading.Condition()
        self.failure: BaseException | None = None
        self.last_index = 0
        self.stopped = False
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.staging = Staging()
        self.thread = threading.Thread(target=self._pump, daemon=True, name="feeder")
        self.thread.start()

    def _pump(self) -> None:
        try:
            for batch in self.loader:
                if self.stopped:
                    return
                self.last_index = max(self.last_index, batch.index)
                if self._wanted(batch):
                    moved = self._move(batch)
                    with self.lock:
                        self._keep(moved)
                        self.lock.notify_all()
                with self.lock:
                    while self._full() and not self.stopped:
                        self.lock.wait(1.0)  # the GPU is the slower side
        except BaseException as failure:  # handed to the training thread, which raises it
            with self.lock:
                self.failure = failure
                self.lock.notify_all()

    def _wanted(self, batch: Batch) -> bool:
        return len(self.shelves[batch.kind].fresh) < FRESH_LIMIT  # else dropped: to wait would starve another kind

    def _keep(self, batch: Batch) -> None:
        shelf = self.shelves[batch.kind]
        shelf.arrived += 1
        shelf.fresh.append(batch)

    def _full(self) -> bool:
        return all(len(shelf.fresh) >= FRESH_LIMIT for shelf in self.shelves.values())

    def _take(self, kind: str) -> Batch | None:
        return self.shelves[kind].take(self.rng)

    def _move(self, batch: Batch) -> Batch:
        if self.stream is None:
            return batch
        with torch.cuda.stream(self.stream):
            moved = self.staging.through(batch).to(self.device)
        self.stream.synchronize()
        return moved

    def next(self, kind: str, patience: float = 600.0) -> tuple[Batch, float]:
        """A batch of this kind and the seconds spent waiting for it.

        Raises:
            EngineError: the data workers failed or gave nothing for `patience` seconds.
        """
        began = time.monotonic()
        with self.lock:
            while True:
                if self.failure is not None:
                    raise EngineError("the data workers stopped; the error above says why") from self.failure
                batch = self._take(kind)
                if batch is not None:
                    self.lock.notify_all()
                    if self.stream is not None:
                        for _, tensor in batch.tensors():  # the shelf may drop it before the GPU is done with it
                            tensor.record_stream(torch.cuda.current_stream(self.device))
                    return batch, time.monotonic() - began
                if time.monotonic() - began > patience:
                    raise EngineError(f"no {kind} batch for {patience:.0f} s; are the data workers alive?")
                self.lock.wait(1.0)

    def stop(self, patience: float = 30.0) -> None:
        """End the thread; it finishes the batch it waits for."""
        self.stopped = True
        self.thread.join(patience)
