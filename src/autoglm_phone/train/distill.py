"""A teacher for training: a larger model, or the one that was pruned, shared or is being quantized.

Two losses (Hinton et al. 2015; Sun et al. 2019): the divergence from the teacher's most likely tokens, the rest of its
probability as one more outcome; and its states at the boundaries that both models have, through a learned projection
where widths differ. It runs without gradients on the very batches that the pupil sees, augmentation included.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoglm_phone.errors import CheckpointError, ConfigError
from autoglm_phone.models.glm4v.configuration import read_json
from autoglm_phone.models.native.configuration import PRESETS, AutoGLMPhoneConfig, preset
from autoglm_phone.models.native.modeling import (
    FAR,
    AutoGLMPhoneForConditionalGeneration,
    AutoGLMPhoneModel,
    Memory,
)
from autoglm_phone.train.batches import Batch
from autoglm_phone.train.state import load_weights

if TYPE_CHECKING:
    from autoglm_phone.train.objective import Senses


@dataclass(frozen=True)
class DistillConfig:
    """kl, hidden: weights relative to the next-token loss. top_k: the teacher's tokens that count
    one by one."""

    kl: float = 1.0
    hidden: float = 0.5
    top_k: int = 64


@dataclass(frozen=True)
class Seen:
    """logits [N, V] at the batch's labelled positions; boundaries: depth → [B, L, H]."""

    logits: Tensor
    boundaries: dict[int, Tensor]


