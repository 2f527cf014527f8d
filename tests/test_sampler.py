"""The sampler against straightforward references, row by row."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_phone.engine.request import EngineRequest, SamplingParams, ThinkingBudget
from autoglm_phone.engine.sequence import Sequence, Times
from autoglm_phone.engine.thinking import ThoughtTracker
from autoglm_phone.runner.sampler import Sampler
from autoglm_phone.runner.sampling_state import SamplingState, uniform

VOCAB = 40
EOS = frozenset({0, 1})


def state(prompt=(5,), output=(), seed=7, **fields) -> SamplingState:
    sequence = Sequence(EngineRequest("r", tuple(prompt), SamplingParams(**fields)), 0, 1, Times(0.0))
    sequence.tokens += output
    return SamplingState(sequence, seed)


def sample(logits: torch.Tensor, states: list[SamplingState]):
    return Sampler(EOS).sample(logits.clone(), states)


def random_logits(rows: int, seed: int = 0) -> torch.Tensor:
    return 3 * torch.randn(rows, VOCAB, generator=torch.Generator().manual_seed(seed))


def reference_distribution(logits: np.ndarray, s: SamplingState) -> np.ndarray:
    """vLLM's steps, written plainly, in float64."""
    p, x = s.params, logits.astype(np.float64).copy()
    tokens = s.sequence.tokens
    output = Counter(tokens[s.sequence.prompt_length :])
    for token, bias in p.logit_bias.items():
        x[token] += bias
    if s.sequence.num_output < p.min_tokens:
        for token in {*p.stop_token_ids, *(() if p.ignore_eos else EOS)}:
            x[token] = -math.inf
    for token in set(tokens):
        x[token] = x[token] / p.repetition_penalty if x[token] > 0 else x[token] * p.repetition_penalty
    for token, count in output.items():
        x[token] -= p.frequency_penalty * count + p.presence_penalty
    if p.temperature < 1e-5:
        out = np.zeros_like(x)
        out[x.argmax()] = 1
        return out
    x /= p.temperature
    prob = np.exp(x - x.max())
    prob /= prob.sum()
    x[prob < p.min_p * prob.max()] = -math.inf
    if 0 < p.top_k < len(x):
        x[x < np.sort(x)[-p.top_k]] = -math.inf
    prob = np.exp(x - x.max())
    prob /= prob.sum()
    if p.top_p < 1:
        order = np.argsort(-prob, kind="stable")
        before = np.cumsum(prob[order]) - prob[order]
        prob[order[before >= p.top_p]] = 0
        prob /= prob.sum()
    return prob


params = st.fixed_dictionaries(
    {
        "temperature": st.sampled_from([0.0, 0.3, 1.0, 2.0]),
        "top_p": st.sampled_from([1.0, 0.9, 0.5, 0.05]),
        "top_k": st.sampled_from([0, -1, 1, 3, 100]),
        "min_p": st.sampled_from([0.0, 0.1, 0.5]),
        "frequency_penalty": st.sampled_from([0.0, 0.7, -0.5]),
        "presence_penalty": st.sampled_from([0.0, 1.5]),
        "repetition_penalty": st.sampled_from([1.0, 1.3, 0.8]),
        "min_tokens": st.sampled_from([0, 4]),
        "logit_bias": st.dictionaries(st.integers(0, VOCAB - 1), st.floats(-20, 20), max_size=3),
        "ignore_eos": st.booleans(),
        "stop_token_ids": st.frozensets(st.integers(0, VOCAB - 1), max_size=2),
    }
)
tokens = st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=8)


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.tuples(params, tokens, tokens, st.integers(0, 2**63)), min_size=1, max_size=5),
    seed=st.integers(0, 99),
)
def test_every_token_is_drawn_from_the_reference_distribution(rows, seed):
    """The drawn token is the inverse of the reference's distribution function at the row's own random number."""
    logits = random_logits(len(rows), seed)
    states = [state(prompt, output, seed=row_seed, **p) for p, prompt, output, row_seed in rows]
    for row, (result, s) in enumerate(zip(sample(logits, states), states, strict=True)):
        prob = reference_distribution(logits[row].numpy(), s)
        token = result.token_ids[0]
        assert prob[token] > 0
        if s.params.temperature > 0:
            sums = np.cumsum(prob)
            u = s.uniform()
            assert sums[token] >= u - 1e-5
            assert sums[token] - prob[token] <= u + 1e-5


def test_batch_composition_does_not_matter():
    logits = random_logits(6)
    states = [state(seed=i, temperature=1.0, top_p=0.9, frequency_penalty=0.1 * i, output=[i, i]) for i in range(6)]
    together = [r.token_ids for r in sample(logits, states)]
    alone = [sample(logits[i : i + 1], [states[i]])[0].token_ids for i in range(6)]
    order = [3, 1, 5, 0, 4, 2]
    shuffled = [r.token_ids for r in sample(logits[order], [states[i] for i in order])]
    assert together == alone
    assert shuffled == [together[i] for i in order]


def test_seed_fixes_the_stream_and_steps_differ():
    logits = torch.zeros(1, VOCAB)
    draws = [sample(logits, [state(temperature=1.0, seed=3, output=[2] * i)])[0].token_ids[0] for i in range(50)]
    again = [sample(logits, [state(temperature=1.0, seed=3, output=[2] * i)])[0].token_ids[0] for i in range(50)]
    other = [sample(logits, [state(temperature=1.0, seed=4, output=[2] * i)])[0].token_ids[0] for i in range(50)]
    assert draws == again
    assert draws != other
    assert len(set(draws)) > 15


