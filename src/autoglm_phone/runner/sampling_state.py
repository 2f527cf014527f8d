"""Per-request state of sampling: token counts for the penalties, and randomness that no other request can disturb."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy

import numpy as np

from autoglm_phone.engine.sequence import Sequence
from autoglm_phone.engine.thinking import ThoughtTracker

_MASK = (1 << 64) - 1


def _mix(value: int) -> int:
    """One step of SplitMix64 (Steele et al. 2014)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def uniform(seed: int, index: int) -> float:
    """The index-th number of a stream in [0, 1). A counter, no state: batch, preemption and retry do not change it."""
    return (_mix(_mix(seed & _MASK) ^ (index & _MASK)) >> 11) * (1.0 / (1 << 53))


class TokenCounts:
    """Token ids seen and how often, as arrays that grow."""

    def __init__(self, ids: Iterable[int] = ()):
        self._place: dict[int, int] = {}
        self._ids = np.zeros(64, dtype=np.int64)
        self._counts = np.zeros(64, dtype=np.float32)
        for token in ids:
            self.add(token)

    def add(self, token: int) -> None:
        place = self._place.get(token)
        if place is None:
            place = self._place[token] = len(self._place)
            if place == self._ids.shape[0]:
                self._ids = np.concatenate([self._ids, np.zeros_like(self._ids)])
                self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
            self._ids[place] = token
        self._counts[place] += 1

    def remove(self, token: int) -> None:
        """Take back one `add` of this token."""
        place = self._place[token]
        self._counts[place] -= 1
        if self._counts[place] == 0:  # an id that is not there any more must not be penalized: the last takes its place
            del self._place[token]
            last = len(self._place)
            if place != last:
                self._ids[place], self._counts[place] = self._ids[last], self._counts[last]
                self._place[int(self._ids[last])] = place
            self._counts[last] = 0

    @property
    def ids(self) -> np.ndarray:
        """int64 [distinct]"""
        return self._ids[: len(self._place)]

    @property
    def counts(self) -> np.ndarray:
        """float32 [distinct]"""
        return self._counts[: len(self._place)]


class SamplingState:
    """Follows a sequence's tokens; `sync` before each use. `default_seed` serves requests that bring none.

    `push` puts a token behind the sequence's own for the time being, as if it had been emitted; `restore` takes all of
    them back. The sequence itself, its matcher and its ThoughtTracker never see them.
    """

    def __init__(self, sequence: Sequence, default_seed: int):
        self.sequence = sequence
        self.params = sequence.sampling
        self.seed = self.params.seed if self.params.seed is not None else default_seed
        self.penalizes_output = self.params.frequency_penalty != 0 or self.params.presence_penalty != 0
        self.penalizes_all = self.params.repetition_penalty != 1
        self.output = TokenCounts()
        self.everything = TokenCounts(sequence.tokens[: sequence.prompt_length] if self.penalizes_all else ())
        self._synced = sequence.prompt_length
        self._pushed: list[int] = []
        self._thought: ThoughtTracker | None = None

    @property
    def num_output(self) -> int:
        return self.sequence.num_output + len(self._pushed)

    @property
    def thought(self) -> ThoughtTracker | None:
        """As it stands after the pushed tokens."""
        return self._thought if self._thought is not None else self.sequence.thought

    def sync(self) -> None:
        """Count the tokens that came since the last call."""
        tokens = self.sequence.tokens
        if self.penalizes_output or self.penalizes_all:
            for token in tokens[self._synced :]:
                self._add(token)
        self._synced = len(tokens)

    def push(self, token: int) -> None:
        self.sync()
        self._pushed.append(token)
        if self.penalizes_output or self.penalizes_all:
            self._add(token)
        if self.sequence.thought is not None:
            self._thought = self._thought or copy(self.sequence.thought)
            self._thought.observe(token)

    def restore(self) -> None:
        """Take the pushed tokens back."""
        for token in self._pushed:
            if self.penalizes_output:
                self.output.remove(token)
            if self.penalizes_all:
                self.everything.remove(token)
        self._pushed.clear()
        self._thought = None

    def uniform(self) -> float:
        """The random number for the next output token."""
        return uniform(self.seed, self.num_output)

    def _add(self, token: int) -> None:
        if self.penalizes_output:
            self.output.add(token)
        if self.penalizes_all:
            self.everything.add(token)
