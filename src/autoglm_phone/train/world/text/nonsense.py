"""Words that mean nothing: made-up names and terms, keyboard noise, mixed scripts."""

from __future__ import annotations

import random

# Frequent characters; random pairs of them read like an unknown term.
_CHARS = (
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经十三之进着等部度家"
    "电力里如水化高自二理起小物现实加量都两体制机当使点从业本去把性好应开它合还因由其些然前外天政四日那社义事平形相全表间样与关各重新线内数正心反你明"
    "看原又么利比或但质气第向道命此变条只没结解问意建月公无系军很情者最立代想已通并提直题党程展五果料象员革位入常文总次品式活设及管特件长求老头基资边"
    "流路级少图山统接知较将组见计别她手角期根论运农指几九区强放决西被干做必战先回则任取据处队南给色光门即保治北造百规热领七海口东导器压志世金增争济阶"
    "油思术极交受联什认六共权收证改清己美再采转更单风切打白教速花带安场身车例真务具万每目至达走积示议声报斗完类八离华名确才科张信马节话米整空元况今集温"
    "传土许步群广石记需段研界拉林律叫且究观越织装影算低持音众书布复容儿须际商非验连断深难近矿千周委素技备半办青省列习响约支般史感劳便团往酸历市克何除消"
    "构府称太准精值号率族维划选标写存候毛亲快效斯院查江型眼王按格养易置派层片始却专状育厂京识适属圆包火住调满县局照参红细引听该铁价严龙飞"
)
_SYLLABLES = [
    "ba",
    "be",
    "bi",
    "bo",
    "bu",
    "da",
    "de",
    "di",
    "do",
    "du",
    "fa",
    "fe",
    "fi",
    "fo",
    "fu",
    "ga",
    "ge",
    "gi",
    "go",
    "gu",
    "ka",
    "ke",
    "ki",
    "ko",
    "ku",
    "la",
    "le",
    "li",
    "lo",
    "lu",
    "ma",
    "me",
    "mi",
    "mo",
    "mu",
    "na",
    "ne",
    "ni",
    "no",
    "nu",
    "pa",
    "pe",
    "pi",
    "po",
    "ra",
    "re",
    "ri",
    "ro",
    "ru",
    "sa",
    "se",
    "si",
    "so",
    "su",
    "ta",
    "te",
    "ti",
    "to",
    "tu",
    "va",
    "ve",
    "vi",
    "vo",
    "za",
    "ze",
    "zi",
    "zo",
    "bra",
    "cre",
    "dri",
    "flo",
    "gra",
    "kle",
    "plu",
    "pri",
    "sta",
    "stre",
    "tri",
    "tro",
    "wen",
    "wist",
    "yar",
    "yon",
    "quen",
    "quo",
    "sha",
    "thor",
    "ther",
    "zen",
    "xan",
]
_ENDS = (
    "",
    "",
    "n",
    "r",
    "s",
    "x",
    "th",
    "sk",
    "ium",
    "ology",
    "ing",
    "ism",
    "itis",
    "ton",
    "ville",
    "dor",
    "ski",
    "son",
    "tron",
)
_MIXED = "аβжзλπωшцд한글가나あいうえカタナ§¶†‡¤¥©®★☆♪@#%^&*~<>{}[]"


def chinese_word(rng: random.Random) -> str:
    """Two to five frequent characters in a row that mean nothing."""
    return "".join(rng.choice(_CHARS) for _ in range(rng.choice((2, 2, 3, 3, 4, 5))))


def english_word(rng: random.Random) -> str:
    """Two to four syllables with an ending: pronounceable and unknown."""
    return "".join(rng.choice(_SYLLABLES) for _ in range(rng.choice((1, 2, 2, 3)))) + rng.choice(_ENDS)


def gibberish(rng: random.Random, lang: str) -> str:
    """Keyboard noise, word salad, repeated characters, symbols, mixed scripts."""
    kind = rng.randrange(6)
    if kind == 0:
        return "".join(rng.choice("asdfghjklqwertyuiopzxcvbnm ;") for _ in range(rng.randint(4, 24))).strip() or "asdf"
    if kind == 1:
        if lang == "zh":
            return "".join(rng.choice(_CHARS) for _ in range(rng.randint(4, 14)))
        return " ".join(english_word(rng) for _ in range(rng.randint(2, 7)))
    if kind == 2:
        unit = rng.choice(_CHARS) if lang == "zh" else rng.choice(("la", "ha", "x", "blah ", "no", "zz", "qw"))
        return unit * rng.randint(3, 9) if unit not in "好哈嗯" else "呃呃呃的了"
    if kind == 3:
        return "".join(rng.choice(_MIXED) for _ in range(rng.randint(4, 14)))
    if kind == 4:
        return "".join(rng.choice(_CHARS + "abcxyz" * 20 + _MIXED) for _ in range(rng.randint(5, 14)))
    words = [chinese_word(rng) if lang == "zh" else english_word(rng) for _ in range(rng.randint(2, 4))]
    return ("?" if rng.random() < 0.3 else " ").join(words) + rng.choice(("", "?", "!", "..."))
