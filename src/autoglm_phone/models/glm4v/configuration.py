"""config.json of a GLM-4.1V folder → frozen shapes. Reads what transformers 4 and 5 write, guesses nothing.

transformers 4 keeps rope_theta, partial_rotary_factor and rope_scaling apart, transformers 5 folds them into
`rope_parameters`; the first public checkpoints have the text fields at the top level, later ones under `text_config`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoglm_phone.errors import CheckpointError


@dataclass(frozen=True)
class TextShape:
    """The decoder."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    rms_norm_eps: float
    rope_theta: float
    rotary_dim: int  # rotated dims of each head, in interleaved pairs; the rest passes unrotated
    mrope_section: tuple[int, ...]  # pairs that follow (time, height, width); sums to rotary_dim / 2
    max_position_embeddings: int

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_heads


@dataclass(frozen=True)
class VisionShape:
    """The vision tower. `intermediate_size` is the merger's width; the blocks' MLP is `out_hidden_size` wide."""

    depth: int = 24
    hidden_size: int = 1536
    num_heads: int = 12
    out_hidden_size: int = 4096
    intermediate_size: int = 13696
    in_channels: int = 3
    image_size: int = 336
    patch_size: int = 14
    temporal_patch_size: int = 2
    merge_size: int = 2
    attention_bias: bool = False
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000.0

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_heads

    @property
    def patch_dim(self) -> int:
        """Numbers in a patch: channels x frames x height x width."""
        return self.in_channels * self.temporal_patch_size * self.patch_size**2

    @property
    def position_side(self) -> int:
        """The position table has this many rows and columns."""
        return self.image_size // self.patch_size

    @property
    def num_positions(self) -> int:
        return self.position_side**2


@dataclass(frozen=True)
class Glm4vShape:
    """A whole checkpoint: both towers and the token ids that config.json fixes."""

    text: TextShape
    vision: VisionShape
    image_token_id: int
    tie_word_embeddings: bool = False
    eos_token_ids: tuple[int, ...] = ()
    dtype: str = "bfloat16"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a model folder.

    Raises:
        CheckpointError: missing, unreadable or not an object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing; a model folder needs it") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} can't be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} must hold a JSON object, not {type(value).__name__}")
    return value


def load_shape(folder: Path) -> Glm4vShape:
    """The shapes of a model folder; EOS ids come from generation_config.json if it has them."""
    raw = read_json(folder / "config.json")
    generation = folder / "generation_config.json"
    if generation.exists() and (eos := read_json(generation).get("eos_token_id")) is not None:
        raw = {**raw, "eos_token_id": eos}
    return parse_shape(raw)


def parse_shape(raw: Mapping[str, Any]) -> Glm4vShape:
    """The shapes of a parsed config.json.

    Raises:
        CheckpointError: another architecture, a missing field, or fields that contradict one another.
    """
    if raw.get("model_type") != "glm4v":
        raise CheckpointError(f"config.json says model_type {raw.get('model_type')!r}; this loader reads 'glm4v'")
    text = raw.get("text_config") or raw
    vision = raw.get("vision_config")
    if not isinstance(text, Mapping) or not isinstance(vision, Mapping):
        raise CheckpointError("config.json of a glm4v model needs the objects text_config and vision_config")
    eos = next((c["eos_token_id"] for c in (raw, text) if c.get("eos_token_id") is not None), ())
    try:
        shape = Glm4vShape(
            text=_text(text),
            vision=_vision(vision),
            image_token_id=_integer(raw, "image_token_id", least=0),
            tie_word_embeddings=bool(raw.get("tie_word_embeddings") or text.get("tie_word_embeddings")),
            eos_token_ids=tuple(map(int, eos)) if isinstance(eos, (list, tuple)) else (int(eos),),
            dtype=str(raw.get("dtype") or raw.get("torch_dtype") or text.get("dtype") or "bfloat16"),
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"config.json holds a field of a type that no glm4v config has: {error}") from error
    if shape.vision.out_hidden_size != shape.text.hidden_size:
        raise CheckpointError(
            f"vision out_hidden_size {shape.vision.out_hidden_size} must equal the text hidden_size "
            f"{shape.text.hidden_size}"
        )
    if not 0 <= shape.image_token_id < shape.text.vocab_size:
        raise CheckpointError(
            f"image_token_id {shape.image_token_id} is outside the vocabulary of {shape.text.vocab_size}"
        )
    return shape


