"""What every worker of compress_peers.py shares: its arguments, the calibration tokens, and how it hands weights back.

Imports torch and safetensors alone, because each worker runs in its tool's own environment. A worker reads a
Glm4ForCausalLM folder and calibration.json, quantizes with its tool, and writes the dequantized weights as float32
safetensors with worker.json: versions, seconds, settings.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor


def arguments(description: str, methods: tuple[str, ...]) -> argparse.Namespace:
    """The flags that compress_peers.py gives to every worker; seeds are set."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", type=Path, required=True, help="Glm4ForCausalLM folder")
    parser.add_argument("--native", type=Path, help="the native checkpoint that it was made from (our worker's)")
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--method", choices=methods, required=True)
    parser.add_argument("--bits", type=int, required=True)
    parser.add_argument("--group", type=int, required=True)
    parser.add_argument("--symmetric", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    random.seed(args.seed)
    torch.manual_seed(args.seed)
    return args


def calibration(path: Path) -> list[list[int]]:
    """The token sequences that all tools calibrate on."""
    return json.loads(path.read_text())["sequences"]


def run(args: argparse.Namespace, packages: tuple[str, ...], work: Callable[[], Mapping[str, Any]]) -> None:
    """Time `work`, which returns {"tensors": …, and settings to report}, and write the folder."""
    began, used = time.monotonic(), time.process_time()
    made = dict(work())
    seconds, cpu = time.monotonic() - began, time.process_time() - used
    tensors: dict[str, Tensor] = made.pop("tensors")
    args.out.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: tensor.detach().float().contiguous().clone() for name, tensor in sorted(tensors.items())},
        str(args.out / "model.safetensors"),
        {"format": "pt"},
    )
    shutil.copy(args.model / "config.json", args.out / "config.json")
    versions = {name: metadata.version(name) for name in ("torch", "transformers", *packages)}
    note = {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "versions": versions,
        "settings": made,
        "threads": torch.get_num_threads(),
    }
    (args.out / "worker.json").write_text(json.dumps(note, indent=1) + "\n")


def weights(model: torch.nn.Module) -> dict[str, Tensor]:
    """A float model's tensors without what is tied."""
    state = model.state_dict()
    if getattr(model.config, "tie_word_embeddings", False):
        state.pop("lm_head.weight", None)
    return state
