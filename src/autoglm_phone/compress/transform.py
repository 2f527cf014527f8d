"""The steps of a recipe that change float weights, each from one plain checkpoint to the next, in the work folder.

`<work>/0-prune/model`, `<work>/1-share/model` and so on are whole model folders that appear when they are complete, so
a killed run goes on after the last of them. `shaped` says beforehand, from shapes alone, what they will measure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from autoglm_phone.compress import share
from autoglm_phone.compress.calibrate import Sample
from autoglm_phone.compress.delivery import deliver
from autoglm_phone.compress.opening import Opened, open_model, open_shape
from autoglm_phone.compress.progress import Say, silent
from autoglm_phone.compress.prune import prune, pruned_config
from autoglm_phone.compress.recipe import TRANSFORMS, Recipe, Step
from autoglm_phone.compress.task import Task
from autoglm_phone.errors import AutoGLMError
from autoglm_phone.models import registry


def steps_for(recipe: Recipe, family: str) -> list[Step]:
    """The transforms that a recipe has for a family."""
    return [step for step in recipe.steps if step.kind in TRANSFORMS and step.concerns(family)]


def volume(opened: Opened) -> int:
    """Bytes of all tensors, shared ones once."""
    return sum(size for _, size in opened.sizes.values())


def shaped(opened: Opened, recipe: Recipe) -> tuple[Opened, int]:
    """(the model that the transforms will leave, as shapes; bytes that they take away).

    What sharing takes is known to a matrix: which pairs it ties is measured later.

    Raises:
        ConfigError: a transform that this model can't have; names the line.
    """
    steps = steps_for(recipe, opened.architecture.family)
    if not any(step.kind in ("prune", "share") for step in steps):
        for step in steps:
            _check(step, recipe, opened)
        return opened, 0
    raw: dict[str, Any] = json.loads((opened.folder / "config.json").read_text(encoding="utf-8"))
    shape = opened
    shared = False
    for step in steps:
        _check(step, recipe, opened)
        if step.kind == "prune":
            if shared:
                raise recipe.error(step.line, "prune cuts matrices that share has tied to others; put it before share")
            raw = pruned_config(raw, step, recipe)
            shape = open_shape(opened.folder, raw)
        elif step.kind == "share":
            shared = True
            raw = {**raw, share.FIELD: share.by_structure(open_shape(opened.folder, raw), step, recipe)}
            shape = open_shape(opened.folder, raw)
    # Elements are counted by shapes, their bytes by what is stored.
    elements = sum(count for count, _ in opened.sizes.values())
    width = volume(opened) // elements if elements else 2
    sizes = {name: (count, count * width) for name, (count, _) in shape.sizes.items()}
    made = Opened(shape.folder, shape.source, shape.architecture, sizes)
    return made, volume(opened) - volume(made)


def run(
    opened: Opened,
    recipe: Recipe,
    work: Path,
    samples: Sequence[Sample],
    device: torch.device,
    say: Say = silent,
) -> Opened:
    """Apply the transforms; returns the last one's checkpoint. Each step that is done already is kept."""
    base = opened
    for index, step in enumerate(steps_for(recipe, opened.architecture.family)):
        place = work / f"{index}-{step.kind}"
        made = place / "model"
        if not (made / "config.json").exists():
            say(f"step {step.kind}")
            place.mkdir(parents=True, exist_ok=True)
            task = Task(opened, base, step, recipe, place, samples, device, say)
            if step.kind in ("prune", "share"):
                with torch.no_grad():
                    prune(task) if step.kind == "prune" else share.share(task)
            else:
                from autoglm_phone.compress.heal import heal  # training: imports all of the trainer

                heal(task)
        opened = open_model(made)
    return opened


def finish(
    opened: Opened, work: Path, out: Path, recipe: str, float_bytes: int, more: Mapping[str, Any] | None = None
) -> Path:
    """The result of a recipe that only transforms: the last step's checkpoint, put where it belongs.

    Args:
        more: what else the report says.
    """
    report = {"recipe": recipe, "bytes": volume(opened), "float_bytes": float_bytes, "steps": reports(work)}
    return deliver(opened.folder, out, work, {**report, **(more or {})})


def reports(work: Path) -> dict[str, Any]:
    """What each transform reported, by its folder's name."""
    return {p.parent.name: json.loads(p.read_text(encoding="utf-8")) for p in sorted(work.glob("*/report.json"))}


def _check(step: Step, recipe: Recipe, opened: Opened) -> None:
    if opened.architecture.family == "native":
        teacher = step.options.get("teacher")
        if teacher and not (Path(teacher) / "progress.json").exists():  # a training run; else it is a model
            try:
                registry.locate(teacher)
            except AutoGLMError as error:
                raise recipe.error(step.line_of("teacher"), f"teacher {teacher!r}: {error}") from error
        return
    if step.kind == "share":
        raise recipe.error(
            step.line,
            "share ties towers and decoder of native models; a GLM-4.1V has no matrices of like shape in both. "
            "Write family: native, or leave it out",
        )
    if step.kind == "qat":
        raise recipe.error(step.line, "qat trains native models; write family: native, or leave it out")
    if step.kind == "distill" and step.options["teacher"]:
        raise recipe.error(
            step.line_of("teacher"), "a GLM-4.1V is healed layer by layer against itself; it takes no other teacher"
        )
