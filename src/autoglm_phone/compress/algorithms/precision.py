"""Which products may use a GPU's tensor cores (TF32: 10 bits of mantissa, float32 sums).

Those over many samples may: running a unit, its inputs' moments, the scores that compare AWQ's candidates. Rounding
an input to TF32 moves it by at most 2⁻¹¹ of itself, far less than the bfloat16 that models run in, and H = Σ x xᵀ of
inputs so moved is still a Gram matrix. What is solved with H (factors, GPTQ, refinement, compensation) stays in full
float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def tensor_cores() -> Iterator[None]:
    """float32 products on a GPU in TF32 while this lasts; on a CPU nothing changes."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
