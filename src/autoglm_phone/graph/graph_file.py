"""`graph.json` beside a model's weights: what calibration found for exactly these weights. No tensors.

A file that was made for other weights, or by another version of this code, is not used: thresholds certify nothing
there. The probe's weights lie next to it in `graph/probe.safetensors`, and exit heads that were trained onto a finished
checkpoint (`autoglm-phone exits tune`) in `graph/exits.safetensors`: they count as weights here.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoglm_phone.errors import ConfigError
from autoglm_phone.graph.length import LengthModel, read_length_model

logger = logging.getLogger(__name__)

NAME, PROBE, EXITS = "graph.json", "graph/probe.safetensors", "graph/exits.safetensors"
NO_EXITS = "none"
VERSION = 2
READABLE = (1, 2)  # 1 had no groups
SAMPLED = 1 << 16  # bytes of each end of a file that the digest reads


def find_exits(folder: Path, chosen: str | None = None) -> Path | None:
    """The add-on with a model's exit heads: the chosen file, else the one beside the weights, else None.

    Args:
        chosen: a file, or "none" for the checkpoint's own heads, if it has any.

    Raises:
        ConfigError: the chosen file does not exist.
    """
    if chosen == NO_EXITS:
        return None
    path = folder / EXITS if chosen is None else Path(chosen).expanduser()
    if path.is_file():
        return path
    if chosen is not None:
        raise ConfigError(
            f"there is no file {path} with exit heads; make it with `autoglm-phone exits tune`", param="exits"
        )
    return None


def backbone_digest(folder: Path) -> str:
    """Tells one checkpoint from another: SHA-256 over config.json and name, size and both ends of each shard."""
    return _digest([folder / "config.json", *sorted(folder.glob("*.safetensors"))])


def weights_digest(folder: Path, exits: str | None = None) -> str:
    """Tells one set of weights from another: the backbone's digest, mixed with the add-on's where there is one.

    exits: as for `find_exits`.
    """
    backbone, addon = backbone_digest(folder), find_exits(folder, exits)
    if addon is None:
        return backbone
    # Not by its name: a copy beside the weights is the same add-on.
    return hashlib.sha256(f"{backbone}:{_digest([addon], named=False)}".encode()).hexdigest()[:16]


def _digest(paths: Iterable[Path], *, named: bool = True) -> str:
    digest = hashlib.sha256()
    for path in paths:
        if not path.is_file():
            continue
        size = path.stat().st_size
        digest.update(f"{path.name if named else ''}:{size}:".encode())
        with path.open("rb") as file:
            digest.update(file.read(SAMPLED))
            file.seek(max(0, size - SAMPLED))
            digest.update(file.read())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class GroupRules:
    """Thresholds and bars of one group of requests (graph.groups), as those of GraphFile; bars None: not calibrated. A
    risk that is missing, or has no thresholds, is not certified for this group."""

    thresholds: Mapping[float, Mapping[int, float]] = field(default_factory=dict)
    bars: Mapping[float, float] | None = None


@dataclass(frozen=True)
class GraphFile:
    """thresholds: risk → {exit depth: least confidence}. bars: risk → probability that a planned depth must have.

    depths: layers at each exit and at the end. measure: what `risk` counts for thresholds (graph.calibrate.Measure);
    bars count lost score. delta: chance that a stated risk does not hold. thought: tokens within which nearly all
    useful thoughts end; thought_factor: the same as a multiple of the output that the probe expects. data: what it was
    measured on. report: what was found, for people.

    groups: thresholds and bars of groups that were calibrated apart. They refine the pooled ones: what a group has no
    thresholds (or bars) for, it may not do, whatever the pooled ones allow. A group that is missing, and every group of
    a file of version 1, goes by the pooled ones.
    """

    model: str
    depths: tuple[int, ...]
    thresholds: Mapping[float, Mapping[int, float]] = field(default_factory=dict)
    bars: Mapping[float, float] = field(default_factory=dict)
    measure: str = "token"
    delta: float = 0.05
    thought: int | None = None
    thought_factor: float | None = None
    length: LengthModel | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)
    groups: Mapping[str, GroupRules] = field(default_factory=dict)

    def thresholds_for(self, risk: float, group: str | None = None) -> tuple[float, dict[int, float]] | None:
        """(certified risk, thresholds) of the largest certified risk that is at most `risk`, for requests of a group;
        None: for all of them together."""
        rules = self.groups.get(group or "") if self.thresholds else None
        table = self.thresholds if rules is None else rules.thresholds
        known = [r for r in table if r <= risk and table[r]]
        return (max(known), dict(table[max(known)])) if known else None

    def certifies(self, risk: float) -> bool:
        """Whether any request may leave early at this risk."""
        names = (None, *self.groups)
        return any(self.thresholds_for(risk, name) is not None for name in names)

    def bar_for(self, risk: float, group: str | None = None) -> float | None:
        rules = self.groups.get(group or "")
        table = self.bars if rules is None or rules.bars is None else rules.bars
        known = [r for r in table if r <= risk]
        return table[max(known)] if known else None

    def as_dict(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "model": self.model,
            "depths": list(self.depths),
            "measure": self.measure,
            "delta": self.delta,
            "thresholds": _thresholds_out(self.thresholds),
            "bars": _bars_out(self.bars),
            "groups": {
                name: {
                    "thresholds": _thresholds_out(rules.thresholds),
                    "bars": None if rules.bars is None else _bars_out(rules.bars),
                }
                for name, rules in self.groups.items()
            },
            "thought": self.thought,
            "thought_factor": self.thought_factor,
            "length": None if self.length is None else self.length.as_dict(),
            "data": dict(self.data),
            "report": dict(self.report),
        }

    def save(self, folder: Path) -> Path:
        """Write graph.json; readers see the old file or the new one, never a half of it."""
        path = folder / NAME
        part = folder / (NAME + ".part")
        part.write_text(json.dumps(self.as_dict(), indent=1) + "\n", encoding="utf-8")
        part.replace(path)
        return path


def read_graph_file(path: Path) -> GraphFile:
    """Raises ConfigError for a file that is missing, broken or of another version."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["version"] not in READABLE:
            raise ConfigError(f"{path.name} has version {raw['version']!r}, not {VERSION}: calibrate again")
        return GraphFile(
            model=str(raw["model"]),
            depths=tuple(int(d) for d in raw["depths"]),
            thresholds=_thresholds_in(raw.get("thresholds", {})),
            bars=_bars_in(raw.get("bars", {})),
            measure=str(raw.get("measure", "token")),
            delta=_share(raw.get("delta", 0.05)),
            thought=None if raw.get("thought") is None else int(raw["thought"]),
            thought_factor=None if raw.get("thought_factor") is None else float(raw["thought_factor"]),
            length=None if raw.get("length") is None else read_length_model(raw["length"]),
            data=raw.get("data", {}),
            report=raw.get("report", {}),
            groups={
                str(name): GroupRules(
                    _thresholds_in(rules["thresholds"]),
                    None if rules.get("bars") is None else _bars_in(rules["bars"]),
                )
                for name, rules in raw.get("groups", {}).items()
            },
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} can't be read as a graph calibration: {error}") from error


