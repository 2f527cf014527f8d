"""Decoder segments that come and go give the same logits as those that stay. More in test_low_memory."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch

from autoglm_phone.backends.base import LayerWeights
from autoglm_phone.backends.torch_backend import Linear, Norm, TorchBackend
from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.request import EngineRequest, SamplingParams
from autoglm_phone.errors import ConfigError, EngineError
from autoglm_phone.models.registry import locate
from autoglm_phone.runner.checkpoint import Checkpoint
from autoglm_phone.runner.offload import PinnedSegments, map_tensors, segment_bytes
from autoglm_phone.runner.spec import read_spec
from autoglm_phone.runner.weights import load_decoder

CPU = torch.device("cpu")


def layer(value: float) -> LayerWeights:
    linear = Linear(torch.full((2, 3), value), torch.zeros(3))
    norm = Norm(torch.ones(2))
    return LayerWeights(norm, linear, linear, norm, norm, linear, linear, norm)


ONE = segment_bytes([layer(0.0)])


def walk(store: PinnedSegments, chain: list[int]) -> Counter[int]:
    for index in chain:
        assert store[index][0].qkv.weight[0, 0] == float(index)
        assert index in store.resident
    return store.loads


def test_the_budget_holds_and_the_furthest_next_turn_goes():
    store = PinnedSegments(lambda i: [layer(float(i))], 4, CPU, budget=3 * ONE)
    loads = walk(store, [0, 1, 2, 3] * 6)
    assert store.resident_bytes <= 3 * ONE
    # Least-recently-used would load at every step (24); the optimum for 3 of 4 in a cycle is 4 + one of three.
    assert sum(loads.values()) <= 4 + -(-20 // 3)


def test_shallow_requests_keep_their_segments():
    store = PinnedSegments(lambda i: [layer(float(i))], 4, CPU, budget=2 * ONE)
    assert walk(store, [0, 1] * 10) == {0: 1, 1: 1}


def test_without_a_budget_one_segment_stays():
    store = PinnedSegments(lambda i: [layer(float(i))], 4, CPU)
    walk(store, [0, 1, 2, 3, 0])
    assert store.resident == {0}
    assert [segment[0].qkv.weight[0, 0].item() for segment in store] == [0.0, 1.0, 2.0, 3.0]
    assert len(store) == 4
    assert store[-1] is store[3]


def test_bad_use_is_refused():
    with pytest.raises(ConfigError):
        PinnedSegments(lambda i: [layer(0.0)], 4, CPU, budget=0)
    with pytest.raises(EngineError):
        PinnedSegments(lambda i: [layer(0.0)], 4, CPU)[0:2]
    with pytest.raises(IndexError):
        PinnedSegments(lambda i: [layer(0.0)], 4, CPU)[4]


def test_map_tensors_reaches_every_handle():
    tree = {"a": [layer(1.0)], "b": (torch.ones(1), None, "name")}
    doubled = map_tensors(tree, lambda t: 2 * t)
    assert doubled["a"][0].down.weight[0, 0] == 2
    assert doubled["b"][0] == 2
    assert doubled["b"][1:] == (None, "name")
    assert tree["a"][0].down.weight[0, 0] == 1


def test_the_mini_runs_with_its_first_segment_and_gives_the_same_logits():
    folder = locate("mini")
    config = EngineConfig(
        device="cpu", dtype="float32", kv_cache_memory=8 << 20, exit_policy="full"
    )  # drafts depend on time
    seen: list[list[torch.Tensor]] = []
    for offload in (False, True):
        engine = load_engine(folder, config)
        decoder = engine.runner.decoder  # type: ignore[attr-defined]
        if offload:
            spec = read_spec(folder)
            decoder.weights = load_decoder(Checkpoint(folder), spec, decoder.backend, offload=True)
        logits: list[torch.Tensor] = []
        engine.runner.probe = lambda name, first, rows, logits=logits: logits.append(rows.clone())  # type: ignore[attr-defined]
        for i in range(2):
            sampling = SamplingParams(max_tokens=4, temperature=0.0, ignore_eos=True)
            engine.add_request(EngineRequest(str(i), tuple(range(100 + i, 130 + i)), sampling))
        while engine.has_work():
            assert all(output.error is None for output in engine.step())
        seen.append(logits)
        if offload:
            store = decoder.weights.segments
            assert store.kept == set(range(6))
            assert set(store.loads) == set(range(6, 24))
            assert min(store.loads.values()) >= 4  # every deeper layer was read again at every step
    assert len(seen[0]) == len(seen[1]) > 0
    for resident, streamed in zip(*seen, strict=True):  # layers that come and go are kept in float32
        torch.testing.assert_close(streamed, resident, atol=1e-4, rtol=1e-5)
        assert torch.equal(streamed.argmax(-1), resident.argmax(-1))


def test_a_lost_file_is_a_typed_error_and_passes(tiny_model: Path, tmp_path: Path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    spec = read_spec(folder)
    backend = TorchBackend(
        CPU, torch.float32, eps=spec.eps, head_dim=spec.head_dim, rotary_dim=spec.rotary_dim, theta=spec.rope_theta
    )
    store = load_decoder(Checkpoint(folder), spec, backend, offload=True).segments
    weights, safe = folder / "model.safetensors", tmp_path / "safe"
    before = store[1][0].qkv.weight.clone()
    shutil.copy(weights, safe)
    os.truncate(weights, weights.stat().st_size - 4)
    with pytest.raises(EngineError, match="layer 1"):
        store[1][0]
    assert store[0][0] is not None
    safe.replace(weights)
    assert torch.equal(store[1][0].qkv.weight, before)
