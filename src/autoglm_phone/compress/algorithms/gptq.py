"""GPTQ (Frantar et al. 2022): columns are rounded one by one, and the error of each is carried by those still to come.

Act-order visits columns by falling H_jj. The groups' scales are fixed beforehand ("static groups"), so each column
keeps its place and its group, and nothing has to be permuted at run time. With an identity H this is rounding to
nearest. `refine` then sweeps over the columns again: a coordinate descent on tr(E H Eᵀ), which never gets worse.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from autoglm_phone.compress.algorithms.grid import Grid
from autoglm_phone.errors import ConfigError


def output_error(error: Tensor, hessian: Tensor) -> Tensor:
    """tr(E H Eᵀ) of each row of E [R, C]: [R]."""
    return ((error @ hessian) * error).sum(-1)


def damped(hessian: Tensor, damping: float) -> Tensor:
    """H with a share of its mean diagonal added; columns that were never active get it alone."""
    mean = hessian.diagonal().mean().clamp_min(torch.finfo(hessian.dtype).tiny)
    made = hessian.clone()
    made.diagonal().add_(damping * mean)
    return made


def gptq(
    weight: Tensor, hessian: Tensor, grid: Grid, *, damping: float = 0.01, act_order: bool = True, block: int = 128
) -> Tensor:
    """Codes int8 [R, C] of W [R, C] on a fixed grid.

    Args:
        damping: share of the mean of H's diagonal that is added to it.
        act_order: visit columns by falling H_jj instead of from left to right.
        block: columns whose updates of the rest are applied at once.
    """
    rows, columns = weight.shape
    order = torch.arange(columns, device=weight.device)
    if act_order:
        order = torch.argsort(hessian.diagonal(), descending=True, stable=True)
    factor = _inverse_factor(damped(hessian[order][:, order], damping))
    rest = weight[:, order].clone()
    group = order // grid.group_size
    scales = grid.scales.to(rest.dtype)[:, group]
    zeros = None if grid.zeros is None else grid.zeros.to(rest.dtype)[:, group]
    low, high = grid.bounds
    codes = torch.empty(rows, columns, dtype=torch.int8, device=weight.device)
    for start in range(0, columns, block):
        end = min(start + block, columns)
        part = rest[:, start:end]
        errors = torch.empty_like(part)
        inner = factor[start:end, start:end]
        for j in range(end - start):
            column, scale = part[:, j], scales[:, start + j]
            zero = 0.0 if zeros is None else zeros[:, start + j]
            code = (torch.round(column / scale) + zero).clamp(low, high)
            codes[:, start + j] = code.to(torch.int8)
            error = (column - (code - zero) * scale) / inner[j, j]
            part[:, j + 1 :] -= error[:, None] * inner[j, j + 1 :]
            errors[:, j] = error
        rest[:, end:] -= errors @ factor[start:end, end:]
    back = torch.empty_like(codes)
    back[:, order] = codes
    return back


def refine(
    weight: Tensor, hessian: Tensor, grid: Grid, codes: Tensor, *, sweeps: int = 2, damping: float = 0.01
) -> tuple[Grid, Tensor]:
    """Better codes, and the scales that fit them best, by turns (coordinate descent, as in QuantEase).

    Each step is exact for one column, or for one group's scale, of every row; a row that does not gain keeps what it
    had, so no row's tr(e H eᵀ) ever grows.
    """
    h = damped(hessian, damping)
    low, high = grid.bounds
    best_grid, best = grid, codes
    best_loss = output_error(grid.dequantize(codes) - weight, h)
    for _ in range(sweeps):
        scales = _fit_scales(weight, h, best_grid, best)
        trial = Grid(grid.bits, grid.group_size, scales, grid.zeros)
        current = best.clone()
        error = trial.dequantize(current) - weight
        pull = error @ h  # [R, C]: half the gradient
        for j in range(weight.shape[1]):
            scale = scales[:, j // grid.group_size].to(weight.dtype)
            old = current[:, j].to(weight.dtype)
            step = torch.round(-pull[:, j] / (h[j, j] * scale))
            new = (old + step).clamp(low, high)
            change = (new - old) * scale
            current[:, j] = new.to(torch.int8)
            pull += change[:, None] * h[j]
        loss = output_error(trial.dequantize(current) - weight, h)
        better = loss < best_loss
        best = torch.where(better[:, None], current, best)
        best_grid = Grid(grid.bits, grid.group_size, torch.where(better[:, None], scales, best_grid.scales), grid.zeros)
        best_loss = torch.where(better, loss, best_loss)
    return best_grid, best


def _fit_scales(weight: Tensor, h: Tensor, grid: Grid, codes: Tensor) -> Tensor:
    """Least-squares scales of fixed codes, one group after another (Gauss–Seidel)."""
    scales = grid.scales.float().clone()
    values = codes.float()
    if grid.zeros is not None:
        values = values - grid.zeros.float().repeat_interleave(grid.group_size, 1)
    error = grid.dequantize(codes) - weight
    size = grid.group_size
    for g in range(scales.shape[1]):
        cut = slice(g * size, (g + 1) * size)
        along = values[:, cut] @ h[cut, cut]
        down = (along * values[:, cut]).sum(-1)
        up = (values[:, cut] * (error @ h[:, cut])).sum(-1)
        step = torch.where(down > 0, -up / down.clamp_min(1e-30), torch.zeros_like(up))
        limit = 0.25 * scales[:, g].abs()  # a larger step means that the codes do not fit the group at all
        step = torch.minimum(torch.maximum(step, -limit), limit)
        scales[:, g] += step
        error[:, cut] += step[:, None] * values[:, cut]
    fitted = scales.to(grid.scales.dtype)
    return torch.where(fitted == 0, grid.scales, fitted)


def compensate(
    weight: Tensor, hessian: Tensor, cross: Tensor, *, strength: float = 1.0, damping: float = 0.01
) -> Tensor:
    """The weight that gives the float model's outputs from the quantized prefix's inputs, by least squares.

    Cross-layer error compensation in closed form: W' = W C H⁻¹, with C = E[x_float x_quantᵀ] [C, C] and H of the
    quantized inputs; strength 0 keeps W, 1 takes W' whole. (GPTAQ, Li et al. 2025, does the same inside GPTQ's loop.)
    """
    if strength == 0.0:
        return weight
    h = damped(hessian, damping)
    gap = (weight @ (cross - hessian)).T  # W (C - H): what the inputs' error does to the outputs
    return weight + strength * torch.cholesky_solve(gap, torch.linalg.cholesky(h)).T


def by_class(
    weight: Tensor, classes: Tensor, hessians: list[Tensor], run: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, ...]]
) -> list[tuple[Tensor, tuple[Tensor, ...]]]:
    """Rows of one class at a time, each class with its own Hessian: [(row indices, what `run` returned), …].

    For an embedding, whose rows matter as often as their tokens come up. run: (rows of W, H, row indices) → tensors.
    """
    made = []
    for index, hessian in enumerate(hessians):
        rows = (classes == index).nonzero()[:, 0]
        if len(rows):
            made.append((rows, run(weight[rows], hessian, rows)))
    return made


def _inverse_factor(hessian: Tensor) -> Tensor:
    """U, upper triangular, with Uᵀ U = H⁻¹.

    Raises:
        ConfigError: H is not positive definite even with its damping.
    """
    try:
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
        return torch.linalg.cholesky(inverse, upper=True)
    except torch.linalg.LinAlgError as error:
        raise ConfigError(
            "GPTQ's Hessian is singular: give more calibration samples, or a larger damping (0.05)", param="damping"
        ) from error
