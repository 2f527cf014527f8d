"""Adapters with random weights, as peft writes them, for any checkpoint: what they do need not be good, only known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from safetensors.torch import save_file

from autoglm_phone.engine.request import EngineRequest
from autoglm_phone.models.glm4v.weights import engine_name
from autoglm_phone.models.registry import family
from autoglm_phone.runner.quantized import open_weights, read_quantization
from native_cases import make_request

PROMPT = list(range(20, 50))
ATTENTION = ("model.layers.*.self_attn.[qkvo]_proj",)
ALL = (*ATTENTION, "model.layers.*.mlp.*_proj", "model.layers.*.cross_attn.[qkvo]_proj")


def of(adapter: str | None, name: str, prompt: list[int], media=(), **sampling) -> EngineRequest:
    return replace(make_request(name, prompt, list(media), **sampling), adapter=adapter)


def write_adapter(
    folder: Path,
    base: Path,
    seed: int,
    targets: Sequence[str] = ALL,
    *,
    rank: int = 4,
    alpha: float = 6.0,
    **options: object,
) -> Path:
    """Adapters on every linear of the base whose engine name fits; as large as to change most tokens."""
    generator = torch.Generator().manual_seed(seed)
    glm = family(base) == "glm4v"
    source = open_weights(base, read_quantization(base), engine_name if glm else None)
    tensors = {}
    for name in source.names():
        module = name.removesuffix(".weight")
        if module == name or not any(fnmatchcase(module, target) for target in targets):
            continue
        rows, columns = source.get(name).shape
        stored = module.replace("model.layers.", "model.language_model.layers.") if glm else module
        key = f"base_model.model.{stored}"
        tensors[f"{key}.lora_A.weight"] = torch.randn(rank, columns, generator=generator) * columns**-0.5
        tensors[f"{key}.lora_B.weight"] = torch.randn(rows, rank, generator=generator) * 0.15
    assert tensors
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "bias": "none", "base_model_name_or_path": str(base)}
    (folder / "adapter_config.json").write_text(json.dumps({**config, **options}))
    return folder
