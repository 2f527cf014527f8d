"""Whisper-Lite: log-mel → GroupNorm conv stem of stride 4 → pre-norm blocks (depthwise convolution, attention, SwiGLU).

25 states a second. A CTC head over characters gives the live transcript and, in training, the alignment;
the states themselves go to the decoder's cross-attention, with their time added so that it can read in order.
"""

from __future__ import annotations

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
    from autoglm_phone.models.native.configuration import AutoGLMPhoneAudioConfig
    from autoglm_phone.models.native.shape import AudioShape

    AudioLike = AutoGLMPhoneAudioConfig | AudioShape

OCTAVES = 10  # over 30 s the finest wave is 58 ms: about the length of a state (40 ms)
STATES_PER_SECOND = 25


def state_lengths(frames: Tensor | int) -> Tensor | int:
    """Number of states for a number of 10 ms mel frames: two convolutions of stride 2, each rounding up."""
    return ((frames + 1) // 2 + 1) // 2


class AudioBlock(nn.Module):
    def __init__(self, config: AudioLike):
        super().__init__()
        dim, eps = config.hidden_size, config.rms_norm_eps
        self.norm0 = RMSNorm(dim, eps)
        self.conv = nn.Conv1d(dim, dim, config.conv_kernel, padding=config.conv_kernel // 2, groups=dim)
        self.norm1 = RMSNorm(dim, eps)
        self.attn = EncoderAttention(dim, config.num_attention_heads)
        self.norm2 = RMSNorm(dim, eps)
        self.mlp = SwiGLU(dim, config.intermediate_size)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, keep: Tensor | None, attend: Tensor | None) -> Tensor:
        y = self.norm0(x)
        if keep is not None:
            y = y * keep
        x = x + F.silu(self.conv(y.transpose(1, 2))).transpose(1, 2)
        x = x + self.attn(self.norm1(x), cos, sin, attend)
        return x + self.mlp(self.norm2(x))


class AudioTower(nn.Module):
    """Clips to states for the decoder's cross-attention and characters for the live transcript.

    Args of forward:
        mel: float [B, num_mel_bins, T], 100 frames a second, zero-padded on the right.
        lengths: long [B], the true number of frames of each clip; None if nothing is padded.

    Returns:
        states [B, ceil(ceil(T/2)/2), out_size], validity bool [B, S] or None, CTC logits [B, S, 1 + characters].
    """

    def __init__(self, config: AudioLike, out_size: int):
        super().__init__()
        self.config = config
        dim, stem = config.hidden_size, config.stem_channels
        self.conv1 = nn.Conv1d(config.num_mel_bins, stem, 3, 2, 1)
        self.norm1 = MaskedGroupNorm(config.stem_groups, stem)
        self.conv2 = nn.Conv1d(stem, dim, 3, 2, 1)
        self.norm2 = MaskedGroupNorm(config.stem_groups, dim)
        self.blocks = nn.ModuleList(AudioBlock(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(dim, config.rms_norm_eps)
        self.project = nn.Linear(dim, out_size, bias=True)
        self.out_position = nn.Linear(2 * OCTAVES, out_size, bias=False)
        self.ctc_head = nn.Linear(dim, 1 + len(config.ctc_vocab), bias=True)

    def forward(self, mel: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None, Tensor]:
        half = None
        if lengths is not None:
            mel = mel * _mask(lengths, mel.shape[-1]).to(mel.dtype)
            half = (lengths + 1) // 2
        x = F.silu(self.norm1(self.conv1(mel), None if half is None else _mask(half, (mel.shape[-1] + 1) // 2)))
        quarter = None if half is None else (half + 1) // 2
        steps = (x.shape[-1] + 1) // 2
        keep = None if quarter is None else _mask(quarter, steps)  # [B, 1, S]
        x = F.silu(self.norm2(self.conv2(x), keep)).transpose(1, 2)
        valid = None if keep is None else keep[:, 0]

        time = torch.arange(steps, device=mel.device)
        head_dim = self.config.hidden_size // self.config.num_attention_heads
        cos, sin = rotary_tables(time[None], head_dim, self.config.rope_theta)
        attend = None if valid is None else valid[:, None, None, :]
        factor = None if valid is None else valid[..., None].to(x.dtype)
        for block in self.blocks:
            x = block(x, cos, sin, factor, attend)
        x = self.norm(x)
        unit = (time / (self.config.max_seconds * STATES_PER_SECOND))[None, :, None]
        states = self.project(x) + self.out_position(fourier_features(unit, OCTAVES).to(x.dtype))
        if factor is not None:
            states = states * factor
        return states, valid, self.ctc_head(x)

    def transcript(self, logits: Tensor) -> str:
        """Greedy CTC reading of one clip's logits [S, 1 + characters]: merge repeats, drop blanks (Graves 2006)."""
        path = torch.unique_consecutive(logits.argmax(-1)).tolist()
        return "".join(self.config.ctc_vocab[i - 1] for i in path if i)


def _mask(lengths: Tensor, size: int) -> Tensor:
    """bool [B, 1, size], True within each length."""
    return (torch.arange(size, device=lengths.device)[None] < lengths[:, None])[:, None]
