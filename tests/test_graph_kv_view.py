"""Views of dropped caches: attention through them equals attention over exactly the keys that the policy keeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_phone.backends.masses import page_masses
from autoglm_phone.graph.kv import DROPPED, Extent, give_back, kept, visible, visible_keys
from autoglm_phone.graph.plan import KVPolicy
from autoglm_phone.runner.kv_view import chunk_view, decode_view

policies = st.builds(
    KVPolicy,
    kind=st.sampled_from(["full", "window"]),
    window=st.integers(1, 30),
    sinks=st.integers(0, 6),
    keep_prompt=st.booleans(),
)


@settings(deadline=None)
@given(policies, st.lists(st.tuples(st.integers(1, 20), st.integers(0, 60)), min_size=1, max_size=4),
       st.sampled_from([1, 4]), st.booleans())  # fmt: skip
def test_a_row_sees_exactly_the_keys_of_its_pages(policy, rows, size, sliding):
    window = (9, 2) if sliding else None
    seen, queries = [], []
    for prompt, output in rows:
        query = prompt + output
        table = list(range(query // size + 1))
        extent = Extent(query, prompt, size)
        give_back(table, kept(policy, extent), extent)
        seen.append(visible(policy, extent, query, table))
        queries.append(query)
    view = decode_view(seen, queries, size, window)
    for row, query in enumerate(queries):
        keys = (view.ordinals[row][:, None] * size + np.arange(size)).reshape(-1)[view.allowed[row]]
        expected = [key for key in visible_keys(seen[row], query, size) if window is None or key > query - 9 or key < 2]
        assert sorted(keys.tolist()) == expected
        assert len(set(keys.tolist())) == len(keys)  # padding is never read twice


@given(policies, st.integers(1, 20), st.integers(1, 40), st.integers(1, 6))
def test_rows_that_catch_up_each_see_their_own_past(policy, prompt, output, count):
    size, start = 4, prompt + output
    table = list(range((start + count) // size + 1))
    extent = Extent(start, prompt, size)  # dropped before they were computed
    give_back(table, kept(policy, extent), extent)
    queries = list(range(start, start + count))
    seen = [visible(policy, extent, query, table) for query in queries]
    view = chunk_view(seen, queries, size)
    assert all(table[page] != DROPPED for page in view.ordinals)
    for row, query in enumerate(queries):
        keys = (view.ordinals[:, None] * size + np.arange(size)).reshape(-1)[view.allowed[row]]
        assert keys.tolist() == visible_keys(seen[row], query, size)
        alone = decode_view([seen[row]], [query], size)
        assert view.allowed[row].sum() == alone.allowed[0].sum()


def test_masses_are_attention_weights_by_page():
    torch.manual_seed(0)
    query, keys = torch.randn(2, 4, 8), torch.randn(2, 12, 2, 8)
    allowed = torch.rand(2, 12) > 0.3
    masses = page_masses(query, keys, allowed, 4)
    assert masses.shape == (2, 3)
    assert masses.sum(-1) == pytest.approx(torch.ones(2), abs=1e-5)
    # With one-hot values, attention's output is its weights.
    values = torch.eye(12).expand(2, 4, 12, 12)
    weights = F.scaled_dot_product_attention(
        query[:, :, None], keys.transpose(1, 2).repeat_interleave(2, 1), values, attn_mask=allowed[:, None, None]
    )[:, :, 0].mean(1)
    assert torch.allclose(masses, weights.unflatten(-1, (3, 4)).sum(-1), atol=1e-5)
