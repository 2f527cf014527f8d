"""Where plans come from: the planner if there is one, else the client's fields and the server's configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.request import EngineRequest
from autoglm_phone.graph.plan import ExitKind, ExitPolicy, GraphRequest, Plan
from autoglm_phone.graph.rewrite import Rewriter


class PlannerLike(Protocol):
    """What the engine asks of graph.planner.Planner."""

    def plan(self, facts: Any) -> Plan:
        """Before prefill. facts: what `facts_of` makes of the request."""

    def refine(self, plan: Plan, scores: tuple[float, ...]) -> Plan:
        """After the prompt has been through the first segment. scores: the probe's."""


class Planning:
    """Args:
    config: dynamic_graph False makes every plan `full`. planner: None leaves it to configuration and client.
    facts_of: what the planner is told of a request; None: graph.planner's facts.
    """

    def __init__(
        self,
        config: EngineConfig,
        planner: PlannerLike | None,
        facts_of: Callable[[EngineRequest], Any] | None = None,
    ):
        self.config = config
        self.planner = planner
        self.facts_of = facts_of or _facts_of

    def plan(self, request: EngineRequest) -> Plan:
        if not self.config.dynamic_graph:
            return Plan(reasons=("the dynamic graph is off",))
        if self.planner is not None:
            return self.planner.plan(self.facts_of(request))
        graph = request.graph or GraphRequest()
        kind = self._policy(graph)
        if kind == "auto":
            kind = "full" if graph.max_depth is None else "fixed"
        return Plan(exit=ExitPolicy(kind, graph.max_depth, draft_length=graph.draft_length or 0))

    def check(self, request: EngineRequest) -> None:
        """Raises InvalidRequestError if the planner would refuse the request. Any thread may call it."""
        check = getattr(self.planner, "check", None)
        if check is not None and self.config.dynamic_graph:
            check(self.facts_of(request))

    def repeats(self, request: EngineRequest) -> bool:
        """Whether a greedy answer to it is the same whatever else runs. Any thread may call it."""
        if not self.config.dynamic_graph:
            return True
        told = getattr(self.planner, "repeats", None)
        if told is not None:
            return bool(told(self.facts_of(request)))
        plan = self.plan(request)
        return plan.exit.kind != "confidence" and plan.kv.kind != "evict"

    def may_refine(self, request: EngineRequest) -> bool:
        """Whether the probe may still change the plan of this request: only where the client left it open. Not where
        the prompt's own log-probabilities are wanted: chunks of it must not be read at different depths."""
        if self.planner is None or not self.config.dynamic_graph or request.adapter is not None:
            return False  # the probe knows the base's states, not an adapter's
        if request.sampling.prompt_logprobs is not None:
            return False
        return self._policy(request.graph or GraphRequest()) == "auto"

    def rewriter(self, request: EngineRequest) -> Rewriter | None:
        """What follows the request while it streams; None: its KV policy stays."""
        make = getattr(self.planner, "rewriter", None)
        if make is None or not self.config.dynamic_graph:
            return None
        made: Rewriter | None = make(self.facts_of(request))
        return made

    def opens_thought(self, request: EngineRequest) -> bool:
        """Whether the prompt ends in the middle of a thought, as far as the planner knows."""
        settings = getattr(self.planner, "settings", None)
        return request.prompt_ids[-1] in getattr(settings, "think_ids", ())

    def _policy(self, graph: GraphRequest) -> ExitKind | Literal["auto"]:
        """What the client says, else the server."""
        return graph.policy or self.config.exit_policy

    def refine(self, plan: Plan, scores: tuple[float, ...]) -> Plan:
        return plan if self.planner is None else self.planner.refine(plan, scores)


def _facts_of(request: EngineRequest) -> Any:
    from autoglm_phone.graph.planner import facts_of  # only where there is a planner

    return facts_of(request)
