"""Decode and first-token speed of the engine against transformers' `generate`, same weights, same process.

    python benchmarks/engine_throughput.py [--model DIR] [--threads N] [--prompt 64] [--output 128] [--streams 16]

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


def decode_rate(engine: Engine, streams: int, args: argparse.Namespace, seed: int) -> float:
    """Tokens a second of all streams together."""
    batch = prompts(streams, args.prompt, engine.runner.vocab_size, seed)
    _, seconds = generate(engine, batch, args.output)
    return streams * (args.output - 1) / seconds


class Baseline:
    """transformers' generate with its KV cache, float32, one stream."""

    def __init__(self, folder: Path):
        from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration

        self.model = AutoGLMPhoneForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()

    def decode_rate(self, args: argparse.Namespace, seed: int) -> float:
        """Tokens a second, the prefill taken off."""
        ids = torch.tensor(prompts(1, args.prompt, self.model.config.vocab_size, seed))
        times = []
        for tokens in (1, args.output):
            start = time.perf_counter()
            with torch.inference_mode():
                self.model.generate(
                    ids,
                    max_new_tokens=tokens,
                    min_new_tokens=tokens,
                    do_sample=False,
                    attention_mask=torch.ones_like(ids),
                )
            times.append(time.perf_counter() - start)
        return (args.output - 1) / (times[1] - times[0])


def first_token(engine: Engine, args: argparse.Namespace, picture: bool) -> list[float]:
    """Milliseconds from the decoded picture or text to the first token, a short prompt, nothing cached."""
    times = []
    processor = registry.load_processor(args.model)
    facts = registry.facts(args.model)
    for repeat in range(args.rounds + 2):
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
    return times[2:]  # the first runs load the tower


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model folder; default: the mini preset with random weights")
    parser.add_argument("--threads", type=int, help="fixed number of threads; default: the engine chooses")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--output", type=int, default=128)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as scratch:
        if args.model is None:
            args.model = random_mini(Path(scratch), args.seed)
        start = time.perf_counter()
        engine = load_engine(args.model, EngineConfig(threads=args.threads, dtype=args.dtype))
        load = time.perf_counter() - start
        baseline = Baseline(args.model)
        print(
            f"machine: {platform.machine()}, {os.cpu_count()} CPUs, torch {torch.__version__}, "
            f"at most {threads} threads, load average {os.getloadavg()[0]:.1f}"
        )
        print(
            f"model: {args.model.name}, {args.dtype}; seed {args.seed}; prompt {args.prompt}, output {args.output} "
            f"tokens; {args.rounds} rounds; loaded in {load:.2f} s"
        )
        generate(engine, prompts(2, 16, engine.runner.vocab_size, 999), 32)  # warm up
        generate(engine, prompts(args.streams, 16, engine.runner.vocab_size, 998), 32)
        ones, manys, theirs = [], [], []
        for turn in range(args.rounds):
            # All three in each round, so that what else the machine does hits them alike.
            ones.append(decode_rate(engine, 1, args, args.seed + turn))
            manys.append(decode_rate(engine, args.streams, args, args.seed + turn))
            torch.set_num_threads(threads)
            theirs.append(baseline.decode_rate(args, args.seed + turn))
        for name, rates in (("1 stream", ones), (f"{args.streams} streams", manys), ("transformers", theirs)):
            print(f"{name:>12}: best {max(rates):7.1f}, median {statistics.median(rates):7.1f} tokens/s")
        ratios = [(many / one, one / other) for one, many, other in zip(ones, manys, theirs, strict=True)]
        print(
            f"{args.streams} streams / 1 stream: {max(manys) / max(ones):.2f}x of the best, "
            f"{statistics.median(r[0] for r in ratios):.2f}x median of rounds (target 4x)"
        )
        print(
            f"engine / transformers, 1 stream: {max(ones) / max(theirs):.2f}x of the best, "
            f"{statistics.median(r[1] for r in ratios):.2f}x median of rounds (target 1.5x)"
        )
        for name, picture, target in (("32 text tokens", False, 150), ("with a 1080x2400 picture", True, 500)):
            times = first_token(engine, args, picture)
            median = statistics.median(times)
            print(f"first token, {name}: best {min(times):.0f}, median {median:.0f} ms (target {target})")
        print(f"peak RSS (both models loaded): {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
