"""One drawing surface with two implementations (Pillow, Skia), in density-independent units.

Callers give dp; a canvas multiplies by its scale (1–3 px per dp). Every drawn character is recorded with its box, so
that a picture knows where its text is. Colours are (r, g, b) or (r, g, b, a), 0–255.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from autoglm_phone.train.world.assets import Face, Family, families, icon_faces
from autoglm_phone.train.world.sample import Glyph, Lang, Region
from autoglm_phone.train.world.visual.icons import ICONS

Color = tuple[int, ...]
Box = tuple[float, float, float, float]
Point = tuple[float, float]

# Characters below this and these few marks come from the Latin family; everything else from the Chinese one.
_LATIN_END = 0x250
_LATIN_MARKS = frozenset("–—•€™−‘’“”…")


@dataclass(frozen=True)
class Typeset:
    """The families that one picture is drawn with. icons: "material" or "awesome"."""

    latin: Family
    cjk: Family
    icons: str = "material"

    def runs(self, text: str, bold: bool) -> Iterator[tuple[Face, str]]:
        """Splits text into stretches of one font file."""
        latin, cjk = (self.latin.bold, self.cjk.bold) if bold else (self.latin.regular, self.cjk.regular)
        start, current = 0, None
        for i, char in enumerate(text):
            face = latin if ord(char) < _LATIN_END or char in _LATIN_MARKS else cjk
            if current is not None and face is not current:
                yield current, text[start:i]
                start = i
            current = face
        if current is not None:
            yield current, text[start:]


def pick_typeset(rng: random.Random, lang: Lang, unseen: bool, screens_only: bool = True) -> Typeset:
    """Fonts of a picture; for unseen test samples those that training never sees. Chinese phones often use one font."""
    cjk = rng.choice(families(True, unseen, screens_only))
    one_font = lang == "zh" and rng.random() < 0.35 and cjk.latin
    latin = cjk if one_font else rng.choice(families(False, unseen))
    return Typeset(latin, cjk, "awesome" if rng.random() < 0.22 else "material")


class Canvas(ABC):
    """width, height: dp. scale: px per dp. size: (width, height) in px."""

    def __init__(self, width: float, height: float, scale: float, background: Color, typeset: Typeset):
        self.width, self.height, self.scale = width, height, scale
        self.size = (round(width * scale), round(height * scale))
        self.typeset = typeset
        self.background = background
        self.glyphs: list[Glyph] = []
        self.regions: list[Region] = []

    # --- shapes ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def rect(self, box: Box, color: Color, radius: float = 0) -> None:
        """Filled rectangle with rounded corners."""

    @abstractmethod
    def frame(self, box: Box, color: Color, width: float = 1, radius: float = 0) -> None:
        """Outline of a rectangle with rounded corners."""

    @abstractmethod
    def ellipse(self, box: Box, color: Color, outline: Color | None = None, width: float = 1) -> None:
        """Filled ellipse, with an outline if one is given."""

    @abstractmethod
    def line(self, points: Sequence[Point], color: Color, width: float = 1) -> None:
        """Open polyline."""

    @abstractmethod
    def polygon(self, points: Sequence[Point], color: Color, outline: Color | None = None, width: float = 1) -> None:
        """Closed filled polygon."""

    @abstractmethod
    def sector(self, center: Point, radius: float, start: float, end: float, color: Color) -> None:
        """Pie slice; angles in degrees, clockwise from three o'clock."""

    @abstractmethod
    def image(self, pixels: np.ndarray, box: Box, radius: float = 0) -> None:
        """Picture (uint8 [h, w, 3]) scaled into the box."""

    @abstractmethod
    def pixels(self) -> np.ndarray:
        """What was drawn: uint8 [H, W, 3]."""

    @abstractmethod
    def _advances(self, face: Face, size: float, text: str) -> list[float]:
        """Advance width of each character in px; size in px."""

    @abstractmethod
    def _draw_run(self, face: Face, size: float, text: str, x: float, y: float, color: Color) -> None:
        """Draws text of one font; px, y is the base line."""

    def circle(
        self, center: Point, radius: float, color: Color, outline: Color | None = None, width: float = 1
    ) -> None:
        x, y = center
        self.ellipse((x - radius, y - radius, x + radius, y + radius), color, outline, width)

    def gradient(self, box: Box, first: Color, second: Color, horizontal: bool = False, radius: float = 0) -> None:
        """Linear blend from the first colour (top / left) to the second."""
        steps = np.linspace(0, 1, 48, dtype=np.float32)[:, None]
        ramp = (np.asarray(first[:3]) * (1 - steps) + np.asarray(second[:3]) * steps).astype(np.uint8)
        self.image(ramp[None, :, :] if horizontal else ramp[:, None, :], box, radius)

    # --- text -----------------------------------------------------------------------------------------------------

    def measure(self, text: str, size: float, bold: bool = False) -> float:
        """Width in dp."""
        px = self._font_px(size)
        return sum(sum(self._advances(face, px, run)) for face, run in self.typeset.runs(text, bold)) / self.scale

    def _font_px(self, size: float) -> float:
        # Whole pixels keep the font caches small.
        return max(7, round(size * self.scale))

    def text(
        self, x: float, cy: float, text: str, size: float, color: Color, bold: bool = False, anchor: str = "l"
    ) -> Box:
        """Draws a line with its optical middle at cy; x is its left, middle or right (l, m, r). Returns its box."""
        px = self._font_px(size)
        runs = [(face, run, self._advances(face, px, run)) for face, run in self.typeset.runs(text, bold)]
        total = sum(sum(widths) for _, _, widths in runs)
        left = x * self.scale - {"l": 0.0, "m": 0.5, "r": 1.0}[anchor] * total
        base = cy * self.scale + 0.36 * px
        pen = left
        for face, run, widths in runs:
            self._draw_run(face, px, run, pen, base, color)
            high, low = (
                (0.86, 0.12) if face is self.typeset.cjk.regular or face is self.typeset.cjk.bold else (0.76, 0.2)
            )
            for char, width in zip(run, widths, strict=True):
                if char != " ":
                    self.glyphs.append(Glyph(char, pen, base - high * px, pen + width, base + low * px))
                pen += width
        s = self.scale
        return (left / s, (base - 0.86 * px) / s, pen / s, (base + 0.2 * px) / s)

    def fit(self, text: str, size: float, width: float, bold: bool = False) -> str:
        """The text, cut with an ellipsis where it is wider than `width` dp."""
        if self.measure(text, size, bold) <= width:
            return text
        while text and self.measure(text + "…", size, bold) > width:
            text = text[:-1]
        return text.rstrip() + "…"

    def wrap(self, text: str, size: float, width: float, bold: bool = False) -> list[str]:
        """Lines no wider than `width` dp; breaks between words, or anywhere in Chinese."""
        lines, line = [], ""
        for piece in _pieces(text):
            if line and self.measure(line + piece.rstrip(), size, bold) > width:
                lines.append(line.rstrip())
                line = ""
            line += piece
        return [*lines, line.rstrip()] if line else lines

    def icon(self, center: Point, name: str, size: float, color: Color) -> Box:
        """Draws an icon by its meaning; `size` is the side of its square in dp."""
        face, char = self._icon_glyph(name)
        px = max(8, round(size * self.scale))
        (width,) = self._advances(face, px, char)
        x, y = center[0] * self.scale, center[1] * self.scale
        # Material glyphs fill the em square from the descender at 0; Font Awesome's sit on a base line 0.14 em above.
        self._draw_run(
            face, px, char, x - width / 2, y + (0.5 if face is icon_faces()["material"] else 0.36) * px, color
        )
        half = px / 2
        self.mark(f"icon:{name}", (x - half, y - half, x + half, y + half), in_px=True)
        h = size / 2
        return (center[0] - h, center[1] - h, center[0] + h, center[1] + h)

    def _icon_glyph(self, name: str) -> tuple[Face, str]:
        icon = ICONS[name]
        awesome = self.typeset.icons == "awesome"
        return icon_faces()[self.typeset.icons], icon.awesome if awesome else icon.material

    def mark(self, name: str, box: Box, in_px: bool = False) -> None:
        """Records a pseudo-glyph ("widget:switch_on") so that the vision tower learns to name it."""
        k = 1.0 if in_px else self.scale
        self.glyphs.append(Glyph(name, box[0] * k, box[1] * k, box[2] * k, box[3] * k))

    def note(self, text: str, box: Box) -> None:
        """Records what the picture shows in a box (dp) and how to call it. Covering it later does not undo this."""
        x0, y0, x1, y1 = (v * self.scale for v in box)
        self.regions.append(Region(text, x0, y0, x1, y1))

    def visible_glyphs(self) -> tuple[Glyph, ...]:
        """The recorded glyphs whose middle lies inside the picture."""
        w, h = self.size
        return tuple(g for g in self.glyphs if 0 <= g.x0 + g.x1 <= 2 * w and 0 <= g.y0 + g.y1 <= 2 * h)

    def hide(self, box: Box) -> None:
        """Forgets what was recorded inside a box that is about to be covered (dp)."""
        x0, y0, x1, y1 = (v * 2 * self.scale for v in box)
        self.glyphs = [g for g in self.glyphs if not (x0 <= g.x0 + g.x1 <= x1 and y0 <= g.y0 + g.y1 <= y1)]


