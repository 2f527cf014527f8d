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
        c.gradient((0, 0, c.width, c.height), mix(a, (0, 0, 0), rng.uniform(0.1, 0.6)), mix(b, (0, 0, 0), rng.uniform(0.2, 0.7)))
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
        clock = s.content.clock()
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
            s.touch((x - step / 2, cy - side / 2 - 4, x + step / 2, cy + side / 2 + 22), "app", s.labels[-1], group="grid", wishes=_app_wishes(s, name))
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
                s.touch((x - side / 2 - 4, cy - side / 2 - 4, x + side / 2 + 4, cy + side / 2 + 4), "app", icon=icon, wishes=_app_wishes(s, name),
                        names=(s.t(f"底部的{name}图标", f"the {name} icon in the dock"),))  # fmt: skip
            s.labels.append(name)
    steps.swipe(
        s, "left", tuple(s.t("翻到下一页桌面|向左滑动桌面|看下一屏", "go to the next home page|swipe to the next page|show the next page").split("|")),
        s.t("要看下一页，手指向左滑。", "For the next page, swipe left."),
    )  # fmt: skip
    steps.swipe(
        s, "up", tuple(s.t("打开应用抽屉|从底部上滑", "open the app drawer|swipe up from the bottom").split("|")),
        s.t("应用抽屉要向上滑打开。", "The app drawer opens with a swipe up."),
    )  # fmt: skip
    steps.swipe(
        s, "down", tuple(s.t("下拉通知栏|从顶部下滑", "pull down the notifications|swipe down from the top").split("|")),
        s.t("通知栏要向下滑打开。", "Notifications open with a swipe down."),
    )  # fmt: skip
    steps.common(s, is_home=True)


def steps_search(s: Stage) -> tuple[str, ...]:
    return (s.t("搜索点东西", "search for something"),)


def _setting_value(s: Stage, name: str) -> str:
    return s.rng.choice((s.t("已开启", "On"), s.t("已关闭", "Off"), s.t("未连接", "Not connected"), s.t("自动", "Auto"), f"{s.rng.randint(2, 99)}%"))


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
                s.fact((f"{name}显示的是什么？", f"{name}后面写着什么？"), (f"What is shown for {name}?", f"What does {name} say?"), value)
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


