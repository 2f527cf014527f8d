"""The look of a screen: colours and shape habits of Material, iOS-like, MIUI-like and plain phones."""

from __future__ import annotations

import random
from dataclasses import dataclass

from autoglm_phone.train.world.visual.canvas import Color

ACCENTS: tuple[Color, ...] = (
    (26, 115, 232),
    (0, 122, 255),
    (7, 193, 96),
    (255, 80, 0),
    (254, 44, 85),
    (103, 80, 164),
    (0, 150, 136),
    (255, 149, 0),
    (52, 199, 89),
    (88, 86, 214),
    (233, 30, 99),
    (63, 81, 181),
    (0, 137, 123),
    (230, 74, 25),
    (40, 96, 144),
)
BRIGHT: tuple[Color, ...] = (*ACCENTS, (120, 144, 156), (141, 110, 99), (255, 193, 7), (3, 169, 244), (139, 195, 74))


@dataclass(frozen=True)
class Theme:
    """back: page colour. card: raised surface. ink / faint: text colours. bar: colour behind the title.

    style: "material", "ios", "miui" or "flat"; radius: corners of cards in dp.
    """

    style: str
    dark: bool
    back: Color
    card: Color
    ink: Color
    faint: Color
    line: Color
    accent: Color
    on_accent: Color
    bar: Color
    on_bar: Color
    radius: float
    text: float  # body size in dp
    gap: float  # margin in dp


def mix(a: Color, b: Color, share: float) -> Color:
    """a moved towards b by `share`."""
    return tuple(round(x * (1 - share) + y * share) for x, y in zip(a[:3], b[:3], strict=True))


def pick_theme(rng: random.Random) -> Theme:
    style = rng.choice(("material", "material", "ios", "miui", "flat"))
    dark = rng.random() < 0.25
    accent = rng.choice(ACCENTS)
    back: Color
    if dark:
        tone = rng.randint(0, 28)
        back = (tone, tone, tone + rng.randint(0, 6))
        card = mix(back, (255, 255, 255), rng.uniform(0.05, 0.12))
        ink, faint = (238, 238, 240), (160, 160, 166)
    else:
        back = rng.choice(
            ((255, 255, 255), (255, 255, 255), (242, 242, 247), (245, 245, 245), (250, 248, 252), (240, 244, 249))
        )
        if rng.random() < 0.12:
            back = mix((255, 255, 255), accent, 0.1)
        card = (
            (255, 255, 255)
            if back != (255, 255, 255)
            else rng.choice(((255, 255, 255), (246, 246, 248), (243, 240, 248)))
        )
        ink, faint = (
            rng.choice(((20, 20, 22), (32, 33, 36), (0, 0, 0), (48, 49, 51))),
            rng.choice(((110, 110, 116), (128, 128, 134), (95, 99, 104))),
        )
    line = mix(back, ink, 0.12)
    coloured = rng.random() < 0.3 and not dark
    radius = {"material": rng.choice((4, 8, 12)), "ios": 10, "miui": 16, "flat": rng.choice((0, 2, 6))}[style]
    return Theme(
        style,
        dark,
        back,
        card,
        ink,
        faint,
        line,
        accent,
        (255, 255, 255),
        accent if coloured else back,
        (255, 255, 255) if coloured else ink,
        radius,
        rng.choice((14.0, 15.0, 15.0, 16.0, 17.0)),
        rng.choice((12.0, 16.0, 16.0, 20.0)),
    )
