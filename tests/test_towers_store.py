"""Towers: loaded when needed, offloaded under a budget, and honest when their files are gone."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.request import EngineRequest, MediaItem, SamplingParams
from autoglm_phone.errors import EngineError
from autoglm_phone.models.native.processing import content_hash
from autoglm_phone.runner.checkpoint import Checkpoint
from autoglm_phone.runner.spec import read_spec
from autoglm_phone.runner.towers import NativeTowers, TowerEvent

IMAGE, AUDIO = 9, 12
OUTPUTS = 1 << 20  # bytes of tower outputs to keep


def picture(seed: int = 0, position: int = 1) -> MediaItem:
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    return MediaItem("image", content_hash("image", pixels), position, 1, {"pixels": pixels})


def clip(seed: int = 0, position: int = 1) -> MediaItem:
    mel = np.random.default_rng(seed).standard_normal((80, 20)).astype(np.float32)
    return MediaItem("audio", content_hash("audio", mel), position, 1, {"mel": mel})


def towers(folder: Path, memory: int | None = None, outputs: int = OUTPUTS) -> NativeTowers:
    spec = read_spec(folder)
    return NativeTowers(spec, Checkpoint(folder), torch.device("cpu"), torch.float32, outputs, memory)


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(tiny_model, tmp_path / "model")


def test_each_medium_loads_its_own_tower_alone(tiny_model):
    made = towers(tiny_model)
    assert made.loaded_bytes == 0
    made.encode(clip())
    assert made.loaded == {"audio"}
    alone = made.loaded_bytes
    made.encode(picture())
    assert made.loaded == {"audio", "image"}
    assert made.loaded_bytes > alone > 0


def test_a_budget_for_one_tower_keeps_the_one_used_last(tiny_model):
    every = towers(tiny_model)
    every.load_all()
    sizes = {}
    for kind in ("image", "audio"):
        one = towers(tiny_model)
        one.encode(picture() if kind == "image" else clip())
        sizes[kind] = one.loaded_bytes
    assert every.loaded_bytes == sum(sizes.values())

    made = towers(tiny_model, memory=max(sizes.values()), outputs=0)
    expected = {"image": towers(tiny_model).encode(picture()), "audio": towers(tiny_model).encode(clip())}
    for kind in ("image", "audio", "image", "image", "audio"):
        states = made.encode(picture() if kind == "image" else clip())
        assert torch.equal(states, expected[kind])
        assert made.loaded == {kind}
        assert made.loaded_bytes <= max(sizes.values())
    assert made.store.loads == {"image": 2, "audio": 2}
    assert made.store.unloads == {"image": 2, "audio": 1}


def test_a_tower_larger_than_the_budget_stays_for_its_use_only(tiny_model):
    made = towers(tiny_model, memory=1)
    assert made.encode(picture()).shape[0] > 0
    assert made.loaded == frozenset()


def test_a_tower_in_use_is_never_dropped(tiny_model):
    made = towers(tiny_model, memory=1)
    with made.store.use("image"):
        made.encode(clip())  # wants its room
        assert "image" in made.loaded
        assert not made.store.drop("image")
    assert made.loaded == frozenset()


def test_events_tell_runs_hits_and_cold_loads(tiny_model, caplog):
    made = towers(tiny_model)
    events: list[TowerEvent] = []
    with caplog.at_level(logging.INFO), made.listening(events.append):
        made.encode(picture(0))
        made.encode(picture(0))
        made.encode(picture(1))
    made.encode(picture(2))  # nobody listens any more
    assert [(e.name, e.how, e.cold) for e in events] == [
        ("image", "ran", True),
        ("image", "cached", False),
        ("image", "ran", False),
    ]
    assert events[0].ms > 0
    assert caplog.text.count("[DYNAMIC GRAPH] Loading ViT encoder for image processing") == 1


def test_transcripts_load_the_audio_tower_and_respect_the_budget(tiny_model):
    made = towers(tiny_model, memory=1)
    assert isinstance(made.transcript(clip()), str)
    assert made.loaded == frozenset()


@pytest.mark.parametrize("damage", ["removed", "truncated", "overwritten"])
def test_damaged_files_end_in_a_typed_error_until_they_are_back(folder, damage):
    made = towers(folder, memory=1)
    good = made.encode(picture(0))
    weights = folder / "model.safetensors"
    safe = folder / "safe"
    shutil.copy(weights, safe)
    if damage == "removed":
        weights.unlink()
    elif damage == "truncated":
        os.truncate(weights, weights.stat().st_size // 2)  # the very inode that start-up mapped
    else:
        weights.write_bytes(b"\xff" * weights.stat().st_size)
    with pytest.raises(EngineError, match="the image tower can't be loaded"):
        made.encode(picture(1))
    assert made.loaded == frozenset()
    safe.replace(weights)
    made.encode(picture(1))
    made.cache = type(made.cache)(0)
    assert torch.equal(made.encode(picture(0)), good)


def test_only_the_request_that_needs_the_lost_tower_fails(folder):
    engine = load_engine(folder, EngineConfig(device="cpu", dtype="float32", kv_cache_memory=1 << 20))
    weights, safe = folder / "model.safetensors", folder / "safe"

    def requests(tag: str) -> list[EngineRequest]:
        sampling = SamplingParams(max_tokens=3, temperature=0.0, ignore_eos=True)
        return [
            EngineRequest(f"text{tag}", (30, 31, 32), sampling),
            EngineRequest(f"image{tag}", (30, IMAGE, 32), sampling, (picture(3),)),
        ]

    def finish(tag: str) -> dict[str, tuple[str | None, str | None]]:
        for request in requests(tag):
            engine.add_request(request)
        ends = {}
        while engine.has_work():
            for output in engine.step():
                if output.finish_reason is not None:
                    ends[output.request_id] = (output.finish_reason, output.error)
        return ends

    shutil.move(weights, safe)
    ends = finish("1")
    assert ends["text1"] == ("length", None)
    assert ends["image1"][0] == "error"
    assert "image tower" in str(ends["image1"][1])
    assert str(folder) not in str(ends["image1"][1])  # clients learn no paths
    shutil.move(safe, weights)
    assert finish("2") == {"text2": ("length", None), "image2": ("length", None)}
    engine.scheduler.check()
