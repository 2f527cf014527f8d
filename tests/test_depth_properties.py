"""Random interleavings of arrivals, policies, exits, catching up, rewrites, preemptions and cancellations.

The logits of every emitted token equal the reference's at its depth, and no page is lost or shared by mistake.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from autoglm_phone.graph.plan import ExitPolicy, GraphRequest, Plan
from depth_cases import FixedPlans, Record, check, engine_for, make_agreeing, make_glm4v, step, watch
from native_cases import clip, make_request, picture, save_case

PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)  # without explaining, which takes minutes
FEW = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
TOKEN_BYTES = {"native": 6 * 2 * 2 * 16 * 4 * 8 // 6, "glm4v": 4 * 2 * 2 * 32 * 4}
DEPTHS = {"native": (1, 3, 5, 6), "glm4v": (1, 2, 3, 4)}


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    return {
        "native": make_agreeing(save_case(tmp_path_factory.mktemp("native"))),
        "glm4v": make_glm4v(tmp_path_factory.mktemp("glm4v")),
    }


@st.composite
def policies(draw, depths):
    kind = draw(st.sampled_from(["full", "fixed", "confidence", "confidence", "lossless"]))
    if kind == "full":
        return ExitPolicy()
    cap = draw(st.sampled_from([None, *depths]))
    if kind == "fixed":
        return ExitPolicy("fixed", cap)
    if kind == "lossless":
        return ExitPolicy(kind, cap, draft_depth=draw(st.sampled_from(depths)), draft_length=draw(st.integers(0, 4)))
    # Confidences of the tiny models lie around 0.05 and 0.2: some leave, some stay.
    levels = st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.4, 1.1])
    exits = draw(st.lists(st.sampled_from(depths[:-1]), unique=True, min_size=1))
    return ExitPolicy(kind, cap, {depth: draw(levels) for depth in exits})


@st.composite
def scripts(draw, family):
    """Requests, and what happens between steps: (step, what, which request, policy)."""
    depths = DEPTHS[family]
    stem = draw(st.lists(st.integers(20, 150), min_size=24, max_size=24))
    requests, first, refined, events = [], {}, {}, []
    for index in range(draw(st.integers(1, 4))):
        name = f"r{index}"
        prompt = stem[: draw(st.integers(0, 24))] + draw(st.lists(st.integers(20, 150), min_size=1, max_size=16))
        media = []
        if family == "native" and draw(st.booleans()):
            place = draw(st.integers(0, len(prompt) - 1))
            media = [picture(1, 2, 0, place) if draw(st.booleans()) else clip(8, 1, place)]
        sampled = {"temperature": 0.8, "seed": 3} if draw(st.integers(0, 3)) == 0 else {}
        request = make_request(name, prompt, media, max_tokens=draw(st.integers(1, 12)), **sampled)
        named = GraphRequest(draw(st.sampled_from([None, "full"])), trace=True)  # a named policy is not refined
        requests.append(replace(request, graph=named))
        first[name] = draw(policies(depths))
        if draw(st.booleans()):
            refined[name] = draw(policies(depths))
        events.append((draw(st.integers(0, 8)), "arrive", index, None))
        for _ in range(draw(st.integers(0, 2))):
            events.append((draw(st.integers(1, 16)), "rewrite", index, draw(policies(depths))))
        if draw(st.integers(0, 5)) == 0:
            events.append((draw(st.integers(2, 14)), "abort", index, None))
    return requests, first, refined, sorted(events, key=lambda event: event[0])


def play(reference, family, script, *, probe, company=1, ahead=0, **fields):
    requests, first, refined, events = script
    planner = FixedPlans()
    planner.policies, planner.refined = first, refined
    engine = engine_for(reference, planner, **fields)
    assert engine.runner.max_model_len >= 53  # each request fits alone
    if probe:
        engine.runner.cascade.depth_probe = lambda state: (0.5,)  # type: ignore[attr-defined]
    engine.runner.cascade.gate.company = lambda rows: min(company, rows)  # type: ignore[attr-defined]
    cascade = engine.runner.cascade  # type: ignore[attr-defined]
    cascade.ahead.longest = ahead
    cascade.ahead.worth = lambda depth, count, standing: [any(p < 1 for p, _ in standing)] * len(standing)
    record = Record()
    watch(engine, record)
    events, count, added = list(events), 0, set()
    while events or engine.has_work():
        while events and events[0][0] <= count:
            _, what, index, policy = events.pop(0)
            if what == "arrive":
                engine.add_request(requests[index])
                added.add(index)
            elif what == "rewrite":
                engine.rewrite(f"r{index}", Plan(exit=policy, reasons=(f"r{index}",)))
            else:
                engine.abort(f"r{index}")
            engine.scheduler.check()
        step(engine, record)
        count += 1
        assert count < 3000, "no progress"
    assert engine.pool.num_free == engine.pool.num_pages
    assert not engine.runner._states  # type: ignore[attr-defined]
    check(reference, [r for r in requests if r.request_id in record.outputs], record)
    aborted = {f"r{index}" for _, what, index, _ in script[3] if what == "abort"}
    for request in requests:
        if request.request_id not in aborted:
            assert len(record.tokens(request.request_id)) == request.sampling.max_tokens
            assert len(record.depths(request.request_id)) == request.sampling.max_tokens


@pytest.mark.parametrize("family", ["native", "glm4v"])
@FEW
@given(
    data=st.data(),
    chunk=st.sampled_from([1, 3, 8, 21, 512]),
    tokens=st.sampled_from([60, 80, 2000]),
    seqs=st.integers(1, 4),
    caching=st.booleans(),
    waiting=st.sampled_from([0, 2048, 64 << 20]),
    probe=st.booleans(),
    company=st.integers(1, 4),
    ahead=st.sampled_from([0, 1, 5]),
)
def test_every_interleaving_equals_the_reference(
    references, family, data, chunk, tokens, seqs, caching, waiting, probe, company, ahead
):
    script = data.draw(scripts(family))
    play(
        references[family],
        family,
        script,
        probe=probe,
        company=company,
        ahead=ahead,
        kv_cache_memory=tokens * TOKEN_BYTES[family],
        max_num_batched_tokens=chunk,
        max_num_seqs=seqs,
        enable_prefix_caching=caching,
        pending_memory=waiting,
    )
