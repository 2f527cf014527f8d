"""Small Triton kernels for what surrounds a decoder layer's matrix products. Importing this module needs triton.

Each replaces a handful of PyTorch operators that would each read and write all rows. They round where the operators of
`torch_backend` round: a norm's output before its weight, silu before the product.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

COLUMNS = 1024


@triton.jit
def _rms_norm(x_ptr, y_ptr, weight_ptr, out_ptr, eps, WIDTH: tl.constexpr, BLOCK: tl.constexpr, ADDS: tl.constexpr):
    """One row: norm(y) * weight, plus x if ADDS."""
    row, columns = tl.program_id(0), tl.arange(0, BLOCK)
    inside = columns < WIDTH
    kind = out_ptr.dtype.element_ty
    y = tl.load(y_ptr + row * WIDTH + columns, mask=inside, other=0.0).to(tl.float32)
    weight = tl.load(weight_ptr + columns, mask=inside, other=0.0).to(tl.float32)
    normed = y / tl.sqrt(tl.sum(y * y, 0) / WIDTH + eps)
    out = normed.to(kind).to(tl.float32) * weight
    if ADDS:
        x = tl.load(x_ptr + row * WIDTH + columns, mask=inside, other=0.0).to(tl.float32)
        out = x + out.to(kind).to(tl.float32)
    tl.store(out_ptr + row * WIDTH + columns, out.to(kind), mask=inside)


@triton.jit
def _swiglu(gate_up_ptr, out_ptr, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    row, columns = tl.program_id(0), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < WIDTH
    kind = out_ptr.dtype.element_ty
    gate = tl.load(gate_up_ptr + row * 2 * WIDTH + columns, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(gate_up_ptr + row * 2 * WIDTH + WIDTH + columns, mask=inside, other=0.0).to(tl.float32)
    gate = (gate / (1.0 + tl.exp(-gate))).to(kind).to(tl.float32)
    tl.store(out_ptr + row * WIDTH + columns, (gate * up).to(kind), mask=inside)


@triton.jit
def _rotate(qkv_ptr, cos_ptr, sin_ptr, stride, DIM: tl.constexpr, PAIRS: tl.constexpr, BLOCK: tl.constexpr):
    """One row and head, in place: interleaved pairs."""
    row, head, pairs = tl.program_id(0), tl.program_id(1), tl.arange(0, BLOCK)
    inside = pairs < PAIRS
    cos = tl.load(cos_ptr + row * PAIRS + pairs, mask=inside, other=0.0).to(tl.float32)
    sin = tl.load(sin_ptr + row * PAIRS + pairs, mask=inside, other=0.0).to(tl.float32)
    base = qkv_ptr + row * stride + head * DIM + 2 * pairs
    even = tl.load(base, mask=inside, other=0.0).to(tl.float32)
    odd = tl.load(base + 1, mask=inside, other=0.0).to(tl.float32)
    kind = qkv_ptr.dtype.element_ty
    tl.store(base, (even * cos - odd * sin).to(kind), mask=inside)
    tl.store(base + 1, (odd * cos + even * sin).to(kind), mask=inside)


def rms_norm(y: Tensor, weight: Tensor, eps: float, x: Tensor | None = None) -> Tensor:
    """norm(y) * weight [T, H], plus x."""
    y = y.contiguous()
    out = torch.empty_like(y)
    width = y.shape[-1]
    block = triton.next_power_of_2(width)
    base = y if x is None else x.contiguous()
    _rms_norm[(y.shape[0],)](
        base, y, weight, out, eps, WIDTH=width, BLOCK=block, ADDS=x is not None, num_warps=8 if block >= 2048 else 4
    )
    return out


def swiglu(gate_up: Tensor) -> Tensor:
    """[T, 2 F] → [T, F]"""
    gate_up = gate_up.contiguous()
    rows, width = gate_up.shape[0], gate_up.shape[1] // 2
    out = torch.empty(rows, width, dtype=gate_up.dtype, device=gate_up.device)
    _swiglu[(rows, triton.cdiv(width, COLUMNS))](gate_up, out, WIDTH=width, BLOCK=COLUMNS)
    return out


def rotate(qkv: Tensor, cos: Tensor, sin: Tensor, heads: int, dim: int) -> Tensor:
    """The first `heads` heads of qkv [T, …] in place; cos, sin [T, 1, pairs] contiguous."""
    pairs = cos.shape[-1]
    _rotate[(qkv.shape[0], heads)](
        qkv, cos, sin, qkv.stride(0), DIM=dim, PAIRS=pairs, BLOCK=triton.next_power_of_2(pairs), num_warps=1
    )
    return qkv
