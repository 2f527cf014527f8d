"""Plain PyTorch: the truth that faster backends are tested against, and quick enough on a CPU to serve.

Small models are bound by the number of operator calls on a CPU, so in float32 there
- the norm's weight is folded into the linear after it, and RMSNorm is x / hypot(|x|, sqrt(H eps)), three calls;
- rotary embedding is one in-place complex product (unrotated dims have the factor 1);
- linears keep their weight as [in, out]: quicker than [out, in] for 2 to 32 rows, no slower for others;
- with `halves`, those whose weights float16 holds exactly keep them so (`backends.half`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from autoglm_phone.backends.base import (
    AttentionPlan,
    AttentionShape,
    Backend,
    CrossGroup,
    CrossWeights,
    LayerWeights,
    SegmentMeta,
)
from autoglm_phone.backends.contexts import DenseContexts
from autoglm_phone.backends.decode_rows import only_group, run_rows
from autoglm_phone.backends.half import HalfLinear
from autoglm_phone.backends.masses import page_masses
from autoglm_phone.backends.narrow import LARGEST, NarrowPages, decode, encode
from autoglm_phone.backends.quantized import Handle, PackedWeight, Stacked, Weight, pack
from autoglm_phone.graph.plan import KVKind

FIRST_TURNS = 256  # positions of the rotary table at first
CONTEXT_BYTES = 128 << 20  # dense copies of running contexts: 5,461 tokens of the mini model


@dataclass(frozen=True)
class Linear:
    weight: Tensor  # [in, out]
    bias: Tensor | None


@dataclass(frozen=True)
class Norm:
    """weight [H] as it multiplies the normed value; None when it is folded away."""

    weight: Tensor | None


@dataclass(frozen=True)
class KVPages:
    """pages [layers, pages, page_size, 2 R]: a token's keys, then its values. narrow: the same bytes as frames.
    rows: per layer the same as [tokens, 2 R]; only beside contexts."""

    pages: Tensor
    contexts: DenseContexts | None
    narrow: NarrowPages
    rows: Sequence[Tensor] = ()


class TorchBackend(Backend):
    """Args:
    device, dtype: of activations, weights and KV pages.
    eps: of every RMSNorm. head_dim, rotary_dim, theta: rotary embedding over the first rotary_dim dims of a head,
        in interleaved pairs. mrope_section: pairs that follow (time, height, width); None for 1-D positions.
    halves: packing may take ten times as long if products are quicker then.
    """

    name = "torch"

    def __init__(
        self,
        device: torch.device,
        dtype: torch.dtype,
        *,
        eps: float,
        head_dim: int,
        rotary_dim: int,
        theta: float,
        mrope_section: Sequence[int] | None = None,
        halves: bool = False,
    ):
        self.device = device
        self.dtype = dtype
        self.eps = eps
        self.folds = dtype == torch.float32 and device.type == "cpu"
        self.halves = halves and self.folds
        self._pairs = rotary_dim // 2
        self._head_pairs = head_dim // 2
        self._inverse = 1.0 / theta ** (torch.arange(0, rotary_dim, 2, dtype=torch.float32, device=device) / rotary_dim)
        self._table = torch.empty(0, dtype=torch.complex64)  # see _turns_of
        self._axis = None
        self.rooms: dict[tuple[int, int, int, bool, bool], Any] = {}  # buffers of decode passes, see decode_rows
        if mrope_section is not None:
            axes = [torch.full((size,), index % 3) for index, size in enumerate(mrope_section)]
            self._axis = torch.cat(axes).to(device)  # [pairs]: which of (t, h, w) turns each pair

    # Packing

    def pack_norm(self, weight: Tensor) -> Norm:
        weight = self._place(weight)
        return Norm(weight * math.sqrt(weight.shape[0]) if self.folds else weight)

    def pack_norm_linear(
        self, norm: Tensor, weight: Weight | Stacked, bias: Tensor | None, into: Any = None
    ) -> tuple[Norm, Linear | Handle]:
        linear = self.pack_linear(weight, bias, into)
        if not self.folds or not isinstance(linear, Linear):  # float16 would not hold the product
            return self.pack_norm(norm), linear
        linear.weight.mul_((norm.float() * math.sqrt(norm.shape[0]))[:, None])
        return Norm(None), linear

    def folded(self, norm: Tensor, weight: Weight | Stacked) -> Tensor | None:
        if not self.folds or not isinstance(weight, Tensor) or (self.halves and HalfLinear.fits(weight)):
            return None
        return norm.float() * math.sqrt(norm.shape[0])

    def brisk(self) -> TorchBackend:
        if not self.halves:
            return self
        other = copy(self)
        other.halves = False
        return other

    def pack_linear(self, weight: Weight | Stacked, bias: Tensor | None, into: Any = None) -> Linear | Handle:
        bias = None if bias is None else self._place(bias)
        if not isinstance(weight, Tensor):
            return pack(weight, bias, self.device, self.dtype)
        if self.device.type != "cpu":
            return Linear(self._place(weight).t().contiguous(), bias)
        if self.halves and HalfLinear.fits(weight):
            return HalfLinear.of(weight, bias)
        rows, columns = weight.shape
        reused = isinstance(into, Linear) and into.weight.shape == (columns, rows)
        transposed = into.weight if reused else torch.empty(columns, rows, dtype=self.dtype)
        return Linear(transposed.copy_(weight.t()), bias)  # turned and converted in one go

    def pack_embedding(self, weight: Weight) -> Tensor | Handle:
        if isinstance(weight, PackedWeight):
            return pack(weight, None, self.device, self.dtype, table=False)
        return self._place(weight)

    def pack_tied_embedding(self, weight: Weight, head: Any) -> Any:
        """On a CPU the head itself: its columns are the rows. A head of halves can't be read: a table of halves lies
        beside it."""
        if isinstance(weight, Tensor) and isinstance(head, HalfLinear):
            return weight.to(self.device, torch.float16, copy=True)
        return head if self.folds and isinstance(head, Linear) else self.pack_embedding(weight)

    def new_pages(
        self, num_segments: int, num_layers: int, num_pages: int, page_size: int, shape: AttentionShape
    ) -> KVPages:
        width = 2 * shape.kv_width
        pages = self._zeros((num_layers, num_pages, page_size, width))
        contexts = None
        if self.device.type == "cpu":
            limit = min(CONTEXT_BYTES, pages.nbytes // 2)
            contexts = DenseContexts(num_segments, num_layers, width, page_size, self.dtype, limit)
        narrow = NarrowPages(pages, 2 * shape.kv_heads, self._zeros)
        return KVPages(pages, contexts, narrow, list(pages.view(num_layers, -1, width)))

    @property
    def narrow_kinds(self) -> tuple[KVKind, ...]:  # type: ignore[override]
        """A CPU has no fp8 arithmetic: int8 is as small there, and more exact."""
        return ("int8", "fp8") if self.device.type == "cuda" else ("int8",)

    def recode(self, pages: KVPages, old: Sequence[int], new: Sequence[int], before: str, after: str) -> None:
        narrow = pages.narrow
        if after in LARGEST and before in LARGEST:
            narrow.convert(new[0], before, after)
        elif after in LARGEST:
            narrow.narrow(list(old), new[0], after)
        else:
            narrow.widen(old[0], list(new), before)

    # Operations

    def embed(self, table: Tensor | Linear | Handle, ids: Tensor) -> Tensor:
        if isinstance(table, Linear):
            return table.weight.index_select(1, ids).t().contiguous()
        return F.embedding(ids, table).to(self.dtype) if isinstance(table, Tensor) else table.look_up(ids)

    def linear(self, x: Tensor, weight: Linear | Handle) -> Tensor:
        if not isinstance(weight, Linear):
            return weight.multiply(x)
        if weight.bias is None:
            return torch.mm(x, weight.weight)
        return torch.addmm(weight.bias, x, weight.weight)

    def linear_into(self, x: Tensor, weight: Linear | Handle, out: Tensor, scale: float = 1.0) -> None:
        """`linear` of x * scale, whose result goes to `out`."""
        if isinstance(weight, HalfLinear):
            weight.multiply_into(x if scale == 1 else x * scale, out)
        elif not isinstance(weight, Linear):
            out.copy_(weight.multiply(x if scale == 1 else x * scale))
        elif weight.bias is not None:
            torch.addmm(weight.bias, x, weight.weight, alpha=scale, out=out)
        elif scale == 1:
            torch.mm(x, weight.weight, out=out)
        else:
            torch.addmm(out, x, weight.weight, beta=0, alpha=scale, out=out)

    def outputs(self, weight: Linear | Handle) -> int | None:
        """How many a float linear has; None for packed weights."""
        if isinstance(weight, HalfLinear):
            return weight.outputs
        return weight.weight.shape[1] if isinstance(weight, Linear) else None

    def run_segment(
        self, layers: Sequence[LayerWeights], hidden: Tensor, meta: SegmentMeta, pages: KVPages, shape: AttentionShape
    ) -> Tensor:
        group = only_group(meta, pages) if self.folds else None
        if group is None:
            return super().run_segment(layers, hidden, meta, pages, shape)
        return run_rows(self, layers, hidden, meta, group, pages, shape)

    def norm(self, x: Tensor, weight: Norm) -> Tensor:
        if not self.folds:
            return self._reference_norm(x, weight)
        normed = x / self._length(x)
        return normed if weight.weight is None else normed.mul_(weight.weight)

    def add_norm(self, x: Tensor, y: Tensor, weight: Norm) -> Tensor:
        if not self.folds:
            return x + self._reference_norm(y, weight)
        return torch.addcmul(x, y.div_(self._length(y)), weight.weight)  # type: ignore[arg-type]

    def rotary(self, positions: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """complex64 [T, 1, D/2] where rotation works in place, else float32 cos and sin [T, 1, rotary pairs]."""
        if self.folds and positions.dim() == 1:
            return self._turns_of(positions)
        if positions.dim() == 2:
            # [3, T] → each pair takes its own axis: [T, pairs]
            angles = positions.to(torch.float32).t()[:, self._axis] * self._inverse
        else:
            angles = positions.to(torch.float32)[:, None] * self._inverse
        if not self.folds:
            return angles.cos()[:, None].to(self.dtype), angles.sin()[:, None].to(self.dtype)
        return self._turns(angles)

    def _turns(self, angles: Tensor) -> Tensor:
        turn = torch.ones(angles.shape[0], 1, self._head_pairs, dtype=torch.complex64, device=self.device)
        turn[:, 0, : self._pairs] = torch.polar(torch.ones_like(angles), angles)
        return turn

    def _turns_of(self, positions: Tensor) -> Tensor:
        """From a table that grows with the longest context: a step has one position, and would spend longer on it
        than on a norm."""
        known = positions.tolist()
        first, last = known[0], max(known)
        if last >= self._table.shape[0]:
            count = max(last + 1, 2 * self._table.shape[0], FIRST_TURNS)
            self._table = self._turns(torch.arange(count, dtype=torch.float32)[:, None] * self._inverse)
        if known == list(range(first, first + len(known))):  # of one sequence
            return self._table[first : last + 1]
        return self._table.index_select(0, positions)

    def apply_rotary(self, qkv: Tensor, rotary: Tensor | tuple[Tensor, Tensor], shape: AttentionShape) -> Tensor:
        heads = shape.heads + shape.kv_heads
        turned = qkv[:, : heads * shape.head_dim].unflatten(-1, (heads, self._head_pairs, 2))
        if isinstance(rotary, Tensor):
            torch.view_as_complex(turned).mul_(rotary)
            return qkv
        cos, sin = rotary
        pair = turned[:, :, : self._pairs]
        even, odd = pair[..., 0], pair[..., 1]
        pair.copy_(torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1))
        return qkv

    def attention(
        self, pages: KVPages, layer: int, qkv: Tensor, slots: Tensor, plan: AttentionPlan, shape: AttentionShape
    ) -> Tensor:
        store = pages.pages[layer]  # [pages, page_size, 2 R]
        width, hq, hk, d = store.shape[-1], shape.heads, shape.kv_heads, shape.head_dim
        fresh = qkv[:, shape.q_width :]  # [T, 2 R]
        self._store(pages, layer, slots, fresh, plan)
        flat = store.view(store.shape[0], -1)
        parts = []
        for group in plan.decodes:
            queries, rows = group.queries, group.end - group.first
            # A key head's queries form the "sequence": grouped-query attention without repeating keys.
            q = qkv[group.first : group.end, : shape.q_width]
            if queries is None:
                batch = rows
                q = q.view(batch, hk, hq // hk, d)
            else:
                if queries.take is not None:
                    q = q.index_select(0, queries.take)
                batch = q.shape[0] // queries.most
                q = q.view(batch, queries.most, hk, hq // hk, d).transpose(1, 2).reshape(batch, hk, -1, d)
            context = None
            if group.narrow is not None:
                numbers = group.pages(group.num_pages)
                context = pages.narrow.read(layer, numbers, group.narrow).view(batch, -1, width)[:, : group.length]
            elif pages.contexts is not None:
                context = pages.contexts.read(plan.segment, layer, group, flat, fresh[group.first : group.end])
            if context is None:
                numbers = group.pages(group.num_pages)
                context = flat.index_select(0, numbers).view(batch, -1, width)[:, : group.length]
            split = context.unflatten(-1, (2, hk, d)).transpose(1, 3)  # [B, Hk, 2, length, D]
            k, v = split[:, :, 0], split[:, :, 1]
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=group.mask)
            if queries is None:
                parts.append(out.reshape(rows, -1))
            else:
                out = out.unflatten(2, (queries.most, -1)).transpose(1, 2).reshape(batch * queries.most, -1)
                parts.append(out if queries.back is None else out.index_select(0, queries.back))
            if group.masses is not None:
                allowed = None if group.mask is None else group.mask[:, 0, 0] == 0
                group.masses(page_masses(q.flatten(1, 2), k.transpose(1, 2), allowed, store.shape[1]))
        for chunk in plan.chunks:
            rows = chunk.end - chunk.first
            q = qkv[chunk.first : chunk.end, : shape.q_width].unflatten(-1, (hq, d)).transpose(0, 1)[None]
            if chunk.pages is None:
                context = fresh[chunk.first : chunk.end].unflatten(-1, (2, hk, d))
                if chunk.narrow is not None:  # as later tokens, and the same tokens computed again, will read them
                    context = decode(*encode(context, chunk.narrow), chunk.narrow, self.dtype)
            elif chunk.narrow is not None:
                context = pages.narrow.read(layer, chunk.pages, chunk.narrow).view(-1, 2, hk, d)[: chunk.length]
            else:
                context = flat.index_select(0, chunk.pages).view(-1, 2, hk, d)[: chunk.length]
            k, v = context[:, 0].transpose(0, 1)[None], context[:, 1].transpose(0, 1)[None]
            out = F.scaled_dot_product_attention(
                q, k, v, attn_mask=chunk.mask, is_causal=chunk.mask is None, enable_gqa=hq != hk
            )
            parts.append(out[0].transpose(0, 1).reshape(rows, -1))
            if chunk.masses is not None:
                allowed = None if chunk.mask is None else chunk.mask[-1:]
                chunk.masses(page_masses(q[:, :, -1], k.transpose(1, 2), allowed, store.shape[1]))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _store(self, pages: KVPages, layer: int, slots: Tensor, fresh: Tensor, plan: AttentionPlan) -> None:
        """Write the rows' keys and values, each in its format."""
        store, narrow = pages.pages[layer], pages.narrow
        if narrow.used:
            narrow.clear(layer, slots)
        for rows in plan.narrow:
            narrow.write(layer, rows.slots, fresh.index_select(0, rows.rows), rows.kind)
        wide = fresh if plan.wide is None else fresh.index_select(0, plan.wide)
        store.view(-1, store.shape[-1]).index_copy_(0, slots, wide)

    def cross_attention(self, q: Tensor, group: CrossGroup, weights: CrossWeights) -> Tensor:
        k, v = group.keys_values[weights.index]
        heads = q.unflatten(-1, (weights.heads, -1)).transpose(0, 1)
        out = F.scaled_dot_product_attention(heads[None], k[None], v[None], attn_mask=group.mask)
        return out[0].transpose(0, 1).reshape(q.shape[0], -1)

    def swiglu(self, gate_up: Tensor) -> Tensor:
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate).mul_(up)

    def _zeros(self, size: tuple[int, ...], dtype: torch.dtype | None = None) -> Tensor:
        """Zeros, not garbage: padding is read (and masked), and must be finite. On the CPU, memory that the system
        zeroes when it is first touched: pages that no request has used take no room."""
        dtype = dtype or self.dtype
        if self.device.type != "cpu":
            return torch.zeros(size, dtype=dtype, device=self.device)
        raw = np.zeros(math.prod(size) * dtype.itemsize, dtype=np.uint8)
        return torch.from_numpy(raw).view(dtype).view(size)

    def _length(self, x: Tensor) -> Tensor:
        """sqrt(sum x² + H eps), [T, 1]: x divided by it is RMSNorm without the factor sqrt(H)."""
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return size.hypot_(self.root(x.shape[-1]))

    def root(self, width: int) -> Tensor:
        """sqrt(H eps)"""
        roots = self.__dict__.setdefault("_roots", {})
        if width not in roots:
            roots[width] = torch.tensor(math.sqrt(width * self.eps), dtype=torch.float32)
        return roots[width]

    def _reference_norm(self, x: Tensor, weight: Norm) -> Tensor:
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return weight.weight * wide.to(x.dtype)  # type: ignore[operator]

    def _place(self, weight: Tensor) -> Tensor:
        return weight.to(device=self.device, dtype=self.dtype)
