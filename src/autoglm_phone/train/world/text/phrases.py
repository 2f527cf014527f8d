"""Which wordings serve training and which the unseen part of the test set, and how short phrases become new ones.

Held-out templates are whole expansions of an intent's patterns (`held_out`): training never sees the wording, but
every word of it occurs in other wordings of the same intent, so that the test asks for composition and not for a
dictionary. Short phrases (greetings, questions about the model) have no fillings of their own: what is dealt out to
the splits is the phrase with its frame, an opening or an address before it and a tail after it (`framed`). The bare
phrase is training's.
"""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

import hashlib
import random
import re
import unicodedata
from collections import Counter
from functools import lru_cache
from itertools import pairwise

from autoglm_phone.errors import ConfigError
from autoglm_phone.train.world.sample import Lang, Split
from autoglm_phone.train.world.text.grammar_parse import Node, parse, say_open

HELD_OUT = 0.12  # share of an intent's wordings that training never sees
_LARGEST = 20_000  # expansions of one pattern
_SLOT = re.compile(r"\{(\w+)\}")


def phrase_key(text: str) -> str:
    """A phrase without case, punctuation and spaces (letters, digits and pictographs stay): what is dealt out."""
    return "".join(c for c in text.lower() if unicodedata.category(c)[0] in "LN" or unicodedata.category(c) == "So")


@lru_cache(maxsize=1 << 14)
def expansions(pattern: str) -> tuple[str, ...]:
    """Every text of the pattern, its slots left as `{name}`."""
    return tuple(dict.fromkeys(_all(parse(pattern))))


def _all(nodes: list[Node]) -> list[str]:
    texts = [""]
    for node in nodes:
        if isinstance(node, str):
            ends = [node]
        elif isinstance(node, tuple):
            ends = [f"{{{node[0]}}}"]
        else:
            ends = [text for branch in node for text in _all(branch)]
        texts = [text + end for text in texts for end in ends]
        if len(texts) > _LARGEST:
            raise ConfigError(f"a pattern has more than {_LARGEST} expansions; split it: {texts[0]!r}")
    return texts


def _units(text: str) -> list[str]:
    """Words; for Chinese, characters. A slot is one unit."""
    return re.findall(r"\{\w+\}|[a-z0-9']+|[^\W\d_a-z]", text.lower())


