"""When a request asks its exits: where they let tokens go, and otherwise only now and then."""

from __future__ import annotations

import random

import pytest

from autoglm_phone.engine.depth import DepthLayout, DepthRule, resolve
from autoglm_phone.graph.exits import FIRST_SHARE, KINDS, LAST_SKIP, ExitHistory, Experience
from autoglm_phone.graph.plan import ExitPolicy

ENDS = (6, 12, 18, 24)


def asked(history: ExitHistory, boundary: int, leaves: float, tokens: int) -> list[bool]:
    dice = random.Random(3)
    out = []
    for _ in range(tokens):
        out.append(history.ask(boundary))
        if out[-1]:
            history.note(boundary, dice.random() < leaves)
    return out


def test_an_exit_that_lets_tokens_go_is_always_asked():
    assert all(asked(ExitHistory(ENDS, 3.0), 1, 0.6, 300))


def test_an_exit_that_never_does_is_asked_now_and_then():
    history = ExitHistory(ENDS, 3.0)
    first = asked(history, 1, 0.0, 100)
    later = asked(history, 1, 0.0, 1000)
    assert all(first[:3])
    assert sum(first) <= 12
    assert 0 < sum(later) <= 1000 // LAST_SKIP + 2


def test_a_request_that_becomes_easier_is_noticed():
    history = ExitHistory(ENDS, 3.0)
    asked(history, 2, 0.0, 400)
    assert sum(asked(history, 2, 1.0, 600)) > 300


def test_the_deeper_the_exit_the_more_it_must_let_go():
    """Little is left to save behind the last exit."""
    kept = [sum(asked(ExitHistory(ENDS, 3.0), boundary, 0.25, 500)) for boundary in (1, 3)]
    assert kept[0] > 400 > 250 > kept[1]


def test_boundaries_learn_by_themselves():
    history = ExitHistory(ENDS, 3.0)
    asked(history, 1, 0.0, 100)
    assert all(asked(history, 2, 0.9, 50))


def request(experience: Experience, leaves: float, tokens: int = 96, kind: str = "text") -> list[bool]:
    """Which of its tokens asked the first exit."""
    history = ExitHistory(ENDS, 3.0, experience.first(kind, len(ENDS)))
    out = asked(history, 1, leaves, tokens)
    experience.note(kind, history)
    return out


def test_requests_after_hopeless_ones_ask_less():
    experience = Experience()
    alone = sum(request(experience, 0.0))
    for _ in range(3):
        last = request(experience, 0.0)
    assert 0 < sum(last) < alone / 2
    assert not last[0]
    assert request(experience, 0.0, kind="picture")[0]  # others know nothing of it


def test_experience_never_makes_a_request_ask_more():
    experience = Experience()
    for _ in range(5):
        assert all(request(experience, 0.9))
    assert experience.first("text", 4) == [FIRST_SHARE] * 4
    assert request(experience, 0.0) == request(Experience(), 0.0)


@pytest.mark.parametrize("tokens", [3, 96])
def test_easier_requests_are_noticed_whatever_their_length(tokens):
    experience = Experience()
    for _ in range(8):
        request(experience, 0.0)
    counts = [sum(request(experience, 1.0, tokens)) for _ in range(40)]
    assert counts[0] < tokens
    assert counts[-10:] == [tokens] * 10


def test_one_short_request_proves_little():
    experience = Experience()
    request(experience, 0.0, tokens=1)
    assert experience.first("text", 1)[0] > 0.8 * FIRST_SHARE


def test_experience_is_bounded():
    experience = Experience()
    for kind in range(3 * KINDS):
        request(experience, 0.0, 8, kind=str(kind))
    assert len(experience._shares) == KINDS
    assert experience.first("0", 1) == [FIRST_SHARE]


LAYOUT = DepthLayout(ENDS, frozenset({6, 12, 18}))
NONE = DepthLayout((10, 20, 30, 40))


@pytest.mark.parametrize(
    ("policy", "layout", "rule"),
    [
        (ExitPolicy(), LAYOUT, DepthRule(4)),
        (ExitPolicy("full", 6), LAYOUT, DepthRule(4)),
        (ExitPolicy("fixed", 6), LAYOUT, DepthRule(1)),
        (ExitPolicy("fixed", 7), LAYOUT, DepthRule(2)),
        (ExitPolicy("fixed", 99), LAYOUT, DepthRule(4)),
        (ExitPolicy("fixed", 10), NONE, DepthRule(4)),  # nothing can be read after 10 layers there
        (ExitPolicy("confidence", None, {6: 0.9, 12: 0.8, 24: 0.1}), LAYOUT, DepthRule(4, {1: 0.9, 2: 0.8})),
        (ExitPolicy("confidence", 12, {6: 0.9, 12: 0.8}), LAYOUT, DepthRule(2, {1: 0.9})),
        (ExitPolicy("confidence", None, {10: 0.9}), NONE, DepthRule(4)),
        (ExitPolicy("lossless"), LAYOUT, DepthRule(4, draft=1)),
        (ExitPolicy("lossless", draft_depth=12, draft_length=5), LAYOUT, DepthRule(4, draft=2, draft_length=5)),
        (ExitPolicy("lossless", 12, draft_depth=18), LAYOUT, DepthRule(2, draft=1)),
        (ExitPolicy("lossless", 6), LAYOUT, DepthRule(1)),
        (ExitPolicy("lossless"), NONE, DepthRule(4)),
    ],
)
def test_rules_of_policies(policy, layout, rule):
    assert resolve(policy, layout) == rule


def test_goals():
    assert DepthRule(4).goal == 4
    assert DepthRule(4, {2: 0.5, 3: 0.5}).goal == 2
    assert DepthRule(4, provisional=True).goal == 1
    assert not resolve(ExitPolicy("fixed", 6), LAYOUT, provisional=True).provisional  # there is nothing to wait for
    assert resolve(ExitPolicy("lossless"), LAYOUT, may_draft=False) == DepthRule(4)
