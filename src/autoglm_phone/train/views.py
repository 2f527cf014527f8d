"""Pictures as the vision tower gets them, with what only their renderer knows: characters and named regions."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from autoglm_phone.models.native.processing import patch_grid
from autoglm_phone.train.looks import Box
from autoglm_phone.train.world.sample import Picture

REGION_TOKENS = 16
SPOTS = 3  # patches of a region that the losses look at


@dataclass(frozen=True)
class View:
    """A picture as the tower sees it. pixels uint8 [H, W, 3]; glyphs long [N, 2] (patch in its own grid, character id);
    regions: (text, token ids, box as fractions x0, y0, x1, y1, patches in its own grid that belong to it)."""

    pixels: np.ndarray
    glyphs: np.ndarray
    regions: tuple[tuple[str, list[int], tuple[float, float, float, float], list[int]], ...] = ()


def shrink(picture: Picture, max_patches: int, vocabulary: dict[str, int]) -> View:
    """The picture at the tower's size and, for each glyph, the patch that its centre falls into."""
    height, width = picture.pixels.shape[:2]
    rows, cols = patch_grid(height, width, max_patches)
    pixels = picture.pixels
    if (height, width) != (rows * 16, cols * 16):
        image = Image.fromarray(pixels).resize((cols * 16, rows * 16), Image.Resampling.BICUBIC, reducing_gap=2.0)
        pixels = np.asarray(image)
    glyphs = []
    for glyph in picture.glyphs:
        char = vocabulary.get(glyph.char)
        y, x = (glyph.y0 + glyph.y1) / 2 / height * rows, (glyph.x0 + glyph.x1) / 2 / width * cols
        if char is not None and 0 <= y < rows and 0 <= x < cols:
            glyphs.append((int(y) * cols + int(x), char))
    return View(pixels, np.array(glyphs, dtype=np.int64).reshape(-1, 2))


def find_regions(
    picture: Picture, view: View, encode: Callable[[str], list[int]], most: int, rng: random.Random
) -> View:
    """The view with up to `most` of the picture's labelled regions and, for each, patches that belong to it.

    A patch belongs to the smallest region that covers its centre, so that a row does not claim the icon inside it.
    """
    if most == 0:
        return view
    height, width = picture.pixels.shape[:2]
    rows, cols = view.pixels.shape[0] // 16, view.pixels.shape[1] // 16
    owner = np.full((rows, cols), -1)
    sized = sorted(enumerate(picture.regions), key=lambda r: -(r[1].x1 - r[1].x0) * (r[1].y1 - r[1].y0))
    for index, region in sized:
        top, bottom = region.y0 / height * rows, region.y1 / height * rows
        left, right = region.x0 / width * cols, region.x1 / width * cols
        # A region smaller than a patch owns the patch of its centre.
        y0, x0 = min(math.ceil(top - 0.5), int((top + bottom) / 2)), min(math.ceil(left - 0.5), int((left + right) / 2))
        y1, x1 = max(math.floor(bottom + 0.5), y0 + 1), max(math.floor(right + 0.5), x0 + 1)
        owner[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)] = index
    found = []
    for index in rng.sample(range(len(picture.regions)), len(picture.regions)):
        own = np.flatnonzero(owner == index).tolist()
        region = picture.regions[index]
        ids = encode(region.text)[:REGION_TOKENS]
        if own and ids:
            box = (region.x0 / width, region.y0 / height, region.x1 / width, region.y1 / height)
            found.append((region.text, ids, box, rng.sample(own, min(SPOTS, len(own)))))
        if len(found) == most:
            break
    return View(view.pixels, view.glyphs, tuple(found))


def patches_in(box: Box, rows: int, cols: int) -> list[tuple[int, int]]:
    """(row, column) of the patches whose centre a box holds, at least the patch that holds the box's centre."""
    x0, y0, x1, y1 = box
    down = range(max(0, math.ceil(y0 * rows - 0.5)), min(rows - 1, math.floor(y1 * rows - 0.5)) + 1)
    across = range(max(0, math.ceil(x0 * cols - 0.5)), min(cols - 1, math.floor(x1 * cols - 0.5)) + 1)
    # A side shorter than a patch may miss every centre: then the one that its middle falls into counts.
    down = down or range(middle := min(rows - 1, max(0, int((y0 + y1) / 2 * rows))), middle + 1)
    across = across or range(middle := min(cols - 1, max(0, int((x0 + x1) / 2 * cols))), middle + 1)
    return [(y, x) for y in down for x in across]
