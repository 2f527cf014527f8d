"""Tunes what is not integer: scales and norms of the whole quantized model, towards the float model's predictions.

Codes stay as they are; scales, norm weights and biases move by Adam on KL(float ‖ quantized) at the replies' tokens
(the second phase of EfficientQAT, Chen et al. 2024, with the KL in place of the language loss). Layer by layer methods
can't see how errors add up to the output; this can, and the size does not change. It holds the whole model in memory,
so it is for models that fit; recipes for larger ones leave it out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoglm_phone.compress.calibrate import Sample
from autoglm_phone.compress.formats.master import QuantizedWeight
from autoglm_phone.compress.plan import HEAD
from autoglm_phone.compress.units import Stage, State, move


@dataclass
class Layer:
    """A quantized matrix in training: codes fixed, scales free."""

    weight: QuantizedWeight
    points: Tensor  # codes less zero points, float32 [R, G, group]
    scales: Tensor  # float32 [R, G], a leaf

    def expand(self) -> Tensor:
        """The weight; scales round to their stored type, and gradients pass."""
        stored = self.scales.to(self.weight.scales.dtype).float()
        scales = self.scales + (stored - self.scales).detach()
        return (self.points * scales[..., None]).view(self.weight.spec.shape)


def layer(weight: QuantizedWeight, device: torch.device) -> Layer:
    """Ready to train on a device."""
    rows, groups = weight.scales.shape
    points = weight.codes.to(device).view(rows, groups, -1).float()
    if weight.zeros is not None:
        points = points - weight.zeros.to(device).float()[..., None]
    return Layer(weight, points, weight.scales.to(device).float().requires_grad_())


@dataclass
class Tuned:
    """scales: by module name. floats: other parameters that moved, by engine name, in their stored dtype."""

    scales: dict[str, Tensor]
    floats: dict[str, Tensor]
    before: float
    after: float

    def applied(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A unit's file with the tuned values in place of its own."""
        made = dict(tensors)
        for name in tensors:
            if name.endswith(".scales") and name.removesuffix(".scales") in self.scales:
                made[name] = self.scales[name.removesuffix(".scales")]
            elif name in self.floats:
                made[name] = self.floats[name]
        return made