def load_graph_file(folder: Path, exits: str | None = None) -> GraphFile | None:
    """The calibration of a model folder if it has one that fits its weights; a log line says why one is not used.

    exits: as for `find_exits`.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        found = read_graph_file(path)
    except ConfigError as error:
        logger.warning("[DYNAMIC GRAPH] calibration not used: %s", error.message)
        return None
    digest = weights_digest(folder, exits)
    if found.model != digest:
        logger.warning(
            "[DYNAMIC GRAPH] %s was made for other weights (%s, these are %s) and is not used; "
            "run `autoglm-phone exits calibrate` again",
            path.name,
            found.model,
            digest,
        )
        return None
    return found


def _thresholds_out(thresholds: Mapping[float, Mapping[int, float]]) -> dict[str, dict[str, float]]:
    return {str(r): {str(d): c for d, c in t.items()} for r, t in sorted(thresholds.items())}


def _thresholds_in(raw: Mapping[str, Mapping[str, Any]]) -> dict[float, dict[int, float]]:
    return {_share(r): {int(d): _share(c) for d, c in t.items()} for r, t in raw.items()}


def _bars_out(bars: Mapping[float, float]) -> dict[str, float]:
    return {str(r): bar for r, bar in sorted(bars.items())}


def _bars_in(raw: Mapping[str, Any]) -> dict[float, float]:
    return {_share(r): _share(bar) for r, bar in raw.items()}


def _share(value: Any) -> float:
    number = float(value)
    if not 0 <= number <= 1:
        raise ValueError(f"{value!r} is no probability")
    return number
