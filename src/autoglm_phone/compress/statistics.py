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

from autoglm_phone.compress.units import State, Unit, move

Matrix = nn.Linear | nn.Conv1d | nn.Conv2d
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

    Args:
        float_module, float_states: the float model's unit and its own states, for the cross moments.
    """
    gathered: dict[str, Moments] = {}
    order: list[tuple[str, int]] = []  # of the sample that reaches most modules: text alone runs no cross-attention
    for index, state in enumerate(states):
        here = move(state, device)
        calls: list[tuple[str, int]] = []
        seen = _inputs(unit, module, here, names, calls)
        order = calls if len(calls) > len(order) else order
        clean = None
        if float_module is not None and float_states is not None:
            clean = _inputs(unit, float_module, move(float_states[index], device), names, None)
        for name, x in seen.items():
            weight = _weight(unit, name, here, x.shape[0])
            weighted = x * weight[:, None]
            hessian = weighted.T @ x
            cross = None if clean is None else clean[name].T @ weighted
            known = gathered.get(name)
            if known is None:
                gathered[name] = Moments(hessian, cross, float(weight.sum()))
            else:
                known.hessian += hessian
                known.total += float(weight.sum())
                if known.cross is not None and cross is not None:
                    known.cross += cross
    for moments in gathered.values():
        moments.hessian /= max(moments.total, 1e-12)
        if moments.cross is not None:
            moments.cross /= max(moments.total, 1e-12)
    together: dict[int, list[str]] = {}
    for name, source in order:
        together.setdefault(source, []).append(name)
    return Observed(gathered, list(together.values()))


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
    weight = state.get(unit.weight_of.get(name, "weight"))
    if weight is None:
        hidden = next(v for v in state.values() if isinstance(v, Tensor))
        return torch.ones(count, device=hidden.device)
    if len(weight) != count and len(state.get("predict", ())) == count:
        weight = weight[state["predict"]]
    if len(weight) != count:  # convolutions, and towers that merge positions
        return torch.ones(count, device=weight.device)
    return weight.float()
