"""Quantizes a model unit by unit, each for the inputs that it will really get.

Two streams of states run side by side, the float model's (where a step needs it) and the quantized one's own. A
finished unit is a file: what a resumed run finds there is what every run goes on with.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from autoglm_phone.compress.calibrate import Sample
from autoglm_phone.compress.embedding import quantize_embedding
from autoglm_phone.compress.files import BackgroundWriter, note_of, readable, write_tensors
from autoglm_phone.compress.formats import master
from autoglm_phone.compress.opening import Opened
from autoglm_phone.compress.plan import EMBEDDING, HEAD, CompressionPlan, ModulePlan
from autoglm_phone.compress.progress import Say, UnitProgress
from autoglm_phone.compress.quantize_unit import quantize_unit
from autoglm_phone.compress.statistics import observe
from autoglm_phone.compress.timing import stage
from autoglm_phone.compress.tune import Tuned, tune
from autoglm_phone.compress.units import Unit, move
from autoglm_phone.compress.walk import Visit, walk
from autoglm_phone.errors import CheckpointError

STATES_ON_DEVICE = 3 << 29  # bytes, of each of the two streams: 128 samples of 512 tokens, 4096 wide, are 1.1 GB
_SHARE = 32  # and at most this part of a GPU's memory: on one of 10 GB a wide layer needs the rest for itself


def room(device: torch.device) -> int:
    """Bytes of states, of each stream, that stay on the device between units; what is more waits on the host."""
    if device.type != "cuda":
        return 0
    index = torch.cuda.current_device() if device.index is None else device.index  # "cuda" alone is refused below
    total = torch.cuda.mem_get_info(index)[1] * torch.cuda.get_per_process_memory_fraction(index)
    return min(STATES_ON_DEVICE, int(total) // _SHARE)


class UnitRun:
    """One run over the units of a model; `work` holds the files of those that are finished."""

    def __init__(
        self,
        opened: Opened,
        plan: CompressionPlan,
        work: Path,
        samples: Sequence[Sample],
        device: torch.device,
        seed: int,
        say: Say,
    ):
        self.opened, self.plan, self.work, self.samples = opened, plan, work, samples
        self.device, self.seed, self.say = device, seed, say
        self.stages = opened.architecture.stages()
        self.progress = UnitProgress(self.stages, say)
        self.files = BackgroundWriter()
        self.compensates = any((p.gptq or {}).get("compensate") for p in plan.modules.values())
        self.needs_float = self.compensates or any(p.learned for p in plan.modules.values())

    def all(self) -> None:
        final = self._final_moments()
        floats = self._walk() if self.needs_float else repeat(None)
        with self.files:
            for visit, clean in zip(self._walk(), floats, strict=False):
                self._unit(visit, clean, final)

    def _walk(self) -> Iterator[Visit]:
        opened = self.opened
        return walk(opened.architecture, opened.source, self.samples, self.device, head=True, room=room(self.device))

    def _unit(self, visit: Visit, clean: Visit | None, final: Tensor | None) -> None:
        """clean: the float model's visit of the same unit."""
        began = time.monotonic()
        unit = visit.unit
        plans = {name[len(unit.prefix) :]: p for name, p in self.plan.of_unit(unit.name).items()}
        path = self.work / f"{unit.name}.safetensors"
        if readable(path):
            tensors, losses = load_file(path), note_of(path)
        else:
            tensors, losses = self._quantize(visit, plans, clean, final)
            with stage("waiting for files"):
                self.files.put(path, tensors, losses)
        if unit.name != HEAD:
            module = visit.module
            with stage("packing"):
                self._restore(unit, module, plans, tensors)
            del module
            visit.after()
        self.progress.done(unit, time.monotonic() - began, _note(losses) if plans else "kept")

    def _quantize(
        self, visit: Visit, plans: Mapping[str, ModulePlan], clean: Visit | None, final: Tensor | None
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What the unit's file holds (by name on disk, as in the source), and the losses."""
        unit, module = visit.unit, visit.module
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
            if not any((p.gptq or {}).get("compensate") or p.learned for p in plans.values()):
                clean = None  # its weights are as many bytes again
            stored = {name: source.get(unit.disk_name(name)).dtype for name in module.state_dict()}
            result = quantize_unit(
                unit, module, plans, visit.states, self.device,
                float_module=None if clean is None else clean.module,
                float_states=None if clean is None else clean.states,
                stored=stored, seed=self.seed,
            )  # fmt: skip
            weights, changed = result.weights, result.changed
            losses = {name: [result.plain[name], result.losses[name]] for name in result.losses}
        with stage("packing"):
            for name, tensor in changed.items():
                tensors[unit.disk_name(name)] = tensor.cpu()
            for name, weight in weights.items():
                tensors.pop(unit.prefix + name + ".weight")
                packed = weight.tensors(unit.prefix + name)
                tensors.update({part: tensor.cpu() for part, tensor in packed.items()})
        return tensors, losses

    def _restore(
        self, unit: Unit, module: nn.Module, plans: Mapping[str, ModulePlan], tensors: Mapping[str, Tensor]
    ) -> None:
        """The module as its file has it: what a resumed run sees, and so the only thing that any run sees."""
        for name, plan in plans.items():
            module_name = unit.prefix + name
            parts = {key: t.to(self.device) for key, t in tensors.items() if key.startswith(module_name + ".")}
            weight = master.weight_from(parts, module_name, plan.spec)
            weight.write_into(module.get_submodule(name).get_parameter("weight"))
        for name, stored in unit.aliases.items():  # shared with an earlier unit, which has quantized it
            plan_there = self.plan.modules.get(stored.removesuffix(".weight"))
            if plan_there is not None and unit.name != HEAD:
                self.files.wait()
                there = load_file(self.work / f"{plan_there.info.unit}.safetensors")
                weight = master.weight_from(there, plan_there.info.name, plan_there.spec)
                weight.write_into(module.get_parameter(name))
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
            head = self._float_head()
            seen = observe(head.unit, head.module, head.states, ["lm_head"], self.device)
            write_tensors(path, {"hessian": seen.moments["lm_head"].hessian.cpu()}, {})
        return load_file(path)["hessian"].to(self.device)

    def _float_head(self) -> Visit:
        """The head, and the float model's states in front of it."""
        for visit in self._walk():
            if visit.unit.name == HEAD:
                return visit
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
        head = self._float_head()
        logits = (head.unit.run(head.module, move(s, self.device))["logits"][0] for s in head.states)
        targets = [made.log_softmax(-1).cpu() for made in logits]
        modules: dict[str, nn.Module] = {}
        weights: dict[str, master.QuantizedWeight] = {}
        for unit in (u for chain in self.stages for u in chain.units):
            made = self.opened.source.load(unit, self.device, torch.float32)
            plans = {name[len(unit.prefix) :]: p for name, p in self.plan.of_unit(unit.name).items()}
            path = self.work / f"{unit.name}.safetensors"
            tensors = load_file(path)
            self._restore(unit, made, plans, tensors)
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


def _note(losses: Mapping[str, Any]) -> str:
    if not losses:
        return "quantized"
    plain, made = (sum(pair[i] for pair in losses.values()) / len(losses) for i in (0, 1))
    return f"output error {made:.2e} (round-to-nearest {plain:.2e})"
