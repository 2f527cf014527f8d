"""A model as a chain of small units that calibration samples flow through, one unit in memory at a time.

A `Stage` is a chain with its own samples (a tower's pictures, the decoder's conversations); a `Unit` is what is loaded,
measured, quantized and forgotten at once: a decoder layer, a tower block, the embedding, the output head. The state of
a sample is a dict of tensors; a unit's `run` returns what it changes. Families describe themselves in `native` and
`glm4v`; everything else here works on units alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from autoglm_phone.compress.algorithms.precision import tensor_cores
from autoglm_phone.compress.calibrate import Sample
from autoglm_phone.compress.formats.master import PARTS, MasterReader
from autoglm_phone.errors import CheckpointError
from autoglm_phone.models.shared import shared_weights
from autoglm_phone.runner.checkpoint import Checkpoint

State = dict[str, Any]


@dataclass(frozen=True)
class Fold:
    """Where a scale on the input channels of `targets` can hide, so that nothing of it is left at run time.

    x / s goes into `source`, W * s into the targets. source: a norm, or a linear whose output rows
    [first, first + width) are those channels (width None: all rows). repeat: output row r of the source feeds this many
    heads (GQA): the scale is shared among them. head_dim: rows of one head, for repeat > 1.
    """

    source: str
    targets: tuple[str, ...]
    first: int = 0
    width: int | None = None
    repeat: int = 1
    head_dim: int = 1


@dataclass(frozen=True)
class Unit:
    """One step of a stage.

    name: unique, and the unit's file in the work folder. prefix: what its module's parameter names lack on disk.
    build: the module, on the meta device. run: (module, state) → changed entries of the state.
    aliases: parameter → tensor on disk, where the two differ (a tied head).
    weight_of: module → the state's entry that weighs its input positions; "weight" where not named.
    convert: parameter → what makes it of the tensor on disk, where the module wants another layout; such a parameter is
        never quantized.
    """

    name: str
    prefix: str
    build: Callable[[], nn.Module]
    run: Callable[[nn.Module, State], State]
    folds: tuple[Fold, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    weight_of: Mapping[str, str] = field(default_factory=dict)
    convert: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)

    def disk_name(self, parameter: str) -> str:
        return self.aliases.get(parameter, self.prefix + parameter)

    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Names on disk and shapes, without reading anything; borrowed (aliased) tensors are left out."""
        shapes = {n: tuple(t.shape) for n, t in self.build().state_dict().items()}
        return {self.prefix + name: shape for name, shape in shapes.items() if name not in self.aliases}


@dataclass(frozen=True)
class Stage:
    """begin: (calibration samples, final states of earlier stages by name) → the states that enter the first unit."""

    name: str
    units: Sequence[Unit]
    begin: Callable[[Sequence[Sample], Mapping[str, list[State]]], list[State]]


class Architecture(Protocol):
    """A family's description of one checkpoint.

    tied: the output head reads the embedding's tensor. tensor_names: engine name → name on disk.
    """

    family: str
    tied: bool

    def stages(self) -> list[Stage]: ...


class Source:
    """The tensors of a plain checkpoint, by the names that units use. Memory-mapped: reading one costs its size only.

    Tensors that are shared count once, under the name that they are stored by (`compress.share`).

    Args:
        rename: name on disk → name used here.
    """

    def __init__(self, folder: Path, rename: Callable[[str], str] = lambda name: name):
        self.folder = folder
        self._checkpoint = Checkpoint(folder)
        self.shared = shared_weights(folder)
        self.disk = {rename(name): name for name in self._checkpoint.names() if name not in self.shared}

    def __contains__(self, name: str) -> bool:
        return name in self.disk

    def names(self) -> Iterable[str]:
        return self.disk.keys()

    def sizes(self) -> dict[str, tuple[int, int]]:
        """(elements, bytes) of each tensor; reads the files' headers only."""
        found = {}
        for name in self.disk:
            tensor = self._checkpoint.get(self.disk[name])  # mapped, not read
            found[name] = (tensor.numel(), tensor.numel() * tensor.element_size())
        return found

    def get(self, name: str) -> Tensor:
        if name not in self.disk:
            raise CheckpointError(f"{self.folder} has no tensor {name}: it is incomplete or of another kind")
        return self._checkpoint.get(self.disk[name])

    def load(self, unit: Unit, device: torch.device, dtype: torch.dtype) -> nn.Module:
        """The unit's module with its weights."""
        module = unit.build()
        state = {}
        for name, empty in module.state_dict().items():
            tensor = self.get(unit.disk_name(name))
            tensor = unit.convert[name](tensor) if name in unit.convert else tensor
            if tuple(tensor.shape) != tuple(empty.shape):
                raise CheckpointError(
                    f"tensor {unit.disk_name(name)} has shape {tuple(tensor.shape)}; config.json asks for "
                    f"{tuple(empty.shape)}"
                )
            # A copy, always: what is read from a mapped file may be shared by all who read it, and modules are changed.
            # It crosses to a device as it is stored, half as many bytes, and is widened there.
            state[name] = tensor.to(device, copy=True).to(dtype)
        module.load_state_dict(state, assign=True)
        return module.eval().requires_grad_(False)


class MasterSource(Source):
    """A master checkpoint as float tensors, for measuring what compression cost."""

    def __init__(self, folder: Path, rename: Callable[[str], str] = str):
        self.folder = folder
        self.shared = {}
        self._reader = MasterReader(folder)
        self._modules = {rename(name + ".weight"): name for name in self._reader.config.modules}
        hidden = {f"{name}.{part}" for name in self._reader.config.modules for part in PARTS}
        self.disk = {rename(name): name for name in self._reader.names() if name not in hidden}
        self.disk |= {name: module + ".weight" for name, module in self._modules.items()}

    def get(self, name: str) -> Tensor:
        if name in self._modules:
            return self._reader.module(self._modules[name]).dequantize()
        if name not in self.disk:
            raise CheckpointError(f"{self.folder} has no tensor {name}: it is incomplete or of another kind")
        return self._reader.tensor(self.disk[name])


def move(state: State, device: torch.device) -> State:
    """The state's tensors on a device."""
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in state.items()}


def container(**children: nn.Module) -> nn.Module:
    """A module that only gives its children their names."""
    made = nn.Module()
    for name, child in children.items():
        made.add_module(name, child)
    return made


@torch.no_grad()
def forward(
    unit: Unit, module: nn.Module, states: Sequence[State], device: torch.device, *, room: int = 0
) -> list[State]:
    """Every state after the unit.

    Args:
        room: bytes of states that may stay on the device; the others, or all, come back to the CPU.
    """
    made = []
    with tensor_cores():
        for state in states:
            kept = {**state, **unit.run(module, move(state, device))}
            kept = {name: value for name, value in kept.items() if value is not None}
            room -= num_bytes(kept)
            made.append(move(kept, device if room >= 0 else torch.device("cpu")))
    return made


def num_bytes(state: State) -> int:
    return sum(value.nbytes for value in state.values() if isinstance(value, Tensor))