def test_uniform_is_uniform():
    values = np.array([uniform(seed, i) for seed in range(50) for i in range(200)])
    assert values.min() >= 0
    assert values.max() < 1
    counts, _ = np.histogram(values, bins=20, range=(0, 1))
    assert ((counts - 500) ** 2 / 500).sum() < 45  # chi-square, 19 degrees of freedom, p ~ 0.0007


def test_frequencies_match_the_distribution():
    logits = random_logits(1, seed=5)
    states = [state(temperature=1.5, top_k=6, seed=i) for i in range(4000)]
    drawn = Counter(r.token_ids[0] for r in sample(logits.expand(4000, -1), states))
    prob = reference_distribution(logits[0].numpy(), states[0])
    for token in np.nonzero(prob)[0]:
        assert drawn[int(token)] / 4000 == pytest.approx(prob[token], abs=4 * math.sqrt(0.25 / 4000))
    assert set(drawn) <= set(np.nonzero(prob)[0].tolist())


def test_wide_nucleus_falls_back_to_the_full_sort():
    logits = torch.zeros(1, 5000)
    drawn = {
        Sampler(EOS).sample(logits.clone(), [state(temperature=1.0, top_p=0.99, seed=i)])[0].token_ids[0]
        for i in range(400)
    }
    assert len(drawn) > 300


def test_greedy_honours_penalties():
    logits = torch.zeros(1, VOCAB)
    logits[0, 7], logits[0, 8] = 2.0, 1.9
    assert sample(logits, [state(temperature=0.0)])[0].token_ids == (7,)
    assert sample(logits, [state(temperature=0.0, output=[7], frequency_penalty=0.2)])[0].token_ids == (8,)


def test_logprobs_are_the_models_own():
    """vLLM: raw log-probabilities, before penalties and temperature."""
    logits = random_logits(2)
    states = [
        state(temperature=0.0, output=[3, 3], frequency_penalty=2.0, logprobs=4),
        state(temperature=0.5, top_k=1, logprobs=0),
    ]
    raw = torch.log_softmax(logits, -1)
    for row, result in enumerate(sample(logits, states)):
        entry = result.logprobs[0]
        assert entry.token_id == result.token_ids[0]
        assert entry.logprob == pytest.approx(raw[row, entry.token_id].item(), abs=1e-5)
        assert entry.rank == int((raw[row] >= raw[row, entry.token_id]).sum())
        best = raw[row].topk(states[row].params.logprobs)
        assert [token for token, _ in entry.top] == best.indices.tolist()
    assert sample(logits, [state(), state()])[0].logprobs == ()


class FakeMatcher:
    def __init__(self, allowed=(), error=None):
        self.allowed, self.error, self.finished = allowed, error, False

    def new(self):
        return self

    def fill_mask(self):
        if self.error:
            raise self.error
        mask = np.zeros(VOCAB - 8, dtype=bool)  # a tokenizer smaller than the head
        mask[list(self.allowed)] = True
        return mask


def test_grammar_masks_its_row_alone():
    logits = random_logits(3)
    rows = [
        state(temperature=0.0),
        state(temperature=0.0, grammar=FakeMatcher({11, 12}), logprobs=1),
        state(temperature=1.0, grammar=FakeMatcher({4})),
    ]
    results = sample(logits, rows)
    assert results[0].token_ids[0] == int(logits[0].argmax())
    assert results[1].token_ids[0] in (11, 12)
    assert results[2].token_ids == (4,)
    assert math.exp(sum([results[1].logprobs[0].logprob])) > 0.5  # the mask counts as the model's word, as in vLLM


def test_a_failing_grammar_ends_its_row_alone():
    results = sample(
        random_logits(2), [state(temperature=0.0), state(grammar=FakeMatcher(error=RuntimeError("secret")))]
    )
    assert results[0].error is None
    assert "secret" not in results[1].error


def run_thought(budget: ThinkingBudget, wishes: list[int]) -> list[int]:
    """Tokens that come out when the model wishes for `wishes`."""
    tracker, out = ThoughtTracker(budget), []
    for wish in wishes:
        forced = tracker.next_token()
        out.append(wish if forced is None else forced)
        tracker.observe(out[-1])
    return out


@pytest.mark.parametrize(
    ("limits", "wishes", "result"),
    [
        ({"max_tokens": 2}, [3, 3, 3, 3, 5, 5], [3, 3, 21, 22, 5, 5]),
        ({"max_tokens": 0}, [3, 3, 3], [21, 22, 3]),
        ({"max_steps": 2}, [3, 9, 3, 9, 3, 3, 3], [3, 9, 3, 9, 21, 22, 3]),
        ({"max_tokens": 3}, [3, 3, 21, 4, 5], [3, 3, 21, 22, 5]),  # the model began to end it: only the rest is forced
        ({"max_tokens": 9}, [3, 21, 22, 3, 3, 3, 3, 3, 3, 3, 3], [3, 21, 22, 3, 3, 3, 3, 3, 3, 3, 3]),
        ({}, [3] * 6, [3] * 6),
    ],
)
def test_thinking_budget(limits, wishes, result):
    assert run_thought(ThinkingBudget((21, 22), step_ids=frozenset({9}), **limits), wishes) == result


def test_thinking_budget_forces_through_the_sampler():
    budget = ThinkingBudget((21, 22), max_tokens=0)
    s = state(temperature=0.0, thinking=budget, logprobs=1)
    result = sample(random_logits(1), [s])[0]
    assert result.token_ids == (21,)
    assert result.logprobs[0].token_id == 21
