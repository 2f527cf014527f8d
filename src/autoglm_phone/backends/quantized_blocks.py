"""Packed linears on any device: a block of rows becomes floats, is multiplied, and is forgotten.

Memory stays as packed as the file, true 3-bit codes included. The plain truth for quicker handles, and the way of
embeddings that no head shares: only the rows that are looked up become floats.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from autoglm_phone.backends.quantized import PackedWeight, block_of

INPUT_STEPS = 127.5  # half of the 255 steps between the outermost codes


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
            x = round_rows(x).to(self.dtype)
        step = max(1, block_of(x.device) // columns)
        y = torch.empty(x.shape[0], rows, dtype=self.dtype, device=x.device)
        for start in range(0, rows, step):
            block = self.weight.take(slice(start, start + step)).dequantize(self.dtype)
            y[:, start : start + step] = torch.mm(x, block.t())
        return y if self.bias is None else y.add_(self.bias)

    def look_up(self, ids: Tensor) -> Tensor:
        return self.weight.take(ids).dequantize(self.dtype)


def quantize_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """x [T, C] → int8 codes [T, C] and float32 steps [T, 1], a step a row.

    The very grid that training with 8-bit inputs simulates (torchao's symmetric one, compressed-tensors' too): the
    largest of a row lies at 127.5 steps, codes are -128 … 127.
    """
    x = x.float()
    steps = x.abs().amax(-1, keepdim=True).div_(INPUT_STEPS).clamp_(min=torch.finfo(torch.float32).tiny)
    return (x * steps.reciprocal()).round_().clamp_(-128, 127).to(torch.int8), steps


def round_rows(x: Tensor) -> Tensor:
    """x [T, C] on that grid, float32."""
    codes, steps = quantize_rows(x)
    return codes.float().mul_(steps)
