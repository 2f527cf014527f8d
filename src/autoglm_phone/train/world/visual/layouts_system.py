"""Layouts of the phone itself: launcher, settings, notifications, dialogs, sheets, quick settings."""

from __future__ import annotations

from autoglm_phone.train.world.visual import steps
from autoglm_phone.train.world.visual import widgets as ui
from autoglm_phone.train.world.visual.layouts import layout
from autoglm_phone.train.world.visual.stage import Stage
from autoglm_phone.train.world.visual.theme import ACCENTS, BRIGHT, mix
from autoglm_phone.train.world.visual.words import SETTINGS, SYSTEM_APPS


def _wallpaper(s: Stage) -> None:
    c, rng = s.canvas, s.rng
    if rng.random() < 0.6:
        a, b = rng.choice(ACCENTS), rng.choice(BRIGHT)
        c.gradient(
            (0, 0, c.width, c.height),
            mix(a, (0, 0, 0), rng.uniform(0.1, 0.6)),
            mix(b, (0, 0, 0), rng.uniform(0.2, 0.7)),
        )
    else:
        c.rect((0, 0, c.width, c.height), mix(rng.choice(ACCENTS), (0, 0, 0), rng.uniform(0.3, 0.8)))


def _app_icon(s: Stage, x: float, y: float, side: float, name: str, icon: str | None, caption: bool = True) -> None:
    c, rng = s.canvas, s.rng
    h = side / 2
    radius = rng.choice((side * 0.22, side * 0.22, h, side * 0.1))
    box = (x - h, y - h, x + h, y + h)
    color = rng.choice(BRIGHT)
    light = rng.random() < 0.25
    fill = (255, 255, 255) if light else color
    if rng.random() < 0.25 and not light:
        c.gradient(box, color, mix(color, (0, 0, 0), 0.3), radius=radius)
    else:
        c.rect(box, fill, radius)
    ink = color if light else ui.WHITE
    if icon:
        c.icon((x, y), icon, side * 0.6, ink)
    else:
        c.text(x, y, name[0] if s.lang == "en" else name[: rng.choice((1, 1, 2))], side * 0.4, ink, True, "m")
    if caption:
        s.write(x, y + h + 11, name, 12, ui.WHITE, anchor="m", width=side + 30)


