"""Layouts that training never sees: wallet, inbox, profile, booking form, smart home, quiz, ride."""

from __future__ import annotations

from autoglm_phone.train.world.visual import steps
from autoglm_phone.train.world.visual import widgets as ui
from autoglm_phone.train.world.visual.layouts import layout
from autoglm_phone.train.world.visual.stage import Stage
from autoglm_phone.train.world.visual.theme import BRIGHT, mix


@layout("wallet", unseen=True)
def wallet(s: Stage) -> None:
    """Balance card, round actions, recent payments."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("支付宝", "PayPal")
    y = s.top + 14
    c.gradient((16, y, c.width - 16, y + 130), th.accent, mix(th.accent, (0, 0, 0), 0.35), True, 18)
    balance = ("¥" if s.lang == "zh" else "$") + f"{rng.uniform(10, 9999):.2f}"
    s.write(34, y + 34, s.t("账户余额", "Balance"), 14, ui.WHITE)
    s.write(34, y + 78, balance, 32, ui.WHITE, True)
    s.fact(("余额是多少？", "账户里有多少钱？"), ("What is the balance?", "How much money is in the account?"), balance)
    ui.icon_button(s, (c.width - 46, y + 34), "eye", 22, ui.WHITE, wishes=(s.t("隐藏余额", "hide the balance"),))
    y += 150
    w = (c.width - 32) / 4
    for i, (icon, zh, en, zh_wish, en_wish) in enumerate(
        (
            ("scan", "扫一扫", "Scan", "扫码付款", "pay with a code"),
            ("send", "转账", "Transfer", "给朋友转钱", "send money to a friend"),
            ("card", "银行卡", "Cards", "查看银行卡", "see my cards"),
            ("phone", "充值", "Top up", "充话费", "top up the phone"),
        )
    ):
        x = 16 + w * (i + 0.5)
        c.rect((x - 24, y, x + 24, y + 48), mix(th.back, th.accent, 0.15), 16)
        c.icon((x, y + 24), icon, 26, th.accent)
        s.write(x, y + 64, s.t(zh, en), 12, th.ink, anchor="m")
        s.touch((x - w / 2, y - 4, x + w / 2, y + 76), "button", s.t(zh, en), wishes=(s.t(zh_wish, en_wish),))
    y += 96
    s.write(20, y, s.t("最近账单", "Recent payments"), 16, th.ink, True)
    more = s.t("全部", "See all")
    s.write(c.width - 20, y, more, 13, th.accent, anchor="r")
    s.touch(
        (c.width - 90, y - 18, c.width, y + 18), "button", more, wishes=(s.t("查看全部账单", "show every payment"),)
    )
    y += 20
    for shop in s.content.distinct(s.content.shop, 8):
        if y + 60 > s.bottom:
            s.scrolls = True
            break
        amount = "-" + s.content.price()
        ui.avatar(s, (42, y + 30), 38, shop)
        s.write(72, y + 20, shop, 15, th.ink)
        s.write(72, y + 42, s.content.date_text(), 12, th.faint)
        s.write(c.width - 20, y + 30, amount, 16, th.ink, True, "r")
        s.touch(
            (0, y, c.width, y + 60),
            "row",
            shop,
            group="list",
            wishes=(s.t(f"查看{shop}的账单", f"open the payment to {shop}"),),
        )
        s.fact((f"在{shop}花了多少钱？",), (f"How much was paid to {shop}?",), amount[1:], (amount,))
        y += 60
    steps.common(s)


@layout("inbox", unseen=True, wide=True)
def inbox(s: Stage) -> None:
    """Mails with round letters, sender, subject, date, star; a compose button with text."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("邮件", "Gmail")
    box = (12.0, s.top + 8, c.width - 12, s.top + 52)
    c.rect(box, mix(th.back, th.ink, 0.07), 22)
    ui.icon_button(s, (38, s.top + 30), "menu", 22)
    s.write(66, s.top + 30, s.t("在邮件中搜索", "Search in mail"), 15, th.faint)
    s.touch((62, s.top + 8, c.width - 64, s.top + 52), "field", s.labels[-1], names=(s.t("搜索框", "the search box"),))
    ui.avatar(s, (c.width - 36, s.top + 30), 30)
    y = s.top + 66
    for name in s.content.distinct(s.content.person, 10):
        if y + 76 > s.bottom:
            s.scrolls = True
            break
        c.circle((36, y + 36), 20, rng.choice(BRIGHT))
        c.text(36, y + 36, name[0], 18, ui.WHITE, anchor="m")
        subject, date = s.content.topic(), s.content.date_text()
        s.write(70, y + 18, name, 15, th.ink, True)
        s.write(c.width - 18, y + 18, date, 12, th.faint, anchor="r")
        s.write(70, y + 39, subject, 14, th.ink, width=c.width - 130)
        c.text(70, y + 59, c.fit(s.content.chat(), 13, c.width - 130), 13, th.faint)
        c.icon((c.width - 30, y + 50), "star", 20, th.faint if rng.random() < 0.7 else (250, 190, 20))
        s.touch(
            (c.width - 50, y + 32, c.width - 8, y + 70),
            "button",
            names=(s.t(f"{name}邮件旁的星标", f"the star of the mail from {name}"),),
            wishes=(s.t(f"给{name}的邮件加星标", f"star the mail from {name}"),),
        )
        s.touch(
            (0, y, c.width - 54, y + 76),
            "row",
            name,
            group="list",
            wishes=(s.t(f"打开{name}的邮件", f"open the mail from {name}"),),
        )
        s.fact((f"{name}的邮件主题是什么？",), (f"What is the subject of the mail from {name}?",), subject)
        s.fact((f"{name}的邮件是哪天的？",), (f"When did the mail from {name} come?",), date)
        y += 76
    caption = s.t("写邮件", "Compose")
    w = c.measure(caption, 15) + 66
    box = (c.width - 18 - w, s.bottom - 72, c.width - 18, s.bottom - 18)
    s.cover(box)
    c.rect(box, mix(th.back, th.accent, 0.25), 16)
    c.icon((box[0] + 26, box[1] + 27), "edit", 22, th.ink)
    s.write(box[0] + 46, box[1] + 27, caption, 15, th.ink)
    s.touch(box, "button", caption, wishes=(s.t("写一封新邮件", "write a new email"),))
    steps.common(s)


