"""The work of one transform of a recipe: what it starts from, what it is measured on, where its files go.

Finished units are files in the task's folder, so that a killed run goes on after them; the new checkpoint appears as
`<folder>/model` when it is complete, with `report.json` beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from autoglm_phone.compress.calibrate import Sample
from autoglm_phone.compress.files import note_of, readable, write_tensors
from autoglm_phone.compress.opening import Opened, rewrite
from autoglm_phone.compress.progress import Say, silent
from autoglm_phone.compress.recipe import Recipe, Step
from autoglm_phone.compress.units import Unit
from autoglm_phone.compress.walk import Visit, walk

Made = tuple[Mapping[str, Tensor], Mapping[str, Any]]  # tensors by their names in the unit, and what to report of them


@dataclass(frozen=True)
class Task:
    """opened: the checkpoint to change. base: the model before the recipe's first step."""

    opened: Opened
    base: Opened
    step: Step
    recipe: Recipe
    folder: Path
    samples: Sequence[Sample]
    device: torch.device
    say: Say = silent
    _changed: dict[str, Path] = field(default_factory=dict)

    def config(self) -> dict[str, Any]:
        """config.json of the checkpoint."""
        made: dict[str, Any] = json.loads((self.opened.folder / "config.json").read_text(encoding="utf-8"))
        return made

    def walk(self, opened: Opened | None = None) -> Iterator[Visit]:
        """The samples through the checkpoint, or another one."""
        opened = opened or self.opened
        return walk(opened.architecture, opened.source, self.samples, self.device)

    def unit(self, unit: Unit, make: Callable[[], Made]) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """A unit's new tensors, in the types that the checkpoint stores, and their report: made now, or found."""
        path = self.folder / f"{unit.name}.safetensors"
        if not readable(path):
            made, report = make()
            source = self.opened.source
            named = {unit.prefix + name: tensor for name, tensor in made.items()}
            write_tensors(path, {n: t.to(source.get(n).dtype).cpu() for n, t in named.items()}, report)
        tensors = load_file(path)
        self._changed.update(dict.fromkeys(tensors, path))
        return {name.removeprefix(unit.prefix): tensor for name, tensor in tensors.items()}, note_of(path)

    def write(
        self,
        config: Mapping[str, Any],
        report: Mapping[str, Any],
        tensors: Mapping[str, Tensor] | None = None,
        drop: Iterable[str] = (),
    ) -> Path:
        """The new checkpoint: tensors of the finished units, or those given, instead of the ones there are."""
        source = self.opened.source

        def change(name: str) -> Tensor | None:
            if tensors is not None and name in tensors:
                return tensors[name].to(source.get(name).dtype).cpu()
            if name not in self._changed:
                return None
            with safe_open(self._changed[name], framework="pt") as file:
                found: Tensor = file.get_tensor(name)
                return found

        self.report(report)
        return rewrite(self.opened, self.folder / "model", config, change, drop)

    def report(self, report: Mapping[str, Any]) -> None:
        (self.folder / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