_CLOSING = frozenset("，。！？、；：”’）》…,.!?;:)%")


def _pieces(text: str) -> Iterator[str]:
    """Unbreakable pieces: a word with its space, or one Chinese character."""
    word = ""
    for char in text:
        if char in _CLOSING:  # never begins a line
            word += char
        elif ord(char) >= 0x2E80:
            if word:
                yield word
            word = char
        else:
            if word and ord(word[0]) >= 0x2E80 and char != " ":
                yield word
                word = ""
            word += char
            if char == " ":
                yield word
                word = ""
    if word:
        yield word


def make_canvas(
    rng: random.Random, width: float, height: float, scale: float, background: Color, typeset: Typeset, smooth: int = 1
) -> Canvas:
    """A canvas of either library: Skia two times in three where it is installed, else Pillow.

    smooth: factor by which Pillow's scale is raised, for callers that reduce the picture to get smooth edges.
    """
    # Drawn in any case, so that a missing library does not shift the random stream (and with it the contents).
    use_skia, hinted = rng.random() < 0.67, rng.random() < 0.4
    if use_skia:
        try:
            from autoglm_phone.train.world.visual.canvas_skia import SkiaCanvas
        except ImportError:
            pass
        else:
            return SkiaCanvas(width, height, scale, background, typeset, hinted)
    from autoglm_phone.train.world.visual.canvas_pillow import PillowCanvas

    return PillowCanvas(width, height, scale * smooth, background, typeset)
