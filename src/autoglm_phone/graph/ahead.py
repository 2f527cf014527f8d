"""Whether to write on behind a token that an exit was not sure of, before the deeper segments are asked. No tensors.

A deep pass takes nearly as long for ten rows as for one, so unsure tokens should share it. Behind one of them the exit
goes on from its own guess: if the guess turns out right, the next unsure token has come without a deep pass of its own;
if not, the shallow passes since were for nothing. So one more shallow pass over some sequences is worth its time where

    sum of P (s + q d)  >  its time

with P the chance that all guesses of a sequence so far are right, s what a token costs in a step of its own, q the
chance that the next token is unsure too, and d what a sequence saves by sharing a deep pass. P is learned by confidence
(`graph.drafting` does), q by how long ago the last unsure token was (they come in clusters), s and d are measured. In a
crowd, where sequences share deep passes anyway, the last word is with what whole steps gave, with and without: tokens a
second. What comes out is the same whatever is chosen here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autoglm_phone.graph.costs import SegmentCosts
from autoglm_phone.graph.drafting import LONGEST, DraftController
from autoglm_phone.graph.gate import CROWD, MEMORY, Shares

CALM = 8  # sure tokens since the last unsure one: more are the same to us
FIRST_UNSURE = (0.4, 0.25, 0.2, 0.2, 0.15, 0.15, 0.1, 0.1, 0.1)  # by calm, until something is known
MARGIN = 1.1  # what is expected to be gained, over what a pass takes
ROUND, COMPARE = 24, 12  # steps of a crowd that write ahead, and that do not, before they are compared
PLEASED = 256  # steps that it goes on where it won
FIRST_REST, LAST_REST = 64, 2048  # steps without where it lost; doubled each time
RATE_WEIGHT = 0.5  # of the newest round in what is known of the rate
WEIGHT = 0.05  # of the newest deep pass in the average of their rows
MOST_ROWS = 64  # a deep pass over more catches up with a prompt: no guide to those to come
FRESH = 16  # decisions for which the costs are not looked up again
TRUST, TRUST_FADE = 2.0, 0.97  # guesses that the chances by confidence are believed for at first; of older guesses
OWN_TRUST, OWN_FADE = 1.0, 0.9  # the same, for the guesses of one request


@dataclass(slots=True)
class Trust:
    """How far one request's guesses keep what their chances promise. right: those that were; expected: what their
    chances add up to, both fading."""

    right: float = OWN_TRUST
    expected: float = OWN_TRUST

    @property
    def share(self) -> float:
        return min(1.0, self.right / self.expected)

    def note(self, chance: float, right: bool) -> None:
        self.right = OWN_TRUST + OWN_FADE * (self.right - OWN_TRUST) + right
        self.expected = OWN_TRUST + OWN_FADE * (self.expected - OWN_TRUST) + chance


@dataclass
class _Trial:
    """Tokens a second of crowds of about one size. on: steps write ahead now, `left` more of them; then they do not, or
    the other way round. tokens, seconds: of this round. plain, ahead: tokens a second of rounds without and with.
    resting: it lost; next_rest: steps without when it loses again."""

    on: bool = True
    left: int = ROUND
    tokens: int = 0
    seconds: float = 0.0
    plain: float | None = None
    ahead: float | None = None
    resting: bool = False
    next_rest: int = FIRST_REST

    def note(self, tokens: int, seconds: float) -> None:
        """A step was made."""
        self.tokens += tokens
        self.seconds += seconds
        self.left -= 1
        if self.left > 0 or self.seconds <= 0:
            return
        rate = self.tokens / self.seconds
        self.tokens, self.seconds = 0, 0.0
        if self.on:
            self.ahead = _mixed(self.ahead, rate)
        else:
            self.plain = _mixed(self.plain, rate)
        if self.plain is None or self.ahead is None:
            self.on, self.left = not self.on, COMPARE if self.on else ROUND
        elif self.ahead > self.plain:
            self.resting, self.next_rest = False, FIRST_REST
            self.on, self.left = (False, COMPARE) if self.on else (True, PLEASED)  # does it still?
        elif self.resting:
            self.resting, self.on, self.left = False, True, ROUND
        else:
            self.resting, self.on, self.left = True, False, self.next_rest
            self.next_rest = min(2 * self.next_rest, LAST_REST)


def _mixed(known: float | None, rate: float) -> float:
    return rate if known is None else known + RATE_WEIGHT * (rate - known)


class AheadController:
    """Args:
    num_segments: of the decoder. costs: of its segments, kept by the runner. drafting: knows which guesses are right.

    Attributes:
        longest: tokens that a sequence may write in one step behind its first; 0: none ever.
    """

    def __init__(self, num_segments: int, costs: SegmentCosts, drafting: DraftController, longest: int = LONGEST):
        self.longest = longest
        self._num_segments = num_segments
        self._costs = costs
        self._drafting = drafting
        self.forget()

    def forget(self) -> None:
        """Nothing was read yet."""
        self._unsure = [Shares(first, weight=8, memory=MEMORY) for first in FIRST_UNSURE]
        self._right = self._expected = TRUST  # guesses, and what their chances add up to
        self._overall = Shares(FIRST_UNSURE[-1], weight=8, memory=MEMORY)
        self._reach = [Shares(0.7, weight=8, memory=MEMORY) for _ in range(self._num_segments)]
        self._rows: dict[int, float] = {}  # of a deep pass, by bucket of sequences
        self._known: dict[tuple[int, int], tuple[float, float, int]] = {}  # see _value
        self._trials: dict[int, _Trial] = {}  # by bucket of sequences

    # What happened.

    def note_token(self, calm: int, sure: bool) -> None:
        """An exit was read for a token, so many sure ones after the last unsure one."""
        self._unsure[min(calm, CALM)].observe(not sure, 1)
        self._overall.observe(not sure, 1)

    def note_guess(self, depth: int, confidence: float, right: bool, own: Trust | None = None) -> None:
        """A guess made with this confidence, after `depth` segments, was judged by a deeper one. own: its request's."""
        if own is not None:
            own.note(self._drafting.chance(depth, confidence), right)
        self._expected = TRUST + TRUST_FADE * (self._expected - TRUST) + self._drafting.chance(depth, confidence)
        self._right = TRUST + TRUST_FADE * (self._right - TRUST) + right
        self._drafting.note_guess(depth, confidence, right)

    def note_deep(self, count: int, rows: int) -> None:
        """A deep pass in a step over `count` sequences that decode."""
        if rows <= MOST_ROWS:
            bucket = count.bit_length()
            known = self._rows.get(bucket, float(rows))
            self._rows[bucket] = known + WEIGHT * (rows - known)

    def note_reach(self, boundary: int, left: int, of: int) -> None:
        """Of the sequences that came to a boundary behind the shallow one, so many went no deeper."""
        self._reach[boundary - 1].observe(of - left, of)

    def note_step(self, count: int, tokens: int, seconds: float) -> None:
        """A step over `count` sequences that decode and may leave early."""
        if count >= CROWD:
            self._trials.setdefault(count.bit_length(), _Trial()).note(tokens, seconds)

    # What to do.

    def on(self, count: int) -> bool:
        """May a step over so many sequences write ahead at all?"""
        trial = self._trials.get(count.bit_length())
        return self.longest > 0 and (trial is None or count < CROWD or trial.on)

    def unsure(self, calm: int) -> float:
        """Chance that an exit is not sure of a token, so many sure ones after the last unsure one."""
        return self._unsure[min(calm, CALM)].value

    def chance(self, depth: int, confidence: float, own: Trust | None = None) -> float:
        """That a guess of this confidence is right. Each confidence learns for itself, and a wrong guess costs a step:
        where guesses of all confidences, or of this request, fall short of what was expected, all are believed less."""
        trust = min(1.0 if own is None else own.share, self._right / self._expected)
        return min(trust * self._drafting.chance(depth, confidence), 0.99)

    def worth(self, depth: int, count: int, standing: Sequence[tuple[float, int]]) -> list[bool]:
        """Which sequences should write one more token before the deeper segments run; all False if none.

        Args:
            depth: segments of a shallow pass. count: sequences of the step.
            standing: of each that could, the chance that its guesses are right, and its calm (see `note_token`).
        """
        if not any(chance < 1 for chance, _ in standing):
            return [False] * len(standing)  # no guess is waiting: to write on would only delay what is known
        known = self._value(depth, count)
        if known is None:
            return [False] * len(standing)
        token, deep = known
        gains = [chance * (token + self._unsure[min(calm, CALM)].value * deep) for chance, calm in standing]
        one, all_ = self._shallow(depth, 1), self._shallow(depth, len(standing))
        row = (all_ - one) / (len(standing) - 1) if len(standing) > 1 else 0.0
        keep = [gain > row for gain in gains]
        rows = sum(keep)
        gained = sum(gain for gain, kept in zip(gains, keep, strict=True) if kept)
        return keep if rows and gained > MARGIN * self._shallow(depth, rows) else [False] * len(standing)

    def _value(self, depth: int, count: int) -> tuple[float, float] | None:
        """Seconds: of a token in a step of its own that stays shallow, and what a sequence saves where two deep passes
        become one. None until the passes were measured."""
        token, deep, uses = self._known.get((depth, count), (0.0, 0.0, 0))
        if not uses:
            measured = self._measured(depth, count)
            if measured is None:
                return None
            token, deep, uses = *measured, FRESH
        self._known[depth, count] = token, deep, uses - 1
        return token, deep

    def _measured(self, depth: int, count: int) -> tuple[float, float] | None:
        rows = max(1, round(self._rows.get(count.bit_length(), 1.0)))
        saved = self._costs.of(SegmentCosts.HEAD, 1)
        if saved is None:
            return None
        reach = 1.0  # not all unsure tokens go through all segments
        for segment in range(depth, self._num_segments):
            alone, together = self._costs.of(segment, rows), self._costs.of(segment, 2 * rows)
            if alone is None or together is None:
                return None
            reach *= self._reach[segment - 1].value if segment > depth else 1.0
            saved += reach * max(0.0, 2 * alone - together)
        share = max(1.0, count * self._overall.value)  # sequences that go deeper at a time
        return self._shallow(depth, count) / count, saved / share

    def _shallow(self, depth: int, rows: int) -> float:
        shallow, head = self._costs.of_all(range(depth), rows), self._costs.of(SegmentCosts.HEAD, rows)
        return 0.0 if shallow is None or head is None else shallow + head
