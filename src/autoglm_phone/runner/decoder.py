"""The decoder as a chain of segments. Depth is the caller's: it runs as many segments as the request's plan says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from autoglm_phone.backends.base import AttentionShape, Backend, SegmentMeta
from autoglm_phone.runner.spec import DecoderSpec
from autoglm_phone.runner.weights import DecoderWeights

if TYPE_CHECKING:
    from autoglm_phone.runner.adapter_bank import AdapterBank
    from autoglm_phone.runner.batch import Batch


class Decoder:
    """Weights, KV pages and the operations on whole segments.

    pages: one storage that all segments share; a page number is valid in any segment but owned by one.
    adapters: that requests may choose; None: there are none.
    """

    def __init__(self, spec: DecoderSpec, weights: DecoderWeights, backend: Backend, num_pages: int, page_size: int):
        self.spec = spec
        self.weights = weights
        self.backend = backend
        self.adapters: AdapterBank | None = None
        self.shape = AttentionShape(spec.heads, spec.kv_heads, spec.head_dim)
        self.pages = backend.new_pages(len(spec.segments), spec.layers_per_page, num_pages, page_size, self.shape)

    @property
    def num_segments(self) -> int:
        return len(self.weights.segments)

    def embed(self, ids: Tensor) -> Tensor:
        """ids long [T] → hidden [T, H]."""
        return self.backend.embed(self.weights.embedding, ids)

    def run_segment(self, index: int, hidden: Tensor, meta: SegmentMeta) -> Tensor:
        """Boundary state before the segment → boundary state after it, [T, H]; writes the segment's KV pages."""
        return self.backend.run_segment(self.weights.segments[index], hidden, meta, self.pages, self.shape)

    def run_batch(self, segment: int, hidden: Tensor, batch: Batch) -> Tensor:
        """`run_segment` for a pass as it was placed."""
        meta = batch.segment(segment)
        if self.adapters is not None:
            meta = self.adapters.meta(meta, segment, batch)
        return self.run_segment(segment, hidden, meta)

    def logits(self, boundary: Tensor, segment: int | None = None) -> Tensor:
        """float32 logits [T, V] of states after a segment (None: the last): exit head or final norm, then the head."""
        backend, weights = self.backend, self.weights
        if segment is None or segment == self.num_segments - 1:
            state = backend.norm(boundary, weights.norm)
        else:
            head = weights.exits[self.spec.segments[segment][1]]
            state = backend.norm(boundary, head.norm)
            state = state + backend.linear(backend.linear(state, head.down), head.up)
        return backend.linear(state, weights.head).float()
