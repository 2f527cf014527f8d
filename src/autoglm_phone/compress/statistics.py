"""What a unit's linears see: weighted second moments of their inputs, gathered by hooks while the unit runs.

H = Σ w x xᵀ / Σ w over all input positions of all samples. With a second, float stream running in step, also the cross
moment C = Σ w x_float x_quantᵀ / Σ w, from which `gptq.compensate` corrects what earlier layers' rounding did.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoglm_phone.compress.algorithms.precision import tensor_cores
from autoglm_phone.compress.unit_weights import UnitWeights
from autoglm_phone.compress.units import State, Unit, move

Matrix = nn.Linear | nn.Conv1d | nn.Conv2d
_BLOCK = 2048  # input rows that a GPU multiplies at once
_CONV_POSITIONS = 4096  # of one sample: a picture has tens of thousands, which say the same


class _SeenAll(Exception):  # noqa: N818 (not an error)
    """Ends a unit's run early."""


@dataclass
class Moments:
    """hessian [C, C], cross [C, C] or None, and the sum of weights behind them."""

    hessian: Tensor
    cross: Tensor | None
    total: float

    def scaled(self, scale: Tensor) -> Moments:
        """Of the inputs x / scale."""
        factor = 1.0 / (scale[:, None] * scale[None, :])
        return Moments(self.hessian * factor, None if self.cross is None else self.cross * factor, self.total)


@dataclass(frozen=True)
class Observed:
    """moments: by module. together: modules that read the same tensor, in the order in which they ran."""

    moments: dict[str, Moments]
    together: list[list[str]]


def matrices(module: nn.Module) -> dict[str, Matrix]:
    """The linears and ordinary convolutions of a unit, by name."""
    return {
        name: child
        for name, child in module.named_modules()
        if isinstance(child, nn.Linear) or (isinstance(child, nn.Conv1d | nn.Conv2d) and child.groups == 1)
    }


class _Sums:
    """Σ w x xᵀ, Σ w x_float xᵀ and Σ w, grown by blocks of input rows.

    Args:
        block: rows that are gathered before they are multiplied: on a GPU a few thousand keep it busy, and the sum
            [C, C] is read and written less often.
    """

    def __init__(self, block: int):
        self.block, self.total = block, 0.0
        self.hessian: Tensor | None = None
        self.cross: Tensor | None = None
        self._waiting: list[tuple[Tensor, Tensor, Tensor | None]] = []

    def add(self, x: Tensor, weight: Tensor, clean: Tensor | None) -> None:
        self._waiting.append((x, weight, clean))
        if sum(len(x) for x, _, _ in self._waiting) >= self.block:
            self.flush()

    def flush(self) -> None:
        if not self._waiting:
            return
        x, weight = (torch.cat([part[i] for part in self._waiting]) for i in (0, 1))  # type: ignore[misc]
        cleans = [part[2] for part in self._waiting if part[2] is not None]
        self._waiting.clear()
        weighted = x * weight[:, None]
        self.hessian = _add(self.hessian, weighted, x)
        if cleans:
            self.cross = _add(self.cross, torch.cat(cleans), weighted)
        self.total += float(weight.sum())

    def moments(self) -> Moments:
        self.flush()
        assert self.hessian is not None  # made with its first rows
        for made in (self.hessian, self.cross):
            if made is not None:
                made /= max(self.total, 1e-12)
        return Moments(self.hessian, self.cross, self.total)

    def copy(self) -> _Sums:
        self.flush()
        made = _Sums(self.block)
        made.total = self.total
        made.hessian = None if self.hessian is None else self.hessian.clone()
        made.cross = None if self.cross is None else self.cross.clone()
        return made


def _block(device: torch.device) -> int:
    return _BLOCK if device.type == "cuda" else 1


def _add(total: Tensor | None, left: Tensor, right: Tensor) -> Tensor:
    """total + leftᵀ right, in place where there is a total."""
    if total is None:
        return left.T @ right
    return total.addmm_(left.T, right) if total.is_cuda else total.add_(left.T @ right)


