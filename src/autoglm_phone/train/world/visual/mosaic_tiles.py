"""Blocks of composed screens that stand side by side: tiles, actions, chips, cards, figures, photos, toggles."""

from __future__ import annotations

from autoglm_phone.train.world.visual import steps
from autoglm_phone.train.world.visual import widgets as ui
from autoglm_phone.train.world.visual.icons import ICONS
from autoglm_phone.train.world.visual.mosaic import Mosaic, tell
from autoglm_phone.train.world.visual.mosaic_words import FAMILIES, SWITCHED
from autoglm_phone.train.world.visual.theme import BRIGHT, mix


def tiles(m: Mosaic, y: float) -> float:
    """A grid of icons with captions below, above or beside them."""
    s, c, rng, th = m.s, m.s.canvas, m.s.rng, m.s.theme
    columns = rng.randint(2, 5 if m.width >= 330 else 4) + (2 if m.width > 560 else 0)
    beside = columns <= (3 if m.width >= 400 else 2) and rng.random() < 0.4
    icon = rng.uniform(24, 36) if beside else rng.uniform(26, 46)
    h = max(icon + 16, 46.0) if beside else icon + m.small + rng.uniform(20, 40)
    space = rng.choice((0.0, rng.uniform(4, 14)))
    n = m.fitting(y, h + space, rng.randint(1, 4))
    w = (m.width - 2 * m.pad + space) / columns
    back, look = (
        rng.choice(("plain", "plain", "card", "tint", "outline")),
        rng.choice(("ink", "accent", "disc", "soft", "photo")),
    )
    upside, colour = rng.random() < 0.12, rng.choice(BRIGHT)
    families = ("noun", "noun", "icon", "city", "app") if columns > 2 and s.lang == "en" else ("", *FAMILIES)
    items = m.words.items(n * columns - rng.choice((0, 0, 1)), rng.choice(families))
    for k, item in enumerate(items):
        left, top = m.x0 + m.pad + k % columns * w, y + k // columns * (h + space)
        box = (left, top, left + w - space, top + h)
        if space:
            m.panel(box, back)
        x = left + 10 + icon / 2 if beside else (box[0] + box[2]) / 2
        cy = top + h / 2 if beside else top + h - 8 - icon / 2 if upside else top + 8 + icon / 2
        ink = {"ink": th.ink, "accent": th.accent, "disc": ui.WHITE, "soft": colour}.get(look, th.ink)
        if look in {"disc", "soft"}:
            fill = (
                (rng.choice(BRIGHT) if rng.random() < 0.5 else colour) if look == "disc" else mix(th.back, colour, 0.17)
            )
            c.rect((x - icon / 2, cy - icon / 2, x + icon / 2, cy + icon / 2), fill, min(m.radius * 1.5, icon / 2))
        if look == "photo":
            ui.photo(s, (x - icon / 2, cy - icon / 2, x + icon / 2, cy + icon / 2), min(m.radius, icon / 2))
        else:
            c.icon((x, cy), item.icon, icon * (0.6 if look in {"disc", "soft"} else 0.85), ink)
        if beside:
            s.write(x + icon / 2 + 8, cy, item.label, m.small + 1, th.ink, width=box[2] - x - icon / 2 - 12)
        else:
            text_y = top + 8 + m.small / 2 if upside else top + h - 8 - m.small / 2
            s.write(x, text_y, item.label, m.small, th.ink, anchor="m", width=w - space - 4)
        shown = "" if look == "photo" else item.icon
        if space and back != "plain":
            s.touch(box, "card", item.label, shown, wishes=item.wishes, group=m.group)
        else:
            s.touch(box, "button", item.label, shown, wishes=item.wishes)
    return y + n * (h + space)


