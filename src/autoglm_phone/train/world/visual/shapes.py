"""Drawn objects as vector shapes in a unit box (−1 … 1, y down), in several drawing styles."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

from autoglm_phone.train.world.visual.canvas import Canvas, Color
from autoglm_phone.train.world.visual.theme import mix

BLACK: Color = (25, 25, 28)
WHITE: Color = (252, 252, 252)
Points = Sequence[tuple[float, float]]

STYLES = ("flat", "flat", "outlined", "sketchy", "shaded", "outlined", "dotted")  # the last one is for unseen samples


class Pen:
    """Draws into the unit box of one object. color: the object's own; dark / light: its shades for details.

    extent: the box of everything drawn so far, in dp.
    """

    def __init__(
        self,
        canvas: Canvas,
        rng: random.Random,
        center: tuple[float, float],
        radius: float,
        color: Color,
        style: str,
        flip: bool,
    ):
        self.canvas, self.rng, self.style = canvas, rng, style
        self._x, self._y, self._r = center[0], center[1], radius
        self._flip = -1 if flip else 1
        self.extent = (math.inf, math.inf, -math.inf, -math.inf)
        self.color = color
        self.dark = mix(color, (0, 0, 0), 0.35) if sum(color) > 160 else mix(color, (255, 255, 255), 0.3)
        self.light = mix(color, (255, 255, 255), 0.4)
        self.outline: Color | None = None
        if style in {"outlined", "sketchy"}:
            self.outline = BLACK if sum(color) > 120 else (120, 120, 124)
        elif style == "dotted":
            self.outline = self.dark
        self.width = max(1.0, radius * (0.05 if style == "sketchy" else 0.06))

    def _at(self, x: float, y: float) -> tuple[float, float]:
        wobble = 0.03 if self.style == "sketchy" else 0.0
        if wobble:
            x += self.rng.uniform(-wobble, wobble)
            y += self.rng.uniform(-wobble, wobble)
        px, py = self._x + self._flip * x * self._r, self._y + y * self._r
        self._reach(px, py, px, py)
        return px, py

    def _reach(self, x0: float, y0: float, x1: float, y1: float) -> None:
        a, b, c, d = self.extent
        self.extent = (min(a, x0), min(b, y0), max(c, x1), max(d, y1))

    def poly(self, points: Points, color: Color | None = None) -> None:
        fill = color or self.color
        spots = [self._at(x, y) for x, y in points]
        self.canvas.polygon(spots, fill, self.outline, self.width)
        if self.style == "sketchy" and self.outline is not None:
            again = [self._at(x, y) for x, y in points]
            self.canvas.line([*again, again[0]], self.outline, self.width * 0.6)

    def oval(self, x: float, y: float, rx: float, ry: float, color: Color | None = None) -> None:
        fill = color or self.color
        if self.style == "sketchy":
            turn = [2 * math.pi * i / 18 for i in range(18)]
            self.poly([(x + rx * math.cos(a), y + ry * math.sin(a)) for a in turn], color)
            return
        cx, cy = self._at(x, y)
        r = self._r
        box = (cx - rx * r, cy - ry * r, cx + rx * r, cy + ry * r)
        self._reach(*box)
        self.canvas.ellipse(box, fill, self.outline, self.width)
        if self.style == "shaded" and min(rx, ry) > 0.3:
            self.canvas.ellipse(
                (cx - rx * r * 0.6, cy - ry * r * 0.7, cx + rx * r * 0.1, cy - ry * r * 0.05),
                mix(fill, (255, 255, 255), 0.25),
            )

    def box(self, x0: float, y0: float, x1: float, y1: float, color: Color | None = None) -> None:
        self.poly([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color)
        if self.style == "shaded" and y1 - y0 > 0.5:
            fill = mix(color or self.color, (0, 0, 0), 0.18)
            self.canvas.polygon(
                [
                    self._at(x, y)
                    for x, y in ((x0, y1 - 0.25 * (y1 - y0)), (x1, y1 - 0.25 * (y1 - y0)), (x1, y1), (x0, y1))
                ],
                fill,
            )

    def line(self, points: Points, color: Color | None = None, width: float = 0.08) -> None:
        self.canvas.line([self._at(x, y) for x, y in points], color or self.color, max(1.0, width * self._r))


def _ring(n: int, outer: float, inner: float, turn: float = -math.pi / 2) -> list[tuple[float, float]]:
    """Corners of a star with n points."""
    return [
        (
            (outer if i % 2 == 0 else inner) * math.cos(turn + math.pi * i / n),
            (outer if i % 2 == 0 else inner) * math.sin(turn + math.pi * i / n),
        )
        for i in range(2 * n)
    ]


def _tree(p: Pen) -> None:
    p.box(-0.15, 0.4, 0.15, 1, (110, 70, 40))
    p.poly([(0, -1), (0.6, -0.2), (-0.6, -0.2)])
    p.poly([(0, -0.55), (0.75, 0.5), (-0.75, 0.5)])


def _house(p: Pen) -> None:
    p.box(-0.75, -0.1, 0.75, 1)
    p.poly([(0, -1), (1, -0.05), (-1, -0.05)], p.dark)
    p.box(-0.2, 0.4, 0.2, 1, (95, 60, 40))
    p.box(0.35, 0.15, 0.6, 0.4, (200, 230, 250))


def _car(p: Pen) -> None:
    p.poly([(-0.5, -0.1), (-0.3, -0.55), (0.35, -0.55), (0.6, -0.1)])
    p.box(-1, -0.12, 1, 0.4)
    p.poly([(-0.25, -0.45), (0.02, -0.45), (0.02, -0.12), (-0.42, -0.12)], (200, 230, 250))
    p.poly([(0.08, -0.45), (0.3, -0.45), (0.48, -0.12), (0.08, -0.12)], (200, 230, 250))
    p.oval(-0.55, 0.42, 0.23, 0.23, BLACK)
    p.oval(0.55, 0.42, 0.23, 0.23, BLACK)


def _bus(p: Pen) -> None:
    p.box(-1, -0.6, 1, 0.5)
    for x in (-0.85, -0.4, 0.05, 0.5):
        p.box(x, -0.45, x + 0.33, -0.05, (200, 230, 250))
    p.oval(-0.55, 0.52, 0.22, 0.22, BLACK)
    p.oval(0.55, 0.52, 0.22, 0.22, BLACK)


def _boat(p: Pen) -> None:
    p.line([(0, -1), (0, 0.3)], (90, 60, 40), 0.09)
    p.poly([(0.06, -0.9), (0.75, 0.1), (0.06, 0.1)], p.light)
    p.poly([(-1, 0.25), (1, 0.25), (0.65, 0.8), (-0.65, 0.8)])


def _plane(p: Pen) -> None:
    p.poly([(-1, -0.45), (-0.75, -0.45), (-0.5, -0.1), (0.7, -0.1), (1, 0.1), (0.7, 0.25), (-0.8, 0.2)])
    p.poly([(-0.1, 0.05), (0.3, 0.05), (-0.35, 0.75), (-0.55, 0.75)], p.dark)
    p.oval(0.6, 0.03, 0.1, 0.07, (200, 230, 250))


def _cat(p: Pen) -> None:
    p.poly([(0.45, 0.9), (0.95, 0.4), (0.85, 0.1), (0.98, 0.1), (1, 0.5), (0.6, 1)])
    p.oval(0, 0.5, 0.5, 0.5)
    p.poly([(-0.5, -0.4), (-0.45, -1), (-0.1, -0.65)])
    p.poly([(0.5, -0.4), (0.45, -1), (0.1, -0.65)])
    p.oval(0, -0.3, 0.52, 0.45)
    eye = WHITE if sum(p.color) < 350 else BLACK
    p.oval(-0.2, -0.35, 0.07, 0.09, eye)
    p.oval(0.2, -0.35, 0.07, 0.09, eye)
    for side in (-1, 1):
        p.line([(0.1 * side, -0.12), (0.6 * side, -0.18)], eye, 0.04)
        p.line([(0.1 * side, -0.08), (0.6 * side, -0.02)], eye, 0.04)


def _bird(p: Pen) -> None:
    p.poly([(-0.6, 0.1), (-1, -0.2), (-0.95, 0.3)])
    p.oval(-0.05, 0.15, 0.65, 0.45)
    p.oval(0.5, -0.35, 0.32, 0.32)
    p.poly([(0.78, -0.42), (1, -0.3), (0.78, -0.2)], (245, 160, 40))
    p.oval(0.57, -0.42, 0.06, 0.06, WHITE if sum(p.color) < 350 else BLACK)
    p.poly([(-0.35, 0), (0.25, 0.05), (-0.2, 0.5)], p.dark)
    p.line([(-0.1, 0.58), (-0.1, 0.9)], (200, 120, 30), 0.06)
    p.line([(0.15, 0.58), (0.15, 0.9)], (200, 120, 30), 0.06)


def _fish(p: Pen) -> None:
    p.poly([(-0.45, 0), (-1, -0.45), (-1, 0.45)])
    p.oval(0.15, 0, 0.75, 0.45)
    p.oval(0.55, -0.12, 0.09, 0.09, WHITE)
    p.oval(0.57, -0.12, 0.045, 0.045, BLACK)
    p.poly([(0, -0.4), (0.3, -0.75), (0.45, -0.38)], p.dark)


def _butterfly(p: Pen) -> None:
    for side in (-1, 1):
        p.oval(0.48 * side, -0.4, 0.45, 0.42)
        p.oval(0.38 * side, 0.4, 0.34, 0.34, p.light)
    p.oval(0, 0, 0.09, 0.7, BLACK)
    p.line([(0, -0.65), (-0.25, -0.98)], BLACK, 0.05)
    p.line([(0, -0.65), (0.25, -0.98)], BLACK, 0.05)


def _cup(p: Pen) -> None:
    p.oval(0.62, -0.05, 0.33, 0.38, p.dark)
    p.oval(0.62, -0.05, 0.18, 0.22, p.light)
    p.poly([(-0.7, -0.7), (0.6, -0.7), (0.45, 0.8), (-0.55, 0.8)])
    p.oval(-0.05, -0.7, 0.65, 0.16, p.light)


def _book(p: Pen) -> None:
    p.poly([(0, -0.5), (-0.95, -0.7), (-0.95, 0.55), (0, 0.75)])
    p.poly([(0, -0.5), (0.95, -0.7), (0.95, 0.55), (0, 0.75)])
    p.poly([(0, -0.4), (-0.82, -0.57), (-0.82, 0.45), (0, 0.62)], p.light)
    p.poly([(0, -0.4), (0.82, -0.57), (0.82, 0.45), (0, 0.62)], p.light)
    for y in (-0.2, 0.05, 0.3):
        p.line([(-0.7, y - 0.1), (-0.12, y)], (120, 120, 120), 0.05)
        p.line([(0.7, y - 0.1), (0.12, y)], (120, 120, 120), 0.05)


def _flower(p: Pen) -> None:
    p.line([(0, 0), (0, 1)], (40, 140, 50), 0.1)
    p.poly([(0, 0.75), (0.45, 0.4), (0.35, 0.7)], (40, 140, 50))
    for i in range(6):
        a = math.pi * i / 3
        p.oval(0.38 * math.cos(a), -0.35 + 0.38 * math.sin(a), 0.27, 0.27)
    p.oval(0, -0.35, 0.22, 0.22, (250, 200, 50) if p.color[2] > 80 or p.color[1] < 150 else (130, 80, 40))


def _sun(p: Pen) -> None:
    for i in range(8):
        a = math.pi * i / 4
        p.line([(0.68 * math.cos(a), 0.68 * math.sin(a)), (math.cos(a), math.sin(a))], p.color, 0.12)
    p.oval(0, 0, 0.56, 0.56)


def _moon(p: Pen) -> None:
    outer = [(math.cos(math.radians(a)) * 0.95, math.sin(math.radians(a)) * 0.95) for a in range(55, 306, 15)]
    inner = [(0.45 + math.cos(math.radians(a)) * 0.78, math.sin(math.radians(a)) * 0.8) for a in range(280, 79, -15)]
    p.poly(outer + inner)


def _cloud(p: Pen) -> None:
    style, p.outline = p.outline, None
    p.oval(-0.5, 0.15, 0.45, 0.36)
    p.oval(0.5, 0.15, 0.45, 0.36)
    p.oval(-0.1, -0.15, 0.5, 0.48)
    p.box(-0.55, 0.1, 0.55, 0.5)
    p.outline = style


def _ball(p: Pen) -> None:
    p.oval(0, 0, 0.9, 0.9)
    band = p.light if sum(p.color) < 600 else (170, 170, 175)
    p.poly([(-0.88, -0.15), (0.88, -0.15), (0.88, 0.15), (-0.88, 0.15)], band)
    p.oval(0, 0, 0.3, 0.3, band)


def _chair(p: Pen) -> None:
    p.box(-0.6, -1, -0.4, 1)
    p.box(-0.6, 0.05, 0.6, 0.25)
    p.box(0.42, 0.2, 0.6, 1)
    p.box(-0.6, -0.85, -0.25, -0.6)


def _table(p: Pen) -> None:
    p.box(-1, -0.4, 1, -0.15)
    p.box(-0.85, -0.15, -0.68, 0.8)
    p.box(0.68, -0.15, 0.85, 0.8)


def _umbrella(p: Pen) -> None:
    p.line([(0, -0.1), (0, 0.85), (0.15, 0.98), (0.28, 0.85)], (90, 90, 95), 0.09)
    arc = [(math.cos(math.radians(a)), 0.05 + math.sin(math.radians(a)) * 0.95) for a in range(180, 361, 12)]
    p.poly([*arc, (0.66, -0.1), (0.33, 0.05), (0, -0.1), (-0.33, 0.05), (-0.66, -0.1)])


def _balloon(p: Pen) -> None:
    p.line([(0, 0.45), (0.1, 0.7), (-0.05, 1)], (120, 120, 125), 0.05)
    p.oval(0, -0.3, 0.58, 0.7)
    p.poly([(-0.12, 0.52), (0.12, 0.52), (0, 0.36)])


def _apple(p: Pen) -> None:
    p.line([(0, -0.45), (0.08, -0.9)], (100, 65, 35), 0.12)
    p.poly([(0.08, -0.6), (0.5, -0.95), (0.55, -0.65)], (50, 150, 60))
    p.oval(-0.28, 0.15, 0.52, 0.68)
    p.oval(0.28, 0.15, 0.52, 0.68)
    outline, p.outline = p.outline, None
    p.oval(0, 0.15, 0.4, 0.55)
    p.outline = outline


def _hat(p: Pen) -> None:
    p.box(-0.5, -0.75, 0.5, 0.35)
    p.oval(0, 0.4, 1, 0.24)
    p.box(-0.5, 0.02, 0.5, 0.22, p.dark)


def _mushroom(p: Pen) -> None:
    p.poly([(-0.25, 0), (0.25, 0), (0.35, 0.95), (-0.35, 0.95)], (245, 232, 205))
    arc = [(math.cos(math.radians(a)) * 0.95, 0.1 + math.sin(math.radians(a)) * 0.95) for a in range(180, 361, 12)]
    p.poly(arc)
    spot = WHITE if sum(p.color) < 660 else (200, 60, 60)
    for x, y, r in ((-0.45, -0.25, 0.14), (0.1, -0.5, 0.16), (0.5, -0.15, 0.12)):
        p.oval(x, y, r, r, spot)


def _key(p: Pen) -> None:
    p.oval(-0.55, 0, 0.42, 0.42)
    p.oval(-0.62, 0, 0.14, 0.14, WHITE if sum(p.color) < 600 else BLACK)
    p.box(-0.15, -0.12, 0.98, 0.12)
    p.box(0.5, 0.1, 0.62, 0.4)
    p.box(0.78, 0.1, 0.9, 0.45)


def _lamp(p: Pen) -> None:
    p.line([(0, -0.2), (0, 0.85)], (90, 90, 95), 0.1)
    p.poly([(-0.4, -0.95), (0.4, -0.95), (0.8, -0.05), (-0.8, -0.05)])
    p.oval(0, 0.88, 0.45, 0.12, p.dark)


def _heart(p: Pen) -> None:
    turn = [2 * math.pi * i / 36 for i in range(36)]
    p.poly(
        [
            (
                math.sin(t) ** 3 * 0.95,
                -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 17,
            )
            for t in turn
        ]
    )


DRAW: dict[str, Callable[[Pen], None]] = {
    "circle": lambda p: p.oval(0, 0, 0.9, 0.9),
    "square": lambda p: p.box(-0.82, -0.82, 0.82, 0.82),
    "triangle": lambda p: p.poly([(0, -0.9), (0.95, 0.75), (-0.95, 0.75)]),
    "diamond": lambda p: p.poly([(0, -1), (0.68, 0), (0, 1), (-0.68, 0)]),
    "star": lambda p: p.poly(_ring(5, 1, 0.42)),
    "heart": _heart,
    "tree": _tree,
    "house": _house,
    "car": _car,
    "bus": _bus,
    "boat": _boat,
    "plane": _plane,
    "cat": _cat,
    "bird": _bird,
    "fish": _fish,
    "butterfly": _butterfly,
    "cup": _cup,
    "book": _book,
    "flower": _flower,
    "sun": _sun,
    "moon": _moon,
    "cloud": _cloud,
    "ball": _ball,
    "chair": _chair,
    "table": _table,
    "umbrella": _umbrella,
    "balloon": _balloon,
    "apple": _apple,
    "hat": _hat,
    "mushroom": _mushroom,
    "key": _key,
    "lamp": _lamp,
}
