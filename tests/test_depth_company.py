"""Tokens that go deeper wait for one another: when that pays, and that it changes nothing but the order of work."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from autoglm_phone.graph.controller import BUCKETS, CostTable, best_company, company_cost
from autoglm_phone.graph.plan import ExitPolicy, GraphRequest
from autoglm_phone.runner.company import PATIENCE
from depth_cases import FixedPlans, NativeDepths, check, drive, engine_for, make_agreeing
from native_cases import make_request, save_case


def table(weights: float, row: float, head: float = 0.2) -> CostTable:
    times = tuple(weights + row * rows for rows in BUCKETS)
    return CostTable(BUCKETS, (times,) * 4, (head,) * len(BUCKETS), (0.0,) * len(BUCKETS))


def test_waiting_pays_where_weights_cost_more_than_rows():
    bound_by_weights, bound_by_rows = table(1.5, 0.003), table(0.0, 0.1, 0.0)
    assert best_company(bound_by_weights, 32, [0.11, 0.08, 0.06]) >= 8
    assert best_company(bound_by_rows, 32, [0.11, 0.08, 0.06]) == 1
    assert best_company(bound_by_weights, 32, [0.0, 0.0, 0.0]) == 1  # nobody goes on
    assert best_company(bound_by_weights, 2, [0.5, 0.5, 0.5]) == 1  # nobody to wait for


def test_the_expected_cost_is_that_of_a_simulation():
    """Company of c: the share s of the active rows joins those who wait; when c are there, they go on and are back."""
    import random

    costs, rows, share, company = table(1.5, 0.003), 32, 0.11, 12
    rng = random.Random(0)
    waiting, spent, tokens, owed = 0, 0.0, 0, 0
    for _ in range(20000):
        active = rows - waiting
        spent += costs.segment(0, active) + costs.reading(active)
        join = sum(rng.random() < share for _ in range(active))
        tokens += active - join
        owed += active
        waiting += join
        if waiting >= company:
            ready = owed * waiting / rows
            spent += sum(costs.segment(s, ready) for s in (1, 2, 3)) + 3 * costs.reading(waiting)
            owed -= ready
            tokens, waiting = tokens + waiting, 0
    expected = company_cost(costs, rows, [share] * 3, company)
    assert expected == pytest.approx(spent / tokens, rel=0.15)
    assert expected < 0.8 * company_cost(costs, rows, [share] * 3, 1)


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> NativeDepths:
    return make_agreeing(save_case(tmp_path_factory.mktemp("native")))


def run(reference, company: int, threshold: float):
    planner = FixedPlans()
    names = [f"r{index}" for index in range(6)]
    planner.policies = dict.fromkeys(names, ExitPolicy("confidence", None, {1: threshold}))
    engine = engine_for(reference, planner)
    cascade = engine.runner.cascade
    cascade.gate.company = lambda rows: company
    cascade.gate.opens = lambda rows: True
    cascade.ahead.longest = 0
    passes: Counter[int] = Counter()
    longest = 0
    begin = cascade.begin

    def watched(rows, states):
        nonlocal longest
        made = begin(rows, states)
        longest = max([longest, *(state.waited for state in states)])
        through = made._pass

        def counted(segment, lanes, hidden):
            passes[segment] += 1
            return through(segment, lanes, hidden)

        made._pass = counted
        return made

    cascade.begin = watched
    requests = [
        replace(
            make_request(name, list(range(30 + 3 * i, 44 + 3 * i)), [], max_tokens=24), graph=GraphRequest(trace=True)
        )
        for i, name in enumerate(names)
    ]
    record = drive(engine, requests)
    check(reference, requests, record)
    return {n: (record.tokens(n), record.depths(n)) for n in names}, passes, longest


def test_waiting_changes_no_token_and_spares_passes(reference):
    alone, passes, never = run(reference, 1, 0.1)
    depths = [depth for _, row in alone.values() for depth in row]
    assert 0.1 < sum(depth > 1 for depth in depths) / len(depths) < 0.9  # some leave, some stay
    together, fewer, longest = run(reference, 4, 0.1)
    assert together == alone
    assert never == 0
    assert 0 < longest <= PATIENCE
    assert fewer[1] < passes[1]


def test_nobody_waits_for_ever(reference):
    """Company that never comes: patience ends, and so does waiting for requests that are the last ones."""
    alone, _, _ = run(reference, 1, 0.1)
    patient, _, longest = run(reference, 100, 0.1)
    assert patient == alone
    assert longest == PATIENCE
