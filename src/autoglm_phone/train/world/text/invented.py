"""Names, places, things and titles that must be copied from a list: drawn too widely to be learned by heart.

Part of the values are made of random syllables or characters, part are a known word with a qualifier ("the north
library"); a known word alone serves training only. So the test's fillings are new, but every word of them is known.
"""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

import random

from autoglm_phone.train.world.fillings import compose, split_of
from autoglm_phone.train.world.lexicon import NAMES_EN, NAMES_ZH, person_name
from autoglm_phone.train.world.lexicon_phone import EVENTS, ITEMS, PLACES
from autoglm_phone.train.world.sample import Lang, Split

_ONSETS = (
    "b",
    "br",
    "c",
    "ch",
    "d",
    "dr",
    "f",
    "g",
    "gr",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "qu",
    "r",
    "s",
    "sh",
    "st",
    "t",
    "tr",
    "v",
    "w",
    "y",
    "z",
)
_RHYMES = (
    "a",
    "e",
    "i",
    "o",
    "u",
    "an",
    "en",
    "in",
    "on",
    "ar",
    "er",
    "or",
    "al",
    "el",
    "ie",
    "ou",
    "ay",
    "as",
    "es",
    "is",
    "am",
    "em",
)
_CHARS_ZH = "安白宝北本比边波才成城春大丹德东方飞丰风福高格谷光国海和河红湖华欢吉家江金京军开康可乐里力立丽利林龙路罗马美明木南宁平青清人仁日荣瑞三山上生石水松泰天通同万文西夏先祥小新星秀雅阳一永友玉元园云泽长正中州竹子"

_NAME_POOLS = ("names.invented", "names.composed")
_NAME_CHARS_ZH = "".join(sorted(set("".join(NAMES_ZH))))
_PLACE_ENDS: dict[Lang, tuple[str, ...]] = {
    "zh": ("路", "大厦", "酒店", "餐厅", "广场", "咖啡店", "书店", "公园", "车站", "医院", "会议室", "超市", "图书馆", "中心", "小区", "学校"),
    "en": ("Street", "Hall", "Hotel", "Cafe", "Park", "Station", "Tower", "Square", "Hospital", "Bookshop", "Center", "School", "Museum", "Market"),
}  # fmt: skip
_PLACE_KINDS: dict[Lang, tuple[str, ...]] = {
    "zh": ("东边的", "西区", "北门", "新", "老", "二楼", "三楼", "市中心", "南区", "楼下的", "对面的", "附近的", "中央", "河边的"),
    "en": ("new", "old", "north", "south", "east", "west", "small", "big", "main", "central", "second", "other", "city", "river"),
}  # fmt: skip
_ITEM_KINDS: dict[Lang, tuple[str, ...]] = {
    "zh": ("红色的", "蓝色的", "新", "旧", "大", "小", "两份", "三份", "一点", "我的", "他的", "那份", "黑色的", "备用的"),
    "en": ("red", "blue", "new", "old", "big", "small", "black", "spare", "second", "other", "green", "first", "cheap", "good"),
}  # fmt: skip
_TITLE_KINDS: dict[Lang, tuple[str, ...]] = {
    "zh": ("部门", "线上", "月度", "紧急", "第二次", "新人", "全员", "临时", "客户", "年度", "小组", "周末"),
    "en": ("monthly", "online", "urgent", "second", "joint", "weekly", "short", "yearly", "extra", "local", "early", "late"),
}  # fmt: skip


def made_up(rng: random.Random, lang: Lang, longest: int = 3) -> str:
    """A word of random syllables (capitalised) or two to `longest` random characters."""
    if lang == "zh":
        return "".join(rng.choice(_CHARS_ZH) for _ in range(rng.randint(2, longest)))
    parts = [rng.choice(_ONSETS) + rng.choice(_RHYMES) for _ in range(rng.choice((1, 2, 2, 3)))]
    return ("".join(parts) + rng.choice(("", "n", "r", "l", "s", "t"))).capitalize()


def name(rng: random.Random, lang: Lang, split: Split) -> str:
    """A person's name, 40 % of them of random characters or syllables."""
    if rng.random() < 0.6:
        return person_name(rng, lang, split)

    def draw(r: random.Random) -> str:
        if lang == "zh":  # any two or three characters that names have: each is copied by itself
            return "".join(r.choice(_NAME_CHARS_ZH) for _ in range(r.choice((2, 2, 3))))
        first = made_up(r, lang)
        return first if r.random() < 0.5 else f"{r.choice(NAMES_EN) if r.random() < 0.5 else first} {made_up(r, lang)}"

    return compose(rng, "names.invented", draw, split)


