"""The native towers over one medium, for serving on a CPU: the weights and the sums of `models.native`, fewer passes
over memory.

There every operator allocates its result, and fresh memory costs as much as the arithmetic (1 ms for 1,100 states).
Here the blocks work in buffers that are made once a medium, the residual is added by the matrix product itself, RMSNorm
is x / hypot(rms(x), sqrt(eps)), rotation is one complex product, and pictures stay channels-last. The stem's last
convolution is done only where a patch has a state. What comes out equals the modules' output to float32 rounding
(tests/test_encoder_pass.py); anything else than float32 on a CPU with plain linears is the modules' own work.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoglm_phone.models.native import audio, vision
from autoglm_phone.models.native.audio import AudioTower
from autoglm_phone.models.native.layers import EncoderAttention, RMSNorm, SwiGLU, fourier_features, rotary_tables
from autoglm_phone.models.native.vision import VisionTower

GRIDS = 8  # sizes of pictures whose tables are kept: 0.4 MB each at most


def serves(tower: nn.Module) -> bool:
    """Whether this tower's weights are such that the functions below may run it."""
    if not isinstance(tower, VisionTower | AudioTower):
        return False
    blocks: Any = tower.blocks
    linears = [lin for b in blocks for lin in (b.attn.qkv, b.attn.proj, b.mlp.gate_up_proj, b.mlp.down_proj)]
    return all(
        type(linear) is nn.Linear and linear.weight.dtype == torch.float32 and linear.weight.device.type == "cpu"
        for linear in (*linears, tower.project, tower.out_position)
    )


