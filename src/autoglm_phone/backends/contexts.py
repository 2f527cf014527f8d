"""Dense copies of the contexts that decode right now, so that a step appends tokens instead of gathering pages.

Gathering reads and writes every running context once a layer and step; on a CPU that is as much memory traffic as the
attention itself and the weights together. A copy stays valid while the same sequences decode side by side, which is
most steps; drafts that were taken back are overwritten as they are in the pages. A row that went on elsewhere in the
meantime is gathered anew, and all rows are when the group changes. Pages stay the truth: copies are only read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from autoglm_phone.backends.base import AttentionShape, ContextIdentity, DecodeGroup

ROUND = 32  # tokens by which a row's room grows, so that it is not gathered anew at each page


@dataclass
class _Turn:
    """A pass through a segment: what its layers have to do. room: tokens a row; 0: the group does not fit.

    number, follows: of this pass, and of the one whose copies it can go on from. stale: rows to gather; None: all.
    at: long [new tokens], where these go; spots: of a single sequence, that place in each layer. numbers: long [B * P],
    the pages of all rows. Made when needed.
    """

    identity: ContextIdentity
    room: int
    number: int
    follows: int
    stale: list[int] | None
    at: Tensor | None = None
    spots: Sequence[Tensor] | None = None
    numbers: Tensor | None = None


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
        self._layers = [list(segment) for segment in self._arena]
        self._num_layers = num_layers
        self._turns: dict[int, _Turn] = {}
        self._stamps: list[list[int | None]] = [[None] * num_layers for _ in range(num_segments)]  # the pass held
        self._number = 0
        self.appends = 0
        self.gathers = 0

    def read(self, segment: int, layer: int, group: DecodeGroup, flat: Tensor, fresh: Tensor) -> Tensor | None:
        """Contexts [B, length, width] with the rows' new tokens, or None if they do not fit.

        Args:
            flat: the layer's pages [pages, page_size * width], the new tokens already written.
            fresh: the rows' new keys and values [rows, width].
        """
        if group.identity is None or not self.fits(segment, group):
            return None
        self.append(segment, layer, group, flat.view(-1, self.width), fresh)
        turn = self._turns[segment]
        batch, room = len(turn.identity.lengths), turn.room
        return self._layers[segment][layer][: batch * room].view(batch, room, self.width)[:, : group.length]

    def keys_values(
        self, segment: int, layers: int, group: DecodeGroup, shape: AttentionShape
    ) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Views of the contexts of a segment's first layers, which `append` brings up to date: keys and values by
        layer, each [B, key heads, length, D]; of a single sequence [key heads, 1, length, D].

        Args:
            group: one that `fits`.
        """
        turn, dim, width = self._turns[segment], shape.head_dim, self.width
        each = self.capacity * width
        if len(turn.identity.lengths) == 1:
            size, strides = (layers, shape.kv_heads, 1, group.length, dim), (each, dim, dim, width, 1)
        else:
            size = (layers, len(turn.identity.lengths), shape.kv_heads, group.length, dim)
            strides = (each, turn.room * width, dim, width, 1)
        first = segment * self._num_layers * each
        keys = self._arena.as_strided(size, strides, first)
        return keys.unbind(), self._arena.as_strided(size, strides, first + shape.kv_width).unbind()

    def fits(self, segment: int, group: DecodeGroup) -> bool:
        """Whether there is room for this group's contexts. Call it before a pass uses them."""
        if group.identity is None:
            return False
        turn = self._turns.get(segment)
        if turn is None or turn.identity is not group.identity:
            turn = self._turns[segment] = self._plan(turn, group.identity, group.length)
        return turn.room > 0

    def append(self, segment: int, layer: int, group: DecodeGroup, rows: Tensor, fresh: Tensor) -> None:
        """Bring a layer's copies up to date.

        Args:
            group: one that `fits`. rows: the layer's pages [tokens, width]; the new tokens may be written later.
            fresh: the new tokens' keys and values [rows, width].
        """
        turn = self._turns[segment]
        arena, room = self._layers[segment][layer], turn.room
        if turn.stale is None or self._stamps[segment][layer] != turn.follows:
            self.gathers += 1
            flat = rows.view(-1, self.page_size * self.width)
            whole = arena[: len(turn.identity.lengths) * room]
            torch.index_select(flat, 0, self._pages(turn, group), out=whole.view(-1, flat.shape[1]))
        else:
            self.appends += 1
            if turn.stale:
                flat = rows.view(-1, self.page_size * self.width)
                batch = len(turn.identity.lengths)
                numbers = self._pages(turn, group).view(batch, -1)[turn.stale]
                some = flat.index_select(0, numbers.view(-1)).view(len(turn.stale), -1)
                arena[: batch * room].view(batch, -1)[turn.stale] = some
        if len(turn.identity.lengths) == 1:
            if turn.spots is None:
                (start,), (end,) = turn.identity.starts, turn.identity.lengths
                turn.spots = self._arena[segment, :, start:end].unbind()
            turn.spots[layer].copy_(fresh)
        else:
            if turn.at is None:
                turn.at = _places(turn.identity, room)
            arena.index_copy_(0, turn.at, fresh)
        self._stamps[segment][layer] = turn.number

    def _pages(self, turn: _Turn, group: DecodeGroup) -> Tensor:
        if turn.numbers is None:
            turn.numbers = group.pages(turn.room // self.page_size)
        return turn.numbers

    def _plan(self, before: _Turn | None, now: ContextIdentity, length: int) -> _Turn:
        """What this pass can keep of the copies that the one before left."""
        self._number += 1
        if before is not None and before.room >= length and now.sequences == before.identity.sequences:
            stale = [row for row in range(len(now.lengths)) if not _follows(now, before.identity, row)]
            kept = None if 2 * len(stale) > len(now.lengths) else stale
            return _Turn(now, before.room, self._number, before.number, kept)
        step = max(ROUND, self.page_size)
        room = -(-(length + step // 2) // step) * step
        room = -(-room // self.page_size) * self.page_size
        if len(now.lengths) * room > self.capacity:
            room = 0
        return _Turn(now, room, self._number, -1, None)


def _follows(now: ContextIdentity, before: ContextIdentity, row: int) -> bool:
    """The copy of this row holds all keys before the new ones, and none of them was replaced since."""
    (taken, right), (taken_before, _) = now.cuts[row], before.cuts[row]
    held = min([before.lengths[row], *right[taken_before:taken]])
    return now.starts[row] <= held


def _places(identity: ContextIdentity, room: int) -> Tensor:
    """Where the new tokens go: long [new tokens]; the same in all layers of a pass."""
    bounds = zip(identity.starts, identity.lengths, strict=True)
    return torch.tensor([row * room + at for row, (start, end) in enumerate(bounds) for at in range(start, end)])
