"""Healing's draws: the same bits however often a run is cut, whoever draws and whoever dies."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from autoglm_phone.train import stream as stream_module
from autoglm_phone.train.crew import Crew
from autoglm_phone.train.draws import CHUNK, Draws, TimedFeeder, Timetable
from autoglm_phone.train.mixture import BatchSizes, due
from autoglm_phone.train.stream import WorldStream
from autoglm_phone.train.trainer import Trainer
from test_train_path import prepared, tiny_config, toy_sample  # noqa: F401  (a fixture)

PLAN = ("text", "image/2", "joint/2+1")
TIMES = {"text": 1, "image": 2, "joint": 3}
CPU = torch.device("cpu")


def draws_of(prepared: Path, step: int = 0, workers: int = 1) -> Draws:  # noqa: F811
    stream = WorldStream(
        (prepared / "tokenizer.json").read_text(), "打开", {"打": 1}, 100, BatchSizes(512, 2, 2, 3, 2), seed=5,
        workers=workers, kinds=tuple(TIMES),
    )  # fmt: skip
    return Draws(stream, Timetable(PLAN, TIMES), step)


def read(feeder: TimedFeeder, first: int, steps: int) -> list[tuple[str, int, list]]:
    found = []
    for step in range(first, first + steps):
        for kind in due(PLAN, step):
            batch = feeder.next(kind, patience=60)[0]
            assert batch.kind == kind
            found.append((kind, batch.index, [tensor.numpy().copy() for _, tensor in batch.tensors()]))
    return found


def same(one: list, other: list) -> bool:
    return len(one) == len(other) and all(
        a[:2] == b[:2] and all(np.array_equal(x, y) for x, y in zip(a[2], b[2], strict=True))
        for a, b in zip(one, other, strict=True)
    )


def test_every_batch_is_read_as_often_as_it_says() -> None:
    table = Timetable(PLAN, TIMES)
    for kind, times in TIMES.items():
        numbers = [table.number(kind, use) for use in range(3 * times * CHUNK)]
        assert sorted(numbers) == sorted(list(range(3 * CHUNK)) * times)
        for number in set(numbers):
            last = max(use for use, read in enumerate(numbers) if read == number)
            assert table.last_use(kind, number) == last


@pytest.mark.parametrize("workers", [0, 3])
def test_a_run_from_the_middle_reads_what_the_whole_run_read(prepared, workers: int) -> None:  # noqa: F811
    whole_draws = draws_of(prepared)
    whole = TimedFeeder(whole_draws(), CPU, whole_draws)
    expected = read(whole, 0, 30)
    whole.stop()
    assert not same(expected[:4], expected[4:8])
    for first in (0, 1, 13, 22):
        draws = draws_of(prepared, first, max(1, workers))
        crew = Crew(draws, workers, lost=draws.lost) if workers else None
        feeder = TimedFeeder(iter(crew) if crew else draws(), CPU, draws)
        made = read(feeder, first, 30 - first)
        assert same(made, expected[len(expected) - len(made) :])
        feeder.stop(1.0)
        if crew:
            crew.close()


def test_a_dead_worker_changes_nothing(prepared, monkeypatch, tmp_path) -> None:  # noqa: F811
    """Its successor draws the chunk again."""
    whole_draws = draws_of(prepared)
    whole = TimedFeeder(whole_draws(), CPU, whole_draws)
    expected = read(whole, 0, 12)
    whole.stop()
    parent, mark = os.getpid(), tmp_path / "died"

    def mortal(category: str, split: str, index: int, seed: int = 0):
        if os.getpid() != parent and not mark.exists() and index % 50 == 3:
            mark.touch()
            os._exit(9)
        return toy_sample(category, split, index, seed)

    monkeypatch.setattr(stream_module.registry, "generate", mortal)
    draws = draws_of(prepared, 0, 2)
    crew = Crew(draws, 2, lost=draws.lost)
    feeder = TimedFeeder(iter(crew), CPU, draws)
    assert same(read(feeder, 0, 12), expected)
    assert crew.deaths == 1
    feeder.stop(1.0)
    crew.close()


class KilledError(Exception):
    pass


def test_a_run_that_is_killed_gives_the_same_bits(prepared, tmp_path, monkeypatch) -> None:  # noqa: F811
    fields = {"steps": 6, "repeatable": True, "plan": PLAN, "layer_dropout": 0.0}
    Trainer(tiny_config(prepared, tmp_path / "whole", **fields)).run()
    config = tiny_config(prepared, tmp_path / "cut", **fields)
    Trainer(dataclasses.replace(config, call_steps=3)).run()
    killed = Trainer(dataclasses.replace(config, resume=True))
    step = killed._step

    def kill(scale: float):
        if killed.progress.step == 5:
            raise KilledError
        return step(scale)

    monkeypatch.setattr(killed, "_step", kill)
    with pytest.raises(KilledError):  # two steps past its checkpoint
        killed.run()
    killed.feeder.stop(1.0)
    last = Trainer(dataclasses.replace(config, resume=True, workers=2))
    assert last.progress.step == 3
    assert last.run().step == 6
    for name in ("model.6.safetensors", "optimizer.6.safetensors"):
        one, other = (tmp_path / run / name for run in ("whole", "cut"))
        assert one.read_bytes() == other.read_bytes()
