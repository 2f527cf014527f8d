"""Files of finished units in a work folder: written aside and renamed, so that a killed run leaves whole files only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor


def write_tensors(path: Path, tensors: Mapping[str, Tensor], losses: Mapping[str, Any]) -> None:
    """Tensors with their losses in the metadata."""
    aside = path.with_suffix(".part")
    plain = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
    save_file(plain, aside, metadata={"format": "pt", "losses": json.dumps(dict(losses))})
    aside.replace(path)


def write_text(path: Path, text: str) -> None:
    aside = path.with_name(path.name + ".part")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def readable(path: Path) -> bool:
    """Is it there, and whole?"""
    try:
        with safe_open(path, framework="pt"):
            return True
    except (OSError, SafetensorError):
        return False


def note_of(path: Path) -> dict[str, Any]:
    """The losses that `write_tensors` was given."""
    with safe_open(path, framework="pt") as file:
        made: dict[str, Any] = json.loads(file.metadata()["losses"])
        return made
