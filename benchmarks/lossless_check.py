"""Are the answers of `lossless` those of the whole decoder, token for token? Greedy, on held-out samples of the world.

    python benchmarks/lossless_check.py [--count 38] [--categories arith,asr] [--policy lossless] [--out FILE.json]

Every batch is answered twice by one engine, with `full` and with the policy. Prints equal answers per category and the
samples that differ, with the position of the first other token. Times are not compared: the second pass finds prompts
and tower outputs in the caches.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import torch

from autoglm_phone import LLM
from autoglm_phone.bench.world import MAX_TOKENS, messages, world_samples
from autoglm_phone.engine.request import SamplingParams
from autoglm_phone.train.world import registry


def tokens(llm: LLM, conversations: list[Any], policy: str) -> list[tuple[int, ...]]:
    params = SamplingParams(temperature=0.0, max_tokens=MAX_TOKENS)
    return [o.outputs[0].token_ids for o in llm.chat(conversations, params, graph={"policy": policy})]


def first_difference(one: tuple[int, ...], two: tuple[int, ...]) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--count", type=int, default=38, help="samples a category; 38 make 1,026")
    parser.add_argument("--categories", default="", help="comma-separated; empty = all")
    parser.add_argument("--policy", default="lossless")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    names = [name for name in args.categories.split(",") if name] or list(registry.CATEGORIES)
    llm = LLM(model=args.model)
    print(f"machine: {platform.machine()}, torch {torch.__version__}; model {args.model}")
    began, total, produced = time.monotonic(), 0, 0
    differing: list[dict[str, Any]] = []
    for category, makers in world_samples(names, args.count, "test").items():
        same = 0
        for start in range(0, len(makers), args.batch):
            drawn = [make() for make in makers[start : start + args.batch]]
            conversations = [messages(sample) for sample in drawn]
            full, other = (tokens(llm, conversations, policy) for policy in ("full", args.policy))
            for sample, one, two in zip(drawn, full, other, strict=True):
                same += one == two
                produced += len(one)
                if one != two:
                    at = first_difference(one, two)
                    differing.append({"id": sample.id, "at": at, "lengths": [len(one), len(two)]})
        total += len(makers)
        print(f"{category:16s} {same} of {len(makers)} equal  ({time.monotonic() - began:.0f} s)", flush=True)
    print(f"{args.policy}: {total - len(differing)} of {total} answers equal to full depth's, {produced} tokens")
    for item in differing:
        print(f"  {item['id']}: other from token {item['at']} on, {item['lengths'][0]} and {item['lengths'][1]} tokens")
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(
            json.dumps({"policy": args.policy, "answers": total, "differing": differing}, indent=1) + "\n"
        )
        print(f"wrote {args.out}")
    return 0 if not differing else 1


if __name__ == "__main__":
    sys.exit(main())
