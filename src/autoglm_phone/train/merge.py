"""Adapters (peft's LoRA) written into float weights: W + (alpha / r) B A, tensor by tensor.

The base may be plain or quantized; of a quantized one the result holds the dequantized weights with the adapters, which
is exactly what base and adapters computed together.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import torch

from autoglm_phone.backends.quantized import floats, stack
from autoglm_phone.compress.formats.master import INDEX, ShardWriter
from autoglm_phone.compress.opening import COPIED
from autoglm_phone.errors import CheckpointError, ConfigError
from autoglm_phone.models import registry
from autoglm_phone.models.glm4v.configuration import read_json
from autoglm_phone.models.glm4v.weights import disk_name, engine_name
from autoglm_phone.runner.adapters import read_adapter
from autoglm_phone.runner.quantized import open_weights, read_quantization

_HALF = re.compile(r"(.*\.mlp\.)(?:gate|up)_proj\.weight")  # GPTQModel stores gate and up apart
_PARTS = ("quantize_config.json", "quant_config.json", "compression.json")  # speak of weights that are gone


def merge(adapter: Path, out: Path, *, model: str | None = None, dtype: str = "bfloat16") -> Path:
    """Write base plus adapters as a plain float checkpoint.

    Args:
        model: weights to merge into; None: the base that the adapters were trained on.

    Raises:
        ConfigError: `out` holds a model already, or an unknown dtype. CheckpointError: adapters or base do not fit.
    """
    if dtype not in ("bfloat16", "float16", "float32"):
        raise ConfigError(f"--dtype {dtype!r} is unknown; use bfloat16, float16 or float32", param="dtype")
    if (out / "config.json").exists():
        raise ConfigError(f"{out} already holds a model; choose another folder", param="out")
    read = read_adapter(adapter)
    folder = registry.locate(model or read.base)
    glm = registry.family(folder) == "glm4v"
    checkpoint = open_weights(folder, read_quantization(folder), engine_name if glm else None)
    strangers = [n for n in read.deltas if n not in checkpoint and n.replace("gate_up", "gate") not in checkpoint]
    if strangers:
        raise CheckpointError(
            f"{adapter} adapts {strangers[0]}, which {folder.name} does not have: it is for another model"
        )
    kind: torch.dtype = getattr(torch, dtype)
    writer, done = ShardWriter(out), set()
    for name in checkpoint.names():
        half = _HALF.fullmatch(name)
        if half is not None and f"{half[1]}gate_up_proj.weight" in read.deltas:
            name = f"{half[1]}gate_up_proj.weight"
            if name in done:
                continue
            weight: Any = stack([checkpoint.get(f"{half[1]}{part}_proj.weight") for part in ("gate", "up")])
        else:
            weight = checkpoint.get(name)
        done.add(name)
        tensor = floats(weight)
        if name in read.deltas:
            tensor = read.apply(name, tensor)
        writer.add(disk_name(name) if glm else name, tensor.to(kind) if tensor.is_floating_point() else tensor)
    writer.close()
    for pattern in COPIED:
        for file in sorted(folder.glob(pattern)):
            if file.name not in ("config.json", INDEX, *_PARTS):
                shutil.copy(file, out / file.name)
    raw = read_json(folder / "config.json")
    raw.pop("quantization_config", None)
    raw.pop("torch_dtype", None)
    (out / "config.json").write_text(json.dumps({**raw, "dtype": dtype}, indent=1) + "\n", encoding="utf-8")
    return out
