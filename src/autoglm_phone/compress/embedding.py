"""Quantizes the embedding table, and the output head where the two are one tensor.

A lookup uses one row at a time, so its Hessian is the token's frequency times the identity: GPTQ on it is rounding to
nearest with the best clip and fitted scales, whatever the frequency. A tied table is also the head, whose rows are dot
products with final states: then a row's Hessian is p H + f I, with H of the final states, p how often the token is
predicted and f how often it is read. Rows are treated in classes of like f / p.
"""

from __future__ import annotations

import torch
from torch import Tensor

from autoglm_phone.compress.algorithms.gptq import Factor, by_class
from autoglm_phone.compress.formats.master import QuantizedWeight
from autoglm_phone.compress.plan import ModulePlan
from autoglm_phone.compress.quantize_matrix import round_rows
from autoglm_phone.errors import ConfigError

CLASSES = 5  # of f / p, in factors of four around one
# Lookup error against logit error. KL on the mini with only the table at 3 bits: 0.027, 0.023, 0.021 at 0.05, 0.3, 1.
LOOKUP_SHARE = 1.0


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
        grid, codes = round_rows(weight, None, plan)
        return QuantizedWeight(plan.spec, codes, grid.scales, grid.zeros)
    if read is None or predicted is None:
        raise ConfigError("a tied embedding needs the tokens' counts beside H")
    scale = final.diagonal().mean()
    eye = torch.eye(final.shape[0], device=final.device, dtype=final.dtype)
    ratio = (read.float() + 1.0) / (predicted.float() + 1.0)
    classes = (ratio.log2() / 2).round().clamp(-(CLASSES // 2), CLASSES // 2).long() + CLASSES // 2
    hessians = [final + LOOKUP_SHARE * 4.0 ** (c - CLASSES // 2) * scale * eye for c in range(CLASSES)]
    groups = weight.shape[1] // plan.group_size
    codes = torch.empty(weight.shape, dtype=torch.int8, device=weight.device)
    scales = torch.empty(weight.shape[0], groups, dtype=plan.scale_dtype, device=weight.device)
    zeros = None if plan.symmetric else torch.empty(scales.shape, dtype=torch.int8, device=weight.device)
    options = plan.gptq

    def run(part: Tensor, hessian: Tensor, _: Tensor) -> tuple[Tensor, ...]:
        factor = Factor.of(hessian, damping=options["damping"], act_order=options["act_order"])
        grid, made = round_rows(part, hessian, plan, (factor.order, factor.upper()))
        return made, grid.scales, grid.zeros if grid.zeros is not None else grid.scales

    for rows, (made, s, z) in by_class(weight, classes, hessians, run):
        codes[rows], scales[rows] = made, s
        if zeros is not None:
            zeros[rows] = z
    return QuantizedWeight(plan.spec, codes, scales, zeros)
