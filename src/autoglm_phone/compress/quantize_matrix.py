"""Grid and codes of a matrix, or of several that read the same inputs, a slice of rows at a time.

Rows know nothing of each other once H has its factor, so a head of 150,000 rows takes no more memory than a slice, and
q, k and v, or gate and up, go through as one.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from autoglm_phone.compress.algorithms.gptq import (
    Factor,
    compensate,
    damped,
    gptq,
    missing,
    output_error,
    refine,
    refine_alone,
)
from autoglm_phone.compress.algorithms.grid import Grid, absmax_grid, search_grid
from autoglm_phone.compress.algorithms.precision import tensor_cores
from autoglm_phone.compress.plan import ModulePlan
from autoglm_phone.compress.statistics import Moments
from autoglm_phone.compress.timing import stage

SLICE = 1 << 25  # weights: what is made of them along the way takes about eight times their 128 MB


def quantize_matrix(
    weight: Tensor, moments: Moments, plan: ModulePlan, folded: Tensor | None = None
) -> tuple[Grid, Tensor]:
    """Grid and codes of one matrix [R, C], or of several one below the other.

    Args:
        moments: its `cross` is let go on the way: as large as H, and of no more use.
        folded: the scale [C] that was folded away from these inputs, which the float model's inputs still have.
    """
    options = plan.gptq
    if plan.trained:  # trained on this grid, which torchao's fake quantization has
        scales = weight.abs().amax(1, keepdim=True).clamp_min(1e-6) / 127.5
        grid = Grid(plan.bits, plan.group_size, scales.to(plan.scale_dtype), None)
        return grid, grid.quantize(weight)
    if options is None:
        return round_rows(weight, moments.hessian, plan)
    with stage("factor, compensation"):
        damping, strength = options["damping"], options["compensate"]
        cross, moments.cross = moments.cross, None
        gap = None
        if cross is not None and strength:
            cross = cross if folded is None else cross / folded[:, None]
            gap = missing(weight, moments.hessian, cross)
        del cross  # before there is a factor, which is as large
        factor = Factor.of(moments.hessian, damping=damping, act_order=options["act_order"])
        if gap is not None:
            strong = max(damping, 0.01)
            solver = factor if strong == damping else Factor.of(moments.hessian, damping=strong, act_order=False)
            weight = compensate(weight, gap, solver, strength)
            del solver
        order, upper = factor.order, factor.upper()
        del factor, gap
    return round_rows(weight, moments.hessian, plan, (order, upper))


def round_rows(
    weight: Tensor, hessian: Tensor | None, plan: ModulePlan, factor: tuple[Tensor, Tensor] | None = None
) -> tuple[Grid, Tensor]:
    """Grid search, rounding and refinement as the plan has them.

    Args:
        hessian: None weighs all columns alike, and none with another.
        factor: order and Ú, for a plan with gptq and an H.
    """
    options = plan.gptq
    sweeps = 0 if options is None else options["refine"]
    metric = damped(hessian, options["damping"]) if options and sweeps and hessian is not None else None
    grids: list[Grid] = []
    made: list[Tensor] = []
    for rows in slices(weight):
        part = weight[rows].float()
        with stage("grid search"):
            grid = _grid(part, hessian, plan)
        with stage("rounding"):
            if options is None or hessian is None:
                codes = grid.quantize(part)
            else:
                codes = gptq(part, hessian, grid, block=max(1, options["block"]), factor=factor)
        with stage("refinement"):
            if sweeps and metric is not None:
                grid, codes = refine(part, metric, grid, codes, sweeps=sweeps, is_damped=True)
            elif sweeps:
                grid, codes = refine_alone(part, grid, codes, sweeps=sweeps)
        grids.append(grid)
        made.append(codes)
    if len(grids) == 1:
        return grids[0], made[0]
    zeros = [grid.zeros for grid in grids if grid.zeros is not None]
    scales = torch.cat([grid.scales for grid in grids])
    return Grid(plan.bits, plan.group_size, scales, torch.cat(zeros) if zeros else None), torch.cat(made)


def relative_errors(weight: Tensor, hessian: Tensor, plan: ModulePlan, grid: Grid, codes: Tensor) -> Tensor:
    """For the report: tr(e H eᵀ) of each row with these codes, with round-to-nearest's, and of the weight, [3, R]."""
    found = []
    with stage("report"), tensor_cores():
        for rows in slices(weight):
            part = weight[rows].float()
            plain = absmax_grid(
                part, plan.bits, plan.group_size, symmetric=plan.symmetric, scale_dtype=plan.scale_dtype
            )
            ours = dequantize(grid, codes, rows)
            errors = (ours.sub_(part), plain.dequantize(plain.quantize(part)).sub_(part), part)
            found.append(torch.stack([output_error(error, hessian) for error in errors]))
    return torch.cat(found, 1)


def dequantize(grid: Grid, codes: Tensor, rows: slice) -> Tensor:
    """Some rows' weights, float32."""
    zeros = None if grid.zeros is None else grid.zeros[rows]
    return Grid(grid.bits, grid.group_size, grid.scales[rows], zeros).dequantize(codes[rows])


def slices(weight: Tensor) -> Iterator[slice]:
    """Rows in nearly equal parts of at most SLICE weights."""
    count = max(1, -(-weight.numel() // SLICE))
    step = -(-weight.shape[0] // count)
    for start in range(0, weight.shape[0], step):
        yield slice(start, min(start + step, weight.shape[0]))


def _grid(weight: Tensor, hessian: Tensor | None, plan: ModulePlan) -> Grid:
    if not plan.clip:
        return absmax_grid(weight, plan.bits, plan.group_size, symmetric=plan.symmetric, scale_dtype=plan.scale_dtype)
    return search_grid(
        weight, plan.bits, plan.group_size, hessian, symmetric=plan.symmetric, scale_dtype=plan.scale_dtype
    )
