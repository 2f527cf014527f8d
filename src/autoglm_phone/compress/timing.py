"""Where compression's time and GPU memory go: seconds and peaks by stage, for a benchmark that asks for them.

Nothing is measured unless `recording` is on in the caller's context, and no GPU is waited for unless it is to be.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch

BETWEEN = "between stages"


@dataclass
class Spent:
    """seconds of each stage that `stage` names; gigabytes: the most that PyTorch had allocated on the GPU in it, and
    outside of all (`BETWEEN`). Recording resets PyTorch's own peak. waits: each stage waits for the GPU, so that its
    seconds are its own."""

    waits: bool = True
    seconds: dict[str, float] = field(default_factory=dict)
    gigabytes: dict[str, float] = field(default_factory=dict)

    def note_peak(self, name: str) -> None:
        """The peak since the last note belongs to this stage."""
        if torch.cuda.is_available():
            peak = torch.cuda.max_memory_allocated() / 1e9
            self.gigabytes[name] = max(self.gigabytes.get(name, 0.0), peak)
            torch.cuda.reset_peak_memory_stats()


_SPENT: ContextVar[Spent | None] = ContextVar("compression_spent", default=None)


@contextmanager
def recording(waits: bool = True) -> Iterator[Spent]:
    """What each stage takes while this lasts."""
    spent = Spent(waits)
    token = _SPENT.set(spent)
    try:
        yield spent
    finally:
        _SPENT.reset(token)
        spent.note_peak(BETWEEN)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """What runs in here counts under this name, and under no other: stages are not nested."""
    spent = _SPENT.get()
    if spent is None:
        yield
        return
    began = _now(spent.waits)
    spent.note_peak(BETWEEN)
    try:
        yield
    finally:
        spent.seconds[name] = spent.seconds.get(name, 0.0) + _now(spent.waits) - began
        spent.note_peak(name)


def _now(waits: bool) -> float:
    if waits and torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.monotonic()
