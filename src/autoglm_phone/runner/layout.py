"""Who attends to what in a pass: masks, and which ordinal pages of each sequence are read, for one kind of layer.

Page numbers come per segment (`Layout.plan`); everything else is the same in all segments in which the same pages were
given back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from autoglm_phone.backends.base import (
    AttentionPlan,
    ChunkGroup,
    ContextIdentity,
    DecodeGroup,
    NarrowRows,
    Queries,
)
from autoglm_phone.runner.kv_view import Look, chunk_view, decode_view
from autoglm_phone.runner.placed import Ints, Placed, fit_together, seen_length
from autoglm_phone.runner.spec import DecoderSpec

Bools = npt.NDArray[np.bool_]
LOWEST = float("-inf")


@dataclass(frozen=True)
class PassFacts:
    """What a layout has to know of its pass."""

    placed: Sequence[Placed]
    spec: DecoderSpec
    device: torch.device
    dtype: torch.dtype
    page_size: int

    def page_tokens(self, p: Placed) -> int:
        """Tokens that a page of this sequence holds."""
        return self.page_size * p.state.sequence.pack

    def tensor(self, values: npt.NDArray[np.generic]) -> torch.Tensor:
        return torch.from_numpy(values).to(self.device)


@dataclass(frozen=True)
class _Group:
    """Rows of a batched call. ordinals [B, P]: pages that each sequence reads; None: from the first on. length: keys of
    the longest. size: tokens a page. seen: per sequence, the ordinals without padding (evict). See also DecodeGroup."""

    rows: list[Placed]
    ordinals: Ints | None
    length: int
    mask: torch.Tensor | None
    identity: ContextIdentity | None
    size: int
    narrow: str | None
    seen: list[Ints] | None
    queries: Queries | None = None


@dataclass(frozen=True)
class _Chunk:
    """Rows of one sequence. ordinals [P], None: its own keys are all there is."""

    rows: Placed
    ordinals: Ints | None
    length: int
    mask: torch.Tensor | None
    narrow: str | None
    looks: bool


class Layout:
    """See the module's docstring.

    Args:
        segment: one of those that it is for. window: width of sliding layers; None: layers that see everything.
    """

    def __init__(self, facts: PassFacts, segment: int, window: int | None):
        self.facts = facts
        self.segment = segment
        self.window = window
        groups = [self._decode(rows) for rows in self._cut([p for p in facts.placed if p.grouped])]
        # Only one group's identity is told: a backend has room for one dense copy. Those that read whole contexts
        # come first, as theirs last longer.
        told = [g for g in groups if g.identity is not None]
        chosen = max(told, key=lambda g: (g.ordinals is None, len(g.rows) * g.length), default=None)
        self.groups = [g if g is chosen or g.identity is None else replace(g, identity=None) for g in groups]
        self.chunks = [self._chunk(p) for p in facts.placed if not p.grouped]

    def plan(self, segment: int, narrow: Sequence[NarrowRows] = (), wide: torch.Tensor | None = None) -> AttentionPlan:
        """narrow, wide: see AttentionPlan."""
        decodes, chunks = [], []
        for g in self.groups:
            masses = None
            if g.seen is not None:
                look = Look(g.seen)
                masses = look.add
                for row, p in enumerate(g.rows):
                    if p.end >= p.state.sequence.prompt_length:  # how a prompt was cut must not count
                        p.state.looks.append((look, row))
            first, last = g.rows[0], g.rows[-1]
            decodes.append(
                DecodeGroup(
                    first=first.first,
                    end=last.first + last.count,
                    length=g.length,
                    mask=g.mask,
                    num_pages=g.ordinals.shape[1] if g.ordinals is not None else -(-g.length // g.size),
                    pages=self._pages(segment, g),
                    identity=g.identity,
                    narrow=g.narrow,
                    masses=masses,
                    queries=g.queries,
                )
            )
        for c in self.chunks:
            p, masses = c.rows, None
            if c.looks:
                look = Look([np.arange(-(-p.end // self.facts.page_size)) if c.ordinals is None else c.ordinals])
                masses = look.add
                p.state.looks.append((look, 0))
            numbers = None if c.ordinals is None else self.facts.tensor(p.state.pages(segment)[c.ordinals])
            chunks.append(ChunkGroup(p.first, p.first + p.count, numbers, c.length, c.mask, c.narrow, masses))
        return AttentionPlan(segment, decodes, chunks, narrow, wide)

    def _cut(self, grouped: Sequence[Placed]) -> list[list[Placed]]:
        """The groups of `placed.place`, cut anew where a window makes long contexts alike or masks differ."""
        groups: list[list[Placed]] = []
        shortest, longest, before = 0, 0, None
        for p in grouped:
            length = seen_length(p.state, p.end, p.keeping)
            if self.window is not None:
                length = min(length, self.window + self.facts.spec.attention_sinks)
            low, high = min(shortest, length), max(longest, length)
            if groups and p.keeping == before and fit_together(low, high):
                groups[-1].append(p)
                shortest, longest = low, high
            else:
                groups.append([p])
                shortest = longest = length
                before = p.keeping
        return groups

    def _pages(self, segment: int, group: _Group) -> Callable[[int], torch.Tensor]:
        """P → P pages of each sequence, long [B * P]: those at the given ordinals, or the first ones; padded with the
        sequence's own, as those of others may hold anything. Layers ask for the same number one after another."""
        known: dict[int, torch.Tensor] = {}

        def numbers(count: int) -> torch.Tensor:
            if count not in known:
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
                known[count] = self.facts.tensor(pages.reshape(-1))
            return known[count]

        return numbers

    def _decode(self, rows: list[Placed]) -> _Group:
        size = self.facts.page_tokens(rows[0])
        cls, narrow = rows[0].keeping
        if cls in (1, 2):
            return self._decode_viewed(rows, looks=cls == 2)
        queries = self._queries(rows)
        if self.window is None:
            identity = None
            if narrow is None:
                identity = ContextIdentity(
                    tuple((p.state.sequence.order, p.state.sequence.epoch) for p in rows),
                    tuple(p.end for p in rows),
                    tuple(p.start for p in rows),
                    tuple((len(p.state.cuts), p.state.cuts) for p in rows),
                )
            length = max(p.end for p in rows)
            if queries is None:
                mask = self._short([p.end for p in rows])
            elif len(rows) == 1:
                mask = self._causal(queries.most, length)
            else:
                mask = self._additive(np.arange(length) < _last_keys(rows, queries.most)[:, :, None])
            return _Group(rows, None, length, mask, identity, size, narrow, None, queries)
        sliding = (self.window, self.facts.spec.attention_sinks)
        read = [self._window_ordinals(p.start, p.end, size) for p in rows]
        if queries is None:
            view = decode_view(read, [p.start for p in rows], size, sliding)
            allowed = view.allowed[:, None]
        else:
            # A sequence's queries read the same pages: laid out as rows of their own, then put together again.
            last = _last_keys(rows, queries.most)
            repeated = [some for some in read for _ in range(queries.most)]
            view = decode_view(repeated, (last - 1).reshape(-1).tolist(), size, sliding)
            allowed = view.allowed.reshape(len(rows), queries.most, -1)
            view = view._replace(ordinals=view.ordinals[:: queries.most])
        mask = self._additive(allowed)
        return _Group(rows, view.ordinals, allowed.shape[-1], mask, None, size, narrow, None, queries)

    def _queries(self, rows: list[Placed]) -> Queries | None:
        """None if every sequence brings one token."""
        counts = [p.count for p in rows]
        most = max(counts)
        if most == 1:
            return None
        if min(counts) == most:
            return Queries(most, None, None)
        take: list[int] = []
        back: list[int] = []
        first = 0
        for place, count in enumerate(counts):
            take += [*range(first, first + count), *[first] * (most - count)]
            back += range(place * most, place * most + count)
            first += count
        return Queries(most, self.facts.tensor(np.array(take)), self.facts.tensor(np.array(back)))

    def _decode_viewed(self, rows: list[Placed], *, looks: bool) -> _Group:
        """Rows that miss pages. What is left of a context is as good as a whole one, read page after page."""
        size, queries = self.facts.page_size, [p.end - 1 for p in rows]
        seen = [p.state.visible(self.segment, query, size) for p, query in zip(rows, queries, strict=True)]
        if self.window is not None:
            near = [self._window_ordinals(query, query + 1, size) for query in queries]
            seen = [np.intersect1d(some, close) for some, close in zip(seen, near, strict=True)]
            view = decode_view(seen, queries, size, (self.window, self.facts.spec.attention_sinks))
            length, hidden = view.allowed.shape[1], self._additive(view.allowed[:, None])
            return _Group(rows, view.ordinals, length, hidden, None, size, None, seen if looks else None)
        most = max(some.shape[0] for some in seen)
        ordinals = np.stack([np.pad(some, (0, most - some.shape[0]), constant_values=some[0]) for some in seen])
        lengths = [(some.shape[0] - 1) * size + query % size + 1 for some, query in zip(seen, queries, strict=True)]
        # The same pages, one token further: as long as as many are missing and none was given back since.
        names = []
        for p, some, query in zip(rows, seen, queries, strict=True):
            missing = query // size + 1 - some.shape[0]
            names.append((p.state.sequence.order, (p.state.revision << 24) + missing))
        ends = tuple(lengths)
        identity = ContextIdentity(tuple(names), ends, tuple(end - 1 for end in ends), ((0, ()),) * len(rows))
        mask = self._short(lengths)
        return _Group(rows, ordinals, max(lengths), mask, identity, size, None, seen if looks else None)

    def _short(self, lengths: Sequence[int]) -> torch.Tensor | None:
        """Mask of rows shorter than the longest, if any is."""
        longest = max(lengths)
        if min(lengths) == longest:
            return None
        return self._additive(np.arange(longest) < np.array(lengths)[:, None, None])

    def _causal(self, queries: int, length: int) -> torch.Tensor:
        """Mask of a sequence's newest tokens, as `_additive` makes it."""
        heads = self.facts.spec.heads // self.facts.spec.kv_heads
        mask = np.zeros((queries, 1, length), dtype=np.float32)
        for nth in range(queries - 1):
            mask[nth, 0, length - queries + 1 + nth :] = LOWEST
        return self.facts.tensor(mask.repeat(heads, axis=1).reshape(1, 1, queries * heads, length)).to(self.facts.dtype)

    def _additive(self, allowed: Bools) -> torch.Tensor:
        """[B, Q, keys] → [B, 1, Q * query heads of a key head, keys]; [B, 1, 1, keys] where Q is 1."""
        if allowed.shape[1] > 1:
            allowed = np.repeat(allowed, self.facts.spec.heads // self.facts.spec.kv_heads, axis=1)
        mask = np.where(allowed, np.float32(0), np.float32(LOWEST))[:, None]
        return torch.from_numpy(mask).to(device=self.facts.device, dtype=self.facts.dtype)

    def _chunk(self, p: Placed) -> _Chunk:
        (cls, narrow), size = p.keeping, self.facts.page_tokens(p)
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
        size, queries = self.facts.page_size, range(p.start, p.end)
        seen = [p.state.visible(self.segment, query, size) for query in queries]
        sliding = None
        if self.window is not None:
            sliding = (self.window, self.facts.spec.attention_sinks)
            close = self._window_ordinals(p.start, p.end, size)
            seen = [np.intersect1d(some, close) for some in seen]
        view = chunk_view(seen, queries, size, sliding)
        return _Chunk(p, view.ordinals, view.allowed.shape[1], self._mask(view.allowed), None, looks)

    def _window_ordinals(self, first_query: int, end: int, size: int) -> Ints:
        """Pages that hold the sinks, and those from the first query's window to the last query."""
        window = self.window or 0
        sinks = np.arange(-(-min(self.facts.spec.attention_sinks, end) // size))
        near = np.arange(max(0, first_query - window + 1) // size, -(-end // size))
        return np.union1d(sinks, near).astype(np.int64)

    def _seen(self, keys: Ints, queries: Ints) -> Bools:
        window, sinks = self.window or 0, self.facts.spec.attention_sinks
        return (keys <= queries) & ((keys > queries - window) | (keys < sinks))

    def _mask(self, allowed: Bools) -> torch.Tensor:
        return torch.from_numpy(allowed).to(self.facts.device)


def _last_keys(rows: Sequence[Placed], most: int) -> Ints:
    """[B, Q]: keys that each query may see at most; the padding sees what the first one does."""
    nth = np.arange(most)[None]
    counts = np.array([p.count for p in rows])[:, None]
    return np.array([p.start for p in rows], dtype=np.int64)[:, None] + 1 + np.where(nth < counts, nth, 0)
