"""How much a query looks at each page: what an evicting KV policy judges by."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def page_masses(query: Tensor, keys: Tensor, allowed: Tensor | None, page_size: int) -> Tensor:
    """Share of a query's attention on each page, the mean over its heads: what `graph.kv.ScoreBook` observes.

    Args:
        query: [B, Hq, D], rotated. keys: [B, K, Hk, D], page by page; the last page may be cut off.
        allowed: bool [B, K], or None: all.

    Returns float32 [B, pages], each row summing to 1.
    """
    heads = query.unflatten(1, (keys.shape[2], -1)).float()  # [B, Hk, groups, D]
    scores = torch.einsum("bhgd,bkhd->bhgk", heads, keys.float()) * query.shape[-1] ** -0.5
    if allowed is not None:
        scores = scores.masked_fill(~allowed[:, None, None], float("-inf"))
    weights = scores.softmax(dim=-1).mean(dim=(1, 2))  # [B, K]
    weights = F.pad(weights, (0, -weights.shape[-1] % page_size))
    return weights.unflatten(-1, (-1, page_size)).sum(-1)
