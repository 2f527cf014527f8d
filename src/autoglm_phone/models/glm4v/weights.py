"""Tensor names and shapes of GLM-4.1V on disk, and how they become the engine's.

Engine names (those of the native decoder): `model.embed_tokens`, `model.layers.N.*`, `model.norm`, `lm_head`, and
`model.visual.*` for the tower. Layouts read: transformers 4.57 and 5 (`model.language_model.*`, `model.visual.*`), the
first release (`model.*`, `visual.*`), LLaVA-style (`language_model.model.*`), and split `gate_proj`/`up_proj`.

Shapes differ from disk in two places (see vision.py): the Conv3d patch embedding and the Conv2d downsample become
matrices. Only safetensors are read: a pickle may run code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from autoglm_phone.errors import CheckpointError
from autoglm_phone.models.glm4v.configuration import Glm4vShape, TextShape, VisionShape, load_shape, read_json

VISUAL = "model.visual."
_PREFIXES = (  # first match wins
    ("model.language_model.", "model."),
    ("language_model.model.", "model."),
    ("language_model.lm_head.", "lm_head."),
    ("visual.", VISUAL),
)
_SPLIT_MLP = re.compile(r"(model\.layers\.\d+\.mlp\.)(gate|up)_proj\.weight")
_NAMES_SHOWN = 5


@dataclass(frozen=True)
class Glm4vWeights:
    """A loaded checkpoint. `text` has engine names, `vision` the tower's own (for `VisionTower.load_state_dict`)."""

    text: dict[str, Tensor]
    vision: dict[str, Tensor]


def engine_name(name: str) -> str:
    """The engine's name of a tensor on disk, whatever the layout."""
    for old, new in _PREFIXES:
        if name.startswith(old):
            return new + name[len(old) :]
    return name


def disk_name(name: str) -> str:
    """The name that today's checkpoints have for an engine name; error messages speak it."""
    if name.startswith(("lm_head.", VISUAL)):
        return name
    return "model.language_model." + name.removeprefix("model.")


def expected_shapes(shape: Glm4vShape) -> dict[str, tuple[int, ...]]:
    """Every tensor of a checkpoint under its engine name, with its shape on disk."""
    shapes = {**_text_shapes(shape.text), **_vision_shapes(shape.vision)}
    if not shape.tie_word_embeddings:
        shapes["lm_head.weight"] = (shape.text.vocab_size, shape.text.hidden_size)
    return shapes


def load_weights(
    folder: Path,
    shape: Glm4vShape | None = None,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> Glm4vWeights:
    """Read a model folder, shard by shard.

    Args:
        dtype: to which floating tensors are cast; None keeps what is on disk.

    Raises:
        CheckpointError: shards or tensors are missing, corrupt, quantized or of another shape.
    """
    kind = (read_json(folder / "config.json").get("quantization_config") or {}).get("quant_method")
    if kind:
        raise CheckpointError(f"{folder} holds weights quantized by {kind!r}; only plain safetensors are read so far")
    shape = shape or load_shape(folder)
    expected = expected_shapes(shape)
    found: dict[str, Tensor] = {}
    halves: dict[str, Tensor] = {}
    for raw_name, tensor in _read_shards(folder):
        name = engine_name(raw_name)
        if match := _SPLIT_MLP.fullmatch(name):
            halves[name] = tensor
            gate, up = (halves.get(f"{match[1]}{half}_proj.weight") for half in ("gate", "up"))
            if gate is None or up is None:
                continue
            name, tensor = f"{match[1]}gate_up_proj.weight", torch.cat([gate, up])
            for half in ("gate", "up"):
                del halves[f"{match[1]}{half}_proj.weight"]
        if name not in expected:  # rotary buffers, a tied head written twice, next-token layers: not part of the model
            continue
        if tuple(tensor.shape) != expected[name]:
            raise CheckpointError(
                f"{folder}: tensor {raw_name} has shape {list(tensor.shape)}, config.json asks for "
                f"{list(expected[name])}"
            )
        found[name] = tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else None)
    check_complete(folder, found, shape)
    return _split(found)


def _split(found: Mapping[str, Tensor]) -> Glm4vWeights:
    vision = {name.removeprefix(VISUAL): tensor for name, tensor in found.items() if name.startswith(VISUAL)}
    text = {name: tensor for name, tensor in found.items() if not name.startswith(VISUAL)}
    text.setdefault("lm_head.weight", text["model.embed_tokens.weight"])
    return Glm4vWeights(text=text, vision=tower_state(vision))


