"""Writing ahead behind unsure tokens changes neither a token nor the depth at which it was decided; it saves passes."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from autoglm_phone.engine.request import EngineRequest
from autoglm_phone.graph.ahead import CALM, COMPARE, FIRST_REST, PLEASED, ROUND, AheadController, Trust
from autoglm_phone.graph.controller import ahead_cost, table_of
from autoglm_phone.graph.costs import SegmentCosts
from autoglm_phone.graph.drafting import DraftController
from autoglm_phone.graph.exits import ExitHistory
from autoglm_phone.graph.plan import ExitPolicy, GraphRequest
from depth_cases import (
    SAMPLED,
    Even,
    FixedPlans,
    Record,
    check,
    drive,
    each_named,
    engine_for,
    glm4v_fixture,
    native_fixture,
    same_logprobs,
)
from native_cases import clip, make_request, picture

PROMPT = list(range(30, 50))
LEVELS = {"native": (0.05, 0.1, 0.2), "glm4v": (0.02, 0.04, 0.08)}

native = native_fixture()
glm4v = glm4v_fixture()
family = each_named("native", "glm4v")


def ask(name: str, prompt: list[int], media=(), **sampling) -> EngineRequest:
    fields = {"max_tokens": 24, **sampling}
    return replace(make_request(name, prompt, list(media), **fields), graph=GraphRequest(trace=True))


def always(depth: int, count: int, standing) -> list[bool]:
    """Write on as far as it goes behind an unsure token."""
    return [any(chance < 1 for chance, _ in standing)] * len(standing)


def ask_all(engine) -> None:
    """Read every exit at every token: what is skipped where exits do not pay depends on when a row finds room."""
    prepare = engine.runner.prepare

    def prepared(sequence):
        prepare(sequence)
        engine.runner._states[sequence.request_id].exits.ask = lambda boundary: True

    engine.runner.prepare = prepared


def confident(
    reference,
    requests,
    thresholds,
    *,
    longest=6,
    lookup=0,
    worth=always,
    arrivals=None,
    engine=None,
    max_depth=None,
    before=None,
    **fields,
) -> tuple[Record, Any, Counter]:
    """Drive the requests under `confidence`; returns also how often each segment ran."""
    planner = FixedPlans()
    policy = ExitPolicy("confidence", max_depth, thresholds)
    planner.policies = {request.request_id: policy for request in requests}
    engine = engine_for(reference, planner, **fields)
    cascade = engine.runner.cascade
    cascade.gate.opens = lambda rows: True
    cascade.gate.company = lambda rows: 1
    cascade.gate.shut = lambda rows: False
    cascade.ahead.longest = longest
    cascade.lookup.longest = lookup
    if worth is not None:
        cascade.ahead.worth = worth
    passes: Counter[int] = Counter()
    through = engine.runner.decoder.run_batch

    def counted(segment, hidden, batch):
        passes[segment] += 1
        return through(segment, hidden, batch)

    engine.runner.decoder.run_batch = counted
    if before is not None:
        before(engine)
    return drive(engine, requests, arrivals), engine, passes


def same(requests, ours: Record, theirs: Record) -> None:
    for request in requests:
        name = request.request_id
        assert ours.tokens(name) == theirs.tokens(name), name
        assert ours.depths(name) == theirs.depths(name), name
        mine, other = ours.outputs[name][-1], theirs.outputs[name][-1]
        assert (mine.finish_reason, mine.stop_token_id) == (other.finish_reason, other.stop_token_id)


def thresholds_of(name: str, reference, level: float, exits: int) -> dict[int, float]:
    depths = sorted(engine_for(reference).runner.layout.exits)[:exits]
    return {depth: level * (1 + place) for place, depth in enumerate(depths)}


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("exits", [1, 3])
def test_greedy_tokens_and_depths_are_those_without(family, place, exits):
    name, reference = family
    thresholds = thresholds_of(name, reference, LEVELS[name][place], exits)
    requests = [ask(f"r{i}", [60 + i, *PROMPT[i:]], max_tokens=30) for i in range(3)]
    plain, _, passes = confident(reference, requests, thresholds, longest=0, arrivals=[0, 2, 3])
    ours, engine, fewer = confident(reference, requests, thresholds, arrivals=[0, 2, 3])
    same(requests, ours, plain)
    check(reference, requests, ours)
    depths = [depth for request in requests for depth in ours.depths(request.request_id)]
    if place == 1 and name == "native":
        assert 0.1 < sum(depth > min(thresholds) for depth in depths) / len(depths) < 0.95
        stats = engine.stats()
        assert 0 < stats.accepted <= stats.drafted
        assert fewer[3] <= passes[3]
    assert engine.stats().exits == Counter(depths)
    assert engine.pool.num_free == engine.pool.num_pages


@pytest.mark.parametrize("exits", [1, 3])
def test_sampled_tokens_are_those_without(family, exits):
    name, reference = family
    thresholds = thresholds_of(name, reference, LEVELS[name][1], exits)
    requests = [ask(f"r{i}", PROMPT[i:], **fields) for i, fields in enumerate(SAMPLED)]
    plain, _, _ = confident(reference, requests, thresholds, longest=0)
    ours, engine, _ = confident(reference, requests, thresholds)
    same(requests, ours, plain)
    assert engine.stats().drafted > 0
    for request in requests:
        if request.sampling.logprobs is not None:
            same_logprobs(ours, plain, request.request_id)


def with_media(*prompts):
    """Requests with a picture, with sound and with neither."""
    media = {"picture": [picture(2, 2, 1, 3)], "sound": [clip(8, 1, 5)], "text": []}
    return [ask(name, prompt, items) for (name, items), prompt in zip(media.items(), prompts, strict=True)]


def at_random(dice, share):
    """`worth` of a controller that lets any lane with a guess write on with this chance."""
    return lambda depth, count, standing: [
        any(chance < 1 for chance, _ in standing) and dice.random() < share for _ in standing
    ]


def repeating(seed, count):
    """Requests that repeat themselves, every other one with a picture."""
    return [
        ask(f"r{i}", [20 + 7 * i + seed] * (9 + i), [picture(2, 2, i, 3)] if i % 2 else [], max_tokens=30)
        for i in range(count)
    ]


def tight(dice):
    """Few pages, and a small budget of tokens."""
    return {"kv_cache_memory": 90 * 6 * 2 * 2 * 16 * 4 * 8 // 6, "max_num_batched_tokens": dice.choice([5, 9, 40])}


def test_pictures_and_sound_too(native):
    requests = with_media(PROMPT, PROMPT, PROMPT)
    plain, _, _ = confident(native, requests, {1: 0.1, 3: 0.2}, longest=0)
    ours, engine, _ = confident(native, requests, {1: 0.1, 3: 0.2})
    same(requests, ours, plain)
    check(native, requests, ours)
    assert engine.stats().drafted > 0


@pytest.mark.parametrize("seed", range(6))
def test_it_makes_no_difference_when_one_writes_on(native, seed):
    """Lanes stop and go on at random, few pages, small budgets, preemption: always the same tokens."""
    dice = random.Random(seed)
    requests = repeating(seed, 4)
    thresholds = {1: 0.1, 3: 0.15, 5: 0.2}
    narrow = tight(dice)
    plain, _, _ = confident(native, requests, thresholds, longest=0, before=ask_all)
    ours, engine, _ = confident(
        native, requests, thresholds, worth=at_random(dice, 0.7), before=ask_all, arrivals=[0, 1, 5, 9], **narrow
    )
    same(requests, ours, plain)
    check(native, requests, ours)
    assert engine.stats().drafted > 0


def test_unsure_tokens_share_a_deep_pass(native):
    """Where the deep segments change nothing, every guess is right: one deep pass for all unsure tokens of a step."""

    def shallow_is_right(engine):
        ask_all(engine)
        decoder = engine.runner.decoder
        first, whole = decoder.logits, decoder.run_segment
        decoder.logits = lambda boundary, segment=None: first(boundary, 0)
        decoder.run_segment = lambda index, hidden, meta: whole(index, hidden, meta) if index == 0 else hidden

    requests = [ask("r", PROMPT, max_tokens=25)]
    fields = {"before": shallow_is_right, "longest": 5}
    plain, _, passes = confident(native, requests, {1: 1.1}, **{**fields, "longest": 0})
    ours, _, fewer = confident(native, requests, {1: 1.1}, **fields)
    same(requests, ours, plain)
    # The first token waits for nobody; behind it six come at a time, of which five were guessed and written behind.
    assert [len(output.token_ids) for output in ours.outputs["r"]] == [1, 6, 6, 6, 6]
    graph = ours.outputs["r"][-1].graph
    assert graph["drafted"] == graph["accepted"] == 20
    assert (passes[3], fewer[3]) == (25, 5)


def test_a_token_that_ends_the_request_is_the_last(native):
    requests = [ask("r", PROMPT, ignore_eos=True, stop_token_ids=frozenset(range(0, 160, 9)))]
    plain, _, _ = confident(native, requests, {1: 0.1}, longest=0)
    ours, _, _ = confident(native, requests, {1: 0.1})
    same(requests, ours, plain)


def test_a_grammar_never_writes_ahead(native):
    ours, engine, _ = confident(native, [ask("r", PROMPT, grammar=Even())], {1: 0.1})
    assert all(token % 2 == 0 for token in ours.tokens("r"))
    assert engine.stats().drafted == 0


def test_a_step_that_fails_behind_guesses_is_repeated(native):
    requests = [ask(f"r{i}", PROMPT[i:], max_tokens=40) for i in range(2)]
    failures: list[int] = []

    def failing(engine):
        ask_all(engine)
        runner, decoder = engine.runner, engine.runner.decoder
        execute, through = runner.execute, decoder.run_segment
        together = []

        def executed(rows, steering):
            together.append(len(rows) > 1)
            return execute(rows, steering)

        def run_segment(index, hidden, meta):
            written = [state for state in runner._states.values() if state.drafts]
            if index == 3 and written and together[-1] and len(failures) < 4:
                failures.append(index)
                raise MemoryError
            return through(index, hidden, meta)

        runner.execute, decoder.run_segment = executed, run_segment

    plain, _, _ = confident(native, requests, {1: 0.1}, longest=0, before=ask_all)
    ours, _, _ = confident(native, requests, {1: 0.1}, before=failing)
    assert len(failures) == 4
    same(requests, ours, plain)


# The controller.


def costs(shallow: float, deep: float, head: float, per_row: float = 0.0) -> SegmentCosts:
    known = SegmentCosts()
    for rows in (1, 2, 4, 8, 16, 32, 64, 128, 256):
        for part, base in ((0, shallow), (1, deep / 3), (2, deep / 3), (3, deep / 3), (SegmentCosts.HEAD, head)):
            known.note(part, rows, base * (1 + per_row * rows))
    return known


def controller(known: SegmentCosts) -> AheadController:
    return AheadController(4, known, DraftController(4, known))


def test_it_writes_on_where_guesses_are_right_and_unsure_tokens_cluster():
    weights = controller(costs(4, 12, 1))
    assert weights.worth(1, 1, [(0.9, 0)]) == [True]
    assert weights.worth(1, 1, [(0.1, 0)]) == [False]
    assert weights.worth(1, 1, [(0.9, 0), (1.0, CALM)]) == [True, True]  # company makes the pass cheaper for each
    for _ in range(400):
        weights.note_token(0, True)  # nothing unsure ever follows
    assert weights.worth(1, 1, [(0.9, 0)]) == [False]
    for _ in range(400):
        weights.note_token(0, False)
    assert weights.worth(1, 1, [(0.6, 0)]) == [True]


def test_sure_tokens_alone_are_not_kept_waiting():
    assert controller(costs(4, 12, 1)).worth(1, 8, [(1.0, 3)] * 8) == [False] * 8


def test_nothing_is_written_ahead_before_passes_were_measured_or_where_each_row_costs():
    assert controller(SegmentCosts()).worth(1, 1, [(0.9, 0)]) == [False]
    assert controller(costs(4, 12, 1, per_row=5.0)).worth(1, 1, [(0.6, 0)]) == [False]


def test_guesses_are_learned_by_confidence():
    known = costs(4, 12, 1)
    ahead = controller(known)
    for _ in range(100):
        ahead.note_guess(1, 0.35, True)
        ahead.note_guess(1, 0.75, False)
    assert ahead.chance(1, 0.35) > 0.8 > 0.2 > ahead.chance(1, 0.75)


def test_a_history_forgets_what_never_was():
    history = ExitHistory((6, 12, 18, 24), 3.0)
    for _ in range(40):
        history.note(1, history.ask(1) and False)
    mark = history.mark(1)
    before = [history.ask(1) for _ in range(20)]
    history.note(1, True)
    history.restore(1, mark)
    assert [history.ask(1) for _ in range(20)] == before


def test_wrong_guesses_of_one_confidence_are_a_warning_for_others():
    ahead = controller(SegmentCosts())
    before = ahead.chance(1, 0.85)
    for _ in range(3):
        ahead.note_guess(1, 0.65, False)
    doubted = ahead.chance(1, 0.85)
    assert doubted < 0.7 * before
    for _ in range(100):
        ahead.note_guess(1, 0.65, True)
    assert doubted < before == ahead.chance(1, 0.85)  # and never more than its own chance
    ahead.note_guess(1, 0.65, False)
    ahead.forget()
    assert ahead.chance(1, 0.85) == before


def test_wrong_guesses_of_a_request_are_a_warning_for_its_own_above_all():
    ahead, own = controller(SegmentCosts()), Trust()
    before = ahead.chance(1, 0.85)
    for _ in range(2):
        ahead.note_guess(1, 0.65, False, own)
    assert ahead.chance(1, 0.85, own) < 0.75 * ahead.chance(1, 0.85) < 0.75 * before
    for _ in range(100):
        ahead.note_guess(1, 0.65, True, own)
    assert ahead.chance(1, 0.85, own) == before


def crowd(ahead: AheadController, count: int, steps: int, faster: float) -> list[bool]:
    """Steps over a crowd, so many times as quick with writing ahead; returns which of them wrote ahead."""
    seen = []
    for _ in range(steps):
        seen.append(ahead.on(count))
        ahead.note_step(count, count, 1.0 / faster if seen[-1] else 1.0)
    return seen


def test_in_a_crowd_it_goes_on_where_steps_gave_more():
    ahead = controller(costs(4, 12, 1))
    wins = crowd(ahead, 8, 3000, 1.2)
    assert sum(wins) > 0.9 * 3000
    assert not all(wins[: ROUND + COMPARE])  # compared at once
    loses = crowd(controller(costs(4, 12, 1)), 8, 3000, 0.9)
    assert sum(loses) < 0.06 * 3000
    assert all(ahead.on(count) for count in (1, 4))  # few sequences: the expected gain alone decides


def test_a_crowd_that_becomes_easier_is_noticed():
    ahead = controller(costs(4, 12, 1))
    crowd(ahead, 8, 1000, 0.9)
    later = crowd(ahead, 8, 20 * FIRST_REST + 4 * PLEASED, 1.5)
    assert all(later[-PLEASED // 2 :]) or sum(later[-PLEASED:]) > PLEASED // 2


def test_the_expected_cost_of_writing_ahead_is_that_of_a_simulation():
    known = costs(4, 12, 1, per_row=0.02)
    table = table_of(known, 4)
    assert table is not None
    dice, rows, unsure, right, length = random.Random(0), 8, 0.2, 0.5, 4
    spent = tokens = 0.0
    for _ in range(4000):
        spent += length * (table.segment(0, rows) + table.reading(rows)) + 3 * table.segment(1, rows * length)
        deep = 0
        for _ in range(rows):
            alive = True
            for _ in range(length):
                tokens += alive
                if dice.random() < unsure:
                    deep += 1
                    alive = alive and dice.random() < right
        spent += table.reading(deep)
    expected = ahead_cost(table, rows, [unsure, unsure, unsure], length, right)
    assert expected == pytest.approx(spent / tokens, rel=0.15)
