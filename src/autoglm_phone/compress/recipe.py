"""Recipes: YAML that says what to do to which modules, in order. Checked whole before any work; errors name the line.

    name: int4
    calibration: {samples: 128, max_tokens: 512}
    steps:
      - awq:  {targets: [attention, mlp], bits: 4, group_size: [128, 64]}
      - gptq: {targets: [attention, mlp], compensate: 0.5}          # same modules: rounds what awq has scaled
      - gptq: {targets: [embedding, head], bits: 3, group_size: 128}

A step's targets are names of the table below or patterns of module names (`model.layers.0.mlp.*`). The first step that
names a module decides its bits, groups and symmetry; later ones may repeat but not change them. `group_size` is a
number that must divide the module's width, or a list of which the first that divides is taken; `row` is the whole row.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from autoglm_phone.compress.calibrate import KINDS, Calibration
from autoglm_phone.compress.recipe_rules import check_format, check_order
from autoglm_phone.compress.recipe_values import MEASURED, calibration_fault, choices_fault, is_whole, option_fault
from autoglm_phone.errors import ConfigError

ALIASES: dict[str, tuple[str, ...]] = {
    "attention": ("model.layers.*.self_attn.*_proj",),
    "mlp": ("model.layers.*.mlp.*_proj",),
    "cross-attention": ("model.layers.*.cross_attn.*_proj",),
    "vision": ("model.vision.*", "model.visual.*"),
    "audio": ("model.audio.*",),
    "towers": ("model.vision.*", "model.visual.*", "model.audio.*"),
    "exits": ("model.exits.*",),
    "embedding": ("model.embed_tokens",),
    "head": ("lm_head",),
    "convolutions": (),  # by kind, not by name
}
# Aliases that a family may lack: a recipe that names them serves both families.
OPTIONAL = frozenset({"cross-attention", "audio", "exits", "convolutions"})
_CALIBRATION = ("samples", "max_tokens", "mix", "weights", "answer_weight", "gradients", "seed", "path")
TRANSFORMS = ("prune", "share", "distill", "qat")
FORMATS = ("master", "compressed-tensors", "awq", "gptq")
_TRAINED: dict[str, Any] = {
    "steps": 200,
    "lr": 0.002,
    "batches": 1.0,  # size of a step's batches; 1 suits the mini on a GPU of 140 GB
    "teacher": "",
    "small": False,
    "workers": 1,
    "family": "",
}
# Options of each transform with their defaults. family: "native" or "glm4v" where a step is for one of them.
_TRANSFORM_OPTIONS: dict[str, dict[str, Any]] = {
    "prune": {
        "mlp": 0.0,  # share of each MLP's width that goes
        "heads": 0.0,  # share of the key-value groups, with the query heads that read them
        "towers": 0.0,  # share of the towers' MLP widths
        "multiple": 0,  # widths stay multiples of this; 0: 256 for large models, 32 for small ones
        "allocate": "uniform",
        "pattern": "",
        "compensate": True,
        "damping": 0.01,
        "family": "",
    },
    # pairs: "any" two matrices of one shape, or "across": one each of two of vision tower, audio tower and decoder.
    "share": {"volume": 0.2, "pairs": "any", "family": ""},
    "distill": {**_TRAINED, "kl": 1.0, "hidden": 0.5, "top_k": 64},
    "qat": {"targets": None, "skip": (), **_TRAINED, "kl": 1.0, "hidden": 0.0, "top_k": 64},
}
_WORDS = {
    "allocate": ("uniform", "sensitivity"),
    "pattern": ("", "2:4"),
    "pairs": ("any", "across"),
    "family": ("", "native", "glm4v"),
}
_QUANTIZE: dict[str, Any] = {
    "targets": None,
    "skip": (),
    "bits": None,
    "group_size": None,
    "symmetric": True,
    "activations": 0,  # 8: inputs are rounded to int8, token by token; 0: they stay floats
}
# Options of each step with their defaults; their types are those of the defaults.
STEPS: dict[str, dict[str, Any]] = {
    "rtn": {**_QUANTIZE, "clip_search": False},
    "awq": {**_QUANTIZE, "scale_search": True, "clip_search": True, "points": 20},
    "gptq": {
        **_QUANTIZE,
        "clip_search": True,
        "act_order": True,
        "damping": 0.01,
        "block": 128,
        "refine": 0,
        "compensate": 0.0,
    },
    "round": {"targets": None, "skip": (), "iterations": 200, "rate": 0.005, "batch": 8},
    "tune": {"targets": None, "skip": (), "iterations": 100, "rate": 0.0005, "batch": 8, "codes": 0.0},
}


@dataclass(frozen=True)
class Pattern:
    """A target as written, and its line in the recipe."""

    text: str
    line: int


@dataclass(frozen=True)
class Step:
    """kind: a key of STEPS or a transform. lines: of each option, where it is written."""

    kind: str
    line: int
    targets: tuple[Pattern, ...]
    skip: tuple[Pattern, ...]
    options: Mapping[str, Any]
    lines: Mapping[str, int]

    @property
    def transforms(self) -> bool:
        """Does it change float weights, rather than quantize them?"""
        return self.kind in TRANSFORMS

    def line_of(self, option: str) -> int:
        return self.lines.get(option, self.line)

    def concerns(self, family: str) -> bool:
        """Is the step for this family of models?"""
        return self.options.get("family", "") in ("", family)


@dataclass(frozen=True)
class Recipe:
    """source: where it was read from, for messages. budget: bytes of all weights (int), or a share of the
    float model's (float). choices: bits it may use. lines: of the entries, and of the calibration's file ("path")."""

    name: str
    source: str
    steps: tuple[Step, ...]
    calibration: Calibration = field(default_factory=Calibration)
    format: str = "master"
    budget: int | float | None = None
    choices: tuple[int, ...] = (3, 4, 8)
    seed: int = 0
    scales: str = "bfloat16"  # bfloat16 survives every export: it fits float16 for all but the tiniest weights
    digest_of: str = ""  # canonical content, without names and comments
    lines: Mapping[str, int] = field(default_factory=dict)

    def line_of(self, entry: str) -> int:
        return self.lines.get(entry, 1)

    def calibrated(self, **changes: Any) -> Recipe:
        """The recipe with other samples than it says itself. Raises ConfigError as `Calibration` does."""
        lines = {name: line for name, line in self.lines.items() if name != "path" or "path" not in changes}
        return replace(self, calibration=replace(self.calibration, **changes), lines=lines)

    def error(self, line: int, message: str) -> ConfigError:
        return ConfigError(f"{self.source}:{line}: {message}", param="recipe")

    def budget_bytes(self, float_bytes: int) -> int | None:
        """The budget for a model of this size."""
        return int(self.budget * float_bytes) if isinstance(self.budget, float) else self.budget


def load(path: Path) -> Recipe:
    """Read and check a recipe file.

    Raises:
        ConfigError: not readable, or an entry that makes no sense; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"recipe {path} can't be read: {error}", param="recipe") from error
    return parse(text, str(path))


