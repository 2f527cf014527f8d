"""Weights that stay packed in memory: what a checkpoint's reader hands to a backend, and the choice of who multiplies.

A `PackedWeight` is a matrix as the master format stores it (compress/formats/master.py). `pack` turns it into a handle
that multiplies without ever making the whole float matrix: on a CPU by `quantized_table`, on a GPU in bfloat16 by
`quantized_int4`, with 8-bit inputs by `quantized_int8`, and what none of them holds by `quantized_blocks`. Handles are
dataclasses of tensors, so segments that come and go can be mapped to another device like float ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from autoglm_phone.compress.formats import packing
from autoglm_phone.errors import CheckpointError

BLOCK = 1 << 19  # weights that are floats at once: 2 MB in float32, about a core's share of the caches
GPU_BLOCK = 1 << 24  # on a GPU, where few large products count: some 200 MB for what is made of them along the way


@dataclass(frozen=True, eq=False)
class PackedWeight:
    """A weight [rows, columns] of a linear or an embedding.

    codes: uint8 [rows, packed width], scales: float [rows, groups], zeros: uint8 [rows, packed width of groups] or None
    (symmetric), all as `packing` says. activation_bits: 8 where the inputs are to be rounded to int8, token by token.
    order: long [columns], which input each stored column belongs to, where a file's groups are scattered over the
    inputs (GPTQ's desc_act); None: as they lie.
    """

    bits: int
    columns: int
    codes: Tensor
    scales: Tensor
    zeros: Tensor | None = None
    activation_bits: int | None = None
    order: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return self.codes.shape[0], self.columns

    @property
    def groups(self) -> int:
        return self.scales.shape[1]

    @property
    def group_size(self) -> int:
        return self.columns // self.groups

    @property
    def nbytes(self) -> int:
        return self.codes.nbytes + self.scales.nbytes + (0 if self.zeros is None else self.zeros.nbytes)

    def take(self, rows: slice | Tensor) -> PackedWeight:
        """Some of the rows, still packed."""
        zeros = None if self.zeros is None else self.zeros[rows]
        return replace(self, codes=self.codes[rows], scales=self.scales[rows], zeros=zeros)

    def integers(self) -> tuple[Tensor, Tensor | None]:
        """(codes int8 [rows, columns], zero points int8 [rows, groups] or None): for some rows, not for all."""
        return unpack(self.codes, self.bits, self.columns), self.zero_points()

    def zero_points(self) -> Tensor | None:
        """int8 [rows, groups]; None if symmetric."""
        return None if self.zeros is None else packing.unpack_codes(self.zeros, self.bits, self.groups)

    def dequantize(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """The floats: for some rows, not for all."""
        codes, points = self.integers()
        made = packing.dequantize_codes(codes, self.scales, points).to(dtype)
        return made if self.order is None else made[:, self.order.argsort()]


Weight = Tensor | PackedWeight


def block_of(device: torch.device) -> int:
    """Weights that may be floats at once."""
    return BLOCK if device.type == "cpu" else GPU_BLOCK


class Handle(Protocol):
    """A packed linear on its device."""

    def multiply(self, x: Tensor) -> Tensor:
        """x [T, columns] → [T, rows]."""

    def look_up(self, ids: Tensor) -> Tensor:
        """ids long [T] → those rows as floats [T, columns]."""


@dataclass(frozen=True, eq=False)
class Stacked:
    """Linears of one input whose weights can't be joined (other bits, other groups), outputs side by side."""

    parts: tuple[Weight, ...]

    @property
    def shape(self) -> tuple[int, int]:
        return sum(part.shape[0] for part in self.parts), self.parts[0].shape[1]


@dataclass(frozen=True)
class StackedHandle:
    parts: tuple[Handle, ...]
    bias: Tensor | None

    def multiply(self, x: Tensor) -> Tensor:
        y = torch.cat([part.multiply(x) for part in self.parts], dim=-1)
        return y if self.bias is None else y.add_(self.bias)

    def look_up(self, ids: Tensor) -> Tensor:
        raise CheckpointError("an embedding must be quantized in one piece")


@dataclass(frozen=True)
class FloatHandle:
    """weight [in, out]: a float part among packed ones."""

    weight: Tensor

    def multiply(self, x: Tensor) -> Tensor:
        return torch.mm(x, self.weight)

    def look_up(self, ids: Tensor) -> Tensor:
        return self.weight[:, ids].T.contiguous()


@dataclass(frozen=True)
class OrderedHandle:
    """A linear whose stored columns lie in another order than its inputs. order: long [columns], on the device."""

    inner: Handle
    order: Tensor

    def multiply(self, x: Tensor) -> Tensor:
        return self.inner.multiply(x.index_select(-1, self.order))

    def look_up(self, ids: Tensor) -> Tensor:
        return self.inner.look_up(ids)[:, self.order.argsort()]


def unpack(packed: Tensor, bits: int, columns: int) -> Tensor:
    """As packing.unpack_codes, several times quicker: 2, 4 and 8 bits never leave uint8."""
    if bits == 8:
        return (packed ^ 128).view(torch.int8)  # two's complement differs from the offset of 128 in the top bit
    if bits == 3:
        return packing.unpack_codes(packed, bits, columns)
    per_byte = 8 // bits
    out = torch.empty(*packed.shape, per_byte, dtype=torch.uint8, device=packed.device)
    for place in range(per_byte):
        out[..., place] = (packed >> (bits * place)) & ((1 << bits) - 1)
    codes = out.flatten(1).view(torch.int8)[:, :columns]
    return codes.sub_(1 << (bits - 1))


def stack(parts: Sequence[Weight]) -> Weight | Stacked:
    """Weights of linears with the same input, joined by rows: in one piece if they are alike."""
    floats = [part for part in parts if isinstance(part, Tensor)]
    if len(floats) == len(parts):
        return torch.cat(floats)
    packed = [part for part in parts if isinstance(part, PackedWeight)]
    first = packed[0]
    alike = len(packed) == len(parts) and all(
        (p.bits, p.columns, p.groups, p.scales.dtype, p.zeros is None, p.activation_bits)
        == (first.bits, first.columns, first.groups, first.scales.dtype, first.zeros is None, first.activation_bits)
        and _same_order(p.order, first.order)
        for p in packed
    )
    if not alike:
        return Stacked(tuple(parts))
    zeros = None if first.zeros is None else torch.cat([p.zeros for p in packed if p.zeros is not None])
    codes, scales = torch.cat([p.codes for p in packed]), torch.cat([p.scales for p in packed])
    return replace(first, codes=codes, scales=scales, zeros=zeros)


def _same_order(one: Tensor | None, other: Tensor | None) -> bool:
    return one is other or (one is not None and other is not None and torch.equal(one, other))


def floats(weight: Weight | Stacked) -> Tensor:
    """The whole weight in floats: for measuring and for merging, never for running."""
    if isinstance(weight, Stacked):
        return torch.cat([floats(part) for part in weight.parts])
    return weight.dequantize() if isinstance(weight, PackedWeight) else weight


def scaled(weight: Weight, factor: Tensor) -> Weight:
    """weight * factor (one number), in float32; a packed one takes it into its scales."""
    if isinstance(weight, PackedWeight):
        return replace(weight, scales=weight.scales.float() * factor)
    return weight.float() * factor


_packed: WeakKeyDictionary[PackedWeight, Handle] = WeakKeyDictionary()  # a tied head and its embedding share one handle


def pack(
    weight: PackedWeight | Stacked, bias: Tensor | None, device: torch.device, dtype: torch.dtype, *, table: bool = True
) -> Handle:
    """The handle of a linear.

    Args:
        bias: on the device, in its dtype.
        table: False for an embedding that no head shares: rows are looked up, never multiplied.
    """
    from autoglm_phone.backends.quantized_blocks import BlockHandle
    from autoglm_phone.backends.quantized_int4 import Int4Handle, group_of, works_on
    from autoglm_phone.backends.quantized_int8 import Int8Handle, runs_on
    from autoglm_phone.backends.quantized_table import TableHandle

    if isinstance(weight, Stacked):
        parts = tuple(
            FloatHandle(part.to(device=device, dtype=dtype).t().contiguous())
            if isinstance(part, Tensor)
            else pack(part, None, device, dtype)
            for part in weight.parts
        )
        return StackedHandle(parts, bias)
    found = _packed.get(weight)
    if found is not None and bias is None:
        return found
    handle: Handle
    if weight.order is not None:
        inner = pack(replace(weight, order=None), bias, device, dtype, table=table)
        return OrderedHandle(inner, weight.order.to(device))
    if weight.activation_bits == 8 and runs_on(weight, device):
        handle = Int8Handle.of(weight, bias, device, dtype)
    elif table and device.type == "cpu" and weight.activation_bits is None:
        handle = TableHandle.of(weight, bias, dtype)
    elif table and dtype == torch.bfloat16 and works_on(device) and (group := group_of(weight)) is not None:
        handle = Int4Handle.of(weight, group, bias, device)
    else:
        handle = BlockHandle.of(weight, bias, device, dtype)
    if bias is None:
        _packed[weight] = handle
    return handle
