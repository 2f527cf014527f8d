"""Static against dynamic, sample by sample: every sample is answered in every mode, one after another, so that what
else the machine does hits all modes alike. Two engines in two processes; measurements in a file that grows.

A sample is one line of the file, written when all modes have answered it: a run that was stopped goes on where it was,
and every comparison is between answers to the same request within seconds.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoglm_phone.bench import fixed
from autoglm_phone.bench.graph_modes import CONTROL, STATIC, Facts, Mode
from autoglm_phone.errors import ConfigError, EngineError

VERSION = 1
Say = Callable[[str], None]
Where = tuple[str, str, int]  # suite, category, index


class Worker:
    """An engine in a process of its own, see bench.graph_worker. Use as a context.

    Raises:
        EngineError: it could not start, or failed on a sample.
    """

    def __init__(self, settings: Mapping[str, Any]):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "autoglm_phone.bench.graph_worker", json.dumps(dict(settings))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.facts = self._read()

    def answer(self, where: Where, mode: Mode) -> dict[str, Any]:
        """One request by itself."""
        return self._ask({"sample": where, "mode": mode.as_dict()})

    def answer_together(self, mix: Sequence[Where], concurrency: int, mode: Mode) -> dict[str, Any]:
        """Many requests, so many at a time: what memory they took (bench.graph_memory)."""
        return self._ask({"mix": mix, "concurrency": concurrency, "mode": mode.as_dict()})

    def _ask(self, task: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None  # internal: a pipe was asked for
        try:
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise EngineError("an engine's process has ended; its messages say why") from error
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # internal: a pipe was asked for
        line = self._process.stdout.readline()
        if not line:
            raise EngineError("an engine's process has ended; its messages say why")
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise EngineError(reply["error"])
        return reply

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None  # internal: a pipe was asked for
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def read_facts(raw: Mapping[str, Any]) -> Facts:
    """From what a worker says when it starts."""
    return Facts(tuple(raw["depths"]), tuple(raw["risks"]), bool(raw["probe"]), tuple(raw["kv"]))


def choose_samples(suite: str, categories: Sequence[str], count: int, seed: int) -> list[Where]:
    """Samples in an order that mixes the categories.

    Args:
        count: samples a category (world); the fixed set is taken whole.
    """
    if suite == "world-100":
        chosen = [("world-100", c, fixed.FIRST_INDEX + i) for c, n in fixed.PLAN.items() for i in range(n)]
        chosen = [where for where in chosen if not categories or where[1] in categories]
    else:
        chosen = [("world", c, i) for c in categories for i in range(count)]
    random.Random(seed).shuffle(chosen)
    return chosen


@dataclass(frozen=True)
class Measured:
    """One sample: what each mode measured, see graph_worker.GraphArm.answer."""

    where: Where
    modes: Mapping[str, Mapping[str, Any]]


class MeasurementStore:
    """Raises ConfigError if the file holds measurements of another setting."""

    def __init__(self, path: Path, setting: Mapping[str, Any]):
        self.path = path
        self.known: dict[Where, Measured] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        header = {"version": VERSION, **setting}
        if not path.exists():
            path.write_text(json.dumps(header) + "\n", encoding="utf-8")
            return
        text = path.read_text(encoding="utf-8")
        whole, _, cut = text.rpartition("\n")
        if cut:  # stopped in the middle of a line: that sample is measured again
            path.write_text(whole + "\n", encoding="utf-8")
        first, *rest = whole.splitlines() or [""]
        found = json.loads(first or "{}")
        other = sorted(key for key in {*header, *found} if header.get(key) != found.get(key))
        if other:
            raise ConfigError(
                f"{path} holds a run that differs in {', '.join(other)}; choose another --out or delete it", param="out"
            )
        for line in rest:
            raw = json.loads(line)
            where = (str(raw["sample"][0]), str(raw["sample"][1]), int(raw["sample"][2]))
            self.known[where] = Measured(where, raw["modes"])

    def add(self, measured: Measured) -> None:
        self.known[measured.where] = measured
        with self.path.open("a", encoding="utf-8") as file:
            line = {"sample": measured.where, "modes": measured.modes}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def in_turn(modes: Sequence[Mode], nth: int) -> list[Mode]:
    """The modes in the order of the nth sample: rotated, so that none always follows the same one, with the second
    static answer half a round away from the first."""
    others = [mode for mode in modes if mode.name not in (STATIC, CONTROL)]
    turn = nth % max(1, len(others))
    others = others[turn:] + others[:turn]
    half = len(others) // 2
    ends = [mode for mode in modes if mode.name in (STATIC, CONTROL)]
    if nth % 2:
        ends.reverse()
    return [*ends[:1], *others[:half], *ends[1:], *others[half:]]


def measure(
    workers: Mapping[str, Worker], modes: Sequence[Mode], samples: Sequence[Where], store: MeasurementStore, say: Say
) -> list[Measured]:
    """Measure what the store does not hold yet; returns all samples in order."""
    todo = [where for where in samples if where not in store.known]
    if todo:
        for mode in modes:  # the first answer of a process pays for things that no later one does
            workers[mode.arm].answer(todo[0], mode)
    start = time.perf_counter()
    for done, where in enumerate(todo):
        order = in_turn(modes, samples.index(where))
        found = {mode.name: workers[mode.arm].answer(where, mode) for mode in order}
        store.add(Measured(where, {mode.name: found[mode.name] for mode in modes}))
        if (done + 1) % max(1, len(todo) // 20) == 0 or done + 1 == len(todo):
            took = time.perf_counter() - start
            left = took / (done + 1) * (len(todo) - done - 1)
            say(f"  {done + 1} of {len(todo)} samples, {took:.0f} s, about {left:.0f} s to go")
    return [store.known[where] for where in samples]
