"""What a native request's cross-attention looks at: keys and values of its media, computed once a medium."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autoglm_phone.backends.base import CrossGroup
from autoglm_phone.engine.request import MediaItem
from autoglm_phone.runner.lru import ByteLRU
from autoglm_phone.runner.towers import Towers
from autoglm_phone.runner.weights import CrossMemoryWeights

KeysValues = list[tuple[Tensor, Tensor]]  # per cross-attention layer, each [heads, M, head size]
KINDS = {"image": 0, "audio": 1}


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
            keys_values = [(k[:, :most], v[:, :most]) for k, v in keys_values]
        return CrossGroup(row + first - start, row + end - start, keys_values, mask)


class CrossMemoryBuilder:
    """Makes memories; caches each medium's keys and values by content and ordinal."""

    def __init__(self, weights: CrossMemoryWeights, towers: Towers, heads: int, max_media: int, limit_bytes: int):
        self.weights = weights
        self.towers = towers
        self.heads = heads
        self.max_media = max_media
        self.cache: ByteLRU[tuple[str, int], KeysValues] = ByteLRU(limit_bytes)

    def build(self, media: Sequence[MediaItem]) -> CrossMemory | None:
        """Memory of a prompt's media (sorted by position); runs towers whose output is not cached."""
        if not media:
            return None
        parts = []
        seen = [0, 0]
        for item in media:
            kind = KINDS[item.kind]
            ordinal = min(seen[kind], self.max_media - 1)
            seen[kind] += 1
            parts.append(self._keys_values(item, kind * self.max_media + ordinal))
        sizes = [part[0][0].shape[1] for part in parts]
        joined = parts[0]
        if len(parts) > 1:
            joined = [
                (torch.cat([p[i][0] for p in parts], 1), torch.cat([p[i][1] for p in parts], 1))
                for i in range(len(parts[0]))
            ]
        return CrossMemory(np.array([item.position for item in media]), np.cumsum(sizes), joined)

    def _keys_values(self, item: MediaItem, place: int) -> KeysValues:
        key = (item.content_hash, place)
        found = self.cache.get(key)
        if found is None:
            states = self.towers.encode(item) + self.weights.media_embed[place]  # [M, H]
            found = [
                (self._split(self.weights.linear(states, k)), self._split(self.weights.linear(states, v)))
                for k, v in zip(self.weights.keys, self.weights.values, strict=True)
            ]
            self.cache.put(key, found, sum(k.nbytes + v.nbytes for k, v in found))
        else:
            self.towers.note_cached(item.kind)
        return found

    def _split(self, x: Tensor) -> Tensor:
        """[M, H] → [heads, M, H / heads]"""
        return x.unflatten(-1, (self.heads, -1)).transpose(0, 1).contiguous()