class Matching(nn.Module):
    """States of the pupil against the teacher's at common depths: forward(pupil's, teacher's, where) → loss [].

    The loss is the squared distance relative to the states' own size, a mean over depths. Of models of one width no
    projection is needed: then the pupil's very states are what the teacher's are. A teacher of a multiple of the width
    may have been grown from the pupil's own start, so the projection begins as the copies that `grow` makes.
    """

    def __init__(self, depths: list[int], width: int, aim: int):
        super().__init__()
        self.depths = depths
        layers = {str(depth): nn.Linear(width, aim, bias=False) for depth in depths if width != aim}
        for layer in layers.values():
            nn.init.orthogonal_(layer.weight)
            if aim % width == 0:
                layer.weight.data.copy_(torch.eye(width).repeat_interleave(aim // width, 0))
        self.project = nn.ModuleDict(layers)

    def forward(self, own: dict[int, Tensor], aim: dict[int, Tensor], where: Tensor) -> Tensor:
        total = torch.zeros((), device=where.device)
        for depth in self.depths:
            state = own[depth].flatten(0, 1)[where]
            state = self.project[str(depth)](state) if str(depth) in self.project else state
            target = aim[depth].flatten(0, 1)[where].float()
            total = total + (state.float() - target).square().mean() / target.square().mean().clamp_min(1e-6)
        return total / len(self.depths)


class Teacher:
    """A frozen model and what is learned from it."""

    def __init__(self, model: AutoGLMPhoneForConditionalGeneration, config: DistillConfig | None = None):
        self.model = model.eval().requires_grad_(False)
        self.config = config or DistillConfig()

    def to(self, device: torch.device) -> Teacher:
        self.model.to(device)  # type: ignore[arg-type]
        return self

    def matching(self, pupil: Any) -> Matching:
        """Raises ConfigError where pupil and teacher have no depth or vocabulary in common."""
        mine = self.model.config
        if mine.vocab_size != pupil.vocab_size:
            raise ConfigError(
                f"the teacher has {mine.vocab_size} tokens, the pupil {pupil.vocab_size}; train both on one tokenizer",
                param="teacher",
            )
        depths = sorted({*mine.exit_layers, mine.num_hidden_layers} & {*pupil.exit_layers, pupil.num_hidden_layers})
        if not depths:
            raise ConfigError("teacher and pupil have no boundary at one depth", param="teacher")
        return Matching(depths, pupil.hidden_size, mine.hidden_size)

    @torch.no_grad()
    def look(self, batch: Batch, senses: Senses) -> Seen:
        """The teacher's predictions for a batch."""
        core = self.model.model
        images = valid = clips = keep = None
        if senses.pixels is not None:
            images, valid = core.encode_images(senses.pixels, batch.grids, senses.kept)
        if senses.mel is not None:
            clips, keep, _ = core.encode_audio(senses.mel, senses.counts)
        boundaries = core(batch.ids, memory=lay_out(core, batch, images, valid, clips, keep))
        depth = len(core.layers)
        states = boundaries[depth].flatten(0, 1)[batch.where]
        return Seen(self.model.lm_head(core.head_state(states, depth)), boundaries)

    def divergence(self, logits: Tensor, target: Tensor) -> Tensor:
        """KL(teacher ‖ pupil), nats a token, over the teacher's top k and the rest as one outcome."""
        count = min(self.config.top_k, target.shape[-1] - 1)
        aim, own = target.float().log_softmax(-1), logits.float().log_softmax(-1)
        top = aim.topk(count, -1)
        mine = own.gather(-1, top.indices)
        pairs = []
        for chosen in (top.values, mine):
            rest = (1 - chosen.exp().sum(-1, keepdim=True)).clamp_min(1e-6).log()
            pairs.append(torch.cat([chosen, rest], -1))
        return F.kl_div(pairs[1], pairs[0], log_target=True, reduction="batchmean")

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        """The teacher's share of the loss."""
        return self.config.kl * losses["kl"] + self.config.hidden * losses["hidden"]


def load_teacher(folder: Path, ctc_vocab: str, config: DistillConfig | None = None) -> Teacher:
    """A teacher from a model folder or a training run.

    Raises:
        CheckpointError: the folder holds neither, or its weights fit no configuration.
    """
    return Teacher(load_model(folder, ctc_vocab), config)


def config_of(folder: Path, ctc_vocab: str) -> AutoGLMPhoneConfig:
    """The configuration of a model folder, or of the preset whose shapes a run has."""
    if (folder / "config.json").exists():
        raw = read_json(folder / "config.json")
        if raw.get("model_type") != "autoglm_phone":
            raise CheckpointError(f"{folder} is no model of the native family, which alone can be trained here")
        return AutoGLMPhoneConfig(**raw)
    width = load_weights(folder)["model.model.embed_tokens.weight"].shape[1]
    for name, fields in PRESETS.items():
        if fields.get("hidden_size", AutoGLMPhoneConfig().hidden_size) == width:
            audio: dict[str, Any] = {**fields.get("audio_config", {}), "ctc_vocab": ctc_vocab}
            return preset(name, audio_config=audio)
    raise CheckpointError(f"{folder} was trained with hidden size {width}, which no preset has; bundle it first")


def load_model(folder: Path, ctc_vocab: str) -> AutoGLMPhoneForConditionalGeneration:
    """The reference model of a folder or run, float32, every weight found.

    Raises:
        CheckpointError: a weight is missing or of another shape.
    """
    model = AutoGLMPhoneForConditionalGeneration(config_of(folder, ctc_vocab))
    own = model.state_dict()
    weights = {n.removeprefix("model."): t.float() for n, t in load_weights(folder).items() if n.startswith("model.")}
    weights = {name: tensor for name, tensor in weights.items() if name in own}
    wrong = [n for n, t in weights.items() if t.shape != own[n].shape]
    tied = {"lm_head.weight", *(getattr(model.config, "shared_weights", None) or {})}
    missing = [name for name in own if name not in weights and name not in tied]
    if wrong or missing:
        raise CheckpointError(f"{folder} does not fit its configuration: {', '.join([*wrong, *missing][:4])}")
    model.load_state_dict(weights, strict=False)
    model.tie_weights()
    return model


def lay_out(
    core: AutoGLMPhoneModel,
    batch: Batch,
    images: Tensor | None,
    valid: Tensor | None,
    clips: Tensor | None,
    keep: Tensor | None,
) -> Memory | None:
    """The cross-attention memory, in the layout that `modeling.Memory` describes."""
    ordinals, audio_base = core.media_embed.weight, core.config.max_media
    if images is not None and batch.kind == "image" and valid is not None:
        return Memory(images + ordinals[0], torch.where(valid, 0, FAR), batch.first)
    if clips is not None and batch.kind == "audio" and keep is not None:
        return Memory(clips + ordinals[audio_base], torch.where(keep, 0, FAR), batch.first)
    if batch.memory is None:
        return None
    index, ordinal, starts = batch.memory.unbind(-1)
    flat = [states.flatten(0, 1) for states in (images, clips) if states is not None]
    zero = torch.zeros(1, flat[0].shape[-1], dtype=flat[0].dtype, device=flat[0].device)
    table = torch.cat((*flat, zero))
    # As lookups whose gradients are quick: plain indexing adds up the many uses of one row one after another.
    states = F.embedding(index, table, padding_idx=len(table) - 1)
    if images is not None and valid is not None:  # patches without a state
        seen = torch.ones(len(table), dtype=torch.bool, device=table.device)
        seen[: valid.numel()] = valid.flatten()
        starts = torch.where(seen[index], starts, FAR)
    return Memory(states + F.one_hot(ordinal, len(ordinals)).to(states.dtype) @ ordinals.to(states.dtype), starts)