def actions(m: Mosaic, y: float) -> float:
    """A row of three to five round or square buttons, with or without captions."""
    s, c, rng, th = m.s, m.s.canvas, m.s.rng, m.s.theme
    n, r, named = rng.randint(3, 5), rng.uniform(20, 27), rng.random() < 0.7
    h = 2 * r + (30 if named else 12)
    if y + h > m.floor:
        return y
    w = (m.width - 2 * m.pad) / n if rng.random() < 0.75 else 2 * r + 14
    start = m.x0 + m.pad if rng.random() < 0.8 else (m.x0 + m.x1 - n * w) / 2
    corner, filled = rng.choice((r, r, r * 0.5, 4.0)), rng.choice(("accent", "soft", "frame", "bright"))
    items = [i for i in m.words.items(n, rng.choice(("icon", "noun")) if named else "icon") if i.icon != "back"]
    for k, item in enumerate(items):
        x, cy = start + w * (k + 0.5), y + 6 + r
        box = (x - r, cy - r, x + r, cy + r)
        ink = ui.WHITE if filled in {"accent", "bright"} else th.accent
        if filled == "frame":
            c.frame(box, th.line, 1.2, corner)
        else:
            soft = mix(th.back, th.accent, 0.15)
            c.rect(box, {"accent": th.accent, "soft": soft}.get(filled, rng.choice(BRIGHT)), corner)
        c.icon((x, cy), item.icon, r * 1.1, ink)
        if named:
            s.write(x, y + 2 * r + 18, item.label, m.small, th.ink, anchor="m", width=max(w - 4, 2 * r))
            s.touch((x - w / 2, y, x + w / 2, y + h), "button", item.label, item.icon, wishes=item.wishes)
        else:
            s.touch(box, "icon", icon=item.icon, wishes=item.wishes)
    return y + h


def chips(m: Mosaic, y: float) -> float:
    """Short words in pills, one or more lines; one may be chosen."""
    s, c, rng, th = m.s, m.s.canvas, m.s.rng, m.s.theme
    h, space, corner = rng.uniform(28, 38), rng.uniform(6, 12), rng.choice((4.0, 8.0, 19.0))
    lines, family = rng.randint(1, 3), rng.choice(("noun", "city", "adjective", "setting", "good"))
    left, right, chosen = m.x0 + m.pad, m.x1 - m.pad, rng.randrange(6)
    if y + h > m.floor:
        return y
    x, k, centred = left, 0, rng.random() < 0.5
    while item := m.words.item(family):
        w = c.measure(item.label, m.small + 1) + 24
        if x + w > right:
            lines, x = lines - 1, left
            if not lines or y + 2 * h + space > m.floor or left + w > right:
                break
            y += h + space
        on, box = k == chosen, (x, y, x + w, y + h)
        if on or not centred:
            c.rect(box, th.accent if on else mix(th.back, th.ink, 0.08), min(corner, h / 2))
        else:
            c.frame(box, th.line, 1.2, min(corner, h / 2))
        s.write(x + w / 2, y + h / 2, item.label, m.small + 1, th.on_accent if on else th.ink, anchor="m")
        wishes = () if on else m.named(item, ("只看{}", "show only {}"), ("筛出{}", "narrow it down to {}"))
        s.touch(box, "button", item.label, wishes=wishes)
        x, k = x + w + space, k + 1
    return y + h


def cards(m: Mosaic, y: float) -> float:
    """Things with a picture, a price and perhaps a button, in one to three columns."""
    s, c, rng, th = m.s, m.s.canvas, m.s.rng, m.s.theme
    columns = rng.randint(1, 3 if m.width >= 340 else 2) + (1 if m.width > 560 else 0)
    space, bought = rng.uniform(6, 14), rng.choice(("none", "icon", "text"))
    w = (m.width - 2 * m.pad + space) / columns
    side = columns == 1
    image = rng.uniform(64, 100) if side else (w - space) * rng.uniform(0.5, 1.0)
    h = image + 16 if side else image + 64
    n = m.fitting(y, h + space, rng.randint(1, 3))
    maker = rng.choice(("good", "dish", "shop", "place", "song", "city"))
    caption = s.t(*rng.choice((("选购", "Buy"), ("预约", "Reserve"), ("查看", "View"), ("领取", "Get"))))
    icon = rng.choice(("add", "cart", "heart", "star", "download"))
    under, corner = rng.random() < 0.7, min(m.radius, 16)
    for k, item in enumerate(m.words.items(n * columns, maker)):
        left, top = m.x0 + m.pad + k % columns * w, y + k // columns * (h + space)
        right, low, price = left + w - space, top + h, s.content.price()
        if under:
            m.panel((left, top, right, low), "card", corner)
        if side:
            ui.photo(s, (left + 8, top + 8, left + 8 + image, low - 8), corner)
            x, y1, y2 = left + image + 18, top + h * 0.28, low - 24
        else:
            ui.photo(s, (left, top, right, top + image), corner)
            x, y1, y2 = left + 7, top + image + 16, low - 20
        s.write(x, y1, item.label, m.small + 1, th.ink, rng.random() < 0.3, width=right - x - 6)
        if side and h > 84:
            s.write(x, (y1 + y2) / 2, m.words.sentence(), m.small, th.faint, width=right - x - 10)
        s.write(x, y2, price, m.size, th.accent, True)
        s.fact((f"{item.label}的价格是多少？", f"{item.label}多少钱？"), (f"What does {item.label} cost?",), price)
        edge = right
        room = right - x - c.measure(price, m.size, True) - 16
        wide = c.measure(caption, m.small) + 18
        if bought == "icon" and room > 30:
            c.circle((right - 20, y2), 13, th.accent)
            c.icon((right - 20, y2), icon, 16, th.on_accent)
            name = ICONS[icon].names[s.lang]
            names = m.named(item, (f"{{}}的{name}按钮", f"the {name} button of {{}}"))
            s.touch((right - 38, y2 - 17, right - 2, y2 + 17), "button", names=names)
            edge = right - 40
        elif bought == "text" and room > wide:
            box = (right - wide - 6, y2 - 14, right - 6, y2 + 14)
            c.rect(box, th.accent, min(m.radius, 14))
            s.write((box[0] + box[2]) / 2, y2, caption, m.small, th.on_accent, anchor="m")
            s.touch(
                box,
                "button",
                caption if n * columns == 1 else "",
                names=m.named(item, (f"{{}}的“{caption}”按钮", f"the {caption} button of {{}}")),
            )
            edge = box[0] - 2
        box = (left, top, edge, low) if side else (left, top, right, min(low, y2 - 18))
        s.touch(box, "card", item.label, wishes=item.wishes, group=m.group)
    return y + n * (h + space)


