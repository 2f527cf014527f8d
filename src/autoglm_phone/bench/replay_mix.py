"""The depth mix that `benchmarks/segment_replay.py` replays: segments per token, as the mini model's traces say.

A request is recorded twice, greedily, through the engine: under `confidence` at a stated risk (segments that each token
ran, one digit a token) and under `lossless` (of each step, tokens that came of it and drafts).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autoglm_phone.engine.planning import PlannerLike, Planning
from autoglm_phone.errors import AutoGLMError, CheckpointError, ConfigError, EngineError
from autoglm_phone.graph.groups import GROUPS
from autoglm_phone.graph.plan import ExitPolicy, GraphRequest, Plan
from autoglm_phone.graph.planner import RequestFacts, facts_of

VERSION = 2
MAX_TOKENS = 192  # of an answer: enough for all but a few of the fixed set
DRAFTS = 4  # a step of `lossless`: fixed, as the controller's choice depends on the recording machine's speed


@dataclass(frozen=True)
class DepthMix:
    """ends: layers after each segment of the recorded model. confidence: per request, segments of each token.
    lossless: per request, (tokens, drafts) of each step. thresholds: by group of requests and exit depth, none for a
    group that certifies nothing; certified: that they were calibrated for exactly these weights and this risk."""

    model: str
    ends: tuple[int, ...]
    risk: float
    thresholds: dict[str, dict[int, float]]
    certified: bool
    confidence: tuple[tuple[int, ...], ...]
    lossless: tuple[tuple[tuple[int, int], ...], ...]

    @property
    def num_segments(self) -> int:
        return len(self.ends)

    @property
    def shares(self) -> list[float]:
        """Share of the tokens of `confidence` that leave after each segment."""
        counts = [sum(request.count(n + 1) for request in self.confidence) for n in range(self.num_segments)]
        return [count / max(1, sum(counts)) for count in counts]

    def save(self, path: Path) -> None:
        raw = asdict(self)
        raw["version"] = VERSION
        raw["confidence"] = ["".join(map(str, request)) for request in self.confidence]
        raw["lossless"] = [" ".join(f"{t}/{d}" for t, d in request) for request in self.lossless]
        path.write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")


def read_mix(path: Path) -> DepthMix:
    """Raises CheckpointError for a file that is missing or broken."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["version"] != VERSION:
            raise ValueError(f"version {raw['version']!r} is not {VERSION}")
        mix = DepthMix(
            model=str(raw["model"]),
            ends=tuple(int(end) for end in raw["ends"]),
            risk=float(raw["risk"]),
            thresholds={
                str(group): {int(depth): float(value) for depth, value in table.items()}
                for group, table in raw["thresholds"].items()
            },
            certified=bool(raw["certified"]),
            confidence=tuple(tuple(int(digit) for digit in request) for request in raw["confidence"]),
            lossless=tuple(tuple(_step(word) for word in request.split()) for request in raw["lossless"]),
        )
        if not all(1 <= n <= mix.num_segments for request in mix.confidence for n in request):
            raise ValueError("a token ran more segments than there are")
        if not mix.confidence or not mix.lossless or not all((*mix.confidence, *mix.lossless)):
            raise ValueError("a request without tokens")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} can't be read as a depth mix: {error}; make it with --record") from error
    return mix


def _step(word: str) -> tuple[int, int]:
    tokens, drafts = map(int, word.split("/"))
    if not 1 <= tokens <= drafts + 1:
        raise ValueError(f"{tokens} tokens of {drafts} drafts")
    return tokens, drafts


class _Confident(PlannerLike):
    """Stands in for the planner: `confidence` with its group's thresholds, `lossless` with drafts of one length."""

    def __init__(self, thresholds: dict[str, dict[int, float]], draft_depth: int):
        self.thresholds = thresholds
        self.lossless = ExitPolicy("lossless", None, draft_depth=draft_depth, draft_length=DRAFTS)

    def plan(self, facts: RequestFacts) -> Plan:
        if facts.graph.policy == "lossless":
            return Plan(exit=self.lossless)
        return Plan(exit=ExitPolicy("confidence", None, self.thresholds[facts.group]))


