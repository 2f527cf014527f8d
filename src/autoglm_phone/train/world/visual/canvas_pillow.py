"""Canvas on Pillow: FreeType text with full hinting, shapes smoothed by cached super-sampled masks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from autoglm_phone.train.world.assets import Face
from autoglm_phone.train.world.visual.canvas import Box, Canvas, Color, Point, Typeset


@lru_cache(maxsize=512)
def _font(face: Face, size: float) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(face.path, size, index=face.index, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=1 << 16)
def _advance(face: Face, size: float, char: str) -> float:
    return float(_font(face, size).getlength(char))


@lru_cache(maxsize=256)
def _corner(radius: int) -> Image.Image:
    """Alpha mask of a disc's bounding square, side 2 · radius."""
    side = 2 * radius
    disc = Image.new("L", (side * 4, side * 4), 0)
    ImageDraw.Draw(disc).ellipse((0, 0, side * 4 - 1, side * 4 - 1), fill=255)
    return disc.reduce(4)


class PillowCanvas(Canvas):
    """Translucent colours are blended; polygons and lines are not anti-aliased, as in plain bitmap tool kits."""

    def __init__(self, width: float, height: float, scale: float, background: Color, typeset: Typeset):
        super().__init__(width, height, scale, background, typeset)
        self._image = Image.new("RGB", self.size, background[:3])
        self._draw = ImageDraw.Draw(self._image)

    def _px(self, box: Box) -> tuple[int, int, int, int]:
        s = self.scale
        return round(box[0] * s), round(box[1] * s), round(box[2] * s), round(box[3] * s)

    def _color(self, color: Color, at: Point) -> Color:
        """Opaque colour that a translucent one gives over the pixel at `at` (px)."""
        if len(color) == 3 or color[3] == 255:
            return color[:3]
        x = min(max(int(at[0]), 0), self.size[0] - 1)
        y = min(max(int(at[1]), 0), self.size[1] - 1)
        below = self._image.getpixel((x, y))
        k = color[3] / 255
        return tuple(round(c * k + b * (1 - k)) for c, b in zip(color[:3], below, strict=True))  # type: ignore[arg-type]

    def rect(self, box: Box, color: Color, radius: float = 0) -> None:
        x0, y0, x1, y1 = self._px(box)
        if x1 <= x0 or y1 <= y0:
            return
        if len(color) == 4 and color[3] < 255:
            mask = Image.new("L", (x1 - x0, y1 - y0), color[3])
            self._image.paste(color[:3], (x0, y0, x1, y1), mask)
            return
        color = color[:3]
        r = min(round(radius * self.scale), (x1 - x0) // 2, (y1 - y0) // 2)
        if r < 2:
            self._draw.rectangle((x0, y0, x1 - 1, y1 - 1), fill=color)
            return
        if x1 - x0 > 2 * r:
            self._draw.rectangle((x0 + r, y0, x1 - r - 1, y1 - 1), fill=color)
        if y1 - y0 > 2 * r:
            self._draw.rectangle((x0, y0 + r, x1 - 1, y1 - r - 1), fill=color)
        disc = _corner(r)
        for mx, px in ((0, x0), (r, x1 - r)):
            for my, py in ((0, y0), (r, y1 - r)):
                self._image.paste(color, (px, py, px + r, py + r), disc.crop((mx, my, mx + r, my + r)))

    def frame(self, box: Box, color: Color, width: float = 1, radius: float = 0) -> None:
        x0, y0, x1, y1 = self._px(box)
        if x1 - x0 < 3 or y1 - y0 < 3:
            return
        stroke = max(1, round(width * self.scale))
        color = self._color(color, (x0 + 2, (y0 + y1) / 2))
        self._draw.rounded_rectangle((x0, y0, x1 - 1, y1 - 1), radius * self.scale, outline=color, width=stroke)

    def ellipse(self, box: Box, color: Color, outline: Color | None = None, width: float = 1) -> None:
        x0, y0, x1, y1 = self._px(box)
        color = self._color(color, ((x0 + x1) / 2, (y0 + y1) / 2))
        if x1 - x0 == y1 - y0 and (x1 - x0) % 2 == 0 and outline is None and x1 - x0 >= 4:
            self._image.paste(color, (x0, y0, x1, y1), _corner((x1 - x0) // 2))
            return
        stroke = max(1, round(width * self.scale)) if outline is not None else 0
        if x1 > x0 and y1 > y0:
            self._draw.ellipse((x0, y0, x1 - 1, y1 - 1), fill=color, outline=outline and outline[:3], width=stroke)

    def line(self, points: Sequence[Point], color: Color, width: float = 1) -> None:
        s = self.scale
        scaled = [(x * s, y * s) for x, y in points]
        color = self._color(color, scaled[0])
        self._draw.line(scaled, fill=color, width=max(1, round(width * s)), joint="curve" if len(points) > 2 else None)

    def polygon(self, points: Sequence[Point], color: Color, outline: Color | None = None, width: float = 1) -> None:
        s = self.scale
        scaled = [(x * s, y * s) for x, y in points]
        middle = (sum(x for x, _ in scaled) / len(scaled), sum(y for _, y in scaled) / len(scaled))
        self._draw.polygon(scaled, fill=self._color(color, middle))
        if outline is not None:
            self._draw.line([*scaled, scaled[0]], fill=outline[:3], width=max(1, round(width * s)), joint="curve")

    def sector(self, center: Point, radius: float, start: float, end: float, color: Color) -> None:
        (x, y), r = center, radius
        self._draw.pieslice(self._px((x - r, y - r, x + r, y + r)), start, end, fill=color[:3])

    def image(self, pixels: np.ndarray, box: Box, radius: float = 0) -> None:
        x0, y0, x1, y1 = self._px(box)
        size = (x1 - x0, y1 - y0)
        if min(size) < 1:
            return
        picture = Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BILINEAR)
        r = min(round(radius * self.scale), size[0] // 2, size[1] // 2)
        if r < 2:
            self._image.paste(picture, (x0, y0))
            return
        self._image.paste(picture, (x0, y0), _round_mask(size, r))

    def pixels(self) -> np.ndarray:
        return np.asarray(self._image).copy()

    def _advances(self, face: Face, size: float, text: str) -> list[float]:
        return [_advance(face, size, char) for char in text]

    def _draw_run(self, face: Face, size: float, text: str, x: float, y: float, color: Color) -> None:
        self._draw.text((x, y), text, font=_font(face, size), fill=self._color(color, (x, y)), anchor="ls")


@lru_cache(maxsize=64)
def _round_mask(size: tuple[int, int], radius: int) -> Image.Image:
    mask = Image.new("L", size, 0)
    disc = _corner(radius)
    draw = ImageDraw.Draw(mask)
    w, h = size
    if w > 2 * radius:
        draw.rectangle((radius, 0, w - radius - 1, h), fill=255)
    if h > 2 * radius:
        draw.rectangle((0, radius, w, h - radius - 1), fill=255)
    for mx, px in ((0, 0), (radius, w - radius)):
        for my, py in ((0, 0), (radius, h - radius)):
            mask.paste(disc.crop((mx, my, mx + radius, my + radius)), (px, py))
    return mask
