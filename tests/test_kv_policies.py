"""KV policies end to end: tokens see exactly the pages that a policy keeps, and what it drops returns to the pool."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from autoglm_phone.backends.narrow import decode, encode
from autoglm_phone.errors import ConfigError, EngineError, InvalidRequestError
from autoglm_phone.graph.kv import DROPPED
from autoglm_phone.graph.plan import ExitPolicy, KVPolicy, Plan
from depth_cases import TOLERANCE, engine_for, make_agreeing, step
from kv_cases import NARROW_TOLERANCE, PROMPT, TOKEN_BYTES, Plans, Watch, ask, run
from native_cases import PAGE, picture, save_case
from test_depth_properties import policies as exit_policies

SLIDING = {"layer_types": ["full_attention", "sliding_attention"] * 3, "sliding_window": 7, "attention_sinks": 2}
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    return {
        "full": make_agreeing(save_case(tmp_path_factory.mktemp("native"))),
        "sliding": make_agreeing(save_case(tmp_path_factory.mktemp("sliding"), **SLIDING)),
    }


@pytest.fixture
def native(references):
    return references["full"]


@pytest.mark.parametrize("kind", ["full", "sliding"])
@pytest.mark.parametrize("keep_prompt", [True, False])
def test_a_window_gives_pages_back_at_once(references, kind, keep_prompt):
    policy = KVPolicy("window", window=10, sinks=3, keep_prompt=keep_prompt)
    engine = engine_for(references[kind], Plans({"r": policy}))
    held = []

    def each(_):
        held.append(engine.pool.num_pages - engine.pool.num_free)
        for sequence in engine.scheduler.running:
            assert held[-1] == sequence.num_pages
            live = [p for p, page in enumerate(sequence.page_tables[0]) if page != DROPPED]
            near = range(max(0, sequence.frontiers[0] - 9) // PAGE, -(-sequence.frontiers[0] // PAGE))
            always = 5 if keep_prompt else 1
            assert set(live) == set(range(always)) | set(near)

    seen = run(engine, [ask("r")], each=each)
    assert max(held) <= 4 * (5 + 4 if keep_prompt else 5)
    assert seen.check(references[kind]) <= TOLERANCE
    assert engine.stats().kv_usage == 0


def test_media_pages_stay(native):
    policy = KVPolicy("window", window=6, sinks=0, keep_prompt=False, keep_media=True)
    engine = engine_for(native, Plans({"r": policy}))
    tables = []
    request = ask("r", PROMPT, [picture(2, 2, 1, 10)])
    seen = run(
        engine, [request], each=lambda _: tables.extend(list(s.page_tables[3]) for s in engine.scheduler.running)
    )
    assert all(table[2] != DROPPED for table in tables)
    assert tables[-1][:2] == [DROPPED, DROPPED]
    seen.check(native)


def test_eviction_keeps_what_is_looked_at(references):
    for reference in references.values():
        engine = engine_for(reference, Plans({"r": KVPolicy("evict", budget=24, sinks=2, keep_prompt=False)}))
        most = []
        request = ask("r", max_tokens=60)
        seen = run(engine, [request], each=lambda _: most.extend(s.num_pages for s in engine.scheduler.running))  # noqa: B023
        assert max(most[2:]) <= 4 * 7
        assert seen.check(reference) <= TOLERANCE


def test_masses_are_asked_only_of_those_that_evict(native, monkeypatch):
    calls = []
    monkeypatch.setattr(
        "autoglm_phone.backends.torch_backend.page_masses", lambda *a: calls.append(a[0].shape[0]) or mean(*a)
    )
    run(engine_for(native, Plans({"b": KVPolicy("window", window=9)})), [ask("a"), ask("b")])
    assert not calls
    run(engine_for(native, Plans({"b": KVPolicy("evict", budget=12)})), [ask("a"), ask("b")])
    assert calls
    assert set(calls) == {1}


def mean(query, keys, allowed, page_size):
    pages = -(-keys.shape[1] // page_size)
    return torch.full((query.shape[0], pages), 1 / pages)


def test_narrow_pages_take_a_quarter_of_the_pages(native):
    plain = engine_for(native, Plans())
    wide = run(plain, [ask("r", max_tokens=60)])
    engine = engine_for(native, Plans({"r": KVPolicy("int8")}))
    most = []
    seen = run(
        engine, [ask("r", max_tokens=60)], each=lambda _: most.extend(s.num_pages for s in engine.scheduler.running)
    )
    assert max(most) == 4 * 5  # 80 tokens in frames of 16
    peaks = [w.record.outputs["r"][-1].graph["peak_kv_bytes"] for w in (seen, wide)]
    assert peaks[0] == peaks[1] / 4
    assert 0 < seen.check(native) <= NARROW_TOLERANCE


def test_a_cancelled_request_with_waiting_tokens_and_gaps_leaves_nothing(native):
    planner = Plans({"r0": KVPolicy("window", window=8), "r1": KVPolicy("evict", budget=8), "r2": KVPolicy("int8")})
    planner.policies = {f"r{i}": ExitPolicy("confidence", thresholds={1: 0.0}) for i in range(3)}
    engine = engine_for(native, planner)
    for i in range(3):
        engine.add_request(ask(f"r{i}"))
    for _ in range(25):
        engine.step()
        engine.scheduler.check()
    for i in range(3):
        engine.abort(f"r{i}")
        engine.scheduler.check()
    assert engine.pool.num_free == engine.pool.num_pages
    assert not engine.has_work()


def test_pages_of_a_blind_past_are_not_shared(native):
    """Later requests find only what the whole cache would have given."""
    engine = engine_for(native, Plans({"a": KVPolicy("window", window=8, sinks=0, keep_prompt=False)}))
    seen = run(engine, [ask("a")])
    tokens = [*PROMPT, *seen.record.tokens("a")]
    later = ask("b", tokens[:50])
    del seen
    engine.runner.execute = type(engine.runner).execute.__get__(engine.runner)
    check = run(engine, [later])
    assert check.check(native) <= TOLERANCE
    narrow = engine_for(native, Plans({"a": KVPolicy("int8")}))
    first = run(narrow, [ask("a")])
    narrow.runner.execute = type(narrow.runner).execute.__get__(narrow.runner)
    assert run(narrow, [ask("b", [*PROMPT, *first.record.tokens("a")][:50])]).check(native) <= TOLERANCE


def test_float_pages_after_frames_hold_no_garbage(native):
    """What is left of codes in a page is never read as floats, not even masked."""
    engine = engine_for(
        native, Plans({"a": KVPolicy("int8")}), kv_cache_memory=24 * PAGE * TOKEN_BYTES, max_model_len=64
    )
    run(engine, [ask("a")])
    narrow = engine.runner.decoder.pages.narrow
    narrow._codes.fill_(-1)  # as floats: not a number
    engine.runner.execute = type(engine.runner).execute.__get__(engine.runner)
    requests = [ask("b", PROMPT), ask("c", PROMPT[5:]), ask("d", PROMPT[12:], max_tokens=9)]
    assert run(engine, requests).check(native) <= TOLERANCE


def test_what_the_device_lacks_is_refused(native):
    engine = engine_for(native, Plans())
    engine.planning.planner.kv = {"r": KVPolicy("fp8")}
    with pytest.raises(InvalidRequestError, match=r"fp8.*not available.*int8"):
        engine.add_request(ask("r"))
    with pytest.raises(ConfigError, match="fp8"):
        engine_for(native, kv_policy="fp8")
    engine.planning.planner.kv = {"r": KVPolicy("window", window=4, keep_prompt=False)}
    engine.add_request(ask("r"))
    for _ in range(5):
        engine.step()
    with pytest.raises(EngineError, match="needs all pages"):
        engine.rewrite("r", Plan(kv=KVPolicy("int8")))
    engine.scheduler.check()
    while engine.has_work():
        engine.step()
    assert engine.pool.num_free == engine.pool.num_pages


@pytest.mark.parametrize(("kind", "bound"), [("int8", 0.5 / 127), ("fp8", 1 / 16)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_codes_come_back_within_half_a_step(kind, bound, dtype):
    x = torch.randn(50, 4, 16) * torch.logspace(-6, 3, 50)[:, None, None]
    x[0] = 0
    back = decode(*encode(x.to(dtype), kind), kind, torch.float32)
    most = x.abs().amax(-1, keepdim=True)
    assert bool(((back - x.to(dtype).float()).abs() <= bound * most * 1.01 + 1e-6).all())


kv_policies = st.builds(
    KVPolicy,
    kind=st.sampled_from(["full", "window", "window", "evict", "int8"]),
    window=st.integers(1, 30),
    sinks=st.integers(0, 6),
    budget=st.integers(4, 40),
    keep_prompt=st.booleans(),
    keep_media=st.booleans(),
)


@st.composite
def scripts(draw):
    stem = draw(st.lists(st.integers(20, 150), min_size=24, max_size=24))
    requests, exits, kv, events = [], {}, {}, []
    for index in range(draw(st.integers(1, 4))):
        name = f"r{index}"
        prompt = stem[: draw(st.integers(0, 24))] + draw(st.lists(st.integers(20, 150), min_size=1, max_size=16))
        media = [picture(1, 2, 0, draw(st.integers(0, len(prompt) - 1)))] if draw(st.booleans()) else []
        requests.append(ask(name, prompt, media, max_tokens=draw(st.integers(1, 24))))
        exits[name] = draw(exit_policies((1, 3, 5, 6)))
        kv[name] = draw(kv_policies)
        events.append((draw(st.integers(0, 8)), "arrive", index, None, None))
        for _ in range(draw(st.integers(0, 3))):
            exit_policy = draw(st.sampled_from([None, draw(exit_policies((1, 3, 5, 6)))]))
            events.append((draw(st.integers(1, 24)), "rewrite", index, draw(kv_policies), exit_policy))
        if draw(st.integers(0, 5)) == 0:
            events.append((draw(st.integers(2, 20)), "abort", index, None, None))
    return requests, exits, kv, sorted(events, key=lambda event: event[0])


@pytest.mark.parametrize("kind", ["full", "sliding"])
@FEW
@given(
    script=scripts(),
    chunk=st.sampled_from([1, 3, 8, 21, 512]),
    tokens=st.sampled_from([70, 100, 2000]),
    seqs=st.integers(1, 4),
    caching=st.booleans(),
    waiting=st.sampled_from([0, 2048, 64 << 20]),
)
def test_every_interleaving_sees_what_its_policy_keeps(references, kind, script, chunk, tokens, seqs, caching, waiting):
    requests, exits, kv, events = script
    planner = Plans(kv)
    planner.policies = exits
    engine = engine_for(
        references[kind],
        planner,
        kv_cache_memory=tokens * TOKEN_BYTES,
        max_num_batched_tokens=chunk,
        max_num_seqs=seqs,
        enable_prefix_caching=caching,
        pending_memory=waiting,
    )
    assert engine.runner.max_model_len >= 65
    seen = Watch(engine, requests)
    count, aborted = 0, set()
    while events or engine.has_work():
        while events and events[0][0] <= count:
            _, what, index, policy, exit_policy = events.pop(0)
            name = f"r{index}"
            if what == "arrive":
                engine.add_request(requests[index])
            elif what == "rewrite":
                sequence = engine._sequences.get(name)
                try:
                    plan = sequence.plan if sequence else Plan()
                    engine.rewrite(name, replace(plan, kv=policy, exit=exit_policy or plan.exit, reasons=(name,)))
                except EngineError:
                    assert sequence.plan == plan
            elif engine.abort(name):
                aborted.add(name)
            engine.scheduler.check()
        step(engine, seen.record)
        count += 1
        assert count < 3000, "no progress"
    assert engine.pool.num_free == engine.pool.num_pages
    assert not engine.runner._states
    for request in requests:
        if request.request_id not in aborted:
            assert len(seen.record.tokens(request.request_id)) == request.sampling.max_tokens
    seen.check(references[kind], aborted=frozenset(aborted))
