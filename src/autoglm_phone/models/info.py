"""The parameter table of a preset or a model folder, counted on the meta device: nothing is allocated."""

from __future__ import annotations

import json
from dataclasses import dataclass

import torch

from autoglm_phone.models.glm4v import shape
from autoglm_phone.models.native.configuration import AutoGLMPhoneConfig, preset
from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration
from autoglm_phone.models.registry import family, locate


@dataclass(frozen=True)
class Row:
    """A part of the model and its number of parameters."""

    part: str
    parameters: int


def native_table(config: AutoGLMPhoneConfig) -> list[Row]:
    """Parameters by part; a tied head counts once, with the embedding."""
    with torch.device("meta"):
        model = AutoGLMPhoneForConditionalGeneration(config)
    parts = {
        "embedding": "model.embed_tokens",
        "decoder self-attention": ".self_attn.",
        "decoder MLP": ".mlp.",
        "decoder cross-attention": ".cross_attn.",
        "exit heads": "model.exits.",
        "vision tower": "model.vision.",
        "audio tower": "model.audio.",
        "output head": "lm_head",
    }
    counts = dict.fromkeys([*parts, "norms and media embedding"], 0)
    for name, tensor in model.named_parameters():  # tied tensors appear once
        if name.startswith(("model.vision.", "model.audio.")):
            key = "vision tower" if name.startswith("model.vision.") else "audio tower"
        else:
            key = next((k for k, mark in parts.items() if mark in name), "norms and media embedding")
        counts[key] += tensor.numel()
    return [Row(part, count) for part, count in counts.items() if count]


def preset_table(name: str) -> list[Row]:
    """`native_table` of a preset.

    Raises:
        ConfigError: no such preset.
    """
    return native_table(preset(name))


def folder_table(name_or_path: str) -> list[Row]:
    """The table of a model folder of either family, from its config.json.

    Raises:
        CheckpointError: no model folder, or one of an unknown architecture.
    """
    folder = locate(name_or_path)
    if family(folder) == "glm4v":
        return [Row(part.part, part.parameters) for part in shape.folder_table(folder)]
    return native_table(AutoGLMPhoneConfig(**json.loads((folder / "config.json").read_text())))
