"""Labelled regions of a picture: from what a renderer noted to what a sample carries."""

from __future__ import annotations

from collections.abc import Iterable

from autoglm_phone.train.world.sample import Region

MOST = 64  # regions of one picture
_THINNEST = 2.0  # px; what is left of a box at the border must be at least this wide and high


def finished(noted: Iterable[Region], width: int, height: int, shrink: float = 1.0) -> tuple[Region, ...]:
    """The first `MOST` named regions that a picture of width × height px shows, clipped to it.

    shrink: by how much the picture was reduced after its regions were noted.
    """
    kept: list[Region] = []
    for region in noted:
        x0, x1 = (min(float(width), max(0.0, v / shrink)) for v in (region.x0, region.x1))
        y0, y1 = (min(float(height), max(0.0, v / shrink)) for v in (region.y0, region.y1))
        text = region.text.strip()
        if text and x1 - x0 >= _THINNEST and y1 - y0 >= _THINNEST:
            kept.append(Region(text, x0, y0, x1, y1))
    return tuple(kept[:MOST])
