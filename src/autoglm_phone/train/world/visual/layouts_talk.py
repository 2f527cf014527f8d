"""Layouts of talking: chat list, chat thread, contacts, dialer, call, comments, mail form, login."""

from __future__ import annotations

from autoglm_phone.train.world.visual import steps
from autoglm_phone.train.world.visual import widgets as ui
from autoglm_phone.train.world.visual.layouts import layout
from autoglm_phone.train.world.visual.stage import Stage
from autoglm_phone.train.world.visual.theme import mix

TABS = (
    (("chat", "消息", "Chats"), ("person", "通讯录", "Contacts"), ("globe", "发现", "Discover"), ("settings", "我", "Me")),
    (("home", "首页", "Home"), ("video", "视频", "Videos"), ("chat", "消息", "Messages"), ("person", "我的", "Profile")),
    (("home", "首页", "Home"), ("grid", "分类", "Categories"), ("cart", "购物车", "Cart"), ("person", "我的", "Account")),
    (("home", "主页", "Home"), ("search", "搜索", "Search"), ("heart", "收藏", "Saved"), ("person", "账户", "Account")),
    (("list", "订单", "Orders"), ("map", "附近", "Nearby"), ("bell", "提醒", "Alerts"), ("bank", "资产", "Assets"), ("person", "我的", "Mine")),
)  # fmt: skip


def tabs(s: Stage, which: int, chosen: int = 0) -> None:
    ui.bottom_tabs(s, [(icon, s.t(zh, en)) for icon, zh, en in TABS[which]], chosen)


