"""Adapters beside the base: against merged weights and explicit W + B A, mixed in one batch, with media, preemption,
chunked prefill, drafts; what is refused; and over HTTP."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import openai
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from adapter_cases import ALL, ATTENTION, write_adapter
from autoglm_phone.api.app import create_app
from autoglm_phone.api.config import ServeConfig, read_lora_modules
from autoglm_phone.api.serve import load
from autoglm_phone.backends.adapters import NONE, AdapterRows, LowRank, runs_of
from autoglm_phone.backends.quantized import pack
from autoglm_phone.cli import app
from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.core import Engine
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.request import EngineRequest, SamplingParams
from autoglm_phone.errors import AutoGLMError, CheckpointError, ConfigError, InvalidRequestError
from autoglm_phone.graph.plan import GraphRequest
from autoglm_phone.graph.planner import Planner, PlannerSettings, facts_of
from autoglm_phone.llm import LLM
from autoglm_phone.models.glm4v.reference import make_tiny_checkpoint
from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration
from autoglm_phone.train.merge import merge
from conftest import Running, run_server
from native_cases import Case, check, clip, engine_for, make_request, picture, run, save_case
from quantized_cases import Widths, write_quantized
from test_api_audio import wav
from test_api_streams import wait_until

PROMPT = list(range(20, 50))


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


def of(adapter: str | None, name: str, prompt: list[int], media=(), **sampling) -> EngineRequest:
    return replace(make_request(name, prompt, list(media), **sampling), adapter=adapter)


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
    # Inputs in 8 bits are off by half a step of 1/127 of the largest: the adapter reads them as they are.
    slack = (
        1e-4
        if activation_bits is None
        else 0.5 * float(x.abs().max()) / 127 * float(weight.dequantize().abs().sum(1).max())
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

        def thresholds_for(self, risk: float):
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


# What is refused


def _config(folder: Path, **fields) -> Path:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    return folder


def _tensors(folder: Path, change) -> Path:
    path = folder / "adapter_model.safetensors"
    save_file(change(load_file(path)), path)
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    return save_case(tmp_path_factory.mktemp("plain")).folder


REFUSED = {
    "missing": (lambda f: f.joinpath("adapter_model.safetensors").unlink(), "holds no adapters"),
    "dora": (lambda f: _config(f, use_dora=True), "use_dora"),
    "bias": (lambda f: _config(f, bias="all"), "biases"),
    "saved": (lambda f: _config(f, modules_to_save=["lm_head"]), "modules_to_save"),
    "pissa": (lambda f: _config(f, init_lora_weights="pissa_niter_4"), "pissa"),
    "method": (lambda f: _config(f, peft_type="IA3"), "IA3"),
    "ranks": (lambda f: _config(f, rank_pattern={"q_proj": 2}), "ranks of their own"),
    "alpha": (lambda f: _config(f, lora_alpha=None), "lora_alpha"),
    "damaged": (lambda f: f.joinpath("adapter_model.safetensors").write_bytes(b"no"), "damaged"),
    "half": (lambda f: _tensors(f, lambda t: {k: v for k, v in t.items() if "lora_B" not in k}), "two halves"),
    "nan": (lambda f: _tensors(f, lambda t: {k: v * torch.nan for k, v in t.items()}), "no numbers"),
    "shape": (
        lambda f: _tensors(f, lambda t: {k: v[:, :-1].clone() if "lora_A" in k else v for k, v in t.items()}),
        r"self_attn.q_proj.weight is for a weight \[64, 63\], not \[64, 64\]",
    ),
    "layer": (
        lambda f: _tensors(f, lambda t: {k.replace("layers.0.", "layers.9."): v for k, v in t.items()}),
        "another one",
    ),
    "head": (
        lambda f: _tensors(
            f, lambda t: {k.replace("model.layers.0.self_attn.q_proj", "lm_head"): v for k, v in t.items()}
        ),
        "lm_head can't be adapted while serving.*train merge",
    ),
    "tower": (
        lambda f: _tensors(
            f, lambda t: {k.replace("model.layers.0.", "model.vision.layers.0."): v for k, v in t.items()}
        ),
        "only linears of decoder layers",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_adapters_are_named(name: str, plain: Path, tmp_path: Path) -> None:
    spoil, message = REFUSED[name]
    folder = write_adapter(tmp_path / "a", plain, 1, ("model.layers.0.self_attn.[qk]_proj",))
    spoil(folder)
    with pytest.raises(CheckpointError, match=f"(?s)'mine'.*{message}"):
        load_engine(plain, EngineConfig(device="cpu", lora_modules={"mine": folder}))


def test_ranks_and_names(plain: Path, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a", plain, 1, ATTENTION, rank=9)
    with pytest.raises(ConfigError, match="'mine' has rank 9, above --max-lora-rank 8"):
        load_engine(plain, EngineConfig(device="cpu", lora_modules={"mine": folder}, max_lora_rank=8))
    engine = load_engine(plain, EngineConfig(device="cpu", lora_modules={"mine": folder}))
    with pytest.raises(InvalidRequestError, match="no adapter 'other'; this engine has 'mine'"):
        engine.add_request(of("other", "r", PROMPT))
    with pytest.raises(ConfigError, match="name of the base model"):
        ServeConfig(model=str(plain), served_model_names=("base",), lora_modules={"base": str(folder)})
    with pytest.raises(ConfigError, match="lora_modules must map"):
        EngineConfig(lora_modules={"": "folder"})


def test_what_the_flag_takes() -> None:
    items = ["a=x/y=z", '{"name": "b", "path": "q", "base_model_name": "mini"}']
    assert read_lora_modules(items) == {"a": "x/y=z", "b": "q"}
    bad = {
        "a": "must look like",
        "=x": "must look like",
        "{": "not valid JSON",
        '{"name": 3, "path": "x"}': "must look",
    }
    for item, message in {**bad, '{"nmae": "a"}': "may hold"}.items():
        with pytest.raises(ConfigError, match=message):
            read_lora_modules([item])
    with pytest.raises(ConfigError, match="'a' comes twice"):
        read_lora_modules(["a=x", "a=y"])


def test_the_command_line(monkeypatch, plain: Path) -> None:
    seen: list[ServeConfig] = []
    monkeypatch.setattr("autoglm_phone.api.serve.serve", seen.append)

    def serve(*args: str):
        return CliRunner().invoke(app, ["serve", "--model", str(plain), *args])

    assert (
        serve("--enable-lora", "--lora-modules", "a=x", "b=y", '{"name": "c", "path": "z"}', "--port", "1").exit_code
        == 0
    )
    assert seen[0].lora_modules == {"a": "x", "b": "y", "c": "z"}
    assert seen[0].engine_config().max_lora_rank == 64
    assert serve("--lora-modules", "a=x", "--lora-modules", "b=y", "--max-lora-rank", "8").exit_code == 0
    assert (dict(seen[1].lora_modules), seen[1].max_lora_rank) == ({"a": "x", "b": "y"}, 8)
    for args, message in (
        (("--enable-lora",), "needs --lora-modules"),
        (("a=x",), "unexpected argument"),
        (("--lora-modules", "a=x", "b"), "unexpected argument"),
        (("--lora-modules", "a=x", "a=y"), "comes twice"),
    ):
        result = serve(*args)
        assert isinstance(result.exception, AutoGLMError)
        assert message in str(result.exception)


# The server


@pytest.fixture(scope="module")
def api(tiny_model: Path, tmp_path_factory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("adapters")
    modules = {name: str(write_adapter(folder / name, tiny_model, seed)) for seed, name in enumerate(("mine", "other"))}
    config = ServeConfig(
        model=str(tiny_model), served_model_names=("base", "alias"), lora_modules=modules, response_cache_mb=4
    )
    made = create_app(config, load)
    url, server, thread = run_server(made)
    state = made.state.server
    assert wait_until(lambda: state.service is not None or state.failed, 60)
    assert not state.failed
    yield Running(url, made, None, state.service, server)
    server.should_exit = True
    thread.join(20)


def ask(api: Running, model: str, **options) -> str:
    answer = api.openai().chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "hi"}],
        max_tokens=12,
        temperature=0,
        logprobs=True,
        extra_body={"ignore_eos": True},
        **options,
    )
    assert answer.model == model
    return str([entry.logprob for entry in answer.choices[0].logprobs.content])


def test_adapters_are_models(api: Running) -> None:
    client = api.openai()
    listed = {card.id: card for card in client.models.list()}
    assert list(listed) == ["base", "alias", "mine", "other"]
    assert [card.parent for card in listed.values()] == [None, None, "base", "base"]
    assert client.models.retrieve("mine").parent == "base"
    answers = {name: ask(api, name) for name in listed}
    assert answers["base"] == answers["alias"]
    assert len(set(answers.values())) == 3
    assert {name: ask(api, name) for name in listed} == answers, "the response cache keeps them apart"
    texts = [
        client.completions.create(model=m, prompt="hello", max_tokens=8, temperature=0).choices[0].text for m in listed
    ]
    assert texts[0] == texts[1]
    assert len(set(texts)) >= 2
    with pytest.raises(openai.NotFoundError, match="there is no model 'theirs'"):
        ask(api, "theirs")


def test_every_endpoint_takes_an_adapters_name(serve) -> None:
    api = serve(lora_modules={"mine": "folder"})
    client = api.openai()
    talk = [{"role": "user", "content": "hi"}]
    for name in ("mine", "autoglm-phone-9b"):
        client.chat.completions.create(model=name, messages=talk, max_tokens=4)
        client.completions.create(model=name, prompt=["hi", "you"], max_tokens=4)
        client.audio.transcriptions.create(model=name, file=wav(2))
    assert [request.adapter for request in api.engine.requests] == ["mine"] * 4 + [None] * 4


def test_many_clients_of_many_models(api: Running) -> None:
    expected = {name: ask(api, name, seed=1) for name in ("base", "mine", "other")}
    found: list[tuple[str, str]] = []

    def work(name: str, seed: int) -> None:
        found.append((name, ask(api, name, seed=seed)))  # another seed: not from the response cache

    threads = [threading.Thread(target=work, args=(n, s)) for s in (2, 3) for n in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    for name, answer in found:
        pairs = zip(json.loads(answer), json.loads(expected[name]), strict=True)
        assert max(abs(one - other) for one, other in pairs) < 1e-3


def test_offline(tiny_model: Path, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "a", tiny_model, 1, ALL)
    llm = LLM(str(tiny_model), lora_modules={"mine": adapter})
    try:
        params = SamplingParams(max_tokens=8, temperature=0.0, ignore_eos=True)
        talk = [{"role": "user", "content": "hi"}]
        assert (
            llm.chat(talk, params)[0].outputs[0].token_ids
            != llm.chat(talk, params, lora="mine")[0].outputs[0].token_ids
        )
        base, mine = (llm.generate("hi", params, lora=name)[0].outputs[0].token_ids for name in (None, "mine"))
        assert base != mine
        with pytest.raises(InvalidRequestError, match="no adapter 'yours'"):
            llm.chat(talk, params, lora="yours")
    finally:
        llm.close()