def parse(text: str, source: str = "recipe") -> Recipe:
    """A recipe from YAML text. Raises like `load`."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        raise ConfigError(
            f"{source}:{line}: not valid YAML: {getattr(error, 'problem', error)}", param="recipe"
        ) from error
    return _Reader(source).recipe(root)


def read_size(text: str | int) -> int | None:
    """Bytes of "4.8GB", "15.3MB" or a number; None if it is neither."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text if text > 0 else None
    units = {"GB": 10**9, "MB": 10**6, "KB": 10**3, "GIB": 2**30, "MIB": 2**20}
    upper = str(text).strip().upper()
    for unit in sorted(units, key=len, reverse=True):
        if upper.endswith(unit):
            try:
                value = float(upper[: -len(unit)])
            except ValueError:
                return None
            return int(value * units[unit]) if 0 < value < math.inf else None
    return None


def _read_share(text: str | int) -> float | None:
    """ "22%" → 0.22; None if it is no share."""
    if not isinstance(text, str) or not text.strip().endswith("%"):
        return None
    try:
        share = float(text.strip()[:-1]) / 100
    except ValueError:
        return None
    return share if 0 < share <= 1 else None


class _Reader:
    """Walks YAML nodes, which know their lines."""

    def __init__(self, source: str):
        self.source = source

    def error(self, node: Any, message: str) -> ConfigError:
        line = node.start_mark.line + 1 if node is not None else 1
        return ConfigError(f"{self.source}:{line}: {message}", param="recipe")

    def recipe(self, root: Any) -> Recipe:
        entries = self.mapping(
            root, "a recipe", ("name", "calibration", "steps", "format", "budget", "choices", "seed", "scales")
        )
        if "steps" not in entries:
            raise self.error(root, "a recipe needs 'steps'")
        node = entries["steps"]
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            raise self.error(node, "'steps' must be a list of steps")
        steps = tuple(self.step(item) for item in node.value)
        check_order(self.source, steps)
        kind = str(self.value(entries.get("format"), "master"))
        if kind not in FORMATS:
            raise self.error(entries["format"], f"format {kind!r} is unknown; choose one of {', '.join(FORMATS)}")
        check_format(self.source, kind, steps)
        budget = None
        if "budget" in entries:
            written = self.value(entries["budget"])
            budget = _read_share(written) or read_size(written)
            if budget is None:
                raise self.error(entries["budget"], "budget must be a size such as 4.8GB, or a share such as 22%")
        choices = self.value(entries.get("choices"), [3, 4, 8])
        self.check(entries.get("choices"), choices_fault(choices))
        if any(step.options.get("bits") == "auto" for step in steps) and budget is None:
            line = next(step.line_of("bits") for step in steps if step.options.get("bits") == "auto")
            raise ConfigError(f"{self.source}:{line}: bits: auto needs a 'budget' for the whole model", param="recipe")
        scales = str(self.value(entries.get("scales"), "bfloat16"))
        if scales not in ("bfloat16", "float16"):
            raise self.error(entries["scales"], f"scales may be bfloat16 or float16, not {scales!r}")
        seed, name = self.value(entries.get("seed"), 0), self.value(entries.get("name"), Path(self.source).stem)
        if not is_whole(seed):
            raise self.error(entries["seed"], f"seed must be a whole number that is not negative, not {seed!r}")
        if isinstance(name, list | dict):
            raise self.error(entries["name"], "name must be a text")
        calibration = self.calibration(entries.get("calibration"))
        lines = {entry: value.start_mark.line + 1 for entry, value in entries.items()}
        if calibration.path is not None:
            inside = self.mapping(entries["calibration"], "calibration", _CALIBRATION)
            lines["path"] = inside["path"].start_mark.line + 1
        return Recipe(
            name=str(name),
            source=self.source,
            steps=steps,
            calibration=calibration,
            format=kind,
            budget=budget,
            choices=tuple(sorted(set(choices))),
            seed=seed,
            scales=scales,
            digest_of=json.dumps(self.plain(root), sort_keys=True, default=str),  # a date may be a name
            lines=lines,
        )

    def step(self, node: Any) -> Step:
        known = (*STEPS, *TRANSFORMS)
        if not isinstance(node, yaml.MappingNode) or len(node.value) != 1:
            raise self.error(node, "a step is one entry such as 'gptq: {targets: [mlp], bits: 4}'")
        key, body = node.value[0]
        kind = key.value
        if kind not in known:
            raise self.error(key, f"step {kind!r} is unknown; choose one of {', '.join(known)}")
        allowed = {**STEPS, **_TRANSFORM_OPTIONS}[kind]
        entries = self.mapping(body, f"step {kind}", tuple(allowed))
        if "targets" not in entries and "targets" in allowed:
            raise self.error(key, f"step {kind} needs 'targets'")
        options = {name: default for name, default in allowed.items() if name not in ("targets", "skip")}
        for name in entries.keys() - {"targets", "skip"}:
            options[name] = self.option(entries[name], name, allowed[name])
        self.sense(kind, key, entries, options)
        return Step(
            kind,
            key.start_mark.line + 1,
            self.patterns(entries["targets"]) if "targets" in entries else (),
            self.patterns(entries["skip"]) if "skip" in entries else (),
            options,
            {name: entry.start_mark.line + 1 for name, entry in entries.items()},
        )

    def sense(self, kind: str, key: Any, entries: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        """What the options of one transform rule out."""
        if kind == "prune":
            cuts = [name for name in ("mlp", "heads", "towers") if options[name]]
            for name in cuts:
                if options[name] >= 1:
                    raise self.error(entries[name], f"{name} is the share that goes, below 1, not {options[name]}")
            if not cuts and not options["pattern"]:
                raise self.error(key, "prune takes nothing away; give mlp, heads, towers or pattern")
            if cuts and options["pattern"]:
                raise self.error(entries["pattern"], "pattern keeps all widths; put it in a prune step of its own")
        if kind == "share" and not 0 < options["volume"] <= 0.4:
            # Ties are pairs: a matrix of each pair goes, and embedding, stems and norms stay.
            raise self.error(entries["volume"], f"volume is the share that goes, up to 0.4, not {options['volume']}")
        if kind in ("distill", "qat") and (options["steps"] < 1 or options["lr"] <= 0):
            raise self.error(entries.get("steps", entries.get("lr", key)), f"{kind} needs steps and a rate above 0")

    def option(self, node: Any, name: str, default: Any) -> Any:
        value = self.value(node)
        self.check(node, option_fault(name, value, default, _WORDS.get(name)))
        if name == "group_size":
            return tuple(value) if isinstance(value, list) else (value,)
        return float(value) if isinstance(default, float) else value

    def calibration(self, node: Any) -> Calibration:
        if node is None:
            return Calibration()
        entries = self.mapping(node, "calibration", _CALIBRATION)
        made: dict[str, Any] = {name: self.plain(entry) for name, entry in entries.items()}
        for name, value in made.items():
            self.check(entries[name], calibration_fault(name, value))
        if made.get("weights") == MEASURED:
            if "gradients" in made:
                message = "weights: measured says how gradients are used; leave out 'gradients', or give numbers"
                raise self.error(entries["weights"], message)
            made |= {"weights": dict.fromkeys(KINDS, 1.0), "gradients": "layers"}
        if "path" in made:
            made["path"] = Path(made["path"])
        return Calibration(**made)

    def check(self, node: Any, fault: str | None) -> None:
        if fault is not None:
            raise self.error(node, fault)

    def mapping(self, node: Any, what: str, allowed: Sequence[str]) -> dict[str, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise self.error(node, f"{what} must be a mapping of {', '.join(allowed)}")
        entries = {}
        for key, value in node.value:
            if key.value not in allowed:
                raise self.error(key, f"{what} has no {key.value!r}; it has {', '.join(allowed)}")
            if key.value in entries:
                raise self.error(key, f"{what} names {key.value!r} twice")
            entries[key.value] = value
        return entries

    def patterns(self, node: Any) -> tuple[Pattern, ...]:
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if not nodes or any(not isinstance(n, yaml.ScalarNode) or not n.value for n in nodes):
            raise self.error(node, "targets are names or patterns of modules")
        return tuple(Pattern(n.value, n.start_mark.line + 1) for n in nodes)

    def value(self, node: Any, default: Any = None) -> Any:
        return default if node is None else self.plain(node)

    def plain(self, node: Any) -> Any:
        try:
            return yaml.SafeLoader("").construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError, TypeError, LookupError) as error:  # a tag that its text belies: !!int foo
            what = getattr(error, "problem", None) or error
            raise self.error(node, f"not a value that YAML can read: {what}") from error
