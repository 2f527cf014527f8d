"""Where plans come from: the planner if there is one, else the client's fields and the server's configuration."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Literal, Protocol

from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.request import EngineRequest
from autoglm_phone.graph.plan import ExitKind, ExitPolicy, GraphRequest, Plan
from autoglm_phone.graph.rewrite import Rewriter


class PlannerLike(Protocol):
    """What the engine asks of graph.planner.Planner. One that stands in for it inherits what it does not decide.

    facts: what `facts_of` makes of a request.
    """

    @abstractmethod
    def plan(self, facts: Any) -> Plan:
        """Before prefill.

        Raises:
            InvalidRequestError: the request cannot be served as it is.
        """

    def check(self, facts: Any) -> None:
        """What `plan` would refuse, without its plan or its log lines. Any thread may call it. Here: nothing.

        Raises:
            InvalidRequestError: see `plan`.
        """
        return

    def repeats(self, facts: Any) -> bool:
        """Whether a greedy answer is the same whatever else runs. Any thread may call it."""
        return _repeats(self.plan(facts))

    def refine(self, plan: Plan, scores: tuple[float, ...]) -> Plan:
        """After the prompt has been through the first segment. scores: the probe's."""
        return plan

    def rewriter(self, facts: Any) -> Rewriter | None:
        """What follows the request while it streams; None: its KV policy stays."""
        return None

    def opens_thought(self, facts: Any) -> bool:
        """Whether the prompt ends in the middle of a thought, as far as is known."""
        return False


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
        if self.planner is not None and self.config.dynamic_graph:
            self.planner.check(self.facts_of(request))

    def repeats(self, request: EngineRequest) -> bool:
        """Whether a greedy answer to it is the same whatever else runs. Any thread may call it."""
        if not self.config.dynamic_graph:
            return True
        if self.planner is not None:
            return self.planner.repeats(self.facts_of(request))
        return _repeats(self.plan(request))

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
        if self.planner is None or not self.config.dynamic_graph:
            return None
        return self.planner.rewriter(self.facts_of(request))

    def opens_thought(self, request: EngineRequest) -> bool:
        """Whether the prompt ends in the middle of a thought, as far as the planner knows."""
        return self.planner is not None and self.planner.opens_thought(self.facts_of(request))

    def _policy(self, graph: GraphRequest) -> ExitKind | Literal["auto"]:
        """What the client says, else the server."""
        return graph.policy or self.config.exit_policy

    def refine(self, plan: Plan, scores: tuple[float, ...]) -> Plan:
        return plan if self.planner is None else self.planner.refine(plan, scores)


def _repeats(plan: Plan) -> bool:
    """Whether tokens of this plan cannot depend on the load: not where exits may be asked or pages evicted by it."""
    return plan.exit.kind != "confidence" and plan.kv.kind != "evict"


def _facts_of(request: EngineRequest) -> Any:
    from autoglm_phone.graph.planner import facts_of  # only where there is a planner

    return facts_of(request)
