"""GPTQ (Frantar et al. 2022): columns are rounded one by one, and the error of each is carried by those still to come.

Act-order visits columns by falling H_jj. The groups' scales are fixed beforehand ("static groups"), so each column
keeps its place and its group, and nothing has to be permuted at run time. With an identity H this is rounding to
nearest. `refine` then sweeps over the columns again: a coordinate descent on tr(E H Eᵀ), which never gets worse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from autoglm_phone.compress.algorithms.columns import BLOCK, Columns, descend_block, round_block
from autoglm_phone.compress.algorithms.grid import Grid
from autoglm_phone.errors import ConfigError

_SPAN = 1024  # columns


def output_error(error: Tensor, hessian: Tensor) -> Tensor:
    """tr(E H Eᵀ) of each row of E [R, C]: [R]."""
    return ((error @ hessian) * error).sum(-1)


def damped(hessian: Tensor, damping: float) -> Tensor:
    """H with a share of its mean diagonal added; columns that were never active get it alone."""
    made = hessian.clone()
    made.diagonal().add_(_added(hessian, damping))
    return made


def _added(hessian: Tensor, damping: float) -> Tensor:
    return damping * hessian.diagonal().mean().clamp_min(torch.finfo(hessian.dtype).tiny)


@dataclass(frozen=True)
class Factor:
    """H with its damping as Ú D Úᵀ (Ú upper triangular, ones on its diagonal): all that GPTQ asks of H.

    That GPTQ needs no inverse is QuIP's finding (Chee et al. 2023): the error of column i, weight minus rounded, adds
    itself times Ú_ij to each later column j, which is what the inverse's Cholesky factor says in other words.

    order: long [C], columns as they are visited. lower: [C, C], the Cholesky factor of H with its columns in the
    opposite order.
    """

    order: Tensor
    lower: Tensor

    @classmethod
    def of(cls, hessian: Tensor, *, damping: float = 0.01, act_order: bool = True) -> Factor:
        """
        Raises:
            ConfigError: H is not positive definite even with its damping.
        """
        order = torch.arange(hessian.shape[0], device=hessian.device)
        if act_order:
            order = torch.argsort(hessian.diagonal(), descending=True, stable=True)
        back = order.flip(0)
        # By columns, as LAPACK wants it (H is symmetric): then nothing as large as H is copied on the way.
        turned = hessian[back[:, None], back].mT
        turned.diagonal().add_(_added(hessian, damping))
        try:
            return cls(order, torch.linalg.cholesky(turned, out=turned))
        except torch.linalg.LinAlgError as error:
            raise ConfigError(
                "GPTQ's Hessian is singular: give more calibration samples, or a larger damping (0.05)", param="damping"
            ) from error

    def upper(self) -> Tensor:
        """Ú [C, C], rows and columns as they are visited."""
        size = len(self.lower)
        made = self.lower.new_empty(size, size)  # by rows, as the rounding reads it
        for start, end in _spans(size):
            made[start:end] = self.lower[size - end : size - start].flip(0, 1)
        return made.div_(made.diagonal().clone())

    def solve(self, sides: Tensor) -> Tensor:
        """H⁻¹ of [C, K], columns of H in their own places."""
        back = self.order.flip(0)
        made = torch.linalg.solve_triangular(self.lower, sides[back], upper=False)
        found = torch.empty_like(made)
        found[back] = torch.linalg.solve_triangular(self.lower.mT, made, upper=True)
        return found


def gptq(
    weight: Tensor,
    hessian: Tensor,
    grid: Grid,
    *,
    damping: float = 0.01,
    act_order: bool = True,
    block: int = BLOCK,
    factor: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Codes int8 [R, C] of W [R, C] on a fixed grid.

    Args:
        damping: share of the mean of H's diagonal that is added to it.
        act_order: visit columns by falling H_jj instead of from left to right.
        block: columns whose updates of the rest are applied at once.
        factor: a Factor's order and upper(), where they are known already; then H, damping and act_order are not read.
    """
    if factor is None:
        made = Factor.of(hessian, damping=damping, act_order=act_order)
        factor = made.order, made.upper()
    order, upper = factor
    rows, width = weight.shape
    own = weight.index_select(1, order)
    rest = own.clone()
    columns = Columns.of(grid, order, weight.dtype)
    codes = torch.empty(rows, width, dtype=torch.int8, device=weight.device)
    for start, end in _blocks(width, block):
        cut = slice(start, end)
        codes[:, cut], errors = round_block(rest[:, cut], own[:, cut], upper[cut, cut], columns.cut(start, end))
        rest[:, end:].addmm_(errors, upper[cut, end:])
    return codes.index_select(1, torch.argsort(order))


def refine(
    weight: Tensor,
    hessian: Tensor,
    grid: Grid,
    codes: Tensor,
    *,
    sweeps: int = 2,
    damping: float = 0.01,
    block: int = BLOCK,
    is_damped: bool = False,
) -> tuple[Grid, Tensor]:
    """Better codes, and the scales that fit them best, by turns (coordinate descent, as in QuantEase).

    Each step is exact for one column, or for one group's scale, of every row; a row that does not gain keeps what it
    had, so no row's tr(e H eᵀ) ever grows.

    Args:
        block: columns whose changes reach the rest at once. is_damped: H has its damping already.
    """
    h = hessian if is_damped else damped(hessian, damping)
    order = torch.arange(weight.shape[1], device=weight.device)
    best_grid, best = grid, codes
    best_loss = output_error(grid.dequantize(codes) - weight, h)
    for _ in range(sweeps):
        scales = _fit_scales(weight, h, best_grid, best)
        trial = Grid(grid.bits, grid.group_size, scales, grid.zeros)
        columns = Columns.of(trial, order, weight.dtype)
        current = best.clone()
        pull = (trial.dequantize(current) - weight) @ h  # [R, C]: half the gradient
        for start, end in _blocks(weight.shape[1], block):
            cut = slice(start, end)
            made, changes = descend_block(pull[:, cut], current[:, cut], h[cut, cut], columns.cut(start, end))
            current[:, cut] = made
            pull[:, end:].addmm_(changes, h[cut, end:])  # what lies behind is not asked again in this sweep
        loss = output_error(trial.dequantize(current) - weight, h)
        better = loss < best_loss
        best = torch.where(better[:, None], current, best)
        best_grid = Grid(grid.bits, grid.group_size, torch.where(better[:, None], scales, best_grid.scales), grid.zeros)
        best_loss = torch.where(better, loss, best_loss)
    return best_grid, best


