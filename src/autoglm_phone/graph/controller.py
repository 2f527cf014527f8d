"""When leaving early and grouping by depth pay: costs of each piece by rows, and what they say of a batch. No tensors.

A pass over n rows costs about a + b n milliseconds. Reading the weights is a, and it is what skipping a segment saves:
with many rows in a batch one of them nearly always needs the segment, the rows that wait are computed later anyway, and
reading out logits at every exit costs more than is gained. Where it pays, those who go deeper wait for one another
for a few steps (`best_company`). So each mechanism is judged by its expected cost a token against the static pass over
the same rows, and by what was really measured (`Guard`), and is off where it loses.

`graph.costs` goes on measuring while the server runs, and `graph.drafting` chooses draft lengths from that; a table
measured at start (`measure_costs`, by `runner.profiling`) is what both know before the first request (`seed`), and
`table_of` is today's state of it.
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from autoglm_phone.errors import ConfigError
from autoglm_phone.graph.costs import SegmentCosts

BUCKETS = (1, 2, 4, 8, 16, 32, 64)
MARGIN = 1.03  # a mechanism must be expected to win by this much: what it may lose if the estimate is off
# Waiting too, by more: rows that catch up cost more than the table says. On two CPU cores 1.29 was expected of 16
# sequences and nothing was won; on an H200 at the 9B shape more than 1.6 is (docs/LOG.md).
COMPANY_MARGIN = 1.4


@dataclass(frozen=True)
class CostTable:
    """Milliseconds. segments[s][i]: segment s over buckets[i] rows; head[i]: an exit's or the last head and the choice
    of tokens from it; boundary[i]: regrouping rows at a boundary."""

    buckets: tuple[int, ...]
    segments: tuple[tuple[float, ...], ...]
    head: tuple[float, ...]
    boundary: tuple[float, ...]

    def __post_init__(self) -> None:
        rows = (*self.segments, self.head, self.boundary)
        if not self.segments or any(len(row) != len(self.buckets) for row in rows):
            raise ConfigError(f"a cost table needs {len(self.buckets)} times for each segment, the head and boundaries")
        if list(self.buckets) != sorted(set(self.buckets)) or self.buckets[0] < 1 or min(map(min, rows)) < 0:
            raise ConfigError("a cost table needs rising bucket sizes and times of at least 0")

    @property
    def num_segments(self) -> int:
        return len(self.segments)

    def segment(self, index: int, rows: float) -> float:
        """Expected cost of a pass over `rows` rows (0: it does not run)."""
        return self._at(self.segments[index], rows)

    def reading(self, rows: float) -> float:
        """Cost of logits for `rows` rows."""
        return self._at(self.head, rows)

    def regroup(self, rows: float) -> float:
        return self._at(self.boundary, rows)

    def static(self, rows: float) -> float:
        """A step that runs every segment over all rows."""
        return sum(self.segment(s, rows) for s in range(self.num_segments)) + self.reading(rows)

    def _at(self, times: Sequence[float], rows: float) -> float:
        """Linear between buckets; beyond the last by its slope. Below the smallest bucket a pass costs the same."""
        if rows <= 0:
            return 0.0
        sizes = self.buckets
        if rows <= sizes[0] or len(sizes) == 1:
            return times[0]
        upper = min(bisect.bisect_left(sizes, rows), len(sizes) - 1)
        lower = upper - 1
        share = (rows - sizes[lower]) / (sizes[upper] - sizes[lower])
        return max(0.0, times[lower] + share * (times[upper] - times[lower]))


def measure_costs(
    run: Callable[[str, int, int], None],
    num_segments: int,
    buckets: Sequence[int] = BUCKETS,
    *,
    repeats: int = 2,
    seconds: float = float("inf"),
    clock: Callable[[], float] = time.perf_counter,
) -> CostTable:
    """Measure every piece at every bucket, small ones first.

    Args:
        run: does one piece and returns when it is done: ("segment", index, rows), ("head", 0, rows) or
            ("boundary", 0, rows).
        repeats: timed runs after one that warms up; the best counts, as whatever disturbs one makes it longer.
        seconds: no bucket is begun after so many, but the first one always is.
    """

    def cost(piece: str, index: int, rows: int) -> float:
        run(piece, index, rows)
        times = []
        for _ in range(repeats):
            start = clock()
            run(piece, index, rows)
            times.append(1000 * (clock() - start))
        return min(times)

    begin = time.perf_counter()
    segments: list[list[float]] = [[] for _ in range(num_segments)]
    head: list[float] = []
    boundary: list[float] = []
    for rows in buckets:
        if head and time.perf_counter() - begin > seconds:
            break
        for index, times in enumerate(segments):
            times.append(cost("segment", index, rows))
        head.append(cost("head", 0, rows))
        boundary.append(cost("boundary", 0, rows))
    return CostTable(tuple(buckets[: len(head)]), tuple(map(tuple, segments)), tuple(head), tuple(boundary))


def seed(costs: SegmentCosts, table: CostTable) -> None:
    """Tell the running averages what was measured at start."""
    for place, rows in enumerate(table.buckets):
        for index, times in enumerate(table.segments):
            costs.note(index, rows, times[place] / 1000)
        costs.note(SegmentCosts.HEAD, rows, table.head[place] / 1000)


def table_of(costs: SegmentCosts, num_segments: int, buckets: Sequence[int] = BUCKETS) -> CostTable | None:
    """The running averages as a table; None while a piece was never measured. Regrouping is in the segments' times."""

    def times(part: int) -> tuple[float, ...] | None:
        known = [costs.of(part, rows) for rows in buckets]
        return None if any(t is None for t in known) else tuple(1000 * t for t in known if t is not None)

    segments = [times(index) for index in range(num_segments)]
    head = times(SegmentCosts.HEAD)
    if head is None or any(row is None for row in segments):
        return None
    return CostTable(tuple(buckets), tuple(row for row in segments if row is not None), head, (0.0,) * len(buckets))


