"""Learned rounding in the manner of AutoRound (Cheng et al. 2024): signed gradients move weights between codes.

A unit's matrices are learned together, so that they make good each other's errors: the loss is the squared distance of
the unit's output from what the float model's unit gives on the float model's own states. It starts from given codes
(GPTQ's): each weight stands at its true place, pulled into its code's cell, so cheap flips come first. Scales move with
it. The best codes seen on all samples are kept, so the loss never gets worse than it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autoglm_phone.compress.algorithms.grid import Grid
from autoglm_phone.compress.units import State, Unit, move

_EDGE = 0.45  # how near a cell's border (0.5) a weight may start
_SCALE_RATE = 0.05  # a scale's step, as a share of a rounding's


@dataclass
class _Learned:
    """One matrix in training. place: weights over scales, not yet rounded; stretch: log of scale factors."""

    grid: Grid
    place: Tensor
    stretch: Tensor
    shape: torch.Size

    @classmethod
    def start(cls, weight: Tensor, grid: Grid, codes: Tensor) -> _Learned:
        flat = weight.flatten(1).float()
        groups = flat.view(flat.shape[0], -1, grid.group_size) / grid.scales.float()[..., None]
        if grid.zeros is not None:
            groups = groups + grid.zeros.float()[..., None]
        cells = codes.view_as(groups).float()
        place = groups.clamp(cells - _EDGE, cells + _EDGE).requires_grad_()
        stretch = torch.zeros_like(grid.scales, dtype=torch.float32).requires_grad_()
        return cls(grid, place, stretch, weight.shape)

    def weight(self) -> Tensor:
        """Fake-quantized; rounding lets gradients pass (straight-through)."""
        clamped = self.place.clamp(*self.grid.bounds)
        codes = clamped + (clamped.round() - clamped).detach()
        if self.grid.zeros is not None:
            codes = codes - self.grid.zeros.float()[..., None]
        scales = self.grid.scales.float() * self.stretch.exp()
        return (codes * scales[..., None]).view(self.shape)

    def step(self, rate: float) -> None:
        with torch.no_grad():
            for tensor, size in ((self.place, rate), (self.stretch, rate * _SCALE_RATE)):
                if tensor.grad is not None:
                    tensor -= size * tensor.grad.sign()
                    tensor.grad = None

    def result(self) -> tuple[Grid, Tensor]:
        with torch.no_grad():
            scales = (self.grid.scales.float() * self.stretch.exp()).to(self.grid.scales.dtype)
            codes = self.place.clamp(*self.grid.bounds).round().to(torch.int8).flatten(1)
            return Grid(self.grid.bits, self.grid.group_size, scales, self.grid.zeros), codes


def learn(
    unit: Unit,
    module: nn.Module,
    start: Mapping[str, tuple[Tensor, Grid, Tensor]],
    states: Sequence[State],
    targets: Sequence[Tensor],
    device: torch.device,
    *,
    iterations: int,
    rate: float,
    batch: int,
    seed: int,
) -> tuple[dict[str, tuple[Grid, Tensor]], float, float]:
    """Learn the rounding of a unit's matrices.

    Args:
        start: by module name: float weight, grid, codes to begin with.
        states: the quantized model's states before the unit. targets: the float model's "hidden" after it.
        rate: first step in units of a code; it falls to zero over the iterations.

    Returns:
        grids and codes by module name, and the loss before and after (relative to the targets' own size).
    """
    generator = torch.Generator().manual_seed(seed)
    learned = {name: _Learned.start(*parts) for name, parts in start.items()}
    children = {name: module.get_submodule(name) for name in learned}
    originals = {name: child._parameters.pop("weight") for name, child in children.items()}
    try:
        first = best_loss = _loss_of_all(unit, module, learned, children, states, targets, device)
        best = {name: one.result() for name, one in learned.items()}
        checks = {max(1, iterations * part // 4) for part in (1, 2, 3, 4)}
        for index in range(iterations):
            picks = torch.randint(len(states), (min(batch, len(states)),), generator=generator).tolist()
            with torch.enable_grad():
                for name, one in learned.items():
                    children[name].weight = one.weight()
                loss = torch.zeros((), device=device)
                for pick in picks:
                    loss = loss + _loss(unit, module, move(states[pick], device), targets[pick].to(device))
                loss.backward()
            for one in learned.values():
                one.step(rate * (1.0 - index / iterations))
            if index + 1 in checks:
                now = _loss_of_all(unit, module, learned, children, states, targets, device)
                if now < best_loss:
                    best_loss, best = now, {name: one.result() for name, one in learned.items()}
    finally:
        for name, child in children.items():
            child.__dict__.pop("weight", None)
            child.register_parameter("weight", originals[name])
    return best, first, best_loss


@torch.no_grad()
def _loss_of_all(
    unit: Unit,
    module: nn.Module,
    learned: Mapping[str, _Learned],
    children: Mapping[str, nn.Module],
    states: Sequence[State],
    targets: Sequence[Tensor],
    device: torch.device,
) -> float:
    for name, one in learned.items():
        grid, codes = one.result()
        children[name].weight = grid.dequantize(codes).view(one.shape)  # type: ignore[assignment]
    losses = [_loss(unit, module, move(s, device), t.to(device)) for s, t in zip(states, targets, strict=True)]
    return float(torch.stack(losses).mean())


def _loss(unit: Unit, module: nn.Module, state: State, target: Tensor) -> Tensor:
    made = unit.run(module, state)["hidden"]
    weight = state.get("weight")
    gap, size = (made - target).square().mean(-1).flatten(), target.square().mean(-1).flatten()
    if weight is not None and len(weight) == len(gap):
        gap, size = gap * weight, size * weight
    return gap.sum() / size.sum().clamp_min(1e-12)
