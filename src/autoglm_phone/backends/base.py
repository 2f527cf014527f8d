"""The one interface between the engine's decoder and the kernels that run it.

A backend packs weights once into its own handles and then offers the few operations of a GLM decoder layer. Everything
a call needs about the batch is in its arguments. `torch_backend` is the truth; faster backends are tested against it,
and may replace `run_segment` as a whole (one native call, or one CUDA graph).

Shapes: T rows (tokens) of a step, H hidden size, D head size, Hq / Hk query and key-value heads, R = Hk * D.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autoglm_phone.backends.adapters import SegmentAdapters
from autoglm_phone.backends.quantized import Stacked, Weight
from autoglm_phone.errors import EngineError
from autoglm_phone.graph.plan import KVKind


@dataclass(frozen=True)
class AttentionShape:
    """Heads of a decoder and what its sliding layers see."""

    heads: int
    kv_heads: int
    head_dim: int

    @property
    def q_width(self) -> int:
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        return self.kv_heads * self.head_dim


@dataclass(frozen=True)
class ContextIdentity:
    """sequences: (arrival number, epoch) of each row. lengths: keys of each row, the new tokens included. starts: keys
    before the new tokens. cuts: of each row, how often keys were taken back, and the keys that were right each time.
    """

    sequences: tuple[tuple[int, int], ...]
    lengths: tuple[int, ...]
    starts: tuple[int, ...]
    cuts: tuple[tuple[int, Sequence[int]], ...]


@dataclass(frozen=True)
class Queries:
    """Rows of a group whose sequences bring several tokens each.

    most: Q, tokens of a sequence at most. take: long [B * Q], among the group's rows, padded; None: each brings Q, side
    by side. back: long [rows], where each row's result is among B * Q; None with `take`.
    """

    most: int
    take: Tensor | None
    back: Tensor | None


@dataclass(frozen=True)
class DecodeGroup:
    """Sequences of similar context length, one or a few new tokens each, that attend in one batched call.

    first, end: [first, end) among the step's rows. length: keys of the longest context. mask: additive
    [B, 1, 1, length], or [B, 1, Q * groups, length] with `queries` (the query heads of a key head side by side); None:
    all keys count for all rows.
    pages: P → long [B * P], the first P pages of each sequence, padded with any valid page; made only when asked for.
    num_pages: pages that hold `length` keys.
    narrow: format of the pages (int8, fp8), which then are frames (backends.narrow); None: floats.
    masses: takes float32 [B, pages], the share of attention on each page, once a layer; None: nobody asks.
    identity: which sequences these are, and their lengths: lets a backend keep a dense copy of their contexts between
    steps, to which only the new tokens are added. None where the rows do not read whole contexts.
    queries: None where every sequence brings one token (B rows).
    """

    first: int
    end: int
    length: int
    mask: Tensor | None
    num_pages: int
    pages: Callable[[int], Tensor]
    identity: ContextIdentity | None = None
    narrow: str | None = None
    masses: Callable[[Tensor], None] | None = None
    queries: Queries | None = None


@dataclass(frozen=True)
class ChunkGroup:
    """Rows of one sequence's prefill chunk.

    pages: long [P], the context's pages, or None when the chunk is the whole context (plain causal attention over its
    own keys). mask: bool [rows, length], True = attend; None for plain causal. narrow, masses: as in DecodeGroup;
    masses [1, pages] of the last row.
    """

    first: int
    end: int
    pages: Tensor | None
    length: int
    mask: Tensor | None
    narrow: str | None = None
    masses: Callable[[Tensor], None] | None = None


@dataclass(frozen=True)
class NarrowRows:
    """Rows of a step whose keys and values are stored in a narrow format.

    rows: long [n] among the step's. slots: long [n], frame * tokens a frame + place.
    """

    kind: str
    rows: Tensor
    slots: Tensor


@dataclass(frozen=True)
class AttentionPlan:
    """What each row of a step attends to, in one segment's pages.

    narrow: rows that are written in a narrow format. wide: the other rows, long, to which the step's slots belong;
    None: all rows."""

    segment: int
    decodes: Sequence[DecodeGroup]
    chunks: Sequence[ChunkGroup]
    narrow: Sequence[NarrowRows] = ()
    wide: Tensor | None = None


@dataclass(frozen=True)
class CrossGroup:
    """Rows of one sequence that see media.

    rows: [first, end) among the step's rows that see at least one medium. keys_values: per cross-attention layer,
    (K, V) each [heads, M, head size], cut to the M states that the last row sees. mask: bool [rows, M] or None.
    """

    first: int
    end: int
    keys_values: Sequence[tuple[Tensor, Tensor]]
    mask: Tensor | None


@dataclass(frozen=True)
class SegmentMeta:
    """A step as one segment sees it.

    slots: long [T], where each row's keys and values are written (page * page_size + offset); without the rows of
        AttentionPlan.narrow.
    full, window: what full and sliding layers attend to; window is None in models without sliding layers.
    rotary: whatever the backend's `rotary` made of the positions. cross: rows that see media; empty for text.
    adapters: of rows that have one; None if no row has.
    """

    slots: Tensor
    full: AttentionPlan
    window: AttentionPlan | None
    rotary: Any
    cross: Sequence[CrossGroup] = ()
    adapters: SegmentAdapters | None = None


@dataclass(frozen=True)
class CrossWeights:
    """Handles of a gated cross-attention; tanh(gate) is folded into `out`. index: its place among the cross layers."""

    index: int
    norm: Any
    q: Any
    out: Any
    heads: int


@dataclass(frozen=True)
class LayerWeights:
    """A backend's handles of one decoder layer. `qkv` and `gate_up` are fused."""

    input_norm: Any
    qkv: Any
    out: Any
    post_attention_norm: Any  # on the attention's output
    mlp_norm: Any
    gate_up: Any
    down: Any
    post_mlp_norm: Any
    sliding: bool = False
    cross: CrossWeights | None = None


