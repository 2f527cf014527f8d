"""Makes a sequence follow its plan: depth, cache and thought, before it runs and while it does."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from autoglm_phone.engine import retain
from autoglm_phone.engine.depth import resolve
from autoglm_phone.engine.interface import Move, Runner
from autoglm_phone.engine.request import EngineRequest, ThinkingBudget
from autoglm_phone.engine.scheduler import Scheduler
from autoglm_phone.engine.sequence import Sequence, Status
from autoglm_phone.engine.stats import EngineStats
from autoglm_phone.engine.thinking import ThoughtTracker
from autoglm_phone.errors import InvalidRequestError
from autoglm_phone.graph.kv import NARROW
from autoglm_phone.graph.length import LengthFacts
from autoglm_phone.graph.plan import ExitPolicy, KVKind, Plan
from autoglm_phone.graph.rewrite import Progress as Standing
from autoglm_phone.graph.rewrite import label as kv_label

logger = logging.getLogger(__name__)


class PlanFollower:
    """Applies plans to sequences and notes every change in trace and statistics.

    thought_end: as for Engine. opens_thought: whether a request's prompt ends inside a thought.
    """

    def __init__(
        self,
        runner: Runner,
        scheduler: Scheduler,
        stats: EngineStats,
        thought_end: tuple[int, ...],
        opens_thought: Callable[[EngineRequest], bool],
    ):
        self.runner = runner
        self.scheduler = scheduler
        self.stats = stats
        self.thought_end = thought_end
        self.opens_thought = opens_thought

    def follow(self, sequence: Sequence, plan: Plan, *, provisional: bool = False) -> None:
        """Give the sequence a plan; one with another KV policy only before it runs."""
        self.keep_by(sequence, plan)
        before, after = sequence.plan.exit, plan.exit
        if before != after and sequence.status is Status.RUNNING:
            what = f"depth {_label(before)} → {_label(after)}"
            sequence.trace.rewrites.append((sequence.num_output, what, plan.why("exit")))
            self.stats.rewrites["depth"] += 1
        sequence.plan = plan
        self._bound_thought(sequence, plan)
        # A matcher cannot take a rejected token back, and eviction judges pages by what each token looked at in a step.
        may_draft = sequence.matcher is None and plan.kv.kind != "evict"
        rule = resolve(plan.exit, self.runner.layout, may_draft=may_draft, provisional=provisional)
        if sequence.status is Status.RUNNING:
            self.scheduler.replan(sequence, rule)
        else:
            sequence.follow(rule)

    def _bound_thought(self, sequence: Sequence, plan: Plan) -> None:
        """Give the thought the plan's budget, unless the client set one. A grammar follows its thought by itself."""
        if plan.thinking_tokens is None or sequence.sampling.thinking is not None or sequence.matcher is not None:
            return
        if sequence.thought is not None:
            if sequence.thought.budget.max_tokens != plan.thinking_tokens:
                what = f"thinking budget {sequence.thought.budget.max_tokens} → {plan.thinking_tokens}"
                sequence.trace.rewrites.append((sequence.num_output, what, plan.why("thinking_tokens")))
                sequence.thought.budget = replace(sequence.thought.budget, max_tokens=plan.thinking_tokens)
                self.stats.rewrites["thought"] += 1
        elif self.thought_end and sequence.num_output == 0:
            sequence.thought = ThoughtTracker(ThinkingBudget(self.thought_end, plan.thinking_tokens))

    @staticmethod
    def observe_thought(sequence: Sequence, thought: ThoughtTracker, token: int) -> None:
        """A token was emitted: follow the thought, and note where its budget cuts it."""
        before = thought.cut
        thought.observe(token)
        if thought.cut and not before and thought.length > 1:  # a budget of 0 is a request without a thought
            whose = "learned" if sequence.sampling.thinking is None else "client's"
            change = f"thought cut after {thought.length - 1} tokens"
            sequence.trace.rewrites.append((sequence.num_output, change, f"{whose} thinking budget"))
            logger.info("[DYNAMIC GRAPH] Thought cut after %d tokens (%s budget)", thought.length - 1, whose)

    def keep_by(self, sequence: Sequence, plan: Plan) -> list[Move]:
        """Follow the plan's KV policy; returns what the runner has to move. Raises as `rewrite` does, before anything
        was changed."""
        before, after = sequence.plan, plan.kv
        if before.kv == after:
            return []
        self.check_kv(after.kind)
        pack = self.runner.pack if after.kind in NARROW else 1
        if sequence.status is not Status.RUNNING:
            sequence.plan = replace(before, kv=after)
            retain.follow(sequence, after, pack)
            return []
        sequence.plan = replace(before, kv=after)
        try:
            moves = self.scheduler.keep_by(sequence, after, pack)
        except Exception:
            sequence.plan = before
            raise
        what = f"KV policy {kv_label(before.kv)} → {kv_label(after)}"
        sequence.trace.rewrites.append((sequence.num_output, what, plan.why("kv")))
        self.stats.rewrites["kv"] += 1
        if after.kind in NARROW and before.kv.kind in NARROW and after.kind != before.kv.kind:
            moves = [Move((page,), (page,)) for table in sequence.page_tables for page in table]
        return moves

    def check_kv(self, kind: KVKind) -> None:
        if kind != "full" and kind not in self.runner.kv_kinds:
            raise InvalidRequestError(
                f"KV policy {kind!r} is not available on this device; choose auto, {', '.join(self.runner.kv_kinds)}",
                param="graph.kv",
            )

    def proposal(self, sequence: Sequence, usage: float) -> Plan | None:
        """The plan that the request's rewriter wants now, if it is due and wants another. usage: share of the pages."""
        rewriter = sequence.rewriter
        if rewriter is None or not rewriter.due(sequence.num_output):
            return None
        output = sequence.num_output
        kinds = [item.kind for item in sequence.request.media]
        facts = LengthFacts(
            output=output,
            prompt=sequence.prompt_length,
            max_left=min(sequence.sampling.max_tokens - output, self.runner.max_model_len - len(sequence.tokens)),
            thinking=self.thinks(sequence),
            images=kinds.count("image"),
            audios=kinds.count("audio"),
        )
        return rewriter.observe(sequence.plan, Standing(facts, usage, not sequence.gaps))

    def thinks(self, sequence: Sequence) -> bool:
        """The request is in the middle of a thought."""
        if sequence.thought is not None:
            return sequence.thought.thinking
        if not self.thought_end or not self.opens_thought(sequence.request):
            return False
        return self.thought_end[0] not in sequence.tokens[sequence.prompt_length :]


def _label(policy: ExitPolicy) -> str:
    return policy.kind if policy.max_depth is None else f"{policy.kind}({policy.max_depth})"