@lru_cache(maxsize=4096)
def held_out(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """The wordings of these patterns that serve unseen test samples only.

    Chosen by hash among those whose words stand in three wordings of training or more, and their pairs of neighbouring
    words, all but one, in one. Where no wording is like that, the one with the fewest new words is held out.
    """
    texts: dict[str, str] = {}
    for pattern in patterns:
        for text in expansions(pattern):
            texts.setdefault(phrase_key(text), text)
    if len(texts) < 3:
        return ()
    units = {key: _units(text) for key, text in texts.items()}
    words = Counter(word for found in units.values() for word in set(found))
    pairs = Counter(pair for found in units.values() for pair in set(pairwise(found)))
    ranked = sorted(texts, key=lambda key: hashlib.blake2b(key.encode()).digest())
    wanted = max(1, int(len(texts) * HELD_OUT))
    held: list[str] = []
    for key in ranked:
        found = units[key]
        new_pairs = sum(pairs[pair] < 2 for pair in set(pairwise(found)))
        # A single word, or a Chinese phrase of two characters, has no parts to compose it of.
        long_enough = len(found) >= (2 if texts[key].isascii() else 3)
        if len(held) < wanted and long_enough and new_pairs <= 1 and all(words[word] > 3 for word in found):
            held.append(key)
            words.subtract(set(found))
            pairs.subtract(set(pairwise(found)))
    if not held:
        held = [min(ranked, key=lambda key: sum(words[word] < 2 for word in units[key]))]
    return tuple(texts[key] for key in held)


@lru_cache(maxsize=4096)
def held_out_keys(patterns: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(phrase_key, held_out(patterns)))


def wording(rng: random.Random, patterns: tuple[str, ...], split: Split, unseen: bool) -> str:
    """One wording, slots left as `{name}`: a held-out one if unseen, else one of those that the splits share."""
    if unseen and split != "test":
        raise ConfigError(f"unseen templates exist in the test split only, not in {split!r}")
    held = held_out(patterns)
    if unseen and held:
        return rng.choice(held)
    keys = held_out_keys(patterns)
    for _ in range(200):
        text = say_open(rng, rng.choice(patterns))
        if phrase_key(text) not in keys:
            return text
    raise ConfigError(f"no wording is left for training among {patterns!r}")


def fill(text: str, slots: dict[str, str]) -> str:
    """The wording with its slots filled."""
    return _SLOT.sub(lambda match: slots[match.group(1)], text)


_HEADS: dict[str, dict[Lang, tuple[str, ...]]] = {
    "question": {
        "zh": (
            "你好,", "您好,", "嗨,", "嘿,", "那个,", "请问,", "请问一下,", "我想知道,", "想问一下,", "在吗?", "打扰一下,", "不好意思,", "对了,",
            "话说,", "小助手,", "AutoGLM,", "我有个问题,", "问你个问题,", "麻烦问下,", "嗯,", "呃,", "再问一次,", "顺便问一下,", "我好奇,", "朋友问我,",
            "先问一句,", "说真的,", "请告诉我,", "老实说,", "哎,",
        ),
        "en": (
            "Hi, ", "Hello, ", "Hey, ", "Please: ", "Quick question: ", "Excuse me, ", "So, ", "Um, ", "Hey there, ", "OK, ", "Well, ", "By the way, ",
            "One question: ", "Sorry, ", "Assistant, ", "AutoGLM, ", "I have a question: ", "Just asking: ", "Tell me, ", "I am curious: ", "First, ",
            "Again: ", "Honestly, ", "My friend asks: ", "Question: ", "Good day, ", "Oh, ", "Now, ",
        ),
    },
    "talk": {
        "zh": (
            "小助手,", "AutoGLM,", "助手,", "朋友,", "嗯,", "哎,", "啊,", "那个,", "哈哈,", "对了,", "话说,", "哎呀,", "嘿嘿,", "说真的,", "其实,",
            "哇,", "呃,", "咦,", "老朋友,", "小伙伴,", "亲爱的助手,", "手机助手,",
        ),
        "en": (
            "Assistant, ", "AutoGLM, ", "My friend, ", "Well, ", "So, ", "Oh, ", "Um, ", "Hey, ", "Haha, ", "By the way, ", "Honestly, ", "Wow, ",
            "Look, ", "Uh, ", "Dear assistant, ", "Buddy, ", "Er, ", "Listen, ", "Hm, ", "Phone assistant, ",
        ),
    },
}  # fmt: skip
_TAILS: dict[str, dict[Lang, tuple[str, ...]]] = {
    "question": {
        "zh": (",谢谢", ",谢谢!", ",多谢", ",快点", ",急", "~", "…", ",告诉我", ",说说看", ",快说", ",我想知道", ",我很好奇", ",小助手", ",朋友", ",请回答", " 🙏", ",AutoGLM", ",拜托"),
        "en": (" Thanks!", " Thank you.", " please", " pls", " thx", " :)", " …", " Thanks in advance.", " Tell me.", " I want to know.", " I am curious.", " my friend", " assistant", " Please answer.", " AutoGLM", " buddy"),
    },
    "talk": {
        "zh": (",小助手", ",助手", ",朋友", ",AutoGLM", "哈", "哈哈", "~", "…", "😊", "🙂", "👋", ",老朋友", ",手机助手", ",小伙伴", ",嘿嘿", "~~", ",亲爱的助手", "呵呵"),
        "en": (", assistant", ", AutoGLM", ", my friend", ", buddy", " :)", " …", " haha", " 😊", " 🙂", " ~", ", dear assistant", ", pal", ", phone assistant", " hehe", ", mate", ", dear friend"),
    },
}  # fmt: skip


def framed(rng: random.Random, text: str, lang: Lang, style: str) -> str:
    """The phrase with an opening before it, a tail after it, or both. style: question or talk."""
    draw = rng.random()
    head = rng.choice(_HEADS[style][lang]) if draw < 0.6 else ""
    tail = rng.choice(_TAILS[style][lang]) if draw > 0.45 else ""
    if (tail and not tail.startswith(" ")) or tail.strip(" ")[:1].isalpha():
        ends = "。." if tail.strip()[:1].isupper() else "。.?!\uff1f\uff01"
        text = text.rstrip(ends)
    if head and lang == "en" and text[1:2] not in ("", " ", "'") and not text[1:2].isupper() and rng.random() < 0.7:
        text = text[:1].lower() + text[1:]
    return head + text + tail