class Backend(ABC):
    """See the module's docstring. `device` and `dtype` are those of activations and KV pages."""

    name: str
    device: torch.device
    dtype: torch.dtype

    # Packing, at load time. Weights come as [out, in] tensors of any dtype, or packed codes, on the CPU. `into`: the
    # handle of a weight that nobody needs any more; a backend may use its memory again where the shape is the same.

    @abstractmethod
    def pack_norm(self, weight: Tensor) -> Any:
        """RMSNorm whose output is used by itself."""

    @abstractmethod
    def pack_norm_linear(
        self, norm: Tensor, weight: Weight | Stacked, bias: Tensor | None, into: Any = None
    ) -> tuple[Any, Any]:
        """RMSNorm followed by one linear: (norm, linear) handles; a backend may fold one into the other."""

    def folded(self, norm: Tensor, weight: Weight | Stacked) -> Tensor | None:
        """What `pack_norm_linear` multiplies into the linear's columns, float32 [in], as an adapter beside the linear
        needs it too. None: nothing."""
        return None

    def brisk(self) -> Backend:
        """A backend whose handles this one runs too, which packs without delay and takes no more memory than it must:
        for weights that come and go."""
        return self

    @abstractmethod
    def pack_linear(self, weight: Weight | Stacked, bias: Tensor | None, into: Any = None) -> Any: ...

    @abstractmethod
    def pack_embedding(self, weight: Weight) -> Any: ...

    def pack_tied_embedding(self, weight: Weight, head: Any) -> Any:
        """An embedding whose weights the packed head has too: a backend may look up rows there."""
        return self.pack_embedding(weight)

    @abstractmethod
    def new_pages(
        self, num_segments: int, num_layers: int, num_pages: int, page_size: int, shape: AttentionShape
    ) -> Any:
        """Storage for keys and values of `num_pages` pages, each of one segment with at most `num_layers` layers."""

    # KV formats other than the backend's own. A backend that has none is asked for none.

    narrow_kinds: tuple[KVKind, ...] = ()

    def recode(self, pages: Any, old: Sequence[int], new: Sequence[int], before: str, after: str) -> None:
        """Copy the tokens of pages `old` of one format to pages `new` of another ("int8", "fp8", or anything else for
        floats); a negative page number leaves out what would go there."""
        raise EngineError(f"backend {self.name!r} can't keep keys and values as {after}")

    # Operations.

    @abstractmethod
    def embed(self, table: Any, ids: Tensor) -> Tensor:
        """ids long [T] → [T, H]."""

    @abstractmethod
    def linear(self, x: Tensor, weight: Any) -> Tensor: ...

    @abstractmethod
    def norm(self, x: Tensor, weight: Any) -> Tensor: ...

    @abstractmethod
    def add_norm(self, x: Tensor, y: Tensor, weight: Any) -> Tensor:
        """x + norm(y)."""

    @abstractmethod
    def rotary(self, positions: Tensor) -> Any:
        """Tables for positions long [T], or [3, T] (time, height, width) for M-RoPE."""

    @abstractmethod
    def apply_rotary(self, qkv: Tensor, rotary: Any, shape: AttentionShape) -> Tensor:
        """Rotate the query and key part of qkv [T, (Hq + 2 Hk) * D]; may work in place."""

    @abstractmethod
    def attention(
        self, pages: Any, layer: int, qkv: Tensor, slots: Tensor, plan: AttentionPlan, shape: AttentionShape
    ) -> Tensor:
        """Write the rows' keys and values into pages, then attend: [T, Hq * D]. `layer` counts within its segment."""

    @abstractmethod
    def cross_attention(self, q: Tensor, group: CrossGroup, weights: CrossWeights) -> Tensor:
        """q [rows, H] of one group → [rows, H], before the output projection."""

    @abstractmethod
    def swiglu(self, gate_up: Tensor) -> Tensor:
        """silu(first half) * second half: [T, 2 F] → [T, F]."""

    # Composed; a backend may replace it as a whole.

    def run_segment(
        self, layers: Sequence[LayerWeights], hidden: Tensor, meta: SegmentMeta, pages: Any, shape: AttentionShape
    ) -> Tensor:
        """hidden [T, H] → [T, H] through the layers of one segment. `hidden` may be overwritten."""
        adapters = meta.adapters
        for index, layer in enumerate(layers):
            if layer.cross is not None and meta.cross:
                hidden = self.cross(layer.cross, hidden, meta.cross, adapters, index)
            plan = meta.window if layer.sliding and meta.window is not None else meta.full
            normed = self.norm(hidden, layer.input_norm)
            qkv = self.linear(normed, layer.qkv)
            if adapters is not None:
                adapters.add(index, "qkv", normed, qkv)
            qkv = self.apply_rotary(qkv, meta.rotary, shape)
            attended = self.attention(pages, index, qkv, meta.slots, plan, shape)
            out = self.linear(attended, layer.out)
            if adapters is not None:
                adapters.add(index, "out", attended, out)
            hidden = self.add_norm(hidden, out, layer.post_attention_norm)
            normed = self.norm(hidden, layer.mlp_norm)
            gate_up = self.linear(normed, layer.gate_up)
            if adapters is not None:
                adapters.add(index, "gate_up", normed, gate_up)
            inner = self.swiglu(gate_up)
            del gate_up  # the widest of all
            out = self.linear(inner, layer.down)
            if adapters is not None:
                adapters.add(index, "down", inner, out)
            hidden = self.add_norm(hidden, out, layer.post_mlp_norm)
        return hidden

    def cross(
        self,
        weights: CrossWeights,
        hidden: Tensor,
        groups: Sequence[CrossGroup],
        adapters: SegmentAdapters | None = None,
        layer: int = 0,
    ) -> Tensor:
        """Rows that see no medium keep their state. layer: counts within the segment."""
        everyone = sum(group.end - group.first for group in groups) == hidden.shape[0]
        rows = hidden if everyone else torch.cat([hidden[group.first : group.end] for group in groups])
        normed = self.norm(rows, weights.norm)
        q = self.linear(normed, weights.q)
        ranges = [(group.first, group.end) for group in groups]
        if adapters is not None:
            adapters.add_among(layer, "cross_q", ranges, normed, q)
        parts, start = [], 0
        for group in groups:
            end = start + group.end - group.first
            parts.append(self.cross_attention(q[start:end], group, weights))
            start = end
        attended = parts[0] if len(parts) == 1 else torch.cat(parts)
        delta = self.linear(attended, weights.out)
        if adapters is not None:
            adapters.add_among(layer, "cross_out", ranges, attended, delta)
        if everyone:
            return hidden + delta
        hidden = hidden.clone()
        start = 0
        for group in groups:
            end = start + group.end - group.first
            hidden[group.first : group.end] += delta[start:end]
            start = end
        return hidden
