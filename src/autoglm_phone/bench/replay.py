"""Replays a recorded depth mix on the decoder's graphs: frontiers, waiting tokens and regrouping as they are served,
only the outcome of each exit is the trace's. No tensors.

A lane is a place in the batch; when its request ends, the next one of the mix begins in it, its prompt in place. Every
token holds one row of the state arena until the last segment has processed it.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from autoglm_phone.backends.cuda_graphs import DecodeRows
from autoglm_phone.bench.replay_rows import RowSource
from autoglm_phone.errors import EngineError
from autoglm_phone.graph.exits import ExitHistory

Ints = npt.NDArray[np.int64]
Program = tuple[tuple[int, int], ...]  # of a request: (segments, 1) a token, or (drafts, tokens) a lossless step


PATIENCE = 8  # turns that a lane waits for company at most


class Executor(Protocol):
    """What computes: backends.cuda_graphs.SegmentGraphs, or a stand-in that adds up costs."""

    def run(self, segment: int, rows: DecodeRows) -> list[int]: ...
    def read(self, boundary: int, places: Ints) -> tuple[list[int], list[float]]: ...
    def bucket(self, rows: int) -> int: ...


@dataclass(frozen=True)
class Layout:
    """ends: layers after each segment. head: what reading logits costs, in layers. tables: [lanes, segments, P] pages.
    rows: of the arena that tokens may hold, as many for each lane. axes: 3 for M-RoPE."""

    ends: tuple[int, ...]
    head: float
    tables: Ints
    page_size: int
    rows: int
    axes: int
    context: int  # tokens of a prompt, give or take a tenth

    @property
    def num_segments(self) -> int:
        return len(self.ends)


@dataclass(slots=True)
class Lane:
    """frontiers: its row of the replay's; tokens [frontiers[-1], frontiers[0]) hold arena rows. at: the boundary where
    its newest token stands; 0: the next may enter. waited: turns that it has stood there. history: where asking pays.
    want: what the program says of the next token.
    """

    index: int
    program: Program
    frontiers: Ints
    history: ExitHistory
    step: int = 0
    at: int = 0
    waited: int = 0
    token: int = 0
    want: int = 0


@dataclass
class Tally:
    """passes, reads: by (segment or boundary, bucket). riders: rows of tokens that caught up."""

    passes: Counter[tuple[int, int]] = field(default_factory=Counter)
    reads: Counter[tuple[int, int]] = field(default_factory=Counter)
    tokens: int = 0
    requests: int = 0
    rows: int = 0
    riders: int = 0

    def layers(self, ends: Sequence[int]) -> int:
        """Layers run, each pass counted once however many rows it had."""
        sizes = [end - start for start, end in zip((0, *ends), ends, strict=False)]
        return sum(sizes[segment] * count for (segment, _), count in self.passes.items())

    @property
    def num_reads(self) -> int:
        return sum(self.reads.values())


class Replay:
    """Args:
    programs: of requests, taken in turn. lanes: at a time (the batch).
    hold: share of the lanes that must wait at the first boundary before the deeper segments run for them; 0: they run
        at once. Lanes that wait (PATIENCE turns at most) let others go on: their tokens come later, but more of them
        share a pass, as DREX rebatches. Behind that boundary nobody waits.
    """

    def __init__(
        self,
        executor: Executor,
        layout: Layout,
        programs: Sequence[Program],
        lanes: int,
        *,
        hold: float = 0.0,
        seed: int = 0,
        asks: bool = True,
    ):
        if lanes > layout.tables.shape[0]:
            raise EngineError(f"{lanes} lanes, but pages for {layout.tables.shape[0]}")
        self.executor = executor
        self.layout = layout
        self.tally = Tally()
        self._programs = programs
        self._next = 0
        self._random = np.random.default_rng(seed)
        self._asks = asks
        self._coming: deque[tuple[int, Program, ExitHistory]] = deque()
        self._need = max(1, math.ceil(hold * lanes))
        self._news: list[tuple[ExitHistory, int, bool]] = []  # who left where at the last boundary
        self._frontiers = np.zeros((lanes, layout.num_segments), dtype=np.int64)
        span = layout.rows // layout.tables.shape[0]
        self._rows = RowSource(layout.tables, layout.page_size, self._frontiers, span, layout.axes)
        self.lanes = [self._begin(index) for index in range(lanes)]

    def _begin(self, index: int) -> Lane:
        """The next request takes a place in the batch."""
        if not self._coming:
            self._await_next()
        start, program, history = self._coming.popleft()
        self._frontiers[index] = start
        self._rows.renew(index, start)
        return Lane(index, program, self._frontiers[index], history, want=program[0][0])

    def _await_next(self) -> None:
        """As many requests as there are lanes may end at once."""
        context = self.layout.context
        while len(self._coming) < len(self._frontiers):
            start = int(self._random.integers(context * 9 // 10, context * 11 // 10 + 1))
            program = self._programs[self._next % len(self._programs)]
            self._next += 1
            self._coming.append((start, program, ExitHistory(self.layout.ends, self.layout.head)))

    def turn(self) -> None:
        """Every lane whose next token may enter goes as deep as the trace says, unless it has to wait on the way."""
        ready = [lane for lane in self.lanes if lane.at == 0]
        if ready:
            self._through(0, ready)
        for segment in range(1, self.layout.num_segments):
            group = [lane for lane in self.lanes if lane.at == segment]
            enough = len(group) >= self._need or any(lane.waited >= PATIENCE for lane in group)
            if group and (enough or segment > 1 or not ready):
                self._through(segment, group)
            for lane in group:
                lane.waited = lane.waited + 1 if lane.at == segment else 0

    def _through(self, segment: int, lanes: list[Lane]) -> None:
        """A pass, and what is decided at its end."""
        places, lasts = self._pass(segment, lanes)
        boundary, whole = segment + 1, self.layout.num_segments
        if boundary == whole:
            tokens = self._read(boundary, places[lasts])
            for lane, token in zip(lanes, tokens, strict=True):
                lane.at = 0
                self._emit(lane, token, 1)
            return
        asking = []
        for n, lane in enumerate(lanes):
            lane.at = boundary
            if self._asks and self._asked(lane, boundary):
                asking.append(n)
        if not asking:
            return
        asked = lanes if len(asking) == len(lanes) else [lanes[n] for n in asking]
        tokens = self._read(boundary, places[lasts if len(asking) == len(lanes) else lasts[asking]])
        left = [lane.want == boundary for lane in asked]
        for lane, token, leaves in zip(asked, tokens, left, strict=True):
            if leaves:
                lane.at = 0
                self._emit(lane, token, 1)
        self._news = [(lane.history, boundary, leaves) for lane, leaves in zip(asked, left, strict=True)]

    @staticmethod
    def _asked(lane: Lane, boundary: int) -> bool:
        """Where the trace says that a token left, it was asked; elsewhere it is where that pays."""
        return lane.history.ask(boundary) or lane.want == boundary

    def lossless_step(self) -> None:
        """Every lane drafts with the first segment, then the rest of the decoder checks all of it in one pass."""
        lanes, whole = self.lanes, self.layout.num_segments
        starts = self._frontiers[:, 0].tolist()
        places, lasts = self._pass(0, lanes)
        drafting, made = lanes, 0
        while where := [n for n, lane in enumerate(drafting) if lane.want > made]:
            drafting = [drafting[n] for n in where]
            for lane, token in zip(drafting, self._read(1, places[lasts[where]]), strict=True):
                lane.token = token
            places, lasts = self._pass(0, drafting)
            made += 1
        for segment in range(1, whole):
            places, lasts = self._pass(segment, lanes)
        tokens = self._read(whole, places)
        for lane, start, last in zip(lanes, starts, lasts, strict=True):
            accepted = lane.program[lane.step][1]
            lane.frontiers[:] = start + accepted
            self._emit(lane, tokens[last], accepted)
        self._rows.prepare(whole, np.arange(0))

    def _pass(self, segment: int, lanes: Sequence[Lane]) -> tuple[Ints, Ints]:
        """Run the lanes' newest tokens and all that waits before them; (arena row of each, each lane's last row)."""
        lane = np.array([lane.index for lane in lanes])
        if segment == 0:
            rows, lasts = self._rows.enter(lane, np.array([lane.token for lane in lanes], dtype=np.int64))
        else:
            rows, lasts = self._rows.follow(segment, lane)
        for bucket in self.executor.run(segment, rows):
            self.tally.passes[segment, bucket] += 1
        # All below while the device is busy.
        self._frontiers[lane, segment] = self._frontiers[lane, segment - 1] if segment else self._frontiers[lane, 0] + 1
        going = [other.index for other in self.lanes if other.at == segment + 1]
        self._rows.prepare(segment + 1, np.array([*going, *lane.tolist()]) if going else lane)
        for history, boundary, left in self._news:
            history.note(boundary, left)
        self._news.clear()
        self._await_next()
        self.tally.rows += len(rows)
        self.tally.riders += len(rows) - len(lanes)
        return rows.places, lasts

    def _read(self, boundary: int, places: Ints) -> list[int]:
        self.tally.reads[boundary, self.executor.bucket(places.shape[0])] += 1
        return self.executor.read(boundary, places)[0]

    def _emit(self, lane: Lane, token: int, count: int) -> None:
        lane.token = token
        lane.step += 1
        self.tally.tokens += count
        if lane.step < len(lane.program):
            lane.want = lane.program[lane.step][0]
        else:
            self.tally.requests += 1
            self.lanes[lane.index] = self._begin(lane.index)


class CostExecutor:
    """Adds up what passes cost instead of running them.

    Args:
        costs: ms by ("run", segment, bucket) and ("read", boundary, bucket). wait: ms that a read costs the host.
    """

    def __init__(self, costs: dict[tuple[str, int, int], float], buckets: Sequence[int], wait: float):
        self.costs = costs
        self.buckets = tuple(buckets)
        self.wait = wait
        self.ms = 0.0

    def bucket(self, rows: int) -> int:
        return next((size for size in self.buckets if size >= rows), self.buckets[-1])

    def run(self, segment: int, rows: DecodeRows) -> list[int]:
        largest = self.buckets[-1]
        used = [self.bucket(min(largest, len(rows) - first)) for first in range(0, len(rows), largest)]
        self.ms += sum(self.costs["run", segment, bucket] for bucket in used)
        return used

    def read(self, boundary: int, places: Ints) -> tuple[list[int], list[float]]:
        self.ms += self.costs["read", boundary, self.bucket(places.shape[0])] + self.wait
        return [0] * places.shape[0], [1.0] * places.shape[0]


HOLDS = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0)


def choose_hold(
    costs: dict[tuple[str, int, int], float],
    buckets: Sequence[int],
    layout: Layout,
    programs: Sequence[Program],
    lanes: int,
    *,
    wait: float = 0.05,
    turns: int = 400,
    seed: int = 0,
) -> dict[float, float]:
    """Expected ms a token and lane, for each way of waiting; from the costs of the passes, before anything is run."""
    expected = {}
    for hold in HOLDS if lanes > 1 else HOLDS[:1]:
        executor = CostExecutor(costs, buckets, wait)
        replay = Replay(executor, layout, programs, lanes, hold=hold, seed=seed)
        for _ in range(turns):
            replay.turn()
        expected[hold] = executor.ms / max(1, replay.tally.tokens) * lanes
    return expected
