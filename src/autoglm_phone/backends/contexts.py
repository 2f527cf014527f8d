"""Dense copies of the contexts that decode right now, so that a step appends tokens instead of gathering pages.

Gathering reads and writes every running context once a layer and step; on a CPU that is as much memory traffic as the
attention itself and the weights together. A copy stays valid while the same sequences decode side by side, which is
most steps; drafts that were taken back are overwritten as they are in the pages. A row that went on elsewhere in the
meantime is gathered anew, and all rows are when the group changes. Pages stay the truth: copies are only read.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autoglm_phone.backends.base import AttentionShape, ContextIdentity, DecodeGroup

ROUND = 32  # tokens by which a row's room grows, so that it is not gathered anew at each page


@dataclass
class _Turn:
    """A pass through a segment: what its layers have to do. room: tokens a row; 0: the group does not fit.

    number, follows: of this pass, and of the one whose copies it can go on from. stale: rows to gather; None: all.
    at: long [new tokens], where these go. numbers: long [B * P], the pages of all rows, made when needed.
    """

    identity: ContextIdentity
    room: int
    number: int
    follows: int
    stale: list[int] | None
    at: Tensor | None = None
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
        self._layers = [list(segment) for segment in torch.empty(size, dtype=dtype)]  # untouched memory costs nothing
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
        turn = self._append(segment, layer, group, flat, fresh)
        batch, room = len(turn.identity.lengths), turn.room
        return self._layers[segment][layer][: batch * room].view(batch, room, self.width)[:, : group.length]

    def keys_values(
        self, segment: int, layer: int, group: DecodeGroup, rows: Tensor, fresh: Tensor, shape: AttentionShape
    ) -> tuple[Tensor, Tensor]:
        """What `read` gives, taken apart: each [B, key heads, length, D]; of a single row [key heads, 1, length, D].

        Args:
            group: one that `fits`. rows: the layer's pages [tokens, width], the new tokens already written.
        """
        turn = self._append(segment, layer, group, rows.view(-1, self.page_size * self.width), fresh)
        arena, dim, width = self._layers[segment][layer], shape.head_dim, self.width
        if len(turn.identity.lengths) == 1:
            size, strides = (shape.kv_heads, 1, group.length, dim), (dim, dim, width, 1)
        else:
            size = (len(turn.identity.lengths), shape.kv_heads, group.length, dim)
            strides = (turn.room * width, dim, width, 1)
        first = (segment * self._num_layers + layer) * self.capacity * width
        return arena.as_strided(size, strides, first), arena.as_strided(size, strides, first + shape.kv_width)

    def fits(self, segment: int, group: DecodeGroup) -> bool:
        """Whether there is room for this group's contexts. Call it before a pass uses them."""
        if group.identity is None:
            return False
        turn = self._turns.get(segment)
        if turn is None or turn.identity is not group.identity:
            turn = self._turns[segment] = self._plan(turn, group.identity, group.length)
        return turn.room > 0

    def _append(self, segment: int, layer: int, group: DecodeGroup, flat: Tensor, fresh: Tensor) -> _Turn:
        """Bring a layer's copies up to date."""
        turn = self._turns[segment]
        arena, room = self._layers[segment][layer], turn.room
        if turn.stale is None or self._stamps[segment][layer] != turn.follows:
            self.gathers += 1
            whole = arena[: len(turn.identity.lengths) * room]
            torch.index_select(flat, 0, self._pages(turn, group), out=whole.view(-1, flat.shape[1]))
        else:
            self.appends += 1
            if turn.stale:
                batch = len(turn.identity.lengths)
                numbers = self._pages(turn, group).view(batch, -1)[turn.stale]
                some = flat.index_select(0, numbers.view(-1)).view(len(turn.stale), -1)
                arena[: batch * room].view(batch, -1)[turn.stale] = some
            if turn.at is None:
                turn.at = _places(turn.identity, room)
            arena.index_copy_(0, turn.at, fresh)
        self._stamps[segment][layer] = turn.number
        return turn

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
    held = before.lengths[row]
    if taken != taken_before:
        # Taken back twice means that the tokens in between went past the copy.
        held = min(held, right) if taken == taken_before + 1 else 0
    return now.starts[row] <= held


def _places(identity: ContextIdentity, room: int) -> Tensor:
    """Where the new tokens go: long [new tokens]; the same in all layers of a pass."""
    bounds = zip(identity.starts, identity.lengths, strict=True)
    return torch.tensor([row * room + at for row, (start, end) in enumerate(bounds) for at in range(start, end)])
