"""Shared by the tests of deferred depth: models of both families with exits, reference logits by depth, a driver."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.core import Engine
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.planning import PlannerLike
from autoglm_phone.engine.request import EngineRequest, MediaItem, StepOutput, ThinkingBudget
from autoglm_phone.graph.plan import ExitPolicy, Plan
from autoglm_phone.models.glm4v.model import Glm4vModel, Prompt
from autoglm_phone.models.glm4v.reference import make_tiny_checkpoint
from autoglm_phone.runner.weights import ExitWeights
from native_cases import save_case

TOLERANCE = 1e-4
RANK = 8


class Even:
    """A grammar of even tokens, of a vocabulary of 160."""

    finished = False

    def new(self):
        return self

    def fill_mask(self):
        return [token % 2 == 0 for token in range(160)]

    def accept(self, token):
        return token % 2 == 0


class FixedPlans(PlannerLike):
    """A planner whose plans are written down beforehand, by request id; `full` for the others."""

    def __init__(self) -> None:
        self.policies: dict[str, ExitPolicy] = {}
        self.refined: dict[str, ExitPolicy] = {}
        self.scores: dict[str, tuple[float, ...]] = {}

    def plan(self, facts: EngineRequest) -> Plan:
        return Plan(exit=self.policies.get(facts.request_id, ExitPolicy()), reasons=(facts.request_id,))

    def refine(self, plan: Plan, scores: tuple[float, ...]) -> Plan:
        name = plan.reasons[0]
        self.scores[name] = scores
        if name not in self.refined:
            return plan
        return plan.because("the probe said so", exit=self.refined[name])


class NativeDepths:
    """The native reference. `logits` gives those of every token at every exit: {depth: [L, V]}."""

    def __init__(self, case: Any):
        self.case, self.folder = case, case.folder

    def install(self, engine: Engine) -> None: ...

    def logits(self, tokens: list[int], media: tuple[MediaItem, ...]) -> dict[int, Tensor]:
        """Runs the reference once; the exits read the boundary states that the full-depth run leaves."""
        model = self.case.model
        seen: dict[int, Tensor] = {}

        def keep(module: Any, args: Any, output: dict[int, Tensor]) -> None:
            seen.update(output)

        hook = model.model.register_forward_hook(keep)
        try:
            self.case.logits(tokens, media)
        finally:
            hook.remove()
        with torch.no_grad():
            return {d: model.lm_head(model.model.head_state(state, d))[0] for d, state in seen.items()}


class Glm4vDepths(Glm4vModel):
    """The plain GLM-4.1V forward, with random exit heads after every segment: nothing else in the family has any."""

    def install(self, engine: Engine) -> None:
        runner: Any = engine.runner
        decoder = runner.decoder
        backend, weights, hidden = decoder.backend, decoder.weights, decoder.spec.hidden_size
        generator = torch.Generator().manual_seed(11)
        self.heads = {}
        exits = {}
        for _, depth in decoder.spec.segments[:-1]:
            norm = 1 + 0.2 * torch.randn(hidden, generator=generator)
            down = torch.randn(RANK, hidden, generator=generator) / hidden**0.5
            up = torch.randn(hidden, RANK, generator=generator) / RANK**0.5
            self.heads[depth] = (norm, down, up)
            exits[depth] = ExitWeights(
                backend.pack_norm(norm), backend.pack_linear(down, None), backend.pack_linear(up, None)
            )
        norm = backend.pack_norm(self.text["model.norm.weight"])
        head = backend.pack_linear(self.text["lm_head.weight"], None)
        decoder.weights = replace(weights, exits=exits, norm=norm, head=head)
        runner.layout = replace(runner.layout, exits=frozenset(exits))

    def logits(self, tokens: list[int], media: tuple[MediaItem, ...]) -> dict[int, Tensor]:
        self.boundaries: dict[int, Tensor] = {}
        out = {self.shape.text.num_layers: self([Prompt(tuple(tokens), tuple(m.data for m in media))])[0]}
        for depth, (norm, down, up) in self.heads.items():
            x = self.boundaries[depth]
            x = norm * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.shape.text.rms_norm_eps))
            out[depth] = F.linear(x + F.linear(F.linear(x, down), up), self.text["lm_head.weight"])
        return out

    def _embed(self, prompt: Prompt) -> tuple[Tensor, Tensor]:
        """Image tokens that the model wrote itself stand for nothing."""
        plain = Prompt([0 if token == self.shape.image_token_id else token for token in prompt.ids])
        if prompt.images:
            return super()._embed(prompt)
        _, places = super()._embed(plain)
        return F.embedding(torch.tensor(list(prompt.ids)), self.text["model.embed_tokens.weight"]), places

    def _layer(self, x: Tensor, name: str, *args: Any) -> Tensor:
        x = super()._layer(x, name, *args)
        self.boundaries[int(name.split(".")[2]) + 1] = x
        return x


def make_agreeing(case: Any) -> NativeDepths:
    """A native case whose deeper layers change little, so that exits are often right and often wrong."""
    model = case.model
    with torch.no_grad():
        for layer in model.model.layers[1:]:
            for name in ("post_self_attn_layernorm", "post_mlp_layernorm"):
                getattr(layer, name).weight.mul_(0.2)
            if layer.cross_attn is not None:
                layer.cross_attn.gate.mul_(0.2)
        for head in model.model.exits.values():
            head.up.weight.mul_(0.1)
            head.norm.weight.copy_(model.model.norm.weight)
    model.save_pretrained(case.folder)
    return NativeDepths(case)


def make_glm4v(folder: Path) -> Glm4vDepths:
    model = Glm4vDepths.from_folder(make_tiny_checkpoint(folder, seed=1))
    model.folder = folder  # type: ignore[attr-defined]
    return model  # type: ignore[return-value]


# Fixtures, each named by the variable that a test file gives it.

SLIDING = {"layer_types": ["full_attention", "sliding_attention"] * 3, "sliding_window": 7, "attention_sinks": 2}


def native_fixture(*, agreeing: bool = True, **fields: Any) -> Any:
    """A native case of six layers, exits after 1, 3 and 5 of them. fields: of its configuration."""

    @pytest.fixture(scope="module")
    def native(tmp_path_factory) -> NativeDepths:
        case = save_case(tmp_path_factory.mktemp("native"), **fields)
        return make_agreeing(case) if agreeing else NativeDepths(case)

    return native


def glm4v_fixture() -> Any:
    """Segments of one layer, four of them."""

    @pytest.fixture(scope="module")
    def glm4v(tmp_path_factory):
        return make_glm4v(tmp_path_factory.mktemp("glm4v"))

    return glm4v


def each_of(*names: str) -> Any:
    """These fixtures, one after the other."""

    @pytest.fixture(params=names)
    def each(request):
        return request.getfixturevalue(request.param)

    return each


def each_named(*names: str) -> Any:
    """The same, with their names."""

    @pytest.fixture(params=names)
    def each(request) -> tuple[str, Any]:
        return request.param, request.getfixturevalue(request.param)

    return each


def engine_for(reference: Any, planner: FixedPlans | None = None, **fields: Any) -> Engine:
    defaults = {"page_size": 4, "kv_cache_memory": 4 << 20, "dtype": "float32", "device": "cpu"}
    engine = load_engine(reference.folder, EngineConfig(**{**defaults, **fields}))
    engine.planning.planner = planner
    engine.planning.facts_of = lambda request: request
    reference.install(engine)
    return engine


@dataclass
class Record:
    """What came out, and the logits behind it. read: (request, position, depth, logits [V]) of every emitted token;
    rows: (request, first position, [rows, V]) of all that went through the last segment."""

    outputs: dict[str, list[StepOutput]] = field(default_factory=dict)
    read: list[tuple[str, int, int, Tensor]] = field(default_factory=list)
    rows: list[tuple[str, int, Tensor]] = field(default_factory=list)

    def tokens(self, name: str) -> list[int]:
        return [token for output in self.outputs.get(name, []) for token in output.token_ids]

    def depths(self, name: str) -> list[int]:
        graph = self.outputs[name][-1].graph
        assert graph is not None
        return graph["depths"]


def watch(engine: Engine, record: Record) -> None:
    cascade = engine.runner.cascade  # type: ignore[attr-defined]
    cascade.exit_probe = lambda *seen: record.read.append(seen)
    cascade.probe = lambda *seen: record.rows.append(seen)


def step(engine: Engine, record: Record) -> None:
    for output in engine.step():
        record.outputs.setdefault(output.request_id, []).append(output)
    engine.scheduler.check()


def drive(engine: Engine, requests: list[EngineRequest], arrivals: list[int] | None = None) -> Record:
    """arrivals: at which step each request comes."""
    record = Record()
    watch(engine, record)
    pending = sorted(zip(arrivals or [0] * len(requests), requests, strict=True), key=lambda pair: pair[0])
    count = 0
    while pending or engine.has_work():
        while pending and pending[0][0] <= count:
            engine.add_request(pending.pop(0)[1])
        step(engine, record)
        count += 1
        assert count < 5000, "no progress"
    return record


def check(reference: Any, requests: list[EngineRequest], record: Record) -> None:
    """Every token's logits equal the reference's at the depth where it was read, and greedy tokens are their maximum;
    whatever reached the last segment equals the whole reference."""
    truths = {}
    for request in requests:
        assert all(output.error is None for output in record.outputs.get(request.request_id, [])), request.request_id
        tokens = [*request.prompt_ids, *record.tokens(request.request_id)]
        truths[request.request_id] = (tokens, reference.logits(tokens, request.media), request)
    for name, position, depth, logits in record.read:
        if name not in truths:
            continue
        tokens, truth, request = truths[name]
        if position >= len(tokens) - 1 and record.outputs[name][-1].finish_reason == "abort":
            continue
        expected = truth[depth][position]
        assert float((logits - expected).abs().max()) <= TOLERANCE, (name, position, depth)
        if request.sampling.temperature == 0 and position + 1 < len(tokens):
            assert float(expected.max() - expected[tokens[position + 1]]) <= TOLERANCE, (name, position, depth)
    whole = max(next(iter(truths.values()))[1]) if truths else 0
    for name, first, rows in record.rows:
        if name in truths:
            tokens, truth, _ = truths[name]
            expected = truth[whole][first : first + rows.shape[0]]
            assert float((rows[: expected.shape[0]] - expected).abs().max()) <= TOLERANCE, (name, first)


# Sampling of every kind that must not notice how deep its tokens ran.
SAMPLED = [
    {"temperature": 1.0, "seed": 5},
    {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "seed": 6, "logprobs": 2},
    {"temperature": 1.3, "min_p": 0.05, "repetition_penalty": 1.3, "frequency_penalty": 0.4, "seed": 7},
    {"temperature": 0.0, "presence_penalty": 0.9, "repetition_penalty": 1.2, "min_tokens": 8, "ignore_eos": False},
    {"temperature": 0.9, "seed": 8, "thinking": ThinkingBudget((15, 16), max_tokens=7)},
    {"temperature": 0.0, "thinking": ThinkingBudget((15, 16), max_tokens=4), "logit_bias": {40: 2.0, 41: 1.5}},
    {"temperature": 0.0, "stop_token_ids": frozenset(range(60, 75)), "logprobs": 1},
]


def same_logprobs(ours: Record, theirs: Record, name: str) -> None:
    """Both records say the same of every token of a request."""
    pairs = zip(
        [entry for output in ours.outputs[name] for entry in output.logprobs],
        [entry for output in theirs.outputs[name] for entry in output.logprobs],
        strict=True,
    )
    for mine, other in pairs:
        assert (mine.token_id, len(mine.top)) == (other.token_id, len(other.top))
        assert mine.logprob == pytest.approx(other.logprob, abs=1e-4)
