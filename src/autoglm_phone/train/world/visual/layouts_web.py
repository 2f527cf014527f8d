"""Layouts of the web: browser page, search page, map, app store."""

from __future__ import annotations

from autoglm_phone.train.world.visual import steps
from autoglm_phone.train.world.visual import widgets as ui
from autoglm_phone.train.world.visual.layouts import layout
from autoglm_phone.train.world.visual.layouts_talk import tabs
from autoglm_phone.train.world.visual.stage import Stage
from autoglm_phone.train.world.visual.theme import ACCENTS, mix


@layout("browser", weight=1.2)
def browser(s: Stage) -> None:
    """Web page with address bar, article and tool bar."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("浏览器", "Chrome")
    url = (
        rng.choice(("www.", "", "news.", "m."))
        + rng.choice(("daily", "home", "world", "river", "green", "city"))
        + rng.choice(("news", "shop", "wiki", "post", "blog"))
        + rng.choice((".com", ".cn", ".org", ".net"))
    )
    box = (12.0, s.top + 8, c.width - (54 if rng.random() < 0.6 else 12), s.top + 46)
    c.rect(box, mix(th.back, th.ink, 0.07), 19)
    c.icon((30, s.top + 27), "lock", 15, th.faint)
    s.write(46, s.top + 27, url, 14, th.ink)
    s.touch(
        box,
        "field",
        url,
        names=(s.t("地址栏", "the address bar"),),
        wishes=(s.t("输入新的网址", "enter another address"),),
    )
    s.fact(("这个网页的网址是什么？",), ("What is the address of this page?",), url)
    if box[2] < c.width - 20:
        ui.icon_button(s, (c.width - 28, s.top + 27), rng.choice(("more", "refresh")), 22)
    s.top += 54
    bar = 48.0
    floor = s.bottom - bar
    title = s.content.topic()
    y = s.top + 26
    s.write(th.gap, y, title, 22, th.ink, True, width=c.width - 30)
    s.fact(("文章的标题是什么？",), ("What is the title of the article?",), s.labels[-1])
    author, date = s.content.person(), s.content.date_text()
    s.write(th.gap, y + 30, f"{author}  {date}", 12, th.faint)
    s.fact(("文章的作者是谁？",), ("Who wrote the article?",), author)
    s.fact(("文章是哪天发表的？",), ("When was the article published?",), date)
    y += 52
    if rng.random() < 0.6:
        ui.photo(s, (th.gap, y, c.width - th.gap, y + 130), 4)
        y += 146
    while y + 24 < floor - 60:
        text = s.t("，", ". ").join(s.content.chat() for _ in range(3)) + s.t("。", ".")
        for line in c.wrap(text, 15, c.width - 2 * th.gap):
            if y + 20 > floor:
                break
            c.text(th.gap, y + 10, line, 15, th.ink)
            y += 24
        y += 12
        if y + 40 < floor and rng.random() < 0.6:
            link = s.content.topic()
            w = c.measure(link, 15)
            s.write(th.gap, y + 10, link, 15, th.accent)
            c.line([(th.gap, y + 19), (th.gap + w, y + 19)], th.accent, 1)
            s.touch(
                (th.gap, y - 6, th.gap + w, y + 26),
                "button",
                link,
                wishes=(s.t(f"打开链接“{link}”", f'follow the link "{link}"'),),
            )
            y += 34
    s.cover((0, floor, c.width, s.bottom))
    c.rect((0, floor, c.width, s.bottom), th.card)
    for i, icon in enumerate(
        (
            "forward",
            rng.choice(("home", "star")),
            rng.choice(("share", "download")),
            rng.choice(("bookmark", "copy")),
            "menu",
        )
    ):
        ui.icon_button(s, (c.width * (i + 0.5) / 5, floor + bar / 2), icon, 24)
    s.scrolls = True
    steps.common(s)


@layout("search_page", weight=2.0)
def search_page(s: Stage) -> None:
    """Search with history and a focused field."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.content.app()
    maker = rng.choice((s.content.good, s.content.song, s.content.topic, s.content.place, s.content.dish))
    ui.keyboard(s)
    cancel = s.t("取消", "Cancel")
    w = c.measure(cancel, 15) + 26
    box = (th.gap, s.top + 8, c.width - w, s.top + 46)
    c.rect(box, mix(th.back, th.ink, 0.07), 19)
    c.icon((th.gap + 20, s.top + 27), "search", 18, th.faint)
    typed = maker() if rng.random() < 0.5 else ""
    if typed:
        s.write(th.gap + 38, s.top + 27, typed, 15, th.ink, width=c.width - w - 100)
        s.fact(("搜索框里输入了什么？",), ("What is typed in the search box?",), typed)
    else:
        c.line([(th.gap + 38, s.top + 17), (th.gap + 38, s.top + 37)], th.accent, 1.5)
        steps.type_text(s, s.t("搜索框", "search box"), maker())
        word = maker()
        steps.action(
            s,
            "Type",
            (
                s.t(f"搜索{word}", f"search for {word}"),
                s.t(f"搜一下{word}", f"look for {word}"),
                s.t(f"查一查{word}", f"find {word}"),
            ),
            s.t("搜索框已获得焦点，先输入关键词。", "The search box is focused, so type the words."),
            f', text="{word}"',
            text=word,
        )
    s.touch(box, "field", names=(s.t("搜索框", "the search box"),))
    s.write(c.width - 14, s.top + 27, cancel, 15, th.accent, anchor="r")
    s.touch(
        (c.width - w + 6, s.top + 4, c.width, s.top + 50), "button", cancel, wishes=(s.t("不搜索了", "stop searching"),)
    )
    y = s.top + 76
    heading = s.t("搜索历史", "Recent searches")
    s.write(th.gap, y, heading, 15, th.ink, True)
    ui.icon_button(
        s, (c.width - 28, y), "delete", 20, th.faint, wishes=(s.t("清空搜索历史", "clear the search history"),)
    )
    x, y = th.gap, y + 36
    for word in s.content.distinct(maker, 8):
        w = c.measure(word, 13) + 26
        if x + w > c.width - th.gap:
            x, y = th.gap, y + 42
        if y + 18 > s.bottom:
            break
        c.rect((x, y - 16, x + w, y + 16), mix(th.back, th.ink, 0.07), 16)
        s.write(x + w / 2, y, word, 13, th.ink, anchor="m")
        s.touch((x, y - 18, x + w, y + 18), "button", word)
        x += w + 10
    steps.common(s)


