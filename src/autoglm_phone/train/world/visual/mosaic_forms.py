"""Blocks of composed screens to fill in or to choose from: fields, options, segments, days and seats, buttons."""

from __future__ import annotations

from autoglm_phone.train.world.visual import steps
from autoglm_phone.train.world.visual import widgets as ui
from autoglm_phone.train.world.visual.mosaic import Mosaic, tell
from autoglm_phone.train.world.visual.theme import mix


def form(m: Mosaic, y: float) -> float:
    """Labelled fields: the label above, inside or at the left; filled in or empty."""
    s, c, rng, th = m.s, m.s.canvas, m.s.rng, m.s.theme
    where, box_kind = rng.choice(("above", "inside", "left")), rng.choice(("outline", "tint", "grey", "line"))
    h = rng.uniform(40, 56) + (10 if where == "inside" else 0)
    head = 22.0 if where == "above" else 0.0
    space = rng.uniform(6, 16)
    n = m.fitting(y, h + head + space, rng.randint(1, 5))
    arrow = rng.choice(("", "", "down", "chevron", "edit"))
    for item in m.words.items(n, rng.choice(("noun", "adjective", "setting"))):
        left, right = m.x0 + m.pad, m.x1 - m.pad
        value = m.words.value() if rng.random() < 0.65 else ""
        if where == "above":
            s.write(left, y + 10, item.label, m.small, th.faint, width=m.width - 2 * m.pad)
        elif where == "left":
            s.write(left, y + h / 2, item.label, m.small + 1, th.ink, width=m.width * 0.3)
            left += m.width * 0.33
        top = y + head
        box = (left, top, right, top + h)
        if box_kind == "line":
            c.line([(left, top + h), (right, top + h)], th.faint, 1)
        else:
            m.panel(box, box_kind, min(m.radius, h / 2))
        end = right - 12
        if arrow:
            c.icon((right - 18, top + h / 2), arrow, 16, th.faint)
            end -= 26
        if where == "inside" and value:
            s.write(left + 12, top + h * 0.28, item.label, 11, th.faint, width=end - left - 12)
            s.write(left + 12, top + h * 0.65, value, m.size, th.ink, width=end - left - 12)
        elif where == "inside":
            s.write(left + 12, top + h / 2, item.label, m.size, th.faint, width=end - left - 12)
        else:
            text = value or s.t(*rng.choice((("请填写", "Required"), ("未填", "Empty"), ("可不填", "Optional"))))
            s.write(left + 12, top + h / 2, text, m.size, th.ink if value else th.faint, width=end - left - 12)
        if value:
            tell(m, item.label, value, (f"{item.label}填的是什么？", f"What is entered as {item.label}?"))
        names = m.named(item, ("“{}”这一栏", "the {} field"), ("{}的输入框", "the input for {}"))
        wishes = m.named(item, ("填写{}", "fill in {}"), ("改一下{}的内容", "change what it says for {}"))
        s.touch(box if where == "left" else (left, y, right, top + h), "field", item.label, names=names, wishes=wishes)
        y = top + h + space
    return y


def options(m: Mosaic, y: float) -> float:
    """Things to choose from, with rings, boxes, letters or numbers at either end."""
    s, c, rng, th = m.s, m.s.canvas, m.s.rng, m.s.theme
    many, mark = rng.random() < 0.5, rng.choice(("ring", "ring", "letter", "number"))
    framed, right_side = rng.random() < 0.5, rng.random() < 0.35
    h, space = rng.uniform(40, 62), rng.uniform(4, 12) if framed else 0.0
    n = m.fitting(y, h + space, rng.randint(2, 6))
    items = m.words.items(n, rng.choice(("good", "dish", "city", "place", "noun", "song", "person", "shop")))
    one = rng.randrange(n) if n else 0
    left, right = m.x0 + m.pad, m.x1 - m.pad
    for k, item in enumerate(items):
        on, cy = rng.random() < 0.4 if many else k == one, y + h / 2
        if framed:
            m.panel((left, y, right, y + h), "tint" if on else "card")
        x = right - 24 if right_side else left + 24
        if mark == "ring":
            box = (x - 9, cy - 9, x + 9, cy + 9)
            if on:
                c.rect(box, th.accent, 4 if many else 9)
                c.icon((x, cy), "check", 14, th.on_accent)
            else:
                c.frame(box, th.faint, 1.5, 4 if many else 9)
        else:
            sign = "ABCDEF"[k] if mark == "letter" else str(k + 1)
            if on:
                c.circle((x, cy), 14, th.accent)
            s.write(x, cy, sign, m.size, th.on_accent if on else th.accent, True, "m")
        start, end = (left + 14, x - 20) if right_side else (x + 22, right - 8)
        s.write(start, cy, item.label, m.size, th.ink, width=end - start)
        wishes = m.named(item, ("选中{}", "choose {}"), ("勾上{}", "tick {}"))
        now = s.t(
            f"{item.label}{'已' if on else '没有'}选中。", f"{item.label} is {'chosen' if on else 'not chosen'} now."
        )
        if on:
            said = s.t(f"{item.label}已经选中。", f"{item.label} is chosen already.")
            steps.finish(s, wishes, said, now + s.t("不用再点。", " Nothing to tap."))
            wishes = m.named(item, ("取消选择{}", "take the mark off {}")) if many else ()
        s.touch((left, y, right, y + h), "row", item.label, wishes=wishes, group=m.group, state=on, now=now)
        y += h + space
    chosen = [i.label for k, i in enumerate(items) if not many and k == one]
    if chosen:
        s.fact(("选项里选中的是哪一个？",), ("Which of the options is chosen?",), chosen[0])
    return y


