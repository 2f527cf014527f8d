"""Plans that change under way: what the probe refines, rewrites between steps, thoughts cut short, and their trace."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoglm_phone.engine.request import EngineRequest, ThinkingBudget
from autoglm_phone.graph.plan import ExitPolicy, GraphRequest
from depth_cases import (
    FixedPlans,
    Record,
    check,
    drive,
    each_of,
    engine_for,
    glm4v_fixture,
    native_fixture,
    step,
    watch,
)
from native_cases import make_request

PROMPT = list(range(30, 50))

native = native_fixture(agreeing=False)
glm4v = glm4v_fixture()
reference = each_of("native", "glm4v")


def ask(name: str, prompt: list[int], **sampling) -> EngineRequest:
    return replace(make_request(name, prompt, [], **sampling), graph=GraphRequest(trace=True))


def test_upgrades_and_downgrades_between_steps(reference):
    engine = engine_for(reference)
    ends = engine.runner.layout.ends
    request = ask("r", PROMPT, max_tokens=12)
    engine = engine_for(reference, FixedPlans())
    record = Record()
    watch(engine, record)
    engine.add_request(request)
    depths = [ends[0]] * 3 + [ends[-1]] * 3 + [ends[1]] * 3 + [ends[2]] * 3
    plan = engine.planning.plan(request)
    for index, depth in enumerate(depths):
        if index == 0 or depth != depths[index - 1]:
            assert engine.rewrite("r", replace(plan, exit=ExitPolicy("fixed", depth)))
        produced = len(record.tokens("r"))
        while len(record.tokens("r")) == produced:
            step(engine, record)
    check(reference, [request], record)
    assert record.depths("r") == depths
    assert engine.pool.num_free == engine.pool.num_pages
    assert not engine.rewrite("r", plan)


def test_a_prompt_that_is_read_itself_is_not_capped(native):
    """Its log-probabilities come from one depth, and the probe never takes another token for the prompt's last."""
    seen = []
    planner = FixedPlans()
    planner.refined = {"r": ExitPolicy("fixed", 1)}
    for budget in (512, 7):
        engine = engine_for(native, planner, max_num_batched_tokens=budget)
        engine.runner.cascade.depth_probe = lambda state: seen.append(state) or (0.5,)
        request = replace(ask("r", PROMPT, prompt_logprobs=1), graph=GraphRequest(trace=True))
        record = drive(engine, [request])
        check(native, [request], record)
        assert not seen
        assert record.outputs["r"][-1].graph["rewrites"] == []
        truth = native.logits(PROMPT, ())[6].log_softmax(-1)
        given = next(output.prompt_logprobs for output in record.outputs["r"] if output.prompt_logprobs)
        for position, entry in enumerate(given[1:]):
            assert entry.logprob == pytest.approx(float(truth[position][PROMPT[position + 1]]), abs=1e-3)


def test_the_probe_refines_before_anything_deeper_runs(reference):
    planner = FixedPlans()
    engine = engine_for(reference, planner)
    ends = engine.runner.layout.ends
    planner.refined = {"shallow": ExitPolicy("fixed", ends[0]), "deep": ExitPolicy()}
    planner.policies = {"shallow": ExitPolicy("fixed", ends[2])}
    engine.runner.cascade.depth_probe = lambda state: (float(state.shape[0]), 0.5)
    requests = [ask("shallow", PROMPT), ask("deep", PROMPT[:11]), ask("same", PROMPT[5:])]
    asked = replace(ask("asked", PROMPT[2:]), graph=GraphRequest("full", trace=True))
    engine.config = replace(engine.config)
    record = drive(engine, [*requests, asked], [0, 0, 2, 3])
    check(reference, [*requests, asked], record)
    assert planner.scores.keys() == {"shallow", "deep", "same"}  # the client's word is not refined
    assert planner.scores["deep"] == (engine.runner.spec.hidden_size, 0.5)
    assert record.depths("shallow") == [ends[0]] * 6
    assert record.depths("deep") == record.depths("same") == [ends[-1]] * 6
    assert record.outputs["shallow"][-1].graph["prompt_depth"] == ends[0]
    assert set(record.outputs["shallow"][-1].graph["segment_ms"]) == {"0"}
    assert record.outputs["shallow"][-1].graph["reasons"] == ["shallow", "the probe said so"]
    assert engine.pool.num_free == engine.pool.num_pages