def near(rng: random.Random, like: str, lang: Lang, split: Split) -> str:
    """A name that differs from `like` in one character, or in English in one part of it or a letter; `like` if it can't.

    It belongs to this split under every pool that names are dealt out by.
    """
    for _ in range(12):
        if lang == "zh":
            at = rng.randrange(len(like))
            made = like[:at] + rng.choice(_NAME_CHARS_ZH) + like[at + 1 :]
        else:
            parts = like.split(" ")
            at = rng.randrange(len(parts))
            if len(parts) > 1 and rng.random() < 0.6:
                parts[at] = rng.choice((rng.choice(NAMES_EN), made_up(rng, lang)))
            elif len(parts[at]) > 2:
                i = rng.randrange(1, len(parts[at]))
                parts[at] = parts[at][:i] + rng.choice("aeioulmnrst") + parts[at][i + 1 :]
            made = " ".join(parts)
        listed = made in NAMES_ZH or made in NAMES_EN  # dealt out by rank, not by hash
        if made != like and not listed and all(split_of(pool, made) == split for pool in _NAME_POOLS):
            return made
    return like


def _qualified(
    rng: random.Random, pool: str, lang: Lang, split: Split, words: tuple[str, ...], kinds: tuple[str, ...]
) -> str:
    """A known word with a qualifier, dealt out as a whole; in training also the word alone."""
    if split == "train" and rng.random() < 0.4:
        return rng.choice(words)

    def draw(r: random.Random) -> str:
        word, kind = r.choice(words), r.choice(kinds)
        if lang == "zh":
            return kind + word
        article, _, rest = word.partition(" ")
        if article not in ("the", "a", "an", "your"):
            return f"{kind} {word}"
        article = "an" if article in ("a", "an") and kind[0] in "aeiou" else "a" if article == "an" else article
        return f"{article} {kind} {rest}"

    return compose(rng, pool, draw, split)


def place(rng: random.Random, lang: Lang, split: Split) -> str:
    known = tuple(p for p in PLACES[lang] if not p.startswith("Room"))
    if rng.random() < 0.5:
        return _qualified(rng, "places", lang, split, known, _PLACE_KINDS[lang])

    def draw(r: random.Random) -> str:
        if r.random() < 0.25:
            number = r.randint(1, 999)
            return (
                f"{number}{r.choice(('号会议室', '教室', '号楼', '号门'))}"
                if lang == "zh"
                else f"{r.choice(('Room', 'Gate', 'Hall', 'Floor'))} {number}"
            )
        join = "" if lang == "zh" else " "
        return made_up(r, lang) + join + r.choice(_PLACE_ENDS[lang])

    return compose(rng, "places.invented", draw, split)


def item(rng: random.Random, lang: Lang, split: Split) -> str:
    if rng.random() < 0.65:
        return _qualified(rng, "items", lang, split, ITEMS[lang], _ITEM_KINDS[lang])
    bare = tuple(word.split(" ", 1)[-1] for word in ITEMS[lang])
    return compose(
        rng, "items.invented",
        lambda r: made_up(r, "zh") + r.choice(bare) if lang == "zh" else f"the {made_up(r, 'en')} {r.choice(bare)}", split,
    )  # fmt: skip


def phrase(rng: random.Random, lang: Lang, split: Split, words: int = 2) -> str:
    """A name of one to `words` made-up words, as songs, topics and cities have."""
    join = "" if lang == "zh" else " "
    return compose(
        rng, "phrases.invented", lambda r: join.join(made_up(r, lang) for _ in range(r.randint(1, words))), split
    )


def message(rng: random.Random, lang: Lang, split: Split) -> str:
    """A short text that someone sends or notes down."""
    if rng.random() < 0.5:
        a = place(rng, lang, split)
        return rng.choice(
            ("我在{}等你", "{}见", "我到{}了", "在{}集合")
            if lang == "zh"
            else ("I wait at {}", "see you at {}", "I am at {}", "meet at {}")
        ).format(a)
    a = item(rng, lang, split)
    return rng.choice(
        ("记得买{}", "{}在桌上", "{}已经到了", "别忘了{}")
        if lang == "zh"
        else ("remember {}", "I have {}", "please get {}", "don't forget {}")
    ).format(a)


def title(rng: random.Random, lang: Lang, split: Split) -> str:
    if rng.random() < 0.65:
        return _qualified(rng, "titles", lang, split, EVENTS[lang], _TITLE_KINDS[lang])
    join = "" if lang == "zh" else " "
    return compose(rng, "titles.invented", lambda r: made_up(r, lang) + join + r.choice(EVENTS[lang]), split)
