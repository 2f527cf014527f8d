"""Sharing: pairs of matrices of one shape become one, chosen by how little their outputs change.

Two matrices of one shape, read with second moments A and B of their inputs, are best replaced by
M = (W₁A + W₂B)(A + B)⁻¹ (RegMean: Jin et al. 2023); what is lost is the sum of both relative output errors at M.
Pairs are taken greedily by loss a byte, each matrix at most once, until the volume asked for is gone. Biases, norms and
gates stay each place's own: they are few, and let one matrix serve two places. Training heals what is lost (`distill`).

`pairs: any` takes any two matrices of one shape, two decoder layers' too: most of a model's bytes are there, so nothing
else reaches 20 %. `pairs: across` takes one matrix each of two parts: vision tower, audio tower, decoder.

The tied tensor is stored once. config.json maps the other place's tensor to it: `shared_weights` (models.shared).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from autoglm_phone.compress.opening import Opened
from autoglm_phone.compress.recipe import Recipe, Step
from autoglm_phone.compress.statistics import matrices, observe
from autoglm_phone.compress.task import Task
from autoglm_phone.compress.units import Architecture, Fold, Stage, Unit
from autoglm_phone.models.shared import FIELD

_MARKS = (".self_attn.", ".cross_attn.", ".mlp.", ".attn.")  # of the matrices that may be tied
_DAMPING = 1e-3


@dataclass(frozen=True)
class Tie:
    """first: the module that keeps its tensor (earlier in the model); second: the one that reads it, too.

    losses: relative output errors of both when nothing is trained yet.
    """

    first: str
    second: str
    size: int
    losses: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Known:
    """A matrix [R, C] and the second moment [C, C] of its inputs, scaled so that its output has energy one."""

    weight: Tensor
    hessian: Tensor


class SharedArchitecture:
    """An architecture with shared tensors: their other places borrow them, and no scale is folded into them."""

    def __init__(self, inner: Architecture, shared: Mapping[str, str]):
        self.inner, self.shared = inner, dict(shared)
        self.family, self.tied = inner.family, inner.tied

    def stages(self) -> list[Stage]:
        return [replace(stage, units=[self._unit(u) for u in stage.units]) for stage in self.inner.stages()]

    def _unit(self, unit: Unit) -> Unit:
        names = unit.build().state_dict().keys()
        borrowed = {name: self.shared[unit.prefix + name] for name in names if unit.prefix + name in self.shared}
        touched = {*self.shared, *self.shared.values()}

        def free(fold: Fold) -> bool:
            return not any(f"{unit.prefix}{module}.weight" in touched for module in (fold.source, *fold.targets))

        return replace(unit, aliases={**unit.aliases, **borrowed}, folds=tuple(f for f in unit.folds if free(f)))


def candidates(opened: Opened) -> dict[str, tuple[int, ...]]:
    """Shapes of the matrices that may be tied, by module, in the model's order."""
    found = {}
    for unit in (u for stage in opened.architecture.stages() for u in stage.units):
        for name, child in matrices(unit.build()).items():
            full = unit.prefix + name
            if any(mark in full for mark in _MARKS) and name + ".weight" not in unit.aliases:
                found[full] = tuple(child.weight.shape)
    return found


def by_structure(opened: Opened, step: Step, recipe: Recipe) -> dict[str, str]:
    """A map as large as the real one will be, from shapes alone: for sizes before the work.

    Raises:
        ConfigError: there are too few matrices of like shape.
    """
    seen: dict[tuple[int, ...], list[str]] = {}
    for name, shape in candidates(opened).items():
        seen.setdefault(shape, []).append(name)
    find = _fewest_across if step.options["pairs"] == "across" else _in_turn
    pairs = [Tie(first, second, math.prod(shape)) for shape, names in seen.items() for first, second in find(names)]
    return to_map(take(pairs, _wanted(opened, step, recipe), step, recipe))


def _in_turn(names: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(names[::2], names[1::2], strict=False))