@layout("map", weight=1.2)
def map_page(s: Stage) -> None:
    """Map with roads, pins, a search box, round buttons and a card of the chosen place."""
    c, rng, th = s.canvas, s.rng, s.theme
    s.app = s.t("高德地图", "Maps")
    land = (235, 235, 228) if not th.dark else (40, 44, 52)
    c.rect((0, 0, c.width, c.height), land)
    for _ in range(rng.randint(3, 6)):
        x, y = rng.uniform(0, c.width), rng.uniform(0, c.height)
        c.rect((x, y, x + rng.uniform(40, 130), y + rng.uniform(40, 130)), mix(land, (120, 200, 120), 0.5), 6)
    if rng.random() < 0.6:
        y = rng.uniform(0.3, 0.7) * c.height
        c.polygon(
            [
                (0, y),
                (c.width * 0.5, y + 40),
                (c.width, y - 20),
                (c.width, y + 50),
                (c.width * 0.5, y + 100),
                (0, y + 60),
            ],
            mix(land, (110, 170, 230), 0.7),
        )
    road = (255, 255, 255) if not th.dark else (80, 86, 96)
    for _ in range(rng.randint(5, 9)):
        a, b = rng.uniform(-0.2, 1.2), rng.uniform(-0.2, 1.2)
        flat = rng.random() < 0.5
        ends = [(0, a * c.height), (c.width, b * c.height)] if flat else [(a * c.width, 0), (b * c.width, c.height)]
        c.line(ends, road, rng.choice((4, 6, 10)))
    ui.status_bar(s, land)
    ui.navigation_bar(s)
    card = s.content.place()
    h = 150.0
    floor = s.bottom - h
    taken: list[tuple[float, float]] = []
    for place in s.content.distinct(s.content.place, 6):
        x, y = rng.uniform(50, c.width - 90), rng.uniform(s.top + 90, floor - 60)
        if any(abs(x - a) < 110 and abs(y - b) < 50 for a, b in taken) or place == card:
            continue
        taken.append((x, y))
        c.icon((x, y), "pin", 26, rng.choice(((220, 60, 50), th.accent, (240, 140, 20))))
        s.write(x + 14, y, place, 12, th.ink, True)
        s.touch(
            (x - 14, y - 18, x + 16 + c.measure(place, 12, True), y + 18),
            "button",
            place,
            wishes=(s.t(f"查看{place}", f"show {place}"),),
        )
    box = (14.0, s.top + 10, c.width - 14, s.top + 54)
    s.cover(box)
    c.rect(box, th.card, 22)
    ui.icon_button(s, (38, s.top + 32), "menu", 22)
    s.write(62, s.top + 32, s.t("搜索地点", "Search here"), 15, th.faint)
    s.touch(
        (58, s.top + 10, c.width - 60, s.top + 54),
        "field",
        s.labels[-1],
        names=(s.t("搜索框", "the search box"),),
        wishes=(s.t("搜索一个地点", "look for a place"),),
    )
    ui.icon_button(s, (c.width - 38, s.top + 32), "mic", 22)
    for i, icon in enumerate(rng.sample(("grid", "navigate", "add", "remove"), rng.randint(1, 3))):
        x, y = c.width - 36, floor - 34 - i * 54
        s.cover((x - 22, y - 22, x + 22, y + 22))
        c.circle((x, y), 22, th.card)
        about = {
            "navigate": (s.t("定位到我的位置", "show where I am"),),
            "add": (s.t("放大地图", "zoom in"),),
            "remove": (s.t("缩小地图", "zoom out"),),
            "grid": (s.t("切换地图图层", "change the map layer"),),
        }
        ui.icon_button(s, (x, y), icon, 24, wishes=about[icon])
    s.cover((0, floor, c.width, s.bottom))
    c.rect((0, floor, c.width, s.bottom), th.card, 16)
    far = f"{rng.uniform(0.1, 30):.1f}{s.t('公里', ' km')}"
    address = s.content.road()
    s.write(20, floor + 26, card, 18, th.ink, True, width=c.width - 40)
    s.write(20, floor + 54, f"{far}  {address}", 13, th.faint, width=c.width - 40)
    s.fact((f"{card}有多远？",), (f"How far is {card}?",), far)
    s.fact((f"{card}的地址是什么？",), (f"What is the address of {card}?",), address)
    w = (c.width - 50) / 3
    for i, (icon, zh, en, wish) in enumerate(
        (
            ("navigate", "路线", "Directions", s.t(f"导航去{card}", f"navigate to {card}")),
            ("phone", "电话", "Call", s.t(f"给{card}打电话", f"call {card}")),
            ("share", "分享", "Share", s.t("把这个地点分享给朋友", "share this place")),
        )
    ):
        x = 16 + i * (w + 9)
        box = (x, floor + 84, x + w, floor + 126)
        c.rect(box, th.accent if i == 0 else mix(th.card, th.ink, 0.08), 21)
        ink = ui.WHITE if i == 0 else th.ink
        c.icon((x + 24, floor + 105), icon, 18, ink)
        s.write(x + 38, floor + 105, s.t(zh, en), 13, ink, width=w - 40)
        s.touch(box, "button", s.labels[-1], icon, wishes=(wish,))
    steps.common(s)


