"""Carries a KV policy out on a sequence's page tables. No tensors; graph.kv decides, the scheduler owns the pool.

Every segment gives back by its own frontier. `window` is arithmetic, so all segments show a query the same pages;
`evict` judges the pages that a segment has by what the newest tokens looked at, in all segments that they went
through; a segment that lags behind judges later. Pages behind a frontier are never judged.

Narrow formats (int8, fp8) store several pages' tokens in the bytes of one, the frame: a sequence with such a policy has
page tables of frames, each for `pack` times as many tokens. So what a narrower format saves is whole pages, which go
back to the one pool, and no second pool has to be sized. Frames are not shared with others and not indexed.
"""

from __future__ import annotations

import bisect

from autoglm_phone.engine.blocks import OutOfPagesError, PagePool
from autoglm_phone.engine.interface import Move
from autoglm_phone.engine.sequence import ALL, Sequence
from autoglm_phone.errors import EngineError
from autoglm_phone.graph.kv import DROPPED, DROPPING, Extent, ScoreBook, give_back, kept, sweep_mark
from autoglm_phone.graph.plan import KVPolicy


def follow(sequence: Sequence, policy: KVPolicy, pack: int) -> None:
    """Keep by this policy from now on; pages of another format must have been moved."""
    sequence.pack = pack
    sequence.swept = [-1] * sequence.num_segments
    if policy.kind != "evict":
        sequence.scores = None
    elif sequence.scores is None:
        sequence.scores = ScoreBook()


def note_blind(sequence: Sequence, before: list[int], page_size: int) -> None:
    """The frontiers moved from `before`: if tokens did not see all of their past, their keys are not exact.

    The policy may be another one by now: what was given back is gone."""
    policy = sequence.plan.kv
    for first, frontier, table in zip(before, sequence.frontiers, sequence.page_tables, strict=True):
        if first < min(frontier, sequence.exact):
            extent = _extent(sequence, frontier - 1, page_size)  # the last token sees least
            narrowed = policy.kind == "window" and sweep_mark(policy, extent, scored=False) > 0
            if DROPPED in table or (narrowed and len(kept(policy, extent)) < extent.num_pages):
                sequence.exact = first


def sharable(sequence: Sequence, page_size: int) -> int:
    """Pages from the start that the sequence may take from others, who computed them with all of their past: those of
    which it would see, or has seen, all of the past itself."""
    policy, length = sequence.plan.kv, len(sequence.tokens)
    if policy.kind not in DROPPING:
        return length // page_size
    whole = sequence.prompt_length  # nothing is evicted before the prompt's end
    if policy.kind == "window":
        # Once something is hidden from a token, something is hidden from every later one.
        whole = bisect.bisect_left(range(length), True, key=lambda at: _is_blind(sequence, at, page_size))
    return max(whole, sequence.was_exact) // page_size


def _is_blind(sequence: Sequence, position: int, page_size: int) -> bool:
    extent = _extent(sequence, position, page_size)
    return len(kept(sequence.plan.kv, extent)) < extent.num_pages


def sweep(sequence: Sequence, page_size: int) -> list[int]:
    """Take the pages that the policy does not keep out of the tables; returns them for `PagePool.free`."""
    policy = sequence.plan.kv
    if policy.kind not in DROPPING:
        return []
    scored = sequence.scores is not None and bool(sequence.scores.scores)
    freed: list[int] = []
    for segment, table in enumerate(sequence.page_tables):
        extent = _extent(sequence, sequence.frontiers[segment], page_size)
        mark = sweep_mark(policy, extent, scored)
        if mark != sequence.swept[segment]:
            sequence.swept[segment] = mark
            freed += give_back(table, _kept(sequence, extent, table), extent)
    if freed:
        sequence.gaps = True
        sequence.renew()
    return freed


def lacks(sequence: Sequence, position: int, page_size: int) -> bool:
    """Whether a segment that begins again at this token would miss pages that its policy would still show it."""
    for frontier, table in zip(sequence.frontiers, sequence.page_tables, strict=True):
        if frontier > position and DROPPED in table:
            needed = kept(sequence.plan.kv, _extent(sequence, position, page_size))
            if any(table[page] == DROPPED for page in needed):
                return True
    return False


def begin_again(sequence: Sequence) -> None:
    """All is computed anew."""
    sequence.exact = ALL
    sequence.gaps = False
    if sequence.scores is not None:
        sequence.scores = ScoreBook()


def repack(sequence: Sequence, policy: KVPolicy, pack: int, pool: PagePool) -> list[Move]:
    """Replace the page tables by tables of pages of another format, and say what has to be copied.

    Goes frame by frame, freeing the old pages of one before it takes the new ones of the next: one free page is enough
    to narrow a whole sequence, unless it shares pages. Of a window only what it keeps is widened.

    Raises:
        EngineError: the tables have gaps, which frames can't have. OutOfPagesError. Nothing was changed.
    """
    if sequence.pack != 1 and pack != 1:
        raise EngineError(f"frames of {sequence.pack} pages can't become frames of {pack}")
    if pack > 1 and sequence.gaps:
        raise EngineError(f"KV policy {policy.kind} needs all pages, and some were given back")
    groups: list[list[tuple[list[int], int, list[bool]]]] = []  # old pages, frames or pages wanted, which of them
    for segment, table in enumerate(sequence.page_tables):
        if pack > 1:
            groups.append([(table[i : i + pack], 1, [True]) for i in range(0, len(table), pack)])
            continue
        extent = _extent(sequence, sequence.frontiers[segment], pool.page_size)
        wanted = set(kept(policy, extent))
        rows = []
        for place, frame in enumerate(table):
            ordinals = range(place * sequence.pack, min((place + 1) * sequence.pack, extent.num_pages))
            here = [ordinal in wanted for ordinal in ordinals]
            rows.append(([frame], sum(here), here))
        groups.append(rows)
    _check_room(groups, pool)
    moves = []
    for segment, rows in enumerate(groups):
        table = []
        for old, count, here in rows:
            new = pool.allocate(count)
            fresh = iter(new)
            table += [next(fresh) if wanted else DROPPED for wanted in here]
            # A place that is not wanted is not copied to.
            moves.append(Move(tuple(old), tuple(table[len(table) - len(here) :])))
            pool.free(reversed(old))
        sequence.page_tables[segment] = table
        sequence.gaps = sequence.gaps or DROPPED in table
        sequence.num_indexed[segment] = 0
    sequence.exact = 0  # values were rounded
    return [move for move in moves if move.new]


def _check_room(groups: list[list[tuple[list[int], int, list[bool]]]], pool: PagePool) -> None:
    free = pool.num_free
    for rows in groups:
        for old, count, _ in rows:
            free -= count
            if free < 0:
                raise OutOfPagesError(
                    f"{-free} more free KV pages are needed to change the format of this request's pages"
                )
            free += sum(pool.references(page) == 1 for page in old)


def _extent(sequence: Sequence, length: int, page_size: int) -> Extent:
    return Extent(length, sequence.prompt_length, page_size, sequence.media_spans)


def _kept(sequence: Sequence, extent: Extent, table: list[int]) -> list[int]:
    scores = None
    if sequence.scores is not None and sequence.scores.scores:
        # A page that is gone must not take the place of one that is there.
        scores = {page: s for page, s in sequence.scores.scores.items() if page < len(table) and table[page] != DROPPED}
    return kept(sequence.plan.kv, extent, scores)
