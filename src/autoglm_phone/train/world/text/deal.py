"""Deals short pools out to the splits so that each split gets its share, whatever the hashes are.

`fillings.pick` decides each item alone, which may leave a split of a short pool empty; here the items are ranked by
hash and cut: 6 % validation, 10 % test (one each at least), the rest training.
"""

from __future__ import annotations

import hashlib
import random
from functools import lru_cache

from autoglm_phone.errors import ConfigError
from autoglm_phone.train.world.sample import Split


@lru_cache(maxsize=4096)
def _shares(pool: str, items: tuple[str, ...]) -> dict[Split, tuple[str, ...]]:
    if len(items) < 12:
        raise ConfigError(f"pool {pool!r} has {len(items)} items; a pool that is dealt out to splits needs 12 or more")
    ranked = sorted(items, key=lambda item: hashlib.blake2b(f"{pool}\0{item}".encode()).digest())
    val = max(1, round(len(ranked) * 0.06))
    test = max(2, round(len(ranked) * 0.1))
    return {"val": tuple(ranked[:val]), "test": tuple(ranked[val : val + test]), "train": tuple(ranked[val + test :])}


def deal(rng: random.Random, pool: str, items: tuple[str, ...], split: Split) -> str:
    """One item of the pool that belongs to this split."""
    return rng.choice(_shares(pool, items)[split])