def record(
    model: Path, risk: float, thresholds_from: Path | None, limit: int | None, say: Callable[[str], None] = print
) -> DepthMix:
    """Answer the fixed 100 samples (or the first `limit`) with the model in `model`, on the CPU.

    Args:
        thresholds_from: a graph.json whose thresholds are taken even if they were made for other weights; None takes
            those beside the weights.

    Raises:
        ConfigError: there are no thresholds for this risk.
    """
    from autoglm_phone.bench import fixed
    from autoglm_phone.bench.world import messages
    from autoglm_phone.chat.load import load_service
    from autoglm_phone.config import EngineConfig
    from autoglm_phone.graph.graph_file import NAME, read_graph_file, weights_digest
    from autoglm_phone.media.load import MediaLimits

    source = thresholds_from or model / NAME
    calibration, digest = read_graph_file(source), weights_digest(model)
    if not calibration.certifies(risk):
        raise ConfigError(f"{source} has no thresholds for a risk of {risk:g}", param="risk")
    config = EngineConfig(threads=1, device="cpu", enable_prefix_caching=False)
    engines: list[Any] = []

    def keep(engine: Any) -> Any:
        engines.append(engine)
        return engine

    limits = MediaLimits(max_images=256, max_audios=256, max_seconds=3600.0)
    service = load_service(model, config, wrap=keep, media_limits=limits, trusted_media=True)
    engine = engines[0]
    layout = engine.runner.layout
    found = {group: calibration.thresholds_for(risk, group) for group in GROUPS}
    thresholds: dict[str, dict[int, float]] = {group: rule[1] if rule else {} for group, rule in found.items()}
    planner = _Confident(thresholds, min(layout.exits))
    engine.planning = Planning(config, planner, facts_of)
    confidence, lossless = [], []
    for nth, sample in enumerate(fixed.load(fixed.FOLDER)[:limit]):
        try:
            prompt = service.prompts.chat(messages(sample), tools=(), enable_thinking=True)
            traces = {kind: _trace(engine, prompt, kind) for kind in ("confidence", "lossless")}
        except AutoGLMError as error:
            say(f"{sample.category} {sample.index} left out: {error.message}")
            continue
        confidence.append(tuple(layout.ends.index(depth) + 1 for depth in traces["confidence"]["depths"]))
        lossless.append(tuple((tokens, drafts) for tokens, drafts, _ in traces["lossless"]["drafts"]))
        if nth % 10 == 9:
            say(f"{nth + 1} samples")
    certified = calibration.model == digest
    pairs = [(c, d) for c, d in zip(confidence, lossless, strict=True) if c and d]
    if not pairs:
        raise EngineError("no request gave a trace")
    return DepthMix(
        model=digest,
        ends=tuple(layout.ends),
        risk=max(rule[0] for rule in found.values() if rule),
        thresholds=thresholds,
        certified=certified,
        confidence=tuple(c for c, _ in pairs),
        lossless=tuple(d for _, d in pairs),
    )


def _trace(engine: Any, prompt: Any, kind: str) -> dict[str, Any]:
    """The trace of a greedy answer."""
    from autoglm_phone.engine.request import EngineRequest, SamplingParams

    left = engine.runner.max_model_len - len(prompt.ids)
    sampling = SamplingParams(temperature=0.0, max_tokens=min(MAX_TOKENS, left))
    graph = GraphRequest(policy=kind, trace=True)  # type: ignore[arg-type]
    engine.add_request(EngineRequest(kind, prompt.ids, sampling, prompt.media, graph=graph))
    trace: dict[str, Any] = {}
    while engine.has_work():
        for output in engine.step():
            if output.finish_reason == "error":
                raise EngineError(output.error or "the engine failed on this request")
            trace = output.graph or trace
    return trace
