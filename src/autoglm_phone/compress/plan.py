"""A recipe applied to a model: what happens to each module, its size before and after. No weight is read.

Everything that can be wrong with a recipe for this model is found here, before any work, and named by its line.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from autoglm_phone.compress.formats.master import SCALE_DTYPES, Kind, ModuleSpec
from autoglm_phone.compress.recipe import ALIASES, OPTIONAL, TRANSFORMS, Pattern, Recipe, Step
from autoglm_phone.compress.statistics import matrices
from autoglm_phone.compress.units import Architecture
from autoglm_phone.errors import NotBuiltError

EMBEDDING = "model.embed_tokens"
REFINING = ("round", "tune")  # steps that better what others quantized
TUNED_MOST = 10**9  # weights of a model that `tune` takes: 4 GB of floats, and what backpropagation keeps
HEAD = "lm_head"


@dataclass(frozen=True)
class ModuleInfo:
    """A module that can be quantized. name: engine name; unit: where it lives."""

    name: str
    unit: str
    kind: Kind
    shape: tuple[int, ...]

    @property
    def columns(self) -> int:
        return math.prod(self.shape[1:])

    @property
    def parameters(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class ModulePlan:
    """What happens to one module. rtn unless `gptq` holds that step's options; scale, clip: AWQ's searches."""

    info: ModuleInfo
    bits: int
    group_size: int
    symmetric: bool
    line: int
    sizes: tuple[Any, ...] = ()
    auto: bool = False  # bits are the budget's choice
    scale: bool = False
    points: int = 20
    clip: bool = False
    gptq: Mapping[str, Any] | None = None
    learned: Mapping[str, Any] | None = None
    tuned: Mapping[str, Any] | None = None
    scales: str = "bfloat16"
    activation_bits: int | None = None  # 8: inputs are rounded to int8, token by token
    trained: bool = False  # with fake quantization (qat), whose grid is kept
    shared: bool = False  # read in several places: no scale may be folded into it

    @property
    def spec(self) -> ModuleSpec:
        return ModuleSpec(
            self.info.kind, self.bits, self.group_size, self.symmetric, self.info.shape, self.scales,
            self.activation_bits,
        )  # fmt: skip

    @property
    def scale_dtype(self) -> torch.dtype:
        return SCALE_DTYPES[self.scales]

    def with_bits(self, bits: int) -> ModulePlan:
        return replace(self, bits=bits)


@dataclass(frozen=True)
class CompressionPlan:
    """modules: by name, those that are quantized. rest: bytes of all other tensors. tied: head shares the embedding.
    float_bytes: the model's before any step."""

    modules: Mapping[str, ModulePlan]
    infos: Mapping[str, ModuleInfo]
    rest: int
    float_bytes: int
    tied: bool = False
    transforms: tuple[Step, ...] = field(default=())
    away: int = 0  # bytes of the float model that transforms take away

    @property
    def num_bytes(self) -> int:
        """Size of all weights after compression."""
        return self.rest + sum(plan.spec.num_bytes for plan in self.modules.values())

    def of_unit(self, unit: str) -> dict[str, ModulePlan]:
        return {name: plan for name, plan in self.modules.items() if plan.info.unit == unit}


def modules_of(architecture: Architecture) -> dict[str, ModuleInfo]:
    """Every module that can be quantized, in the order of the units. A tied head is not one of its own."""
    found: dict[str, ModuleInfo] = {}
    for stage in architecture.stages():
        for unit in stage.units:
            module = unit.build()
            for name, child in matrices(module).items():
                if name + ".weight" in unit.aliases or name + ".weight" in unit.convert:
                    continue
                kind: Kind = "linear" if isinstance(child, nn.Linear) else "conv"
                found[unit.prefix + name] = ModuleInfo(unit.prefix + name, unit.name, kind, tuple(child.weight.shape))
            if unit.name == EMBEDDING:
                shape = tuple(module.state_dict()["embed_tokens.weight"].shape)
                found[EMBEDDING] = ModuleInfo(EMBEDDING, unit.name, "embedding", shape)
    return found


