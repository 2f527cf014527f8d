"""Shared by the tests of replayed decoding: a small shape, and page tables for its lanes."""

from __future__ import annotations

import numpy as np

from autoglm_phone.bench.replay import Layout
from autoglm_phone.bench.replay_model import Size

LANES, PAGE, PAGES, CONTEXT = 5, 4, 24, 30
SIZE = Size(layers=4, hidden=64, ffn=96, heads=4, kv_heads=2, vocab=160, exit_rank=8)


def layout_of(spec, *, lanes: int = LANES, seed: int = 0) -> Layout:
    segments = len(spec.segments)
    numbers = np.random.default_rng(seed).permutation(lanes * segments * PAGES) + 1
    tables = numbers.reshape(lanes, segments, PAGES).astype(np.int64)
    return Layout(tuple(e for _, e in spec.segments), spec.head_in_layers, tables, PAGE, lanes * 80, 3, CONTEXT)
