"""Layouts of tools: alarms, calculator, calendar, weather, files, gallery, notes."""

from __future__ import annotations

import calendar as months

from autoglm_phone.train.world.visual import steps
from autoglm_phone.train.world.visual import widgets as ui
from autoglm_phone.train.world.visual.layouts import layout
from autoglm_phone.train.world.visual.stage import Stage
from autoglm_phone.train.world.visual.theme import BRIGHT, mix


@layout("alarm", wide=True, weight=1.3)
def alarm(s: Stage) -> None:
    """Alarms with time, name, days and a switch."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("时钟", "Clock")
    ui.title_bar(s, s.t("闹钟", "Alarm"), rng.choice((("add",), ("more",), ("edit", "add"))), back=rng.random() < 0.4)
    if rng.random() < 0.6:
        ui.bottom_tabs(
            s,
            [
                ("alarm", s.t("闹钟", "Alarm")),
                ("globe", s.t("世界时钟", "World clock")),
                ("history", s.t("秒表", "Stopwatch")),
                ("bell", s.t("计时器", "Timer")),
            ],
            0,
        )
    row = rng.choice((76.0, 84.0, 92.0))
    y = s.top + 6
    names = [
        ("起床", "Wake up"),
        ("上班", "Work"),
        ("吃药", "Medicine"),
        ("午休", "Nap"),
        ("开会", "Meeting"),
        ("跑步", "Run"),
        ("接孩子", "Pick up kids"),
        ("睡觉", "Sleep"),
        ("学习", "Study"),
        ("喝水", "Drink water"),
    ]
    rng.shuffle(names)
    days = (("每天", "Every day"), ("工作日", "Weekdays"), ("周末", "Weekends"), ("仅一次", "Once"))
    for time, (zh, en) in zip(s.content.distinct(s.content.clock, 7), names, strict=False):
        if y + row > s.bottom:
            s.scrolls = True
            break
        on, name, day = rng.random() < 0.5, s.t(zh, en), s.t(*rng.choice(days))
        if th.style in {"miui", "ios"}:
            c.rect((th.gap, y + 4, c.width - th.gap, y + row - 4), th.card, th.radius)
        x = th.gap + 14
        s.write(x, y + row * 0.38, time, rng.choice((26, 30)), th.ink if on else th.faint)
        s.write(x, y + row * 0.76, f"{name}{s.t('，', ', ')}{day}", 13, th.faint)
        s.touch(
            (0, y, c.width, y + row),
            "row",
            time,
            group="list",
            wishes=(
                s.t(f"修改{time}的闹钟", f"edit the {time} alarm"),
                s.t(f"修改“{name}”闹钟", f'change the "{name}" alarm'),
            ),
        )
        owner = s.t(f"{time}的闹钟", f"the {time} alarm")
        ui.switch(s, (c.width - th.gap - 36, y + row / 2), on, owner)
        s.fact((f"“{name}”的闹钟是几点？",), (f'What time is the "{name}" alarm?',), time)
        s.fact((f"{time}的闹钟哪天响？",), (f"On which days does the {time} alarm ring?",), day)
        y += row
    if rng.random() < 0.6:
        ui.fab(s, "add", s.t("新建一个闹钟", "create a new alarm"))
    steps.common(s)


@layout("calculator", weight=1.2)
def calculator(s: Stage) -> None:
    """Keypad with a sum on the display."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("计算器", "Calculator")
    keys = (
        ("C", "±", "%", "÷"),
        ("7", "8", "9", "×"),
        ("4", "5", "6", "-"),
        ("1", "2", "3", "+"),
        ("0", ".", "⌫", "="),
    )
    words_zh = {
        "C": "清除键C",
        "±": "正负键",
        "%": "百分号",
        "÷": "除号",
        "×": "乘号",
        "-": "减号",
        "+": "加号",
        ".": "小数点",
        "=": "等号",
        "⌫": "退格键",
    }
    words_en = {
        "C": "the clear key C",
        "±": "the sign key",
        "%": "the percent key",
        "÷": "the divide key",
        "×": "the multiply key",
        "-": "the minus key",
        "+": "the plus key",
        ".": "the point key",
        "=": "the equals key",
        "⌫": "the backspace key",
    }
    h = min(c.width / 4, (s.bottom - s.top) * 0.125)
    y0 = s.bottom - 5 * h
    a, b = rng.randint(2, 999), rng.randint(2, 999)
    sign = rng.choice("+-×")
    value = {"+": a + b, "-": a - b, "×": a * b}[sign]
    s.write(c.width - 24, y0 - 84, f"{a}{sign}{b}", 22, th.faint, anchor="r")
    s.write(c.width - 24, y0 - 40, str(value), 44, th.ink, anchor="r", width=c.width - 40)
    s.fact(
        ("屏幕上的计算结果是多少？", "结果显示多少？"),
        ("What result is shown?", "What is the result on the display?"),
        str(value),
    )
    s.fact(("算式是什么？",), ("What was calculated?",), f"{a}{sign}{b}")
    round_keys = rng.random() < 0.5
    w = c.width / 4
    for r, line in enumerate(keys):
        for k, key in enumerate(line):
            x, y = w * (k + 0.5), y0 + h * (r + 0.5)
            strong = key == "=" or (k == 3 and rng.random() < 0.9)
            fill = th.accent if strong else mix(th.back, th.ink, 0.1 if r else 0.2)
            half = min(w, h) / 2 - 4
            if round_keys:
                c.circle((x, y), half, fill)
            else:
                c.rect((w * k + 3, y0 + h * r + 3, w * (k + 1) - 3, y0 + h * (r + 1) - 3), fill, th.radius)
            ink = ui.WHITE if strong else th.ink
            if key == "⌫":
                c.icon((x, y), "backspace", 24, ink)
            else:
                c.text(x, y, key, 26, ink, anchor="m")
            name = s.t(f"数字{key}", f"the digit {key}") if key.isdigit() else s.t(words_zh[key], words_en[key])
            wishes = {"=": (s.t("算出结果", "show the result"),), "C": (s.t("清空算式", "clear the display"),)}.get(
                key, ()
            )
            s.touch((w * k, y0 + h * r, w * (k + 1), y0 + h * (r + 1)), "key", names=(name,), wishes=wishes)
    steps.finish(
        s,
        (s.t(f"用计算器算{a}{sign}{b}", f"work out {a}{sign}{b} with the calculator"),),
        s.t(f"{a}{sign}{b}等于{value}。", f"{a}{sign}{b} is {value}."),
        s.t("结果已经显示出来了。", "The result is on the display."),
    )
    steps.common(s)