def _fewest_across(names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of different parts, as many as are certain whatever is measured: no order of taking them leaves fewer.

    That is the size of the second largest part: each of its matrices finds a partner, and the smaller parts' may be
    those partners.
    """
    parts: dict[str, list[str]] = {}
    for name in names:
        parts.setdefault(part(name), []).append(name)
    by_size = sorted(parts.values(), key=len)
    if len(by_size) < 2:
        return []
    second = by_size[-2]
    partners = [name for group in by_size[:-2] for name in group] + by_size[-1]
    order = {name: place for place, name in enumerate(names)}
    pairs = [sorted(pair, key=order.__getitem__) for pair in zip(second, partners, strict=False)]
    return [(first, other) for first, other in pairs]


def part(name: str) -> str:
    """ "vision", "audio" or "decoder": where a matrix is."""
    tower = name.split(".")[1]
    return tower if tower in ("vision", "audio") else "decoder"


def _wanted(opened: Opened, step: Step, recipe: Recipe) -> int:
    """Elements that are to go."""
    made = int(step.options["volume"] * sum(count for count, _ in opened.sizes.values()))
    if made < 1:
        raise recipe.error(step.line_of("volume"), f"volume: {step.options['volume']} is less than one parameter")
    return made


def take(pairs: Sequence[Tie], wanted: int, step: Step, recipe: Recipe) -> list[Tie]:
    """Pairs in their order, each module once, until `wanted` elements are saved."""
    taken: list[Tie] = []
    used: set[str] = set()
    saved = 0
    for tie in pairs:
        if saved >= wanted:
            break
        if tie.first not in used and tie.second not in used:
            taken.append(tie)
            used |= {tie.first, tie.second}
            saved += tie.size
    if saved < wanted:
        raise recipe.error(
            step.line_of("volume"),
            f"only {saved:,} of the {wanted:,} parameters that volume: {step.options['volume']} asks for can be tied "
            f"away with pairs: {step.options['pairs']}; ask for less"
            + (", or for pairs: any" if step.options["pairs"] == "across" else ""),
        )
    return taken


def to_map(ties: Sequence[Tie]) -> dict[str, str]:
    return {f"{tie.second}.weight": f"{tie.first}.weight" for tie in ties}


def merge(one: Known, two: Known) -> tuple[Tensor, tuple[float, float]]:
    """(the matrix that serves both best, their relative output errors)."""
    together = one.hessian + two.hessian
    together = together + _DAMPING * together.diagonal().mean() * torch.eye(len(together), device=together.device)
    damped = 0.5 * (together - one.hessian - two.hessian)  # half of it each: two equal matrices merge to themselves
    right = one.weight @ (one.hessian + damped) + two.weight @ (two.hessian + damped)
    merged = torch.cholesky_solve(right.T, torch.linalg.cholesky(together)).T
    errors = [merged - known.weight for known in (one, two)]
    lost = [float((e @ k.hessian * e).sum()) for e, k in zip(errors, (one, two), strict=True)]
    return merged, (lost[0], lost[1])


def share(task: Task) -> Path:
    """Write the checkpoint with its most alike matrices tied to the task's folder; report.json beside it lists them."""
    opened, step, say = task.opened, task.step, task.say
    known = _observe_all(task)
    ties = []
    names = list(known)
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            if step.options["pairs"] == "across" and part(first) == part(second):
                continue
            if known[first].weight.shape == known[second].weight.shape:
                _, losses = merge(known[first], known[second])
                ties.append(Tie(first, second, known[first].weight.numel(), losses))
    ties.sort(key=lambda tie: sum(tie.losses) / tie.size)
    chosen = take(ties, _wanted(opened, step, task.recipe), step, task.recipe)
    merged = {tie.first + ".weight": merge(known[tie.first], known[tie.second])[0] for tie in chosen}
    saved = 0
    for tie in chosen:
        saved += opened.sizes[tie.second + ".weight"][1]
        say(f"share {tie.second} = {tie.first}: output errors {tie.losses[0]:.2f} and {tie.losses[1]:.2f}")
    total = sum(size for _, size in opened.sizes.values())
    kinds = Counter(" with ".join(sorted((part(tie.first), part(tie.second)))) for tie in chosen)
    said = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    say(f"{len(chosen)} pairs ({said}), {saved / 1e6:.2f} of {total / 1e6:.2f} MB saved ({saved / total:.1%})")
    report = {"saved_bytes": saved, "float_bytes": total, "ties": [vars(tie) for tie in chosen]}
    config = task.config()
    config[FIELD] = {**config.get(FIELD, {}), **to_map(chosen)}
    return task.write(config, report, merged, drop=to_map(chosen))


def _observe_all(task: Task) -> dict[str, Known]:
    """Weights and normalized moments of all candidates (sharing is for models that fit in memory)."""
    wanted = candidates(task.opened)
    known: dict[str, Known] = {}
    for visit in task.walk():
        prefix = visit.unit.prefix
        linears = {n: c for n, c in matrices(visit.module).items() if prefix + n in wanted}
        seen = observe(visit.unit, visit.module, visit.states, linears, visit.device).moments if linears else {}
        for name, child in linears.items():
            weight = child.weight.detach().clone()
            found = seen.get(name)  # None: no sample came here
            hessian = torch.eye(weight.shape[1], device=visit.device) if found is None else found.hessian
            energy = (weight @ hessian * weight).sum().clamp_min(1e-30)
            known[prefix + name] = Known(weight, hessian / energy)
    return {name: known[name] for name in wanted}