def segments(m: Mosaic, y: float) -> float:
    """Two to four choices in one bar."""
    s, c, rng, th = m.s, m.s.canvas, m.s.rng, m.s.theme
    n, h = rng.randint(2, 4), rng.uniform(34, 46)
    if y + h > m.floor:
        return y
    left, right, corner = m.x0 + m.pad, m.x1 - m.pad, rng.choice((4.0, 10.0, h / 2))
    items = m.words.items(n, "noun" if s.lang == "en" else rng.choice(("noun", "adjective")))
    w, on, strong = (right - left) / n, rng.randrange(n), rng.random() < 0.5
    c.rect((left, y, right, y + h), mix(th.back, th.ink, 0.09), corner)
    for k, item in enumerate(items):
        box = (left + w * k, y, left + w * (k + 1), y + h)
        if k == on:
            fill = th.accent if strong else mix(th.back, th.accent, 0.3)
            c.rect((box[0] + 3, y + 3, box[2] - 3, y + h - 3), fill, max(2, corner - 3))
        ink = th.on_accent if k == on and strong else th.ink
        s.write(box[0] + w / 2, y + h / 2, item.label, m.small + 1, ink, k == on, "m", w - 8)
        s.touch(box, "tab", item.label, wishes=() if k == on else item.wishes)
    return y + h


def numbers(m: Mosaic, y: float) -> float:
    """A grid of numbers: days of a month, seats, pages or times."""
    s, c, rng, th = m.s, m.s.canvas, m.s.rng, m.s.theme
    kind = rng.choice(("days", "days", "seats", "times"))
    columns = 7 if kind == "days" else rng.randint(3, 6)
    h, head = rng.uniform(34, 48), kind == "days" and rng.random() < 0.8
    n = m.fitting(y + (26 if head else 0), h, rng.randint(2, 5))
    if not n:
        return y
    left, w = m.x0 + m.pad, (m.width - 2 * m.pad) / columns
    if head:
        for k, name in enumerate("一二三四五六日" if s.lang == "zh" else ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")):
            c.text(left + w * (k + 0.5), y + 13, name, 12, th.faint, anchor="m")
        y += 26
    start = rng.randint(0, 6) if head else 0
    first, step = rng.randint(1, 12) if kind == "seats" else 1, rng.choice((15, 30, 60))
    total = min(n * columns - start, 30) if kind == "days" else n * columns
    on, corner, framed = rng.randrange(total), rng.choice((0.0, 6.0, 24.0)), rng.random() < 0.4 or kind != "days"
    hour = rng.randint(6, 10) * 60
    for k in range(total):
        at = hour + k * step
        if at >= 24 * 60:
            break
        text = f"{at // 60:02d}:{at % 60:02d}" if kind == "times" else str(first + k)
        row, column = divmod(k + start, columns)
        box = (left + column * w, y + row * h, left + (column + 1) * w, y + (row + 1) * h)
        r = min(w, h) / 2 - 2
        x, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        spot = (x - r, cy - r, x + r, cy + r) if kind == "days" else (box[0] + 2, box[1] + 2, box[2] - 2, box[3] - 2)
        if k == on:
            c.rect(spot, th.accent, min(corner, r))
        elif framed:
            c.frame(spot, th.line, 1, min(corner, r))
        s.write(x, cy, text, min(m.size, w * 0.3), th.on_accent if k == on else th.ink, anchor="m")
        wishes = {
            "days": (s.t(f"选{text}号", f"pick day {text}"), s.t(f"看{text}号的安排", f"see the plans of day {text}")),
            "seats": (s.t(f"选第{text}号位", f"take number {text}"),),
            "times": (s.t(f"约在{text}", f"choose the slot at {text}"), s.t(f"改到{text}", f"move it to {text}")),
        }[kind]
        s.touch(box, "button", text, wishes=() if k == on else wishes)
        if k == on:
            s.fact(("格子里选中的是哪一个？",), ("Which field of the grid is highlighted?",), text)
    return y + n * h


def buttons(m: Mosaic, y: float) -> float:
    """One to three wide buttons, below or beside each other."""
    s, rng = m.s, m.s.rng
    n, h, beside, space = rng.randint(1, 3), rng.uniform(36, 50), rng.random() < 0.4, rng.uniform(6, 12)
    left, right = m.x0 + m.pad, m.x1 - m.pad
    count = 1 if beside else m.fitting(y, h + space, n)
    if y + h + space > m.floor:
        return y
    w = (right - left + space) / n if beside else (right - left) * rng.choice((1.0, 1.0, 0.6))
    x = left if beside else (m.x0 + m.x1 - w) / 2
    for k, item in enumerate(m.words.items(n if beside else count, "noun" if beside and n > 2 else "verb")):
        at, top = (x + k * w, y) if beside else (x, y + k * (h + space))
        ui.button(s, (at, top, at + w - (space if beside else 0), top + h), item.label, k == 0, item.wishes, m.size - 1)
    return y + count * (h + space)
