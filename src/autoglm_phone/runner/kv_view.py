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
from torch import Tensor

from autoglm_phone.graph.kv import DROPPED, Extent
from autoglm_phone.graph.plan import KVPolicy

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Ordinals = Sequence[int] | Ints


class DecodeView(NamedTuple):
    """ordinals [B, P], the padding repeating a page of the row's own; allowed [B, P * page_size]."""

    ordinals: Ints
    allowed: Bools


class ChunkView(NamedTuple):
    """ordinals [P], rising; allowed [rows, P * page_size]."""

    ordinals: Ints
    allowed: Bools


class Look:
    """Attention masses of a batched call's rows, summed over the layers of a segment.

    Args:
        ordinals: of the pages that each row reads.
    """

    def __init__(self, ordinals: Sequence[Ints]):
        self.ordinals = ordinals
        self._total: Tensor | None = None
        self._layers = 0
        self._rows: list[list[float]] | None = None

    def add(self, masses: Tensor) -> None:
        """float32 [rows, pages] of one layer."""
        self._total = masses if self._total is None else self._total.add_(masses)
        self._layers += 1

    def shares(self, row: int) -> list[tuple[int, float]]:
        """(ordinal, mean share)"""
        if self._total is None:
            return []
        if self._rows is None:
            self._rows = (self._total / self._layers).tolist()
        return list(zip(self.ordinals[row].tolist(), self._rows[row], strict=False))


def visible_ordinals(policy: KVPolicy, extent: Extent, query: int, table: Ints) -> Ints:
    """As `graph.kv.visible`, on a page table that is an array (which is asked for every row of every step)."""
    size = extent.page_size
    own = query // size
    before = np.flatnonzero(table[:own] != DROPPED)
    near = max(0, query - policy.window + 1) // size
    if policy.kind == "window" and near:
        always = -(-max(policy.sinks, extent.prompt if policy.keep_prompt else 0) // size)
        stay = (before >= near) | (before < always)
        if policy.keep_media and not policy.keep_prompt:
            for first, end in extent.media:
                stay |= (before >= first // size) & (before < -(-end // size))
        before = before[stay]
    return np.append(before, own)


def decode_view(
    visible: Sequence[Ordinals], queries: Sequence[int], page_size: int, window: tuple[int, int] | None = None
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
    visible: Sequence[Ordinals], queries: Sequence[int], page_size: int, window: tuple[int, int] | None = None
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
