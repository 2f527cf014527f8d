"""A drawing as a list of shapes, written as SVG (no dependency) or PNG (Pillow). Lengths in pixels, y grows down."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from io import BytesIO
from itertools import pairwise
from typing import Any, Literal

Anchor = Literal["start", "middle", "end"]
SANS = "DejaVu Sans, Verdana, sans-serif"
_FONTS = {False: ("DejaVuSans.ttf", "Arial.ttf"), True: ("DejaVuSans-Bold.ttf", "Arial Bold.ttf")}
_SMOOTH = 2  # pixels of the PNG a unit: edges and letters stay crisp


@dataclass(frozen=True)
class Rect:
    x: float
    y: float
    width: float
    height: float
    fill: str


@dataclass(frozen=True)
class Line:
    """Through these points. dash: length of dashes and gaps; 0: solid."""

    points: tuple[tuple[float, float], ...]
    color: str
    width: float = 1.0
    dash: float = 0.0


@dataclass(frozen=True)
class Text:
    """x, y: its anchor on the baseline."""

    x: float
    y: float
    text: str
    size: float = 12.0
    color: str = "#1f2933"
    anchor: Anchor = "start"
    bold: bool = False


@dataclass
class Picture:
    width: float
    height: float = 0.0
    shapes: list[Rect | Line | Text] = field(default_factory=list)

    def add(self, *shapes: Rect | Line | Text) -> None:
        self.shapes += shapes

    def svg(self) -> str:
        body = "\n".join(_svg(shape) for shape in self.shapes)
        size = f'width="{self.width:g}" height="{self.height:g}" viewBox="0 0 {self.width:g} {self.height:g}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{SANS}">\n'
            f'<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
        )

    def png(self) -> bytes:
        from PIL import Image, ImageDraw

        image = Image.new("RGB", (round(self.width * _SMOOTH), round(self.height * _SMOOTH)), "white")
        draw = ImageDraw.Draw(image)
        for shape in self.shapes:
            _paint(draw, shape)
        out = BytesIO()
        image.save(out, "PNG")
        return out.getvalue()


def _svg(shape: Rect | Line | Text) -> str:
    if isinstance(shape, Rect):
        place = f'x="{shape.x:.2f}" y="{shape.y:.2f}" width="{shape.width:.2f}" height="{shape.height:.2f}"'
        return f'<rect {place} fill="{shape.fill}"/>'
    if isinstance(shape, Line):
        points = " ".join(f"{x:.2f},{y:.2f}" for x, y in shape.points)
        dash = f' stroke-dasharray="{shape.dash:g}"' if shape.dash else ""
        return f'<polyline points="{points}" fill="none" stroke="{shape.color}" stroke-width="{shape.width:g}"{dash}/>'
    weight = ' font-weight="bold"' if shape.bold else ""
    return (
        f'<text x="{shape.x:.2f}" y="{shape.y:.2f}" font-size="{shape.size:g}" fill="{shape.color}" '
        f'text-anchor="{shape.anchor}"{weight}>{escape(shape.text)}</text>'
    )


def _paint(draw: Any, shape: Rect | Line | Text) -> None:
    if isinstance(shape, Rect):
        left, top = round(shape.x * _SMOOTH), round(shape.y * _SMOOTH)
        right = max(left, round((shape.x + shape.width) * _SMOOTH) - 1)
        bottom = max(top, round((shape.y + shape.height) * _SMOOTH) - 1)
        draw.rectangle((left, top, right, bottom), fill=shape.fill)
    elif isinstance(shape, Line):
        points = [(x * _SMOOTH, y * _SMOOTH) for x, y in shape.points]
        width = max(1, round(shape.width * _SMOOTH))
        if not shape.dash:
            draw.line(points, fill=shape.color, width=width, joint="curve")
            return
        for start, end in pairwise(points):
            _dashes(draw, start, end, shape.color, width, shape.dash * _SMOOTH)
    else:
        font = _font(shape.size * _SMOOTH, shape.bold)
        at = (shape.x * _SMOOTH, shape.y * _SMOOTH)
        draw.text(
            at,
            shape.text,
            fill=shape.color,
            font=font,
            anchor={"start": "l", "middle": "m"}.get(shape.anchor, "r") + "s",
        )


def _dashes(draw: Any, start: Any, end: Any, color: str, width: int, dash: float) -> None:
    (x1, y1), (x2, y2) = start, end
    length = max(1e-6, ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5)
    at = 0.0
    while at < length:
        a, b = at / length, min(at + dash, length) / length
        draw.line(
            (x1 + (x2 - x1) * a, y1 + (y2 - y1) * a, x1 + (x2 - x1) * b, y1 + (y2 - y1) * b), fill=color, width=width
        )
        at += 2 * dash


def _font(size: float, bold: bool) -> Any:
    from PIL import ImageFont

    for name in _FONTS[bold]:
        try:
            return ImageFont.truetype(name, round(size))
        except OSError:
            continue
    return ImageFont.load_default(round(size))
