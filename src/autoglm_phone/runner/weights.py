"""Checkpoint tensors → the backend's handles, for both families (their decoder layers have the same names)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from autoglm_phone.backends.base import Backend, CrossWeights, LayerWeights
from autoglm_phone.backends.quantized import scaled, stack
from autoglm_phone.runner.checkpoint import Checkpoint
from autoglm_phone.runner.offload import PinnedSegments, SegmentStore, storages
from autoglm_phone.runner.quantized import QuantizedCheckpoint, reader
from autoglm_phone.runner.shards import ShardReader
from autoglm_phone.runner.spec import DecoderSpec
from autoglm_phone.runner.streaming import LayerTensors, StreamedSegments

Source = Checkpoint | ShardReader | QuantizedCheckpoint | LayerTensors


@dataclass(frozen=True)
class ExitWeights:
    """Boundary state → state for the output head: norm, then x + up(down(x))."""

    norm: Any
    down: Any
    up: Any


@dataclass(frozen=True)
class CrossMemoryWeights:
    """Handles of the linears that turn tower states into keys and values of each cross-attention layer."""

    keys: list[Any]
    values: list[Any]
    media_embed: Tensor  # [2 * max_media, H]: kind * max_media + ordinal
    linear: Callable[[Tensor, Any], Tensor]  # the backend's


@dataclass(frozen=True)
class DecoderWeights:
    """segments: layers of each segment (a list, or a SegmentStore where they come and go). exits: by depth; empty where
    the checkpoint has none."""

    embedding: Any
    segments: Sequence[Sequence[LayerWeights]]
    norm: Any
    head: Any
    exits: dict[int, ExitWeights]
    memory: CrossMemoryWeights | None

    @cached_property
    def resting_bytes(self) -> int:
        """Of what stays in memory as long as this does; what two handles share counts once. Counted once, as whoever
        watches live memory asks after every step, and the walk takes as long as two layers."""
        moving = isinstance(self.segments, SegmentStore)
        return sum(storages(replace(self, segments=[] if moving else list(self.segments))).values())


def load_decoder(
    checkpoint: Checkpoint | QuantizedCheckpoint,
    spec: DecoderSpec,
    backend: Backend,
    *,
    offload: bool = False,
    memory: int | None = None,
) -> DecoderWeights:
    """Pack all decoder weights.

    Args:
        offload: deeper layers come when they are needed. memory: bytes of decoder weights in memory then; None, or
            less than the least that runs: just that.

    Raises:
        CheckpointError: a tensor is missing or has another shape than the configuration says.
    """
    hidden, vocab = spec.hidden_size, spec.vocab_size
    # Where files are read while requests run, nothing may stay mapped to them (see runner.shards).
    source = reader(checkpoint) if offload else checkpoint
    embedding = source.get("model.embed_tokens.weight", (vocab, hidden))
    tied = spec.tied or "lm_head.weight" not in source
    head = embedding if tied else source.get("lm_head.weight", (vocab, hidden))
    keeper = backend.brisk() if offload else backend  # a table of halves beside the head's would take more memory
    packed_head = keeper.pack_linear(head, None)
    weights = DecoderWeights(
        embedding=keeper.pack_tied_embedding(embedding, packed_head) if tied else keeper.pack_embedding(embedding),
        segments=[],
        norm=backend.pack_norm(source.get("model.norm.weight", (hidden,))),  # exits share the head: nothing is folded
        head=packed_head,
        exits=_exits(source, spec, backend),
        memory=_memory(source, spec, backend),
    )
    if offload:
        left = None if memory is None else max(1, memory - weight_bytes(weights))
        return replace(weights, segments=_offloaded(reader(checkpoint), spec, backend, left))
    return replace(weights, segments=[[_layer(source, spec, backend, i) for i in range(*cut)] for cut in spec.segments])


def packer(backend: Backend, spec: DecoderSpec, layer: int, *, offload: bool) -> Backend:
    """What packs a layer: with `offload` all but the first segment's come and go."""
    return backend.brisk() if offload and layer >= spec.segments[0][1] else backend


def weight_bytes(weights: DecoderWeights) -> int:
    """Bytes of decoder weights in memory now."""
    segments = weights.segments
    return weights.resting_bytes + (segments.resident_bytes if isinstance(segments, SegmentStore) else 0)


def _offloaded(
    source: ShardReader | QuantizedCheckpoint, spec: DecoderSpec, backend: Backend, budget: int | None
) -> SegmentStore:
    """Segments that come and go; budget: bytes of them."""
    if backend.device.type == "cuda":
        return PinnedSegments(
            lambda index: [_layer(source, spec, backend, i) for i in range(*spec.segments[index])],
            len(spec.segments),
            backend.device,
            budget,
        )
    return StreamedSegments(
        lambda index: source.under(_prefix(index)),
        lambda index, tensors, into: _layer(
            LayerTensors(_prefix(index), tensors), spec, packer(backend, spec, index, offload=True), index, into
        ),
        spec.segments,
        budget or 0,
    )