@layout("store", wide=True)
def store(s: Stage) -> None:
    """App store: rows with icon, name, size and a button to install or open."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("应用商店", "App Store")
    ui.search_field(
        s,
        (th.gap, s.top + 8, c.width - th.gap, s.top + 48),
        s.t("搜索应用", "Search apps"),
        (s.t("搜索应用", "search for an app"),),
    )
    s.top += 56
    ui.top_tabs(
        s, [s.t("推荐", "For you"), s.t("排行", "Top"), s.t("游戏", "Games"), s.t("更新", "Updates")], rng.randrange(4)
    )
    if rng.random() < 0.5:
        tabs(s, 1, 0)
    row = rng.choice((72.0, 80.0))
    y = s.top + 6
    for name in s.content.distinct(s.content.app, 10):
        if y + row > s.bottom:
            s.scrolls = True
            break
        cy = y + row / 2
        c.rect((th.gap, cy - 26, th.gap + 52, cy + 26), rng.choice(ACCENTS), 12)
        c.text(th.gap + 26, cy, name[0], 24, ui.WHITE, True, "m")
        s.write(th.gap + 66, cy - 12, name, 15, th.ink, width=c.width - 190)
        size = f"{rng.randint(5, 900)} MB"
        s.write(th.gap + 66, cy + 13, size, 12, th.faint)
        s.fact((f"{name}有多大？",), (f"How large is {name}?",), size)
        zh, en, wish = rng.choice(
            (
                ("安装", "Install", s.t(f"安装{name}", f"install {name}")),
                ("打开", "Open", s.t(f"打开{name}", f"open {name}")),
                ("更新", "Update", s.t(f"更新{name}", f"update {name}")),
            )
        )
        box = (c.width - th.gap - 72, cy - 15, c.width - th.gap, cy + 15)
        c.rect(box, mix(th.back, th.accent, 0.15), 15)
        s.write((box[0] + box[2]) / 2, cy, s.t(zh, en), 14, th.accent, True, "m")
        s.touch(
            (box[0] - 4, cy - 20, box[2] + 4, cy + 20),
            "button",
            names=(s.t(f"{name}右边的按钮", f"the button next to {name}"),),
            wishes=(wish,),
        )
        s.touch(
            (0, y, box[0] - 6, y + row),
            "row",
            name,
            group="list",
            wishes=(s.t(f"查看{name}的介绍", f"show the page of {name}"),),
        )
        y += row
    steps.common(s)
