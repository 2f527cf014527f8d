"""Dense copies of the contexts that decode right now, so that a step appends a token instead of gathering pages.

Gathering reads and writes every running context once a layer and step; on a CPU that is as much memory traffic as the
attention itself and the weights together. A copy stays valid while the same sequences decode side by side, which is
most steps; when the group changes it is gathered anew. Pages stay the truth: copies are only read.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autoglm_phone.backends.base import ContextIdentity, DecodeGroup

ROUND = 32  # tokens by which a row's room grows, so that it is not gathered anew at each page


@dataclass
class _Copy:
    """What lies in one layer's arena: `room` tokens a row."""

    identity: ContextIdentity
    room: int


class DenseContexts:
    """One arena a layer, for the largest group of a step.

    Args:
        limit_bytes: of all arenas together; a group that needs more is gathered each step.
        width: numbers that a token has in a layer (keys and values).
    """

    def __init__(
        self, num_segments: int, num_layers: int, width: int, page_size: int, dtype: torch.dtype, limit_bytes: int
    ):
        self.width = width
        self.page_size = page_size
        self.capacity = limit_bytes // (num_segments * num_layers * width * dtype.itemsize)  # tokens
        size = (num_segments, num_layers, self.capacity, width)
        self._arena = torch.empty(size, dtype=dtype)  # untouched memory costs nothing
        self._copies: dict[tuple[int, int], _Copy] = {}
        self._places: tuple[ContextIdentity, int, Tensor] | None = None
        self.appends = 0
        self.gathers = 0

    def read(self, segment: int, layer: int, group: DecodeGroup, flat: Tensor, fresh: Tensor) -> Tensor | None:
        """Contexts [B, length, width] with the rows' new tokens, or None if they do not fit.

        Args:
            flat: the layer's pages [pages, page_size * width], the new tokens already written.
            fresh: the rows' new keys and values [B, width].
        """
        identity = group.identity
        if identity is None:
            return None
        batch = len(identity.lengths)
        copy = self._copies.get((segment, layer))
        if copy is not None and copy.room >= group.length and _follows(identity, copy.identity):
            self.appends += 1
            arena = self._arena[segment, layer, : batch * copy.room]
            arena.index_copy_(0, self._append_at(identity, copy.room), fresh)
        else:
            step = max(ROUND, self.page_size)
            room = -(-(group.length + step // 2) // step) * step
            room = -(-room // self.page_size) * self.page_size
            if batch * room > self.capacity:
                return None
            self.gathers += 1
            arena = self._arena[segment, layer, : batch * room]
            pages = group.pages(room // self.page_size)
            torch.index_select(flat, 0, pages, out=arena.view(pages.shape[0], flat.shape[1]))
            copy = self._copies[segment, layer] = _Copy(identity, room)
        copy.identity = identity
        return arena.view(batch, copy.room, self.width)[:, : group.length]

    def _append_at(self, identity: ContextIdentity, room: int) -> Tensor:
        """Where the new tokens go: long [B]; the same in all layers of a step."""
        if self._places is None or self._places[0] is not identity or self._places[1] != room:
            where = [row * room + length - 1 for row, length in enumerate(identity.lengths)]
            self._places = (identity, room, torch.tensor(where))
        return self._places[2]


def _follows(now: ContextIdentity, before: ContextIdentity) -> bool:
    """The same sequences, each one token longer."""
    return now.sequences == before.sequences and all(
        new == old + 1 for new, old in zip(now.lengths, before.lengths, strict=True)
    )
