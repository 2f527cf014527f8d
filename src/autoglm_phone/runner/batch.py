"""Rows of a pass through a segment → what the backend needs to know of them, as explicit arguments.

Order of a pass's tokens: decoding sequences first, by context length, so that those of similar length attend in one
batched call; then the prefill chunks, one after another. Index arithmetic is numpy; tensors are made once for all
segments that the same tokens go through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from autoglm_phone.backends.base import (
    AttentionPlan,
    Backend,
    ChunkGroup,
    ContextIdentity,
    CrossGroup,
    DecodeGroup,
    SegmentMeta,
)
from autoglm_phone.runner.spec import DecoderSpec
from autoglm_phone.runner.state import RequestState

Ints = npt.NDArray[np.int64]
LOWEST = float("-inf")

# A row of a batched call pays for the longest context in it: a group takes rows up to twice its shortest and a bit.
GROUP_RATIO = 2.0
GROUP_SLACK = 64


@dataclass(frozen=True)
class Placed:
    """Tokens [start, end) of a sequence and where they lie in the pass: rows [first, first + end - start)."""

    state: RequestState
    start: int
    end: int
    first: int

    @property
    def count(self) -> int:
        return self.end - self.start


def place(spans: Sequence[tuple[RequestState, int, int]]) -> tuple[list[Placed], list[int]]:
    """Put spans (state, start, end) into the order of a pass.

    Returns the placed spans, and for each of them its index among `spans`.
    """
    order = sorted(range(len(spans)), key=lambda i: _rank(*spans[i]))
    placed, first = [], 0
    for index in order:
        state, start, end = spans[index]
        placed.append(Placed(state, start, end, first))
        first += end - start
    return placed, order


def _rank(_: RequestState, start: int, end: int) -> tuple[bool, int]:
    return (end - start > 1, end if end - start == 1 else 0)


def token_ids(placed: Sequence[Placed]) -> Ints:
    """int64 [T]"""
    return np.concatenate([np.asarray(p.state.tokens(p.start, p.end), dtype=np.int64) for p in placed])


def positions(placed: Sequence[Placed], axes: int) -> Ints:
    """int64 [T], or [3, T] when axes is 3 (M-RoPE)."""
    if axes == 3:
        plans = [(p, p.state.positions) for p in placed]
        return np.concatenate([plan.slice(p.start, p.end) for p, plan in plans if plan is not None], axis=1)
    return np.concatenate([np.arange(p.start, p.end, dtype=np.int64) for p in placed])


class Batch:
    """The metadata of a pass, per segment on demand."""

    def __init__(self, placed: Sequence[Placed], spec: DecoderSpec, backend: Backend, page_size: int):
        self.placed = placed
        self.spec = spec
        self.device = backend.device
        self.dtype = backend.dtype
        self.page_size = page_size
        self.rotary = backend.rotary(
            torch.from_numpy(positions(placed, 3 if spec.mrope_section else 1)).to(self.device)
        )
        self.cross = self._cross()
        decodes = [p for p in placed if p.count == 1]
        chunks = [p for p in placed if p.count > 1]
        self._full = _Layout(_groups(decodes, lambda p: p.end), chunks, self, None)
        self._window = None
        if spec.sliding_layers and any(p.end > spec.sliding_window for p in placed):
            self._window = _Layout(_groups(decodes, self._window_length), chunks, self, spec.sliding_window)

    def segment(self, index: int) -> SegmentMeta:
        """The pass as this segment sees it (its pages differ from other segments')."""
        size = self.page_size
        slots = []
        for p in self.placed:
            where = np.arange(p.start, p.end)
            slots.append(p.state.pages(index)[where // size] * size + where % size)
        return SegmentMeta(
            slots=torch.from_numpy(np.concatenate(slots)).to(self.device),
            full=self._full.plan(index),
            window=None if self._window is None else self._window.plan(index),
            rotary=self.rotary,
            cross=self.cross,
        )

    def _window_length(self, p: Placed) -> int:
        return min(p.end, self.spec.sliding_window + self.spec.attention_sinks)

    def _cross(self) -> list[CrossGroup]:
        groups = []
        for p in self.placed:
            if p.state.memory is not None:
                group = p.state.memory.group(p.first, p.start, p.end, self.device)
                if group is not None:
                    groups.append(group)
        return groups


def _groups(decodes: Sequence[Placed], length: Callable[[Placed], int]) -> list[list[Placed]]:
    """Cut rows (sorted by context) where padding to the longest would waste too much."""
    groups: list[list[Placed]] = []
    for p in decodes:
        if groups and length(p) <= GROUP_RATIO * length(groups[-1][0]) + GROUP_SLACK:
            groups[-1].append(p)
        else:
            groups.append([p])
    return groups


class _Layout:
    """Masks, and which ordinal pages of each row are read, for one kind of layer; page numbers come per segment."""

    def __init__(self, groups: list[list[Placed]], chunks: Sequence[Placed], batch: Batch, window: int | None):
        self.batch = batch
        self.window = window
        self.groups = [(group, *self._decode(group)) for group in groups]
        largest = max(self.groups, key=lambda g: len(g[0]) * g[2], default=None)
        # Only the largest group's identity is told: a backend has room for one dense copy.
        self.groups = [g if g is largest else (*g[:-1], None) for g in self.groups]
        self.chunks = [(p, *self._chunk(p)) for p in chunks]

    def plan(self, segment: int) -> AttentionPlan:
        device = self.batch.device
        decodes = []
        for group, ordinals, length, mask, identity in self.groups:
            decodes.append(
                DecodeGroup(
                    first=group[0].first,
                    end=group[0].first + len(group),
                    length=length,
                    mask=mask,
                    num_pages=ordinals.shape[1] if ordinals is not None else -(-length // self.batch.page_size),
                    pages=partial(self._pages, segment, group, ordinals),
                    identity=identity,
                )
            )
        chunks = []
        for p, read, length, mask in self.chunks:
            numbers = None if read is None else torch.from_numpy(p.state.pages(segment)[read]).to(device)
            chunks.append(ChunkGroup(p.first, p.first + p.count, numbers, length, mask))
        return AttentionPlan(segment, decodes, chunks)

    def _pages(self, segment: int, group: list[Placed], ordinals: Ints | None, count: int) -> torch.Tensor:
        """`count` pages of each row, long [B * count]: those at the given ordinals, or the first ones."""
        pages = np.zeros((len(group), count), dtype=np.int64)
        for i, p in enumerate(group):
            table = p.state.pages(segment)
            if ordinals is None:
                pages[i, : table.shape[0]] = table[:count]
            else:
                pages[i] = table[np.minimum(ordinals[i, :count], table.shape[0] - 1)]
        return torch.from_numpy(pages.reshape(-1)).to(self.batch.device)

    def _decode(self, group: list[Placed]) -> tuple[Ints | None, int, torch.Tensor | None, ContextIdentity | None]:
        """Page ordinals [B, P] (None: from the first on), keys a row, mask [B, 1, 1, keys] or None, identity."""
        size = self.batch.page_size
        ends = np.array([p.end for p in group], dtype=np.int64)
        ordinals: Ints | None = None
        identity = None
        if self.window is None:
            identity = ContextIdentity(
                tuple((p.state.sequence.order, p.state.revision) for p in group), tuple(p.end for p in group)
            )
            length = int(ends.max())
            if int(ends.min()) == length:
                return None, length, None, identity
            allowed = np.arange(length)[None] < ends[:, None]
        else:
            rows = [self._window_ordinals(p.end - 1, p.end) for p in group]
            most = max(row.shape[0] for row in rows)
            far = np.iinfo(np.int32).max // size  # padding: a position after every token
            ordinals = np.stack([np.pad(row, (0, most - row.shape[0]), constant_values=far) for row in rows])
            keys = (ordinals[:, :, None] * size + np.arange(size)).reshape(len(group), -1)
            length = keys.shape[1]
            allowed = self._seen(keys, (ends - 1)[:, None])
        mask = np.where(allowed, np.float32(0), np.float32(LOWEST))[:, None, None, :]
        return ordinals, length, torch.from_numpy(mask).to(device=self.batch.device, dtype=self.batch.dtype), identity

    def _chunk(self, p: Placed) -> tuple[Ints | None, int, torch.Tensor | None]:
        """Page ordinals [P] or None, number of keys, mask bool [rows, keys] or None."""
        size, start, end = self.batch.page_size, p.start, p.end
        queries = np.arange(start, end)[:, None]
        if start == 0:
            if self.window is None or end <= self.window:
                return None, end, None
            return None, end, self._mask(self._seen(np.arange(end)[None], queries))
        if self.window is None:
            ordinals = np.arange(-(-end // size))
            return ordinals, end, self._mask(np.arange(end)[None] <= queries)
        ordinals = self._window_ordinals(start, end)
        keys = (ordinals[:, None] * size + np.arange(size)).reshape(-1)
        return ordinals, keys.shape[0], self._mask(self._seen(keys[None], queries))

    def _window_ordinals(self, first_query: int, end: int) -> Ints:
        """Pages that hold the sinks, and those from the first query's window to the last query."""
        size, window = self.batch.page_size, self.window or 0
        sinks = np.arange(-(-min(self.batch.spec.attention_sinks, end) // size))
        near = np.arange(max(0, first_query - window + 1) // size, -(-end // size))
        return np.union1d(sinks, near).astype(np.int64)

    def _seen(self, keys: Ints, queries: Ints) -> npt.NDArray[np.bool_]:
        window, sinks = self.window or 0, self.batch.spec.attention_sinks
        return (keys <= queries) & ((keys > queries - window) | (keys < sinks))

    def _mask(self, allowed: npt.NDArray[np.bool_]) -> torch.Tensor:
        return torch.from_numpy(allowed).to(self.batch.device)
