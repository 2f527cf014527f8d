"""What stands behind the objects of a scene."""

from __future__ import annotations

import random

from autoglm_phone.train.world.visual.canvas import Canvas, Color
from autoglm_phone.train.world.visual.theme import mix

_PLAIN: dict[str, Color] = {
    "white": (255, 255, 255),
    "blue": (200, 228, 250),
    "yellow": (253, 246, 200),
    "pink": (252, 222, 232),
    "gray": (222, 224, 227),
    "black": (16, 16, 18),
}


def draw_backdrop(canvas: Canvas, rng: random.Random, name: str) -> None:
    w, h = canvas.width, canvas.height
    whole = (0.0, 0.0, w, h)
    if name in _PLAIN:
        color = _PLAIN[name]
        if rng.random() < 0.35 and name != "white":
            canvas.gradient(
                whole, mix(color, (255, 255, 255), 0.3 if name != "black" else 0.08), color, rng.random() < 0.5
            )
        else:
            canvas.rect(whole, color)
        if rng.random() < 0.2:
            ink = mix(color, (128, 128, 128), 0.12)
            step = rng.randint(14, 30)
            for column in range(0, int(w), step):
                canvas.line([(column, 0), (column, h)], ink, 1)
        return
    horizon = h * rng.uniform(0.3, 0.5)
    if name == "field":
        canvas.gradient((0, 0, w, horizon), (150, 205, 250), (225, 240, 252))
        green = rng.choice(((120, 190, 90), (105, 178, 80), (140, 200, 100)))
        canvas.rect((0, horizon, w, h), green)
        for _ in range(14):
            x, y = rng.uniform(0, w), rng.uniform(horizon + 4, h)
            canvas.line([(x, y), (x + 2, y - 6)], mix(green, (0, 60, 0), 0.3), 1)
    elif name == "room":
        canvas.rect(whole, rng.choice(((236, 226, 208), (226, 232, 226), (240, 225, 220))))
        canvas.rect((0, h * 0.72, w, h), (196, 160, 120))
        canvas.line([(0, h * 0.72), (w, h * 0.72)], (150, 115, 80), 2)
        for i in range(1, 5):
            canvas.line([(w * i / 5, h * 0.72), (w * i / 5 + (i - 2.5) * 20, h)], (170, 132, 95), 1)
    elif name == "night":
        canvas.gradient(whole, (10, 14, 44), (44, 50, 100))
        for _ in range(24):
            x, y = rng.uniform(0, w), rng.uniform(0, h)
            canvas.circle((x, y), rng.choice((0.8, 1.2)), (210, 214, 235))
    elif name == "beach":
        canvas.gradient((0, 0, w, horizon * 0.7), (150, 210, 250), (210, 238, 252))
        canvas.rect((0, horizon * 0.7, w, horizon), (70, 150, 205))
        canvas.rect((0, horizon, w, h), (240, 220, 170))
        for _ in range(40):
            x, y = rng.uniform(0, w), rng.uniform(horizon + 3, h)
            canvas.circle((x, y), 0.9, (215, 190, 140))
    else:  # snow
        canvas.gradient((0, 0, w, horizon), (185, 205, 225), (225, 234, 243))
        canvas.rect((0, horizon, w, h), (246, 249, 252))
        for _ in range(30):
            canvas.circle((rng.uniform(0, w), rng.uniform(0, horizon)), 1.5, (255, 255, 255))