def exits_cost(costs: CostTable, rows: int, go_on: Sequence[float]) -> float:
    """Expected milliseconds of a step in which tokens may leave early.

    Args:
        go_on: per boundary between segments, the share of tokens that need the segment behind it (falling). Tokens that
            left wait, and ride along when a later one of their sequence goes on: nearly all are computed in the end, so
            the rows of the deeper segment stay `rows` on average, but it runs less often.
    """
    total, asked, runs = costs.segment(0, rows), float(rows), 1.0
    for segment, share in enumerate(go_on, 1):
        # Is it sure? Those who ask are those who came so far, in the steps in which anybody did.
        total += runs * (costs.reading(asked / runs) + costs.regroup(asked / runs))
        runs = 1 - (1 - share) ** rows
        if runs <= 0:
            return total
        total += runs * costs.segment(segment, rows / runs)
        asked = rows * share
    return total + runs * costs.reading(asked / runs)


def exits_pay(costs: CostTable, rows: int, go_on: Sequence[float], margin: float = MARGIN) -> bool:
    """Should tokens of a batch of this size be let out early?"""
    return exits_cost(costs, rows, go_on) * margin < costs.static(rows)


def company_cost(costs: CostTable, rows: int, go_on: Sequence[float], company: int) -> float:
    """Expected milliseconds a token, if those who go on wait behind the first segment until they are `company`.

    Who waits does not ask for tokens meanwhile, so fewer rows share the first pass; but the deeper ones, whose weights
    are read for every pass, run once for all that wait. Their rows are as many either way: a token that left is
    computed when its sequence goes on.
    """
    share = go_on[0]
    active = rows - (company - 1) / 2
    total = (costs.segment(0, active) + costs.reading(active) + costs.regroup(active)) / active
    if share <= 0:
        return total
    together = max(float(company), active * share)
    for segment, deeper in enumerate(go_on, 1):
        there = together * deeper / share
        if there <= 0:
            break
        runs = min(1.0, there)
        work = costs.segment(segment, there / runs / deeper) + costs.reading(there / runs) + costs.regroup(there / runs)
        total += share / together * runs * work
    return total


