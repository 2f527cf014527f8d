"""Adapters beside the base: against merged weights and explicit W + B A, mixed in one batch, with media, preemption,
chunked prefill, drafts."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter_cases import ATTENTION, PROMPT, of, write_adapter
from autoglm_phone.backends.adapters import NONE, AdapterRows, LowRank, runs_of
from autoglm_phone.backends.quantized import pack
from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.core import Engine
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.request import EngineRequest, SamplingParams
from autoglm_phone.graph.plan import GraphRequest
from autoglm_phone.graph.planner import Planner, PlannerSettings, facts_of
from autoglm_phone.models.glm4v.reference import make_tiny_checkpoint
from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration
from autoglm_phone.train.merge import merge
from native_cases import Case, check, clip, engine_for, picture, run, save_case
from quantized_cases import Widths, write_quantized


@dataclass(frozen=True)
class Served:
    """A base, two adapters on it, and by name the weights that each must be equal to."""

    base: Case
    adapters: dict[str, Path]
    merged: dict[str | None, Case]

    def engine(self, **fields) -> Engine:
        return engine_for(self.base, **{"lora_modules": self.adapters, **fields})

    def check(self, requests: list[EngineRequest], result) -> None:
        """Each request's logits against the weights of its adapter, merged."""
        for request in requests:
            own = replace(result, logits=[part for part in result.logits if part[0] == request.request_id])
            assert own.logits
            check(self.merged[request.adapter], [request], own)


def _served(folder: Path, base: Path) -> Served:
    def case(path: Path) -> Case:
        return Case(path, AutoGLMPhoneForConditionalGeneration.from_pretrained(path, dtype=torch.float32).eval())

    adapters = {
        "a": write_adapter(folder / "a", base, 1),
        "b": write_adapter(folder / "b", base, 2, ATTENTION, rank=7, alpha=9.0, use_rslora=True),
    }
    merged = {name: case(merge(path, folder / f"m-{name}", dtype="float32")) for name, path in adapters.items()}
    zero = write_adapter(folder / "zero", base, 3, alpha=0.0)  # merges to the (dequantized) base
    plain = case(merge(zero, folder / "m-zero", dtype="float32"))
    return Served(Case(base, plain.model), adapters, {None: plain, **merged})


@pytest.fixture(scope="module", params=["float", "int4"])
def served(request, tmp_path_factory) -> Served:
    folder = tmp_path_factory.mktemp(request.param)
    base = save_case(folder / "float").folder
    if request.param == "int4":
        base = write_quantized(base, folder / "int4", Widths(4, 3))
    return _served(folder, base)


