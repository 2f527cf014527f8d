"""Triton kernel of `columns`. Importing this module needs triton.

A program holds a tile of ROWS rows by one block of columns in registers. Column j's value is the row's product with
row j of a table, which is Mᵀ below its diagonal and one on it: the tile has the carries of the columns before j, its
own entry at j, and what comes after is met by zeros. So no register is ever indexed by a column that varies.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from autoglm_phone.compress.algorithms.columns import BLOCK, Columns
from autoglm_phone.errors import ConfigError

ROWS = 16  # of a program: 4 for each of its warps
WARPS = 4


@triton.jit
def _nearest(x):
    """To the nearest integer, halves to even, as torch.round."""
    below = tl.floor(x)
    over = x - below
    odd = below - 2.0 * tl.floor(below * 0.5)
    return below + tl.where(over > 0.5, 1.0, 0.0) + tl.where(over == 0.5, odd, 0.0)


@triton.jit
def _divide(a, b, WIDE: tl.constexpr):
    """Rounded as IEEE asks; Triton's own float32 division is not."""
    if WIDE:
        made = a / b
    else:
        made = tl.div_rn(a, b)
    return made


@triton.jit
def _walk(
    tile_ptr, own_ptr, table_ptr, curvature_ptr, group_ptr, scales_ptr, zeros_ptr, codes_ptr, carries_ptr,
    rows, tile_stride, own_stride, table_stride, groups,
    LOW: tl.constexpr, HIGH: tl.constexpr, DESCENDS: tl.constexpr, HAS_ZEROS: tl.constexpr, WIDE: tl.constexpr,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One tile. own: the weight, or the codes that descent starts from; codes, carries: [rows, WIDTH], made here.

    BLOCK: WIDTH, up to a power of two.
    """
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, BLOCK)
    real = row < rows
    inside = real[:, None] & (column < WIDTH)[None, :]
    tile = tl.load(tile_ptr + row[:, None] * tile_stride + column[None, :], mask=inside, other=0.0)
    codes = tl.zeros([ROWS, BLOCK], tl.int32)
    for j in range(WIDTH):
        mix = tl.load(table_ptr + j * table_stride + column, mask=column < WIDTH, other=0.0)
        value = tl.sum(tile * mix[None, :], 1)
        group = tl.load(group_ptr + j)
        scale = tl.load(scales_ptr + row * groups + group, mask=real, other=1.0)
        own = tl.load(own_ptr + row * own_stride + j, mask=real, other=0).to(tile.dtype)
        if DESCENDS:
            step = _nearest(_divide(-value, tl.load(curvature_ptr + j) * scale, WIDE))
            code = tl.minimum(tl.maximum(own + step, LOW), HIGH)
            carry = (code - own) * scale
        else:
            code = _nearest(_divide(value, scale, WIDE))
            if HAS_ZEROS:
                zero = tl.load(zeros_ptr + row * groups + group, mask=real, other=0.0)
                code = tl.minimum(tl.maximum(code + zero, LOW), HIGH)
                carry = own - (code - zero) * scale
            else:
                code = tl.minimum(tl.maximum(code, LOW), HIGH)
                carry = own - code * scale
        here = (column == j)[None, :]
        tile = tl.where(here, carry[:, None], tile)
        codes = tl.where(here, code.to(tl.int32)[:, None], codes)
    place = row[:, None] * WIDTH + column[None, :]
    tl.store(codes_ptr + place, codes.to(tl.int8), mask=inside)
    tl.store(carries_ptr + place, tile, mask=inside)


def round_block(rest: Tensor, weight: Tensor, factor: Tensor, columns: Columns) -> tuple[Tensor, Tensor]:
    """`columns.round_block`."""
    return _launch(rest, weight, factor, columns, descends=False)


def descend_block(pull: Tensor, codes: Tensor, hessian: Tensor, columns: Columns) -> tuple[Tensor, Tensor]:
    """`columns.descend_block`."""
    return _launch(pull, codes, hessian, columns, descends=True)


def _launch(tile: Tensor, own: Tensor, matrix: Tensor, columns: Columns, *, descends: bool) -> tuple[Tensor, Tensor]:
    rows, width = tile.shape
    if width > BLOCK:
        raise ConfigError(f"the kernel takes blocks of at most {BLOCK} columns, not {width}", param="block")
    if tile.stride(1) != 1 or own.stride(1) != 1:
        raise ConfigError("the kernel takes rows whose columns lie side by side")
    curvature = matrix.diagonal().contiguous()
    table = matrix.T.tril(-1).contiguous()
    table.diagonal().fill_(1.0)
    codes = torch.empty(rows, width, dtype=torch.int8, device=tile.device)
    carries = torch.empty(rows, width, dtype=tile.dtype, device=tile.device)
    scales = columns.scales.contiguous()
    zeros = scales if columns.zeros is None else columns.zeros.contiguous()
    low, high = columns.bounds
    _walk[(triton.cdiv(rows, ROWS),)](
        tile, own, table, curvature, columns.group, scales, zeros, codes, carries,
        rows, tile.stride(0), own.stride(0), table.stride(0), scales.shape[1],
        LOW=low, HIGH=high, DESCENDS=descends, HAS_ZEROS=columns.zeros is not None, WIDE=tile.dtype == torch.float64,
        ROWS=ROWS, WIDTH=width, BLOCK=triton.next_power_of_2(width), num_warps=WARPS,
    )  # fmt: skip
    return codes, carries
