"""Keeps a thought within its budget. No tensors.

A request thinks from its first generated token until the last of `end_ids` appears. When the budget is spent, the
engine emits `end_ids` instead of sampling; if the model has just emitted the first of them by itself, only the rest.
"""

from __future__ import annotations

from autoglm_phone.engine.request import ThinkingBudget


class ThoughtTracker:
    """Follows one request's output.

    Attributes:
        thinking: the thought has not ended yet.
        forced: the budget is spent, and what follows is `end_ids`.
        cut: the thought was cut by the budget.
        length: tokens that were observed while it lasted.
    """

    def __init__(self, budget: ThinkingBudget):
        self.budget = budget
        self.thinking = bool(budget.end_ids)
        self.forced = False
        self.cut = False
        self.length = 0
        self._steps = 0
        self._matched = 0  # how many of end_ids the output ends with

    def next_token(self) -> int | None:
        """The token that must come next, or None if it is to be sampled."""
        if not self.thinking or not (self.forced or self._spent()):
            return None
        self.forced = True
        return self.budget.end_ids[self._matched]

    def is_free(self, count: int) -> bool:
        """None of the next `count` tokens can be forced by the budget."""
        if not self.thinking:
            return True
        budget = self.budget
        return (
            not self.forced
            and (budget.max_tokens is None or self.length + count <= budget.max_tokens)
            and (budget.max_steps is None or self._steps + count <= budget.max_steps)
        )

    def observe(self, token_id: int) -> None:
        """Take note of a token that was emitted."""
        if not self.thinking:
            return
        end = self.budget.end_ids
        # A step may give several tokens, drawn with a copy of this; so `forced` may not have been set here.
        self.forced = self.forced or self._spent()
        self.cut = self.cut or (self.forced and self._matched == 0)
        self.length += 1
        if token_id in self.budget.step_ids:
            self._steps += 1
        if token_id == end[self._matched]:
            self._matched += 1
        else:
            self._matched = 1 if token_id == end[0] else 0
        if self._matched == len(end) or token_id == end[-1]:
            self.thinking = False

    def _spent(self) -> bool:
        budget = self.budget
        return (budget.max_tokens is not None and self.length >= budget.max_tokens) or (
            budget.max_steps is not None and self._steps >= budget.max_steps
        )
