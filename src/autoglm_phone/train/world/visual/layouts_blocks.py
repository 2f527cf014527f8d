"""Blocks of composed screens that stand in rows: lists, amounts, receipts, tables, messages, ratings."""

from __future__ import annotations

from autoglm_phone.train.world.visual import widgets as ui
from autoglm_phone.train.world.visual.icons import ICONS
from autoglm_phone.train.world.visual.mosaic import Mosaic, tell
from autoglm_phone.train.world.visual.mosaic_words import AMOUNTS, ANSWERS, FAMILIES, SWITCHED, Item
from autoglm_phone.train.world.visual.theme import BRIGHT, mix


def _lead(m: Mosaic, kind: str, x: float, cy: float, size: float, item: Item, number: int) -> None:
    """What a row begins with, in a square of `size` at x."""
    c, rng, th = m.s.canvas, m.s.rng, m.s.theme
    box, center = (x, cy - size / 2, x + size, cy + size / 2), (x + size / 2, cy)
    if kind == "icon":
        c.icon(center, item.icon, size * 0.8, th.ink)
    elif kind == "disc":
        c.rect(box, rng.choice(BRIGHT), rng.choice((size / 2, size * 0.25)))
        c.icon(center, item.icon, size * 0.56, ui.WHITE)
    elif kind == "soft":
        c.rect(box, mix(th.back, th.accent, 0.16), size / 2)
        c.icon(center, item.icon, size * 0.56, th.accent)
    elif kind == "avatar":
        ui.avatar(m.s, center, size, item.label)
    elif kind == "photo":
        ui.photo(m.s, box, min(m.radius, size / 3))
    elif kind == "number":
        m.s.write(center[0], cy, str(number), m.size, th.faint, anchor="m")


def rows(m: Mosaic, y: float) -> float:
    """A list: lead, label, perhaps a second line, and something at the right end."""
    s, c, rng, th = m.s, m.s.canvas, m.s.rng, m.s.theme
    second, cards = rng.random() < 0.45, rng.random() < 0.3
    h = rng.uniform(54, 86) if second else rng.uniform(42, 68)
    step = h + (rng.uniform(5, 14) if cards else 0)
    n = m.fitting(y, step, rng.randint(2, 8))
    lead = rng.choice(("none", "icon", "disc", "soft", "avatar", "photo", "number"))
    trail = rng.choice(("none", "value", "value", "chevron", "switch", "badge", "icon", "button"))
    items = [i for i in (m.words.row(SWITCHED) for _ in range(n)) if i] if trail == "switch" else []
    items = items or m.words.items(n, rng.choice(("", *FAMILIES)))
    mirrored = trail in {"none", "value"} and lead != "number" and rng.random() < 0.15
    size = rng.uniform(0.42, 0.66) * h if lead in {"avatar", "photo", "disc"} else rng.uniform(22, 34)
    left, right = (m.x0 + m.pad, m.x1 - m.pad) if cards or m.panel_kind != "plain" else (m.x0 + m.pad / 2, m.x1)
    inner = rng.uniform(8, 18)
    if not cards and items:
        m.panel((left, y, right, y + h * len(items)))
    action = s.t(
        *rng.choice((("加入", "Add"), ("打开", "Open"), ("领取", "Get"), ("预览", "Preview"), ("播放", "Play")))
    )
    icon = rng.choice(("more", "download", "delete", "edit", "heart", "share"))
    for k, item in enumerate(items):
        cy = y + h / 2
        if cards:
            m.panel((left, y, right, y + h), "card" if m.panel_kind == "plain" else "")
        x, end = left + inner, right - inner
        if lead != "none":
            at = end - size if mirrored else x
            _lead(m, lead, at, cy, size, item, k + 1)
            x, end = (x, at - 10) if mirrored else (x + size + rng.uniform(8, 9), end)
        touch_end, value = right, ""
        if trail == "switch":
            ui.switch(s, (end - 24, cy), rng.random() < 0.5, item.label)
            end, touch_end = end - 62, end - 58
        elif trail == "chevron":
            c.icon((end - 8, cy), "chevron", 18, th.faint)
            end -= 26
        elif trail == "value":
            value = m.words.value()
            shown = c.fit(value, m.small + 1, m.width * 0.3)
            s.write(end, cy, shown, m.small + 1, th.faint, anchor="r")
            end -= c.measure(shown, m.small + 1) + 10
            if shown == value:
                tell(m, item.label, value)
        elif trail == "badge":
            value = str(rng.randint(1, 99))
            c.circle((end - 11, cy), 11, th.accent)
            s.write(end - 11, cy, value, 11, th.on_accent, anchor="m")
            end -= 32
            tell(m, item.label, value, (f"{item.label}的角标数字是多少？", f"Which number marks {item.label}?"))
        elif trail == "icon":
            c.icon((end - 10, cy), icon, 20, th.faint)
            name = ICONS[icon].names[s.lang]
            names = m.named(item, (f"“{{}}”右边的{name}图标", f"the {name} icon next to {{}}"))
            s.touch((end - 30, y + 2, min(right, end + 10), y + h - 2), "button", names=names)
            end, touch_end = end - 38, end - 34
        elif trail == "button":
            w = c.measure(action, m.small) + 22
            box = (end - w, cy - 15, end, cy + 15)
            c.rect(box, mix(th.back, th.accent, 0.16), rng.choice((4.0, 15.0)))
            s.write(end - w / 2, cy, action, m.small, th.accent, anchor="m")
            names = m.named(item, (f"“{{}}”右边的“{action}”", f"the {action} button of {{}}"))
            s.touch(box, "button", action if len(items) == 1 else "", names=names)
            end, touch_end = end - w - 8, end - w - 4
        dy = h * 0.17 if second else 0
        s.write(x, cy - dy, item.label, m.size, th.ink, second and rng.random() < 0.5, width=end - x)
        if second:
            line = m.words.sentence()
            s.write(x, cy + h * 0.2, line, m.small, th.faint, width=end - x)
            if rng.random() < 0.6:
                tell(m, item.label, line, (f"{item.label}下面写着什么？", f"What is written below {item.label}?"))
        wishes = () if trail == "switch" else item.wishes
        s.touch((left, y, touch_end, y + h), "row", item.label, item.icon, wishes=wishes, group=m.group)
        if not cards and k < len(items) - 1 and m.radius < 14:
            c.line([(left + inner, y + h), (right, y + h)], th.line, 0.6)
        y += step
    return y