@layout("shade", weight=1.2)
def notification_shade(s: Stage) -> None:
    """Notification shade: quick tiles above cards of notifications."""
    c, rng, th = s.canvas, s.rng, s.theme
    c.gradient((0, 0, c.width, c.height), mix(th.back, (90, 100, 120), 0.3), mix(th.back, (60, 60, 80), 0.4))
    ui.status_bar(s, mix(th.back, (90, 100, 120), 0.3))
    s.bottom = c.height
    s.app = "System UI"
    y = s.top + 12
    tiles = rng.sample([x for x in SETTINGS if x[3]], 4 if rng.random() < 0.5 else 8)
    step = (c.width - 24) / 4
    for i, (icon, zh, en, _) in enumerate(tiles):
        x, cy = 12 + step * (i % 4 + 0.5), y + 26 + (i // 4) * 84
        on = rng.random() < 0.5
        name = s.t(zh, en)
        c.circle((x, cy), 24, th.accent if on else mix(th.card, th.faint, 0.4))
        c.icon((x, cy), icon, 22, ui.WHITE)
        s.write(x, cy + 38, name, 11, th.ink, anchor="m", width=step - 4)
        on_wish, off_wish = s.t(f"打开{name}", f"Turn on {name}"), s.t(f"关闭{name}", f"Turn off {name}")
        s.touch((x - step / 2 + 2, cy - 26, x + step / 2 - 2, cy + 48), "button", s.labels[-1], icon, wishes=(off_wish if on else on_wish,), state=on)
        done = on_wish if on else off_wish
        steps.finish(s, (done,), s.t(f"{name}已经{'打开' if on else '关闭'}。", f"{name} is already {'on' if on else 'off'}."),
                     s.t(f"{name}已经是{'开' if on else '关'}的。", f"{name} is {'on' if on else 'off'} already."))  # fmt: skip
    y += 84 * (len(tiles) // 4) + 8
    apps = s.content.distinct(s.content.app, 6)
    for app in apps:
        h = rng.choice((72.0, 80.0))
        if y + h > s.bottom - 60:
            break
        box = (12.0, y, c.width - 12, y + h)
        c.rect(box, th.card, 14)
        c.rect((24, y + 12, 42, y + 30), rng.choice(BRIGHT), 5)
        s.write(50, y + 21, app, 12, th.faint)
        when = s.content.clock()
        s.write(c.width - 24, y + 21, when, 11, th.faint, anchor="r")
        sender, text = s.content.person(), s.content.chat()
        s.write(24, y + 42, sender, 14, th.ink, True)
        shown = s.write(24, y + 60, text, 13, th.ink, width=c.width - 50)
        s.touch(box, "card", app, group="notes", wishes=(s.t(f"查看{app}的通知", f"open the notification from {app}"), s.t(f"看{sender}发来的内容", f"read what {sender} sent")))
        if not shown.endswith("…"):
            s.fact((f"{sender}发了什么？", f"{app}的通知内容是什么？"), (f"What did {sender} send?", f"What does the notification from {app} say?"), text)
        s.fact((f"{app}的通知是几点的？",), (f"When did the notification from {app} come?",), when)
        y += h + 8
    if rng.random() < 0.8:
        caption = s.t("全部清除", "Clear all")
        ui.button(s, (c.width / 2 - 60, y + 4, c.width / 2 + 60, y + 42), caption, rng.random() < 0.5, (s.t("清空所有通知", "dismiss every notification"),))
    steps.common(s)


_DIALOGS = (
    ("允许“{app}”访问你的位置吗？", "Allow {app} to access your location?", ("仅使用时允许", "While using"), ("拒绝", "Deny"), ("允许访问位置", "allow the location"), ("不给位置权限", "refuse the location")),
    ("确定要删除“{file}”吗？", "Delete {file}?", ("删除", "Delete"), ("取消", "Cancel"), ("确认删除文件", "confirm the deletion"), ("不要删除", "keep the file")),
    ("是否保存修改？", "Save your changes?", ("保存", "Save"), ("放弃", "Discard"), ("保存修改", "keep the changes"), ("不保存修改", "throw the changes away")),
    ("发现新版本，现在更新吗？", "A new version is available. Update now?", ("立即更新", "Update"), ("以后再说", "Later"), ("更新到新版本", "update the app"), ("先不更新", "skip the update")),
    ("确定退出登录吗？", "Sign out of your account?", ("退出", "Sign out"), ("留下", "Stay"), ("退出登录", "sign out"), ("不退出", "stay signed in")),
    ("允许“{app}”发送通知吗？", "Allow {app} to send notifications?", ("允许", "Allow"), ("不允许", "Don't allow"), ("允许通知", "allow notifications"), ("禁止通知", "block notifications")),
    ("是否拨打{phone}？", "Call {phone}?", ("拨打", "Call"), ("取消", "Cancel"), ("打这个电话", "make the call"), ("不打电话", "do not call")),
    ("订单金额{price}，确认支付吗？", "Pay {price} for this order?", ("确认支付", "Pay now"), ("再想想", "Not now"), ("确认付款", "pay for the order"), ("不付款", "do not pay")),
)  # fmt: skip


@layout("dialog", weight=1.5)
def dialog(s: Stage) -> None:
    """A question over a dimmed page."""
    c, rng, th = s.canvas, s.rng, s.theme
    settings(s)
    s.specials.clear()
    whole = (0.0, 0.0, c.width, c.height)
    c.rect(whole, (0, 0, 0, rng.randint(90, 150)))
    s.cover(whole, blocks_all=True)
    zh, en, yes, no, yes_wish, no_wish = rng.choice(_DIALOGS)
    app, price = s.content.app(), s.content.price()
    message = s.t(zh, en).format(app=app, file=s.content.file(), phone=s.content.phone(), price=price)
    w = min(c.width - 48, 340)
    x0 = (c.width - w) / 2
    lines = c.wrap(message, 16, w - 40)
    vertical = rng.random() < 0.3
    h = 36 + 24 * len(lines) + (108 if vertical else 64)
    y0 = c.height - h - 24 if th.style == "miui" and rng.random() < 0.6 else (c.height - h) / 2
    c.rect((x0, y0, x0 + w, y0 + h), th.card, max(6, th.radius))
    for i, line in enumerate(lines):
        s.write(x0 + (w / 2 if th.style == "ios" else 20), y0 + 32 + 24 * i, line, 16, th.ink, anchor="m" if th.style == "ios" else "l")
    s.fact(("弹窗里问的是什么？", "对话框写着什么？"), ("What does the dialog ask?", "What does the pop-up say?"), message)
    if "{price}" in zh:
        s.fact(("订单金额是多少？",), ("How much is the order?",), price)
    y = y0 + h - (108 if vertical else 62)
    if vertical:
        boxes = [(x0 + 20, y, x0 + w - 20, y + 42), (x0 + 20, y + 50, x0 + w - 20, y + 92)]
    else:
        boxes = [(x0 + w / 2 + 6, y + 8, x0 + w - 16, y + 48), (x0 + 16, y + 8, x0 + w / 2 - 6, y + 48)]
    swap = rng.random() < 0.2
    if swap:
        boxes.reverse()
    ui.button(s, boxes[0], s.t(*yes), rng.random() < 0.6, (s.t(*yes_wish),))
    ui.button(s, boxes[1], s.t(*no), False, (s.t(*no_wish),))
    steps.common(s)


@layout("sheet")
def bottom_sheet(s: Stage) -> None:
    """A sheet of choices over a dimmed page."""
    c, rng, th = s.canvas, s.rng, s.theme
    settings(s)
    s.specials.clear()
    whole = (0.0, 0.0, c.width, c.height)
    c.rect(whole, (0, 0, 0, rng.randint(90, 150)))
    s.cover(whole, blocks_all=True)
    choices = [
        ("share", "分享给好友", "Share"), ("copy", "复制链接", "Copy link"), ("download", "保存到手机", "Save to phone"), ("star", "加入收藏", "Add to favourites"),
        ("delete", "移到回收站", "Move to bin"), ("edit", "重命名", "Rename"), ("print", "打印文档", "Print document"), ("info", "查看详情", "Details"), ("block", "不感兴趣", "Not interested"),
        ("camera", "拍照", "Take photo"), ("photo", "从相册选择", "Choose from gallery"), ("lock", "设为私密", "Make private"),
    ]  # fmt: skip
    chosen = rng.sample(choices, rng.randint(3, 7))
    row = 54.0
    h = row * len(chosen) + 74
    y0 = c.height - h
    c.rect((0, y0, c.width, c.height + 20), th.card, 18)
    c.rect((c.width / 2 - 18, y0 + 8, c.width / 2 + 18, y0 + 12), th.line, 2)
    y = y0 + 18
    icons = rng.random() < 0.7
    for icon, zh, en in chosen:
        if icons:
            c.icon((36, y + row / 2), icon, 22, th.ink)
            s.write(64, y + row / 2, s.t(zh, en), 16, th.ink)
        else:
            s.write(c.width / 2, y + row / 2, s.t(zh, en), 16, th.ink, anchor="m")
        s.touch((0, y, c.width, y + row), "row", s.t(zh, en), icon, group="list")
        y += row
    cancel = s.t("取消", "Cancel")
    s.write(c.width / 2, y + 26, cancel, 16, th.accent, anchor="m")
    s.touch((0, y, c.width, y + 52), "button", cancel, wishes=(s.t("关掉这个菜单", "close this menu"),))
    s.fact(("菜单里的第一项是什么？",), ("What is the first choice in the menu?",), s.t(*chosen[0][1:]))
    steps.common(s)


@layout("loading", weight=0.6)
def loading(s: Stage) -> None:
    """A page that has not arrived yet."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    ui.title_bar(s, s.content.topic())
    cx, cy = c.width / 2, s.top + (s.bottom - s.top) * rng.uniform(0.35, 0.55)
    if rng.random() < 0.6:
        r = rng.uniform(16, 28)
        c.circle((cx, cy), r, th.line)
        c.sector((cx, cy), r, rng.uniform(0, 360), rng.uniform(400, 600), th.accent)
        c.circle((cx, cy), r - 4, th.back)
    else:
        for i in range(3):
            c.circle((cx - 20 + 20 * i, cy), 6, mix(th.accent, th.back, 0.3 * i))
    if rng.random() < 0.8:
        text = rng.choice((s.t("正在加载…", "Loading…"), s.t("请稍候", "Please wait"), s.t("努力加载中", "Just a moment")))
        s.write(cx, cy + 48, text, 14, th.faint, anchor="m")
        s.fact(("页面中间显示什么？",), ("What does the text in the middle say?",), text, (text.rstrip("…"),))
    steps.wait(s, steps.LOADING[s.lang])
    steps.common(s)
