"""Layouts of looking through things: weather, files, photos, notes."""

from __future__ import annotations

from autoglm_phone.train.world.visual import steps
from autoglm_phone.train.world.visual import widgets as ui
from autoglm_phone.train.world.visual.layouts import layout
from autoglm_phone.train.world.visual.stage import Stage
from autoglm_phone.train.world.visual.theme import BRIGHT, mix

WEATHERS = (
    ("sun", "晴", "Sunny"),
    ("cloud", "多云", "Cloudy"),
    ("umbrella", "小雨", "Rain"),
    ("snow", "小雪", "Snow"),
    ("flash", "雷阵雨", "Storm"),
)


@layout("weather")
def weather(s: Stage) -> None:
    """Big temperature, the coming hours and days."""
    c, rng = s.canvas, s.rng
    base = rng.choice(((60, 130, 220), (80, 110, 150), (40, 50, 90), (230, 140, 60)))
    c.gradient((0, 0, c.width, c.height), base, mix(base, ui.WHITE, 0.35))
    ui.status_bar(s, base)
    s.bottom = c.height
    s.app = s.t("天气", "Weather")
    city = s.content.city()
    ui.icon_button(s, (28, s.top + 26), rng.choice(("add", "menu", "list")), 24, ui.WHITE)
    ui.icon_button(s, (c.width - 28, s.top + 26), rng.choice(("settings", "more", "pin")), 24, ui.WHITE)
    s.write(c.width / 2, s.top + 26, city, 20, ui.WHITE, anchor="m")
    _icon, zh, en = rng.choice(WEATHERS)
    now = rng.randint(-10, 38)
    y = s.top + 110
    s.write(c.width / 2, y, f"{now}°", 68, ui.WHITE, anchor="m")
    s.write(c.width / 2, y + 56, s.t(zh, en), 18, ui.WHITE, anchor="m")
    low, high = now - rng.randint(1, 8), now + rng.randint(1, 8)
    s.write(c.width / 2, y + 84, f"{low}° / {high}°", 15, ui.WHITE, anchor="m")
    s.fact(
        ("现在多少度？", f"{city}现在气温多少？"),
        ("What is the temperature now?", f"How warm is it in {city}?"),
        f"{now}°",
        (str(now), f"{now}度", f"{now} degrees"),
    )
    s.fact(
        ("今天天气怎么样？", f"{city}天气如何？"),
        ("What is the weather like?", f"How is the weather in {city}?"),
        s.t(zh, en),
    )
    s.fact(("这是哪个城市的天气？",), ("Which city is this weather for?",), city)
    s.fact(("今天最高多少度？",), ("What is the highest temperature today?",), f"{high}°", (str(high), f"{high}度"))
    y += 116
    days = (
        [f"周{d}" for d in "一二三四五六日"]
        if s.lang == "zh"
        else ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    )
    start = rng.randrange(7)
    c.rect((16, y, c.width - 16, s.bottom - 20), mix(base, ui.WHITE, 0.2), 16)
    row = 46.0
    for i in range(7):
        if y + row > s.bottom - 24:
            break
        day = days[(start + i) % 7]
        kind = rng.choice(WEATHERS)
        top = rng.randint(-5, 38)
        s.write(32, y + row / 2, day, 15, ui.WHITE)
        c.icon((c.width / 2, y + row / 2), kind[0], 22, ui.WHITE)
        s.write(c.width - 32, y + row / 2, f"{top - rng.randint(2, 9)}° {top}°", 15, ui.WHITE, anchor="r")
        s.fact((f"{day}的天气怎么样？",), (f"What is the weather on {day}?",), s.t(*kind[1:]))
        s.fact((f"{day}最高多少度？",), (f"What is the high on {day}?",), f"{top}°", (str(top), f"{top}度"))
        s.touch(
            (16, y, c.width - 16, y + row),
            "row",
            day,
            group="list",
            wishes=(s.t(f"看{day}的详细预报", f"show the forecast for {day}"),),
        )
        y += row
    steps.swipe(
        s,
        "left",
        (
            s.t("看下一个城市的天气", "show the next city"),
            s.t("切换到下一个城市", "go to the next city"),
            s.t("下一个城市", "next city"),
        ),
        s.t("切换城市要向左滑。", "The next city comes with a swipe left."),
    )
    steps.common(s)


