"""The controller: what pays at one sequence need not pay at 64, and what loses is switched off."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_phone.errors import ConfigError
from autoglm_phone.graph.controller import (
    BUCKETS,
    CostTable,
    exits_cost,
    exits_pay,
    measure_costs,
    seed,
    table_of,
)
from autoglm_phone.graph.costs import SegmentCosts
from autoglm_phone.graph.gate import CROWD, LAST_RETRY, ExitGate, Guard, Shares


def table(fixed: float = 1.0, row: float = 0.02, head: float = 0.3, segments: int = 4) -> CostTable:
    """a + b n for every segment; the head costs `head` + a tenth of that a row."""
    times = tuple(fixed + row * n for n in BUCKETS)
    return CostTable(
        BUCKETS, (times,) * segments, tuple(head + 0.1 * head * n for n in BUCKETS), (0.01,) * len(BUCKETS)
    )


def test_costs_between_and_beyond_the_buckets():
    costs = table()
    assert costs.segment(0, 0) == 0
    assert costs.segment(0, 0.5) == costs.segment(0, 1) == pytest.approx(1.02)
    assert costs.segment(0, 3) == pytest.approx(1.06)
    assert costs.segment(0, 128) == pytest.approx(1 + 0.02 * 128)
    assert costs.static(4) == pytest.approx(4 * 1.08 + 0.3 + 0.12)


def test_measuring_takes_medians_and_warms_up():
    now, calls = [0.0], []

    def run(piece: str, index: int, rows: int) -> None:
        first = (piece, index, rows) not in calls
        calls.append((piece, index, rows))
        now[0] += (100 if first else 1 + index + rows) / 1000  # the first run is slow

    costs = measure_costs(run, 2, (1, 8), repeats=3, clock=lambda: now[0])
    assert costs.segments[1] == pytest.approx((3, 10))
    assert costs.head == pytest.approx((2, 9))
    assert len(calls) == 4 * 2 * 4
    short = measure_costs(lambda *_: now.__setitem__(0, now[0] + 1), 1, (1, 8), seconds=-1.0, clock=lambda: now[0])
    assert short.buckets == (1,)


def test_early_exits_pay_for_one_sequence_and_not_in_a_crowd():
    costs = table()
    assert exits_pay(costs, 1, (0.2, 0.1, 0.05))
    assert not exits_pay(costs, 64, (0.2, 0.1, 0.05))
    assert not exits_pay(costs, 1, (1.0, 1.0, 1.0))  # nobody leaves: only the heads' cost is added
    assert exits_cost(costs, 1, (1.0, 1.0, 1.0)) > costs.static(1)


def simulate(costs: CostTable, rows: int, go_on: float, steps: int, seed: int) -> float:
    """ms a step of deferred depth with one exit: those who go on take their waiting tokens along."""
    rng, waiting, total = random.Random(seed), [0] * rows, 0.0
    for _ in range(steps):
        total += costs.segment(0, rows) + costs.reading(rows) + costs.regroup(rows)
        deep = [i for i in range(rows) if rng.random() < go_on]
        total += costs.segment(1, sum(1 + waiting[i] for i in deep)) + costs.reading(len(deep))
        waiting = [0 if i in set(deep) else n + 1 for i, n in enumerate(waiting)]
    return total / steps


@pytest.mark.parametrize(("rows", "go_on"), [(1, 0.2), (1, 0.7), (4, 0.3), (16, 0.1), (64, 0.5)])
def test_the_expected_cost_of_exits_is_that_of_a_simulation(rows, go_on):
    costs = table(segments=2)
    measured = simulate(costs, rows, go_on, 3000, 1)
    assert exits_cost(costs, rows, (go_on,)) == pytest.approx(measured, rel=0.06)


@given(st.floats(0.01, 5), st.floats(0.001, 1), st.floats(0.001, 2), st.integers(1, 64), st.floats(0, 1))
def test_nothing_is_chosen_that_is_expected_to_lose(fixed, row, head, rows, share):
    costs = table(fixed, row, head)
    go_on = (share, share**2, share**3)
    assert exits_cost(costs, rows, go_on) > 0
    if exits_pay(costs, rows, go_on):
        assert exits_cost(costs, rows, go_on) < costs.static(rows)


def test_the_table_seeds_the_running_averages_and_comes_back():
    costs = SegmentCosts()
    assert table_of(costs, 4) is None
    known = table()
    seed(costs, known)
    back = table_of(costs, 4)
    assert back is not None
    assert all(a == pytest.approx(b) for a, b in zip(back.segments, known.segments, strict=True))
    assert back.head == pytest.approx(known.head)


def test_the_guard_rests_longer_each_time_and_returns():
    guard = Guard(patience=4, rest=10)

    def lose() -> int:
        """Steps of rest after losing."""
        for _ in range(4):
            assert guard.allowed(8)
            guard.observe(8, took=12.0, tokens=8, static=10.0)
        rest = 0
        while not guard.allowed(8):
            rest += 1
        return rest

    assert lose() == 10
    assert guard.allowed(1)  # another bucket was never at fault
    guard.observe(8, took=12.0, tokens=8, static=10.0)  # the trial that `lose` counted as allowed
    for _ in range(2):
        guard.observe(8, took=12.0, tokens=8, static=10.0)
    guard.observe(8, took=12.0, tokens=8, static=10.0)
    rest = 0
    while not guard.allowed(8):
        rest += 1
    assert rest == 20
    for _ in range(200):
        guard.observe(8, took=10.0, tokens=16, static=10.0)  # twice the tokens in the same time
        assert guard.allowed(8)


def test_a_single_slow_step_is_forgiven():
    guard = Guard(patience=4)
    for step in range(100):
        guard.observe(2, took=50.0 if step == 50 else 5.0, tokens=2, static=10.0)
        assert guard.allowed(2)


def test_over_a_whole_load_the_guard_bounds_the_loss():
    """A mechanism that always loses 20 %: with the guard the whole run loses far less than the 3 % allowed."""
    guard, total, steps = Guard(), 0.0, 20_000
    for _ in range(steps):
        if guard.allowed(16):
            total += 12.0
            guard.observe(16, 12.0, 16, 10.0)
        else:
            total += 10.0
    assert total / (10.0 * steps) < 1.005


def gate_of(costs: CostTable) -> ExitGate:
    known = SegmentCosts()
    seed(known, costs)
    return ExitGate(costs.num_segments, known)


def run_gate(gate: ExitGate, rows: int, leaving: float, slower: float, steps: int) -> int:
    """Steps in which the gate was open, where this share of tokens leaves at each boundary."""
    opened = 0
    for _ in range(steps):
        if not gate.opens(rows):
            continue
        opened += 1
        there = rows
        for boundary in range(1, 4):
            left = round(leaving * there)
            gate.note(boundary, left, there)
            there -= left
        passes = gate.costs.of_all(range(4), rows)
        head = gate.costs.of(SegmentCosts.HEAD, rows)
        assert passes is not None
        assert head is not None
        gate.note_step(rows, slower * (passes + head), rows)
    return opened


def test_the_gate_closes_on_a_crowd_that_stays():
    gate = gate_of(table())
    assert run_gate(gate, 16, leaving=0.0, slower=1.2, steps=4000) < 0.05 * 4000
    assert run_gate(gate, CROWD - 1, leaving=0.0, slower=1.2, steps=100) == 100
    opened = gate_of(table())  # a crowd has to show that its tokens leave
    assert run_gate(opened, 16, leaving=1.0, slower=0.5, steps=400) > 300
    assert run_gate(opened, 16, leaving=1.0, slower=0.5, steps=100) == 100


def test_a_closed_gate_is_tried_again_and_opens_when_tokens_begin_to_leave():
    gate = gate_of(table())
    run_gate(gate, 16, leaving=0.0, slower=1.2, steps=2000)
    assert run_gate(gate, 16, leaving=1.0, slower=0.5, steps=LAST_RETRY) > 0
    run_gate(gate, 16, leaving=1.0, slower=0.5, steps=8 * LAST_RETRY)
    assert run_gate(gate, 16, leaving=1.0, slower=0.5, steps=100) == 100


def test_shares_start_from_an_assumption_and_follow():
    share = Shares(0.8)
    assert share.value == pytest.approx(0.8)
    share.observe(0, 0)
    for _ in range(300):
        share.observe(1, 4)
    assert share.value == pytest.approx(0.25, abs=0.02)


def test_broken_tables_are_refused():
    with pytest.raises(ConfigError):
        CostTable((1, 2), ((1.0,),), (1.0, 1.0), (1.0, 1.0))
    with pytest.raises(ConfigError):
        CostTable((2, 1), ((1.0, 1.0),), (1.0, 1.0), (1.0, 1.0))
