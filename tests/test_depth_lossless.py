"""Self-speculation gives what the whole decoder gives, greedy and sampled, whatever is drafted."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from autoglm_phone.engine.request import EngineRequest
from autoglm_phone.graph.costs import SegmentCosts
from autoglm_phone.graph.drafting import FIRST_DRAFTS, FIRST_REST, KNOWN, LONGEST, DraftController
from autoglm_phone.graph.plan import ExitPolicy, GraphRequest
from depth_cases import (
    SAMPLED,
    SLIDING,
    Even,
    FixedPlans,
    NativeDepths,
    check,
    drive,
    each_of,
    engine_for,
    glm4v_fixture,
    native_fixture,
    same_logprobs,
)
from native_cases import make_request, picture

PROMPT = list(range(30, 50))

native = native_fixture()
sliding = native_fixture(**SLIDING)
glm4v = glm4v_fixture()
reference = each_of("native", "sliding", "glm4v")


def ask(name: str, prompt: list[int], media=(), **sampling) -> EngineRequest:
    fields = {"max_tokens": 24, **sampling}
    return replace(make_request(name, prompt, list(media), **fields), graph=GraphRequest(trace=True))


def lossless(reference, requests, draft_length=3, draft_depth=None, **fields) -> tuple[Any, Any]:
    planner = FixedPlans()
    policy = ExitPolicy("lossless", draft_depth=draft_depth, draft_length=draft_length)
    planner.policies = {request.request_id: policy for request in requests}
    engine = engine_for(reference, planner, **fields)
    return drive(engine, requests), engine


@pytest.mark.parametrize("length", [1, 3, 6])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_greedy_output_is_that_of_full(reference, length, place):
    requests = [ask(f"r{i}", PROMPT[i:]) for i in range(3)]
    plain = drive(engine_for(reference), requests, [0, 2, 3])
    depth = sorted(engine_for(reference).runner.layout.exits)[place]
    record, engine = lossless(reference, requests, length, depth)
    for request in requests:
        name = request.request_id
        assert record.tokens(name) == plain.tokens(name)
        graph = record.outputs[name][-1].graph
        assert graph["drafted"] > 0
        assert graph["depths"] == [engine.runner.layout.ends[-1]] * 24
        assert graph["caught_up"] == {}
    check(reference, requests, record)
    stats = engine.stats()
    assert stats.drafted >= stats.accepted
    if isinstance(reference, NativeDepths):  # random exits of the other are hardly ever right
        assert stats.accepted > 0
    assert engine.pool.num_free == engine.pool.num_pages


@pytest.mark.parametrize("place", [0, 2])
def test_sampled_output_is_that_of_full(reference, place):
    requests = [ask(f"r{i}", PROMPT[i:], **fields) for i, fields in enumerate(SAMPLED)]
    plain = drive(engine_for(reference), requests)
    depth = sorted(engine_for(reference).runner.layout.exits)[place]
    record, engine = lossless(reference, requests, 4, depth)
    for request in requests:
        name = request.request_id
        assert record.tokens(name) == plain.tokens(name), name
        ours, theirs = record.outputs[name][-1], plain.outputs[name][-1]
        assert (ours.finish_reason, ours.stop_token_id) == (theirs.finish_reason, theirs.stop_token_id)
        if request.sampling.logprobs is not None:
            same_logprobs(record, plain, name)
    assert engine.stats().accepted > 0


def test_every_draft_is_right_when_the_deep_segments_change_nothing(native):
    """The output is the same, and comes in fewer steps."""
    requests = [ask("r", PROMPT, max_tokens=25)]
    planner = FixedPlans()
    planner.policies = {"r": ExitPolicy("lossless", draft_length=4)}
    engine = engine_for(native, planner)
    decoder = engine.runner.decoder
    first, whole = decoder.logits, decoder.run_segment
    decoder.logits = lambda boundary, segment=None: first(boundary, 0)
    decoder.run_segment = lambda index, hidden, meta: whole(index, hidden, meta) if index == 0 else hidden
    record = drive(engine, requests)
    graph = record.outputs["r"][-1].graph
    assert graph["accepted"] == graph["drafted"] == 19
    assert [len(output.token_ids) for output in record.outputs["r"]] == [1, 5, 5, 5, 5, 4]  # the first does not wait


def test_it_survives_preemption_chunks_and_small_pools(native):
    requests = [ask(f"r{i}", [20 + i] * 20, [picture(2, 2, i, 3)] if i % 2 else [], max_tokens=30) for i in range(4)]
    plain = drive(engine_for(native), requests)
    tight = {"kv_cache_memory": 90 * 6 * 2 * 2 * 16 * 4 * 8 // 6, "max_num_batched_tokens": 7}
    record, engine = lossless(native, requests, 3, 5, **tight)
    assert engine.stats().preemptions > 0
    for request in requests:
        assert record.tokens(request.request_id) == plain.tokens(request.request_id)


def test_grammar_falls_back_to_full(native):
    record, engine = lossless(native, [ask("r", PROMPT, grammar=Even())])
    assert all(token % 2 == 0 for token in record.tokens("r"))
    assert engine.stats().drafted == 0


def test_lossless_beside_other_policies(native):
    planner = FixedPlans()
    requests = [ask(f"r{i}", [33 + i, *PROMPT]) for i in range(4)]
    planner.policies = {
        "r0": ExitPolicy("lossless", draft_length=3),
        "r1": ExitPolicy("confidence", thresholds={1: 0.3, 3: 0.3}),
        "r2": ExitPolicy("lossless", draft_length=2, draft_depth=5),
        "r3": ExitPolicy("lossless", max_depth=5),  # the depth of 5 layers, drafted after the first
    }
    record = drive(engine_for(native, planner, max_num_batched_tokens=10), requests, [0, 1, 2, 4])
    check(native, requests, record)
    plain = drive(engine_for(native), requests)
    assert record.tokens("r0") == plain.tokens("r0")
    assert record.tokens("r2") == plain.tokens("r2")
    capped = [replace(requests[3], graph=GraphRequest("fixed", 5, trace=True))]
    assert record.tokens("r3") == drive(engine_for(native), capped).tokens("r3")


def test_a_step_that_fails_after_drafting_is_repeated(native):
    requests = [ask(f"r{i}", PROMPT[i:]) for i in range(2)]
    plain = drive(engine_for(native), requests)
    planner = FixedPlans()
    planner.policies = {f"r{i}": ExitPolicy("lossless", draft_length=3) for i in range(2)}
    engine = engine_for(native, planner)
    decoder = engine.runner.decoder
    original = decoder.run_segment
    failures = []

    def run_segment(index, hidden, meta):
        if index == 3 and hidden.shape[0] == 8 and len(failures) < 4:  # two rows of one token and three drafts
            failures.append(index)
            raise MemoryError
        return original(index, hidden, meta)

    decoder.run_segment = run_segment
    record = drive(engine, requests)
    assert len(failures) == 4
    assert [record.tokens(f"r{i}") for i in range(2)] == [plain.tokens(f"r{i}") for i in range(2)]


def costs(shallow: float, deep: float, head: float, per_row: float = 0.0) -> SegmentCosts:
    known = SegmentCosts()
    for rows in (1, 2, 4, 8, 16, 32, 64, 128, 256):
        for part, base in ((0, shallow), (1, deep / 3), (2, deep / 3), (3, deep / 3), (SegmentCosts.HEAD, head)):
            known.note(part, rows, base * (1 + per_row * rows))
    return known


def run_controller(
    controller: DraftController, right: float, count: int, steps: int = 300, extra: float = 1.0
) -> list[int]:
    """Lengths chosen while every draft is right with this chance. extra: how much longer steps with drafts take than
    their passes."""
    dice = random.Random(1)
    chosen, judged, accepted = [], 0, 0
    for _ in range(steps):
        k = max(controller.choose(1, [(judged, accepted)] * count))
        chosen.append(k)
        good = 0
        while good < k and dice.random() < right:
            good += 1
        passes = controller._modelled(1, count, k, count * (k + 1))
        assert passes is not None
        tokens = count * (good + 1)
        controller.note_step(1, [k] * count, tokens, passes * (extra if k else 1.0))
        if k:
            controller.note(1, [right] * k, good)
            judged, accepted = judged + min(k, good + 1), accepted + good
    return chosen


def test_drafts_adapt_to_acceptance():
    lengths = {
        right: run_controller(DraftController(4, costs(6, 18, 3)), right, 1)[-100:] for right in (0.1, 0.6, 0.95)
    }
    mean = {right: sum(values) / len(values) for right, values in lengths.items()}
    assert mean[0.1] < 0.1
    assert 0.5 < mean[0.6] <= 3
    assert mean[0.95] > 4
    assert max(lengths[0.95]) <= LONGEST


def test_drafts_stop_under_load_and_are_tried_again():
    """Where each row costs as much as the weights, verifying drafts is real work."""
    busy = DraftController(4, costs(6, 18, 3, per_row=1.0))
    chosen = run_controller(busy, 0.7, 32, 400)
    assert 0 < sum(chosen) / 400 < 0.1
    assert sum(run_controller(DraftController(4, costs(6, 18, 3)), 0.7, 32)[-50:]) > 20


def test_drafts_stop_where_steps_take_longer_than_their_passes():
    slow = run_controller(DraftController(4, costs(6, 18, 3)), 0.8, 16, 400, extra=3.0)
    assert 0 < sum(k > 0 for k in slow[40:]) / 360 < 0.05
    assert sum(run_controller(DraftController(4, costs(6, 18, 3)), 0.8, 16, 400, extra=1.1)[40:]) > 500


def test_unknown_costs_are_measured_first():
    controller = DraftController(4, SegmentCosts())
    assert controller.choose(1, [(0, 0)] * 3) == [0] * 3
    for part in (SegmentCosts.HEAD, 0, 1, 2, 3):  # by a plain step
        controller.costs.note(part, 3, 1.0)
    assert any(any(controller.choose(1, [(0, 0)] * 3)) for _ in range(2 * FIRST_REST))


def test_little_is_drafted_until_drafts_have_proved_right():
    controller = DraftController(4, costs(6, 18, 3))
    assert max(controller.choose(1, [(0, 0)] * 2)) <= FIRST_DRAFTS
    for _ in range(KNOWN):
        controller.note(1, [0.99], 1)
    assert max(controller.choose(1, [(0, 0)] * 2)) > FIRST_DRAFTS


@pytest.mark.parametrize("count", [1, 2, 4, 8, 16, 32, 64])
@pytest.mark.parametrize("per_row", [0.0, 0.03, 0.3])
def test_hopeless_drafts_cost_less_than_three_percent_from_the_start(count, per_row):
    """Nothing drafted is ever right: what trials cost in the first 200 steps, against plain ones."""
    controller = DraftController(4, costs(6, 18, 3, per_row=per_row))
    total = plain = 0.0
    for _ in range(200):
        lengths = controller.choose(1, [(0, 0)] * count)
        due = controller._modelled(1, count, 0, count)
        drafting = sum(k > 0 for k in lengths)
        took = due
        if drafting:
            known = controller.costs
            took = due + known.of_all(range(1), drafting) + known.of(SegmentCosts.HEAD, drafting)
            rows = count + sum(lengths)
            took += known.of_all(range(1, 4), rows) - known.of_all(range(1, 4), count)
            took += known.of(SegmentCosts.HEAD, rows) - known.of(SegmentCosts.HEAD, count)
        total, plain = total + took, plain + due
        controller.note_step(1, lengths, count, took)
        for k in lengths:
            if k:
                controller.note(1, [0.5] * k, 0)
    assert total < 1.03 * plain, total / plain
    assert DraftController(4, SegmentCosts()).worth(1, 2, [0.1, 0.9]) == [True, True]


def test_a_pass_needs_enough_drafts_that_are_worth_it():
    controller = DraftController(4, costs(6, 18, 3))
    assert controller.worth(1, 1, [0.9]) == [True]
    assert controller.worth(1, 1, [0.2]) == [False]  # a pass and a head of 9 for a fifth of 27
    assert controller.worth(1, 16, [0.9] * 16) == [True] * 16
    assert not any(controller.worth(1, 16, [0.9] + [0.1] * 3))  # one good draft of sixteen sequences
    rows = DraftController(4, costs(6, 18, 3, per_row=0.3))
    assert rows.worth(1, 16, [0.95] * 14 + [0.02] * 2) == [True] * 14 + [False] * 2


def test_confidence_bins_learn():
    controller = DraftController(4, costs(6, 18, 3))
    assert controller.chance(1, 0.95) > 0.8 > controller.chance(1, 0.35)
    for _ in range(100):
        controller.note(1, [0.95], 0)
        controller.note(1, [0.35, 0.35], 2)
    assert controller.chance(1, 0.95) < 0.2
    assert controller.chance(1, 0.35) > 0.8


def test_costs_interpolate_between_sizes():
    known = SegmentCosts()
    assert known.of(0, 4) is None
    known.note(0, 1, 1.0)
    known.note(0, 64, 4.0)
    assert known.of(0, 1) == 1.0
    assert 1.0 < known.of(0, 8) < 4.0
    assert known.of(0, 256) > 4.0
    known.note(0, 1, 1000.0)  # one stalled pass does not drown the rest
    assert known.of(0, 1) < 1.5
    assert known.of_all(range(2), 1) is None
