"""Which tokens to guess behind a request's newest one, and how many of them to put into its pass. No tensors.

A shallow pass over a few rows takes hardly longer than over one, so guesses from n-grams (`graph.ngrams`) go along as
rows of their own. Where the exit is sure of a token and that token is the guess, the next row has read what the next
step would have read (`runner.lookup`). What comes out is the same whatever is chosen here.

How many pay: with c_i the chance that the i-th guess and all before it are right, as many as give the most

    (1 + c_1 + … + c_k) / (time of a step whose pass has 1 + k rows)

Chances are learned by sort of guess (how often the table has seen it follow, how long a part of the request's own text
matches, both), over the requests of a kind; a request whose guesses fall short of them is believed less, and behind
tokens that the exit was not sure of all are. Times are measured: those of passes, and what steps with guesses and
without take beside them. Now and then a guess is made that is not expected to pay, as all this may change. The last
word is with what was really gained: the time of the tokens found against what the steps took longer; where it was less,
nothing is guessed for a while, and each time it loses again for twice as long.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import mul

from autoglm_phone.graph.costs import SPIKE, SegmentCosts
from autoglm_phone.graph.gate import Shares
from autoglm_phone.graph.ngrams import OWN, NgramTable, OwnContext, keys_of

LONGEST = 7  # guesses a pass; a backend attends for nine rows of a sequence at once
BINS = 8  # of a table's chances
MEMORY = 200  # guesses of a sort
KINDS = 64  # of requests whose guesses are remembered
MARGIN = 1.04  # tokens a second that guesses are expected to give, over none
LEAST = 0.08  # chance of a further guess that is looked at at all
TRIAL = 64  # passes, none of whose guesses seemed to pay, between two that make one guess: chances and times change
FIRST_ROW, FIRST_ROWS = 0.2, 0.04  # what a second row and each further one take, of a pass over one, until measured
FRESH = 32  # decisions for which the costs are not looked up again
BELIEF, FADE = 4.0, 0.95  # guesses that a request is believed for at first; of its older ones
MOST_SEQUENCES = 1  # in a step that guesses: four at once, easy prompts, took 1.05 of the time without guesses
WINDOW = 48  # passes with guesses before they are judged
FIRST_REST, LAST_REST = 64, 2048  # passes without, where they lost; doubled each time
BESIDE = 0.05  # weight of the newest step in what steps take beside their passes
CARE = 2e-4  # seconds that guesses take beside passes, until measured

FIRST_OWN = {4: 0.65, 3: 0.5, 2: 0.25}  # chances of a match of so many tokens, until something is known


@dataclass(slots=True)
class Guess:
    """token: the guess. sort: see LookupController. chance: that it is right if all before it are."""

    token: int
    sort: int
    chance: float


@dataclass
class Guesser:
    """A request's guesses. rates: how often each sort is right in requests of its kind. right: its own guesses that
    were; expected: what their chances add up to, both fading."""

    rates: list[Shares]
    own: OwnContext = field(default_factory=OwnContext)
    right: float = BELIEF
    expected: float = BELIEF

    @property
    def trust(self) -> float:
        return min(1.0, self.right / self.expected)


@dataclass
class _Balance:
    """Of crowds of about one size. gained, spent: seconds of this window. passes: of it. rest: passes without guesses
    that are still to come."""

    gained: float = 0.0
    spent: float = 0.0
    passes: int = 0
    rest: int = 0
    next_rest: int = FIRST_REST

    def note(self, gained: float, spent: float) -> None:
        self.gained += gained
        self.spent += spent
        self.passes += 1
        if self.passes < WINDOW:
            return
        if self.gained < self.spent:
            self.rest = self.next_rest
            self.next_rest = min(2 * self.next_rest, LAST_REST)
        else:
            self.next_rest = max(FIRST_REST, self.next_rest // 2)
        self.gained, self.spent, self.passes = 0.0, 0.0, 0


class LookupController:
    """Sorts of guesses: by the table's chance, in BINS steps; the same where the request's own text says so too; by the
    length of the match in that text.

    Args:
        costs: of the decoder's segments, kept by the runner.

    Attributes:
        longest: guesses of a pass and sequence at most; 0: none ever, until `use`.
        most_sequences: that a step may be over for guesses to be made.
        table: n-grams of replies; None: there are none.
    """

    def __init__(self, costs: SegmentCosts):
        self.longest = 0
        self.most_sequences = MOST_SEQUENCES
        self.table: NgramTable | None = None
        self._costs = costs
        self.forget()

    def use(self, table: NgramTable | None, longest: int = LONGEST) -> None:
        """Guess from now on."""
        self.table, self.longest = table, longest

    def forget(self) -> None:
        """Nothing was guessed yet."""
        self._rates: OrderedDict[Hashable, list[Shares]] = OrderedDict()  # by kind of request
        self._since = 0  # passes without guesses, though there were some to make
        self._balances: dict[int, _Balance] = {}  # by bucket of sequences
        self._beside: dict[tuple[int, bool], float] = {}  # bucket of sequences, with guesses → seconds
        self._known: dict[tuple[int, int], tuple[list[float], int]] = {}  # see _times

    # What to guess.

    def guesser(self, kind: Hashable) -> Guesser:
        """For a new request. kind: of requests that find alike."""
        rates = self._rates.pop(kind, None)
        if rates is None:
            tables = [0.9 * (place + 0.5) / BINS for place in range(BINS)]
            firsts = (*tables, *(max(0.5, first) for first in tables), *(FIRST_OWN[length] for length in OWN))
            rates = [Shares(first, 8, MEMORY) for first in firsts]
        self._rates[kind] = rates
        if len(self._rates) > KINDS:
            self._rates.popitem(last=False)
        return Guesser(rates)

    def guess(
        self, guesser: Guesser, tokens: Sequence[int], most: int, chance: float = 1.0, drafts: Sequence[int] = ()
    ) -> list[Guess]:
        """Tokens that may follow, one behind the other. tokens: of the sequence so far. chance: that the exit is sure
        of the newest one's successor. drafts: behind the tokens, which may yet vanish: nothing is learned of them."""
        guesser.own.follow(tokens)
        table, own = self.table, guesser.own
        most_known = max(OWN[0], 0 if table is None else table.order)
        tail = [*tokens[-most_known:], *drafts][-most_known:]
        order = len(tail)
        guesses: list[Guess] = []
        chance *= guesser.trust
        while len(guesses) < most:
            keys = keys_of(tail, order)
            best = _best(guesser.rates, None if table is None else table.find(keys), own.find(keys))
            if best is None:
                break
            chance *= best.chance
            if chance < LEAST and guesses:  # a first one may be tried
                break
            guesses.append(best)
            tail.append(best.token)
        return guesses

    # How many.

    def on(self, count: int) -> bool:
        """May a step over so many sequences guess? Counts down a rest: ask once a step."""
        if not self.longest or count > self.most_sequences:
            return False
        balance = self._balances.get(count.bit_length())
        if balance is None or not balance.rest:
            return True
        balance.rest -= 1
        return False

    def choose(self, depth: int, count: int, chains: Sequence[Sequence[float]]) -> list[int]:
        """How many guesses of each sequence go into the pass.

        Args:
            depth: segments of a shallow pass. count: sequences of the step.
            chains: of each that could, the chance that its first guess is right, the first two, …
        """
        none = [0] * len(chains)
        times = self._times(depth, count)
        if times is None:
            return none
        pool = sorted(((chance, place) for place, chain in enumerate(chains) for chance in chain), reverse=True)
        plain, care = self._besides(count)
        found, best, most = float(count), 0, MARGIN * count / (times[0] + plain)
        for rows, (chance, _) in enumerate(pool[: len(times) - 1], 1):
            found += chance
            rate = found / (times[rows] + plain + care)
            if rate > most:
                best, most = rows, rate
        self._since = 0 if best or not pool else self._since + 1
        if self._since == TRIAL:
            self._since, best = 0, 1
        for _, place in pool[:best]:
            none[place] += 1
        return none

    def _besides(self, count: int) -> tuple[float, float]:
        """Seconds that a step takes beside its passes, and how much more with guesses."""
        plain, guessing = (self._beside.get((count.bit_length(), on)) for on in (False, True))
        if plain is None:
            return 0.0, CARE
        return plain, CARE if guessing is None else max(0.0, guessing - plain)

    def _times(self, depth: int, count: int) -> list[float] | None:
        """Seconds of a shallow pass over so many sequences with 0, 1, 2, … guesses; None until it was measured."""
        times, uses = self._known.get((depth, count), ([], 0))
        if not uses:
            plain = self._shallow(depth, count, range(depth))
            if plain is None:
                return None
            times, uses = [plain], FRESH
            for more in range(1, LONGEST + 1):
                verify = SegmentCosts.VERIFY
                known = self._shallow(depth, count + more, range(verify, verify + depth))
                guessed = plain * (1 + FIRST_ROW / count + FIRST_ROWS * (more - 1))
                times.append(max(plain, guessed if known is None else known))
        self._known[depth, count] = times, uses - 1
        return times

    def _shallow(self, depth: int, rows: int, parts: range) -> float | None:
        passes, head = self._costs.of_all(parts, rows), self._costs.of(SegmentCosts.HEAD, rows)
        return None if passes is None or head is None else passes + head

    # What happened.

    def note(self, guesser: Guesser, guesses: Sequence[Guess], right: int, *, ended: bool) -> None:
        """So many guesses of a pass were right. ended: what followed was not judged, since nothing could follow."""
        for place, guess in enumerate(guesses[: right + (not ended)]):
            hit = place < right
            guesser.rates[guess.sort].observe(hit, 1)
            guesser.right = BELIEF + FADE * (guesser.right - BELIEF) + hit
            guesser.expected = BELIEF + FADE * (guesser.expected - BELIEF) + guess.chance

    def note_pass(self, depth: int, count: int, guesses: int, right: int) -> None:
        """A step over `count` sequences put so many guesses into its pass, of which so many were right."""
        times = self._times(depth, count)
        if times is None:
            return
        plain, care = self._besides(count)
        balance = self._balances.setdefault(count.bit_length(), _Balance())
        longer = times[min(guesses, len(times) - 1)] - times[0] + care
        balance.note(right * (times[0] + plain) / count, longer)

    def note_beside(self, count: int, guesses: int, seconds: float) -> None:
        """What a step took beside its passes: one over `count` sequences, of which none went deeper."""
        key = count.bit_length(), guesses > 0
        known = self._beside.get(key)
        if known is not None:
            seconds = known + BESIDE * (min(seconds, SPIKE * max(known, CARE)) - known)
        self._beside[key] = seconds


def chances_of(guesses: Sequence[Guess], chance: float) -> list[float]:
    """That the first guess is right, the first two, … chance: that the first one is judged, and believed."""
    return list(accumulate((guess.chance for guess in guesses), mul, initial=chance))[1:]


def _best(rates: Sequence[Shares], said: tuple[int, float] | None, seen: tuple[int, int] | None) -> Guess | None:
    """said: what the table has. seen: what the request's own text has."""
    if said is None:
        return None if seen is None else _of(rates, seen[0], 2 * BINS + OWN.index(seen[1]))
    place = int(said[1] * BINS)
    if seen is None:
        return _of(rates, said[0], place)
    if seen[0] == said[0]:
        return _of(rates, said[0], BINS + place)
    one, other = _of(rates, said[0], place), _of(rates, seen[0], 2 * BINS + OWN.index(seen[1]))
    return one if one.chance >= other.chance else other


def _of(rates: Sequence[Shares], token: int, sort: int) -> Guess:
    return Guess(token, sort, rates[sort].value)
