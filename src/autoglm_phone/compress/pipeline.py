"""`compress`: a checkpoint, a recipe and samples to a small checkpoint, one unit in memory at a time.

Two streams of states run side by side, the float model's and the quantized one's own, so every layer is quantized
for the inputs that it will really get. A finished unit is a file in `<out>/.work`, written aside, then renamed: a run
that was killed goes on after it, and since a unit depends on nothing but those before it, the bits are the same.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from autoglm_phone.compress import calibrate, media_weights, sensitivity, transform
from autoglm_phone.compress.embedding import quantize_embedding
from autoglm_phone.compress.files import note_of, readable, write_tensors, write_text
from autoglm_phone.compress.formats import master
from autoglm_phone.compress.opening import COPIED, Opened, open_model
from autoglm_phone.compress.plan import EMBEDDING, HEAD, CompressionPlan, ModulePlan, resolve
from autoglm_phone.compress.quantize_unit import quantize_unit
from autoglm_phone.compress.recipe import TRANSFORMS, Recipe
from autoglm_phone.compress.statistics import observe
from autoglm_phone.compress.tune import Tuned, tune
from autoglm_phone.compress.units import MasterSource, Stage, State, Unit, forward, move
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
    say: Callable[[str], None] = lambda line: None,
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
    run = _Run(opened, plan, work, samples, torch.device(device), recipe.seed, say)
    run.all()
    return _assemble(opened, plan, recipe, work, out, max_shard_bytes, run.tune())


def _within_budget(
    opened: Opened,
    plan: CompressionPlan,
    recipe: Recipe,
    work: Path,
    samples: Sequence[calibrate.Sample],
    device: torch.device,
    say: Callable[[str], None],
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


class _Run:
    def __init__(
        self,
        opened: Opened,
        plan: CompressionPlan,
        work: Path,
        samples: Sequence[calibrate.Sample],
        device: torch.device,
        seed: int,
        say: Callable[[str], None],
    ):
        self.opened, self.plan, self.work, self.samples = opened, plan, work, samples
        self.device, self.seed, self.say = device, seed, say
        self.stages = opened.architecture.stages()
        self.progress = Progress(self.stages, say)
        self.compensates = any((p.gptq or {}).get("compensate") for p in plan.modules.values())
        self.needs_float = self.compensates or any(p.learned for p in plan.modules.values())

    def all(self) -> None:
        final = self._final_moments()
        clean: dict[str, list[State]] = {}
        ours: dict[str, list[State]] = {}
        for stage in self.stages:
            states = stage.begin(self.samples, ours)
            floats = stage.begin(self.samples, clean) if self.needs_float else None
            for unit in stage.units:
                states, floats = self._unit(unit, states, floats, final)
            ours[stage.name] = states
            if floats is not None:
                clean[stage.name] = floats

    def _unit(
        self, unit: Unit, states: list[State], floats: list[State] | None, final: Tensor | None
    ) -> tuple[list[State], list[State] | None]:
        began = time.monotonic()
        plans = {name[len(unit.prefix) :]: p for name, p in self.plan.of_unit(unit.name).items()}
        path = self.work / f"{unit.name}.safetensors"
        module = self.opened.source.load(unit, self.device, torch.float32)
        clean = self.opened.source.load(unit, self.device, torch.float32) if floats is not None else None
        note = "kept"
        if not readable(path):
            made, losses = self._quantize(unit, module, plans, states, clean, floats, final)
            write_tensors(path, made, losses)
        if plans:
            note = _note(path)
        self._restore(unit, module, plans, path)
        last = unit.name == HEAD
        if not last:
            states = forward(unit, module, states, self.device)
            if floats is not None and clean is not None:
                floats = forward(unit, clean, floats, self.device)
        self.progress.done(unit, time.monotonic() - began, note)
        return states, floats

    def _quantize(
        self,
        unit: Unit,
        module: nn.Module,
        plans: Mapping[str, ModulePlan],
        states: Sequence[State],
        clean: nn.Module | None,
        floats: Sequence[State] | None,
        final: Tensor | None,
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What the unit's file holds (by name on disk, as in the source), and the losses."""
        source = self.opened.source
        tensors = {name: source.get(name) for name in unit.parameters() if name in source}
        if unit.name == EMBEDDING:
            weights = {}
            for name, plan in plans.items():
                table = module.get_submodule(name).get_parameter("weight")
                read, predicted = self._counts(table.shape[0])
                weights[name] = quantize_embedding(table, plan, final=final, read=read, predicted=predicted)
            changed: dict[str, Tensor] = {}
            losses: dict[str, Any] = {}
        else:
            stored = {name: source.get(unit.disk_name(name)).dtype for name in module.state_dict()}
            result = quantize_unit(
                unit, module, plans, states, self.device,
                float_module=clean, float_states=floats, stored=stored, seed=self.seed,
            )  # fmt: skip
            weights, changed = result.weights, result.changed
            losses = {name: [result.plain[name], result.losses[name]] for name in result.losses}
        for name, tensor in changed.items():
            tensors[unit.disk_name(name)] = tensor.cpu()
        for name, weight in weights.items():
            tensors.pop(unit.prefix + name + ".weight")
            tensors.update(weight.tensors(unit.prefix + name))
        return tensors, losses

    def _restore(self, unit: Unit, module: nn.Module, plans: Mapping[str, ModulePlan], path: Path) -> None:
        """The module as its file has it: what a resumed run sees, and so the only thing that any run sees."""
        tensors = load_file(path)
        for name, plan in plans.items():
            weight = master.weight_from(tensors, unit.prefix + name, plan.spec).dequantize()
            module.get_submodule(name).get_parameter("weight").data.copy_(weight)
        for name, stored in unit.aliases.items():  # shared with an earlier unit, which has quantized it
            plan_there = self.plan.modules.get(stored.removesuffix(".weight"))
            if plan_there is not None and unit.name != HEAD:
                there = load_file(self.work / f"{plan_there.info.unit}.safetensors")
                weight = master.weight_from(there, plan_there.info.name, plan_there.spec).dequantize()
                module.get_parameter(name).data.copy_(weight)
        for name, parameter in module.named_parameters():
            found = tensors.get(unit.disk_name(name))
            if found is not None and name not in unit.convert:
                parameter.data.copy_(found)

    def _final_moments(self) -> Tensor | None:
        """H of the states that a tied head reads, from a pass of the float model; None where nothing needs it."""
        embedding = self.plan.modules.get(EMBEDDING)
        if not self.plan.tied or embedding is None or embedding.gptq is None:
            return None
        path = self.work / "final.safetensors"
        if not readable(path):
            self.say("one pass of the float model, for the head that shares the embedding")
            head, module, states = self._float_pass()
            seen = observe(head, module, states, ["lm_head"], self.device)
            write_tensors(path, {"hessian": seen.moments["lm_head"].hessian.cpu()}, {})
        return load_file(path)["hessian"].to(self.device)

    def _float_pass(self) -> tuple[Unit, nn.Module, list[State]]:
        """The head, and the float model's states in front of it."""
        finals: dict[str, list[State]] = {}
        for stage in self.stages:
            states = stage.begin(self.samples, finals)
            for unit in stage.units:
                module = self.opened.source.load(unit, self.device, torch.float32)
                if unit.name == HEAD:
                    return unit, module, states
                states = forward(unit, module, states, self.device)
            finals[stage.name] = states
        raise CheckpointError("the model has no output head")

    @torch.no_grad()
    def tune(self) -> Tuned | None:
        """The `tune` step: once for the whole model, after every unit has its codes."""
        chosen = {name: p for name, p in self.plan.modules.items() if p.tuned is not None}
        if not chosen:
            return None
        path = self.work / "tuned.safetensors"
        if not readable(path):
            tuned = self._tune(next(iter(chosen.values())).tuned or {}, set(chosen))
            tensors = {f"scale:{n}": t for n, t in tuned.scales.items()}
            write_tensors(path, {**tensors, **{f"float:{n}": t for n, t in tuned.floats.items()}}, {})
        tensors = load_file(path)
        scales = {n.removeprefix("scale:"): t for n, t in tensors.items() if n.startswith("scale:")}
        floats = {n.removeprefix("float:"): t for n, t in tensors.items() if n.startswith("float:")}
        return Tuned(scales, floats, 0.0, 0.0)

    def _tune(self, options: Mapping[str, Any], names: set[str]) -> Tuned:
        head, module, states = self._float_pass()
        targets = [head.run(module, move(s, self.device))["logits"][0].log_softmax(-1).cpu() for s in states]
        modules: dict[str, nn.Module] = {}
        weights: dict[str, master.QuantizedWeight] = {}
        for unit in (u for stage in self.stages for u in stage.units):
            made = self.opened.source.load(unit, self.device, torch.float32)
            plans = {name[len(unit.prefix) :]: p for name, p in self.plan.of_unit(unit.name).items()}
            path = self.work / f"{unit.name}.safetensors"
            self._restore(unit, made, plans, path)
            tensors = load_file(path)
            for name, plan in plans.items():
                if unit.prefix + name in names:
                    weights[unit.prefix + name] = master.weight_from(tensors, unit.prefix + name, plan.spec)
            modules[unit.name] = made
        source = self.opened.source
        stored = {n: source.get(n).dtype for u in (u for g in self.stages for u in g.units) for n in u.parameters()}
        return tune(
            self.stages, modules, weights, stored, self.samples, targets, self.device,
            iterations=options["iterations"], rate=options["rate"], batch=max(1, options["batch"]), seed=self.seed,
            tied=self.plan.tied, codes=options["codes"], say=self.say,
        )  # fmt: skip

    def _counts(self, vocabulary: int) -> tuple[Tensor, Tensor]:
        read, predicted = torch.zeros(vocabulary), torch.zeros(vocabulary)
        for sample in self.samples:
            ids = torch.tensor(sample.ids)
            read += torch.bincount(ids, minlength=vocabulary)
            replies = ids[list(sample.answer_positions)]
            predicted += torch.bincount(replies, minlength=vocabulary)
        return read.to(self.device), predicted.to(self.device)


