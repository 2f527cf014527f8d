"""The order of a pass's tokens.

First the sequences that bring one token or a few (decoding, checking drafts, catching up), in groups of similar context
length that attend in one batched call; inside a group by arrival, so that the same sequences are the same rows in the
next step. Then the prefill chunks, one after another.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from autoglm_phone.runner.state import RequestState

Ints = npt.NDArray[np.int64]
Span = tuple[RequestState, int, int]

# A row of a batched call pays for the longest context in it: a group takes rows up to twice its shortest and a bit.
GROUP_RATIO = 2.0
GROUP_SLACK = 64
FEW = 9  # tokens of a sequence in a batched call at most: the drafts of a step and one


@dataclass(frozen=True)
class Placed:
    """Tokens [start, end) of a sequence and where they lie in the pass: rows [first, first + end - start).

    grouped: attends in a batched call.
    """

    state: RequestState
    start: int
    end: int
    first: int
    keeping: tuple[int, str | None] = (0, None)  # RequestState.keeping
    grouped: bool = False

    @property
    def count(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class _Ranked:
    index: int  # among the spans
    span: Span
    keeping: tuple[int, str | None]
    length: int  # keys that it reads, about

    @property
    def order(self) -> int:
        return self.span[0].sequence.order


def place(spans: Sequence[Span]) -> tuple[list[Placed], list[int]]:
    """Put spans (state, start, end) into the order of a pass.

    Returns the placed spans, and for each of them its index among `spans`.
    """
    few: list[_Ranked] = []
    chunks: list[_Ranked] = []
    for index, (state, start, end) in enumerate(spans):
        keeping = state.keeping
        length = seen_length(state, end, keeping)
        alone = end - start > 1 and (end - start > FEW or start == 0 or keeping[0] in (1, 2))
        (chunks if alone else few).append(_Ranked(index, (state, start, end), keeping, length))
    if len(few) > 1:
        few.sort(key=lambda r: (r.keeping[0], r.keeping[1] or "", r.length))
        few = [r for group in cut(few) for r in sorted(group, key=lambda r: r.order)]
    placed: list[Placed] = []
    order, first = [], 0
    for ranked in (*few, *chunks):
        state, start, end = ranked.span
        placed.append(Placed(state, start, end, first, ranked.keeping, len(placed) < len(few)))
        order.append(ranked.index)
        first += end - start
    return placed, order


def cut(rows: Iterable[_Ranked]) -> list[list[_Ranked]]:
    """Cut where the way of reading changes, and where padding to the longest would waste too much."""
    groups: list[list[_Ranked]] = []
    shortest, longest, before = 0, 0, None
    for row in rows:
        low, high = min(shortest, row.length), max(longest, row.length)
        if groups and row.keeping == before and fit_together(low, high):
            groups[-1].append(row)
            shortest, longest = low, high
        else:
            groups.append([row])
            shortest = longest = row.length
            before = row.keeping
    return groups


def fit_together(shortest: int, longest: int) -> bool:
    """Whether contexts of these lengths should share a batched call."""
    return longest <= GROUP_RATIO * shortest + GROUP_SLACK


def seen_length(state: RequestState, end: int, keeping: tuple[int, str | None]) -> int:
    """About how many keys the token before `end` reads."""
    if keeping[0] not in (1, 2):
        return end
    policy = state.sequence.plan.kv
    always = state.sequence.prompt_length if policy.keep_prompt else policy.sinks
    most = max(policy.budget, always) if policy.kind == "evict" else policy.window + always
    return min(end, most)


def token_ids(placed: Sequence[Placed]) -> Ints:
    """int64 [T]"""
    return np.array([token for p in placed for token in p.state.tokens(p.start, p.end)], dtype=np.int64)


def positions(placed: Sequence[Placed], axes: int) -> Ints:
    """int64 [T], or [3, T] when axes is 3 (M-RoPE)."""
    if axes == 3:
        plans = [(p, p.state.positions) for p in placed]
        return np.concatenate([plan.slice(p.start, p.end) for p, plan in plans if plan is not None], axis=1)
    if all(p.count == 1 for p in placed):
        return np.array([p.start for p in placed], dtype=np.int64)
    if len(placed) == 1:
        return np.arange(placed[0].start, placed[0].end, dtype=np.int64)
    return np.concatenate([np.arange(p.start, p.end, dtype=np.int64) for p in placed])


def insert_states(hidden: Tensor, p: Placed) -> None:
    """Put tower states where the span's picture tokens are (GLM-4.1V). hidden: [T, H] of the whole pass."""
    for position, states in p.state.inline:
        first, end = max(position, p.start), min(position + states.shape[0], p.end)
        if first < end:
            offset = p.first - p.start
            hidden[first + offset : end + offset] = states[first - position : end - position]
