"""Quantizes one unit: scales folded, grids searched, columns rounded, all from statistics of its own inputs.

Within the unit the matrices go in the order in which they run, those that read the same tensor together; each group's
statistics come from the unit as far as it is quantized already ("true sequential").
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from autoglm_phone.compress.algorithms import awq, learned
from autoglm_phone.compress.algorithms.grid import Grid
from autoglm_phone.compress.formats.master import QuantizedWeight
from autoglm_phone.compress.plan import ModulePlan
from autoglm_phone.compress.quantize_matrix import quantize_matrix, relative_errors
from autoglm_phone.compress.statistics import Moments, Observed, matrices, observe
from autoglm_phone.compress.timing import stage
from autoglm_phone.compress.units import Fold, State, Unit, move


@dataclass
class Result:
    """weights: by module name within the unit. changed: float tensors that folding changed, by parameter name.

    folded: scale that was folded away from each module's inputs.
    losses: relative output error tr(E H Eᵀ) / tr(W H Wᵀ) of each module; plain: that of round-to-nearest.
    """

    weights: dict[str, QuantizedWeight] = field(default_factory=dict)
    changed: dict[str, Tensor] = field(default_factory=dict)
    folded: dict[str, Tensor] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)
    plain: dict[str, float] = field(default_factory=dict)
    aims: dict[str, Tensor] = field(default_factory=dict)  # float weights, while learned rounding needs them
    learned: tuple[float, float] | None = None  # relative error of the unit's output before and after


def quantize_unit(
    unit: Unit,
    module: nn.Module,
    plans: Mapping[str, ModulePlan],
    states: Sequence[State],
    device: torch.device,
    *,
    float_module: nn.Module | None = None,
    float_states: Sequence[State] | None = None,
    stored: Mapping[str, torch.dtype],
    seed: int = 0,
) -> Result:
    """Quantize the planned matrices of a unit; `module` is changed to what the files will give.

    Args:
        plans: by module name within the unit.
        float_module, float_states: the float model, untouched, for error compensation.
        stored: dtype on disk of each parameter, to which folded tensors are rounded.
    """
    result = Result()
    if not plans:
        return result
    with stage("moments before"):
        seen = observe(unit, module, states, plans.keys(), device)
    reached = {name for name, moments in seen.moments.items() if moments.total > 0.0}
    fresh_from = {name: group for group in seen.together for name in group}
    kept = _kept(plans, seen, float_module)
    with stage("scale search"):
        _fold(unit, module, plans, seen, result, stored, kept)
    for name in seen.moments.keys() - kept:  # taken anew when their turn comes; those of a wide layer are a gigabyte
        del seen.moments[name]
    for names in [*seen.together, *([name] for name in plans if name not in fresh_from)]:
        compensates = any((plans[name].gptq or {}).get("compensate", 0.0) for name in names)
        if not reached.issuperset(names):  # no sample came here (no sound among them, say)
            moments = {name: Moments(torch.eye(plans[name].info.columns, device=device), None, 0.0) for name in names}
        elif kept.issuperset(names):
            moments = {name: seen.moments[name] for name in names}
        else:
            with stage("moments"):
                moments = observe(
                    unit, module, states, names, device,
                    float_module=float_module if compensates else None,
                    float_states=float_states if compensates else None,
                ).moments  # fmt: skip
        for alike in _alike(names, plans, moments, result):
            _quantize(module, alike, plans, moments[alike[0]], result)
    _learn(unit, module, plans, states, device, float_module, float_states, result, seed)
    result.aims.clear()
    return result


def _kept(plans: Mapping[str, ModulePlan], seen: Observed, float_module: nn.Module | None) -> set[str]:
    """Modules whose first moments are their last: nothing before them changes, and none needs the float model's."""
    first = seen.together[0] if seen.together else []
    compensates = float_module is not None and any((plans[n].gptq or {}).get("compensate", 0.0) for n in first)
    return set() if compensates else set(first)


def _alike(
    names: Sequence[str], plans: Mapping[str, ModulePlan], moments: dict[str, Moments], result: Result
) -> list[list[str]]:
    """Modules that share their moments and all that is done to them: they are quantized as one matrix."""
    groups: dict[Any, list[str]] = {}
    for name in names:
        plan = plans[name]
        kind = (plan.bits, plan.group_size, plan.symmetric, plan.scales, plan.clip, plan.trained)
        options = None if plan.gptq is None else repr(sorted(plan.gptq.items()))
        key = (id(moments[name]), id(result.folded.get(name)), kind, options)
        groups.setdefault(key, []).append(name)
    if len(groups) > 1:  # each needs C, which quantize_matrix lets go
        for group in groups.values():
            shared = moments[group[0]]
            for name in group:
                moments[name] = Moments(shared.hessian, shared.cross, shared.total)
    return list(groups.values())