@torch.no_grad()
def observe(
    unit: Unit,
    module: nn.Module,
    states: Sequence[State],
    names: Collection[str],
    device: torch.device,
    *,
    float_module: nn.Module | None = None,
    float_states: Sequence[State] | None = None,
) -> Observed:
    """Run the unit on every state and gather the moments of the named modules' inputs.

    Linears that read the same tensor with the same weights share one Moments: it is not to be changed in place.

    Args:
        float_module, float_states: the float model's unit and its own states, for the cross moments.
    """
    sums: dict[str, _Sums] = {}
    leader: dict[str, str] = {}  # module → the one whose sums it shares
    order: list[tuple[str, int]] = []  # of the sample that reaches most modules: text alone runs no cross-attention
    block = _block(device)
    with tensor_cores():
        for index, state in enumerate(states):
            here = move(state, device)
            calls: list[tuple[str, int]] = []
            seen = _inputs(unit, module, here, names, calls)
            order = calls if len(calls) > len(order) else order
            clean: dict[str, Tensor] = {}
            if float_module is not None and float_states is not None:
                clean = _inputs(unit, float_module, move(float_states[index], device), names, None)
            _lead(unit, module, calls, sums, leader)
            for name, x in seen.items():
                if leader[name] == name:
                    sums.setdefault(name, _Sums(block)).add(x, _weight(unit, name, here, x.shape[0]), clean.get(name))
        made = {name: total.moments() for name, total in sums.items()}
    together: dict[int, list[str]] = {}
    for name, source in order:
        together.setdefault(source, []).append(name)
    return Observed({name: made[lead] for name, lead in leader.items()}, list(together.values()))


def _lead(
    unit: Unit, module: nn.Module, calls: Sequence[tuple[str, int]], sums: dict[str, _Sums], leader: dict[str, str]
) -> None:
    """Who shares whose sums: linears that met for the first time on one tensor, as long as they keep meeting."""
    source = {name: (identity, unit.weight_of.get(name, "weight")) for name, identity in calls}
    first: dict[tuple[int, str], str] = {}
    for name in source:
        if name not in leader:
            linear = isinstance(module.get_submodule(name), nn.Linear)
            leader[name] = first.setdefault(source[name], name) if linear else name
    for name, lead in leader.items():
        if name != lead and source.get(name) != source.get(lead):
            sums[name] = sums[lead].copy()
            leader[name] = name


def _inputs(
    unit: Unit, module: nn.Module, state: State, names: Collection[str], order: list[tuple[str, int]] | None
) -> dict[str, Tensor]:
    """{module: its input rows float32 [N, C]}; `order` receives (module, identity of its input)."""
    found: dict[str, Tensor] = {}
    keep: list[Tensor] = []  # an input that is freed could lend its identity to another
    handles = []
    for name, child in matrices(module).items():
        if name in names:

            def hook(child: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
                keep.append(inputs[0])
                if order is not None:
                    order.append((name, id(inputs[0])))
                found[name] = rows(child, inputs[0])
                if len(found) == len(names):
                    raise _SeenAll

            handles.append(child.register_forward_pre_hook(hook))
    try:
        unit.run(module, state)
    except _SeenAll:  # what comes after is not asked for, and would be most of the time
        pass
    finally:
        for handle in handles:
            handle.remove()
    return found


def rows(child: nn.Module, x: Tensor) -> Tensor:
    """A matrix's inputs as float32 rows [N, C]: a convolution's are its windows, in the order of its flat kernel."""
    if isinstance(child, nn.Conv1d):
        x = x.unsqueeze(2)
        kernel, stride, padding = (1, child.kernel_size[0]), (1, child.stride[0]), (0, int(child.padding[0]))
    elif isinstance(child, nn.Conv2d):
        kernel, stride = tuple(child.kernel_size), tuple(child.stride)  # type: ignore[assignment]
        padding = tuple(int(p) for p in child.padding)  # type: ignore[assignment]
    else:
        return x.reshape(-1, x.shape[-1]).float()
    windows = F.unfold(x.float(), kernel, padding=padding, stride=stride)  # [B, C * kernel, N]
    flat = windows.transpose(1, 2).flatten(0, 1)
    return flat[:: -(-flat.shape[0] // _CONV_POSITIONS)]


def _weight(unit: Unit, name: str, state: State, count: int) -> Tensor:
    entry = unit.weight_of.get(name, "weight")
    weight = state.get(entry)
    if weight is None:
        hidden = next(v for v in state.values() if isinstance(v, Tensor))
        return torch.ones(count, device=hidden.device)
    by_unit: UnitWeights | None = state.get("by_unit")
    factors = None if by_unit is None else by_unit.of(unit.name, entry, state)
    weight = weight if factors is None else weight * factors
    if len(weight) != count and len(state.get("predict", ())) == count:
        weight = weight[state["predict"]]
    if len(weight) != count:  # convolutions, and towers that merge positions
        return torch.ones(count, device=weight.device)
    return weight.float()
