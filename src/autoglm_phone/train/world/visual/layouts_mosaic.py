"""Composed screens, for training only: a random header, a random stack of blocks and a random footer.

Hand-written layouts can be learnt by heart; these differ on every draw, so that a screen has to be read.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from autoglm_phone.train.world.visual import layouts_blocks as rows
from autoglm_phone.train.world.visual import mosaic_forms as forms
from autoglm_phone.train.world.visual import mosaic_tiles as tiles
from autoglm_phone.train.world.visual import steps
from autoglm_phone.train.world.visual import widgets as ui
from autoglm_phone.train.world.visual.icons import ICONS
from autoglm_phone.train.world.visual.layouts import layout
from autoglm_phone.train.world.visual.mosaic import Block, Mosaic, heading, tell
from autoglm_phone.train.world.visual.mosaic_words import NOUNS, Words
from autoglm_phone.train.world.visual.stage import Stage
from autoglm_phone.train.world.visual.theme import BRIGHT, mix

# Of each kind below: the four make 35 % of training's screens, beside hand-written ones that weigh 45.4 in all.
WEIGHT = 6.1
_BAR_ICONS = ("search", "more", "add", "share", "filter", "edit", "help", "scan", "settings", "bell", "history", "star")
_LIST: tuple[tuple[Block, float], ...] = (
    (rows.rows, 4),
    (rows.receipt, 1.5),
    (rows.table, 1.2),
    (rows.message, 1.5),
    (rows.gauges, 1),
    (tiles.chips, 1),
    (forms.segments, 0.6),
    (tiles.banner, 0.7),
)
_CARDS: tuple[tuple[Block, float], ...] = (
    (tiles.tiles, 2),
    (tiles.actions, 1.2),
    (tiles.cards, 2),
    (tiles.stats, 1.5),
    (tiles.carousel, 1.3),
    (tiles.toggles, 1.6),
    (tiles.chips, 0.8),
    (tiles.banner, 1),
    (forms.numbers, 0.5),
)
_FORM: tuple[tuple[Block, float], ...] = (
    (forms.form, 2.5),
    (forms.options, 2),
    (rows.adjusters, 2.5),
    (forms.segments, 1.2),
    (forms.numbers, 1.2),
    (rows.rows, 0.8),
    (rows.receipt, 0.6),
    (rows.gauges, 0.6),
    (forms.buttons, 0.8),
)


def _bar(m: Mosaic) -> None:
    s, rng = m.s, m.s.rng
    item = m.words.item()
    icons = tuple(rng.sample(_BAR_ICONS, rng.randint(0, 3)))
    ui.title_bar(s, item.label if item else s.app, icons, back=rng.random() < 0.7)


def _search(m: Mosaic) -> None:
    s, rng, c = m.s, m.s.rng, m.s.canvas
    h, left, right = rng.uniform(36, 46), m.pad, c.width - m.pad
    top = s.top + rng.uniform(6, 12)
    cy = top + h / 2
    if rng.random() < 0.4:
        ui.icon_button(s, (left + 12, cy), rng.choice(("menu", "back")), 22)
        left += 42
    for name in rng.sample(("bell", "scan", "mic", "settings", "cart", "filter"), rng.randint(0, 2)):
        ui.icon_button(s, (right - 12, cy), name, 22)
        right -= 44
    item = m.words.item(rng.choice(("good", "dish", "city", "topic", "noun")))
    hint = item.label if item and rng.random() < 0.6 else s.t("搜点什么", "What do you look for?")
    wishes = (s.t("在这里搜索", "type what I look for"), s.t("换个词搜索", "search for another word"))
    ui.search_field(s, (left, top, right, top + h), hint, wishes)
    s.top = top + h + 6


def _large(m: Mosaic) -> None:
    """A big heading, perhaps with a second line, an avatar or an icon at its right."""
    s, rng, c, th = m.s, m.s.rng, m.s.canvas, m.s.theme
    item = m.words.item(rng.choice(("adjective", "noun", "person", "city", "topic")))
    size, middle = rng.uniform(22, 32), rng.random() < 0.25
    y = s.top + rng.uniform(24, 36)
    if item is None:
        return
    x, room = (c.width / 2, c.width - 140) if middle else (m.pad + 2, c.width - 2 * m.pad - 60)
    s.write(x, y, item.label, size, th.ink, rng.random() < 0.7, "m" if middle else "l", room)
    s.fact(("页面上的大标题是什么？",), ("What does the big heading say?",), item.label)
    if rng.random() < 0.5:
        ui.icon_button(s, (c.width - m.pad - 14, y), rng.choice(_BAR_ICONS), 24)
    elif rng.random() < 0.4:
        ui.avatar(s, (c.width - m.pad - 18, y), 36)
    s.top = y + size * 0.5 + 8
    if rng.random() < 0.5:
        line = m.words.sentence()
        s.write(x, s.top + 8, line, m.small, th.faint, False, "m" if middle else "l", room)
        tell(m, item.label, line, ("大标题下面写着什么？", "What is written below the heading?"))
        s.top += 24


def _hero(m: Mosaic) -> None:
    """A coloured area with a face or a number."""
    s, rng, c = m.s, m.s.rng, m.s.canvas
    inset, h = rng.choice((0.0, 10.0, 18.0)), rng.uniform(116, 156)
    y, base = s.top + (8 if inset else 0), mix(rng.choice(BRIGHT), (0, 0, 0), rng.uniform(0.3, 0.5))
    c.gradient((inset, y, c.width - inset, y + h), base, mix(base, (0, 0, 0), 0.3), rng.random() < 0.5, inset)
    item, middle = m.words.item(rng.choice(("noun", "person", "setting", "city"))), rng.random() < 0.5
    if item is None:
        return
    x, anchor, soft = (c.width / 2 if middle else inset + 18), ("m" if middle else "l"), mix(ui.WHITE, base, 0.2)
    if rng.random() < 0.5:
        ui.avatar(s, (x if middle else x + 24, y + h * 0.32), 48, item.label)
        x += 0 if middle else 62
        ya, yb = (y + h * 0.66, y + h * 0.85) if middle else (y + h * 0.28, y + h * 0.48)
        s.write(
            x, ya, item.label, m.size + 3, ui.WHITE, True, anchor, c.width - x - 70 if not middle else c.width * 0.6
        )
        line = m.words.sentence()
        s.write(x, yb, line, m.small, soft, False, anchor, c.width - x - 70 if not middle else c.width * 0.7)
        tell(m, item.label, line)
    else:
        value = m.words.value()
        s.write(x, y + h * 0.3, item.label, m.small + 1, soft, False, anchor, c.width * 0.6)
        s.write(x, y + h * 0.62, value, rng.uniform(26, 38), ui.WHITE, rng.random() < 0.6, anchor)
        tell(m, item.label, value, ("最大的那行字写的是什么？", "What is written in the largest letters?"))
    if rng.random() < 0.6:
        ui.icon_button(s, (c.width - inset - 26, y + 26), rng.choice(_BAR_ICONS), 22, ui.WHITE)
    s.top = y + h + 6


def _progress(m: Mosaic) -> None:
    """How far one has come, between a closing cross and a text button."""
    s, rng, c, th = m.s, m.s.rng, m.s.canvas, m.s.theme
    total = rng.randint(3, 12)
    at, cy = rng.randint(1, total), s.top + 26
    ui.icon_button(s, (m.pad + 12, cy), rng.choice(("close", "back")), 22)
    text = s.t(f"第{at}步，共{total}步", f"Step {at} of {total}") if rng.random() < 0.5 else f"{at}/{total}"
    style = rng.random()
    if style < 0.4:
        c.rect((m.pad + 40, cy - 3, c.width - m.pad - 90, cy + 3), th.line, 3)
        c.rect((m.pad + 40, cy - 3, m.pad + 40 + (c.width - 2 * m.pad - 130) * at / total, cy + 3), th.accent, 3)
        s.write(c.width - m.pad, cy, text, 12, th.faint, anchor="r", width=84)
    else:
        s.write(c.width / 2, cy, text, m.size, th.ink, anchor="m", width=c.width - 180)
        if style < 0.7:
            skip = s.t("跳过", "Skip")
            s.write(c.width - m.pad, cy, skip, m.size, th.accent, anchor="r")
            wishes = (s.t("不做这一步", "leave this step out"),)
            s.touch((c.width - m.pad - 48, cy - 20, c.width, cy + 20), "button", skip, wishes=wishes)
    s.fact(("现在走到第几步了？",), ("Which step is this?", "How far along is this?"), text, (str(at), f"{at}/{total}"))
    s.top += 50


def _tabs(m: Mosaic) -> None:
    n = m.s.rng.randint(2, 4)
    found = [i.label for i in m.words.items(n, "noun")]
    if len(found) > 1:
        ui.top_tabs(m.s, found, m.s.rng.randrange(len(found)))


def _header(m: Mosaic) -> None:
    rng = m.s.rng
    kind = rng.choices((_bar, _search, _large, _hero, _progress, None), (5, 2, 2, 2, 1, 1.2))[0]
    if kind:
        kind(m)
    if kind in {_bar, _search, _large} and rng.random() < 0.3:
        _tabs(m)


def _bottom_tabs(m: Mosaic) -> None:
    s, rng = m.s, m.s.rng
    wide = 9 if s.lang == "en" else 3
    found: dict[str, tuple[str, str]] = {}
    for _ in range(rng.randint(6, 14)):
        item = m.words.row([n for n in NOUNS if len(n[2] if s.lang == "en" else n[1]) <= wide])
        if item and len(found) < rng.choice((3, 4, 4, 5)):
            found.setdefault(item.icon, (item.icon, item.label[:1].upper() + item.label[1:]))
    if len(found) > 1:
        ui.bottom_tabs(s, list(found.values()), rng.randrange(len(found)))


def _primary(m: Mosaic, pair: bool) -> None:
    s, rng, c = m.s, m.s.rng, m.s.canvas
    h, space = rng.uniform(40, 50), rng.choice((8.0, 14.0))
    top, side = s.bottom - h - space, rng.choice((m.pad, 12.0, 24.0))
    items = m.words.items(2 if pair else 1, "verb")
    if len(items) < 2:
        pair = False
    if not items:
        return
    split = side + (c.width - 2 * side) * (rng.choice((0.35, 0.5, 0.5, 0.62)) if pair else 0)
    if pair:
        ui.button(s, (side, top, split - 5, top + h), items[1].label, rng.random() < 0.3, items[1].wishes, m.size - 1)
    elif rng.random() < 0.35:
        price = s.content.price()
        shown = s.write(side, top + h / 2, price, m.size + 4, s.theme.ink, True, width=c.width * 0.32)
        s.fact(("底部显示的金额是多少？",), ("Which amount is shown at the bottom?",), shown)
        split = side + c.width * 0.36
    ui.button(
        s,
        (split + 5 if pair else split, top, c.width - side, top + h),
        items[0].label,
        True,
        items[0].wishes,
        m.size - 1,
    )
    s.bottom = top - 6


def _footer(m: Mosaic) -> bool:
    """Draws what stands at the bottom; true if a round button floats above it."""
    kind = m.s.rng.choices(("tabs", "one", "pair", "fab", "none"), (3, 2, 1.5, 1.5, 3))[0]
    if kind == "tabs":
        _bottom_tabs(m)
    elif kind in {"one", "pair"}:
        _primary(m, kind == "pair")
    return kind == "fab" or (kind == "tabs" and m.s.rng.random() < 0.15)


def _stack(m: Mosaic, y: float, blocks: list[Block]) -> float:
    for block in blocks:
        if y + 180 < m.floor and m.s.rng.random() < 0.25:
            y = heading(m, y)
        m.block += 1
        after = block(m, y)
        if after > y:
            y = after + m.gap
        if y > m.floor - 40:
            m.full = True
            break
    return y


def _compose(s: Stage, pool: tuple[tuple[Block, float], ...], few: int, many: int) -> None:
    c, rng = s.canvas, s.rng
    if s.theme.dark:  # a dark accent can hardly be read on black
        s.theme = replace(s.theme, accent=mix(s.theme.accent, ui.WHITE, 0.25))
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.content.app()
    kinds = ("plain", "plain", "card", "card", "tint", "outline", "grey")
    m = Mosaic(
        s,
        Words(s),
        0.0,
        c.width,
        s.bottom,
        pad=rng.choice((8.0, 12.0, 16.0, 16.0, 20.0, 26.0)),
        gap=rng.uniform(6, 22),
        radius=rng.choice((0.0, 4.0, 8.0, 12.0, 16.0, 22.0)),
        size=rng.choice((13.0, 14.0, 15.0, 15.0, 16.0, 17.0)),
        panel_kind=rng.choice(kinds),
    )
    _header(m)
    floats = _footer(m)
    m.floor = s.bottom - (74 if floats else 4)
    y = s.top + rng.uniform(4, 16)
    columns = 2 if c.width > 560 and rng.random() < 0.7 else 1
    split = c.width * rng.choice((0.38, 0.5, 0.5, 0.6))
    for k in range(columns):
        m.x0, m.x1 = (0.0, c.width) if columns == 1 else (0.0, split) if k == 0 else (split, c.width)
        count = rng.randint(few, many)
        picked = rng.choices([b for b, _ in pool], [w for _, w in pool], k=count)
        if columns == 1 and count == 1 and rng.random() < 0.2:
            y = max(y, (y + m.floor) * 0.3)
        low = _stack(m, y, picked)
        if low < m.floor - 90 and rng.random() < 0.5:
            _stack(m, low, rng.choices([b for b, _ in pool], [w for _, w in pool], k=3))
    if floats:
        icon = rng.choice(("add", "edit", "chat", "camera", "send", "navigate"))
        wishes = ICONS[icon].wishes[s.lang]
        ui.fab(s, icon, wishes[0])
    s.scrolls = m.full and rng.random() < 0.8
    s.trimmed |= m.full
    _unambiguous(s)
    steps.common(s)
    if s.scrolls and rng.random() < 0.5:
        steps.missing_item(s, s.content.good(), s.t("列表", "list"))


def _unambiguous(s: Stage) -> None:
    """Forgets what two things on the screen could be meant by."""
    # Places in a list ("the first item") need that nothing else of its kind is on the screen.
    kinds = Counter(kind for kind, _ in {(e.kind, e.group) for e in s.elements})
    for e in s.elements:
        if e.group not in {"top", "bottom"} and kinds[e.kind] > 1:
            e.group = ""
    drawn = Counter(glyph.char for glyph in s.canvas.glyphs if glyph.char.startswith("icon:"))
    for e in s.elements:
        if e.kind == "icon" and drawn[f"icon:{e.icon}"] > 1:
            e.kind = "button"  # can't be called by its picture
    asked = Counter(question for fact in s.facts for question in fact.questions)
    s.facts = [fact for fact in s.facts if all(asked[question] == 1 for question in fact.questions)]


@layout("mosaic_list", wide=True, weight=WEIGHT, training=True)
def mosaic_list(s: Stage) -> None:
    """Lists, tables, messages."""
    _compose(s, _LIST, 2, 5)


@layout("mosaic_cards", wide=True, weight=WEIGHT, training=True)
def mosaic_cards(s: Stage) -> None:
    """Tiles, cards, numbers, photos."""
    _compose(s, _CARDS, 2, 6)


@layout("mosaic_form", wide=True, weight=WEIGHT, training=True)
def mosaic_form(s: Stage) -> None:
    """Fields, options, amounts."""
    _compose(s, _FORM, 2, 6)


@layout("mosaic_free", wide=True, weight=WEIGHT, training=True)
def mosaic_free(s: Stage) -> None:
    """Blocks of every kind."""
    _compose(s, (*_LIST, *_CARDS, *_FORM), 2, 7)
