"""Quantizes one unit: scales folded, grids searched, columns rounded, all from statistics of its own inputs.

Within the unit the matrices go in the order in which they run, those that read the same tensor together; each group's
statistics come from the unit as far as it is quantized already ("true sequential").
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from autoglm_phone.compress.algorithms import awq, learned
from autoglm_phone.compress.algorithms.gptq import compensate, gptq, output_error, refine
from autoglm_phone.compress.algorithms.grid import Grid, absmax_grid, search_grid
from autoglm_phone.compress.formats.master import QuantizedWeight
from autoglm_phone.compress.plan import ModulePlan
from autoglm_phone.compress.statistics import Moments, Observed, matrices, observe
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
    seen = observe(unit, module, states, plans.keys(), device)
    _fold(unit, module, plans, seen, result, stored)
    for name in plans.keys() - seen.moments.keys():  # no sample came here (no sound among them, say)
        size = plans[name].info.columns
        seen.moments[name] = Moments(torch.eye(size, device=device), None, 0.0)
    unseen = [[name] for name in plans if seen.moments[name].total == 0.0]
    for names in [*seen.together, *unseen]:
        fresh = seen
        reached = seen.moments[names[0]].total > 0.0
        need = max(float((plans[name].gptq or {}).get("compensate", 0.0)) for name in names)
        if need and reached and float_module is not None and float_states is not None:
            fresh = observe(unit, module, states, names, device, float_module=float_module, float_states=float_states)
        elif reached and names != seen.together[0]:
            fresh = observe(unit, module, states, names, device)
        for name in names:
            moments = fresh.moments[name]
            weight = matrices(module)[name].weight
            folded = result.folded.get(name)
            made = quantize_matrix(weight.flatten(1).float(), moments, plans[name], folded)
            quantized = QuantizedWeight(plans[name].spec, made[1].cpu(), made[0].scales.cpu(), _cpu(made[0].zeros))
            _score(name, weight.flatten(1).float(), moments, plans[name], made, result)
            result.weights[name] = quantized
            result.aims[name] = weight.detach().clone()
            weight.data.copy_(quantized.dequantize().to(weight))
    _learn(unit, module, plans, states, device, float_module, float_states, result, seed)
    result.aims.clear()
    return result


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
        zeros = None if made.zeros is None else made.zeros.to(device)
        grid = Grid(made.spec.bits, made.spec.group_size, made.scales.to(device), zeros)
        start[name] = (result.aims[name], grid, made.codes.to(device))
    best, before, after = learned.learn(
        unit, module, start, states, [output.cpu() for output in outputs if output is not None], device,
        iterations=options["iterations"], rate=options["rate"], batch=max(1, options["batch"]),
        seed=zlib.crc32(f"{unit.name} {seed}".encode()),
    )  # fmt: skip
    result.learned = (before, after)
    for name, (grid, codes) in best.items():
        made = QuantizedWeight(plans[name].spec, codes.cpu(), grid.scales.cpu(), _cpu(grid.zeros))
        result.weights[name] = made
        parameter = module.get_submodule(name).get_parameter("weight")
        parameter.data.copy_(made.dequantize().to(parameter))


def quantize_matrix(
    weight: Tensor, moments: Moments, plan: ModulePlan, folded: Tensor | None = None
) -> tuple[Grid, Tensor]:
    """Grid and codes of one matrix [R, C].

    Args:
        folded: the scale [C] that was folded away from these inputs, which the float model's inputs still have.
    """
    hessian = moments.hessian
    options = plan.gptq
    if plan.activation_bits is not None:  # trained on this grid, which torchao's fake quantization has
        scales = weight.abs().amax(1, keepdim=True).clamp_min(1e-6) / 127.5
        grid = Grid(plan.bits, plan.group_size, scales.to(plan.scale_dtype), None)
        return grid, grid.quantize(weight)
    if options is not None and moments.cross is not None and options["compensate"]:
        cross = moments.cross if folded is None else moments.cross / folded[:, None]
        weight = compensate(
            weight, hessian, cross, strength=options["compensate"], damping=max(options["damping"], 0.01)
        )
    if plan.clip:
        grid = search_grid(
            weight, plan.bits, plan.group_size, hessian, symmetric=plan.symmetric, scale_dtype=plan.scale_dtype
        )
    else:
        grid = absmax_grid(weight, plan.bits, plan.group_size, symmetric=plan.symmetric, scale_dtype=plan.scale_dtype)
    if options is None:
        return grid, grid.quantize(weight)
    codes = gptq(
        weight,
        hessian,
        grid,
        damping=options["damping"],
        act_order=options["act_order"],
        block=max(1, options["block"]),
    )
    if options["refine"]:
        grid, codes = refine(weight, hessian, grid, codes, sweeps=options["refine"], damping=options["damping"])
    return grid, codes


def _fold(
    unit: Unit,
    module: nn.Module,
    plans: Mapping[str, ModulePlan],
    seen: Observed,
    result: Result,
    stored: Mapping[str, torch.dtype],
) -> None:
    linears = matrices(module)
    for fold in unit.folds:
        if not all(name in seen.moments and plans[name].scale for name in fold.targets):
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
        for name in fold.targets:
            linears[name].weight.data.mul_(scale)
            seen.moments[name] = seen.moments[name].scaled(scale)
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


def _score(
    name: str, weight: Tensor, moments: Moments, plan: ModulePlan, made: tuple[Grid, Tensor], result: Result
) -> None:
    hessian = moments.hessian
    base = float(output_error(weight, hessian).sum())
    plain = absmax_grid(weight, plan.bits, plan.group_size, symmetric=plan.symmetric, scale_dtype=plan.scale_dtype)
    error = plain.dequantize(plain.quantize(weight)) - weight
    result.plain[name] = float(output_error(error, hessian).sum()) / max(base, 1e-30)
    error = made[0].dequantize(made[1]) - weight
    result.losses[name] = float(output_error(error, hessian).sum()) / max(base, 1e-30)


def _cpu(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.cpu()
