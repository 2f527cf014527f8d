"""Trains the depth probe and the length model on calibration records, and measures both on records they have not seen.

Half of the records trains (an eighth of it decides when to stop), the other half tests and certifies. The length model
learns from probe outputs of networks that did not see the request (cross-fitting), as it will meet them later.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from autoglm_phone.errors import ConfigError
from autoglm_phone.graph.length import FEATURES, LengthFacts, LengthModel, as_long_again, features
from autoglm_phone.graph.records import Record
from autoglm_phone.runner.probe import DepthProbe, normed

WIDTH = 96  # hidden units: 256 x 96 x 4 bytes are 98 KB for the mini model
EPOCHS, PATIENCE = 400, 40
LENGTH_WEIGHT = 0.3  # of the length's loss against the depth's
FOLDS = 5
STOPS = (0, 16, 32, 64, 128, 256)  # output tokens at which the length model is asked
RIDGE = 1.0
MOST_TOKENS = 4096  # max_tokens that clients send, for the made-up limits of the length model's data


@dataclass(frozen=True)
class ProbeReport:
    """On held-out requests. accuracy: of the most likely depth; majority: of always saying the training half's most
    frequent one. nll, prior_nll: mean negative log-likelihood of the probe, and of the training half's frequencies."""

    requests: int
    accuracy: float
    majority: float
    nll: float
    prior_nll: float
    bytes: int


