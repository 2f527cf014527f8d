"""Canvas on Skia's raster back end (the library that Android and Chrome draw with)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import skia
from PIL import Image

from autoglm_phone.errors import ConfigError
from autoglm_phone.train.world.assets import Face
from autoglm_phone.train.world.visual.canvas import Box, Canvas, Color, Point, Typeset


@lru_cache(maxsize=64)
def _typeface(face: Face) -> skia.Typeface:
    typeface = skia.Typeface.MakeFromFile(face.path, face.index)
    if typeface is None:
        raise ConfigError(f"font {face.path!r} can't be read; reinstall its Debian package")
    return typeface


@lru_cache(maxsize=1024)
def _font(face: Face, size: float, hinted: bool) -> skia.Font:
    font = skia.Font(_typeface(face), size)
    font.setEdging(skia.Font.Edging.kAntiAlias)
    font.setSubpixel(not hinted)
    font.setHinting(skia.FontHinting.kSlight if hinted else skia.FontHinting.kNone)
    return font


@lru_cache(maxsize=1 << 16)
def _em_width(face: Face, char: str) -> float:
    """Unhinted advance of a character at 1 px."""
    font = _font(face, 64, False)
    return float(font.getWidths(font.textToGlyphs(char))[0]) / 64


def _paint(color: Color) -> skia.Paint:
    return skia.Paint(Color=skia.Color(*color), AntiAlias=True)


def _stroke(color: Color, width: float) -> skia.Paint:
    return skia.Paint(
        Color=skia.Color(*color),
        AntiAlias=True,
        Style=skia.Paint.kStroke_Style,
        StrokeWidth=width,
        StrokeJoin=skia.Paint.kRound_Join,
    )


class SkiaCanvas(Canvas):
    """hinted: whole-pixel pen positions and light hinting, as desktop emulators draw; else sub-pixel, as phones do."""

    def __init__(
        self, width: float, height: float, scale: float, background: Color, typeset: Typeset, hinted: bool = False
    ):
        super().__init__(width, height, scale, background, typeset)
        self._hinted = hinted
        self._buffer = np.empty((self.size[1], self.size[0], 4), dtype=np.uint8)
        self._surface = skia.Surface(self._buffer, colorType=skia.kRGBA_8888_ColorType)
        self._canvas = self._surface.getCanvas()
        self._canvas.clear(skia.Color(*background))

    def _rect_px(self, box: Box) -> skia.Rect:
        s = self.scale
        return skia.Rect.MakeLTRB(box[0] * s, box[1] * s, box[2] * s, box[3] * s)

    def rect(self, box: Box, color: Color, radius: float = 0) -> None:
        if radius > 0:
            r = radius * self.scale
            self._canvas.drawRoundRect(self._rect_px(box), r, r, _paint(color))
        else:
            self._canvas.drawRect(self._rect_px(box), _paint(color))

    def frame(self, box: Box, color: Color, width: float = 1, radius: float = 0) -> None:
        r = radius * self.scale
        self._canvas.drawRoundRect(self._rect_px(box), r, r, _stroke(color, width * self.scale))

    def ellipse(self, box: Box, color: Color, outline: Color | None = None, width: float = 1) -> None:
        rect = self._rect_px(box)
        self._canvas.drawOval(rect, _paint(color))
        if outline is not None:
            self._canvas.drawOval(rect, _stroke(outline, width * self.scale))

    def _path(self, points: Sequence[Point], close: bool) -> skia.Path:
        s = self.scale
        return skia.Path.Polygon([skia.Point(x * s, y * s) for x, y in points], close)

    def line(self, points: Sequence[Point], color: Color, width: float = 1) -> None:
        self._canvas.drawPath(self._path(points, False), _stroke(color, width * self.scale))

    def polygon(self, points: Sequence[Point], color: Color, outline: Color | None = None, width: float = 1) -> None:
        path = self._path(points, True)
        self._canvas.drawPath(path, _paint(color))
        if outline is not None:
            self._canvas.drawPath(path, _stroke(outline, width * self.scale))

    def sector(self, center: Point, radius: float, start: float, end: float, color: Color) -> None:
        (x, y), r = center, radius
        self._canvas.drawArc(self._rect_px((x - r, y - r, x + r, y + r)), start, end - start, True, _paint(color))

    def image(self, pixels: np.ndarray, box: Box, radius: float = 0) -> None:
        alpha = np.full((*pixels.shape[:2], 1), 255, dtype=np.uint8)
        picture = skia.Image.fromarray(np.concatenate([pixels, alpha], axis=2), skia.kRGBA_8888_ColorType)
        rect = self._rect_px(box)
        sampling = skia.SamplingOptions(skia.FilterMode.kLinear)
        if radius <= 0:
            self._canvas.drawImageRect(picture, rect, sampling)
            return
        self._canvas.save()
        self._canvas.clipRRect(skia.RRect.MakeRectXY(rect, radius * self.scale, radius * self.scale), doAntiAlias=True)
        self._canvas.drawImageRect(picture, rect, sampling)
        self._canvas.restore()

    def gradient(self, box: Box, first: Color, second: Color, horizontal: bool = False, radius: float = 0) -> None:
        # A shader is many times faster than stretching a small picture.
        rect = self._rect_px(box)
        end = skia.Point(rect.right(), rect.top()) if horizontal else skia.Point(rect.left(), rect.bottom())
        paint = skia.Paint(AntiAlias=True)
        paint.setShader(
            skia.GradientShader.MakeLinear(
                points=[skia.Point(rect.left(), rect.top()), end], colors=[skia.Color(*first), skia.Color(*second)]
            )
        )
        r = radius * self.scale
        self._canvas.drawRoundRect(rect, r, r, paint)

    def pixels(self) -> np.ndarray:
        # Pillow drops the fourth channel several times faster than a strided numpy copy.
        return np.array(Image.fromarray(self._buffer).convert("RGB"))

    def _advances(self, face: Face, size: float, text: str) -> list[float]:
        return [_em_width(face, char) * size for char in text]

    def _draw_run(self, face: Face, size: float, text: str, x: float, y: float, color: Color) -> None:
        self._canvas.drawString(text, x, y, _font(face, size, self._hinted), _paint(color))
