"""Turns a laid-out screen into instructions with their right next step, and into questions about its text."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autoglm_phone.train.world.phrasing import Ask, ask, fill, rich, too_near
from autoglm_phone.train.world.sample import Lang, Region, Split
from autoglm_phone.train.world.text.grammar_parse import say_open
from autoglm_phone.train.world.visual import wishes_screen
from autoglm_phone.train.world.visual.actions import tap
from autoglm_phone.train.world.visual.canvas import Box
from autoglm_phone.train.world.visual.icons import ICONS
from autoglm_phone.train.world.visual.regions import grid, region
from autoglm_phone.train.world.visual.stage import Element, Stage


@dataclass(frozen=True)
class Task:
    """An instruction (or question) about one screen with its answer. difficulty as in Sample."""

    question: str
    answer: str
    thought: str
    truth: dict[str, Any]
    difficulty: int
    step: str  # "tap", "action" or "read"


_TAP = {
    "zh": (
        "点击{}",
        "点一下{}",
        "点{}",
        "按一下{}",
        "请点击{}",
        "帮我点{}",
        "选择{}",
        "请点{}",
        "轻触{}",
        "找到{}并点击",
    ),
    "en": (
        "Tap {}",
        "Click {}",
        "Tap on {}",
        "Press {}",
        "Please tap {}",
        "Select {}",
        "Touch {}",
        "Hit {}",
        "Click on {}",
        "Find {} and tap it",
    ),
}
_OTHER_TOUCHES: dict[str, dict[str, tuple[str, ...]]] = {
    "Long Press": {
        "zh": ("长按{}", "按住{}不放", "请长按{}", "在{}上长按"),
        "en": ("Long press {}", "Press and hold {}", "Hold {}", "Keep pressing {}"),
    },
    "Double Tap": {
        "zh": ("双击{}", "连点两下{}", "请双击{}", "快速点两次{}"),
        "en": ("Double tap {}", "Tap {} twice", "Double click {}", "Quickly tap {} two times"),
    },
}
_QUOTED = {"zh": ("“{}”", "“{}”", "{}", "{}", "「{}」"), "en": ('"{}"', "{}", "{}", "'{}'")}
_WISH = {
    "zh": ("{}", "{}", "{}", "我想{}", "帮我{}", "请{}", "我要{}"),
    "en": ("{}", "{}", "{}", "Please {}", "I want to {}", "Help me {}", "Could you {}?"),
}
_ORDINALS = {
    "zh": ("第一", "第二", "第三", "第四", "第五", "第六", "第七", "第八"),
    "en": ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"),
}
_LONGEST: dict[Lang, int] = {"zh": 10, "en": 24}  # characters of a label that a thought holds which counts to a thing
_UNITS = {
    "row": ("项", "item"),
    "card": ("个卡片", "card"),
    "app": ("个应用", "app"),
    "tab": ("个标签", "tab"),
    "button": ("个按钮", "button"),
}


def phrase(rng: random.Random, options: tuple[str, ...], unseen: bool) -> str:
    """A wording; the last one of each list is kept for unseen test samples."""
    return options[-1] if unseen and rng.random() < 0.5 else rng.choice(options[:-1])


def phrased(
    rng: random.Random,
    lang: Lang,
    split: Split,
    wish: Mapping[Lang, Ask],
    table: Mapping[Lang, tuple[str, ...]],
    unseen: bool,
    **slots: str,
) -> str:
    """The question: worded by the grammar in most of training, else one of the table (a single one is not held out)."""
    options = table[lang]
    held = options[-1:] if len(options) > 1 else ()
    found = ask(rng, wish[lang], lang, held, **slots) if rich(rng, split) else None
    if found:
        return found
    return (phrase(rng, options, unseen) if held else options[0]).format(**slots)


def polite(rng: random.Random, lang: Lang, wish: str, unseen: bool, split: Split = "test", goal: bool = True) -> str:
    """The wish as an instruction. goal: whether one may also ask how to do it, and not only that it be done."""
    if rich(rng, split):
        plain = wish.rstrip("。.!！？?")
        if goal and rng.random() < 0.4:
            text = say_open(rng, rng.choice(wishes_screen.GOALS[lang]))
            found = None if too_near(text, _WISH[lang][-1:]) else fill(text, {"x": _mid(plain, lang)}, lang)
        else:
            found = ask(rng, wishes_screen.WISH[lang], lang, _WISH[lang][-1:], x=_mid(plain, lang))
        if found:
            return found
    frame = phrase(rng, _WISH[lang], unseen)
    if lang == "en" and not frame.startswith("{"):
        wish = wish[0].lower() + wish[1:] if not wish[:2].isupper() else wish
    text = frame.format(wish)
    return text[0].upper() + text[1:]


def _mid(wish: str, lang: str) -> str:
    """A wish as it stands within a sentence."""
    return wish[:1].lower() + wish[1:] if lang == "en" and not wish[:2].isupper() else wish


class Screen:
    """What questions are made from: a finished stage whose boxes are moved to the 0–999 grid of the final picture."""

    def __init__(self, stage: Stage, unseen: bool):
        self.stage, self.unseen, self.lang, self.rng = stage, unseen, stage.lang, stage.rng
        # What the final picture shows of the canvas: (left, top, width, height) in dp; may reach beyond it.
        self.window = (0.0, 0.0, stage.canvas.width, stage.canvas.height)
        self._seen = Counter(stage.labels)
        self._icons = Counter(e.icon for e in stage.elements if e.kind == "icon")

    def box(self, element: Element) -> Box:
        left, top, w, h = self.window
        x0, y0, x1, y1 = element.box
        return grid(x0 - left, w), grid(y0 - top, h), grid(x1 - left, w), grid(y1 - top, h)

    def show(self, window: Box) -> None:
        """Sets the window and forgets elements that it cuts."""
        self.window = left, top, w, h = window
        kept = [
            e
            for e in self.stage.elements
            if e.box[0] >= left - 1 and e.box[1] >= top - 1 and e.box[2] <= left + w + 1 and e.box[3] <= top + h + 1
        ]
        if len(kept) < len(self.stage.elements):
            for e in kept:
                e.group = ""  # "the first item" may be cut off
        self.stage.elements = kept

    def regions(self, scale: float) -> list[Region]:
        """Every element and how to call it; boxes in px of the final picture at `scale` px per dp, keyboards last."""
        left, top, *_ = self.window
        found = []
        for e in sorted(self.stage.elements, key=lambda e: e.kind == "key"):
            x0, y0, x1, y1 = e.box
            box = ((x0 - left) * scale, (y0 - top) * scale, (x1 - left) * scale, (y1 - top) * scale)
            found.append(Region(self._called(e), *box))
        return found

    def _called(self, e: Element) -> str:
        if e.label:
            return e.label
        if e.icon:
            name = ICONS[e.icon].names[self.lang]
            return f"{name}图标" if self.lang == "zh" else f"{name} icon"
        return e.names[0] if e.names else ""

    def _tap(
        self, element: Element, question: str, what: str, difficulty: int, action: str = "Tap", before: str = ""
    ) -> Task:
        """before: what is thought before the target is named."""
        box = self.box(element)
        x, y = round((box[0] + box[2]) / 2), round((box[1] + box[3]) / 2)
        where = region(x, y, self.lang)
        if self.lang == "zh":
            thought = f"{before}目标是{what}，在屏幕{where}。"
        else:
            thought = f"{before}The target is {what}, at the {where} of the screen."
        truth: dict[str, Any] = {"kind": "tap", "box": list(box)}
        if action != "Tap":
            truth["action"] = action
        return Task(question, tap(x, y, action), thought, truth, difficulty, "tap")

    def _verb(self, what: str) -> str:
        return self._worded(what, wishes_screen.TOUCHES["Tap"], _TAP)

    def _worded(self, what: str, wish: dict[Lang, Ask], table: Mapping[str, tuple[str, ...]]) -> str:
        if rich(self.rng, self.stage.split):
            found = ask(self.rng, wish[self.lang], self.lang, (table[self.lang][-1], _WISH[self.lang][-1]), x=what)
            if found:
                return found
        return phrase(self.rng, table[self.lang], self.unseen).format(what)

    def taps(self) -> list[Task]:
        """Every unambiguous way to ask for a tap on this screen."""
        tasks: list[Task] = []
        groups: dict[str, list[Element]] = {}
        for e in self.stage.elements:
            if e.group:
                groups.setdefault(e.group, []).append(e)
        wishes = Counter(w for e in self.stage.elements for w in set(e.wishes))
        for e in self.stage.elements:
            if e.box[2] - e.box[0] < 6 or e.box[3] - e.box[1] < 6:
                continue
            if e.label and self._seen[e.label] == 1 and not e.label.endswith("…"):
                shown = self.rng.choice(_QUOTED[self.lang]).format(e.label)
                quoted = f"“{e.label}”" if self.lang == "zh" else f'"{e.label}"'
                tasks.append(self._tap(e, self._verb(shown), quoted, 0 if e.kind != "row" else 1))
                if e.kind in {"app", "card", "row"} and self.rng.random() < 0.06:
                    name = self.rng.choice(tuple(_OTHER_TOUCHES))
                    question = self._worded(shown, wishes_screen.TOUCHES[name], _OTHER_TOUCHES[name])
                    tasks.append(self._tap(e, question, quoted, 1, name))
            if e.kind == "icon" and self._icons[e.icon] == 1:
                name = ICONS[e.icon].names[self.lang]
                what = f"{name}图标" if self.lang == "zh" else f"the {name} icon"
                tasks.append(self._tap(e, self._verb(what), what, 1))
            for name in e.names:
                tasks.append(self._tap(e, self._verb(name), name, 1))
            for wish in e.wishes:
                if wishes[wish] == 1:
                    before = e.now and e.now + ("" if self.lang == "zh" else " ")
                    tasks.append(self._tap(e, self._wish(wish), self._what(e, wish), 2, before=before))
        for members in groups.values():
            tasks += self._by_place(members)
        return tasks

    def _wish(self, wish: str) -> str:
        return polite(self.rng, self.lang, wish, self.unseen, self.stage.split)

    def _what(self, e: Element, wish: str) -> str:
        if e.label:
            return f"“{e.label}”" if self.lang == "zh" else f'"{e.label}"'
        if e.kind == "icon":
            name = ICONS[e.icon].names[self.lang]
            return f"{name}图标" if self.lang == "zh" else f"the {name} icon"
        return e.names[0] if e.names else wish

    def _by_place(self, members: list[Element]) -> list[Task]:
        tasks = []
        unit = _UNITS.get(members[0].kind)
        if unit is None or len(members) < 2 or len({m.kind for m in members}) > 1:
            return []
        group = members[0].group
        for i, e in enumerate(members[:8]):
            if self.lang == "zh":
                place = "底部" if group == "bottom" else "顶部" if group == "top" else "列表" if e.kind == "row" else ""
                what = f"{place}{_ORDINALS['zh'][i]}{unit[0]}"
            else:
                place = (
                    " at the bottom"
                    if group == "bottom"
                    else " at the top"
                    if group == "top"
                    else " in the list"
                    if e.kind == "row"
                    else ""
                )
                what = f"the {_ORDINALS['en'][i]} {unit[1]}{place}"
            shown, before = self._in_order(members[: i + 1]) or (what, "")
            tasks.append(self._tap(e, self._verb(what), shown, 2, before=before))
        last = members[-1]
        if not (self.stage.scrolls or self.stage.trimmed) and len(members) > 2:
            what = f"最后一{unit[0]}" if self.lang == "zh" else f"the last {unit[1]}"
            if group in {"bottom", "top"}:
                what = (
                    ("底部" if group == "bottom" else "顶部") + what if self.lang == "zh" else f"{what} at the {group}"
                )
            tasks.append(self._tap(last, self._verb(what), self._named(last) or what, 2))
        return tasks

    def _named(self, e: Element) -> str:
        """The element's label, quoted and cut to what a thought holds; "" if it has none."""
        label = e.label[: _LONGEST[self.lang]].rstrip()
        return label and (f"“{label}”" if self.lang == "zh" else f'"{label}"')

    def _in_order(self, members: list[Element]) -> tuple[str, str] | None:
        """The last one's label, quoted, and a thought that counts through all up to it, each after its ordinal."""
        if not all(e.label for e in members):
            return None
        labels = [e.label[: _LONGEST[self.lang]].rstrip() for e in members]
        counted = [part for pair in zip(_ORDINALS[self.lang], labels, strict=False) for part in pair]
        before = f"依次是：{'、'.join(counted)}。" if self.lang == "zh" else f"In order: {', '.join(counted)}. "
        return self._named(members[-1]), before

    def specials(self) -> list[Task]:
        found = []
        for special in self.stage.specials:
            question = self._order(special.questions)
            found.append(Task(question, special.answer, special.thought, special.truth, 2, "action"))
        return found

    def _order(self, questions: tuple[str, ...]) -> str:
        chosen = self.rng.choice(questions)
        return polite(self.rng, self.lang, chosen, self.unseen, self.stage.split, goal=False)

    def reads(self) -> list[Task]:
        found = []
        for fact in self.stage.facts:
            if any(text in fact.answer for text in self.stage.cut):
                continue  # can't be read off this screen
            question = phrase(self.rng, (*fact.questions, fact.questions[-1]), self.unseen)
            if rich(self.rng, self.stage.split):
                wish, slots = wishes_screen.reading(question, self.lang)
                question = ask(self.rng, wish, self.lang, (), **slots) or question
            truth = {"kind": "screen_text", "value": fact.answer, "accept": [fact.answer, *fact.accept]}
            found.append(Task(question, fact.answer, "", truth, 1, "read"))
        return found
