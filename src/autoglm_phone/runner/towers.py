"""Vision and audio towers: loaded when a request first needs them, their outputs cached by content hash."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from autoglm_phone.engine.request import MediaItem
from autoglm_phone.errors import CheckpointError, EngineError, InvalidRequestError
from autoglm_phone.runner.checkpoint import Checkpoint
from autoglm_phone.runner.lru import ByteLRU
from autoglm_phone.runner.spec import DecoderSpec

logger = logging.getLogger(__name__)


class Towers(ABC):
    """Media → states for the decoder, [M, H] in the decoder's dtype.

    Args:
        limit_bytes: how much output to keep.
    """

    kinds: frozenset[str]

    def __init__(
        self, spec: DecoderSpec, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype, limit_bytes: int
    ):
        self.spec = spec
        self.checkpoint = checkpoint
        self.device = device
        self.dtype = dtype
        self.cache: ByteLRU[str, Tensor] = ByteLRU(limit_bytes)
        self.runs: dict[str, int] = {"image": 0, "audio": 0}
        self._loaded: dict[str, nn.Module] = {}

    @property
    def loaded(self) -> frozenset[str]:
        """Kinds whose tower is in memory."""
        return frozenset(self._loaded)

    def validate(self, item: MediaItem) -> None:
        """Raises InvalidRequestError if the model has no tower of this kind."""
        if item.kind not in self.kinds:
            raise InvalidRequestError(
                f"this model takes no {item.kind}; it takes {', '.join(sorted(self.kinds)) or 'text'}"
            )

    def encode(self, item: MediaItem) -> Tensor:
        """States of one medium, from the cache or the tower."""
        self.validate(item)
        states = self.cache.get(item.content_hash)
        if states is None:
            states = self._encode(self._tower(item.kind), item).to(self.dtype)
            self.runs[item.kind] += 1
            self.cache.put(item.content_hash, states, states.nbytes)
        return states

    def transcript(self, item: MediaItem) -> str:
        """The audio tower's own reading of a clip."""
        raise InvalidRequestError("this model has no audio tower")

    def _tower(self, kind: str) -> Any:
        tower = self._loaded.get(kind)
        if tower is None:
            start = time.perf_counter()
            tower = self._build(kind).to(device=self.device, dtype=self.dtype).eval().requires_grad_(False)
            self._loaded[kind] = tower
            logger.info("loaded the %s tower in %.0f ms", kind, 1000 * (time.perf_counter() - start))
        return tower

    def _load(self, tower: nn.Module, tensors: dict[str, Tensor], kind: str) -> nn.Module:
        try:
            tower.load_state_dict(tensors, assign=True)
        except RuntimeError as error:
            raise CheckpointError(f"the {kind} tower's tensors do not fit config.json: {error}") from error
        return tower

    @abstractmethod
    def _build(self, kind: str) -> nn.Module: ...

    @abstractmethod
    def _encode(self, tower: Any, item: MediaItem) -> Tensor: ...


class NativeTowers(Towers):
    """Light ViT on {"pixels": uint8 [H, W, 3]} and Whisper-Lite on {"mel": float32 [bins, T]}."""

    kinds = frozenset({"image", "audio"})

    def _build(self, kind: str) -> nn.Module:
        from autoglm_phone.models.native.audio import AudioTower
        from autoglm_phone.models.native.vision import VisionTower

        config, hidden = self.spec.config, self.spec.hidden_size
        with torch.device("meta"):
            tower: nn.Module
            if kind == "image":
                tower = VisionTower(config.vision_config, hidden)
            else:
                tower = AudioTower(config.audio_config, hidden)
        return self._load(tower, self.checkpoint.under("model.vision." if kind == "image" else "model.audio."), kind)

    def _encode(self, tower: Any, item: MediaItem) -> Tensor:
        if item.kind == "image":
            pixels = torch.tensor(item.data["pixels"], device=self.device)  # a copy: the array may be read-only
            picture = (pixels.permute(2, 0, 1).float() / 127.5 - 1)[None].to(self.dtype)
            states, _ = tower(picture, None)
        else:
            states, _, _ = tower(self._mel(item), None)
        return states[0]

    def transcript(self, item: MediaItem) -> str:
        if item.kind != "audio":
            raise InvalidRequestError(f"only sound can be transcribed, not {item.kind}")
        tower = self._tower("audio")
        with torch.inference_mode():
            _, _, logits = tower(self._mel(item), None)
        return tower.transcript(logits[0].float())

    def _mel(self, item: MediaItem) -> Tensor:
        return torch.tensor(item.data["mel"], device=self.device, dtype=self.dtype)[None]


class Glm4vTowers(Towers):
    """The vision tower of GLM-4.1V."""

    kinds = frozenset({"image"})

    def _build(self, kind: str) -> nn.Module:
        from autoglm_phone.models.glm4v.vision import VisionTower
        from autoglm_phone.models.glm4v.weights import tower_state

        with torch.device("meta"):
            tower = VisionTower(self.spec.config.vision)
        return self._load(tower, tower_state(self.checkpoint.under("model.visual.")), kind)

    def _encode(self, tower: Any, item: MediaItem) -> Tensor:
        states = tower.encode(item.data)
        if states.shape[0] != item.length:
            raise EngineError(f"a picture gave {states.shape[0]} states for its {item.length} prompt tokens")
        return states
