"""What really ran for a request: layers per token, towers, rewrites, pages, bytes, milliseconds. Plain data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Trace:
    """Filled by engine and runner as they go; `as_dict` is what a client sees.

    layers: depths at which the model can be left, the whole decoder last. depths: layers of each output token, in
    order. caught_up: tokens that a deeper segment processed later than the shallower one, by depth.
    drafted / accepted: tokens that others were written behind before they were decided, and those that proved right;
    looked_up / found: tokens guessed from n-grams, and those that were right; drafts: lossless mode, of each
    verification, (tokens that came of it, drafts, drafts accepted).
    towers: (name, "ran" | "cached", ms, loaded cold, states that it gave).
    length_error: mean error in tokens of what was expected of the output's length, where a rewriter looked; blocked:
    changes of the KV policy that an open thought held up.
    rewrites: (output token, what changed, reason). pages: (output token, live pages) at every change.
    """

    depths: list[int] = field(default_factory=list)
    prompt_depth: int = 0
    caught_up: Counter[int] = field(default_factory=Counter)
    drafted: int = 0
    accepted: int = 0
    looked_up: int = 0
    found: int = 0
    drafts: list[tuple[int, int, int]] = field(default_factory=list)
    layers: tuple[int, ...] = ()
    towers: list[tuple[str, str, float, bool, int]] = field(default_factory=list)
    rewrites: list[tuple[int, str, str]] = field(default_factory=list)
    pages: list[tuple[int, int]] = field(default_factory=list)
    peak_kv_bytes: int = 0
    length_error: float | None = None
    blocked: int = 0
    segment_ms: dict[int, float] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        count = len(self.depths)
        return {
            "layers": list(self.layers),
            "depths": list(self.depths),
            "mean_depth": round(sum(self.depths) / count, 2) if count else None,
            "prompt_depth": self.prompt_depth,
            "caught_up": {str(depth): n for depth, n in sorted(self.caught_up.items())},
            "drafted": self.drafted,
            "accepted": self.accepted,
            "looked_up": self.looked_up,
            "found": self.found,
            "drafts": [list(step) for step in self.drafts],
            "towers": [
                {"tower": name, "how": how, "ms": round(ms, 2), "cold": cold, "states": states}
                for name, how, ms, cold, states in self.towers
            ],
            "rewrites": [{"token": at, "change": what, "reason": why} for at, what, why in self.rewrites],
            "pages": [{"token": at, "pages": n} for at, n in self.pages],
            "peak_kv_bytes": self.peak_kv_bytes,
            "length_error": None if self.length_error is None else round(self.length_error, 1),
            "blocked": self.blocked,
            "segment_ms": {str(index): round(ms, 2) for index, ms in sorted(self.segment_ms.items())},
            "reasons": list(self.reasons),
        }
