"""Muon for the matrices, AdamW for the rest, both in one optimizer that can be saved without pickle.

Muon orthogonalizes the momentum of each weight matrix by a Newton-Schulz iteration (Jordan et al. 2024); matrices of
one shape are stacked and iterated together, which keeps the number of kernel launches small for deep, narrow models.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # quintic coefficients of the Muon write-up
ADAM_ONLY = ("embed", "ctc_head", "exits", "ocr_head", "lm_head", "gate", "stem", "position", "regions.")


@dataclass
class OptimConfig:
    """Peak learning rates and decays. muon_lr is the spectral step of a square matrix; adam_lr suits the embedding."""

    muon_lr: float = 0.015
    adam_lr: float = 2e-3
    momentum: float = 0.95
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.02


class MuonAdam:
    """step(scale) applies one update with all learning rates multiplied by `scale` (the schedule)."""

    def __init__(self, named: list[tuple[str, nn.Parameter]], config: OptimConfig):
        self.config = config
        self.steps = 0
        self.groups: dict[tuple[int, int], list[tuple[str, nn.Parameter]]] = {}
        self.adam: list[tuple[str, nn.Parameter]] = []
        self.state: dict[str, Tensor] = {}
        for name, p in named:
            if p.dim() == 2 and not any(mark in name for mark in ADAM_ONLY):
                self.groups.setdefault((p.shape[0], p.shape[1]), []).append((name, p))
                self.state[f"{name}.m"] = torch.zeros_like(p)
            else:
                self.adam.append((name, p))
                self.state[f"{name}.m"] = torch.zeros_like(p)
                self.state[f"{name}.v"] = torch.zeros_like(p)

    @torch.no_grad()
    def step(self, scale: float) -> None:
        self.steps += 1
        cfg = self.config
        for (rows, cols), members in self.groups.items():
            grads = [p.grad if p.grad is not None else torch.zeros_like(p) for _, p in members]
            momenta = [self.state[f"{name}.m"] for name, _ in members]
            torch._foreach_lerp_(momenta, grads, 1 - cfg.momentum)
            update = torch.stack(torch._foreach_lerp(grads, momenta, cfg.momentum))  # Nesterov
            update = orthogonalize(update)
            lr = cfg.muon_lr * scale
            factor = max(1.0, rows / cols) ** 0.5
            params: list[Tensor] = [p for _, p in members]
            torch._foreach_mul_(params, 1 - lr * cfg.weight_decay)
            torch._foreach_add_(params, [u.to(params[0].dtype) for u in update.unbind(0)], alpha=-lr * factor)
        b1, b2 = cfg.betas
        rest: list[Tensor] = [p for _, p in self.adam]
        grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in rest]
        first = [self.state[f"{name}.m"] for name, _ in self.adam]
        second = [self.state[f"{name}.v"] for name, _ in self.adam]
        torch._foreach_lerp_(first, grads, 1 - b1)
        torch._foreach_mul_(second, b2)
        torch._foreach_addcmul_(second, grads, grads, 1 - b2)
        denom = torch._foreach_div(second, 1 - b2**self.steps)
        torch._foreach_sqrt_(denom)
        torch._foreach_add_(denom, 1e-8)
        torch._foreach_addcdiv_(rest, first, denom, value=-cfg.adam_lr * scale / (1 - b1**self.steps))

    def state_dict(self) -> dict[str, Tensor]:
        return {**self.state, "steps": torch.tensor(self.steps)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.steps = int(state["steps"])
        for name, tensor in self.state.items():
            tensor.copy_(state[name])


def orthogonalize(stack: Tensor, iterations: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrices to a stack [N, R, C], by Newton-Schulz in bfloat16."""
    a, b, c = NEWTON_SCHULZ
    x = stack.to(torch.bfloat16)
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.transpose(1, 2)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.transpose(1, 2) if tall else x
