"""Parts that screens are made of: bars, rows, switches, buttons, fields, keyboards, sheets."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from autoglm_phone.train.world.visual.canvas import Box, Color
from autoglm_phone.train.world.visual.icons import ICONS
from autoglm_phone.train.world.visual.stage import Element, Stage
from autoglm_phone.train.world.visual.steps import finish
from autoglm_phone.train.world.visual.theme import BRIGHT, mix

WHITE: Color = (255, 255, 255)


@lru_cache(maxsize=96)
def _photo(seed: int) -> np.ndarray:
    """A made-up photograph, uint8 [48, 48, 3]: blended corners, a horizon, a few soft blobs."""
    r = np.random.default_rng(seed)
    corners = r.integers(30, 240, (2, 2, 3)).astype(np.float32)
    y, x = np.mgrid[0:1:48j, 0:1:48j].astype(np.float32)[..., None]
    picture = (corners[0, 0] * (1 - x) + corners[0, 1] * x) * (1 - y) + (
        corners[1, 0] * (1 - x) + corners[1, 1] * x
    ) * y
    for _ in range(int(r.integers(1, 5))):
        cx, cy, radius = r.uniform(0, 1), r.uniform(0, 1), r.uniform(0.08, 0.4)
        inside = np.clip((radius - np.hypot(x - cx, y - cy)) * 20, 0, 1)
        picture = picture * (1 - inside) + r.integers(0, 255, 3) * inside
    if r.random() < 0.5:
        ground = np.clip((y - r.uniform(0.5, 0.8)) * 40, 0, 1)
        picture = picture * (1 - ground) + r.integers(20, 200, 3) * ground
    return (picture + r.normal(0, 5, picture.shape)).clip(0, 255).astype(np.uint8)


def photo(s: Stage, box: Box, radius: float = 0) -> None:
    s.canvas.image(_photo(s.rng.randrange(96)), box, radius)


def avatar(s: Stage, center: tuple[float, float], size: float, name: str = "") -> None:
    x, y = center
    h = size / 2
    box = (x - h, y - h, x + h, y + h)
    radius = h if s.theme.style != "ios" or s.rng.random() < 0.5 else size * 0.2
    kind = s.rng.random()
    if kind < 0.5:
        photo(s, box, radius)
    else:
        s.canvas.rect(box, s.rng.choice(BRIGHT), radius)
        if name and kind < 0.8:
            s.canvas.text(x, y, name[0].upper(), size * 0.45, WHITE, anchor="m")
        else:
            s.canvas.icon(center, "person", size * 0.6, WHITE)


def status_bar(s: Stage, over: Color | None = None) -> None:
    """Clock, signal and battery along the top edge; sets `top`. over: colour behind it."""
    c, rng = s.canvas, s.rng
    if rng.random() < 0.07 and s.top == 0:
        return  # full-screen app
    h = rng.choice((20.0, 24.0, 24.0, 28.0, 32.0))
    back = over or s.theme.bar
    ink = (255, 255, 255) if sum(back[:3]) < 380 else (20, 20, 20)
    c.rect((0, 0, c.width, h), back)
    clock = s.content.clock()
    cy = h / 2
    if s.theme.style == "ios":
        c.text(24, cy, clock, 13, ink, bold=True)
    else:
        c.text(14, cy, clock, rng.choice((11, 12, 13)), ink)
    x = c.width - 14
    level = rng.randint(3, 100)
    style = rng.random()
    c.frame((x - 21, cy - 5, x - 1, cy + 5), ink, 1, 2.5)
    c.rect((x - 19.5, cy - 3.5, x - 19.5 + 17 * level / 100, cy + 3.5), ink, 1)
    x -= 26
    if style < 0.6:
        box = c.text(x, cy, f"{level}%", 11, ink, anchor="r")
        s.fact(
            ("电量还剩多少？", "现在电池电量是多少？"),
            ("What is the battery level?", "How much battery is left?"),
            f"{level}%",
        )
        x = box[0] - 6
    for name in rng.sample(["wifi", "signal", "bluetooth", "alarm", "mute"], rng.randint(1, 4)):
        c.icon((x - 6, cy), name, 12, ink)
        x -= 17
    s.clock = clock
    if rng.random() < 0.5:  # every screen has a clock: it shall not be the usual question
        s.fact(
            ("状态栏显示几点？", "现在是几点？"),
            ("What time does the status bar show?", "What time is it on this phone?"),
            clock,
        )
    s.top = h


def navigation_bar(s: Stage) -> None:
    """Gesture line or three keys along the bottom edge; sets `bottom`."""
    c, rng = s.canvas, s.rng
    kind = rng.random()
    if kind < 0.35:
        s.bottom = c.height
        return
    if kind < 0.7:
        h = 18.0
        c.rect((0, c.height - h, c.width, c.height), s.theme.back)
        c.rect((c.width / 2 - 55, c.height - 10, c.width / 2 + 55, c.height - 6), s.theme.ink, 2)
        s.bottom = c.height - h
        return
    h = 42.0
    cy = c.height - h / 2
    c.rect((0, c.height - h, c.width, c.height), s.theme.back)
    ink = s.theme.faint
    third = c.width / 3
    x = third / 2
    c.polygon([(x - 6, cy), (x + 5, cy - 7), (x + 5, cy + 7)], ink)
    c.circle((c.width / 2, cy), 7, s.theme.back, ink, 2)
    c.frame((c.width - x - 7, cy - 7, c.width - x + 7, cy + 7), ink, 2)
    s.bottom = c.height - h


def icon_button(
    s: Stage, center: tuple[float, float], name: str, size: float = 24, color: Color | None = None, **about: object
) -> Element:
    """An icon that can be touched; the touch area is at least 40 dp wide where there is room."""
    s.canvas.icon(center, name, size, color or s.theme.ink)
    x, y = center
    h = max(20.0, size / 2 + 4)
    box = (max(0, x - h), max(0, y - h), min(s.canvas.width, x + h), min(s.canvas.height, y + h))
    icon = ICONS[name]
    about.setdefault("wishes", icon.wishes[s.lang])
    return s.touch(box, "icon", icon=name, **about)  # type: ignore[arg-type]


def title_bar(s: Stage, title: str, icons: tuple[str, ...] = (), back: bool = True, fact: bool = True) -> None:
    """Page title with a back arrow and action icons; moves `top` below it."""
    c, th = s.canvas, s.theme
    h = s.rng.choice((48.0, 52.0, 56.0))
    y0 = s.top
    c.rect((0, y0, c.width, y0 + h), th.bar)
    cy = y0 + h / 2
    x = th.gap
    if back:
        icon_button(s, (th.gap + 10, cy), "back", 22, th.on_bar)
        x += 34
    right = c.width - th.gap - 10
    for name in icons:
        icon_button(s, (right, cy), name, 22, th.on_bar)
        right -= 44
    size = s.rng.choice((17, 18, 20))
    centred = (th.style == "ios" or s.rng.random() < 0.25) and c.measure(title, size, True) < 2 * (right - c.width / 2)
    if centred:
        s.write(c.width / 2, cy, title, size, th.on_bar, True, "m", min(c.width - 2 * x - 8, 2 * (right - c.width / 2)))
    else:
        s.write(x, cy, title, size, th.on_bar, s.rng.random() < 0.6, width=right - x + 10)
    if fact:
        s.fact(
            ("这个页面的标题是什么？", "页面顶部写着什么？"),
            ("What is the title of this page?", "What does the title say?"),
            s.labels[-1],
        )
    if s.rng.random() < 0.4:
        c.line([(0, y0 + h), (c.width, y0 + h)], th.line)
    s.top = y0 + h


def bottom_tabs(s: Stage, items: list[tuple[str, str]], chosen: int = 0) -> None:
    """Bar of (icon, caption) tabs above the navigation bar; moves `bottom` above it."""
    c, th = s.canvas, s.theme
    h = 54.0
    y0 = s.bottom - h
    s.cover((0, y0, c.width, s.bottom))
    c.rect((0, y0, c.width, s.bottom), th.card)
    c.line([(0, y0), (c.width, y0)], th.line)
    w = c.width / len(items)
    for i, (icon, caption) in enumerate(items):
        color = th.accent if i == chosen else th.faint
        x = w * (i + 0.5)
        c.icon((x, y0 + 20), icon, 23, color)
        s.write(x, y0 + 42, caption, 11, color, anchor="m")
        s.touch((w * i, y0, w * (i + 1), s.bottom), "tab", caption, icon, group="bottom")
    s.fact(("底部第一个标签叫什么？",), ("What is the first tab at the bottom called?",), items[0][1])
    s.bottom = y0


def top_tabs(s: Stage, captions: list[str], chosen: int = 0) -> None:
    """Text tabs with a mark below the chosen one; moves `top`."""
    c, th = s.canvas, s.theme
    h = 42.0
    w = c.width / len(captions)
    c.rect((0, s.top, c.width, s.top + h), th.bar)
    for i, caption in enumerate(captions):
        color = th.on_bar if i == chosen else mix(th.on_bar, th.bar, 0.35)
        s.write(w * (i + 0.5), s.top + h / 2, caption, 14, color, i == chosen, "m", w - 4)
        s.touch((w * i, s.top, w * (i + 1), s.top + h), "tab", caption, group="top")
        if i == chosen:
            mark = th.accent if th.bar == th.back else th.on_bar
            c.rect((w * (i + 0.3), s.top + h - 3, w * (i + 0.7), s.top + h), mark, 1.5)
    s.top += h


def switch(
    s: Stage,
    center: tuple[float, float],
    on: bool,
    owner: str,
    wishes: tuple[tuple[str, ...], tuple[str, ...]] | None = None,
) -> None:
    """On / off switch; `owner` is the text beside it. wishes: goals when it is off, and when it is on."""
    c, th = s.canvas, s.theme
    x, y = center
    w, h = (46.0, 26.0) if th.style in {"ios", "miui"} else (38.0, 20.0)
    box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    track = th.accent if on else mix(th.back, th.faint, 0.45)
    if th.style == "material" and s.rng.random() < 0.3:
        c.rect((box[0], y - 6, box[2], y + 6), mix(track, th.back, 0.5), 6)
        knob, color = 10.0, track
    else:
        c.rect(box, track, h / 2)
        knob, color = h / 2 - 2, WHITE
    c.circle((box[2] - h / 2 if on else box[0] + h / 2, y), knob, color)
    c.mark("widget:switch_on" if on else "widget:switch_off", box)
    if wishes is None:
        wishes = (
            (s.t(f"打开{owner}", f"Turn on {owner}"), s.t(f"开启{owner}", f"Switch {owner} on")),
            (s.t(f"关闭{owner}", f"Turn off {owner}"), s.t(f"关掉{owner}", f"Switch {owner} off")),
        )
    names = (
        (f"“{owner}”旁边的开关", f"“{owner}”右边的开关")
        if s.lang == "zh"
        else (f"the switch next to {owner}", f"the toggle of {owner}")
    )
    touch, now = (box[0] - 8, y - 20, box[2] + 8, y + 20), s.switched(owner, on)
    s.touch(touch, "switch", names=names, wishes=wishes[1] if on else wishes[0], state=on, now=now).label = ""
    done = wishes[0] if on else wishes[1]
    say = s.t(f"{owner}已经{'打开' if on else '关闭'}。", f"{owner} is already {'on' if on else 'off'}.")
    finish(s, done, say, now + s.t("不用再点。", " Nothing to tap."))
    state = s.t("开着", "on") if on else s.t("关着", "off")
    s.fact((f"{owner}是开着还是关着？", f"{owner}打开了吗？"), (f"Is {owner} on or off?", f"Is {owner} on?"), state)


def button(
    s: Stage,
    box: Box,
    caption: str,
    primary: bool = True,
    wishes: tuple[str, ...] = (),
    size: float = 15,
    color: Color | None = None,
) -> None:
    c, th = s.canvas, s.theme
    height = box[3] - box[1]
    radius = {"material": th.radius, "ios": 10.0, "miui": height / 2, "flat": th.radius}[th.style]
    fill = color or th.accent
    cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    if primary:
        c.rect(box, fill, radius)
        s.write(cx, cy, caption, size, th.on_accent, s.rng.random() < 0.5, "m", box[2] - box[0] - 6)
    else:
        if s.rng.random() < 0.5:
            c.frame(box, fill, 1, radius)
        s.write(cx, cy, caption, size, fill, anchor="m", width=box[2] - box[0] - 4)
    s.touch(box, "button", s.labels[-1], wishes=wishes)


def search_field(s: Stage, box: Box, hint: str, wishes: tuple[str, ...] = ()) -> None:
    """Empty search box with a magnifier."""
    c, th = s.canvas, s.theme
    fill = mix(th.back, th.ink, 0.07)
    c.rect(box, fill, s.rng.choice((6.0, 10.0, (box[3] - box[1]) / 2)))
    cy = (box[1] + box[3]) / 2
    c.icon((box[0] + 18, cy), "search", 18, th.faint)
    s.write(box[0] + 34, cy, hint, 14, th.faint, width=box[2] - box[0] - 44)
    names = ("搜索框",) if s.lang == "zh" else ("the search box", "the search field")
    s.touch(box, "field", s.labels[-1], names=names, wishes=wishes)


def keyboard(s: Stage) -> None:
    """Letter keyboard over the bottom part; moves `bottom`. Keys can be touched."""
    c, th = s.canvas, s.theme
    h = min(240.0, c.height * 0.36)
    y0 = s.bottom - h
    s.cover((0, y0, c.width, s.bottom))
    base = (32, 33, 36) if th.dark else (214, 217, 222)
    c.rect((0, y0, c.width, s.bottom), base)
    key, ink = ((84, 86, 90), WHITE) if th.dark else (WHITE, (20, 20, 20))
    step = h / 4.2
    w = c.width / 10
    upper = s.rng.random() < 0.5
    for r, row in enumerate(("qwertyuiop", "asdfghjkl", "zxcvbnm")):
        x = (c.width - len(row) * w) / 2
        for char in row:
            box = (x + 2, y0 + 6 + r * step, x + w - 2, y0 + r * step + step)
            c.rect(box, key, 5)
            c.text((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, char.upper() if upper else char, 18, ink, anchor="m")
            cap = char.upper()
            if s.rng.random() < 0.12:  # a few of them: letters shall not crowd out other targets
                s.touch(
                    box,
                    "key",
                    names=(f"键盘上的字母{cap}",) if s.lang == "zh" else (f"the letter {cap} on the keyboard",),
                )
            x += w
    y = y0 + 2.5 * step + 3
    icon_button(s, (c.width - w * 0.75, y), "backspace", 20, ink)
    y = y0 + 3.5 * step + 4
    c.rect((w * 2.6, y - step / 2 + 3, w * 7.4, y + step / 2 - 3), key, 5)
    s.touch(
        (w * 2.6, y - step / 2 + 3, w * 7.4, y + step / 2 - 3),
        "key",
        names=("空格键",) if s.lang == "zh" else ("the space bar",),
    )
    action = s.rng.choice((s.t("搜索", "Search"), s.t("发送", "Send"), s.t("完成", "Done"), s.t("前往", "Go")))
    box = (w * 7.6, y - step / 2 + 3, c.width - 4, y + step / 2 - 3)
    c.rect(box, th.accent, 5)
    s.write((box[0] + box[2]) / 2, y, action, 14, WHITE, anchor="m")
    s.touch(box, "button", action)
    c.rect((4, y - step / 2 + 3, w * 2.4, y + step / 2 - 3), mix(key, base, 0.5), 5)
    c.text(w * 1.2, y, "123", 14, ink, anchor="m")
    s.touch(
        (4, y - step / 2 + 3, w * 2.4, y + step / 2 - 3),
        "key",
        names=("数字切换键“123”",) if s.lang == "zh" else ("the 123 key",),
    )
    c.mark("widget:keyboard", (0, y0, c.width, s.bottom))
    s.bottom = y0


def fab(s: Stage, icon: str, wish: str) -> None:
    """Round button that floats at the lower right."""
    x, y = s.canvas.width - 44, s.bottom - 44
    s.cover((x - 28, y - 28, x + 28, y + 28))
    s.canvas.rect(
        (x - 28, y - 28, x + 28, y + 28),
        s.theme.accent,
        28 if s.theme.style != "material" or s.rng.random() < 0.5 else 16,
    )
    icon_button(
        s, (x, y), icon, 26, WHITE, wishes=(wish,), names=(s.t("右下角的悬浮按钮", "the floating button"),)
    ).box = (x - 28, y - 28, x + 28, y + 28)


def divider(s: Stage, y: float, inset: float = 0) -> None:
    s.canvas.line([(inset, y), (s.canvas.width, y)], s.theme.line, 0.6)
