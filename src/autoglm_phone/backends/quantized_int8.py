"""Linears with 8-bit inputs: integer products (VNNI where there is one; cuBLASLt on a GPU), as training with fake
quantization (QAT) simulated them. Inputs get a step a row (token), symmetric; sums are exact in int32.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autoglm_phone.backends.quantized import PackedWeight
from autoglm_phone.backends.quantized_blocks import quantize_rows

GPU_ROWS = 17  # the least that the GPU's integer product takes; fewer are filled up with zeros


def runs_on(weight: PackedWeight, device: torch.device) -> bool:
    """Whether there is an integer product for this weight: a GPU's wants multiples of 8, and here one group a row."""
    if device.type != "cuda":
        return device.type == "cpu"
    return weight.groups == 1 and not any(size % 8 for size in weight.shape)


@dataclass(frozen=True)
class Int8Handle:
    """codes: int8 [rows, columns], one byte a code whatever the file's bits: what the integer product reads.
    scales: float32 [groups, rows]. points: float32 [groups, rows], zero point * scale; None if symmetric.
    """

    codes: Tensor
    scales: Tensor
    points: Tensor | None
    bias: Tensor | None
    dtype: torch.dtype

    @classmethod
    def of(cls, weight: PackedWeight, bias: Tensor | None, device: torch.device, dtype: torch.dtype) -> Int8Handle:
        codes, zeros = weight.integers()
        scales = weight.scales.float().T.contiguous().to(device)
        points = None if zeros is None else zeros.float().T.to(device) * scales
        return cls(codes.contiguous().to(device), scales, points, None if bias is None else bias.float(), dtype)

    def multiply(self, x: Tensor) -> Tensor:
        rounded, steps = quantize_rows(x)
        groups = self.scales.shape[0]
        if groups == 1:
            y = _integer_product(rounded, self.codes).float().mul_(self.scales[0])
        else:
            y = torch.zeros(x.shape[0], self.codes.shape[0], device=x.device)
            size = self.codes.shape[1] // groups
            for group, scale in enumerate(self.scales):
                part = slice(group * size, (group + 1) * size)
                y.addcmul_(_integer_product(rounded[:, part], self.codes[:, part]).float(), scale)
        if self.points is not None:
            y.addmm_(rounded.float().unflatten(-1, (groups, -1)).sum(-1), self.points, alpha=-1)
        y *= steps
        if self.bias is not None:
            y += self.bias
        return y if self.dtype == torch.float32 else y.to(self.dtype)

    def look_up(self, ids: Tensor) -> Tensor:
        groups = self.scales.shape[0]
        values = self.codes[ids].float().unflatten(-1, (groups, -1)) * self.scales[:, ids].t()[..., None]
        if self.points is not None:
            values -= self.points[:, ids].t()[..., None]
        return values.flatten(1).to(self.dtype)


def _integer_product(x: Tensor, codes: Tensor) -> Tensor:
    """int8 [T, C] times int8 [rows, C]: int32 [T, rows]. cuBLASLt takes rows whose stride is a multiple of 4, so inputs
    that lie column by column (states of a convolution, say) are copied."""
    x = x.contiguous()
    short = GPU_ROWS - x.shape[0] if x.is_cuda else 0
    if short > 0:
        return torch._int_mm(torch.nn.functional.pad(x, (0, 0, 0, short)), codes.t())[: x.shape[0]]
    return torch._int_mm(x, codes.t())
