"""What the engine asks of a runner, and what passes between them. No tensors: tests use a fake runner."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from autoglm_phone.engine.depth import DepthLayout
from autoglm_phone.engine.request import EngineRequest, MediaItem, TokenLogprob
from autoglm_phone.engine.sequence import Sequence
from autoglm_phone.graph.drafting import DraftController
from autoglm_phone.graph.plan import KVKind

if TYPE_CHECKING:
    from autoglm_phone.engine.stats import EngineStats


@dataclass(frozen=True)
class Row:
    """Tokens [start, start + count) of a sequence, to be processed in this step.

    first, depth: segments [first, depth) have their pages and their share of the budget; first is above 0 where the
    tokens wait at a boundary. Going deeper than `depth` needs Steering.extend. drafts: tokens that may be drafted
    after them; segments [0, cap) have pages for these too.
    `samples` when they reach the end of the sequence, so that a token is drawn after them.
    """

    sequence: Sequence
    start: int
    count: int
    first: int = 0
    depth: int = 1
    drafts: int = 0

    @property
    def end(self) -> int:
        return self.start + self.count

    @property
    def samples(self) -> bool:
        return self.end == len(self.sequence.tokens)


@dataclass(frozen=True)
class Progress:
    """How deep a row came.

    frontiers: of the sequence, after the step (drafts that were accepted included).
    goal: segments that the newest token is known to need, where it has not given its successor yet.
    done: it has (or would have: nothing is sampled for max_tokens 0).
    rewind: where the sequence must begin again because boundary states before it are missing; None: nowhere.
    depth: layers that each of the row's tokens to come was read at; depths: of each, where they differ. drafted,
        accepted: tokens.
    looked_up, found: tokens guessed from n-grams, and those of them that were right.
    caught_up: (layers, tokens that this depth processed later than the one before it). layers_caught_up: tokens times
        layers of those.
    seconds: per segment, this row's share of the time.
    masses: (ordinal of a page, share of the newest token's attention on it), where the KV policy asks for it.
    """

    frontiers: tuple[int, ...]
    goal: int
    done: bool
    rewind: int | None = None
    depth: int = 0
    depths: tuple[int, ...] = ()
    drafted: int = 0
    accepted: int = 0
    looked_up: int = 0
    found: int = 0
    caught_up: tuple[tuple[int, int], ...] = ()
    layers_caught_up: int = 0
    seconds: tuple[float, ...] = ()
    masses: tuple[tuple[int, float], ...] = ()

    def depths_of(self, count: int) -> tuple[int, ...]:
        """Layers of each of the row's first `count` tokens."""
        return self.depths[:count] or (self.depth,) * count


@dataclass(frozen=True)
class RowResult:
    """What a row gave. `error` (a message fit for the client) ends the request.

    progress None: segments [first, depth) processed all of the row's tokens.
    """

    token_ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    prompt_logprobs: tuple[TokenLogprob, ...] = ()  # of the prompt tokens after each of the row's tokens
    error: str | None = None
    progress: Progress | None = None


@dataclass(frozen=True)
class Move:
    """Keys and values that change their format: the tokens of pages `old`, in order, go to pages `new`.

    Moves are made one after another: what one of them has read, a later one may overwrite."""

    old: tuple[int, ...]
    new: tuple[int, ...]


class Steering(Protocol):
    """What a runner asks of the engine in the middle of a step."""

    def extend(self, sequence: Sequence, segment: int, end: int) -> int:
        """May the segment process the sequence's tokens up to `end`? Gives them pages and budget.

        Returns how far it may go: from its frontier (not at all) to `end`.
        """

    def refine(self, sequence: Sequence, scores: tuple[float, ...]) -> None:
        """The probe's scores of a sequence with a provisional rule: gives it a rule that is not."""


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
    adapters: Mapping[str, str]  # that requests may choose: name → digest of the weights
    layout: DepthLayout
    page_bytes: int  # keys and values of a page
    drafting: DraftController | None  # None: never drafts
    kv_kinds: tuple[KVKind, ...]  # policies that it can keep; asked only for others than `full`
    pack: int  # narrow pages that take the bytes of one page: how many times as many tokens a narrow page holds

    @property
    def probes(self) -> bool:
        """It can score the state after the first segment for the planner."""

    def validate(self, request: EngineRequest) -> None:
        """Raises InvalidRequestError if the request can't run on this model."""

    def prepare(self, sequence: Sequence) -> None:
        """Called once, before the first row of a sequence: run towers, set up sampling state."""

    def execute(self, rows: Seq[Row], steering: Steering) -> list[RowResult]:
        """Process the rows, each as deep as its rule and its tokens say, and sample where a row asks for it."""

    def recode(self, moves: Seq[Move], before: KVKind, after: KVKind) -> None:
        """Copy keys and values from pages of one format to pages of another, between two steps."""

    def release(self, request_id: str) -> None:
        """Forget a sequence that `prepare` saw. Unknown ids are ignored."""

    def rest(self) -> None:
        """Called when there is nothing to do: give back memory that has not been used for a while."""

    def report(self, stats: EngineStats) -> None:
        """Fill in what the runner itself counts: towers."""

    def transcript(self, item: MediaItem) -> str:
        """The audio tower's own reading (CTC) of a clip."""
