"""Writes a request's plan: what the client asks, else what the server is set to, else what was learned. No tensors.

Two looks. Before prefill, `plan` sees counts. After the prompt's first segment, `refine` sees the probe's scores and
may cap the depth where the client and the server left the policy open (`auto`) and no exits are certified.

`auto` without a calibration that fits the weights drafts and verifies (`lossless`): it can cost time, never an answer.
So it does for a request with an adapter: thresholds, probe and thinking budget were learned of the base alone.
With one, tokens leave where the stated risk allows. A risk of 0 is `lossless`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from autoglm_phone.errors import InvalidRequestError
from autoglm_phone.graph.calibrate import choose_depth
from autoglm_phone.graph.graph_file import GraphFile
from autoglm_phone.graph.groups import Group, group_of
from autoglm_phone.graph.plan import ExitPolicy, GraphRequest, KVKind, KVPolicy, Plan
from autoglm_phone.graph.rewrite import Rewriter, RewriteRules

if TYPE_CHECKING:
    from autoglm_phone.engine.request import EngineRequest

logger = logging.getLogger(__name__)

LOG = "[DYNAMIC GRAPH] %s"
LEAST_THOUGHT = 32  # tokens: a thought shorter than this is not worth cutting, whatever the probe expects


@dataclass(frozen=True)
class RequestFacts:
    """What is known of a request before anything ran. Lengths in tokens; last_token: the prompt's last id, which tells
    whether the template opened a thought. bounded: the client set a thinking budget of its own. adapted: it runs with
    an adapter, for which nothing was calibrated."""

    prompt: int
    max_tokens: int
    images: int = 0
    audios: int = 0
    last_token: int | None = None
    bounded: bool = False
    adapted: bool = False
    graph: GraphRequest = field(default_factory=GraphRequest)

    @property
    def group(self) -> Group:
        """What calibration knows it as."""
        return group_of(kind for kind, count in (("image", self.images), ("audio", self.audios)) if count)


def facts_of(request: EngineRequest) -> RequestFacts:
    """The facts of an engine request."""
    kinds = [item.kind for item in request.media]
    return RequestFacts(
        prompt=len(request.prompt_ids),
        max_tokens=request.sampling.max_tokens,
        images=kinds.count("image"),
        audios=kinds.count("audio"),
        last_token=request.prompt_ids[-1] if request.prompt_ids else None,
        bounded=request.sampling.thinking is not None,
        adapted=request.adapter is not None,
        graph=request.graph or GraphRequest(),
    )


@dataclass(frozen=True)
class PlannerSettings:
    """The server's side. depths: layers at each exit that has a head, and at the end. think_ids: tokens that open a
    thought at a prompt's end. kv_kinds: policies that the runner can keep. drafts: drafting is worth offering."""

    depths: tuple[int, ...]
    policy: str = "auto"
    risk: float = 0.01
    kv: str = "auto"
    window: KVPolicy = field(default_factory=KVPolicy)
    kv_kinds: frozenset[KVKind] = frozenset({"full"})
    think_ids: frozenset[int] = frozenset()
    drafts: bool = True
    rules: RewriteRules = field(default_factory=RewriteRules)
    calibration: GraphFile | None = field(default=None, repr=False)

    @property
    def full(self) -> int:
        return self.depths[-1]

    @property
    def exits(self) -> tuple[int, ...]:
        return self.depths[:-1]