def refine_alone(weight: Tensor, grid: Grid, codes: Tensor, *, sweeps: int = 2) -> tuple[Grid, Tensor]:
    """`refine` for an H that is a multiple of the identity: no column concerns another, so nothing is [C, C]."""
    low, high = grid.bounds
    shape = (weight.shape[0], -1, grid.group_size)
    grouped = weight.view(shape)
    zeros = 0.0 if grid.zeros is None else grid.zeros.to(weight.dtype)[..., None]
    best_grid, best = grid, codes
    best_loss = (grid.dequantize(codes) - weight).square().sum(-1)
    for _ in range(sweeps):
        values = best.view(shape).to(weight.dtype) - zeros
        held = best_grid.scales.float()
        error = values * held[..., None] - grouped
        down = values.square().sum(-1)
        step = _limited(-(values * error).sum(-1), down, held)
        scales = _stored(held + step, grid)
        wide = scales.to(weight.dtype)[..., None]
        moved = torch.round((grouped - values * wide) / wide)
        current = (values + zeros + moved).clamp(low, high).to(torch.int8).view_as(codes)
        trial = Grid(grid.bits, grid.group_size, scales, grid.zeros)
        loss = (trial.dequantize(current) - weight).square().sum(-1)
        better = loss < best_loss
        best = torch.where(better[:, None], current, best)
        best_grid = Grid(grid.bits, grid.group_size, torch.where(better[:, None], scales, best_grid.scales), grid.zeros)
        best_loss = torch.where(better, loss, best_loss)
    return best_grid, best


def _spans(width: int) -> list[tuple[int, int]]:
    return [(start, min(start + _SPAN, width)) for start in range(0, width, _SPAN)]


def _blocks(width: int, block: int) -> list[tuple[int, int]]:
    block = min(block, BLOCK)
    return [(start, min(start + block, width)) for start in range(0, width, block)]


def _fit_scales(weight: Tensor, h: Tensor, grid: Grid, codes: Tensor) -> Tensor:
    """Least-squares scales of fixed codes, one group after another (Gauss–Seidel).

    The pull on a span of groups is one product with H, wide enough to keep a GPU busy; within the span it is kept up.
    """
    scales = grid.scales.float().clone()
    values = codes.to(weight.dtype)
    if grid.zeros is not None:
        values = values - grid.zeros.to(weight.dtype).repeat_interleave(grid.group_size, 1)
    error = grid.dequantize(codes) - weight
    size, width = grid.group_size, weight.shape[1]
    span = max(1, _SPAN // size) * size
    for first in range(0, width, span):
        last = min(first + span, width)
        pull = error @ h[:, first:last]
        for start in range(first, last, size):
            cut, here, later = slice(start, start + size), start - first, start - first + size
            down = ((values[:, cut] @ h[cut, cut]) * values[:, cut]).sum(-1)
            up = (values[:, cut] * pull[:, here:later]).sum(-1)
            group = start // size
            step = _limited(-up, down, scales[:, group])
            scales[:, group] += step
            change = step[:, None] * values[:, cut]
            error[:, cut] += change
            pull[:, later:].addmm_(change, h[cut, start + size : last])
    return _stored(scales, grid)


def _limited(up: Tensor, down: Tensor, scales: Tensor) -> Tensor:
    """up / down, at most a quarter of the scale: a larger step means that the codes do not fit the group at all."""
    step = torch.where(down > 0, up / down.clamp_min(1e-30), torch.zeros_like(up))
    limit = 0.25 * scales.abs()
    return torch.minimum(torch.maximum(step, -limit), limit)


def _stored(scales: Tensor, grid: Grid) -> Tensor:
    """As files keep them; a scale that would vanish stays what it was."""
    fitted = scales.to(grid.scales.dtype)
    return torch.where(fitted == 0, grid.scales, fitted)


def missing(weight: Tensor, hessian: Tensor, cross: Tensor) -> Tensor:
    """W (C - H) [R, C]: what the inputs' error does to the outputs, as its moments with the inputs.

    cross: C = E[x_float x_quantᵀ] [C, C]; hessian: H of the quantized inputs.
    """
    gap = torch.empty_like(weight)
    for start, end in _spans(weight.shape[1]):  # a difference as wide as H would be another of its size
        cut = slice(start, end)
        gap[:, cut] = weight @ (cross[:, cut] - hessian[:, cut])
    return gap


def compensate(weight: Tensor, gap: Tensor, factor: Factor, strength: float = 1.0) -> Tensor:
    """The weight that gives the float model's outputs from the quantized prefix's inputs, by least squares.

    Cross-layer error compensation in closed form: W' = W C H⁻¹; strength 0 keeps W, 1 takes W' whole. (GPTAQ, Li et al.
    2025, does the same inside GPTQ's loop.)

    Args:
        gap: what is `missing`. factor: H's.
    """
    return weight + strength * factor.solve(gap.T).T


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
