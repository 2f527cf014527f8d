"""Seeded randomness and the partition that keeps the splits apart.

Every filling (a name, a title, a place, a whole composed value) belongs to exactly one split, decided by a hash
of its pool and its text; every phrase template belongs to `train` or, for a small part, to the test set alone.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeVar

from autoglm_phone.errors import ConfigError
from autoglm_phone.train.world.sample import Split

T = TypeVar("T")
WORLD_SEED = 20261121
HELD_OUT = 0.15  # share of a list of templates that training never sees


def rng_for(category: str, split: Split, index: int, seed: int = WORLD_SEED) -> random.Random:
    """The generator of one sample: the same four values give the same sample on every machine."""
    digest = hashlib.sha256(f"{seed}/{category}/{split}/{index}".encode()).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))


@lru_cache(maxsize=1 << 17)
def split_of(pool: str, text: str) -> Split:
    """The split that a filling belongs to: 84 % train, 6 % validation, 10 % test."""
    bucket = int.from_bytes(hashlib.blake2b(f"{pool}\0{text}".encode(), digest_size=4).digest(), "big") % 100
    return "train" if bucket < 84 else "val" if bucket < 90 else "test"


@lru_cache(maxsize=4096)
def _partition(pool: str, items: tuple[str, ...], split: Split) -> tuple[str, ...]:
    dealt = {name: tuple(item for item in items if split_of(pool, item) == name) for name in ("train", "val", "test")}
    if not all(dealt.values()):  # a short pool left a split empty: deal it out by rank instead, one each to the others
        ranked = tuple(sorted(items, key=lambda item: hashlib.blake2b(f"{pool}\0{item}".encode()).digest()))
        dealt = {"test": ranked[:1], "val": ranked[1:2], "train": ranked[2:]}
    return dealt[split]


def pick(rng: random.Random, pool: str, items: Sequence[str], split: Split) -> str:
    """One item of the pool that belongs to this split. The pool needs at least 12 items to be dealt out."""
    if len(items) < 12:
        raise ConfigError(f"pool {pool!r} has {len(items)} items; a pool that is dealt out to splits needs 12 or more")
    return rng.choice(_partition(pool, tuple(items), split))


def compose(rng: random.Random, pool: str, make: Callable[[random.Random], T], split: Split, tries: int = 200) -> T:
    """Draw composed fillings (a full name, a price, a sentence) until one belongs to this split."""
    for _ in range(tries):
        value = make(rng)
        if split_of(pool, str(value)) == split:
            return value
    raise ConfigError(f"pool {pool!r} gave no value for split {split!r} in {tries} draws; widen it")


def held_out(items: Sequence[T], share: float = HELD_OUT) -> tuple[T, ...]:
    """The templates of a list that `template` keeps for unseen test samples: the last ones, at least one."""
    cut = len(items) - max(1, int(len(items) * share)) if len(items) > 2 else len(items)
    return tuple(items[cut:])


def template(
    rng: random.Random, pool: str, items: Sequence[T], split: Split, unseen: bool, held_out: float = HELD_OUT
) -> T:
    """One phrase template. The last `held_out` part of the list (at least one) serves unseen test samples only."""
    cut = len(items) - max(1, int(len(items) * held_out)) if len(items) > 2 else len(items)
    if unseen and split != "test":
        raise ConfigError(f"unseen templates exist in the test split only, not in {split!r} (pool {pool!r})")
    choices = items[cut:] if unseen and cut < len(items) else items[:cut]
    return rng.choice(choices)
