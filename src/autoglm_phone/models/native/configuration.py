"""Configuration of the native family: GLM decoder with exit heads, light ViT, Whisper-Lite.

`PRESETS` holds the sizes we build: `mini` is trained and bundled; `pro` teaches it; `9b` is as large as the real ones.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from transformers import PretrainedConfig

from autoglm_phone.errors import ConfigError
from autoglm_phone.models.native.shape import check_layers


class AutoGLMPhoneVisionConfig(PretrainedConfig):
    """Light ViT: a GroupNorm conv stem of stride 16, then pre-norm blocks with 2-D RoPE."""

    model_type = "autoglm_phone_vision"
    base_config_key = "vision_config"

    def __init__(
        self,
        hidden_size: int = 256,
        num_hidden_layers: int = 6,
        num_attention_heads: int = 4,
        intermediate_size: int = 576,
        stem_channels: tuple[int, ...] = (32, 64, 128),  # strides 2, 4, 8; the last conv to hidden_size reaches 16
        stem_groups: int = 8,
        patch_size: int = 16,
        max_patches: int = 1120,  # a 1080x2400 phone screen becomes 352x784: text of 14 dp is still 14 pixels high
        rms_norm_eps: float = 1e-5,
        rope_theta: float = 100.0,
        blank_range: int = 0,  # patches whose values differ by less are blank and have no state; 0: every patch has one
        blank_stride: int = 3,  # of the blank ones, every third in every third row has one all the same
        **kwargs: Any,
    ):
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.stem_channels = list(stem_channels)
        self.stem_groups = stem_groups
        self.patch_size = patch_size
        self.max_patches = max_patches
        self.rms_norm_eps = rms_norm_eps
        self.rope_theta = rope_theta
        self.blank_range = blank_range
        self.blank_stride = blank_stride
        super().__init__(**kwargs)


class AutoGLMPhoneAudioConfig(PretrainedConfig):
    """Whisper-Lite: log-mel, a GroupNorm conv stem of stride 4 (25 states a second), pre-norm blocks, a CTC head."""

    model_type = "autoglm_phone_audio"
    base_config_key = "audio_config"

    def __init__(
        self,
        hidden_size: int = 256,
        num_hidden_layers: int = 6,
        num_attention_heads: int = 4,
        intermediate_size: int = 448,
        conv_kernel: int = 15,  # depthwise convolution before each attention, as in Conformer
        num_mel_bins: int = 80,
        stem_channels: int = 256,
        stem_groups: int = 8,
        max_seconds: float = 30.0,  # one clip; longer recordings are cut into several
        ctc_vocab: str = "",  # the characters of the CTC head, in order; index 0 of the head is the blank
        rms_norm_eps: float = 1e-5,
        rope_theta: float = 10000.0,
        **kwargs: Any,
    ):
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.conv_kernel = conv_kernel
        self.num_mel_bins = num_mel_bins
        self.stem_channels = stem_channels
        self.stem_groups = stem_groups
        self.max_seconds = max_seconds
        self.ctc_vocab = ctc_vocab
        self.rms_norm_eps = rms_norm_eps
        self.rope_theta = rope_theta
        super().__init__(**kwargs)


class AutoGLMPhoneConfig(PretrainedConfig):
    """The whole model. Segments lie between 0, the `exit_layers` and `num_hidden_layers`."""

    model_type = "autoglm_phone"
    sub_configs = {"vision_config": AutoGLMPhoneVisionConfig, "audio_config": AutoGLMPhoneAudioConfig}  # noqa: RUF012
    keys_to_ignore_at_inference = ["past_key_values"]  # noqa: RUF012

    def __init__(
        self,
        vocab_size: int = 8192,
        hidden_size: int = 256,
        num_hidden_layers: int = 24,
        num_attention_heads: int = 4,
        num_key_value_heads: int = 2,
        head_dim: int = 64,
        intermediate_size: int = 640,
        max_position_embeddings: int = 8192,
        rms_norm_eps: float = 1e-5,
        rope_theta: float = 10000.0,
        partial_rotary_factor: float = 0.5,  # GLM rotates the first half of each head, in interleaved pairs
        attention_bias: bool = True,  # GLM: q, k, v have a bias, o has none
        layer_types: list[str] | None = None,
        sliding_window: int = 1024,
        attention_sinks: int = 4,
        exit_layers: tuple[int, ...] = (6, 12, 18),
        exit_rank: int = 32,
        cross_attention_layers: tuple[int, ...] = (2, 4, 5, 9, 12, 15),  # three before the first exit, so that it sees
        cross_num_attention_heads: int = 4,
        max_media: int = 16,
        tie_word_embeddings: bool = True,
        initializer_range: float = 0.02,
        image_token_id: int = 9,
        audio_token_id: int = 12,
        pad_token_id: int = 1,
        eos_token_id: list[int] | None = None,
        vision_config: dict[str, Any] | AutoGLMPhoneVisionConfig | None = None,
        audio_config: dict[str, Any] | AutoGLMPhoneAudioConfig | None = None,
        **kwargs: Any,
    ):
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.num_key_value_heads = num_key_value_heads
        self.head_dim = head_dim
        self.intermediate_size = intermediate_size
        self.max_position_embeddings = max_position_embeddings
        self.rms_norm_eps = rms_norm_eps
        self.rope_theta = rope_theta
        self.partial_rotary_factor = partial_rotary_factor
        self.attention_bias = attention_bias
        self.layer_types = list(layer_types) if layer_types else ["full_attention"] * num_hidden_layers
        self.sliding_window = sliding_window
        self.attention_sinks = attention_sinks
        self.exit_layers = list(exit_layers)
        self.exit_rank = exit_rank
        self.cross_attention_layers = list(cross_attention_layers)
        self.cross_num_attention_heads = cross_num_attention_heads
        self.max_media = max_media
        self.initializer_range = initializer_range
        self.image_token_id = image_token_id
        self.audio_token_id = audio_token_id
        self.vision_config = _sub(AutoGLMPhoneVisionConfig, vision_config)
        self.audio_config = _sub(AutoGLMPhoneAudioConfig, audio_config)
        check_layers(self)
        super().__init__(**kwargs)
        # The base class has defaults of its own for these, so they are set after it.
        self.tie_word_embeddings = tie_word_embeddings
        self.pad_token_id = pad_token_id
        self.eos_token_id = eos_token_id if eos_token_id is not None else [17, 0, 5, 7]

    @property
    def segments(self) -> list[tuple[int, int]]:
        """[(first, end)) of each run of layers between exit points."""
        cuts = [0, *self.exit_layers, self.num_hidden_layers]
        return list(pairwise(cuts))


def _sub(kind: type[PretrainedConfig], value: Any) -> Any:
    if value is None:
        return kind()
    return kind(**value) if isinstance(value, dict) else value


PRESETS: dict[str, dict[str, Any]] = {
    "mini": {"vision_config": {"blank_range": 8}},
    "pro": {  # every width is twice the mini's, so that it can be grown from a trained one (train/grow.py)
        "hidden_size": 512,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "intermediate_size": 1280,
        "cross_num_attention_heads": 8,
        "vision_config": {
            "hidden_size": 512,
            "num_attention_heads": 8,
            "intermediate_size": 1152,
            "stem_channels": [64, 128, 256],
            "blank_range": 8,
        },
        "audio_config": {
            "hidden_size": 512,
            "num_attention_heads": 8,
            "intermediate_size": 896,
            "stem_channels": 512,
        },
    },
    "9b": {
        "vocab_size": 151552,
        "hidden_size": 4864,
        "num_attention_heads": 38,
        "num_key_value_heads": 2,
        "head_dim": 128,
        "intermediate_size": 15360,
        "max_position_embeddings": 65536,
        "cross_num_attention_heads": 38,
        "tie_word_embeddings": False,
        "exit_rank": 256,
        "vision_config": {
            "hidden_size": 1024,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "intermediate_size": 2816,
            "stem_channels": [128, 256, 512],
            "stem_groups": 32,
            "max_patches": 6144,
            "blank_range": 8,
        },
        "audio_config": {
            "hidden_size": 1024,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "intermediate_size": 2816,
            "num_mel_bins": 128,
            "stem_channels": 1024,
            "stem_groups": 32,
        },
    },
}


def preset(name: str, **overrides: Any) -> AutoGLMPhoneConfig:
    """The configuration of a preset, with overrides of top-level fields.

    Raises:
        ConfigError: no such preset.
    """
    if name not in PRESETS:
        raise ConfigError(f"unknown preset {name!r}; choose one of {', '.join(PRESETS)}", param="preset")
    return AutoGLMPhoneConfig(**{**PRESETS[name], **overrides})
