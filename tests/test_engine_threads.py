"""The thread tuner against simulated machines: it finds the better choice, follows a change, and seldom pays for it."""

from __future__ import annotations

import random

from autoglm_phone.runner.threads import ThreadTuner


class Machine:
    def __init__(self, most: int = 2):
        self.now, self.threads, self.used = 0.0, 0, []
        self.tuner = ThreadTuner(most, clock=lambda: self.now, apply=self.set)

    def set(self, threads: int) -> None:
        self.threads = threads

    def run(self, steps: int, one: float, many: float, size: int | str = 1) -> float:
        """Seconds that the steps take when a step lasts `one` or `many` seconds (with some noise)."""
        noise, start = random.Random(1), self.now
        for _ in range(steps):
            with self.tuner.step(size):
                self.used.append(self.threads)
                self.now += (one if self.threads == 1 else many) * noise.uniform(0.95, 1.1)
        return self.now - start


def test_uses_all_threads_on_an_idle_machine():
    machine = Machine()
    machine.run(500, one=15.0, many=12.0)
    assert machine.used[-200:].count(2) > 180


def test_uses_one_thread_on_a_busy_machine_and_seldom_tries_again():
    machine = Machine()
    seconds = machine.run(2000, one=15.0, many=150.0)
    assert machine.used[-500:].count(1) > 490
    assert seconds < 1.25 * 2000 * 15.5


def test_follows_a_change_both_ways():
    machine = Machine()
    machine.run(1000, one=15.0, many=12.0)
    busy = machine.run(1000, one=15.0, many=60.0)
    assert busy < 1.3 * 1000 * 15.5
    machine.run(4000, one=15.0, many=12.0)
    assert machine.used[-100:].count(2) > 90


def test_sizes_are_judged_apart():
    machine = Machine()
    for _ in range(300):
        machine.run(1, one=15.0, many=30.0, size=1)
        machine.run(1, one=300.0, many=160.0, size=512)
    assert machine.used[-100::2].count(1) > 45
    assert machine.used[-99::2].count(2) > 45


def test_nothing_to_choose():
    machine = Machine(most=1)
    machine.run(5, one=1.0, many=1.0)
    assert machine.threads == 0
