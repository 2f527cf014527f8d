"""Sentences for training that are put together from a large lexicon, with a grammar that is only half there.

A model that has heard a word in one kind of sentence alone writes the nearest known word when it comes in another:
"连接" became "银节", "update" became "uply", because their sentences are kept for the test. Here each word of the
lexicon (`lexicon_zh`, `lexicon_en`, the pools of `words`) comes between ever other words, so that only its sound tells
which it is. A sentence that reads like one of the held-out commands is not made (`like_held_out`).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import lru_cache

from autoglm_phone.train.world.audio import lexicon_en as en
from autoglm_phone.train.world.audio import lexicon_zh as zh
from autoglm_phone.train.world.audio import patterns
from autoglm_phone.train.world.audio import words as w
from autoglm_phone.train.world.audio.openings import own_words
from autoglm_phone.train.world.audio.vocabulary import known, unknown
from autoglm_phone.train.world.fillings import held_out
from autoglm_phone.train.world.lexicon import NAMES_EN
from autoglm_phone.train.world.sample import Lang
from autoglm_phone.train.world.text.phrases import expansions

_PHONE = 0.4  # share of verbs and of nouns that have to do with a phone
_SLOT = re.compile(r"\\\{\w+\\\}")


@lru_cache(maxsize=2)
def _held(lang: Lang) -> re.Pattern[str]:
    pool = patterns.COMMANDS_ZH if lang == "zh" else patterns.COMMANDS_EN
    texts = [text for pattern in held_out(pool) for text in expansions(pattern)]
    # A slot may be anything of up to nine characters (a date: 14) or five words: wider than what fills it in a command.
    slot = r".{0,9}" if lang == "zh" else r"\\S+(?: \\S+){0,4}"
    pattern = "|".join(re.escape(text).replace(r"\{date\}", ".{0,14}") for text in texts)
    return re.compile(_SLOT.sub(slot, pattern), re.IGNORECASE)


@lru_cache(maxsize=2)
def _chunks(lang: Lang) -> tuple[str, ...]:
    """What held-out commands say around their slots, where that is long enough to tell them by."""
    pool = patterns.COMMANDS_ZH if lang == "zh" else patterns.COMMANDS_EN
    texts = [text for pattern in held_out(pool) for text in expansions(pattern)]
    parts = [part.strip() for text in texts for part in re.split(r"\{\w+\}", text)]
    return tuple(part.lower() for part in parts if (len(part) > 5 if lang == "zh" else part.count(" ") > 1))


def like_held_out(text: str, lang: Lang) -> bool:
    """Whether the whole text is a held-out command, whatever fills its slots, or it holds most of the words of one."""
    return _held(lang).fullmatch(text) is not None or any(chunk in text.lower() for chunk in _chunks(lang))


# --- English ----------------------------------------------------------------------------------------------------------

_IRREGULAR = dict(en.IRREGULAR)
_BASES = (*en.VERBS, *_IRREGULAR)
_ENTITIES_EN = (
    w.APPS_EN, w.APPS_EN, en.APPS, w.SETTINGS_EN, w.SETTINGS_EN, en.SETTINGS, w.CITIES_EN, w.PLACES_EN, w.GOODS_EN,
    w.SONGS_EN, w.MUSIC_EN, tuple(name for name in NAMES_EN if known(name)),
    en.NAMES, w.KIN_EN, w.FAMILY_EN, w.WEEKDAYS_EN, w.DAYS_EN,
)  # fmt: skip
_HALVES_EN = ("hello", "please", "OK", "wait", "look", "well", "yes", "no", "sorry", "thanks", "hey", "listen", "sure")


def forms(base: str) -> tuple[str, str, str]:
    """Third person, past and -ing of a verb of the lexicon (of its first word, where it has two)."""
    verb, _, tail = base.partition(" ")
    tail = f" {tail}" if tail else ""
    soft = verb.endswith("y") and verb[-2:-1] not in "aeiou"
    third = verb[:-1] + "ies" if soft else verb + ("es" if re.search(r"(s|x|z|ch|sh|o)$", verb) else "s")
    stem = verb + verb[-1] if re.fullmatch(r"[^aeiou]*[aeiou][bdgmnprt]", verb) else verb
    mute = verb.endswith("e") and not verb.endswith(("ee", "oe", "ye"))
    past = _IRREGULAR.get(verb) or (verb[:-1] + "ied" if soft else verb + "d" if verb.endswith("e") else stem + "ed")
    ing = verb[:-2] + "ying" if verb.endswith("ie") else verb[:-1] + "ing" if mute else stem + "ing"
    return ("has" if verb == "have" else third) + tail, past + tail, ing + tail


def _verb_en(rng: random.Random) -> str:
    return rng.choice(en.PHONE_VERBS if rng.random() < _PHONE else _BASES)


def _noun_en(rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.38:
        return rng.choice(rng.choice(_ENTITIES_EN))
    if draw < 0.46:
        return rng.choice(w.EN_WORDS)
    noun = rng.choice(en.PHONE_NOUNS if rng.random() < _PHONE else en.NOUNS)
    draw = rng.random()
    trait = f"{rng.choice(en.TRAITS)} " if draw < 0.25 else ""
    if draw > 0.9:
        return f"{rng.randint(2, 999)} {trait}{noun}"
    return f"{rng.choice(en.WHOSE)} {trait}{noun}" if draw > 0.15 else f"{trait}{noun}"


def _clause_en(rng: random.Random) -> str:
    """One of a few shapes, none of which is always right English."""
    pick, verb, noun = rng.choice, _verb_en(rng), _noun_en(rng)
    third, past, ing = forms(verb)
    shape = rng.randrange(12)
    if shape < 3:
        text = f"{pick(en.WHO)} {pick((third, past, verb))} {noun}"
    elif shape == 3:
        text = f"{pick(en.WHO)} {pick(en.MODALS)} {verb} {noun}"
    elif shape == 4:
        text = f"{pick(en.MODALS)} {pick(en.WHO)} {verb} {pick(en.PLACED)} {noun}"
    elif shape == 5:
        text = f"{verb} {noun} {pick(en.PLACED)} {_noun_en(rng)}"
    elif shape == 6:
        text = f"{pick(en.ADVERBS)} {verb} {pick(en.WHOM)} {pick(en.PLACED)} {noun}"
    elif shape == 7:
        text = (
            f"{noun} {pick(('is', 'was', 'are', 'were', 'looks', 'seems', 'became'))} {pick((*en.TRAITS, ing, past))}"
        )
    elif shape == 8:
        text = f"{ing} {noun} {pick(en.PLACED)} {_noun_en(rng)}"
    elif shape == 9:
        text = f"{pick(en.PLACED)} {noun} {pick(en.WHO)} {past} {pick(en.ADVERBS)}"
    elif shape == 10:
        text = f"{pick(en.PHONE_VERBS)} {pick(en.WHOM)} {noun}"
    else:
        text = f"{noun} {pick(en.LINKS)} {_noun_en(rng)} {pick(en.ADVERBS)} {pick((third, past))}"
    draw = rng.random()
    if draw < 0.2:
        text = f"{text} {pick(en.WHEN)}"
    elif draw < 0.3:
        text = f"{pick(en.WHEN)} {text}"
    return text


def _salad_en(rng: random.Random) -> str:
    pools = (
        en.NOUNS,
        en.TRAITS,
        _BASES,
        en.ADVERBS,
        en.PHONE_VERBS,
        en.PHONE_NOUNS,
        w.EN_WORDS,
        rng.choice(_ENTITIES_EN),
    )
    found = []
    for _ in range(rng.randint(2, 8)):
        word = rng.choice(rng.choice(pools))
        found.append(
            rng.choice(forms(word)) if word in _IRREGULAR or (word in en.VERBS and rng.random() < 0.6) else word
        )
    return " ".join(found)


def _english(rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.28:
        return _salad_en(rng)
    text = _clause_en(rng)
    if draw < 0.5:
        text = f"{text} {rng.choice(en.LINKS)} {_clause_en(rng)}"
    elif draw < 0.6:
        text = f"{rng.choice(_HALVES_EN)} {text}"
    return text


# --- Chinese ----------------------------------------------------------------------------------------------------------

_ENTITIES_ZH = (
    w.APPS_ZH, zh.APPS, w.SETTINGS_ZH, zh.SETTINGS, w.CITIES_ZH, w.PLACES_ZH, w.PLACES_ZH, w.GOODS_ZH, w.SONGS_ZH,
    w.MUSIC_ZH, w.TASKS_ZH, w.WEEKDAYS_ZH, w.DAYS_ZH, w.KIN_ZH,
)  # fmt: skip
_MEASURED = tuple((measure, noun) for measure, nouns in zh.COUNTED for noun in nouns)
_ASKED = ("帮我", "请", "给我", "替我", "麻烦你", "能不能", "我想", "我要", "你帮他", "快",
          "记得", "别", "为什么", "怎么", "谁", "")  # fmt: skip
_ABOUT = ("这", "那", "哪", "每", "几", "两", "三", "四", "五", "六", "七", "八", "九", "十", "半")


def _who_zh(rng: random.Random) -> str:
    """A name, a relative or anyone."""
    from autoglm_phone.train.world.audio.sentences import person

    return person(rng, "zh") if rng.random() < 0.55 else rng.choice(zh.WHO)


def _counted(rng: random.Random) -> str:
    """ "一辆旧的自行车", "这3张票"."""
    measure, noun = rng.choice(_MEASURED)
    draw = rng.random()
    number = "一" if draw < 0.5 else rng.choice(_ABOUT) if draw < 0.8 else str(rng.randint(2, 120))
    if draw > 0.95:
        number = "第" + number
    return f"{number}{measure}{rng.choice(zh.TRAITS) + '的' if rng.random() < 0.25 else ''}{noun}"


def _noun_zh(rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.28:
        return rng.choice(rng.choice(_ENTITIES_ZH))
    if draw < 0.5:
        return _counted(rng)
    noun = rng.choice(zh.PHONE_NOUNS if rng.random() < _PHONE else zh.NOUNS if rng.random() < 0.7 else w.ZH_WORDS)
    if draw < 0.62:
        return f"{_who_zh(rng)}的{noun}"
    if draw < 0.7:
        return f"{rng.choice(zh.TRAITS)}的{noun}"
    return f"什么{noun}" if draw < 0.74 else noun


def _verb_zh(rng: random.Random) -> str:
    return rng.choice(zh.PHONE_VERBS if rng.random() < _PHONE else zh.VERBS)


def _act(rng: random.Random) -> str:
    return rng.choice(zh.PHONE_ACTS if rng.random() < _PHONE else zh.ACTS)


def _time_zh(rng: random.Random) -> str:
    from autoglm_phone.train.world.audio.sentences import clock, date

    draw = rng.random()
    if draw < 0.35:
        return rng.choice(zh.WHEN)
    if draw < 0.5:
        return date(rng, "zh")
    return rng.choice((*w.DAYS_ZH, *w.WEEKDAYS_ZH, "")) + rng.choice((*w.PARTS_ZH, "")) + clock(rng, "zh")


def _clause_zh(rng: random.Random) -> str:
    """One of a few shapes, none of which is always right Chinese."""
    from autoglm_phone.train.world.audio.sentences import amount

    pick = rng.choice
    verb, noun = _verb_zh(rng), _noun_zh(rng)
    shape = rng.randrange(19)
    if shape < 2:
        text = f"{_who_zh(rng)}{verb}{noun}"
    elif shape == 2:
        text = f"{_who_zh(rng)}{pick(zh.ADVERBS)}{verb}{noun}"
    elif shape == 3:
        text = f"把{noun}{verb}{pick(('到', '成', '给', '在', '为', '了', '好'))}{_noun_zh(rng)}"
    elif shape == 4:
        text = f"{pick(zh.NEAR)}{_who_zh(rng)}{pick((verb + noun, _act(rng)))}"
    elif shape == 5:
        text = f"{pick(zh.PLACED)}{pick((pick(w.PLACES_ZH), noun))}{_act(rng)}"
    elif shape == 6:
        text = f"{_who_zh(rng)}{pick(zh.NEAR)}{_who_zh(rng)}{_time_zh(rng)}{_act(rng)}"
    elif shape == 7:
        text = f"{verb}{noun}{pick(zh.LINKS)}{_noun_zh(rng)}"
    elif shape == 8:
        text = f"{noun}{pick(('是', '不是', '有', '没有', '在', '变成', '像', '比'))}{_noun_zh(rng)}"
    elif shape == 9:
        text = f"{noun}{pick(('很', '太', '最', '不', '更', '有点', '非常', '不太'))}{pick(zh.TRAITS)}"
    elif shape == 10:
        text = f"{_who_zh(rng)}{pick(zh.ADVERBS)}{pick(zh.NEAR)}{_who_zh(rng)}{amount(rng)}元"
    elif shape == 11:
        text = f"{_time_zh(rng)}{_who_zh(rng)}{pick(zh.PLACED)}{pick(w.PLACES_ZH)}{_act(rng)}"
    elif shape == 12:
        text = f"{verb}{pick(zh.ENDS)}{noun}"
    elif shape == 13:
        text = f"{noun}{pick(('被', '让', '由', '跟', '和'))}{_who_zh(rng)}{verb}"
    elif shape == 14:
        text = f"{pick(_ASKED)}{pick(zh.PHONE_VERBS)}{_counted(rng)}"
    elif shape == 15:
        text = f"{pick(_ASKED)}{pick(zh.PHONE_VERBS)}{_who_zh(rng)}{pick(('', '的'))}{pick(zh.PHONE_NOUNS)}"
    elif shape == 16:
        where = f"{pick(('去', '到', '在', '从'))}{pick(w.PLACES_ZH)}"
        text = f"{pick(_ASKED)}{pick(zh.NEAR)}{_who_zh(rng)}{_time_zh(rng)}{where}"
    elif shape == 17:
        text = f"{verb}{pick(('和', '跟', '给', '到', '完', '过'))}{_who_zh(rng)}的{noun}"
    else:
        text = f"{_act(rng)}{pick(('的时候', '以前', '以后', '的人', '之前', '之后'))}{verb}{noun}"
    draw = rng.random()
    if draw < 0.2:
        text += pick(zh.ENDS)
    elif draw < 0.38:
        text = pick(zh.WHEN) + text
    return text


def _salad_zh(rng: random.Random) -> str:
    pools = (
        zh.NOUNS, zh.TRAITS, zh.VERBS, zh.ACTS, zh.ADVERBS, zh.PHONE_VERBS, zh.PHONE_NOUNS, w.ZH_WORDS, zh.WHEN,
        rng.choice(_ENTITIES_ZH),
    )  # fmt: skip
    found = [rng.choice(rng.choice(pools)) for _ in range(rng.randint(2, 7))]
    if rng.random() < 0.5:
        found[rng.randrange(len(found))] = rng.choice((_counted, _who_zh))(rng)
    return "".join(word for word in found if len(word) > 1 or rng.random() < 0.3) or rng.choice(zh.NOUNS)


def _chinese(rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.25:
        return _salad_zh(rng)
    text = _clause_zh(rng)
    return f"{text}，{rng.choice(zh.LINKS)}{_clause_zh(rng)}" if draw > 0.9 else text


_MAKERS: dict[Lang, Callable[[random.Random], str]] = {"zh": _chinese, "en": _english}


def composed(rng: random.Random, lang: Lang) -> str:
    """One such sentence, without final punctuation."""
    while True:
        text = _MAKERS[lang](rng)
        if not like_held_out(text, lang):
            return text


def word(rng: random.Random, lang: Lang) -> str:
    """Any word of the lexicon."""
    if lang == "zh":
        return rng.choice(
            rng.choice((zh.NOUNS, zh.VERBS, zh.ACTS, zh.TRAITS, zh.PHONE_VERBS, zh.PHONE_NOUNS, w.ZH_WORDS))
        )
    found = rng.choice(rng.choice((en.NOUNS, _BASES, en.TRAITS, en.ADVERBS, en.PHONE_VERBS, w.EN_WORDS, w.EN_WORDS)))
    return rng.choice((found, *forms(found))) if found in _IRREGULAR or found in en.VERBS else found


@lru_cache(maxsize=1)
def _taught() -> frozenset[str]:
    found: set[str] = set(own_words())
    for lexicon in (en, zh):
        for name, pool in vars(lexicon).items():
            if name.isupper():
                found |= unknown(repr(pool))
    for base in (*_BASES, *en.PHONE_VERBS):
        found |= unknown(" ".join(forms(base)))
    return frozenset(found | unknown(" ".join((*_ABOUT, *_HALVES_EN, "looks seems became first"))))


def taught(text: str) -> bool:
    """Whether each word or character is one of `vocabulary` or of the lexicon, which training repeats often."""
    return unknown(text) <= _taught()