@layout("files", wide=True)
def files(s: Stage) -> None:
    """Folders and files with sizes and menus."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("文件管理", "Files")
    ui.title_bar(
        s,
        rng.choice((s.t("文件", "Files"), s.t("下载", "Downloads"), s.t("文档", "Documents"))),
        rng.choice((("search", "more"), ("grid",), ("sort", "search"))),
    )
    row = rng.choice((60.0, 66.0))
    y = s.top + 4
    for name in s.content.distinct(s.content.file, 12):
        if y + row > s.bottom:
            s.scrolls = True
            break
        cy = y + row / 2
        icon = {"jpg": "photo", "mp3": "music", "zip": "folder"}.get(name.rsplit(".", 1)[1], "file")
        c.icon((th.gap + 16, cy), icon, 28, rng.choice(BRIGHT))
        size = f"{rng.uniform(1, 99):.1f} {rng.choice(('KB', 'MB'))}"
        shown = s.write(th.gap + 46, cy - 10, name, 15, th.ink, width=c.width - 120)
        s.write(th.gap + 46, cy + 12, size, 12, th.faint)
        ui_x = c.width - 26
        c.icon((ui_x, cy), "more", 20, th.faint)
        s.touch((0, y, c.width - 48, y + row), "row", shown, group="list", wishes=(s.t(f"打开{name}", f"open {name}"),))
        s.touch(
            (ui_x - 20, cy - 22, ui_x + 22, cy + 22),
            "button",
            names=(s.t(f"“{name}”右边的更多按钮", f"the menu button of {name}"),),
            wishes=(s.t(f"查看{name}的更多操作", f"show more actions for {name}"),),
        )
        s.fact(
            (f"{name}有多大？", f"{name}的大小是多少？"),
            (f"How large is {name}?", f"What is the size of {name}?"),
            size,
        )
        ui.divider(s, y + row, th.gap + 46)
        y += row
    if rng.random() < 0.4:
        ui.fab(s, "add", s.t("新建文件夹", "create a new folder"))
    steps.common(s)


@layout("gallery", wide=True)
def gallery(s: Stage) -> None:
    """A grid of photos under dates."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("相册", "Gallery")
    ui.title_bar(
        s, s.t("照片", "Photos"), rng.choice((("search", "more"), ("camera",), ("more",))), back=rng.random() < 0.3
    )
    if rng.random() < 0.6:
        ui.bottom_tabs(
            s,
            [
                ("photo", s.t("照片", "Photos")),
                ("folder", s.t("相册", "Albums")),
                ("bulb", s.t("推荐", "For you")),
                ("search", s.t("搜索", "Search")),
            ],
            0,
        )
    columns = rng.choice((3, 4)) if c.width < 560 else 6
    side = (c.width - 4) / columns
    y, n = s.top, 0
    while y + 36 + side < s.bottom:
        date = s.content.date_text()
        s.write(th.gap, y + 18, date, 14, th.ink, True)
        y += 36
        for _ in range(rng.randint(1, 2)):
            if y + side > s.bottom:
                break
            for k in range(columns if rng.random() < 0.7 else rng.randint(1, columns)):
                box = (2 + side * k, y, 2 + side * (k + 1) - 3, y + side - 3)
                ui.photo(s, box)
                video = rng.random() < 0.15
                if video:
                    c.icon((box[2] - 14, box[3] - 14), "play", 18, ui.WHITE)
                n += 1
                s.touch(
                    box,
                    "card",
                    group="photos" if n < 9 else "",
                    names=(s.t(f"{date}的第{k + 1}张照片", f"photo {k + 1} of {date}"),) if y < s.top + 40 else (),
                )
            y += side
    for e in s.elements:  # "the third card" would be an odd name for a photo
        e.group = ""
    photos = [e for e in s.elements if e.kind == "card"]
    ordinals = (
        ("第一", "first"),
        ("第二", "second"),
        ("第三", "third"),
        ("第四", "fourth"),
        ("第五", "fifth"),
        ("第六", "sixth"),
    )
    for e, (zh, en) in zip(photos, ordinals, strict=False):
        e.names = (s.t(f"{zh}张照片", f"the {en} photo"),)
    s.scrolls = True
    steps.common(s)


@layout("notes", wide=True)
def notes(s: Stage) -> None:
    """Notes or to-do items: cards, or lines with check boxes."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("便签", "Notes")
    ui.title_bar(
        s,
        s.t("待办", "To do") if rng.random() < 0.5 else s.t("便签", "Notes"),
        rng.choice((("search",), ("more",), ("sort", "search"))),
        back=rng.random() < 0.3,
    )
    row = 56.0
    y = s.top + 8
    for _ in range(12):
        if y + row > s.bottom:
            s.scrolls = True
            break
        text, done = s.content.chat(), rng.random() < 0.4
        cy = y + row / 2
        c.rect((th.gap, y + 3, c.width - th.gap, y + row - 3), th.card, th.radius)
        box = (th.gap + 12, cy - 10, th.gap + 32, cy + 10)
        c.frame(box, th.faint, 1.5, 4)
        if done:
            c.rect(box, th.accent, 4)
            c.icon((th.gap + 22, cy), "check", 17, ui.WHITE)
        c.mark("widget:check_on" if done else "widget:check_off", box)
        shown = s.write(th.gap + 44, cy, text, 15, th.faint if done else th.ink, width=c.width - th.gap * 2 - 60)
        if s.labels.count(shown) == 1 and not shown.endswith("…"):
            s.touch(
                (box[0] - 8, y, box[2] + 8, y + row),
                "check",
                names=(s.t(f"“{text}”前面的勾选框", f'the check box of "{text}"'),),
                wishes=(s.t(f"把“{text}”标为未完成", f'mark "{text}" as not done'),)
                if done
                else (s.t(f"完成“{text}”", f'check off "{text}"'),),
                state=done,
            )
            s.fact(
                (f"“{text}”完成了吗？",),
                (f'Is "{text}" done?',),
                s.t("完成了", "yes") if done else s.t("没有完成", "no"),
                (s.t("是", "done"),) if done else (s.t("没有", "not done"), s.t("否", "no")),
            )
        s.touch((box[2] + 8, y, c.width - th.gap, y + row), "row", shown, group="list")
        y += row
    ui.fab(s, rng.choice(("add", "edit")), s.t("写一条新便签", "write a new note"))
    steps.common(s)