def tower_state(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `VisionTower.load_state_dict` takes, from the tower's tensors on disk (`model.visual.` taken off)."""
    state = dict(tensors)
    state["patch_embed.proj.weight"] = state["patch_embed.proj.weight"].flatten(1)
    # [O, D, kh, kw] → [O, kh*kw*D]: the tower flattens a 2x2 block with its dims innermost.
    state["downsample.weight"] = state["downsample.weight"].permute(0, 2, 3, 1).flatten(1).contiguous()
    return state


def check_complete(folder: Path, names: Iterable[str], shape: Glm4vShape) -> None:
    """Are all tensors there? Reads names only, so that the tower's absence shows before its first picture.

    Args:
        names: engine names of what the folder holds; a split MLP counts if both halves are there.

    Raises:
        CheckpointError: some are missing; it names the first few as they are called on disk.
    """
    present = set(names)
    for name in list(present):
        match = _SPLIT_MLP.fullmatch(name)
        if match and match[2] == "gate" and f"{match[1]}up_proj.weight" in present:
            present.add(f"{match[1]}gate_up_proj.weight")
    missing = sorted(map(disk_name, set(expected_shapes(shape)) - present))
    if missing:
        more = f" and {len(missing) - _NAMES_SHOWN} more" if len(missing) > _NAMES_SHOWN else ""
        raise CheckpointError(
            f"{folder}: {len(missing)} tensors are missing: {', '.join(missing[:_NAMES_SHOWN])}{more}; "
            "the download is incomplete or config.json belongs to another model"
        )


def shard_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder: those its index names, or all.

    Raises:
        CheckpointError: there are none, or a named one is missing or outside the folder.
    """
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        files = sorted(folder.glob("*.safetensors"))
        if not files:
            raise CheckpointError(f"{folder} has no *.safetensors files; other weight formats are not read")
        return files
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index} has no weight_map")
    names = sorted({str(name) for name in weight_map.values()})
    if outside := [name for name in names if Path(name).name != name]:
        raise CheckpointError(f"{index} names files outside its folder: {outside[:_NAMES_SHOWN]}")
    if absent := [name for name in names if not (folder / name).is_file()]:
        raise CheckpointError(f"{folder} lacks shards that its index names: {', '.join(absent[:_NAMES_SHOWN])}")
    return [folder / name for name in names]


def _read_shards(folder: Path) -> Iterator[tuple[str, Tensor]]:
    for path in shard_files(folder):
        try:
            with safe_open(path, framework="pt") as shard:
                for name in shard.keys():  # noqa: SIM118 (safe_open is not a mapping)
                    yield name, shard.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} is not a readable safetensors file: {error}") from error


def _text_shapes(text: TextShape) -> dict[str, tuple[int, ...]]:
    hidden, q_size, kv_size = text.hidden_size, text.num_heads * text.head_dim, text.num_kv_heads * text.head_dim
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (text.vocab_size, hidden),
        "model.norm.weight": (hidden,),
    }
    layer: dict[str, tuple[int, ...]] = {
        "self_attn.q_proj.weight": (q_size, hidden),
        "self_attn.q_proj.bias": (q_size,),
        "self_attn.k_proj.weight": (kv_size, hidden),
        "self_attn.k_proj.bias": (kv_size,),
        "self_attn.v_proj.weight": (kv_size, hidden),
        "self_attn.v_proj.bias": (kv_size,),
        "self_attn.o_proj.weight": (hidden, q_size),
        "mlp.gate_up_proj.weight": (2 * text.intermediate_size, hidden),
        "mlp.down_proj.weight": (hidden, text.intermediate_size),
    }
    norms = ("input_layernorm", "post_self_attn_layernorm", "post_attention_layernorm", "post_mlp_layernorm")
    layer |= {f"{norm}.weight": (hidden,) for norm in norms}
    return shapes | {f"model.layers.{i}.{name}": size for i in range(text.num_layers) for name, size in layer.items()}


def _vision_shapes(vision: VisionShape) -> dict[str, tuple[int, ...]]:
    width, out, merger = vision.hidden_size, vision.out_hidden_size, vision.intermediate_size
    patch = (vision.temporal_patch_size, vision.patch_size, vision.patch_size)
    shapes: dict[str, tuple[int, ...]] = {
        "patch_embed.proj.weight": (width, vision.in_channels, *patch),
        "patch_embed.proj.bias": (width,),
        "embeddings.position_embedding.weight": (vision.num_positions, width),
        "post_conv_layernorm.weight": (width,),
        "post_layernorm.weight": (width,),
        "downsample.weight": (out, width, vision.merge_size, vision.merge_size),
        "downsample.bias": (out,),
        "merger.proj.weight": (out, out),
        "merger.post_projection_norm.weight": (out,),
        "merger.post_projection_norm.bias": (out,),
        "merger.gate_proj.weight": (merger, out),
        "merger.up_proj.weight": (merger, out),
        "merger.down_proj.weight": (out, merger),
    }
    block: dict[str, tuple[int, ...]] = {
        "norm1.weight": (width,),
        "norm2.weight": (width,),
        "attn.qkv.weight": (3 * width, width),
        "attn.proj.weight": (width, width),
        "mlp.gate_proj.weight": (out, width),
        "mlp.up_proj.weight": (out, width),
        "mlp.down_proj.weight": (width, out),
    }
    if vision.attention_bias:
        block["attn.qkv.bias"] = (3 * width,)
    shapes |= {f"blocks.{i}.{name}": size for i in range(vision.depth) for name, size in block.items()}
    return {VISUAL + name: size for name, size in shapes.items()}
