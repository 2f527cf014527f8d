"""Weights that several places of a model share: config.json's `shared_weights`, tensor → the tensor that it is.

A shared tensor is stored once, under the name that the others point to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from autoglm_phone.errors import CheckpointError

FIELD = "shared_weights"


def shared_weights(folder: Path) -> dict[str, str]:
    """The map of a model folder, {} where it has none.

    Raises:
        CheckpointError: the field is no map of names, or points to a name that itself points on.
    """
    try:
        raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # reported by whoever needs the configuration
    made = raw.get(FIELD) if isinstance(raw, Mapping) else None
    if made is None:
        return {}
    if not isinstance(made, Mapping) or any(not isinstance(v, str) or v in made for v in made.values()):
        raise CheckpointError(f"{folder}/config.json: {FIELD} must map tensor names to tensors that are stored")
    return dict(made)
