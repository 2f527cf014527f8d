"""What happens to a picture between the renderer and the reader: scaling, blur, noise, JPEG, tint."""

from __future__ import annotations

import io
import random
from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter

from autoglm_phone.train.world.sample import Glyph


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


def reframe(
    rng: random.Random, pixels: np.ndarray, glyphs: tuple[Glyph, ...]
) -> tuple[np.ndarray, tuple[Glyph, ...], tuple[float, float, float, float]]:
    """Crops the upper or lower edge, or puts a border around.

    Returns the new picture, its glyphs, and what it shows of the old one: (left, top, width, height) in px.
    """
    h, w = pixels.shape[:2]
    kind = rng.random()
    if kind < 0.6:
        cut = int(h * rng.uniform(0.02, 0.12))
        top, bottom = (cut, h) if rng.random() < 0.5 else (0, h - cut)
        made, dx, dy = pixels[top:bottom], 0, -top
    else:
        x, y = int(w * rng.uniform(0, 0.08)), int(h * rng.uniform(0.005, 0.05))
        made = np.full((h + 2 * y, w + 2 * x, 3), rng.choice((0, 0, 255, 128, 30)), dtype=np.uint8)
        made[y : y + h, x : x + w] = pixels
        dx, dy = x, y
    height, width = made.shape[:2]
    moved = (Glyph(g.char, g.x0 + dx, g.y0 + dy, g.x1 + dx, g.y1 + dy) for g in glyphs)
    kept = tuple(g for g in moved if g.y0 >= 0 and g.y1 <= height)
    return np.ascontiguousarray(made), kept, (-dx, -dy, width, height)


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
