"""What a pass through each segment costs on this machine now, measured while serving. No tensors.

A pass over few rows is bound by the weights that it reads, one over many by arithmetic; where the bend lies depends on
the machine, the dtype and what else runs. So each part keeps a moving average a power of two of rows, and sizes that
were never seen are guessed from their neighbours.
"""

from __future__ import annotations

WEIGHT = 0.1  # of the newest time in the average
SPIKE = 4.0  # times the average: such a time counts as this at most (another process had the core)


class SegmentCosts:
    """Seconds of a pass by part and number of rows. Parts are segments 0, 1, … and HEAD."""

    HEAD = -1

    def __init__(self) -> None:
        self._times: dict[int, dict[int, float]] = {}

    def note(self, part: int, rows: int, seconds: float) -> None:
        times = self._times.setdefault(part, {})
        bucket = (rows - 1).bit_length()
        known = times.get(bucket)
        times[bucket] = seconds if known is None else known + WEIGHT * (min(seconds, SPIKE * known) - known)

    def of(self, part: int, rows: int) -> float | None:
        """Seconds that a pass over so many rows takes; None if the part was never measured."""
        times = self._times.get(part)
        if not times:
            return None
        bucket = (rows - 1).bit_length()
        if bucket in times:
            return times[bucket]
        below = max((b for b in times if b < bucket), default=None)
        above = min((b for b in times if b > bucket), default=None)
        if below is None:
            return times[above]  # type: ignore[index]
        if above is None:
            return times[below] * 2.0 ** (0.5 * (bucket - below))  # between one weight-bound and one compute-bound pass
        share = (bucket - below) / (above - below)
        return times[below] ** (1 - share) * times[above] ** share

    def of_all(self, parts: range, rows: int) -> float | None:
        """Of several segments after one another; None if one of them was never measured."""
        total = 0.0
        for part in parts:
            seconds = self.of(part, rows)
            if seconds is None:
                return None
            total += seconds
        return total
