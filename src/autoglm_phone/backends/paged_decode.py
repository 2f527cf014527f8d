"""Attention of decoding rows straight from KV pages: one query a row, its own page table, its own length.

A row's length says what it sees: keys [0, length) of its page table, its own the last. Several rows may belong to one
sequence (tokens that catch up in a deeper segment): each has written its key before any of them attends, and lengths
that grow by one make it causal. Tables and lengths are tensors, so a call can be captured in a CUDA graph and replayed
with other contents.

On a GPU a Triton kernel (`paged_kernel`) divides each row's keys among several programs where rows are few, and a
second one joins their parts (flash decoding, Dao et al. 2023). `reference_attention` is the truth that it is tested
against, and what runs everywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from autoglm_phone.backends.base import AttentionPlan


@dataclass(frozen=True, kw_only=True)
class PagedPlan(AttentionPlan):
    """What rows of one token each attend to; all rows of the pass.

    tables: long [B, P], each row's pages in order; entries behind its length are any valid page. lengths: long [B].
    window, sinks: a key counts if it is among the newest `window` or the first `sinks`; window 0: all keys count.
    """

    tables: Tensor
    lengths: Tensor
    window: int = 0
    sinks: int = 0


def paged_attention(
    q: Tensor, store: Tensor, tables: Tensor, lengths: Tensor, kv_heads: int, window: int = 0, sinks: int = 0
) -> Tensor:
    """Attend.

    Args:
        q: [B, Hq, D], rotated; the last dimension contiguous.
        store: [pages, page_size, 2 Hk D], one layer's pages: a token's keys, then its values.
        tables, lengths, window, sinks: see PagedPlan.

    Returns [B, Hq * D].
    """
    if q.is_cuda and has_triton():
        from autoglm_phone.backends.paged_kernel import launch

        return launch(q, store, tables, lengths, kv_heads, window, sinks)
    return reference_attention(q, store, tables, lengths, kv_heads, window, sinks)


def reference_attention(
    q: Tensor, store: Tensor, tables: Tensor, lengths: Tensor, kv_heads: int, window: int = 0, sinks: int = 0
) -> Tensor:
    """`paged_attention` in plain PyTorch, in float32: gathers every row's whole table."""
    batch, _, dim = q.shape
    context = store.index_select(0, tables.reshape(-1)).view(batch, -1, 2, kv_heads, dim).float()
    keys, values = context.unbind(2)  # [B, K, Hk, D]
    place = torch.arange(keys.shape[1], device=q.device)[None]
    seen = place < lengths[:, None]
    if window:
        seen = seen & ((place >= lengths[:, None] - window) | (place < sinks))
    heads = q.unflatten(1, (kv_heads, -1)).float()  # [B, Hk, groups, D]
    scores = torch.einsum("bhgd,bkhd->bhgk", heads, keys) * dim**-0.5
    weights = scores.masked_fill(~seen[:, None, None], float("-inf")).softmax(dim=-1)
    return torch.einsum("bhgk,bkhd->bhgd", weights, values).reshape(batch, -1).to(q.dtype)


@cache
def has_triton() -> bool:
    try:
        import triton  # noqa: F401
    except ImportError:
        return False
    return True
