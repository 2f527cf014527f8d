"""Float32 products with weights that half precision holds exactly: half the bytes to read, no repacking at each call.

Passes over few rows are bound by reading weights, and MKL's product of 2 to 32 rows spends most of its time on putting
the weight into an order of its own, each time. FBGEMM's packs once, reads float16 and computes in float32. A bfloat16
checkpoint has 8 significant bits where float16 has 11: nothing is lost but what lies below 2^-25, and `holds` looks.

The operators are PyTorch's old ones, which it means to remove, and exist for x86 only: `is_available` tries them, and
without them nothing changes. Each call computes with one thread; where there are several, rows are dealt out to them.
FBGEMM pads inputs to a multiple of 512; a weight that would take more than in float32 so is left alone.
"""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from autoglm_phone.errors import EngineError

LOST = 2.0**-25  # of a weight, at most: half of float16's smallest step
LARGEST = 1 << 22  # weights: more are worth several threads for few rows too
PADDED = 512  # inputs
SHARE = 64  # rows of a thread at least: to wake one takes as long as some ten


class Packed:
    """FBGEMM's memory of a weight, which only it can read; a tensor in name only, so not to be walked as one."""

    def __init__(self, weight: Tensor):
        outputs, inputs = weight.shape
        self.nbytes = outputs * _padded(inputs) * torch.float16.itemsize
        self.tensor = torch.fbgemm_pack_gemm_matrix_fp16(weight.float().contiguous())


@dataclass(frozen=True, eq=False)
class HalfLinear:
    """outputs: how many. bias: float32 [outputs] or None."""

    packed: Packed
    outputs: int
    bias: Tensor | None

    @staticmethod
    def fits(weight: Tensor) -> bool:
        """Whether a weight [out, in] can be kept so: of any floating dtype, on the CPU."""
        inputs = weight.shape[1]
        return weight.numel() <= LARGEST and _padded(inputs) <= 2 * inputs and is_available() and holds(weight)

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None) -> HalfLinear:
        """Of a weight that `fits`."""
        return cls(Packed(weight), weight.shape[0], bias)

    def multiply(self, x: Tensor) -> Tensor:
        return self.multiply_into(x, x.new_empty(x.shape[0], self.outputs))

    def multiply_into(self, x: Tensor, out: Tensor) -> Tensor:
        """x [T, in] → out [T, outputs], contiguous, which is no part of x."""
        rows = x.shape[0]
        threads = min(torch.get_num_threads(), rows // SHARE)
        if threads < 2:
            torch.fbgemm_linear_fp16_weight_fp32_activation(x, self.packed.tensor, self.bias, output=out)
            return out

        def part(first: int, end: int) -> None:
            # With a bias each of the threads would add it with as many again.
            torch.fbgemm_linear_fp16_weight_fp32_activation(
                x[first:end], self.packed.tensor, None, output=out[first:end]
            )

        cuts = [rows * place // threads for place in range(threads + 1)]
        others = [_pool().submit(part, *cut) for cut in pairwise(cuts[1:])]
        try:
            part(0, cuts[1])
        finally:
            for other in others:
                other.result()
        return out if self.bias is None else out.add_(self.bias)

    def look_up(self, ids: Tensor) -> Tensor:
        raise EngineError("FBGEMM's weights can't be read; an embedding needs a table of its own")


def _padded(inputs: int) -> int:
    return -(-inputs // PADDED) * PADDED


def holds(weight: Tensor) -> bool:
    """Whether half precision is as good as float32 for these weights, each by itself: then it is for any of them put
    together. Looked at in pieces, which leave no holes in memory."""
    return weight.dtype == torch.float16 or all(
        bool((piece.float() - piece.half().float()).abs().max() <= LOST) for piece in weight.split(64)
    )


@cache
def is_available() -> bool:
    """Whether PyTorch's operators are there and right."""
    if not hasattr(torch, "fbgemm_linear_fp16_weight_fp32_activation"):
        return False
    weight, bias = torch.arange(-24.0, 24.0).view(16, 3), torch.ones(16)
    x, out = torch.tensor([[1.0, 2.0, -0.5], [3.0, 0.0, 4.0]]), torch.zeros(2, 16)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they say once that they will go
            HalfLinear.of(weight, bias).multiply_into(x, out)
    except (RuntimeError, AttributeError, TypeError):
        return False
    return torch.equal(out, F.linear(x, weight, bias))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1), "rows")
