"""A segment over one token a sequence, or a few, in float32 on a CPU: `torch_backend` with less around its operations.

At one row a layer of the mini model reads its weights in 0.26 ms, and what torch does around that (allocating results,
taking views apart, dispatching) took longer. So a pass makes its buffers and views once, for all layers of the segment,
and products and norms write into them. Passes that this does not fit (prefill, narrow or dropped pages, sliding
windows, contexts too long for a dense copy) take the general way; so does what a test compares with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from autoglm_phone.backends.base import AttentionShape, DecodeGroup, LayerWeights, SegmentMeta

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
    contexts = pages.contexts
    assert contexts is not None  # internal: only_group looked
    rows, width = hidden.shape
    hidden = hidden.clone()
    root = backend.root(width)
    size, normed, out = hidden.new_empty(rows, 1), torch.empty_like(hidden), torch.empty_like(hidden)
    qkv = hidden.new_empty(rows, shape.q_width + 2 * shape.kv_width)
    turning = qkv[:, : shape.q_width + shape.kv_width].unflatten(1, (shape.heads + shape.kv_heads, -1, 2))
    pairs, fresh = torch.view_as_complex(turning), qkv[:, shape.q_width :]
    queries = qkv[:, : shape.q_width].view(rows, shape.kv_heads, -1, shape.head_dim)

    def norm(x: Tensor, weight: Norm) -> Tensor:
        torch.linalg.vector_norm(x, dim=-1, keepdim=True, out=size)
        torch.div(x, size.hypot_(root), out=normed)
        return normed if weight.weight is None else normed.mul_(weight.weight)

    def add_norm(weight: Norm) -> None:
        torch.linalg.vector_norm(out, dim=-1, keepdim=True, out=size)
        hidden.addcmul_(out.div_(size.hypot_(root)), weight.weight)  # type: ignore[arg-type]

    adapters = meta.adapters
    for index, layer in enumerate(layers):
        if layer.cross is not None and meta.cross:
            hidden = backend.cross(layer.cross, hidden, meta.cross, adapters, index)
        backend.linear_into(norm(hidden, layer.input_norm), layer.qkv, qkv)
        if adapters is not None:
            adapters.add(index, "qkv", normed, qkv)
        pairs.mul_(meta.rotary)
        store = pages.rows[index]
        store.index_copy_(0, meta.slots, fresh)
        k, v = contexts.keys_values(meta.full.segment, index, group, store, fresh, shape)
        attended = _attend(queries, k, v, group)
        backend.linear_into(attended, layer.out, out)
        if adapters is not None:
            adapters.add(index, "out", attended, out)
        add_norm(layer.post_attention_norm)
        gate_up = backend.linear(norm(hidden, layer.mlp_norm), layer.gate_up)
        if adapters is not None:
            adapters.add(index, "gate_up", normed, gate_up)
        gate, up = gate_up.chunk(2, dim=-1)
        inner = F.silu(gate, inplace=True).mul_(up)
        backend.linear_into(inner, layer.down, out)
        if adapters is not None:
            adapters.add(index, "down", inner, out)
        add_norm(layer.post_mlp_norm)
    return hidden


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
