"""Time and memory of the int4 recipe on a checkpoint of GLM-4.1V-9B's shape, random weights, on one GPU.

    python benchmarks/compress_9b.py --work runs/compress9b --device cuda
    python benchmarks/compress_9b.py --work runs/small --device cpu --scale small --samples 8 --tokens 64

Limits: 8 minutes for the recipe, 10 GB of GPU memory, 8 GB of host memory. The checkpoint is written first, shard by
shard (not counted), and kept; an interrupted compression goes on where it stopped, and then its time counts from there.
The baseline of the same run is what round-to-nearest alone takes on the same files (--baseline).

Random weights say nothing of quality. Samples are random tokens of the full length, a third with a picture.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from autoglm_phone.compress import pipeline, recipe
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
PATCHES = 16  # a side of each picture: 64 tokens after merging
LIMITS = {"seconds": 480.0, "gpu_gb": 10.0, "host_gb": 8.0}


def config(scale: str) -> dict:
    (vocab, hidden, width, layers, heads, kv), (depth, vision, vision_heads, merger) = SCALES[scale]
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


def write_checkpoint(folder: Path, scale: str, device: torch.device) -> None:
    """Random weights of unit gain, bfloat16, sharded; holds one shard. Complete when config.json is there."""
    if (folder / "config.json").exists():
        return
    raw = config(scale)
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
    """Peak anonymous memory of this process (mapped files are the page cache's, which gives them back), GB."""

    def __init__(self, interval: float = 0.05):
        self.peak, self._stop = 0.0, threading.Event()
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
            self.peak = max(self.peak, found * 1024 / 1e9)


def measure(folder: Path, out: Path, parsed: recipe.Recipe, samples: Sequence[Sample], device: str) -> dict:
    """One compression: seconds in all and by stage, peaks of memory, bytes."""
    stages: dict[str, float] = {}

    def say(line: str) -> None:
        print(line, flush=True)
        if found := re.match(r"\[\d+/\d+\] (\S+): ([\d.]+) s", line):
            name = re.sub(r"\.\d+$", "", found[1])
            stages[name] = stages.get(name, 0.0) + float(found[2])

    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    resumed = (out / pipeline.WORK).exists()
    began = time.monotonic()
    with Memory() as memory:
        pipeline.compress(folder, parsed, out, samples=samples, device=device, say=say)
    return {
        "recipe": parsed.name,
        "resumed": resumed,
        "seconds": time.monotonic() - began,
        "stages": {**stages, "everything else": time.monotonic() - began - sum(stages.values())},
        "gpu_gb": torch.cuda.max_memory_allocated() / 1e9 if cuda else 0.0,
        "gpu_reserved_gb": torch.cuda.max_memory_reserved() / 1e9 if cuda else 0.0,
        "host_gb": memory.peak,
        "bytes": sum(path.stat().st_size for path in out.glob("*.safetensors")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("runs/compress9b"))
    parser.add_argument("--recipe", type=Path, default=RECIPES / "int4.yaml")
    parser.add_argument("--scale", choices=SCALES, default="9b")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--baseline", action="store_true", help="round to nearest first, for the ratio")
    options = parser.parse_args()
    device = torch.device(options.device)
    chip = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(f"{platform.machine()}, {chip}, torch {torch.__version__}, seed 0", flush=True)
    print(f"{options.scale}, {options.samples} samples of {options.tokens} tokens", flush=True)
    began = time.monotonic()
    write_checkpoint(options.work / "model", options.scale, device)
    size = sum(path.stat().st_size for path in (options.work / "model").glob("*.safetensors"))
    print(f"checkpoint of {size / 1e9:.2f} GB there after {time.monotonic() - began:.0f} s", flush=True)
    samples = draw_samples(options.scale, options.samples, options.tokens)
    rows = []
    if options.baseline:
        targets = "attention, mlp, towers, embedding, head"
        text = f"name: rtn\nsteps:\n  - rtn: {{targets: [{targets}], bits: 4, group_size: [128, 64]}}\n"
        rows.append(
            measure(options.work / "model", options.work / "rtn", recipe.parse(text), samples[:1], options.device)
        )
    parsed = recipe.load(options.recipe)
    parsed = replace(
        parsed, calibration=replace(parsed.calibration, samples=options.samples, max_tokens=options.tokens)
    )
    rows.append(measure(options.work / "model", options.work / parsed.name, parsed, samples, options.device))
    for row in rows:
        print(json.dumps(row, indent=1))
    last = rows[-1]
    print(f"{last['bytes'] / 1e9:.2f} of {size / 1e9:.2f} GB ({last['bytes'] / size:.1%})")
    if options.baseline:
        print(f"{last['seconds'] / rows[0]['seconds']:.1f} times the seconds of round-to-nearest")
    if options.scale == "9b":
        for name, limit in LIMITS.items():
            print(f"{name}: {last[name]:.1f} of at most {limit:.0f}: {'met' if last[name] <= limit else 'MISSED'}")
    (options.work / "results.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