def _exits(checkpoint: Source, spec: DecoderSpec, backend: Backend) -> dict[int, ExitWeights]:
    """Of the add-on where there is one, else the checkpoint's own."""
    names = ("norm.weight", "down.weight", "up.weight")
    if spec.addon is not None:
        found = spec.addon.tensors()
    else:
        own = {depth: f"model.exits.{depth}." for depth in spec.exit_layers}
        found = {
            depth: {n: checkpoint.get(at + n, (spec.hidden_size,) if n == names[0] else None) for n in names}
            for depth, at in own.items()
            if at + names[0] in checkpoint
        }
    return {
        depth: ExitWeights(
            norm=backend.pack_norm(head["norm.weight"]),
            down=backend.pack_linear(head["down.weight"], None),
            up=backend.pack_linear(head["up.weight"], None),
        )
        for depth, head in found.items()
    }


def _prefix(layer: int) -> str:
    return f"model.layers.{layer}."


def _layer(
    checkpoint: Source, spec: DecoderSpec, backend: Backend, index: int, into: LayerWeights | None = None
) -> LayerWeights:
    """into: handles of another layer whose memory may be used again."""
    name = _prefix(index)
    hidden, q, kv = spec.hidden_size, spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim

    def vector(suffix: str) -> Tensor:
        return checkpoint.get(name + suffix + ".weight", (hidden,))

    def old(part: str) -> Any:
        return None if into is None else getattr(into, part)

    parts = [("q_proj", q), ("k_proj", kv), ("v_proj", kv)]
    weight = stack([checkpoint.get(f"{name}self_attn.{part}.weight", (size, hidden)) for part, size in parts])
    bias = None
    if f"{name}self_attn.q_proj.bias" in checkpoint:
        bias = torch.cat([checkpoint.get(f"{name}self_attn.{part}.bias", (size,)) for part, size in parts])
    input_norm, qkv = backend.pack_norm_linear(vector("input_layernorm"), weight, bias, old("qkv"))
    gate_up_weight = _gate_up(checkpoint, name + "mlp.")
    mlp_norm, gate_up = backend.pack_norm_linear(
        vector("post_attention_layernorm"), gate_up_weight, None, old("gate_up")
    )
    out = checkpoint.get(name + "self_attn.o_proj.weight", (hidden, q))
    down = checkpoint.get(name + "mlp.down_proj.weight", (hidden, gate_up_weight.shape[0] // 2))
    return LayerWeights(
        input_norm=input_norm,
        qkv=qkv,
        out=backend.pack_linear(out, None, old("out")),
        post_attention_norm=backend.pack_norm(vector("post_self_attn_layernorm")),
        mlp_norm=mlp_norm,
        gate_up=gate_up,
        down=backend.pack_linear(down, None, old("down")),
        post_mlp_norm=backend.pack_norm(vector("post_mlp_layernorm")),
        sliding=index in spec.sliding_layers,
        cross=_cross(checkpoint, spec, backend, index, old("cross")) if index in spec.cross_layers else None,
    )


def _gate_up(checkpoint: Source, name: str) -> Any:
    """Some GLM-4.1V checkpoints keep gate and up apart (GPTQModel splits them)."""
    if name + "gate_up_proj.weight" in checkpoint or name + "gate_proj.weight" not in checkpoint:
        return checkpoint.get(name + "gate_up_proj.weight")
    return stack([checkpoint.get(name + "gate_proj.weight"), checkpoint.get(name + "up_proj.weight")])


def _cross(
    checkpoint: Source, spec: DecoderSpec, backend: Backend, index: int, into: CrossWeights | None
) -> CrossWeights:
    name, hidden = _prefix(index) + "cross_attn.", spec.hidden_size
    norm, q = backend.pack_norm_linear(
        checkpoint.get(name + "norm.weight", (hidden,)),
        checkpoint.get(name + "q_proj.weight", (hidden, hidden)),
        None,
        None if into is None else into.q,
    )
    gate = torch.tanh(checkpoint.get(name + "gate").float())
    weight = scaled(checkpoint.get(name + "o_proj.weight", (hidden, hidden)), gate)
    out = backend.pack_linear(weight, None, None if into is None else into.out)
    place = spec.cross_layers.index(index)
    return CrossWeights(index=place, norm=norm, q=q, out=out, heads=spec.cross_heads)


def _memory(checkpoint: Source, spec: DecoderSpec, backend: Backend) -> CrossMemoryWeights | None:
    if not spec.cross_layers:
        return None

    def linear(name: str) -> Any:
        return backend.pack_linear(checkpoint.get(name), None)

    layers = [f"model.layers.{index}.cross_attn." for index in spec.cross_layers]
    return CrossMemoryWeights(
        keys=[linear(layer + "k_proj.weight") for layer in layers],
        values=[linear(layer + "v_proj.weight") for layer in layers],
        media_embed=checkpoint.get("model.media_embed.weight").to(device=backend.device, dtype=backend.dtype),
        linear=backend.linear,
    )
