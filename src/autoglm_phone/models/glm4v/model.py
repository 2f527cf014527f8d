"""A complete plain forward of GLM-4.1V: text and pictures to logits, no cache, no pages, no batching tricks.

The truth that the paged engine is compared with, itself compared with transformers' own class (tests/test_glm4v_*).
Tokens of all sequences are packed into rows [T, H] as in the engine; attention runs sequence by sequence, so nothing
is ever padded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from autoglm_phone.errors import InvalidRequestError
from autoglm_phone.models.glm4v.configuration import Glm4vShape, TextShape, load_shape
from autoglm_phone.models.glm4v.positions import mrope_positions, tokens_of_grid
from autoglm_phone.models.glm4v.vision import VisionTower
from autoglm_phone.models.glm4v.weights import Glm4vWeights, load_weights


@dataclass(frozen=True)
class Prompt:
    """One sequence: token ids with every `<|image|>` already widened, and the processed pictures in prompt order."""

    ids: Sequence[int]
    images: Sequence[Mapping[str, Any]] = ()  # Processed.data of each


class Glm4vModel:
    """The plain model. Call it with prompts; it returns the logits of every token."""

    def __init__(self, shape: Glm4vShape, weights: Glm4vWeights):
        self.shape = shape
        self.text = weights.text
        self.tower = VisionTower(shape.vision)
        self.tower.load_state_dict(weights.vision, assign=True)
        self.tower.eval()

    @classmethod
    def from_folder(cls, folder: Path, dtype: torch.dtype | None = None) -> Glm4vModel:
        shape = load_shape(folder)
        return cls(shape, load_weights(folder, shape, dtype=dtype))

    @torch.no_grad()
    def __call__(self, prompts: Sequence[Prompt]) -> list[Tensor]:
        """Logits [tokens of the prompt, vocab] of each prompt."""
        embedded, places = zip(*(self._embed(prompt) for prompt in prompts), strict=True)
        lengths = [len(prompt.ids) for prompt in prompts]
        x = torch.cat(embedded)  # [T, H]
        cos, sin = rotary(torch.cat(places, dim=1), self.shape.text, x.dtype)
        for layer in range(self.shape.text.num_layers):
            x = self._layer(x, f"model.layers.{layer}.", cos, sin, lengths)
        x = self._norm(x, "model.norm")
        return list(F.linear(x, self.text["lm_head.weight"]).split(lengths))

    def _embed(self, prompt: Prompt) -> tuple[Tensor, Tensor]:
        """Embeddings [n, H] with the pictures' states in place, and positions [3, n]."""
        ids = torch.tensor(list(prompt.ids))
        x = F.embedding(ids, self.text["model.embed_tokens.weight"])
        media = (ids == self.shape.image_token_id).nonzero().flatten()
        states = [self.tower.encode(image) for image in prompt.images]
        if sum(map(len, states)) != len(media):
            raise InvalidRequestError(
                f"{len(media)} image tokens in the prompt, but its pictures make {sum(map(len, states))} states"
            )
        starts, used = [], 0
        for image in prompt.images:
            starts.append((int(media[used]), image["grid_thw"]))
            used += tokens_of_grid(image["grid_thw"], self.shape.vision.merge_size)
        if states:
            x = x.index_copy(0, media, torch.cat(states).to(x.dtype))
        plan = mrope_positions(len(ids), starts, merge_size=self.shape.vision.merge_size)
        return x, torch.from_numpy(plan.prompt)

    def _layer(self, x: Tensor, name: str, cos: Tensor, sin: Tensor, lengths: list[int]) -> Tensor:
        attended = self._attention(self._norm(x, name + "input_layernorm"), name + "self_attn.", cos, sin, lengths)
        x = x + self._norm(attended, name + "post_self_attn_layernorm")
        gate, up = self._linear(self._norm(x, name + "post_attention_layernorm"), name + "mlp.gate_up_proj").chunk(
            2, -1
        )
        mixed = self._linear(F.silu(gate) * up, name + "mlp.down_proj")
        return x + self._norm(mixed, name + "post_mlp_layernorm")

    def _attention(self, x: Tensor, name: str, cos: Tensor, sin: Tensor, lengths: list[int]) -> Tensor:
        head_dim = self.shape.text.head_dim
        q, k, v = (self._linear(x, f"{name}{part}_proj").view(x.shape[0], -1, head_dim) for part in "qkv")
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        outputs = [
            F.scaled_dot_product_attention(a[None], b[None], c[None], is_causal=True, enable_gqa=True)[0].transpose(
                0, 1
            )
            for a, b, c in zip(*(part.transpose(0, 1).split(lengths, dim=1) for part in (q, k, v)), strict=True)
        ]
        return self._linear(torch.cat(outputs).reshape(x.shape[0], -1), name + "o_proj")

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self.text[name + ".weight"], self.text.get(name + ".bias"))

    def _norm(self, x: Tensor, name: str) -> Tensor:
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.shape.text.rms_norm_eps)
        return self.text[name + ".weight"] * wide.to(x.dtype)


def rotary(positions: Tensor, text: TextShape, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """cos and sin [T, 1, rotary_dim] of 3-D positions [3, T].

    The i-th rotated pair follows the axis that `mrope_section` gives it: with [8, 12, 12] pairs 0-7 turn with time,
    8-19 with height, 20-31 with width; neighbours 2i and 2i+1 form a pair (GPT-J layout).
    """
    device = positions.device
    inverse = 1.0 / text.rope_theta ** (
        torch.arange(0, text.rotary_dim, 2, dtype=torch.float32, device=device) / text.rotary_dim
    )
    axes = torch.tensor([i % 3 for i, pairs in enumerate(text.mrope_section) for _ in range(pairs)], device=device)
    angles = positions[axes].T.float() * inverse  # [T, rotary_dim / 2]
    angles = angles.repeat_interleave(2, dim=-1)[:, None]
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the first `rotary_dim` dims of x [T, heads, head_dim] in interleaved pairs; the rest passes."""
    turned, kept = x[..., : cos.shape[-1]], x[..., cos.shape[-1] :]
    swapped = torch.stack((-turned[..., 1::2], turned[..., 0::2]), dim=-1).flatten(-2)
    return torch.cat((turned * cos + swapped * sin, kept), dim=-1)
