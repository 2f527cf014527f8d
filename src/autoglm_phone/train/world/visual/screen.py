"""Phone-agent steps on rendered screens (`screen`) and questions about their text (`screen_read`)."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from autoglm_phone.train.world.phrasing import typed
from autoglm_phone.train.world.registry import Builder, Draft
from autoglm_phone.train.world.sample import Lang, Picture, Sample, Split, Turn
from autoglm_phone.train.world.scoring import Score, normalise, scorer
from autoglm_phone.train.world.visual import (  # noqa: F401  (layouts register themselves)
    layouts_media,
    layouts_mosaic,
    layouts_orders,
    layouts_people,
    layouts_popups,
    layouts_shop,
    layouts_system,
    layouts_talk,
    layouts_things,
    layouts_tools,
    layouts_unseen,
    layouts_web,
)
from autoglm_phone.train.world.visual.canvas import make_canvas, pick_typeset
from autoglm_phone.train.world.visual.content import Content
from autoglm_phone.train.world.visual.degrade import degrade, reframe
from autoglm_phone.train.world.visual.labelled import finished
from autoglm_phone.train.world.visual.layouts import LAYOUTS, Layout
from autoglm_phone.train.world.visual.prompts import as_alternative, pick_frame, wrap
from autoglm_phone.train.world.visual.regions import look_at, written
from autoglm_phone.train.world.visual.stage import Stage
from autoglm_phone.train.world.visual.tasks import Screen, Task
from autoglm_phone.train.world.visual.theme import pick_theme

# dp; phones of 16:9 to 21:9, then tablets and landscape for layouts that allow it.
_WIDTHS = (320.0, 340.0, 360.0, 360.0, 360.0, 375.0, 384.0, 393.0, 412.0, 412.0, 430.0)
_ASPECTS = (16 / 9, 18 / 9, 18.5 / 9, 19 / 9, 19.5 / 9, 20 / 9, 20 / 9, 21 / 9)
_SCALES = ((0.9, 8), (1.0, 44), (1.15, 8), (1.5, 10), (2.0, 16), (2.625, 6), (3.0, 8))


@dataclass(frozen=True)
class Rendered:
    """A finished screen: its picture and everything that can be asked about it."""

    picture: Picture
    lang: Lang
    app: str
    layout: str
    taps: list[Task]
    actions: list[Task]
    reads: list[Task]


def _size(rng: random.Random, layout: Layout) -> tuple[float, float, float]:
    """Width and height in dp, and px per dp."""
    scale = rng.choices([s for s, _ in _SCALES], [w for _, w in _SCALES])[0]
    width = rng.choice(_WIDTHS)
    height = round(width * rng.choice(_ASPECTS))
    if layout.wide and rng.random() < 0.12:
        if rng.random() < 0.5:
            return height, max(width, 360.0), min(scale, 2.0)
        return rng.choice((600.0, 768.0, 800.0)), rng.choice((800.0, 960.0, 1024.0)), min(scale, 1.15)
    return width, height, min(scale, 1440 / width)


def pick_layout(rng: random.Random, unseen: bool, split: Split) -> Layout:
    known = [item for item in LAYOUTS.values() if split == "train" or not item.training]
    choices = [item for item in known if item.unseen == unseen] or known
    return rng.choices(choices, [item.weight for item in choices])[0]


def render(
    rng: random.Random, split: Split, unseen: bool, lang: Lang | None = None, layout: str = "", framed: bool = False
) -> Rendered:
    """Draws one screen. layout: id of the one to draw, else any (a held-out one if `unseen`).

    framed: a few pictures are cropped or have a border (not when its texts are asked about: some may be cut off).
    """
    lang = lang or ("zh" if rng.random() < 0.55 else "en")
    chosen = LAYOUTS[layout] if layout else pick_layout(rng, unseen, split)
    width, height, scale = _size(rng, chosen)
    theme = pick_theme(rng)
    canvas = make_canvas(rng, width, height, scale, theme.back, pick_typeset(rng, lang, unseen))
    stage = Stage(canvas, theme, lang, rng, Content(rng, lang, split), split, bottom=height)
    chosen.draw(stage)
    screen = Screen(stage, unseen)
    pixels, glyphs = canvas.pixels(), canvas.visible_glyphs()
    if framed and rng.random() < 0.08:
        pixels, glyphs, window = reframe(rng, pixels, glyphs)
        screen.show(tuple(v / canvas.scale for v in window))  # type: ignore[arg-type]
    regions = finished(screen.regions(canvas.scale), pixels.shape[1], pixels.shape[0])
    picture = Picture(degrade(pixels, rng, scale), glyphs, regions)
    return Rendered(picture, lang, stage.app, chosen.id, screen.taps(), screen.specials(), screen.reads())


def _spread(rng: random.Random, tasks: list[Task], count: int) -> list[Task]:
    """Up to `count` tasks with different answers."""
    rng.shuffle(tasks)
    found: dict[str, Task] = {}
    for task in tasks:
        found.setdefault(task.answer, task)
        if len(found) == count:
            break
    return list(found.values())


def _rare_first(rng: random.Random, tasks: list[Task], count: int) -> list[Task]:
    """Steps other than taps; those that few screens allow go first, or the common ones would crowd them out."""
    common = {"Back": 2.0, "Home": 2.0, "Launch": 1.6, "Swipe": 1.4}
    chosen = _spread(rng, tasks, len(tasks))
    chosen.sort(key=lambda task: rng.random() * common.get(task.truth["action"], 0.7))
    return chosen[:count]


def _typed(rng: random.Random, task: Task, lang: Lang, split: Split) -> Task:
    """The task with its question as a thumb types it; a text to be entered keeps its letters."""
    return replace(task, question=typed(rng, task.question, lang, split, lower=task.step == "tap"))


def build_screen(rng: random.Random, split: Split, unseen: bool) -> Draft:
    shown = render(rng, split, unseen, framed=True)
    taps, actions = _spread(rng, shown.taps, 6), _rare_first(rng, shown.actions, 3)
    first = (actions if actions and (not taps or rng.random() < 0.25) else taps)[0]
    others = [_typed(rng, task, shown.lang, split) for task in taps + actions if task is not first]
    first = _typed(rng, first, shown.lang, split)
    frame = pick_frame(rng, shown.lang, unseen)
    turns = wrap(rng, shown.lang, first, shown.app, split, frame)
    alternatives = tuple(as_alternative(rng, shown.lang, task, shown.app, frame) for task in others)
    difficulty = min(4, first.difficulty + (1 if frame.steps else 0))
    return Draft(shown.lang, difficulty, turns, first.truth, (shown.picture,), alternatives=alternatives)


def build_read(rng: random.Random, split: Split, unseen: bool) -> Draft:
    while not (shown := render(rng, split, unseen)).reads:
        pass  # a screen with nothing to ask, such as a bare form without status bar
    reads = _spread(rng, shown.reads, 6)
    picture = shown.picture
    thoughts = [look_at(picture, written(picture, t.answer), shown.lang) for t in reads]
    pairs = [
        (Turn("user", f"<image>{typed(rng, t.question, shown.lang, split)}"), Turn("assistant", t.answer, thought))
        for t, thought in zip(reads, thoughts, strict=True)
    ]
    return Draft(shown.lang, 1, pairs[0], reads[0].truth, (shown.picture,), alternatives=tuple(pairs[1:]))


@scorer("screen_text")
def _screen_text(sample: Sample, answer: str, reasoning: str) -> Score:
    """truth: accept: [texts]; equal but for case, width, spaces and closing punctuation."""

    def plain(text: str) -> str:
        return normalise(text).replace(" ", "").strip("\"'“”")

    correct = plain(answer) in {plain(text) for text in sample.truth["accept"]}
    return Score(correct, float(correct))


BUILDERS: dict[str, Builder] = {"screen": build_screen, "screen_read": build_read}
