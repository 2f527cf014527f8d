"""What the decoder's pieces cost on this machine, measured once at start on rows that belong to nobody.

Segments of as many layers are alike, those that have as many of them to read from files too: one of each kind is timed.
Keys and values that are written here lie in pages
that no sequence owns yet.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import torch
from torch import Tensor

from autoglm_phone.backends.base import AttentionPlan, DecodeGroup, SegmentMeta
from autoglm_phone.graph.controller import CostTable, measure_costs
from autoglm_phone.runner.decoder import Decoder
from autoglm_phone.runner.streaming import StreamedSegments

logger = logging.getLogger(__name__)

BUCKETS = (1, 4, 16, 64, 128)  # rows; between them costs are nearly straight lines
SECONDS = 0.5  # after which no larger batch is tried: the mini model takes 0.3 s in all, a 9B on a CPU a few seconds
CONTEXT = 64  # keys of each row


@torch.inference_mode()
def profile(decoder: Decoder, num_pages: int, page_size: int, clock: Callable[[], float]) -> CostTable:
    """Milliseconds of each segment and of reading logits, by rows; regrouping rows is in the noise of both."""
    store = decoder.weights.segments
    sizes = [
        (end - start, store.streamed(index) if isinstance(store, StreamedSegments) else 0)
        for index, (start, end) in enumerate(decoder.spec.segments)
    ]
    kinds = sorted(set(sizes))
    rows_of = {rows: _Rows(decoder, rows, num_pages, page_size) for rows in BUCKETS}

    def run(piece: str, kind: int, rows: int) -> None:
        states = rows_of[rows].states.clone()
        if piece == "segment":
            decoder.run_segment(sizes.index(kinds[kind]), states, rows_of[rows].meta)
        elif piece == "head":
            decoder.logits(states)
        if states.device.type == "cuda":
            torch.cuda.synchronize(states.device)

    start = time.perf_counter()
    table = measure_costs(run, len(kinds), BUCKETS, seconds=SECONDS, clock=clock)
    segments = tuple(table.segments[kinds.index(size)] for size in sizes)
    logger.info(
        "[DYNAMIC GRAPH] A token through each segment takes %s ms, its logits %.2f ms (measured in %.0f ms)",
        " + ".join(f"{times[0]:.2f}" for times in segments),
        table.head[0],
        1000 * (time.perf_counter() - start),
    )
    return CostTable(table.buckets, segments, table.head, table.boundary)


class _Rows:
    """Rows that decode at CONTEXT keys each."""

    def __init__(self, decoder: Decoder, rows: int, num_pages: int, page_size: int):
        device, dtype = decoder.backend.device, decoder.backend.dtype
        each = -(-CONTEXT // page_size)
        pages = torch.arange(rows * each, device=device) % num_pages
        last = pages.view(rows, each)[:, -1]
        positions = torch.full((rows,), CONTEXT - 1, device=device)
        if decoder.spec.mrope_section is not None:
            positions = positions.expand(3, rows)

        def numbers(count: int) -> Tensor:
            return pages.view(rows, each)[:, :count].reshape(-1)

        plan = AttentionPlan(0, [DecodeGroup(0, rows, CONTEXT, None, each, numbers)], [])
        slots = last * page_size + (CONTEXT - 1) % page_size
        self.meta = SegmentMeta(slots, plan, None, decoder.backend.rotary(positions))
        self.states = torch.ones(rows, decoder.spec.hidden_size, device=device, dtype=dtype)