def resolve(
    recipe: Recipe,
    architecture: Architecture,
    sizes: Mapping[str, tuple[int, int]],
    *,
    built: Iterable[str] = (),
    away: int = 0,
) -> CompressionPlan:
    """The plan of a recipe for a model.

    Args:
        sizes: (elements, bytes) of every tensor of the checkpoint, by engine name.
        built: transforms that are available. away: bytes that they have taken from the float model, or will.

    Raises:
        ConfigError: a pattern that matches nothing, a group that does not divide, contradicting bits; names the line.
        NotBuiltError: a transform that is not available.
    """
    infos = modules_of(architecture)
    transforms = tuple(s for s in recipe.steps if s.kind in TRANSFORMS and s.concerns(architecture.family))
    for step in transforms:
        if step.kind not in built:
            raise NotBuiltError(f"{recipe.source}:{step.line}: step {step.kind} is not available yet", param="recipe")
    plans: dict[str, ModulePlan] = {}
    for step in recipe.steps:
        if step.kind in TRANSFORMS and (step.kind != "qat" or step not in transforms):  # qat says bits, too
            continue
        targets = _targets(recipe, step, infos, architecture.tied)
        if step.options.get("bits") == "auto":
            _check_measured(recipe, step, targets, architecture)
        if step.kind in REFINING:
            known = [(info, pattern) for info, pattern in targets if info.name in plans]
            if not known:
                raise recipe.error(
                    step.line, f"{step.kind} works on what an earlier step quantizes, and nothing here is"
                )
            targets = known
        for info, pattern in targets:
            plans[info.name] = _apply(recipe, step, info, pattern, plans.get(info.name))
    _check_format(recipe, plans, transforms)
    _check_tuned(recipe, plans, sum(elements for elements, _ in sizes.values()))
    quantized = {name + ".weight" for name in plans}
    rest = sum(size for name, (_, size) in sizes.items() if name not in quantized)
    total = sum(size for _, size in sizes.values())
    ordered = {name: plans[name] for name in infos if name in plans}
    return CompressionPlan(ordered, infos, rest, total + away, architecture.tied, transforms, away)


