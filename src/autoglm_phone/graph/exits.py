"""Whether asking an exit is worth its price. No tensors.

To ask an exit means to compute its logits, which costs as much as a few layers. A request whose tokens hardly ever
leave at an exit should not pay for it at every token; one whose tokens do should. Each request learns that from its own
tokens alone; but in a crowd graph.gate decides for all, by load and times, whether exits are read, so there the answer
may depend on the requests beside it. A token that is not asked goes deeper: the risk that a threshold was calibrated
for can only fall.
"""

from __future__ import annotations

from collections.abc import Sequence

Mark = tuple[float, float, int, int]  # what is known of one exit
FIRST_SHARE, FIRST_WEIGHT = 0.6, 1.0  # of tokens that leave, until a request has shown its own; worth so many tokens
FADE = 0.97  # of older tokens
FIRST_SKIP, LAST_SKIP = 8, 128  # tokens between two trials of an exit that does not pay
BACK_OFF = 4  # how many times as long the next wait is


class ExitHistory:
    """One request's experience with its exits. Boundaries count segments, from 1.

    Args:
        ends: layers after each segment.
        head: what reading logits costs, in layers.
    """

    def __init__(self, ends: Sequence[int], head: float):
        # Leaving saves the layers that follow and the logits at the end.
        self._worth = [head / (ends[-1] - end + head) if head > 0 else 0.0 for end in ends]
        self._asked = [FIRST_WEIGHT] * len(ends)
        self._left = [FIRST_WEIGHT * FIRST_SHARE] * len(ends)
        self._skip = [FIRST_SKIP] * len(ends)
        self._wait = [0] * len(ends)

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
        if left:
            self._skip[place] = FIRST_SKIP

    def mark(self, boundary: int) -> Mark:
        """What `restore` needs to forget all that is asked and noted from here on."""
        place = boundary - 1
        return self._asked[place], self._left[place], self._skip[place], self._wait[place]

    def restore(self, boundary: int, mark: Mark) -> None:
        """The tokens that came here since never were."""
        place = boundary - 1
        self._asked[place], self._left[place], self._skip[place], self._wait[place] = mark
