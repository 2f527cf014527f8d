"""What the engine asks of a runner, and what passes between them. No tensors: tests use a fake runner."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import Protocol

from autoglm_phone.engine.request import EngineRequest, MediaItem, TokenLogprob
from autoglm_phone.engine.sequence import Sequence


@dataclass(frozen=True)
class Row:
    """Tokens [start, start + count) of a sequence, to be processed in this step.

    `samples` when they reach the end of the sequence, so that a token is drawn after them.
    """

    sequence: Sequence
    start: int
    count: int

    @property
    def end(self) -> int:
        return self.start + self.count

    @property
    def samples(self) -> bool:
        return self.end == len(self.sequence.tokens)


@dataclass(frozen=True)
class RowResult:
    """What a row gave. `error` (a message fit for the client) ends the request."""

    token_ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    prompt_logprobs: tuple[TokenLogprob, ...] = ()  # of the prompt tokens after each of the row's tokens
    error: str | None = None


class Runner(Protocol):
    """Owns weights, KV pages and towers, and computes rows.

    `execute` must leave no trace when it raises: the engine then runs the rows one by one to find the faulty one.
    """

    num_segments: int
    num_pages: int
    page_size: int
    max_model_len: int
    vocab_size: int
    eos_token_ids: frozenset[int]
    cache_namespace: str  # tells models apart in prefix digests

    def validate(self, request: EngineRequest) -> None:
        """Raises InvalidRequestError if the request can't run on this model."""

    def prepare(self, sequence: Sequence) -> None:
        """Called once, before the first row of a sequence: run towers, set up sampling state."""

    def execute(self, rows: Seq[Row]) -> list[RowResult]:
        """Process the rows in one pass and sample where a row asks for it."""

    def release(self, request_id: str) -> None:
        """Forget a sequence that `prepare` saw. Unknown ids are ignored."""

    def transcript(self, item: MediaItem) -> str:
        """The audio tower's own reading (CTC) of a clip."""
