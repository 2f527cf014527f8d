"""What the runner keeps of a request between steps."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from torch import Tensor

from autoglm_phone.engine.sequence import Sequence
from autoglm_phone.graph.exits import ExitHistory
from autoglm_phone.models.glm4v.positions import MRopePlan
from autoglm_phone.runner.cross_memory import CrossMemory
from autoglm_phone.runner.pending import PendingStates
from autoglm_phone.runner.sampling_state import SamplingState

Ints = npt.NDArray[np.int64]


@dataclass
class RequestState:
    """sampling: penalties and randomness. pending: states of tokens that left early. exits: where asking pays.
    positions: M-RoPE plan, None for 1-D positions. memory: what cross-attention sees (native). inline: tower states of
    the picture tokens [first, first + len) (GLM-4.1V). drafts: tokens behind the sequence's own that are being tried
    out.
    """

    sequence: Sequence
    sampling: SamplingState
    pending: PendingStates
    exits: ExitHistory
    positions: MRopePlan | None = None
    memory: CrossMemory | None = None
    inline: list[tuple[int, Tensor]] = field(default_factory=list)
    drafts: list[int] = field(default_factory=list)
    _tables: list[Ints] = field(default_factory=list)
    _lengths: list[int] = field(default_factory=list)  # entries of each table that are valid
    _epoch: int = -1
    _retractions: int = 0

    @property
    def revision(self) -> int:
        """Changes whenever keys and values that were written for it may not be its own any more."""
        return self.sequence.epoch + (self._retractions << 40)

    def begin_step(self) -> None:
        """Nothing is being tried out."""
        if self.drafts:  # of a step that failed
            self.drafts.clear()
            self.retract()
        self.sampling.restore()

    def retract(self) -> None:
        """Drafts were processed, and some are wrong."""
        self._retractions += 1

    def tokens(self, start: int, end: int) -> list[int]:
        """Token ids of [start, end), drafts included."""
        known = self.sequence.tokens
        if end <= len(known):
            return known[start:end]
        return [*known[start:], *self.drafts[max(0, start - len(known)) : end - len(known)]]

    def pages(self, segment: int) -> Ints:
        """The sequence's page table as an array; only new pages are converted."""
        sequence = self.sequence
        if self._epoch != sequence.epoch:
            self._tables = [np.zeros(8, dtype=np.int64) for _ in range(sequence.num_segments)]
            self._lengths = [0] * sequence.num_segments
            self._epoch = sequence.epoch
        table, known = sequence.page_tables[segment], self._lengths[segment]
        array = self._tables[segment]
        if len(table) > known:
            if len(table) > array.shape[0]:
                array = np.concatenate([array, np.zeros(max(len(table), array.shape[0]), dtype=np.int64)])
                self._tables[segment] = array
            array[known : len(table)] = table[known:]
            self._lengths[segment] = len(table)
        return array[: len(table)]