def _apps(s: Stage, count: int) -> list[tuple[str, str | None]]:
    """Apps of a home screen: (name, icon); icon None draws letters."""
    system = [(s.t(*names), icon) for icon, names in SYSTEM_APPS.items()]
    s.rng.shuffle(system)
    share = s.rng.randint(count // 3, count)
    chosen: list[tuple[str, str | None]] = list(system[:share])
    taken = {name for name, _ in chosen}
    for name in s.content.distinct(s.content.app, count - len(chosen) + 4):
        if name not in taken and len(chosen) < count:
            chosen.append((name, None))
    s.rng.shuffle(chosen)
    return chosen


def _app_wishes(s: Stage, name: str) -> tuple[str, ...]:
    return (f"打开{name}", f"启动{name}") if s.lang == "zh" else (f"open {name}", f"launch {name}")


@layout("home", weight=2.0)
def home(s: Stage) -> None:
    """Launcher grid with a dock and often a clock or a search box."""
    c, rng = s.canvas, s.rng
    _wallpaper(s)
    ui.status_bar(s, mix((0, 0, 0), (80, 80, 90), 0.3))
    s.bottom = c.height - rng.choice((16.0, 24.0, 40.0))
    s.app = "System Home"
    columns = rng.choice((4, 4, 4, 5, 3))
    side = rng.choice((44.0, 48.0, 52.0, 56.0)) if columns < 5 else 44.0
    pitch = side + rng.choice((40.0, 46.0, 52.0))
    y = s.top + 20
    dock = rng.random() < 0.75
    dock_h = side + 34 if dock else 0
    if rng.random() < 0.5:
        clock = s.clock or s.content.clock()
        s.write(c.width / 2, y + 34, clock, 48, ui.WHITE, anchor="m")
        date = s.content.date_text()
        s.write(c.width / 2, y + 76, date, 14, ui.WHITE, anchor="m")
        s.fact(("桌面的大时钟显示几点？",), ("What does the big clock show?",), clock)
        s.fact(("桌面上显示的日期是哪天？",), ("Which date is shown?",), date)
        y += 104
    if rng.random() < 0.35:
        ui.search_field(s, (20, y, c.width - 20, y + 42), s.t("搜索", "Search"), steps_search(s))
        y += 58
    rows = max(1, int((s.bottom - dock_h - y) / pitch))
    rows = min(rows, rng.randint(2, 6))
    apps = _apps(s, rows * columns + columns)
    step = (c.width - 16) / columns
    n = 0
    for r in range(rows):
        in_row = columns if r < rows - 1 else rng.randint(1, columns)
        for col in range(in_row):
            if n >= len(apps):
                break
            name, icon = apps[n]
            x, cy = 8 + step * (col + 0.5), y + pitch * r + side / 2
            _app_icon(s, x, cy, side, name, icon)
            s.touch(
                (x - step / 2, cy - side / 2 - 4, x + step / 2, cy + side / 2 + 22),
                "app",
                s.labels[-1],
                group="grid",
                wishes=_app_wishes(s, name),
            )
            n += 1
    if dock:
        cy = s.bottom - side / 2 - 12
        c.rect((10, cy - side / 2 - 10, c.width - 10, cy + side / 2 + 10), (255, 255, 255, 60), 18)
        k = min(columns, len(apps) - n)
        for i in range(k):
            name, icon = apps[n + i]
            x = 8 + (c.width - 16) / k * (i + 0.5)
            _app_icon(s, x, cy, side, name, icon, caption=False)
            if icon:
                s.touch(
                    (x - side / 2 - 4, cy - side / 2 - 4, x + side / 2 + 4, cy + side / 2 + 4),
                    "app",
                    icon=icon,
                    wishes=_app_wishes(s, name),
                    names=(s.t(f"底部的{name}图标", f"the {name} icon in the dock"),),
                )
            s.labels.append(name)
    steps.swipe(
        s,
        "left",
        tuple(
            s.t(
                "翻到下一页桌面|向左滑动桌面|看下一屏",
                "go to the next home page|swipe to the next page|show the next page",
            ).split("|")
        ),
        s.t("要看下一页，手指向左滑。", "For the next page, swipe left."),
    )
    steps.swipe(
        s,
        "up",
        tuple(s.t("打开应用抽屉|从底部上滑", "open the app drawer|swipe up from the bottom").split("|")),
        s.t("应用抽屉要向上滑打开。", "The app drawer opens with a swipe up."),
    )
    steps.swipe(
        s,
        "down",
        tuple(s.t("下拉通知栏|从顶部下滑", "pull down the notifications|swipe down from the top").split("|")),
        s.t("通知栏要向下滑打开。", "Notifications open with a swipe down."),
    )
    steps.common(s, is_home=True)


def steps_search(s: Stage) -> tuple[str, ...]:
    return (s.t("搜索点东西", "search for something"),)


def _setting_value(s: Stage, name: str) -> str:
    return s.rng.choice(
        (
            s.t("已开启", "On"),
            s.t("已关闭", "Off"),
            s.t("未连接", "Not connected"),
            s.t("自动", "Auto"),
            f"{s.rng.randint(2, 99)}%",
        )
    )


@layout("settings", wide=True, weight=3.0)
def settings(s: Stage) -> None:
    """Settings list: rows with icons, switches, values or arrows, in cards or plain."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("设置", "Settings")
    title = s.t("设置", "Settings") if rng.random() < 0.7 else s.t("更多设置", "More settings")
    ui.title_bar(s, title, ("search",) if rng.random() < 0.4 else (), back=rng.random() < 0.7)
    if rng.random() < 0.3:
        ui.search_field(s, (th.gap, s.top + 8, c.width - th.gap, s.top + 46), s.t("搜索设置项", "Search settings"))
        s.top += 54
    cards = rng.random() < 0.5
    row_h = rng.choice((48.0, 52.0, 56.0, 64.0))
    with_icons, subtitles = rng.random() < 0.75, rng.random() < 0.3 and row_h >= 56
    items = rng.sample(SETTINGS, min(len(SETTINGS), int((c.height - s.top) / row_h) + 2))
    names = {s.t(zh, en) for _, zh, en, _ in items}
    y = s.top + (8 if cards else 0)
    left = th.gap + (th.gap * 0.6 if cards else 0)
    first = True
    for icon, zh, en, has_switch in items:
        if y + row_h * 0.8 > s.bottom:
            s.scrolls = True
            break
        name = s.t(zh, en)
        box = (0.0 if not cards else th.gap, y, c.width - (th.gap if cards else 0), y + row_h)
        if cards:
            c.rect(box, th.card, 0 if not first else th.radius)
        x = left
        cy = y + row_h / 2
        if with_icons:
            if th.style in {"ios", "miui"}:
                c.rect((x, cy - 14, x + 28, cy + 14), rng.choice(BRIGHT), 7)
                c.icon((x + 14, cy), icon, 18, ui.WHITE)
            else:
                c.icon((x + 12, cy), icon, 22, th.faint if rng.random() < 0.8 else th.accent)
            x += 42
        as_switch = has_switch and rng.random() < 0.85
        if subtitles:
            s.write(x, cy - 9, name, th.text, th.ink, width=c.width - x - 90)
            sub = _setting_value(s, name)
            s.write(x, cy + 12, sub, 12, th.faint)
        else:
            s.write(x, cy, name, th.text, th.ink, width=c.width - x - 90)
        wishes = () if as_switch else (s.t(f"进入{name}", f"Go to {name}"), s.t(f"查看{name}", f"Show {name}"))
        s.touch(box, "row", name, icon, wishes=wishes, group="list")
        right = c.width - left - 4
        if as_switch:
            ui.switch(s, (right - 20, cy), rng.random() < 0.5, name)
        else:
            if rng.random() < 0.7:
                c.icon((right - 4, cy), "chevron", 18, th.faint)
            if rng.random() < 0.3 and not subtitles:
                value = _setting_value(s, name)
                s.write(right - 18, cy, value, 13, th.faint, anchor="r")
                s.fact(
                    (f"{name}显示的是什么？", f"{name}后面写着什么？"),
                    (f"What is shown for {name}?", f"What does {name} say?"),
                    value,
                )
        y += row_h
        first = False
        if cards and rng.random() < 0.25:
            y += 12
            first = True
        elif rng.random() < 0.5:
            ui.divider(s, y, left)
    if s.scrolls:
        others = [s.t(zh, en) for _, zh, en, _ in SETTINGS if s.t(zh, en) not in names]
        if others:
            steps.missing_item(s, rng.choice(others), s.t("设置", "settings"))
    steps.common(s)
