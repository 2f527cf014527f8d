"""The vision tower of GLM-4.1V for the engine: patches in, decoder states out.

Our own implementation; parameter names are the checkpoint's (`model.visual.` taken off), so the weights load as they
are. Two tensors change their shape, not their content (weights.py does it): the Conv3d patch embedding and the 2x2
Conv2d downsample are applied as plain matrix products, because patches already lie block by block.

    tower = VisionTower(config.vision)
    tower.load_state_dict(weights.tower_state(tensors))  # tensors on disk, `model.visual.` taken off
    states = tower.encode(item.data)       # one picture as the processor made it → [num_tokens, H]
    states = tower(pixels, grid_thw)       # pixels float [N, 1176], grid [images, 3] → [sum of num_tokens, H]

Rows come out in prompt order, picture after picture. Pictures never attend to one another, so encoding them one by one
or together gives the same states.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoglm_phone.errors import EngineError
from autoglm_phone.models.glm4v.configuration import VisionShape


class RMSNorm(nn.Module):
    """Root-mean-square norm computed in float32, scaled in the model's dtype (GLM's order of casts)."""

    def __init__(self, size: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * wide.to(x.dtype)


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x)), without biases."""

    def __init__(self, size: int, inner: int):
        super().__init__()
        self.gate_proj = nn.Linear(size, inner, bias=False)
        self.up_proj = nn.Linear(size, inner, bias=False)
        self.down_proj = nn.Linear(inner, size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class VisionAttention(nn.Module):
    """Full attention inside each frame; 2-D rotary positions in the NeoX layout (halves)."""

    def __init__(self, shape: VisionShape):
        super().__init__()
        self.num_heads = shape.num_heads
        self.qkv = nn.Linear(shape.hidden_size, 3 * shape.hidden_size, bias=shape.attention_bias)
        self.proj = nn.Linear(shape.hidden_size, shape.hidden_size, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, frames: list[int]) -> Tensor:
        """x [N, D]; cos, sin [N, 1, head_dim] float32; frames: rows of each frame, summing to N."""
        q, k, v = self.qkv(x).view(x.shape[0], 3, self.num_heads, -1).unbind(1)  # [N, heads, head_dim]
        q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
        outputs = [
            F.scaled_dot_product_attention(a[None], b[None], c[None])[0].transpose(0, 1)
            for a, b, c in zip(*(part.transpose(0, 1).split(frames, dim=1) for part in (q, k, v)), strict=True)
        ]
        return self.proj(torch.cat(outputs).reshape(x.shape[0], -1))


class VisionBlock(nn.Module):
    """Pre-norm block. Its MLP is `out_hidden_size` wide: `intermediate_size` is the merger's (a naming trap)."""

    def __init__(self, shape: VisionShape):
        super().__init__()
        self.norm1 = RMSNorm(shape.hidden_size, shape.rms_norm_eps)
        self.norm2 = RMSNorm(shape.hidden_size, shape.rms_norm_eps)
        self.attn = VisionAttention(shape)
        self.mlp = SwiGLU(shape.hidden_size, shape.out_hidden_size)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, frames: list[int]) -> Tensor:
        x = x + self.attn(self.norm1(x), cos, sin, frames)
        return x + self.mlp(self.norm2(x))


class PatchMerger(nn.Module):
    """The projector into the decoder's width: linear, LayerNorm, GELU, SwiGLU."""

    def __init__(self, size: int, inner: int):
        super().__init__()
        self.proj = nn.Linear(size, size, bias=False)
        self.post_projection_norm = nn.LayerNorm(size)
        self.gate_proj = nn.Linear(size, inner, bias=False)
        self.up_proj = nn.Linear(size, inner, bias=False)
        self.down_proj = nn.Linear(inner, size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.post_projection_norm(self.proj(x)))
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class PatchEmbed(nn.Module):
    """A Conv3d whose kernel is its stride and covers a whole patch: a linear layer."""

    def __init__(self, shape: VisionShape):
        super().__init__()
        self.proj = nn.Linear(shape.patch_dim, shape.hidden_size)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.proj(pixels)


class PositionTable(nn.Module):
    """A learned square of positions, sampled where each patch lies in its picture."""

    def __init__(self, shape: VisionShape):
        super().__init__()
        self.side = shape.position_side
        self.position_embedding = nn.Embedding(shape.num_positions, shape.hidden_size)

    def forward(self, rows: Tensor, sizes: Tensor) -> Tensor:
        """rows [N, 2] (y, x) of each patch, sizes [N, 2] (h, w) of its picture → [N, D]. Bicubic, in float32."""
        table = self.position_embedding.weight
        image = table.view(self.side, self.side, -1).permute(2, 0, 1)[None].float()  # [1, D, side, side]
        spots = ((rows + 0.5) / sizes) * 2 - 1  # -1..1
        spots = spots.flip(-1)[None, :, None]  # grid_sample wants (x, y)
        sampled = F.grid_sample(image, spots, mode="bicubic", align_corners=False, padding_mode="border")
        return sampled[0, :, :, 0].T.to(table.dtype)