def tune(
    stages: Sequence[Stage],
    modules: Mapping[str, nn.Module],
    weights: Mapping[str, QuantizedWeight],
    stored: Mapping[str, torch.dtype],
    samples: Sequence[Sample],
    targets: Sequence[Tensor],
    device: torch.device,
    *,
    iterations: int,
    rate: float,
    batch: int,
    seed: int,
    tied: bool,
    say: Callable[[str], None] = lambda line: None,
) -> Tuned:
    """Tune scales and norms.

    Args:
        modules: by unit name, as the quantized files have them. weights: quantized weights by module (engine) name.
        stored: dtype on disk of each float parameter that may move, by engine name.
        targets: the float model's log-probabilities at each sample's reply, [n, V].
        rate: Adam's first step, relative to a scale's or norm's own size; falls to zero along a cosine.

    Returns:
        the best of what was seen, judged on a fifth of the samples that is never trained on; `before` and `after` are
        its mean KL.
    """
    held = max(1, len(samples) // 5)
    keep, train = list(range(held)), list(range(held, len(samples))) or [0]
    layers = {name: layer(weight, device) for name, weight in weights.items()}
    floats = _free(stages, modules, stored)
    sizes = [one.scales.detach().abs() for one in layers.values()]
    sizes += [parameter.detach().abs().mean().expand_as(parameter) for parameter in floats.values()]
    leaves = [one.scales for one in layers.values()] + list(floats.values())
    moments = [(torch.zeros_like(leaf), torch.zeros_like(leaf)) for leaf in leaves]
    generator = torch.Generator().manual_seed(seed)
    run = _Runner(stages, modules, layers, device, tied)
    with torch.no_grad():
        before = run.loss(keep, samples, targets)
    best, found = before, _snapshot(layers, floats, stored)
    began = time.monotonic()
    for index in range(iterations):
        picks = [train[i] for i in torch.randint(len(train), (batch,), generator=generator).tolist()]
        total = 0.0
        with torch.enable_grad():
            for pick in picks:  # one at a time: conversations differ in length, and memory is short
                loss = run.losses([pick], samples, targets) / len(picks)
                loss.backward()
                total += float(loss.detach())
        step = rate * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * index / iterations)).item())
        _adam(leaves, moments, sizes, step, index + 1)
        if (index + 1) % max(1, iterations // 5) == 0:
            with torch.no_grad():
                now = run.loss(keep, samples, targets)
            say(
                f"tune {index + 1}/{iterations}: KL {now:.5f} held out (was {before:.5f}), {total:.5f} in training, "
                f"{time.monotonic() - began:.0f} s"
            )
            if now < best:
                best, found = now, _snapshot(layers, floats, stored)
    return Tuned(found[0], found[1], before, best)


class _Runner:
    """The whole quantized model as one function of its scales."""

    def __init__(
        self,
        stages: Sequence[Stage],
        modules: Mapping[str, nn.Module],
        layers: Mapping[str, Layer],
        device: torch.device,
        tied: bool,
    ):
        self.stages, self.modules, self.layers, self.device = stages, modules, layers, device
        self._slots: list[tuple[nn.Module, Layer]] = []
        for unit in (u for stage in stages for u in stage.units):
            for name, child in modules[unit.name].named_modules():
                full = unit.disk_name(name + ".weight").removesuffix(".weight")  # of a tied head: the embedding's
                if full in layers:
                    child._parameters.pop("weight", None)
                    self._slots.append((child, layers[full]))

    def losses(self, picks: Sequence[int], samples: Sequence[Sample], targets: Sequence[Tensor]) -> Tensor:
        """Mean KL over the picked samples' reply tokens, [] with a graph."""
        expanded: dict[int, Tensor] = {}
        for child, one in self._slots:
            if id(one) not in expanded:
                expanded[id(one)] = one.expand()
            child.weight = expanded[id(one)]  # type: ignore[assignment]
        chosen = [samples[pick] for pick in picks]
        done: dict[str, list[State]] = {}
        logits: list[Tensor] = []
        for stage in self.stages:
            states = [move(state, self.device) for state in stage.begin(chosen, done)]
            for unit in stage.units:
                states = [{**state, **unit.run(self.modules[unit.name], state)} for state in states]
                if unit.name == HEAD:
                    logits = [state["logits"][0] for state in states]
            done[stage.name] = states
        total = torch.zeros((), device=self.device)
        for pick, made in zip(picks, logits, strict=True):
            target = targets[pick].to(self.device).float()
            total = total + F.kl_div(made.float().log_softmax(-1), target, log_target=True, reduction="batchmean")
        return total / len(picks)

    def loss(self, picks: Sequence[int], samples: Sequence[Sample], targets: Sequence[Tensor]) -> float:
        return sum(float(self.losses([pick], samples, targets)) for pick in picks) / len(picks)


def _free(
    stages: Sequence[Stage], modules: Mapping[str, nn.Module], stored: Mapping[str, torch.dtype]
) -> dict[str, nn.Parameter]:
    """Norm weights and biases, by engine name."""
    free: dict[str, nn.Parameter] = {}
    for unit in (u for stage in stages for u in stage.units):
        for name, parameter in modules[unit.name].named_parameters():
            full = unit.disk_name(name)
            if parameter.dim() == 1 and full in stored and name not in unit.aliases:
                parameter.requires_grad_()
                free[full] = parameter
    return free


def _snapshot(
    layers: Mapping[str, Layer], floats: Mapping[str, nn.Parameter], stored: Mapping[str, torch.dtype]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    scales = {name: one.scales.detach().to(one.weight.scales.dtype).cpu() for name, one in layers.items()}
    return scales, {name: parameter.detach().to(stored[name]).cpu() for name, parameter in floats.items()}


@torch.no_grad()
def _adam(
    leaves: Sequence[Tensor],
    moments: Sequence[tuple[Tensor, Tensor]],
    sizes: Sequence[Tensor],
    rate: float,
    step: int,
    decay: tuple[float, float] = (0.9, 0.98),
) -> None:
    """Adam whose step is a share of each value's own size: scales of all magnitudes move alike."""
    for leaf, (first, second), size in zip(leaves, moments, sizes, strict=True):
        if leaf.grad is None:
            continue
        first.lerp_(leaf.grad, 1 - decay[0])
        second.lerp_(leaf.grad.square(), 1 - decay[1])
        direction = first / (1 - decay[0] ** step) / ((second / (1 - decay[1] ** step)).sqrt() + 1e-12)
        leaf -= rate * size * direction
        leaf.grad = None
