"""What adapters beside the base cost a step, against the same engine without any, in one run.

    python benchmarks/adapter_steps.py [--model mini] [--rank 16] [--threads 1] [--rounds 5]

Four adapters with random weights on every linear of the decoder (what `train qlora` adapts by default). Every round
measures all cases one after another, so that what else the machine does hits them alike; the ratio is the median of the
rounds' ratios. Times are of the processor, not of the clock, with one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.core import Engine
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.request import EngineRequest, SamplingParams
from autoglm_phone.graph.plan import GraphRequest
from autoglm_phone.models import registry
from autoglm_phone.runner.quantized import open_weights, read_quantization

ADAPTED = re.compile(r"(model\.layers\.\d+\.(?:self_attn|mlp|cross_attn)\.\w+_proj)\.weight")
# Which adapter each sequence of a batch has, in turn; the first two measure the base itself.
CASES: dict[str, tuple[str, tuple[str | None, ...]]] = {
    "no adapters": ("plain", (None,)),
    "loaded, base only": ("adapted", (None,)),
    "one for all": ("adapted", ("a0",)),
    "base and one": ("adapted", (None, "a0")),
    "base and two": ("adapted", (None, "a0", "a1")),
    "four": ("adapted", ("a0", "a1", "a2", "a3")),
}
BATCHES = (1, 4, 16)


def write_adapter(folder: Path, base: Path, rank: int, seed: int) -> Path:
    """As peft writes it."""
    generator = torch.Generator().manual_seed(seed)
    source = open_weights(base, read_quantization(base))
    tensors = {}
    for name in source.names():
        found = ADAPTED.fullmatch(name)
        if found is not None:
            rows, columns = source.get(name).shape
            key = f"base_model.model.{found[1]}"
            tensors[f"{key}.lora_A.weight"] = torch.randn(rank, columns, generator=generator) * columns**-0.5
            tensors[f"{key}.lora_B.weight"] = torch.randn(rows, rank, generator=generator) * 0.01
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "base_model_name_or_path": str(base)}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def step_ms(engine: Engine, adapters: tuple[str | None, ...], batch: int, prompt: int, turn: int) -> float:
    """Median milliseconds of the steps in which `batch` sequences decode; with batch 0 of a prefill of one."""
    sampling = SamplingParams(max_tokens=16 if batch else 1, temperature=0.0, ignore_eos=True)
    rows = np.random.default_rng(turn).integers(20, engine.runner.vocab_size, (max(1, batch), prompt))
    for i, row in enumerate(rows):
        engine.add_request(
            EngineRequest(
                f"r{i}",
                tuple(map(int, row)),
                sampling,
                prefix_caching=False,
                graph=GraphRequest("full"),
                adapter=adapters[i % len(adapters)],
            )
        )
    times = []
    while engine.has_work():
        start = time.thread_time()
        outputs = engine.step()
        if sum(len(item.token_ids) for item in outputs) >= max(1, batch):
            times.append(1000 * (time.thread_time() - start))
    return statistics.median(times[2:] or times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {args.threads} threads, seed: round")
    load = os.getloadavg()[0]
    print(f"torch {torch.__version__}, {args.model}, rank {args.rank}, {args.rounds} rounds, load {load:.1f}")
    base = registry.locate(args.model)
    fields = {"device": "cpu", "dtype": "float32", "threads": args.threads, "kv_cache_memory": 64 << 20}
    with tempfile.TemporaryDirectory() as scratch:
        modules = {f"a{i}": write_adapter(Path(scratch) / f"a{i}", base, args.rank, i) for i in range(4)}
        engines = {
            "plain": load_engine(base, EngineConfig(**fields)),  # type: ignore[arg-type]
            "adapted": load_engine(base, EngineConfig(**fields, lora_modules=modules, max_lora_rank=args.rank)),  # type: ignore[arg-type]
        }
    measures = {**{f"decode {batch}": (batch, 16) for batch in BATCHES}, "prefill 128": (0, 128)}
    times: dict[tuple[str, str], list[float]] = {}
    for turn in range(args.rounds + 1):
        for case, (engine, adapters) in CASES.items():
            for what, (batch, prompt) in measures.items():
                value = step_ms(engines[engine], adapters, batch, prompt, turn)
                if turn:  # the first round warms up
                    times.setdefault((case, what), []).append(value)
    first = next(iter(CASES))
    print(f"\n{'rows':20s}" + "".join(f" {w + ' ms':>14} {'ratio':>6}" for w in measures))
    for case in CASES:
        line = f"{case:20s}"
        for what in measures:
            ratio = statistics.median(a / b for a, b in zip(times[case, what], times[first, what], strict=True))
            line += f" {statistics.median(times[case, what]):14.2f} {ratio:6.2f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
