"""Decoder layers that are read when a pass goes there, for machines whose memory the whole decoder would fill.

On a CPU, `StreamedSegments` stands where the decoder keeps its list of segments. The first segment, which every token
runs, stays in memory; of the deeper layers stay those that the budget holds, shallowest first, and the others are read
from the checkpoint's files one by one, each into the memory of the one before. Where most tokens leave after the first
segment, most of the decoder is never touched; and a pass through everything needs one layer's room, not a segment's.

Reading costs what the layer's bytes cost to copy from the system's page cache (2.2 ms a layer of the mini model, 4.8 ms
of the INT4 one, on one of two busy cores), or from the disk where that does not hold them.

The shallowest stay because no token reaches a deeper layer without them. In a chain that is walked from the front,
keeping any fixed set also loads no more than the optimum for one budget does (Belady 1966), one layer aside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

import torch

from autoglm_phone.backends.base import LayerWeights
from autoglm_phone.errors import AutoGLMError, CheckpointError, EngineError
from autoglm_phone.runner.offload import SegmentStore, segment_bytes

Tensors = Mapping[str, Any]


class LayerTensors:
    """Tensors of one layer that were read together, under the names that a checkpoint has for them."""

    def __init__(self, prefix: str, tensors: Tensors):
        self._prefix, self._tensors = prefix, tensors

    def __contains__(self, name: str) -> bool:
        return name.removeprefix(self._prefix) in self._tensors

    def get(self, name: str, shape: tuple[int, ...] | None = None) -> Any:
        """As Checkpoint.get."""
        if name not in self:
            raise CheckpointError(f"the checkpoint has no tensor {name}: it is incomplete or of another kind")
        tensor = self._tensors[name.removeprefix(self._prefix)]
        if shape is not None and tuple(tensor.shape) != shape:
            raise CheckpointError(f"tensor {name} has shape {tuple(tensor.shape)}; config.json asks for {shape}")
        # A backend may keep a vector as it is, which must not keep all that was read with it.
        return tensor.clone() if isinstance(tensor, torch.Tensor) and tensor.dim() == 1 else tensor


class StreamedSegments(SegmentStore):
    """Segments by index; a deeper one is a sequence whose layers are read as it is walked.

    Args:
        read: a layer's tensors, as they are stored, in memory of their own.
        pack: (layer, its tensors, handles whose memory may be used again) → handles.
        cuts: [(first layer, end)) of the segments.
        budget: bytes of layers, all buffers included; less than the least that runs means just that.

    Attributes:
        loads: how often each layer was read.

    Raises:
        CheckpointError: a layer does not fit the configuration. Each is read once at start to find out.
    """

    def __init__(
        self,
        read: Callable[[int], Tensors],
        pack: Callable[[int, Tensors, LayerWeights | None], LayerWeights],
        cuts: Sequence[tuple[int, int]],
        budget: int = 0,
    ):
        super().__init__()
        self._read, self._pack, self._cuts = read, pack, tuple(cuts)
        self._sizes: dict[int, int] = {}
        self._staged = 0  # bytes of the largest layer as it is stored: they are there beside the handles made of them
        self._kept: dict[int, LayerWeights] = {}
        self._buffer: LayerWeights | None = None
        self._taken: Callable[[], int] = lambda: 0
        first, end = cuts[0]
        for index in range(first, end):
            self._kept[index] = self._load(index, None)
        self._first_bytes = sum(self._sizes.values())
        for index in range(end, self._cuts[-1][1]):
            self._stream(index)
        self._buffer = None  # made again when a pass needs it
        deep = [self._sizes[i] for i in range(end, self._cuts[-1][1])]
        self.least = self._first_bytes + max(deep, default=0) + self._staged
        everything = self._first_bytes + sum(deep)  # needs no buffer
        self._room = sum(deep) if budget >= everything else max(0, budget - self.least)
        self._fill()
        self.loads.clear()

    def share(self, room: int, taken: Callable[[], int]) -> None:
        """Let layers beyond the least take `room` bytes, less what `taken` says that others hold of them now."""
        self._room, self._taken = room, taken
        self.give_room(0)
        self._fill()

    def give_room(self, wanted: int) -> None:
        """Others are about to take so many bytes: drop the buffer, and layers until these fit, deepest first."""
        self._buffer = None
        deep = sorted((i for i in self._kept if i >= self._cuts[0][1]), reverse=True)
        for index in deep:
            if self._deep_bytes() <= self._free() - wanted:
                return
            del self._kept[index]

    def __len__(self) -> int:
        return len(self._cuts)

    @overload
    def __getitem__(self, index: int) -> Sequence[LayerWeights]: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sequence[LayerWeights]]: ...
    def __getitem__(self, index: int | slice) -> Sequence[LayerWeights] | list[Sequence[LayerWeights]]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        return StreamedLayers(self, *self._cuts[range(len(self))[index]])

    def layer(self, index: int) -> LayerWeights:
        """Handles of a layer, valid until the next one is asked for.

        Raises:
            EngineError: its file can't be read now; the next call tries again.
        """
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        try:
            if self._deep_bytes() + self._sizes[index] <= self._free():
                return self._kept.setdefault(index, self._load(index, None))
            return self._stream(index)
        except (AutoGLMError, OSError) as error:
            why = error.message if isinstance(error, AutoGLMError) else "its file can't be read"
            raise EngineError(f"layer {index} can't be loaded at the moment: {why}") from error

    @property
    def kept(self) -> frozenset[int]:
        """Layers in memory; the buffer's is not among them."""
        return frozenset(self._kept)

    @property
    def resident_bytes(self) -> int:
        """With what reading a layer takes, once one was read and until its room was given away."""
        buffer = 0 if self._buffer is None else segment_bytes([self._buffer]) + self._staged
        return self._first_bytes + self._deep_bytes() + buffer

    def streamed(self, segment: int) -> int:
        """Layers of a segment that a pass would have to read now."""
        return sum(index not in self._kept for index in range(*self._cuts[segment]))

    def _fill(self) -> None:
        for index in range(self._cuts[0][1], self._cuts[-1][1]):
            if self._deep_bytes() + self._sizes[index] > self._free():
                return
            if index not in self._kept:
                self._kept[index] = self._load(index, None)

    def _free(self) -> int:
        return max(0, self._room - self._taken())

    def _deep_bytes(self) -> int:
        return sum(self._sizes[index] for index in self._kept) - self._first_bytes

    def _stream(self, index: int) -> LayerWeights:
        made = self._load(index, self._buffer)
        # Few layers have cross-attention: the others leave its memory for the next one that does.
        spare = None if self._buffer is None else self._buffer.cross
        self._buffer = made if made.cross is not None else replace(made, cross=spare)
        return made

    def _load(self, index: int, into: LayerWeights | None) -> LayerWeights:
        start = time.perf_counter()
        with torch.inference_mode():  # memory that was first written inside of it may not be written outside
            tensors = self._read(index)
            made = self._pack(index, tensors, into)
        self._staged = max(self._staged, sum(tensor.nbytes for tensor in tensors.values()))
        if index not in self._sizes:
            self._sizes[index] = segment_bytes([made])
        self.loads[index] += 1
        self.load_ms += 1000 * (time.perf_counter() - start)
        return made


class StreamedLayers(Sequence[LayerWeights]):
    """Layers [first, end) of a store. Each is valid until the next one is taken."""

    def __init__(self, store: StreamedSegments, first: int, end: int):
        self._store, self._layers = store, range(first, end)

    def __len__(self) -> int:
        return len(self._layers)

    @overload
    def __getitem__(self, index: int) -> LayerWeights: ...
    @overload
    def __getitem__(self, index: slice) -> list[LayerWeights]: ...
    def __getitem__(self, index: int | slice) -> LayerWeights | list[LayerWeights]:
        if isinstance(index, slice):
            raise EngineError("layers that are streamed can only be taken one by one")
        return self._store.layer(self._layers[index])

    def __iter__(self) -> Iterator[LayerWeights]:
        return (self._store.layer(index) for index in self._layers)
