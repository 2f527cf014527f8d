"""Healing by distillation, and training for int8: the recipe's steps that run an optimizer.

Native models train whole, on the world's own stream, with the trainer (`train.trainer`) and a teacher: the recipe's, or
the model as it was before the first step. A GLM-4.1V is healed layer by layer on the calibration samples, each layer
towards the float layer's output (as blockwise distillation does: Li et al. 2020), because the whole would not fit.
Both go on after a kill: the trainer from its last checkpoint, the layers after the last that is done.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from autoglm_phone.compress.plan import resolve
from autoglm_phone.compress.recipe import TRANSFORMS, Step
from autoglm_phone.compress.task import Task
from autoglm_phone.compress.units import State, Unit, move
from autoglm_phone.compress.walk import Visit
from autoglm_phone.models import registry

_BATCH = 4  # samples of one step in a layer
_ADAM_SHARE = 2e-3 / 0.015  # the trainer's step for vectors and tables, against that for matrices


def heal(task: Task) -> Path:
    """Train the task's checkpoint and write it to the task's folder.

    Raises:
        ConfigError: no such teacher, or one of another vocabulary.
    """
    return _train(task) if task.opened.architecture.family == "native" else _by_layer(task)


def _train(task: Task) -> Path:
    from autoglm_phone.train.bundle import bundle_like
    from autoglm_phone.train.distill import DistillConfig
    from autoglm_phone.train.mixture import BatchSizes
    from autoglm_phone.train.muon import OptimConfig
    from autoglm_phone.train.trainer import TrainConfig, Trainer
    from autoglm_phone.train.vocabularies import write_of_model

    opened, step, work = task.opened, task.step, task.folder
    options = step.options
    names: tuple[str, ...] = ()
    if step.kind == "qat":
        plan = resolve(task.recipe, opened.architecture, opened.sizes, built=TRANSFORMS)
        names = tuple(name for name, made in plan.modules.items() if made.trained)
    teacher = _locate(options["teacher"]) if options["teacher"] else task.base.folder
    run, prepared = work / "run", work / "prepared"
    write_of_model(opened.folder, prepared)
    config = TrainConfig(
        prepared=prepared,
        out=run,
        model=opened.folder,
        init_from=opened.folder,
        resume=(run / "progress.json").exists(),
        steps=options["steps"],
        teacher=teacher,
        distill=DistillConfig(options["kl"], options["hidden"], options["top_k"]),
        qat=names,
        workers=options["workers"],
        optim=OptimConfig(muon_lr=options["lr"], adam_lr=_ADAM_SHARE * options["lr"]),
        repeatable=True,
        layer_dropout=0.0,  # the teacher's states are those of all layers
        warmup_steps=max(1, options["steps"] // 20),
        decay_from=0.3,
        compile=options["steps"] >= 500,
        seed=task.recipe.seed,
        log_every=1 if options["small"] else 20,
        lessons=False,  # their heads are not in the model
        sizes=BatchSizes(2048, 2, 3, 4, 2) if options["small"] else BatchSizes().scaled(options["batches"]),
    )
    progress = Trainer(config).run()
    task.say(
        f"{step.kind}: {progress.step} steps, {progress.tokens:,} tokens, {progress.elapsed:.0f} s, from {teacher}"
    )
    report = {"steps": progress.step, "tokens": progress.tokens, "seconds": progress.elapsed, "fake_int8": len(names)}
    task.report(report)
    bundle_like(run, opened.folder, work / "model")
    return work / "model"


def _locate(teacher: str) -> Path:
    """A training run's folder, or a model."""
    return Path(teacher) if (Path(teacher) / "progress.json").exists() else registry.locate(teacher)


def _by_layer(task: Task) -> Path:
    errors: dict[str, list[float]] = {}
    for visit, origin in zip(task.walk(), task.walk(task.base), strict=True):
        targets = [aim["hidden"] for aim in origin.after()] if visit.unit.name.startswith("model.layers.") else None
        if targets is not None:
            tensors, error = task.unit(visit.unit, partial(_heal_layer, visit, targets, task.step, task.recipe.seed))
            visit.module.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
            errors |= error
            task.say("heal {}: error {:.2e} -> {:.2e}".format(visit.unit.name, *errors[visit.unit.name]))
    return task.write(task.config(), {"errors": errors})


def _heal_layer(
    visit: Visit, targets: Sequence[Tensor], step: Step, seed: int
) -> tuple[dict[str, Tensor], dict[str, list[float]]]:
    """Train a layer towards its targets: its tensors, and {unit: [relative error before, after]}.

    The errors are those on a fifth of the samples, never trained on. The layer is left as it was if training did not
    help.
    """
    unit, module, states, device = visit.unit, visit.module, visit.states, visit.device
    held = max(1, len(states) // 5)
    train = list(range(held, len(states))) or [0]
    before = _error(unit, module, states[:held], targets[:held], device)
    start = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    parameters = list(module.parameters())
    # Steps relative to each tensor's own size: norms and matrices differ a hundredfold.
    groups = [{"params": [p], "lr": step.options["lr"] * float(p.abs().mean().clamp_min(1e-8))} for p in parameters]
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.98))
    rates = [group["lr"] for group in optimizer.param_groups]
    generator = torch.Generator().manual_seed(zlib.crc32(f"{unit.name} {seed}".encode()))
    module.requires_grad_(True)
    for index in range(step.options["steps"]):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * (1 - index / step.options["steps"])
        optimizer.zero_grad(set_to_none=True)
        for pick in torch.randint(len(train), (_BATCH,), generator=generator).tolist():
            with torch.enable_grad():
                place = train[pick]
                made = unit.run(module, move(states[place], device))["hidden"]
                target = targets[place].to(device)
                ((made - target).square().sum() / target.square().sum() / _BATCH).backward()
        optimizer.step()
    module.requires_grad_(False)
    after = _error(unit, module, states[:held], targets[:held], device)
    if after >= before:
        module.load_state_dict(start)
        after = before
    return module.state_dict(), {unit.name: [before, after]}


@torch.no_grad()
def _error(
    unit: Unit, module: nn.Module, states: Sequence[State], targets: Sequence[Tensor], device: torch.device
) -> float:
    total = size = 0.0
    for state, target in zip(states, targets, strict=True):
        made = unit.run(module, move(state, device))["hidden"].cpu()
        total += float((made - target).square().sum())
        size += float(target.square().sum())
    return total / max(size, 1e-30)
