"""Scales and zero points: round-to-nearest grids, and the search for the clip that hurts the output least.

A symmetric grid has one more code below zero than above, so its scale carries a sign that puts the extra code on the
side of the largest weight (as ggml's Q4_0 does). The clip search tries smaller grids, as AWQ does (Lin et al. 2023),
but scores each group's error against that group's own block of H instead of re-running the layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CLIP_RATIOS = tuple(1.0 - 0.04 * i for i in range(13))  # 1.00 … 0.52; below, outliers cost more than rounding
_TINY = 1e-7  # a scale of zero (a group of zeros) would divide by zero


@dataclass(frozen=True)
class Grid:
    """What codes of a weight may be. scales: [R, G], exactly as stored; zeros: int8 [R, G] signed, or None."""

    bits: int
    group_size: int
    scales: Tensor
    zeros: Tensor | None

    @property
    def bounds(self) -> tuple[int, int]:
        """Smallest and largest code."""
        half = 1 << (self.bits - 1)
        return -half, half - 1

    def quantize(self, weight: Tensor) -> Tensor:
        """The nearest codes, int8 [R, C]."""
        rows, columns = weight.shape
        grouped = weight.view(rows, -1, self.group_size) / self.scales.float()[..., None]
        codes = torch.round(grouped) if self.zeros is None else torch.round(grouped) + self.zeros.float()[..., None]
        return codes.clamp_(*self.bounds).to(torch.int8).view(rows, columns)

    def dequantize(self, codes: Tensor) -> Tensor:
        """float32 [R, C]."""
        rows, columns = codes.shape
        values = codes.view(rows, -1, self.group_size).float()
        if self.zeros is not None:
            values = values - self.zeros.float()[..., None]
        return (values * self.scales.float()[..., None]).view(rows, columns)


def absmax_grid(
    weight: Tensor, bits: int, group_size: int, *, symmetric: bool = True, scale_dtype: torch.dtype = torch.float16
) -> Grid:
    """The grid that covers every weight: what round-to-nearest (RTN) uses."""
    grouped = weight.view(weight.shape[0], -1, group_size)
    return _grid(grouped, bits, group_size, symmetric, scale_dtype, 1.0, 1)


def search_grid(
    weight: Tensor,
    bits: int,
    group_size: int,
    hessian: Tensor | None = None,
    *,
    symmetric: bool = True,
    scale_dtype: torch.dtype = torch.float16,
    ratios: tuple[float, ...] = CLIP_RATIOS,
) -> Grid:
    """The best of several clips, group by group.

    Args:
        hessian: H [C, C]; None weighs all columns alike.
    """
    rows, columns = weight.shape
    grouped = weight.view(rows, -1, group_size)
    blocks = None
    if hessian is not None:
        groups = columns // group_size
        blocks = hessian.view(groups, group_size, groups, group_size).diagonal(dim1=0, dim2=2).permute(2, 0, 1)
    best: Grid | None = None
    best_loss: Tensor | None = None
    for sign in (1, -1) if symmetric else (1,):
        for ratio in ratios:
            grid = _grid(grouped, bits, group_size, symmetric, scale_dtype, ratio, sign)
            error = (grid.dequantize(grid.quantize(weight)) - weight).view_as(grouped)
            if blocks is None:
                loss = error.square().sum(-1)
            else:
                loss = (torch.einsum("rgc,gcd->rgd", error, blocks) * error).sum(-1)
            if best is None or best_loss is None:
                best, best_loss = grid, loss
                continue
            better = loss < best_loss
            zeros = None
            if grid.zeros is not None and best.zeros is not None:
                zeros = torch.where(better, grid.zeros, best.zeros)
            best = Grid(bits, group_size, torch.where(better, grid.scales, best.scales), zeros)
            best_loss = torch.where(better, loss, best_loss)
    assert best is not None  # ratios is never empty
    return best


def _grid(
    grouped: Tensor, bits: int, group_size: int, symmetric: bool, dtype: torch.dtype, ratio: float, sign: int
) -> Grid:
    """sign 1: the largest weight by size takes the code -2^(b-1); -1: its neighbour on the other side does."""
    half = 1 << (bits - 1)
    low, high = grouped.amin(-1), grouped.amax(-1)
    if symmetric:
        extreme = torch.where(high > -low, high, low)
        scales = -sign * extreme * ratio / (half if sign > 0 else half - 1)
        scales = torch.where(scales.abs() < _TINY, torch.full_like(scales, _TINY), scales)
        return Grid(bits, group_size, scales.to(dtype), None)
    low, high = low.clamp_max(0) * ratio, high.clamp_min(0) * ratio  # zero stays exact
    scales = ((high - low) / (2 * half - 1)).clamp_min(_TINY).to(dtype)
    zeros = (torch.round(-low / scales.float()) - half).clamp_(-half, half - 1).to(torch.int8)
    return Grid(bits, group_size, scales, zeros)
