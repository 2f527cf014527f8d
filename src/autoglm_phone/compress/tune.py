"""Tunes the whole quantized model towards the float model's predictions: scales, norms, biases, and if asked the codes.

They move by Adam on KL(float ‖ quantized) at the replies' tokens (the second phase of EfficientQAT, Chen et al. 2024,
with the KL in place of the language loss). Layer by layer methods can't see how errors add up to the output; this can,
and the size does not change. With a `codes` rate, each code has a place that starts in the middle of its cell: only
where gradients agree over many steps does it reach a neighbour's, and rounding lets them pass (straight-through).
It holds the whole model in memory as floats, so a recipe that asks for it is refused for models of more than
`plan.TUNED_MOST` weights, before any work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
    """A quantized matrix in training. points: codes less zero points, float32 [R, G, group]; a leaf where codes move.

    scales: float32 [R, G], a leaf.
    """

    weight: QuantizedWeight
    points: Tensor
    scales: Tensor

    @property
    def moves(self) -> bool:
        """Do the codes move?"""
        return self.points.requires_grad

    @property
    def bounds(self) -> tuple[Tensor, Tensor]:
        """Smallest and largest point of each group, [R, G, 1]."""
        half = 1 << (self.weight.spec.bits - 1)
        zeros = self.weight.zeros
        zero = torch.zeros_like(self.scales) if zeros is None else zeros.to(self.scales)
        return (-half - zero)[..., None], (half - 1 - zero)[..., None]

    def expand(self) -> Tensor:
        """The weight; scales round to their stored type and points to codes, and gradients pass."""
        stored = self.scales.to(self.weight.scales.dtype).float()
        scales = self.scales + (stored - self.scales).detach()
        points = self.points
        if self.moves:
            points = points + (points.round() - points).detach()
        return (points * scales[..., None]).view(self.weight.spec.shape)

    @torch.no_grad()
    def confine(self) -> None:
        """Points stay where there are codes."""
        if self.moves:
            self.points.copy_(self.points.clamp(*self.bounds))

    @torch.no_grad()
    def made(self) -> QuantizedWeight:
        """As it would be stored now."""
        codes = self.weight.codes
        if self.moves:
            zeros = self.weight.zeros
            whole = self.points.round() + (0.0 if zeros is None else zeros.to(self.points)[..., None])
            codes = whole.to(torch.int8).view(codes.shape).cpu()
        scales = self.scales.detach().to(self.weight.scales.dtype).cpu()
        return QuantizedWeight(self.weight.spec, codes, scales, self.weight.zeros)


def layer(weight: QuantizedWeight, device: torch.device, moves: bool = False) -> Layer:
    """Ready to train on a device."""
    rows, groups = weight.scales.shape
    points = weight.codes.to(device).view(rows, groups, -1).float()
    if weight.zeros is not None:
        points = points - weight.zeros.to(device).float()[..., None]
    return Layer(weight, points.requires_grad_(moves), weight.scales.to(device).float().requires_grad_())


@dataclass
class Tuned:
    """scales: by module name. floats: other tensors that moved, by their name in the files, as they are stored."""

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
    codes: float = 0.0,
    say: Callable[[str], None] = lambda line: None,
) -> Tuned:
    """Tune scales and norms, and codes where they have a rate.

    Args:
        modules: by unit name, as the quantized files have them. weights: quantized weights by module (engine) name.
        stored: dtype on disk of each float parameter that may move, by engine name.
        targets: the float model's log-probabilities at each sample's reply, [n, V].
        rate: Adam's first step, relative to a scale's or norm's own size; falls to zero along a cosine.
        codes: the same for codes, in units of one code; 0 leaves them as they are.

    Returns:
        the best of what was seen, judged on a fifth of the samples that is never trained on; `before` and `after` are
        its mean KL.
    """
    held = max(1, len(samples) // 5)
    keep, train = list(range(held)), list(range(held, len(samples))) or [0]
    layers = {name: layer(weight, device, codes > 0.0) for name, weight in weights.items()}
    floats = _free(stages, modules, stored)
    leaves = [one.scales for one in layers.values()] + list(floats.values())
    paces = [rate * one.scales.detach().abs() for one in layers.values()]
    paces += [rate * parameter.detach().abs().mean() for parameter in floats.values()]
    points = [one.points for one in layers.values() if one.moves]
    leaves, paces = leaves + points, paces + [torch.tensor(codes, device=device)] * len(points)
    moments = [(torch.zeros_like(leaf), torch.zeros_like(leaf)) for leaf in leaves]
    generator = torch.Generator().manual_seed(seed)
    run = _Runner(stages, modules, layers, device, tied)
    before = run.loss(keep, samples, targets)
    best, found = before, _snapshot(layers, floats, stored)
    began = time.monotonic()
    for index in range(iterations):
        picks = [train[i] for i in torch.randint(len(train), (batch,), generator=generator).tolist()]
        total = run.backward(picks, samples, targets)
        share = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * index / iterations)).item())
        _adam(leaves, moments, paces, share, index + 1)
        for one in layers.values():
            one.confine()
        if (index + 1) % max(1, iterations // 5) == 0:
            with _as_stored(floats, stored):
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

    def install(self, expanded: Mapping[int, Tensor]) -> None:
        for child, one in self._slots:
            child.weight = expanded[id(one)]  # type: ignore[assignment]

    def backward(self, picks: Sequence[int], samples: Sequence[Sample], targets: Sequence[Tensor]) -> float:
        """Gradients of the mean KL in all leaves; returns it. Weights are expanded once for all samples."""
        total = 0.0
        with torch.enable_grad():
            expanded = {id(one): one.expand() for _, one in self._slots}
            inner = {name: weight.detach().requires_grad_() for name, weight in expanded.items()}
            self.install(inner)
            for pick in picks:  # one at a time: conversations differ in length, and memory is short
                loss = self._divergence(pick, samples, targets) / len(picks)
                loss.backward()
                total += float(loss.detach())
            met = [name for name, weight in inner.items() if weight.grad is not None]
            torch.autograd.backward([expanded[name] for name in met], [inner[name].grad for name in met])
        return total

    def loss(self, picks: Sequence[int], samples: Sequence[Sample], targets: Sequence[Tensor]) -> float:
        """Mean KL over the picked samples."""
        with torch.no_grad():
            self.install({id(one): one.expand() for _, one in self._slots})
            return sum(float(self._divergence(pick, samples, targets)) for pick in picks) / len(picks)

    def _divergence(self, pick: int, samples: Sequence[Sample], targets: Sequence[Tensor]) -> Tensor:
        """Mean KL over one sample's reply tokens, []."""
        done: dict[str, list[State]] = {}
        logits = torch.empty(0)
        for stage in self.stages:
            states = [move(state, self.device) for state in stage.begin([samples[pick]], done)]
            for unit in stage.units:
                states = [{**state, **unit.run(self.modules[unit.name], state)} for state in states]
                if unit.name == HEAD:
                    logits = states[0]["logits"][0]
            done[stage.name] = states
        target = targets[pick].to(self.device).float()
        return F.kl_div(logits.float().log_softmax(-1), target, log_target=True, reduction="batchmean")


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


