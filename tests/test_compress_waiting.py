"""States that wait for the way back: bytes in memory are bounded, and what comes back is what was put."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest
import torch

import compress_cases
from autoglm_phone.compress import calibrate, media_weights, pipeline, recipe, sensitivity, waiting, walk
from autoglm_phone.compress.waiting import WaitingStates
from autoglm_phone.errors import ConfigError

CPU = torch.device("cpu")


def test_memory_stays_bounded_at_the_depth_of_9b(tmp_path: Path) -> None:
    """42 units; a unit's states are a tenth of the room here, as they are of the host's 8 GB at the full shape."""
    samples, unit = 8, 1 << 20
    room = 4 * unit
    shared = [torch.randn(1000) for _ in range(samples)]
    known, refs = [], []
    with WaitingStates(tmp_path / "states", room) as store:
        for index in range(42):
            hidden = [torch.full((1, unit // 4 // samples // 64, 64), float(index)) for _ in range(samples)]
            store.put([{"hidden": h, "cos": c, "grid": (1, index)} for h, c in zip(hidden, shared, strict=True)])
            known.append([h.clone() for h in hidden])
            refs += [weakref.ref(h) for h in hidden]
            assert store.held <= room
        last = {id(h) for h in hidden}
        del hidden
        gc.collect()
        alive = sum(ref().nbytes for ref in refs if ref() is not None and id(ref()) not in last)
        assert alive <= room
        assert store.held + store.written >= 42 * unit
        assert store.written == sum(path.stat().st_size for path in (tmp_path / "states").iterdir())
        assert store.written < 40 * (unit + 8 * 64)  # what no unit changes (cos) is held once, and not written again
        for index in reversed(range(42)):
            states = store.take()
            assert [s["grid"] for s in states] == [(1, index)] * samples
            assert all(s["cos"] is c for s, c in zip(states, shared, strict=True))
            assert all(torch.equal(s["hidden"], h) for s, h in zip(states, known[index], strict=True))
        assert (len(store), store.held, store.written) == (0, 0, 0)
    assert not (tmp_path / "states").exists()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_every_type_comes_back(dtype: torch.dtype) -> None:
    tensors = {"a": torch.randn(3, 5).to(dtype), "b": torch.randn(4, 3).to(dtype).T, "c": torch.zeros((), dtype=dtype)}
    with WaitingStates(room=0) as store:
        store.put([{**tensors, "none": None}, {"empty": torch.zeros(0, 4, dtype=dtype)}])
        assert store.held == 0
        first, second = store.take()
    assert all(torch.equal(first[name], tensor) and first[name].dtype == dtype for name, tensor in tensors.items())
    assert first["none"] is None
    assert second["empty"].shape == (0, 4)


def test_a_disk_without_room_is_said(tmp_path: Path, monkeypatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(waiting, "_write", full)
    with WaitingStates(tmp_path / "s", 0) as store, pytest.raises(ConfigError, match=r"No space left .* fewer samples"):
        store.put([{"hidden": torch.ones(5)}])


def test_the_way_back_is_the_same_from_files(tiny_model: Path, tmp_path: Path, monkeypatch) -> None:
    folder = compress_cases.lively(tiny_model, tmp_path / "model")
    talk = compress_cases.conversations(tmp_path / "talk")
    samples = calibrate.load(folder, calibrate.Calibration(samples=4, path=talk))
    opened = pipeline.open_model(folder)
    plan = pipeline.plan_for(
        opened, recipe.parse("steps:\n  - rtn: {targets: [attention, mlp], bits: 4, group_size: 8}\n")
    )
    written = []
    real = waiting._write

    def spy(path: Path, *args):
        made = real(path, *args)
        written.append((path, made[1]))
        return made

    monkeypatch.setattr(waiting, "_write", spy)

    def both() -> tuple[object, list[torch.Tensor]]:
        costs = sensitivity.measure(
            opened.architecture, opened.source, plan, samples, (2, 4), CPU, folder=tmp_path / "files"
        )
        return costs.cost, media_weights.sensitivities(opened, samples, CPU, folder=tmp_path / "files")

    costs, weights = both()
    assert not written
    monkeypatch.setattr(waiting, "ROOM", 0)
    again, same = both()
    assert len(written) > 4
    assert {path.parent for path, _ in written} == {tmp_path / "files"}
    assert again == costs
    assert all(torch.equal(a, b) for a, b in zip(weights, same, strict=True))
    assert not (tmp_path / "files").exists()
    left = walk.back(opened.architecture, opened.source, samples, CPU, folder=tmp_path / "files", room=0)
    next(left)
    assert (tmp_path / "files").exists()
    left.close()
    assert not (tmp_path / "files").exists()
