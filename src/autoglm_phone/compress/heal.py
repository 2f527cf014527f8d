"""Healing by distillation, and training for int8: the recipe's steps that run an optimizer.

Native models train whole, on the world's own stream, with the trainer (`train.trainer`) and a teacher: the recipe's, or
the model as it was before the first step. A GLM-4.1V is healed layer by layer on the calibration samples, each layer
towards the float layer's output (as blockwise distillation does: Li et al. 2020), because the whole would not fit.
Both go on after a kill: the trainer from its last checkpoint, the layers after the last that is done.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from autoglm_phone.compress.calibrate import Sample
from autoglm_phone.compress.files import note_of, readable, write_tensors
from autoglm_phone.compress.opening import Opened, rewrite
from autoglm_phone.compress.plan import resolve
from autoglm_phone.compress.recipe import TRANSFORMS, Recipe, Step
from autoglm_phone.compress.units import State, Unit, forward, move
from autoglm_phone.models import registry

_BATCH = 4  # samples of one step in a layer
_ADAM_SHARE = 2e-3 / 0.015  # the trainer's step for vectors and tables, against that for matrices


def heal(
    opened: Opened,
    base: Opened,
    step: Step,
    recipe: Recipe,
    work: Path,
    samples: Sequence[Sample],
    device: torch.device,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train `opened` and write it to work/model. base: the model before the recipe's first step.

    Raises:
        ConfigError: no such teacher, or one of another vocabulary.
    """
    work.mkdir(parents=True, exist_ok=True)
    if opened.architecture.family == "native":
        return _train(opened, base, step, recipe, work, say)
    return _by_layer(opened, base, step, work, samples, device, recipe.seed, say)


def _train(opened: Opened, base: Opened, step: Step, recipe: Recipe, work: Path, say: Callable[[str], None]) -> Path:
    from autoglm_phone.train.bundle import bundle_like
    from autoglm_phone.train.distill import DistillConfig
    from autoglm_phone.train.mixture import BatchSizes
    from autoglm_phone.train.muon import OptimConfig
    from autoglm_phone.train.trainer import TrainConfig, Trainer

    options = step.options
    names: tuple[str, ...] = ()
    if step.kind == "qat":
        plan = resolve(recipe, opened.architecture, opened.sizes, built=TRANSFORMS)
        names = tuple(name for name, made in plan.modules.items() if made.activation_bits is not None)
    teacher = _locate(options["teacher"]) if options["teacher"] else base.folder
    run = work / "run"
    config = TrainConfig(
        prepared=_prepared(opened.folder, work / "prepared"),
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
        layer_dropout=0.0,  # the teacher's states are those of all layers
        warmup_steps=max(1, options["steps"] // 20),
        decay_from=0.3,
        compile=options["steps"] >= 500,
        seed=recipe.seed,
        log_every=1 if options["small"] else 20,
        sizes=BatchSizes(2048, 2, 3, 4, 2) if options["small"] else BatchSizes(),
    )
    progress = Trainer(config).run()
    say(f"{step.kind}: {progress.step} steps, {progress.tokens:,} tokens, {progress.elapsed:.0f} s, from {teacher}")
    report = {"steps": progress.step, "tokens": progress.tokens, "seconds": progress.elapsed, "fake_int8": len(names)}
    (work / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    bundle_like(run, opened.folder, work / "model")
    return work / "model"


def _locate(teacher: str) -> Path:
    """A training run's folder, or a model."""
    return Path(teacher) if (Path(teacher) / "progress.json").exists() else registry.locate(teacher)


def _prepared(model: Path, out: Path) -> Path:
    """What the trainer needs beside a model, from the model itself. Without glyphs: reading needs no new lessons."""
    out.mkdir(parents=True, exist_ok=True)
    raw = json.loads((model / "config.json").read_text(encoding="utf-8"))
    shutil.copy(model / "tokenizer.json", out / "tokenizer.json")
    (out / "ctc_vocab.txt").write_text(raw["audio_config"]["ctc_vocab"] + "\n")
    (out / "glyph_vocab.json").write_text("{}")
    return out


def _by_layer(
    opened: Opened,
    base: Opened,
    step: Step,
    work: Path,
    samples: Sequence[Sample],
    device: torch.device,
    seed: int,
    say: Callable[[str], None],
) -> Path:
    ours: dict[str, list[State]] = {}
    theirs: dict[str, list[State]] = {}
    changed: dict[str, Path] = {}
    errors: dict[str, list[float]] = {}
    for stage, origin in zip(opened.architecture.stages(), base.architecture.stages(), strict=True):
        states, aims = stage.begin(samples, ours), origin.begin(samples, theirs)
        for unit, teacher in zip(stage.units, origin.units, strict=True):
            if unit.name == "lm_head":
                continue
            module = opened.source.load(unit, device, torch.float32)
            aims = forward(teacher, base.source.load(teacher, device, torch.float32), aims, device)
            if unit.name.startswith("model.layers."):
                path = work / f"{unit.name}.safetensors"
                if not readable(path):
                    targets = [aim["hidden"] for aim in aims]
                    before, after = _heal_layer(unit, module, states, targets, step, device, seed)
                    made = {unit.prefix + name: tensor for name, tensor in module.state_dict().items()}
                    stored = {name: tensor.to(opened.source.get(name).dtype).cpu() for name, tensor in made.items()}
                    write_tensors(path, stored, {unit.name: [before, after]})
                tensors = load_file(path)
                module.load_state_dict({n.removeprefix(unit.prefix): t.float() for n, t in tensors.items()})
                changed |= dict.fromkeys(tensors, path)
                errors |= note_of(path)
                say("heal {}: error {:.2e} -> {:.2e}".format(unit.name, *errors[unit.name]))
            states = forward(unit, module, states, device)
        ours[stage.name], theirs[stage.name] = states, aims
    (work / "report.json").write_text(json.dumps({"errors": errors}, indent=1) + "\n", encoding="utf-8")
    config = json.loads((opened.folder / "config.json").read_text(encoding="utf-8"))

    def change(name: str) -> Tensor | None:
        if name not in changed:
            return None
        with safe_open(changed[name], framework="pt") as file:
            found: Tensor = file.get_tensor(name)
            return found

    return rewrite(opened, work / "model", config, change)


def _heal_layer(
    unit: Unit,
    module: nn.Module,
    states: Sequence[State],
    targets: Sequence[Tensor],
    step: Step,
    device: torch.device,
    seed: int,
) -> tuple[float, float]:
    """Train a layer towards its targets; (relative error before, after) on a fifth of the samples, never trained on.

    The layer is left as it was if training did not help.
    """
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
    return before, after


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
