"""Times of two loaded models, float and compressed, taken turn by turn in one process.

Every round runs each measure on one model and then on the other, so that what else the machine does hits both; a ratio
is the median of the rounds' ratios. Depth is full, prompts are random tokens, nothing is cached.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from autoglm_phone.engine.core import Engine
from autoglm_phone.engine.request import EngineRequest, SamplingParams
from autoglm_phone.graph.plan import GraphRequest


@dataclass(frozen=True)
class Latency:
    """One measure in ms: medians over the rounds. ratio: compressed over float, median; low, high: its quartiles."""

    what: str
    before: float
    after: float
    ratio: float
    low: float
    high: float


def compare(
    first: Engine, second: Engine, *, rounds: int = 5, say: Callable[[str], None] = lambda line: None
) -> list[Latency]:
    """Decode steps of 1, 4 and 16 sequences, and the first token after 128 and 512 tokens of prompt."""
    longest = min(first.runner.max_model_len, second.runner.max_model_len) - 1
    measures: dict[str, Callable[[Engine, int], float]] = {
        f"decode step, {batch} sequence{'s' if batch > 1 else ''}": partial(_decode, batch) for batch in (1, 4, 16)
    }
    measures |= {f"first token, prompt of {n}": partial(_prefill, n) for n in (128, 512) if n <= longest}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in measures}
    for turn in range(rounds + 1):
        for name, measure in measures.items():
            order = (first, second) if turn % 2 else (second, first)
            taken = {id(engine): measure(engine, turn) for engine in order}
            if turn:  # the first round warms up
                times[name].append((taken[id(first)], taken[id(second)]))
    rows = []
    for name, pairs in times.items():
        ratios = [after / before for before, after in pairs]
        low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else (ratios[0],) * 3
        before, after = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
        rows.append(Latency(name, before, after, statistics.median(ratios), low, high))
        say(f"{name}: {before:.2f} -> {after:.2f} ms, ratio {rows[-1].ratio:.2f}")
    return rows


def _random(turn: int, engine: Engine, shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(turn).integers(20, engine.runner.vocab_size, shape)


def _decode(batch: int, engine: Engine, turn: int) -> float:
    """Median milliseconds of the steps in which all sequences decode."""
    sampling = SamplingParams(max_tokens=12, temperature=0.0, ignore_eos=True)
    for i, row in enumerate(_random(turn, engine, (batch, 16))):
        request = EngineRequest(f"r{i}", tuple(map(int, row)), sampling, prefix_caching=False, graph=_FULL)
        engine.add_request(request)
    times = []
    while engine.has_work():
        began = time.perf_counter()
        outputs = engine.step()
        if sum(len(output.token_ids) for output in outputs) >= batch:
            times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times[2:])


def _prefill(tokens: int, engine: Engine, turn: int) -> float:
    """Milliseconds until the first token."""
    prompt = tuple(map(int, _random(turn, engine, (tokens,))))
    sampling = SamplingParams(max_tokens=1, temperature=0.0, ignore_eos=True)
    engine.add_request(EngineRequest("p", prompt, sampling, prefix_caching=False, graph=_FULL))
    began = time.perf_counter()
    while engine.has_work():
        engine.step()
    return 1000 * (time.perf_counter() - began)


_FULL = GraphRequest("full")
