"""Decode passes as CUDA graphs: one graph for each segment and bucket of rows, captured once, replayed for any rows.

A graph reads its batch from static buffers: which rows of the state arena (or which tokens) enter, where their keys and
values are written, positions, page tables and lengths. A pass fills a pinned host copy of them, sends it in one
transfer and replays; nothing is recaptured and the host waits for nothing. Boundary states never leave the arena: a
token that waits at a boundary keeps its place there, and regrouping rows means to name other places. Rows up to the
bucket's size are padding: they read a row of zeros and write to a scratch page and a scratch row.

What leaves the GPU is one small tensor for each boundary that is read: tokens and confidences.

All graphs share one memory pool. They may, because they run one after another on one stream and what has to outlive a
replay lies outside of it (arena, pages, results).

Without a GPU (or with `capture` False) the same passes run eagerly through the same buffers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from autoglm_phone.backends.base import AttentionShape, Backend, LayerWeights, SegmentMeta
from autoglm_phone.backends.paged_decode import PagedPlan
from autoglm_phone.errors import EngineError

Ints = npt.NDArray[np.int64]

BUCKETS = (1, 2, 4, 8, 16, 24, 32, 48, 64)
SCRATCH_ROW, ZERO_ROW, FIRST_ROW = 0, 1, 2  # of the arena: what padding writes, what it reads, the first for tokens
RING = 8  # pinned copies of a bucket's inputs: passes that may be on their way at once
WARM_UPS = 2  # runs before a capture: kernels are compiled and libraries allocate their workspaces


class GraphedModel(Protocol):
    """What is captured: runner.decoder.Decoder is one."""

    backend: Backend
    pages: Any
    shape: AttentionShape
    spec: Any  # sliding_layers, sliding_window, attention_sinks, mrope_section, hidden_size
    weights: Any  # segments

    def embed(self, ids: Tensor) -> Tensor: ...
    def logits(self, boundary: Tensor, segment: int | None = None) -> Tensor: ...


@dataclass(frozen=True)
class DecodeRows:
    """Rows of a pass, one token each. Of one sequence they are in the order of their tokens.

    sources: long [n], places in the arena, or token ids for the first segment. places: long [n], where states go in the
    arena. slots: long [n], page * page_size + offset. positions: long [n], or [3, n] for M-RoPE ([1, n]: the
    same on all axes). tables: long [n, P]. lengths: long [n], keys that each row sees, its own included.
    """

    sources: Ints
    places: Ints
    slots: Ints
    positions: Ints
    tables: Ints
    lengths: Ints

    def __len__(self) -> int:
        return self.sources.shape[0]

    def cut(self, first: int, end: int) -> DecodeRows:
        part = slice(first, end)
        return DecodeRows(
            self.sources[part],
            self.places[part],
            self.slots[part],
            self.positions[..., part],
            self.tables[part],
            self.lengths[part],
        )


class _Fields:
    """The inputs of a bucket as views of one flat array of longs (numpy on the host, a tensor on the device)."""

    def __init__(self, flat: Any, bucket: int, axes: int, pages: int):
        self.flat = flat
        ends = np.cumsum([bucket] * 4 + [axes * bucket, bucket * pages]).tolist()
        starts = [0, *ends[:-1]]
        parts = [flat[start:end] for start, end in zip(starts, ends, strict=True)]
        self.sources, self.places, self.slots, self.lengths = parts[:4]
        self.positions = parts[4].reshape(axes, bucket) if axes > 1 else parts[4]
        self.tables = parts[5].reshape(bucket, pages)

    @staticmethod
    def size(bucket: int, axes: int, pages: int) -> int:
        return bucket * (4 + axes + pages)

    def fill(self, rows: DecodeRows, padding: int, scratch: int, page_size: int) -> None:
        """Host side. padding: what padding rows read. scratch: the page that they write to."""
        count, width = len(rows), rows.tables.shape[1]
        self.sources[:count], self.sources[count:] = rows.sources, padding
        self.places[:count], self.places[count:] = rows.places, SCRATCH_ROW
        self.slots[:count], self.slots[count:] = rows.slots, scratch * page_size
        self.lengths[:count], self.lengths[count:] = rows.lengths, 1
        self.positions[..., :count], self.positions[..., count:] = rows.positions, 0
        self.tables[:count, :width], self.tables[count:] = rows.tables, scratch
        self.tables[:count, width:] = scratch


class _Sender:
    """A static device array of longs and a ring of pinned host copies of it."""

    def __init__(self, size: int, device: torch.device):
        self.device = torch.zeros(size, dtype=torch.int64, device=device)
        self._cuda = device.type == "cuda"
        pinned = [torch.zeros(size, dtype=torch.int64, pin_memory=self._cuda) for _ in range(RING if self._cuda else 1)]
        self._copies = pinned
        self.hosts = [copy.numpy() for copy in pinned]
        self._sent = [torch.cuda.Event() for _ in pinned] if self._cuda else []
        self._turn = 0

    def take(self) -> int:
        """A host copy that no transfer reads any more."""
        self._turn = (self._turn + 1) % len(self._copies)
        if self._sent:
            self._sent[self._turn].synchronize()  # of RING passes ago: returns at once
        return self._turn

    def send(self, turn: int) -> None:
        self.device.copy_(self._copies[turn], non_blocking=True)
        if self._sent:
            self._sent[turn].record()


class SegmentGraphs:
    """Passes through segments and exits of a decoder, by graph.

    Args:
        rows: of the state arena, for tokens in hand and waiting ones (beside two of its own).
        max_pages: entries of a row's page table.
        buckets: sizes of batches, rising; a pass with more rows than the largest runs in several.
        capture: make CUDA graphs; None: if the model is on a GPU.
        exit_head: logits of states after so many segments (below the last), in place of the model's own.
        embeds: the first segment takes token ids; False: states of the arena, as the others do.
        scratch_page: a page that belongs to no sequence. page_size: tokens a page.

    Raises:
        EngineError: a bucket list that makes no sense.
    """

    def __init__(
        self,
        model: GraphedModel,
        *,
        rows: int,
        max_pages: int,
        buckets: Sequence[int] = BUCKETS,
        capture: bool | None = None,
        exit_head: Callable[[Tensor, int], Tensor] | None = None,
        embeds: bool = True,
        scratch_page: int = 0,
        page_size: int = 16,
    ):
        if not buckets or list(buckets) != sorted(set(buckets)) or buckets[0] < 1:
            raise EngineError(f"buckets {tuple(buckets)} must be positive and rising")
        backend, spec = model.backend, model.spec
        self.model = model
        self.buckets = tuple(buckets)
        self.max_pages = max_pages
        self.num_segments = len(model.weights.segments)
        self.captures = backend.device.type == "cuda" if capture is None else capture
        self.arena = torch.zeros(rows + FIRST_ROW, spec.hidden_size, dtype=backend.dtype, device=backend.device)
        self.capture_seconds = 0.0
        self.replays = 0
        self._exit_head = exit_head
        self._embeds = embeds
        self.scratch_page, self._page_size = scratch_page, page_size
        self._axes = 3 if spec.mrope_section is not None else 1
        self._senders: dict[int, _Sender] = {}
        self._hosts: dict[int, list[_Fields]] = {}
        self._inputs: dict[int, _Fields] = {}
        self._askers: dict[int, _Sender] = {}
        self._results: dict[int, Tensor] = {}
        self._answers: dict[int, Tensor] = {}
        for bucket in self.buckets:
            sender = _Sender(_Fields.size(bucket, self._axes, max_pages), backend.device)
            self._senders[bucket] = sender
            self._hosts[bucket] = [_Fields(host, bucket, self._axes, max_pages) for host in sender.hosts]
            self._inputs[bucket] = _Fields(sender.device, bucket, self._axes, max_pages)
            self._askers[bucket] = _Sender(bucket, backend.device)
            self._results[bucket] = torch.zeros(2, bucket, dtype=torch.float32, device=backend.device)
            self._answers[bucket] = torch.zeros(2, bucket, dtype=torch.float32, pin_memory=self.captures)
        self._graphs: dict[tuple[str, int, int], torch.cuda.CUDAGraph] = {}
        self._pool = torch.cuda.graph_pool_handle() if self.captures else None

    @property
    def num_graphs(self) -> int:
        return len(self._graphs)

    def bucket(self, rows: int) -> int:
        """The smallest bucket that holds so many rows; the largest if none does."""
        return next((size for size in self.buckets if size >= rows), self.buckets[-1])

    def capture_all(self, *, reads: bool = True) -> None:
        """Make every graph now, so that none is made while requests wait. reads: those of `read` too."""
        for bucket in reversed(self.buckets):  # large ones first: smaller ones fit into their memory
            for segment in range(self.num_segments):
                self._graph("run", segment, bucket)
            for boundary in range(1, self.num_segments + 1 if reads else 1):
                self._graph("read", boundary, bucket)

    @torch.inference_mode()
    def run(self, segment: int, rows: DecodeRows) -> list[int]:
        """Take rows through a segment; returns the buckets used. Does not wait for the device."""
        largest, used = self.buckets[-1], []
        for first in range(0, len(rows), largest):
            part = rows if len(rows) <= largest else rows.cut(first, first + largest)
            bucket = self.bucket(len(part))
            if self.captures:
                self._graph("run", segment, bucket)  # before the inputs are there: see _capture
            self.load(bucket, part, 0 if segment == 0 and self._embeds else ZERO_ROW)
            self.replay("run", segment, bucket)
            used.append(bucket)
        return used

    def load(self, bucket: int, rows: DecodeRows, padding: int = 0) -> None:
        """Fill a bucket's static buffers. padding: what rows behind these read."""
        sender = self._senders[bucket]
        turn = sender.take()
        self._hosts[bucket][turn].fill(rows, padding, self.scratch_page, self._page_size)
        sender.send(turn)

    @torch.inference_mode()
    def read(self, boundary: int, places: Ints) -> tuple[list[int], list[float]]:
        """Likeliest token of each state after so many segments, and its probability. Waits for the device."""
        largest = self.buckets[-1]
        tokens: list[int] = []
        sure: list[float] = []
        for first in range(0, places.shape[0], largest):
            part = places[first : first + largest]
            bucket = self.bucket(part.shape[0])
            sender = self._askers[bucket]
            turn = sender.take()
            sender.hosts[turn][: part.shape[0]] = part
            sender.hosts[turn][part.shape[0] :] = ZERO_ROW
            sender.send(turn)
            self.replay("read", boundary, bucket)
            answer = self._answers[bucket]
            answer.copy_(self._results[bucket], non_blocking=True)
            if self._results[bucket].is_cuda:
                torch.cuda.current_stream().synchronize()
            found = answer.numpy()[:, : part.shape[0]]
            tokens += found[0].astype(np.int64).tolist()
            sure += found[1].tolist()
        return tokens, sure

    def replay(self, kind: str, index: int, bucket: int) -> None:
        """Run a pass over what lies in its static buffers."""
        self.replays += 1
        if self.captures:
            self._graph(kind, index, bucket).replay()
        else:
            self._compute(kind, index, bucket)

    def _graph(self, kind: str, index: int, bucket: int) -> torch.cuda.CUDAGraph:
        key = (kind, index, bucket)
        if key not in self._graphs:
            self._graphs[key] = self._capture(*key)
        return self._graphs[key]

    @torch.inference_mode()
    def _capture(self, kind: str, index: int, bucket: int) -> torch.cuda.CUDAGraph:
        start = time.perf_counter()
        device = self.model.backend.device
        # Warm-up runs do compute: let them see padding alone, not what an earlier pass has left.
        inputs = self._inputs[bucket]
        self._senders[bucket].device.zero_()
        inputs.lengths.fill_(1)
        inputs.tables.fill_(self.scratch_page)
        inputs.slots.fill_(self.scratch_page * self._page_size)
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                self._compute(kind, index, bucket)
        torch.cuda.current_stream(device).wait_stream(stream)
        torch.cuda.synchronize(device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            self._compute(kind, index, bucket)
        self.capture_seconds += time.perf_counter() - start
        return graph

    def _compute(self, kind: str, index: int, bucket: int) -> None:
        """What a graph holds."""
        if kind == "run":
            self._segment(index, self._inputs[bucket])
        else:
            self._exit(index, self._askers[bucket].device, self._results[bucket])

    def _segment(self, segment: int, inputs: _Fields) -> None:
        model, spec = self.model, self.model.spec
        layers: Sequence[LayerWeights] = model.weights.segments[segment]
        by_token = segment == 0 and self._embeds
        states = model.embed(inputs.sources) if by_token else self.arena.index_select(0, inputs.sources)
        plan = PagedPlan(segment, (), (), tables=inputs.tables, lengths=inputs.lengths)
        window = None
        if spec.sliding_layers:
            window = PagedPlan(
                segment,
                (),
                (),
                tables=inputs.tables,
                lengths=inputs.lengths,
                window=spec.sliding_window,
                sinks=spec.attention_sinks,
            )
        meta = SegmentMeta(inputs.slots, plan, window, model.backend.rotary(inputs.positions))
        states = model.backend.run_segment(layers, states, meta, model.pages, model.shape)
        self.arena.index_copy_(0, inputs.places, states)

    def _exit(self, boundary: int, places: Tensor, result: Tensor) -> None:
        states = self.arena.index_select(0, places)
        if self._exit_head is not None and boundary < self.num_segments:
            logits = self._exit_head(states, boundary)
        else:
            logits = self.model.logits(states, boundary - 1)
        best, tokens = logits.max(dim=-1)
        result[0].copy_(tokens)  # a token is exact in float32
        result[1].copy_((best - torch.logsumexp(logits, dim=-1)).exp_())
