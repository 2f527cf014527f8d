"""Packed linears inside a tower (an nn.Module): each takes an nn.Linear's place before weights are loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from autoglm_phone.backends.quantized import Handle, PackedWeight, pack
from autoglm_phone.errors import CheckpointError


class QuantizedLinear(nn.Module):
    """y = x @ W^T + b with W packed. Its handle's tensors are buffers, so that the tower's size counts them."""

    def __init__(self, name: str):
        super().__init__()
        self.name = name
        self.handle: Handle | None = None

    def settle(self, weight: PackedWeight, bias: Tensor | None, device: torch.device, dtype: torch.dtype) -> None:
        self.handle = pack(weight, bias, device, dtype)
        for place, tensor in enumerate(_tensors(self.handle)):
            self.register_buffer(f"held_{place}", tensor)

    def forward(self, x: Tensor) -> Tensor:
        if self.handle is None:
            raise CheckpointError(f"{self.name} was used before its weights were loaded")
        return self.handle.multiply(x.flatten(0, -2)).unflatten(0, x.shape[:-1])


def _tensors(tree: Any) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif is_dataclass(tree):
        for field in fields(tree):
            yield from _tensors(getattr(tree, field.name))


def replace_linears(module: nn.Module, names: Iterable[str]) -> None:
    """Put a QuantizedLinear in the place of each linear named.

    Raises:
        CheckpointError: one of them is no linear of this module.
    """
    for name in names:
        parent, _, last = name.rpartition(".")
        try:
            found = module.get_submodule(name)
        except AttributeError as error:
            raise CheckpointError(f"the checkpoint quantizes {name}, which this tower does not have") from error
        if not isinstance(found, nn.Linear):
            raise CheckpointError(f"the checkpoint quantizes {name}, which is no linear; compress the model again")
        setattr(module.get_submodule(parent) if parent else module, last, QuantizedLinear(name))


def load_state(module: nn.Module, weights: Mapping[str, Any], device: torch.device, dtype: torch.dtype) -> None:
    """As module.load_state_dict(weights, assign=True), where some weights are packed.

    Raises:
        CheckpointError: a quantized weight is missing. RuntimeError: as load_state_dict.
    """
    left, packed = dict(weights), []
    for name, child in module.named_modules():
        if isinstance(child, QuantizedLinear):
            weight, bias = left.pop(name + ".weight", None), left.pop(name + ".bias", None)
            if not isinstance(weight, PackedWeight):
                raise CheckpointError(f"the tower's {name} lacks its quantized weight; the checkpoint is incomplete")
            packed.append((child, weight, bias))
    module.load_state_dict(left, assign=True)
    for child, weight, bias in packed:
        child.settle(weight, bias, device, dtype)