@layout("calendar", weight=1.2)
def calendar(s: Stage) -> None:
    """A month with the chosen day and its entries."""
    c, rng, th = s.canvas, s.rng, s.theme
    ui.status_bar(s)
    ui.navigation_bar(s)
    s.app = s.t("日历", "Calendar")
    year, month = rng.randint(2020, 2030), rng.randint(1, 12)
    name = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ][month - 1]
    title = s.t(f"{year}年{month}月", f"{name} {year}")
    ui.title_bar(s, title, rng.choice((("add",), ("search", "add"), ("more",))), back=rng.random() < 0.3, fact=False)
    s.fact(("日历显示的是哪年哪月？",), ("Which month is shown?",), title)
    w = (c.width - 16) / 7
    for i, day in enumerate("日一二三四五六" if s.lang == "zh" else "SMTWTFS"):
        c.text(8 + w * (i + 0.5), s.top + 14, day, 12, th.faint, anchor="m")
    first = (months.weekday(year, month, 1) + 1) % 7
    count = months.monthrange(year, month)[1]
    h = min(52.0, (s.bottom - s.top) * 0.085)
    chosen = rng.randint(1, count)
    for d in range(1, count + 1):
        k = first + d - 1
        x, y = 8 + w * (k % 7 + 0.5), s.top + 30 + h * (k // 7 + 0.5)
        if d == chosen:
            c.circle((x, y), min(w, h) * 0.42, th.accent)
        c.text(x, y, str(d), 15, ui.WHITE if d == chosen else th.ink, anchor="m")
        said = s.t(f"{month}月{d}日", f"{name} {d}")
        s.touch(
            (x - w / 2, y - h / 2, x + w / 2, y + h / 2),
            "key",
            names=(s.t(f"{d}号", f"day {d}"),),
            wishes=(s.t(f"查看{said}的日程", f"show the plans for {said}"),),
        )
    s.fact(
        ("选中的是几号？",), ("Which day is selected?",), s.t(f"{chosen}号", str(chosen)), (str(chosen), f"{chosen}日")
    )
    y = s.top + 42 + h * ((first + count + 6) // 7)
    for topic in s.content.distinct(s.content.topic, rng.randint(1, 5)):
        if y + 56 > s.bottom:
            s.scrolls = True
            break
        time = s.content.clock()
        c.rect((th.gap, y + 6, th.gap + 4, y + 48), rng.choice(BRIGHT), 2)
        s.write(th.gap + 16, y + 18, topic, 15, th.ink, width=c.width - 60)
        s.write(th.gap + 16, y + 40, time, 13, th.faint)
        s.touch(
            (0, y, c.width, y + 54),
            "row",
            topic,
            group="list",
            wishes=(s.t(f"查看{time}的日程", f"open the entry at {time}"),),
        )
        s.fact((f"{topic}是几点？",), (f"When is the {topic}?",), time)
        s.fact((f"{time}有什么安排？",), (f"What is planned at {time}?",), topic)
        y += 56
    if rng.random() < 0.5:
        ui.fab(s, "add", s.t("新建一个日程", "create a new entry"))
    steps.swipe(
        s,
        "left",
        (
            s.t("看下个月", "show the next month"),
            s.t("翻到下个月", "go to next month"),
            s.t("下一个月", "next month please"),
        ),
        s.t("下个月要向左滑。", "The next month comes with a swipe left."),
    )
    steps.swipe(
        s,
        "right",
        (
            s.t("看上个月", "show the previous month"),
            s.t("翻到上个月", "go to the month before"),
            s.t("上一个月", "previous month please"),
        ),
        s.t("上个月要向右滑。", "The previous month comes with a swipe right."),
    )
    steps.common(s)
