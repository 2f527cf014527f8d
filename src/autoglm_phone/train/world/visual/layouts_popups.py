"""Layouts that lie over others: notification shade, dialog, bottom sheet, loading."""

from __future__ import annotations

from autoglm_phone.train.world.visual import steps
from autoglm_phone.train.world.visual import widgets as ui
from autoglm_phone.train.world.visual.layouts import layout
from autoglm_phone.train.world.visual.layouts_system import settings
from autoglm_phone.train.world.visual.stage import Stage
from autoglm_phone.train.world.visual.theme import BRIGHT, mix
from autoglm_phone.train.world.visual.words import SETTINGS


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
        s.touch(
            (x - step / 2 + 2, cy - 26, x + step / 2 - 2, cy + 48),
            "button",
            s.labels[-1],
            icon,
            wishes=(off_wish if on else on_wish,),
            state=on,
            now=s.switched(name, on),
        )
        done = on_wish if on else off_wish
        steps.finish(
            s,
            (done,),
            s.t(f"{name}已经{'打开' if on else '关闭'}。", f"{name} is already {'on' if on else 'off'}."),
            s.switched(name, on) + s.t("不用再点。", " Nothing to tap."),
        )
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
        s.touch(
            box,
            "card",
            app,
            group="notes",
            wishes=(
                s.t(f"查看{app}的通知", f"open the notification from {app}"),
                s.t(f"看{sender}发来的内容", f"read what {sender} sent"),
            ),
        )
        if not shown.endswith("…"):
            s.fact(
                (f"{sender}发了什么？", f"{app}的通知内容是什么？"),
                (f"What did {sender} send?", f"What does the notification from {app} say?"),
                text,
            )
        s.fact((f"{app}的通知是几点的？",), (f"When did the notification from {app} come?",), when)
        y += h + 8
    if rng.random() < 0.8:
        caption = s.t("全部清除", "Clear all")
        ui.button(
            s,
            (c.width / 2 - 60, y + 4, c.width / 2 + 60, y + 42),
            caption,
            rng.random() < 0.5,
            (s.t("清空所有通知", "dismiss every notification"),),
        )
    steps.common(s)


_DIALOGS = (
    (
        "允许“{app}”访问你的位置吗？",
        "Allow {app} to access your location?",
        ("仅使用时允许", "While using"),
        ("拒绝", "Deny"),
        ("允许访问位置", "allow the location"),
        ("不给位置权限", "refuse the location"),
    ),
    (
        "确定要删除“{file}”吗？",
        "Delete {file}?",
        ("删除", "Delete"),
        ("取消", "Cancel"),
        ("确认删除文件", "confirm the deletion"),
        ("不要删除", "keep the file"),
    ),
    (
        "是否保存修改？",
        "Save your changes?",
        ("保存", "Save"),
        ("放弃", "Discard"),
        ("保存修改", "keep the changes"),
        ("不保存修改", "throw the changes away"),
    ),
    (
        "发现新版本，现在更新吗？",
        "A new version is available. Update now?",
        ("立即更新", "Update"),
        ("以后再说", "Later"),
        ("更新到新版本", "update the app"),
        ("先不更新", "skip the update"),
    ),
    (
        "确定退出登录吗？",
        "Sign out of your account?",
        ("退出", "Sign out"),
        ("留下", "Stay"),
        ("退出登录", "sign out"),
        ("不退出", "stay signed in"),
    ),
    (
        "允许“{app}”发送通知吗？",
        "Allow {app} to send notifications?",
        ("允许", "Allow"),
        ("不允许", "Don't allow"),
        ("允许通知", "allow notifications"),
        ("禁止通知", "block notifications"),
    ),
    (
        "是否拨打{phone}？",
        "Call {phone}?",
        ("拨打", "Call"),
        ("取消", "Cancel"),
        ("打这个电话", "make the call"),
        ("不打电话", "do not call"),
    ),
    (
        "订单金额{price}，确认支付吗？",
        "Pay {price} for this order?",
        ("确认支付", "Pay now"),
        ("再想想", "Not now"),
        ("确认付款", "pay for the order"),
        ("不付款", "do not pay"),
    ),
)


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
        s.write(
            x0 + (w / 2 if th.style == "ios" else 20),
            y0 + 32 + 24 * i,
            line,
            16,
            th.ink,
            anchor="m" if th.style == "ios" else "l",
        )
    s.fact(
        ("弹窗里问的是什么？", "对话框写着什么？"), ("What does the dialog ask?", "What does the pop-up say?"), message
    )
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
        ("share", "分享给好友", "Share"),
        ("copy", "复制链接", "Copy link"),
        ("download", "保存到手机", "Save to phone"),
        ("star", "加入收藏", "Add to favourites"),
        ("delete", "移到回收站", "Move to bin"),
        ("edit", "重命名", "Rename"),
        ("print", "打印文档", "Print document"),
        ("info", "查看详情", "Details"),
        ("block", "不感兴趣", "Not interested"),
        ("camera", "拍照", "Take photo"),
        ("photo", "从相册选择", "Choose from gallery"),
        ("lock", "设为私密", "Make private"),
    ]
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


@layout("loading", weight=1.5)
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
        text = rng.choice(
            (s.t("正在加载…", "Loading…"), s.t("请稍候", "Please wait"), s.t("努力加载中", "Just a moment"))
        )
        s.write(cx, cy + 48, text, 14, th.faint, anchor="m")
        s.fact(("页面中间显示什么？",), ("What does the text in the middle say?",), text, (text.rstrip("…"),))
    steps.wait(s, steps.LOADING[s.lang])
    steps.common(s)
