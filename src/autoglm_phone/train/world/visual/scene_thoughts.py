"""What is thought before a question about a scene is answered: every step is small enough to be copied or looked up.

A tally is kept while things are named, two places are compared as numbers, and each thing that is claimed stands beside
what the picture has before the verdict: a model that named everything rightly still got the sum or the verdict wrong
where it was one step (docs/LOG.md, entry 45), or said yes to a claim right after it had written down that it is false.
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


def colours_of(things: Sequence[Thing], kind: str, asked: str, lang: Lang) -> str:
    """ "Cups: green, red. Asked: blue, no." or "Cups: none, no.": the colours of a kind, then whether `asked` is there.

    asked: a colour, "" if none is asked for.
    """
    found = [color for color in COLORS if any(t.kind == kind and t.color == color for t in things)]
    verdict = _verdict(asked in found or (not asked and bool(found)), lang)
    if lang == "zh":
        listed = "、".join(COLORS[c][0] for c in found) or "没有"
        end = f"。问的是{COLORS[asked][0]}，{verdict}。" if found and asked else f"，{verdict}。"
        return f"{KINDS[kind][1]}：{listed}{end}"
    name = KINDS[kind][3]
    end = f". Asked: {asked}, {verdict}." if found and asked else f", {verdict}."
    return f"{name[:1].upper()}{name[1:]}: {', '.join(found) or 'none'}{end}"


def _verdict(right: bool, lang: Lang) -> str:
    return ("是" if right else "不是") if lang == "zh" else "yes" if right else "no"


def claims(said: Sequence[Thing], things: Sequence[Thing], lang: Lang) -> str:
    """Each group of a description, beside it what the picture has in its place, then whether the two are the same.

    A group that the picture lacks stands beside the one that the description leaves out, of the same kind or colour
    first: "a pink circle: a pink cup, no; four red moons: three red moons, no".
    """
    claimed, real = groups(list(said)), groups(list(things))
    named = {(kind, color) for kind, color, _ in claimed}
    left = [group for group in real if group[:2] not in named]
    parts = []
    for kind, color, count in claimed:
        beside = next((group for group in real if group[:2] == (kind, color)), None)
        if beside is None and left:
            beside = min(left, key=lambda group: (group[0] != kind) + (group[1] != color))
            left.remove(beside)
        right = beside == (kind, color, count)
        shown = noun(*beside, lang) if beside else "没有" if lang == "zh" else "none"
        if lang == "zh":
            parts.append(f"{noun(kind, color, count, lang)}：{shown}，{_verdict(right, lang)}")
        else:
            parts.append(f"{noun(kind, color, count, lang)}: {shown}, {_verdict(right, lang)}")
    return f"{'；'.join(parts)}。" if lang == "zh" else f"{'; '.join(parts)}."


def spot(thing: Thing) -> str:
    """The middle on the grid of answers, "[372,343]"."""
    return f"[{grid(thing.x, 1)},{grid(thing.y, 1)}]"


def sides(first: Thing, second: Thing, left_asked: bool, lang: Lang) -> str:
    """Where two things are, which of the two numbers across is the smaller, and the side beside the one asked for."""
    one, two = (bare(t.kind, t.color, lang) for t in (first, second))
    here, there = (grid(t.x, 1) for t in (first, second))
    left = here < there
    order = f"{here}{'<' if left else '>'}{there}"
    verdict = _verdict(left == left_asked, lang)
    if lang == "zh":
        side, asked = ("左" if left else "右"), ("左" if left_asked else "右")
        return f"{one}在{spot(first)}，{two}在{spot(second)}。{order}：{side}边，问的是{asked}边，{verdict}。"
    side, asked = ("left" if left else "right"), ("left" if left_asked else "right")
    return f"The {one} is at {spot(first)}, the {two} at {spot(second)}. {order}: {side}, asked {asked}, {verdict}."
