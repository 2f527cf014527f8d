"""Static-buffer decode passes against plain causal ones, waiting tokens included; graphs themselves need a GPU."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoglm_phone.backends.cuda_graphs import DecodeRows, SegmentGraphs
from autoglm_phone.backends.paged_decode import has_triton, paged_attention, reference_attention
from autoglm_phone.bench.replay import Replay
from autoglm_phone.bench.replay_model import Watched, check, plain_states, random_decoder
from autoglm_phone.errors import EngineError
from autoglm_phone.runner.decoder import Decoder
from replay_cases import LANES, PAGE, PAGES, SIZE, layout_of

CUDA = torch.cuda.is_available()


@cache
def model(device: str = "cpu") -> Decoder:
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    pages = LANES * len(SIZE.spec().segments) * PAGES + 1
    return random_decoder(SIZE, torch.device(device), dtype, pages, PAGE)


def graphs_of(decoder: Decoder, buckets: tuple[int, ...] = (1, 2, 4, 8, 16)) -> SegmentGraphs:
    return SegmentGraphs(decoder, rows=LANES * 80, max_pages=PAGES + 3, buckets=buckets, page_size=PAGE)


def dense(q, store, table, length, kv_heads, window, sinks):
    """One row, written out key by key."""
    heads, dim = q.shape
    out = torch.empty(heads, dim)
    keys = [k for k in range(length) if not window or k >= length - window or k < sinks]
    for head in range(heads):
        lines = [store[table[k // store.shape[1]], k % store.shape[1]].float() for k in keys]
        group = head // (heads // kv_heads)
        k = torch.stack([line[group * dim : (group + 1) * dim] for line in lines])
        v = torch.stack([line[(kv_heads + group) * dim : (kv_heads + group + 1) * dim] for line in lines])
        out[head] = (k @ q[head].float() * dim**-0.5).softmax(0) @ v
    return out.flatten()


def attention_case(batch: int, heads: int, kv_heads: int, dim: int, size: int, pages: int, seed: int, device="cpu"):
    rng = torch.Generator().manual_seed(seed)
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    store = torch.randn(batch * pages + 1, size, 2 * kv_heads * dim, generator=rng)
    tables = (torch.randperm(batch * pages, generator=rng) + 1).view(batch, pages)
    lengths = torch.randint(1, pages * size + 1, (batch,), generator=rng)
    rows = torch.randn(batch, (heads + 2 * kv_heads) * dim, generator=rng)
    q = rows.to(device, dtype)[:, : heads * dim].unflatten(-1, (heads, dim))  # strided, as in a layer
    return q, store.to(device, dtype), tables.to(device), lengths.to(device)


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 4),
    groups=st.integers(1, 4),
    kv_heads=st.integers(1, 2),
    size=st.sampled_from((1, 4, 16)),
    pages=st.integers(1, 5),
    window=st.sampled_from((0, 1, 6)),
    sinks=st.integers(0, 3),
    seed=st.integers(0, 1000),
)
def test_reference_attention_sees_what_tables_lengths_and_windows_say(
    batch, groups, kv_heads, size, pages, window, sinks, seed
):
    q, store, tables, lengths = attention_case(batch, groups * kv_heads, kv_heads, 8, size, pages, seed)
    got = reference_attention(q, store, tables, lengths, kv_heads, window, sinks)
    for row in range(batch):
        table = tables[row].tolist()
        expected = dense(q[row], store, table, int(lengths[row]), kv_heads, window, sinks)
        assert torch.allclose(got[row], expected, atol=1e-5)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    programs=st.lists(
        st.lists(st.tuples(st.integers(1, 4), st.just(1)), min_size=1, max_size=5), min_size=LANES, max_size=LANES
    ),
    lanes=st.integers(1, LANES),
    hold=st.sampled_from((0.0, 0.5, 1.0)),
    seed=st.integers(0, 100),
    buckets=st.sampled_from(((1, 2, 4, 8, 16), (3,), (1, 64))),
)
def test_every_boundary_state_equals_a_plain_causal_pass(programs, lanes, hold, seed, buckets):
    """Random depths, lanes out of step, tokens that catch up, passes larger than the largest bucket."""
    decoder = model()
    layout = layout_of(decoder.spec, seed=seed)
    watched = Watched(graphs_of(decoder, buckets), layout)
    filled = [(*program, *[(1, 1)] * 50) for program in programs]
    replay = Replay(watched, layout, filled, lanes, hold=hold, seed=seed)
    starts = [lane.frontiers[0] for lane in replay.lanes]
    while any(lane.step < len(programs[lane.index]) for lane in replay.lanes):
        replay.turn()
    for lane in range(lanes):
        ids = [watched.tokens[lane][starts[lane] + n] for n in range(len(watched.tokens[lane]))]
        truth = plain_states(decoder, layout, lane, starts[lane], ids, torch.float32)
        for n, (wanted, _) in enumerate(programs[lane]):
            reached = [b for b in range(1, 5) if (lane, starts[lane] + n, b) in watched.states]
            assert len(reached) >= wanted
            for boundary in reached:
                state = watched.states[lane, starts[lane] + n, boundary]
                assert torch.allclose(state, truth[boundary - 1, n], atol=2e-4), (lane, n, boundary)


def test_nothing_is_written_where_padding_is_not_allowed_to():
    """Pages and arena rows of others are as they were, whatever the padding computes."""
    decoder = model()
    layout = layout_of(decoder.spec)
    graphs = graphs_of(decoder, (8,))
    graphs.arena.normal_()
    graphs.arena[1] = 0
    pages, arena = decoder.pages.pages.clone(), graphs.arena.clone()
    table = layout.tables[:1, 1]
    one = np.array([7])
    rows = DecodeRows(one, one, table[:, 2] * PAGE + 1, np.full((3, 1), 9), table, np.array([10]))
    graphs.run(1, rows)
    touched = (decoder.pages.pages != pages).any(-1).any(0).nonzero().tolist()
    assert {tuple(place) for place in touched} <= {(0, 0), (int(table[0, 2]), 1)}
    assert (graphs.arena != arena).any(-1).nonzero().flatten().tolist() in ([0, 7], [7])
    decoder.pages.pages.copy_(pages)


def test_reads_give_the_likeliest_token_and_its_probability():
    decoder = model()
    graphs = graphs_of(decoder, (2,))
    graphs.arena.normal_(generator=torch.Generator().manual_seed(3))
    places = np.array([5, 2, 9])
    for boundary in (1, 4):
        tokens, sure = graphs.read(boundary, places)
        logits = decoder.logits(graphs.arena[places], boundary - 1)
        assert tokens == logits.argmax(-1).tolist()
        assert sure == pytest.approx(logits.softmax(-1).amax(-1).tolist(), abs=1e-5)


def test_buckets_that_make_no_sense_are_refused():
    for buckets in ((), (4, 2), (0, 1), (2, 2)):
        with pytest.raises(EngineError, match="rising"):
            graphs_of(model(), buckets)


def answers(engine) -> dict[str, list[int]]:
    from autoglm_phone.engine.request import EngineRequest, SamplingParams
    from autoglm_phone.graph.plan import GraphRequest

    policies = ("full", "lossless", "confidence", "confidence")
    for i, policy in enumerate(policies):
        ids = tuple(range(30 + i, 40 + 9 * i))
        sampling = SamplingParams(max_tokens=24, temperature=0.0, ignore_eos=True)
        engine.add_request(EngineRequest(str(i), ids, sampling, graph=GraphRequest(policy)))
    tokens: dict[str, list[int]] = {}
    while engine.has_work():
        for output in engine.step():
            assert output.error is None
            tokens.setdefault(output.request_id, []).extend(output.token_ids)
    return tokens


@pytest.mark.parametrize("family", ["native", "glm4v"])
@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not CUDA, reason="needs a GPU"))]
)
def test_the_engine_gives_the_same_tokens_through_static_buffers(family, device, tmp_path, monkeypatch, request):
    """Exits, tokens that catch up and drafts of the real engine, its decode passes taken by GraphedDecoder."""
    from autoglm_phone.config import EngineConfig
    from autoglm_phone.engine.loop import load_engine
    from autoglm_phone.engine.planning import PlannerLike, Planning
    from autoglm_phone.graph.plan import ExitPolicy, Plan
    from autoglm_phone.models.glm4v.reference import make_tiny_checkpoint
    from autoglm_phone.runner import load
    from autoglm_phone.runner.graphed import GraphedDecoder

    if family == "native":
        folder = request.getfixturevalue("tiny_model")
    else:
        folder = make_tiny_checkpoint(tmp_path, seed=1)

    class Plans(PlannerLike):
        def plan(self, facts):
            exits = dict.fromkeys(facts_exits, 0.004)
            return Plan(exit=ExitPolicy(facts.graph.policy, None, exits))

    config = EngineConfig(device=device, dtype="float32", kv_cache_memory=4 << 20, page_size=4)
    outputs = []
    for graphs in (False, True):
        monkeypatch.setattr(load, "graphs_fit", lambda *_, graphs=graphs, **__: graphs)
        engine = load_engine(folder, config)
        assert isinstance(engine.runner.decoder, GraphedDecoder) is graphs
        facts_exits = engine.runner.layout.exits
        engine.planning = Planning(config, Plans(), lambda request: request)
        outputs.append(answers(engine))
    assert engine.runner.decoder.graphed > 20
    if device == "cpu":
        assert outputs[0] == outputs[1]
    else:  # sums in another order: single tokens of a random model may tip over
        same = sum(outputs[0][name][:4] == outputs[1][name][:4] for name in outputs[0])
        assert same >= 3


@pytest.mark.skipif(not CUDA or not has_triton(), reason="needs a GPU and triton")
@pytest.mark.parametrize(("batch", "heads", "kv_heads", "dim", "pages", "window"), [
    (1, 32, 2, 128, 70, 0), (8, 32, 2, 128, 70, 0), (64, 32, 2, 128, 20, 0), (3, 4, 2, 64, 9, 40), (2, 4, 4, 16, 3, 0),
])  # fmt: skip
def test_the_triton_kernel_equals_the_reference(batch, heads, kv_heads, dim, pages, window):
    case = attention_case(batch, heads, kv_heads, dim, 16, pages, 0, "cuda")
    got = paged_attention(*case, kv_heads, window, 4).float()
    expected = reference_attention(*case, kv_heads, window, 4).float()
    assert float((got - expected).abs().max()) < 0.03


@pytest.mark.skipif(not CUDA, reason="needs a GPU")
@pytest.mark.parametrize("hold", [0.0, 1.0])
def test_captured_passes_equal_plain_ones_and_are_never_captured_again(hold):
    decoder = model("cuda")
    layout = layout_of(decoder.spec)
    graphs = graphs_of(decoder)
    graphs.capture_all()
    captured = graphs.num_graphs
    assert captured == 5 * (4 + 4)
    found = check(decoder, graphs, layout, hold=hold)
    assert found.passed, found
    assert found.rows > 50
    assert graphs.num_graphs == captured


@pytest.mark.skipif(not CUDA, reason="needs a GPU")
def test_a_late_capture_disturbs_nothing_that_is_under_way():
    decoder = model("cuda")
    layout = layout_of(decoder.spec)
    late = check(decoder, graphs_of(decoder), layout)  # every graph is made in the middle of the replay
    assert late.passed, late


@pytest.mark.skipif(not CUDA, reason="needs a GPU")
def test_fused_kernels_round_as_pytorch_does():
    if not has_triton():
        pytest.skip("needs triton")
    from autoglm_phone.backends.torch_backend import TorchBackend

    backend = model("cuda").backend
    spec = SIZE.spec()
    plain = TorchBackend(
        backend.device, backend.dtype, eps=spec.eps, head_dim=spec.head_dim, rotary_dim=spec.rotary_dim,
        theta=spec.rope_theta, mrope_section=spec.mrope_section,
    )  # fmt: skip
    assert backend.fuses
    shape = model("cuda").shape
    torch.manual_seed(0)
    x, y = torch.randn(2, 5, 64, device="cuda", dtype=backend.dtype)
    norm = plain.pack_norm(torch.rand(64) + 0.5)
    gate_up = torch.randn(5, 192, device="cuda", dtype=backend.dtype)
    qkv = torch.randn(5, shape.q_width + 2 * shape.kv_width, device="cuda", dtype=backend.dtype)
    rotary = plain.rotary(torch.arange(5, device="cuda").expand(3, -1))
    for mine, theirs in (
        (backend.norm(x, norm), plain.norm(x, norm)),
        (backend.add_norm(x, y, norm), plain.add_norm(x, y, norm)),
        (backend.swiglu(gate_up), plain.swiglu(gate_up)),
        (backend.apply_rotary(qkv.clone(), rotary, shape), plain.apply_rotary(qkv.clone(), rotary, shape)),
    ):
        assert torch.allclose(mine.float(), theirs.float(), atol=0.04, rtol=0.02)
