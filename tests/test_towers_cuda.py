"""Towers and segments between pinned host memory and the GPU. Needs a GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from autoglm_phone.backends.torch_backend import TorchBackend
from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.request import EngineRequest, MediaItem, SamplingParams
from autoglm_phone.models.native.processing import content_hash
from autoglm_phone.runner.checkpoint import Checkpoint
from autoglm_phone.runner.offload import segment_bytes
from autoglm_phone.runner.spec import read_spec
from autoglm_phone.runner.towers import NativeTowers
from autoglm_phone.runner.weights import load_decoder

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
CUDA = torch.device("cuda")


def media(kind: str, seed: int) -> MediaItem:
    rng = np.random.default_rng(seed)
    if kind == "image":
        pixels = rng.integers(0, 256, (32, 48, 3), dtype=np.uint8)
        return MediaItem("image", content_hash("image", pixels), 1, 1, {"pixels": pixels})
    mel = rng.standard_normal((80, 20)).astype(np.float32)
    return MediaItem("audio", content_hash("audio", mel), 1, 1, {"mel": mel})


def test_towers_come_back_from_pinned_memory_unchanged(tiny_model: Path):
    spec, checkpoint = read_spec(tiny_model), Checkpoint(tiny_model)
    kept = NativeTowers(spec, checkpoint, CUDA, torch.bfloat16, 0)
    moved = NativeTowers(spec, checkpoint, CUDA, torch.bfloat16, 0, memory=1)
    with torch.inference_mode():
        for kind in ("image", "audio"):  # libraries allocate their workspaces (32 MiB of cuBLAS) at their first use
            kept.encode(media(kind, 0))
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        for kind in ("image", "audio", "image", "audio", "image"):
            assert torch.equal(moved.encode(media(kind, 0)), kept.encode(media(kind, 0)))
            assert moved.loaded == frozenset()
    assert moved.store.loads == {"image": 3, "audio": 2}
    assert all(t.is_pinned() for weights in moved.store._pinned.values() for t in weights.values())
    torch.cuda.synchronize()
    assert torch.cuda.memory_allocated() <= before + 4096  # towers that were dropped hold nothing


def test_segments_stream_from_pinned_memory_with_the_next_one_on_its_way(tiny_model: Path):
    spec = read_spec(tiny_model)
    backend = TorchBackend(
        CUDA, torch.bfloat16, eps=spec.eps, head_dim=spec.head_dim, rotary_dim=spec.rotary_dim, theta=spec.rope_theta
    )
    every = load_decoder(Checkpoint(tiny_model), spec, backend).segments
    store = load_decoder(Checkpoint(tiny_model), spec, backend, offload=True).segments
    largest = max(segment_bytes(segment) for segment in every)
    for index in [*range(4)] * 4:
        segment = store[index]
        for mine, theirs in zip(segment, every[index], strict=True):
            assert torch.equal(mine.qkv.weight, theirs.qkv.weight)
            assert torch.equal(mine.down.weight, theirs.down.weight)
        assert store.resident_bytes <= 2 * largest  # type: ignore[attr-defined]
    assert (0 + 1) % 4 in store.resident or len(store.resident) == 2  # type: ignore[attr-defined]


def test_the_engine_gives_the_same_tokens_with_offloaded_segments(tiny_model: Path):
    outputs = []
    for offload in (False, True):
        # Without CUDA graphs on either side: graphs are not made of offloaded segments, and bfloat16 sums in another
        # order turn near ties of a random model.
        config = EngineConfig(
            device="cuda", dtype="bfloat16", kv_cache_memory=1 << 22, offload_segments=offload, enforce_eager=True
        )
        engine = load_engine(tiny_model, config)
        sampling = SamplingParams(max_tokens=20, temperature=0.0, ignore_eos=True)
        for i in range(3):
            engine.add_request(EngineRequest(str(i), tuple(range(30 + i, 60 + i)), sampling))
        tokens: dict[str, list[int]] = {}
        while engine.has_work():
            for output in engine.step():
                assert output.error is None
                tokens.setdefault(output.request_id, []).extend(output.token_ids)
        outputs.append(tokens)
    assert outputs[0] == outputs[1]
