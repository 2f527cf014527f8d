"""Time and memory of the int4 recipe on a checkpoint of GLM-4.1V-9B's shape, random weights, on one GPU.

    python benchmarks/compress_9b.py --work runs/compress9b --device cuda
    python benchmarks/compress_9b.py --work runs/compress9b --device cuda --layers 2          # a profile, in a minute
    python benchmarks/compress_9b.py --work runs/small --device cpu --scale small --samples 8 --tokens 64

`--layers N` keeps N blocks of the tower and N of the decoder, all of full width, and the whole embedding and head: then
the seconds of each unit by stage, and what they would come to with every layer, which is a guess and called one.

Limits: 8 minutes for the recipe, 10 GB of GPU memory, 8 GB of host memory. The checkpoint is written first, shard by
shard (not counted), and kept; an interrupted compression goes on where it stopped, and then its time counts from there.
The baseline of the same run is what round-to-nearest alone takes on the same files (--baseline).

Random weights say nothing of quality. Samples are random tokens of the full length, a third with a picture.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

# The sizes of a unit's tensors differ widely; segments that grow leave no holes that count against the limit.
os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")

import numpy as np
import torch

from autoglm_phone.compress import pipeline, recipe, timing
from autoglm_phone.compress.calibrate import KINDS, Sample
from autoglm_phone.compress.formats.master import ShardWriter
from autoglm_phone.engine.request import MediaItem
from autoglm_phone.models.glm4v.configuration import parse_shape
from autoglm_phone.models.glm4v.weights import disk_name, expected_shapes

RECIPES = Path(__file__).parent.parent / "recipes"
SCALES = {  # text and vision sizes
    "9b": ((151552, 4096, 13696, 40, 32, 2), (24, 1536, 12, 13696)),
    "small": ((1024, 256, 512, 2, 4, 2), (1, 128, 2, 512)),
}
_GROWTH = 0.3  # GB that libraries and kernels take after the start
PATCHES = 16  # a side of each picture: 64 tokens after merging
LIMITS = {"seconds": 480.0, "gpu_gb": 10.0, "host_gb": 8.0}


def config(scale: str, only: int | None = None) -> dict:
    """config.json; only: how many blocks of tower and decoder."""
    (vocab, hidden, width, layers, heads, kv), (depth, vision, vision_heads, merger) = SCALES[scale]
    layers, depth = min(layers, only or layers), min(depth, only or depth)
    section = [n * (hidden // heads) // 128 for n in (8, 12, 12)]
    return {
        "architectures": ["Glm4vForConditionalGeneration"], "model_type": "glm4v", "dtype": "bfloat16",
        "image_token_id": min(151343, vocab - 1), "tie_word_embeddings": False,
        "text_config": {
            "model_type": "glm4v_text", "vocab_size": vocab, "hidden_size": hidden, "intermediate_size": width,
            "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv,
            "max_position_embeddings": 65536, "rms_norm_eps": 1e-5, "attention_bias": True, "eos_token_id": [0],
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5,
                                "mrope_section": section},
        },
        "vision_config": {"depth": depth, "hidden_size": vision, "num_heads": vision_heads,
                          "out_hidden_size": hidden, "intermediate_size": merger},
    }  # fmt: skip


def write_checkpoint(folder: Path, scale: str, device: torch.device, only: int | None = None) -> None:
    """Random weights of unit gain, bfloat16, sharded; holds one shard. Complete when config.json is there."""
    if (folder / "config.json").exists():
        return
    raw = config(scale, only)
    writer = ShardWriter(folder, 4 << 30 if scale == "9b" else 4 << 20)
    generator = torch.Generator(device=device).manual_seed(0)
    for name, shape in expected_shapes(parse_shape(raw)).items():
        tensor = torch.randn(shape, generator=generator, device=device, dtype=torch.float32)
        if len(shape) == 1:
            tensor = 0.1 * tensor + (1.0 if "norm" in name and name.endswith("weight") else 0.0)
        else:
            tensor /= tensor[0].numel() ** 0.5 if "embed_tokens" not in name else 1.0
        writer.add(disk_name(name), tensor.to(torch.bfloat16).cpu())
    writer.close()
    (folder / "config.json").write_text(json.dumps(raw, indent=1))


def draw_samples(scale: str, count: int, tokens: int) -> list[Sample]:
    raw = config(scale)
    vocab, picture = raw["text_config"]["vocab_size"], raw["image_token_id"]
    rng = np.random.default_rng(0)
    levels = np.linspace(-2, 2, 256, dtype=np.float32)[None].repeat(3, 0)
    samples = []
    for index in range(count):
        ids = rng.integers(0, min(vocab, 151329 if vocab > 151329 else vocab - 1), tokens)
        kinds = np.zeros(tokens, dtype=int)
        media: tuple[MediaItem, ...] = ()
        length = (PATCHES // 2) ** 2
        if index % 3 == 0 and tokens > length + 8:
            ids[4 : 4 + length], kinds[4 : 4 + length] = picture, KINDS.index("media")
            kinds[4 + length :] = KINDS.index("picture")
            patches = rng.integers(0, 256, (PATCHES**2, 3, 14, 14), dtype=np.uint8)
            data = {"patches": patches, "levels": levels, "grid_thw": (1, PATCHES, PATCHES)}
            media = (MediaItem("image", f"{index}", 4, length, data),)
        weights = tuple(0.5 if kind == KINDS.index("media") else 1.0 for kind in kinds)
        answer = tuple(range(tokens - tokens // 4, tokens))
        samples.append(Sample(tuple(map(int, ids)), media, tuple(map(int, kinds)), weights, answer))
    return samples


class Memory:
    """Peaks, in GB: anonymous memory of this process (mapped files are the page cache's, which gives them back), and
    what is in use on the GPU, driver's share included."""

    def __init__(self, cuda: bool, interval: float = 0.05):
        self.host, self.gpu, self._cuda, self._stop = 0.0, 0.0, cuda, threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(interval,), daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self, interval: float) -> None:
        while not self._stop.wait(interval):
            text = Path("/proc/self/status").read_text()
            found = sum(int(n) for n in re.findall(r"Rss(?:Anon|Shmem):\s+(\d+) kB", text))
            self.host = max(self.host, found * 1024 / 1e9)
            if self._cuda:
                free, total = torch.cuda.mem_get_info()
                self.gpu = max(self.gpu, (total - free) / 1e9)


