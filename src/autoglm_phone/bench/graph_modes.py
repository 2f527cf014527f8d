"""What `bench graph` compares: the static engine, the dynamic one, each of its mechanisms alone, and points of the
quality–cost curve. No tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from autoglm_phone.errors import ConfigError

Arm = Literal["static", "dynamic", "lean"]
Group = Literal["main", "ablation", "curve"]
STATIC, CONTROL, DYNAMIC, LOSSLESS, LEAN = "static", "static again", "dynamic", "lossless", "lean"


@dataclass(frozen=True)
class Mode:
    """One way to answer a request.

    arm: which engine; lean is the dynamic one with low_memory. graph: fields of graph.plan.GraphRequest.
    planner: "served" as a server has it; "planned" plans depth by the probe alone, where no token leaves by itself.
    """

    name: str
    arm: Arm
    group: Group
    graph: Mapping[str, Any] = field(default_factory=dict)
    planner: Literal["served", "planned"] = "served"

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "arm": self.arm, "graph": dict(self.graph), "planner": self.planner}


@dataclass(frozen=True)
class Facts:
    """What the dynamic engine can do. depths: layers at each exit and at the end. risks: those with certified
    thresholds. probe: it can plan depth. kv: KV policies."""

    depths: tuple[int, ...]
    risks: tuple[float, ...] = ()
    probe: bool = False
    kv: tuple[str, ...] = ("full",)


def make_modes(facts: Facts, risk: float, *, curve: bool = True) -> tuple[list[Mode], list[str]]:
    """(modes, sentences on what this model can't show).

    Raises:
        ConfigError: no exits are certified for this risk, though they are for others.
    """
    remarks: list[str] = []
    certified = [r for r in facts.risks if r <= risk]
    if facts.risks and risk > 0 and not certified:
        known = ", ".join(f"{r:g}" for r in facts.risks)
        raise ConfigError(f"no exits are certified for a risk of {risk:g}; certified are {known}", param="exit-risk")
    modes = [Mode(STATIC, "static", "main"), Mode(CONTROL, "static", "main")]
    served: dict[str, Any] = {"policy": "auto", "risk": risk} if certified else {}
    modes.append(Mode(DYNAMIC, "dynamic", "main", served))
    modes.append(Mode(LOSSLESS, "dynamic", "main", {"policy": "lossless"}))
    modes.append(Mode(LEAN, "lean", "main", served))
    if "int8" in facts.kv:
        modes.append(Mode("lean int8", "lean", "ablation", {**served, "kv": "int8"}))
    modes.append(Mode("towers only", "dynamic", "ablation", {"policy": "full"}))
    if certified:
        modes.append(Mode("confidence only", "dynamic", "ablation", {"policy": "confidence", "risk": risk}))
    else:
        remarks.append(
            "exits are not calibrated for these weights (autoglm-phone exits calibrate --install): "
            "`dynamic` is lossless here, and there is no curve over risks"
        )
    if facts.probe:
        modes.append(Mode("planned depth only", "dynamic", "ablation", {"policy": "auto"}, "planned"))
    else:
        remarks.append("no depth probe fits these weights (autoglm-phone exits probe --install): depth is not planned")
    if "window" in facts.kv:
        modes.append(Mode("KV window only", "dynamic", "ablation", {"policy": "full", "kv": "window"}))
    else:
        remarks.append("this engine keeps the whole KV cache: no KV policy alone is measured")
    if curve:
        modes += _curve(facts, risk)
    return modes, remarks


def choose_modes(modes: Sequence[Mode], names: Sequence[str]) -> list[Mode]:
    """The modes of these names, `static`, `dynamic` and `lossless` always among them; no names: all.

    Raises:
        ConfigError: there is none of a name.
    """
    unknown = sorted(set(names) - {mode.name for mode in modes})
    if unknown:
        known = ", ".join(mode.name for mode in modes)
        raise ConfigError(f"no mode {', '.join(unknown)}; this model has {known}", param="modes")
    return [mode for mode in modes if not names or mode.name in (*names, STATIC, DYNAMIC, LOSSLESS)]


def _curve(facts: Facts, risk: float) -> Iterable[Mode]:
    for other in facts.risks:
        if other != risk:
            yield Mode(f"risk {other:g}", "dynamic", "curve", {"policy": "auto", "risk": other})
    for depth in facts.depths[:-1]:
        yield Mode(f"fixed {depth}", "dynamic", "curve", {"policy": "fixed", "max_depth": depth})
