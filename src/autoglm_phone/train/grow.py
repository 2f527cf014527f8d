"""A wider model that computes what a narrower one does: where training of a large teacher starts.

Every channel and every head becomes several neighbouring copies (Net2WiderNet, Chen et al. 2015; bert2BERT, Chen et al.
2021). All copies carry the same value, so norms do not change: RMSNorm sees the same mean square, and a group of a
GroupNorm holds the copies of the channels it held before. What reads copies divides each weight among them, in shares
that differ from row to row and sum to one (LEMON, Wang et al. 2023): equal shares would give copies equal gradients,
and they would stay one channel for ever.

The output head is tied to the embedding, whose copies must be equal, and would count every channel several times. So
the shares of its channels lie in what comes right before it: the final norm's weight, and norm and upward factor of
the exit heads. The number of layers, the size of a head and everything that is no width stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autoglm_phone.errors import CheckpointError, ConfigError
from autoglm_phone.models.native.configuration import AutoGLMPhoneConfig
from autoglm_phone.train.distill import config_of
from autoglm_phone.train.state import load_weights

_SPREAD = 0.8  # before they are made to sum to one, shares lie within 1 ± this: of two copies, one gets 10 to 90 %
_WIDTHS = ("hidden_size", "num_attention_heads", "num_key_value_heads", "intermediate_size",
           "cross_num_attention_heads", "stem_channels")  # fmt: skip
# What no tensor's shape or meaning depends on. CTC characters: a longer alphabet takes the rows that exist.
_FREE = {"architectures", "dtype", "torch_dtype", "transformers_version", "_name_or_path", "ctc_vocab",
         "initializer_range"}  # fmt: skip


@dataclass(frozen=True)
class Axis:
    """One dimension of a tensor: `old` channels become `new`, in whole heads of `unit`, in each of `stacked` parts."""

    old: int
    new: int
    unit: int = 1
    stacked: int = 1

    def copy(self, tensor: Tensor, dim: int) -> Tensor:
        """Every unit as often as it has copies, which lie side by side."""
        units = tensor.unflatten(dim, (-1, self.unit))
        return units.repeat_interleave(self.new // self.old, dim).flatten(dim, dim + 1)

    def shares(self, like: Tensor, dim: int, generator: torch.Generator) -> Tensor:
        """Random shares for every element of a grown tensor; those of one unit's copies sum to one."""
        random = 1 + _SPREAD * (2 * torch.rand(like.shape, generator=generator) - 1)
        parts = random.unflatten(dim, (-1, self.new // self.old, self.unit))
        return (parts / parts.sum(dim + 1, keepdim=True)).flatten(dim, dim + 2)


@dataclass(frozen=True)
class Rule:
    """How tensors of a kind grow: the axes of their first two dimensions, None where one stays.

    divided: the dimension whose copies share one weight; None if all copies are whole.
    """

    rows: Axis | None = None
    columns: Axis | None = None
    divided: int | None = 1

    def apply(self, name: str, tensor: Tensor, generator: torch.Generator) -> Tensor:
        """Raises CheckpointError where the tensor's shape is not that of the configuration."""
        grown = tensor.float()
        for dim, axis in enumerate((self.rows, self.columns)):
            if axis is None or dim >= tensor.dim():  # a bias has rows alone
                continue
            if tensor.shape[dim] != axis.old * axis.stacked:
                raise CheckpointError(
                    f"{name} {tuple(tensor.shape)} does not fit its configuration, which has {axis.old * axis.stacked} "
                    f"channels in dimension {dim}"
                )
            grown = axis.copy(grown, dim)
        axis = (self.rows, self.columns)[self.divided] if self.divided is not None else None
        if axis is not None and self.divided is not None and grown.dim() > self.divided and axis.new > axis.old:
            grown = grown * axis.shares(grown, self.divided, generator)
        return grown.contiguous()


def grown_weights(folder: Path, config: AutoGLMPhoneConfig, seed: int = 0) -> dict[str, Tensor]:
    """Weights for a model of this configuration that computes what the model folder or run does.

    Returns float32 tensors named as `Objective` names them; training-only heads too, where the run has them.

    Raises:
        ConfigError: the model can't grow to this configuration, see `check_growth`.
        CheckpointError: the folder holds no such model, or a tensor of it is unknown or of another shape.
    """
    small = config_of(folder, config.audio_config.ctc_vocab)
    return grow(load_weights(folder), small, config, seed)


def grow(
    weights: Mapping[str, Tensor], small: AutoGLMPhoneConfig, large: AutoGLMPhoneConfig, seed: int = 0
) -> dict[str, Tensor]:
    """`grown_weights` of tensors in memory. What a teacher was matched with (`matching.…`) stays behind."""
    check_growth(small, large)
    rules = [(re.compile(pattern), rule) for pattern, rule in _rules(small, large)]
    generator = torch.Generator().manual_seed(seed)
    grown = {}
    for name in sorted(weights):  # the same draws whatever the order of the files
        if name.startswith("matching."):
            continue
        rule = next((rule for pattern, rule in rules if pattern.fullmatch(name)), None)
        if rule is None:
            raise CheckpointError(f"no rule says how {name} grows; start from a model without it")
        grown[name] = rule.apply(name, weights[name], generator)
    return grown


def check_growth(small: AutoGLMPhoneConfig, large: AutoGLMPhoneConfig) -> None:
    """Raises ConfigError unless every width of `large` is a multiple of `small`'s and everything else is equal."""
    ours, theirs = dict(_fields(small)), dict(_fields(large))
    fields = {name: name.rpartition(".")[2] for name in sorted({*ours, *theirs})}
    changed = {
        name: field for name, field in fields.items() if field not in _FREE and ours.get(name) != theirs.get(name)
    }
    if not changed:
        raise ConfigError("both models are of one size, so nothing grows; use --init-from", param="grow_from")
    for name, field in changed.items():
        if field not in _WIDTHS:
            raise ConfigError(
                f"{name} is {str(theirs.get(name))[:60]} and was {str(ours.get(name))[:60]}; only widths can grow, so "
                "give the larger model the same",
                param="grow_from",
            )
        before, after = ours[name], theirs[name]
        pairs = list(zip(before, after, strict=False)) if isinstance(before, list) else [(before, after)]
        if isinstance(before, list) and len(before) != len(after):
            raise ConfigError(f"{name} {before} and {after} must have as many entries", param="grow_from")
        for old, new in pairs:
            if new < old or new % old:
                raise ConfigError(
                    f"{name} {old} can't grow to {new}: copies need a multiple, such as {2 * old}", param="grow_from"
                )
    for name, old, new in _head_sizes(small, large):
        if old != new:
            raise ConfigError(
                f"{name} would grow from {old:g} to {new:g} channels a head; heads are copied whole, so give as many "
                "times more heads as channels",
                param="grow_from",
            )


def _fields(config: AutoGLMPhoneConfig) -> Iterator[tuple[str, Any]]:
    """Every field by name, the towers' behind the tower's."""
    for name, value in config.to_dict().items():
        if isinstance(value, dict) and name in config.sub_configs:
            yield from ((f"{name}.{field}", item) for field, item in value.items())
        else:
            yield name, value


def _head_sizes(small: AutoGLMPhoneConfig, large: AutoGLMPhoneConfig) -> Iterator[tuple[str, float, float]]:
    """(where, channels a head before, after); the decoder's own heads have a size of their own (`head_dim`)."""

    def cross(config: AutoGLMPhoneConfig) -> float:
        return config.hidden_size / config.cross_num_attention_heads

    yield "cross-attention", cross(small), cross(large)
    for place in ("vision_config", "audio_config"):
        old, new = (getattr(config, place) for config in (small, large))
        before, after = (tower.hidden_size / tower.num_attention_heads for tower in (old, new))
        yield place, before, after


def _rules(small: AutoGLMPhoneConfig, large: AutoGLMPhoneConfig) -> Iterator[tuple[str, Rule]]:
    """(pattern of names, rule) of all tensors of a training run."""
    hidden = Axis(small.hidden_size, large.hidden_size)
    width = small.head_dim
    query, key = (
        Axis(width * getattr(small, name), width * getattr(large, name), unit=width)
        for name in ("num_attention_heads", "num_key_value_heads")
    )
    cross = Axis(hidden.old, hidden.new, unit=small.hidden_size // small.cross_num_attention_heads)
    layer = r"model\.model\.layers\.\d+\."
    yield r"(model\.model\.(embed_tokens|media_embed)|model\.lm_head)\.weight", Rule(None, hidden, divided=None)
    yield r"model\.model\.(norm|exits\.\d+\.norm)\.weight", Rule(hidden, divided=0)
    yield r"model\.model\.exits\.\d+\.down\.weight", Rule(None, hidden, divided=None)
    yield r"model\.model\.exits\.\d+\.up\.weight", Rule(hidden, divided=0)
    yield layer + r"(\w+_layernorm|cross_attn\.norm)\.weight", Rule(hidden)
    yield layer + r"cross_attn\.gate", Rule()
    yield layer + r"self_attn\.q_proj\.(weight|bias)", Rule(query, hidden)
    yield layer + r"self_attn\.[kv]_proj\.(weight|bias)", Rule(key, hidden)
    yield layer + r"self_attn\.o_proj\.weight", Rule(hidden, query)
    yield layer + r"cross_attn\.[qkv]_proj\.weight", Rule(cross, hidden)
    yield layer + r"cross_attn\.o_proj\.weight", Rule(hidden, cross)
    yield from _mlp_rules(layer, hidden, small.intermediate_size, large.intermediate_size)
    for name in ("vision", "audio"):
        old, new = (getattr(config, f"{name}_config") for config in (small, large))
        tower = Axis(old.hidden_size, new.hidden_size)
        yield from _tower_rules(rf"model\.model\.{name}\.", tower, hidden, old, new)
        if name == "vision":
            yield from _picture_stem_rules(tower, old.stem_channels, new.stem_channels)
            yield r"(ocr_head|regions\.(patch|box))\.weight", Rule(None, tower)
        else:
            yield from _sound_stem_rules(tower, Axis(old.stem_channels, new.stem_channels))
    yield r"regions\.text\.weight", Rule(None, hidden)
    yield r"(ocr_head|regions\.box)\.bias|regions\.scale", Rule()


def _mlp_rules(place: str, stream: Axis, old: int, new: int) -> Iterator[tuple[str, Rule]]:
    yield place + r"mlp\.gate_up_proj\.weight", Rule(Axis(old, new, stacked=2), stream)
    yield place + r"mlp\.down_proj\.weight", Rule(stream, Axis(old, new))


def _tower_rules(place: str, tower: Axis, hidden: Axis, old: Any, new: Any) -> Iterator[tuple[str, Rule]]:
    block, unit = place + r"blocks\.\d+\.", old.hidden_size // old.num_attention_heads
    yield place + r"(blocks\.\d+\.norm\d|norm)\.weight", Rule(tower)
    yield block + r"attn\.qkv\.(weight|bias)", Rule(Axis(tower.old, tower.new, unit, stacked=3), tower)
    yield block + r"attn\.proj\.weight", Rule(tower, Axis(tower.old, tower.new, unit))
    yield from _mlp_rules(block, tower, old.intermediate_size, new.intermediate_size)
    yield place + r"project\.(weight|bias)", Rule(hidden, tower)
    yield place + r"out_position\.weight", Rule(hidden)


def _picture_stem_rules(tower: Axis, old: list[int], new: list[int]) -> Iterator[tuple[str, Rule]]:
    stem, before = r"model\.model\.vision\.stem\.", None
    for index, widths in enumerate(zip(old, new, strict=True)):
        channels = Axis(*widths)
        yield stem + rf"down\.{index}\.conv\.weight", Rule(channels, before)
        yield stem + rf"down\.{index}\.norm\.(weight|bias)", Rule(channels)
        before = channels
    yield stem + r"mix\.\d+\.conv\.weight", Rule(before, before)
    yield stem + r"mix\.\d+\.norm\.(weight|bias)", Rule(before)
    yield stem + r"out\.(weight|bias)", Rule(tower, before)
    yield r"model\.model\.vision\.position\.weight", Rule(tower)


def _sound_stem_rules(tower: Axis, stem: Axis) -> Iterator[tuple[str, Rule]]:
    place = r"model\.model\.audio\."
    yield place + r"conv1\.(weight|bias)", Rule(stem)
    yield place + r"conv2\.(weight|bias)", Rule(tower, stem)
    yield place + r"norm1\.(weight|bias)", Rule(stem)
    yield place + r"norm2\.(weight|bias)", Rule(tower)
    yield place + r"blocks\.\d+\.conv\.(weight|bias)", Rule(tower)
    yield place + r"ctc_head\.weight", Rule(None, tower)
    yield place + r"ctc_head\.bias", Rule()