def as_small_as(card: float) -> None:
    """Only as much GPU memory as a card of so many GB has, the driver's share included."""
    torch.zeros(1, device="cuda")
    free, total = torch.cuda.mem_get_info()
    driver = (total - free - torch.cuda.memory_reserved()) / 1e9 + _GROWTH
    torch.cuda.set_per_process_memory_fraction((card - driver) * 1e9 / total)
    print(f"as a card of {card:g} GB: {driver:.2f} GB are the driver's, {card - driver:.2f} GB can be had", flush=True)


def measure(folder: Path, out: Path, parsed: recipe.Recipe, samples: Sequence[Sample], device: str, deep: bool) -> dict:
    """One compression: seconds in all, by kind of unit and by stage (deep: each stage waits for the GPU, so that its
    seconds are its own), peaks of memory, bytes."""
    units: dict[str, list[float]] = {}
    stages: dict[str, dict[str, float]] = {}
    peaks: dict[str, dict[str, float]] = {}
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.empty_cache()  # what writing the checkpoint left
        torch.cuda.reset_peak_memory_stats()
    resumed = (out / pipeline.WORK).exists()
    with Memory(cuda) as memory, timing.recording(waits=deep) as spent:
        before: dict[str, float] = {}

        def say(line: str) -> None:
            print(line, flush=True)
            if found := re.match(r"\[\d+/\d+\] (\S+): ([\d.]+) s", line):
                name = re.sub(r"\.\d+$", "", found[1])
                units.setdefault(name, []).append(time.monotonic() - told[0])
                told[0] = time.monotonic()
                kind = stages.setdefault(name, {})
                for stage, seconds in spent.seconds.items():
                    kind[stage] = kind.get(stage, 0.0) + seconds - before.get(stage, 0.0)
                before.update(spent.seconds)
                most = peaks.setdefault(name, {})
                for stage, peak in spent.gigabytes.items():
                    most[stage] = max(most.get(stage, 0.0), peak)
                spent.gigabytes.clear()

        began = time.monotonic()
        told = [began]
        pipeline.compress(folder, parsed, out, samples=samples, device=device, say=say)
        seconds = time.monotonic() - began
    allocated = torch.cuda.max_memory_allocated() / 1e9 if cuda else 0.0
    allocated = max([allocated, *(peak for kind in peaks.values() for peak in kind.values())])
    return {
        "recipe": parsed.name,
        "resumed": resumed,
        "seconds": seconds,
        "units": units,
        "stages": stages,
        "peaks": peaks,
        "writing the result": time.monotonic() - told[0],
        "gpu_gb": memory.gpu,
        "gpu_allocated_gb": allocated,
        "gpu_reserved_gb": torch.cuda.max_memory_reserved() / 1e9 if cuda else 0.0,
        "host_gb": memory.host,
        "bytes": sum(path.stat().st_size for path in out.glob("*.safetensors")),
    }


