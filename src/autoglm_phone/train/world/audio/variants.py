"""Voices that nobody recorded: random settings of espeak-ng's synthesizers, a new one for every clip.

A variant is the part of an espeak-ng voice file that makes a timbre, not a language: pitch, formants, the source that
excites them, breath, roughness, stress (espeak-ng's docs/voices.md names the lines). `train.world.audio.accents` makes
the language part. The ranges reach as far as speech stays intelligible; klatt source 4 is left out, because a voice of
the test split is nothing else. All of a dozen free numbers would have to agree to repeat a shipped voice by chance; a
test looks.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

KLATT_SOURCES = (1, 2, 3, 5, 6)


@dataclass(frozen=True)
class Kind:
    """A family of speakers. pitch: Hz. tract: factor on all formants (1.2 = a short vocal tract). share: of all."""

    share: float
    pitch: tuple[float, float]
    tract: tuple[float, float]


KINDS = {
    "man": Kind(0.31, (65, 135), (0.84, 1.08)),
    "woman": Kind(0.30, (130, 230), (1.0, 1.26)),
    "child": Kind(0.11, (180, 290), (1.14, 1.38)),
    "old": Kind(0.07, (70, 190), (0.86, 1.15)),
    "whisper": Kind(0.05, (70, 190), (0.88, 1.2)),
    "klatt": Kind(0.16, (65, 200), (0.88, 1.15)),
}


def draw(rng: random.Random) -> str:
    """The lines of one random variant."""
    kind = rng.choices(list(KINDS), [k.share for k in KINDS.values()])[0]
    return "\n".join(lines(rng, kind)) + "\n"


def lines(rng: random.Random, kind: str) -> list[str]:
    """The lines of a random variant of this kind."""
    family = KINDS[kind]
    low = rng.uniform(*family.pitch)
    out = [f"pitch {low:.0f} {low * rng.triangular(1.08, 1.9, 1.4):.0f}"]
    # A quarter are strange, as the hand-made variants of espeak-ng are: upper formants anywhere, or missing.
    strange = rng.random() < 0.25
    out += _formants(rng, rng.uniform(*family.tract), kind, strange)
    if kind == "klatt":
        out.append(f"klatt {rng.choice(KLATT_SOURCES)}")
    if rng.random() < 0.55:
        out.append(_tone(rng))
    out.append(f"flutter {_flutter(rng, kind)}")
    if rng.random() < 0.35 or kind == "old":
        out.append(f"roughness {rng.choice((0, 0, 1, 2, 3, 4, 5))}")
    if kind == "whisper":
        out += _whisper(rng)
    else:
        if rng.random() < 0.6:
            out.append(f"voicing {rng.triangular(40, 190, 100):.0f}")
        if rng.random() < 0.12:
            out.append("breath " + _numbers(rng.uniform(0, 14) for _ in range(8)))
    if rng.random() < 0.6:
        out.append(f"consonants {rng.triangular(40, 150, 95):.0f} {rng.triangular(40, 150, 95):.0f}")
    if rng.random() < 0.15:
        out.append(f"echo {rng.uniform(8, 180):.0f} {rng.uniform(4, 28):.0f}")
    return out + _stress(rng)


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{value:.0f}" for value in values)


def _formants(rng: random.Random, tract: float, kind: str, strange: bool) -> list[str]:
    """formant NUMBER frequency% strength% width% [+Hz]: 0 lies below the first, 1-3 make vowels, 4-8 colour them."""
    spread = 0.09 if strange else 0.05
    width = rng.uniform(0.65, 1.45)
    out = [
        f"formant 0 {100 * rng.uniform(0.7, 1.15) * tract:.0f} {rng.uniform(60, 170):.0f} {rng.uniform(80, 170):.0f}"
    ]
    if kind == "whisper":
        out = ["formant 0 100 0 100"]
    for number in range(1, 9):
        main = number <= 3
        frequency = tract * rng.gauss(1, spread if main else spread * 1.4)
        strength = rng.triangular(55, 150, 98) if main else rng.triangular(20, 125, 80)
        if number >= 6:
            strength = rng.choice((0.0, rng.uniform(0, 110), rng.uniform(50, 110)))
        if strange and number >= 4 and rng.random() < 0.4:
            frequency, strength = rng.uniform(0.3, 1.5), rng.uniform(0, 130)
        if strange and number == 3 and rng.random() < 0.2:
            frequency, strength = rng.uniform(0.5, 1.4), rng.uniform(0, 140)
        add = ""
        if number <= 3 and rng.random() < 0.15:
            reach = (40, 160, 180)[number - 1]
            add = f" {rng.uniform(-reach, reach):.0f}"
        out.append(
            f"formant {number} {100 * frequency:.0f} {strength:.0f} {100 * width * rng.uniform(0.75, 1.3):.0f}{add}"
        )
    return out


def _tone(rng: random.Random) -> str:
    """Loudness (0-255) of voiced sounds over frequency, from nearly flat to the top cut off."""
    points = sorted(rng.uniform(100, 1000) if k == 0 else rng.uniform(600, 4500) for k in range(rng.randint(2, 4)))
    level = rng.uniform(140, 255)
    values = []
    for hz in points:
        values += [hz, level]
        level = min(255.0, max(14.0, level * rng.triangular(0.3, 1.6, 0.85)))
    return "tone " + _numbers(values)


def _flutter(rng: random.Random, kind: str) -> int:
    if kind == "old":
        return rng.randint(4, 20)
    return rng.choice((0, 0, 1, 1, 2, 2, 2, 3, 4, 6, 10))


def _whisper(rng: random.Random) -> list[str]:
    """Noise at the formants in place of most of the voice."""
    strengths = [rng.uniform(45, 85), rng.uniform(45, 85), rng.uniform(35, 65), rng.uniform(20, 50)]
    widths = [rng.uniform(100, 200), rng.uniform(100, 200), rng.uniform(150, 260), rng.uniform(150, 260), 400, 400]
    return [
        f"voicing {rng.uniform(8, 50):.0f}",
        "breath " + _numbers([*strengths, rng.uniform(8, 25), rng.uniform(4, 15)]),
        "breathw " + _numbers(widths),
    ]


def _stress(rng: random.Random) -> list[str]:
    """How much longer and louder stressed syllables are, and how the pitch falls: 1 usual, 2-3 flatter, 4 rising."""
    out = []
    if rng.random() < 0.45:
        out.append("stressAdd " + _numbers([*(rng.uniform(-25, 25) for _ in range(6)), *(rng.uniform(-25, 45),) * 2]))
    if rng.random() < 0.4:
        out.append("stressAmp " + _numbers(rng.uniform(14, 22) + (k > 5) * rng.uniform(0, 5) for k in range(8)))
    if rng.random() < 0.4:
        out.append(f"intonation {rng.choice((1, 2, 3, 4))}")
    return out
