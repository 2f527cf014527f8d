"""The frame that blocks of composed screens are put into, and what is common to them.

A block takes the mosaic and the first free y and returns the next one (the same if it finds no room).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autoglm_phone.train.world.visual.canvas import Box, Color
from autoglm_phone.train.world.visual.mosaic_words import Item, Words
from autoglm_phone.train.world.visual.stage import Stage
from autoglm_phone.train.world.visual.theme import mix

Block = Callable[["Mosaic", float], float]


@dataclass
class Mosaic:
    """Where blocks are put: the column x0 … x1 down to `floor`; pad, gap, radius, size: habits of this screen."""

    s: Stage
    words: Words
    x0: float
    x1: float
    floor: float
    pad: float
    gap: float
    radius: float
    size: float
    panel_kind: str
    full: bool = False  # something did not fit
    block: int = 0  # number of the block being drawn: each has a group of its own

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def group(self) -> str:
        return f"block{self.block}"

    @property
    def small(self) -> float:
        return max(11.0, self.size - 3)

    def panel(self, box: Box, kind: str = "", radius: float | None = None) -> Color:
        """Background of a block; returns its colour."""
        c, th = self.s.canvas, self.s.theme
        kind, radius = kind or self.panel_kind, self.radius if radius is None else radius
        if kind == "plain":
            return th.back
        if kind == "outline":
            c.frame(box, th.line, 1, radius)
            return th.back
        fill = th.card if kind == "card" else mix(th.back, th.accent if kind == "tint" else th.ink, 0.09)
        c.rect(box, fill, radius)
        if fill == th.back:
            c.frame(box, th.line, 1, radius)
        return fill

    def fitting(self, y: float, height: float, want: int) -> int:
        """How many rows of a height fit below y."""
        count = int((self.floor - y) // height)
        self.full |= count < want
        return max(0, min(want, count))

    def named(self, item: Item, *parts: tuple[str, str]) -> tuple[str, ...]:
        """Phrases in this screen's language; "{}" is the label."""
        return tuple(self.s.t(zh, en).format(item.label) for zh, en in parts)


def tell(m: Mosaic, label: str, value: str, *more: tuple[str, str]) -> None:
    """A fact: the value that belongs to a label."""
    zh = (f"“{label}”对应的内容是什么？", f"{label}显示的是什么？", f"{label}那里写着什么？")
    en = (f"What does it say for {label}?", f"What is shown for {label}?", f"What stands with {label}?")
    m.s.fact((*(z for z, _ in more), *zh), (*(e for _, e in more), *en), value)


def heading(m: Mosaic, y: float) -> float:
    """A section's title, sometimes with a text button at its right."""
    s, rng, th = m.s, m.s.rng, m.s.theme
    h = rng.uniform(30, 46)
    item = m.words.item(rng.choice(("noun", "adjective", "topic")))
    if y + h + 60 > m.floor or item is None:
        return y
    cy = y + h / 2
    middle = rng.random() < 0.15
    room = m.width - 2 * m.pad - 90
    if middle:
        s.write((m.x0 + m.x1) / 2, cy, item.label, m.size, th.faint, rng.random() < 0.5, "m", room)
        return y + h
    size, ink = rng.choice((m.size + 3, m.size, m.small)), rng.choice((th.ink, th.ink, th.faint))
    s.write(m.x0 + m.pad, cy, item.label, size, ink, rng.random() < 0.6, width=room)
    if rng.random() < 0.4:
        more = s.t(*rng.choice((("更多", "More"), ("展开", "Expand"), ("换一批", "Refresh"), ("编辑", "Edit"))))
        right = m.x1 - m.pad
        w = s.canvas.measure(more, m.small)
        s.write(right, cy, more, m.small, th.accent, anchor="r")
        names = m.named(item, (f"“{{}}”右边的“{more}”", f"the {more} button next to {{}}"))
        s.touch((right - w - 8, y, min(m.x1, right + 8), y + h), "button", more, names=names)
    return y + h
