"""How much each position of the calibration samples should count, from gradients instead of by guess.

A rounding error at a position changes the predictions by its product with the gradient there. Tokens of one modality
feel more of it than those of another, and plain statistics, where every position counts alike, follow whichever are
most. MBQ (Li et al., CVPR 2025) weighs vision and language tokens by the mean |gradient| of each, block by block:

- `layers` does that for the four kinds of position that we know (text, picture-conditioned, speech-conditioned,
  placeholders), and for what cross-attention reads by whose states it is; `replies` tells the positions that predict
  the reply from the others besides. Both take the loss of the reply's own tokens.
- `kinds` is one factor a kind for all units, `squares` the same of g², which is what the second-order change of a
  squared error asks for; `positions` gives each position its own. These take log p(y), y drawn from the model itself.

MBQ looks at gradients behind a block. Here it is those in front: behind the last block they are zero wherever nothing
is predicted, although keys and values of these positions are read. All positions of a tower are of one modality, whose
factor would cancel in its statistics: it has none.

The backward pass streams (`walk.back`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autoglm_phone.compress.calibrate import GRADIENTS, KINDS, Sample
from autoglm_phone.compress.files import write_text
from autoglm_phone.compress.opening import Opened
from autoglm_phone.compress.plan import HEAD
from autoglm_phone.compress.progress import Say, silent
from autoglm_phone.compress.unit_weights import GROUPS, UnitWeights, groups_of
from autoglm_phone.compress.walk import Passed, Visit, back, differentiate
from autoglm_phone.errors import CheckpointError, ConfigError

BY_UNIT = ("layers", "replies")
FILE = "weights.json"  # in the work folder: what was measured, for a run that goes on
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
    kept: Path | None = None,
) -> list[Sample]:
    """The samples with their weights multiplied by their sensitivity; where that is one factor for all units, the mean
    weight stays what it was.

    Args:
        folder: for states that wait for the way back (`walk.back`).
        kept: file of what was measured; read where it is there, and otherwise written.

    Raises:
        ConfigError: an unknown rule. CheckpointError: the model's gradients are not finite.
    """
    if rule not in GRADIENTS:
        raise ConfigError(f"gradients: {rule!r} is unknown; use {', '.join(GRADIENTS)}", param="recipe")
    if kept is not None and kept.exists():
        found = json.loads(kept.read_text(encoding="utf-8"))
        say(f"weights of positions by gradient ({rule}): kept from {kept}")
    else:
        found = {"rule": rule, **_measure(opened, samples, rule, device, seed, say, folder)}
        if kept is not None:
            write_text(kept, json.dumps(found) + "\n")
    if rule in BY_UNIT:
        by_unit = UnitWeights.from_json(found)
        return [replace(sample, by_unit=by_unit) for sample in samples]
    made = []
    for index, sample in enumerate(samples):
        if rule == "positions":
            factors = found["each"][index]
        else:
            factors = [found["kinds"].get(KINDS[kind], 1.0) for kind in sample.kinds]
        weights = tuple(w * f for w, f in zip(sample.weights, factors, strict=True))
        made.append(replace(sample, weights=weights))
    before = sum(sum(s.weights) for s in samples) / sum(len(s.weights) for s in samples)
    after = sum(sum(s.weights) for s in made) / sum(len(s.weights) for s in made)
    return [replace(s, weights=tuple(w * before / after for w in s.weights)) for s in made]


def report(kept: Path) -> dict[str, Any]:
    """What compression.json says of the weights: {"weights": …}, or nothing where none were measured."""
    if not kept.exists():
        return {}
    found = json.loads(kept.read_text(encoding="utf-8"))
    return {"weights": {name: value for name, value in found.items() if name != "each"}}


def _measure(
    opened: Opened, samples: Sequence[Sample], rule: str, device: torch.device, seed: int, say: Say, folder: Path | None
) -> dict[str, Any]:
    """What `weigh` keeps in its file."""
    asked = samples if rule == "positions" else samples[:_ASKED]
    if rule in BY_UNIT:
        measured = by_unit(opened, asked, device, replies=rule == "replies", say=say, folder=folder)
        return {"samples": len(asked), **measured.to_json()}
    found = sensitivities(opened, asked, device, squared=rule != "kinds", seed=seed, folder=folder)
    shares = by_kind(asked, found)
    say(f"weight of positions by gradient ({rule}): {_said(shares)}")
    each = {"each": [values.clamp_max(_LARGEST).tolist() for values in found]} if rule == "positions" else {}
    return {"samples": len(asked), "kinds": shares, **each}


def by_kind(samples: Sequence[Sample], values: Sequence[Tensor]) -> dict[str, float]:
    """Mean sensitivity of each kind of position."""
    kinds = torch.cat([torch.tensor(sample.kinds) for sample in samples])
    every = torch.cat(list(values))
    return {KINDS[kind]: float(every[kinds == kind].mean()) for kind in kinds.unique().tolist()}


def by_unit(
    opened: Opened,
    samples: Sequence[Sample],
    device: torch.device,
    *,
    replies: bool = False,
    say: Say = silent,
    folder: Path | None = None,
) -> UnitWeights:
    """Mean |dL/dx| of each kind of position in front of each of the decoder's units, in those of the unit's average
    position; L is the loss of all replies' tokens. The head, which reads no other positions, has those that predict.

    Args:
        replies: the positions that predict the reply apart from the others of their kind.

    Raises:
        CheckpointError: gradients are not finite.
    """
    positions: dict[str, dict[str, float]] = {}
    memory: dict[str, dict[str, float]] = {}
    sizes: dict[str, float] = {}
    for visit, passed in _gradients(opened, samples, device, None, folder):
        name = visit.unit.name
        front, read = _Means(), _Means()
        for state, gradient in zip(visit.states, passed, strict=True):
            groups = groups_of(state) if replies else state["kind"]
            if gradient.hidden is not None:
                size = _size(gradient.hidden[0], squared=False)
                only = state["predict"] if name == HEAD else slice(None)
                front.add(groups[only], size[only])
            if gradient.memory is not None:
                read.add(state["memory_kind"], _size(gradient.memory[0], squared=False))
        positions[name], sizes[name] = front.relative(name)
        said = f"weights of positions in {name}: {_said(positions[name])}"
        if read.counts:
            memory[name], _ = read.relative(name)
            said += f"; of what it reads: {_said(memory[name])}"
        say(said)
    return UnitWeights(positions, memory, sizes)


class _Means:
    """Mean of values by group."""

    def __init__(self) -> None:
        self.sums: dict[int, float] = {}
        self.counts: dict[int, int] = {}

    def add(self, groups: Tensor, values: Tensor) -> None:
        for group in groups.unique().tolist():
            chosen = values[groups == group]
            self.sums[group] = self.sums.get(group, 0.0) + float(chosen.double().sum())
            self.counts[group] = self.counts.get(group, 0) + len(chosen)

    def relative(self, unit: str) -> tuple[dict[str, float], float]:
        """({group: its mean over that of all values}, that of all values); 1.0 for each where all are 0."""
        mean = sum(self.sums.values()) / max(sum(self.counts.values()), 1)
        if not math.isfinite(mean):
            raise CheckpointError(f"gradients in front of {unit} are not finite, so no weights can be measured")
        shares = {group: self.sums[group] / self.counts[group] for group in sorted(self.sums)}
        return {GROUPS[group]: share / mean if mean else 1.0 for group, share in shares.items()}, mean


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
    average over all positions of all samples. Each unit counts alike."""
    generator = torch.Generator(device=device).manual_seed(seed)
    totals: list[Tensor] = [torch.zeros(len(sample.ids)) for sample in samples]
    units = 0
    before: list[Tensor | None] = [None] * len(samples)
    for visit, passed in _gradients(opened, samples, device, generator, folder):
        gradients = [gradient.hidden for gradient in passed]
        moved = any(new is not old for new, old in zip(gradients, before, strict=True))
        before = gradients
        if moved and visit.unit.name != HEAD:  # behind the last layer only the predicting positions have a gradient
            found = zip(gradients, totals, strict=True)
            sizes = [torch.zeros(len(total)) if g is None else _size(g[0], squared) for g, total in found]
            mean = sum(float(size.sum()) for size in sizes) / sum(len(size) for size in sizes)
            units += 1
            for total, size in zip(totals, sizes, strict=True):
                total += size / max(mean, 1e-30)
    return [total / max(units, 1) for total in totals]


def _gradients(
    opened: Opened,
    samples: Sequence[Sample],
    device: torch.device,
    generator: torch.Generator | None,
    folder: Path | None,
) -> Iterator[tuple[Visit, list[Passed]]]:
    """The decoder's units from the last to the first with every sample's gradients in front of them."""
    behind: list[Tensor | None] = [None] * len(samples)
    for visit in back(opened.architecture, opened.source, samples, device, folder=folder):
        pairs = zip(visit.states, behind, strict=True)
        passed = [differentiate(visit, state, gradient, generator) for state, gradient in pairs]
        behind = [gradient.hidden for gradient in passed]
        yield visit, passed


def _size(gradient: Tensor, squared: bool) -> Tensor:
    return gradient.square().mean(-1) if squared else gradient.abs().mean(-1)


def _said(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{group} {share:.2f}" for group, share in shares.items())
