"""Building blocks shared by the decoder and the towers: RMSNorm, rotary embeddings, SwiGLU, masked GroupNorm."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RMSNorm(nn.Module):
    """Root-mean-square norm in float32 (Zhang & Sennrich 2019), as GLM-4 uses it. x [..., D] → [..., D]."""

    def __init__(self, dim: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * wide.to(x.dtype)


class SwiGLU(nn.Module):
    """GLM's MLP: one fused gate/up projection, gate half first. x [..., D] → [..., D]."""

    def __init__(self, dim: int, width: int):
        super().__init__()
        self.gate_up_proj = nn.Linear(dim, 2 * width, bias=False)
        self.down_proj = nn.Linear(width, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
        return self.down_proj(F.silu(gate) * up)


class MaskedGroupNorm(nn.GroupNorm):
    """GroupNorm whose statistics ignore padding, so a padded batch gives what each item alone would.

    x [B, C, *spatial]; mask [B, 1, *spatial] of 0/1, or None when nothing is padded. Padding comes out as zero,
    which is what the next convolution would see beyond the edge.
    """

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:  # type: ignore[override]
        if mask is None:
            return super().forward(x)
        batch, channels = x.shape[:2]
        keep = mask.to(torch.float32).reshape(batch, 1, 1, -1)
        grouped = x.float().reshape(batch, self.num_groups, channels // self.num_groups, -1)
        count = keep.sum(-1, keepdim=True) * grouped.shape[2]
        mean = (grouped * keep).sum((2, 3), keepdim=True) / count
        var = ((grouped - mean).square() * keep).sum((2, 3), keepdim=True) / count
        out = ((grouped - mean) * torch.rsqrt(var + self.eps)).reshape(x.shape).to(x.dtype)
        shape = (1, channels) + (1,) * (x.dim() - 2)
        return (out * self.weight.view(shape) + self.bias.view(shape)) * mask.to(x.dtype)


def rotary_tables(positions: Tensor, dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """cos and sin, float32 [..., dim/2], of positions [...] for a rotary embedding over `dim` channels."""
    inv = 1.0 / theta ** (torch.arange(0, dim, 2, device=positions.device, dtype=torch.float32) / dim)
    angles = positions.to(torch.float32)[..., None] * inv
    return angles.cos(), angles.sin()


def apply_rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the first 2*R channels of x [..., D] in interleaved pairs, as GPT-J and GLM do; cos, sin [..., R]."""
    width = 2 * cos.shape[-1]
    rotated, rest = x[..., :width], x[..., width:]
    even, odd = rotated[..., 0::2], rotated[..., 1::2]
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    pair = torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1).flatten(-2)
    return torch.cat((pair, rest), dim=-1) if rest.shape[-1] else pair


def fourier_features(unit: Tensor, octaves: int) -> Tensor:
    """sin and cos of 2π·2^k·u for k < octaves. unit [..., N] in [0, 1) → [..., N * 2 * octaves]."""
    scale = 2.0 ** torch.arange(octaves, device=unit.device, dtype=torch.float32) * torch.pi
    angles = unit.to(torch.float32)[..., None] * scale
    return torch.cat((angles.sin(), angles.cos()), dim=-1).flatten(-2)


class EncoderAttention(nn.Module):
    """Bidirectional multi-head attention with rotary positions for the towers.

    x [B, S, D]; cos, sin [B or 1, S, head_dim/2]; mask bool [B, 1, 1, S] (True = attend) or None.
    """

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=True)
        self.proj = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        batch, length, dim = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        cos, sin = cos[:, None], sin[:, None]
        out = F.scaled_dot_product_attention(apply_rotary(q, cos, sin), apply_rotary(k, cos, sin), v, attn_mask=mask)
        return self.proj(out.transpose(1, 2).reshape(batch, length, dim))
