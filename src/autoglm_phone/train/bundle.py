"""Turns a finished run into a model folder that the engine and transformers load: bf16 shards, configs, tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autoglm_phone.models.glm4v.configuration import read_json
from autoglm_phone.models.native.configuration import PRESETS, preset
from autoglm_phone.models.shared import shared_weights
from autoglm_phone.runner.checkpoint import Checkpoint
from autoglm_phone.train.distill import config_of
from autoglm_phone.train.state import load_run, save_sharded
from autoglm_phone.train.tokenizer import SPECIAL_TOKENS

TEMPLATE = Path(__file__).parent.parent / "chat" / "native_template.jinja"


def bundle(
    run: Path, prepared: Path, out: Path, preset_name: str = "mini", dtype: torch.dtype = torch.bfloat16
) -> list[Path]:
    """Write the model folder; returns the shard paths. Weights of training-only heads stay behind."""
    return write_model(model_weights(run, dtype), prepared, out, preset_name)


def bundle_like(run: Path, model: Path, out: Path) -> list[Path]:
    """Write a run's weights as a model folder with everything else as in `model`, dtypes included."""
    raw = read_json(model / "config.json")
    weights = model_weights(run, torch.float32)
    stored = Checkpoint(model)
    shared = shared_weights(model)
    # A run names a shared tensor as the model meets it first, a folder by the place that keeps it.
    met = {kept: place for place, kept in shared.items() if place in weights}
    kept = [name for name in stored.names() if name not in shared]
    made = {name: weights[name if name in weights else met[name]].to(stored.get(name).dtype) for name in kept}
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for pattern in ("*.json", "*.jinja", "*.txt"):
        for file in sorted(model.glob(pattern)):
            shutil.copy(file, part / file.name)
    save_sharded(made, part, raw)
    part.replace(out)
    return sorted(out.glob("*.safetensors"))


def model_weights(run: Path, dtype: torch.dtype) -> dict[str, Tensor]:
    """The newest checkpoint's weights as the model names them, without training-only heads."""
    weights, _, _ = load_run(run)
    return {
        name.removeprefix("model."): tensor.to(dtype)
        for name, tensor in weights.items()
        if name.startswith("model.") and "ocr_head" not in name and "lm_head" not in name
    }


def preset_of(run: Path) -> str:
    """The preset whose shapes a run has. Raises CheckpointError if none has them."""
    width = config_of(run, "").hidden_size
    return next(n for n in PRESETS if preset(n).hidden_size == width)


def write_model(
    weights: dict[str, Tensor], prepared: Path, out: Path, preset_name: str, overrides: dict[str, Any] | None = None
) -> list[Path]:
    """Model folder from weights named as in `AutoGLMPhoneForConditionalGeneration`."""
    ctc = (prepared / "ctc_vocab.txt").read_text().rstrip("\n")
    audio = {**PRESETS[preset_name].get("audio_config", {}), "ctc_vocab": ctc}
    config = preset(preset_name, **{"audio_config": audio, **(overrides or {})})
    config.architectures = ["AutoGLMPhoneForConditionalGeneration"]
    config.dtype = "bfloat16"
    paths = save_sharded(weights, out, config.to_dict())
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(prepared / name, out / name)
    special = {token: i for i, token in enumerate(SPECIAL_TOKENS)}
    generation = {"eos_token_id": config.eos_token_id, "pad_token_id": config.pad_token_id, "do_sample": False}
    processor = {
        "image_processor_type": "AutoGLMPhoneImageProcessor",
        "patch_size": config.vision_config.patch_size,
        "max_patches": config.vision_config.max_patches,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "image_token_id": special["<|image|>"],
        "audio_token_id": special["<|audio|>"],
        "sampling_rate": 16000,
    }
    _write(out / "generation_config.json", generation)
    _write(out / "preprocessor_config.json", processor)
    if TEMPLATE.exists():
        shutil.copy(TEMPLATE, out / "chat_template.jinja")
    return paths


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n")
