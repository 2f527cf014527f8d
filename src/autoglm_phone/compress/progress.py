"""What long work says on its way, and to whom."""

from __future__ import annotations

import time
from collections.abc import Callable

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
