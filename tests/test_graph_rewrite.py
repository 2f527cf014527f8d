"""Rewriting while streaming: lengths, hysteresis, the guard of thoughts, pressure."""

from __future__ import annotations

import itertools
import logging
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_phone.errors import ConfigError
from autoglm_phone.graph.length import FEATURES, LengthFacts, LengthModel, as_long_again, features, read_length_model
from autoglm_phone.graph.plan import KVPolicy, Plan
from autoglm_phone.graph.rewrite import Progress, Rewriter, RewriteRules, label


class Told(LengthModel):
    """Says what it is told."""

    def __init__(self, expected):
        super().__init__((0.0,) * len(FEATURES))
        object.__setattr__(self, "expected", expected)

    def remaining(self, facts):
        return min(float(facts.max_left), self.expected(facts))


def stream(rewriter: Rewriter, tokens: int, *, plan: Plan | None = None, prompt: int = 40, thinking=lambda _: False,
           usage=lambda _: 0.0, max_tokens: int = 4000) -> tuple[Plan, list[tuple[int, str]]]:  # fmt: skip
    """Feed tokens one by one; the last plan and (token, policy) of every change."""
    plan, changes = plan or Plan(), []
    for output in range(1, tokens + 1):
        facts = LengthFacts(output, prompt, max_tokens - output, thinking(output))
        changed = rewriter.observe(plan, Progress(facts, usage(output)))
        if changed is not None:
            assert changed.kv != plan.kv
            plan = changed
            rewriter.took(plan, output)
            changes.append((output, label(plan.kv)))
    return plan, changes


def test_long_generations_meet_the_memory_target_and_say_so(caplog):
    with caplog.at_level(logging.INFO):
        plan, changes = stream(Rewriter(RewriteRules(), Told(lambda f: 2000 - f.output)), 2000)
    assert changes == [(128, "window(512)")]
    assert (plan.kv.window + plan.kv.sinks + 40) / 2040 <= 0.40
    assert "[DYNAMIC GRAPH] KV policy full → window(512) at token 128: 1872 tokens expected" in caplog.text
    assert plan.reasons[-1].startswith("KV policy full → window(512) at token 128")
    assert plan.why("kv") == "1872 tokens expected"


def test_what_could_not_be_done_is_proposed_again_at_the_next_look(caplog):
    rewriter = Rewriter(RewriteRules(), Told(lambda f: 2000))
    proposed = []
    with caplog.at_level(logging.INFO):
        for output in range(1, 300):
            if rewriter.observe(Plan(), Progress(LengthFacts(output, 40, 4000))) is not None:
                proposed.append(output)  # but nobody follows it
    assert proposed == [128, 192, 256]
    assert "KV policy" not in caplog.text


def test_short_answers_are_left_alone():
    assert stream(Rewriter(RewriteRules(), Told(lambda f: 300 - f.output)), 300)[1] == []


def test_a_mild_policy_is_enough_for_very_long_outputs():
    plan, _ = stream(Rewriter(RewriteRules(), Told(lambda f: 3600)), 200, max_tokens=4000)
    assert label(plan.kv) == "window(1024)"


def test_narrow_pages_come_before_windows_where_the_backend_has_them():
    rules = RewriteRules(precisions=("int8",), target=0.6)
    plan, _ = stream(Rewriter(rules, Told(lambda f: 2000)), 200)
    assert label(plan.kv) == "int8"


def test_thoughts_are_not_cut_short_of_memory():
    rewriter = Rewriter(RewriteRules(), Told(lambda f: 2000))
    _, changes = stream(rewriter, 600, thinking=lambda at: at < 400)
    assert changes
    assert changes[0][0] >= 400 + 64  # two looks after the thought
    assert rewriter.blocked == 400 // 64


def test_widening_is_allowed_while_thinking():
    plan = Plan(kv=KVPolicy("window", window=256))
    _, changes = stream(Rewriter(RewriteRules(), Told(lambda f: 2200)), 300, plan=plan, thinking=lambda _: True)
    assert changes == [(128, "window(512)")]


def test_a_wavering_estimate_changes_nothing():
    """Total length flips around the threshold at every look."""
    told = Told(lambda f: (1500 if f.output // 64 % 2 else 900) - f.output)
    assert stream(Rewriter(RewriteRules(), told), 800)[1] == []


def test_pressure_acts_at_once_and_goes_further():
    rewriter = Rewriter(RewriteRules(), Told(lambda f: 600 - f.output))
    _, changes = stream(rewriter, 600, usage=lambda at: 0.95 if at > 250 else 0.5)
    assert changes == [(256, "window(256)")]


def test_the_clients_policy_stays():
    rewriter = Rewriter(RewriteRules(), Told(lambda f: 3000), pinned=True)
    assert stream(rewriter, 500)[1] == []
    assert len(rewriter.estimates) == 500 // 64  # but the estimate's error is still reported
    assert rewriter.error(3000 + 64 * 4) == pytest.approx(64 * sum(abs(i - 4) for i in range(1, 8)) / 7)
    assert Rewriter(RewriteRules()).error(100) is None


@given(st.lists(st.floats(0, 4000), min_size=40, max_size=40), st.booleans(), st.integers(1, 2000))
def test_changes_keep_their_distance_and_never_shrink_a_thinking_cache(estimates, thinking, prompt):
    rules = RewriteRules()
    told = Told(lambda f: estimates[f.output // 64 % 40])
    _, changes = stream(Rewriter(rules, told), 1500, prompt=prompt, thinking=lambda _: thinking)
    assert all(b[0] - a[0] >= rules.dwell for a, b in itertools.pairwise(changes))
    if thinking:
        assert changes == []


def test_the_probe_is_asked_where_the_facts_do_not_say():
    seen = []
    rewriter = Rewriter(RewriteRules(), Told(lambda f: seen.append(f.probe) or 10.0))
    rewriter.probe = 5.5
    stream(rewriter, 70)
    assert seen == [5.5]


def test_without_a_model_as_much_again_is_expected():
    assert as_long_again(LengthFacts(300, 10, 1000)) == 300
    assert as_long_again(LengthFacts(300, 10, 100)) == 100
    _, changes = stream(Rewriter(RewriteRules()), 2000)
    assert changes
    assert 700 <= changes[0][0] <= 1100  # where twice the output passes the least total with the margin


def test_length_model_round_trips_and_refuses_other_features():
    weights = tuple(0.1 * i for i in range(len(FEATURES)))
    model = LengthModel(weights, 100, {"mae": 3.0})
    assert read_length_model(model.as_dict()) == model
    facts = LengthFacts(10, 20, 30, True, 1, 0, 3.0)
    value = sum(w * x for w, x in zip(weights, features(facts), strict=True))
    assert model.remaining(facts) == pytest.approx(min(30, math.expm1(value)))
    assert model.remaining(LengthFacts(200, 20, 1000)) == 200  # longer than anything it learned from
    with pytest.raises(ConfigError):
        read_length_model({**model.as_dict(), "features": ["one"]})
    with pytest.raises(ConfigError):
        LengthModel((1.0,))
    with pytest.raises(ConfigError):
        LengthModel((math.nan,) * len(FEATURES))
