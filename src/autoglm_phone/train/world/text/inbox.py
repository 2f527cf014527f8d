"""Made-up inboxes: notifications, chat threads and calendars with known contents, in several written formats."""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

import random
from dataclasses import dataclass

from autoglm_phone.train.world.lexicon_phone import CHAT_APPS
from autoglm_phone.train.world.sample import Lang, Split
from autoglm_phone.train.world.text import invented
from autoglm_phone.train.world.text.grammar import full_width


@dataclass(frozen=True)
class Message:
    """One message. kind: meet (place, clock), bring (item), late (minutes), ask (item), call (clock), done (item)."""

    app: str
    sender: str
    kind: str
    text: str
    clock: str  # when it was received, HH:MM
    at: str = ""  # a time told in the text
    place: str = ""
    item: str = ""
    minutes: int = 0


@dataclass(frozen=True)
class Entry:
    """A calendar entry; start and end in minutes after midnight."""

    title: str
    start: int
    end: int
    place: str


def clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


_TEXTS: dict[str, dict[Lang, tuple[str, ...]]] = {
    "meet": {
        "zh": ("{at}在{place}见", "我们{at}在{place}碰面吧", "{at}{place}见,别迟到", "记得{at}到{place}", "{at}来{place}找我"),
        "en": ("see you at {at} at {place}", "let's meet at {place} at {at}", "meet me at {place}, {at}", "be at {place} at {at}", "come to {place} at {at}"),
    },
    "bring": {
        "zh": ("回来带点{item}", "别忘了带{item}", "来的时候带上{item}", "记得带{item}", "麻烦帮我带{item}"),
        "en": ("please bring {item}", "don't forget {item}", "bring {item} when you come", "remember to bring {item}", "can you bring {item}?"),
    },
    "late": {
        "zh": ("我会晚到{minutes}分钟", "堵车,晚{minutes}分钟到", "要迟到{minutes}分钟,抱歉", "等我{minutes}分钟"),
        "en": ("I will be {minutes} minutes late", "traffic, {minutes} minutes late", "sorry, running {minutes} minutes late", "wait for me, {minutes} minutes"),
    },
    "call": {
        "zh": ("{at}给我打电话", "方便的话{at}回电", "{at}我给你打电话", "{at}通个电话"),
        "en": ("call me at {at}", "please ring me at {at}", "I will call you at {at}", "let's talk by phone at {at}"),
    },
    "done": {
        "zh": ("{item}已经准备好了", "我拿到{item}了", "{item}买好了", "{item}放在桌上了"),
        "en": ("I have {item} ready", "I got {item}", "{item} is on the table", "I picked up {item}"),
    },
}  # fmt: skip
KINDS = tuple(_TEXTS)


def message(
    rng: random.Random, lang: Lang, split: Split, received: int, kind: str | None = None, sender: str = ""
) -> Message:
    """A message of this kind (or any), received at `received` minutes after midnight."""
    kind = kind or rng.choice(KINDS)
    sender = sender or invented.name(rng, lang, split)
    at = clock(rng.randrange((received // 15 + 2) * 15, 23 * 60, 15))  # later on the same day
    place = invented.place(rng, lang, split)
    item = invented.item(rng, lang, split)
    minutes = rng.randint(2, 59)
    text = rng.choice(_TEXTS[kind][lang]).format(at=at, place=place, item=item, minutes=minutes)
    if lang == "zh":
        text = full_width(text)
    elif text.startswith("I "):
        pass
    elif rng.random() < 0.5:
        text = text[0].upper() + text[1:]
    return Message(
        rng.choice(CHAT_APPS[lang]), sender, kind, text, clock(received),
        at=at if kind in ("meet", "call") else "", place=place if kind == "meet" else "",
        item=item if kind in ("bring", "done") else "", minutes=minutes if kind == "late" else 0,
    )  # fmt: skip


def messages(rng: random.Random, lang: Lang, split: Split, count: int, alike: float = 0.0) -> list[Message]:
    """`count` messages in order of time; senders differ unless there are few names.

    alike: share of senders whose name is nearly one that stands in the list already.
    """
    found: list[Message] = []
    received = rng.randrange(6 * 60, 12 * 60)
    senders: set[str] = set()
    for _ in range(count):
        received += rng.randrange(1, 75 if count <= 6 else 40)
        like = rng.choice(found).sender if found and alike and rng.random() < alike else ""
        new = message(rng, lang, split, received, sender=like and invented.near(rng, like, lang, split))
        while any(new.sender in other or other in new.sender for other in senders):
            new = message(rng, lang, split, received)
        senders.add(new.sender)
        found.append(new)
    return found


def show_messages(rng: random.Random, items: list[Message], lang: Lang) -> str:
    """The list in one of several formats; the format is the same for all lines."""
    style = rng.randrange(7)
    lines = []
    for number, m in enumerate(items, 1):
        lines.append((
            f"[{m.app}] {m.sender}: {m.text}",
            f"{m.clock} {m.app} {m.sender}: {m.text}",
            f"{number}. {m.sender} ({m.app}, {m.clock}): {m.text}",
            f"- {m.app} | {m.sender} | {m.clock} | {m.text}",
            f"{m.sender} {m.clock}\n{m.text} ({m.app})",
            f"{m.app} · {m.clock}\n{m.sender}: {m.text}",
            f"{number}) [{m.clock}] {m.app} - {m.sender}: {m.text}",
        )[style])  # fmt: skip
    return "\n".join(lines)


def entries(rng: random.Random, lang: Lang, split: Split, count: int, clash: bool = False) -> list[Entry]:
    """`count` calendar entries of a day in order of time; with `clash`, one pair overlaps."""
    start = rng.randrange(7 * 60, 10 * 60, 15)
    made: list[Entry] = []
    clashing = rng.randrange(1, count) if clash else 0
    titles: set[str] = set()
    for i in range(count):
        if made and i == clashing:
            start = (
                rng.randrange(made[-1].start + 15, made[-1].end, 15)
                if made[-1].end - made[-1].start > 15
                else made[-1].start
            )
        elif made:
            start = max(entry.end for entry in made) + rng.randrange(0, 120, 15)
        end = start + rng.choice((30, 30, 45, 60, 60, 90))
        for _ in range(20):
            title = invented.title(rng, lang, split)
            if not any(title in other or other in title for other in titles):
                break
        else:
            continue
        titles.add(title)
        made.append(Entry(title, start, end, invented.place(rng, lang, split)))
    return made if made[-1].start >= made[0].start else sorted(made, key=lambda entry: entry.start)


def show_entries(rng: random.Random, items: list[Entry], lang: Lang) -> str:
    """The day's calendar in one of several formats."""
    style = rng.randrange(5)
    lines = []
    for number, e in enumerate(items, 1):
        a, b = clock(e.start), clock(e.end)
        lines.append((
            f"{a}-{b} {e.title} ({e.place})",
            f"- {e.title} | {a}-{b} | {e.place}",
            f"{number}. {e.title}, {a}-{b}, {e.place}",
            f"[{a} - {b}] {e.title} @ {e.place}",
            f"{e.title}: {a} ~ {b}, {e.place}",
        )[style])  # fmt: skip
    return "\n".join(lines)
