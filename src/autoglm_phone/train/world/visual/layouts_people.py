"""Layouts of reaching people: contacts, dialer, a running call, sign-in."""

from __future__ import annotations

from autoglm_phone.train.world.visual import steps
from autoglm_phone.train.world.visual import widgets as ui
from autoglm_phone.train.world.visual.layouts import layout
from autoglm_phone.train.world.visual.stage import Stage
from autoglm_phone.train.world.visual.theme import mix

TABS = (
    (
        ("chat", "消息", "Chats"),
        ("person", "通讯录", "Contacts"),
        ("globe", "发现", "Discover"),
        ("settings", "我", "Me"),
    ),
    (
        ("home", "首页", "Home"),
        ("video", "视频", "Videos"),
        ("chat", "消息", "Messages"),
        ("person", "我的", "Profile"),
    ),
    (
        ("home", "首页", "Home"),
        ("grid", "分类", "Categories"),
        ("cart", "购物车", "Cart"),
        ("person", "我的", "Account"),
    ),
    (("home", "主页", "Home"), ("search", "搜索", "Search"), ("heart", "收藏", "Saved"), ("person", "账户", "Account")),
    (
        ("list", "订单", "Orders"),
        ("map", "附近", "Nearby"),
        ("bell", "提醒", "Alerts"),
        ("bank", "资产", "Assets"),
        ("person", "我的", "Mine"),
    ),
)


