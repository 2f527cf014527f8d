"""The engine's state of one request. No tensors."""

from __future__ import annotations

import enum
import itertools
from dataclasses import dataclass, field
from typing import Any

from autoglm_phone.engine.prefix_cache import page_digest, root_digest
from autoglm_phone.engine.request import EngineRequest, TokenLogprob
from autoglm_phone.engine.thinking import ThoughtTracker

_EPOCHS = itertools.count(1)


class Status(enum.Enum):
    WAITING = "waiting"  # not yet admitted, or preempted
    RUNNING = "running"
    FINISHED = "finished"


@dataclass
class Times:
    """time.perf_counter() seconds of a request's milestones."""

    arrived: float
    admitted: float | None = None
    first_token: float | None = None
    last_token: float | None = None


@dataclass
class Sequence:
    """A request and how far it has come.

    tokens: prompt and output. frontiers: per segment, how many tokens its layers have processed; the deeper ones may
    lag behind once tokens can exit early. page_tables: per segment, the pages of its tokens, in order.
    epoch: changes when page_tables are replaced, so that what was derived from them is known to be stale; unique.
    """

    request: EngineRequest
    order: int  # arrival number: first come, first served among equal priorities
    num_segments: int
    times: Times
    tokens: list[int] = field(default_factory=list)
    status: Status = Status.WAITING
    frontiers: list[int] = field(default_factory=list)
    page_tables: list[list[int]] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)  # of the full pages, from the start
    num_indexed: int = 0  # pages already offered to the prefix cache
    cached_tokens: int = 0  # prompt tokens found in the prefix cache at first admission
    epoch: int = 0
    prepared: bool = False  # the runner holds state for it
    thought: ThoughtTracker | None = None
    matcher: Any = None  # grammar matcher (chat.grammar), which knows by itself where the answer starts
    prompt_logprobs: list[TokenLogprob | None] | None = None  # gathered so far; None: not wanted, or delivered
    preemptions: int = 0

    def __post_init__(self) -> None:
        self.tokens = list(self.request.prompt_ids)
        self.prompt_length = len(self.tokens)
        self.request_id = self.request.request_id
        self.sampling = self.request.sampling
        self.key = (self.request.priority, self.order)
        if self.sampling.thinking is not None:
            self.thought = ThoughtTracker(self.sampling.thinking)
        if self.sampling.grammar is not None:
            self.matcher = self.sampling.grammar.new()
        if self.sampling.prompt_logprobs is not None:
            self.prompt_logprobs = []
        self.reset()

    @property
    def computed(self) -> int:
        """Tokens whose keys and values are in the pages of every segment."""
        return min(self.frontiers)

    @property
    def remaining(self) -> int:
        """Tokens still to be processed before the next one can be sampled."""
        return len(self.tokens) - self.computed

    @property
    def num_output(self) -> int:
        return len(self.tokens) - self.prompt_length

    @property
    def may_use_prefix(self) -> bool:
        """Prompt log-probabilities need every prompt position computed."""
        return self.request.prefix_caching and self.sampling.prompt_logprobs is None

    def reset(self) -> None:
        """Forget what was computed (the pages must have been freed)."""
        self.frontiers = [0] * self.num_segments
        self.page_tables = [[] for _ in range(self.num_segments)]
        self.num_indexed = 0
        if self.prompt_logprobs is not None:  # not delivered yet: they are computed again
            self.prompt_logprobs = [None]
        self.epoch = next(_EPOCHS)

    def extend_digests(self, page_size: int, namespace: str) -> None:
        """Digest every full page of the present tokens."""
        for page in range(len(self.digests), len(self.tokens) // page_size):
            parent = self.digests[-1] if self.digests else root_digest(self.request.cache_salt, namespace)
            start = page * page_size
            self.digests.append(page_digest(parent, self.tokens[start : start + page_size], start, self.request.media))
