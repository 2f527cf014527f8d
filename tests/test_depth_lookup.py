"""Tokens guessed from n-grams change neither a token nor the depth at which it was decided; they save passes."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from autoglm_phone.graph.lookup import Guess
from autoglm_phone.graph.plan import ExitPolicy
from depth_cases import (
    SAMPLED,
    Even,
    FixedPlans,
    Record,
    check,
    each_named,
    engine_for,
    glm4v_fixture,
    native_fixture,
    same_logprobs,
    step,
    watch,
)
from test_depth_ahead import (
    LEVELS,
    PROMPT,
    ask,
    ask_all,
    at_random,
    confident,
    repeating,
    same,
    thresholds_of,
    tight,
    with_media,
)

native = native_fixture()
glm4v = glm4v_fixture()
family = each_named("native", "glm4v")


def oracle(requests, plain: Record, right: float, seed: int = 0, most: int = 5) -> Callable:
    """What prepares an engine to guess what came without guesses, each token right with this chance."""
    dice = random.Random(seed)
    truths = {tuple(request.prompt_ids): plain.tokens(request.request_id) for request in requests}

    def guess(guesser, tokens, limit, chance):
        prompt = next(p for p in truths if tuple(tokens[: len(p)]) == p)
        rest = truths[prompt][len(tokens) - len(prompt) :]
        wanted = dice.randint(0, min(most, limit))
        guesses = [token if dice.random() < right else (token + 1) % 160 for token in rest[:wanted]]
        guesses += [dice.randrange(160) for _ in range(wanted - len(guesses))]  # behind the end too
        return [Guess(token, 0, 0.9) for token in guesses]

    def prepare(engine) -> None:
        lookup = engine.runner.cascade.lookup
        lookup.guess, lookup.most_sequences = guess, 99
        lookup.choose = lambda depth, count, chains: [len(chain) for chain in chains]

    return prepare


def both(*prepares):
    def prepare(engine):
        for one in prepares:
            one(engine)

    return prepare


@pytest.mark.parametrize("longest", [0, 6])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("exits", [1, 3])
def test_greedy_tokens_and_depths_are_those_without(family, place, exits, longest):
    name, reference = family
    thresholds = thresholds_of(name, reference, LEVELS[name][place], exits)
    requests = [ask(f"r{i}", [60 + i, *PROMPT[i:]], max_tokens=30) for i in range(3)]
    arrivals = [0, 2, 3]
    plain, _, passes = confident(reference, requests, thresholds, longest=0, arrivals=arrivals)
    ours, engine, fewer = confident(
        reference,
        requests,
        thresholds,
        longest=longest,
        lookup=5,
        before=oracle(requests, plain, 0.8),
        arrivals=arrivals,
    )
    same(requests, ours, plain)
    check(reference, requests, ours)
    stats = engine.stats()
    graphs = [ours.outputs[request.request_id][-1].graph for request in requests]
    assert stats.looked_up == sum(graph["looked_up"] for graph in graphs)
    assert stats.found == sum(graph["found"] for graph in graphs)
    if place == 0:
        assert 20 < stats.found < stats.looked_up
        assert fewer[0] < 0.8 * passes[0]
    assert engine.pool.num_free == engine.pool.num_pages


@pytest.mark.parametrize("exits", [1, 3])
@pytest.mark.parametrize("longest", [0, 6])
def test_sampled_tokens_are_those_without(family, exits, longest):
    name, reference = family
    thresholds = thresholds_of(name, reference, LEVELS[name][0], exits)
    requests = [ask(f"r{i}", [70 + i, *PROMPT[i:]], **fields) for i, fields in enumerate(SAMPLED)]
    plain, _, _ = confident(reference, requests, thresholds, longest=0)
    ours, engine, _ = confident(
        reference, requests, thresholds, longest=longest, lookup=5, before=oracle(requests, plain, 0.85)
    )
    same(requests, ours, plain)
    assert engine.stats().found > 0
    for request in requests:
        if request.sampling.logprobs is not None:
            same_logprobs(ours, plain, request.request_id)


def test_pictures_and_sound_too(native):
    requests = with_media(PROMPT, PROMPT[1:], PROMPT[2:])
    thresholds = {1: 0.05, 3: 0.1}
    plain, _, _ = confident(native, requests, thresholds, longest=0)
    ours, engine, _ = confident(native, requests, thresholds, lookup=5, before=oracle(requests, plain, 0.8))
    same(requests, ours, plain)
    check(native, requests, ours)
    assert engine.stats().found > 0


@pytest.mark.parametrize("seed", range(8))
def test_it_makes_no_difference_what_is_guessed(native, seed):
    """Guesses and writing on stop at random, few pages, small budgets, preemption, one request alone or four."""
    dice = random.Random(seed)
    requests = repeating(seed, dice.choice([1, 4]))
    thresholds = {1: 0.06, 3: 0.1, 5: 0.2}
    narrow = tight(dice)
    plain, _, _ = confident(native, requests, thresholds, longest=0, before=ask_all)
    ours, engine, _ = confident(
        native,
        requests,
        thresholds,
        worth=at_random(dice, 0.5),
        lookup=5,
        before=both(ask_all, oracle(requests, plain, dice.choice([0.5, 0.9]), seed)),
        arrivals=[0, 1, 5, 9][: len(requests)],
        **narrow,
    )
    same(requests, ours, plain)
    check(native, requests, ours)
    assert engine.stats().looked_up > 0


def test_exits_are_asked_as_without(native):
    """A request whose exits are rarely sure skips most of them; guesses must not count for or against that."""
    requests = [ask("r", PROMPT, max_tokens=60)]
    thresholds = {1: 0.12, 3: 0.3}
    histories = []

    def keep(engine):
        release = engine.runner.release
        states = engine.runner._states

        def released(name):
            exits = states[name].exits
            histories.append([exits.mark(boundary) for boundary in (1, 3)])
            release(name)

        engine.runner.release = released

    plain, _, _ = confident(native, requests, thresholds, longest=0, before=keep)
    ours, engine, _ = confident(native, requests, thresholds, lookup=5, before=both(keep, oracle(requests, plain, 0.9)))
    same(requests, ours, plain)
    assert engine.stats().looked_up > 0
    assert histories[0] == histories[1]


def test_right_guesses_come_in_one_pass(native):
    requests = [ask("r", PROMPT, max_tokens=25)]
    plain, _, passes = confident(native, requests, {1: 0.0}, longest=0)

    def all_right(engine):
        lookup = engine.runner.cascade.lookup
        truth = plain.tokens("r")
        lookup.guess = lambda guesser, tokens, most, chance: [
            Guess(token, 0, 1.0) for token in truth[len(tokens) - len(PROMPT) :][: min(most, 5)]
        ]
        lookup.choose = lambda depth, count, chains: [len(chain) for chain in chains]

    ours, _, fewer = confident(native, requests, {1: 0.0}, longest=0, lookup=5, before=all_right)
    same(requests, ours, plain)
    # The first token comes of the prompt; behind it six at a time, of which five were guessed.
    assert [len(output.token_ids) for output in ours.outputs["r"]] == [1, 6, 6, 6, 6]
    graph = ours.outputs["r"][-1].graph
    assert graph["looked_up"] == graph["found"] == 20
    assert (passes[0], fewer[0]) == (25, 5)


def test_a_token_that_ends_the_request_is_the_last(native):
    stops = frozenset(range(0, 160, 9))
    requests = [ask("r", PROMPT, ignore_eos=True, stop_token_ids=stops, max_tokens=40)]
    longer = [ask("r", PROMPT, ignore_eos=True, max_tokens=40)]
    plain, _, _ = confident(native, requests, {1: 0.0}, longest=0)
    unstopped, _, _ = confident(native, longer, {1: 0.0}, longest=0)
    ours, engine, _ = confident(native, requests, {1: 0.0}, lookup=5, before=oracle(requests, unstopped, 1.0))
    same(requests, ours, plain)
    assert engine.stats().found > 0


def test_a_grammar_and_dropped_pages_never_guess(native):
    def guesses(engine):
        engine.runner.cascade.lookup.guess = lambda guesser, tokens, most, chance: [Guess(2, 0, 1.0)] * most

    ours, engine, _ = confident(native, [ask("r", PROMPT, grammar=Even())], {1: 0.0}, lookup=5, before=guesses)
    assert all(token % 2 == 0 for token in ours.tokens("r"))
    assert engine.stats().looked_up == 0


def test_a_step_that_fails_behind_guesses_is_repeated(native):
    requests = [ask(f"r{i}", PROMPT[i:], max_tokens=40) for i in range(2)]
    failures: list[int] = []

    def failing(engine):
        runner, decoder = engine.runner, engine.runner.decoder
        execute, through, head = runner.execute, decoder.run_segment, decoder.logits
        together = []

        def executed(rows, steering):
            together.append(len(rows) > 1)
            return execute(rows, steering)

        def fail(index):
            written = [state for state in runner._states.values() if state.drafts]
            if written and together[-1] and len(failures) < 9 and len(failures) % 3 == index:
                failures.append(index)
                raise MemoryError

        def run_segment(index, hidden, meta):
            hidden = through(index, hidden, meta)
            fail({0: 0, 3: 1}.get(index, -1))
            return hidden

        def logits(hidden, segment=None):
            fail(2)
            return head(hidden, segment)

        runner.execute, decoder.run_segment, decoder.logits = executed, run_segment, logits

    plain, _, _ = confident(native, requests, {1: 0.08}, longest=0, before=ask_all)
    ours, _, _ = confident(
        native, requests, {1: 0.08}, lookup=5, before=both(ask_all, failing, oracle(requests, plain, 0.9))
    )
    assert len(failures) == 9
    same(requests, ours, plain)


def test_a_request_that_is_cancelled_leaves_nothing(native):
    planner = FixedPlans()
    planner.policies = dict.fromkeys(("gone", "stays"), ExitPolicy("confidence", None, {1: 0.06}))
    requests = [ask("gone", PROMPT, max_tokens=40), ask("stays", PROMPT[1:], max_tokens=40)]
    plain, _, _ = confident(native, requests, {1: 0.06}, longest=0, before=ask_all)
    engine = engine_for(native, planner)
    ask_all(engine)
    oracle(requests, plain, 0.9)(engine)
    cascade, record = engine.runner.cascade, Record()
    cascade.gate.company = lambda rows: 1
    watch(engine, record)
    for request in requests:
        engine.add_request(request)
    for _ in range(5):
        step(engine, record)
    engine.abort("gone")
    while engine.has_work():
        step(engine, record)
    assert record.tokens("stays") == plain.tokens("stays")
    assert record.tokens("gone") == plain.tokens("gone")[: len(record.tokens("gone"))]
    assert engine.stats().found > 0
    assert engine.pool.num_free == engine.pool.num_pages


def test_keys_of_wrong_guesses_are_taken_back(native):
    """Whoever keeps copies of them is told, even if the pages are read elsewhere next."""
    planner = FixedPlans()
    planner.policies = {"r": ExitPolicy("confidence", None, {1: 0.0})}
    request = ask("r", PROMPT, max_tokens=20)
    plain, _, _ = confident(native, [request], {1: 0.0}, longest=0)
    engine, record = engine_for(native, planner), Record()
    oracle([request], plain, 0.0)(engine)
    engine.add_request(request)
    while engine.stats().looked_up == 0:
        step(engine, record)
    (state,) = engine.runner._states.values()
    assert state.cuts == [len(state.sequence.tokens) - 1]
