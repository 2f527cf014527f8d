"""Replays a recorded depth mix on the decoder's graphs: frontiers, waiting tokens and regrouping as they are served,
only the outcome of each exit is the trace's. No tensors.

A lane is a place in the batch; when its request ends, the next one of the mix begins in it, its prompt in place. Every
token holds one row of the state arena until the last segment has processed it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from autoglm_phone.backends.cuda_graphs import FIRST_ROW, DecodeRows
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


@dataclass
class Lane:
    """frontiers: its row of the replay's; tokens [frontiers[-1], frontiers[0]) hold arena rows. at: the boundary where
    its newest token stands; 0: the next may enter. waited: turns that it has stood there. history: where asking pays.
    """

    index: int
    program: Program
    frontiers: Ints
    history: ExitHistory
    step: int = 0
    at: int = 0
    waited: int = 0
    token: int = 0

    @property
    def want(self) -> int:
        return self.program[self.step][0]


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
        self._need = max(1, math.ceil(hold * lanes))
        # A lane's tokens take its stretch of the arena in turn: what a pass reads and writes is arithmetic on arrays,
        # for the device waits while the host works that out.
        self._span = layout.rows // layout.tables.shape[0]
        self._news: list[tuple[ExitHistory, int, bool]] = []  # who left where at the last boundary
        self._frontiers = np.zeros((lanes, layout.num_segments), dtype=np.int64)
        self.lanes = [self._begin(index) for index in range(lanes)]

    def _begin(self, index: int) -> Lane:
        layout = self.layout
        start = int(self._random.integers(layout.context * 9 // 10, layout.context * 11 // 10 + 1))
        program = self._programs[self._next % len(self._programs)]
        self._next += 1
        self._frontiers[index] = start
        return Lane(index, program, self._frontiers[index], ExitHistory(layout.ends, layout.head))

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
        tokens = self._read(boundary, places[lasts[asking]])
        for n, token in zip(asking, tokens, strict=True):
            lane = lanes[n]
            leaves = lane.want == boundary
            self._news.append((lane.history, boundary, leaves))
            if leaves:
                lane.at = 0
                self._emit(lane, token, 1)

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

    def _pass(self, segment: int, lanes: Sequence[Lane]) -> tuple[Ints, Ints]:
        """Run the lanes' newest tokens and all that waits before them; (arena row of each, each lane's last row)."""
        layout = self.layout
        lane = np.array([lane.index for lane in lanes])
        begin = self._frontiers[lane, segment]
        end = begin + 1 if segment == 0 else self._frontiers[lane, segment - 1]
        self._frontiers[lane, segment] = end
        counts = end - begin
        ends = counts.cumsum()
        lasts = ends - 1
        position = end - 1
        if ends[-1] > len(lanes):  # some lanes bring tokens that wait
            position = np.arange(ends[-1]) - np.repeat(ends - end, counts)
            lane = np.repeat(lane, counts)
        if segment == 0 and int((end - self._frontiers[lane, -1]).max()) > self._span:
            raise EngineError(f"a lane's {self._span} rows of the state arena are all taken")
        places = FIRST_ROW + lane * self._span + position % self._span
        tables = layout.tables[lane, segment]
        page, offset = np.divmod(position, layout.page_size)
        rows = DecodeRows(
            sources=np.array([lane.token for lane in lanes], dtype=np.int64) if segment == 0 else places,
            places=places,
            slots=tables[np.arange(len(position)), page] * layout.page_size + offset,
            positions=position if layout.axes == 1 else np.broadcast_to(position, (layout.axes, len(position))),
            tables=tables,
            lengths=position + 1,
        )
        for bucket in self.executor.run(segment, rows):
            self.tally.passes[segment, bucket] += 1
        for history, boundary, left in self._news:  # now that the device is busy
            history.note(boundary, left)
        self._news.clear()
        self.tally.rows += len(position)
        self.tally.riders += len(position) - len(lanes)
        return places, lasts

    def _read(self, boundary: int, places: Ints) -> list[int]:
        self.tally.reads[boundary, self.executor.bucket(places.shape[0])] += 1
        return self.executor.read(boundary, places)[0]

    def _emit(self, lane: Lane, token: int, count: int) -> None:
        lane.token = token
        lane.step += 1
        self.tally.tokens += count
        if lane.step == len(lane.program):
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