@layout("profile", unseen=True)
def profile(s: Stage) -> None:
    """Own page of an app: head with picture, numbers, order shortcuts, list of entries."""
    c, rng, th = s.canvas, s.rng, s.theme
    c.gradient((0, 0, c.width, 190), mix(th.accent, th.back, 0.2), th.back)
    ui.status_bar(s, mix(th.accent, th.back, 0.2))
    ui.navigation_bar(s)
    s.app = s.content.app()
    name = s.content.person()
    ui.avatar(s, (54, s.top + 54), 68, name)
    s.write(102, s.top + 42, name, 20, th.ink, True)
    s.write(102, s.top + 70, f"ID: {rng.randint(100000, 99999999)}", 13, th.faint)
    s.fact(("用户名是什么？", "这个账号叫什么？"), ("What is the user's name?", "Whose profile is this?"), name)
    s.fact(("账号ID是多少？",), ("What is the account ID?",), s.labels[-1][4:], (s.labels[-1],))
    ui.icon_button(s, (c.width - 32, s.top + 30), "settings", 24)
    y = s.top + 112
    w = c.width / 3
    for i, (zh, en) in enumerate((("关注", "Following"), ("粉丝", "Followers"), ("获赞", "Likes"))):
        number = str(rng.randint(1, 9999))
        x = w * (i + 0.5)
        s.write(x, y, number, 18, th.ink, True, "m")
        s.write(x, y + 24, s.t(zh, en), 12, th.faint, anchor="m")
        s.touch((w * i, y - 18, w * (i + 1), y + 38), "button", s.t(zh, en))
        s.fact((f"{zh}数是多少？",), (f"How many {en.lower()} are there?",), number)
    y += 54
    c.rect((14, y, c.width - 14, y + 84), th.card, 12)
    w = (c.width - 28) / 4
    for i, (icon, zh, en) in enumerate(
        (
            ("card", "待付款", "To pay"),
            ("bag", "待发货", "To ship"),
            ("car", "待收货", "To receive"),
            ("comment", "待评价", "To review"),
        )
    ):
        x = 14 + w * (i + 0.5)
        c.icon((x, y + 30), icon, 26, th.accent)
        s.write(x, y + 62, s.t(zh, en), 12, th.ink, anchor="m")
        s.touch((x - w / 2, y, x + w / 2, y + 84), "button", s.t(zh, en), icon)
    y += 98
    for icon, zh, en in rng.sample(
        [
            ("star", "我的收藏", "Favourites"),
            ("pin", "收货地址", "Addresses"),
            ("gift", "优惠券", "Coupons"),
            ("history", "浏览记录", "History"),
            ("headset", "联系客服", "Support"),
            ("info", "关于我们", "About us"),
            ("shield", "账号安全", "Account safety"),
            ("help", "常见问题", "Questions"),
        ],
        7,
    ):
        if y + 52 > s.bottom:
            s.scrolls = True
            break
        c.icon((34, y + 26), icon, 22, rng.choice(BRIGHT))
        s.write(62, y + 26, s.t(zh, en), 15, th.ink)
        c.icon((c.width - 26, y + 26), "chevron", 18, th.faint)
        s.touch(
            (0, y, c.width, y + 52),
            "row",
            s.t(zh, en),
            icon,
            group="list",
            wishes=(s.t(f"查看{zh}", f"show {en.lower()}"),),
        )
        ui.divider(s, y + 52, 62)
        y += 52
    steps.common(s)


