"""Certified thresholds keep the risk that they state, on fresh data, as often as they promise."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_phone.errors import ConfigError
from autoglm_phone.graph.calibrate import (
    BARS,
    BUDGETS,
    Depths,
    Exits,
    calibrate_bar,
    calibrate_exits,
    choose_depth,
    depth_loss,
    outcome,
    thresholds_for_budgets,
)
from autoglm_phone.graph.risk import betting, binomial, binomial_tail, certify, hoeffding_bentkus, p_value

DEPTHS, FULL = (6, 12, 18), 24


def request(rng: random.Random, skill: float = 1.0) -> Exits:
    """A made-up request: tokens differ in difficulty, requests in how far confidence can be trusted."""
    trust = rng.betavariate(8, 1) * skill
    confidence: dict[int, list[float]] = {d: [] for d in DEPTHS}
    agrees: dict[int, list[bool]] = {d: [] for d in DEPTHS}
    for _ in range(rng.randint(3, 40)):
        ease = rng.betavariate(3, 0.7)
        for depth in DEPTHS:
            sure = ease ** (8 / depth)
            confidence[depth].append(sure)
            agrees[depth].append(rng.random() < 1 - (1 - sure) * (2 - trust) * 0.6)
    return Exits(confidence, agrees)


def requests(seed: int, count: int) -> list[Exits]:
    rng = random.Random(seed)
    return [request(rng) for _ in range(count)]


def mean_loss(sample: list[Exits], thresholds: dict[int, float]) -> float:
    return sum(outcome(r, thresholds, FULL).loss for r in sample) / len(sample)


def test_binomial_tail_is_the_sum_of_its_terms():
    for n, k, p in ((10, 3, 0.2), (50, 0, 0.05), (7, 6, 0.9)):
        exact = sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))
        assert binomial_tail(k, n, p) == pytest.approx(exact)
    assert binomial_tail(5, 5, 0.5) == 1
    assert binomial_tail(-1, 5, 0.5) == 0


@pytest.mark.parametrize("method", ["betting", "hoeffding-bentkus", "binomial"])
def test_p_values_are_small_no_more_often_than_they_say(method):
    """Under the null hypothesis P(p <= u) <= u: losses whose mean is exactly the bound."""
    rng = random.Random(4)
    bound, rounds = 0.05, 2000
    values = [p_value([float(rng.random() < bound) for _ in range(150)], bound, method) for _ in range(rounds)]
    for level in (0.01, 0.05, 0.2):
        share = sum(value <= level for value in values) / rounds
        assert share <= level + 3 * math.sqrt(level * (1 - level) / rounds)


def test_each_method_has_power_and_betting_gains_from_small_variance():
    small = [0.003] * 1000
    assert betting(small, 0.01) < 5e-3 < hoeffding_bentkus(small, 0.01)
    assert binomial([0.0] * 400, 0.01) < 0.05
    assert betting([0.0] * 400, 0.01) < 0.05
    assert hoeffding_bentkus([0.0] * 400, 0.01) < 0.05
    for method in ("betting", "hoeffding-bentkus", "binomial"):
        assert p_value([1.0] * 50, 0.01, method) == 1


def test_certified_exits_keep_their_risk_on_fresh_data():
    """40 calibrations: at most delta of them may exceed the stated risk on a large fresh sample."""
    fresh = requests(999, 1500)
    broken = certified = 0
    depths = []
    for seed in range(40):
        found = calibrate_exits(requests(seed, 400), DEPTHS, FULL, 0.05, seed=seed)
        if found is None:
            continue
        certified += 1
        depths.append(found.depth)
        broken += mean_loss(fresh, found.thresholds) > 0.05
    assert certified >= 30
    assert broken <= 5  # of 40 with a chance of 5 % each: more has a probability of 1.4 %
    assert sum(depths) / len(depths) < 0.9 * FULL  # and it buys something


def test_uncalibrated_thresholds_would_break_it():
    """The check above can fail: the thresholds of a ten times larger budget do."""
    loose = thresholds_for_budgets(requests(1, 600), DEPTHS, [0.5])[0]
    assert mean_loss(requests(999, 1000), loose) > 0.05


def test_less_risk_means_deeper():
    sample = requests(3, 1200)
    found = [calibrate_exits(sample, DEPTHS, FULL, risk) for risk in (0.01, 0.03, 0.1)]
    depths = [f.depth for f in found if f is not None]
    assert len(depths) == 3
    assert depths == sorted(depths, reverse=True)


def test_a_small_sample_certifies_nothing():
    assert calibrate_exits(requests(0, 40), DEPTHS, FULL, 0.01) is None
    with pytest.raises(ConfigError):
        calibrate_exits(requests(0, 1), DEPTHS, FULL, 0.01)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from(BUDGETS))
def test_budgets_hold_on_the_tuning_sample(seed, budget):
    sample = requests(seed, 8)
    tokens = sum(r.num_tokens for r in sample)
    for depth, threshold in thresholds_for_budgets(sample, DEPTHS, [budget])[0].items():
        errors = sum(
            c >= threshold and not a for r in sample for c, a in zip(r.confidence[depth], r.agrees[depth], strict=True)
        )
        assert errors <= budget * tokens


def test_the_answer_measure_counts_requests():
    one = Exits({6: [0.9, 0.9, 0.1]}, {6: [True, False, False]})
    assert outcome(one, {6: 0.5}, FULL).loss == pytest.approx(1 / 3)
    assert outcome(one, {6: 0.5}, FULL, "answer").loss == 1
    assert outcome(one, {6: 0.5}, FULL).depth == pytest.approx((6 + 6 + 24) / 3)
    assert outcome(Exits({6: []}, {6: []}), {6: 0.5}, FULL).loss == 0


def planned(rng: random.Random) -> Depths:
    hard = rng.random()
    least = 6 if hard < 0.5 else 12 if hard < 0.75 else 24
    noise = [rng.random() * 0.4 for _ in range(4)]
    raw = {d: n + (1.5 if d == least else 0) for d, n in zip((6, 12, 18, 24), noise, strict=True)}
    total = sum(raw.values())
    values = {d: float(d >= least) if rng.random() < 0.95 else float(d == 24) for d in raw}
    return Depths({d: v / total for d, v in raw.items()}, values)


def test_certified_bars_keep_their_loss_on_fresh_data():
    fresh_rng = random.Random(77)
    fresh = [planned(fresh_rng) for _ in range(1500)]
    broken = 0
    for seed in range(40):
        rng = random.Random(seed)
        bar = calibrate_bar([planned(rng) for _ in range(400)], 0.05)
        assert bar is not None
        assert choose_depth(planned(rng).probabilities, 2.0) == 24
        broken += sum(depth_loss(r, bar) for r in fresh) / len(fresh) > 0.05
    assert broken <= 5
    assert BARS[0] > BARS[-1] > 0


def test_fixed_sequence_stops_at_the_first_failure():
    tried = []

    def losses(candidate: int) -> list[float]:
        tried.append(candidate)
        return [0.0] * 500 if candidate in (0, 1, 3) else [1.0] * 500

    assert certify([0, 1, 2, 3], losses, 0.05) == 1
    assert tried == [0, 1, 2]  # 3 would pass, but testing has ended


def test_senseless_input_is_refused():
    for losses, bound in (([], 0.1), ([2.0], 0.1), ([0.5], 0.0), ([0.5], 1.0)):
        with pytest.raises(ConfigError):
            p_value(losses, bound)
    with pytest.raises(ConfigError):
        binomial([0.5], 0.1)
