"""AWQ's scale search (Lin et al. 2023): channels whose inputs are large get finer steps, their inverse folded away.

The output error of a candidate is tr(E H Eᵀ) with H of the inputs, which is exactly the mean squared error that AWQ
measures by running the layer, without running it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from autoglm_phone.compress.algorithms.gptq import output_error
from autoglm_phone.compress.algorithms.grid import absmax_grid


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
        (s, error with it, error without), errors summed over the linears.
    """
    magnitude = hessian.diagonal().clamp_min(0).sqrt()
    magnitude = magnitude.clamp_min(magnitude.mean() * 1e-4)
    # Their typical size; divided out so that channels with small weights are not taken for unimportant.
    size = torch.cat([w.abs() for w in weights]).mean(0)
    size = size.clamp_min(size.mean() * 1e-4)
    best, best_loss, plain = torch.ones_like(magnitude), float("inf"), float("inf")
    for use_size in (False, True):
        for point in range(points):
            ratio = point / points
            raw = magnitude.pow(ratio) / (size.pow(1 - ratio) if use_size else 1.0)
            if use_size and ratio == 0.0:
                continue
            scale = share(raw, repeat, head_dim)
            scale = scale / (scale.max() * scale.min()).sqrt()
            loss = 0.0
            for weight, group_size in zip(weights, group_sizes, strict=True):
                scaled = weight * scale
                grid = absmax_grid(scaled, bits, group_size, symmetric=symmetric)
                error = (grid.dequantize(grid.quantize(scaled)) - scaled) / scale
                loss += float(output_error(error, hessian).sum())
            if point == 0 and not use_size:
                plain = loss
            if loss < best_loss:
                best, best_loss = scale, loss
    return best, best_loss, plain
