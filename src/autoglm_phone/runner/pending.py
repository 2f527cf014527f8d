"""Boundary states of tokens that left early, kept for the deeper segment until a later token needs it.

One run of consecutive tokens a sequence and boundary. The engine's frontiers are the truth of what has been consumed:
`sync` cuts the run to them at the start of a step, so a step that fails leaves nothing wrong behind.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq

import torch
from torch import Tensor

ROOM = 16  # tokens that a new run has room for; doubled when full


class PendingRun:
    """States of tokens [start, end) at one boundary, [tokens, H], in an array that grows."""

    def __init__(self) -> None:
        self.start = 0
        self.end = 0
        self._base = 0  # the token that the array's first row stands for
        self._array: Tensor | None = None

    @property
    def nbytes(self) -> int:
        return 0 if self._array is None else self._array.nbytes

    def cut(self, start: int, end: int) -> None:
        """Forget what lies outside [start, end)."""
        self.start, self.end = max(self.start, start), min(self.end, end)
        if self.start >= self.end:
            self.start = self.end = 0
            self._array = None

    def put(self, start: int, states: Tensor) -> None:
        """Keep states [n, H] of tokens [start, start + n). Tokens at and behind `start` are replaced; a gap before it
        means that the older ones can't be used any more."""
        if self._array is None or not self.start <= start <= self.end:
            self.start = self._base = start
            self._array = states.new_empty((max(ROOM, states.shape[0]), states.shape[1]))
        end = start + states.shape[0]
        if end - self._base > self._array.shape[0]:
            kept = self._array[self.start - self._base : start - self._base]
            array = states.new_empty((max(2 * kept.shape[0], end - self.start), states.shape[1]))
            array[: kept.shape[0]] = kept
            self._array, self._base = array, self.start
        self._array[start - self._base : end - self._base] = states
        self.end = end

    def get(self, start: int, end: int) -> Tensor:
        """[end - start, H], a view; the run must hold them."""
        if self._array is None or start < self.start or end > self.end:
            raise ValueError(f"states [{start}, {end}) asked for, [{self.start}, {self.end}) pending")
        return self._array[start - self._base : end - self._base]


class PendingStates:
    """All runs of one sequence. Index b holds states after b segments."""

    def __init__(self, num_segments: int):
        self._runs = [PendingRun() for _ in range(num_segments)]
        self._lives = 0  # preemptions of the sequence that the runs have seen

    @property
    def nbytes(self) -> int:
        return sum(run.nbytes for run in self._runs)

    def sync(self, frontiers: Seq[int], cap: int, preemptions: int) -> None:
        """Drop what the deeper segment has processed, what was taken back, and what nobody can ask for any more."""
        fresh = preemptions == self._lives
        self._lives = preemptions
        for boundary in range(1, len(self._runs)):
            run = self._runs[boundary]
            if run.end:
                useful = fresh and boundary < cap
                run.cut(frontiers[boundary], frontiers[boundary - 1] if useful else 0)

    def covers(self, boundary: int, start: int, end: int) -> bool:
        run = self._runs[boundary]
        return start == end or (run.start <= start and run.end >= end)

    def put(self, boundary: int, start: int, states: Tensor) -> None:
        self._runs[boundary].put(start, states)

    def get(self, boundary: int, start: int, end: int) -> Tensor:
        return self._runs[boundary].get(start, end)

    def held(self, boundary: int) -> range:
        """Tokens whose states are kept at this boundary."""
        return range(self._runs[boundary].start, self._runs[boundary].end)


def joined(parts: Seq[Tensor]) -> Tensor:
    """One tensor of the parts' rows; a single part is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
