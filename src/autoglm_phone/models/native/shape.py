"""What serving needs of a native config.json, read without transformers (whose import costs a second and 60 MB).

The names are those of `configuration.AutoGLMPhoneConfig`, which writes the file with every field; so none has a
default here, and towers and processors take either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from autoglm_phone.errors import CheckpointError, ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class VisionShape:
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    stem_channels: list[int]
    stem_groups: int
    patch_size: int
    max_patches: int
    rms_norm_eps: float
    rope_theta: float
    blank_range: int = 0
    blank_stride: int = 3


@dataclass(frozen=True)
class AudioShape:
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    conv_kernel: int
    num_mel_bins: int
    stem_channels: int
    stem_groups: int
    max_seconds: float
    ctc_vocab: str
    rms_norm_eps: float
    rope_theta: float


@dataclass(frozen=True)
class NativeShape:
    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int
    rms_norm_eps: float
    rope_theta: float
    partial_rotary_factor: float
    tie_word_embeddings: bool
    layer_types: list[str]
    sliding_window: int
    attention_sinks: int
    exit_layers: list[int]
    cross_attention_layers: list[int]
    cross_num_attention_heads: int
    max_media: int
    image_token_id: int
    audio_token_id: int
    eos_token_id: list[int]
    vision_config: VisionShape
    audio_config: AudioShape

    @property
    def segments(self) -> list[tuple[int, int]]:
        """[(first, end)) of each run of layers between exit points."""
        return list(pairwise([0, *self.exit_layers, self.num_hidden_layers]))


def read_shape(raw: Mapping[str, Any], folder: Path) -> NativeShape:
    """The shape in a native model's config.json.

    Raises:
        CheckpointError: a field is missing. ConfigError: the fields contradict one another.
    """
    towers = {
        "vision_config": _take(VisionShape, raw.get("vision_config"), "vision_config.", folder),
        "audio_config": _take(AudioShape, raw.get("audio_config"), "audio_config.", folder),
    }
    shape = _take(NativeShape, {**raw, **towers}, "", folder)
    check_layers(shape)
    if shape.vision_config.blank_range < 0 or shape.vision_config.blank_stride < 1:
        raise ConfigError(
            f"vision_config.blank_range {shape.vision_config.blank_range} must be at least 0 and blank_stride "
            f"{shape.vision_config.blank_stride} at least 1",
            param="blank_range",
        )
    return shape


def check_layers(config: Any) -> None:
    """Raises ConfigError if the layer fields of a shape or a configuration contradict one another."""
    cuts = [0, *config.exit_layers, config.num_hidden_layers]
    if any(a >= b for a, b in pairwise(cuts)):
        raise ConfigError(
            f"exit_layers {config.exit_layers} must rise and lie strictly between 0 and {config.num_hidden_layers}",
            param="exit_layers",
        )
    if config.num_attention_heads % config.num_key_value_heads:
        raise ConfigError(
            f"num_attention_heads {config.num_attention_heads} must be a multiple of num_key_value_heads "
            f"{config.num_key_value_heads}",
            param="num_key_value_heads",
        )
    if len(config.layer_types) != config.num_hidden_layers:
        raise ConfigError(
            f"layer_types has {len(config.layer_types)} entries for {config.num_hidden_layers} layers",
            param="layer_types",
        )


def _take(kind: type[T], raw: Any, place: str, folder: Path) -> T:
    known = {field.name: field.default for field in fields(kind)}  # type: ignore[arg-type]
    found = raw if isinstance(raw, Mapping) else {}
    missing = [place + name for name, default in known.items() if name not in found and default is MISSING]
    if missing:
        raise CheckpointError(
            f"{folder}/config.json lacks {', '.join(missing[:5])}; write it with save_pretrained", param="model"
        )
    return kind(**{name: found[name] for name in known if name in found})