def adjusters(m: Mosaic, y: float) -> float:
    """Rows of a label with less and more: a number between two buttons, or a track between two icons."""
    s, c, rng, th = m.s, m.s.canvas, m.s.rng, m.s.theme
    track, filled, radius = rng.random() < 0.4, rng.random() < 0.4, rng.uniform(12, 19)
    above = track and rng.random() < 0.6  # the label stands above its track
    h = rng.uniform(46, 70) + (24 if above else 0)
    n = m.fitting(y, h, rng.randint(1, 4))
    square, apart = rng.random() < 0.3, rng.uniform(28, 46)
    left, right = m.x0 + m.pad, m.x1 - m.pad
    if n:
        m.panel((left, y, right, y + h * n))
    for _ in range(n):
        item = m.words.row(AMOUNTS) if rng.random() < 0.6 else m.words.item(rng.choice(("good", "dish", "noun")))
        if item is None:
            return y
        number = rng.randint(0, 20)
        cy = y + h / 2 + (12 if above else 0)
        end = right - 12 - radius
        start = left + 12 + radius if above else end - (m.width * 0.36 if track else 2 * apart + 8)
        s.write(
            left + 12,
            y + 18 if above else cy,
            item.label,
            m.size,
            th.ink,
            width=start - radius - left - 24 if not above else m.width * 0.6,
        )
        for x, icon in ((start, "remove"), (end, "add")):
            box = (x - radius, cy - radius, x + radius, cy + radius)
            ink = th.accent
            if filled:
                c.rect(box, th.accent, 5 if square else radius)
                ink = th.on_accent
            elif not track:
                c.frame(box, th.accent, 1.2, 5 if square else radius)
            c.icon((x, cy), icon, radius * 1.2, ink)
            zh, en = ("加号", "plus") if icon == "add" else ("减号", "minus")
            names = m.named(
                item,
                (f"“{{}}”的{zh}", f"the {en} button of {{}}"),
                (f"{{}}那一行的{zh}按钮", f"the {en} sign in the row {{}}"),
            )
            zh, en = ("调高|增加", "raise|increase") if icon == "add" else ("调低|减少", "lower|reduce")
            goals = tuple(zip(zh.split("|"), en.split("|"), strict=True))
            wishes = m.named(item, *((f"{z}{{}}", f"{e} the {{}}") for z, e in goals))
            s.touch(
                (x - radius - 3, cy - radius - 3, x + radius + 3, cy + radius + 3), "button", names=names, wishes=wishes
            )
        if track:
            share, x0, x1 = number / 20, start + radius + 8, end - radius - 8
            c.rect((x0, cy - 2, x1, cy + 2), th.line, 2)
            c.rect((x0, cy - 2, x0 + (x1 - x0) * share, cy + 2), th.accent, 2)
            c.circle((x0 + (x1 - x0) * share, cy), 7, th.accent)
            if above:
                s.write(right - 12, y + 18, f"{number * 5}%", m.small, th.faint, anchor="r")
                tell(m, item.label, f"{number * 5}%")
        else:
            s.write((start + end) / 2, cy, str(number), m.size, th.ink, anchor="m")
            tell(m, item.label, str(number), (f"{item.label}现在是多少？", f"What is the number of {item.label}?"))
        y += h
    return y


