"""Quantizes the embedding table, and the output head where the two are one tensor.

A lookup uses one row at a time, so its Hessian is the token's frequency times the identity: GPTQ on it is rounding to
nearest with the best clip and fitted scales, whatever the frequency. A tied table is also the head, whose rows are dot
products with final states: then a row's Hessian is p H + f I, with H of the final states, p how often the token is
predicted and f how often it is read. Rows are treated in classes of like f / p.
"""

from __future__ import annotations

import torch
from torch import Tensor

from autoglm_phone.compress.algorithms.gptq import by_class, gptq, refine
from autoglm_phone.compress.algorithms.grid import Grid, absmax_grid, search_grid
from autoglm_phone.compress.formats.master import QuantizedWeight
from autoglm_phone.compress.plan import ModulePlan
from autoglm_phone.errors import ConfigError

CLASSES = 5  # of f / p, in factors of four around one
# Lookup error against logit error. KL on the mini with only the table at 3 bits: 0.027, 0.023, 0.021 at 0.05, 0.3, 1.
LOOKUP_SHARE = 1.0
_CHUNK = 16384  # rows at once: a table of 150,000 x 4096 would need many times its size


def quantize_embedding(
    weight: Tensor,
    plan: ModulePlan,
    *,
    final: Tensor | None = None,
    read: Tensor | None = None,
    predicted: Tensor | None = None,
) -> QuantizedWeight:
    """Codes of an embedding [V, H].

    Args:
        final: H [H, H] of the states that a tied head reads; None for an embedding of its own.
        read, predicted: long [V], how often each token stands in the samples and in their replies.
    """
    if final is None or plan.gptq is None:
        pieces = [_rows(weight[i : i + _CHUNK].float(), plan, None) for i in range(0, weight.shape[0], _CHUNK)]
        return _together(plan, pieces)
    if read is None or predicted is None:
        raise ConfigError("a tied embedding needs the tokens' counts beside H")
    scale = final.diagonal().mean()
    eye = torch.eye(final.shape[0], device=final.device, dtype=final.dtype)
    ratio = (read.float() + 1.0) / (predicted.float() + 1.0)
    classes = (ratio.log2() / 2).round().clamp(-(CLASSES // 2), CLASSES // 2).long() + CLASSES // 2
    hessians = [final + LOOKUP_SHARE * 4.0 ** (c - CLASSES // 2) * scale * eye for c in range(CLASSES)]
    codes = torch.empty(weight.shape, dtype=torch.int8)
    groups = weight.shape[1] // plan.group_size
    scales = torch.empty(weight.shape[0], groups, dtype=plan.scale_dtype)
    zeros = None if plan.symmetric else torch.empty(weight.shape[0], groups, dtype=torch.int8)

    def run(part: Tensor, hessian: Tensor, _: Tensor) -> tuple[Tensor, ...]:
        grid, made = _rows(part.float(), plan, hessian)
        return made, grid.scales, grid.zeros if grid.zeros is not None else grid.scales

    for rows, (made, s, z) in by_class(weight, classes, hessians, run):
        where = rows.cpu()
        codes[where], scales[where] = made.cpu(), s.cpu()
        if zeros is not None:
            zeros[where] = z.cpu()
    return QuantizedWeight(plan.spec, codes, scales, zeros)


def _rows(weight: Tensor, plan: ModulePlan, hessian: Tensor | None) -> tuple[Grid, Tensor]:
    if plan.clip:
        grid = search_grid(
            weight, plan.bits, plan.group_size, hessian, symmetric=plan.symmetric, scale_dtype=plan.scale_dtype
        )
    else:
        grid = absmax_grid(weight, plan.bits, plan.group_size, symmetric=plan.symmetric, scale_dtype=plan.scale_dtype)
    if plan.gptq is None:
        return grid, grid.quantize(weight)
    metric = torch.eye(weight.shape[1], device=weight.device) if hessian is None else hessian
    damping = plan.gptq["damping"]
    codes = gptq(weight, metric, grid, damping=damping, act_order=plan.gptq["act_order"])
    if plan.gptq["refine"]:
        grid, codes = refine(weight, metric, grid, codes, sweeps=plan.gptq["refine"], damping=damping)
    return grid, codes


def _together(plan: ModulePlan, pieces: list[tuple[Grid, Tensor]]) -> QuantizedWeight:
    zeros = [grid.zeros.cpu() for grid, _ in pieces if grid.zeros is not None]
    return QuantizedWeight(
        plan.spec,
        torch.cat([codes.cpu() for _, codes in pieces]),
        torch.cat([grid.scales.cpu() for grid, _ in pieces]),
        torch.cat(zeros) if zeros else None,
    )
