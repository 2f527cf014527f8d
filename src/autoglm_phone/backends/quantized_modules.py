"""Packed linears inside a tower (an nn.Module): each takes an nn.Linear's place before weights are loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
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
        handle = pack(weight, bias, device, dtype)
        self.handle = handle
        held: Any = handle
        for field in fields(held):
            value = getattr(held, field.name)
            if isinstance(value, PackedWeight):
                for part in ("codes", "scales", "zeros"):
                    self.register_buffer("weight_" + part, getattr(value, part))
            elif isinstance(value, Tensor):
                self.register_buffer(field.name, value)

    def forward(self, x: Tensor) -> Tensor:
        if self.handle is None:
            raise CheckpointError(f"{self.name} was used before its weights were loaded")
        return self.handle.multiply(x.flatten(0, -2)).unflatten(0, x.shape[:-1])


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
