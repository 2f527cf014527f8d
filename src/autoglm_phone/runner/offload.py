"""Decoder weights that come and go, for machines where the whole model does not fit or should not stay.

A `SegmentStore` stands where the decoder keeps its list of segments. On a CPU it is `runner.streaming`'s, layer by
layer. On a GPU it is `PinnedSegments`: `store[i]` makes segment i resident; the first packing leaves a pinned host
copy, from which later loads are copies on a stream of their own, and the next segment's copy starts while this one
computes.

Segments run in a chain, 0, 1, 2, 3, 0, …, where dropping the least recently used is the worst choice: it is the next
one needed. The one whose next turn in the chain is furthest away goes (Belady 1966), which is known here.
"""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, overload

import torch
from torch import Tensor

from autoglm_phone.backends.base import LayerWeights
from autoglm_phone.backends.half import Packed
from autoglm_phone.errors import AutoGLMError, ConfigError, EngineError

logger = logging.getLogger(__name__)

Segment = list[LayerWeights]


def map_tensors(tree: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same handles with every tensor in them changed; walks dataclasses, lists, tuples and dicts."""
    if isinstance(tree, Tensor):
        return change(tree)
    if is_dataclass(tree) and not isinstance(tree, type):
        return replace(tree, **{f.name: map_tensors(getattr(tree, f.name), change) for f in fields(tree) if f.init})
    if isinstance(tree, dict):
        return {key: map_tensors(value, change) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(map_tensors(value, change) for value in tree)
    return tree


def leaves(tree: Any) -> Iterator[Any]:
    """What `map_tensors` walks, and all else that lies in it."""
    if is_dataclass(tree) and not isinstance(tree, type):
        tree = [getattr(tree, f.name) for f in fields(tree) if f.init]
    elif isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, (list, tuple)):
        for part in tree:
            yield from leaves(part)
    else:
        yield tree


def storages(tree: Any) -> dict[int, int]:
    """Bytes by address: what two handles share is there once."""
    found: dict[int, int] = {}
    for leaf in leaves(tree):
        if isinstance(leaf, Tensor):
            storage = leaf.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
        elif isinstance(leaf, Packed):
            found[id(leaf)] = leaf.nbytes
    return found


def segment_bytes(segment: Sequence[LayerWeights]) -> int:
    """Bytes of all that a segment's handles hold."""
    return sum(storages(segment).values())


class SegmentStore(Sequence[Sequence[LayerWeights]]):
    """Segments by index, of which some are not in memory.

    Attributes:
        loads: how often each piece came, by its number. load_ms: what that took, together.
    """

    def __init__(self) -> None:
        self.loads: Counter[int] = Counter()
        self.load_ms = 0.0

    @property
    @abstractmethod
    def resident_bytes(self) -> int:
        """Bytes of weights in memory now, buffers included."""


class PinnedSegments(SegmentStore):
    """As many segments resident as the budget holds (the one in use always is).

    Args:
        pack: reads and packs a segment; called once on a GPU, and elsewhere whenever a dropped one is needed.
        count: number of segments.
        budget: bytes of resident weights; None is the smallest that runs: two segments on a GPU, so that one can arrive
            while the other computes, and elsewhere one.
    """

    def __init__(self, pack: Callable[[int], Segment], count: int, device: torch.device, budget: int | None = None):
        if budget is not None and budget < 1:
            raise ConfigError(f"a segment budget of {budget} bytes makes no sense; give at least 1", param="offload")
        super().__init__()
        self._pack, self._count, self._device, self._budget = pack, count, device, budget
        self._resident: dict[int, Segment] = {}
        self._sizes: dict[int, int] = {}
        self._host: dict[int, Segment] = {}  # GPU: pinned copies
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._arrivals: dict[int, torch.cuda.Event] = {}  # GPU: copies that nobody has waited for yet

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Segment: ...
    @overload
    def __getitem__(self, index: slice) -> list[Segment]: ...
    def __getitem__(self, index: int | slice) -> Segment | list[Segment]:
        """Segment `index`, resident until another one is asked for.

        Raises:
            EngineError: its file can't be read now; the next call tries again.
        """
        if isinstance(index, slice):
            raise EngineError("segments that are offloaded can only be taken one by one")
        index = range(self._count)[index]
        if index not in self._resident:
            self._load(index)
        segment = self._resident[index]
        self._arrive(index, segment)
        self._prefetch((index + 1) % self._count, keep=index)
        return segment

    def __iter__(self) -> Iterator[Segment]:
        return (self[index] for index in range(self._count))

    @property
    def resident(self) -> frozenset[int]:
        return frozenset(self._resident)

    @property
    def resident_bytes(self) -> int:
        return sum(self._sizes[index] for index in self._resident)

    def _load(self, index: int) -> None:
        start = time.perf_counter()
        # A segment that was never seen is taken to be as large as the largest one that was.
        self._make_room(self._sizes.get(index, max(self._sizes.values(), default=0)), index, index)
        try:
            segment = self._pack(index) if self._stream is None else self._copy(index)
        except AutoGLMError as error:
            raise EngineError(f"layers of segment {index} can't be loaded at the moment: {error.message}") from error
        self._resident[index] = segment
        self._sizes[index] = segment_bytes(segment)
        self._make_room(0, index, index)
        self.loads[index] += 1
        self.load_ms += 1000 * (time.perf_counter() - start)

    def _make_room(self, wanted: int, using: int, coming: int) -> None:
        """Drop segments until `wanted` bytes fit, those needed last first; never the ones in use or coming."""
        budget = self._limit()
        order = sorted(self._resident, key=lambda i: (i - using) % self._count, reverse=True)
        for index in order:
            if self.resident_bytes + wanted <= budget:
                return
            if index not in (using, coming):
                del self._resident[index]
                self._arrivals.pop(index, None)

    def _limit(self) -> int:
        if self._budget is not None:
            return self._budget
        return max(self._sizes.values(), default=0) * (1 if self._stream is None else 2)

    def _prefetch(self, index: int, keep: int) -> None:
        """GPU: start the next segment's copy if the budget holds it beside the one in use."""
        if self._stream is None or index in self._resident or index not in self._host:
            return
        size = self._sizes[index]
        if self._sizes[keep] + size > self._limit():
            return
        self._make_room(size, keep, index)
        self._resident[index] = self._copy(index)
        self.loads[index] += 1

    def _copy(self, index: int) -> Segment:
        """Device copy of a segment, begun on the copy stream."""
        stream = self._stream
        if stream is None:
            raise EngineError("segments are copied from pinned memory on a GPU only")
        if index not in self._host:
            packed = self._pack(index)
            self._host[index] = map_tensors(packed, lambda t: t.cpu().pin_memory())
            logger.info("segment %d: %.1f MB in pinned host memory", index, segment_bytes(packed) / 1e6)
            return packed
        with torch.cuda.stream(stream):
            segment = map_tensors(self._host[index], lambda t: t.to(self._device, non_blocking=True))
            event = torch.cuda.Event()
            event.record(stream)
        self._arrivals[index] = event
        return segment

    def _arrive(self, index: int, segment: Segment) -> None:
        """GPU: let the computation wait for a copy under way, and keep its memory until the computation is done."""
        event = self._arrivals.pop(index, None)
        if event is None:
            return
        compute = torch.cuda.current_stream(self._device)
        compute.wait_event(event)

        def record(tensor: Tensor) -> Tensor:
            tensor.record_stream(compute)
            return tensor

        map_tensors(segment, record)
