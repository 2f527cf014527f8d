"""Long answers under each KV policy against `full`, in one run: live KV, what became of the text, time of a step.

    python benchmarks/long_generation.py [--model DIR] [--tokens 2000] [--prompts 2] [--policies full auto window:512 …]

`auto` begins as `full` and is rewritten while it streams. Answers are sampled (greedy ones of a small model run in
circles) and never end by themselves. Live KV is pages held, in bytes, scales of narrow pages included, over those of
`full` at the same token: at the end, and on average over the answer.

Quality is judged by the whole cache: each text goes through `full` once more as a prompt. ppl: perplexity of the text
there; own: what the policy itself gave it. top-1: share of positions at which the policy and `full` would both have
said the same token next, over the same text; late: over its last quarter.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import statistics
import time
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from autoglm_phone.bench import fixed
from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.core import Engine
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.request import EngineRequest, SamplingParams
from autoglm_phone.engine.sequence import Sequence
from autoglm_phone.graph.kv import NARROW
from autoglm_phone.graph.plan import GraphRequest, KVPolicy
from autoglm_phone.models import registry
from autoglm_phone.train.encode import Encoder

BUNDLED = Path(__file__).parents[1] / "src" / "autoglm_phone" / "models" / "mini"
POLICIES = ("full", "auto", "window:1024", "window:512", "evict:512", "int8")


@dataclass
class Answer:
    """bytes: of live KV after each step. best, logprob: of each token, by the policy's own logits."""

    tokens: list[int] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)
    best: list[int] = field(default_factory=list)
    logprob: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    rewrites: list[str] = field(default_factory=list)


def wish(policy: str) -> GraphRequest:
    kind, _, size = policy.partition(":")
    number = int(size) if size else None
    return GraphRequest(
        policy="full",
        kv=kind,  # type: ignore[arg-type]
        kv_window=number if kind == "window" else None,
        kv_budget=number if kind == "evict" else None,
        trace=True,
    )


def live_bytes(engine: Engine, sequence: Sequence) -> int:
    runner = engine.runner
    scales = runner.decoder.pages.narrow  # type: ignore[attr-defined]
    extra = scales.frame * scales.heads * 2 * runner.spec.layers_per_page  # type: ignore[attr-defined]
    narrow = sequence.plan.kv.kind in NARROW
    return sequence.num_pages * (runner.page_bytes + (extra if narrow else 0))


def generate(
    engine: Engine, prompt: tuple[int, ...], policies: Seq[str], tokens: int, args: argparse.Namespace, seed: int
) -> dict[str, Answer]:
    """Answers under these policies, side by side in one batch."""
    answers = {policy: Answer() for policy in policies}
    logits: dict[str, list[torch.Tensor]] = {policy: [] for policy in policies}
    sampling = SamplingParams(max_tokens=tokens, temperature=args.temperature, top_p=0.95, seed=seed, ignore_eos=True)
    engine.runner.cascade.exit_probe = lambda name, _p, _d, row: logits[name].append(row)  # type: ignore[attr-defined]
    for policy in policies:
        engine.add_request(EngineRequest(policy, prompt, sampling, prefix_caching=False, graph=wish(policy)))
    while engine.has_work():
        start = time.perf_counter()
        outputs = engine.step()
        took = time.perf_counter() - start
        for output in outputs:
            if output.error:
                raise SystemExit(output.error)
            answer = answers[output.request_id]
            answer.tokens += output.token_ids
            answer.seconds.append(took)
            for token in output.token_ids:
                row = logits[output.request_id].pop(0)
                answer.best.append(int(row.argmax()))
                answer.logprob.append(float(row.log_softmax(-1)[token]))
            if output.graph:
                answer.rewrites = [f"{r['change']} at {r['token']}" for r in output.graph["rewrites"]]
        for sequence in engine.scheduler.running:
            answers[sequence.request_id].bytes.append(live_bytes(engine, sequence))
    engine.runner.cascade.exit_probe = None  # type: ignore[attr-defined]
    return answers


def judge(engine: Engine, prompt: tuple[int, ...], answer: Answer) -> tuple[list[float], list[int]]:
    """Log-probability of each token, and the likeliest one there, with the whole cache."""
    sampling = SamplingParams(max_tokens=0, prompt_logprobs=1)
    ids = (*prompt, *answer.tokens)
    engine.add_request(EngineRequest("j", ids, sampling, prefix_caching=False, graph=GraphRequest("full", kv="full")))
    found = []
    while engine.has_work():
        for output in engine.step():
            found += list(output.prompt_logprobs or ())
    rows = [row for row in found[len(prompt) :] if row is not None]
    return [row.logprob for row in rows], [row.top[0][0] for row in rows]