def show(row: dict) -> None:
    """Seconds by kind of unit, and by stage where they were taken."""
    for name, seconds in row["units"].items():
        mean = sum(seconds) / len(seconds)
        print(f"{name}: {len(seconds)} x {mean:.2f} s (first {seconds[0]:.2f}, last {seconds[-1]:.2f})")
        parts = {stage: spent for stage, spent in row["stages"].get(name, {}).items() if spent >= 0.005}
        for stage, spent in sorted(parts.items(), key=lambda item: -item[1]):
            print(f"    {spent / len(seconds):7.2f} s  {stage}")
        if parts:
            print(f"    {mean - sum(parts.values()) / len(seconds):7.2f} s  {timing.BETWEEN}")
        if peaks := row["peaks"].get(name):
            most = sorted(peaks.items(), key=lambda item: -item[1])[:4]
            print("    most GB allocated: " + ", ".join(f"{peak:.2f} {stage}" for stage, peak in most))
    rest = {name: value for name, value in row.items() if name not in ("units", "stages", "peaks")}
    print(json.dumps(rest, indent=1))


def extrapolate(row: dict, scale: str, size: int) -> float:
    """Seconds with every layer, each as long as the last of its kind that was measured."""
    whole, tower = SCALES[scale][0][3], SCALES[scale][1][0]
    counts = {"model.layers": whole, "model.visual.blocks": tower}
    total = sum(
        seconds[-1] * counts[name] if name in counts else sum(seconds) for name, seconds in row["units"].items()
    )
    full = sum(math.prod(shape) * 2 for shape in expected_shapes(parse_shape(config(scale))).values())
    return total + row["writing the result"] * full / size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("runs/compress9b"))
    parser.add_argument("--recipe", type=Path, default=RECIPES / "int4.yaml")
    parser.add_argument("--scale", choices=SCALES, default="9b")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--layers", type=int, help="only so many blocks of tower and decoder, with a profile")
    parser.add_argument("--card", type=float, help="GB: the memory of a smaller GPU, none beyond it can be had")
    parser.add_argument("--baseline", action="store_true", help="round to nearest first, for the ratio")
    options = parser.parse_args()
    device = torch.device(options.device)
    chip = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(f"{platform.machine()}, {chip}, torch {torch.__version__}, seed 0", flush=True)
    if device.type == "cuda" and options.card:
        as_small_as(options.card)
    print(f"{options.scale}, {options.samples} samples of {options.tokens} tokens", flush=True)
    began = time.monotonic()
    work = options.work if options.layers is None else options.work / f"{options.layers}-layers"
    write_checkpoint(work / "model", options.scale, device, options.layers)
    size = sum(path.stat().st_size for path in (work / "model").glob("*.safetensors"))
    print(f"checkpoint of {size / 1e9:.2f} GB there after {time.monotonic() - began:.0f} s", flush=True)
    samples = draw_samples(options.scale, options.samples, options.tokens)
    rows = []
    deep = options.layers is not None
    if options.baseline:
        targets = "attention, mlp, towers, embedding, head"
        text = f"name: rtn\nsteps:\n  - rtn: {{targets: [{targets}], bits: 4, group_size: [128, 64]}}\n"
        rows.append(measure(work / "model", work / "rtn", recipe.parse(text), samples[:1], options.device, deep))
    parsed = recipe.load(options.recipe)
    parsed = replace(
        parsed, calibration=replace(parsed.calibration, samples=options.samples, max_tokens=options.tokens)
    )
    rows.append(measure(work / "model", work / parsed.name, parsed, samples, options.device, deep))
    for row in rows:
        show(row)
    last = rows[-1]
    print(f"{last['bytes'] / 1e9:.2f} of {size / 1e9:.2f} GB ({last['bytes'] / size:.1%})")
    if options.baseline:
        print(f"{last['seconds'] / rows[0]['seconds']:.1f} times the seconds of round-to-nearest")
    if deep:
        guess = extrapolate(last, options.scale, size)
        print(f"EXTRAPOLATED from {options.layers} layers, not measured: {guess:.0f} s for the whole model")
    elif options.scale == "9b":
        for name, limit in LIMITS.items():
            print(f"{name}: {last[name]:.1f} of at most {limit:.0f}: {'met' if last[name] <= limit else 'MISSED'}")
    (work / "results.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
