"""Exit heads that learn: boundary state → norm → x + up(down(x)) → the frozen output head.

Each head begins as the model's own final norm and an adapter that adds nothing, as EE-Tuning (Pan et al. 2024, arXiv
2402.00518) begins its exits with a copy of the output layer. It learns from the model itself: the divergence from what
full depth says at the same token (Hinton et al. 2015), and, if asked, the token that follows (EE-Tuning's only loss).
Nothing before the head gets a gradient, and logits exist for a few tokens at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoglm_phone.models.native.layers import RMSNorm
from autoglm_phone.runner.exit_addon import Head

Project = Callable[[Tensor], Tensor]  # state [N, H] → float32 logits [N, V], differentiable in the state


class ExitHead(nn.Module):
    """Trained in float32 whatever the backbone's dtype, because steps of AdamW are smaller than bfloat16 can hold."""

    def __init__(self, norm: Tensor, rank: int, eps: float, generator: torch.Generator):
        super().__init__()
        size = norm.shape[0]
        self.norm = RMSNorm(size, eps)
        self.down = nn.Linear(size, rank, bias=False)
        self.up = nn.Linear(rank, size, bias=False)
        with torch.no_grad():
            self.norm.weight.copy_(norm)
            self.down.weight.copy_(torch.randn(rank, size, generator=generator) / math.sqrt(size))
            self.up.weight.zero_()

    def forward(self, boundary: Tensor) -> Tensor:
        """[N, H] of the backbone's dtype → [N, H] for its output head."""
        state = self.norm(boundary.float())
        return (state + self.up(self.down(state))).to(boundary.dtype)


class ExitHeads(nn.ModuleDict):
    """Heads by depth."""

    def __init__(self, layers: tuple[int, ...], norm: Tensor, rank: int, eps: float, seed: int):
        generator = torch.Generator().manual_seed(seed)
        super().__init__({str(depth): ExitHead(norm, rank, eps, generator) for depth in layers})

    def tensors(self) -> dict[int, Head]:
        return {int(depth): dict(head.state_dict()) for depth, head in self.items()}


@dataclass(frozen=True)
class Losses:
    """Weights: ce, of the cross entropy to the next token; kl, of the divergence KL(full depth ‖ exit)."""

    ce: float = 0.0
    kl: float = 1.0


@dataclass
class Tally:
    """Sums over tokens of one exit, in nats. agrees: tokens whose most likely one is full depth's."""

    tokens: int = 0
    ce: float = 0.0
    kl: float = 0.0
    agrees: int = 0
    right: int = 0

    def means(self) -> dict[str, float]:
        count = max(1, self.tokens)
        return {
            "ce": self.ce / count,
            "kl": self.kl / count,
            "agrees": self.agrees / count,
            "right": self.right / count,
        }


def pass_over(
    heads: ExitHeads,
    states: Mapping[int, Tensor],
    targets: Tensor,
    project: Project,
    full: Callable[[Tensor], Tensor],
    *,
    chunk: int,
    losses: Losses | None = None,
) -> dict[int, Tally]:
    """One look at labelled tokens; with `losses`, gradients of their mean are added to the heads'.

    Args:
        states: boundary states [N, H] by depth, the last one full depth's. targets: long [N], the tokens that follow.
        full: state at full depth → float32 logits. chunk: tokens whose logits exist at once.

    Returns:
        Tallies by depth, full depth's among them (its ce and right only).
    """
    last, count = max(states), len(targets)
    found = {depth: Tally() for depth in states}
    for start in range(0, count, chunk):
        rows = slice(start, min(count, start + chunk))
        aim_ids = targets[rows]
        with torch.no_grad():
            aim = full(states[last][rows]).log_softmax(-1)
            chosen = aim.argmax(-1)
            share = aim.exp()
            entropy = (share * aim).sum(-1)
        _note(found[last], aim, aim_ids, chosen, torch.zeros((), device=aim.device))
        for name, head in heads.items():
            depth = int(name)
            with torch.set_grad_enabled(losses is not None):
                said = project(head(states[depth][rows])).log_softmax(-1)
                kl = (entropy - (share * said).sum(-1)).sum()
                ce = F.nll_loss(said, aim_ids, reduction="sum")
            if losses is not None:
                ((losses.ce * ce + losses.kl * kl) / count).backward()  # type: ignore[no-untyped-call]
            _note(found[depth], said.detach(), aim_ids, chosen, kl.detach())
            del said, kl, ce
    return found


def _note(tally: Tally, said: Tensor, targets: Tensor, chosen: Tensor, kl: Tensor) -> None:
    best = said.argmax(-1)
    tally.tokens += len(targets)
    tally.ce += float(F.nll_loss(said, targets, reduction="sum"))
    tally.kl += float(kl)
    tally.agrees += int((best == chosen).sum())
    tally.right += int((best == targets).sum())