def stats(m: Mosaic, y: float) -> float:
    """Columns of a number and its caption, in either order."""
    s, c, rng, th = m.s, m.s.canvas, m.s.rng, m.s.theme
    n, h, over = rng.randint(2, 4), rng.uniform(58, 84), rng.random() < 0.6
    if y + h > m.floor:
        return y
    left, right = m.x0 + m.pad, m.x1 - m.pad
    w, big, middle = (right - left) / n, rng.uniform(17, 26), rng.random() < 0.7
    m.panel((left, y, right, y + h))
    touchable, rules = rng.random() < 0.6, rng.random() < 0.4
    ink = rng.choice((th.ink, th.accent))
    for k, item in enumerate(m.words.items(n, "noun")):
        value = rng.choice((str(rng.randint(0, 9999)), m.words.value(), f"{rng.uniform(1, 99):.1f}"))
        x = left + w * (k + 0.5) if middle else left + w * k + 12
        ya, yb = (y + h * 0.34, y + h * 0.72) if over else (y + h * 0.68, y + h * 0.28)
        s.write(x, ya, value, big if c.measure(value, big, True) < w - 14 else 13, ink, True, "m" if middle else "l")
        s.write(x, yb, item.label, m.small, th.faint, False, "m" if middle else "l", w - 14)
        tell(m, item.label, value, (f"{item.label}是多少？", f"What is the figure for {item.label}?"))
        if rules and k:
            c.line([(left + w * k, y + h * 0.25), (left + w * k, y + h * 0.75)], th.line, 1)
        if touchable:
            s.touch((left + w * k, y, left + w * (k + 1), y + h), "button", item.label, wishes=item.wishes)
    return y + h


def carousel(m: Mosaic, y: float) -> float:
    """Photos with captions; the last one is cut off at the edge and can't be asked for."""
    s, c, rng, th = m.s, m.s.canvas, m.s.rng, m.s.theme
    w, space = rng.uniform(84, 170), rng.uniform(6, 14)
    image = w * rng.uniform(0.5, 1.3)
    h, inside = image + 26, rng.random() < 0.25
    if y + h > m.floor:
        return y
    x, family = m.x0 + m.pad, rng.choice(("city", "place", "song", "dish", "good", "person", "topic"))
    corner = rng.choice((0.0, 6.0, 14.0, min(w, image) / 2))
    while x < m.x1 - 12:
        box = (x, y, min(x + w, m.x1), y + image)
        ui.photo(s, box, corner if x + w <= m.x1 else 0)
        item = m.words.item(family) if x + w <= m.x1 else None
        if item:
            if inside:
                c.rect((x, y + image - 26, x + w, y + image), (20, 20, 20))
            ink = ui.WHITE if inside else th.ink
            s.write(x + w / 2, y + image + (-13 if inside else 13), item.label, m.small, ink, anchor="m", width=w - 8)
            s.touch((x, y, x + w, y + h - (26 if inside else 0)), "card", item.label, wishes=item.wishes)
        x += w + space
    zh, en = ("看看右边的|把这一排往左划", "see more of the pictures at the right|move the row of pictures on")
    if m.x0 == 0 and m.x1 == c.width and y < c.height / 2 < y + image:
        thought = s.t("这一排还有更多，向左滑。", "The row goes on at the right, so swipe left.")
        steps.swipe(s, "left", tuple(s.t(zh, en).split("|")), thought)
    return y + h - (26 if inside else 0)


