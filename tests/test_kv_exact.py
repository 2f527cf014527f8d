"""What a request gets under a KV policy depends on the policy alone: not on drafts, chunks, or memory that ran out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoglm_phone.graph.plan import ExitPolicy, KVPolicy, Plan
from depth_cases import NativeDepths, Record, check, drive, engine_for, make_agreeing, step
from kv_cases import PROMPT, Plans, ask
from native_cases import AUDIO, IMAGE, save_case
from test_depth_ahead import ask_all, confident, same

KINDS = {
    "full": KVPolicy(),
    "window": KVPolicy("window", window=10, sinks=2, keep_prompt=False),
    "evict": KVPolicy("evict", budget=24, sinks=2, keep_prompt=False),
    "int8": KVPolicy("int8"),
}
SEEDS = range(3)
NO_MEDIA = {"logit_bias": {IMAGE: -100.0, AUDIO: -100.0}}  # so that an output can be a prompt


@pytest.fixture(scope="module")
def native(tmp_path_factory) -> NativeDepths:
    return make_agreeing(save_case(tmp_path_factory.mktemp("native")))


def requests_of(count: int = 60):
    """Greedy and sampled ones, of different prompts."""
    return [ask("g", PROMPT, max_tokens=count)] + [
        ask(f"s{seed}", [90 + seed, *PROMPT[seed:]], max_tokens=count, temperature=1.0, seed=seed) for seed in SEEDS
    ]


def driven(native, kv: KVPolicy, policy: ExitPolicy | None = None, **fields):
    requests = requests_of()
    planner = Plans({request.request_id: kv for request in requests})
    planner.policies = {request.request_id: policy or ExitPolicy() for request in requests}
    engine = engine_for(native, planner, **fields)
    record = drive(engine, requests)
    return {request.request_id: record.tokens(request.request_id) for request in requests}, engine


@pytest.mark.parametrize("kind", KINDS)
def test_lossless_equals_full_under_every_kv_policy(native, kind):
    plain, _ = driven(native, KINDS[kind])
    for length in (1, 3, 8):
        ours, engine = driven(native, KINDS[kind], ExitPolicy("lossless", draft_length=length))
        assert ours == plain, length
        assert (engine.stats().drafted > 0) == (kind != "evict")


def test_writing_ahead_changes_nothing_under_eviction(native):
    requests, thresholds = requests_of(), {1: 0.1, 3: 0.2, 5: 0.3}

    def before(engine):
        ask_all(engine)
        planner = engine.planning.planner
        plan = planner.plan
        planner.plan = lambda facts: replace(plan(facts), kv=KINDS["evict"])

    plain, _, _ = confident(native, requests, thresholds, longest=0, before=before)
    ours, _, _ = confident(native, requests, thresholds, before=before)
    same(requests, ours, plain)


@pytest.mark.parametrize("kind", ["window", "evict"])
def test_how_a_prompt_is_cut_changes_nothing(native, kind):
    """A busy step leaves a prompt a few tokens, or one."""
    whole, _ = driven(native, KINDS[kind])
    for budget in (6, 7, 13):
        assert driven(native, KINDS[kind], max_num_batched_tokens=budget)[0] == whole, budget


def preempted(native, kv: KVPolicy, request, at: int, before=()) -> list[int]:
    """The request's tokens, where memory runs out after `at` of them; others ran first."""
    planner = Plans({request.request_id: kv})
    engine, record = engine_for(native, planner), Record()
    drive(engine, list(before))
    engine.add_request(request)
    while engine.has_work():
        step(engine, record)
        sequence = engine._sequences.get(request.request_id)
        if sequence is not None and sequence.num_output == at and not sequence.preemptions:
            engine.scheduler._preempt(sequence)
    assert engine.stats().preemptions == (1 if at else 0)
    return record.tokens(request.request_id)


@pytest.mark.parametrize("kind", ["full", "window", "int8"])
def test_memory_that_ran_out_changes_nothing(native, kind):
    for seed in (2, 4):
        request = ask("r", PROMPT, max_tokens=100, temperature=1.0, seed=seed)
        assert preempted(native, KINDS[kind], request, 60) == preempted(native, KINDS[kind], request, 0), seed


@pytest.mark.parametrize("keep_prompt", [True, False])
def test_a_windows_blind_tokens_are_not_taken_from_others(native, keep_prompt):
    """Another request has computed the very same tokens, with all of their past."""
    kv = replace(KINDS["window"], keep_prompt=keep_prompt)
    request = ask("r", PROMPT, max_tokens=100, temperature=1.0, seed=1, **NO_MEDIA)
    tokens = preempted(native, kv, request, 0)
    same_text = ask("other", [*PROMPT, *tokens[:90]], max_tokens=1)
    for at in (0, 70):
        assert preempted(native, kv, request, at, [same_text]) == tokens
    longer = ask("r", [*PROMPT, *tokens[:50]], max_tokens=20, **NO_MEDIA)
    assert preempted(native, kv, longer, 0, [same_text]) == preempted(native, kv, longer, 0)


def test_a_policy_that_came_and_went_leaves_no_page_to_others(native):
    """Pages are gone, so later tokens have a blind past, whatever the policy says now."""
    engine, record = engine_for(native, Plans()), Record()
    engine.add_request(ask("r", PROMPT, max_tokens=60, **NO_MEDIA))
    for _ in range(10):
        step(engine, record)
    for policy in (KVPolicy("window", window=4, sinks=0, keep_prompt=False), KVPolicy()):
        engine.rewrite("r", Plan(kv=policy))
    while engine.has_work():
        step(engine, record)
        for sequence in engine.scheduler.running:
            assert sequence.gaps
            assert sequence.exact <= len(PROMPT) + 10
    later = ask("b", [*PROMPT, *record.tokens("r")][:70], max_tokens=4)
    shared = drive(engine, [later])
    check(native, [later], shared)
    assert 0 < shared.outputs["b"][-1].cached_tokens <= len(PROMPT) + 10