@layout("contacts", wide=True)
def contacts(s: Stage) -> None:
    """Address book: names in order, with or without numbers and call buttons."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("联系人", "Contacts")
    ui.title_bar(s, s.app, rng.choice((("add",), ("search", "add"), ("more",))), back=rng.random() < 0.4)
    if rng.random() < 0.5:
        ui.top_tabs(s, [s.t("最近", "Recents"), s.t("联系人", "Contacts"), s.t("常用", "Favourites")], rng.randrange(3))
    numbers, calls = rng.random() < 0.6, rng.random() < 0.5
    row = rng.choice((56.0, 60.0, 68.0))
    y = s.top + 4
    people = s.content.distinct(s.content.person, int((s.bottom - y) / row) + 1)
    if s.lang == "en":
        people.sort()
    for name in people:
        if y + row > s.bottom:
            s.scrolls = True
            break
        cy = y + row / 2
        ui.avatar(s, (th.gap + 20, cy), 38, name)
        number = s.content.phone()
        s.write(th.gap + 54, cy - (10 if numbers else 0), name, th.text, th.ink)
        if numbers:
            s.write(th.gap + 54, cy + 12, number, 13, th.faint)
            s.fact(
                (f"{name}的电话是多少？", f"{name}的号码是什么？"),
                (f"What is the number of {name}?", f"What is {name}'s phone number?"),
                number,
            )
        wish = () if calls else (s.t(f"给{name}打电话", f"call {name}"),)
        s.touch(
            (0, y, c.width, y + row),
            "row",
            name,
            group="list",
            wishes=(*wish, s.t(f"查看{name}的资料", f"show the details of {name}")),
        )
        if calls:
            x = c.width - th.gap - 14
            c.icon((x, cy), "phone", 22, th.accent)
            s.touch(
                (x - 20, cy - 20, x + 20, cy + 20),
                "button",
                names=(s.t(f"{name}旁边的电话按钮", f"the call button next to {name}"),),
                wishes=(s.t(f"给{name}打电话", f"call {name}"), s.t(f"拨打{name}的电话", f"phone {name}")),
            )
        ui.divider(s, y + row, th.gap)
        y += row
    if s.scrolls:
        steps.missing_item(s, s.content.person(), s.t("联系人", "contacts"))
    steps.common(s)


@layout("dialer", weight=1.2)
def dialer(s: Stage) -> None:
    """Phone keypad with the number typed so far."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("电话", "Phone")
    number = s.content.phone() if rng.random() < 0.7 else ""
    h = min(72.0, (s.bottom - s.top) * 0.115)
    y0 = s.bottom - h * 5.4
    if number:
        s.write(c.width / 2, y0 - 34, number, 30, th.ink, anchor="m", width=c.width - 30)
        s.fact(
            ("现在输入的号码是什么？", "屏幕上是什么号码？"),
            ("What number is typed?", "Which number is on the screen?"),
            number,
        )
    letters = ("", "ABC", "DEF", "GHI", "JKL", "MNO", "PQRS", "TUV", "WXYZ", "", "+", "")
    w = c.width / 3.3
    round_keys = rng.random() < 0.5
    for i, key in enumerate("123456789*0#"):
        x, cy = c.width / 2 + (i % 3 - 1) * w, y0 + (i // 3 + 0.5) * h
        if round_keys:
            c.circle((x, cy), h * 0.44, mix(th.back, th.ink, 0.09))
        c.text(x, cy - 5, key, 26, th.ink, anchor="m")
        if letters[i]:
            c.text(x, cy + 16, letters[i], 10, th.faint, anchor="m")
        s.touch(
            (x - w / 2, cy - h / 2, x + w / 2, cy + h / 2),
            "key",
            names=(s.t(f"数字键{key}" if key.isdigit() else f"按键{key}", f"the key {key}"),),
            wishes=(s.t(f"输入数字{key}", f"dial {key}"),) if key.isdigit() else (),
        )
    cy = y0 + 4.75 * h
    c.circle((c.width / 2, cy), h * 0.46, (52, 199, 89))
    ui.icon_button(
        s,
        (c.width / 2, cy),
        "phone",
        28,
        ui.WHITE,
        wishes=(s.t("拨号", "place the call"), *((s.t(f"拨打{number}", f"call {number}"),) if number else ())),
    )
    if number:
        ui.icon_button(s, (c.width / 2 + w, cy), "backspace", 24)
    steps.common(s)


@layout("call", weight=0.7)
def call(s: Stage) -> None:
    """A phone call that is running or coming in."""
    c, rng = s.canvas, s.rng
    base = rng.choice(((30, 34, 44), (20, 60, 60), (44, 32, 60)))
    c.gradient((0, 0, c.width, c.height), base, mix(base, (0, 0, 0), 0.6))
    ui.status_bar(s, base)
    s.app = s.t("电话", "Phone")
    name = s.content.person()
    coming = rng.random() < 0.5
    ui.avatar(s, (c.width / 2, c.height * 0.24), 96, name)
    s.write(c.width / 2, c.height * 0.36, name, 28, ui.WHITE, anchor="m", width=c.width - 40)
    s.fact(
        ("谁打来的电话？" if coming else "正在和谁通话？",),
        ("Who is calling?" if coming else "Who is on the phone?",),
        name,
    )
    if coming:
        s.write(c.width / 2, c.height * 0.41, s.t("来电", "Incoming call"), 15, (200, 200, 205), anchor="m")
        y = c.height * 0.82
        for x, color, icon, caption, wish in (
            (c.width * 0.26, (255, 59, 48), "close", s.t("拒绝", "Decline"), s.t("不接这个电话", "reject the call")),
            (c.width * 0.74, (52, 199, 89), "phone", s.t("接听", "Answer"), s.t("接电话", "take the call")),
        ):
            c.circle((x, y), 34, color)
            c.icon((x, y), icon, 32, ui.WHITE)
            s.write(x, y + 52, caption, 14, ui.WHITE, anchor="m")
            s.touch((x - 44, y - 40, x + 44, y + 62), "button", caption, wishes=(wish,))
    else:
        length = f"{rng.randint(0, 59):02d}:{rng.randint(0, 59):02d}"
        s.write(c.width / 2, c.height * 0.41, length, 16, (200, 200, 205), anchor="m")
        s.fact(("通话多长时间了？",), ("How long is the call?",), length)
        items = [
            ("mic_off", "静音", "Mute", "把自己静音", "mute myself"),
            ("dialpad", "键盘", "Keypad", "打开拨号键盘", "open the keypad"),
            ("volume", "免提", "Speaker", "打开扬声器", "use the speaker"),
            ("add", "添加通话", "Add call", "再加一个人", "add another person"),
            ("video", "视频", "Video", "换成视频通话", "switch to video"),
            ("bluetooth", "蓝牙", "Bluetooth", "用蓝牙接听", "use the bluetooth headset"),
        ]
        for i, (icon, zh, en, zh_wish, en_wish) in enumerate(items):
            x, y = c.width * (0.2 + 0.3 * (i % 3)), c.height * (0.54 + 0.14 * (i // 3))
            c.circle((x, y), 30, mix(base, ui.WHITE, 0.2))
            c.icon((x, y), icon, 28, ui.WHITE)
            s.write(x, y + 45, s.t(zh, en), 12, ui.WHITE, anchor="m")
            s.touch((x - 40, y - 34, x + 40, y + 54), "button", s.t(zh, en), wishes=(s.t(zh_wish, en_wish),))
        x, y = c.width / 2, c.height * 0.86
        c.circle((x, y), 34, (255, 59, 48))
        ui.icon_button(
            s,
            (x, y),
            "close",
            32,
            ui.WHITE,
            wishes=(s.t("挂断电话", "hang up"), s.t("结束通话", "end the call")),
            names=(s.t("挂断按钮", "the red button"),),
        )
    steps.common(s)


@layout("login", weight=1.2)
def login(s: Stage) -> None:
    """Sign-in form: two fields, a button, links; sometimes a focused field with the keyboard."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.content.app()
    typing = rng.random() < 0.35
    if typing:
        ui.keyboard(s)
    if rng.random() < 0.6:
        ui.icon_button(s, (28, s.top + 26), "back" if rng.random() < 0.5 else "close", 22)
    y = s.top + (70 if typing else 100)
    s.write(c.width / 2, y, s.t(f"欢迎使用{s.app}", f"Welcome to {s.app}"), 22, th.ink, True, "m", c.width - 40)
    y += 50
    x0, x1 = 28.0, c.width - 28
    fields = (
        [(s.t("手机号", "Phone number"), "phone"), (s.t("密码", "Password"), "lock")]
        if rng.random() < 0.5
        else [(s.t("邮箱", "Email"), "email"), (s.t("验证码", "Code"), "shield")]
    )
    focused = rng.randrange(2) if typing else -1
    for i, (hint, icon) in enumerate(fields):
        box = (x0, y, x1, y + 48)
        if th.style == "material":
            c.frame(box, th.accent if i == focused else th.line, 1.5, 6)
        else:
            c.rect(box, mix(th.back, th.ink, 0.06), 10)
        c.icon((x0 + 22, y + 24), icon, 20, th.faint)
        names = (s.t(f"{hint}输入框", f"the {hint.lower()} field"),)
        value = ""
        if i == focused:
            c.line([(x0 + 44, y + 14), (x0 + 44, y + 34)], th.accent, 1.5)
            value = str(rng.randint(1000, 999999))
            if icon == "phone":
                value = s.content.phone().replace(" ", "")
            elif icon == "email":
                name, host = rng.choice(("user", "me", "hello", "mail")), rng.choice(("qq.com", "mail.com", "test.org"))
                value = f"{name}{rng.randint(1, 999)}@{host}"
            steps.type_text(s, hint if s.lang == "zh" else hint.lower() + " field", value)
        if i != focused or rng.random() < 0.3:
            s.write(x0 + 48, y + 24, s.t(f"请输入{hint}", f"Enter {hint.lower()}"), 14, th.faint)
        if i == 1 and icon == "shield":
            caption = s.t("获取验证码", "Get code")
            w = c.measure(caption, 13) + 16
            s.write(x1 - 10, y + 24, caption, 13, th.accent, anchor="r")
            s.touch((x0, y, x1 - w - 8, y + 48), "field", names=names)
            s.touch((x1 - w - 6, y, x1, y + 48), "button", caption, wishes=(s.t("发送验证码", "send the code"),))
        else:
            s.touch(
                box,
                "field",
                names=names,
                wishes=(s.t(f"填写{hint}", f"fill in the {hint.lower()}"),) if i != focused else (),
            )
        y += 62
    ui.button(s, (x0, y + 4, x1, y + 50), s.t("登录", "Log in"), wishes=(s.t("登录账号", "sign in to the account"),))
    y += 72
    for x, caption, anchor, wish in (
        (x0, s.t("忘记密码", "Forgot password"), "l", s.t("找回密码", "reset the password")),
        (x1, s.t("注册账号", "Sign up"), "r", s.t("创建新账号", "create a new account")),
    ):
        if y + 20 > s.bottom:
            break
        w = c.measure(caption, 13)
        s.write(x, y, caption, 13, th.accent, anchor=anchor)
        s.touch(
            (x - 8, y - 18, x + w + 8, y + 18) if anchor == "l" else (x - w - 8, y - 18, x + 8, y + 18),
            "button",
            caption,
            wishes=(wish,),
        )
    y += 30
    if y + 30 < s.bottom:
        checked = rng.random() < 0.4
        c.frame((x0, y - 8, x0 + 16, y + 8), th.faint, 1.2, 3)
        if checked:
            c.rect((x0, y - 8, x0 + 16, y + 8), th.accent, 3)
            c.icon((x0 + 8, y), "check", 14, ui.WHITE)
        c.mark("widget:check_on" if checked else "widget:check_off", (x0, y - 8, x0 + 16, y + 8))
        agree = s.t("同意用户协议", "I agree to the terms")
        s.write(x0 + 24, y, agree, 13, th.faint)
        s.touch(
            (x0 - 10, y - 18, x0 + 22, y + 18),
            "check",
            names=(s.t("协议前面的勾选框", "the check box"),),
            wishes=(s.t("勾选用户协议", "accept the terms"),) if not checked else (),
        )
        s.fact(
            ("用户协议勾选了吗？",),
            ("Is the box for the terms checked?",),
            s.t("勾选了", "yes") if checked else s.t("没有勾选", "no"),
            (s.t("是", "checked"),) if checked else (s.t("没有", "not checked"), s.t("否", "unchecked")),
        )
    steps.common(s)


@layout("compose", weight=1.8)
def compose(s: Stage) -> None:
    """A form of empty or filled lines (mail, address, entry); one has the focus and the keyboard is open."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    kinds = (
        ("写邮件", "New mail", (("收件人", "To"), ("主题", "Subject"), ("正文", "Message"))),
        ("新建地址", "New address", (("姓名", "Name"), ("电话", "Phone"), ("地址", "Address"))),
        ("新建日程", "New event", (("标题", "Title"), ("地点", "Place"), ("备注", "Notes"))),
        ("新建联系人", "New contact", (("姓名", "Name"), ("电话", "Phone"), ("公司", "Company"))),
        ("发表评论", "Write a review", (("标题", "Title"), ("内容", "Text"), ("地点", "Place"))),
    )
    zh, en, fields = rng.choice(kinds)
    s.app = s.content.app()
    ui.title_bar(s, s.t(zh, en), (rng.choice(("send", "check")),))
    ui.keyboard(s)
    focused = rng.randrange(3)
    makers = {
        "To": s.content.person,
        "Name": s.content.person,
        "Phone": lambda: s.content.phone().replace(" ", ""),
        "Address": s.content.road,
        "Place": s.content.place,
        "Company": s.content.shop,
        "Message": s.content.chat,
        "Text": s.content.chat,
    }
    row = min(64.0, (s.bottom - s.top) / 3.2)
    y = s.top + 4
    for i, names in enumerate(fields):
        label, make = s.t(*names), makers.get(names[1], s.content.topic)
        s.write(th.gap, y + row / 2, label, 14, th.faint)
        left = th.gap + max(64.0, c.measure(label, 14) + 16)
        if i == focused:
            c.line([(left, y + row / 2 - 10), (left, y + row / 2 + 10)], th.accent, 1.6)
            what = s.t(label, f"{label.lower()} field")
            for _ in range(3):
                steps.type_text(s, what, make())
        elif rng.random() < 0.6:
            value = make()
            s.write(left, y + row / 2, value, 15, th.ink, width=c.width - left - 12)
            s.fact((f"{label}填的是什么？",), (f"What is filled in for {label.lower()}?",), s.labels[-1])
        wishes = () if i == focused else (s.t(f"填写{label}", f"fill in the {label.lower()}"),)
        place = (s.t(f"{label}输入框", f"the {label.lower()} field"),)
        s.touch((0, y, c.width, y + row), "field", names=place, wishes=wishes)
        ui.divider(s, y + row, th.gap)
        y += row
    steps.common(s)
