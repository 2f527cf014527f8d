"""A segment over one token a sequence, or a few, in float32 on a CPU: `torch_backend` with less around its operations.

At one row a layer of the mini model reads its weights in 0.26 ms, and what torch does around that (allocating results,
taking views apart, dispatching) took longer, above all as the weights that stream by push torch's own code out of the
caches. So a pass makes its buffers and views once, for all layers of the segment, products and norms write into them,
and keys and values go to their pages in one piece at the end. Passes that this does not fit (prefill, narrow or dropped
pages, sliding windows, contexts too long for a dense copy) take the general way; so does what a test compares with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from autoglm_phone.backends.base import AttentionShape, CrossWeights, DecodeGroup, LayerWeights, SegmentMeta

if TYPE_CHECKING:
    from autoglm_phone.backends.torch_backend import KVPages, Norm, TorchBackend


def only_group(meta: SegmentMeta, pages: KVPages) -> DecodeGroup | None:
    """The pass's rows, if `run_rows` can run them."""
    plan = meta.full
    if meta.window is not None or plan.chunks or len(plan.decodes) != 1 or plan.narrow or pages.narrow.used:
        return None
    group = plan.decodes[0]
    if group.narrow is not None or group.masses is not None or group.identity is None:
        return None
    return group if pages.contexts is not None and pages.contexts.fits(plan.segment, group) else None


KEPT_ROWS = 8  # passes of more rows make their buffers anew: there the work is in the products
KEPT = 16  # sets of buffers


class _Rows:
    """The state of a pass on its way through the layers, what becomes of it around their products, and room for all
    that a layer makes. Kept for the next pass of its size: making some forty views takes longer than a small product.

    hidden: [T, H]. out: [T, H], what a layer's attention or MLP gave. normed: [T, H].
    By layer, views of one buffer: qkv [T, (Hq + 2 Hk) D], pairs (queries and keys as complex numbers), fresh [T, 2 R],
    queries [T, Hk, Hq / Hk, D]; written: the keys and values of all layers [layers, T, 2 R].
    """

    def __init__(self, backend: TorchBackend, layers: int, like: Tensor, shape: AttentionShape):
        rows, width = like.shape
        self.backend = backend
        self.hidden, self.out, self.normed = (torch.empty_like(like) for _ in range(3))
        self._size, self._root = like.new_empty(rows, 1), backend.root(width)
        self._gates: tuple[Tensor, Tensor, Tensor] | None = None
        qkv = like.new_empty(layers, rows, shape.q_width + 2 * shape.kv_width)
        turning = qkv[..., : shape.q_width + shape.kv_width].unflatten(-1, (shape.heads + shape.kv_heads, -1, 2))
        self.written = qkv[..., shape.q_width :]
        queries = qkv[..., : shape.q_width].unflatten(-1, (shape.kv_heads, -1, shape.head_dim))
        self.qkv, self.pairs = qkv.unbind(), torch.view_as_complex(turning).unbind()
        self.fresh, self.queries = self.written.unbind(), queries.unbind()

    def norm(self, norm: Norm) -> Tensor:
        torch.linalg.vector_norm(self.hidden, dim=-1, keepdim=True, out=self._size)
        torch.div(self.hidden, self._size.hypot_(self._root), out=self.normed)
        return self.normed if norm.weight is None else self.normed.mul_(norm.weight)

    def product(self, norm: Norm, weight: Any, out: Tensor) -> None:
        """The linear of the normed state, to `out`."""
        self.backend.linear_into(self.norm(norm), weight, out)

    def add(self, norm: Norm) -> None:
        """Add the normed `out` to the state."""
        torch.linalg.vector_norm(self.out, dim=-1, keepdim=True, out=self._size)
        self.hidden.addcmul_(self.out.div_(self._size.hypot_(self._root)), norm.weight)  # type: ignore[arg-type]

    def cross(self, weights: CrossWeights, layer: int, meta: SegmentMeta) -> None:
        """Add what the rows see in their media. layer: counts within the segment."""
        self.hidden.copy_(self.backend.cross(weights, self.hidden, meta.cross, meta.adapters, layer))

    def gates(self, norm: Norm, weight: Any) -> tuple[Tensor, Tensor, Tensor]:
        """An MLP's gate_up [T, 2 F] of the normed state, and its two halves. Layers of one width share the room."""
        width = self.backend.outputs(weight)
        if width is None:
            return _halves(self.backend.linear(self.norm(norm), weight))
        room = self._gates
        if room is None or room[0].shape[1] != width:
            room = self._gates = _halves(self.hidden.new_empty(self.hidden.shape[0], width))
        self.product(norm, weight, room[0])
        return room


