"""One thread or all of them? Measured while running, because the answer changes with what else the machine does.

A decode step of a small model is hundreds of operators of some ten microseconds. On an idle machine a second thread
makes it a quarter quicker; when anything else wants that core (the server's own event loop, for one), every operator
waits for the scheduler and the step takes two to twenty times as long. So each size of step keeps an average of both
choices, uses the better one, and tries the other now and then, less and less often the more clearly it lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

FIRST_TRIAL, LAST_TRIAL = 16, 2048  # steps between trials of the other choice, the least and the most
WEIGHT = 0.2  # of the newest time in the average
LARGE = 64  # tokens of a step
ALARM = 1.5  # a step this much slower than the average brings the next trial forward


@dataclass
class _Choice:
    """State of one size of step. Times in seconds; index 0 is one thread, 1 is all."""

    best: int = 1
    times: list[float | None] = field(default_factory=lambda: [None, None])
    interval: int = FIRST_TRIAL
    until_trial: int = 1
    trial: int = 0  # steps left of a running trial; the first one only wakes the threads up


class ThreadTuner:
    """Chooses between one thread and `most`.

    Args:
        most: threads to use at most; 1 leaves nothing to choose.
        clock, apply: replaced in tests.
    """

    def __init__(
        self,
        most: int,
        clock: Callable[[], float] = time.perf_counter,
        apply: Callable[[int], None] = torch.set_num_threads,
    ):
        self.most = most
        self._clock = clock
        self._apply = apply
        self._choices: dict[str | int, _Choice] = {}

    @contextmanager
    def step(self, size: int | str) -> Iterator[None]:
        """Run what is inside with the better number of threads. size: tokens of the step, or the name of a tower."""
        if self.most == 1:
            yield
            return
        key: int | str = size.bit_length() if isinstance(size, int) else size
        choice = self._choices.get(key)
        if choice is None:
            # Large pieces of work nearly always gain from all cores: let those prove themselves first.
            large = isinstance(size, str) or size >= LARGE
            choice = self._choices[key] = _Choice(until_trial=5 if large else 1)
        used = self._begin(choice)
        self._apply(self.most if used else 1)
        start = self._clock()
        yield
        self._end(choice, used, self._clock() - start)

    def _begin(self, choice: _Choice) -> int:
        if choice.trial == 0:
            choice.until_trial -= 1
            if choice.until_trial <= 0:
                choice.trial = 2
        return 1 - choice.best if choice.trial else choice.best

    def _end(self, choice: _Choice, used: int, seconds: float) -> None:
        known = choice.times[used]
        if not choice.trial:
            choice.times[used] = seconds if known is None else known + WEIGHT * (seconds - known)
            if known is not None and seconds > ALARM * known:
                choice.interval = FIRST_TRIAL
                choice.until_trial = min(choice.until_trial, FIRST_TRIAL)
            return
        choice.trial -= 1
        if choice.trial:
            return
        choice.times[used] = seconds
        other = choice.times[choice.best]
        if other is None or seconds < other:
            choice.best, choice.interval = used, FIRST_TRIAL
        else:
            choice.interval = min(2 * choice.interval, LAST_TRIAL)
        choice.until_trial = choice.interval
