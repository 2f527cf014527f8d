"""A request's plan: which towers, how deep, when to leave early, what becomes of its KV cache, how long it may think.

Made by the planner before prefill, changed by rewrites as tokens stream. Plans are values: a rewrite makes a new one.
Depths are counted in decoder layers (6, 12, 18, 24 for the native family), never in segments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from autoglm_phone.errors import ConfigError

ExitKind = Literal["full", "fixed", "confidence", "lossless"]
KVKind = Literal["full", "window", "evict", "int8", "fp8"]
EXIT_KINDS: tuple[ExitKind, ...] = ("full", "fixed", "confidence", "lossless")
KV_KINDS: tuple[KVKind, ...] = ("full", "window", "evict", "int8", "fp8")


@dataclass(frozen=True)
class ExitPolicy:
    """How deep tokens run.

    max_depth: layers at most; None is the whole decoder. Segments beyond it own no pages for this request.
    thresholds: for `confidence`, per exit depth, the least confidence that lets a token leave there; a depth that is
        missing is no exit. for `lossless`, draft_depth is where drafts are made and draft_length how many at most
        (0: the controller chooses).
    """

    kind: ExitKind = "full"
    max_depth: int | None = None
    thresholds: dict[int, float] = field(default_factory=dict)
    draft_depth: int | None = None
    draft_length: int = 0

    def __post_init__(self) -> None:
        if self.kind not in EXIT_KINDS:
            raise ConfigError(f"unknown exit policy {self.kind!r}; choose from {', '.join(EXIT_KINDS)}", param="graph")


@dataclass(frozen=True)
class KVPolicy:
    """What is kept of the keys and values of a request, in every segment.

    window: tokens kept before the newest one (`window`); budget: tokens kept at most (`evict`); sinks: tokens at the
    start that are always kept. keep_prompt: pages of the prompt (and its media) are exempt; without it, keep_media
    exempts those of pictures and sound alone.
    """

    kind: KVKind = "full"
    window: int = 1024
    sinks: int = 16
    budget: int = 1024
    keep_prompt: bool = True
    keep_media: bool = True

    def __post_init__(self) -> None:
        if self.kind not in KV_KINDS:
            raise ConfigError(f"unknown KV policy {self.kind!r}; choose one of {', '.join(KV_KINDS)}", param="graph")


@dataclass(frozen=True)
class Plan:
    """What the graph of a request contains now. reasons: why, newest last, in words for the log and the trace. causes:
    by field, why it is what it is, in words for one who reads of the change beside it.

    risk: the loss that the request accepts where nothing lossless was asked for; see graph.calibrate.
    """

    towers: frozenset[str] = frozenset()
    exit: ExitPolicy = ExitPolicy()
    kv: KVPolicy = KVPolicy()
    thinking_tokens: int | None = None
    reasons: tuple[str, ...] = ()
    risk: float = 0.0
    causes: Mapping[str, str] = field(default_factory=dict)

    def because(self, reason: str, *, cause: str | None = None, **changes: object) -> Plan:
        """A changed plan that says why. cause: shorter than the reason, which names the change too."""
        causes = {**self.causes, **dict.fromkeys(changes, cause or reason)}
        return replace(self, reasons=(*self.reasons, reason), causes=causes, **changes)  # type: ignore[arg-type]

    def why(self, name: str) -> str:
        """Why this field is what it is: its own cause, or the newest reason."""
        return self.causes.get(name) or (self.reasons[-1] if self.reasons else "")


@dataclass(frozen=True)
class GraphRequest:
    """What a client asks of the graph (`extra_body={"graph": {…}}`); None leaves it to the planner."""

    policy: ExitKind | Literal["auto"] | None = None
    max_depth: int | None = None
    risk: float | None = None
    draft_length: int | None = None
    kv: KVKind | Literal["auto"] | None = None
    kv_window: int | None = None
    kv_budget: int | None = None
    trace: bool = False  # return_graph
