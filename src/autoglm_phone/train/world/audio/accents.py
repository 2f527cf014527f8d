"""Accents that nobody has: a base accent of the training split with a few sounds shifted to their neighbours.

An accent is the language part of an espeak-ng voice file: phoneme table, dictionary rules, `replace` lines, lengths and
tunes. The shifts are those by which accents of English differ (J. C. Wells, Accents of English, 1982: lexical sets) and
those of speakers of other languages. The phoneme tables of the accents that validation and test hold back are never
used, nor the pair of stops for "th" that is the mark of one of them. Mandarin keeps every contrast: only sounds that
have no partner change.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from autoglm_phone.train.world.sample import Lang


@dataclass(frozen=True)
class Base:
    """A shipped accent as its voice file has it. lengths: of unstressed … tonic syllables."""

    language: str
    phonemes: str = ""
    rules: str = ""  # numbers of the dictionary's conditional rules
    lengths: tuple[int, ...] = ()
    replace: tuple[str, ...] = ()
    more: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        out = [f"language {self.language}"]
        out += [f"phonemes {self.phonemes}"] if self.phonemes else []
        out += [f"dictrules {self.rules}"] if self.rules else []
        out += ["stressLength " + " ".join(map(str, self.lengths))] if self.lengths else []
        return out + [f"replace {rule}" for rule in self.replace] + list(self.more)


_US = Base(
    "en-us",
    "en-us",
    "3 6",
    (140, 120, 190, 170, 0, 0, 255, 300),
    ("03 I i", "03 I2 i"),
    ("stressAmp 17 16 19 19 19 19 21 19",),
)
_UK = Base("en-gb", more=("tunes s1 c1 q1 e1",))
_SCOTLAND = Base(
    "en-gb-scotland",
    "en-sc",
    "2 5 6 7",
    (180, 130, 200, 200, 0, 0, 250, 270),
    ("03 @ V", "03 I i", "03 I2 i", "01 aI aI2", "02 a a/", "02 u: U"),
)
_RP = Base("en-gb-x-rp", "en-rp", replace=("00 o@ O@", "03 I i", "03 I2 i", "03 @ a#", "03 3 a#"))
_MIDLANDS = Base(
    "en-gb-x-gbcwmd",
    "en-wm",
    "6",
    replace=("00 h NULL", "00 o@ O@"),
    more=("intonation 4", "stressAdd 0 0 0 0 0 0 0 20"),
)
ENGLISH = {"en-us": _US, "en": _UK, "en-gb-scotland": _SCOTLAND, "en-gb-x-rp": _RP, "en-gb-x-gbcwmd": _MIDLANDS}
_SHARES = {"en-us": 0.44, "en": 0.26, "en-gb-scotland": 0.1, "en-gb-x-rp": 0.1, "en-gb-x-gbcwmd": 0.1}
MANDARIN = Base("cmn", "cmn", more=("dictionary cmn", "words 1", "dict_min 100000"))

# "flags from to"; flag 1: the last sound of a word, 2: unstressed. One of a group at most, so that a sound moves once.
# A full vowel never becomes one that espeak-ng marks as unstressed (@ a# I2 i): the syllable would lose its stress.
VOWELS: tuple[tuple[str, ...], ...] = (
    ("0 I i:", "2 I i", "2 I @", "0 I E", "0 I e"),  # kit
    ("0 E e:", "0 E a", "0 E I", "0 E 3:", "0 E e"),  # dress
    ("0 a aa", "0 a E", "0 a A:", "0 a e@"),  # trap
    ("0 aa a", "0 aa A:"),  # bath
    ("0 V A:", "0 V aa", "0 V 0", "0 V a", "0 V 3:"),  # strut
    ("0 0 O", "0 0 A:", "0 0 O:", "0 0 o", "0 0 aa"),  # lot
    ("0 U u:", "0 U u", "0 U 3:"),  # foot
    ("0 i: I", "0 i: i@", "0 i: eI"),  # fleece
    ("0 u: U", "0 u: u", "0 u: oU"),  # goose
    ("0 eI e:", "0 eI aI", "0 eI e", "0 eI E"),  # face
    ("0 aI OI", "0 aI aa", "0 aI A:", "0 aI eI"),  # price
    ("0 OI aI", "0 OI oU"),  # choice
    ("0 oU o:", "0 oU O:", "0 oU aU", "0 oU o", "0 oU O"),  # goat
    ("0 aU oU", "0 aU aa", "0 aU A:"),  # mouth
    ("0 3: e:", "0 3: E", "0 3: A:", "0 3: O:"),  # nurse
    ("0 A: aa", "0 A: O:", "0 A: a", "0 A@ aa", "0 A@ a"),  # palm, start
    ("0 O: o:", "0 O: 0", "0 O: A:", "0 O: O", "0 O@ o@"),  # thought, north
    ("0 e@ e:", "0 e@ E", "0 e@ i@"),  # square
    ("0 i@3 i:", "0 i@3 e@", "0 U@ O:", "0 U@ u:"),  # near, cure
    ("0 @ a#", "0 @ V", "0 @ I2", "2 @ E", "0 3 a#", "0 3 @"),  # comma, letter
    ("0 i I2", "0 i eI", "0 i i:"),  # happy
)
CONSONANTS: tuple[tuple[str, ...], ...] = (
    ("0 T t", "0 T f", "0 T s", "0 T t["),
    ("0 D z", "0 D v", "0 D d["),
    ("3 N n",),
    ("0 r *", "0 r R2", "0 r r."),
    ("0 l l^",),
    ("0 w v", "0 w v#", "0 v w", "0 v v#"),
    ("1 z s", "1 d t", "1 v f"),
    ("1 t ?", "0 t t[", "0 t t."),
    ("0 d d[", "0 d d."),
    ("0 h x", "0 h NULL"),
    ("0 Z dZ", "0 S s.", "0 Z S"),
)
_STOPPED = ({"0 T t", "0 T t["}, {"0 D d["})  # both at once mark an accent of the test split
_TUNES = ("s1 c1 q1 e1", "s2 c2 q2 e2", "s3 c3 q3 e3", "s1 c2 q1 e2", "s2 c1 q2 e1", "s1 c1 q2 e1")
_RULES = ("", "3 6", "6", "2 5 6 7", "3", "5 6")
# Mandarin: a voiced r-, a labiodental w-: no other syllable sounds like it.
_MANDARIN_SHIFTS = (("0 z. z", "0 z. r"), ("0 w v",), ("0 S; s;", "0 S; S"))


def draw(rng: random.Random, lang: Lang) -> str:
    """The lines of a random accent of this language; a fifth of the English ones are a base accent as it is."""
    if lang == "zh":
        lines = MANDARIN.lines()
        if rng.random() < 0.35:
            lines += [f"replace {rng.choice(rng.choice(_MANDARIN_SHIFTS))}"]
        return "\n".join(lines) + "\n"
    base = ENGLISH[rng.choices(list(_SHARES), list(_SHARES.values()))[0]]
    if rng.random() < 0.2:
        return "\n".join(base.lines()) + "\n"
    lines = [line for line in base.lines() if not line.startswith("replace") or rng.random() < 0.75]
    if rng.random() < 0.25:
        lines = [line for line in lines if not line.startswith("dictrules")]
        rules = rng.choice(_RULES)
        lines += [f"dictrules {rules}"] if rules else []
    # Replacements are tried in order: a shift of ours comes before the base's.
    at = 1 + any(line.startswith("phonemes") for line in lines)
    lines[at:at] = [f"replace {rule}" for rule in shifts(rng)]
    lines += _rhythm(rng, base)
    return "\n".join(lines) + "\n"


def shifts(rng: random.Random) -> list[str]:
    """0-9 replacements, mostly of vowels; one of a group."""
    vowels = rng.sample(VOWELS, rng.choice((0, 1, 2, 2, 3, 3, 4, 5, 6)))
    consonants = rng.sample(CONSONANTS, rng.choice((0, 0, 1, 1, 2, 3)))
    out = [rng.choice(group) for group in (*vowels, *consonants)]
    if all(any(rule in out for rule in side) for side in _STOPPED):
        out = [rule for rule in out if rule not in _STOPPED[1]]
    return out


def _rhythm(rng: random.Random, base: Base) -> list[str]:
    """Lengths of the syllables, tunes, and how words join."""
    out = []
    if rng.random() < 0.5:
        even = rng.uniform(0, 0.7)  # 1: every syllable alike, as in syllable-timed languages
        lengths = base.lengths or (182, 140, 220, 220, 0, 0, 248, 275)
        mean = sum(lengths[k] for k in (0, 1, 2, 3, 6, 7)) / 6
        scaled = [round((x + (mean - x) * even) * rng.uniform(0.92, 1.08)) if x else 0 for x in lengths]
        out.append("stressLength " + " ".join(map(str, scaled)))
    if rng.random() < 0.5:
        out.append(f"tunes {rng.choice(_TUNES)}" if rng.random() < 0.7 else f"intonation {rng.randint(1, 4)}")
    if rng.random() < 0.15:
        out.append(f"words {rng.choice((0, 1, 1, 2))} {rng.choice((0, 1, 2))}")
    return out
