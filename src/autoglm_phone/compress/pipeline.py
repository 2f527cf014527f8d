"""`compress`: a checkpoint, a recipe and samples to a small checkpoint, one unit in memory at a time.

A finished unit is a file in `<out>/.work`, written aside, then renamed: a run that was killed goes on after it, and
since a unit depends on nothing but those before it, the bits are the same (`unit_run`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from autoglm_phone.compress import calibrate, media_weights, sensitivity, transform
from autoglm_phone.compress.assemble import assemble
from autoglm_phone.compress.files import write_text
from autoglm_phone.compress.opening import Opened, open_model
from autoglm_phone.compress.plan import CompressionPlan, resolve
from autoglm_phone.compress.progress import Say, silent
from autoglm_phone.compress.recipe import TRANSFORMS, Recipe
from autoglm_phone.compress.unit_run import UnitRun
from autoglm_phone.compress.units import MasterSource
from autoglm_phone.errors import CheckpointError, ConfigError

WORK = ".work"


def plan_for(opened: Opened, recipe: Recipe) -> CompressionPlan:
    """The recipe applied to this model. Raises ConfigError where it makes no sense; names the line."""
    shaped, away = transform.shaped(opened, recipe)
    return resolve(recipe, shaped.architecture, shaped.sizes, built=TRANSFORMS, away=away)


def compress(
    model: str | Path,
    recipe: Recipe,
    out: Path,
    *,
    samples: Sequence[calibrate.Sample] | None = None,
    device: str = "cpu",
    max_shard_bytes: int = 1 << 30,
    say: Say = silent,
) -> Path:
    """Compress a model into `out`; goes on where an interrupted call with the same arguments stopped.

    Args:
        samples: calibration samples instead of those that the recipe draws.

    Returns:
        `out`, with the master checkpoint, report.json and the model's other files.

    Raises:
        ConfigError, CheckpointError: before any work, if recipe, model and folder do not fit together.
    """
    opened = open_model(model)
    if isinstance(opened.source, MasterSource):
        raise CheckpointError(f"{opened.folder} is compressed already; compress the original", param="model")
    plan = plan_for(opened, recipe)
    work = _work_folder(out, opened, recipe, samples)
    say(f"{plan.float_bytes / 1e6:.1f} MB -> {plan.num_bytes / 1e6:.1f} MB ({plan.num_bytes / plan.float_bytes:.1%})")
    if samples is None:
        began = time.monotonic()
        samples = calibrate.load(opened.folder, recipe.calibration)
        tokens = sum(len(s.ids) for s in samples)
        say(f"{len(samples)} calibration samples, {tokens} tokens, {time.monotonic() - began:.0f} s")
        if recipe.calibration.gradients:
            rule = recipe.calibration.gradients
            samples = media_weights.weigh(opened, samples, rule, torch.device(device), seed=recipe.seed, say=say)
    if plan.transforms:
        base = opened
        opened = transform.run(opened, recipe, work, samples, torch.device(device), say)
        away = transform.volume(base) - transform.volume(opened)
        plan = resolve(recipe, opened.architecture, opened.sizes, built=TRANSFORMS, away=away)
        say(f"after {', '.join(step.kind for step in plan.transforms)}: {transform.volume(opened) / 1e6:.1f} MB")
        if not plan.modules:
            return transform.finish(opened, work, out, recipe.name, plan.float_bytes)
    if recipe.budget is not None:
        plan = _within_budget(opened, plan, recipe, work, samples, torch.device(device), say)
    run = UnitRun(opened, plan, work, samples, torch.device(device), recipe.seed, say)
    run.all()
    return assemble(opened, plan, recipe, work, out, max_shard_bytes, run.tune())


def _within_budget(
    opened: Opened,
    plan: CompressionPlan,
    recipe: Recipe,
    work: Path,
    samples: Sequence[calibrate.Sample],
    device: torch.device,
    say: Say,
) -> CompressionPlan:
    """The plan with bits chosen for the modules that leave them open, by sensitivity measured once a run."""
    budget = recipe.budget_bytes(plan.float_bytes) or 0
    if any(module.auto for module in plan.modules.values()):
        path = work / "sensitivity.json"
        if not path.exists():
            costs = sensitivity.measure(
                opened.architecture, opened.source, plan, samples, recipe.choices, device, recipe.seed, say
            )
            write_text(path, sensitivity.dumps(costs))
        plan = sensitivity.choose(plan, sensitivity.read(path).cost, budget, recipe.choices)
        chosen = Counter(module.bits for module in plan.modules.values() if module.auto)
        say("bits chosen: " + ", ".join(f"{count} modules of {bits}" for bits, count in sorted(chosen.items())))
    if plan.num_bytes > budget:
        raise ConfigError(
            f"{recipe.source}: the recipe takes {plan.num_bytes / 1e6:.1f} MB and its budget is {budget / 1e6:.1f} MB",
            param="budget",
        )
    return plan


def _work_folder(out: Path, opened: Opened, recipe: Recipe, samples: Sequence[calibrate.Sample] | None) -> Path:
    """The folder of finished units, made or found; refused if it belongs to another run."""
    digest = hashlib.sha256(b"compress 2")
    digest.update(recipe.digest_of.encode())
    digest.update(recipe.calibration.digest().encode())
    for sample in samples or ():
        digest.update(repr((sample.ids, sample.weights, [m.content_hash for m in sample.media])).encode())
    for path in [*sorted(opened.folder.glob("*.safetensors")), opened.folder / "config.json"]:
        with path.open("rb") as file:
            digest.update(f"{path.name}:{path.stat().st_size}".encode() + file.read(1 << 16))
            file.seek(max(0, path.stat().st_size - (1 << 16)))
            digest.update(file.read())
    mark = digest.hexdigest()
    work = out / WORK
    state = work / "run.json"
    if (out / "config.json").exists():
        raise ConfigError(f"{out} already holds a model; remove it or choose another --out", param="out")
    if state.exists() and json.loads(state.read_text()).get("run") != mark:
        raise ConfigError(
            f"{work} holds the beginning of another run (another recipe, model or samples); remove it or choose "
            "another --out",
            param="out",
        )
    work.mkdir(parents=True, exist_ok=True)
    if not state.exists():
        write_text(state, json.dumps({"run": mark, "recipe": recipe.name}) + "\n")
    return work
