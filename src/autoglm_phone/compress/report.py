"""`compress report`: what compression cost, as Markdown with plots. All figures come from running both models here.

Each part's result is kept in `parts/` of the report's folder, under a key of both models and its settings: a report
that was stopped goes on, and one that is asked for again only does what changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from autoglm_phone.bench.world import model_digest
from autoglm_phone.compress import calibrate, measure, sensitivity, sizes
from autoglm_phone.compress.files import write_text
from autoglm_phone.compress.formats import master
from autoglm_phone.compress.opening import Opened, PublicSource, open_model
from autoglm_phone.compress.plan import HEAD, CompressionPlan, ModulePlan, modules_of
from autoglm_phone.compress.progress import Say, silent
from autoglm_phone.errors import CheckpointError, ConfigError
from autoglm_phone.models.registry import locate

PARTS = ("size", "predictions", "sensitivity", "latency", "quality")
_WIDTHS = (2, 3, 4, 8)  # that the sensitivity plot compares


@dataclass(frozen=True)
class Settings:
    """samples: held-out conversations for predictions. count: answers a category; 0 leaves quality out.
    rounds: of the latencies. sensitive: conversations for the sensitivities. calibration: JSONL instead of the world.
    workers: processes that draw samples. parts: which of PARTS to make."""

    samples: int = 60
    count: int = 8
    rounds: int = 5
    sensitive: int = 24
    calibration: Path | None = None
    device: str = "cpu"
    workers: int = 1
    parts: tuple[str, ...] = field(default=PARTS)

    def __post_init__(self) -> None:
        unknown = [part for part in self.parts if part not in PARTS]
        if unknown or not self.parts:
            raise ConfigError(f"--only knows {', '.join(PARTS)}; not {', '.join(unknown)!r}", param="only")
        for name in ("samples", "rounds", "sensitive", "workers"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name} must be at least 1", param=name)


def write(base: str, model: Path, out: Path, settings: Settings = Settings(), *, say: Say = silent) -> Path:
    """Measure a compressed model (in any format that the engine reads) against its float model.

    Writes report.md, report.json and plots into `out`.

    Returns:
        the path of report.md.

    Raises:
        CheckpointError: `model` is not compressed, or the two are different models. ConfigError: senseless settings.
    """
    from autoglm_phone.compress import report_markdown, report_plots

    report = _Report(open_model(base), open_model(locate(model)), out, settings, say)
    facts = report.all()
    write_text(out / "report.json", json.dumps(facts, indent=1) + "\n")
    plots = report_plots.draw(facts, out)
    path = out / "report.md"
    write_text(path, report_markdown.text(facts, plots))
    return path


class _Report:
    def __init__(self, first: Opened, second: Opened, out: Path, settings: Settings, say: Say):
        config = _config_of(first, second)
        self.first, self.second, self.config = first, second, config
        self.out, self.settings, self.say = out, settings, say
        self.device = torch.device(settings.device)
        self.digest = f"{model_digest(first.folder)} {model_digest(second.folder)} {self.device.type}"
        (out / "parts").mkdir(parents=True, exist_ok=True)

    def all(self) -> dict[str, Any]:
        s = self.settings
        source = "" if s.calibration is None else hashlib.sha256(s.calibration.read_bytes()).hexdigest()
        rounding = ["8-bit inputs"] if any(spec.activation_bits for spec in self.config.modules.values()) else []
        work: dict[str, tuple[list[Any], Callable[[], Any]]] = {
            "size": ([], self._size),
            "predictions": ([s.samples, source, *rounding], self._predictions),
            "sensitivity": ([s.sensitive, source], self._sensitivity),
            "latency": ([s.rounds, os.cpu_count()], self._latency),
            "quality": ([s.count], self._quality),
        }
        made = {name: self._part(name, key, run) for name, (key, run) in work.items() if name in s.parts}
        return {
            "model": self.second.folder.name,
            "base": self.first.folder.name,
            "torch": torch.__version__,
            "machine": _machine(self.device),
            "losses": _losses(self.second.folder),
            **made,
        }

    def _part(self, name: str, settings: list[Any], run: Callable[[], Any]) -> Any:
        path, key = self.out / "parts" / f"{name}.json", json.dumps([self.digest, *settings])
        if path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["key"] == key:
                self.say(f"{name}: kept from {path}")
                return kept["made"]
        began = time.monotonic()
        self.say(f"{name} …")
        made = json.loads(json.dumps(run()))
        write_text(path, json.dumps({"key": key, "made": made}, indent=1) + "\n")
        self.say(f"{name}: {time.monotonic() - began:.0f} s")
        return made

    @cached_property
    def _samples(self) -> list[calibrate.Sample]:
        drawn = calibrate.load(
            self.first.folder,
            calibrate.Calibration(
                samples=self.settings.samples,
                mix={"text": 1, "picture": 1, "speech": 1},
                path=self.settings.calibration,
            ),
            split="val",
            workers=self.settings.workers,
        )
        self.say(
            f"  {len(drawn)} held-out conversations, {sum(len(s.answer_positions) for s in drawn)} predicted tokens"
        )
        return drawn

    def _size(self) -> dict[str, Any]:
        held = {}
        for name, folder in (("before", self.first.folder), ("after", self.second.folder)):
            held[name] = sizes.resident(_engine(folder, self.settings.device).runner)
        return {
            "disk": [asdict(size) for size in sizes.on_disk(self.first, self.second, self.config)],
            "files": {"before": sizes.folder_bytes(self.first.folder), "after": sizes.folder_bytes(self.second.folder)},
            "resident": held,
            "dtype": _dtype(self.device),
        }

    def _predictions(self) -> dict[str, Any]:
        samples = self._samples
        first, second = (
            measure.predictions(opened, samples, self.device, exits=True, say=self.say)
            for opened in (self.first, self.second)
        )
        table = measure.compare(first, second, samples)
        for kind, row in table.items():
            self.say(f"  {kind}: KL {row.kl_mean:.5f}, top-1 {row.top1:.4f}, perplexity × {row.perplexity:.4f}")
        made: dict[str, Any] = {
            "samples": len(samples),
            "divergence": {kind: asdict(row) for kind, row in table.items()},
        }
        if first.exits:
            mixes = measure.exit_mixes(first, second, samples)
            made["exits"] = {kind: asdict(mix) for kind, mix in mixes.items()}
            self.say(f"  exits: mix of least sufficient depths moves by {mixes['all'].shift:.2%}")
        return made

    def _sensitivity(self) -> dict[str, Any]:
        samples = self._samples[: self.settings.sensitive]
        plan = _decoder_plan(self.first, self.config)
        costs = sensitivity.measure(
            self.first.architecture, self.first.source, plan, samples, _WIDTHS, self.device, say=lambda _: None
        )
        return {
            "samples": len(samples),
            "bits": {name: module.bits for name, module in plan.modules.items()},
            "cost": costs.cost,
        }

    def _latency(self) -> dict[str, Any]:
        from autoglm_phone.compress import latency

        engines = [_engine(opened.folder, self.settings.device) for opened in (self.first, self.second)]
        rows = latency.compare(*engines, rounds=self.settings.rounds, say=lambda line: self.say("  " + line))
        return {"rows": [asdict(row) for row in rows], "threads": torch.get_num_threads(), "dtype": _dtype(self.device)}

    def _quality(self) -> dict[str, Any] | None:
        if not self.settings.count:
            return None
        from autoglm_phone.compress import quality, quality_tables

        pairs = quality.gather(
            self.first.folder,
            self.second.folder,
            self.out / "answers.jsonl",
            count=self.settings.count,
            device=self.settings.device,
            workers=self.settings.workers,
            say=self.say,
        )
        return {
            "count": self.settings.count,
            "categories": [asdict(row) for row in quality_tables.rows(pairs)],
            "modalities": [asdict(row) for row in quality_tables.by_modality(pairs)],
            "taps": [asdict(row) for row in quality_tables.taps(pairs)],
        }


def _config_of(first: Opened, second: Opened) -> master.MasterConfig:
    """The second model's quantized modules, by the names that the first has on disk."""
    config = master.read_config(second.folder)
    if config is not None:
        master.verify(second.folder, config)
        names = dict.fromkeys(config.modules)
    elif isinstance(second.source, PublicSource):
        disk = {name.removesuffix(".weight"): d.removesuffix(".weight") for name, d in first.source.disk.items()}
        found = second.source.modules()
        own_head = HEAD in found and HEAD not in disk  # exports give a tied head a tensor of its own
        config = master.MasterConfig({disk.get(name, name): spec for name, spec in found.items()})
        names = dict.fromkeys(name for name in config.modules if not (own_head and name == HEAD))
    else:
        raise CheckpointError(f"{second.folder} is no compressed model; give the folder that compress wrote")
    known = set(first.source.disk.values())
    stranger = next((name for name in names if f"{name}.weight" not in known), None)
    if stranger is not None:
        raise CheckpointError(f"{second.folder} has a module {stranger} and {first.folder} has not: give its --base")
    return config