def see(tower: Any, pixels: Tensor) -> Tensor:
    """States [K, H] of a picture, as the VisionTower gives for pixels / 127.5 - 1. pixels: uint8 [height, width, 3]."""
    config = tower.config
    height, width = pixels.shape[:2]
    place, turn = _grid(height // 16, width // 16, config.hidden_size, config.num_attention_heads, config.rope_theta)
    picture = pixels[None].to(torch.float32).div_(127.5).sub_(1)  # [1, height, width, 3]
    drawn = vision.kept_patches(pixels.permute(2, 0, 1)[None], config)
    kept = None
    if drawn is not None:
        kept = drawn[0].nonzero()[:, 0]
        place, turn = place[kept], turn[kept]
    hidden = _stem(tower.stem, picture.permute(0, 3, 1, 2), kept)
    hidden.addmm_(place, tower.position.weight.t())
    work = EncoderPass(hidden, turn, config.num_attention_heads)
    for block in tower.blocks:
        work.attend(block.norm1, block.attn)
        work.mlp(block.norm2, block.mlp)
    return work.project(tower.norm, tower.project).addmm_(place, tower.out_position.weight.t())


def hear(tower: Any, mel: Tensor) -> Tensor:
    """States [S, H] of a clip, as the AudioTower gives. mel: float32 [bins, T]."""
    config = tower.config
    x = F.silu(tower.norm1(tower.conv1(mel[None])), inplace=True)
    x = F.silu(tower.norm2(tower.conv2(x)), inplace=True)
    hidden = x[0].t().contiguous()
    steps = hidden.shape[0]
    head_dim = config.hidden_size // config.num_attention_heads
    time = torch.arange(steps)
    turn = torch.complex(*rotary_tables(time, head_dim, config.rope_theta))
    work = EncoderPass(hidden, turn, config.num_attention_heads)
    for block in tower.blocks:
        mixed = block.conv(work.norm(block.norm0).t()[None])
        hidden.add_(F.silu(mixed, inplace=True)[0].t())
        work.attend(block.norm1, block.attn)
        work.mlp(block.norm2, block.mlp)
    unit = (time / (config.max_seconds * audio.STATES_PER_SECOND))[:, None]
    place = fourier_features(unit, audio.OCTAVES)
    return work.project(tower.norm, tower.project).addmm_(place, tower.out_position.weight.t())


class EncoderPass:
    """What the blocks of both towers have in common, over states that are changed in place.

    Args:
        hidden: [S, D], overwritten. turn: complex64 [S, D / heads / 2], what rotates each state's queries and keys.
    """

    def __init__(self, hidden: Tensor, turn: Tensor, heads: int):
        size, dim = hidden.shape
        self.hidden = hidden
        self.turn = turn
        self.heads = heads
        self._normed = torch.empty_like(hidden)
        self._qkv = hidden.new_empty(size, 3 * dim)
        # Attention is a quarter quicker on heads that lie apart.
        self._turned = turn.new_empty(2 * heads, size, dim // heads // 2)
        self._values = hidden.new_empty(heads, size, dim // heads)
        self._inner: tuple[Tensor, Tensor] | None = None

    def norm(self, norm: RMSNorm) -> Tensor:
        """[S, D]; overwritten by the next call."""
        length = torch.linalg.vector_norm(self.hidden, dim=-1, keepdim=True)
        length.mul_(1 / math.sqrt(self.hidden.shape[1])).hypot_(length.new_tensor(math.sqrt(norm.eps)))
        return torch.div(self.hidden, length, out=self._normed).mul_(norm.weight)

    def attend(self, norm: RMSNorm, attention: EncoderAttention) -> None:
        """hidden += attention(norm(hidden))"""
        size, dim = self.hidden.shape
        torch.addmm(attention.qkv.bias, self.norm(norm), attention.qkv.weight.t(), out=self._qkv)
        pairs = torch.view_as_complex(self._qkv[:, : 2 * dim].unflatten(1, (2 * self.heads, -1, 2)))
        torch.mul(pairs.transpose(0, 1), self.turn, out=self._turned)
        self._values.copy_(self._qkv[:, 2 * dim :].unflatten(1, (self.heads, -1)).transpose(0, 1))
        q, k = torch.view_as_real(self._turned).flatten(2)[None].chunk(2, dim=1)
        out = F.scaled_dot_product_attention(q, k, self._values[None])
        self.hidden.addmm_(out[0].transpose(0, 1).reshape(size, dim), attention.proj.weight.t())

    def mlp(self, norm: RMSNorm, mlp: SwiGLU) -> None:
        """hidden += mlp(norm(hidden))"""
        gate, up = mlp.gate_up_proj.weight.chunk(2)
        if self._inner is None:
            shape = (self.hidden.shape[0], gate.shape[0])
            self._inner = self.hidden.new_empty(shape), self.hidden.new_empty(shape)
        normed = self.norm(norm)
        inner = F.silu(torch.mm(normed, gate.t(), out=self._inner[0]), inplace=True)
        inner.mul_(torch.mm(normed, up.t(), out=self._inner[1]))
        self.hidden.addmm_(inner, mlp.down_proj.weight.t())

    def project(self, norm: RMSNorm, linear: nn.Linear) -> Tensor:
        return F.linear(self.norm(norm), linear.weight, linear.bias)


def _stem(stem: Any, x: Tensor, kept: Tensor | None) -> Tensor:
    """x [1, 3, H, W], channels-last → features [K, D] of the kept patches, in their order; None: of all."""
    for stage in stem.down:
        x = _stage(stage, x)
    y = x
    for stage in stem.mix:
        y = _stage(stage, y)
    if kept is None:
        return _convolve(stem.out, y.add_(x)).permute(0, 2, 3, 1).flatten(0, 2)
    return _convolve_at(stem.out, x, y, kept)


def _stage(stage: Any, x: Tensor) -> Tensor:
    """silu(norm(conv(x))). The operator for channels-last maps adds a group's values one after the other in float32,
    which on a screen's flat areas is wrong by 1e-4; here every column has its own sums."""
    norm, x = stage.norm, _convolve(stage.conv, x)
    _, channels, height, width = x.shape
    rows = x[0].permute(1, 2, 0).view(height, width * channels)
    shape = (norm.num_groups, channels // norm.num_groups)
    means, spreads = torch.batch_norm_update_stats(rows, None, None, 0.0)  # of each column
    means, spreads = (each.double().view(-1, *shape) for each in (means, spreads))
    mean = means.mean((0, 2))[:, None]
    spread = spreads.mean((0, 2))[:, None] + (means - mean).square().mean((0, 2))[:, None]
    scale = norm.weight.view(shape) * (spread + norm.eps).rsqrt()
    shift = norm.bias.view(shape) - mean * scale
    scale, shift = (each.float().flatten().repeat(width) for each in (scale, shift))
    F.silu(torch.addcmul(shift, rows, scale, out=rows), inplace=True)
    return x


def _convolve(conv: nn.Conv2d, x: Tensor) -> Tensor:
    _lay_out(conv)
    return conv(x.contiguous(memory_format=torch.channels_last))


def _convolve_at(conv: nn.Conv2d, x: Tensor, y: Tensor, kept: Tensor) -> Tensor:
    """conv(x + y), 3 * 3 at stride 2, where it is wanted: one matrix product over the windows there.

    Args:
        x, y: [1, C, H, W], even H and W. kept: int64 [K], places in the output's rows.

    Returns:
        [K, D]
    """
    _, channels, height, width = x.shape
    # An edge of zeros above and on the left; below and on the right no window leaves an even map.
    padded = x.new_empty(height + 1, width + 1, channels)
    padded[0] = 0
    padded[1:, 0] = 0
    torch.add(x[0].permute(1, 2, 0), y[0].permute(1, 2, 0), out=padded[1:, 1:])
    # A row of a window is contiguous: three neighbours' channels. They start at every place, and so overlap.
    places = (height + 1) * (width + 1)
    rows = padded.as_strided((places - 2, 3 * channels), (channels, 1))
    corner = (kept // (width // 2) * (width + 1) + kept % (width // 2)) * 2
    starts = corner[:, None] + torch.arange(3) * (width + 1)
    windows = rows.index_select(0, starts.flatten()).view(len(kept), -1)
    _lay_out(conv)
    weight = conv.weight.permute(0, 2, 3, 1).flatten(1)  # a view
    assert conv.bias is not None  # internal: the stem's last convolution is made with one
    return torch.addmm(conv.bias, windows, weight.t())


def _lay_out(conv: nn.Conv2d) -> None:
    """Have the weight channels-last, for good: else every call brings it there anew."""
    if not conv.weight.is_contiguous(memory_format=torch.channels_last):
        weight = conv.weight.detach().contiguous(memory_format=torch.channels_last)
        conv.weight = nn.Parameter(weight, requires_grad=False)


@lru_cache(maxsize=GRIDS)
def _grid(rows: int, cols: int, dim: int, heads: int, theta: float) -> tuple[Tensor, Tensor]:
    """Place features [P, 4 * OCTAVES] and rotation, complex64 [P, dim / heads / 2], of a picture's patches."""
    y, x = torch.arange(rows).repeat_interleave(cols), torch.arange(cols).repeat(rows)
    unit = torch.stack(((y + 0.5) / rows, (x + 0.5) / cols), -1)
    quarter = dim // heads // 2
    (cos_y, sin_y), (cos_x, sin_x) = (rotary_tables(axis, quarter, theta) for axis in (y, x))
    turn = torch.complex(torch.cat((cos_y, cos_x), -1), torch.cat((sin_y, sin_x), -1))
    return fourier_features(unit, vision.OCTAVES), turn