def perplexity(logprobs: list[float]) -> float:
    return math.exp(-statistics.fmean(logprobs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=BUNDLED)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--prompts", type=int, default=2)
    parser.add_argument("--policies", nargs="+", default=list(POLICIES))
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--speed", type=int, default=24, help="tokens of the second table; 0 leaves it out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    engine = load_engine(args.model, EngineConfig(threads=args.threads))
    print(
        f"machine: {platform.machine()}, {os.cpu_count()} CPUs, torch {torch.__version__}, {args.threads} thread(s), "
        f"load average {os.getloadavg()[0]:.1f}\nmodel: {args.model.name} ({registry.facts(args.model).family}), "
        f"{str(engine.runner.decoder.backend.dtype).removeprefix('torch.')} KV; seed {args.seed}; "  # type: ignore[attr-defined]
        f"{args.prompts} prompts, {args.tokens} tokens each, temperature {args.temperature}; baseline: full"
    )
    encoder = Encoder(Tokenizer.from_file(str(args.model / "tokenizer.json")), no_think=0.0)
    samples = [sample for sample in fixed.load(fixed.FOLDER) if not sample.pictures and not sample.clips]
    prompts = [tuple(encoder.prompt(s.turns, thinking=False).ids) for s in samples[: args.prompts]]
    policies = args.policies if "full" in args.policies else ["full", *args.policies]
    answers: dict[str, list[Answer]] = {policy: [] for policy in policies}
    for nth, prompt in enumerate(prompts):
        for policy, answer in generate(engine, prompt, policies, args.tokens, args, args.seed + nth).items():
            answers[policy].append(answer)
    print(
        f"\n{'policy':>12} {'live at end':>11} {'mean':>6} {'peak MiB':>8} "
        f"{'ppl':>7} {'own':>7} {'top-1':>6} {'late':>6}  rewrites"
    )
    base = answers["full"]
    mean = statistics.fmean
    for policy in policies:
        by_full, own, same, late = [], [], [], []
        for prompt, answer in zip(prompts, answers[policy], strict=True):
            logprobs, best = judge(engine, prompt, answer)
            by_full += logprobs
            own += answer.logprob
            equal = [a == b for a, b in zip(answer.best, best, strict=True)]
            same += equal
            late += equal[-len(equal) // 4 :]
        pairs = list(zip(answers[policy], base, strict=True))
        print(
            f"{policy:>12} {mean(a.bytes[-1] / b.bytes[-1] for a, b in pairs):11.3f} "
            f"{mean(sum(a.bytes) / sum(b.bytes) for a, b in pairs):6.3f} "
            f"{mean(max(a.bytes) for a, _ in pairs) / (1 << 20):8.1f} "
            f"{perplexity(by_full):7.3f} {perplexity(own):7.3f} {mean(same):6.3f} {mean(late):6.3f}  "
            + "; ".join(sorted({r for a, _ in pairs for r in a.rewrites}))
        )
    if args.speed:
        speed_table(engine, prompts[0], policies, args)


def speed_table(engine: Engine, prompt: tuple[int, ...], policies: Seq[str], args: argparse.Namespace) -> None:
    """Seconds of a step behind a long context, each policy alone; rounds in turn, ratios within a round."""
    generator = np.random.default_rng(args.seed)
    context = (*prompt, *map(int, generator.integers(20, engine.runner.vocab_size, args.tokens)))
    plain = [policy for policy in policies if policy != "auto"]
    times: dict[str, list[float]] = {policy: [] for policy in plain}
    for _ in range(args.rounds):
        for policy in plain:
            # The context counts as prompt here, and a window must be allowed to drop it.
            engine.planning.planner.settings = replace(  # type: ignore[union-attr]
                engine.planning.planner.settings,  # type: ignore[union-attr]
                window=KVPolicy(keep_prompt=False),
            )
            seconds = generate(engine, context, [policy], args.speed, args, args.seed)[policy].seconds
            times[policy].append(statistics.median(seconds[2:]))
    print(f"\n{'policy':>12} {'ms a step':>9} {'of full':>8}   one sequence behind {len(context)} tokens")
    for policy in plain:
        ratio = statistics.median(a / b for a, b in zip(times[policy], times["full"], strict=True))
        print(f"{policy:>12} {1000 * statistics.median(times[policy]):9.2f} {ratio:8.3f}")


if __name__ == "__main__":
    main()
