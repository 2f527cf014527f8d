"""How sure an exit is of its token: one number a row, from logits that are needed anyway."""

from __future__ import annotations

import torch
from torch import Tensor


def confidences(logits: Tensor) -> list[float]:
    """Probability of the most likely token, as the exit says it: before temperature, penalties and grammar.

    The softmax response of CALM (Schuster et al. 2022, arXiv 2207.07061). logits float32 [N, V].
    """
    return torch.softmax(logits, dim=-1).amax(dim=-1).tolist()
