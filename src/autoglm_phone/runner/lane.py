"""A row of a step on its way through the segments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor

from autoglm_phone.engine.interface import Progress, Row
from autoglm_phone.engine.request import TokenLogprob
from autoglm_phone.engine.sequence import Sequence as EngineSequence
from autoglm_phone.runner.state import RequestState

if TYPE_CHECKING:
    from autoglm_phone.runner.ahead import Ahead
    from autoglm_phone.runner.lookup import Lookup


@dataclass
class Lane:
    """A row of the step. It has tokens [start, end) in hand, whose states are rows [first, …) of the last pass.

    frontiers: of its sequence, as they will be. goal: see Progress. depth: segments that are sure to have pages and
    budget for its tokens. asks: by boundary, whether its newest token is to be read there, to see whether it may leave;
    where that was decided. left: segments after which it was read; 0: not yet. accepted: drafts that were right.
    ahead: what it has written ahead under `confidence`; its tokens in hand are then those up to its last open place.
    depths: layers of each token that it gave, where they differ.
    lookup: tokens guessed behind its newest one. looked_up, found: of them in this step, and those that were right.
    """

    row: Row
    state: RequestState
    frontiers: list[int]
    goal: int
    depth: int
    start: int = 0
    end: int = 0
    asks: dict[int, bool] = field(default_factory=dict)
    first: int = 0
    left: int = 0
    rewind: int | None = None
    drafted: int = 0
    confidences: list[float] = field(default_factory=list)  # of its drafts
    accepted: int = 0
    tail: Tensor | None = None  # states of drafts that follow the tokens in hand
    caught_up: Counter[int] = field(default_factory=Counter)
    layers_caught_up: int = 0
    seconds: list[float] = field(default_factory=list)
    prompt_logprobs: list[TokenLogprob] = field(default_factory=list)
    ahead: Ahead | None = None
    depths: tuple[int, ...] = ()
    lookup: Lookup | None = None
    looked_up: int = 0
    found: int = 0

    @property
    def sequence(self) -> EngineSequence:
        return self.row.sequence

    @property
    def complete(self) -> bool:
        """The newest token of the sequence is in hand."""
        return self.end >= len(self.row.sequence.tokens)

    @property
    def forced(self) -> bool:
        """The next token is not the model's choice (the end of a thought), so no depth makes it better."""
        thought = self.state.sampling.thought
        return thought is not None and thought.next_token() is not None

    @property
    def guessed(self) -> int:
        """Guesses from n-grams among its tokens in hand."""
        return 0 if self.lookup is None else self.lookup.rows

    @property
    def last(self) -> int:
        """Row of the pass with the state of the last token in hand."""
        return self.first + self.end - self.start - 1

    def progress(self, ends: Sequence[int]) -> Progress:
        return Progress(
            frontiers=tuple(self.frontiers),
            goal=self.goal,
            done=self.left > 0,
            rewind=self.rewind,
            depth=ends[self.left - 1] if self.left else 0,
            depths=self.depths,
            drafted=self.drafted,
            accepted=self.accepted,
            looked_up=self.looked_up,
            found=self.found,
            caught_up=tuple(self.caught_up.items()),
            layers_caught_up=self.layers_caught_up,
            seconds=tuple(self.seconds),
        )


@dataclass
class Reading:
    """Logits [rows, V] of lanes that were read after the same number of segments: of each lane its newest token, and
    before it, where it drafted, one row a draft less."""

    lanes: list[Lane]
    logits: Tensor
