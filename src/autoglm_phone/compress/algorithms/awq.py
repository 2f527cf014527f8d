"""AWQ's scale search (Lin et al. 2023): channels whose inputs are large get finer steps, their inverse folded away.

The output error of a candidate is tr(E H Eᵀ) with H of the inputs, which is exactly the mean squared error that AWQ
measures by running the layer, without running it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from autoglm_phone.compress.algorithms.gptq import output_error
from autoglm_phone.compress.algorithms.grid import absmax_grid
from autoglm_phone.compress.algorithms.precision import tensor_cores

SEARCHED = 1 << 25  # weights that candidates are compared on: every second, third … row of what has more


def share(scale: Tensor, repeat: int, head_dim: int) -> Tensor:
    """One scale for the heads that read the same key-value head (their geometric mean): [C] → [C]."""
    if repeat == 1:
        return scale
    heads = scale.view(-1, repeat, head_dim).log().mean(1, keepdim=True).exp()
    return heads.expand(-1, repeat, head_dim).reshape(-1)


def search_scale(
    weights: Sequence[Tensor],
    hessian: Tensor,
    *,
    bits: int,
    group_sizes: Sequence[int],
    symmetric: bool = True,
    repeat: int = 1,
    head_dim: int = 1,
    points: int = 20,
) -> tuple[Tensor, float, float]:
    """The scale s [C] for the inputs' channels: the weights become W * s, the inputs x / s.

    Args:
        weights: all linears [R_i, C] that read these inputs (q, k and v; gate and up).
        points: how many exponents between 0 and 1 to try; 0 is no scaling and always among them.

    Returns:
        (s, error with it, error without), errors summed over the linears' rows, or over `SEARCHED` weights' worth of
        evenly spaced ones: a sum over thousands of rows that all weigh their errors with the same H.
    """
    magnitude = hessian.diagonal().clamp_min(0).sqrt()
    magnitude = magnitude.clamp_min(magnitude.mean() * 1e-4)
    # Their typical size; divided out so that channels with small weights are not taken for unimportant.
    size = torch.stack([w.abs().sum(0) for w in weights]).sum(0) / sum(len(w) for w in weights)
    size = size.clamp_min(size.mean() * 1e-4)
    ratios = [(False, point / points) for point in range(points)] + [(True, p / points) for p in range(1, points)]
    parts = _by_group_size(weights, group_sizes)
    scales, losses = [], []
    for use_size, ratio in ratios:
        scale = share(magnitude.pow(ratio) / (size.pow(1 - ratio) if use_size else 1.0), repeat, head_dim)
        scales.append(scale / (scale.max() * scale.min()).sqrt())
        losses.append(_loss(parts, scales[-1], hessian, bits, symmetric))
    # Nothing above waits for a GPU; here all losses come at once.
    found: list[float] = torch.stack(losses).tolist()
    best = min(range(len(found)), key=lambda i: found[i] if math.isfinite(found[i]) else math.inf)
    return scales[best], found[best], found[0]


def _by_group_size(weights: Sequence[Tensor], group_sizes: Sequence[int]) -> list[tuple[Tensor, int]]:
    """Rows with one group size together, and no more of them than the comparison needs."""
    step = -(-sum(w.numel() for w in weights) // SEARCHED)
    made = []
    for group_size in dict.fromkeys(group_sizes):
        some = [w[::step] for w, size in zip(weights, group_sizes, strict=True) if size == group_size]
        made.append((torch.cat(some) if len(some) > 1 else some[0], group_size))
    return made


def _loss(parts: Sequence[tuple[Tensor, int]], scale: Tensor, hessian: Tensor, bits: int, symmetric: bool) -> Tensor:
    """Output error of round-to-nearest with this scale, float64 []."""
    total = torch.zeros((), dtype=torch.float64, device=scale.device)
    with tensor_cores():  # candidates differ by much more than TF32 rounds
        for weight, group_size in parts:
            scaled = weight * scale
            grid = absmax_grid(scaled, bits, group_size, symmetric=symmetric)
            error = (grid.dequantize(grid.quantize(scaled)) - scaled) / scale
            total += output_error(error, hessian).sum()
    return total
