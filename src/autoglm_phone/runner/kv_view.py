"""Which pages a pass reads under a KV policy, and what each row sees in them: `graph.kv` decides, this lays it out.

Rows hold different pages, so a batched call reads a rectangle of page ordinals, padded, and a mask hides what is not a
row's own: the padding, keys after its query, and, in sliding layers, keys outside their window. Positions are the
original ones: a key's rotary angle was fixed when it was written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class DecodeView(NamedTuple):
    """ordinals [B, P], the padding repeating a page of the row's own; allowed [B, P * page_size]."""

    ordinals: Ints
    allowed: Bools


class ChunkView(NamedTuple):
    """ordinals [P], rising; allowed [rows, P * page_size]."""

    ordinals: Ints
    allowed: Bools


def decode_view(
    visible: Sequence[Sequence[int]], queries: Sequence[int], page_size: int, window: tuple[int, int] | None = None
) -> DecodeView:
    """One row a sequence.

    Args:
        visible: ordinals that each row reads (`graph.kv.visible`). queries: position of each row's token.
        window: (width, sinks) of a sliding layer.
    """
    most = max(len(row) for row in visible)
    ordinals = np.array([[*row, *[row[-1]] * (most - len(row))] for row in visible], dtype=np.int64)
    real = np.arange(most)[None] < np.array([len(row) for row in visible])[:, None]
    allowed = _seen(ordinals, np.asarray(queries, dtype=np.int64), page_size, window)
    return DecodeView(ordinals, allowed & np.repeat(real, page_size, axis=1))


def chunk_view(
    visible: Sequence[Sequence[int]], queries: Sequence[int], page_size: int, window: tuple[int, int] | None = None
) -> ChunkView:
    """Several rows of one sequence (tokens that caught up), each with the pages that it may read."""
    ordinals = np.unique(np.concatenate([np.asarray(row, dtype=np.int64) for row in visible]))
    mine = np.array([np.isin(ordinals, row) for row in visible])
    grid = np.broadcast_to(ordinals, (len(visible), ordinals.shape[0]))
    allowed = _seen(grid, np.asarray(queries, dtype=np.int64), page_size, window)
    return ChunkView(ordinals, allowed & np.repeat(mine, page_size, axis=1))


def _seen(ordinals: Ints, queries: Ints, page_size: int, window: tuple[int, int] | None) -> Bools:
    """[rows, pages] → [rows, pages * page_size]: keys not after the query, and inside its window."""
    keys = (ordinals[:, :, None] * page_size + np.arange(page_size)).reshape(ordinals.shape[0], -1)
    query = queries[:, None]
    allowed = keys <= query
    if window is not None:
        width, sinks = window
        allowed &= (keys > query - width) | (keys < sinks)
    return allowed


def page_masses(query: Tensor, keys: Tensor, allowed: Tensor, page_size: int) -> Tensor:
    """Share of a query's attention on each page, the mean over its heads: what `graph.kv.ScoreBook` observes.

    Args:
        query: [B, Hq, D], rotated. keys: [B, P * page_size, Hk, D], as read. allowed: bool [B, P * page_size].

    Returns float32 [B, P], each row summing to 1.
    """
    groups = query.shape[1] // keys.shape[2]
    heads = keys.float().repeat_interleave(groups, dim=2)  # [B, K, Hq, D]
    scores = torch.einsum("bhd,bkhd->bhk", query.float(), heads) * query.shape[-1] ** -0.5
    weights = scores.masked_fill(~allowed[:, None], float("-inf")).softmax(dim=-1).mean(dim=1)  # [B, K]
    return weights.unflatten(-1, (-1, page_size)).sum(-1)