def best_company(costs: CostTable, rows: int, go_on: Sequence[float], margin: float = COMPANY_MARGIN) -> int:
    """How many sequences should wait for one another before the deeper segments run for them; 1: nobody waits.

    It must be better than nobody's waiting, and better than the static pass by `margin`.
    """
    alone = company_cost(costs, rows, go_on, 1)
    choices = {n: company_cost(costs, rows, go_on, n) for n in range(2, rows // 2 + 1)}
    best = min(choices, key=lambda n: choices[n], default=1)
    if best == 1 or choices[best] * MARGIN > alone or choices[best] * margin > costs.static(rows) / rows:
        return 1
    return best


@dataclass
class Guard:
    """The last word: switches a mechanism off in buckets where steps took longer than static ones would have.

    Pure state: `allowed` asks, `observe` tells. After `patience` losing steps in a row of averages it rests for `rest`
    steps, then tries again, each time it loses again twice as long.
    """

    tolerance: float = 1.0  # of the static time
    patience: int = 16
    rest: int = 256
    longest: int = 8192
    weight: float = 0.1  # of the newest step in the average
    _buckets: dict[int, _State] = field(default_factory=dict)

    def allowed(self, rows: int) -> bool:
        """May the next step of this size be dynamic? Counts down the rest."""
        state = self._state(rows)
        if state.resting > 0:
            state.resting -= 1
            return False
        return True

    def observe(self, rows: int, took: float, tokens: int, static: float) -> None:
        """A dynamic step over `rows` sequences took so many ms and gave so many tokens; a static one would have taken
        `static` ms and given `rows` tokens."""
        state = self._state(rows)
        ratio = (took / max(1, tokens)) / max(1e-9, static / rows)
        state.ratio = ratio if state.ratio is None else state.ratio + self.weight * (ratio - state.ratio)
        if state.ratio <= self.tolerance:
            state.losing = 0
            state.next_rest = max(self.rest, state.next_rest // 2) if ratio <= self.tolerance else state.next_rest
            return
        state.losing += 1
        if state.losing >= self.patience:
            state.next_rest = state.next_rest or self.rest
            state.resting, state.next_rest = state.next_rest, min(2 * state.next_rest, self.longest)
            state.losing, state.ratio = 0, None

    def _state(self, rows: int) -> _State:
        return self._buckets.setdefault(max(1, rows).bit_length(), _State())


@dataclass
class _State:
    ratio: float | None = None
    losing: int = 0
    resting: int = 0
    next_rest: int = 0


class Shares:
    """Running estimate of a share (acceptance of drafts, tokens that go on at a boundary), slow enough to be steady.

    Args:
        first: assumed before anything was seen. weight: observations that the assumption is worth.
        memory: observations after which old ones have faded.
    """

    def __init__(self, first: float, weight: float = 20, memory: float = 500):
        self._yes, self._all, self._memory = first * weight, weight, memory

    @property
    def value(self) -> float:
        return self._yes / self._all

    def observe(self, yes: int, of: int) -> None:
        """`yes` of `of` did."""
        if of < 1:
            return
        keep = max(0.0, 1 - of / self._memory)
        self._yes = self._yes * keep + yes
        self._all = self._all * keep + of


CROWD = 5  # sequences: with fewer, each one's own history (graph.exits) is judge enough
RETRY, LAST_RETRY = 64, 1024  # steps between trials of exits that are expected to lose; doubled each time
BURST = 2  # steps of a trial
MEMORY = 200  # tokens: how long the shares remember
FRESH = 64  # steps that an opinion about them keeps


class ExitGate:
    """Whether tokens of a crowd may be let out early: by what it is expected to cost (`exits_pay`), and by what the
    steps really took (`Guard`).

    A closed gate sends tokens deeper, which loses time at most, never quality. With fewer than CROWD sequences it is
    always open, so that what a request gets does not depend on a few others.

    Args:
        num_segments: of the decoder. costs: of its segments, kept by the runner.
    """

    def __init__(self, num_segments: int, costs: SegmentCosts):
        self.costs = costs
        self.guard = Guard()
        self._shares = [
            Shares(0.3, weight=8, memory=MEMORY) for _ in range(num_segments - 1)
        ]  # that go on, of those that came so far
        self._surprised = False  # most tokens left in a trial
        self._opinions: dict[int, tuple[bool, int]] = {}  # by bucket: does it pay, steps until this is asked again
        self._company: dict[int, tuple[int, int]] = {}  # by bucket: who waits for how many, steps until asked again
        self._waits: dict[int, tuple[int, int]] = {}  # by bucket: steps to the end of the next trial, of the whole wait

    def shut(self, rows: int) -> bool:
        """Whether tokens of so many sequences are not let out at present. Unlike `opens`, it counts nothing."""
        known, _ = self._opinions.get(rows.bit_length(), (True, 0))
        return rows >= CROWD and not known

    def opens(self, rows: int) -> bool:
        """May tokens of the next step over so many sequences leave early? Ask once a step."""
        if rows < CROWD:
            return True
        bucket = rows.bit_length()
        if self._pays(rows):
            self._waits.pop(bucket, None)
            return self.guard.allowed(rows)
        left, whole = self._waits.get(bucket, (RETRY, RETRY))
        if left == 0:
            left = whole = RETRY if self._surprised else min(2 * whole, LAST_RETRY)
            self._surprised = False
        self._waits[bucket] = left - 1, whole
        return left <= BURST

    def company(self, rows: int) -> int:
        """For how many sequences one that goes deeper should wait, of so many that decode. Ask once a step."""
        if rows < CROWD:
            return 1
        bucket = rows.bit_length()
        known, left = self._company.get(bucket, (1, 0))
        if left == 0:
            table = table_of(self.costs, len(self._shares) + 1)
            known = 1 if table is None else best_company(table, rows, self._go_on())
            left = FRESH
        self._company[bucket] = known, left - 1
        return known

    def note(self, boundary: int, left: int, of: int) -> None:
        """Of the sequences of a step that came to a boundary (segments, from 1), so many left there."""
        self._shares[boundary - 1].observe(of - left, of)
        self._surprised = self._surprised or 2 * left > of

    def note_step(self, rows: int, seconds: float, tokens: int) -> None:
        """An open step over so many decoding sequences."""
        if rows < CROWD or not tokens:
            return
        passes = self.costs.of_all(range(len(self._shares) + 1), rows)
        head = self.costs.of(SegmentCosts.HEAD, rows)
        if passes is not None and head is not None:
            self.guard.observe(rows, 1000 * seconds, tokens, 1000 * (passes + head))

    def _pays(self, rows: int) -> bool:
        bucket = rows.bit_length()
        known, left = self._opinions.get(bucket, (True, 0))
        if left > 0:
            self._opinions[bucket] = known, left - 1
            return known
        table = table_of(self.costs, len(self._shares) + 1)
        known = table is None or self._worth(table, rows, self._go_on())
        self._opinions[bucket] = known, FRESH
        return known

    @staticmethod
    def _worth(table: CostTable, rows: int, go_on: Sequence[float]) -> bool:
        return exits_pay(table, rows, go_on, margin=1.0) or best_company(table, rows, go_on) > 1

    def _go_on(self) -> list[float]:
        """By boundary, the share of tokens that go beyond it."""
        go_on, share = [], 1.0
        for measured in self._shares:
            share *= measured.value
            go_on.append(share)
        return go_on
