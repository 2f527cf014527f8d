"""What a pass through each segment costs on this machine now, measured while serving. No tensors.

A pass over few rows is bound by the weights that it reads, one over many by arithmetic; where the bend lies depends on
the machine, the dtype and what else runs. So each part keeps a moving average a power of two of rows, of the time and
of the rows that it was for; sizes between them are interpolated.
"""

from __future__ import annotations

WEIGHT = 0.1  # of the newest time in the average
SPIKE = 4.0  # times the average: such a time counts as this at most (another process had the core)


class SegmentCosts:
    """Seconds of a pass by part and number of rows. Parts are segments 0, 1, … and HEAD; VERIFY + s is segment s where
    sequences bring several rows each, which attend less cheaply than as many sequences with one row."""

    HEAD = -1
    VERIFY = 1000

    def __init__(self) -> None:
        self._times: dict[int, dict[int, tuple[float, float]]] = {}  # part → bucket → (rows, seconds)

    def clear(self) -> None:
        """Nothing was ever measured."""
        self._times.clear()

    def note(self, part: int, rows: int, seconds: float) -> None:
        times = self._times.setdefault(part, {})
        bucket = (rows - 1).bit_length()
        known = times.get(bucket)
        if known is None:
            times[bucket] = float(rows), seconds
            self._times[part] = dict(sorted(times.items()))
        else:
            size, average = known
            seconds = min(seconds, SPIKE * average)
            times[bucket] = size + WEIGHT * (rows - size), average + WEIGHT * (seconds - average)

    def of(self, part: int, rows: int) -> float | None:
        """Seconds that a pass over so many rows takes; None if the part was never measured."""
        times = self._times.get(part)
        if not times:
            return None
        below = above = None
        for size, seconds in times.values():  # by rising bucket
            if size > rows:
                above = size, seconds
                break
            below = size, seconds
        if below is None:
            return above[1] if above is not None else None
        if above is None:
            return below[1] * (rows / below[0]) ** 0.5  # between one weight-bound and one compute-bound pass
        share = (rows - below[0]) / (above[0] - below[0])
        return below[1] + share * (above[1] - below[1])

    def of_all(self, parts: range, rows: int) -> float | None:
        """Of several segments after one another; None if one of them was never measured."""
        total = 0.0
        for part in parts:
            seconds = self.of(part, rows)
            if seconds is None:
                return None
            total += seconds
        return total