@layout("booking_form", unseen=True)
def booking_form(s: Stage) -> None:
    """A form with labelled rows, steppers and one big button."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("携程", "Booking")
    ui.title_bar(s, s.t("预订酒店", "Book a hotel"))
    y = s.top + 16
    city, start, end = s.content.city(), s.content.date_text(), s.content.date_text()
    for label, value, wish in (
        (s.t("目的地", "Destination"), city, s.t("更换目的地", "change the destination")),
        (s.t("入住", "Check-in"), start, s.t("修改入住日期", "change the check-in date")),
        (s.t("离店", "Check-out"), end, s.t("修改离店日期", "change the check-out date")),
    ):
        c.rect((16, y, c.width - 16, y + 62), th.card, th.radius)
        c.frame((16, y, c.width - 16, y + 62), th.line, 1, th.radius)
        s.write(32, y + 18, label, 12, th.faint)
        s.write(32, y + 42, value, 17, th.ink)
        s.touch((16, y, c.width - 16, y + 62), "row", label, group="list", wishes=(wish,))
        s.fact((f"{label}是什么？",), (f"What is the {label.lower()}?",), value)
        y += 72
    for label, unit in ((s.t("成人", "Adults"), 4), (s.t("儿童", "Children"), 3), (s.t("房间", "Rooms"), 2)):
        n = rng.randint(1, unit)
        s.write(28, y + 26, label, 16, th.ink)
        right = c.width - 30
        for x, icon, zh, en in ((right - 92, "remove", "减少", "fewer"), (right, "add", "增加", "more")):
            c.circle((x, y + 26), 15, th.back, th.accent, 1.5)
            c.icon((x, y + 26), icon, 18, th.accent)
            s.touch(
                (x - 22, y + 4, x + 22, y + 48),
                "button",
                names=(
                    s.t(
                        f"“{label}”的{'加号' if icon == 'add' else '减号'}",
                        f"the {'plus' if icon == 'add' else 'minus'} button of {label}",
                    ),
                ),
                wishes=(s.t(f"{zh}{label}数量", f"choose {en} {label.lower()}"),),
            )
        c.text(right - 46, y + 26, str(n), 17, th.ink, anchor="m")
        s.fact((f"{label}的数量是多少？",), (f"How many {label.lower()}?",), str(n))
        y += 52
    ui.switch(s, (c.width - 44, y + 26), rng.random() < 0.5, s.t("含早餐", "Breakfast"))
    s.write(28, y + 26, s.t("含早餐", "Breakfast"), 16, th.ink)
    y = min(y + 66, s.bottom - 56)
    ui.button(
        s,
        (16, y, c.width - 16, y + 48),
        s.t("查询酒店", "Search hotels"),
        wishes=(s.t("开始查找酒店", "look for hotels"),),
    )
    steps.common(s)


@layout("smart_home", unseen=True, wide=True)
def smart_home(s: Stage) -> None:
    """Tiles of devices in two columns, each on or off."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("智能家居", "Smart Home")
    ui.title_bar(s, s.t("我的家", "My home"), ("mic", "add"), back=False)
    ui.top_tabs(s, [s.t("全部", "All"), s.t("客厅", "Living room"), s.t("卧室", "Bedroom"), s.t("厨房", "Kitchen")], 0)
    devices = [
        ("bulb", "吸顶灯", "Ceiling light"),
        ("snow", "空调", "Air conditioner"),
        ("lock", "门锁", "Door lock"),
        ("video", "摄像头", "Camera"),
        ("cast", "电视", "Television"),
        ("headset", "音箱", "Speaker"),
        ("umbrella", "窗帘", "Curtain"),
        ("refresh", "空气净化器", "Air purifier"),
        ("coffee", "咖啡机", "Coffee maker"),
        ("power", "插座", "Socket"),
    ]
    rng.shuffle(devices)
    columns = 2 if c.width < 560 else 4
    w = (c.width - 12 * (columns + 1)) / columns
    y, n = s.top + 12, 0
    while y + 108 < s.bottom and n < len(devices):
        for k in range(columns):
            if n >= len(devices):
                break
            icon, zh, en = devices[n]
            on, name = rng.random() < 0.5, s.t(zh, en)
            x = 12 + k * (w + 12)
            fill = mix(th.card, th.accent, 0.25) if on else mix(th.card, th.faint, 0.1)
            c.rect((x, y, x + w, y + 108), fill, 16)
            c.icon((x + 28, y + 30), icon, 28, th.accent if on else th.faint)
            s.write(x + 14, y + 66, name, 15, th.ink, width=w - 20)
            state = s.t("已开启", "On") if on else s.t("已关闭", "Off")
            s.write(x + 14, y + 90, state, 12, th.faint)
            on_wish, off_wish = s.t(f"打开{name}", f"Turn on {name}"), s.t(f"关闭{name}", f"Turn off {name}")
            s.touch(
                (x, y, x + w, y + 108),
                "card",
                s.labels[-2],
                icon,
                group="grid",
                wishes=(off_wish if on else on_wish,),
                state=on,
                now=s.switched(name, on),
            )
            steps.finish(
                s,
                (on_wish if on else off_wish,),
                s.t(f"{name}已经{'打开' if on else '关闭'}。", f"{name} is already {'on' if on else 'off'}."),
                s.switched(name, on) + s.t("不用再点。", " Nothing to tap."),
            )
            s.fact(
                (f"{name}是开着还是关着？",),
                (f"Is {name} on or off?",),
                s.t("开着" if on else "关着", "on" if on else "off"),
                (state,),
            )
            n += 1
        y += 120
    steps.common(s)


