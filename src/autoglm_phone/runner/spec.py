"""Shapes of a decoder that the engine can run, read from either family's config.json."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from autoglm_phone.errors import CheckpointError
from autoglm_phone.models.glm4v.configuration import load_shape, read_json
from autoglm_phone.runner.exit_addon import ExitAddon, load_addon

NUM_SEGMENTS = 4


@dataclass(frozen=True)
class DecoderSpec:
    """What the runner needs to know of a checkpoint. `segments` are [(first layer, end))."""

    family: Literal["native", "glm4v"]
    vocab_size: int
    hidden_size: int
    heads: int
    kv_heads: int
    head_dim: int
    eps: float
    rope_theta: float
    rotary_dim: int
    mrope_section: tuple[int, ...] | None
    max_position_embeddings: int
    tied: bool
    segments: tuple[tuple[int, int], ...]
    eos_token_ids: frozenset[int]
    image_token_id: int
    audio_token_id: int | None = None
    sliding_layers: frozenset[int] = frozenset()
    sliding_window: int = 0
    attention_sinks: int = 0
    cross_layers: tuple[int, ...] = ()
    cross_heads: int = 0
    max_media: int = 0
    exit_layers: tuple[int, ...] = ()
    addon: ExitAddon | None = None  # where the exit heads are, if not in the checkpoint itself
    intermediate_size: int = 0
    merge_size: int = 2
    config: Any = None  # the family's own configuration object, for its towers

    @property
    def backend_options(self) -> dict[str, Any]:
        """What a backend is told of the model."""
        return {
            "eps": self.eps,
            "head_dim": self.head_dim,
            "rotary_dim": self.rotary_dim,
            "theta": self.rope_theta,
            "mrope_section": self.mrope_section,
        }

    @property
    def num_layers(self) -> int:
        return self.segments[-1][1]

    @property
    def head_in_layers(self) -> float:
        """Layers that have as many weights as the output head: what reading logits costs where weights are the cost."""
        width, inner = self.heads * self.head_dim, self.intermediate_size
        layer = 2 * self.hidden_size * (width + self.kv_heads * self.head_dim) + 3 * self.hidden_size * inner
        return self.vocab_size * self.hidden_size / layer

    @property
    def layers_per_page(self) -> int:
        """Layers whose keys and values a page holds: those of the longest segment."""
        return max(end - first for first, end in self.segments)


def read_spec(folder: Path, exits: str | None = None) -> DecoderSpec:
    """The spec of a model folder; an add-on with exit heads says where the decoder is cut.

    exits: as for `graph_file.find_exits`.

    Raises:
        CheckpointError: no config.json, not one of an architecture that we know, or an add-on of another checkpoint.
        ConfigError: the chosen add-on does not exist.
    """
    raw = read_json(folder / "config.json")
    kind = raw.get("model_type")
    if kind == "autoglm_phone":
        spec = _native(raw, folder)
    elif kind == "glm4v":
        spec = _glm4v(folder)
    else:
        raise CheckpointError(
            f"{folder / 'config.json'} says model_type {kind!r}; this engine runs 'autoglm_phone' and 'glm4v' "
            "checkpoints"
        )
    addon = load_addon(folder, exits, spec.num_layers, spec.hidden_size)
    if addon is None:
        return spec
    cuts = tuple(itertools.pairwise((0, *addon.layers, spec.num_layers)))
    return replace(spec, segments=cuts, exit_layers=addon.layers, addon=addon)


def cut_layers(num_layers: int, num_segments: int = NUM_SEGMENTS) -> tuple[tuple[int, int], ...]:
    """Nearly equal segments: 40 layers → 10, 10, 10, 10."""
    count = min(num_segments, num_layers)
    cuts = [round(num_layers * i / count) for i in range(count + 1)]
    return tuple(itertools.pairwise(cuts))


def _native(raw: dict[str, Any], folder: Path) -> DecoderSpec:
    from autoglm_phone.models.native.shape import read_shape

    config = read_shape(raw, folder)
    sliding = frozenset(i for i, kind in enumerate(config.layer_types) if kind == "sliding_attention")
    return DecoderSpec(
        family="native",
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=config.head_dim,
        eps=config.rms_norm_eps,
        rope_theta=config.rope_theta,
        rotary_dim=int(config.head_dim * config.partial_rotary_factor),
        mrope_section=None,
        max_position_embeddings=config.max_position_embeddings,
        tied=bool(config.tie_word_embeddings),
        segments=tuple(config.segments),
        eos_token_ids=_eos(folder, config.eos_token_id),
        image_token_id=config.image_token_id,
        audio_token_id=config.audio_token_id,
        sliding_layers=sliding,
        sliding_window=config.sliding_window,
        attention_sinks=config.attention_sinks,
        cross_layers=tuple(config.cross_attention_layers),
        cross_heads=config.cross_num_attention_heads,
        max_media=config.max_media,
        exit_layers=tuple(config.exit_layers),
        intermediate_size=int(raw.get("intermediate_size", 0)),
        config=config,
    )


def _glm4v(folder: Path) -> DecoderSpec:
    shape = load_shape(folder)
    text = shape.text
    return DecoderSpec(
        family="glm4v",
        vocab_size=text.vocab_size,
        hidden_size=text.hidden_size,
        heads=text.num_heads,
        kv_heads=text.num_kv_heads,
        head_dim=text.head_dim,
        eps=text.rms_norm_eps,
        rope_theta=text.rope_theta,
        rotary_dim=text.rotary_dim,
        mrope_section=text.mrope_section,
        max_position_embeddings=text.max_position_embeddings,
        tied=shape.tie_word_embeddings,
        segments=cut_layers(text.num_layers),
        eos_token_ids=frozenset(shape.eos_token_ids),
        image_token_id=shape.image_token_id,
        merge_size=shape.vision.merge_size,
        intermediate_size=text.intermediate_size,
        config=shape,
    )


def _eos(folder: Path, default: int | list[int]) -> frozenset[int]:
    """generation_config.json has the last word on what ends an answer."""
    path = folder / "generation_config.json"
    value = read_json(path).get("eos_token_id", default) if path.exists() else default
    return frozenset([value] if isinstance(value, int) else value)
