"""Packed linears on a GPU in bfloat16: PyTorch's own int4 product (tinygemm), one kernel a linear.

It knows groups of 32 to 256 columns and weights (q - 8) * scale + zero with q from 0 to 15, scale and zero in bfloat16.
Ours are (q - 8 - point) * scale, so zero is -point * scale; 3-bit codes take 4-bit boxes, larger groups repeat their
scales. How the operator lays out its table is its own affair: to have floats again, `places` keeps where it put each
code of a tile, found by letting it pack the numbers of the places themselves.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from autoglm_phone.backends.quantized import PackedWeight, block_of
from autoglm_phone.compress.formats import packing

log = logging.getLogger(__name__)
GROUPS = (256, 128, 64, 32)
_INNER = (8, 4, 2)  # tiles of 16 columns that lie together
_TILE = 8  # outputs whose codes lie together on a GPU
# From this many input rows on, floats are made once for all: the operator reads the table anew for every 16 rows.
FLOAT_ROWS = 256


@cache
def works_on(device: torch.device) -> bool:
    """Whether this GPU has the operator and it multiplies what it was given; asked once. A CPU has better ways."""
    if device.type != "cuda":
        return False
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(-8, 8, (_TILE, 128), dtype=torch.int8, generator=generator)
    scales = (torch.rand(_TILE, 4, generator=generator) + 0.5).bfloat16()
    weight = PackedWeight(4, 128, packing.pack_codes(codes, 4), scales)
    x = torch.randn(2, 128, generator=generator).bfloat16()
    expected = x.float() @ weight.dequantize().T
    try:
        made = Int4Handle.of(weight, 32, None, device).multiply(x.to(device)).float().cpu()
    except (RuntimeError, NotImplementedError) as error:
        log.warning("no int4 product on %s (%s); packed weights are multiplied block by block", device, error)
        return False
    if not torch.allclose(made, expected, atol=0.02 * float(expected.abs().max())):
        log.warning(
            "the int4 product of %s is not the one known here; packed weights are multiplied block by block", device
        )
        return False
    return True


def group_of(weight: PackedWeight) -> int | None:
    """The operator's group; None where it can't hold the weight."""
    rows, columns = weight.shape
    if weight.bits not in (3, 4) or weight.activation_bits is not None or weight.order is not None:
        return None
    if rows % _TILE or columns % (16 * _INNER[-1]):
        return None
    return next((size for size in GROUPS if weight.group_size % size == 0), None)


@dataclass(frozen=True)
class Int4Handle:
    """table: the operator's. steps: bfloat16 [groups, rows, 2], scale and zero. places: long [tile * columns], where
    the codes of `tile` rows lie in their part of the table, as nibbles."""

    table: Tensor
    steps: Tensor
    places: Tensor
    bias: Tensor | None
    group: int
    tile: int

    @classmethod
    def of(cls, weight: PackedWeight, group: int, bias: Tensor | None, device: torch.device) -> Int4Handle:
        """group: what `group_of` says."""
        rows, columns = weight.shape
        tile = _TILE if device.type == "cuda" else rows
        inner = next(count for count in _INNER if columns % (16 * count) == 0)
        pieces = []
        step = max(1, block_of(device) // (columns * tile)) * tile  # as many rows as may be bytes at once
        for start in range(0, rows, step):
            part = weight.take(slice(start, start + step))
            codes, _ = part.integers()
            pieces.append(_convert((codes + 8).to(device), inner))
        scales = weight.scales.float()
        points = weight.zero_points()
        zeros = torch.zeros_like(scales) if points is None else -points.float() * scales
        steps = torch.stack([scales, zeros], -1).repeat_interleave(weight.group_size // group, 1)
        places = _places(tile, columns, inner, device)
        steps = steps.transpose(0, 1).to(device, torch.bfloat16).contiguous()
        return cls(torch.cat(pieces), steps, places, bias, group, tile)

    @property
    def shape(self) -> tuple[int, int]:
        return self.steps.shape[1], self.steps.shape[0] * self.group

    def multiply(self, x: Tensor) -> Tensor:
        if x.shape[0] < FLOAT_ROWS:
            y = _product(x.contiguous(), self.table, self.group, self.steps)
        else:
            rows, columns = self.shape
            y = torch.empty(x.shape[0], rows, dtype=x.dtype, device=x.device)
            count = max(1, block_of(x.device) // (columns * self.tile))  # tiles
            for first in range(0, rows // self.tile, count):
                tiles = torch.arange(first, min(first + count, rows // self.tile), device=x.device)
                block = self._floats(tiles)
                y[:, first * self.tile : first * self.tile + block.shape[0]] = torch.mm(x, block.t())
        return y if self.bias is None else y.add_(self.bias)

    def look_up(self, ids: Tensor) -> Tensor:
        made = self._floats(ids // self.tile).unflatten(0, (-1, self.tile))
        return made[torch.arange(len(ids), device=ids.device), ids % self.tile]

    def _floats(self, tiles: Tensor) -> Tensor:
        """Some tiles' weights, bfloat16 [tiles * tile, columns]."""
        columns = self.shape[1]
        packed = self.table.view(self.shape[0] // self.tile, -1)[tiles]
        codes = _nibbles(packed)[:, self.places].view(len(tiles) * self.tile, -1, self.group)
        rows = (tiles[:, None] * self.tile + torch.arange(self.tile, device=tiles.device)).flatten()
        scales, zeros = self.steps[:, rows].float().permute(2, 1, 0)
        made = codes.float().sub_(8).mul_(scales[..., None]).add_(zeros[..., None])
        return made.to(torch.bfloat16).view(-1, columns)


def _convert(codes: Tensor, inner: int) -> Tensor:
    """Codes 0 … 15 [rows, columns], one a byte, to the operator's table."""
    if codes.device.type == "cpu":
        return torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes.to(torch.int32), inner)
    codes = codes.to(torch.uint8)
    pairs = (codes[:, ::2] << 4) | codes[:, 1::2]
    return torch.ops.aten._convert_weight_to_int4pack(pairs.contiguous(), inner)


def _product(x: Tensor, table: Tensor, group: int, steps: Tensor) -> Tensor:
    if x.device.type == "cpu":
        return torch.ops.aten._weight_int4pack_mm_for_cpu(x, table, group, steps)
    return torch.ops.aten._weight_int4pack_mm(x, table, group, steps)


def _nibbles(packed: Tensor) -> Tensor:
    """[tiles, n] of any integers → uint8 [tiles, their nibbles]."""
    raw = packed.contiguous().view(torch.uint8)
    return torch.stack([raw & 15, raw >> 4], -1).flatten(1)


@cache
def _places(tile: int, columns: int, inner: int, device: torch.device) -> Tensor:
    """For each code of a tile, row by row: which nibble of the tile's table it is. Linears of one width share it."""
    numbers = torch.arange(tile * columns, device=device)
    found = torch.zeros_like(numbers)
    for digit in range(0, (tile * columns - 1).bit_length(), 4):
        packed = _convert(((numbers >> digit) & 15).view(tile, columns), inner)
        found += _nibbles(packed.view(1, -1))[0].long() << digit
    return found.argsort()
