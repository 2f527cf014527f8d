"""What a native request's cross-attention looks at: keys and values of its media, computed once a medium and layer.

A layer's are made when it first runs: a request whose tokens all leave early pays for the first segment's alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np
import torch
from torch import Tensor

from autoglm_phone.backends.base import CrossGroup
from autoglm_phone.engine.request import MediaItem
from autoglm_phone.runner.lru import ByteLRU
from autoglm_phone.runner.towers import Towers
from autoglm_phone.runner.weights import CrossMemoryWeights

if TYPE_CHECKING:
    from autoglm_phone.runner.adapter_bank import AdapterBank

KeyValue = tuple[Tensor, Tensor]  # of a cross-attention layer, each [heads, M, head size]
KINDS = {"image": 0, "audio": 1}


class KeysValues(Sequence[KeyValue]):
    """Of each cross-attention layer, made when it is first asked for. make: layer → its keys and values."""

    def __init__(self, make: Callable[[int], KeyValue], count: int):
        self._make = make
        self._made: list[KeyValue | None] = [None] * count

    @property
    def made(self) -> int:
        """Layers that were asked for."""
        return sum(found is not None for found in self._made)

    def __len__(self) -> int:
        return len(self._made)

    @overload
    def __getitem__(self, index: int) -> KeyValue: ...

    @overload
    def __getitem__(self, index: slice) -> list[KeyValue]: ...

    def __getitem__(self, index: int | slice) -> KeyValue | list[KeyValue]:
        if isinstance(index, slice):
            return [self[layer] for layer in range(*index.indices(len(self)))]
        found = self._made[index]
        if found is None:
            found = self._made[index] = self._make(index)
        return found


@dataclass(frozen=True)
class CrossMemory:
    """All media of a request, in prompt order.

    starts: int64 [media], the token from which each medium is visible. ends: int64 [media], the state after its last.
    """

    starts: np.ndarray
    ends: np.ndarray
    keys_values: KeysValues

    def visible(self, position: int) -> int:
        """How many states the token at this position sees."""
        count = int(np.searchsorted(self.starts, position, side="right"))
        return int(self.ends[count - 1]) if count else 0

    def group(self, row: int, start: int, end: int, device: torch.device) -> CrossGroup | None:
        """The rows of tokens [start, end), the first of which is step row `row`; None if none of them sees a medium."""
        first = max(start, int(self.starts[0]))
        if first >= end:
            return None
        least, most = self.visible(first), self.visible(end - 1)
        mask = None
        if least < most:
            seen = np.array([self.visible(position) for position in range(first, end)])
            mask = torch.from_numpy(np.arange(most)[None] < seen[:, None]).to(device)
        keys_values = self.keys_values
        if most < int(self.ends[-1]):
            keys_values = KeysValues(lambda layer: _cut(self.keys_values[layer], most), len(self.keys_values))
        return CrossGroup(row + first - start, row + end - start, keys_values, mask)


class CrossMemoryBuilder:
    """Makes memories; caches each medium's keys and values by content, ordinal and adapter.

    adapters: that requests may choose; None: there are none.
    """

    def __init__(
        self,
        weights: CrossMemoryWeights,
        towers: Towers,
        heads: int,
        max_media: int,
        limit_bytes: int,
        adapters: AdapterBank | None = None,
    ):
        self.adapters = adapters
        self.weights = weights
        self.towers = towers
        self.heads = heads
        self.max_media = max_media
        self.cache: ByteLRU[tuple[str, int, str], tuple[KeysValues, int]] = ByteLRU(limit_bytes)

    def build(self, media: Sequence[MediaItem], adapter: str | None = None) -> CrossMemory | None:
        """Memory of a prompt's media (sorted by position); runs towers whose output is not cached."""
        if not media:
            return None
        if adapter is None or self.adapters is None or not self.adapters.remembers(adapter):
            adapter = ""  # the base's memory
        parts = []
        seen = [0, 0]
        for item in media:
            kind = KINDS[item.kind]
            ordinal = min(seen[kind], self.max_media - 1)
            seen[kind] += 1
            parts.append(self._keys_values(item, kind * self.max_media + ordinal, adapter))
        joined, sizes = parts[0][0], [size for _, size in parts]
        if len(parts) > 1:
            joined = KeysValues(lambda layer: _joined([part[layer] for part, _ in parts]), len(joined))
        return CrossMemory(np.array([item.position for item in media]), np.cumsum(sizes), joined)

    def _keys_values(self, item: MediaItem, place: int, adapter: str) -> tuple[KeysValues, int]:
        """Of a medium, and its number of states. place: of its kind and ordinal among the vectors that tell them."""
        key = (item.content_hash, place, adapter)
        found = self.cache.get(key)
        if found is not None:
            self.towers.note_cached(item.kind)
            return found
        states = self.towers.encode(item)  # [M, H]
        weights = self.weights

        def make(layer: int) -> KeyValue:
            told = states + weights.media_embed[place]
            linears = (weights.keys[layer], weights.values[layer])
            k, v = (weights.linear(told, linear) for linear in linears)
            if adapter and self.adapters is not None:
                self.adapters.add_memory(adapter, layer, "cross_k", told, k)
                self.adapters.add_memory(adapter, layer, "cross_v", told, v)
            return self._split(k), self._split(v)

        found = KeysValues(make, len(weights.keys)), states.shape[0]
        # Counted as if all layers had been asked for, as any request may.
        self.cache.put(key, found, (1 + 2 * len(weights.keys)) * states.nbytes)
        return found

    def _split(self, x: Tensor) -> Tensor:
        """[M, H] → [heads, M, H / heads]"""
        return x.unflatten(-1, (self.heads, -1)).transpose(0, 1).contiguous()


def _cut(whole: KeyValue, states: int) -> KeyValue:
    return whole[0][:, :states], whole[1][:, :states]


def _joined(parts: Sequence[KeyValue]) -> KeyValue:
    return torch.cat([k for k, _ in parts], 1), torch.cat([v for _, v in parts], 1)