def _quantize(
    module: nn.Module, names: Sequence[str], plans: Mapping[str, ModulePlan], moments: Moments, result: Result
) -> None:
    """Matrices that are alike; the module gets what the files will give."""
    linears = matrices(module)
    flat = [linears[name].weight.flatten(1).float() for name in names]
    weight = torch.cat(flat) if len(flat) > 1 else flat[0]
    plan = plans[names[0]]
    grid, codes = quantize_matrix(weight, moments, plan, result.folded.get(names[0]))
    errors = relative_errors(weight, moments.hessian, plan, grid, codes)
    first = 0
    for name, part in zip(names, flat, strict=True):
        rows = slice(first, first + len(part))
        first = rows.stop
        zeros = None if grid.zeros is None else grid.zeros[rows]
        made = QuantizedWeight(plans[name].spec, codes[rows], grid.scales[rows], zeros)
        ours, plain, size = (float(total) for total in errors[:, rows].double().sum(1))
        result.losses[name], result.plain[name] = ours / max(size, 1e-30), plain / max(size, 1e-30)
        result.weights[name] = made
        if plans[name].learned is not None:
            result.aims[name] = linears[name].weight.detach().clone()
        made.write_into(linears[name].weight)


def _learn(
    unit: Unit,
    module: nn.Module,
    plans: Mapping[str, ModulePlan],
    states: Sequence[State],
    device: torch.device,
    float_module: nn.Module | None,
    float_states: Sequence[State] | None,
    result: Result,
    seed: int,
) -> None:
    """Learned rounding of the matrices whose plan asks for it, from the codes found so far."""
    names = [name for name in result.weights if plans[name].learned is not None]
    if not names or not states or float_module is None or float_states is None:
        return
    options = plans[names[0]].learned or {}
    with torch.no_grad():
        outputs = [unit.run(float_module, move(state, device)).get("hidden") for state in float_states]
    if any(output is None for output in outputs):  # a side unit (an exit head) has no output of its own
        return
    start = {}
    for name in names:
        made = result.weights[name]
        grid = Grid(made.spec.bits, made.spec.group_size, made.scales, made.zeros)
        start[name] = (result.aims[name], grid, made.codes)
    best, before, after = learned.learn(
        unit, module, start, states, [output.cpu() for output in outputs if output is not None], device,
        iterations=options["iterations"], rate=options["rate"], batch=max(1, options["batch"]),
        seed=zlib.crc32(f"{unit.name} {seed}".encode()),
    )  # fmt: skip
    result.learned = (before, after)
    for name, (grid, codes) in best.items():
        made = QuantizedWeight(plans[name].spec, codes, grid.scales, grid.zeros)
        result.weights[name] = made
        made.write_into(module.get_submodule(name).get_parameter("weight"))


def _fold(
    unit: Unit,
    module: nn.Module,
    plans: Mapping[str, ModulePlan],
    seen: Observed,
    result: Result,
    stored: Mapping[str, torch.dtype],
    kept: set[str],
) -> None:
    """kept: modules whose moments are asked for again."""
    linears = matrices(module)
    for fold in unit.folds:
        if not all(n in seen.moments and seen.moments[n].total > 0.0 and plans[n].scale for n in fold.targets):
            continue
        chosen = [plans[name] for name in fold.targets]
        hessian = seen.moments[fold.targets[0]].hessian
        scale, with_it, without = awq.search_scale(
            [linears[name].weight.float() for name in fold.targets],
            hessian,
            bits=chosen[0].bits,
            group_sizes=[plan.group_size for plan in chosen],
            symmetric=chosen[0].symmetric,
            repeat=fold.repeat,
            head_dim=fold.head_dim,
            points=max(1, chosen[0].points),
        )
        if with_it >= without:
            continue
        scale = _divide_source(fold, module, scale, plans, result, stored)
        if set(fold.targets) & kept:
            scaled = seen.moments[fold.targets[0]].scaled(scale)
            seen.moments.update(dict.fromkeys(fold.targets, scaled))
        for name in fold.targets:
            linears[name].weight.data.mul_(scale)
            result.folded[name] = scale


def _divide_source(
    fold: Fold,
    module: nn.Module,
    scale: Tensor,
    plans: Mapping[str, ModulePlan],
    result: Result,
    stored: Mapping[str, torch.dtype],
) -> Tensor:
    """Divide the source's output channels; returns the scale as far as the files can hold it."""
    source = module.get_submodule(fold.source)
    weight = source.get_parameter("weight")
    if not isinstance(source, nn.Linear):
        name = f"{fold.source}.weight"
        divided = (weight / scale).to(stored[name])
        if not bool((divided != 0).all()):
            return torch.ones_like(scale)
        # The norm is stored in few bits: what rounding it changes goes into the linears, so nothing is lost.
        exact = weight / divided.float()
        weight.data.copy_(divided.float())
        result.changed[name] = divided
        return exact
    width = fold.width or source.out_features
    cut = slice(fold.first, fold.first + width)
    short = scale.view(-1, fold.repeat, fold.head_dim)[:, 0].reshape(-1) if fold.repeat > 1 else scale
    weight.data[cut] /= short[:, None]
    if source.bias is not None:
        name = f"{fold.source}.bias"
        source.bias.data[cut] /= short
        source.bias.data.copy_(source.bias.to(stored[name]).float())
        result.changed[name] = source.bias.to(stored[name])
    if fold.source not in plans:
        name = f"{fold.source}.weight"
        weight.data.copy_(weight.to(stored[name]).float())
        result.changed[name] = weight.to(stored[name])
    return scale