@layout("chat_list", wide=True, weight=2.0)
def chat_list(s: Stage) -> None:
    """Conversations with avatar, name, last message, time and unread badges."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("微信", "WhatsApp") if rng.random() < 0.5 else s.content.app()
    ui.title_bar(s, s.t("消息", "Chats") if rng.random() < 0.5 else s.app, rng.choice((("add", "search"), ("more",), ("search", "camera"), ("add",))), back=False)
    if rng.random() < 0.4:
        ui.search_field(s, (th.gap, s.top + 6, c.width - th.gap, s.top + 42), s.t("搜索", "Search"), (s.t("搜索聊天记录", "search the chats"),))
        s.top += 50
    if rng.random() < 0.75:
        tabs(s, rng.choice((0, 1)), 0)
    row = rng.choice((64.0, 68.0, 72.0, 76.0))
    y = s.top
    people = s.content.distinct(s.content.person, int((s.bottom - y) / row) + 2)
    senders = []
    for name in people:
        if y + row > s.bottom:
            s.scrolls = True
            break
        cy = y + row / 2
        ui.avatar(s, (th.gap + 22, cy), 44, name)
        when = s.content.clock() if rng.random() < 0.7 else s.content.date_text()
        s.write(c.width - th.gap, cy - 12, when, 12, th.faint, anchor="r")
        s.write(th.gap + 56, cy - 11, name, th.text, th.ink, rng.random() < 0.5)
        text = s.content.chat()
        unread = rng.randint(1, 20) if rng.random() < 0.35 else 0
        shown = s.write(th.gap + 56, cy + 12, text, 13, th.faint, width=c.width - th.gap * 2 - 90)
        s.touch((0, y, c.width, y + row), "row", name, group="list", wishes=(s.t(f"和{name}聊天", f"chat with {name}"), s.t(f"看看{name}发的消息", f"read the message from {name}")))
        if unread:
            c.circle((c.width - th.gap - 10, cy + 12), 9, (235, 60, 50))
            c.text(c.width - th.gap - 10, cy + 12, str(unread), 11, ui.WHITE, anchor="m")
            s.fact((f"{name}有几条未读消息？",), (f"How many unread messages are from {name}?",), str(unread))
        if not shown.endswith("…"):
            s.fact((f"{name}发了什么消息？", f"{name}最后说了什么？"), (f"What did {name} write?", f"What is the last message of {name}?"), text)
            senders.append((name, text))
        s.fact((f"{name}的消息是什么时候的？",), (f"When was the message of {name}?",), when)
        ui.divider(s, y + row, th.gap + 56)
        y += row
    if senders:
        name, text = rng.choice(senders)
        if sum(t == text for _, t in senders) == 1:
            s.fact((f"是谁发了“{text}”？",), (f'Who wrote "{text}"?',), name)
    if rng.random() < 0.3:
        x, cy = c.width - 44, s.bottom - 44
        s.cover((x - 28, cy - 28, x + 28, cy + 28))
        c.circle((x, cy), 28, th.accent)
        ui.icon_button(s, (x, cy), "edit", 24, ui.WHITE, wishes=(s.t("写一条新消息", "start a new chat"),))
    if s.scrolls:
        steps.missing_item(s, s.content.person(), s.t("聊天列表", "chat list"))
    steps.common(s)


@layout("chat", weight=2.0)
def chat_thread(s: Stage) -> None:
    """Bubbles of two people above an input bar; sometimes with the keyboard open."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    name = s.content.person()
    s.app = s.t("微信", "WhatsApp") if rng.random() < 0.5 else s.content.app()
    ui.title_bar(s, name, rng.choice((("more",), ("phone", "video"), ("video", "phone", "more"))))
    s.fact(("正在和谁聊天？", "这是和谁的聊天？"), ("Who is this chat with?", "Who am I chatting with?"), name)
    typing = rng.random() < 0.5
    if typing:
        ui.keyboard(s)
    bar = 54.0
    y0 = s.bottom - bar
    c.rect((0, y0, c.width, s.bottom), th.card)
    cy = y0 + bar / 2
    left = 14.0
    if rng.random() < 0.6:
        ui.icon_button(s, (26, cy), rng.choice(("mic", "add", "camera")), 24)
        left = 50.0
    draft = s.content.chat() if typing and rng.random() < 0.5 else ""
    right = c.width - (92 if not draft else 76)
    box = (left, cy - 19, right, cy + 19)
    c.rect(box, mix(th.card, th.ink, 0.07), 8 if th.style != "ios" else 19)
    if draft:
        s.write(left + 12, cy, draft, 14, th.ink, width=right - left - 20)
        ui.icon_button(s, (c.width - 32, cy), "send", 24, th.accent)
        said = s.t(f"给{name}发“{draft}”", f'send "{draft}" to {name}')
        if s.labels[-1] == draft:
            element = s.elements[-1]
            element.wishes = (*element.wishes, said)
    else:
        if typing:
            c.line([(left + 12, cy - 9), (left + 12, cy + 9)], th.accent, 1.5)
        else:
            s.write(left + 12, cy, s.t("发消息", "Message"), 14, th.faint)
        ui.icon_button(s, (c.width - 66, cy), "emoji", 24)
        ui.icon_button(s, (c.width - 26, cy), "add" if left < 20 else "attach", 24)
    s.touch(box, "field", names=(s.t("输入框", "the message field"), s.t("消息输入框", "the input box")), wishes=() if typing else (s.t(f"给{name}写消息", f"write to {name}"),))
    if typing and not draft:
        steps.type_text(s, s.t("输入框", "message field"), s.content.chat())
    y = y0 - 8
    lines_out: list[tuple[bool, str]] = []
    while True:
        mine = rng.random() < 0.5
        text = s.content.chat()
        lines = c.wrap(text, th.text, c.width * 0.58)
        h = 22 * len(lines) + 14
        y -= h + 12
        if y < s.top + 26:
            break
        w = max(c.measure(line, th.text) for line in lines) + 24
        x0 = c.width - 58 - w if mine else 58.0
        bubble = (149, 236, 105) if mine and not th.dark and rng.random() < 0.3 else th.accent if mine else th.card if th.card != th.back else mix(th.back, th.ink, 0.08)
        ink = ui.WHITE if bubble == th.accent else (20, 20, 20) if bubble == (149, 236, 105) else th.ink
        c.rect((x0, y, x0 + w, y + h), bubble, 8 if th.style != "ios" else 16)
        for i, line in enumerate(lines):
            s.write(x0 + 12, y + 18 + 22 * i, line, th.text, ink)
        ui.avatar(s, (c.width - 30 if mine else 30, y + 19), 36, name)
        if len(lines) > 1:
            s.labels.append(text)
        lines_out.append((mine, text))
        if len(lines_out) == 1:
            s.touch((x0, y, x0 + w, y + h), "card", text if len(lines) == 1 else "", names=(s.t("最后一条消息", "the last message"),))
        elif len(lines) == 1:
            s.touch((x0, y, x0 + w, y + h), "card", text)
    theirs = [text for mine, text in lines_out if not mine]
    if theirs:
        s.fact((f"{name}最后发了什么？", f"{name}刚才说什么？"), (f"What did {name} say last?", f"What is the last message from {name}?"), theirs[0])
    own = [text for mine, text in lines_out if mine]
    if own:
        s.fact(("我最后发了什么？",), ("What did I write last?",), own[0])
    if lines_out and lines_out[0][0] and not draft:
        done = lines_out[0][1]
        steps.finish(s, (s.t(f"给{name}发消息“{done}”", f'send {name} the message "{done}"'),), s.t("消息已经发送。", "The message has been sent."),
                     s.t("最后一条消息已经发出。", "The last message is there, so it is done."))  # fmt: skip
    steps.swipe(s, "down", (s.t("看更早的消息", "show earlier messages"), s.t("往上翻聊天记录", "scroll up in the chat"), s.t("查看之前的聊天", "see the older messages")),
                s.t("要看更早的内容，手指向下滑。", "To see older messages, swipe down."))  # fmt: skip
    steps.common(s)


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
            s.fact((f"{name}的电话是多少？", f"{name}的号码是什么？"), (f"What is the number of {name}?", f"What is {name}'s phone number?"), number)
        wish = () if calls else (s.t(f"给{name}打电话", f"call {name}"),)
        s.touch((0, y, c.width, y + row), "row", name, group="list", wishes=(*wish, s.t(f"查看{name}的资料", f"show the details of {name}")))
        if calls:
            x = c.width - th.gap - 14
            c.icon((x, cy), "phone", 22, th.accent)
            s.touch((x - 20, cy - 20, x + 20, cy + 20), "button", names=(s.t(f"{name}旁边的电话按钮", f"the call button next to {name}"),), wishes=(s.t(f"给{name}打电话", f"call {name}"), s.t(f"拨打{name}的电话", f"phone {name}")))
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
        s.fact(("现在输入的号码是什么？", "屏幕上是什么号码？"), ("What number is typed?", "Which number is on the screen?"), number)
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
        s.touch((x - w / 2, cy - h / 2, x + w / 2, cy + h / 2), "key", names=(s.t(f"数字键{key}" if key.isdigit() else f"按键{key}", f"the key {key}"),), wishes=(s.t(f"输入数字{key}", f"dial {key}"),) if key.isdigit() else ())
    cy = y0 + 4.75 * h
    c.circle((c.width / 2, cy), h * 0.46, (52, 199, 89))
    ui.icon_button(s, (c.width / 2, cy), "phone", 28, ui.WHITE, wishes=(s.t("拨号", "place the call"), *((s.t(f"拨打{number}", f"call {number}"),) if number else ())))
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
    s.fact(("谁打来的电话？" if coming else "正在和谁通话？",), ("Who is calling?" if coming else "Who is on the phone?",), name)
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
        items = [("mic_off", "静音", "Mute", "把自己静音", "mute myself"), ("dialpad", "键盘", "Keypad", "打开拨号键盘", "open the keypad"), ("volume", "免提", "Speaker", "打开扬声器", "use the speaker"),
                 ("add", "添加通话", "Add call", "再加一个人", "add another person"), ("video", "视频", "Video", "换成视频通话", "switch to video"), ("bluetooth", "蓝牙", "Bluetooth", "用蓝牙接听", "use the bluetooth headset")]  # fmt: skip
        for i, (icon, zh, en, zh_wish, en_wish) in enumerate(items):
            x, y = c.width * (0.2 + 0.3 * (i % 3)), c.height * (0.54 + 0.14 * (i // 3))
            c.circle((x, y), 30, mix(base, ui.WHITE, 0.2))
            c.icon((x, y), icon, 28, ui.WHITE)
            s.write(x, y + 45, s.t(zh, en), 12, ui.WHITE, anchor="m")
            s.touch((x - 40, y - 34, x + 40, y + 54), "button", s.t(zh, en), wishes=(s.t(zh_wish, en_wish),))
        x, y = c.width / 2, c.height * 0.86
        c.circle((x, y), 34, (255, 59, 48))
        ui.icon_button(s, (x, y), "close", 32, ui.WHITE, wishes=(s.t("挂断电话", "hang up"), s.t("结束通话", "end the call")), names=(s.t("挂断按钮", "the red button"),))
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
    fields = [(s.t("手机号", "Phone number"), "phone"), (s.t("密码", "Password"), "lock")] if rng.random() < 0.5 else [(s.t("邮箱", "Email"), "email"), (s.t("验证码", "Code"), "shield")]
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
            value = s.content.phone().replace(" ", "") if icon == "phone" else str(rng.randint(1000, 999999)) if icon in {"shield", "lock"} else f"{rng.choice(('user', 'me', 'hello', 'mail'))}{rng.randint(1, 999)}@{rng.choice(('qq.com', 'mail.com', 'test.org'))}"
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
            s.touch(box, "field", names=names, wishes=(s.t(f"填写{hint}", f"fill in the {hint.lower()}"),) if i != focused else ())
        y += 62
    ui.button(s, (x0, y + 4, x1, y + 50), s.t("登录", "Log in"), wishes=(s.t("登录账号", "sign in to the account"),))
    y += 72
    for x, caption, anchor, wish in ((x0, s.t("忘记密码", "Forgot password"), "l", s.t("找回密码", "reset the password")), (x1, s.t("注册账号", "Sign up"), "r", s.t("创建新账号", "create a new account"))):
        if y + 20 > s.bottom:
            break
        w = c.measure(caption, 13)
        s.write(x, y, caption, 13, th.accent, anchor=anchor)
        s.touch((x - 8, y - 18, x + w + 8, y + 18) if anchor == "l" else (x - w - 8, y - 18, x + 8, y + 18), "button", caption, wishes=(wish,))
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
        s.touch((x0 - 10, y - 18, x0 + 22, y + 18), "check", names=(s.t("协议前面的勾选框", "the check box"),), wishes=(s.t("勾选用户协议", "accept the terms"),) if not checked else ())
        s.fact(("用户协议勾选了吗？",), ("Is the box for the terms checked?",), s.t("勾选了", "yes") if checked else s.t("没有勾选", "no"), (s.t("是", "checked"),) if checked else (s.t("没有", "not checked"), s.t("否", "unchecked")))
    steps.common(s)
