"""`compress`: a checkpoint, a recipe and samples to a small checkpoint, one unit in memory at a time.

A finished unit is a file in `<out>/.work`, written aside, then renamed: a run that was killed goes on after it, and
since a unit depends on nothing but those before it, the bits are the same (`unit_run`).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from autoglm_phone.compress import calibrate, media_weights, sensitivity, transform
from autoglm_phone.compress.assemble import assemble
from autoglm_phone.compress.budget import check_budget
from autoglm_phone.compress.delivery import STATE, deliver, delivered
from autoglm_phone.compress.files import write_text
from autoglm_phone.compress.formats import master
from autoglm_phone.compress.formats.export import export
from autoglm_phone.compress.opening import Opened, open_model
from autoglm_phone.compress.plan import CompressionPlan, resolve
from autoglm_phone.compress.progress import Say, silent
from autoglm_phone.compress.recipe import TRANSFORMS, Recipe
from autoglm_phone.compress.unit_run import UnitRun
from autoglm_phone.compress.units import MasterSource
from autoglm_phone.errors import CheckpointError, ConfigError

WORK = ".work"
STATES = "states"  # in the work folder: files of states that wait


def plan_for(opened: Opened, recipe: Recipe) -> CompressionPlan:
    """The recipe applied to this model. Raises ConfigError where it makes no sense; names the line."""
    path = recipe.calibration.path
    if path is not None and not path.is_file():
        line = recipe.lines.get("path")
        message = f"calibration file {path} is not there"
        raise ConfigError(message, param="calibration") if line is None else recipe.error(line, message)
    shaped, away = transform.shaped(opened, recipe)
    plan = resolve(recipe, shaped.architecture, shaped.sizes, built=TRANSFORMS, away=away)
    if not plan.transforms and not plan.modules:
        raise recipe.error(
            recipe.line_of("steps"),
            f"no step of the recipe does anything to this model, which is of the family {opened.architecture.family}",
        )
    check_budget(recipe, plan)
    return plan


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
        `out`: the model in the recipe's format, compression.json and the model's other files.

    Raises:
        ConfigError, CheckpointError: before any work, if recipe, model and folder do not fit together.
    """
    opened = open_model(model)
    if isinstance(opened.source, MasterSource):
        raise CheckpointError(f"{opened.folder} is compressed already; compress the original", param="model")
    plan = plan_for(opened, recipe)
    work, mark = out / WORK, _mark(opened, recipe, samples, torch.device(device))
    if delivered(out, work, mark):
        say(f"{out} was finished by an earlier call; only its work folder was left to remove")
        return out
    _claim(work, mark, recipe.name)
    say(f"{plan.float_bytes / 1e6:.1f} MB -> {plan.num_bytes / 1e6:.1f} MB ({plan.num_bytes / plan.float_bytes:.1%})")
    if samples is None:
        began = time.monotonic()
        samples = calibrate.load(opened.folder, recipe.calibration)
        tokens = sum(len(s.ids) for s in samples)
        say(f"{len(samples)} calibration samples, {tokens} tokens, {time.monotonic() - began:.0f} s")
    kept = work / media_weights.FILE
    if recipe.calibration.gradients:
        rule, on = recipe.calibration.gradients, torch.device(device)
        samples = media_weights.weigh(
            opened, samples, rule, on, seed=recipe.seed, say=say, folder=work / STATES, kept=kept
        )
    if plan.transforms:
        base = opened
        opened = transform.run(opened, recipe, work, samples, torch.device(device), say)
        away = transform.volume(base) - transform.volume(opened)
        plan = resolve(recipe, opened.architecture, opened.sizes, built=TRANSFORMS, away=away)
        say(f"after {', '.join(step.kind for step in plan.transforms)}: {transform.volume(opened) / 1e6:.1f} MB")
        if not plan.modules:
            return transform.finish(opened, work, out, recipe.name, plan.float_bytes, media_weights.report(kept))
    if recipe.budget is not None:
        plan = _within_budget(opened, plan, recipe, work, samples, torch.device(device), say)
    run = UnitRun(opened, plan, work, samples, torch.device(device), recipe.seed, say)
    run.all()
    made, report = assemble(opened, plan, recipe, work, max_shard_bytes, run.tune())
    report |= media_weights.report(kept)
    if recipe.format != "master":
        made, changed = _exported(made, work / "exported", recipe.format, max_shard_bytes, say)
        report |= changed
    return deliver(made, out, work, report)


def _exported(made: Path, folder: Path, format: str, max_shard_bytes: int, say: Say) -> tuple[Path, dict[str, Any]]:
    """A master in the recipe's format: (its folder, what that changes in the report). Says what became floats."""
    shutil.rmtree(folder, ignore_errors=True)
    export(made, folder, format, max_shard_bytes=max_shard_bytes)
    config = master.read_config(made)
    index = json.loads((folder / master.INDEX).read_text(encoding="utf-8"))
    held = index["weight_map"]
    modules = list(config.modules) if config is not None else []
    floats = [name for name in modules if f"{name}.weight" in held and f"{name}.weight_scale" not in held]
    size = int(index["metadata"]["total_size"])
    said = f"in the {format} format, {len(modules) - len(floats)} modules quantized, {size / 1e6:.1f} MB"
    if floats:
        said += f"; {len(floats)} that it can't hold are floats: {', '.join(floats[:3])}"
        said += " …" if len(floats) > 3 else ""
    say(said)
    return folder, {"format": format, "bytes": size, "floats": floats}


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
        blind = next((name for name, m in plan.modules.items() if m.auto and ".cross_attn." in name), None)
        if blind is not None and not any(sample.media for sample in samples):
            raise ConfigError(
                f"{recipe.source}: bits: auto can't be measured for {blind}, for no calibration sample has a picture "
                "or a sound; add some, or give its bits",
                param="calibration",
            )
        path = work / "sensitivity.json"
        if not path.exists():
            costs = sensitivity.measure(
                opened.architecture,
                opened.source,
                plan,
                samples,
                recipe.choices,
                device,
                recipe.seed,
                say,
                work / STATES,
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


def _mark(opened: Opened, recipe: Recipe, samples: Sequence[calibrate.Sample] | None, device: torch.device) -> str:
    """Tells one run from another: recipe, samples, every byte of the model, and the kind of device.

    A GPU adds up in another order than a CPU, so a unit of one is not what the other would have made.
    """
    digest = hashlib.sha256(b"compress 3")
    digest.update(device.type.encode())
    digest.update(recipe.digest_of.encode())
    digest.update(recipe.calibration.digest().encode())
    for sample in samples or ():
        digest.update(repr((sample.ids, sample.weights, [m.content_hash for m in sample.media])).encode())
    files = [*sorted(opened.folder.glob("*.safetensors")), opened.folder / "config.json"]
    with ThreadPoolExecutor(4, thread_name_prefix="model-sums") as pool:
        for path, total in zip(files, pool.map(master.sha256, files), strict=True):
            digest.update(f"{path.name}:{total}".encode())
    return digest.hexdigest()


def _claim(work: Path, mark: str, name: str) -> None:
    """Make the folder of finished units, or find it; refused if it belongs to another run."""
    state = work / STATE
    if state.exists() and json.loads(state.read_text(encoding="utf-8")).get("run") != mark:
        raise ConfigError(
            f"{work} holds the beginning of another run (another recipe, model, device or samples); remove it or "
            "choose another --out",
            param="out",
        )
    work.mkdir(parents=True, exist_ok=True)
    if not state.exists():
        write_text(state, json.dumps({"run": mark, "recipe": name}) + "\n")
