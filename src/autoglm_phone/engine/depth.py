"""How deep a sequence's tokens run, in segments. No tensors.

A plan (graph.plan) counts layers and knows nothing of where a checkpoint can be left; a rule is what remains of its
exit policy on one checkpoint. All four policies are the same three things: how many segments at most, where a token may
leave sooner, and whether tokens are drafted.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from autoglm_phone.graph.plan import ExitPolicy


@dataclass(frozen=True)
class DepthLayout:
    """Where a decoder can be left. ends: layers run after each segment. exits: the depths below the last at which
    logits can be read."""

    ends: tuple[int, ...]
    exits: frozenset[int] = frozenset()

    @property
    def num_segments(self) -> int:
        return len(self.ends)

    def segments(self, max_depth: int | None) -> int:
        """Segments that a cap in layers stands for: up to the first exit at or behind it, else all."""
        if max_depth is not None:
            for index, end in enumerate(self.ends[:-1]):
                if end >= max_depth and end in self.exits:
                    return index + 1
        return len(self.ends)


@dataclass(frozen=True)
class DepthRule:
    """Depths count segments: 1 is the first alone.

    cap: segments at most; deeper ones own no pages for the sequence.
    thresholds: the least confidence with which a token may leave after so many segments (fewer than cap).
    draft: segments after which tokens are drafted, for the rest up to cap to verify; 0: none are.
    draft_length: drafts a step at most; 0: the controller chooses.
    provisional: the planner decides once the prompt has been through the first segment.
    """

    cap: int
    thresholds: dict[int, float] = field(default_factory=dict)
    draft: int = 0
    draft_length: int = 0
    provisional: bool = False

    @property
    def goal(self) -> int:
        """Segments that every token needs before anything can be decided."""
        return 1 if self.provisional else min(self.thresholds, default=self.cap)


def resolve(policy: ExitPolicy, layout: DepthLayout, *, may_draft: bool = True, provisional: bool = False) -> DepthRule:
    """The rule of an exit policy on a checkpoint.

    Args:
        may_draft: False turns `lossless` into the full depth that it equals.
        provisional: wait for the probe before going deeper than the first segment.
    """
    # A cap below which the policy never goes makes no sense for `full`: its name is its promise.
    cap = len(layout.ends) if policy.kind == "full" else layout.segments(policy.max_depth)
    exits = {index + 1: end for index, end in enumerate(layout.ends[: cap - 1]) if end in layout.exits}
    thresholds: dict[int, float] = {}
    draft = 0
    if policy.kind == "confidence":
        thresholds = {index: policy.thresholds[end] for index, end in exits.items() if end in policy.thresholds}
    elif policy.kind == "lossless" and may_draft and exits:
        wanted = policy.draft_depth or 0
        draft = next((index for index, end in exits.items() if end >= wanted), max(exits))
    return DepthRule(cap, thresholds, draft, policy.draft_length if draft else 0, provisional and cap > 1)
