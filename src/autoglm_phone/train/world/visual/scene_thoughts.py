"""What is thought before a question about a scene is answered: every step is small enough to be copied or looked up.

A tally is kept while things are named, a claim is checked group by group, two places are compared as numbers: a model
that named everything rightly still got the sum or the verdict wrong where it was one step (docs/LOG.md, entry 45).
"""

from __future__ import annotations

from collections.abc import Sequence

from autoglm_phone.train.world.sample import Lang
from autoglm_phone.train.world.visual.regions import grid, region
from autoglm_phone.train.world.visual.scene_words import COLORS, KINDS, Thing, bare, groups, noun


def tally(things: Sequence[Thing], counted: Sequence[Thing], name: str, measure: str, lang: Lang) -> str:
    """Everything in reading order, each counted thing with its number: which counts is a question about words then.

    counted: those of `things` that are asked for, the very same objects.
    """
    chosen = {id(thing) for thing in counted}
    parts, number = [], 0
    for thing in sorted(things, key=lambda t: (int(t.y * 3), t.x)):
        place, what = region(thing.x * 1000, thing.y * 1000, lang), bare(thing.kind, thing.color, lang)
        number += id(thing) in chosen
        mark = f"({number})" if id(thing) in chosen else ""
        parts.append(f"{place}{what}{mark}" if lang == "zh" else f"{what} {place} {mark}".rstrip())
    if lang == "zh":
        return f"{'、'.join(parts)}。{name}：{number}{measure}。"
    return f"{', '.join(parts)}. {name[:1].upper()}{name[1:]}: {number}."


def colours_of(things: Sequence[Thing], kind: str, lang: Lang) -> str:
    """ "Cups: green, red." or "Cups: none." """
    found = [color for color in COLORS if any(t.kind == kind and t.color == color for t in things)]
    if lang == "zh":
        return f"{KINDS[kind][1]}：{'、'.join(COLORS[c][0] for c in found) or '没有'}。"
    name = KINDS[kind][3]
    return f"{name[:1].upper()}{name[1:]}: {', '.join(found) or 'none'}."


def claims(said: Sequence[Thing], things: Sequence[Thing], lang: Lang) -> str:
    """Each group of a description with what the picture has of it: yes, no, or how many there really are."""
    real = {(kind, color): count for kind, color, count in groups(list(things))}
    parts = []
    for kind, color, count in groups(list(said)):
        held = real.get((kind, color), 0)
        if held == count:
            verdict = "是" if lang == "zh" else "yes"
        elif held:
            verdict = noun(kind, color, held, lang)
        else:
            verdict = "没有" if lang == "zh" else "no"
        parts.append(f"{noun(kind, color, count, lang)}{'：' if lang == 'zh' else ': '}{verdict}")
    return f"{'；'.join(parts)}。" if lang == "zh" else f"{'; '.join(parts)}."


def spot(thing: Thing) -> str:
    """The middle on the grid of answers, "[372,343]"."""
    return f"[{grid(thing.x, 1)},{grid(thing.y, 1)}]"


def sides(first: Thing, second: Thing, lang: Lang) -> str:
    """Where two things are, and which of the two numbers across is the smaller."""
    one, two = (bare(t.kind, t.color, lang) for t in (first, second))
    here, there = (grid(t.x, 1) for t in (first, second))
    order = f"{here}{'<' if here < there else '>'}{there}"
    if lang == "zh":
        return f"{one}在{spot(first)}，{two}在{spot(second)}。{order}。"
    return f"The {one} is at {spot(first)}, the {two} at {spot(second)}. {order}."
