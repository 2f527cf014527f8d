"""How many tokens to draft in `lossless` mode: as many as pay, and none where drafting does not. No tensors.

With acceptance rate a, a step that drafts k tokens gives (1 - a^(k+1)) / (1 - a) of them on average (Leviathan et al.
2023, arXiv 2211.17192) and takes k shallow passes and one deep pass over k + 1 rows a sequence. The rate and the
passes are measured, and say how many drafts to make. Whether to draft at all is decided by what whole steps really
gave: tokens a second with drafts and without, for each size of batch. The output is the same whatever is chosen here.

Learning must not cost what it may never bring in. Nothing is drafted before the passes are known; until drafts have
proved right, few are made; and where they would not pay, a trial is one draft for a few of the sequences, after rests
that double.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autoglm_phone.graph.costs import SegmentCosts

LONGEST = 8  # drafts a step; an acceptance rate of 0.9 gives 6.1 tokens a step then
MARGIN = 1.08  # a gain below it is noise
PRIOR = 8  # drafts: how much the rate of all requests counts in the rate of one
FADE = 0.98  # of the counts of all requests, a verification
BINS = 10  # of confidence
BIN_FADE = 0.99
STEP_WEIGHT = 0.15  # of the newest step in the speed of steps
TRIES = 3  # steps with drafts before they are judged
COMPARE = 64  # steps with drafts between two without, which keep the comparison fresh
FIRST_REST, LAST_REST = 4, 2048  # steps without drafts where they lost; doubled each time, once drafts are known
TRIAL_SHARE = 8  # of so many sequences, one drafts in a trial
KNOWN = 8  # drafts judged, before which no sequence makes more than FIRST_DRAFTS
FIRST_DRAFTS = 2
PASS_WEIGHT = 0.05  # of the newest step in the passes that a draft takes
FRESH = 16  # steps for which an estimate of the passes' times is good


@dataclass
class _Rate:
    """Drafts tried and accepted, fading."""

    drafted: float = 2.0
    accepted: float = 1.0  # until something is known: worth a trial where rows are nearly free

    @property
    def value(self) -> float:
        return self.accepted / self.drafted


@dataclass
class _Load:
    """What is known of steps with about so many sequences that could draft.

    plain, drafting: tokens a second of steps without and with drafts, over what the passes without drafts should give.
    tries: steps with drafts that are still to be made before they are judged. rest: steps without, before they are
    tried again. due: a rest has just ended. next_rest: the length of the next one. since: steps with drafts since the
    last one without. partial: the drafts of this step are made to learn from, by a few of the sequences.
    """

    plain: float | None = None
    drafting: float | None = None
    tries: int = TRIES
    rest: int = 0
    due: bool = False
    next_rest: int = FIRST_REST
    since: int = 0
    partial: bool = False

    @property
    def loses(self) -> bool:
        return self.plain is not None and self.drafting is not None and self.drafting < self.plain

    def pause(self, *, doubling: bool = True) -> None:
        self.rest = self.next_rest
        if doubling:
            self.next_rest = min(2 * self.next_rest, LAST_REST)
        self.tries = TRIES


class DraftController:
    """Args:
    num_segments: of the decoder. costs: of its segments, kept by the runner.
    """

    def __init__(self, num_segments: int, costs: SegmentCosts):
        self.num_segments = num_segments
        self.costs = costs
        self.forget()

    def forget(self) -> None:
        """Nothing was drafted yet."""
        # By draft depth, in segments:
        self._rates: dict[int, _Rate] = {}
        self._chances: dict[tuple[int, int], _Rate] = {}  # and bin of confidence
        self._loads: dict[tuple[int, int], _Load] = {}  # and power of two of the sequences that could draft
        self._judged: dict[int, int] = {}
        self._passes = 1.0  # that a draft of a sequence alone takes: fewer where guesses go along (graph.lookup)
        self._turn = 0  # of the sequences that a trial takes
        self._recent: dict[tuple[int, int, int], tuple[list[float], int]] = {}  # see _known_speedups

    # What happened.

    def note(self, depth: int, confidences: Sequence[float], accepted: int) -> None:
        """A verification of drafts, made with these confidences: so many were right before the first wrong one.

        Drafts behind a wrong one were never judged.
        """
        judged = min(len(confidences), accepted + 1)
        self._judged[depth] = self._judged.get(depth, 0) + judged
        rate = self._rates.setdefault(depth, _Rate())
        rate.drafted = FADE * rate.drafted + judged
        rate.accepted = FADE * rate.accepted + accepted
        for place, confidence in enumerate(confidences[:judged]):
            self.note_guess(depth, confidence, place < accepted)

    def note_guess(self, depth: int, confidence: float, right: bool) -> None:
        """A token that was guessed with this confidence turned out right or wrong."""
        chance = self._bin(depth, confidence)
        chance.drafted = BIN_FADE * chance.drafted + 1
        chance.accepted = BIN_FADE * chance.accepted + right

    def note_passes(self, drafts: int, passes: int) -> None:
        """A sequence that drafts alone made so many drafts in so many shallow passes."""
        self._passes += PASS_WEIGHT * (passes / drafts - self._passes)

    def note_step(self, depth: int, drafts: Sequence[int], tokens: int, seconds: float) -> None:
        """A whole step of nothing but sequences that could draft: the drafts of each, and the tokens of all."""
        count = len(drafts)
        due = self._modelled(depth, count, 0, count)
        if due is None or seconds <= 0:
            return
        load = self._load(depth, count)
        speed = tokens / count * due / seconds
        if not any(drafts):
            load.plain, load.since = _average(load.plain, speed), 0
            return
        if load.partial:  # made to learn from, not to be quick
            return
        load.drafting = _average(load.drafting, speed)
        load.since += 1
        load.tries = max(0, load.tries - 1)
        if load.tries == 0 and load.loses:
            load.pause()
        elif load.tries == 0:
            load.next_rest = max(load.next_rest // 2, FIRST_REST)

    # What to do.

    def choose(self, depth: int, sequences: Sequence[tuple[int, int]]) -> list[int]:
        """How many tokens each sequence may draft in the next step.

        Args:
            depth: segments that draft. sequences: drafts (judged, accepted) of each so far.
        """
        count = len(sequences)
        load = self._load(depth, count)
        none = [0] * count
        if load.rest:
            load.rest -= 1
            load.due = load.rest == 0
            return none
        known = load.drafting is not None
        if known and (load.plain is None or load.since >= COMPARE):
            return none
        speedups = self._known_speedups(depth, count)
        lengths = [self._length(depth, judged, accepted, speedups) for judged, accepted in sequences]
        trial, load.due = load.due, False
        proven = self._judged.get(depth, 0) >= KNOWN
        load.partial = not (any(lengths) and proven)
        if any(lengths):
            # Until something is known, wrong drafts of all sequences would be a high price for knowing it.
            return lengths if proven else self._few(lengths)
        if trial:
            return self._few([1] * count)  # it cannot pay as far as is known: a few drafts tell whether that is right
        if self._modelled(depth, count, 0, count) is not None:
            # Right drafts may yet turn out to pay once there are enough of them to judge by.
            load.pause(doubling=proven or self._rates.setdefault(depth, _Rate()).value < 0.5)
        return none

    def _few(self, lengths: Sequence[int]) -> list[int]:
        """These lengths for a share of the sequences, others each time; none for the rest."""
        self._turn += 1
        each = min(TRIAL_SHARE, len(lengths))
        return [length if (place + self._turn) % each == 0 else 0 for place, length in enumerate(lengths)]

    def _length(self, depth: int, judged: int, accepted: int, speedups: Sequence[float]) -> int:
        """Drafts for a sequence of whose drafts so many were judged and accepted."""
        overall = self._rates.setdefault(depth, _Rate()).value
        a = min((accepted + PRIOR * overall) / (judged + PRIOR), 0.99)
        best, most = 0, MARGIN
        tokens, more = 1.0, 1.0
        for k, speedup in enumerate(speedups, 1):
            more *= a
            tokens += more
            if tokens * speedup > most:
                best, most = k, tokens * speedup
        return best

    def _known_speedups(self, depth: int, count: int) -> list[float]:
        """`_speedups` of the last few steps: costs change slowly, and asking for them takes as long as a layer."""
        longest = LONGEST if self._judged.get(depth, 0) >= KNOWN else FIRST_DRAFTS
        known, uses = self._recent.get((depth, count, longest), ([], 0))
        if not uses:
            known, uses = self._speedups(depth, count), FRESH
        self._recent[depth, count, longest] = known, uses - 1 if known else 0
        return known

    def _speedups(self, depth: int, count: int) -> list[float]:
        """For 1, 2, … drafts: the time of a step without over one with them. Empty until everything has been measured:
        a plain step measures it."""
        plain = self._modelled(depth, count, 0, count)
        speedups: list[float] = []
        for k in range(1, (LONGEST if self._judged.get(depth, 0) >= KNOWN else FIRST_DRAFTS) + 1):
            drafting = self._modelled(depth, count, k, count * (k + 1))
            if plain is None or drafting is None:
                return []
            speedups.append(plain / drafting)
        return speedups

    def chance(self, depth: int, confidence: float) -> float:
        """How likely a draft of this confidence is to be accepted, by experience."""
        return self._bin(depth, confidence).value

    def worth(self, depth: int, count: int, chances: Sequence[float]) -> list[bool]:
        """Which of these drafts to keep and go on from; all False where one more shallow pass costs more than it gives.

        Args:
            count: sequences that draft in this step. chances: for each draft, that it and those before it are accepted.
        """
        costs, deep = self.costs, range(depth, self.num_segments)
        plain = self._modelled(depth, count, 0, count)
        narrow, wide = costs.of_all(deep, count), self._verifying(depth, 2 * count)
        if plain is None or narrow is None or wide is None:
            return [True] * len(chances)
        token, row = plain / count, max(0.0, wide - narrow) / count  # seconds
        useful = [chance * token > row for chance in chances]
        rows = sum(useful)
        if not rows:
            return useful
        shallow, head = costs.of_all(range(depth), rows), costs.of(SegmentCosts.HEAD, rows)
        if shallow is None or head is None:
            return useful
        given = sum(chance for chance, keep in zip(chances, useful, strict=True) if keep) * token
        passes = self._passes if count == 1 else 1.0
        return useful if given > passes * (shallow + head) + rows * row else [False] * len(chances)

    def _modelled(self, depth: int, count: int, k: int, rows: int) -> float | None:
        """Seconds of a step's passes: k drafts at most, `rows` rows to verify."""
        costs = self.costs
        shallow = costs.of_all(range(depth), count)
        deep = self._verifying(depth, rows) if k else costs.of_all(range(depth, self.num_segments), rows)
        head, heads = costs.of(SegmentCosts.HEAD, count), costs.of(SegmentCosts.HEAD, rows)
        if shallow is None or deep is None or head is None or heads is None:
            return None
        passes = k * (self._passes if count == 1 else 1.0)
        return (passes + 1) * shallow + passes * head + deep + heads

    def _verifying(self, depth: int, rows: int) -> float | None:
        """Seconds of the deep pass with drafts; until one was made, as if each row were a sequence's only one."""
        first = SegmentCosts.VERIFY
        known = self.costs.of_all(range(first + depth, first + self.num_segments), rows)
        return self.costs.of_all(range(depth, self.num_segments), rows) if known is None else known

    def _load(self, depth: int, count: int) -> _Load:
        return self._loads.setdefault((depth, (count - 1).bit_length()), _Load())

    def _bin(self, depth: int, confidence: float) -> _Rate:
        place = min(int(confidence * BINS), BINS - 1)
        known = self._chances.get((depth, place))
        if known is None:  # until something is known: what the exit says itself
            known = self._chances[depth, place] = _Rate(4.0, 4.0 * (place + 0.5) / BINS)
        return known


def _average(known: float | None, speed: float) -> float:
    return speed if known is None else known + STEP_WEIGHT * (speed - known)
