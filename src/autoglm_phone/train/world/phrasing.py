"""Many ways to ask for the same thing: the small grammar that training's questions are composed with.

An `Ask` holds one wish in up to four shapes: a question ("how did the {x} develop"), an order ("describe the trend of
the {x}"), an indirect question ("how the {x} developed") and a noun phrase ("the trend of the {x}"). The frames of a
language make sentences of them: politeness, openings, word order, something said before or after. No frame changes
what is asked for, so a task is told by its core alone.

Wordings that the test split keeps for its unseen samples stay out by construction: `ask` draws again when a phrase is
`too_near` to one. The test split itself never comes here.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from autoglm_phone.train.world.phrasing_frames import FRAMES, SOUND_FRAMES, THINGS
from autoglm_phone.train.world.sample import Lang, Split
from autoglm_phone.train.world.text.grammar_parse import say, say_open

GRAMMAR_SHARE = 0.75  # of training's questions; the others keep the wordings that seen test samples use
_TRIES = 12
_SLOT = re.compile(r"\{(\w*)\}")
_UNIT = re.compile(r"#|[a-z0-9']+|[\u4e00-\u9fff]")
# Words that make a wording no other one: left out before two wordings are compared.
_LIGHT = frozenset(["please", "the", "a", "an", "this", "that", "me", "kindly", "just", "now"]) | frozenset(
    "请您你吗呢吧啊"
)
_START = re.compile(r"(?:^|(?<=[.?!] ))([a-z])(?!\w*\})")


@dataclass(frozen=True)
class Ask:
    """Patterns (see `text.grammar_parse`) without capital letters at the start and without closing punctuation.

    In Chinese an indirect question is also a direct one, so `question` need only hold what can't be embedded.
    about: which picture or recording the frames may speak of, a key of `THINGS`.
    """

    about: str
    question: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    indirect: tuple[str, ...] = ()
    noun: tuple[str, ...] = ()

    def shapes(self) -> tuple[str, ...]:
        return tuple(name for name in ("question", "order", "indirect", "noun") if getattr(self, name))


def rich(rng: random.Random, split: Split) -> bool:
    """Whether this question is worded by the grammar. Draws nothing in the test split: its samples stay as they are."""
    return split != "test" and rng.random() < GRAMMAR_SHARE


@lru_cache(maxsize=1 << 14)
def units(wording: str) -> tuple[str, ...]:
    """Words (Chinese: characters) of a wording; a slot is "#". Case, punctuation and light words are left out."""
    found = _UNIT.findall(_SLOT.sub(" # ", wording.lower()))
    return tuple(unit for unit in found if unit not in _LIGHT)


def too_near(wording: str, held: Sequence[str]) -> bool:
    """Whether a wording is a held-out one: equal, with something around it, or with one word other, more or less."""
    return any(_near(wording, other) for other in held)


def _near(wording: str, held: str) -> bool:
    ours, theirs = units(wording), units(held)
    if not theirs:
        return False
    width = len(theirs)
    if any(ours[at : at + width] == theirs for at in range(len(ours) - width + 1)):
        return True
    enough = 3 if held.isascii() else 5  # of shorter ones nearly everything is a neighbour
    return width >= enough and abs(len(ours) - width) <= 1 and _one_edit(ours, theirs)


def _one_edit(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    """Whether one unit replaced, added or left out makes one of the other."""
    head = 0
    while head < min(len(a), len(b)) and a[head] == b[head]:
        head += 1
    rest_a, rest_b = a[head:], b[head:]
    return rest_a[1:] == rest_b[1:] or rest_a[1:] == rest_b or rest_a == rest_b[1:]


def wording(rng: random.Random, wish: Ask, lang: Lang) -> str:
    """One sentence for the wish, its slots left as `{name}`."""
    shape = rng.choice(wish.shapes())
    core = say_open(rng, rng.choice(getattr(wish, shape)))
    if lang == "zh" and shape == "indirect" and rng.random() < 0.5:
        shape = "question"
    thing, a_thing = THINGS[lang][wish.about]
    frame = rng.choice((SOUND_FRAMES if wish.about == "sound" else FRAMES)[lang][shape])
    text = say(rng, frame, core=core, this=say(rng, thing), a=say(rng, a_thing))
    return sentence_case(text.replace("  ", " ")) if lang == "en" else text


def sentence_case(text: str) -> str:
    """English with a capital letter at the start of each sentence."""
    return _START.sub(lambda match: match[1].upper(), text)


def fill(text: str, slots: dict[str, str], lang: Lang) -> str:
    """The wording with its slots filled; in English a slot that starts a sentence gets a capital letter."""
    text = _SLOT.sub(lambda match: slots[match[1]], text)
    return sentence_case(text) if lang == "en" else text


def ask(rng: random.Random, wish: Ask, lang: Lang, held: Sequence[str], **slots: str) -> str | None:
    """The wish in words that are not too near to the held-out ones; None if none was found (rare)."""
    for _ in range(_TRIES):
        text = wording(rng, wish, lang)
        if not too_near(text, held):
            return fill(text, slots, lang)
    return None


def typed(rng: random.Random, text: str, lang: Lang, split: Split, lower: bool = True) -> str:
    """The question as people type it: without its mark, in lower case, half-width. The test split is left alone.

    lower: whether the text may lose its capital letters (not where it says what to type).
    """
    if split == "test":
        return text
    draw = rng.random()
    if draw < 0.22:
        text = text.rstrip("。.?？!！")
    if lang == "zh":
        return text.translate(_HALF) if draw > 0.94 else text
    if lower and 0.1 < draw < 0.3:
        return text.lower()
    return text[:1].lower() + text[1:] if draw > 0.94 and not text[:2].isupper() else text


_HALF = str.maketrans({"\uff0c": ",", "\uff1f": "?", "\uff01": "!", "\uff1a": ":"})
