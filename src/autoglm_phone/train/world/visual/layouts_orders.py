"""Layouts of ordering: restaurant menu, tickets, the result of an order."""

from __future__ import annotations

from autoglm_phone.train.world.visual import steps
from autoglm_phone.train.world.visual import widgets as ui
from autoglm_phone.train.world.visual.layouts import layout
from autoglm_phone.train.world.visual.layouts_shop import RED, add_button, price_facts
from autoglm_phone.train.world.visual.stage import Stage
from autoglm_phone.train.world.visual.theme import mix


@layout("food", weight=1.3)
def food(s: Stage) -> None:
    """Menu of a restaurant: sections on the left, dishes with plus buttons on the right."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("美团", "Uber Eats") if rng.random() < 0.5 else s.content.app()
    shop = s.content.shop()
    ui.title_bar(s, shop, ("search",), fact=False)
    s.fact(("这家店叫什么？",), ("What is the restaurant called?",), s.labels[-1])
    score, minutes = f"{rng.uniform(3.5, 5):.1f}", rng.randint(15, 60)
    s.write(th.gap, s.top + 18, s.t(f"评分{score}", f"Rating {score}"), 13, th.accent)
    s.write(c.width - th.gap, s.top + 18, s.t(f"约{minutes}分钟送达", f"{minutes} min"), 13, th.faint, anchor="r")
    s.fact(("这家店的评分是多少？",), ("What is the rating of the restaurant?",), score)
    s.fact(
        ("多久能送到？",),
        ("How long does the delivery take?",),
        s.t(f"约{minutes}分钟", f"{minutes} min"),
        (f"{minutes}分钟", f"{minutes} minutes", str(minutes)),
    )
    s.top += 36
    bar = 54.0
    floor = s.bottom - bar
    side = 84.0
    c.rect((0, s.top, side, floor), mix(th.back, th.ink, 0.05))
    sections = rng.sample(
        [
            ("热销", "Popular"),
            ("套餐", "Set meals"),
            ("主食", "Mains"),
            ("小吃", "Snacks"),
            ("饮料", "Drinks"),
            ("汤类", "Soups"),
            ("甜点", "Desserts"),
            ("凉菜", "Salads"),
        ],
        6,
    )
    y = s.top
    for i, (zh, en) in enumerate(sections):
        if y + 48 > floor:
            break
        if i == 0:
            c.rect((0, y, side, y + 48), th.back)
        s.write(side / 2, y + 24, s.t(zh, en), 13, th.ink, i == 0, "m")
        s.touch(
            (0, y, side, y + 48), "tab", s.t(zh, en), group="side", wishes=(s.t(f"看看{zh}", f"show the {en.lower()}"),)
        )
        y += 48
    y = s.top
    row = rng.choice((84.0, 92.0))
    for dish in s.content.distinct(s.content.dish, 9):
        if y + row > floor:
            s.scrolls = True
            break
        ui.photo(s, (side + 10, y + 8, side + row - 6, y + row - 8), 8)
        x = side + row + 4
        s.write(x, y + 22, dish, 15, th.ink, True, width=c.width - x - 8)
        price = s.content.price(5, 120)
        s.write(x, y + row - 24, price, 15, RED, True)
        price_facts(s, dish, price)
        s.touch(
            (side, y, c.width, y + row),
            "card",
            s.labels[-2],
            group="list",
            wishes=(s.t(f"看看{dish}的介绍", f"show the details of {dish}"),),
        )
        if rng.random() < 0.3:
            n = rng.randint(1, 5)
            c.text(c.width - 58, y + row - 24, str(n), 14, th.ink, anchor="m")
            c.circle((c.width - 86, y + row - 24), 11, mix(th.back, th.ink, 0.15))
            c.icon((c.width - 86, y + row - 24), "remove", 16, th.ink)
            s.touch(
                (c.width - 102, y + row - 40, c.width - 70, y + row - 8),
                "button",
                names=(s.t(f"“{dish}”的减号", f"the minus button of {dish}"),),
                wishes=(s.t(f"少要一份{dish}", f"one {dish} less"),),
            )
            s.fact((f"{dish}选了几份？",), (f"How many {dish} are chosen?",), str(n), (f"{n}份",))
        add_button(s, (c.width - 28, y + row - 24), dish)
        y += row
    c.rect((10, floor + 4, c.width - 10, s.bottom - 4), (40, 40, 44), 22)
    total = s.content.price(20, 200)
    s.write(64, floor + bar / 2, total, 17, ui.WHITE, True)
    ui.icon_button(s, (38, floor + bar / 2), "bag", 24, ui.WHITE, wishes=(s.t("查看已选的菜", "see what I chose"),))
    s.fact(("已选菜品一共多少钱？",), ("How much is the order so far?",), total)
    ui.button(
        s,
        (c.width - 116, floor + 8, c.width - 14, s.bottom - 8),
        s.t("去结算", "Checkout"),
        wishes=(s.t("提交订单", "place the order"),),
    )
    steps.common(s)


@layout("tickets", wide=True, weight=1.2)
def tickets(s: Stage) -> None:
    """Trains or flights of a day: times, number, price, book button."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    train = rng.random() < 0.6
    s.app = s.t("铁路12306", "Trainline") if train else s.t("携程", "Expedia")
    start, goal = s.content.distinct(s.content.city, 2)
    ui.title_bar(s, s.t(f"{start} - {goal}", f"{start} - {goal}"), ("calendar",) if rng.random() < 0.5 else ())
    days = s.content.distinct(s.content.date_text, 3)
    ui.top_tabs(s, days, 1)
    s.fact(("出发城市是哪里？",), ("Which city does the trip start from?",), start)
    s.fact(("目的地是哪里？",), ("What is the destination?",), goal)
    row = rng.choice((88.0, 96.0))
    y = s.top + 6
    while y + row < s.bottom:
        a, b = sorted((s.content.clock(), s.content.clock()))
        code = rng.choice("GDKZ" if train else ("CA", "MU", "BA", "LH")) + str(rng.randint(10, 9999))
        price = s.content.price(20, 1500)
        c.rect((th.gap / 2, y + 4, c.width - th.gap / 2, y + row - 4), th.card, th.radius)
        s.write(28, y + 30, a, 20, th.ink, True)
        s.write(c.width * 0.46, y + 30, b, 20, th.ink, True, "m")
        c.line([(100, y + 30), (c.width * 0.46 - 40, y + 30)], th.faint, 1)
        s.write(28, y + row - 28, code, 13, th.faint)
        s.write(c.width * 0.46, y + row - 28, start if rng.random() < 0.3 else goal, 13, th.faint, anchor="m")
        s.write(c.width - 30, y + 28, price, 17, RED, True, "r")
        s.fact(
            (f"{code}几点出发？", f"{code}的出发时间是几点？"),
            (f"When does {code} leave?", f"What is the departure time of {code}?"),
            a,
        )
        s.fact((f"{code}几点到？",), (f"When does {code} arrive?",), b)
        s.fact(
            (f"{code}的票价是多少？", f"{code}多少钱？"),
            (f"How much is {code}?", f"What is the price of {code}?"),
            price,
        )
        s.touch(
            (th.gap / 2, y + 4, c.width - th.gap / 2, y + row - 4),
            "card",
            code,
            group="list",
            wishes=(s.t(f"查看{code}的详情", f"show the details of {code}"),),
        )
        caption = s.t("预订", "Book")
        box = (c.width - 92, y + row - 42, c.width - 24, y + row - 12)
        c.rect(box, th.accent, 15 if th.style != "flat" else 4)
        s.write((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, caption, 14, ui.WHITE, anchor="m")
        s.touch(
            (box[0] - 4, box[1] - 6, box[2] + 4, box[3] + 6),
            "button",
            names=(s.t(f"{code}的预订按钮", f"the book button of {code}"),),
            wishes=(s.t(f"预订{code}", f"book {code}"), s.t(f"买{a}出发的票", f"book the one that leaves at {a}")),
        )
        y += row
    s.scrolls = True
    steps.common(s)


@layout("result", weight=0.8)
def result(s: Stage) -> None:
    """Something succeeded (or failed): a big mark, a sentence, two buttons."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.content.app()
    kinds = (
        (
            "支付成功",
            "Payment successful",
            "支付{price}的订单",
            "pay {price} for the order",
            "已支付{price}。",
            "Paid {price}.",
        ),
        (
            "预订成功",
            "Booking confirmed",
            "预订{place}的座位",
            "book a table at {place}",
            "{place}的座位已预订。",
            "The table at {place} is booked.",
        ),
        (
            "发送成功",
            "Sent",
            "把{file}发送给{person}",
            "send {file} to {person}",
            "{file}已发送给{person}。",
            "{file} was sent to {person}.",
        ),
        (
            "闹钟设置成功",
            "Alarm is set",
            "设置{time}的闹钟",
            "set an alarm for {time}",
            "{time}的闹钟已设好。",
            "The alarm for {time} is set.",
        ),
        ("下载完成", "Download complete", "下载{song}", "download {song}", "{song}已下载。", "{song} is downloaded."),
    )
    zh, en, zh_task, en_task, zh_done, en_done = rng.choice(kinds)
    words = {
        "price": s.content.price(),
        "place": s.content.shop(),
        "file": s.content.file(),
        "person": s.content.person(),
        "time": s.content.clock(),
        "song": s.content.song(),
    }
    failed = rng.random() < 0.15
    cy = s.top + (s.bottom - s.top) * 0.28
    c.circle((c.width / 2, cy), 40, (235, 70, 60) if failed else (52, 199, 89))
    c.icon((c.width / 2, cy), "close" if failed else "check", 50, ui.WHITE)
    title = s.t("网络异常，请重试", "Network error, try again") if failed else s.t(zh, en)
    s.write(c.width / 2, cy + 74, title, 21, th.ink, True, "m")
    s.fact(("页面提示什么？", "结果怎么样？"), ("What does the page say?", "What is the result?"), title)
    detail = s.t(zh_done, en_done).format(**words)
    if not failed:
        for i, line in enumerate(c.wrap(detail, 15, c.width - 60)):
            s.write(c.width / 2, cy + 108 + 22 * i, line, 15, th.faint, anchor="m")
        task = s.t(zh_task, en_task).format(**words)
        steps.finish(
            s, (task,), detail, s.t("页面显示已经成功，任务完成。", "The page shows success, so the task is done.")
        )
    y = s.bottom - 150
    if failed:
        ui.button(s, (40, y, c.width - 40, y + 46), s.t("重试", "Retry"), wishes=(s.t("再试一次", "try once more"),))
    else:
        ui.button(
            s, (40, y, c.width - 40, y + 46), s.t("完成", "Done"), wishes=(s.t("关闭结果页", "close the result page"),)
        )
    ui.button(
        s,
        (40, y + 58, c.width - 40, y + 104),
        s.t("返回首页", "Back to start"),
        False,
        (s.t("回到应用首页", "go to the start page of the app"),),
    )
    steps.common(s)
