"""What quantized weights cost and save: resident bytes, and milliseconds of a step, against the float model in one run.

    python benchmarks/quantized_steps.py [--model mini] [--packed DIR ...] [--threads 1] [--rounds 5] [--rule]

Without --packed, copies of the model are rounded to the nearest in a temporary folder (their answers are bad, their
speed is that of any recipe): int4 in groups of 128 with the embedding in 3 bits, int8 by row, and int8 with 8-bit
inputs. Every round measures all models one after another, so that what else the machine does hits them alike; the
ratio is the median of the rounds' ratios. --rule times one linear by bags and by blocks: what BAG_ROWS was read from.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from autoglm_phone.backends.quantized import PackedWeight
from autoglm_phone.backends.quantized_table import TableHandle
from autoglm_phone.compress.algorithms.grid import absmax_grid
from autoglm_phone.compress.formats.master import MasterConfig, ModuleSpec, QuantizedWeight, ShardWriter
from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.core import Engine
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.request import EngineRequest, SamplingParams
from autoglm_phone.graph.plan import GraphRequest
from autoglm_phone.models import registry
from autoglm_phone.runner.offload import map_tensors

KINDS = {"int4": (4, 3, 128, None), "int8": (8, 8, None, None), "int8, 8-bit inputs": (8, 8, None, 8)}


def rounded_copy(source: Path, folder: Path, kind: str) -> Path:
    """A master of `source`, every matrix rounded to the nearest code."""
    bits, outer_bits, group, activation_bits = KINDS[kind]
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors*", "README*"))
    writer, modules = ShardWriter(folder), {}
    for shard in sorted(source.glob("*.safetensors")):
        with safe_open(shard, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  (a safetensors handle is no mapping)
                tensor = file.get_tensor(name)
                if tensor.dim() != 2 or not name.endswith(".weight") or "media_embed" in name or "position" in name:
                    writer.add(name, tensor)
                    continue
                outer = "embed_tokens" in name or name.startswith("lm_head")
                width, columns = outer_bits if outer else bits, tensor.shape[1]
                size = columns if group is None or columns % group else group
                weight = tensor.float()
                grid = absmax_grid(weight, width, size)
                spec = ModuleSpec(
                    "embedding" if "embed_tokens" in name else "linear",
                    width,
                    size,
                    True,
                    tuple(weight.shape),
                    activation_bits=None if outer else activation_bits,
                )
                module = name.removesuffix(".weight")
                modules[module] = spec
                for part, held in QuantizedWeight(spec, grid.quantize(weight), grid.scales).tensors(module).items():
                    writer.add(part, held)
    config = json.loads((source / "config.json").read_text())
    config["quantization_config"] = MasterConfig(modules, writer.close()).to_json()
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def engine_of(folder: Path, dtype: str, threads: int) -> Engine:
    fields = {"dtype": dtype, "device": "cpu", "threads": threads, "max_model_len": 512, "kv_cache_memory": 64 << 20}
    return load_engine(folder, EngineConfig(**fields))  # type: ignore[arg-type]


def decode_ms(engine: Engine, batch: int, turn: int) -> float:
    """Median milliseconds of the steps in which `batch` sequences decode, whole decoder."""
    sampling = SamplingParams(max_tokens=16, temperature=0.0, ignore_eos=True)
    rows = np.random.default_rng(turn).integers(20, engine.runner.vocab_size, (batch, 16))
    for i, row in enumerate(rows):
        prompt = tuple(map(int, row))
        graph = GraphRequest("full")
        engine.add_request(EngineRequest(f"r{i}", prompt, sampling, prefix_caching=False, graph=graph))
    times = []
    while engine.has_work():
        start = time.perf_counter()
        outputs = engine.step()
        if sum(len(item.token_ids) for item in outputs) >= batch:
            times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[2:])


def prefill_ms(engine: Engine, tokens: int, turn: int) -> float:
    """Milliseconds of one step that takes in a prompt and writes one token."""
    prompt = tuple(map(int, np.random.default_rng(turn).integers(20, engine.runner.vocab_size, tokens)))
    sampling = SamplingParams(max_tokens=1, temperature=0.0, ignore_eos=True)
    engine.add_request(EngineRequest("p", prompt, sampling, prefix_caching=False, graph=GraphRequest("full")))
    start = time.perf_counter()
    while engine.has_work():
        engine.step()
    return 1000 * (time.perf_counter() - start)


def decoder_bytes(engine: Engine) -> int:
    """Weights that are resident: segments, embedding, head, exits and cross-attention memory, each tensor once."""
    weights = engine.runner.decoder.weights  # type: ignore[attr-defined]
    tree = [list(weights.segments), weights.embedding, weights.norm, weights.head, weights.exits, weights.memory]
    sizes: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    map_tensors(tree, note)
    return sum(sizes.values())


def steps_table(engines: dict[str, Engine], base: str, rounds: int) -> None:
    measures = {f"decode {b}": (lambda e, t, b=b: decode_ms(e, b, t)) for b in (1, 4, 16)}
    measures["prefill 128"] = lambda e, t: prefill_ms(e, 128, t)
    times: dict[tuple[str, str], list[float]] = {}
    for turn in range(rounds + 1):
        for name, engine in engines.items():
            for what, measure in measures.items():
                value = measure(engine, turn)
                if turn:  # the first round warms up
                    times.setdefault((name, what), []).append(value)
    size = decoder_bytes(engines[base])
    print(
        f"\n{'model':20s} {'resident MB':>11} {'ratio':>6}"
        + "".join(f" {w + ' ms':>14} {'ratio':>6}" for w in measures)
    )
    for name, engine in engines.items():
        held = decoder_bytes(engine)
        line = f"{name:20s} {held / 1e6:11.1f} {held / size:6.3f}"
        for what in measures:
            ratio = statistics.median(a / b for a, b in zip(times[name, what], times[base, what], strict=True))
            line += f" {statistics.median(times[name, what]):14.2f} {ratio:6.2f}"
        print(line, flush=True)


def rule_table() -> None:
    """Microseconds of one product by bags and by blocks, and of the float product."""
    print(f"\n{'shape':>12} {'bits':>4} " + "".join(f"{f'{rows} rows':>22}" for rows in (1, 4, 6, 8, 16)))
    for rows, columns in ((1280, 256), (256, 640), (512, 256), (8192, 256)):
        floats = torch.randn(columns, rows)
        for bits in (2, 4, 8):
            codes = torch.randint(0, 256, (rows, columns * bits // 8), dtype=torch.uint8)
            scales = torch.rand(rows, 1 if bits == 8 else columns // 128)
            handle = TableHandle.of(PackedWeight(bits, columns, codes, scales), None, torch.float32)
            line = f"{rows:6d}x{columns:<5d} {bits:4d} "
            for count in (1, 4, 6, 8, 16):
                x = torch.randn(count, columns)
                ways = [partial(torch.mm, x, floats), partial(handle._by_bags, x), partial(handle._by_blocks, x)]
                line += f"{'/'.join(f'{best_us(way):.0f}' for way in ways):>22}"
            print(line, flush=True)
    print("float product / by bags / by blocks, microseconds")


def best_us(way: Callable[[], Tensor]) -> float:
    way()
    best = float("inf")
    for _ in range(30):
        start = time.perf_counter()
        way()
        best = min(best, time.perf_counter() - start)
    return 1e6 * best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--packed", nargs="*", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rule", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {args.threads} threads, seed: round")
    print(f"torch {torch.__version__}, {args.rounds} rounds, load {os.getloadavg()[0]:.1f}")
    if args.rule:
        rule_table()
        return
    source = registry.locate(args.model)
    with tempfile.TemporaryDirectory() as scratch:
        folders = {folder.name: folder for folder in args.packed or []}
        if not folders:
            folders = {kind: rounded_copy(source, Path(scratch) / str(i), kind) for i, kind in enumerate(KINDS)}
        engines = {"float32": engine_of(source, "float32", args.threads)}
        engines["bfloat16"] = engine_of(source, "bfloat16", args.threads)
        engines |= {name: engine_of(folder, "float32", args.threads) for name, folder in folders.items()}
        steps_table(engines, "float32", args.rounds)
        print("ratios: to float32 of this run")


if __name__ == "__main__":
    main()
