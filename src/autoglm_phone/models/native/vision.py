"""Light ViT: GroupNorm conv stem of stride 16, pre-norm blocks with 2-D RoPE, Fourier position features.

The states carry their place in the picture twice: at the entry, so that the blocks can use it, and at the exit,
so that the decoder's cross-attention can read coordinates off them (0-999 taps). A picture of any aspect ratio is
taken as it is; batches are padded and masked, and give exactly what each picture alone would.

Half of a screen or chart is blank. A model that was trained for it (`blank_range`) has no states for blank patches, but
for a sparse lattice of them, so that no place of the picture is far from a state: see `drawn_on`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoglm_phone.models.native.layers import (
    EncoderAttention,
    MaskedGroupNorm,
    RMSNorm,
    SwiGLU,
    fourier_features,
    rotary_tables,
)

if TYPE_CHECKING:  # transformers stays out of the server
    from autoglm_phone.models.native.configuration import AutoGLMPhoneVisionConfig
    from autoglm_phone.models.native.shape import VisionShape

    VisionLike = AutoGLMPhoneVisionConfig | VisionShape

OCTAVES = 8  # the finest wave is 1/128 of the picture long: patches are coarser, digits of 0-999 need no more


def kept_patches(pixels: Tensor, config: VisionLike) -> Tensor | None:
    """`drawn_on` as the configuration has it; None if every patch has a state."""
    return drawn_on(pixels, config.blank_range, config.blank_stride) if config.blank_range else None


def drawn_on(pixels: Tensor, blank_range: int, blank_stride: int) -> Tensor:
    """Patches that have a state, bool [B, H/16 * W/16]: all but the blank ones, and of these every blank_stride-th in
    every blank_stride-th row.

    Args:
        pixels: [B, 3, H, W], uint8 or what came of it: float in [-1, 1].
        blank_range: a patch is blank if no channel's values differ by that much, of 255.
    """
    spread = (_pooled(pixels, torch.maximum) - _pooled(pixels, torch.minimum)).amax(-1)
    drawn = spread * (127.5 if pixels.is_floating_point() else 1.0) > blank_range - 0.5
    drawn[:, ::blank_stride, ::blank_stride] = True
    return drawn.flatten(1)


def _pooled(pixels: Tensor, join: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """[B, 3, H, W] → [B, H/16, W/16, 3], by halves: pooling and reductions are slow for one or another layout."""
    rows = pixels.permute(0, 2, 3, 1).unflatten(1, (-1, 16))
    for half in (8, 4, 2, 1):
        rows = join(rows[:, :, :half], rows[:, :, half:])
    cols = rows[:, :, 0].unflatten(2, (-1, 16))
    for half in (8, 4, 2, 1):
        cols = join(cols[:, :, :, :half], cols[:, :, :, half:])
    return cols[:, :, :, 0]


class ConvNormAct(nn.Module):
    def __init__(self, c_in: int, c_out: int, stride: int, groups: int):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.norm = MaskedGroupNorm(groups, c_out)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return F.silu(self.norm(self.conv(x), mask))


class VisionStem(nn.Module):
    """Pixels [B, 3, H, W] → features [B, D, H/16, W/16]: strides 2, 4, 8, a residual pair at 8, then 16."""

    def __init__(self, config: VisionLike):
        super().__init__()
        widths = [3, *config.stem_channels]
        self.down = nn.ModuleList(ConvNormAct(a, b, 2, config.stem_groups) for a, b in pairwise(widths))
        self.mix = nn.ModuleList(ConvNormAct(widths[-1], widths[-1], 1, config.stem_groups) for _ in range(2))
        self.out = nn.Conv2d(widths[-1], config.hidden_size, 3, 2, 1)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        # mask [B, 1, H/16, W/16]; each stage sees it at its own resolution, and padding is zero for every convolution.
        scale = 16
        if mask is not None:
            x = x * _grow(mask, scale).to(x.dtype)
        for stage in self.down:
            scale //= 2
            x = stage(x, None if mask is None else _grow(mask, scale))
        y = x
        for stage in self.mix:
            y = stage(y, None if mask is None else _grow(mask, scale))
        return self.out(x + y)


def _grow(mask: Tensor, scale: int) -> Tensor:
    return mask.repeat_interleave(scale, 2).repeat_interleave(scale, 3)


class VisionBlock(nn.Module):
    def __init__(self, config: VisionLike):
        super().__init__()
        self.norm1 = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.attn = EncoderAttention(config.hidden_size, config.num_attention_heads)
        self.norm2 = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = SwiGLU(config.hidden_size, config.intermediate_size)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        x = x + self.attn(self.norm1(x), cos, sin, mask)
        return x + self.mlp(self.norm2(x))


class VisionTower(nn.Module):
    """Pictures to states for the decoder's cross-attention.

    Args of forward:
        pixels: float [B, 3, H, W] in [-1, 1]; H and W multiples of 16; smaller pictures padded right and below.
        grids: long [B, 2], the height and width of each picture in patches; None if nothing is padded.
        kept: bool [B, H/16 * W/16], patches that shall have a state; None: as the configuration says.

    Returns:
        states [B, H/16 * W/16, out_size] and their validity, bool of the same first two dimensions. An unpadded picture
        that comes alone gives its kept states only, and None.
    """

    def __init__(self, config: VisionLike, out_size: int):
        super().__init__()
        self.config = config
        dim = config.hidden_size
        self.stem = VisionStem(config)
        self.position = nn.Linear(4 * OCTAVES, dim, bias=False)
        self.blocks = nn.ModuleList(VisionBlock(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(dim, config.rms_norm_eps)
        self.project = nn.Linear(dim, out_size, bias=True)
        self.out_position = nn.Linear(4 * OCTAVES, out_size, bias=False)

    def forward(
        self, pixels: Tensor, grids: Tensor | None = None, kept: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        if kept is None:
            kept = kept_patches(pixels.float(), self.config)
        states, place, valid = self.features(pixels, grids, kept)
        out = self.project(states) + self.out_position(place)
        return (out if valid is None else out * valid[..., None].to(out.dtype)), valid

    def features(
        self, pixels: Tensor, grids: Tensor | None, kept: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Normed block outputs [B, P, D], Fourier place features [B or 1, P, 32] and validity [B, P] or None."""
        height, width = pixels.shape[-2:]
        rows, cols = height // 16, width // 16
        y = torch.arange(rows, device=pixels.device)
        x = torch.arange(cols, device=pixels.device)
        if grids is None:
            mask = valid = None
            size = torch.tensor([[rows, cols]], device=pixels.device)
        else:
            size = grids.to(pixels.device)
            mask = ((y[None, :, None] < size[:, 0, None, None]) & (x[None, None, :] < size[:, 1, None, None]))[:, None]
            valid = mask.flatten(1)
        hidden = self.stem(pixels, mask).flatten(2).transpose(1, 2)  # [B, P, D]
        unit_y = ((y + 0.5)[None, :] / size[:, :1])[:, :, None].expand(-1, rows, cols)
        unit_x = ((x + 0.5)[None, :] / size[:, 1:])[:, None, :].expand(-1, rows, cols)
        place = fourier_features(torch.stack((unit_y, unit_x), -1).flatten(1, 2), OCTAVES).to(hidden.dtype)
        hidden = hidden + self.position(place)

        quarter = self.config.hidden_size // self.config.num_attention_heads // 2
        grid_y = y[:, None].expand(rows, cols).flatten()
        grid_x = x[None, :].expand(rows, cols).flatten()
        tables = [rotary_tables(axis, quarter, self.config.rope_theta) for axis in (grid_y, grid_x)]
        cos = torch.cat([t[0] for t in tables], -1)[None]
        sin = torch.cat([t[1] for t in tables], -1)[None]
        if kept is not None and grids is None and len(pixels) == 1:
            hidden, place, cos, sin = (x[:, kept[0]] for x in (hidden, place, cos, sin))
        elif kept is not None:
            valid = kept if valid is None else valid & kept
        attend = None if valid is None else valid[:, None, None, :]
        for block in self.blocks:
            hidden = block(hidden, cos, sin, attend)
        return self.norm(hidden), place, valid
