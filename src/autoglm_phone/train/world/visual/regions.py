"""Places in words: the nine regions of a picture, and the 0–999 grid that answers use."""

from __future__ import annotations

from collections.abc import Sequence

from autoglm_phone.train.world.sample import Glyph, Lang, Picture

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


def written(picture: Picture, text: str) -> Sequence[Glyph]:
    """The characters of this text where the picture shows it; empty if it does not, or in several places."""
    wanted = "".join(text.split())
    seen = [glyph for glyph in picture.glyphs if not glyph.char.isspace()]
    string = "".join(glyph.char if len(glyph.char) == 1 else "\n" for glyph in seen)  # icons have names
    start = string.find(wanted) if wanted else -1
    if start < 0 or string.find(wanted, start + 1) >= 0:
        return ()
    return seen[start : start + len(wanted)]


def look_at(picture: Picture, glyphs: Sequence[Glyph], lang: Lang) -> str:
    """A thought that points at written text before it is read; empty for none."""
    if not glyphs:
        return ""
    height, width = picture.pixels.shape[:2]
    x = (min(g.x0 for g in glyphs) + max(g.x1 for g in glyphs)) / 2
    y = (min(g.y0 for g in glyphs) + max(g.y1 for g in glyphs)) / 2
    spot = f"[{grid(x, width)},{grid(y, height)}]"
    return f"在{spot}。" if lang == "zh" else f"At {spot}."
