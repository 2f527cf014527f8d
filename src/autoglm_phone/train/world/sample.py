"""What the world makes: one conversation with its media, its right answer and how to judge one.

A `Sample` is plain data: text, numpy arrays and a JSON-able `truth`. The trainer turns it into tokens
and tensors, the benchmark sends it to a server, `scoring` judges what came back. No model code here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Lang = Literal["zh", "en"]
Split = Literal["train", "val", "test"]
SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class Glyph:
    """A drawn character and its box in pixels of the sample's picture (dense supervision for the vision tower)."""

    char: str
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class Region:
    """Something that a picture shows, as a model should call it, and its box in pixels (dense supervision).

    text is in the sample's language; two regions of a picture may have the same text.
    """

    text: str
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class Picture:
    """pixels: uint8 [H, W, 3] RGB. glyphs: where characters were drawn; may be empty.

    regions: the elements of a screen, the objects of a scene, the marks and tick labels of a chart or the lines of a
        text, most important first; every box lies inside the picture.
    """

    pixels: np.ndarray
    glyphs: tuple[Glyph, ...] = ()
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True)
class Clip:
    """samples: float32 [T] in [-1, 1], mono, 16 kHz. text: what is said (CTC target). voice: its id."""

    samples: np.ndarray
    text: str
    lang: Lang
    voice: str = ""


@dataclass(frozen=True)
class Turn:
    """One message. In `text`, `<image>` and `<audio>` mark where the next picture / clip goes (user turns only).

    `reasoning` is the text between <think> and </think> of an assistant turn ("" = answers directly).
    """

    role: Literal["system", "user", "assistant"]
    text: str
    reasoning: str = ""


@dataclass(frozen=True)
class Sample:
    """A conversation that ends with the reference assistant turn; `turns[-1]` is what a model should produce.

    truth: what `scoring.score` needs to judge an answer, e.g. {"kind": "exact", "value": "42"}.
    unseen_template: made from a phrase or layout that the train split never uses (test split only).
    alternatives: further (turns-suffix) question/answer pairs about the same media: each is the list of turns
        that replaces the last user+assistant pair. Training uses them to spend one rendered picture on many
        questions; evaluation ignores them.
    """

    category: str
    split: Split
    index: int
    lang: Lang
    difficulty: int  # 0 trivial … 4 many steps
    turns: tuple[Turn, ...]
    truth: dict[str, Any]
    pictures: tuple[Picture, ...] = ()
    clips: tuple[Clip, ...] = ()
    unseen_template: bool = False
    alternatives: tuple[tuple[Turn, ...], ...] = field(default=())

    @property
    def id(self) -> str:
        return f"{self.category}/{self.split}/{self.index}"

    @property
    def answer(self) -> Turn:
        return self.turns[-1]
