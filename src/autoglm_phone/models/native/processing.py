"""Pictures and sound as the native towers eat them. numpy and Pillow only; the runner makes the tensors.

A picture becomes {"pixels": uint8 [H, W, 3]} with H and W multiples of 16 and at most `max_patches` patches; its
tower input is `pixels / 127.5 - 1` as [3, H, W]. A recording becomes one or more {"mel": float32 [bins, T]}.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from autoglm_phone.models.native.mel import HOP, SAMPLE_RATE, log_mel
from autoglm_phone.models.processed import Processed

if TYPE_CHECKING:  # transformers stays out of the server
    from autoglm_phone.models.native.configuration import AutoGLMPhoneConfig
    from autoglm_phone.models.native.shape import NativeShape

MIN_PATCHES = 16  # a tiny icon is enlarged to at least this many patches


def patch_grid(height: int, width: int, max_patches: int, patch: int = 16) -> tuple[int, int]:
    """(rows, columns) of patches for a picture: aspect ratio kept, enlarged only if tiny, at most max_patches."""
    scale = min(1.0, math.sqrt(max_patches * patch * patch / (height * width)))
    if height * width < MIN_PATCHES * patch * patch:
        scale = math.sqrt(MIN_PATCHES * patch * patch / (height * width))
    rows = max(1, round(height * scale / patch))
    cols = max(1, round(width * scale / patch))
    if rows * cols > max_patches:  # rounding up, or an extreme aspect ratio
        if rows >= cols:
            rows = max(1, max_patches // cols)
        else:
            cols = max(1, max_patches // rows)
    return min(rows, max_patches), min(cols, max_patches)


def content_hash(kind: str, *arrays: np.ndarray) -> str:
    """SHA-256 over kind, shapes, types and bytes."""
    digest = hashlib.sha256(kind.encode())
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def resize_picture(image: Image.Image, max_patches: int, patch: int = 16) -> np.ndarray:
    """RGB picture → uint8 [rows*patch, cols*patch, 3], bicubic with antialiasing."""
    rows, cols = patch_grid(image.height, image.width, max_patches, patch)
    size = (cols * patch, rows * patch)
    if image.mode != "RGB":
        image = image.convert("RGB")
    if image.size != size:
        image = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    return np.asarray(image, dtype=np.uint8)


class NativeProcessor:
    """Processor of native checkpoints (see models.registry.load_processor)."""

    def __init__(self, config: AutoGLMPhoneConfig | NativeShape, max_pixels: int | None = None):
        vision = config.vision_config
        self.patch = vision.patch_size
        self.max_patches = vision.max_patches
        if max_pixels is not None:
            self.max_patches = max(1, min(self.max_patches, max_pixels // (self.patch * self.patch)))
        self.bins = config.audio_config.num_mel_bins
        self.max_samples = int(config.audio_config.max_seconds * SAMPLE_RATE)

    def image(self, image: Image.Image) -> Processed:
        pixels = resize_picture(image, self.max_patches, self.patch)
        return Processed("image", {"pixels": pixels}, 1, content_hash("image", pixels))

    def audio(self, samples: np.ndarray) -> list[Processed]:
        """One clip a `max_seconds` of recording, cut where it is quietest."""
        out = []
        for clip in split_quiet(samples, self.max_samples):
            mel = log_mel(clip, self.bins)
            out.append(Processed("audio", {"mel": mel}, 1, content_hash("audio", mel)))
        return out


def split_quiet(samples: np.ndarray, limit: int) -> list[np.ndarray]:
    """Cut a recording into pieces of at most `limit` samples, at the quietest 50 ms of each piece's last third."""
    pieces = []
    while samples.shape[0] > limit:
        start = limit * 2 // 3
        window = 5 * HOP
        energy = np.square(samples[start:limit]).reshape(-1)[: (limit - start) // window * window]
        cut = start + int(energy.reshape(-1, window).sum(-1).argmin()) * window + window // 2
        pieces.append(samples[:cut])
        samples = samples[cut:]
    pieces.append(samples)
    return pieces
