"""Decode step time by depth and batch against full depth, and tokens a second of drafting, in one run.

    python benchmarks/depth_steps.py [--model DIR] [--threads 1] [--batches 1 4 16] [--prompt 64] [--output 48]

Every round measures all depths one after another, so that what else the machine does hits them alike; the ratio is the
median of the rounds' ratios. `due` is (layers run + the head's worth of layers) / (all layers + the head's worth).
The second table answers the fixed benchmark's text prompts with `full`, `lossless` and `confidence` (one threshold at
every exit, not calibrated: it shows cost, not quality) and compares the outputs.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from autoglm_phone.bench import fixed
from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.core import Engine
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.planning import PlannerLike, Planning
from autoglm_phone.engine.request import EngineRequest, SamplingParams
from autoglm_phone.graph.plan import EXIT_KINDS, ExitPolicy, GraphRequest, Plan
from autoglm_phone.models import registry
from autoglm_phone.train.encode import Encoder

BUNDLED = Path(__file__).parents[1] / "src" / "autoglm_phone" / "models" / "mini"


def step_ms(engine: Engine, prompts: Sequence[tuple[int, ...]], output: int, graph: GraphRequest) -> float:
    """Median milliseconds of the steps in which every sequence decodes."""
    sampling = SamplingParams(max_tokens=output, temperature=0.0, ignore_eos=True)
    for i, prompt in enumerate(prompts):
        engine.add_request(EngineRequest(f"r{i}", prompt, sampling, prefix_caching=False, graph=graph))
    times = []
    while engine.has_work():
        start = time.perf_counter()
        outputs = engine.step()
        if sum(len(item.token_ids) for item in outputs) >= len(prompts):
            times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[2:])


def head_in_layers(engine: Engine) -> float:
    """What reading logits costs, in layers, by the weights that each of them has."""
    spec = engine.runner.spec  # type: ignore[attr-defined]
    q, kv, hidden = spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim, spec.hidden_size
    inner = spec.config.intermediate_size if hasattr(spec.config, "intermediate_size") else 2.5 * hidden
    return spec.vocab_size * hidden / (hidden * (q + 2 * kv) + q * hidden + 3 * inner * hidden)


def depths_table(engine: Engine, args: argparse.Namespace) -> None:
    depths = sorted({*engine.runner.layout.exits, engine.runner.layout.ends[-1]})
    whole, head = depths[-1], head_in_layers(engine)
    print(f"\n{'batch':>5} {'layers':>6} {'step ms':>9} {'of full':>8} {'layers/all':>10} {'due':>6}")
    for batch in args.batches:
        rows: dict[int, list[float]] = {depth: [] for depth in depths}
        for turn in range(args.rounds):
            generator = np.random.default_rng(args.seed + turn)
            shape = (batch, args.prompt)
            prompts = [tuple(map(int, row)) for row in generator.integers(20, engine.runner.vocab_size, shape)]
            for depth in depths:
                rows[depth].append(step_ms(engine, prompts, args.output, GraphRequest("fixed", depth)))
        for depth in depths:
            ratio = statistics.median(a / b for a, b in zip(rows[depth], rows[whole], strict=True))
            due = (depth + head) / (whole + head)
            median = statistics.median(rows[depth])
            print(f"{batch:5d} {depth:6d} {median:9.2f} {ratio:8.3f} {depth / whole:10.3f} {due:6.3f}")


def text_prompts(folder: Path) -> list[tuple[int, ...]]:
    """The fixed benchmark's samples without picture or sound, as the model was trained to read them."""
    encoder = Encoder(Tokenizer.from_file(str(folder / "tokenizer.json")), no_think=0.0)
    samples = [sample for sample in fixed.load(fixed.FOLDER) if not sample.pictures and not sample.clips]
    return [tuple(encoder.prompt(sample.turns).ids) for sample in samples]


