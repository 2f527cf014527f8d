"""How much each module's rounding would cost, and which bits to give it under a budget.

A module's error E moves its outputs by E x; to second order the predictions then diverge by ½ E[(g · E x)²], with g the
gradient of the loss at those outputs. With the usual factorization that is ½ Σ_r G_r (e_r H e_rᵀ), G_r the mean square
of g at output r and H the inputs' second moment (K-FAC with a diagonal output side). The gradients of log p(y), y drawn
from the model itself, make it an estimate of the KL divergence in nats a token.

The backward pass streams as compression does (`walk.back`): units are loaded from the last to the first and
differentiated one at a time.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autoglm_phone.compress.algorithms.gptq import output_error
from autoglm_phone.compress.algorithms.grid import search_grid
from autoglm_phone.compress.calibrate import Sample
from autoglm_phone.compress.plan import CompressionPlan, ModulePlan
from autoglm_phone.compress.statistics import matrices, rows
from autoglm_phone.compress.units import Architecture, Source
from autoglm_phone.compress.walk import Visit, back, differentiate
from autoglm_phone.errors import ConfigError


@dataclass(frozen=True)
class Costs:
    """cost: expected KL in nats a predicted token, by module (engine name) and bits."""

    cost: Mapping[str, Mapping[int, float]]


def measure(
    architecture: Architecture,
    source: Source,
    plan: CompressionPlan,
    samples: Sequence[Sample],
    choices: Sequence[int],
    device: torch.device,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
    folder: Path | None = None,
) -> Costs:
    """The cost of each module at each width, from one backward pass over the samples.

    Args:
        folder: for states that wait for the way back (`walk.back`).
    """
    cost: dict[str, dict[int, float]] = {}
    gradients: list[Tensor | None] = [None] * len(samples)
    generator = torch.Generator(device=device).manual_seed(seed)
    for visit in back(architecture, source, samples, device, folder=folder):
        unit, module = visit.unit, visit.module
        plans = {name[len(unit.prefix) :]: p for name, p in plan.of_unit(unit.name).items()}
        factors, gradients = _backward(visit, gradients, set(plans), generator)
        for name, (hessian, output) in factors.items():
            weight = module.get_submodule(name).get_parameter("weight").flatten(1).float()
            cost[unit.prefix + name] = {bits: _cost(weight, plans[name], bits, hessian, output) for bits in choices}
        if plans:
            total = sum(cost[unit.prefix + name][min(choices)] for name in factors)
            say(f"sensitivity of {unit.name}: {total:.2e} nats a token at {min(choices)} bits")
    return Costs(cost)


def choose(
    plan: CompressionPlan, costs: Mapping[str, Mapping[int, float]], budget: int, choices: Sequence[int]
) -> CompressionPlan:
    """Bits for the modules whose recipe leaves them open, so that everything fits the budget at the least cost.

    Spends the bytes where they buy most, a step of one module at a time (greedy, from each uniform width that fits).

    Raises:
        ConfigError: the budget is too small even with the fewest bits.
    """
    free = {name: p for name, p in plan.modules.items() if p.auto}
    unknown = [name for name in free if name not in costs]
    if unknown:
        raise ConfigError(
            f"bits: auto has no measurement for {unknown[0]}; it measures the decoder's linears", param="recipe"
        )
    ladder = sorted(choices)
    starts = [(bits, _with(plan, dict.fromkeys(free, bits))) for bits in ladder]
    if starts[0][1].num_bytes > budget:
        raise ConfigError(
            f"the budget of {budget / 1e6:.1f} MB can't be met: with {ladder[0]} bits everywhere the model takes "
            f"{starts[0][1].num_bytes / 1e6:.1f} MB",
            param="budget",
        )
    # One start alone could leave a large matrix behind; with every uniform width as a start, none of them is better.
    found = [
        _spend(free, costs, ladder, bits, budget - made.num_bytes) for bits, made in starts if made.num_bytes <= budget
    ]
    best = min(found, key=lambda bits: sum(costs[name][width] for name, width in bits.items()))
    return _with(plan, best)


def _with(plan: CompressionPlan, bits: Mapping[str, int]) -> CompressionPlan:
    chosen = {name: plan.modules[name].with_bits(width) for name, width in bits.items()}
    return replace(plan, modules={**plan.modules, **chosen})


def _spend(
    free: Mapping[str, ModulePlan],
    costs: Mapping[str, Mapping[int, float]],
    ladder: Sequence[int],
    start: int,
    left: int,
) -> dict[str, int]:
    """Bits of each module after spending `left` bytes on top of `start` bits everywhere, best bargains first."""
    bits = dict.fromkeys(free, start)
    heap: list[tuple[float, str, int]] = []

    def extra(name: str, step: int) -> int:
        return free[name].with_bits(step).spec.num_bytes - free[name].with_bits(bits[name]).spec.num_bytes

    def offer(name: str) -> None:
        for step in ladder[ladder.index(bits[name]) + 1 :]:
            gain = costs[name][bits[name]] - costs[name][step]
            heapq.heappush(heap, (-gain / extra(name, step), name, step))

    for name in free:
        offer(name)
    while heap:
        _, name, step = heapq.heappop(heap)
        if step <= bits[name] or extra(name, step) > left:
            continue
        left -= extra(name, step)
        bits[name] = step
        offer(name)
    return bits


def _cost(weight: Tensor, plan: ModulePlan, bits: int, hessian: Tensor, output: Tensor) -> float:
    grid = search_grid(weight, bits, plan.group_size, hessian, symmetric=plan.symmetric, ratios=(1.0, 0.92, 0.84, 0.76))
    error = grid.dequantize(grid.quantize(weight)) - weight
    return 0.5 * float((output * output_error(error, hessian)).sum())


def _backward(
    visit: Visit, gradients: Sequence[Tensor | None], names: set[str], generator: torch.Generator
) -> tuple[dict[str, tuple[Tensor, Tensor]], list[Tensor | None]]:
    """({module: (H per input position, mean square of the gradient per output)}, gradients in front of the unit)."""
    sums: dict[str, tuple[Tensor, Tensor, int]] = {}
    passed: list[Tensor | None] = []
    tokens = sum(len(state["predict"]) for state in visit.states)
    children = {name: child for name, child in matrices(visit.module).items() if name in names}
    for state, gradient in zip(visit.states, gradients, strict=True):
        outputs: dict[str, tuple[Tensor, Tensor]] = {}
        handles = [child.register_forward_hook(_recorder(name, outputs)) for name, child in children.items()]
        passed.append(differentiate(visit, state, gradient, generator).hidden)
        for handle in handles:
            handle.remove()
        for name, (x, out) in outputs.items():
            if out.grad is None:
                continue
            g = out.grad.reshape(-1, out.shape[-1])
            if name not in sums:
                sums[name] = (torch.zeros(x.shape[1], x.shape[1], device=x.device), g.new_zeros(g.shape[1]), 0)
            hessian, square, count = sums[name]
            hessian += x.T @ x  # in place: 0.75 GB for the widest matrix of 9B
            square += g.square().sum(0)
            sums[name] = (hessian, square, count + x.shape[0])
    # Σ_n g² · x xᵀ ≈ (Σ g²)(Σ x xᵀ) / N, and the KL is per predicted token.
    return {n: (h.div_(max(c, 1)), s / max(tokens, 1)) for n, (h, s, c) in sums.items()}, passed


def _recorder(name: str, into: dict[str, tuple[Tensor, Tensor]]) -> Callable[..., None]:
    def record(child: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(child, nn.Linear):
            into[name] = (rows(child, inputs[0].detach()), _kept(output))

    return record


def _kept(output: Tensor) -> Tensor:
    if output.requires_grad:
        output.retain_grad()
    return output


def dumps(costs: Costs) -> str:
    return json.dumps(costs.cost) + "\n"


def read(path: Path) -> Costs:
    raw: Any = json.loads(path.read_text(encoding="utf-8"))
    return Costs({name: {int(bits): value for bits, value in table.items()} for name, table in raw.items()})