@contextmanager
def _as_stored(floats: Mapping[str, nn.Parameter], stored: Mapping[str, torch.dtype]) -> Iterator[None]:
    """Norms and biases rounded to what files hold, for as long as something is measured; scales always are."""
    exact = {name: parameter.detach().clone() for name, parameter in floats.items()}
    for name, parameter in floats.items():
        parameter.data.copy_(parameter.detach().to(stored[name]))
    try:
        yield
    finally:
        for name, parameter in floats.items():
            parameter.data.copy_(exact[name])


def _snapshot(
    layers: Mapping[str, Layer], floats: Mapping[str, nn.Parameter], stored: Mapping[str, torch.dtype]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    made = {name: one.made() for name, one in layers.items()}
    tensors = {name: parameter.detach().to(stored[name]).cpu() for name, parameter in floats.items()}
    for name, one in layers.items():
        if one.moves:
            tensors |= {n: t for n, t in made[name].tensors(name).items() if not n.endswith(".scales")}
    return {name: weight.scales for name, weight in made.items()}, tensors


@torch.no_grad()
def _adam(
    leaves: Sequence[Tensor],
    moments: Sequence[tuple[Tensor, Tensor]],
    paces: Sequence[Tensor],
    share: float,
    step: int,
    decay: tuple[float, float] = (0.9, 0.98),
) -> None:
    """Adam with a pace for every leaf (values of all magnitudes move alike), times a share of it at this step.

    Beside its own, each element's denominator has the whole leaf's root mean square: an element with next to no
    gradient, such as the scale of an output row that no reply of the batch predicts, stays instead of following noise
    at full pace. No element moves faster than in plain Adam. Gradients count per relative change (times the pace),
    so that large and small values of a leaf compare.
    """
    for leaf, (first, second), pace in zip(leaves, moments, paces, strict=True):
        if leaf.grad is None:
            continue
        gradient = leaf.grad * pace
        first.lerp_(gradient, 1 - decay[0])
        second.lerp_(gradient.square(), 1 - decay[1])
        size = (second / (1 - decay[1] ** step)).sqrt()
        typical = size.square().mean().sqrt()
        direction = first / (1 - decay[0] ** step) / (size + typical + 1e-30)
        leaf -= share * pace * direction
        leaf.grad = None