def _text(raw: Mapping[str, Any]) -> TextShape:
    hidden, heads = _integer(raw, "hidden_size"), _integer(raw, "num_attention_heads")
    kv_heads = _integer(raw, "num_key_value_heads", default=heads)
    if hidden % heads or heads % kv_heads:
        raise CheckpointError(f"hidden_size {hidden}, {heads} heads and {kv_heads} KV heads do not divide evenly")
    if raw.get("head_dim") not in (None, hidden // heads):
        raise CheckpointError(f"head_dim {raw['head_dim']} is not hidden_size / heads = {hidden // heads}")
    if raw.get("hidden_act", "silu") != "silu":
        raise CheckpointError(f"hidden_act {raw['hidden_act']!r} is unknown for glm4v; 'silu' is")
    # Priority as in transformers: what is inside rope_parameters wins over the loose fields of transformers 4.
    rope = {**(raw.get("rope_scaling") or {}), **(raw.get("rope_parameters") or {})}
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind not in ("default", "mrope"):
        raise CheckpointError(f"RoPE of type {kind!r} is not built for glm4v; only 'default' is")
    factor = float(rope.get("partial_rotary_factor", raw.get("partial_rotary_factor", 1.0)))
    rotary = int(hidden // heads * factor)
    section = tuple(int(n) for n in rope.get("mrope_section", (8, 12, 12)))
    if 2 * sum(section) != rotary:
        raise CheckpointError(
            f"mrope_section {list(section)} covers {2 * sum(section)} dims of a head, but partial_rotary_factor "
            f"{factor} (1.0 if absent) rotates {rotary}; GLM-4.1V has [8, 12, 12] and 0.5"
        )
    return TextShape(
        vocab_size=_integer(raw, "vocab_size"),
        hidden_size=hidden,
        intermediate_size=_integer(raw, "intermediate_size"),
        num_layers=_integer(raw, "num_hidden_layers"),
        num_heads=heads,
        num_kv_heads=kv_heads,
        rms_norm_eps=float(raw.get("rms_norm_eps", 1e-5)),
        rope_theta=float(rope.get("rope_theta", raw.get("rope_theta", 10000.0))),
        rotary_dim=rotary,
        mrope_section=section,
        max_position_embeddings=_integer(raw, "max_position_embeddings", default=32768),
    )


def _vision(raw: Mapping[str, Any]) -> VisionShape:
    rope = raw.get("rope_parameters") or {}
    default = VisionShape()
    if raw.get("hidden_act", "silu") != "silu":
        raise CheckpointError(f"vision hidden_act {raw['hidden_act']!r} is unknown for glm4v; 'silu' is")
    hidden = _integer(raw, "hidden_size", default=default.hidden_size)
    heads_name = "num_heads" if "num_heads" in raw else "num_attention_heads"
    heads = _integer(raw, heads_name, default=default.num_heads)
    # Each head is turned by y and x in pairs, so its dims come in fours.
    if hidden % heads or hidden // heads % 4:
        raise CheckpointError(
            f"vision hidden_size {hidden} and {heads} heads do not make heads of a multiple of 4 dims"
        )
    return VisionShape(
        depth=_integer(raw, "depth", default=default.depth),
        hidden_size=hidden,
        num_heads=heads,
        out_hidden_size=_integer(raw, "out_hidden_size", default=default.out_hidden_size),
        intermediate_size=_integer(raw, "intermediate_size", default=default.intermediate_size),
        in_channels=_integer(raw, "in_channels", default=default.in_channels),
        image_size=_integer(raw, "image_size", default=default.image_size),
        patch_size=_integer(raw, "patch_size", default=default.patch_size),
        temporal_patch_size=_integer(raw, "temporal_patch_size", default=default.temporal_patch_size),
        merge_size=_integer(raw, "spatial_merge_size", default=default.merge_size),
        attention_bias=bool(raw.get("attention_bias", default.attention_bias)),
        rms_norm_eps=float(raw.get("rms_norm_eps", default.rms_norm_eps)),
        rope_theta=float(rope.get("rope_theta", default.rope_theta)),
    )


def _integer(raw: Mapping[str, Any], name: str, *, default: int | None = None, least: int = 1) -> int:
    value = raw.get(name)
    value = default if value is None else value
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise CheckpointError(f"config.json: {name} must be an integer of at least {least}, not {value!r}")
    return value
