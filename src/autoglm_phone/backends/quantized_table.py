"""Packed linears on a CPU, multiplied straight from their codes by PyTorch's quantized embedding bags (FBGEMM).

A bag sums rows of a quantized table with float32 weights. Take the transposed codes as the table, one row an input
channel, and the activations as the weights: the bag over the channels of one group is that group's part of the product,
in exact codes and float32, with no float weight anywhere. Scales, which belong to (output, group), are applied to the
[T, groups, rows] sums. PyTorch's own int4 and int8 matmuls are no help in float32 on a CPU: they are scalar loops
there, 20 to 50 times slower than the float product (their bfloat16 kernels round the weights).

For many rows of input the work of a bag grows with each of them, while unpacking a block to floats is paid once:
from `BAG_ROWS` on, blocks of at most `BLOCK` weights are unpacked (by FBGEMM too) and multiplied. 3-bit codes live in
4-bit boxes, as FBGEMM has none of 3 bits: a third more bytes buys a product many times quicker.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from autoglm_phone.backends.quantized import BLOCK, PackedWeight

_Q = torch.ops.quantized
_BAG = {
    2: _Q.embedding_bag_2bit_rowwise_offsets,
    4: _Q.embedding_bag_4bit_rowwise_offsets,
    8: _Q.embedding_bag_byte_rowwise_offsets,
}
_UNPACK = {2: _Q.embedding_bag_2bit_unpack, 4: _Q.embedding_bag_4bit_unpack, 8: _Q.embedding_bag_byte_unpack}
_BOX = {2: 2, 3: 4, 4: 4, 8: 8}
# Fewer input rows than this go through the bag. Measured on an AVX-512 core (benchmarks/quantized_steps.py --rule).
BAG_ROWS = {2: 6, 4: 7, 8: 7}


@dataclass(frozen=True)
class TableHandle:
    """table: uint8 [columns, bytes]: a row holds one input channel's codes of all outputs, padded to whole bytes, then
    scale 1 and the codes' offset, as FBGEMM wants them (two halves; two floats for 8 bits).
    scales: float32 [groups, rows]. points: float32 [groups, rows], zero point * scale; None if symmetric.
    """

    table: Tensor
    scales: Tensor
    points: Tensor | None
    bias: Tensor | None
    bits: int  # of a box: 2, 4 or 8
    rows: int
    width: int  # rows, padded to whole bytes
    dtype: torch.dtype

    @classmethod
    def of(cls, weight: PackedWeight, bias: Tensor | None, dtype: torch.dtype) -> TableHandle:
        box = _BOX[weight.bits]
        scales = weight.scales.float().T.contiguous()
        zeros = weight.zero_points()
        points = None if zeros is None else zeros.float().T * scales
        table, rows = _table(weight, box), weight.shape[0]
        width = -(-rows * box // 8) * 8 // box
        return cls(table, scales, points, None if bias is None else bias.float(), box, rows, width, dtype)

    def multiply(self, x: Tensor) -> Tensor:
        x = x.float().contiguous()
        few = x.shape[0] < BAG_ROWS[self.bits]
        y = self._by_bags(x) if few else self._by_blocks(x)
        if self.points is not None:
            y.addmm_(x.unflatten(-1, (self.scales.shape[0], -1)).sum(-1), self.points, alpha=-1)
        if self.bias is not None:
            y += self.bias
        return y if self.dtype == torch.float32 else y.to(self.dtype)

    def look_up(self, ids: Tensor) -> Tensor:
        groups, size = self.scales.shape[0], self.table.shape[0] // self.scales.shape[0]
        per_byte = 8 // self.bits
        held = self.table.index_select(1, ids // per_byte)  # uint8 [columns, T]
        codes = (held >> (self.bits * (ids % per_byte)).to(torch.uint8)) & ((1 << self.bits) - 1)
        values = codes.t().float().sub_(1 << (self.bits - 1)).view(-1, groups, size)
        values *= self.scales[:, ids].t()[..., None]
        if self.points is not None:
            values -= self.points[:, ids].t()[..., None]
        return values.flatten(1).to(self.dtype)

    def _by_bags(self, x: Tensor) -> Tensor:
        count, columns = x.shape
        groups, width = self.scales.shape[0], self.width
        size = columns // groups
        if count * groups * width > BLOCK:
            return self._by_bags_in_turn(x, size)
        indices, offsets = _bags(count, columns, size)
        sums = _BAG[self.bits](self.table, indices, offsets, False, 0, False, x.view(-1), None, True)
        if width != self.rows:
            sums = sums[:, : self.rows]
        if groups == 1:
            return sums.mul_(self.scales)
        return sums.unflatten(0, (count, groups)).mul_(self.scales).sum(1)

    def _by_bags_in_turn(self, x: Tensor, size: int) -> Tensor:
        """Groups as many at a time as keep the sums small, as they have `groups` times the output's size."""
        count = x.shape[0]
        y = torch.zeros(count, self.rows)
        step = max(1, BLOCK // (count * self.width))
        for first in range(0, self.scales.shape[0], step):
            scales = self.scales[first : first + step]
            end = (first + scales.shape[0]) * size
            part = x[:, first * size : end].contiguous()
            indices, offsets = _bags(count, part.shape[1], size)
            table = self.table[first * size : end]
            sums = _BAG[self.bits](table, indices, offsets, False, 0, False, part.view(-1), None, True)
            y += sums[:, : self.rows].unflatten(0, (count, scales.shape[0])).mul_(scales).sum(1)
        return y

    def _by_blocks(self, x: Tensor) -> Tensor:
        groups, columns = self.scales.shape[0], self.table.shape[0]
        size = columns // groups
        step = max(1, BLOCK // (size * self.width))  # whole groups at once
        if step == 1 and size * self.width > BLOCK:
            return self._by_pieces(x, size)
        y = None
        for first in range(0, groups, step):
            scales = self.scales[first : first + step]
            count = scales.shape[0]
            start, end = first * size, (first + count) * size
            block = _UNPACK[self.bits](self.table[start:end])[:, : self.rows]
            part = x if count == groups else x[:, start:end]
            if count == 1:
                made = torch.mm(part, block).mul_(scales)
            elif x.shape[0] < size // 2:  # scaling the sums of each group is less work than scaling the weights
                made = torch.bmm(part.unflatten(1, (count, size)).transpose(0, 1), block.unflatten(0, (count, size)))
                made = made.mul_(scales[:, None]).sum(0)
            else:
                made = torch.mm(part, block.unflatten(0, (count, size)).mul_(scales[:, None]).flatten(0, 1))
            y = made if y is None else y.add_(made)
        return x.new_zeros(x.shape[0], self.rows) if y is None else y

    def _by_pieces(self, x: Tensor, size: int) -> Tensor:
        """Of weights with so many outputs that a group alone is more than a block."""
        y = torch.zeros(x.shape[0], self.rows)
        step = max(1, BLOCK // self.width)
        for group, scales in enumerate(self.scales):
            last = (group + 1) * size
            for start in range(group * size, last, step):
                end = min(last, start + step)
                block = _UNPACK[self.bits](self.table[start:end])[:, : self.rows]
                y.addcmul_(torch.mm(x[:, start:end], block), scales)
        return y


def _table(weight: PackedWeight, box: int) -> Tensor:
    rows, columns = weight.shape
    per_byte = 8 // box
    width = -(-rows // per_byte)
    offset = torch.tensor([1, -(1 << (box - 1))], dtype=torch.float32 if box == 8 else torch.float16).view(torch.uint8)
    table = torch.empty(columns, width + offset.numel(), dtype=torch.uint8)
    table[:, width:] = offset
    step = max(1, BLOCK // (columns * per_byte)) * per_byte
    for start in range(0, rows, step):
        codes, _ = replace(weight.take(slice(start, start + step)), zeros=None).integers()
        boxes = codes.add_(1 << (box - 1)) if box < 8 else codes ^ -128
        boxes = boxes.view(torch.uint8).T
        if boxes.shape[1] % per_byte:
            boxes = torch.nn.functional.pad(boxes, (0, per_byte - boxes.shape[1] % per_byte))
        packed = boxes[:, ::per_byte].clone()
        for place in range(1, per_byte):
            packed |= boxes[:, place::per_byte] << (box * place)
        table[:, start // per_byte : start // per_byte + packed.shape[1]] = packed
    return table


@lru_cache(maxsize=64)
def _bags(count: int, columns: int, size: int) -> tuple[Tensor, Tensor]:
    """(table rows, first index of each bag and the end) of `count` inputs in groups of `size` channels."""
    indices = torch.arange(columns, dtype=torch.int32).repeat(count)
    return indices, torch.arange(0, count * columns + 1, size, dtype=torch.int32)
