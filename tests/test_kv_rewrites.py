"""A KV policy that changes while tokens stream: pages come back, too few of them leave it, the rewriter decides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoglm_phone.engine.blocks import OutOfPagesError
from autoglm_phone.engine.request import ThinkingBudget
from autoglm_phone.graph.length import LengthModel
from autoglm_phone.graph.plan import KVPolicy, Plan
from autoglm_phone.graph.rewrite import Rewriter, RewriteRules
from depth_cases import TOLERANCE, NativeDepths, engine_for, make_agreeing, step
from kv_cases import PROMPT, TOKEN_BYTES, Plans, Watch, ask, run
from native_cases import PAGE, save_case


@pytest.fixture(scope="module")
def native(tmp_path_factory) -> NativeDepths:
    return make_agreeing(save_case(tmp_path_factory.mktemp("native")))


def test_a_rewrite_to_narrow_pages_returns_the_others(native):
    engine = engine_for(native, Plans())
    held = []

    def each(count):
        held.append(engine.pool.num_pages - engine.pool.num_free)
        if count == 20:
            engine.rewrite("r", Plan(kv=KVPolicy("int8"), reasons=("it is long",)))
            engine.scheduler.check()
            assert engine.pool.num_pages - engine.pool.num_free == 4 * 3
        if count == 40:
            engine.rewrite("r", Plan(kv=KVPolicy("window", window=8, sinks=0)))
            engine.scheduler.check()

    seen = run(engine, [ask("r", max_tokens=60)], each=each)
    assert held[18] == 4 * 10
    seen.check(native)
    changes = [entry["change"] for entry in seen.record.outputs["r"][-1].graph["rewrites"]]
    assert changes == ["KV policy full → int8", "KV policy int8 → window(8)"]
    assert engine.stats().rewrites["kv"] == 2


def test_one_free_page_is_enough_to_narrow(native):
    engine = engine_for(native, Plans(), kv_cache_memory=41 * PAGE * TOKEN_BYTES // 4, max_model_len=40)
    engine.add_request(ask("r", max_tokens=20))
    seen = Watch(engine, [ask("r", max_tokens=20)])
    while engine.pool.num_free != 1:
        step(engine, seen.record)
    engine.rewrite("r", Plan(kv=KVPolicy("int8")))
    engine.scheduler.check()
    assert engine.pool.num_free == 41 - 12
    while engine.has_work():
        step(engine, seen.record)
    seen.check(native)


def test_without_a_free_page_the_policy_stays(native):
    engine = engine_for(native, Plans(), kv_cache_memory=40 * PAGE * TOKEN_BYTES // 4, max_model_len=40)
    seen = Watch(engine, [ask("r", max_tokens=20)])
    engine.add_request(ask("r", max_tokens=20))
    while engine.pool.num_free:
        step(engine, seen.record)
    with pytest.raises(OutOfPagesError, match="more free KV pages"):
        engine.rewrite("r", Plan(kv=KVPolicy("int8")))
    engine.scheduler.check()
    while engine.has_work():
        step(engine, seen.record)
    assert seen.check(native) <= TOLERANCE


@pytest.mark.parametrize("after", [0, 1, 5])
def test_memory_that_runs_out_in_a_rewrite_ends_that_request_alone(native, after):
    engine = engine_for(native, Plans())
    requests = [ask("a"), ask("b", PROMPT[3:])]
    seen = Watch(engine, requests)
    for request in requests:
        engine.add_request(request)
    for _ in range(9):
        step(engine, seen.record)
    pages, original, left = engine.runner.decoder.pages.narrow, type(engine.runner.decoder.pages.narrow).narrow, [after]

    def fails(*args):
        if left[0] == 0:
            raise MemoryError
        left[0] -= 1
        return original(pages, *args)

    pages.narrow = fails
    assert engine.rewrite("a", Plan(kv=KVPolicy("int8")))
    engine.scheduler.check()
    while engine.has_work():
        step(engine, seen.record)
    assert seen.record.outputs["a"][-1].finish_reason == "error"
    assert "engine failed on this request" in seen.record.outputs["a"][-1].error
    assert len(seen.record.tokens("b")) == 40
    assert engine.pool.num_free == engine.pool.num_pages
    assert not engine.runner._states
    seen.check(native, aborted=frozenset({"a"}))


def test_the_rewriter_changes_the_policy_while_tokens_stream(native, caplog):
    rules = RewriteRules(
        interval=8, target=0.5, least_total=40, windows=(16, 8), patience=1, dwell=8, least_saving=4, margin=0.0
    )
    planner = Plans()
    planner.rewriters["r"] = Rewriter(rules)
    engine = engine_for(native, planner)
    with caplog.at_level("INFO"):
        seen = run(engine, [ask("r", max_tokens=80), ask("s", max_tokens=30)])
    seen.check(native)
    lines = [r.getMessage() for r in caplog.records if "KV policy" in r.getMessage()]
    assert lines[0].startswith("[DYNAMIC GRAPH] KV policy full → window(")
    assert "tokens expected" in lines[0]
    graph = seen.record.outputs["r"][-1].graph
    assert next(e["change"] for e in graph["rewrites"]).startswith("KV policy full → window(")
    assert not seen.record.outputs["s"][-1].graph["rewrites"]
    peak = max(entry["pages"] for entry in graph["pages"])
    assert graph["pages"][-1]["pages"] < peak
    assert planner.rewriters["r"].estimates


def test_a_rewrite_that_finds_no_pages_is_not_said_to_be_made(native, caplog):
    rules = RewriteRules(
        interval=8, target=0.5, least_total=40, windows=(16,), patience=1, dwell=8, least_saving=4, margin=0.0
    )
    planner, failing = Plans(), [2]
    planner.rewriters["r"] = Rewriter(rules)
    engine = engine_for(native, planner)
    keep_by = engine.scheduler.keep_by

    def short(*args):
        if failing[0]:
            failing[0] -= 1
            raise OutOfPagesError("no page is free")
        return keep_by(*args)

    engine.scheduler.keep_by = short
    with caplog.at_level("INFO"):
        seen = run(engine, [ask("r", max_tokens=80)])
    lines = [r.getMessage() for r in caplog.records if "KV policy" in r.getMessage()]
    assert ["stays full" in line for line in lines[:3]] == [True, True, False]
    first = seen.record.outputs["r"][-1].graph["rewrites"][0]
    assert first["change"] == "KV policy full → window(16)"
    assert first["reason"].endswith("tokens expected")
    graph = seen.record.outputs["r"][-1].graph
    assert graph["length_error"] == pytest.approx(planner.rewriters["r"].error(80), abs=0.05)
    assert graph["length_error"] > 0
    assert graph["blocked"] == engine.stats().rewrites_blocked == 0
    assert engine.stats().length_error.count == 1
    assert "KV policy" not in first["reason"]


def test_what_a_thought_held_up_is_counted(native):
    rules = RewriteRules(interval=8, target=0.5, least_total=40, windows=(16,), patience=1, dwell=8, least_saving=4)
    planner = Plans()
    planner.rewriters["r"] = Rewriter(rules)
    engine = engine_for(native, planner)
    budget = ThinkingBudget((15, 16), max_tokens=200)
    seen = run(engine, [ask("r", max_tokens=80, thinking=budget, logit_bias={16: -100.0})])
    assert seen.record.outputs["r"][-1].graph["blocked"] == engine.stats().rewrites_blocked > 0


def test_the_probe_tells_the_rewriter(native):
    planner = Plans()
    planner.rewriters["r"] = Rewriter(RewriteRules(), LengthModel((0.0,) * 10))
    engine = engine_for(native, planner)
    engine.runner.cascade.depth_probe = lambda state: (0.5, 0.25, 3.0)
    run(engine, [replace(ask("r", max_tokens=3), graph=None)])
    assert planner.rewriters["r"].probe == 3.0
