"""Whether asking an exit is worth its price. No tensors.

To ask an exit means to compute its logits, which costs as much as a few layers. A request whose tokens hardly ever
leave at an exit should not pay for it at every token; one whose tokens do should. Each request learns that from its own
tokens alone; but in a crowd graph.gate decides for all, by load and times, whether exits are read, so there the answer
may depend on the requests beside it. A token that is not asked goes deeper: the risk that a threshold was calibrated
for can only fall.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence

Mark = tuple[float, float, int, int, int, int]  # what is known of one exit
FIRST_SHARE, FIRST_WEIGHT = 0.6, 1.0  # of tokens that leave, until a request has shown its own; worth so many tokens
FADE = 0.97  # of older tokens
FIRST_SKIP, LAST_SKIP = 8, 128  # tokens between two trials of an exit that does not pay
BACK_OFF = 4  # how many times as long the next wait is
NEWEST = 0.5  # of the newest request in what is known of its kind
ENOUGH = 4  # tokens that it must have read to count as much
FORGET = 0.05  # of what is known, with each request that read nothing: or requests too short to try would never learn
KINDS = 64  # of requests that are remembered


class Experience:
    """What requests that are over found at their exits, by kind: the share of their tokens that left, as a moving
    average over requests. Nothing else of a request is kept."""

    def __init__(self) -> None:
        self._shares: OrderedDict[Hashable, dict[int, float]] = OrderedDict()

    def first(self, kind: Hashable, boundaries: int) -> list[float]:
        """The shares that a new request of this kind should expect, by boundary from 1. Never more than without
        experience: that exits pay, each request finds out by itself."""
        known = self._shares.get(kind, {})
        return [known.get(boundary, FIRST_SHARE) for boundary in range(1, boundaries + 1)]

    def note(self, kind: Hashable, history: ExitHistory) -> None:
        """A request is over."""
        known = self._shares.pop(kind, {})
        found = history.found()
        for boundary in known.keys() - found.keys():
            known[boundary] += FORGET * (FIRST_SHARE - known[boundary])
        for boundary, (left, read) in found.items():
            before, weight = known.get(boundary, FIRST_SHARE), NEWEST * min(1.0, read / ENOUGH)
            known[boundary] = min(FIRST_SHARE, before + weight * (left / read - before))
        if known:
            self._shares[kind] = known
        while len(self._shares) > KINDS:
            self._shares.popitem(last=False)


class ExitHistory:
    """One request's experience with its exits. Boundaries count segments, from 1.

    Args:
        ends: layers after each segment.
        head: what reading logits costs, in layers.
        first: by boundary, the share of tokens that is expected to leave; FIRST_SHARE where None.
    """

    def __init__(self, ends: Sequence[int], head: float, first: Sequence[float] | None = None):
        # Leaving saves the layers that follow and the logits at the end.
        self._worth = [head / (ends[-1] - end + head) if head > 0 else 0.0 for end in ends]
        self._asked = [FIRST_WEIGHT] * len(ends)
        self._left = [FIRST_WEIGHT * share for share in first or [FIRST_SHARE] * len(ends)]
        self._skip = [FIRST_SKIP] * len(ends)
        self._wait = [0] * len(ends)
        self._reads, self._leaves = [0] * len(ends), [0] * len(ends)
        for place, worth in enumerate(self._worth):
            if self._left[place] < worth * self._asked[place]:  # to begin with a trial would be to learn nothing
                self._wait[place], self._skip[place] = FIRST_SKIP, BACK_OFF * FIRST_SKIP

    def ask(self, boundary: int) -> bool:
        """Should the newest token be read here? Call it once for every token that comes here."""
        place = boundary - 1
        if self._left[place] >= self._worth[place] * self._asked[place]:
            return True
        if self._wait[place] > 0:
            self._wait[place] -= 1
            return False
        self._wait[place] = self._skip[place]
        self._skip[place] = min(BACK_OFF * self._skip[place], LAST_SKIP)
        return True

    def note(self, boundary: int, left: bool) -> None:
        """A token was read here, and left or went on."""
        place = boundary - 1
        self._asked[place] = FADE * self._asked[place] + 1
        self._left[place] = FADE * self._left[place] + left
        self._reads[place] += 1
        self._leaves[place] += left
        if left:
            self._skip[place] = FIRST_SKIP

    def found(self) -> dict[int, tuple[int, int]]:
        """By boundary where tokens were read: (how many left, of how many)."""
        pairs = zip(self._leaves, self._reads, strict=True)
        return {boundary: pair for boundary, pair in enumerate(pairs, 1) if pair[1]}

    def mark(self, boundary: int) -> Mark:
        """What `restore` needs to forget all that is asked and noted from here on."""
        place = boundary - 1
        counts = self._reads[place], self._leaves[place]
        return self._asked[place], self._left[place], self._skip[place], self._wait[place], *counts

    def restore(self, boundary: int, mark: Mark) -> None:
        """The tokens that came here since never were."""
        place = boundary - 1
        self._asked[place], self._left[place], self._skip[place], self._wait[place], *counts = mark
        self._reads[place], self._leaves[place] = counts
