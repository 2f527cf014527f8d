"""A screen while it is being laid out: what was drawn, what can be touched, what can be asked about it.

Layouts call the widgets of `widgets.py` on a `Stage`; `tasks.py` turns its elements and facts into questions.
All coordinates are dp; `Stage.touch` records what a finger may hit.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal

from autoglm_phone.train.world.sample import Lang, Split
from autoglm_phone.train.world.visual.canvas import Box, Canvas
from autoglm_phone.train.world.visual.content import Content
from autoglm_phone.train.world.visual.theme import Theme

Kind = Literal["row", "button", "icon", "tab", "switch", "field", "app", "card", "key", "check"]


@dataclass
class Element:
    """Something that can be touched.

    label: its visible text. icon: its icon's name. names: noun phrases that describe it alone on this screen
    ("the switch next to Wi-Fi"). wishes: goals that touching it serves ("turn on Wi-Fi"). group: the list in which it
    has a place. state: on / off for switches and check boxes. now: what is thought of the state before the element is
    touched for one of its wishes ("Wi-Fi is off now.").
    """

    box: Box
    kind: Kind
    label: str = ""
    icon: str = ""
    names: tuple[str, ...] = ()
    wishes: tuple[str, ...] = ()
    group: str = ""
    state: bool | None = None
    now: str = ""


@dataclass(frozen=True)
class Fact:
    """A question about what is on the screen, in one or more wordings, and its short answer."""

    questions: tuple[str, ...]
    answer: str
    accept: tuple[str, ...] = ()


@dataclass(frozen=True)
class Special:
    """An instruction whose right step is not a tap. truth: as the scorer of "action" wants it."""

    questions: tuple[str, ...]
    answer: str
    thought: str
    truth: dict[str, object]


@dataclass
class Stage:
    """One screen of `lang` in the making. app: name that the screen information would report."""

    canvas: Canvas
    theme: Theme
    lang: Lang
    rng: random.Random
    content: Content
    split: Split
    app: str = ""
    clock: str = ""  # what the status bar shows
    top: float = 0.0  # first free dp below the bars
    bottom: float = 0.0  # first dp that the bottom bars cover
    scrolls: bool = False  # more is found below
    trimmed: bool = False  # some element is covered, so the last of a list can't be told
    elements: list[Element] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    specials: list[Special] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)  # every text drawn, for uniqueness
    cut: set[str] = field(default_factory=set)  # texts that did not fit, and what is left of them

    def t(self, zh: str, en: str) -> str:
        return zh if self.lang == "zh" else en

    def write(
        self,
        x: float,
        cy: float,
        text: str,
        size: float,
        color: tuple[int, ...],
        bold: bool = False,
        anchor: str = "l",
        width: float = 0,
    ) -> str:
        """Draws a line (cut to `width` dp if given) and remembers it. Returns what is visible."""
        if width:
            shown = self.canvas.fit(text, size, width, bold)
            if shown != text:
                self.cut |= {text, shown}
            text = shown
        self.canvas.text(x, cy, text, size, color, bold, anchor)
        self.labels.append(text)
        return text

    def touch(
        self,
        box: Box,
        kind: Kind,
        label: str = "",
        icon: str = "",
        names: tuple[str, ...] = (),
        wishes: tuple[str, ...] = (),
        group: str = "",
        state: bool | None = None,
        now: str = "",
    ) -> Element:
        element = Element(box, kind, label, icon, names, wishes, group, state, now)
        self.elements.append(element)
        return element

    def switched(self, name: str, on: bool) -> str:
        """A thought about a switch. It begins alike whether the switch is to be touched or is as it should be."""
        return self.t(f"{name}现在是{'开' if on else '关'}的。", f"{name} is {'on' if on else 'off'} now.")

    def fact(self, zh: tuple[str, ...], en: tuple[str, ...], answer: str, accept: tuple[str, ...] = ()) -> None:
        self.facts.append(Fact(zh if self.lang == "zh" else en, answer, accept))

    def cover(self, box: Box, blocks_all: bool = False) -> None:
        """Something is about to be drawn over `box`: what lies below can't be seen, nor touched if it blocks all."""
        self.canvas.hide(box)
        if blocks_all:
            self.elements.clear()
            self.facts.clear()
            self.labels.clear()
            self.scrolls = self.trimmed = False
            return
        x0, y0, x1, y1 = box
        kept = [e for e in self.elements if e.box[2] <= x0 or e.box[0] >= x1 or e.box[3] <= y0 or e.box[1] >= y1]
        self.trimmed |= len(kept) < len(self.elements)
        self.elements = kept