def _engine(folder: Path, device: str) -> Any:
    from autoglm_phone.config import EngineConfig
    from autoglm_phone.engine.loop import load_engine

    memory = 2 << 30 if device.startswith("cuda") else None  # two engines share the card
    return load_engine(
        folder, EngineConfig(device=device, max_num_seqs=16, kv_cache_memory=memory, enable_prefix_caching=False)
    )


def _dtype(device: torch.device) -> str:
    """What the engine chooses for activations by itself."""
    return "bfloat16" if device.type == "cuda" else "float32"


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}"
    return f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def _decoder_plan(opened: Opened, config: master.MasterConfig) -> CompressionPlan:
    """What was done to the decoder's linears, as sensitivity wants it."""
    infos = modules_of(opened.architecture)
    units = {unit.name for unit in opened.architecture.stages()[-1].units}
    modules = {}
    for name, info in infos.items():
        spec = config.modules.get(opened.source.disk[name + ".weight"].removesuffix(".weight"))
        if spec is not None and info.kind == "linear" and info.unit in units and not info.unit.startswith(measure.EXIT):
            modules[name] = ModulePlan(info, spec.bits, spec.group_size, spec.symmetric, 0)
    return CompressionPlan(modules, infos, 0, 0)


def _losses(folder: Path) -> dict[str, Sequence[float]]:
    path = folder / "compression.json"
    found: dict[str, Sequence[float]] = {}
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))["losses"]
    return found
