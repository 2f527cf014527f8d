"""KV policies: what stays is enough, what goes stays gone, and no page is lost or freed twice."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_phone.engine.blocks import PagePool
from autoglm_phone.errors import EngineError
from autoglm_phone.graph.kv import (
    DROPPED,
    Extent,
    ScoreBook,
    exempt,
    expected_share,
    give_back,
    kept,
    visible,
    visible_keys,
)
from autoglm_phone.graph.plan import KVPolicy

policies = st.builds(
    KVPolicy,
    kind=st.sampled_from(["full", "window", "evict", "int8", "fp8"]),
    window=st.integers(1, 60),
    sinks=st.integers(0, 12),
    budget=st.integers(1, 80),
    keep_prompt=st.booleans(),
    keep_media=st.booleans(),
)


@st.composite
def extents(draw) -> Extent:
    prompt = draw(st.integers(1, 60))
    media = []
    if prompt > 4 and draw(st.booleans()):
        first = draw(st.integers(0, prompt - 2))
        media.append((first, draw(st.integers(first + 1, prompt))))
    return Extent(prompt + draw(st.integers(0, 120)), prompt, draw(st.sampled_from([1, 4, 16])), tuple(media))


def scores_for(extent: Extent, seed: int) -> dict[int, float]:
    return {page: random.Random(seed * 1000 + page).random() for page in range(extent.num_pages)}


@given(policies, extents(), st.integers(0, 5))
def test_what_the_policy_promises_is_kept(policy, extent, seed):
    scores = scores_for(extent, seed)
    pages = kept(policy, extent, scores)
    assert pages == sorted(set(pages))
    assert set(pages) <= set(range(extent.num_pages))
    size = extent.page_size
    if policy.kind in ("full", "int8", "fp8"):
        assert pages == list(range(extent.num_pages))
        return
    assert exempt(policy, extent) <= set(pages)
    if extent.length % size or policy.kind == "evict" or policy.window > 1:
        assert extent.num_pages - 1 in pages  # the newest
    sinks = min(policy.sinks, extent.length)
    assert {token // size for token in range(sinks)} <= set(pages)
    if policy.keep_prompt:
        assert {token // size for token in range(extent.prompt)} <= set(pages)
    if policy.keep_media or policy.keep_prompt:
        assert {token // size for first, end in extent.media for token in range(first, end)} <= set(pages)
    if policy.kind == "window":
        # The next query, at `length`, sees `window` keys with itself.
        near = range(max(0, extent.length - policy.window + 1), extent.length)
        assert {token // size for token in near} <= set(pages)
        spare = set(pages) - exempt(policy, extent)
        assert len(spare) <= policy.window // size + 2
    else:
        room = max(1, policy.budget // size)
        fixed = exempt(policy, extent)
        assert len(pages) <= max(room, len(fixed) + max(1, int(room * 0.25)))


@given(policies, extents(), st.integers(1, 50), st.integers(0, 5))
def test_a_page_left_out_stays_left_out(policy, extent, more, seed):
    """Dropping early or late makes no difference to what later queries may read."""
    if policy.kind == "evict":
        return  # its state is the page table: see test_random_lives
    later = Extent(extent.length + more, extent.prompt, extent.page_size, extent.media)
    gone = set(range(extent.num_pages)) - set(kept(policy, extent))
    assert not gone & set(kept(policy, later))


@given(extents(), st.integers(0, 5))
def test_the_best_scores_survive_eviction(extent, seed):
    policy = KVPolicy(kind="evict", budget=40, sinks=2, keep_prompt=False, keep_media=False)
    scores = scores_for(extent, seed)
    pages = set(kept(policy, extent, scores))
    room = max(1, 40 // extent.page_size)
    newest = set(range(extent.num_pages - max(1, room // 4), extent.num_pages))
    chosen = pages - exempt(policy, extent) - newest
    lost = set(range(extent.num_pages)) - pages
    if chosen and lost:
        assert min(scores[page] for page in chosen) >= max(scores[page] for page in lost)


def test_without_scores_eviction_waits():
    extent = Extent(400, 10, 4)
    assert len(kept(KVPolicy(kind="evict", budget=8), extent)) == 100


@settings(max_examples=60, deadline=None)
@given(policies, policies, st.integers(1, 40), st.sampled_from([1, 4, 16]), st.data())
def test_random_lives_leak_no_page(first, second, prompt, size, data):
    """Grow, drop, rewrite to another policy, end: the pool is whole, and every query sees live pages only."""
    pool = PagePool(200, size)
    tables: list[list[int]] = [[], []]
    frontiers = [prompt, prompt]
    book = ScoreBook()
    policy = first
    for step in range(data.draw(st.integers(1, 40))):
        if step == 20:
            policy = second
        for segment, table in enumerate(tables):
            if segment == 1 and data.draw(st.booleans()):
                continue  # the deeper segment lags behind
            frontiers[segment] += 1 if step else 0
            missing = -(-(frontiers[segment] + 1) // size) - len(table)
            if missing > 0:
                table += pool.allocate(missing)
            extent = Extent(frontiers[segment], prompt, size)
            book.observe(range(extent.num_pages), [1 / extent.num_pages] * extent.num_pages)
            keep = kept(policy, extent, book.scores)
            freed = give_back(table, keep, extent)
            assert len(set(freed)) == len(freed)
            assert DROPPED not in freed
            pool.free(freed)
            pool.check()
            live = [page for page in table if page != DROPPED]
            assert all(pool.references(page) == 1 for page in live)
            seen = visible(policy, extent, frontiers[segment], table, book.scores)
            assert all(table[page] != DROPPED for page in seen)
            assert seen[-1] == frontiers[segment] // size
            keys = visible_keys(seen, frontiers[segment], size)
            assert keys == sorted(set(keys))
            assert keys[-1] == frontiers[segment]
    for table in tables:
        pool.free(reversed([page for page in table if page != DROPPED]))
    assert pool.num_free == 200
    pool.check()


def test_a_lagging_segment_still_has_its_own_window():
    """Drops follow the segment's frontier, not the newest token."""
    policy = KVPolicy(kind="window", window=8, sinks=0, keep_prompt=False, keep_media=False)
    table = list(range(10))
    give_back(table, kept(policy, Extent(20, 4, 4), None), Extent(20, 4, 4))
    assert table[:5] == [DROPPED, DROPPED, DROPPED, 3, 4]  # 13…19 are in the window of the query at 20
    assert visible(policy, Extent(20, 4, 4), 20, table) == [3, 4, 5]
    assert visible_keys([3, 4, 5], 20, 4) == [12, 13, 14, 15, 16, 17, 18, 19, 20]


def test_expected_share_is_what_really_stays():
    for policy in (KVPolicy(kind="window", window=256), KVPolicy(kind="full"), KVPolicy(kind="evict", budget=300)):
        extent = Extent(2000, 100, 16)
        pages = kept(policy, extent, dict.fromkeys(range(extent.num_pages), 1.0))
        assert len(pages) * 16 / 2000 == pytest.approx(expected_share(policy, 100, 1900), abs=0.02)


def test_faults_are_typed():
    with pytest.raises(EngineError):
        give_back([1], [0], Extent(10, 4, 4))
    with pytest.raises(EngineError):
        ScoreBook(1.0)
    with pytest.raises(EngineError):
        ScoreBook().observe([1], [])
    book = ScoreBook(0.5)
    book.observe([0, 1], [0.5, 0.5])
    book.observe([1], [1.0])
    assert book.scores[1] > book.scores[0] > 0
    book.forget([0])
    assert set(book.scores) == {1}
