"""When leaving early and grouping by depth pay: costs of each piece by rows, and what they say of a batch. No tensors.

A pass over n rows costs about a + b n milliseconds. Reading the weights is a, and it is what skipping a segment saves:
with many rows in a batch one of them nearly always needs the segment, the rows that wait are computed later anyway, and
reading out logits at every exit costs more than is gained. Where it pays, those who go deeper wait for one another
for a few steps (`best_company`). So each mechanism is judged by its expected cost a token against the static pass over
the same rows, and by what was really measured (`graph.gate`), and is off where it loses.

`graph.costs` goes on measuring while the server runs, and `graph.drafting` chooses draft lengths from that; a table
measured at start (`measure_costs`, by `runner.profiling`) is what both know before the first request (`seed`), and
`table_of` is today's state of it.
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


def ahead_cost(costs: CostTable, rows: int, go_on: Sequence[float], length: int, right: float) -> float:
    """Expected milliseconds a token, if each sequence writes `length` tokens before the deeper segments run for all.

    right: share of the guesses at unsure tokens that are right; what follows a wrong one is lost.
    """
    unsure = go_on[0]
    kept = 1 - unsure * (1 - right)  # of what follows a token, as long as nothing is known of it
    tokens = rows * sum(kept**place for place in range(length))
    total = length * (costs.segment(0, rows) + costs.reading(rows))
    for segment, share in enumerate(go_on, 1):
        there = rows * length * share
        runs = min(1.0, there)
        total += runs * (costs.segment(segment, rows * length) + costs.reading(there / runs if runs else 0.0))
    return total / tokens


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