def toggles(m: Mosaic, y: float) -> float:
    """Tiles that are on or off: colour, a word or a lamp tells."""
    s, c, rng, th = m.s, m.s.canvas, m.s.rng, m.s.theme
    columns = rng.randint(2, 4) + (2 if m.width > 560 else 0)
    h, space, shown = rng.uniform(62, 104), rng.uniform(5, 14), rng.choice(("word", "word", "lamp"))
    n = m.fitting(y, h + space, rng.randint(1, 3))
    w, middle = (m.width - 2 * m.pad + space) / columns, rng.random() < 0.5
    for k in range(n * columns):
        item = m.words.row(SWITCHED) or m.words.item("setting")
        if item is None:
            break
        on, left, top = rng.random() < 0.5, m.x0 + m.pad + k % columns * w, y + k // columns * (h + space)
        box = (left, top, left + w - space, top + h)
        c.rect(box, mix(th.card, th.accent, 0.28) if on else mix(th.back, th.ink, 0.07), min(m.radius + 2, 20))
        x = (box[0] + box[2]) / 2 if middle else left + 10
        anchor, room = ("m" if middle else "l"), w - space - 14
        c.icon((x if middle else x + 11, top + h * 0.25), item.icon, 22, th.accent if on else th.faint)
        s.write(x, top + h * 0.56, item.label, m.small, th.ink, on, anchor, room)
        state = s.t("开", "On") if on else s.t("关", "Off")
        if shown == "word":
            s.write(x, top + h * 0.82, state, 11, th.faint, anchor=anchor)
        else:
            c.circle((box[2] - 12, top + 12), 5, (60, 190, 90) if on else th.line)
        turn_on = m.named(item, ("打开{}", "turn on {}"), ("启用{}", "enable {}"))
        turn_off = m.named(item, ("关闭{}", "turn off {}"), ("停用{}", "disable {}"))
        now, wishes = s.switched(item.label, on), turn_off if on else turn_on
        s.touch(box, "card", item.label, item.icon, wishes=wishes, group=m.group, state=on, now=now)
        said = s.t(f"{item.label}已经{'打开' if on else '关闭'}。", f"{item.label} is already {'on' if on else 'off'}.")
        steps.finish(s, turn_on if on else turn_off, said, now + s.t("不用再点。", " Nothing to tap."))
        zh, en = ((f"{item.label}是开着还是关着？",), (f"Is {item.label} on or off?",))
        s.fact(zh, en, s.t("开着" if on else "关着", "on" if on else "off"), (state,))
    return y + n * (h + space)


def banner(m: Mosaic, y: float) -> float:
    """A coloured card with two lines and a button."""
    s, c, rng, th = m.s, m.s.canvas, m.s.rng, m.s.theme
    h, left, right = rng.uniform(96, 132), m.x0 + m.pad, m.x1 - m.pad
    topic, act = m.words.item("topic"), m.words.item("verb")
    if y + h > m.floor or topic is None or act is None:
        return y
    first = mix(rng.choice(BRIGHT), (0, 0, 0), 0.3)
    c.gradient((left, y, right, y + h), first, mix(first, th.accent, 0.35), rng.random() < 0.5, m.radius)
    s.write(left + 14, y + h * 0.24, topic.label, m.size + 2, ui.WHITE, True, width=right - left - 28)
    line = m.words.sentence()
    s.write(left + 14, y + h * 0.5, line, m.small, (235, 235, 235), width=right - left - 28)
    tell(m, topic.label, line)
    w = min(c.measure(act.label, m.small) + 24, right - left - 28)
    x = rng.choice((left + 14, right - 14 - w))
    box = (x, y + h - 34, x + w, y + h - 8)
    c.rect(box, ui.WHITE, rng.choice((4.0, 13.0)))
    s.write(x + w / 2, y + h - 21, act.label, m.small, first, anchor="m", width=w - 8)
    s.touch(box, "button", act.label, wishes=act.wishes)
    s.touch((left, y, right, y + h - 36), "card", topic.label, wishes=topic.wishes)
    return y + h
