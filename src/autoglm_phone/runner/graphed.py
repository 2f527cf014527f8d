"""A decoder whose small passes are CUDA graphs (`backends.cuda_graphs`): the place where the engine meets them.

`GraphedDecoder.run_batch` takes a pass of the engine as `runner.batch` has placed it. Rows of decoding sequences, and
those that catch up with them, each become a row of their own with its page table and its length; everything that a
graph was not captured for (prefill chunks, cross-attention, adapters, KV policies that drop or narrow pages, contexts
beyond the static tables) runs as `Decoder.run_segment` does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from autoglm_phone.backends.base import Backend
from autoglm_phone.backends.cuda_graphs import BUCKETS, FIRST_ROW, DecodeRows, SegmentGraphs
from autoglm_phone.backends.graph_backend import GraphBackend
from autoglm_phone.errors import EngineError
from autoglm_phone.runner.batch import Batch, positions
from autoglm_phone.runner.decoder import Decoder
from autoglm_phone.runner.offload import SegmentStore
from autoglm_phone.runner.spec import DecoderSpec
from autoglm_phone.runner.weights import DecoderWeights

MAX_PAGES = 512  # of a row's static table: 8,192 tokens in pages of 16; 256 KiB a pass of 64 rows


class GraphedDecoder(Decoder):
    """Args: as Decoder.

    max_pages: pages of the longest context that a graph takes. buckets, capture: see SegmentGraphs.

    Raises:
        EngineError: the backend can't attend by tables and lengths.
    """

    def __init__(
        self,
        spec: DecoderSpec,
        weights: DecoderWeights,
        backend: Backend,
        num_pages: int,
        page_size: int,
        *,
        max_pages: int = MAX_PAGES,
        buckets: Sequence[int] = BUCKETS,
        capture: bool | None = None,
    ):
        if not isinstance(backend, GraphBackend):
            raise EngineError(f"backend {backend.name!r} has no passes that can be captured; use GraphBackend")
        super().__init__(spec, weights, backend, num_pages + 1, page_size)  # one that no sequence owns
        self.page_size = page_size
        self.max_pages = min(max_pages, num_pages)
        self.graphed = 0  # passes that were graphs
        self.graphs: SegmentGraphs | None = None
        if not isinstance(weights.segments, SegmentStore):  # weights that move can't be captured
            self.graphs = SegmentGraphs(
                self,
                rows=buckets[-1],
                max_pages=self.max_pages,
                buckets=buckets,
                capture=capture,
                embeds=False,
                scratch_page=num_pages,
                page_size=page_size,
            )

    def run_batch(self, segment: int, hidden: Tensor, batch: Batch) -> Tensor:
        """By a graph where there is one for the pass."""
        rows = None if self.graphs is None else self._rows(segment, batch)
        if rows is None or self.graphs is None:
            return super().run_batch(segment, hidden, batch)
        arena = self.graphs.arena[FIRST_ROW : FIRST_ROW + len(rows)]
        arena.copy_(hidden)
        self.graphs.run(segment, rows)
        self.graphed += 1
        return arena.clone()  # the arena is the next pass's too

    def _rows(self, segment: int, batch: Batch) -> DecodeRows | None:
        """The pass as rows of one token each; None if it is not one for graphs."""
        placed, size = batch.placed, self.page_size
        count = sum(p.count for p in placed)
        longest = max(p.end for p in placed)
        if self.graphs is None or count > self.graphs.buckets[-1] or -(-longest // size) > self.max_pages:
            return None
        if self.adapters is not None and batch.adapted:
            return None
        if batch.cross or self.pages.narrow.used or any(p.keeping != (0, None) for p in placed):
            return None
        tables = np.full((count, -(-longest // size)), self.graphs.scratch_page, dtype=np.int64)
        where = np.concatenate([np.arange(p.start, p.end, dtype=np.int64) for p in placed])
        for p in placed:
            held = p.state.pages(segment)[: -(-p.end // size)]
            tables[p.first : p.first + p.count, : held.shape[0]] = held
        places = np.arange(FIRST_ROW, FIRST_ROW + count, dtype=np.int64)
        return DecodeRows(
            sources=places,
            places=places,
            slots=tables[np.arange(count), where // size] * size + where % size,
            positions=positions(placed, 3 if self.spec.mrope_section is not None else 1),
            tables=tables,
            lengths=where + 1,
        )


def capture_graphs(decoder: Decoder) -> None:
    """Make a decoder's graphs before the first request; does nothing for one without."""
    if isinstance(decoder, GraphedDecoder) and decoder.graphs is not None and decoder.graphs.captures:
        with torch.inference_mode():
            decoder.graphs.capture_all(reads=False)
