"""What long work says on its way, and to whom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from autoglm_phone.compress.units import Stage, Unit

Say = Callable[[str], None]


def silent(line: str) -> None:
    """For callers who do not want to know."""


class Pace:
    """Says every ten seconds how far a walk over `total` units has come."""

    def __init__(self, total: int, say: Say):
        self.total, self.say, self.count = total, say, 0
        self.began = self.told = time.monotonic()

    def step(self, name: str) -> None:
        now = time.monotonic()
        if self.count and now - self.told > 10:
            left = (now - self.began) / self.count * (self.total - self.count)
            self.say(f"  {name} ({self.count}/{self.total}), about {left:.0f} s left")
            self.told = now
        self.count += 1


class UnitProgress:
    """A line a unit with the time left, judged by parameters."""

    def __init__(self, stages: Sequence[Stage], say: Say):
        self.say = say
        self._sizes = {
            unit.name: sum(math.prod(shape) for shape in unit.parameters().values()) + 1
            for stage in stages
            for unit in stage.units
        }
        self._left = sum(self._sizes.values())
        self._spent = 0.0
        self._done = 0

    def done(self, unit: Unit, seconds: float, note: str) -> None:
        size = self._sizes[unit.name]
        self._left -= size
        self._spent += seconds
        self._done += 1
        finished = sum(self._sizes.values()) - self._left
        left = self._spent * self._left / finished
        self.say(
            f"[{self._done}/{len(self._sizes)}] {unit.name}: {seconds:.1f} s, {note}; "
            f"about {int(left // 60)} min {int(left % 60)} s left"
        )
