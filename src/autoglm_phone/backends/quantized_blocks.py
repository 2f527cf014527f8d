"""Packed linears on any device: a block of rows becomes floats, is multiplied, and is forgotten.

Memory stays as packed as the file, true 3-bit codes included. The plain truth for quicker handles, and the way of
embeddings that no head shares: only the rows that are looked up become floats.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from autoglm_phone.backends.quantized import BLOCK, PackedWeight


@dataclass(frozen=True)
class BlockHandle:
    """dtype: of inputs and outputs. Weights are dequantized in float32 and cast once, as a float checkpoint's are."""

    weight: PackedWeight
    bias: Tensor | None
    dtype: torch.dtype

    @classmethod
    def of(cls, weight: PackedWeight, bias: Tensor | None, device: torch.device, dtype: torch.dtype) -> BlockHandle:
        zeros = None if weight.zeros is None else weight.zeros.to(device)
        placed = replace(weight, codes=weight.codes.to(device), scales=weight.scales.to(device), zeros=zeros)
        return cls(placed, bias, dtype)

    def multiply(self, x: Tensor) -> Tensor:
        rows, columns = self.weight.shape
        if self.weight.activation_bits == 8:
            codes, steps = quantize_rows(x)
            x = (codes.float() * steps).to(self.dtype)
        step = max(1, BLOCK // columns)
        y = torch.empty(x.shape[0], rows, dtype=self.dtype, device=x.device)
        for start in range(0, rows, step):
            block = self.weight.take(slice(start, start + step)).dequantize(self.dtype)
            y[:, start : start + step] = torch.mm(x, block.t())
        return y if self.bias is None else y.add_(self.bias)

    def look_up(self, ids: Tensor) -> Tensor:
        return self.weight.take(ids).dequantize(self.dtype)


def quantize_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """x [T, C] → int8 codes [T, C] and float32 steps [T, 1]: symmetric, a step a row, as training with 8-bit inputs
    simulates them."""
    x = x.float()
    steps = x.abs().amax(-1, keepdim=True).div_(127).clamp_(min=torch.finfo(torch.float32).tiny)
    return (x / steps).round_().clamp_(-127, 127).to(torch.int8), steps