def traffic() -> list[EngineRequest]:
    """Base, a and b in turn, with and without media, prompts of every length."""
    names = itertools.cycle([None, "a", "b", "a"])
    requests = []
    for index in range(8):
        prompt = [20 + (7 * index + 3 * i) % 100 for i in range(3 + 4 * index)]
        media = [picture(1, 2, index % 2, 1)] if index % 3 == 0 else [clip(9, index, 2)] if index % 3 == 1 else []
        requests.append(of(next(names), f"r{index}", prompt, media, max_tokens=5 + index))
    return requests


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(st.integers(NONE, 3), min_size=1, max_size=40),
    ranks=st.lists(st.integers(0, 5), min_size=4, max_size=4),
    seed=st.integers(0, 99),
)
def test_rows_get_their_own_adapter_and_no_other(numbers: list[int], ranks: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)

    def random(*size: int) -> torch.Tensor:
        return torch.randn(size, generator=generator)

    low = LowRank(tuple((random(6, rank), random(rank, 5)) if rank else None for rank in ranks))
    x, y = random(len(numbers), 6), random(len(numbers), 5)
    x[[row for row, number in enumerate(numbers) if number == NONE]] = torch.inf  # may not reach other rows
    made = y.clone()
    rows = AdapterRows(runs_of(numbers), torch.device("cpu"))
    rows.add(low, x, made)
    for row, number in enumerate(numbers):
        pair = None if number == NONE else low.pairs[number]
        if pair is None:
            assert torch.equal(made[row], y[row])
        else:
            assert torch.allclose(made[row], y[row] + x[row] @ pair[0] @ pair[1], atol=1e-5)
    some = [(0, 1), (len(numbers) // 2, len(numbers))] if len(numbers) > 2 else [(0, len(numbers))]
    taken = [row for first, end in some for row in range(first, end)]
    part = y[taken]
    rows.among(some).add(low, x[taken], part)
    assert torch.allclose(part, made[taken], atol=1e-5)


@pytest.mark.parametrize("activation_bits", [None, 8])
def test_beside_a_packed_linear(activation_bits: int | None, tmp_path: Path) -> None:
    from autoglm_phone.runner.quantized import open_weights, read_quantization

    base = save_case(tmp_path / "float").folder
    widths = Widths(8 if activation_bits else 4, 8, symmetric=True, activation_bits=activation_bits)
    folder = write_quantized(base, tmp_path / "packed", widths)
    weight = open_weights(folder, read_quantization(folder)).get("model.layers.0.mlp.down_proj.weight")
    handle = pack(weight, None, torch.device("cpu"), torch.float32)
    x, a, b = torch.randn(9, weight.columns), torch.randn(weight.columns, 3), torch.randn(3, weight.shape[0])
    y = handle.multiply(x)
    AdapterRows([(0, 2, NONE), (2, 9, 0)], x.device).add(LowRank(((a, b),)), x, y)
    expected = x @ weight.dequantize().T + torch.cat([torch.zeros(2, weight.shape[0]), x[2:] @ a @ b])
    # Inputs in 8 bits are off by half a step of 1/127.5 of the largest: the adapter reads them as they are.
    slack = (
        1e-4
        if activation_bits is None
        else 0.5 * float(x.abs().max()) / 127.5 * float(weight.dequantize().abs().sum(1).max())
    )
    assert float((y - expected).abs().max()) <= slack


@pytest.mark.parametrize(
    ("fields", "preempts"),
    [
        ({}, False),
        ({"max_num_batched_tokens": 5}, False),
        ({"tokens": 64, "max_num_batched_tokens": 16}, True),
        ({"dynamic_graph": False, "enable_prefix_caching": False}, False),
        ({"offload_segments": True}, False),
    ],
)
def test_mixed_batches_equal_merged_weights(served: Served, fields: dict, preempts: bool) -> None:
    engine = served.engine(**fields)
    requests = traffic()
    result = run(engine, requests, [0, 0, 1, 1, 2, 3, 3, 4])
    served.check(requests, result)
    assert bool(engine.stats().preemptions) == preempts
    alone = {r.request_id: run(served.engine(), [r]).tokens(r.request_id) for r in requests[:3]}
    assert alone == {name: result.tokens(name) for name in alone}
    assert len({tuple(tokens) for tokens in alone.values()}) == 3


@pytest.mark.parametrize("how", ["static buffers", "norms that are not folded"])
def test_what_another_backend_does(served: Served, how: str, monkeypatch) -> None:
    """Passes with adapters leave the static buffers of CUDA graphs alone; without folding nothing is folded."""
    from autoglm_phone.backends.torch_backend import TorchBackend
    from autoglm_phone.runner import load as loading

    if how == "static buffers":
        monkeypatch.setattr(loading, "graphs_fit", lambda *_, **__: True)
    else:
        monkeypatch.setattr(TorchBackend, "folds", property(lambda _: False, lambda *_: None), raising=False)
    engine = served.engine()
    requests = traffic()
    served.check(requests, run(engine, requests))
    if how == "static buffers":
        before = engine.runner.decoder.graphed  # type: ignore[attr-defined]
        served.check([plain := of(None, "plain", PROMPT)], run(engine, [plain]))
        middle = engine.runner.decoder.graphed  # type: ignore[attr-defined]
        served.check([adapted := of("a", "adapted", PROMPT)], run(engine, [adapted]))
        assert before < middle == engine.runner.decoder.graphed  # type: ignore[attr-defined]


def test_drafts_of_an_adapter_are_verified_by_it(served: Served) -> None:
    engine = served.engine()
    requests = [
        replace(request, graph=GraphRequest(policy="lossless", draft_length=2 if index % 2 else None))
        for index, request in enumerate(traffic())
    ]
    served.check(requests, run(engine, requests))


def test_rows_of_the_base_have_the_very_bits(served: Served) -> None:
    fields = {"dynamic_graph": False, "enable_prefix_caching": False}
    requests = [of(None, f"r{i}", [20 + i, *PROMPT], max_tokens=8) for i in range(6)]
    without = run(engine_for(served.base, **fields), requests)
    loaded = run(served.engine(**fields), requests)
    mixed = [replace(r, adapter=[None, "a", "b"][i % 3]) for i, r in enumerate(requests)]
    beside = run(served.engine(**fields), mixed)

    def bits(result, name: str) -> list[torch.Tensor]:
        return [rows for own, _, rows in result.logits if own == name]

    for request in mixed:
        name = request.request_id
        assert all(map(torch.equal, bits(without, name), bits(loaded, name)))
        same = all(map(torch.equal, bits(without, name), bits(beside, name)))
        assert same == (request.adapter is None)


def test_pages_are_shared_within_an_adapter_only(served: Served) -> None:
    engine = served.engine()
    cached = []
    requests = [of(adapter, f"r{i}", PROMPT) for i, adapter in enumerate([None, "a", "b", None, "a", "b"])]
    for request in requests:
        result = run(engine, [request])
        cached.append(result.outputs[request.request_id][0].cached_tokens)
        served.check([request], result)
    assert cached[:3] == [0, 0, 0]
    assert min(cached[3:]) > 0


def test_a_picture_is_seen_through_each_adapter(served: Served) -> None:
    """Keys and values of cross-attention are cached: by adapter where it changes them, else the base's."""
    engine = served.engine()
    requests = [of(name, f"r{i}", PROMPT, [picture(1, 2, 0, 3)]) for i, name in enumerate([None, "a", "b", "a"])]
    for request in requests:
        served.check([request], run(engine, [request]))
    memories = engine.runner.memories  # type: ignore[attr-defined]
    assert len(memories.cache) == 2  # the base's, which b shares, and a's


def test_glm4v_by_pefts_names(tmp_path: Path) -> None:
    base = make_tiny_checkpoint(tmp_path / "float")
    adapter = write_adapter(tmp_path / "a", base, 5)
    merged = merge(adapter, tmp_path / "merged", dtype="float32")
    config = EngineConfig(dtype="float32", device="cpu", kv_cache_memory=8 << 20)
    request = EngineRequest("x", tuple(range(10, 40)), SamplingParams(max_tokens=6, temperature=0.0, ignore_eos=True))
    one = run(load_engine(merged, config), [request])
    both = run(
        load_engine(base, replace(config, lora_modules={"a": adapter})),
        [replace(request, adapter="a"), replace(request, request_id="y")],
    )
    assert one.tokens("x") == both.tokens("x")
    assert both.tokens("x") != both.tokens("y")
    for (_, first, rows), (_, other, made) in zip(
        one.logits, [part for part in both.logits if part[0] == "x"], strict=True
    ):
        assert first == other
        assert float((rows - made).abs().max()) <= 1e-4


def test_nothing_that_was_calibrated_for_the_base_decides_for_an_adapter() -> None:
    class Certified:
        """A calibration that would let every request leave early."""

        thought = 7

        def thresholds_for(self, risk: float, group: str):
            return risk, {6: 0.5}

    settings = PlannerSettings(depths=(6, 24), calibration=Certified(), think_ids=frozenset({1}))  # type: ignore[arg-type]
    plain = EngineRequest("r", (5, 1), SamplingParams())
    adapted = replace(plain, adapter="a")
    for policy in ("auto", "confidence"):
        planner = Planner(replace(settings, policy=policy))
        assert planner.plan(facts_of(plain)).exit.kind == "confidence"
        plan = planner.plan(facts_of(adapted))
        assert (plan.exit.kind, plan.thinking_tokens) == ("lossless", None)
        assert planner.plan(facts_of(replace(adapted, graph=GraphRequest(max_depth=6)))).exit.kind == "fixed"
        forced = replace(adapted, graph=GraphRequest(policy="confidence"))
        assert planner.plan(facts_of(forced)).exit.kind == "confidence"
    full = Planner(replace(settings, drafts=False)).plan(facts_of(adapted))
    assert full.exit.kind == "full"