class VisionTower(nn.Module):
    """See the module's docstring."""

    def __init__(self, shape: VisionShape):
        super().__init__()
        self.shape = shape
        width = shape.hidden_size
        self.patch_embed = PatchEmbed(shape)
        self.embeddings = PositionTable(shape)
        self.post_conv_layernorm = RMSNorm(width, shape.rms_norm_eps)
        self.blocks = nn.ModuleList([VisionBlock(shape) for _ in range(shape.depth)])
        self.post_layernorm = RMSNorm(width, shape.rms_norm_eps)
        self.downsample = nn.Linear(width * shape.merge_size**2, shape.out_hidden_size)
        self.merger = PatchMerger(shape.out_hidden_size, shape.intermediate_size)

    @property
    def dtype(self) -> torch.dtype:
        return self.post_layernorm.weight.dtype

    @property
    def device(self) -> torch.device:
        return self.post_layernorm.weight.device

    @torch.no_grad()
    def encode(self, data: Mapping[str, Any]) -> Tensor:
        """The states [num_tokens, H] of one picture, from `MediaItem.data` as the processor wrote it."""
        patches = torch.from_numpy(np.ascontiguousarray(data["patches"])).to(self.device)  # uint8 [N, C, 14, 14]
        levels = torch.from_numpy(data["levels"]).to(self.device)  # [C, 256]: what each byte of a channel stands for
        channels = torch.arange(patches.shape[1], device=self.device)[:, None, None]
        frame = levels[channels, patches.long()]  # [N, C, 14, 14]
        clip = frame[:, :, None].expand(-1, -1, self.shape.temporal_patch_size, -1, -1)
        return self(clip.reshape(patches.shape[0], -1), torch.from_numpy(np.asarray(data["grid_thw"])).view(-1, 3))

    @torch.no_grad()
    def forward(self, pixels: Tensor, grid_thw: Tensor) -> Tensor:
        """Encode pictures.

        Args:
            pixels: [N, C*2*14*14] normalized patches, 2x2-block-major, pictures one after another.
            grid_thw: [images, 3] patches in time, height, width; N is the sum of their products.

        Returns:
            [N / merge_size**2, out_hidden_size] in the tower's dtype.
        """
        grids = [(int(t), int(h), int(w)) for t, h, w in grid_thw.tolist()]
        if sum(t * h * w for t, h, w in grids) != pixels.shape[0]:
            raise EngineError(f"{pixels.shape[0]} patches do not fill the picture grids {grids}")
        rows = torch.cat([_patch_coordinates(grid, self.shape.merge_size) for grid in grids]).to(self.device)  # [N, 2]
        sizes = torch.cat([torch.tensor([[h, w]]).expand(t * h * w, 2) for t, h, w in grids]).to(self.device)
        frames = [h * w for t, h, w in grids for _ in range(t)]

        x = self.post_conv_layernorm(self.patch_embed(pixels.to(self.device, self.dtype)))
        x = x + self.embeddings(rows, sizes)
        cos, sin = self._rotary(rows)
        for block in self.blocks:
            x = block(x, cos, sin, frames)
        x = self.post_layernorm(x)
        # Patches of one 2x2 block are neighbours, so the strided convolution is a product with the flattened block.
        x = self.downsample(x.view(-1, self.downsample.in_features))
        return self.merger(x)

    def _rotary(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """cos and sin, [N, 1, head_dim] float32: a quarter of the dims for y, a quarter for x, then both again."""
        quarter = torch.arange(0, self.shape.head_dim // 2, 2, dtype=torch.float32, device=rows.device)
        inverse = 1.0 / self.shape.rope_theta ** (quarter / (self.shape.head_dim // 2))
        angles = (rows.float()[:, :, None] * inverse).flatten(1)  # [N, head_dim / 2]
        angles = torch.cat([angles, angles], dim=-1)[:, None]
        return angles.cos(), angles.sin()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """NeoX rotation of x [N, heads, head_dim] in float32."""
    wide = x.float()
    first, second = wide.chunk(2, dim=-1)
    return (wide * cos + torch.cat([-second, first], dim=-1) * sin).to(x.dtype)


def _patch_coordinates(grid: tuple[int, int, int], merge: int) -> Tensor:
    """[t*h*w, 2] (y, x) of each patch, in the block-major order in which the processor lays patches out."""
    t, h, w = grid
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    blocks = torch.stack([y, x], -1).view(h // merge, merge, w // merge, merge, 2).transpose(1, 2)
    return blocks.reshape(h * w, 2).repeat(t, 1)