def answer(
    engine: Engine, prompts: Sequence[tuple[int, ...]], streams: int, limit: int, graph: GraphRequest
) -> tuple[float, list[list[int]]]:
    """(seconds, tokens of each answer), at most `streams` at a time."""
    sampling = SamplingParams(max_tokens=limit, temperature=0.0)
    outputs: dict[str, list[int]] = {}
    waiting = [EngineRequest(f"r{i}", p, sampling, prefix_caching=False, graph=graph) for i, p in enumerate(prompts)]
    waiting.reverse()
    running = 0
    start = time.perf_counter()
    while waiting or engine.has_work():
        while waiting and running < streams:
            engine.add_request(waiting.pop())
            running += 1
        for item in engine.step():
            outputs.setdefault(item.request_id, []).extend(item.token_ids)
            running -= item.finish_reason is not None
    return time.perf_counter() - start, [outputs[f"r{i}"] for i in range(len(prompts))]


class Thresholds(PlannerLike):
    """Stands in for the planner where the request says `confidence`: the same threshold at every exit."""

    def __init__(self, engine: Engine, level: float):
        self.exits = dict.fromkeys(engine.runner.layout.exits, level)

    def plan(self, facts: EngineRequest) -> Plan:
        kind = facts.graph.policy if facts.graph is not None else None
        depth = facts.graph.max_depth if facts.graph is not None else None
        return Plan(exit=ExitPolicy(kind if kind in EXIT_KINDS else "full", depth, self.exits))


def policies_table(engine: Engine, args: argparse.Namespace) -> None:
    prompts = text_prompts(args.model)[: args.prompts]
    engine.planning = Planning(engine.config, Thresholds(engine, args.threshold), lambda request: request)
    print(f"\n{'batch':>5} {'policy':>11} {'tok/s':>8} {'s/token of full':>15} {'layers/token':>12} {'notes':<30}")
    for batch in args.batches:
        seconds: dict[str, list[float]] = {}
        counts: dict[str, int] = {}
        answers: dict[str, list[list[int]]] = {}
        notes: dict[str, str] = {}
        for kind in ("full", "lossless", "confidence") * args.rounds:
            before = engine.stats()
            took, outputs = answer(engine, prompts, batch, args.limit, GraphRequest(kind))  # type: ignore[arg-type]
            after = engine.stats()
            read = after.exits - before.exits
            counts[kind] = sum(map(len, outputs))
            seconds.setdefault(kind, []).append(took / counts[kind])
            answers[kind] = outputs
            layers = sum(depth * count for depth, count in read.items()) / read.total()
            equal = sum(a == b for a, b in zip(answers["full"], outputs, strict=True))
            drafts = f", {after.accepted - before.accepted} of {after.drafted - before.drafted} drafts right"
            notes[kind] = f"{layers:12.1f} {equal}/{len(prompts)} equal{drafts if kind == 'lossless' else ''}"
        for kind, times in seconds.items():
            ratio = statistics.median(a / b for a, b in zip(times, seconds["full"], strict=True))
            print(f"{batch:5d} {kind:>11} {1 / statistics.median(times):8.1f} {ratio:15.3f} {notes[kind]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=BUNDLED)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--output", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=16, help="text prompts of the second table; 0 leaves it out")
    parser.add_argument("--limit", type=int, default=96, help="tokens of an answer at most")
    parser.add_argument("--threshold", type=float, default=0.95, help="of `confidence`")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    engine = load_engine(args.model, EngineConfig(threads=args.threads))
    print(
        f"machine: {platform.machine()}, {os.cpu_count()} CPUs, torch {torch.__version__}, {args.threads} thread(s), "
        f"load average {os.getloadavg()[0]:.1f}\nmodel: {args.model.name} ({registry.facts(args.model).family}); "
        f"seed {args.seed}; prompt {args.prompt}, output {args.output} tokens; {args.rounds} rounds"
    )
    depths_table(engine, args)
    if args.prompts:
        policies_table(engine, args)


if __name__ == "__main__":
    main()
