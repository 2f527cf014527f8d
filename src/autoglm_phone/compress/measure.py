"""How far a compressed model's predictions are from the float model's, on held-out conversations.

Both models read the same reply (teacher forcing); at each of its tokens the Kullback–Leibler divergence
KL(float ‖ compressed) in nats, whether both prefer the same token, and both losses. Streams unit by unit like
compression itself, so it needs no more memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from autoglm_phone.compress.calibrate import Sample
from autoglm_phone.compress.opening import Opened
from autoglm_phone.compress.plan import HEAD
from autoglm_phone.compress.progress import Pace, Say, silent
from autoglm_phone.compress.rounded_inputs import round_inputs, rounded_inputs
from autoglm_phone.compress.units import State, Unit, forward, move
from autoglm_phone.errors import CheckpointError

EXIT = "model.exits."


@dataclass(frozen=True)
class Divergence:
    """Over `tokens` predicted tokens. kl: mean, median and 99.9 % quantile, nats; top1: share of equal first choices.

    perplexity: compressed over float (1.0: no loss). Intervals are 95 %, over conversations.
    """

    tokens: int
    kl_mean: float
    kl_median: float
    kl_999: float
    kl_low: float
    kl_high: float
    top1: float
    top1_low: float
    top1_high: float
    perplexity: float
    perplexity_low: float
    perplexity_high: float


@dataclass(frozen=True)
class Predictions:
    """Final states of each sample at the positions that predict, and what reads them.

    exits: depth → what the output head reads there, [positions, H] of each sample; empty for a model without exits.
    """

    states: list[State]
    head: torch.nn.Module
    unit: Unit
    exits: Mapping[int, Sequence[Tensor]] = field(default_factory=dict)


def predictions(
    opened: Opened,
    samples: Sequence[Sample],
    device: torch.device,
    *,
    exits: bool = False,
    say: Say = silent,
) -> Predictions:
    """Run the model on the samples up to its output head, inputs rounded where the engine rounds them.

    Args:
        exits: keep what the exit heads make of the states, too.
        say: gets a line now and then, with the time that is left.
    """
    done: dict[str, list[State]] = {}
    seen: dict[int, list[Tensor]] = {}
    stages = opened.architecture.stages()
    rounded = rounded_inputs(opened)
    pace = Pace(sum(len(stage.units) for stage in stages), say)
    for stage in stages:
        states = stage.begin(samples, done)
        for unit in stage.units:
            pace.step(unit.name)
            is_exit = unit.name.startswith(EXIT)
            if is_exit and not exits:
                continue
            module = round_inputs(unit, opened.source.load(unit, device, torch.float32), rounded)
            if unit.name == HEAD:
                slim = [{"hidden": s["hidden"], "predict": s["predict"], "weight": s["weight"]} for s in states]
                return Predictions(slim, module, unit, seen)
            if is_exit:
                seen[int(unit.name.removeprefix(EXIT))] = _exit_states(module, states, device)
            else:
                states = forward(unit, module, states, device)
        done[stage.name] = states
    raise CheckpointError(f"{opened.folder} has no output head")


@torch.no_grad()
def _exit_states(module: torch.nn.Module, states: Sequence[State], device: torch.device) -> list[Tensor]:
    return [module(s["hidden"][0, s["predict"]].to(device)).cpu() for s in states]


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


def least_depths(made: Predictions) -> list[Tensor]:
    """For each sample, long [positions]: the place among the exits (shallowest first) of the first one that prefers the
    token that full depth prefers; the number of exits where none does."""
    device = next(made.head.parameters()).device
    depths = sorted(made.exits)
    found = []
    with torch.no_grad():
        for index, state in enumerate(made.states):
            wanted = made.unit.run(made.head, move(state, device))["logits"][0].argmax(-1)
            least = torch.full_like(wanted, len(depths))
            for place in reversed(range(len(depths))):
                states = made.exits[depths[place]][index].to(device)
                chosen = made.head.get_submodule("lm_head")(states).argmax(-1)
                least[chosen == wanted] = place
            found.append(least.cpu())
    return found


@dataclass(frozen=True)
class ExitMix:
    """Which depths would have sufficed: shares of the exits (shallowest first) and of full depth, in both models.

    shift: half the sum of the shares' changes (total variation), with its 95 % interval over conversations; the
    interval of a distance has a floor above 0. agree: share of tokens whose least depth is the same in both.
    """

    depths: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    shift: float
    shift_low: float
    shift_high: float
    agree: float


def exit_mixes(base: Predictions, other: Predictions, samples: Sequence[Sample]) -> dict[str, ExitMix]:
    """The mix of least sufficient depths in both models, by modality and over "all"."""
    names = (*(str(depth) for depth in sorted(base.exits)), "full")
    by_kind: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for sample, pair in zip(samples, zip(least_depths(base), least_depths(other), strict=True), strict=True):
        for kind in (sample.modality, "all"):
            by_kind.setdefault(kind, []).append(pair)
    return {kind: _mix(pairs, names) for kind, pairs in sorted(by_kind.items())}


def _mix(pairs: Sequence[tuple[Tensor, Tensor]], names: tuple[str, ...], draws: int = 1000) -> ExitMix:
    # [conversations, 2 models, depths]
    counts = torch.stack([torch.stack([side.bincount(minlength=len(names)) for side in pair]) for pair in pairs])
    generator = torch.Generator().manual_seed(0)
    picks = torch.randint(len(pairs), (draws, len(pairs)), generator=generator)
    shares = _shares(counts.double().sum(0))
    drawn = _shares(counts.double()[picks].sum(1))
    shift, shifts = ((s[..., 0, :] - s[..., 1, :]).abs().sum(-1) / 2 for s in (shares, drawn))
    same = sum(int((a == b).sum()) for a, b in pairs) / int(counts[:, 0].sum())
    return ExitMix(
        names,
        tuple(shares[0].tolist()),
        tuple(shares[1].tolist()),
        float(shift),
        float(shifts.quantile(0.025)),
        float(shifts.quantile(0.975)),
        same,
    )


def _shares(counts: Tensor) -> Tensor:
    return counts / counts.sum(-1, keepdim=True).clamp_min(1)


def _summary(entries: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Divergence:
    kl, same, gap = (torch.cat([entry[i] for entry in entries]) for i in range(3))
    bounds = [interval([(float(entry[i].sum()), len(entry[0])) for entry in entries]) for i in range(3)]
    return Divergence(
        tokens=len(kl),
        kl_mean=float(kl.mean()),
        kl_median=float(kl.median()),
        kl_999=float(kl.quantile(0.999)) if len(kl) < 1 << 24 else float(kl.max()),
        kl_low=bounds[0][0],
        kl_high=bounds[0][1],
        top1=float(same.mean()),
        top1_low=bounds[1][0],
        top1_high=bounds[1][1],
        perplexity=math.exp(float(gap.mean())),
        perplexity_low=math.exp(bounds[2][0]),
        perplexity_high=math.exp(bounds[2][1]),
    )


def interval(parts: Sequence[tuple[float, int]], draws: int = 1000) -> tuple[float, float]:
    """95 % bootstrap interval of a ratio of sums; conversations are drawn, because their tokens hang together."""
    sums = torch.tensor(parts, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    picks = torch.randint(len(parts), (draws, len(parts)), generator=generator)
    drawn = sums[picks].sum(1)
    ratios = drawn[:, 0] / drawn[:, 1]
    return float(ratios.quantile(0.025)), float(ratios.quantile(0.975))
