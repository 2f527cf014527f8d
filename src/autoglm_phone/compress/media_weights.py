"""How much each position of the calibration samples should count, from gradients instead of by guess.

A rounding error at a position changes the predictions by its product with the gradient there. Tokens of one modality
feel more of it than those of another, and plain statistics, where every position counts alike, follow whichever are
most. MBQ (Li et al. 2024) weighs vision and language tokens by the mean |gradient| of each; `kinds` does that for the
four kinds of position that we know (text, picture-conditioned, speech-conditioned, placeholders). `squares` uses the
mean square, which is what the second-order change of a squared error asks for; `positions` gives each position its own.

The gradient is that of log p(y), y drawn from the model itself, in front of every decoder unit; each unit counts alike.
The backward pass streams (`walk.back`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from autoglm_phone.compress.calibrate import GRADIENTS, KINDS, Sample
from autoglm_phone.compress.opening import Opened
from autoglm_phone.compress.plan import HEAD
from autoglm_phone.compress.progress import Say, silent
from autoglm_phone.compress.walk import back, differentiate
from autoglm_phone.errors import ConfigError

_ASKED = 32  # samples that a mean of each kind is taken from: states of all units wait for the way back
_LARGEST = 20.0  # of one position, in means: a single token must not make a Hessian by itself


def weigh(
    opened: Opened,
    samples: Sequence[Sample],
    rule: str,
    device: torch.device,
    *,
    seed: int = 0,
    say: Say = silent,
    folder: Path | None = None,
) -> list[Sample]:
    """The samples with their weights multiplied by their sensitivity; the mean weight stays what it was.

    Args:
        folder: for states that wait for the way back (`walk.back`).

    Raises:
        ConfigError: an unknown rule.
    """
    if rule not in GRADIENTS:
        raise ConfigError(f"gradients: {rule!r} is unknown; use {', '.join(GRADIENTS)}", param="recipe")
    asked = samples if rule == "positions" else samples[:_ASKED]
    found = sensitivities(opened, asked, device, squared=rule != "kinds", seed=seed, folder=folder)
    shares = by_kind(asked, found)
    said = ", ".join(f"{kind} {share:.2f}" for kind, share in shares.items())
    say(f"weight of positions by gradient ({rule}): {said}")
    made = []
    for index, sample in enumerate(samples):
        if rule == "positions":
            factors = found[index].clamp_max(_LARGEST).tolist()
        else:
            factors = [shares.get(KINDS[kind], 1.0) for kind in sample.kinds]
        weights = tuple(w * f for w, f in zip(sample.weights, factors, strict=True))
        made.append(replace(sample, weights=weights))
    before = sum(sum(s.weights) for s in samples) / sum(len(s.weights) for s in samples)
    after = sum(sum(s.weights) for s in made) / sum(len(s.weights) for s in made)
    return [replace(s, weights=tuple(w * before / after for w in s.weights)) for s in made]


def by_kind(samples: Sequence[Sample], values: Sequence[Tensor]) -> dict[str, float]:
    """Mean sensitivity of each kind of position."""
    kinds = torch.cat([torch.tensor(sample.kinds) for sample in samples])
    every = torch.cat(list(values))
    return {KINDS[kind]: float(every[kinds == kind].mean()) for kind in kinds.unique().tolist()}


def sensitivities(
    opened: Opened,
    samples: Sequence[Sample],
    device: torch.device,
    *,
    squared: bool = True,
    seed: int = 0,
    folder: Path | None = None,
) -> list[Tensor]:
    """Of each sample, float [positions]: mean |g| (or g²) of the gradient in front of the decoder's units, 1.0 on
    average over all positions of all samples."""
    generator = torch.Generator(device=device).manual_seed(seed)
    gradients: list[Tensor | None] = [None] * len(samples)
    totals: list[Tensor] = [torch.zeros(len(sample.ids)) for sample in samples]
    units = 0
    for visit in back(opened.architecture, opened.source, samples, device, folder=folder):
        pairs = zip(visit.states, gradients, strict=True)
        passed = [differentiate(visit, state, gradient, generator) for state, gradient in pairs]
        moved = any(new is not old for new, old in zip(passed, gradients, strict=True))
        gradients = passed
        if moved and visit.unit.name != HEAD:  # behind the last layer only the predicting positions have a gradient
            found = zip(gradients, totals, strict=True)
            sizes = [torch.zeros(len(total)) if g is None else _size(g[0], squared) for g, total in found]
            mean = sum(float(size.sum()) for size in sizes) / sum(len(size) for size in sizes)
            units += 1
            for total, size in zip(totals, sizes, strict=True):
                total += size / max(mean, 1e-30)
    return [total / max(units, 1) for total in totals]


def _size(gradient: Tensor, squared: bool) -> Tensor:
    return gradient.square().mean(-1) if squared else gradient.abs().mean(-1)
