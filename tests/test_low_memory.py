"""Decoder layers that are read when a token needs them, and towers that go at once: same answers, in less memory."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoglm_phone.api.config import ServeConfig, read_decoder_memory
from autoglm_phone.backends.torch_backend import TorchBackend
from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.core import Engine
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.request import EngineRequest, MediaItem, SamplingParams
from autoglm_phone.errors import CheckpointError, ConfigError, EngineError
from autoglm_phone.graph.plan import GraphRequest
from autoglm_phone.models.native.processing import content_hash
from autoglm_phone.models.registry import locate
from autoglm_phone.runner.offload import map_tensors, segment_bytes
from autoglm_phone.runner.quantized import open_weights, read_quantization
from autoglm_phone.runner.spec import read_spec
from autoglm_phone.runner.streaming import StreamedSegments
from autoglm_phone.runner.weights import DecoderWeights, load_decoder, weight_bytes

IMAGE, AUDIO = 9, 12
SMALL = {"device": "cpu", "dtype": "float32", "kv_cache_memory": 1 << 20}


def weights_of(folder: Path, *, offload: bool = True, memory: int | None = None) -> DecoderWeights:
    spec = read_spec(folder)
    backend = TorchBackend(torch.device("cpu"), torch.float32, **spec.backend_options)
    return load_decoder(open_weights(folder, read_quantization(folder)), spec, backend, offload=offload, memory=memory)


def store_of(weights: DecoderWeights) -> StreamedSegments:
    assert isinstance(weights.segments, StreamedSegments)
    return weights.segments


def picture(seed: int, position: int = 1) -> MediaItem:
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    return MediaItem("image", content_hash("image", pixels), position, 1, {"pixels": pixels})


def clip(seed: int, position: int = 1) -> MediaItem:
    mel = np.random.default_rng(seed).standard_normal((80, 20)).astype(np.float32)
    return MediaItem("audio", content_hash("audio", mel), position, 1, {"mel": mel})


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(tiny_model, tmp_path / "model")


@pytest.mark.parametrize("model", ["mini", "mini-int4"])
def test_a_streamed_layer_has_the_bits_of_a_resident_one(model: str) -> None:
    folder = locate(model)
    resident, streamed = weights_of(folder, offload=False), weights_of(folder)
    for _ in range(2):  # the second time into buffers that held other layers
        for mine, theirs in zip(streamed.segments, resident.segments, strict=True):
            assert len(mine) == len(theirs)
            for index, theirs_layer in enumerate(theirs):
                found: list[list[torch.Tensor]] = [[], []]
                for tree, tensors in zip((mine[index], theirs_layer), found, strict=True):
                    map_tensors(tree, lambda tensor, tensors=tensors: tensors.append(tensor) or tensor)
                assert len(found[0]) == len(found[1]) > 0
                assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_memory_is_what_the_budget_says(tiny_model: Path) -> None:
    all_bytes = weight_bytes(weights_of(tiny_model, offload=False))
    least = weights_of(tiny_model)
    assert store_of(least).kept == {0}
    for segment in store_of(least):
        assert len(list(segment)) == 1
    smallest = weight_bytes(least)  # with the buffer
    assert smallest < all_bytes
    for memory in (0, smallest, smallest + 1, (smallest + all_bytes) // 2, all_bytes):
        weights = weights_of(tiny_model, memory=memory)
        store = store_of(weights)
        for _ in range(3):
            for segment in store:
                for layer in segment:
                    assert layer.qkv is not None
                    assert weight_bytes(weights) <= max(smallest, memory)
        assert store.kept == set(range(len(store.kept)))  # the shallowest stay
        assert sum(store.streamed(index) for index in range(len(store))) == 4 - len(store.kept)
    assert store.kept == {0, 1, 2, 3}
    assert weight_bytes(weights) == all_bytes
    assert not store.loads  # nothing was read again


def test_a_pass_through_everything_holds_one_layer_more(tiny_model: Path) -> None:
    store = store_of(weights_of(tiny_model))
    first = segment_bytes([store[0][0]])
    buffers = set()
    for segment in list(store)[1:]:
        for layer in segment:
            buffers.add(layer.gate_up.weight.data_ptr())
    assert len(buffers) == 1
    assert store.resident_bytes == store.least > first
    assert sorted(store.loads) == [1, 2, 3]


def test_others_get_room_and_give_it_back(tiny_model: Path) -> None:
    store = store_of(weights_of(tiny_model))
    layer = segment_bytes([store.layer(1)])
    held = 0
    store.share(3 * layer, lambda: held)
    assert store.kept == {0, 1, 2, 3}
    store.give_room(2 * layer)
    held = 2 * layer
    assert store.kept == {0, 1}
    for segment in store:
        assert len(list(segment)) == 1
    assert store.kept == {0, 1}
    held = 0
    for segment in store:
        assert len(list(segment)) == 1
    assert store.kept == {0, 1, 2, 3}


def test_layers_are_taken_one_by_one(tiny_model: Path) -> None:
    store = store_of(weights_of(tiny_model))
    assert len(store) == 4
    assert len(store[1:3]) == 2
    with pytest.raises(EngineError):
        store[1][0:1]
    with pytest.raises(IndexError):
        store[4]
    with pytest.raises(IndexError):
        store[1][1]


def test_a_layer_of_another_shape_is_found_at_the_start(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.3.mlp.down_proj.weight"] = torch.zeros(64, 5)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"layers\.3\.mlp\.down_proj"):
        weights_of(folder)


def request(name: str, seed: int, graph: GraphRequest | None = None, media: MediaItem | None = None) -> EngineRequest:
    ids = [20 + (7 * seed + 3 * i) % 300 for i in range(6)]
    if media is not None:
        ids[media.position] = IMAGE if media.kind == "image" else AUDIO
    sampling = SamplingParams(max_tokens=4, temperature=0.0, ignore_eos=True)
    return EngineRequest(name, tuple(ids), sampling, () if media is None else (media,), graph=graph)


def finish(engine: Engine) -> dict[str, tuple[str | None, list[int]]]:
    """Request → (error, tokens)."""
    errors: dict[str, str | None] = {}
    tokens: dict[str, list[int]] = {}
    for _ in range(1000):
        if not engine.has_work():
            break
        for output in engine.step():
            tokens.setdefault(output.request_id, []).extend(output.token_ids)
            if output.finish_reason is not None:
                errors[output.request_id] = output.error
    assert not engine.has_work()
    engine.scheduler.check()
    return {name: (error, tokens.get(name, [])) for name, error in errors.items()}


def everything(tag: str) -> list[EngineRequest]:
    full, fixed = GraphRequest(policy="full"), GraphRequest(policy="fixed", max_depth=1)
    return [
        request(f"full{tag}", 1, full),
        request(f"first{tag}", 2, fixed),
        request(f"two{tag}", 3, GraphRequest(policy="fixed", max_depth=2)),
        request(f"lossless{tag}", 4, GraphRequest(policy="lossless")),
        request(f"image{tag}", 5, full, picture(1)),
        request(f"audio{tag}", 6, full, clip(1, 2)),
    ]


@pytest.mark.parametrize("memory", [0, "auto", None])
def test_answers_are_those_of_a_decoder_that_stays(tiny_model: Path, memory: object) -> None:
    answers = []
    for config in (EngineConfig(**SMALL), EngineConfig(**SMALL, low_memory=True, decoder_memory=memory)):
        engine = load_engine(tiny_model, config)
        for req in everything(""):
            engine.add_request(req)
        answers.append(finish(engine))
    assert answers[0] == answers[1]
    assert all(error is None and len(tokens) == 4 for error, tokens in answers[0].values())


def test_a_tower_goes_with_the_step_that_ran_it(tiny_model: Path) -> None:
    engine = load_engine(tiny_model, EngineConfig(**SMALL, low_memory=True, tower_cache_memory=0))
    towers = engine.runner.towers  # type: ignore[attr-defined]
    for seed in range(2):
        engine.add_request(request(f"image{seed}", seed, media=picture(seed)))
    engine.step()
    assert towers.loaded == frozenset()
    assert towers.store.loads == {"image": 1}  # both requests of the step had it
    finish(engine)


def test_layers_make_room_for_a_tower(tiny_model: Path) -> None:
    engine = load_engine(tiny_model, EngineConfig(**SMALL, low_memory=True, tower_cache_memory=0))
    decoder, towers = engine.runner.decoder, engine.runner.towers  # type: ignore[attr-defined]
    before = weight_bytes(decoder.weights)
    assert before > weight_bytes(weights_of(tiny_model)) - 1
    with towers.store.use("image"):
        assert weight_bytes(decoder.weights) + towers.loaded_bytes <= before + towers.largest_bytes
        assert store_of(decoder.weights).kept == {0}


@pytest.mark.parametrize("damage", ["removed", "truncated"])
def test_only_requests_that_need_a_lost_layer_fail(folder: Path, damage: str) -> None:
    engine = load_engine(folder, EngineConfig(**SMALL, decoder_memory=0, enable_prefix_caching=False))
    weights, safe = folder / "model.safetensors", folder / "safe"
    shutil.copy(weights, safe)
    if damage == "removed":
        weights.unlink()
    else:
        os.truncate(weights, weights.stat().st_size // 2)
    for req in everything("1"):
        if not req.media:
            engine.add_request(req)
    ends = finish(engine)
    assert ends["first1"][0] is None
    assert len(ends["first1"][1]) == 4
    for name in ("full1", "two1", "lossless1"):
        assert "layer 1 can't be loaded" in str(ends[name][0])
        assert str(folder) not in str(ends[name][0])  # clients learn no paths
    safe.replace(weights)
    for req in everything("2"):
        engine.add_request(req)
    assert all(error is None for error, _ in finish(engine).values())
    assert engine.pool.num_free == engine.pool.num_pages


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["full", "first", "two", "lossless", "image", "audio"]), st.integers(0, 6)),
        min_size=1,
        max_size=8,
    ),
    st.sets(st.integers(0, 40), max_size=12),
    st.sampled_from([0, 400_000, "auto"]),
)
def test_files_that_come_and_go_neither_stop_nor_leak(
    folder: Path, arrivals: list[tuple[str, int]], absent: set[int], memory: object
) -> None:
    """Requests arrive at some steps, at others the weights are away: every one ends, with the tokens of an undisturbed
    engine or with an error, and nothing that it held stays behind."""
    weights, safe = folder / "model.safetensors", folder / "safe"
    if safe.exists():
        safe.replace(weights)
    config = EngineConfig(**SMALL, low_memory=True, decoder_memory=memory, enable_prefix_caching=False,
                          tower_cache_memory=0)  # fmt: skip
    engine, quiet = load_engine(folder, config), load_engine(folder, EngineConfig(**SMALL))
    made = {r.request_id: r for r in everything("")}
    errors: dict[str, str | None] = {}
    tokens: dict[str, list[int]] = {}
    todo = [(step, f"{kind}-{i}", kind) for i, (kind, step) in enumerate(arrivals)]
    for step in range(400):
        if (step in absent) == weights.exists():
            (weights.rename(safe) if weights.exists() else safe.rename(weights))
        for when, name, kind in todo:
            if when == step:
                r = made[kind]
                engine.add_request(EngineRequest(name, r.prompt_ids, r.sampling, r.media, graph=r.graph))
        for output in engine.step() if engine.has_work() else ():
            tokens.setdefault(output.request_id, []).extend(output.token_ids)
            if output.finish_reason is not None:
                errors[output.request_id] = output.error
    if safe.exists():
        safe.replace(weights)
    assert set(errors) == {name for _, name, _ in todo}
    assert engine.pool.num_free == engine.pool.num_pages
    engine.scheduler.check()
    assert not engine.runner._states  # type: ignore[attr-defined]
    for kind in {kind for _, _, kind in todo}:
        quiet.add_request(made[kind])
    expected = finish(quiet)
    for _, name, kind in todo:
        if errors[name] is None:
            assert tokens[name] == expected[kind][1]
        else:
            assert "can't be loaded" in str(errors[name])


def test_flags_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert EngineConfig().decoder_budget is None
    assert EngineConfig(offload_segments=True).decoder_budget == 0
    assert EngineConfig(low_memory=True).decoder_budget == "auto"
    assert EngineConfig(low_memory=True, decoder_memory=5).decoder_budget == 5
    assert ServeConfig(low_memory=True, decoder_memory="auto").engine_config().low_memory
    monkeypatch.setenv("ENABLE_LOW_MEMORY", "True")
    assert ServeConfig().engine_config().low_memory
    assert not ServeConfig(low_memory=False).engine_config().low_memory
    monkeypatch.setenv("ENABLE_LOW_MEMORY", "perhaps")
    with pytest.raises(ConfigError, match="ENABLE_LOW_MEMORY"):
        EngineConfig()
    monkeypatch.delenv("ENABLE_LOW_MEMORY")
    for wrong in (-1, "much", True, 1.5):
        with pytest.raises(ConfigError, match="decoder_memory"):
            EngineConfig(decoder_memory=wrong)  # type: ignore[arg-type]
    assert [read_decoder_memory(text) for text in (None, "auto", "12")] == [None, "auto", 12]
    with pytest.raises(ConfigError, match="decoder-memory"):
        read_decoder_memory("12 MB")