@layout("quiz", unseen=True)
def quiz(s: Stage) -> None:
    """A question with four answers, progress and a next button."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("每日答题", "Daily Quiz")
    number, total = rng.randint(1, 9), 10
    ui.icon_button(s, (28, s.top + 28), "close", 24)
    progress = f"{number}/{total}"
    s.write(c.width / 2, s.top + 28, progress, 16, th.ink, True, "m")
    s.fact(
        ("现在是第几题？", "进度是多少？"),
        ("Which question is this?", "What is the progress?"),
        progress,
        (str(number),),
    )
    c.rect((20, s.top + 54, c.width - 20, s.top + 60), th.line, 3)
    c.rect((20, s.top + 54, 20 + (c.width - 40) * number / total, s.top + 60), th.accent, 3)
    y = s.top + 96
    a, b = rng.randint(11, 99), rng.randint(11, 99)
    question = s.t(f"{a}加{b}等于多少？", f"What is {a} plus {b}?")
    s.write(24, y, question, 21, th.ink, True)
    s.fact(("题目是什么？",), ("What is the question?",), question)
    y += 44
    answers = [a + b, a + b + 10, a + b - 1, a + b + rng.randint(2, 9)]
    rng.shuffle(answers)
    for letter, value in zip("ABCD", answers, strict=True):
        c.rect((20, y, c.width - 20, y + 56), th.card, 14)
        c.frame((20, y, c.width - 20, y + 56), th.line, 1, 14)
        c.text(44, y + 28, letter, 18, th.accent, True, "m")
        s.write(70, y + 28, str(value), 17, th.ink)
        s.touch(
            (20, y, c.width - 20, y + 56),
            "row",
            str(value),
            group="list",
            names=(s.t(f"选项{letter}", f"option {letter}"),),
            wishes=(s.t("选出正确答案", "choose the right answer"),) if value == a + b else (),
        )
        y += 68
    y = min(y + 10, s.bottom - 60)
    ui.button(
        s,
        (20, y, c.width - 20, y + 50),
        s.t("下一题", "Next question"),
        wishes=(s.t("继续答题", "go on with the quiz"),),
    )
    steps.common(s)
