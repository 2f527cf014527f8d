"""What the runner keeps of a request between steps."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from torch import Tensor

from autoglm_phone.engine.sequence import Sequence
from autoglm_phone.graph.ahead import Trust
from autoglm_phone.graph.exits import ExitHistory
from autoglm_phone.graph.kv import DROPPING, NARROW, Extent
from autoglm_phone.graph.lookup import Guesser
from autoglm_phone.models.glm4v.positions import MRopePlan
from autoglm_phone.runner.cross_memory import CrossMemory
from autoglm_phone.runner.kv_view import Look, visible_ordinals
from autoglm_phone.runner.pending import PendingStates
from autoglm_phone.runner.sampling_state import SamplingState

Ints = npt.NDArray[np.int64]


@dataclass
class RequestState:
    """sampling: penalties and randomness. pending: states of tokens that left early. exits: where asking pays.
    kind: of requests that find alike there. positions: M-RoPE plan, None for 1-D positions. memory: what
    cross-attention sees (native). inline: tower states of the picture tokens [first, first + len) (GLM-4.1V). drafts:
    tokens behind the sequence's own that are being tried out. looks: what its newest tokens looked at in this step, for
    a KV policy that asks.
    """

    sequence: Sequence
    sampling: SamplingState
    pending: PendingStates
    exits: ExitHistory
    kind: Hashable = None
    positions: MRopePlan | None = None
    memory: CrossMemory | None = None
    inline: list[tuple[int, Tensor]] = field(default_factory=list)
    drafts: list[int] = field(default_factory=list)
    looks: list[tuple[Look, int]] = field(default_factory=list)  # and which of its rows is meant
    guesser: Guesser | None = None  # guesses from n-grams, once there were any
    draft_guesser: Guesser | None = None  # the same, behind drafts
    trust: Trust = field(default_factory=Trust)  # in its guesses behind tokens that its exit was unsure of
    waited: int = 0  # steps that its newest token has waited for company behind the first segment
    calm: int = 0  # tokens since the last one that its exit was unsure of
    _tables: list[Ints] = field(default_factory=list)
    _lengths: list[int] = field(default_factory=list)  # entries of each table that are valid
    _epoch: int = -1
    cuts: list[int] = field(default_factory=list)  # tokens that were right, each time that drafts were taken back

    @property
    def revision(self) -> int:
        """Changes whenever keys and values that were written for it may not be its own any more."""
        return self.sequence.epoch + (len(self.cuts) << 40)

    def begin_step(self) -> None:
        """Nothing is being tried out."""
        if self.drafts:  # of a step that failed
            self.drafts.clear()
            self.retract(len(self.sequence.tokens))
        self.sampling.restore()
        self.looks.clear()

    @property
    def keeping(self) -> tuple[int, str | None]:
        """How its pages are read: (0, None) all of them; (1, None) some; (2, None) some, and masses are wanted;
        (3, kind) as frames. Rows of a batched call have this in common."""
        kind = self.sequence.plan.kv.kind
        if kind == "full" and not self.sequence.gaps:
            return 0, None
        if kind in NARROW:
            return 3, kind
        if kind == "evict":
            return 2, None
        return (1 if kind in DROPPING or self.sequence.gaps else 0), None

    def visible(self, segment: int, query: int, page_size: int) -> Ints:
        """Ordinals of the pages that the token at this position reads."""
        sequence = self.sequence
        extent = Extent(query, sequence.prompt_length, page_size, sequence.media_spans)
        return visible_ordinals(sequence.plan.kv, extent, query, self.pages(segment))

    def masses(self) -> tuple[tuple[int, float], ...]:
        """(ordinal, share of attention) over all that was looked at in this step."""
        total: dict[int, float] = {}
        for look, row in self.looks:
            for ordinal, share in look.shares(row):
                total[ordinal] = total.get(ordinal, 0.0) + share
        count = len(self.looks)
        return tuple((ordinal, share / count) for ordinal, share in total.items())

    def retract(self, right: int) -> None:
        """Drafts were processed, and only the first `right` tokens of the sequence stay."""
        self.cuts.append(right)

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
