"""Plans: the client's word, the server's, what was learned; and what is refused."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_phone.errors import ConfigError, InvalidRequestError
from autoglm_phone.graph.graph_file import GraphFile, load_graph_file, read_graph_file, weights_digest
from autoglm_phone.graph.length import FEATURES, LengthModel
from autoglm_phone.graph.plan import GraphRequest
from autoglm_phone.graph.planner import Planner, PlannerSettings, RequestFacts
from autoglm_phone.graph.request import read_graph_request

DEPTHS = (6, 12, 18, 24)
CALIBRATION = GraphFile(
    model="0123",
    depths=DEPTHS,
    thresholds={0.01: {12: 0.99, 18: 0.95}, 0.05: {6: 0.97, 12: 0.9, 18: 0.8}, 0.001: {}},
    bars={0.01: 0.95, 0.05: 0.8},
    thought=160,
    length=LengthModel((0.5,) * len(FEATURES), 300, {"mae": 12.0}),
)


def planner(**fields) -> Planner:
    return Planner(PlannerSettings(DEPTHS, think_ids=frozenset({18}), **fields))


def facts(graph: GraphRequest | None = None, **fields) -> RequestFacts:
    return RequestFacts(prompt=20, max_tokens=100, graph=graph or GraphRequest(), **fields)


def test_without_a_calibration_auto_loses_nothing():
    plan = planner().plan(facts())
    assert plan.exit.kind == "lossless"
    assert plan.exit.draft_depth == 6
    assert planner(drafts=False).plan(facts()).exit.kind == "full"
    assert planner(risk=0.0, calibration=CALIBRATION).plan(facts()).exit.kind == "lossless"
    assert Planner(PlannerSettings((40,))).plan(facts()).exit.kind == "full"


def test_auto_takes_the_certified_exits_of_the_stated_risk():
    plan = planner(risk=0.02, calibration=CALIBRATION).plan(facts())
    assert plan.exit.kind == "confidence"
    assert plan.exit.thresholds == {12: 0.99, 18: 0.95}  # of 0.01, the largest certified risk within 0.02
    client = planner(risk=0.02, calibration=CALIBRATION).plan(facts(GraphRequest(risk=0.05)))
    assert client.exit.thresholds[6] == 0.97


def test_the_log_says_what_is_activated(caplog):
    with caplog.at_level(logging.INFO):
        made = planner(calibration=CALIBRATION)
        made.plan(facts(GraphRequest(policy="full"), last_token=18))
        made.plan(facts(GraphRequest(policy="fixed", max_depth=12)))
    assert "[DYNAMIC GRAPH] Activating full inference path (24 layers)" in caplog.text
    assert "[DYNAMIC GRAPH] Enabling multi-step reasoning with CoT" in caplog.text
    assert "[DYNAMIC GRAPH] Activating fixed inference path (12 of 24 layers)" in caplog.text


def test_the_client_decides_the_depth():
    made = planner(calibration=CALIBRATION)
    assert made.plan(facts(GraphRequest(policy="fixed", max_depth=7))).exit.max_depth == 12  # the next exit
    assert made.plan(facts(GraphRequest(max_depth=12))).exit.kind == "fixed"
    capped = made.plan(facts(GraphRequest(policy="confidence", max_depth=18))).exit
    assert (capped.max_depth, capped.thresholds) == (18, {12: 0.99})
    lossless = made.plan(facts(GraphRequest(policy="lossless", draft_length=5))).exit
    assert (lossless.kind, lossless.draft_length) == ("lossless", 5)
    assert made.plan(facts(GraphRequest(policy="fixed", max_depth=24))).exit.kind == "full"


def test_a_risk_is_claimed_only_of_the_whole_depth(caplog):
    made = planner(calibration=CALIBRATION)
    with caplog.at_level(logging.INFO):
        capped = made.plan(facts(GraphRequest(policy="confidence", max_depth=18)))
    assert capped.exit.kind == "confidence"
    assert "after 12 of 18 layers (a risk certified against 24 layers covers no cap)" in capped.reasons[0]
    assert "(risk" not in caplog.text
    auto = made.plan(facts(GraphRequest(max_depth=18, risk=0.05)))
    assert "(risk" not in auto.reasons[0]
    for graph in (GraphRequest(policy="confidence"), GraphRequest(policy="confidence", max_depth=24)):
        assert made.plan(facts(graph)).reasons[0].endswith("after 12, 18 of 24 layers (risk 0.01)")


@pytest.mark.parametrize("policy", ["confidence", "lossless"])
def test_a_cap_with_no_exit_below_it_is_a_fixed_depth(policy):
    made = planner(calibration=CALIBRATION)
    plan = made.plan(facts(GraphRequest(policy=policy, max_depth=6)))
    assert (plan.exit.kind, plan.exit.max_depth, plan.exit.thresholds) == ("fixed", 6, {})
    assert plan.reasons[0] == "Activating fixed inference path (6 of 24 layers)"
    drafted = made.plan(facts(GraphRequest(policy="lossless", max_depth=12)))
    assert drafted.reasons[0] == "Activating lossless inference path (drafts after 6 of 12 layers)"


@pytest.mark.parametrize(
    ("graph", "server", "repeats"),
    [
        (GraphRequest(), {}, False),
        (GraphRequest(policy="confidence"), {}, False),
        (GraphRequest(policy="full"), {}, True),
        (GraphRequest(policy="lossless"), {}, True),
        (GraphRequest(policy="fixed", max_depth=6), {}, True),
        (GraphRequest(policy="full", kv="evict"), {}, False),
        (GraphRequest(policy="full", kv="int8"), {}, True),
        (GraphRequest(policy="full"), {"kv": "auto"}, False),
        (GraphRequest(risk=0.0), {}, True),
        (GraphRequest(max_depth=6), {}, True),
        (GraphRequest(), {"policy": "lossless"}, True),
        (GraphRequest(), {"calibration": None}, True),
    ],
    ids=str,
)
def test_only_answers_that_do_not_depend_on_the_crowd_repeat(graph, server, repeats):
    fields = {"calibration": CALIBRATION, "kv": "full", "kv_kinds": frozenset({"full", "window", "evict", "int8"})}
    assert planner(**{**fields, **server}).repeats(facts(graph)) is repeats


def test_thinking_budgets_come_from_calibration_unless_the_client_has_one():
    made = planner(calibration=CALIBRATION)
    assert made.plan(facts(last_token=18)).thinking_tokens == 160
    assert made.plan(facts(last_token=18, bounded=True)).thinking_tokens is None
    assert made.plan(facts(last_token=5)).thinking_tokens is None
    assert planner().plan(facts(last_token=18)).thinking_tokens is None


@pytest.mark.parametrize(
    "graph",
    [
        GraphRequest(policy="full"),
        GraphRequest(policy="lossless"),
        GraphRequest(policy="fixed", max_depth=12),
        GraphRequest(risk=0.0),
        GraphRequest(max_depth=24),
        GraphRequest(max_depth=12, risk=0.0),
    ],
    ids=str,
)
def test_modes_that_promise_to_lose_nothing_have_no_learned_thinking_budget(graph):
    made = planner(calibration=replace(CALIBRATION, thought_factor=2.0))
    plan = made.plan(facts(graph, last_token=18))
    assert plan.thinking_tokens is None
    assert made.refine(plan, (1.0, 0.0, 0.0, 0.0, math.log1p(40))).thinking_tokens is None
    for policy in ("full", "lossless"):
        server = planner(calibration=CALIBRATION, policy=policy)
        assert server.plan(facts(last_token=18)).thinking_tokens is None


def test_a_learned_thinking_budget_is_among_the_reasons(caplog):
    made = planner(calibration=CALIBRATION)
    with caplog.at_level(logging.INFO):
        for graph in (GraphRequest(), GraphRequest(policy="confidence"), GraphRequest(max_depth=12)):
            plan = made.plan(facts(graph, last_token=18))
            assert plan.thinking_tokens == 160
            assert plan.reasons[-1].startswith("Thinking budget of 160 tokens")
    assert caplog.text.count("[DYNAMIC GRAPH] Thinking budget of 160 tokens") == 3
    assert not any("budget" in reason for reason in made.plan(facts(last_token=18, bounded=True)).reasons)


def test_the_probe_shortens_the_thinking_budget_that_fits_all():
    made = planner(calibration=replace(CALIBRATION, thought_factor=2.0))
    plan = made.plan(facts(last_token=18))
    scores = (0.25, 0.25, 0.25, 0.25)
    assert made.refine(plan, (*scores, math.log1p(40))).thinking_tokens == 80
    assert made.refine(plan, (*scores, math.log1p(400))).thinking_tokens == 160
    assert made.refine(plan, (*scores, -3.0)).thinking_tokens == 32
    assert made.refine(plan, scores).thinking_tokens == 160
    assert made.refine(made.plan(facts(last_token=18, bounded=True)), (*scores, 1.0)).thinking_tokens is None


def test_towers_follow_the_media():
    assert planner().plan(facts()).towers == frozenset()
    assert planner().plan(facts(audios=1)).towers == {"audio"}
    assert planner().plan(facts(images=2, audios=1)).towers == {"audio", "image"}


@pytest.mark.parametrize(
    ("graph", "param", "calibrated"),
    [
        (GraphRequest(policy="fixed"), "graph.max_depth", True),
        (GraphRequest(policy="fixed", max_depth=25), "graph.max_depth", True),
        (GraphRequest(policy="confidence", risk=0.0001), "graph.risk", True),
        (GraphRequest(risk=0.0001), "graph.risk", True),
        (GraphRequest(policy="confidence"), "graph.policy", False),
        (GraphRequest(kv="int8"), "graph.kv", True),
    ],
)
def test_what_is_not_there_is_refused(graph, param, calibrated):
    with pytest.raises(InvalidRequestError) as caught:
        planner(calibration=CALIBRATION if calibrated else None).plan(facts(graph))
    assert caught.value.param == param


def test_a_model_without_exits_refuses_to_leave_early():
    bare = Planner(PlannerSettings((40,)))
    for graph in (GraphRequest(policy="confidence"), GraphRequest(policy="fixed", max_depth=40)):
        with pytest.raises(InvalidRequestError) as caught:
            bare.plan(facts(graph))
        assert caught.value.param == "graph.policy"
    assert bare.plan(facts(GraphRequest(policy="lossless"))).exit.kind == "full"  # the same output


def test_a_servers_uncalibrated_confidence_runs_full_and_says_why():
    plan = planner(policy="confidence").plan(facts())
    assert plan.exit.kind == "full"
    assert "not calibrated" in plan.reasons[0]


def test_kv_policies_of_the_client():
    made = planner(kv_kinds=frozenset({"full", "window"}))
    policy = made.plan(facts(GraphRequest(kv="window", kv_window=300))).kv
    assert (policy.kind, policy.window) == ("window", 300)
    assert made.plan(facts()).kv.kind == "full"


def test_rewriters_come_with_the_length_model_and_respect_the_client():
    assert planner(calibration=CALIBRATION).rewriter(facts()) is None  # the runner keeps full caches only
    made = planner(calibration=CALIBRATION, kv_kinds=frozenset({"full", "window", "int8"}))
    follows = made.rewriter(facts())
    assert follows is not None
    assert follows.model == CALIBRATION.length
    assert follows.rules.precisions == ("int8",)
    assert not follows.pinned
    client = made.rewriter(facts(GraphRequest(kv="full")))
    assert client is not None
    assert client.pinned


BARS_ALONE = replace(CALIBRATION, thresholds={})


def test_the_probe_caps_the_depth_when_it_is_sure():
    made = planner(risk=0.05, calibration=BARS_ALONE)
    plan = made.plan(facts())
    assert plan.exit.kind == "lossless"
    assert made.refine(plan, (0.3, 0.3, 0.1, 0.3)) == plan  # unsure
    sure = made.refine(plan, (0.5, 0.4, 0.05, 0.05, 3.2))
    assert (sure.exit.kind, sure.exit.max_depth, sure.exit.thresholds) == ("fixed", 12, {})
    first = made.refine(plan, (0.9, 0.05, 0.03, 0.02))
    assert (first.exit.kind, first.exit.max_depth) == ("fixed", 6)
    assert "Capping inference path at 6 of 24 layers (probe: 90% sure)" in first.reasons[-1]
    strict = replace(plan, risk=0.01)
    assert made.refine(strict, (0.9, 0.05, 0.03, 0.02)).exit.max_depth == 12  # this risk asks for 95 %
    exact = made.plan(facts(GraphRequest(risk=0.0)))
    assert made.refine(exact, (1.0, 0.0, 0.0, 0.0)) == exact
    assert made.refine(plan, ()) == plan


@pytest.mark.parametrize("risk", [0.01, 0.05])
def test_a_risk_is_spent_once(risk):
    made = planner(risk=risk, calibration=CALIBRATION)
    plan = made.plan(facts())
    assert plan.exit.kind == "confidence"  # certified for all of the risk: nothing is left for a cap
    assert made.refine(plan, (1.0, 0.0, 0.0, 0.0, 3.2)).exit == plan.exit


@given(st.lists(st.floats(0.001, 1), min_size=4, max_size=4), st.sampled_from([0.01, 0.05]))
def test_refining_never_deepens_and_keeps_the_bar(raw, risk):
    scores = tuple(value / sum(raw) for value in raw)
    made = planner(risk=risk, calibration=BARS_ALONE)
    plan = made.plan(facts())
    refined = made.refine(plan, scores)
    if refined == plan:
        return
    cap = refined.exit.max_depth
    assert cap in DEPTHS[:-1]
    assert sum(s for d, s in zip(DEPTHS, scores, strict=True) if d <= cap) >= CALIBRATION.bars[risk]


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        ([], "graph"),
        ({"depth": 6}, "graph.depth"),
        ({"policy": "best"}, "graph.policy"),
        ({"policy": 3}, "graph.policy"),
        ({"max_depth": 0}, "graph.max_depth"),
        ({"max_depth": True}, "graph.max_depth"),
        ({"max_depth": 6.5}, "graph.max_depth"),
        ({"draft_length": 1 << 60}, "graph.draft_length"),
        ({"risk": float("nan")}, "graph.risk"),
        ({"risk": 1}, "graph.risk"),
        ({"risk": "low"}, "graph.risk"),
        ({"kv": "zip"}, "graph.kv"),
        ({"kv_window": -1}, "graph.kv_window"),
        ({"trace": 1}, "graph.trace"),
    ],
)
def test_bad_client_fields_are_named(raw, param):
    with pytest.raises(InvalidRequestError) as caught:
        read_graph_request(raw)
    assert caught.value.param == param


def test_good_client_fields_are_read():
    assert read_graph_request(None, trace=True) == GraphRequest(trace=True)
    assert read_graph_request({}) == GraphRequest()
    raw = {"policy": "confidence", "max_depth": 12, "risk": 0, "kv": "window", "kv_window": 64, "trace": True}
    assert read_graph_request(raw) == GraphRequest("confidence", 12, 0.0, None, "window", 64, None, True)
    assert read_graph_request({"policy": None}) == GraphRequest()


def test_calibrations_are_bound_to_their_weights(tmp_path: Path, caplog):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"one" * 100_000)
    assert load_graph_file(tmp_path) is None  # there is none
    fitting = replace(CALIBRATION, model=weights_digest(tmp_path))
    fitting.save(tmp_path)
    assert load_graph_file(tmp_path) == fitting
    (tmp_path / "model.safetensors").write_bytes(b"two" * 100_000)
    assert load_graph_file(tmp_path) is None
    assert "other weights" in caplog.text
    (tmp_path / "graph.json").write_text("{")
    assert load_graph_file(tmp_path) is None
    with pytest.raises(ConfigError):
        read_graph_file(tmp_path / "graph.json")


def test_nonsense_in_a_calibration_is_refused(tmp_path: Path):
    good = json.loads(json.dumps(CALIBRATION.as_dict()))
    for change in ({"version": 0}, {"thresholds": {"0.01": {"6": 7}}}, {"bars": {"2": 0.5}}, {"depths": None}):
        (tmp_path / "graph.json").write_text(json.dumps({**good, **change}))
        with pytest.raises(ConfigError):
            read_graph_file(tmp_path / "graph.json")
