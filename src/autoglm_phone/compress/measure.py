"""How far a compressed model's predictions are from the float model's, on held-out conversations.

Both models read the same reply (teacher forcing); at each of its tokens the Kullback–Leibler divergence
KL(float ‖ compressed) in nats, whether both prefer the same token, and both losses. Streams unit by unit like
compression itself, so it needs no more memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from autoglm_phone.compress.calibrate import Sample
from autoglm_phone.compress.opening import Opened
from autoglm_phone.compress.plan import HEAD
from autoglm_phone.compress.units import State, Unit, forward, move


@dataclass(frozen=True)
class Divergence:
    """Over `tokens` predicted tokens. kl: mean, median and 99.9 % quantile, nats; top1: share of equal first choices.

    perplexity: compressed over float (1.0: no loss).
    """

    tokens: int
    kl_mean: float
    kl_median: float
    kl_999: float
    kl_low: float  # 95 % interval of the mean, over conversations
    kl_high: float
    top1: float
    perplexity: float


@dataclass(frozen=True)
class Predictions:
    """Final states of each sample at the positions that predict, and what reads them."""

    states: list[State]
    head: torch.nn.Module
    unit: Unit


def predictions(
    opened: Opened, samples: Sequence[Sample], device: torch.device, exits: Callable[[Unit], bool] | None = None
) -> Predictions:
    """Run the model on the samples up to its output head."""
    done: dict[str, list[State]] = {}
    for stage in opened.architecture.stages():
        states = stage.begin(samples, done)
        for unit in stage.units:
            if exits is None and unit.name.startswith("model.exits."):
                continue
            module = opened.source.load(unit, device, torch.float32)
            if unit.name == HEAD:
                slim = [{"hidden": s["hidden"], "predict": s["predict"], "weight": s["weight"]} for s in states]
                return Predictions(slim, module, unit)
            states = forward(unit, module, states, device)
        done[stage.name] = states
    raise ValueError("a model without an output head")


@torch.no_grad()
def compare(base: Predictions, other: Predictions, samples: Sequence[Sample]) -> dict[str, Divergence]:
    """Divergence by modality of what conditions the reply, and over "all"."""
    by_kind: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {}
    for sample, clean, made in zip(samples, base.states, other.states, strict=True):
        device = next(base.head.parameters()).device
        truth = torch.tensor([sample.ids[p] for p in sample.answer_positions], device=device)
        first = base.unit.run(base.head, move(clean, device))["logits"][0].float().log_softmax(-1)
        second = other.unit.run(other.head, move(made, device))["logits"][0].float().log_softmax(-1)
        kl = F.kl_div(second, first, log_target=True, reduction="none").sum(-1).clamp_min(0)
        same = (first.argmax(-1) == second.argmax(-1)).float()
        gap = first.gather(1, truth[:, None]) - second.gather(1, truth[:, None])
        entry = (kl.cpu(), same.cpu(), gap[:, 0].cpu())
        for kind in (sample.modality, "all"):
            by_kind.setdefault(kind, []).append(entry)
    return {kind: _summary(entries) for kind, entries in sorted(by_kind.items())}


def _summary(entries: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Divergence:
    kl, same, gap = (torch.cat([entry[i] for entry in entries]) for i in range(3))
    low, high = _interval([(float(e[0].sum()), len(e[0])) for e in entries])
    return Divergence(
        tokens=len(kl),
        kl_mean=float(kl.mean()),
        kl_median=float(kl.median()),
        kl_999=float(kl.quantile(0.999)) if len(kl) < 1 << 24 else float(kl.max()),
        kl_low=low,
        kl_high=high,
        top1=float(same.mean()),
        perplexity=math.exp(float(gap.mean())),
    )


def _interval(parts: Sequence[tuple[float, int]], draws: int = 1000) -> tuple[float, float]:
    """95 % bootstrap interval of a ratio of sums; conversations are drawn, because their tokens hang together."""
    sums = torch.tensor(parts, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    picks = torch.randint(len(parts), (draws, len(parts)), generator=generator)
    drawn = sums[picks].sum(1)
    ratios = drawn[:, 0] / drawn[:, 1]
    return float(ratios.quantile(0.025)), float(ratios.quantile(0.975))