class _OneRow(_Rows):
    """Of a single row the length is a number, which product and sum take as a factor: no operation of its own."""

    def __init__(self, backend: TorchBackend, layers: int, like: Tensor, shape: AttentionShape):
        super().__init__(backend, layers, like, shape)
        self._more = like.shape[1] * backend.eps
        self._line, self._out_line = self.hidden.view(-1), self.out.view(-1)

    def product(self, norm: Norm, weight: Any, out: Tensor) -> None:
        if norm.weight is None:  # folded into a float weight
            self.backend.linear_into(self.hidden, weight, out, scale=self._factor(self._line))
        else:
            torch.mul(self.hidden, norm.weight, out=self.normed).mul_(self._factor(self._line))
            self.backend.linear_into(self.normed, weight, out)

    def add(self, norm: Norm) -> None:
        self.hidden.addcmul_(self.out, norm.weight, value=self._factor(self._out_line))  # type: ignore[arg-type]

    def cross(self, weights: CrossWeights, layer: int, meta: SegmentMeta) -> None:
        (group,) = meta.cross
        self.product(weights.norm, weights.q, self.out)
        k, v = group.keys_values[weights.index]
        q = self.out.view(1, weights.heads, 1, -1)
        seen = F.scaled_dot_product_attention(q, k[None], v[None], attn_mask=group.mask).view(1, -1)
        self.backend.linear_into(seen, weights.out, self.out)
        self.hidden.add_(self.out)

    def _factor(self, line: Tensor) -> float:
        """1 / sqrt(sum x² + H eps)"""
        return 1.0 / math.sqrt(torch.dot(line, line).item() + self._more)


def run_rows(
    backend: TorchBackend,
    layers: Sequence[LayerWeights],
    hidden: Tensor,
    meta: SegmentMeta,
    group: DecodeGroup,
    pages: KVPages,
    shape: AttentionShape,
) -> Tensor:
    """hidden [T, H] → [T, H], as Backend.run_segment. group: what `only_group` gave."""
    contexts, segment, adapters = pages.contexts, meta.full.segment, meta.adapters
    assert contexts is not None  # internal: only_group looked
    count = len(layers)
    state = _room(backend, count, hidden, shape, plain=adapters is None)
    state.hidden.copy_(hidden)
    keys, values = contexts.keys_values(segment, count, group, shape)
    out = state.out
    for index, layer in enumerate(layers):
        if layer.cross is not None and meta.cross:
            state.cross(layer.cross, index, meta)
        qkv = state.qkv[index]
        state.product(layer.input_norm, layer.qkv, qkv)
        if adapters is not None:
            adapters.add(index, "qkv", state.normed, qkv)
        state.pairs[index].mul_(meta.rotary)
        contexts.append(segment, index, group, pages.rows[index], state.fresh[index])
        attended = _attend(state.queries[index], keys[index], values[index], group)
        backend.linear_into(attended, layer.out, out)
        if adapters is not None:
            adapters.add(index, "out", attended, out)
        state.add(layer.post_attention_norm)
        gate_up, gate, up = state.gates(layer.mlp_norm, layer.gate_up)
        if adapters is not None:
            adapters.add(index, "gate_up", state.normed, gate_up)
        inner = F.silu(gate, inplace=True).mul_(up)
        backend.linear_into(inner, layer.down, out)
        if adapters is not None:
            adapters.add(index, "down", inner, out)
        state.add(layer.post_mlp_norm)
    pages.pages[:count].view(count, -1, contexts.width).index_copy_(1, meta.slots, state.written)
    return state.hidden.clone()


def _halves(gate_up: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    gate, up = gate_up.chunk(2, dim=-1)
    return gate_up, gate, up


def _room(backend: TorchBackend, layers: int, hidden: Tensor, shape: AttentionShape, *, plain: bool) -> _Rows:
    """Buffers for a pass over such states. plain: no row has an adapter, which would want the normed state."""
    rows = hidden.shape[0]
    key = rows, hidden.shape[1], layers, plain, torch.is_inference_mode_enabled()
    found = backend.rooms.get(key)
    if found is None:
        found = (_OneRow if rows == 1 and plain else _Rows)(backend, layers, hidden, shape)
        if rows <= KEPT_ROWS:
            if len(backend.rooms) >= KEPT:
                backend.rooms.clear()
            backend.rooms[key] = found
    return found


def _attend(q: Tensor, k: Tensor, v: Tensor, group: DecodeGroup) -> Tensor:
    """q [rows, key heads, queries of one, D] → [rows, heads * D]; k, v as DenseContexts.keys_values gives them.

    A key head's queries, of all tokens that a sequence brings, form the "sequence" of the call.
    """
    rows, heads, each, dim = q.shape
    batch = k.shape[:2]  # one row's key heads are the batch: then results lie in order
    several = group.queries
    if several is None:
        q = q.view(*batch, each, dim)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=group.mask).reshape(rows, -1)
    if several.take is not None:
        q = q.index_select(0, several.take)
    q = q.unflatten(0, (-1, several.most)).transpose(1, 2).reshape(*batch, several.most * each, dim)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=group.mask)
    out = out.reshape(-1, heads, several.most, each * dim).transpose(1, 2).reshape(-1, heads * each * dim)
    return out if several.back is None else out.index_select(0, several.back)