def receipt(m: Mosaic, y: float) -> float:
    """Keys at the left, values at the right or in a second column; the last line may be a sum."""
    s, c, rng, th = m.s, m.s.canvas, m.s.rng, m.s.theme
    h, second = rng.uniform(28, 42), rng.random() < 0.35
    n = m.fitting(y + 16, h, rng.randint(3, 7))
    if n < 2:
        return y
    left, right, total = m.x0 + m.pad, m.x1 - m.pad, rng.random() < 0.5
    m.panel((left, y, right, y + h * n + 16))
    y += 8
    for k, item in enumerate(m.words.items(n, rng.choice(("noun", "adjective", "good", "dish")))):
        last, cy = total and k == n - 1, y + h / 2
        value = s.content.price() if last else m.words.value()
        size = m.size + 2 if last else m.size - 1
        s.write(left + 12, cy, item.label, m.size - 1, th.ink if last else th.faint, last, width=m.width * 0.42)
        ink = th.accent if last else th.ink
        if second:
            s.write(left + m.width * 0.48, cy, value, size, ink, last, width=right - left - m.width * 0.48 - 8)
        else:
            s.write(right - 12, cy, value, size, ink, last, "r", m.width * 0.34)
        tell(m, item.label, value)
        if last or rng.random() < 0.1:
            c.line([(left + 12, y), (right - 12, y)], th.line, 1)
        y += h
    return y + 8


def table(m: Mosaic, y: float) -> float:
    """A header and rows of two to four columns."""
    s, c, rng, th = m.s, m.s.canvas, m.s.rng, m.s.theme
    columns, h = rng.randint(2, 4 if m.width > 330 else 3), rng.uniform(30, 46)
    n = m.fitting(y + h, h, rng.randint(2, 6))
    heads = m.words.items(columns, "noun")
    if n < 2 or len(heads) < columns:
        return y
    left, right = m.x0 + m.pad, m.x1 - m.pad
    w = (right - left) / columns
    if rng.random() < 0.7:
        c.rect((left, y, right, y + h), mix(th.back, th.accent, 0.2))
    grid, middle, touchable = rng.random() < 0.4, rng.random() < 0.5, rng.random() < 0.5
    for r, item in enumerate([None, *m.words.items(n, rng.choice(("city", "person", "good", "shop")))]):
        cells = [i.label for i in heads] if item is None else [item.label, *(m.words.value() for _ in heads[1:])]
        for k, text in enumerate(cells):
            x = left + w * (k + 0.5) if middle and k else left + w * k + 6
            size, ink = (m.small, th.ink) if k == 0 or item is None else (m.small, th.faint)
            s.write(x, y + h / 2, text, size, ink, item is None, "m" if middle and k else "l", w - 10)
            if item and k:
                head = heads[k].label
                s.fact((f"{item.label}的{head}是什么？",), (f"What is under {head} for {item.label}?",), text)
        if grid:
            c.frame((left, y, right, y + h), th.line, 0.8)
        elif r % 2 == 0 and r:
            c.line([(left, y + h), (right, y + h)], th.line, 0.6)
        if item and touchable:
            s.touch((left, y, right, y + h), "row", item.label, wishes=item.wishes, group=m.group)
        y += h
    return y


