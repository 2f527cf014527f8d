"""What happens to a picture between the renderer and the reader: scaling, blur, noise, JPEG, tint."""

from __future__ import annotations

import io
import random
from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter


@lru_cache(maxsize=4)
def _noise(seed: int) -> np.ndarray:
    """Tile of unit Gaussian noise × 16, int16 [256, 256, 3]; made once, since drawing it is slow."""
    return (np.random.default_rng(seed).normal(0, 16, (256, 256, 3))).astype(np.int16)


def _add_noise(pixels: np.ndarray, rng: random.Random) -> np.ndarray:
    h, w = pixels.shape[:2]
    sigma = rng.randint(1, 6)
    tile = (np.roll(_noise(rng.randrange(4)), rng.randrange(256), axis=rng.randrange(2)) * sigma) >> 4
    reps = (-(-h // 256), -(-w // 256), 1)
    return np.clip(pixels.astype(np.int16) + np.tile(tile, reps)[:h, :w], 0, 255).astype(np.uint8)


def _jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def degrade(pixels: np.ndarray, rng: random.Random, strength: float = 1.0) -> np.ndarray:
    """A mildly worse copy of the picture, or the picture itself (six times in ten). Sizes stay the same."""
    if rng.random() < 0.6:
        return pixels
    kind = rng.random()
    if kind < 0.45:
        return _jpeg(pixels, rng.randint(45, 92))
    if kind < 0.65:
        return _add_noise(pixels, rng)
    if kind < 0.8 and pixels.size < 3_000_000:  # slow, and hardly seen, on large pictures
        image = Image.fromarray(pixels).filter(ImageFilter.BoxBlur(rng.uniform(0.2, 0.6) * strength))
        return np.asarray(image)
    gain, offset = rng.uniform(0.85, 1.1), rng.uniform(-12, 12)
    table = np.clip(np.arange(256) * gain + offset, 0, 255).astype(np.uint8)
    return table[pixels]
