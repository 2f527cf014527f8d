"""Decode and first-token speed of the engine against transformers' `generate`, same weights, same process.

    python benchmarks/engine_throughput.py [--model DIR] [--threads 2] [--prompt 64] [--output 128] [--streams 16]

Without --model the `mini` preset is made with random weights. Prints the machine, the seed, the sizes and ratios.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.core import Engine
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.request import EngineRequest, MediaItem, SamplingParams
from autoglm_phone.models import registry


def random_mini(folder: Path, seed: int) -> Path:
    """The mini preset with random bf16 weights of unit gain."""
    from autoglm_phone.models.native.configuration import preset
    from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration

    torch.manual_seed(seed)
    model = AutoGLMPhoneForConditionalGeneration(preset("mini"))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, parameter[0].numel() ** -0.5)
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


def prompts(count: int, length: int, vocab: int, seed: int) -> list[tuple[int, ...]]:
    generator = np.random.default_rng(seed)
    return [tuple(int(i) for i in generator.integers(20, vocab, length)) for _ in range(count)]


def generate(engine: Engine, batch: list[tuple[int, ...]], output: int) -> tuple[float, float]:
    """(seconds until all prompts gave a token, seconds of pure decoding after that)."""
    sampling = SamplingParams(max_tokens=output, temperature=0.0, ignore_eos=True)
    for i, prompt in enumerate(batch):
        engine.add_request(EngineRequest(f"r{i}", prompt, sampling, prefix_caching=False))
    start = time.perf_counter()
    waiting = len(batch)
    first: set[str] = set()
    ready = start
    while engine.has_work():
        for result in engine.step():
            first.add(result.request_id)
        if len(first) == waiting:
            ready, waiting = time.perf_counter(), -1
    return ready - start, time.perf_counter() - ready


def decode_rate(engine: Engine, streams: int, args: argparse.Namespace) -> float:
    """Tokens a second of all streams together, median of the repeats."""
    rates = []
    for repeat in range(args.repeats):
        batch = prompts(streams, args.prompt, engine.runner.vocab_size, args.seed + repeat)
        _, seconds = generate(engine, batch, args.output)
        rates.append(streams * (args.output - 1) / seconds)
    return statistics.median(rates)


def transformers_rate(folder: Path, args: argparse.Namespace) -> float:
    """Single-stream decode tokens a second of transformers' generate, KV cache on, float32, median of the repeats."""
    from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration

    model = AutoGLMPhoneForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    rates = []
    for repeat in range(args.repeats):
        ids = torch.tensor(prompts(1, args.prompt, model.config.vocab_size, args.seed + repeat))
        times = []
        for tokens in (1, args.output):
            start = time.perf_counter()
            with torch.inference_mode():
                model.generate(
                    ids,
                    max_new_tokens=tokens,
                    min_new_tokens=tokens,
                    do_sample=False,
                    attention_mask=torch.ones_like(ids),
                )
            times.append(time.perf_counter() - start)
        rates.append((args.output - 1) / (times[1] - times[0]))
    return statistics.median(rates)


def first_token(engine: Engine, args: argparse.Namespace, picture: bool) -> float:
    """Milliseconds from request to first token, a short prompt, nothing cached; median of the repeats."""
    times = []
    processor = registry.load_processor(args.model)
    facts = registry.facts(args.model)
    for repeat in range(args.repeats + 1):
        rng = np.random.default_rng(args.seed + 100 + repeat)
        ids = prompts(1, 32, engine.runner.vocab_size, args.seed + 100 + repeat)[0]
        media: tuple[MediaItem, ...] = ()
        image = Image.fromarray(rng.integers(0, 255, (2400, 1080, 3), dtype=np.uint8))
        start = time.perf_counter()
        if picture and facts.image_token_id is not None:
            medium = processor.image(image)
            media = (MediaItem("image", medium.content_hash, 4, medium.num_tokens, medium.data),)
            ids = ids[:4] + (facts.image_token_id,) * medium.num_tokens + ids[5:]
        sampling = SamplingParams(max_tokens=1, temperature=0.0)
        engine.add_request(EngineRequest("ttft", ids, sampling, media, prefix_caching=False))
        while engine.has_work():
            engine.step()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[1:])  # the first run loads the tower


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--output", type=int, default=128)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-transformers", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as scratch:
        if args.model is None:
            args.model = random_mini(Path(scratch), args.seed)
        start = time.perf_counter()
        engine = load_engine(args.model, EngineConfig(threads=args.threads, dtype=args.dtype))
        load = time.perf_counter() - start
        print(
            f"machine: {platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, torch {torch.__version__}, "
            f"{args.threads} threads, load average {os.getloadavg()[0]:.1f}"
        )
        print(
            f"model: {args.model.name}, {args.dtype}; seed {args.seed}; prompt {args.prompt}, "
            f"output {args.output} tokens; {args.repeats} repeats, medians; loaded in {load:.2f} s"
        )
        generate(engine, prompts(2, 16, engine.runner.vocab_size, 999), 8)  # warm up
        one = decode_rate(engine, 1, args)
        many = decode_rate(engine, args.streams, args)
        print(f"engine, 1 stream:   {one:8.1f} tokens/s")
        print(f"engine, {args.streams} streams: {many:8.1f} tokens/s = {many / one:.2f}x one stream (target 4x)")
        if not args.no_transformers:
            baseline = transformers_rate(args.model, args)
            print(f"transformers, 1:    {baseline:8.1f} tokens/s; engine = {one / baseline:.2f}x (target 1.5x)")
        print(f"first token, 32 text tokens: {first_token(engine, args, False):6.0f} ms (target 150)")
        print(f"first token, with a 1080x2400 picture: {first_token(engine, args, True):6.0f} ms (target 500)")
        print(f"peak RSS: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
