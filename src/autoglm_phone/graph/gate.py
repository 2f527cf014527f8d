"""Whether tokens of a crowd may be let out early: by what it is expected to cost, and by what was really measured.

No tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from autoglm_phone.graph.controller import CostTable, ahead_cost, best_company, exits_pay, table_of
from autoglm_phone.graph.costs import SegmentCosts

CROWD = 5  # sequences: with fewer, each one's own history (graph.exits) is judge enough
RETRY, LAST_RETRY = 64, 1024  # steps between trials of exits that are expected to lose; doubled each time
BURST = 2  # steps of a trial
MEMORY = 200  # tokens: how long the shares remember
FIRST_FRESH, FRESH = 4, 64  # steps that an opinion about them keeps: doubled each time it is confirmed
MARGIN = 1.03  # exits must be expected to win by this much: what the estimate leaves out
AHEAD = range(2, 6)  # tokens that a sequence of a crowd may write before the deeper segments run (runner.ahead)
AHEAD_RIGHT, AHEAD_MARGIN = 0.4, 1.2  # guesses that prove right; more is left out there: those that end sooner wait


@dataclass
class Guard:
    """The last word: switches a mechanism off in buckets where steps took longer than static ones would have.

    Pure state: `allowed` asks, `observe` tells. After `patience` losing steps in a row of averages it rests for `rest`
    steps, then tries again, each time it loses again twice as long.
    """

    tolerance: float = 1.0  # of the static time
    patience: int = 12
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
        self._opinions: dict[int, _Opinion] = {}  # by bucket
        self._waits: dict[int, tuple[int, int]] = {}  # by bucket: steps to the end of the next trial, of the whole wait

    def shut(self, rows: int) -> bool:
        """Whether tokens of so many sequences are not let out at present. Unlike `opens`, it counts nothing."""
        return rows >= CROWD and not self._opinions.get(rows.bit_length(), _Opinion()).pays

    def opens(self, rows: int) -> bool:
        """May tokens of the next step over so many sequences leave early? Ask once a step."""
        if rows < CROWD:
            return True
        bucket = rows.bit_length()
        if self._opinion(rows).pays:
            self._waits.pop(bucket, None)
            return self.guard.allowed(rows)
        left, whole = self._waits.get(bucket, (RETRY, RETRY))
        if left == 0:
            left = whole = RETRY if self._surprised else min(2 * whole, LAST_RETRY)
            self._surprised = False
        self._waits[bucket] = left - 1, whole
        return left <= BURST

    def company(self, rows: int) -> int:
        """For how many sequences one that goes deeper should wait, of so many that decode. `opens` comes first."""
        return 1 if rows < CROWD else self._opinions.get(rows.bit_length(), _Opinion()).company

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

    def _opinion(self, rows: int) -> _Opinion:
        """What is thought of exits at this size; looked up again after a while, sooner where it has just changed."""
        known = self._opinions.setdefault(rows.bit_length(), _Opinion())
        if known.left > 0:
            known.left -= 1
            return known
        table = table_of(self.costs, len(self._shares) + 1)
        if table is None:
            return known
        go_on = self._go_on()
        company = best_company(table, rows, go_on)
        pays = company > 1 or exits_pay(table, rows, go_on, margin=MARGIN) or self._ahead_pays(table, rows, go_on)
        known.keeps = min(2 * known.keeps, FRESH) if pays == known.pays else FIRST_FRESH
        known.pays, known.company, known.left = pays, company, known.keeps
        return known

    @staticmethod
    def _ahead_pays(table: CostTable, rows: int, go_on: Sequence[float]) -> bool:
        best = min(ahead_cost(table, rows, go_on, length, AHEAD_RIGHT) for length in AHEAD)
        return best * AHEAD_MARGIN * rows < table.static(rows)

    def _go_on(self) -> list[float]:
        """By boundary, the share of tokens that go beyond it."""
        go_on, share = [], 1.0
        for measured in self._shares:
            share *= measured.value
            go_on.append(share)
        return go_on


@dataclass
class _Opinion:
    """pays: letting tokens out does. company: who waits for how many. left: steps until this is looked up again, keeps:
    how many it was good for."""

    pays: bool = True
    company: int = 1
    left: int = 0
    keeps: int = FIRST_FRESH // 2
