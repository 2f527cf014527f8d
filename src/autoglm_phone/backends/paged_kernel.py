"""Triton kernels of `paged_decode`. Importing this module needs triton."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 32  # keys a turn: also the least that a program takes on
MAX_SPLITS = 32
PROGRAMS = 264  # about two for each of an H200's 132 multiprocessors
LEAST = tl.constexpr(-1.0e30)  # stands for minus infinity, without its NaNs


@triton.jit
def _attend(
    q_ptr, store_ptr, tables_ptr, lengths_ptr, parts_ptr, stats_ptr,
    scale, splits, window, sinks, q_stride, page_stride, token_stride, table_stride,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, GROUP: tl.constexpr, ROWS: tl.constexpr,
    DIM: tl.constexpr, PAGE: tl.constexpr, KEYS: tl.constexpr, SLIDES: tl.constexpr,
):  # fmt: skip
    """One row, one key head, one share of the keys. ROWS: GROUP queries of the key head, padded for tl.dot."""
    row, head, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    length = tl.load(lengths_ptr + row).to(tl.int32)
    share = tl.cdiv(tl.cdiv(length, splits), KEYS) * KEYS
    first = split * share
    last = tl.minimum(first + share, length)
    members, dims, places = tl.arange(0, ROWS), tl.arange(0, DIM), tl.arange(0, KEYS)
    real = members < GROUP
    heads = head * GROUP + members
    q = tl.load(q_ptr + row * q_stride + heads[:, None] * DIM + dims[None, :], mask=real[:, None], other=0.0)
    most = tl.full([ROWS], LEAST, tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    out = tl.zeros([ROWS, DIM], tl.float32)
    for start in range(first, last, KEYS):
        key = start + places
        seen = key < last
        page = tl.load(tables_ptr + row * table_stride + key // PAGE, mask=seen, other=0).to(tl.int64)
        if SLIDES:
            seen = seen & ((key >= length - window) | (key < sinks))
        base = page * page_stride + (key % PAGE) * token_stride + head * DIM
        k = tl.load(store_ptr + base[:, None] + dims[None, :], mask=seen[:, None], other=0.0)
        scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
        scores = tl.where(seen[None, :], scores, LEAST)
        newest = tl.maximum(most, tl.max(scores, 1))
        weights = tl.where(seen[None, :], tl.exp(scores - newest[:, None]), 0.0)
        fade = tl.exp(most - newest)
        total = total * fade + tl.sum(weights, 1)
        v = tl.load(store_ptr + base[:, None] + KV_HEADS * DIM + dims[None, :], mask=seen[:, None], other=0.0)
        out = out * fade[:, None] + tl.dot(weights.to(v.dtype), v, input_precision="ieee")
        most = newest
    part = (row * HEADS + heads) * splits + split
    tl.store(parts_ptr + part[:, None] * DIM + dims[None, :], out, mask=real[:, None])
    tl.store(stats_ptr + part * 2, most, mask=real)
    tl.store(stats_ptr + part * 2 + 1, total, mask=real)


@triton.jit
def _join(
    parts_ptr, stats_ptr, out_ptr, splits,
    HEADS: tl.constexpr, DIM: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """One row and query head: the shares, weighted by their sums."""
    row, head = tl.program_id(0), tl.program_id(1)
    dims, places = tl.arange(0, DIM), tl.arange(0, SPLITS)
    real = places < splits
    part = (row * HEADS + head) * splits + places
    most = tl.load(stats_ptr + part * 2, mask=real, other=LEAST)
    total = tl.load(stats_ptr + part * 2 + 1, mask=real, other=0.0)
    weights = tl.exp(most - tl.max(most, 0))
    parts = tl.load(parts_ptr + part[:, None] * DIM + dims[None, :], mask=real[:, None], other=0.0)
    joined = tl.sum(parts * weights[:, None], 0) / tl.sum(total * weights, 0)
    tl.store(out_ptr + (row * HEADS + head) * DIM + dims, joined.to(out_ptr.dtype.element_ty))


def launch(
    q: Tensor, store: Tensor, tables: Tensor, lengths: Tensor, kv_heads: int, window: int = 0, sinks: int = 0
) -> Tensor:
    """`paged_decode.paged_attention`. Number of programs depends on shapes alone, so the call can be captured."""
    batch, heads, dim = q.shape
    group = heads // kv_heads
    reach = tables.shape[1] * store.shape[1]
    splits = max(1, min(MAX_SPLITS, PROGRAMS // (batch * kv_heads), triton.cdiv(reach, BLOCK)))
    parts = torch.empty(batch, heads, splits, dim, dtype=torch.float32, device=q.device)
    stats = torch.empty(batch, heads, splits, 2, dtype=torch.float32, device=q.device)
    out = torch.empty(batch, heads * dim, dtype=q.dtype, device=q.device)
    _attend[(batch, kv_heads, splits)](
        q, store, tables, lengths, parts, stats,
        dim**-0.5, splits, window, sinks, q.stride(0), store.stride(0), store.stride(1), tables.stride(0),
        HEADS=heads, KV_HEADS=kv_heads, GROUP=group, ROWS=max(16, triton.next_power_of_2(group)),
        DIM=dim, PAGE=store.shape[1], KEYS=BLOCK, SLIDES=window > 0,
    )  # fmt: skip
    _join[(batch, heads)](parts, stats, out, splits, HEADS=heads, DIM=dim, SPLITS=MAX_SPLITS)
    return out
