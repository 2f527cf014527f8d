"""Where the picture shows what a text says: supervision for the decoder's cross-attention.

A `Look` is a span of the last assistant turn and the boxes of which any is right to look at while the span is written;
compare GUI-Actor (Wu et al. 2025), which supervises an attention head with the many patches of an element. All of it
follows from the text and from what the renderer noted in the picture:

- coordinates `[x,y]`: the smallest thing under the point; a swipe's path names no thing;
- words for a place ("at the top left of the screen"), where the turn gives one coordinate to go with them: that thing;
- reading: each character of an answer that the picture shows once, its glyph; else the regions of just that text;
- lists that are counted through ("In order: Home, Cart."): each label, its thing, where the label is there once;
- scenes: a thing's name with its place ("yellow butterfly left"); equal ones in the order of the generator's walk;
- charts: numbers that a thought reads off, their marks; numbers that it calculates with, nothing.

Looks never overlap: kinds are sought in the order above, and what a span has once been found to mean it keeps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from autoglm_phone.train.world.sample import Glyph, Lang, Picture, Region
from autoglm_phone.train.world.visual.regions import NAMES, region, written

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 as fractions of the picture
Part = Literal["reasoning", "answer"]

NEAR = 0.01  # half the side of the box around a point where nothing is known to be
BORDER = 0.02  # of the picture: how far a middle may lie outside the cell that the text names
MOST_CHARACTERS = 96  # of a read answer; the rest of a longer one is the same skill again

_POINT = re.compile(r"(?<!start=)(?<!end=)\[(\d{1,3}),(\d{1,3})\]")
_ZH, _EN = ("|".join(sorted((w for row in NAMES[lang] for w in row), key=len, reverse=True)) for lang in ("zh", "en"))
_PLACE = re.compile(rf"在(?:屏幕)?(?:{_ZH})(?=。)|at the (?:{_EN})(?: of the screen)?(?=\.)")
_PLACE_ALONE = re.compile(rf"(?:{_ZH}|{_EN})")
_OUTERMOST = re.compile(r"最[左右]边的是|(?:left|right)most one is the ")
_IN_ORDER = re.compile(r"\A(?:依次是：(?P<zh>[^。]+)。|In order: (?P<en>.+?)\. The target is)")
_SOUGHT = re.compile(r"(?:找到|Find )(.+?)[，:]")
_VALUE = r"(?<![\d.])\d+(?:\.\d+)?%?(?!\d)"
_MARK = re.compile(rf"(.+) ({_VALUE})")
_READING = re.compile(
    rf"在{_VALUE}和{_VALUE}之间，约(?P<v1>{_VALUE})|(?:正对刻度|图上标着|约占一圈的)(?P<v2>{_VALUE})"
    rf"|between {_VALUE} and {_VALUE}, near (?P<v3>{_VALUE})"
    rf"|(?:at the tick|labelled|takes about) (?P<v4>{_VALUE})"
)
_FILLER = r"(?:的约|约| is about | about | \(| )"
_ARITHMETIC = frozenset("+-=/*×")


@dataclass(frozen=True)
class Look:
    """Characters start:end of the thought or the answer, and boxes of which any is right."""

    part: Part
    start: int
    end: int
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Mark:
    """A bar, point or slice: "Mar Paris 120" has the label "Mar", the series "Paris" and the value "120"."""

    label: str
    series: str
    value: str
    box: Box


class _Found:
    """Looks of one turn; a span that touches an earlier one is not taken."""

    def __init__(self) -> None:
        self.looks: list[Look] = []

    def add(self, part: Part, start: int, end: int, boxes: Iterable[Box]) -> None:
        boxes = tuple(boxes)
        taken = any(look.part == part and look.start < end and start < look.end for look in self.looks)
        if boxes and not taken:
            self.looks.append(Look(part, start, end, boxes))


class Sights:
    """What one picture shows. `looks` may be asked for many turns about it."""

    def __init__(self, picture: Picture):
        self.picture = picture
        self.height, self.width = picture.pixels.shape[:2]
        self.things = [(r.text, self._box((r,))) for r in picture.regions]
        self.marks = _marks(self.things)
        self.drawn = frozenset(glyph.char for glyph in picture.glyphs)
        self._pattern: re.Pattern[str] | None = None  # of what a thought may say about it, once that is asked

    def looks(self, reasoning: str, answer: str, question: str = "") -> tuple[Look, ...]:
        """All looks of an assistant turn, in the order of the text."""
        found = _Found()
        # Most answers on screens are actions, which one look at their characters rules out.
        legible = not self.marks and self.drawn.issuperset("".join(answer.split()))
        glyphs = written(self.picture, answer) if legible else ()
        self._points(found, reasoning, answer, [self._box(glyphs)] if glyphs else [])
        if self.marks:
            self._chart(found, reasoning, answer, question)
        else:
            self._read(found, answer, glyphs)
            self._scene(found, reasoning)
        return tuple(sorted(found.looks, key=lambda look: (look.part == "answer", look.start)))

    def _box(self, shown: Iterable[Glyph | Region]) -> Box:
        """The box around glyphs or regions."""
        sides = [(s.x0, s.y0, s.x1, s.y1) for s in shown]
        x0, y0, x1, y1 = (pick(side) for pick, side in zip((min, min, max, max), zip(*sides, strict=True), strict=True))
        return x0 / self.width, y0 / self.height, x1 / self.width, y1 / self.height

    def _under(self, x: float, y: float, more: list[Box]) -> Box:
        """The smallest box over a point."""
        over = [b for b in [*(box for _, box in self.things), *more] if b[0] <= x <= b[2] and b[1] <= y <= b[3]]
        if not over:
            return x - NEAR, y - NEAR, x + NEAR, y + NEAR
        return min(over, key=lambda b: (b[2] - b[0]) * (b[3] - b[1]))

    def _points(self, found: _Found, reasoning: str, answer: str, more: list[Box]) -> None:
        pointed: dict[Part, list[Box]] = {"reasoning": [], "answer": []}
        parts: tuple[tuple[Part, str], ...] = (("reasoning", reasoning), ("answer", answer))
        for part, text in parts:
            for match in _POINT.finditer(text):
                box = self._under(int(match[1]) / 1000, int(match[2]) / 1000, more)
                pointed[part].append(box)
                found.add(part, match.start(), match.end(), (box,))
        if counted := _IN_ORDER.match(reasoning):
            self._counted(found, reasoning, counted.span(counted.lastgroup or 0))
        if len(pointed["answer"]) == 1:
            for match in _PLACE.finditer(reasoning):
                found.add("reasoning", match.start(), match.end(), pointed["answer"])
            names = [name for name, box in self.things if box == pointed["answer"][0]]
            outer = _OUTERMOST.search(reasoning)
            for name in names:
                if outer and reasoning.startswith(name, outer.end()):
                    found.add("reasoning", outer.end(), outer.end() + len(name), pointed["answer"])
        elif len(pointed["reasoning"]) == 1 and _PLACE_ALONE.fullmatch(answer):
            found.add("answer", 0, len(answer), pointed["reasoning"])

    def _counted(self, found: _Found, reasoning: str, span: tuple[int, int]) -> None:
        """Labels one after the other, of which some may hold a comma: those that are found as a whole."""
        at = span[0]
        for label in re.split("、|, ", reasoning[slice(*span)]):
            at = reasoning.index(label, at)
            boxes = [box for text, box in self.things if text == label]
            if len(boxes) == 1:
                found.add("reasoning", at, at + len(label), boxes)
            at += len(label)

    def _read(self, found: _Found, answer: str, glyphs: Iterable[Glyph]) -> None:
        letters = [i for i, char in enumerate(answer) if not char.isspace()]
        glyphs = list(glyphs)
        for at, glyph in list(zip(letters, glyphs, strict=False))[:MOST_CHARACTERS]:
            found.add("answer", at, at + 1, (self._box((glyph,)),))
        if not glyphs:
            found.add("answer", 0, len(answer), (box for text, box in self.things if text == answer))

    def _scene(self, found: _Found, reasoning: str) -> None:
        if not any(name in reasoning for name, _ in self.things):
            return
        if self._pattern is None:
            choice = _either(name for name, _ in self.things)
            self._pattern = re.compile(rf"(?P<zh>{_ZH})(?P<was>{choice})|\b(?P<name>{choice}) (?P<en>{_EN})\b")
        spans: dict[str, dict[str, list[tuple[int, int]]]] = {}
        for match in self._pattern.finditer(reasoning):
            name, place = match["was"] or match["name"], match["zh"] or match["en"]
            spans.setdefault(name, {}).setdefault(place, []).append(match.span())
        for name, places in spans.items():
            same = [box for text, box in self.things if text == name]
            shared = _shared_out(same, {place: len(said) for place, said in places.items()})
            for place, said in places.items():
                # The generator walks the cells' rows, within one from left to right.
                here = sorted(shared[place], key=lambda box: box[0] + box[2])
                for i, (start, end) in enumerate(said):
                    found.add("reasoning", start, end, here[i : i + 1] if len(here) == len(said) else here)

    def _chart(self, found: _Found, reasoning: str, answer: str, question: str) -> None:
        marks = _asked(self.marks, question)
        sought = _SOUGHT.search(reasoning)
        for match in _READING.finditer(reasoning):
            boxes = _boxes(marks, match[match.lastgroup or 0], sought[1] if sought else "")
            found.add("reasoning", match.start(), match.end(), boxes)
        if self._pattern is None:
            label = rf"(?<![A-Za-z\d.])(?P<label>{_either(mark.label for mark in self.marks)})(?![a-z\d])"
            self._pattern = re.compile(rf"{label}(?:{_FILLER}(?P<said>{_VALUE}))?|(?P<bare>{_VALUE})")
        bare: dict[str, list[tuple[int, int]]] = {}
        for match in self._pattern.finditer(reasoning):
            which = "said" if match["said"] else "bare"
            start, end = match.span(which)
            if not match[which] or _calculated(reasoning, start, end):
                continue
            boxes = _boxes(marks, match[which], match["label"]) if match["label"] else ()
            if boxes:
                found.add("reasoning", match.start(), end, boxes)
            else:
                bare.setdefault(match[which], []).append((start, end))
        for value, spans in bare.items():
            boxes = _boxes(marks, value, "")
            for i, (start, end) in enumerate(spans):
                found.add("reasoning", start, end, boxes[i : i + 1] if len(boxes) == len(spans) else boxes)
        # "about 23" does not end with the answer 3.
        said = re.compile(rf"(?<![\d.]){re.escape(answer)}\Z")
        read = [look for look in found.looks if said.search(reasoning, look.start, look.end)]
        if read and answer:
            found.add("answer", 0, len(answer), read[0].boxes)
        else:
            named = [mark.box for mark in marks if mark.label == answer]
            found.add("answer", 0, len(answer), named)


def _either(texts: Iterable[str]) -> str:
    """A pattern for any of these texts, the longest first."""
    return "|".join(map(re.escape, sorted(set(texts), key=len, reverse=True)))


def _shared_out(boxes: list[Box], said: dict[str, int]) -> dict[str, list[Box]]:
    """Boxes by the place that their middle lies in. said: how often the text names each place.

    A middle near a border may be drawn on the other side of it: a place that has too few takes from one with too many.
    """
    lang: Lang = "zh" if next(iter(said)) in _ZH.split("|") else "en"
    cells = {word: (x / 3, y / 3) for y, row in enumerate(NAMES[lang]) for x, word in enumerate(row)}
    held: dict[str, list[Box]] = {word: [] for word in cells}
    for box in boxes:
        held[region(500 * (box[0] + box[2]), 500 * (box[1] + box[3]), lang)].append(box)
    for place, count in said.items():
        left, top = cells[place]
        for _ in range(count - len(held[place])):
            spare = [
                (max(left - x, x - left - 1 / 3, top - y, y - top - 1 / 3), other, box)
                for other, own in held.items()
                if len(own) > said.get(other, 0)
                for box in own
                for x, y in [((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)]
            ]
            beyond, other, box = min(spare, default=(1.0, "", (0.0, 0.0, 0.0, 0.0)))
            if beyond < BORDER:
                held[other].remove(box)
                held[place].append(box)
    return held


def _marks(things: list[tuple[str, Box]]) -> list[Mark]:
    """The marks of a chart; none for other pictures.

    A mark's text is the text of a label, the series if there are several, and a number; a pie has no other labels. The
    label may itself end in a number ("Q3 15").
    """
    texts = {text for text, _ in things}
    marks = []
    for text, box in things:
        match = _MARK.fullmatch(text)
        if match is None:
            continue
        words, value = match[1].split(" "), match[2]
        starts = [" ".join(words[:n]) for n in range(len(words), 0, -1)]
        label = next((start for start in starts if start in texts), match[1] if value.endswith("%") else None)
        if label is not None:
            marks.append(Mark(label, match[1][len(label) :].strip(), value.rstrip("%"), box))
    return marks if len(marks) > 1 else []


def _asked(marks: list[Mark], question: str) -> list[Mark]:
    """The marks of the series that a question names; all of them if it names none."""
    named = {mark.series for mark in marks if mark.series and mark.series in question}
    named = {name for name in named if not any(name != other and name in other for other in named)}
    return [mark for mark in marks if mark.series in named] if named else marks


def _boxes(marks: list[Mark], value: str, label: str) -> tuple[Box, ...]:
    """Boxes of the marks with this value, if the label is not empty only of those with this label."""
    return tuple(m.box for m in marks if m.value == value.rstrip("%") and label in {"", m.label})


def _calculated(text: str, start: int, end: int) -> bool:
    """Whether a number stands in arithmetic; "(570)" alone does not."""
    before, after = text[start - 1 : start], text[end : end + 1]
    return before in _ARITHMETIC or after in _ARITHMETIC or (before == "(" and after != ")")