def train_probe(records: Sequence[Record], depths: tuple[int, ...], seed: int = 0) -> DepthProbe:
    """A probe from these records.

    Raises:
        ConfigError: fewer than 16 of them.
    """
    if len(records) < 16:
        raise ConfigError(f"a probe needs at least 16 records to train on, not {len(records)}")
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(records), generator=generator)
    states, labels, lengths = _tensors(records, depths)
    held = max(2, len(records) // 8)
    stop, fit = order[:held], order[held:]
    inputs = normed(states)
    mean, std = inputs[fit].mean(0), inputs[fit].std(0).clamp_min(1e-3)
    size, outputs = states.shape[1], len(depths) + 1
    parameters = [
        torch.randn(size, WIDTH, generator=generator) / math.sqrt(size),
        torch.zeros(WIDTH),
        torch.randn(WIDTH, outputs, generator=generator) * 0.1 / math.sqrt(WIDTH),
        torch.zeros(outputs),
    ]
    counts = torch.bincount(labels[fit], minlength=len(depths)).float() + 0.5
    parameters[3][: len(depths)] = counts.log() - counts.sum().log()
    parameters[3][-1] = lengths[fit].mean()
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(
        [{"params": parameters[::2], "weight_decay": 0.5}, {"params": parameters[1::2], "weight_decay": 0.0}], lr=2e-3
    )
    x = (inputs - mean) / std

    def loss_of(rows: Tensor, keep: float) -> Tensor:
        hidden = F.gelu(x[rows] @ parameters[0] + parameters[1])
        if keep < 1:
            hidden = hidden * (torch.rand(hidden.shape, generator=generator) < keep) / keep
        out = hidden @ parameters[2] + parameters[3]
        depth = F.cross_entropy(out[:, : len(depths)], labels[rows])
        return depth + LENGTH_WEIGHT * F.smooth_l1_loss(out[:, -1], lengths[rows])

    best, since, kept = math.inf, 0, [p.detach().clone() for p in parameters]
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        loss_of(fit, 0.5).backward()
        optimizer.step()
        with torch.no_grad():
            now = float(loss_of(stop, 1.0))
        since += 1
        if now < best - 1e-4:
            best, since, kept = now, 0, [p.detach().clone() for p in parameters]
        if since >= PATIENCE:
            break
    return DepthProbe(depths, mean, std, *kept)


def judge_probe(probe: DepthProbe, train: Sequence[Record], test: Sequence[Record]) -> ProbeReport:
    """How good the probe is on the test half, beside what the training half's frequencies alone would say."""
    states, labels, _ = _tensors(test, probe.depths)
    _, known, _ = _tensors(train, probe.depths)
    count = len(probe.depths)
    prior = torch.bincount(known, minlength=count).float() + 0.5
    prior_log = prior.log() - prior.sum().log()
    with torch.inference_mode():
        logits = torch.log_softmax(probe.forward(states)[:, :count], dim=-1)
    rows = torch.arange(len(labels))
    return ProbeReport(
        requests=len(test),
        accuracy=float((logits.argmax(-1) == labels).float().mean()),
        majority=float((labels == known.bincount(minlength=count).argmax()).float().mean()),
        nll=float(-logits[rows, labels].mean()),
        prior_nll=float(-prior_log[labels].mean()),
        bytes=sum(t.nbytes for t in (probe.mean, probe.std, probe.w1, probe.b1, probe.w2, probe.b2)),
    )


def probabilities(probe: DepthProbe, records: Sequence[Record]) -> list[tuple[Record, dict[int, float]]]:
    """Each record with the probe's probability that a depth is its least sufficient one."""
    states, _, _ = _tensors(records, probe.depths)
    with torch.inference_mode():
        chances = torch.softmax(probe.forward(states)[:, : len(probe.depths)], dim=-1).tolist()
    return [(r, dict(zip(probe.depths, row, strict=True))) for r, row in zip(records, chances, strict=True)]


def expected_tokens(probe: DepthProbe, records: Sequence[Record]) -> list[tuple[Record, float]]:
    """Each record with the output tokens that the probe expects."""
    states, _, _ = _tensors(records, probe.depths)
    with torch.inference_mode():
        return list(zip(records, probe.forward(states)[:, -1].clamp(0, 20).expm1().tolist(), strict=True))


def train_length(train: Sequence[Record], test: Sequence[Record], probe: DepthProbe, seed: int = 0) -> LengthModel:
    """A ridge regression on log(1 + remaining), with its error on the test half beside those of two simple guesses."""
    rows, targets = [], []
    for record, expected in _cross_fitted(train, probe.depths, seed):
        for facts, remaining in _questions(record, expected, seed):
            rows.append(features(facts))
            targets.append(math.log1p(remaining))
    x, y = np.array(rows), np.array(targets)
    scale = x.std(0)
    used = scale > 1e-6
    used[0] = False
    z = np.concatenate([np.ones((len(x), 1)), (x[:, used] - x[:, used].mean(0)) / scale[used]], axis=1)
    penalty = RIDGE * np.eye(z.shape[1])
    penalty[0, 0] = 0
    solution = np.linalg.solve(z.T @ z + penalty, z.T @ y)
    weights = np.zeros(len(FEATURES))
    weights[used] = solution[1:] / scale[used]
    weights[0] = solution[0] - float((weights[used] * x[:, used].mean(0)).sum())
    longest = max(record.tokens[record.full] for record in train)
    model = LengthModel(tuple(float(w) for w in weights), longest)
    median = statistics.median(math.expm1(t) for t in targets)
    return LengthModel(model.weights, longest, _length_error(model, test, probe, median, seed))


def _length_error(
    model: LengthModel, test: Sequence[Record], probe: DepthProbe, median: float, seed: int
) -> dict[str, float]:
    """Mean absolute errors in tokens, and the median factor between estimate and truth."""
    states, _, _ = _tensors(test, probe.depths)
    with torch.inference_mode():
        expected = probe.forward(states)[:, -1].tolist()
    pairs = [
        (model.remaining(facts), as_long_again(facts), remaining)
        for record, value in zip(test, expected, strict=True)
        for facts, remaining in _questions(record, value, seed)
    ]
    factors = [math.exp(abs(math.log1p(said) - math.log1p(truth))) for said, _, truth in pairs]
    return {
        "tokens": round(statistics.fmean(abs(said - truth) for said, _, truth in pairs), 2),
        "tokens_as_long_again": round(statistics.fmean(abs(guess - truth) for _, guess, truth in pairs), 2),
        "tokens_median_guess": round(statistics.fmean(abs(median - truth) for _, _, truth in pairs), 2),
        "median_factor": round(statistics.median(factors), 3),
        "questions": float(len(pairs)),
    }


def _cross_fitted(records: Sequence[Record], depths: tuple[int, ...], seed: int) -> list[tuple[Record, float]]:
    """Each record with the expected log length of a probe that was trained without it."""
    order = list(records)
    random.Random(seed).shuffle(order)
    out: list[tuple[Record, float]] = []
    for fold in range(FOLDS):
        left_out = order[fold::FOLDS]
        rest = [r for i, r in enumerate(order) if i % FOLDS != fold]
        if not left_out:
            continue
        probe = train_probe(rest, depths, seed)
        states, _, _ = _tensors(left_out, depths)
        with torch.inference_mode():
            out += zip(left_out, probe.forward(states)[:, -1].tolist(), strict=True)
    return out


def _questions(record: Record, expected: float, seed: int) -> list[tuple[LengthFacts, int]]:
    """(facts, tokens that were still to come) at several points of the full answer. The request's limit is made up,
    since it says nothing about the answer."""
    total = record.tokens[record.full]
    rng = random.Random(f"{seed}/{record.id}")
    limit = math.exp(rng.uniform(math.log(total + 1), math.log(max(MOST_TOKENS, total + 2))))
    return [
        (
            LengthFacts(
                output=output,
                prompt=record.prompt,
                max_left=max(total, round(limit)) - output,
                thinking=output < record.thought,
                images=record.images,
                audios=record.audios,
                probe=expected,
            ),
            total - output,
        )
        for output in STOPS
        if output < total
    ]


def _tensors(records: Sequence[Record], depths: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """States [N, H], least sufficient depth as an index [N], log(1 + output tokens) [N]."""
    states = torch.tensor([list(r.state) for r in records], dtype=torch.float32)
    labels = torch.tensor([depths.index(r.least_depth) for r in records])
    lengths = torch.tensor([math.log1p(r.tokens[r.full]) for r in records], dtype=torch.float32)
    return states, labels, lengths
