"""The table of categories and the one way to make a sample.

`generate(category, split, index)` is a pure function of its arguments: the same on every machine and in every process.
A category lives in a module that is imported on first use (a drawing library is not needed to make text). The module
exports `BUILDERS: dict[category id, Builder]`; a builder gets the sample's own random generator, its split and whether
it must use templates held out from training, and returns a `Draft` (or a whole `Sample`: only its contents count).

In split "test" every fourth sample (index % 4 == 3) is made with `unseen=True`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

from autoglm_phone.errors import ConfigError
from autoglm_phone.train.world.fillings import WORLD_SEED, rng_for
from autoglm_phone.train.world.sample import Clip, Lang, Picture, Sample, Split, Turn


@dataclass(frozen=True)
class Draft:
    """What a builder returns: a sample that does not yet know its category, split and index."""

    lang: Lang
    difficulty: int
    turns: tuple[Turn, ...]
    truth: dict[str, Any]
    pictures: tuple[Picture, ...] = ()
    clips: tuple[Clip, ...] = ()
    alternatives: tuple[tuple[Turn, ...], ...] = field(default=())


Builder = Callable[[random.Random, Split, bool], "Draft | Sample"]

_WORLD = "autoglm_phone.train.world"
# category id -> (group, module below train/world)
_TABLE: dict[str, tuple[str, str]] = {
    "identity": ("text", "text.persona"),
    "help": ("text", "text.persona"),
    "smalltalk": ("text", "text.smalltalk"),
    "oos": ("text", "text.oos"),
    "arith": ("text", "text.arith"),
    "datetime": ("text", "text.dates"),
    "units": ("text", "text.units"),
    "price": ("text", "text.price"),
    "notify": ("text", "text.notify"),
    "summary": ("text", "text.summary"),
    "translate": ("text", "text.translate"),
    "tools": ("text", "text.tools"),
    "screen": ("screen", "visual.screen"),
    "screen_read": ("screen", "visual.screen"),
    "ocr": ("screen", "visual.text_lines"),
    "chart_value": ("chart", "visual.chart"),
    "chart_trend": ("chart", "visual.chart"),
    "chart_compare": ("chart", "visual.chart"),
    "chart_forecast": ("chart", "visual.chart"),
    "scene_caption": ("scene", "visual.scene"),
    "scene_match": ("scene", "visual.scene"),
    "scene_count": ("scene", "visual.scene"),
    "scene_locate": ("scene", "visual.scene"),
    "asr": ("audio", "audio.speech"),
    "spoken_task": ("audio", "audio.speech"),
    "speech_screen": ("audio", "audio.both"),
    "speech_chart": ("audio", "audio.both"),
}


@dataclass(frozen=True)
class Category:
    """One kind of sample. `build` imports the category's module when it is first called."""

    id: str
    group: str
    module: str

    def build(self, rng: random.Random, split: Split, unseen: bool) -> Draft | Sample:
        return _builder(self.id)(rng, split, unseen)


CATEGORIES: dict[str, Category] = {
    name: Category(name, group, f"{_WORLD}.{module}") for name, (group, module) in _TABLE.items()
}
TEXT_GROUP: tuple[str, ...] = tuple(name for name, (group, _) in _TABLE.items() if group == "text")


def category(name: str) -> Category:
    """The category of this id, or a ConfigError that lists the known ones."""
    try:
        return CATEGORIES[name]
    except KeyError:
        raise ConfigError(f"unknown category {name!r}; known: {', '.join(CATEGORIES)}") from None


@cache
def _builder(name: str) -> Builder:
    module = category(name).module
    try:
        loaded = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise ConfigError(
                f"category {name!r} needs the Python package {error.name!r}; install the extra 'train'"
            ) from error
        raise ConfigError(f"category {name!r} is not available: module {module} does not exist") from error
    builders: dict[str, Builder] = loaded.BUILDERS
    if name not in builders:
        raise ConfigError(f"module {module} has no builder for category {name!r}; it has: {', '.join(builders)}")
    return builders[name]


def load(name: str) -> None:
    """Import a category's module, which registers its scorers."""
    _builder(name)


def is_available(name: str) -> bool:
    """Whether this category's module and the packages that it draws with are installed."""
    try:
        _builder(name)
    except (ConfigError, ImportError):
        return False
    return True


def generate(name: str, split: Split, index: int, seed: int = WORLD_SEED) -> Sample:
    """Sample number `index` (0, 1, 2, …) of a category in a split."""
    if index < 0:
        raise ConfigError(f"sample index {index} is negative; indices start at 0")
    known = category(name)
    rng = rng_for(name, split, index, seed)
    unseen = split == "test" and index % 4 == 3
    draft = known.build(rng, split, unseen)
    turns = draft.turns
    if known.group == "text":
        from autoglm_phone.train.world.text.context import add_context

        turns = add_context(rng, name, draft.lang, turns, split)
    return Sample(
        category=name,
        split=split,
        index=index,
        lang=draft.lang,
        difficulty=draft.difficulty,
        turns=turns,
        truth=draft.truth,
        pictures=draft.pictures,
        clips=draft.clips,
        unseen_template=unseen,
        alternatives=draft.alternatives,
    )


def iter_samples(name: str, split: Split, start: int, count: int, seed: int = WORLD_SEED) -> Iterator[Sample]:
    """Samples start … start+count-1 of a category, in order."""
    for index in range(start, start + count):
        yield generate(name, split, index, seed)