def test_a_plan_may_bound_a_thought(native):
    class Brief(FixedPlans):
        def plan(self, facts):
            return replace(super().plan(facts), thinking_tokens=4)

    engine = engine_for(native, Brief())
    engine.thought_end = (15, 16)
    asked = ask("own", PROMPT, max_tokens=9, thinking=ThinkingBudget((17, 18), max_tokens=2))
    record = drive(engine, [ask("r", PROMPT, max_tokens=9), asked])
    assert record.tokens("r")[4:6] == [15, 16]
    assert record.tokens("own")[2:4] == [17, 18]


@pytest.mark.parametrize("policy", [ExitPolicy(), ExitPolicy("lossless", draft_length=6)], ids=lambda p: p.kind)
def test_a_cut_thought_is_in_the_trace_once(native, policy):
    """Drafts may hold the whole end of a thought: the request's own tracker is never asked for those tokens."""
    planner = FixedPlans()
    planner.policies = {"r": policy, "long": policy, "none": policy}
    budgets = {"r": 5, "long": 50, "none": 0}
    requests = [
        ask(name, PROMPT, max_tokens=20, thinking=ThinkingBudget((15, 16), max_tokens=most))
        for name, most in budgets.items()
    ]
    record = drive(engine_for(native, planner), requests)
    assert record.tokens("r")[5:7] == [15, 16]
    rewrites = {name: record.outputs[name][-1].graph["rewrites"] for name in budgets}
    assert rewrites == {
        "r": [{"token": 6, "change": "thought cut after 5 tokens", "reason": "client's thinking budget"}],
        "long": [],
        "none": [],
    }


def test_rewrites_are_in_the_trace(native):
    engine = engine_for(native, FixedPlans())
    request = ask("r", PROMPT)
    engine.add_request(request)
    record = Record()
    watch(engine, record)
    for _ in range(2):
        step(engine, record)
    plan = engine.planning.plan(request)
    engine.rewrite("r", plan.because("enough", exit=ExitPolicy("fixed", 3)))
    while engine.has_work():
        step(engine, record)
    check(native, [request], record)
    assert record.outputs["r"][-1].graph["rewrites"] == [
        {"token": 2, "change": "depth full → fixed(3)", "reason": "enough"}
    ]


def test_every_change_has_its_own_reason(native):
    class Both(FixedPlans):
        def plan(self, facts):
            return replace(super().plan(facts), thinking_tokens=6)

        def refine(self, plan, scores):
            shorter = plan.because("a budget of 3 tokens", cause="it is short", thinking_tokens=3)
            return shorter.because("capped", exit=ExitPolicy("fixed", 1))

    engine = engine_for(native, Both())
    engine.thought_end = (15, 16)
    engine.runner.cascade.depth_probe = lambda state: (0.5,)
    graph = drive(engine, [ask("r", PROMPT, max_tokens=2)]).outputs["r"][-1].graph
    assert graph["rewrites"] == [
        {"token": 0, "change": "depth full → fixed(1)", "reason": "capped"},
        {"token": 0, "change": "thinking budget 6 → 3", "reason": "it is short"},
    ]
    assert graph["reasons"] == ["r", "a budget of 3 tokens", "capped"]


def test_a_refined_plan_shortens_the_thought(native):
    class Briefer(FixedPlans):
        def plan(self, facts):
            return replace(super().plan(facts), thinking_tokens=6)

    engine = engine_for(native, Briefer())
    engine.thought_end = (15, 16)
    request = ask("r", PROMPT, max_tokens=9)
    engine.add_request(request)
    engine.rewrite("r", engine._sequences["r"].plan.because("short", thinking_tokens=3))
    record = Record()
    while engine.has_work():
        step(engine, record)
    assert record.tokens("r")[3:5] == [15, 16]
    assert record.outputs["r"][-1].graph["rewrites"] == [
        {"token": 0, "change": "thinking budget 6 → 3", "reason": "short"},
        {"token": 4, "change": "thought cut after 3 tokens", "reason": "learned thinking budget"},
    ]
    assert engine.stats().rewrites["thought"] == 1
