"""Changes a request's KV policy while it streams. No tensors; one Rewriter a request.

Every `interval` output tokens the remaining length is estimated again. The mildest policy that brings the expected
final cache under `target` of the full one is wanted; it is taken only when the estimate says so several times in a row
and with a margin (hysteresis), some time after the last change (dwell), and never in the middle of a thought if it
would take memory away: what a thought looked at early may decide its end.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from autoglm_phone.graph.kv import DROPPING, expected_share
from autoglm_phone.graph.length import LengthFacts, LengthModel, as_long_again
from autoglm_phone.graph.plan import KVKind, KVPolicy, Plan

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RewriteRules:
    """Lengths in tokens.

    interval: between two looks. target: live share of the cache that is aimed at. least_total: prompt and output below
    which the cache is left alone. windows: to choose from, widest first. tight_windows: further ones for when pages run
    out. precisions: narrower pages that the backend can store ("int8", "fp8"); milder than any window.
    patience: looks in a row that must agree. margin: error of the estimate that the decision must survive.
    dwell: tokens between two changes. least_saving: tokens of cache that a change must be expected to save.
    pressure: used share of the page pool from which patience and least_total no longer count.
    """

    interval: int = 64
    target: float = 0.40
    least_total: int = 1400
    windows: tuple[int, ...] = (1024, 512)
    tight_windows: tuple[int, ...] = (256,)
    precisions: tuple[KVKind, ...] = ()
    patience: int = 2
    margin: float = 0.25
    dwell: int = 128
    least_saving: int = 128
    pressure: float = 0.90


@dataclass(frozen=True)
class Progress:
    """Where a request stands. pool_usage: used share of the KV pages, 0..1. whole: no page was given back; what has
    gaps can't be stored in narrower pages."""

    length: LengthFacts
    pool_usage: float = 0.0
    whole: bool = True


class Rewriter:
    """Decides for one request.

    Args:
        model: estimates the remaining length; None guesses as much again as there is.
        pinned: the client chose the KV policy: it stays.
    """

    def __init__(self, rules: RewriteRules, model: LengthModel | None = None, *, pinned: bool = False):
        self.probe: float | None = None  # what the probe expected after the prompt, for facts that do not say
        self.rules = rules
        self.model = model
        self.pinned = pinned
        self.blocked = 0  # downgrades that a thought held up
        self.estimates: list[tuple[int, float]] = []  # (output tokens, tokens expected), for the report of its error
        self._next = rules.interval
        self._wish: KVPolicy | None = None
        self._agreed = 0
        self._changed = -rules.dwell
        self._whole = True

    def due(self, output: int) -> bool:
        """Whether `observe` would look, after so many output tokens."""
        return output >= self._next

    def observe(self, plan: Plan, progress: Progress) -> Plan | None:
        """The changed plan, or None to leave it. Call it after each step that gave the request tokens; it looks every
        `interval` tokens. Call `took` when the plan is followed."""
        facts, rules = progress.length, self.rules
        if facts.output < self._next:
            return None
        self._next = (facts.output // rules.interval + 1) * rules.interval
        if facts.probe is None:
            facts = replace(facts, probe=self.probe)
        expected = self.model.remaining(facts) if self.model is not None else as_long_again(facts)
        self.estimates.append((facts.output, expected))
        if self.pinned:
            return None
        tight = progress.pool_usage >= rules.pressure
        self._whole = progress.whole
        wish = self._wanted(plan.kv, facts, expected, tight)
        if wish == plan.kv:
            self._forget()
            return None
        gentler = self._cost(wish, facts, expected) > self._cost(plan.kv, facts, expected)
        if not gentler and facts.thinking:
            self.blocked += 1
            self._forget()
            return None
        sure = all(
            self._direction(plan.kv, facts, min(expected * factor, float(facts.max_left)), tight) == gentler
            for factor in (1 - rules.margin, 1 + rules.margin)
        )
        self._agreed = self._agreed + 1 if wish == self._wish and sure else int(sure)
        self._wish = wish
        if self._agreed < (1 if tight else rules.patience) or facts.output - self._changed < rules.dwell:
            return None
        reason = f"{expected:.0f} tokens expected" + (f", {progress.pool_usage:.0%} of the pages used" if tight else "")
        change = f"KV policy {label(plan.kv)} → {label(wish)} at token {facts.output}"
        return plan.because(f"{change}: {reason}", cause=reason, kv=wish)

    def took(self, plan: Plan, output: int) -> None:
        """The plan that `observe` gave is followed, from so many output tokens on. Without this call it counts as not
        made, and is proposed again at the next look."""
        self._forget()
        self._changed = output
        logger.info("[DYNAMIC GRAPH] %s", plan.reasons[-1])

    def error(self, total: int) -> float | None:
        """Mean absolute error in tokens of its estimates, once the output is known to have `total` tokens; None if it
        made none. For metrics and the trace."""
        if not self.estimates:
            return None
        return sum(abs(at + expected - total) for at, expected in self.estimates) / len(self.estimates)

    def _wanted(self, now: KVPolicy, facts: LengthFacts, expected: float, tight: bool) -> KVPolicy:
        """The mildest policy that meets the target, or the one that comes closest to it."""
        total = facts.prompt + facts.output + expected
        if total < self.rules.least_total and not tight:
            # What was given up does not come back; only widening could help, and it would save nothing now.
            return now
        precisions = self.rules.precisions if self._whole and now.kind not in DROPPING else ()
        levels = [replace(now, kind="full"), *(replace(now, kind=kind) for kind in precisions)]
        windows = self.rules.windows + (self.rules.tight_windows if tight else ())
        levels += [replace(now, kind="window", window=size) for size in windows]
        shares = [self._cost(level, facts, expected) for level in levels]
        best = next((i for i, share in enumerate(shares) if share <= self.rules.target), shares.index(min(shares)))
        saved = abs(self._cost(now, facts, expected) - shares[best]) * total
        return levels[best] if saved >= self.rules.least_saving else now

    def _direction(self, now: KVPolicy, facts: LengthFacts, expected: float, tight: bool) -> bool | None:
        """Would this estimate keep more (True), less (False) or as much as now (None)?"""
        wish = self._wanted(now, facts, expected, tight)
        if wish == now:
            return None
        return self._cost(wish, facts, expected) > self._cost(now, facts, expected)

    def _cost(self, policy: KVPolicy, facts: LengthFacts, expected: float) -> float:
        """Live share of the full cache at the expected end."""
        return expected_share(policy, facts.prompt, round(facts.output + expected))

    def _forget(self) -> None:
        self._wish, self._agreed = None, 0


def label(policy: KVPolicy) -> str:
    """A policy as the log and the trace say it."""
    if policy.kind == "window":
        return f"window({policy.window})"
    if policy.kind == "evict":
        return f"evict({policy.budget})"
    return policy.kind
