"""A least-recently-used cache with a bound in bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ByteLRU(Generic[K, V]):
    """Values with their sizes; the oldest go when the sum exceeds `limit`. A value above the limit is not kept."""

    def __init__(self, limit: int):
        self.limit = limit
        self.used = 0
        self.hits = 0
        self.misses = 0
        self._items: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: K) -> V | None:
        item = self._items.get(key)
        if item is None:
            self.misses += 1
            return None
        self.hits += 1
        self._items.move_to_end(key)
        return item[0]

    def put(self, key: K, value: V, size: int) -> None:
        """`size` in bytes."""
        if key in self._items:
            self.used -= self._items.pop(key)[1]
        if size > self.limit:
            return
        self._items[key] = (value, size)
        self.used += size
        while self.used > self.limit:
            _, (_, dropped) = self._items.popitem(last=False)
            self.used -= dropped
