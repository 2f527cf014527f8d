"""The shape of AutoGLM-Phone-9B and GLM-4.1V-9B, and the parameter table of any glm4v folder.

Counts come from the table of tensor shapes, so nothing is allocated. Source of the 9B figures: the public
checkpoints' config.json (hidden 4096, 40 layers, 32 heads, 2 KV heads, FFN 13696, vocabulary 151552).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from autoglm_phone.models.glm4v.configuration import Glm4vShape, TextShape, VisionShape, load_shape
from autoglm_phone.models.glm4v.weights import expected_shapes

GLM_9B = Glm4vShape(
    text=TextShape(
        vocab_size=151552,
        hidden_size=4096,
        intermediate_size=13696,
        num_layers=40,
        num_heads=32,
        num_kv_heads=2,
        rms_norm_eps=1e-5,
        rope_theta=10000.0,
        rotary_dim=64,
        mrope_section=(8, 12, 12),
        max_position_embeddings=65536,
    ),
    vision=VisionShape(),
    image_token_id=151343,
)

# First match wins; the last row takes what is left.
_PARTS = (
    ("embedding", "model.embed_tokens."),
    ("output head", "lm_head."),
    ("vision tower", "model.visual."),
    ("decoder norms", "norm.weight"),
    ("decoder self-attention", ".self_attn."),
    ("decoder MLP", ".mlp."),
)


@dataclass(frozen=True)
class PartSize:
    """One line of the table. bytes: at the checkpoint's dtype."""

    part: str
    parameters: int
    bytes: int


def parameter_table(shape: Glm4vShape) -> list[PartSize]:
    """Parameters by part of the model; the sum is the whole model, a tied head counted once."""
    counts = dict.fromkeys((part for part, _ in _PARTS), 0)
    for name, size in expected_shapes(shape).items():
        counts[next(part for part, mark in _PARTS if mark in name)] += math.prod(size)
    width = 4 if shape.dtype in ("float32", "float") else 2
    return [PartSize(part, count, count * width) for part, count in counts.items() if count]


def folder_table(folder: Path) -> list[PartSize]:
    """`parameter_table` of a model folder.

    Raises:
        CheckpointError: config.json is missing or of another architecture.
    """
    return parameter_table(load_shape(folder))


def kv_bytes_per_token(shape: Glm4vShape, element_bytes: int = 2) -> int:
    """Bytes of KV cache that one token takes over all layers (40 KiB for the 9B in bf16)."""
    return 2 * shape.text.num_layers * shape.text.num_kv_heads * shape.text.head_dim * element_bytes
