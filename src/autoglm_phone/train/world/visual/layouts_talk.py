"""Layouts of talking: chat list, chat thread, contacts, dialer, call, comments, mail form, login."""

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


def tabs(s: Stage, which: int, chosen: int = 0) -> None:
    ui.bottom_tabs(s, [(icon, s.t(zh, en)) for icon, zh, en in TABS[which]], chosen)


@layout("chat_list", wide=True, weight=2.0)
def chat_list(s: Stage) -> None:
    """Conversations with avatar, name, last message, time and unread badges."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("微信", "WhatsApp") if rng.random() < 0.5 else s.content.app()
    ui.title_bar(
        s,
        s.t("消息", "Chats") if rng.random() < 0.5 else s.app,
        rng.choice((("add", "search"), ("more",), ("search", "camera"), ("add",))),
        back=False,
    )
    if rng.random() < 0.4:
        ui.search_field(
            s,
            (th.gap, s.top + 6, c.width - th.gap, s.top + 42),
            s.t("搜索", "Search"),
            (s.t("搜索聊天记录", "search the chats"),),
        )
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
        s.touch(
            (0, y, c.width, y + row),
            "row",
            name,
            group="list",
            wishes=(
                s.t(f"和{name}聊天", f"chat with {name}"),
                s.t(f"看看{name}发的消息", f"read the message from {name}"),
            ),
        )
        if unread:
            c.circle((c.width - th.gap - 10, cy + 12), 9, (235, 60, 50))
            c.text(c.width - th.gap - 10, cy + 12, str(unread), 11, ui.WHITE, anchor="m")
            s.fact((f"{name}有几条未读消息？",), (f"How many unread messages are from {name}?",), str(unread))
        if not shown.endswith("…"):
            s.fact(
                (f"{name}发了什么消息？", f"{name}最后说了什么？"),
                (f"What did {name} write?", f"What is the last message of {name}?"),
                text,
            )
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


@layout("chat", weight=2.5)
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
    s.touch(
        box,
        "field",
        names=(s.t("输入框", "the message field"), s.t("消息输入框", "the input box")),
        wishes=() if typing else (s.t(f"给{name}写消息", f"write to {name}"),),
    )
    said = s.content.chat()
    if typing and not draft:
        steps.type_text(s, s.t("输入框", "message field"), said)
        thought = s.t("输入框已获得焦点，输入要发的话。", "The field is focused, so type the message.")
        wish = s.t(f"给{name}发消息“{said}”", f'send {name} the message "{said}"')
        steps.action(s, "Type", (wish,), thought, f', text="{said}"', text=said)
        steps.type_text(s, s.t("输入框", "message field"), s.content.road())
    elif not typing:
        wish = s.t(f"给{name}发消息“{said}”", f'send {name} the message "{said}"')
        s.elements[-1].wishes = (*s.elements[-1].wishes, wish)
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
        bubble = (
            (149, 236, 105)
            if mine and not th.dark and rng.random() < 0.3
            else th.accent
            if mine
            else th.card
            if th.card != th.back
            else mix(th.back, th.ink, 0.08)
        )
        ink = ui.WHITE if bubble == th.accent else (20, 20, 20) if bubble == (149, 236, 105) else th.ink
        c.rect((x0, y, x0 + w, y + h), bubble, 8 if th.style != "ios" else 16)
        for i, line in enumerate(lines):
            s.write(x0 + 12, y + 18 + 22 * i, line, th.text, ink)
        ui.avatar(s, (c.width - 30 if mine else 30, y + 19), 36, name)
        if len(lines) > 1:
            s.labels.append(text)
        lines_out.append((mine, text))
        if len(lines_out) == 1:
            s.touch(
                (x0, y, x0 + w, y + h),
                "card",
                text if len(lines) == 1 else "",
                names=(s.t("最后一条消息", "the last message"),),
            )
        elif len(lines) == 1:
            s.touch((x0, y, x0 + w, y + h), "card", text)
    theirs = [text for mine, text in lines_out if not mine]
    if theirs:
        s.fact(
            (f"{name}最后发了什么？", f"{name}刚才说什么？"),
            (f"What did {name} say last?", f"What is the last message from {name}?"),
            theirs[0],
        )
    own = [text for mine, text in lines_out if mine]
    if own:
        s.fact(("我最后发了什么？",), ("What did I write last?",), own[0])
    if lines_out and lines_out[0][0] and not draft:
        done = lines_out[0][1]
        steps.finish(
            s,
            (s.t(f"给{name}发消息“{done}”", f'send {name} the message "{done}"'),),
            s.t("消息已经发送。", "The message has been sent."),
            s.t("最后一条消息已经发出。", "The last message is there, so it is done."),
        )
    steps.swipe(
        s,
        "down",
        (
            s.t("看更早的消息", "show earlier messages"),
            s.t("往上翻聊天记录", "scroll up in the chat"),
            s.t("查看之前的聊天", "see the older messages"),
        ),
        s.t("要看更早的内容，手指向下滑。", "To see older messages, swipe down."),
    )
    steps.common(s)
