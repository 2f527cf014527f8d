"""Tokens guessed from n-grams behind drafts change neither the drafts nor the output; they save shallow passes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from autoglm_phone.graph.lookup import FIRST_REST, Guess
from autoglm_phone.graph.plan import ExitPolicy
from depth_cases import (
    SAMPLED,
    SLIDING,
    FixedPlans,
    NativeDepths,
    Record,
    check,
    drive,
    each_of,
    engine_for,
    glm4v_fixture,
    native_fixture,
)
from depth_cases import same_logprobs as same_logprobs_of
from test_depth_lossless import PROMPT, ask

native = native_fixture()
sliding = native_fixture(**SLIDING)
glm4v = glm4v_fixture()
reference = each_of("native", "sliding", "glm4v")


def run(reference, request, truth: list[int] | None, right: float, depth=None, visitors=()) -> tuple[Record, Any]:
    """truth: tokens that come without guesses, each guessed rightly with chance `right`; None: no guesses. visitors:
    (step, request) that come meanwhile, and draft as well."""
    planner, requests = FixedPlans(), [request, *(visitor for _, visitor in visitors)]
    policy = ExitPolicy("lossless", draft_depth=depth, draft_length=6)
    planner.policies = {one.request_id: policy for one in requests}
    engine = engine_for(reference, planner)
    lookup, dice = engine.runner.cascade.draft_lookup, random.Random(1)
    lookup.longest = 0 if truth is None else 5

    def guess(guesser, tokens, most, chance, drafts):
        rest = (truth or [])[len(tokens) + len(drafts) - len(request.prompt_ids) :]
        wanted = dice.randint(0, most)
        found = [token if dice.random() < right else (token + 1) % 160 for token in rest[:wanted]]
        return [Guess(token, 0, 0.9) for token in (*found, *(dice.randrange(160) for _ in range(wanted - len(found))))]

    lookup.guess = guess
    lookup.choose = lambda depth, count, chains: [len(chain) for chain in chains]
    engine.passes = 0
    wrapped = engine.runner.decoder.run_batch

    def counted(segment, hidden, batch):
        engine.passes += segment == 0
        return wrapped(segment, hidden, batch)

    engine.runner.decoder.run_batch = counted
    return drive(engine, requests, [0, *(at for at, _ in visitors)]), engine


def same(made: Record, plain: Record, name: str) -> None:
    assert made.tokens(name) == plain.tokens(name)
    ours, theirs = (record.outputs[name][-1].graph for record in (made, plain))
    for field in ("drafts", "drafted", "accepted", "depths", "caught_up"):
        assert ours[field] == theirs[field], field


@pytest.mark.parametrize("right", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_greedy_drafts_and_output_are_those_without(reference, place, right):
    request = ask("r", PROMPT, max_tokens=40)
    depth = sorted(engine_for(reference).runner.layout.exits)[place]
    full = drive(engine_for(reference), [request])
    plain, before = run(reference, request, None, 0.0, depth)
    made, engine = run(reference, request, full.tokens("r"), right, depth)
    same(made, plain, "r")
    assert made.tokens("r") == full.tokens("r")
    check(reference, [request], made)
    graph = made.outputs["r"][-1].graph
    assert graph["looked_up"] >= graph["found"]
    if isinstance(reference, NativeDepths):  # its drafts are what comes
        assert graph["looked_up"] > 0
        if right == 1.0:
            assert engine.passes < 0.75 * before.passes
            assert graph["found"] > 0
    assert engine.passes <= before.passes
    assert engine.pool.num_free == engine.pool.num_pages


@pytest.mark.parametrize("fields", SAMPLED)
def test_sampled_drafts_and_output_are_those_without(reference, fields):
    request = ask("r", PROMPT, **fields)
    full = drive(engine_for(reference), [request])
    plain, _ = run(reference, request, None, 0.0)
    made, _ = run(reference, request, full.tokens("r"), 0.7)
    same(made, plain, "r")
    assert made.tokens("r") == full.tokens("r")
    if request.sampling.logprobs is not None:
        same_logprobs_of(made, full, "r")


def test_a_stop_token_among_the_guesses(native):
    full = drive(engine_for(native), [ask("r", PROMPT, max_tokens=30)]).tokens("r")
    for place in (3, 8, 13):
        request = ask("r", PROMPT, max_tokens=30, stop_token_ids=frozenset({full[place]}))
        plain, _ = run(native, request, None, 0.0)
        made, engine = run(native, request, full, 1.0)
        same(made, plain, "r")
        assert made.outputs["r"][-1].finish_reason == "stop"
        assert engine.pool.num_free == engine.pool.num_pages


def test_visitors_find_no_keys_of_wrong_guesses(native):
    """Passes of the request alone and with others take turns, and keep copies of contexts each for themselves."""
    request = ask("r", PROMPT, max_tokens=60)
    visitors = [(3 * n + 2, ask(f"v{n}", PROMPT[n:], max_tokens=1 + n % 3)) for n in range(8)]
    full = drive(engine_for(native), [request, *(visitor for _, visitor in visitors)])
    made, engine = run(native, request, full.tokens("r"), 0.5, visitors=visitors)
    for name in ("r", *(visitor.request_id for _, visitor in visitors)):
        assert made.tokens(name) == full.tokens(name), name
    check(native, [request, *(visitor for _, visitor in visitors)], made)
    graph = made.outputs["r"][-1].graph
    assert 0 < graph["found"] < graph["looked_up"]
    assert engine.pool.num_free == engine.pool.num_pages


def test_keys_of_wrong_guesses_are_taken_back(native):
    """Whoever keeps copies of them is told, even if the pages are read elsewhere next."""
    cuts = {}
    for guessing in (False, True):
        planner = FixedPlans()
        planner.policies = {"r": ExitPolicy("lossless", draft_length=4)}
        engine = engine_for(native, planner)
        lookup = engine.runner.cascade.draft_lookup
        lookup.longest = 3 if guessing else 0
        lookup.guess = lambda guesser, tokens, most, chance, drafts: [Guess((drafts[-1] + 1) % 160, 0, 0.9)] * most
        lookup.choose = lambda depth, count, chains: [len(chain) for chain in chains]
        engine.add_request(ask("r", PROMPT, max_tokens=20))
        while not engine.stats().drafted:
            engine.step()
        (state,) = engine.runner._states.values()
        cuts[guessing] = state.cuts
    assert len(cuts[True]) > len(cuts[False])


def test_guesses_rest_where_they_lose(native):
    """By measured times: guesses that are never right are worth nothing."""
    _, engine = run(native, ask("r", PROMPT, max_tokens=30), [], 0.0)
    lookup = engine.runner.cascade.draft_lookup
    lookup._times = lambda depth, count: [1e-3 * (1 + 0.1 * k) for k in range(8)]
    assert lookup.on(1)
    for _ in range(60):
        lookup.note_pass(1, 1, 3, 0)
    rests = 0
    while not lookup.on(1):
        rests += 1
    assert rests >= FIRST_REST - 1
