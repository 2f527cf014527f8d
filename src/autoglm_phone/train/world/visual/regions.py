"""Places in words: the nine regions of a picture, and the 0–999 grid that answers use."""

from __future__ import annotations

from autoglm_phone.train.world.sample import Lang

_COLUMNS = {"zh": ("左", "中", "右"), "en": ("left", "center", "right")}
NAMES: dict[Lang, tuple[tuple[str, ...], ...]] = {
    "zh": (("左上方", "上方", "右上方"), ("左侧", "中间", "右侧"), ("左下方", "下方", "右下方")),
    "en": (("top left", "top", "top right"), ("left", "center", "right"), ("bottom left", "bottom", "bottom right")),
}


def grid(value: float, extent: float) -> int:
    """Position on the 0–999 grid, as phone agents use it (value / extent · 1000, kept below 1000)."""
    return min(999, max(0, round(value / extent * 1000)))


def region(x: float, y: float, lang: Lang) -> str:
    """The word for a point given on the 0–999 grid; the cells are thirds."""
    return NAMES[lang][min(2, int(y * 3 / 1000))][min(2, int(x * 3 / 1000))]
