"""Rows of a pass through a segment → what the backend needs to know of them, as explicit arguments.

Order of a pass's tokens: decoding sequences first, by context length, so that those of similar length attend in one
batched call; then the prefill chunks, one after another. Index arithmetic is numpy; tensors are made once for all
segments that the same tokens go through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    NarrowRows,
    SegmentMeta,
)
from autoglm_phone.runner.kv_view import Look, chunk_view, decode_view
from autoglm_phone.runner.spec import DecoderSpec
from autoglm_phone.runner.state import RequestState

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
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
    keeping: tuple[int, str | None] = (0, None)  # RequestState.keeping

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
        placed.append(Placed(state, start, end, first, state.keeping))
        first += end - start
    return placed, order


def _rank(state: RequestState, start: int, end: int) -> tuple[bool, tuple[int, str], int]:
    # Rows that read their pages alike lie side by side.
    if end - start > 1:
        return True, (0, ""), 0
    cls, kind = state.keeping
    if cls in (1, 2):
        end = min(end, _most_seen(state))
    return False, (cls, kind or ""), end


def _most_seen(state: RequestState) -> int:
    """About how many tokens a dropping policy leaves to read."""
    policy = state.sequence.plan.kv
    always = state.sequence.prompt_length if policy.keep_prompt else policy.sinks
    return max(policy.budget, always) if policy.kind == "evict" else policy.window + always


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
        self.decodes = [p for p in placed if p.count == 1]
        self.chunks = [p for p in placed if p.count > 1]
        self._viewed = [p for p in placed if p.keeping[0] in (1, 2)]
        self._slides = bool(spec.sliding_layers) and any(p.end > spec.sliding_window for p in placed)
        self._layouts: dict[tuple[int | None, bytes], _Layout] = {}

    def segment(self, index: int) -> SegmentMeta:
        """The pass as this segment sees it (its pages differ from other segments')."""
        wide: list[Ints] = []
        narrow: dict[str, list[tuple[Ints, Ints]]] = {}
        rows = []
        for p in self.placed:
            kind = p.keeping[1]
            where = np.arange(p.start, p.end)
            size = self.page_tokens(p)
            slots = p.state.pages(index)[where // size] * size + where % size
            if kind is None:
                wide.append(slots)
                rows.append(p)
            else:
                narrow.setdefault(kind, []).append((np.arange(p.first, p.first + p.count), slots))
        plain = None
        if narrow:
            plain = self.tensor(_joined([np.arange(p.first, p.first + p.count) for p in rows]))
        written = [
            NarrowRows(kind, self.tensor(_joined([r for r, _ in parts])), self.tensor(_joined([s for _, s in parts])))
            for kind, parts in narrow.items()
        ]
        window = self.spec.sliding_window
        return SegmentMeta(
            slots=self.tensor(_joined(wide)),
            full=replace(self._layout(index, None).plan(index), narrow=written, wide=plain),
            window=replace(self._layout(index, window).plan(index), narrow=written, wide=plain)
            if self._slides
            else None,
            rotary=self.rotary,
            cross=self.cross,
        )

    def page_tokens(self, p: Placed) -> int:
        """Tokens that a page of this sequence holds."""
        return self.page_size * p.state.sequence.pack

    def tensor(self, values: Ints) -> torch.Tensor:
        return torch.from_numpy(values).to(self.device)

    def _layout(self, segment: int, window: int | None) -> _Layout:
        """Made once for all segments in which the same pages were given back."""
        gaps = b"".join((p.state.pages(segment) < 0).tobytes() + b"|" for p in self._viewed)
        key = (window, gaps)
        if key not in self._layouts:
            self._layouts[key] = _Layout(self, segment, window)
        return self._layouts[key]

    def _cross(self) -> list[CrossGroup]:
        groups = []
        for p in self.placed:
            if p.state.memory is not None:
                group = p.state.memory.group(p.first, p.start, p.end, self.device)
                if group is not None:
                    groups.append(group)
        return groups


def _joined(parts: Sequence[Ints]) -> Ints:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class _Group:
    """Rows of a batched call. ordinals [B, P]: pages that each row reads; None: from the first on. length: keys a row.
    size: tokens a page. seen: per row, the ordinals without padding (evict)."""

    rows: list[Placed]
    ordinals: Ints | None
    length: int
    mask: torch.Tensor | None
    identity: ContextIdentity | None
    size: int
    narrow: str | None
    seen: list[Ints] | None


@dataclass(frozen=True)
class _Chunk:
    """Rows of one sequence. ordinals [P], None: its own keys are all there is."""

    rows: Placed
    ordinals: Ints | None
    length: int
    mask: torch.Tensor | None
    narrow: str | None
    looks: bool


class _Layout:
    """Masks, and which ordinal pages of each row are read, for one kind of layer; page numbers come per segment."""

    def __init__(self, batch: Batch, segment: int, window: int | None):
        self.batch = batch
        self.segment = segment
        self.window = window
        groups = [self._decode(rows) for rows in self._cut(batch.decodes)]
        # Only one group's identity is told: a backend has room for one dense copy. Those that read whole contexts
        # come first, as theirs last longer.
        told = [g for g in groups if g.identity is not None]
        chosen = max(told, key=lambda g: (g.ordinals is None, len(g.rows) * g.length), default=None)
        self.groups = [g if g is chosen else replace(g, identity=None) for g in groups]
        self.chunks = [self._chunk(p) for p in batch.chunks]

    def plan(self, segment: int) -> AttentionPlan:
        decodes, chunks = [], []
        for g in self.groups:
            masses = None
            if g.seen is not None:
                look = Look(g.seen)
                masses = look.add
                for row, p in enumerate(g.rows):
                    p.state.looks.append((look, row))
            decodes.append(
                DecodeGroup(
                    first=g.rows[0].first,
                    end=g.rows[0].first + len(g.rows),
                    length=g.length,
                    mask=g.mask,
                    num_pages=g.ordinals.shape[1] if g.ordinals is not None else -(-g.length // g.size),
                    pages=partial(self._pages, segment, g),
                    identity=g.identity,
                    narrow=g.narrow,
                    masses=masses,
                )
            )
        for c in self.chunks:
            p, masses = c.rows, None
            if c.looks and c.ordinals is not None:
                look = Look([c.ordinals])
                masses = look.add
                p.state.looks.append((look, 0))
            numbers = None if c.ordinals is None else self.batch.tensor(p.state.pages(segment)[c.ordinals])
            chunks.append(ChunkGroup(p.first, p.first + p.count, numbers, c.length, c.mask, c.narrow, masses))
        return AttentionPlan(segment, decodes, chunks)

    def _cut(self, decodes: Sequence[Placed]) -> list[list[Placed]]:
        """Cut rows (sorted by context) where the way of reading changes, and where padding to the longest would waste
        too much."""
        groups: list[list[Placed]] = []
        shortest, before = 0, None
        for p in decodes:
            length, keeping = self._length(p), p.keeping
            if keeping == before and length <= GROUP_RATIO * shortest + GROUP_SLACK:
                groups[-1].append(p)
                shortest = min(shortest, length)
            else:
                groups.append([p])
                shortest, before = length, keeping
        return groups

    def _length(self, p: Placed) -> int:
        length = p.end
        if p.keeping[0] in (1, 2):
            length = min(length, _most_seen(p.state))
        if self.window is not None:
            length = min(length, self.window + self.batch.spec.attention_sinks)
        return length

    def _pages(self, segment: int, group: _Group, count: int) -> torch.Tensor:
        """`count` pages of each row, long [B * count]: those at the given ordinals, or the first ones; padded with the
        row's own, as those of others may hold anything."""
        pages = np.empty((len(group.rows), count), dtype=np.int64)
        for i, p in enumerate(group.rows):
            table = p.state.pages(segment)
            if group.ordinals is None:
                held = min(count, -(-p.end // group.size))
                pages[i, :held] = table[:held]
                pages[i, held:] = table[0]
            else:
                read = group.ordinals[i, :count]
                pages[i, : read.shape[0]] = table[read]
                pages[i, read.shape[0] :] = table[read[0]]
        return self.batch.tensor(pages.reshape(-1))

    def _decode(self, rows: list[Placed]) -> _Group:
        size = self.batch.page_tokens(rows[0])
        (cls, narrow), ends = rows[0].keeping, np.array([p.end for p in rows], dtype=np.int64)
        if cls in (1, 2):
            return self._decode_viewed(rows, looks=cls == 2)
        if self.window is None:
            identity = None
            if narrow is None:
                identity = ContextIdentity(
                    tuple((p.state.sequence.order, p.state.revision) for p in rows), tuple(p.end for p in rows)
                )
            length = int(ends.max())
            return _Group(rows, None, length, self._short(ends), identity, size, narrow, None)
        read = [self._window_ordinals(p.end - 1, p.end, size) for p in rows]
        view = decode_view(read, (ends - 1).tolist(), size, (self.window, self.batch.spec.attention_sinks))
        mask = self._additive(view.allowed)
        return _Group(rows, view.ordinals, view.allowed.shape[1], mask, None, size, narrow, None)

    def _decode_viewed(self, rows: list[Placed], *, looks: bool) -> _Group:
        """Rows that miss pages. What is left of a context is as good as a whole one, read page after page."""
        size, queries = self.batch.page_size, [p.end - 1 for p in rows]
        seen = [p.state.visible(self.segment, query, size) for p, query in zip(rows, queries, strict=True)]
        if self.window is not None:
            near = [self._window_ordinals(query, query + 1, size) for query in queries]
            seen = [np.intersect1d(some, close) for some, close in zip(seen, near, strict=True)]
            view = decode_view(seen, queries, size, (self.window, self.batch.spec.attention_sinks))
            length, hidden = view.allowed.shape[1], self._additive(view.allowed)
            return _Group(rows, view.ordinals, length, hidden, None, size, None, seen if looks else None)
        most = max(some.shape[0] for some in seen)
        ordinals = np.stack([np.pad(some, (0, most - some.shape[0]), constant_values=some[0]) for some in seen])
        lengths = np.array(
            [(some.shape[0] - 1) * size + query % size + 1 for some, query in zip(seen, queries, strict=True)]
        )
        # The same pages, one token further: as long as as many are missing and none was given back since.
        names = []
        for p, some, query in zip(rows, seen, queries, strict=True):
            missing = query // size + 1 - some.shape[0]
            names.append((p.state.sequence.order, (p.state.revision << 24) + missing))
        identity = ContextIdentity(tuple(names), tuple(lengths.tolist()))
        mask = self._short(lengths)
        return _Group(rows, ordinals, int(lengths.max()), mask, identity, size, None, seen if looks else None)

    def _short(self, lengths: Ints) -> torch.Tensor | None:
        """Mask of rows shorter than the longest, if any is."""
        longest = int(lengths.max())
        if int(lengths.min()) == longest:
            return None
        return self._additive(np.arange(longest)[None] < lengths[:, None])

    def _additive(self, allowed: Bools) -> torch.Tensor:
        """[B, keys] → [B, 1, 1, keys]"""
        mask = np.where(allowed, np.float32(0), np.float32(LOWEST))[:, None, None, :]
        return torch.from_numpy(mask).to(device=self.batch.device, dtype=self.batch.dtype)

    def _chunk(self, p: Placed) -> _Chunk:
        (cls, narrow), size = p.keeping, self.batch.page_tokens(p)
        start, end = p.start, p.end
        looks = cls == 2 and end >= p.state.sequence.prompt_length
        if cls in (1, 2):
            last = p.state.visible(self.segment, end - 1, size)
            if last.shape[0] <= (end - 1) // size:
                return self._chunk_viewed(p, looks=looks)
        queries = np.arange(start, end)[:, None]
        if start == 0:
            if self.window is None or end <= self.window:
                return _Chunk(p, None, end, None, narrow, looks)
            return _Chunk(p, None, end, self._mask(self._seen(np.arange(end)[None], queries)), narrow, looks)
        if self.window is None:
            ordinals = np.arange(-(-end // size))
            return _Chunk(p, ordinals, end, self._mask(np.arange(end)[None] <= queries), narrow, looks)
        ordinals = self._window_ordinals(start, end, size)
        keys = (ordinals[:, None] * size + np.arange(size)).reshape(-1)
        return _Chunk(p, ordinals, keys.shape[0], self._mask(self._seen(keys[None], queries)), narrow, looks)

    def _chunk_viewed(self, p: Placed, *, looks: bool) -> _Chunk:
        """Rows that miss pages, each perhaps others."""
        size, queries = self.batch.page_size, range(p.start, p.end)
        seen = [p.state.visible(self.segment, query, size) for query in queries]
        sliding = None
        if self.window is not None:
            sliding = (self.window, self.batch.spec.attention_sinks)
            close = self._window_ordinals(p.start, p.end, size)
            seen = [np.intersect1d(some, close) for some in seen]
        view = chunk_view(seen, queries, size, sliding)
        return _Chunk(p, view.ordinals, view.allowed.shape[1], self._mask(view.allowed), None, looks)

    def _window_ordinals(self, first_query: int, end: int, size: int) -> Ints:
        """Pages that hold the sinks, and those from the first query's window to the last query."""
        window = self.window or 0
        sinks = np.arange(-(-min(self.batch.spec.attention_sinks, end) // size))
        near = np.arange(max(0, first_query - window + 1) // size, -(-end // size))
        return np.union1d(sinks, near).astype(np.int64)

    def _seen(self, keys: Ints, queries: Ints) -> Bools:
        window, sinks = self.window or 0, self.batch.spec.attention_sinks
        return (keys <= queries) & ((keys > queries - window) | (keys < sinks))

    def _mask(self, allowed: Bools) -> torch.Tensor:
        return torch.from_numpy(allowed).to(self.batch.device)
