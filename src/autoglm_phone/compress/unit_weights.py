"""Weights of positions that differ from unit to unit: a table that `media_weights` measures and `statistics` reads.

What a modality's positions feel of an error changes with depth: a picture's states matter where cross-attention reads
them, the words in front of a reply until their keys and values have been read for the last time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from autoglm_phone.compress.calibrate import KINDS

if TYPE_CHECKING:
    from autoglm_phone.compress.units import State

MEMORY = "memory_weight"  # the state's entry that weighs what cross-attention reads
REPLY = " reply"  # behind a kind's name: those of its positions that predict the reply
GROUPS = (*KINDS, *(kind + REPLY for kind in KINDS))


@dataclass(frozen=True)
class UnitWeights:
    """Factors on the weights of positions; 1.0 is the unit's average position, and that of what was not measured.

    positions: unit → group of GROUPS → factor; a kind without a reply's entry of its own covers the reply, too.
    memory: unit → kind → factor, of the states that the unit's cross-attention reads.
    sizes: unit → mean |dL/dx| of a position in front of it, to which its factors are relative.
    """

    positions: Mapping[str, Mapping[str, float]]
    memory: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    sizes: Mapping[str, float] = field(default_factory=dict)

    def of(self, unit: str, entry: str, state: State) -> Tensor | None:
        """Float [positions], for the positions that the state's `entry` weighs; None where the unit has none."""
        table = (self.memory if entry == MEMORY else self.positions).get(unit)
        kinds: Tensor | None = state.get("memory_kind" if entry == MEMORY else "kind")
        if table is None or kinds is None:
            return None
        groups = kinds if entry == MEMORY else groups_of(state)
        values = [table.get(group, table.get(group.removesuffix(REPLY), 1.0)) for group in GROUPS]
        return torch.tensor(values, device=kinds.device)[groups]

    def to_json(self) -> dict[str, Any]:
        return {"positions": self.positions, "memory": self.memory, "sizes": self.sizes}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> UnitWeights:
        return cls(raw["positions"], raw["memory"], raw["sizes"])


def groups_of(state: State) -> Tensor:
    """Index into GROUPS of each position, long [positions]."""
    groups: Tensor = state["kind"].clone()
    groups[state["predict"]] += len(KINDS)
    return groups