def table(plan: CompressionPlan) -> list[tuple[str, str, int, int, int]]:
    """(part, how, parameters, bytes before, bytes after) by part of the model: the dry run and the report."""
    rows: dict[tuple[str, str], list[int]] = {}
    width = 2
    for name, info in plan.infos.items():
        made = plan.modules.get(name)
        how = "as it was"
        size = info.parameters * width
        if made is not None:
            side = "symmetric" if made.symmetric else "asymmetric"
            inputs = "" if made.activation_bits is None else f", {made.activation_bits}-bit inputs"
            how = f"{made.bits} bit, {side}, group {made.group_size}{inputs}"
            size = made.spec.num_bytes
        entry = rows.setdefault((part_of(name), how), [0, 0, 0])
        for i, value in enumerate((info.parameters, info.parameters * width, size)):
            entry[i] += value
    listed = [(part, how, *counts) for (part, how), counts in rows.items()]
    known = sum(info.parameters for name, info in plan.infos.items() if name not in plan.modules) * width
    left = plan.rest - known
    listed.append(("norms, biases, small tensors", "as it was", left // width, left, left))
    if plan.away:
        how = ", ".join(step.kind for step in plan.transforms if step.kind in ("prune", "share"))
        listed.append(("taken away", how, plan.away // width, plan.away, 0))
    return listed  # type: ignore[return-value]


def part_of(name: str) -> str:
    """The part of the model that a module belongs to, in words."""
    if name.startswith(("model.vision.", "model.visual.")):
        return "vision tower"
    if name.startswith("model.audio."):
        return "audio tower"
    for mark, part in (
        (".self_attn.", "decoder self-attention"),
        (".cross_attn.", "decoder cross-attention"),
        (".mlp.", "decoder MLP"),
        ("model.exits.", "exit heads"),
        (EMBEDDING, "embedding"),
        (HEAD, "output head"),
    ):
        if mark in name:
            return part
    return "other"


def _targets(
    recipe: Recipe, step: Step, infos: Mapping[str, ModuleInfo], tied: bool
) -> list[tuple[ModuleInfo, Pattern]]:
    skipped = {name for pattern in step.skip for name in _match(recipe, pattern, infos, tied, must=False)}
    found: dict[str, tuple[ModuleInfo, Pattern]] = {}
    for pattern in step.targets:
        for name in _match(recipe, pattern, infos, tied):
            if name not in skipped:
                found.setdefault(name, (infos[name], pattern))
    if not found and any(_match(recipe, pattern, infos, tied) for pattern in step.targets):
        raise recipe.error(step.line_of("skip"), f"skip leaves nothing of what {step.kind} targets")
    return list(found.values())


def _match(
    recipe: Recipe, pattern: Pattern, infos: Mapping[str, ModuleInfo], tied: bool, must: bool = True
) -> list[str]:
    """must: a pattern without a match is an error; what is to be left out may be another family's."""
    if pattern.text == "convolutions":
        return [name for name, info in infos.items() if info.kind == "conv"]
    if tied and pattern.text in ("head", HEAD):
        return [EMBEDDING]  # one tensor; `_apply` refuses settings that contradict the embedding's
    globs = ALIASES.get(pattern.text, (pattern.text,))
    wide = pattern.text in ALIASES  # an alias of parts means their linears; convolutions are named on their own
    found = [
        name
        for name, info in infos.items()
        if any(fnmatchcase(name, glob) for glob in globs) and not (wide and info.kind == "conv")
    ]
    if not found and must and pattern.text not in OPTIONAL:
        names = ", ".join([*list(infos)[:2], "…", *list(infos)[-1:]])
        raise recipe.error(
            pattern.line,
            f"{pattern.text!r} matches no module of this model; use {', '.join(ALIASES)} or a pattern ({names})",
        )
    return found


def _apply(recipe: Recipe, step: Step, info: ModuleInfo, pattern: Pattern, known: ModulePlan | None) -> ModulePlan:
    options = step.options
    if step.kind == "qat":
        if info.kind != "linear":
            raise recipe.error(pattern.line, f"qat trains linears; {info.name} is of kind {info.kind}")
        # float16: the step is trained to seven bits more than bfloat16 would keep.
        return ModulePlan(
            info, 8, info.columns, True, pattern.line, (info.columns,),
            scales="float16", activation_bits=8, trained=True,
        )  # fmt: skip
    if known is not None and known.trained:
        raise recipe.error(
            pattern.line, f"{step.kind} on {info.name} contradicts line {known.line}: qat exports it as int8 already"
        )
    if known is not None and step.kind in REFINING:
        return replace(known, learned=options) if step.kind == "round" else replace(known, tuned=options)
    bits = options["bits"]
    if known is None:
        if bits is None or options["group_size"] is None:
            missing = "bits" if bits is None else "group_size"
            raise recipe.error(step.line, f"{step.kind} is the first step for {info.name}, so it needs {missing!r}")
        start = max(recipe.choices) if bits == "auto" else bits
        sizes = options["group_size"]
        group = _group(recipe, step, info, sizes)
        known = ModulePlan(info, start, group, options["symmetric"], pattern.line, sizes, bits == "auto")
        known = replace(known, scales=recipe.scales, activation_bits=_input_bits(recipe, step, info))
    else:
        _check_same(recipe, step, info, known)
    if step.kind == "awq":
        if info.kind != "linear":
            raise recipe.error(pattern.line, f"awq scales the inputs of linears; {info.name} is of kind {info.kind}")
        return replace(
            known, scale=options["scale_search"], clip=options["clip_search"] or known.clip, points=options["points"]
        )
    if step.kind == "gptq":
        return replace(known, clip=options["clip_search"] or known.clip, gptq=options)
    return replace(known, clip=options["clip_search"] or known.clip)


def _check_same(recipe: Recipe, step: Step, info: ModuleInfo, known: ModulePlan) -> None:
    first = {
        "bits": "auto" if known.auto else known.bits,
        "symmetric": known.symmetric,
        "activations": known.activation_bits or 0,
    }
    for option, mine in first.items():
        if option in step.lines and step.options[option] != mine:
            raise recipe.error(
                step.line_of(option),
                f"{option}: {step.options[option]} contradicts line {known.line}, which gives {info.name} {mine}"
                + (" (head and embedding are one tensor here)" if info.name == EMBEDDING else ""),
            )
    if "group_size" in step.lines and _group(recipe, step, info, step.options["group_size"]) != known.group_size:
        raise recipe.error(
            step.line_of("group_size"),
            f"group_size contradicts line {known.line}, which gives {info.name} groups of {known.group_size}",
        )


def _input_bits(recipe: Recipe, step: Step, info: ModuleInfo) -> int | None:
    """What the step's `activations` give the module's inputs: None for floats."""
    if not step.options["activations"]:
        return None
    line = step.line_of("activations")
    if step.options["bits"] != 8:
        raise recipe.error(line, f"activations: 8 goes with bits: 8, not {step.options['bits']}")
    if info.kind != "linear":
        raise recipe.error(line, f"activations rounds the inputs of linears; {info.name} is of kind {info.kind}")
    return 8


def _group(recipe: Recipe, step: Step, info: ModuleInfo, sizes: Sequence[Any]) -> int:
    for size in sizes:
        if size == "row":
            return info.columns
        if info.columns % size == 0:
            return int(size)
    raise recipe.error(
        step.line_of("group_size"),
        f"groups of {' or '.join(map(str, sizes))} do not divide the {info.columns} columns of {info.name}; add a "
        "smaller one to the list, or 'row'",
    )


def _check_format(recipe: Recipe, plans: Mapping[str, ModulePlan], transforms: Sequence[Step]) -> None:
    if recipe.format == "master":
        return
    if not plans:
        raise recipe.error(
            recipe.line_of("format"),
            f"format {recipe.format} is one of quantized models, and nothing is quantized here; leave it out",
        )
    tied = next((step for step in transforms if step.kind == "share"), None)
    if tied is not None:
        raise recipe.error(
            recipe.line_of("format"),
            f"format {recipe.format} can't say that matrices are one (share, line {tied.line}); use format: master",
        )
    if recipe.format != "compressed-tensors":
        return
    groups = {plan.group_size for plan in plans.values()}
    for plan in plans.values():
        if not plan.symmetric or plan.bits > 4 or plan.info.kind == "conv" or len(groups) > 1:
            raise recipe.error(
                plan.line,
                "the portable compressed-tensors file has one group: symmetric codes of at most 4 bits in linears and "
                f"embeddings, all of one group size; {plan.info.name} is not that. Use format: master",
            )


def _check_tuned(recipe: Recipe, plans: Mapping[str, ModulePlan], weights: int) -> None:
    step = next((step for step in recipe.steps if step.kind == "tune"), None)
    if step is not None and weights > TUNED_MOST and any(plan.tuned is not None for plan in plans.values()):
        raise recipe.error(
            step.line,
            f"tune holds the whole model in floats, so it is for models of up to {TUNED_MOST / 1e9:g}e9 weights; this "
            f"one has {weights / 1e9:.1f}e9: leave the step out",
        )


def _check_measured(
    recipe: Recipe, step: Step, targets: Sequence[tuple[ModuleInfo, Pattern]], architecture: Architecture
) -> None:
    """`sensitivity` goes back through the decoder only, and nothing behind an exit tells it what the exit is worth."""
    units = {unit.name for unit in architecture.stages()[-1].units}
    for info, pattern in targets:
        if info.kind != "linear" or info.unit not in units or info.unit.startswith("model.exits."):
            raise recipe.error(
                pattern.line,
                f"bits: auto is measured for the decoder's linears; {info.name} ({part_of(info.name)}) is none: give "
                "it its bits in a step of its own",
            )
