"""Pieces of the native decoder: self-attention, gated cross-attention to media, the layer and the exit head."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import DynamicCache

from autoglm_phone.models.native.configuration import AutoGLMPhoneConfig
from autoglm_phone.models.native.layers import RMSNorm, SwiGLU, apply_rotary

FAR = 1 << 30  # "placed after every token": marks padding in a memory


@dataclass(frozen=True)
class Memory:
    """What cross-attention looks at.

    states: [B, M, H]; starts: long [B, M], the token index from which each state is visible (FAR for padding).
    first: long [R], for training batches in which every text row holds exactly one medium and R/B neighbouring text
        rows share one memory row: the index of each row's placeholder. Visibility then needs no [L, M] mask.
    """

    states: Tensor
    starts: Tensor
    first: Tensor | None = None


class Attention(nn.Module):
    """GLM self-attention. x [B, L, H] → [B, L, H]; mask bool [B or 1, 1, L, K] or None for plain causal."""

    def __init__(self, config: AutoGLMPhoneConfig, index: int):
        super().__init__()
        self.index = index
        self.heads, self.kv_heads, self.head_dim = (
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_dim,
        )
        bias = config.attention_bias
        self.q_proj = nn.Linear(config.hidden_size, self.heads * self.head_dim, bias=bias)
        self.k_proj = nn.Linear(config.hidden_size, self.kv_heads * self.head_dim, bias=bias)
        self.v_proj = nn.Linear(config.hidden_size, self.kv_heads * self.head_dim, bias=bias)
        self.o_proj = nn.Linear(self.heads * self.head_dim, config.hidden_size, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, cache: DynamicCache | None) -> Tensor:
        batch, length, _ = x.shape
        q = self.q_proj(x).view(batch, length, self.heads, self.head_dim).transpose(1, 2)
        k = self.k_proj(x).view(batch, length, self.kv_heads, self.head_dim).transpose(1, 2)
        v = self.v_proj(x).view(batch, length, self.kv_heads, self.head_dim).transpose(1, 2)
        q, k = apply_rotary(q, cos[:, None], sin[:, None]), apply_rotary(k, cos[:, None], sin[:, None])
        if cache is not None:
            k, v = cache.update(k, v, self.index)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=True)
        return self.o_proj(out.transpose(1, 2).reshape(batch, length, -1))


class CrossAttention(nn.Module):
    """Gated cross-attention (Flamingo, Alayrac et al. 2022): x + tanh(gate) * attention, the gate zero at first."""

    def __init__(self, config: AutoGLMPhoneConfig):
        super().__init__()
        dim, self.heads = config.hidden_size, config.cross_num_attention_heads
        self.norm = RMSNorm(dim, config.rms_norm_eps)
        self.q_proj = nn.Linear(dim, dim, bias=False)
        self.k_proj = nn.Linear(dim, dim, bias=False)
        self.v_proj = nn.Linear(dim, dim, bias=False)
        self.o_proj = nn.Linear(dim, dim, bias=False)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, memory: Memory, positions: Tensor) -> Tensor:
        batch, length, dim = x.shape
        rows, size, _ = memory.states.shape  # several text rows may share one memory row (training)
        q = self.q_proj(self.norm(x)).view(rows, -1, self.heads, dim // self.heads).transpose(1, 2)
        k = self.k_proj(memory.states).view(rows, size, self.heads, -1).transpose(1, 2)
        v = self.v_proj(memory.states).view(rows, size, self.heads, -1).transpose(1, 2)
        first = memory.first
        if first is not None:
            mask = (memory.starts < FAR)[:, None, None, :]
        else:
            first = memory.starts.min(-1).values
            mask = (memory.starts[:, None, :] <= positions[:, :, None])[:, None]
            # A token that sees nothing attends to everything, so that softmax stays finite; `seen` silences it.
            mask = mask | ~mask.any(-1, keepdim=True)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).reshape(batch, length, dim)
        seen = (positions >= first[:, None])[..., None].to(x.dtype)
        return x + torch.tanh(self.gate) * self.o_proj(out) * seen


class DecoderLayer(nn.Module):
    """GLM-4 block with norms before and after both halves. `cross_attn`, where there is one, runs before `forward`."""

    def __init__(self, config: AutoGLMPhoneConfig, index: int):
        super().__init__()
        dim, eps = config.hidden_size, config.rms_norm_eps
        self.cross_attn = CrossAttention(config) if index in config.cross_attention_layers else None
        self.input_layernorm = RMSNorm(dim, eps)
        self.self_attn = Attention(config, index)
        self.post_self_attn_layernorm = RMSNorm(dim, eps)
        self.post_attention_layernorm = RMSNorm(dim, eps)
        widths = getattr(config, "intermediate_sizes", None)  # of a model pruned by sensitivity
        self.mlp = SwiGLU(dim, widths[index] if widths else config.intermediate_size)
        self.post_mlp_layernorm = RMSNorm(dim, eps)

    def forward(
        self,
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor | None,
        cache: DynamicCache | None,
    ) -> Tensor:
        x = x + self.post_self_attn_layernorm(self.self_attn(self.input_layernorm(x), cos, sin, mask, cache))
        return x + self.post_mlp_layernorm(self.mlp(self.post_attention_layernorm(x)))


class ExitHead(nn.Module):
    """Boundary state → state for the shared output head: norm plus a low-rank correction. [..., H] → [..., H]."""

    def __init__(self, config: AutoGLMPhoneConfig):
        super().__init__()
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.down = nn.Linear(config.hidden_size, config.exit_rank, bias=False)
        self.up = nn.Linear(config.exit_rank, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        return x + self.up(self.down(x))