class Planner:
    """See the module's docstring. Stateless: any thread may call it."""

    def __init__(self, settings: PlannerSettings):
        self.settings = settings

    def plan(self, facts: RequestFacts) -> Plan:
        """The plan before prefill.

        Raises:
            InvalidRequestError: the client asks for what this model, its calibration or this server does not have.
        """
        graph = facts.graph
        exit_policy, reason = self._exit(facts)
        reasons = [reason]
        towers = frozenset(kind for kind, count in (("image", facts.images), ("audio", facts.audios)) if count)
        risk = self.settings.risk if graph.risk is None else graph.risk
        thought = None
        if self.opens_thought(facts):
            reasons.append("Enabling multi-step reasoning with CoT")
            thought = self._budget(facts, exit_policy, risk)
            if thought is not None:
                reasons.append(f"Thinking budget of {thought} tokens (nearly all useful thoughts end within it)")
        for line in reasons:
            logger.info(LOG, line)
        return Plan(towers, exit_policy, self._kv(graph), thought, tuple(reasons), risk)

    def check(self, facts: RequestFacts) -> None:
        """What `plan` would refuse, without making a plan or a log line.

        Raises:
            InvalidRequestError: see `plan`.
        """
        self._exit(facts)
        self._kv(facts.graph)

    def repeats(self, facts: RequestFacts) -> bool:
        """Whether a greedy answer is a matter of the request alone. With exits it may depend on the load (graph.gate:
        whether they are asked), and so it may on which pages are evicted, and when."""
        settings, graph, exit_policy = self.settings, facts.graph, self._exit(facts)[0]
        if exit_policy.kind == "confidence" or self._kv(graph).kind == "evict":
            return False
        if (graph.kv or settings.kv) == "auto" and "window" in settings.kv_kinds:
            return False  # a rewriter follows the use of memory
        risk = settings.risk if graph.risk is None else graph.risk
        if (graph.policy or settings.policy) != "auto" or exit_policy.kind == "fixed" or facts.adapted:
            return True
        # The probe may cap the depth, by a score that another batch rounds otherwise: at the bar, another depth.
        return settings.calibration is None or settings.calibration.bar_for(risk, facts.group) is None

    def refine(self, plan: Plan, scores: Sequence[float]) -> Plan:
        """Cap depth and thought by the probe's scores: for each of `settings.depths`, the probability that it is the
        least sufficient one; then log(1 + expected output tokens).

        Depth is capped only where no exits are open: thresholds and cap are each certified for the whole of the risk,
        which can be spent once."""
        depths = self.settings.depths
        calibration = self.settings.calibration
        plan = self._thought(plan, scores)
        if len(scores) < len(depths) or calibration is None or plan.exit.kind not in ("full", "lossless"):
            return plan
        bar = calibration.bar_for(plan.risk, group_of(plan.towers))
        if bar is None:
            return plan
        cap = choose_depth(dict(zip(depths, scores, strict=False)), bar)
        if cap >= (plan.exit.max_depth or self.settings.full):
            return plan
        enough = sum(score for depth, score in zip(depths, scores, strict=False) if depth <= cap)
        reason = f"Capping inference path at {cap} of {self.settings.full} layers (probe: {enough:.0%} sure)"
        logger.info(LOG, reason)
        return plan.because(reason, exit=ExitPolicy("fixed", cap))

    def _budget(self, facts: RequestFacts, policy: ExitPolicy, risk: float) -> int | None:
        """The thinking budget that calibration learned, for requests that accept its loss: those that leave early, and
        those whose depth alone the client named. A policy whose name is a promise has none, nor has a risk of 0."""
        calibration = self.settings.calibration
        if calibration is None or facts.bounded or facts.adapted or risk <= 0:
            return None
        open_depth = policy.kind == "fixed" and facts.graph.policy in (None, "auto")
        return calibration.thought if policy.kind == "confidence" or open_depth else None

    def _thought(self, plan: Plan, scores: Sequence[float]) -> Plan:
        """A thinking budget that fits the expected length, where the plan has one that fits all requests."""
        calibration = self.settings.calibration
        if calibration is None or calibration.thought_factor is None or plan.thinking_tokens is None:
            return plan
        if len(scores) <= len(self.settings.depths):
            return plan
        expected = math.expm1(min(20.0, max(0.0, scores[len(self.settings.depths)])))
        budget = max(LEAST_THOUGHT, round(calibration.thought_factor * expected))
        if budget >= plan.thinking_tokens:
            return plan
        reason = f"Thinking budget of {budget} tokens ({expected:.0f} tokens expected)"
        logger.info(LOG, reason)
        return plan.because(reason, cause=f"{expected:.0f} tokens expected", thinking_tokens=budget)

    def opens_thought(self, facts: RequestFacts) -> bool:
        """Whether the prompt ends in the middle of a thought."""
        return facts.last_token in self.settings.think_ids

    def rewriter(self, facts: RequestFacts) -> Rewriter | None:
        """What follows this request while it streams; None where the runner can keep no policy but `full`."""
        settings = self.settings
        if "window" not in settings.kv_kinds:
            return None
        model = settings.calibration.length if settings.calibration is not None else None
        precisions = tuple(kind for kind in ("int8", "fp8") if kind in settings.kv_kinds)
        pinned = (facts.graph.kv or settings.kv) != "auto"
        return Rewriter(replace(settings.rules, precisions=precisions), model, pinned=pinned)  # type: ignore[arg-type]

    def _exit(self, facts: RequestFacts) -> tuple[ExitPolicy, str]:
        settings, graph, adapted, group = self.settings, facts.graph, facts.adapted, facts.group
        kind = graph.policy or settings.policy
        if adapted and kind in ("auto", "confidence") and graph.policy != "confidence" and graph.risk is None:
            kind = "fixed" if graph.max_depth is not None else "lossless" if settings.drafts else "full"
        risk = settings.risk if graph.risk is None else graph.risk
        cap = self._cap(graph)
        if kind == "auto":
            kind = self._auto(risk, cap, graph, group)
        if kind == "full" and graph.policy is None and cap is not None:
            kind = "fixed"  # the server's policy gives way to the client's depth
        if kind == "fixed" and cap is None and graph.policy is not None:
            raise InvalidRequestError(
                f"policy fixed needs graph.max_depth: one of {_list(settings.depths)}", param="graph.max_depth"
            )
        full = settings.full
        depth = cap or full
        if kind == "lossless" and settings.exits and depth <= settings.exits[0]:
            kind = "fixed"  # no exit below it that could draft
        if kind == "full" or not settings.exits or (kind == "fixed" and depth == full):
            if graph.policy in ("confidence", "fixed") and not settings.exits:
                raise InvalidRequestError(
                    f"policy {graph.policy} needs exit heads, which this model lacks; use full", param="graph.policy"
                )
            return ExitPolicy("full"), f"Activating full inference path ({full} layers)"
        if kind == "fixed":
            return self._fixed(depth)
        if kind == "lossless":
            draft = settings.exits[0]
            policy = ExitPolicy("lossless", cap, draft_depth=draft, draft_length=graph.draft_length or 0)
            return policy, f"Activating lossless inference path (drafts after {draft} of {depth} layers)"
        return self._confidence(risk, cap, group, explicit=graph.policy == "confidence" or graph.risk is not None)

    def _fixed(self, depth: int) -> tuple[ExitPolicy, str]:
        return ExitPolicy("fixed", depth), f"Activating fixed inference path ({depth} of {self.settings.full} layers)"

    def _auto(self, risk: float, cap: int | None, graph: GraphRequest, group: Group) -> str:
        calibration = self.settings.calibration
        if cap is not None and (calibration is None or graph.risk is None):
            return "fixed"  # the client knows how deep; nothing else was asked
        if calibration is not None and risk > 0 and calibration.thresholds_for(risk, group) is not None:
            return "confidence"
        if graph.risk and (calibration is None or not calibration.certifies(risk)):
            return "confidence"  # asked for by its risk: the refusal explains
        return "lossless" if self.settings.drafts and self.settings.exits else "full"

    def _confidence(self, risk: float, cap: int | None, group: Group, *, explicit: bool) -> tuple[ExitPolicy, str]:
        settings, calibration = self.settings, self.settings.calibration
        found = None if calibration is None else calibration.thresholds_for(risk, group)
        if found is None:
            if explicit:
                param = "graph.policy" if calibration is None else "graph.risk"
                raise InvalidRequestError(self._uncertified(risk, group), param=param)
            why = _UNCALIBRATED if calibration is None else self._uncertified(risk, group)
            return ExitPolicy("full"), f"Activating full inference path ({settings.full} layers): {why}"
        certified, thresholds = found
        depth = cap or settings.full
        thresholds = {d: t for d, t in thresholds.items() if d in settings.exits and d < depth}
        if not thresholds and depth < settings.full:
            return self._fixed(depth)
        # What was certified is what leaving early loses against the whole decoder.
        whole = depth == settings.full
        claim = f"risk {certified:g}" if whole else f"a risk certified against {settings.full} layers covers no cap"
        reason = f"Activating confidence exits after {_list(tuple(thresholds))} of {depth} layers ({claim})"
        return ExitPolicy("confidence", cap, thresholds), reason

    def _uncertified(self, risk: float, group: Group) -> str:
        calibration = self.settings.calibration
        if calibration is None:
            return _UNCALIBRATED
        rules = calibration.groups.get(group)
        known = [r for r, t in sorted((rules or calibration).thresholds.items()) if t]
        whose = "" if rules is None else f" and {group} requests"
        return (
            f"no exits are certified for a risk of {risk:g}{whose}; certified are {_list(known) or 'none'}; or use "
            "lossless"
        )

    def _cap(self, graph: GraphRequest) -> int | None:
        """The client's depth, moved to the next exit behind it."""
        wanted, depths = graph.max_depth, self.settings.depths
        if wanted is None:
            return None
        if not 1 <= wanted <= depths[-1]:
            raise InvalidRequestError(
                f"graph.max_depth is {wanted}; this model has {depths[-1]} layers and can be left after "
                f"{_list(self.settings.exits) or 'none of them but the last'}",
                param="graph.max_depth",
            )
        return next(depth for depth in depths if depth >= wanted)

    def _kv(self, graph: GraphRequest) -> KVPolicy:
        kind = graph.kv or self.settings.kv
        if kind == "auto":
            kind = "full"  # to begin with: the rewriter changes it when the answer turns out to be long
        if kind not in self.settings.kv_kinds:
            raise InvalidRequestError(
                f"KV policy {kind!r} is not available on this server; choose auto, "
                f"{', '.join(sorted(self.settings.kv_kinds))}",
                param="graph.kv",
            )
        base = self.settings.window
        return replace(
            base,
            kind=kind,  # type: ignore[arg-type]
            window=graph.kv_window or base.window,
            budget=graph.kv_budget or base.budget,
        )


_UNCALIBRATED = (
    "this model's exits are not calibrated (autoglm-phone exits calibrate); use lossless, or fixed with a max_depth"
)


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
