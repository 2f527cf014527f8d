"""What the engine counts about itself. The server exports these as metrics; nothing here knows their names there."""

from __future__ import annotations

import bisect
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from autoglm_phone.engine.interface import Progress
from autoglm_phone.engine.request import FinishReason
from autoglm_phone.engine.sequence import Sequence

# Upper bounds in seconds, vLLM's, so that dashboards made for it fit.
LATENCY_BOUNDS = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0)
FIRST_TOKEN_BOUNDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0)
TOKEN_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
COUNT_BOUNDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000)


class Histogram:
    """Counts of observations per bucket: counts[i] holds those <= bounds[i] and > bounds[i-1]; the last is the rest."""

    def __init__(self, bounds: tuple[float, ...]):
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    @property
    def count(self) -> int:
        return sum(self.counts)

    def observe(self, value: float) -> None:
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.sum += value

    def copy(self) -> Histogram:
        other = Histogram(self.bounds)
        other.counts, other.sum = list(self.counts), self.sum
        return other


@dataclass
class EngineStats:
    """Gauges of now, totals since the start, and histograms (seconds, tokens)."""

    # gauges
    running: int = 0
    waiting: int = 0
    kv_usage: float = 0.0  # 0..1 of the pages
    num_pages: int = 0
    page_size: int = 0
    tower_bytes: int = 0  # weights of loaded towers
    # totals
    prefix_queries: int = 0  # tokens looked up in the prefix cache
    prefix_hits: int = 0  # tokens found there
    preemptions: int = 0
    prompt_tokens: int = 0
    generation_tokens: int = 0
    steps: int = 0
    failures: int = 0  # requests that ended in an error of the engine
    finished: Counter[FinishReason] = field(default_factory=Counter)
    exits: Counter[int] = field(default_factory=Counter)  # generated tokens by the layers that they were read after
    layers_skipped: int = 0  # layers that generated tokens were read without, over all tokens
    layers_caught_up: int = 0  # layers run later, when a deeper token needed them (prompt tokens included)
    drafted: int = 0  # tokens
    accepted: int = 0  # drafts that the whole depth confirmed
    looked_up: int = 0  # tokens guessed from n-grams
    found: int = 0  # of them, those that were right
    rewrites: Counter[str] = field(default_factory=Counter)  # changed plans by what changed: depth, kv, thought
    rewrites_blocked: int = 0  # changes of a KV policy that an open thought held up
    tower_loads: Counter[str] = field(default_factory=Counter)  # by kind
    tower_unloads: Counter[str] = field(default_factory=Counter)
    tower_runs: Counter[str] = field(default_factory=Counter)
    # histograms
    queue_time: Histogram = field(default_factory=partial(Histogram, LATENCY_BOUNDS))
    time_to_first_token: Histogram = field(default_factory=partial(Histogram, FIRST_TOKEN_BOUNDS))
    inter_token_latency: Histogram = field(default_factory=partial(Histogram, TOKEN_BOUNDS))
    time_per_output_token: Histogram = field(
        default_factory=partial(Histogram, TOKEN_BOUNDS)
    )  # mean of a request after its first token
    e2e_latency: Histogram = field(default_factory=partial(Histogram, LATENCY_BOUNDS))
    request_prompt_tokens: Histogram = field(default_factory=partial(Histogram, COUNT_BOUNDS))
    request_generation_tokens: Histogram = field(default_factory=partial(Histogram, COUNT_BOUNDS))
    step_tokens: Histogram = field(default_factory=partial(Histogram, COUNT_BOUNDS))
    length_error: Histogram = field(default_factory=partial(Histogram, COUNT_BOUNDS))  # tokens, mean of a request

    def note_tokens(self, sequence: Sequence, count: int) -> None:
        """`count` tokens of the sequence came out just now."""
        now = time.perf_counter()
        times = sequence.times
        self.generation_tokens += count
        if times.first_token is None:
            times.first_token = now
            self.time_to_first_token.observe(now - times.arrived)
        elif times.last_token is not None:
            self.inter_token_latency.observe((now - times.last_token) / count)
        times.last_token = now

    def note_progress(self, progress: Progress, produced: int, num_layers: int) -> None:
        """A row gave `produced` tokens."""
        for depth in progress.depths_of(produced):
            self.exits[depth] += 1
            self.layers_skipped += num_layers - depth
        self.drafted += progress.drafted
        self.accepted += progress.accepted
        self.looked_up += progress.looked_up
        self.found += progress.found
        self.layers_caught_up += progress.layers_caught_up

    def note_finish(self, sequence: Sequence, reason: FinishReason, num_output: int) -> None:
        """The sequence ended; num_output counts the tokens the model produced, the one that stopped it included."""
        now = time.perf_counter()
        times = sequence.times
        self.finished[reason] += 1
        self.failures += reason == "error"
        if sequence.rewriter is not None:
            self.rewrites_blocked += sequence.rewriter.blocked
            error = sequence.rewriter.error(num_output) if reason in ("stop", "length") else None
            if error is not None:
                self.length_error.observe(error)
        self.e2e_latency.observe(now - times.arrived)
        if times.admitted is not None:
            self.queue_time.observe(times.admitted - times.arrived)
        if num_output > 1 and times.first_token is not None and times.last_token is not None:
            self.time_per_output_token.observe((times.last_token - times.first_token) / (num_output - 1))
        self.prompt_tokens += sequence.prompt_length
        self.request_prompt_tokens.observe(sequence.prompt_length)
        self.request_generation_tokens.observe(num_output)

    def snapshot(self) -> EngineStats:
        """A copy that another thread may read."""
        copies: dict[str, Any] = {
            name: value.copy() if isinstance(value, (Histogram, Counter)) else value
            for name, value in vars(self).items()
        }
        return EngineStats(**copies)
