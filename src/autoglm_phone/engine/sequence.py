"""The engine's state of one request. No tensors."""

from __future__ import annotations

import enum
import itertools
from dataclasses import dataclass, field
from typing import Any

from autoglm_phone.engine.depth import DepthRule
from autoglm_phone.engine.prefix_cache import page_digest, root_digest
from autoglm_phone.engine.request import EngineRequest, TokenLogprob
from autoglm_phone.engine.thinking import ThoughtTracker
from autoglm_phone.graph.kv import DROPPED, ScoreBook
from autoglm_phone.graph.plan import Plan
from autoglm_phone.graph.rewrite import Rewriter
from autoglm_phone.graph.trace import Trace

_EPOCHS = itertools.count(1)
ALL = 1 << 62  # more tokens than any sequence has


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

    tokens: prompt and output. frontiers: per segment, how many tokens its layers have processed; the deeper ones lag
    behind where tokens left early. page_tables: per segment, the pages of its tokens, in order.
    epoch: changes when page_tables are replaced, so that what was derived from them is known to be stale; unique.
    plan: what the request's graph contains now; rule: its depth on this checkpoint. trace: what really ran.
    goal: segments that the newest token is known to need; grows as it turns out that it cannot leave.

    A page table holds DROPPED (graph.kv) where the KV policy gave a page back. pack: how many times as many tokens its
    pages hold as the pool's do (narrow formats). exact: keys and values of tokens before it are what the whole cache
    would have given; those of later ones are not fit for other requests. scores: attention by page, for `evict`.
    swept: per segment, how far pages were given back (graph.kv.sweep_mark). was_exact: what `exact` was, of the tokens
    computed, when it last lost its pages.
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
    num_indexed: list[int] = field(default_factory=list)  # per segment, pages already offered to the prefix cache
    cached_tokens: int = 0  # prompt tokens found in the prefix cache at first admission
    epoch: int = 0
    prepared: bool = False  # the runner holds state for it
    thought: ThoughtTracker | None = None
    matcher: Any = None  # grammar matcher (chat.grammar), which knows by itself where the answer starts
    prompt_logprobs: list[TokenLogprob | None] | None = None  # gathered so far; None: not wanted, or delivered
    preemptions: int = 0
    plan: Plan = field(default_factory=Plan)
    rule: DepthRule = field(init=False)  # the whole decoder until `follow` says otherwise
    trace: Trace = field(default_factory=Trace)
    peak_pages: int = 0
    drafts_judged: int = 0  # drafts up to the first wrong one of each step
    pack: int = 1
    gaps: bool = False  # a page was given back
    exact: int = ALL
    was_exact: int = 0
    scores: ScoreBook | None = None
    swept: list[int] = field(default_factory=list)
    rewriter: Rewriter | None = None
    variant: str = ""  # digest of the adapter whose keys and values these are; "" of the base

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
        self.follow(DepthRule(self.num_segments))
        self.reset()

    def follow(self, rule: DepthRule) -> None:
        """Run by this rule from now on."""
        self.rule = rule
        self.cap = rule.cap
        self.new_goal()

    def new_goal(self) -> None:
        """Nothing is known yet of how deep the newest token goes."""
        self.goal = self.rule.goal
        if self.prompt_logprobs is not None:  # read from the last segment, for every token of the prompt
            self.goal = self.cap

    @property
    def entry(self) -> int:
        """The first segment that has something to do before the next token can be sampled."""
        length = len(self.tokens)
        for segment in range(self.goal):
            if self.frontiers[segment] < length:
                return segment
        return self.goal - 1

    @property
    def remaining(self) -> int:
        """Tokens that the first busy segment still has to process."""
        return len(self.tokens) - self.frontiers[self.entry]

    @property
    def num_pages(self) -> int:
        return sum(len(table) - table.count(DROPPED) for table in self.page_tables)

    @property
    def media_spans(self) -> tuple[tuple[int, int], ...]:
        """[first, end) of the prompt's media."""
        return tuple((item.position, item.position + item.length) for item in self.request.media)

    @property
    def num_output(self) -> int:
        return len(self.tokens) - self.prompt_length

    @property
    def may_use_prefix(self) -> bool:
        """Prompt log-probabilities need every prompt position computed, and narrow pages are of another format."""
        return self.request.prefix_caching and self.sampling.prompt_logprobs is None and self.pack == 1

    def reset(self) -> None:
        """Forget what was computed (the pages must have been freed)."""
        self.was_exact = min(self.exact, self.frontiers[0]) if self.frontiers else 0
        self.frontiers = [0] * self.num_segments
        self.page_tables = [[] for _ in range(self.num_segments)]
        self.num_indexed = [0] * self.num_segments
        self.swept = [-1] * self.num_segments
        self.exact = ALL
        self.gaps = False
        if self.scores is not None:
            self.scores = ScoreBook()
        self.new_goal()
        if self.prompt_logprobs is not None:  # not delivered yet: they are computed again
            self.prompt_logprobs = [None]
        self.renew()

    def renew(self) -> None:
        """Page tables, or what their pages hold, were replaced."""
        self.epoch = next(_EPOCHS)

    def extend_digests(self, page_size: int, namespace: str) -> None:
        """Digest every full page of the present tokens."""
        namespace += self.variant
        for page in range(len(self.digests), len(self.tokens) // page_size):
            parent = self.digests[-1] if self.digests else root_digest(self.request.cache_salt, namespace)
            start = page * page_size
            self.digests.append(page_digest(parent, self.tokens[start : start + page_size], start, self.request.media))