def message(m: Mosaic, y: float) -> float:
    """A card with somebody's words and two small buttons."""
    s, c, rng, th = m.s, m.s.canvas, m.s.rng, m.s.theme
    face, low = rng.random() < 0.7, rng.uniform(30, 38)
    who, text = m.words.item("person"), f"{s.content.chat()}"
    answers = m.words.row([(f"{a}|{b}", f"{x}|{z}") for a, x, b, z in ANSWERS])
    left, right = m.x0 + m.pad, m.x1 - m.pad
    lines = c.wrap(text, m.size, right - left - 24)[:3]
    h = 54 + len(lines) * (m.size + 7) + low + 18
    if y + h > m.floor or who is None or answers is None:
        m.full = True
        return y
    m.panel((left, y, right, y + h), rng.choice(("card", "tint", "outline", "grey")))
    x = left + 12
    if face:
        ui.avatar(s, (x + 17, y + 28), 34, who.label)
        x += 44
    s.write(x, y + 28, who.label, m.size, th.ink, True, width=right - x - 80)
    when = s.content.clock()
    s.write(right - 12, y + 28, when, m.small, th.faint, anchor="r")
    s.touch((left, y + 4, right, y + 50), "row", who.label, wishes=who.wishes)
    s.fact((f"{who.label}说了什么？",), (f"What does {who.label} say?",), text)
    s.fact((f"{who.label}是几点发的？",), (f"At what time did {who.label} write?",), when)
    for k, line in enumerate(lines):
        s.write(left + 12, y + 60 + k * (m.size + 7), line, m.size, th.ink)
    top, full, x = y + h - low - 10, rng.random() < 0.5, right - 12
    for k, caption in enumerate(answers.label.split("|")):
        w = (right - left - 34) / 2 if full else c.measure(caption, m.small + 1) + 30
        wishes = m.named(who, (f"对{{}}的消息选“{caption}”", f'answer {{}} with "{caption}"'))
        ui.button(s, (x - w, top, x, top + low), caption, k == 0, wishes, m.small + 1)
        x -= w + 10
    return y + h


def gauges(m: Mosaic, y: float) -> float:
    """Stars to give, or bars that show how far something has come."""
    s, c, rng, th = m.s, m.s.canvas, m.s.rng, m.s.theme
    stars = rng.random() < 0.5
    h = rng.uniform(44, 58)
    left, right = m.x0 + m.pad, m.x1 - m.pad
    n = m.fitting(y, h, rng.randint(1, 4))
    gold = rng.choice(((250, 180, 20), th.accent))
    for item in m.words.items(n, rng.choice(("noun", "dish", "good", "topic", "shop"))):
        cy = y + h / 2
        if stars:
            step = min(34.0, m.width * 0.5 / 5)
            given = rng.randint(1, 5)
            s.write(left, cy, item.label, m.size, th.ink, width=right - left - 5 * step - 8)
            for k in range(5):
                x = right - step * (4.5 - k)
                c.icon((x, cy), "star", step * 0.75, gold if k < given else th.line)
                zh, en = "一二三四五"[k], ("first", "second", "third", "fourth", "fifth")[k]
                names = m.named(item, (f"{{}}的第{zh}颗星", f"the {en} star of {{}}"))
                goal = m.named(item, (f"给{{}}打{k + 1}星", f"give {{}} {k + 1} stars"))
                goal = goal if k and k + 1 != given else ()
                s.touch(
                    (x - step / 2, cy - 20, x + step / 2, cy + 20),
                    "button",
                    names=names,
                    wishes=goal,
                )
            s.fact((f"{item.label}得了几颗星？",), (f"How many stars does {item.label} have?",), str(given))
        else:
            share = rng.randint(3, 98)
            s.write(left, y + 14, item.label, m.small + 1, th.ink, width=m.width * 0.6)
            s.write(right, y + 14, f"{share}%", m.small, th.faint, anchor="r")
            thick = rng.choice((2.0, 4.0, 6.0))
            c.rect((left, y + 32 - thick, right, y + 32 + thick), th.line, thick)
            c.rect((left, y + 32 - thick, left + (right - left) * share / 100, y + 32 + thick), gold, thick)
            tell(m, item.label, f"{share}%", (f"{item.label}完成了多少？", f"How far has {item.label} come?"))
            s.touch((left, y, right, y + h), "row", item.label, wishes=item.wishes)
        y += h
    return y
