"""Deferred depth against the reference: fixed depth, tokens that leave early, catching up, prefix hits, failures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoglm_phone.engine.request import EngineRequest, ThinkingBudget
from autoglm_phone.errors import InvalidRequestError
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
from native_cases import make_request, picture

NEVER, ALWAYS = 1.1, 0.0
TRACED = GraphRequest(trace=True)

native = native_fixture(agreeing=False)
glm4v = glm4v_fixture()
reference = each_of("native", "glm4v")


def ask(name: str, prompt: list[int], media=(), **sampling) -> EngineRequest:
    return replace(make_request(name, prompt, list(media), **sampling), graph=TRACED)


def exits_of(engine) -> list[int]:
    return sorted(engine.runner.layout.exits)


def planned(reference, policies: dict[str, ExitPolicy], **fields):
    planner = FixedPlans()
    planner.policies = policies
    return engine_for(reference, planner, **fields), planner


PROMPT = list(range(30, 50))


def test_full_is_the_default_and_is_traced(reference):
    engine = engine_for(reference)
    record = drive(engine, [ask("r", PROMPT)])
    check(reference, [ask("r", PROMPT)], record)
    whole = engine.runner.layout.ends[-1]
    graph = record.outputs["r"][-1].graph
    assert graph["depths"] == [whole] * 6
    assert graph["prompt_depth"] == whole
    assert graph["peak_kv_bytes"] > 0
    assert set(graph["segment_ms"]) == {"0", "1", "2", "3"}
    assert record.outputs["r"][0].graph is None


def test_fixed_depth_owns_no_deeper_pages_and_never_runs_them(reference):
    engine = engine_for(reference)
    decoder = engine.runner.decoder
    for segments in (1, 2, 3):
        depth = engine.runner.layout.ends[segments - 1]
        ran = []
        original = decoder.run_segment
        decoder.run_segment = lambda index, *args: ran.append(index) or original(index, *args)  # noqa: B023
        request = replace(ask(f"r{segments}", PROMPT), graph=GraphRequest("fixed", depth, trace=True))
        engine.add_request(request)
        record = Record()
        watch(engine, record)
        most = 0
        while engine.has_work():
            step(engine, record)
            for sequence in engine.scheduler.running:
                assert not any(sequence.page_tables[segments:])
            most = max(most, engine.pool.num_pages - engine.pool.num_free)
        decoder.run_segment = original
        assert set(ran) == set(range(segments))
        assert most <= segments * 7  # 26 tokens in pages of 4
        assert record.depths(request.request_id) == [depth] * 6
        check(reference, [request], record)
    assert engine.stats().exits == {engine.runner.layout.ends[i]: 6 for i in range(3)}


def test_a_depth_between_exits_means_the_next_exit(native):
    record = drive(engine_for(native), [replace(ask("r", PROMPT), graph=GraphRequest("fixed", 2, trace=True))])
    assert record.depths("r") == [3] * 6


def test_dynamic_graph_off_runs_everything(native, monkeypatch):
    asked = replace(ask("r", PROMPT), graph=GraphRequest("fixed", 1, trace=True))
    assert drive(engine_for(native, dynamic_graph=False), [asked]).depths("r") == [6] * 6
    monkeypatch.setenv("ENABLE_DYNAMIC_GRAPH", "False")
    assert drive(engine_for(native), [asked]).depths("r") == [6] * 6


def test_all_leave_at_once_and_the_prompt_never_goes_deeper(reference):
    engine = engine_for(reference)
    first = exits_of(engine)[0]
    engine, _ = planned(reference, {"r": ExitPolicy("confidence", thresholds={first: ALWAYS})})
    record = drive(engine, [ask("r", PROMPT)])
    check(reference, [ask("r", PROMPT)], record)
    graph = record.outputs["r"][-1].graph
    assert graph["depths"] == [first] * 6
    assert graph["prompt_depth"] == first
    assert graph["caught_up"] == {}
    assert set(graph["segment_ms"]) == {"0"}
    assert engine.stats().layers_skipped == 6 * (engine.runner.layout.ends[-1] - first)


@pytest.mark.parametrize("chunk", [1, 3, 7, 512])
def test_all_stay_and_equal_full(reference, chunk):
    """The prompt waits for its last token, then catches up, in chunks."""
    engine = engine_for(reference)
    never = dict.fromkeys(exits_of(engine), NEVER)
    policy = ExitPolicy("confidence", thresholds=never)
    engine, _ = planned(reference, {"r": policy}, max_num_batched_tokens=chunk)
    record = drive(engine, [ask("r", PROMPT), ask("full", PROMPT[:9])])
    check(reference, [ask("r", PROMPT), ask("full", PROMPT[:9])], record)
    assert record.depths("r") == [engine.runner.layout.ends[-1]] * 6
    graph = record.outputs["r"][-1].graph
    assert graph["prompt_depth"] == engine.runner.layout.ends[-1]
    assert engine.pool.num_free == engine.pool.num_pages


def test_waiting_tokens_ride_along(reference):
    """Exits at every other token: each deep pass takes the one before it along."""
    engine = engine_for(reference)
    first = exits_of(engine)[0]
    planner = FixedPlans()
    deep, shallow = ({first: NEVER}, {first: ALWAYS})
    planner.policies["r"] = ExitPolicy("confidence", thresholds=shallow)
    engine = engine_for(reference, planner)
    record = Record()
    watch(engine, record)
    request = ask("r", PROMPT, max_tokens=8)
    engine.add_request(request)
    for turn in range(8):
        policy = ExitPolicy("confidence", thresholds=shallow if turn % 2 == 0 else deep)
        engine.rewrite("r", replace(planner.plan(request), exit=policy))
        step(engine, record)
    check(reference, [request], record)
    whole = engine.runner.layout.ends[-1]
    assert record.depths("r") == [first, whole] * 4
    # The prompt (20) and the tokens that left, except the last one to go deep itself each time.
    assert set(record.outputs["r"][-1].graph["caught_up"].values()) == {20 + 3}


def test_waiting_states_are_bounded_in_bytes(reference):
    engine = engine_for(reference)
    first = exits_of(engine)[0]
    policy = ExitPolicy("confidence", thresholds={first: ALWAYS})
    engine, _ = planned(reference, {"r": policy}, pending_memory=8 * 64 * 4, max_num_batched_tokens=6)
    record = drive(engine, [ask("r", PROMPT)])
    check(reference, [ask("r", PROMPT)], record)
    assert record.depths("r") == [first] * 6
    graph = record.outputs["r"][-1].graph
    assert "3" in graph["segment_ms"]  # some of them had to go on


def test_shallow_pages_are_found_and_filled_up_when_depth_is_needed(reference):
    engine = engine_for(reference)
    first, whole = exits_of(engine)[0], engine.runner.layout.ends[-1]
    leave, stay = (ExitPolicy("confidence", thresholds={first: value}) for value in (ALWAYS, NEVER))
    policies = {"a": leave, "b": leave, "c": stay, "d": ExitPolicy(), "e": ExitPolicy("fixed", first)}
    engine, _ = planned(reference, policies)
    hits = {}
    for name in policies:
        record = drive(engine, [ask(name, PROMPT)])
        check(reference, [ask(name, PROMPT)], record)
        hits[name] = record.outputs[name][0].cached_tokens
        assert record.depths(name)[0] == (first if name in "abe" else whole)
    # b: shallow pages are enough. c: found them, had to begin again. d: c has written the deep ones.
    assert hits == {"a": 0, "b": 16, "c": 16, "d": 16, "e": 16}
    engine, _ = planned(reference, policies)
    drive(engine, [ask("a", PROMPT)])
    record = drive(engine, [ask("d", PROMPT)])
    assert record.outputs["d"][0].cached_tokens == 0  # shallow pages alone are no use to it
    check(reference, [ask("d", PROMPT)], record)


def test_prompt_logprobs_go_all_the_way(native):
    engine, _ = planned(native, {"r": ExitPolicy("confidence", thresholds={1: ALWAYS})}, max_num_batched_tokens=6)
    request = ask("r", PROMPT, prompt_logprobs=1, logprobs=2)
    record = drive(engine, [request])
    check(native, [request], record)
    truth = native.logits([*PROMPT, *record.tokens("r")], ())
    known = record.outputs["r"][0].prompt_logprobs
    assert len(known) == len(PROMPT)
    for position, entry in enumerate(known[1:]):
        expected = float(truth[6][position].log_softmax(-1)[entry.token_id])
        assert entry.logprob == pytest.approx(expected, abs=1e-4)
    assert record.depths("r")[1:] == [1] * 5  # the prompt's last token was read where its logits were needed
    for index, output in enumerate(record.outputs["r"][1:], 1):
        expected = float(truth[1][len(PROMPT) + index - 1].log_softmax(-1)[output.token_ids[0]])
        assert output.logprobs[0].logprob == pytest.approx(expected, abs=1e-4)


def test_a_thought_that_must_end_needs_no_depth(native):
    engine, _ = planned(native, {"r": ExitPolicy("confidence", thresholds={1: NEVER})})
    budget = ThinkingBudget(end_ids=(15, 16), max_tokens=3)
    record = drive(engine, [ask("r", PROMPT, max_tokens=7, thinking=budget)])
    assert record.tokens("r")[3:5] == [15, 16]
    assert record.depths("r") == [6, 6, 6, 1, 1, 6, 6]


def test_mixed_policies_with_pictures_in_one_batch(native):
    policies = {
        "a": ExitPolicy("confidence", thresholds={1: 0.3, 3: 0.3, 5: 0.3}),
        "b": ExitPolicy("fixed", 3),
        "c": ExitPolicy(),
        "d": ExitPolicy("confidence", max_depth=5, thresholds={1: 0.3}),
    }
    engine, _ = planned(native, policies, max_num_batched_tokens=9)
    requests = [
        ask(name, [30 + i, *PROMPT], [picture(2, 2, i, 3 + i)], max_tokens=15) for i, name in enumerate(policies)
    ]
    record = drive(engine, requests, [0, 1, 2, 3])
    check(native, requests, record)
    assert len(set(record.depths("a"))) > 1
    assert set(record.depths("b")) == {3}
    assert set(record.depths("d")) <= {1, 5}


def test_a_cancelled_request_with_waiting_tokens_leaves_nothing(native):
    engine, _ = planned(native, {f"r{i}": ExitPolicy("confidence", thresholds={1: ALWAYS}) for i in range(3)})
    for i in range(3):
        engine.add_request(ask(f"r{i}", PROMPT, max_tokens=20))
    for _ in range(4):
        engine.step()
    engine.abort("r1")
    engine.scheduler.check()
    while engine.has_work():
        engine.step()
    assert engine.pool.num_free == engine.pool.num_pages
    assert not engine.runner._states


def test_a_pass_that_fails_is_repeated_row_by_row(native):
    engine, _ = planned(native, {"r0": ExitPolicy("confidence", thresholds={1: 0.3, 3: 0.3})})
    decoder = engine.runner.decoder
    original = decoder.run_segment
    failures = []

    def run_segment(index, hidden, meta):
        together = sum(group.end - group.first for group in meta.full.decodes)
        if index == 1 and together > 1 and len(failures) < 5:
            failures.append(index)
            raise MemoryError
        return original(index, hidden, meta)

    decoder.run_segment = run_segment
    requests = [ask(f"r{i}", PROMPT[i:], max_tokens=12) for i in range(3)]
    record = drive(engine, requests, [0, 1, 2])
    assert len(failures) == 5
    assert all(record.outputs[r.request_id][-1].finish_reason == "length" for r in requests)
    check(native, requests, record)


@pytest.mark.parametrize(
    "graph", [GraphRequest("deep"), GraphRequest(max_depth=0), GraphRequest(risk=2.0), GraphRequest(draft_length=-1)]
)
def test_bad_wishes_are_refused(native, graph):
    with pytest.raises(InvalidRequestError, match="graph"):
        engine_for(native).add_request(replace(ask("r", PROMPT), graph=graph))
