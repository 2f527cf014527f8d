"""The inner loop of GPTQ and of its refinement: the columns of one block, one after another, all rows side by side.

Both visit column j with a value that depends on what was done to the columns before it,

    value_j = tile_j + Σ_{i<j} carry_i M_ij ,

round it, and carry on what that did (M: GPTQ's factor, or H itself). Rows know nothing of each other, so on a GPU one
Triton kernel walks a block where PyTorch would launch a dozen kernels a column (`kernels`); the functions here are the
truth that it is tested against, and what runs everywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autoglm_phone.backends.paged_decode import has_triton
from autoglm_phone.compress.algorithms.grid import Grid

BLOCK = 128  # columns; the most that the kernel takes


@dataclass(frozen=True)
class Columns:
    """The grid of the columns that are visited. scales, zeros: [R, G] in the weight's dtype; group: long [columns]."""

    scales: Tensor
    zeros: Tensor | None
    group: Tensor
    bounds: tuple[int, int]

    @classmethod
    def of(cls, grid: Grid, order: Tensor, dtype: torch.dtype) -> Columns:
        zeros = None if grid.zeros is None else grid.zeros.to(dtype)
        return cls(grid.scales.to(dtype), zeros, order // grid.group_size, grid.bounds)

    def cut(self, start: int, end: int) -> Columns:
        return Columns(self.scales, self.zeros, self.group[start:end], self.bounds)


def round_block(rest: Tensor, weight: Tensor, factor: Tensor, columns: Columns) -> tuple[Tensor, Tensor]:
    """GPTQ on one block.

    Args:
        rest: [R, B], the weight plus what the errors of earlier blocks ask for. weight: [R, B], itself.
        factor: [B, B], the block of Ú (upper triangular, ones on its diagonal) that lies on the diagonal.

    Returns:
        (codes int8 [R, B], errors weight - dequantized [R, B]).
    """
    if uses_kernel(rest):
        from autoglm_phone.compress.algorithms import kernels

        return kernels.round_block(rest, weight, factor, columns)
    return round_reference(rest, weight, factor, columns)


def descend_block(pull: Tensor, codes: Tensor, hessian: Tensor, columns: Columns) -> tuple[Tensor, Tensor]:
    """One visit of coordinate descent to each column of a block.

    Args:
        pull: [R, B], E H at the block's columns. codes: int8 [R, B]. hessian: [B, B], its block on the diagonal.

    Returns:
        (codes int8 [R, B], changes of the dequantized weight [R, B]).
    """
    if uses_kernel(pull):
        from autoglm_phone.compress.algorithms import kernels

        return kernels.descend_block(pull, codes, hessian, columns)
    return descend_reference(pull, codes, hessian, columns)


def round_reference(rest: Tensor, weight: Tensor, factor: Tensor, columns: Columns) -> tuple[Tensor, Tensor]:
    """`round_block` in plain PyTorch."""
    low, high = columns.bounds
    part = rest.clone()
    codes = torch.empty(rest.shape, dtype=torch.int8, device=rest.device)
    errors = torch.empty_like(part)
    scales = columns.scales[:, columns.group]
    zeros = None if columns.zeros is None else columns.zeros[:, columns.group]
    for j in range(rest.shape[1]):
        scale = scales[:, j]
        zero = 0.0 if zeros is None else zeros[:, j]
        code = (torch.round(part[:, j] / scale) + zero).clamp(low, high)
        codes[:, j] = code.to(torch.int8)
        errors[:, j] = weight[:, j] - (code - zero) * scale
        part[:, j + 1 :] += errors[:, j, None] * factor[j, j + 1 :]
    return codes, errors


def descend_reference(pull: Tensor, codes: Tensor, hessian: Tensor, columns: Columns) -> tuple[Tensor, Tensor]:
    """`descend_block` in plain PyTorch."""
    low, high = columns.bounds
    part, made = pull.clone(), codes.clone()
    changes = torch.empty_like(part)
    scales = columns.scales[:, columns.group]
    for j in range(pull.shape[1]):
        scale, old = scales[:, j], codes[:, j].to(pull.dtype)
        new = (old + torch.round(-part[:, j] / (hessian[j, j] * scale))).clamp(low, high)
        made[:, j] = new.to(torch.int8)
        changes[:, j] = (new - old) * scale
        part[:, j + 1 :] += changes[:, j, None] * hessian[j, j + 1 :]
    return made, changes


def uses_kernel(tensor: Tensor) -> bool:
    return tensor.is_cuda and has_triton()
