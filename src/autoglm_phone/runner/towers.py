"""Vision and audio towers: loaded when a request first needs them, their outputs cached by content hash.

Every call says what happened in a `TowerEvent`; whoever wants to know (a request's trace, metrics) listens for the time
of a block with `listening`.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from autoglm_phone.backends.quantized_modules import replace_linears
from autoglm_phone.engine.request import MediaItem
from autoglm_phone.errors import EngineError, InvalidRequestError
from autoglm_phone.runner.checkpoint import Checkpoint
from autoglm_phone.runner.lru import ByteLRU
from autoglm_phone.runner.quantized import QuantizedCheckpoint, reader
from autoglm_phone.runner.spec import DecoderSpec
from autoglm_phone.runner.tower_store import TowerStore


class TowerEvent(NamedTuple):
    """An entry of Trace.towers. ms: loading and running. cold: the weights had to be loaded. states: what it gave."""

    name: str
    how: Literal["ran", "cached"]
    ms: float
    cold: bool
    states: int = 0


class Towers(ABC):
    """Media → states for the decoder, [M, H] in the decoder's dtype.

    Args:
        limit_bytes: how much output to keep.
        memory: bytes of weights to keep; None: all, or with `idle` the largest tower.
        idle: seconds for which an unused tower stays; None: for ever.
    """

    kinds: frozenset[str]
    prefixes: dict[str, str]  # of each kind's tensors

    def __init__(
        self,
        spec: DecoderSpec,
        checkpoint: Checkpoint | QuantizedCheckpoint,
        device: torch.device,
        dtype: torch.dtype,
        limit_bytes: int,
        memory: int | None = None,
        idle: float | None = None,
    ):
        self.spec = spec
        self.device = device
        self.dtype = dtype
        self.cache: ByteLRU[str, Tensor] = ByteLRU(limit_bytes)
        self.runs: dict[str, int] = {"image": 0, "audio": 0}
        self._shards = reader(checkpoint)
        if memory is None and idle is not None:
            memory = self.largest_bytes
        self.store = TowerStore(
            self._empty,
            self._read,
            lambda kind: self._shards.nbytes(self.prefixes[kind], dtype),
            device,
            dtype,
            memory,
            idle,
        )
        self._listeners: list[Callable[[TowerEvent], None]] = []

    @property
    def loaded(self) -> frozenset[str]:
        """Kinds whose tower is in memory."""
        return self.store.loaded

    @property
    def loaded_bytes(self) -> int:
        return self.store.loaded_bytes

    @property
    def largest_bytes(self) -> int:
        """Of the largest tower, once loaded."""
        return max((self._shards.nbytes(self.prefixes[kind], self.dtype) for kind in self.kinds), default=0)

    def load_all(self) -> None:
        """Load every tower that the memory budget holds (what a static graph does at its start)."""
        for kind in sorted(self.kinds):
            with self.store.use(kind):
                pass

    @contextmanager
    def listening(self, callback: Callable[[TowerEvent], None]) -> Iterator[None]:
        """Call back for each tower that runs, or is found to have run, inside the block."""
        self._listeners.append(callback)
        try:
            yield
        finally:
            self._listeners.remove(callback)

    def note_cached(self, kind: str) -> None:
        """What the tower would have given was found in a cache (this class's own, or one further down)."""
        self._tell(TowerEvent(kind, "cached", 0.0, False))

    def validate(self, item: MediaItem) -> None:
        """Raises InvalidRequestError if the model has no tower of this kind."""
        if item.kind not in self.kinds:
            raise InvalidRequestError(
                f"this model takes no {item.kind}; it takes {', '.join(sorted(self.kinds)) or 'text'}"
            )

    def encode(self, item: MediaItem) -> Tensor:
        """States of one medium, from the cache or the tower.

        Raises:
            EngineError: the tower's weights can't be read now.
        """
        self.validate(item)
        states = self.cache.get(item.content_hash)
        if states is not None:
            self.note_cached(item.kind)
            return states
        start = time.perf_counter()
        with self.store.use(item.kind) as (tower, cold):
            states = self._encode(tower, item).to(self.dtype)
        self.runs[item.kind] += 1
        self.cache.put(item.content_hash, states, states.nbytes)
        self._tell(TowerEvent(item.kind, "ran", 1000 * (time.perf_counter() - start), cold, len(states)))
        return states

    def transcript(self, item: MediaItem) -> str:
        """The audio tower's own reading of a clip."""
        raise InvalidRequestError("this model has no audio tower")

    def _tell(self, event: TowerEvent) -> None:
        for callback in self._listeners:
            callback(event)

    def _read(self, kind: str) -> dict[str, Any]:
        return self._shards.under(self.prefixes[kind])

    def _empty(self, kind: str) -> nn.Module:
        """The tower without weights, and with places for packed linears where the checkpoint has them."""
        tower = self._skeleton(kind)
        if isinstance(self._shards, QuantizedCheckpoint):
            replace_linears(tower, self._shards.quantized(self.prefixes[kind]))
        return tower

    @abstractmethod
    def _skeleton(self, kind: str) -> nn.Module: ...

    @abstractmethod
    def _encode(self, tower: Any, item: MediaItem) -> Tensor: ...


class NativeTowers(Towers):
    """Light ViT on {"pixels": uint8 [H, W, 3]} and Whisper-Lite on {"mel": float32 [bins, T]}."""

    kinds = frozenset({"image", "audio"})
    prefixes = {"image": "model.vision.", "audio": "model.audio."}  # noqa: RUF012  (never changed)

    def _skeleton(self, kind: str) -> nn.Module:
        from autoglm_phone.models.native.audio import AudioTower
        from autoglm_phone.models.native.vision import VisionTower

        config, hidden = self.spec.config, self.spec.hidden_size
        if kind == "image":
            return VisionTower(config.vision_config, hidden)
        return AudioTower(config.audio_config, hidden)

    def _encode(self, tower: Any, item: MediaItem) -> Tensor:
        from autoglm_phone.models.native.vision import kept_patches
        from autoglm_phone.runner import encoder_pass

        quick = encoder_pass.serves(tower)
        if quick and item.kind == "audio":
            return encoder_pass.hear(tower, self._mel(item)[0])
        if item.kind == "image":
            pixels = torch.tensor(item.data["pixels"], device=self.device)  # a copy: the array may be read-only
            if quick:
                return encoder_pass.see(tower, pixels)
            planes = pixels.permute(2, 0, 1)[None]
            kept = kept_patches(planes, tower.config)  # of the eight bits: bfloat16 would move the border
            states, _ = tower((planes.float() / 127.5 - 1).to(self.dtype), None, kept)
        else:
            states, _, _ = tower(self._mel(item), None)
        return states[0]

    def transcript(self, item: MediaItem) -> str:
        if item.kind != "audio":
            raise InvalidRequestError(f"only sound can be transcribed, not {item.kind}")
        with self.store.use("audio") as (tower, _), torch.inference_mode():
            module: Any = tower
            _, _, logits = module(self._mel(item), None)
            return module.transcript(logits[0].float())

    def _mel(self, item: MediaItem) -> Tensor:
        return torch.tensor(item.data["mel"], device=self.device, dtype=self.dtype)[None]


class Glm4vTowers(Towers):
    """The vision tower of GLM-4.1V."""

    kinds = frozenset({"image"})
    prefixes = {"image": "model.visual."}  # noqa: RUF012  (never changed)

    def _skeleton(self, kind: str) -> nn.Module:
        from autoglm_phone.models.glm4v.vision import VisionTower

        return VisionTower(self.spec.config.vision)

    def _read(self, kind: str) -> dict[str, Any]:
        from autoglm_phone.models.glm4v.weights import tower_state

        return tower_state(super()._read(kind))

    def _encode(self, tower: Any, item: MediaItem) -> Tensor:
        states = tower.encode(item.data)
        if states.shape[0] != item.length:
            raise EngineError(f"a picture gave {states.shape[0]} states for its {item.length} prompt tokens")
        return states
