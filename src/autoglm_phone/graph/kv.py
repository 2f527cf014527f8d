"""Which KV pages of a request stay: the policies as arithmetic on page ordinals. No tensors.

An ordinal is a page's place in its sequence: ordinal i holds tokens [i * page_size, (i + 1) * page_size). Ordinals and
token positions never change; a page that was given back leaves DROPPED in its place of the page table, so every index
computed from a position still holds.

- `window`: attention sinks and a sliding window (StreamingLLM, Xiao et al. 2023), rounded out to whole pages.
- `evict`: the pages with the largest share of recent attention stay, under a budget, besides sinks and the newest ones
  (H2O, Zhang et al. 2023; SnapKV, Li et al. 2024, which takes the share over an observation window, as ScoreBook does).
- `full`, `int8`, `fp8` keep every page.

Segments of one sequence lag behind one another. `window` asks each of them by its own frontier, and any query sees the
same pages in all; `evict` must decide once for all segments, at the frontier of the deepest (a page that is not written
yet can't be judged).

What a page holds decides, not when the question is asked: a page that `kept` leaves out at some length is left out at
every later length (evict: once it was given back). So dropping early or late gives the same visible keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from autoglm_phone.errors import EngineError
from autoglm_phone.graph.plan import KVKind, KVPolicy

DROPPED = -1  # in a page table: this page was given back
DROPPING: frozenset[KVKind] = frozenset({"window", "evict"})  # kinds that give pages back
NARROW: frozenset[KVKind] = frozenset({"int8", "fp8"})  # kinds that store a byte a number, and a scale a head and token
RECENT_SHARE = 0.25  # of an evicting budget, kept for the newest pages whatever their score (H2O uses a half)


@dataclass(frozen=True)
class Extent:
    """What one segment holds of a sequence.

    length: tokens that the segment has processed (its frontier); the next query stands at this position.
    prompt: tokens of the prompt. media: [first, end) token spans of pictures and sound inside the prompt.
    """

    length: int
    prompt: int
    page_size: int
    media: tuple[tuple[int, int], ...] = ()

    @property
    def num_pages(self) -> int:
        return -(-self.length // self.page_size)


def kept(policy: KVPolicy, extent: Extent, scores: Mapping[int, float] | None = None) -> list[int]:
    """Ordinals that the query at `extent.length` may read, rising; all other pages can be given back.

    Args:
        scores: for `evict`, attention mass by ordinal; a page without one counts as never looked at. None keeps all
            pages until there are scores.
    """
    every = range(extent.num_pages)
    if policy.kind == "window":
        near = max(0, extent.length - policy.window + 1) // extent.page_size
        fixed = exempt(policy, extent)
        return [page for page in every if page >= near or page in fixed]
    if policy.kind == "evict" and scores is not None:
        return _evicted(policy, extent, scores)
    return list(every)


def sweep_mark(policy: KVPolicy, extent: Extent, scored: bool) -> int:
    """Changes whenever `kept` may leave out a page that it kept before: the host need not ask `kept` more often."""
    if policy.kind == "window":
        return max(0, extent.length - policy.window + 1) // extent.page_size
    return extent.num_pages if scored else -1


def exempt(policy: KVPolicy, extent: Extent) -> set[int]:
    """Pages that stay whatever happens: sinks, and the prompt's or its media's where the policy says so."""
    size = extent.page_size
    pages = set(range(min(extent.num_pages, -(-policy.sinks // size))))
    if policy.keep_prompt:
        pages |= set(range(min(extent.num_pages, -(-extent.prompt // size))))
    elif policy.keep_media:
        for first, end in extent.media:
            pages |= set(range(first // size, min(extent.num_pages, -(-end // size))))
    return pages


def _evicted(policy: KVPolicy, extent: Extent, scores: Mapping[int, float]) -> list[int]:
    count = extent.num_pages
    room = max(1, policy.budget // extent.page_size)
    fixed = exempt(policy, extent)
    recent = max(1, int(room * RECENT_SHARE))
    fixed |= set(range(max(0, count - recent), count))
    others = sorted((page for page in range(count) if page not in fixed), key=lambda page: (-scores.get(page, 0), page))
    return sorted(fixed | set(others[: max(0, room - len(fixed))]))


def give_back(table: list[int], keep: Iterable[int], extent: Extent) -> list[int]:
    """Mark the pages that are not kept as dropped in a page table; returns them, newest first, for `PagePool.free`.

    Pages beyond the extent (allocated, not yet written) stay.
    """
    wanted = set(keep)
    if len(table) < extent.num_pages:
        raise EngineError(f"a page table of {len(table)} pages can't hold {extent.length} tokens")
    freed = []
    for ordinal in reversed(range(extent.num_pages)):
        if ordinal not in wanted and table[ordinal] != DROPPED:
            freed.append(table[ordinal])
            table[ordinal] = DROPPED
    return freed


def visible(
    policy: KVPolicy, extent: Extent, query: int, table: Sequence[int], scores: Mapping[int, float] | None = None
) -> list[int]:
    """Ordinals that the token at position `query` reads: what the policy keeps for it and nobody gave back yet, and
    the page that the token itself is written to."""
    at = Extent(query, extent.prompt, extent.page_size, extent.media)
    own = query // extent.page_size
    ordinals = [page for page in kept(policy, at, scores) if page != own and table[page] != DROPPED]
    return [*ordinals, own]


def visible_keys(ordinals: Sequence[int], query: int, page_size: int) -> list[int]:
    """Positions of the keys that lie in these pages and are not after the query, in the order in which pages are read.

    Their number is the row's context length; its mask hides the rest of the last page."""
    return [
        position
        for page in ordinals
        for position in range(page * page_size, min((page + 1) * page_size, query + 1))
    ]  # fmt: skip


def expected_share(policy: KVPolicy, prompt: int, output: int) -> float:
    """Live KV bytes over those of `full`, after `prompt` + `output` tokens, by the policy's own arithmetic."""
    total = max(1, prompt + output)
    if policy.kind in ("int8", "fp8"):
        return 0.53  # a byte for two, and a scale of two bytes for 32 values
    if policy.kind == "full":
        return 1.0
    always = min(prompt, total) if policy.keep_prompt else min(policy.sinks, total)
    if policy.kind == "window":
        return min(1.0, (always + policy.window) / total)
    return min(1.0, max(always, policy.budget) / total)


class ScoreBook:
    """Attention mass by page for `evict`, averaged over recent observations so that old interest fades.

    Args:
        decay: weight of what was known at each observation; 0.9 remembers about ten.
    """

    def __init__(self, decay: float = 0.9):
        if not 0 <= decay < 1:
            raise EngineError(f"a decay of {decay} forgets nothing or makes no sense; give one in [0, 1)")
        self.decay = decay
        self.scores: dict[int, float] = {}

    def observe(self, ordinals: Sequence[int], masses: Sequence[float]) -> None:
        """`masses`: share of one query's attention on each of the pages that it read (summing to at most 1)."""
        if len(ordinals) != len(masses):
            raise EngineError(f"{len(masses)} attention masses for {len(ordinals)} pages")
        seen = dict(zip(ordinals, masses, strict=True))
        for page in self.scores.keys() | seen.keys():
            self.scores[page] = self.decay * self.scores.get(page, 0.0) + (1 - self.decay) * seen.get(page, 0.0)

    def forget(self, ordinals: Iterable[int]) -> None:
        """These pages were given back."""
        for page in ordinals:
            self.scores.pop(page, None)
