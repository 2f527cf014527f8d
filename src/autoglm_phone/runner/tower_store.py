"""Which towers are in memory: loaded on first need, dropped least-recently-used under a byte budget, never in use.

On a CPU a dropped tower is read from its file again (the page cache makes that a copy). On a GPU the first load leaves
a pinned host copy behind, and later loads are asynchronous copies from it on a stream of their own.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from autoglm_phone.backends.quantized_modules import load_state
from autoglm_phone.errors import AutoGLMError, CheckpointError, EngineError
from autoglm_phone.runner.offload import map_tensors

logger = logging.getLogger(__name__)

# What the log says a tower is and does.
DESCRIPTION = {"image": ("ViT", "image"), "audio": ("Whisper-Lite", "audio")}


class TowerStore:
    """Towers by kind.

    Args:
        skeleton: makes a kind's module without weights (on the meta device).
        read: reads a kind's state dict, on the CPU.
        size: bytes of a kind's weights once loaded.
        budget: bytes that loaded towers may take; None: any. A tower larger than it is loaded for its use only.
        idle: seconds after which `rest` drops a tower that nobody used; None: never.

    Attributes:
        give_room: told how many bytes a tower is about to take, so that others who share memory with towers give way.
        peak_bytes: the most that was loaded since somebody last set it.
    """

    def __init__(
        self,
        skeleton: Callable[[str], nn.Module],
        read: Callable[[str], dict[str, Any]],
        size: Callable[[str], int],
        device: torch.device,
        dtype: torch.dtype,
        budget: int | None = None,
        idle: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.device = device
        self.dtype = dtype
        self.budget = budget
        self.idle = idle
        self.peak_bytes = 0
        self.give_room: Callable[[int], None] = lambda wanted: None
        self._clock = clock
        self._used: dict[str, float] = {}  # when each tower was used last
        self.loads: Counter[str] = Counter()
        self.unloads: Counter[str] = Counter()
        self._skeleton, self._read, self._size = skeleton, read, size
        self._loaded: OrderedDict[str, tuple[nn.Module, int]] = OrderedDict()  # least recently used first
        self._in_use: Counter[str] = Counter()
        self._pinned: dict[str, dict[str, Any]] = {}
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    @property
    def loaded(self) -> frozenset[str]:
        return frozenset(self._loaded)

    @property
    def loaded_bytes(self) -> int:
        """Of the towers on the device. Pinned host copies do not count: they are what offloading moves weights to."""
        return sum(size for _, size in self._loaded.values())

    @contextmanager
    def use(self, kind: str) -> Iterator[tuple[nn.Module, bool]]:
        """(the tower, whether it had to be loaded), safe from being dropped until the block ends.

        Raises:
            EngineError: its weights can't be read now. The next call tries again.
        """
        cold = kind not in self._loaded
        if cold:
            self._load(kind)
        self._loaded.move_to_end(kind)
        self._in_use[kind] += 1
        try:
            yield self._loaded[kind][0], cold
        finally:
            self._in_use[kind] -= 1
            self._used[kind] = self._clock()
            self._make_room(0)

    def rest(self) -> None:
        """Drop towers that nobody has used for a while. Cheap; call it between steps."""
        if self.idle is None or not self._loaded:
            return
        now = self._clock()
        for kind in [kind for kind in self._loaded if now - self._used.get(kind, now) >= self.idle]:
            self.drop(kind)

    def drop(self, kind: str) -> bool:
        """Unload a tower; False if it is in use or not loaded."""
        if kind not in self._loaded or self._in_use[kind]:
            return False
        _, size = self._loaded.pop(kind)
        self.unloads[kind] += 1
        name, what = DESCRIPTION[kind]
        logger.info("[DYNAMIC GRAPH] Offloading %s encoder of %s (%.1f MB)", name, what, size / 1e6)
        return True

    def _load(self, kind: str) -> None:
        start = time.perf_counter()
        name, what = DESCRIPTION[kind]
        logger.info("[DYNAMIC GRAPH] Loading %s encoder for %s processing", name, what)
        try:
            self._make_room(self._size(kind))
            self.give_room(self._size(kind))
            tower = self._assemble(kind, self._weights(kind))
        except (AutoGLMError, OSError, RuntimeError) as error:
            logger.error("the %s tower can't be loaded: %s", kind, error)
            raise EngineError(
                f"the {kind} tower can't be loaded at the moment ({_short(error)}); requests without {kind} input "
                "are not affected"
            ) from error
        size = sum(tensor.nbytes for tensor in tower.state_dict().values())
        self._loaded[kind] = (tower, size)
        self.peak_bytes = max(self.peak_bytes, self.loaded_bytes)
        self.loads[kind] += 1
        ms = 1000 * (time.perf_counter() - start)
        logger.info("loaded the %s tower in %.0f ms (%.1f MB)", kind, ms, size / 1e6)

    def _make_room(self, wanted: int) -> None:
        """Drop idle towers, least recently used first, until `wanted` bytes fit."""
        if self.budget is None:
            return
        for kind in list(self._loaded):
            if self.loaded_bytes + wanted <= self.budget:
                return
            self.drop(kind)

    def _weights(self, kind: str) -> dict[str, Any]:
        """State dict on the device, in the engine's dtype; weights of quantized linears are packed."""
        if self._stream is None:
            return {name: self._cast(tensor) for name, tensor in self._read(kind).items()}
        if kind not in self._pinned:
            self._pinned[kind] = {
                name: map_tensors(self._cast(tensor), Tensor.pin_memory) for name, tensor in self._read(kind).items()
            }
        compute = torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self._stream):
            weights = map_tensors(self._pinned[kind], lambda t: t.to(self.device, non_blocking=True))
        compute.wait_stream(self._stream)

        def record(tensor: Tensor) -> Tensor:
            tensor.record_stream(compute)  # freed only after the kernels that read it
            return tensor

        map_tensors(weights, record)
        return weights

    def _cast(self, tensor: Any) -> Any:
        """Packed weights keep their scales as they are."""
        return tensor.to(self.dtype) if isinstance(tensor, Tensor) and tensor.is_floating_point() else tensor

    def _assemble(self, kind: str, weights: dict[str, Any]) -> nn.Module:
        with torch.device("meta"):
            tower = self._skeleton(kind)
        try:
            load_state(tower, weights, self.device, self.dtype)
        except RuntimeError as error:
            raise CheckpointError(f"the {kind} tower's tensors do not fit config.json: {error}") from error
        return tower.eval().requires_grad_(False)


def _short(error: Exception) -> str:
    """For the client: our own words, but never the text of an unexpected error."""
    return error.message if isinstance(error, AutoGLMError) else "its files can't be read"