class Progress:
    """A line a unit with the time left, judged by parameters."""

    def __init__(self, stages: Sequence[Stage], say: Callable[[str], None]):
        self.say = say
        self._sizes = {
            unit.name: sum(math.prod(shape) for shape in unit.parameters().values()) + 1
            for stage in stages
            for unit in stage.units
        }
        self._left = sum(self._sizes.values())
        self._spent = 0.0
        self._done = 0

    def done(self, unit: Unit, seconds: float, note: str) -> None:
        size = self._sizes[unit.name]
        self._left -= size
        self._spent += seconds
        self._done += 1
        finished = sum(self._sizes.values()) - self._left
        left = self._spent * self._left / finished
        self.say(
            f"[{self._done}/{len(self._sizes)}] {unit.name}: {seconds:.1f} s, {note}; "
            f"about {int(left // 60)} min {int(left % 60)} s left"
        )


def _work_folder(out: Path, opened: Opened, recipe: Recipe, samples: Sequence[calibrate.Sample] | None) -> Path:
    """The folder of finished units, made or found; refused if it belongs to another run."""
    digest = hashlib.sha256(b"compress 1")
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


def _assemble(
    opened: Opened,
    plan: CompressionPlan,
    recipe: Recipe,
    work: Path,
    out: Path,
    max_shard_bytes: int,
    tuned: Tuned | None,
) -> Path:
    disk = opened.source.disk
    staging = work / "assembled"
    shutil.rmtree(staging, ignore_errors=True)
    writer = master.ShardWriter(staging, max_shard_bytes)
    written: set[str] = set()
    losses: dict[str, Any] = {}

    def disk_name(name: str) -> str:
        if name in disk:
            return disk[name]
        module, part = name.rsplit(".", 1)
        return disk[module + ".weight"].removesuffix("weight") + part

    for unit in (u for stage in opened.architecture.stages() for u in stage.units):
        path = work / f"{unit.name}.safetensors"
        with safe_open(path, framework="pt") as file:
            losses |= {unit.prefix + n: v for n, v in json.loads(file.metadata()["losses"]).items()}
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
            for name, tensor in (tensors if tuned is None else tuned.applied(tensors)).items():
                writer.add(disk_name(name), tensor)
                written.add(name)
    quantized = {name + ".weight" for name in plan.modules}
    tied = {"lm_head.weight"} if plan.tied else set()
    for name in sorted(opened.source.names()):
        if name not in written and name not in quantized and name not in tied:
            writer.add(disk[name], opened.source.get(name))
    sums = writer.close()
    specs = {disk[name + ".weight"].removesuffix(".weight"): p.spec for name, p in plan.modules.items()}
    for name, stored in opened.source.shared.items():
        if stored.removesuffix(".weight") in specs:
            specs[name.removesuffix(".weight")] = specs[stored.removesuffix(".weight")]
    config = json.loads((opened.folder / "config.json").read_text(encoding="utf-8"))
    config["quantization_config"] = master.MasterConfig(specs, sums).to_json()
    for pattern in COPIED:
        for file in sorted(opened.folder.glob(pattern)):
            if file.name not in ("config.json", master.INDEX):
                shutil.copy(file, out / file.name)
    for file in sorted(staging.iterdir()):
        file.replace(out / file.name)
    report = {"recipe": recipe.name, "bytes": plan.num_bytes, "float_bytes": plan.float_bytes, "losses": losses}
    report["steps"] = transform.reports(work)
    write_text(out / "compression.json", json.dumps(report, indent=1) + "\n")
    write_text(out / "config.json", json.dumps(config, indent=1) + "\n")  # last: with it, the folder is a model
    shutil.rmtree(work)
    return out


def _note(path: Path) -> str:
    losses = note_of(path)
    if not losses:
        return "quantized"
    plain, made = (sum(pair[i] for pair in losses.values()) / len(losses) for i in (0, 1))
    return f"output error {made:.2e} (round-to-nearest {plain:.2e})"
