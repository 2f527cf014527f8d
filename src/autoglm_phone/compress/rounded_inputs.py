"""Linears whose inputs the engine rounds to 8 bits, for all that runs a quantized checkpoint as float modules."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from autoglm_phone.backends.quantized import PackedWeight, Stacked
from autoglm_phone.backends.quantized_blocks import round_rows
from autoglm_phone.compress.formats import master
from autoglm_phone.compress.opening import Opened, PublicSource
from autoglm_phone.compress.units import Unit
from autoglm_phone.runner.public_formats import declared


def rounded_inputs(opened: Opened) -> frozenset[str]:
    """Weights (by engine name) whose linears read inputs in 8 bits; empty for a plain checkpoint."""
    source = opened.source
    if isinstance(source, PublicSource):
        if (declared(opened.folder) or {}).get("format") != "int-quantized":
            return frozenset()  # no other format that is read here has such inputs
        return frozenset(name for name in source.names() if _rounds(source.weight(name)))
    config = master.read_config(opened.folder)
    modules = {} if config is None else config.modules
    rounded = {f"{name}.weight" for name, spec in modules.items() if spec.activation_bits == 8}
    return frozenset(name for name, disk in source.disk.items() if disk in rounded)


def _rounds(weight: Any) -> bool:
    parts = weight.parts if isinstance(weight, Stacked) else (weight,)
    return all(isinstance(part, PackedWeight) and part.activation_bits == 8 for part in parts)


def round_inputs(unit: Unit, module: nn.Module, names: frozenset[str]) -> nn.Module:
    """Have the linears of a unit's module round their inputs, token by token, as the engine does. Returns the module.

    Args:
        names: what `rounded_inputs` found.
    """
    if names:
        for name, child in module.named_modules():
            if isinstance(child, nn.Linear) and unit.disk_name(f"{name}.weight") in names:
                child.register_forward_pre_hook(_round)
    return module


def _round(child: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    x = inputs[0]
    return round_rows(x.reshape(-1, x.shape[-1])).to(x.dtype).view(x.shape)
