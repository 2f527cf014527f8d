"""Is the dynamic graph ever slower than the static one? At 1 … 64 requests at once, in one run.

    python benchmarks/graph_concurrency.py [--model DIR] [--batches 1 2 4 8 16 32 64] [--policies lossless auto]

Easy prompts are the fixed benchmark's text requests; `random` ones are random tokens, after which a small model soon
repeats itself, so that drafts are often right; hopeless ones are random tokens too, and the exits read the wrong
channels, so that none is ever sure and no draft is right.

Two engines in one process, one static and one dynamic, answer the same batch `--rounds` times; whichever has used less
time so far makes the next step, so that what else the machine does hits both alike within tens of milliseconds. The
ratio is dynamic's time over static's, in wall time and in CPU time (which other processes disturb less). Before every
line the dynamic engine forgets what it has learned, as after a start: `first` is its first round alone, with the trials
that its controllers make. `static` against itself shows the noise. Exits that leave too early are no gain: `same`
counts equal outputs.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from autoglm_phone.bench import fixed
from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.core import Engine
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.planning import PlannerLike, Planning
from autoglm_phone.engine.request import EngineRequest, SamplingParams
from autoglm_phone.graph.plan import ExitPolicy, GraphRequest, Plan
from autoglm_phone.graph.setup import planner_for
from autoglm_phone.models import registry
from autoglm_phone.runner.probe import load_probe
from autoglm_phone.train.encode import Encoder

BOUND = 1.03
Prompts = list[tuple[int, ...]]


class SureExits(PlannerLike):
    """Plans where no calibration fits the weights: `confidence` leaves at one threshold, everywhere."""

    def __init__(self, depths: tuple[int, ...], threshold: float):
        self.thresholds = dict.fromkeys(depths[:-1], threshold)

    def plan(self, facts: EngineRequest) -> Plan:
        kind = (facts.graph or GraphRequest()).policy or "full"
        return Plan(exit=ExitPolicy("confidence" if kind == "auto" else kind, thresholds=self.thresholds))


def load(args: argparse.Namespace) -> tuple[Engine, str]:
    """(engine, where its exits come from)"""
    config = EngineConfig(
        threads=args.threads, max_num_seqs=max(args.batches), exit_risk=args.risk, enable_prefix_caching=False
    )
    engine = load_engine(args.model, config)
    layout = engine.runner.layout
    planner = planner_for(args.model, config, layout.ends, layout.exits)
    if planner is not None and planner.settings.calibration is not None:
        engine.planning = Planning(config, planner)
        runner = engine.runner
        runner.cascade.depth_probe = load_probe(  # type: ignore[attr-defined]
            args.model, planner.settings.depths, runner.spec.hidden_size, torch.device("cpu")  # type: ignore[attr-defined]
        )  # fmt: skip
        return engine, f"calibrated, risk {args.risk:g}"
    depths = (*sorted(layout.exits), layout.ends[-1])
    engine.planning = Planning(config, SureExits(depths, args.threshold), lambda request: request)
    return engine, f"not calibrated, threshold {args.threshold:g}"


def easy_prompts(folder: Path) -> Prompts:
    encoder = Encoder(Tokenizer.from_file(str(folder / "tokenizer.json")), no_think=0.0)
    samples = [sample for sample in fixed.load(fixed.FOLDER) if not sample.pictures and not sample.clips]
    return [tuple(encoder.prompt(sample.turns).ids) for sample in samples]


def hopeless_prompts(count: int, length: int, vocab: int, seed: int) -> Prompts:
    rows = np.random.default_rng(seed).integers(20, vocab, (count, length))
    return [tuple(map(int, row)) for row in rows]


@contextmanager
def spoiled_exits(engine: Engine) -> Iterator[None]:
    """Exits read the wrong channels inside, at the same cost; the whole decoder stays as it is."""
    decoder = engine.runner.decoder  # type: ignore[attr-defined]
    read = decoder.logits

    def misread(hidden: Tensor, segment: int = decoder.num_segments - 1) -> Tensor:
        return read(hidden.roll(1, -1) if segment < decoder.num_segments - 1 else hidden, segment)

    decoder.logits = misread
    try:
        yield
    finally:
        decoder.logits = read


class Side:
    """An engine that answers the same batch again and again, a step at a time, and the seconds that it has used."""

    def __init__(self, engine: Engine, prompts: Prompts, policy: str, output: int, rounds: int):
        self.engine, self.prompts, self.rounds = engine, prompts, rounds
        self.sampling = SamplingParams(max_tokens=output, temperature=0.0, ignore_eos=True)
        self.graph = GraphRequest("full" if policy == "static" else policy)  # type: ignore[arg-type]
        self.wall = self.cpu = 0.0
        self.cpu_by_round: list[float] = []
        self.outputs: dict[str, list[int]] = {}

    @property
    def done(self) -> bool:
        return len(self.cpu_by_round) == self.rounds

    def step(self) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        if not self.engine.has_work():
            self.outputs = {}
            for i, prompt in enumerate(self.prompts):
                self.engine.add_request(EngineRequest(f"r{i}", prompt, self.sampling, graph=self.graph))
        for item in self.engine.step():
            self.outputs.setdefault(item.request_id, []).extend(item.token_ids)
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu
        if not self.engine.has_work():
            self.cpu_by_round.append(self.cpu - sum(self.cpu_by_round))


def line(engines: tuple[Engine, Engine], kind: str, prompts: Prompts, policy: str, args: argparse.Namespace) -> float:
    """Measure and print; returns the ratio of CPU times over all rounds."""
    static, dynamic = (
        Side(engine, prompts, name, args.output, args.rounds)
        for engine, name in zip(engines, ("static", policy), strict=True)
    )
    engine = dynamic.engine
    engine.runner.cascade.forget()  # type: ignore[attr-defined]
    before = engine.stats()
    while not (static.done and dynamic.done):
        behind = min((s for s in (static, dynamic) if not s.done), key=lambda s: s.cpu)
        behind.step()
    after = engine.stats()
    cpu = dynamic.cpu / static.cpu
    drafted = after.drafted - before.drafted
    read = after.exits - before.exits
    layers = sum(depth * count for depth, count in read.items()) / max(1, read.total())
    note = f"{after.accepted - before.accepted} of {drafted} drafts" if drafted else ""
    same = sum(static.outputs[name] == tokens for name, tokens in dynamic.outputs.items())
    print(
        f"{len(prompts):5d} {kind:>9} {policy:>11} {dynamic.wall / static.wall:7.3f} {cpu:7.3f} "
        f"{dynamic.cpu_by_round[0] / static.cpu_by_round[0]:7.3f} {same:5d}/{len(prompts):<3d} {layers:6.1f} "
        f"{note}{'' if cpu <= BOUND else '  SLOWER'}",
        flush=True,
    )
    return cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=registry.locate("mini"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--policies", nargs="+", default=["static", "lossless", "auto"])
    parser.add_argument("--prompts", nargs="+", default=["easy", "random", "hopeless"])
    parser.add_argument("--prompt", type=int, default=64, help="tokens of a hopeless prompt")
    parser.add_argument("--output", type=int, default=96, help="tokens of every answer")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--risk", type=float, default=0.01)
    parser.add_argument("--threshold", type=float, default=0.95, help="of exits that are not calibrated")
    parser.add_argument("--ahead", type=int, help="tokens that may be written behind unsure ones; 0: none")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    engine, exits = load(args)
    if args.ahead is not None:
        engine.runner.cascade.ahead.longest = args.ahead  # type: ignore[attr-defined]
    static, _ = load(args)
    print(
        f"machine: {platform.machine()}, {os.cpu_count()} CPUs, torch {torch.__version__}, {args.threads} thread(s), "
        f"load average {os.getloadavg()[0]:.1f}\nmodel: {args.model.name}, exits {exits}; seed {args.seed}; output "
        f"{args.output} tokens; {args.rounds} rounds"
    )
    print(f"\n{'batch':>5} {'prompts':>9} {'policy':>11} {'wall':>7} {'CPU':>7} {'first':>7} {'same':>9} {'layers':>6}")
    easy = easy_prompts(args.model)
    for side in (Side(engine, easy[:4], "static", 16, 1), Side(static, easy[:4], "static", 16, 1)):
        while not side.done:  # warms up
            side.step()
    worst = (0.0, "")
    for batch in args.batches:
        hard = hopeless_prompts(batch, args.prompt, engine.runner.vocab_size, args.seed)
        made = {"easy": [easy[i % len(easy)] for i in range(batch)], "random": hard, "hopeless": hard}
        for kind in args.prompts:
            for policy in args.policies:
                with spoiled_exits(engine) if kind == "hopeless" else nullcontext():
                    ratio = line((static, engine), kind, made[kind], policy, args)
                if policy != "static":
                    worst = max(worst, (ratio, f"{policy}, {kind} prompts, batch {batch}"))
    verdict = "reached" if worst[0] <= BOUND else "missed"
    print(f"\nworst: {worst[0]:.3f} of static's CPU time ({worst[1]}); goal ≤ {BOUND}: {verdict}")


if __name__ == "__main__":
    main()
