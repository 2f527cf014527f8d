"""Dates and times: weekdays, days between, adding days, hours and minutes, time zones, leap years, month lengths."""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

import datetime
import random
from collections.abc import Callable
from decimal import Decimal

from autoglm_phone.train.world.fillings import compose
from autoglm_phone.train.world.registry import Draft
from autoglm_phone.train.world.sample import Lang, Split, Turn
from autoglm_phone.train.world.text import steps
from autoglm_phone.train.world.text.calendar_facts import (
    MONTH_OFFSET,
    MONTHS,
    date_text,
    is_leap,
    month_days,
    plain_date,
    random_date,
    weekday_name,
)
from autoglm_phone.train.world.text.grammar import say_one, vary
from autoglm_phone.train.world.text.reply import reply

Kind = Callable[[random.Random, Split, bool, Lang], Draft]


def _ask(rng: random.Random, name: str, lang: Lang, split: Split, unseen: bool, zh: tuple[str, ...], en: tuple[str, ...], **slots: str) -> str:  # fmt: skip
    patterns = zh if lang == "zh" else en
    return vary(rng, say_one(rng, f"datetime.{name}.{lang}", patterns, split, unseen, **slots), lang)


def _draft(lang: Lang, level: int, question: str, answer: str, lines: list[str], must: list, must_not: list | None = None) -> Draft:  # fmt: skip
    truth = {"kind": "contains", "must": must, "must_not": must_not or []}
    return Draft(lang, level, (Turn("user", question), reply(lang, answer, "\n".join(lines))), truth)


def _numeric(lang: Lang, level: int, question: str, answer: str, lines: list[str], values: list[str]) -> Draft:
    truth = {"kind": "number", "values": values}
    return Draft(lang, level, (Turn("user", question), reply(lang, answer, "\n".join(lines))), truth)


def _weekday_truth(number: int, lang: Lang) -> tuple[list, list]:
    names = [weekday_name(n, lang) for n in range(1, 8)]
    right = names.pop(number - 1)
    options = [right] if lang == "en" else [right, right.replace("星期", "周"), right.replace("星期", "礼拜")]
    return [options], names


def _say_weekday(number: int, lang: Lang) -> str:
    name = weekday_name(number, lang)
    return f"那天是{name}。" if lang == "zh" else f"It is a {name}."


def _weekday_of(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    date = compose(rng, "datetime.date", lambda r: random_date(r, 2015, 2035), split)
    first = datetime.date(date.year, 1, 1).isoweekday()
    leap = is_leap(date.year)
    offset = MONTH_OFFSET[date.month - 1] + (leap and date.month > 2)
    total = first + offset + date.day - 1
    lines = [
        f"{date.year}-{date.month}-{date.day}",
        f"{date.year}:{first},{'366' if leap else '365'}",
        f"{date.month}:{offset}",
    ]
    lines += [f"{date.day}-1={date.day - 1}"]
    running = first
    for part in (offset, date.day - 1):
        lines.append(f"{running}+{part}={running + part}")
        running += part
    lines.append(f"{total}÷7={total // 7}r{total % 7}")
    number = date.isoweekday()
    lines.append(f"{number}={weekday_name(number, lang)}")
    question = _ask(rng, "weekday", lang, split, unseen,
        ("{d}是[星期几|周几|礼拜几]?", "[请问|]{d}[那天|这天|]是[星期几|周几]?", "[查|算][一下|]{d}是周几", "{d}[星期几|周几|礼拜几]", "[帮我|]看看{d}[是|]星期几", "[我想知道|告诉我]{d}是[星期几|周几]", "{d},[星期几|是周几]?", "{d}那天[该|]是[礼拜几|周几]呢?"),
        ("What day [of the week |]is {d}?", "What weekday is {d}?", "{d} is [which|what] [day of the week|weekday]?", "On what [day|weekday] does {d} fall?", "[Tell me|Find] the weekday of {d}[.|]", "Which day of the week [is|was|will be] {d}?", "{d}: what weekday?"),
        d=date_text(rng, date, lang))  # fmt: skip
    must, wrong = _weekday_truth(number, lang)
    return _draft(lang, 3, question, _say_weekday(number, lang), lines, must, wrong)


def _weekday_after(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    today, days, back = compose(
        rng, "datetime.after", lambda r: (r.randint(1, 7), r.randint(2, 99), r.random() < 0.3), split
    )
    if back:
        rest = days % 7
        lines = [f"{days}÷7={days // 7}r{rest}"]
        number = today - rest
        if number < 1:
            lines += [f"{today}+7={today + 7}", f"{today + 7}-{rest}={number + 7}"]
            number += 7
        else:
            lines.append(f"{today}-{rest}={number}")
    else:
        total = today + days
        number = (total - 1) % 7 + 1
        lines = [f"{today}+{days}={total}", f"{total}÷7={total // 7}r{total % 7}"]
    lines.append(f"{number}={weekday_name(number, lang)}")
    name = weekday_name(today, lang)
    zh = (
        (
            "今天是{w},{n}天前是[星期几|周几]?",
            "[如果|假如]今天{w},那么{n}天前是[星期几|周几]?",
            "今天{w},{n}天以前是周几?",
        )
        if back
        else (
            "今天是{w},[再过|过]{n}天是[星期几|周几|礼拜几]?",
            "[如果|假如]今天{w},{n}天后是[星期几|周几]?",
            "今天{w},{n}天[之后|以后]是[周几|星期几]?",
            "{n}天后[星期几|是周几]?今天是{w}。",
        )
    )
    en = (
        (
            "Today is {w}. What day was it {n} days ago?",
            "If today is {w}, what weekday was {n} days ago?",
            "{n} days ago, which weekday was it, if today is {w}?",
        )
        if back
        else (
            "Today is {w}. What day [is it|will it be] in {n} days?",
            "If today is {w}, what weekday is it {n} days from now?",
            "It is {w}. Which day of the week comes after {n} days?",
            "In {n} days, what weekday is it? Today is {w}.",
        )
    )
    question = _ask(rng, f"after{back}", lang, split, unseen, zh, en, w=name, n=str(days))
    must, wrong = _weekday_truth(number, lang)
    answer = (
        _say_weekday(number, lang)
        if lang == "zh"
        else f"It {'was' if back else 'will be'} a {weekday_name(number, lang)}."
    )
    return _draft(lang, 2, question, answer, lines, must, wrong)


def _between(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    def draw(r: random.Random) -> tuple[datetime.date, int]:
        return random_date(r, 2020, 2032), r.randint(3, 120)

    start, days = compose(rng, "datetime.between", draw, split)
    end = start + datetime.timedelta(days=days)
    with_year = split != "train" or start.year != end.year or is_leap(start.year) or rng.random() < 0.4
    lines = []
    if (start.year, start.month) == (end.year, end.month):
        lines.append(f"{end.day}-{start.day}={days}")
        level = 1
    else:
        length = month_days(start.year, start.month)
        total = length - start.day
        lines.append(f"{start.month}:{length}-{start.day}={total}")
        year, month = start.year, start.month
        while True:
            month = month % 12 + 1
            year += month == 1
            part = end.day if (year, month) == (end.year, end.month) else month_days(year, month)
            lines.append(f"{month}:{total}+{part}={total + part}")
            total += part
            if (year, month) == (end.year, end.month):
                break
        level = 3
    question = _ask(rng, "between", lang, split, unseen,
        ("从{a}到{b}[有|一共有|相隔|隔了|要经过]多少天?", "{a}到{b}[有|隔|相差][几|多少]天?", "{a}和{b}[相差|相隔|之间差]多少天?", "[算一下|请问]{a}距离{b}[还有|有]多少天?", "今天是{a},离{b}还有[几|多少]天?", "{a}距{b}[几天|多少天]?"),
        ("How many days [are there |]from {a} to {b}?", "How many days are between {a} and {b}?", "[Count|Find] the days from {a} to {b}[.|]", "What is the number of days from {a} until {b}?", "Today is {a}. How many days [until|till] {b}?", "Days from {a} to {b}?"),
        a=date_text(rng, start, lang, with_year), b=date_text(rng, end, lang, with_year))  # fmt: skip
    answer = f"相隔 {days} 天。" if lang == "zh" else f"There are {days} days."
    return _numeric(lang, level, question, answer, lines, [str(days)])


def _date_after(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    def draw(r: random.Random) -> tuple[datetime.date, int]:
        return random_date(r, 2020, 2032), r.randint(2, 90)

    start, days = compose(rng, "datetime.plus", draw, split)
    back = rng.random() < 0.3
    end = start + datetime.timedelta(days=-days if back else days)
    year, month, day = start.year, start.month, start.day
    lines = []
    if back:
        rest = days
        while rest >= day:
            lines.append(f"{rest}-{day}={rest - day}")
            rest -= day
            month = 12 if month == 1 else month - 1
            year -= month == 12
            day = month_days(year, month)
            lines.append(f"{month}:{day}")
        lines.append(f"{day}-{rest}={day - rest}")
        day -= rest
    else:
        lines.append(f"{day}+{days}={day + days}")
        day += days
        while day > month_days(year, month):
            length = month_days(year, month)
            lines.append(f"{month}:{day}-{length}={day - length}")
            day -= length
            month = month % 12 + 1
            year += month == 1
    lines.append(f"{month}-{day}")
    level = 1 if len(lines) < 3 else 2 if len(lines) < 4 else 3
    a, n = date_text(rng, start, lang), str(days)
    zh = (
        (
            "{a}[之前|以前|往前]{n}天是几月几[日|号]?",
            "{a}的{n}天前是[哪天|几号|几月几日]?",
            "今天是{a},{n}天前是几月几号?",
        )
        if back
        else (
            "{a}[之后|以后|再过|过]{n}天是几月几[日|号]?",
            "{a}的{n}天后是[哪天|哪一天|几月几日]?",
            "今天是{a},{n}天后是几月几[日|号]?",
            "从{a}开始,过{n}天是几号?",
        )
    )
    en = (
        (
            "What date [is|was] {n} days before {a}?",
            "Which date is {n} days earlier than {a}?",
            "Today is {a}. What was the date {n} days ago?",
        )
        if back
        else (
            "What date is {n} days after {a}?",
            "Which date comes {n} days after {a}?",
            "Today is {a}. What [is the date in|will be the date in] {n} days?",
            "{a} plus {n} days is which date?",
        )
    )
    question = _ask(rng, f"plus{back}", lang, split, unseen, zh, en, a=a, n=n)
    answer = f"是{plain_date(end, lang)}。" if lang == "zh" else f"It is {plain_date(end, lang)}."
    return _draft(lang, level, question, answer, lines, [plain_date(end, lang)])


def _clock(minutes: int) -> str:
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"


def _duration(rng: random.Random, minutes: int, lang: Lang) -> str:
    h, m = divmod(minutes, 60)
    if lang == "zh":
        return (f"{h}[小时|个小时]" if h else "") + (f"{m}分钟" if m else "")
    parts = ([f"{h} hour{'s' * (h > 1)}"] if h else []) + ([f"{m} minute{'s' * (m > 1)}"] if m else [])
    return " and ".join(parts)


def _time_plus(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    def draw(r: random.Random) -> tuple[int, int, bool]:
        step = r.choice((1, 5, 5, 15))
        return (
            r.randrange(0, 1440, step),
            r.choice((r.randrange(5, 60, 5), r.randrange(5, 700, step), 60 * r.randint(1, 9))),
            r.random() < 0.3,
        )

    start, length, back = compose(rng, "datetime.clock", draw, split)
    h, m = divmod(length, 60)
    hour, minute = divmod(start, 60)
    lines = []
    if back:
        if m:
            if minute < m:
                lines += [f"{minute}+60={minute + 60}", f"{hour}-1={hour - 1}"]
                minute, hour = minute + 60, hour - 1
            lines.append(f"{minute}-{m}={minute - m}")
            minute -= m
        if hour < h:
            lines.append(f"{hour}+24={hour + 24}")
            hour += 24
        if h:
            lines.append(f"{hour}-{h}={hour - h}")
            hour -= h
        if hour < 0:
            lines.append(f"{hour}+24={hour + 24}")
            hour += 24
    else:
        if m:
            lines.append(f"{minute}+{m}={minute + m}")
            minute += m
            if minute >= 60:
                lines += [f"{minute}-60={minute - 60}", f"{hour}+1={hour + 1}"]
                minute, hour = minute - 60, hour + 1
        if h:
            lines.append(f"{hour}+{h}={hour + h}")
            hour += h
        if hour >= 24:
            lines.append(f"{hour}-24={hour - 24}")
            hour -= 24
    end = f"{hour:02d}:{minute:02d}"
    lines.append(end)
    duration = _duration(rng, length, lang).replace("[小时|个小时]", rng.choice(("小时", "个小时")))
    a = _clock(start)
    zh = (
        ("{a}的{n}前是几点?", "现在{a},{n}前是几点?", "{a}往前推{n}是几点?")
        if back
        else (
            "{a}[再过|过]{n}是几点?",
            "现在是{a},{n}后是几点?",
            "{a}加{n}是几点?",
            "[电影|会议|课程|比赛|火车]{a}开始,[时长|持续|要]{n},几点结束?".replace("|火车", ""),
            "我{a}出发,路上[要|需要]{n},几点到?",
        )
    )
    en = (
        ("What time was it {n} before {a}?", "It is {a}. What time was it {n} ago?", "{n} before {a} is what time?")
        if back
        else (
            "What time is it {n} after {a}?",
            "It is {a} now. What time will it be in {n}?",
            "[The film|The meeting|The class|The match] starts at {a} and lasts {n}. When does it end?",
            "{a} plus {n} is what time?",
            "I leave at {a} and need {n}. When do I arrive?",
        )
    )
    question = _ask(rng, f"clock{back}", lang, split, unseen, zh, en, a=a, n=duration)
    answer = f"是 {end}。" if lang == "zh" else f"It is {end}."
    return _draft(
        lang,
        1 if len(lines) < 4 else 2,
        question,
        answer,
        lines,
        [[end, end.lstrip("0") if end[0] == "0" and end[1] != "0" else end]],
    )


def _time_between(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    def draw(r: random.Random) -> tuple[int, int]:
        step = r.choice((1, 5, 5, 15))
        start = r.randrange(0, 1380, step)
        return start, r.randrange(start + step * 2, 1440, step) if start + step * 3 < 1440 else start + step

    start, end = compose(rng, "datetime.span", draw, split)
    (h1, m1), (h2, m2) = divmod(start, 60), divmod(end, 60)
    lines = []
    if m2 < m1:
        lines += [f"{m2}+60={m2 + 60}", f"{h2}-1={h2 - 1}"]
        m2, h2 = m2 + 60, h2 - 1
    lines += [f"{m2}-{m1}={m2 - m1}", f"{h2}-{h1}={h2 - h1}"]
    h, m = divmod(end - start, 60)
    in_minutes = rng.random() < 0.3
    if in_minutes and h:
        lines += [f"{h}×60={h * 60}"]
        lines_add: list[str] = []
        steps.add(lines_add, Decimal(h * 60), Decimal(m))
        lines += lines_add if m else []
    zh = (
        "从{a}到{b}[有|一共|是]多长时间?",
        "{a}到{b}[隔了|相差|是]多久?",
        "[会议|电影|课|比赛]{a}开始,{b}结束,[一共|持续]多久?",
        "我{a}睡[觉|],{b}起[床|],睡了多久?",
        "{a}出发,{b}到达,[路上|]用了多[久|长时间]?",
    )
    en = (
        "How long is it from {a} to {b}?",
        "How much time is there between {a} and {b}?",
        "The [meeting|film|class|match] starts at {a} and ends at {b}. How long [is it|does it last]?",
        "I left at {a} and arrived at {b}. How long did it take?",
        "From {a} to {b} is how long?",
    )
    question = _ask(rng, "span", lang, split, unseen, zh, en, a=_clock(start), b=_clock(end))
    if in_minutes:
        question = question.rstrip() + ("请用分钟回答。" if lang == "zh" else " Answer in minutes.")
        answer = f"一共 {end - start} 分钟。" if lang == "zh" else f"It is {end - start} minutes."
        return _numeric(lang, 3, question, answer, lines, [str(end - start)])
    values = [str(v) for v in (h, m) if v]
    if lang == "zh":
        answer = "一共 " + (f"{h} 小时" if h else "") + (" " if h and m else "") + (f"{m} 分钟" if m else "") + "。"
    else:
        answer = f"It is {_duration(rng, end - start, 'en')}."
    return _numeric(lang, 2, question, answer, lines, values)


# City, zh and en, and its standard offset from UTC in hours; the question always states the offsets or the difference.
_CITIES = (
    ("北京", "Beijing", 8), ("东京", "Tokyo", 9), ("伦敦", "London", 0), ("纽约", "New York", -5), ("巴黎", "Paris", 1), ("莫斯科", "Moscow", 3),
    ("迪拜", "Dubai", 4), ("悉尼", "Sydney", 10), ("洛杉矶", "Los Angeles", -8), ("新加坡", "Singapore", 8), ("曼谷", "Bangkok", 7), ("芝加哥", "Chicago", -6),
    ("首尔", "Seoul", 9), ("柏林", "Berlin", 1), ("开罗", "Cairo", 2), ("丹佛", "Denver", -7), ("圣保罗", "Sao Paulo", -3), ("奥克兰", "Auckland", 12),
)  # fmt: skip


def _zone(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    def draw(r: random.Random) -> tuple[int, int, int]:
        one, two = r.sample(range(len(_CITIES)), 2)
        return one, two, r.randrange(0, 1440, r.choice((5, 15, 30, 60)))

    one, two, start = compose(rng, "datetime.zone", draw, split)
    column = 0 if lang == "zh" else 1
    a, b = str(_CITIES[one][column]), str(_CITIES[two][column])
    from_offset, to_offset = int(_CITIES[one][2]), int(_CITIES[two][2])
    given_difference = rng.random() < 0.5 and from_offset != to_offset
    shift = to_offset - from_offset
    hour, minute = divmod(start, 60)
    lines = []
    if not given_difference:
        lines.append(
            f"{to_offset}-({from_offset})={shift}" if from_offset < 0 else f"{to_offset}-{from_offset}={shift}"
        )
    total = hour + shift
    lines.append(f"{hour}{'+' if shift >= 0 else '-'}{abs(shift)}={total}")
    day = 0
    if total >= 24:
        lines.append(f"{total}-24={total - 24}")
        total, day = total - 24, 1
    elif total < 0:
        lines.append(f"{total}+24={total + 24}")
        total, day = total + 24, -1
    end = f"{total:02d}:{minute:02d}"
    lines.append(end)
    clock = _clock(start)
    if given_difference:
        later = shift > 0
        question = _ask(rng, f"gap{later}", lang, split, unseen,
            ("{b}比{a}%s{n}小时,{a}[时间|]{t}时,{b}是几点?" % ("早" if later else "晚"), "{a}现在{t},{b}比{a}%s{n}小时,{b}几点?" % ("早" if later else "晚"), "已知{b}时间比{a}%s{n}小时。{a}{t},{b}是几点?" % ("早" if later else "晚")),
            ("{b} is {n} hours %s {a}. It is {t} in {a}. What time is it in {b}?" % ("ahead of" if later else "behind"), "It is {t} in {a}, and {b} is {n} hours %s. What time is it in {b}?" % ("ahead" if later else "behind"), "When it is {t} in {a}, what time is it in {b}, {n} hours %s?" % ("ahead" if later else "behind")),
            a=a, b=b, n=str(abs(shift)), t=clock)  # fmt: skip
    else:
        question = _ask(rng, "zone", lang, split, unseen,
            ("{a}(UTC{x})[现在|]{t},{b}(UTC{y})是几点?", "{a}是UTC{x},{b}是UTC{y}。{a}时间{t},{b}几点?", "当{a}(UTC{x})是{t}时,{b}(UTC{y})是几点?"),
            ("It is {t} in {a} (UTC{x}). What time is it in {b} (UTC{y})?", "{a} is UTC{x}, {b} is UTC{y}. At {t} in {a}, what time is it in {b}?", "What time is it in {b} (UTC{y}) when it is {t} in {a} (UTC{x})?"),
            a=a, b=b, t=clock, x=f"{from_offset:+d}", y=f"{to_offset:+d}")  # fmt: skip
    if lang == "zh":
        answer = f"{b}是{('前一天', '', '第二天')[day + 1]} {end}。"
    else:
        answer = f"It is {end}{(' on the day before', '', ' on the next day')[day + 1]} in {b}."
    return _draft(lang, 3, question, answer, lines, [end])


def _leap(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    year = compose(rng, "datetime.leap", lambda r: r.choice((r.randint(1890, 2100), 100 * r.randint(16, 28))), split)
    century = year % 100 == 0
    part = year // 100 if century else year % 100
    lines = [str(year), f"{part}÷4={part // 4}r{part % 4}"]
    yes = is_leap(year)
    by_days = rng.random() < 0.35
    if by_days:
        question = _ask(
            rng,
            "yeardays",
            lang,
            split,
            unseen,
            ("{y}年[有|一共有|是]多少天?", "{y}年[全年|一年][有|]几天?", "{y}年的2月有多少天?"),
            (
                "How many days does {y} have?",
                "How many days are [there |]in the year {y}?",
                "How many days did February {y} have?",
            ),
            y=str(year),
        )
        # The February pattern is the last of the list, so it is a held-out one.
        february = "2月" in question or "ebru" in question.lower()
        days = (29 if yes else 28) if february else (366 if yes else 365)
        answer = f"有 {days} 天。" if lang == "zh" else f"It has {days} days."
        return _numeric(lang, 2, question, answer, lines, [str(days)])
    question = _ask(
        rng,
        "leap",
        lang,
        split,
        unseen,
        (
            "{y}年是[闰年|不是闰年|闰年还是平年][吗|]?".replace(
                "[闰年|不是闰年|闰年还是平年][吗|]", "[闰年吗|不是闰年|闰年还是平年]"
            ),
            "{y}是闰年吗?",
            "[请问|]{y}年[是不是|算不算]闰年?",
            "判断{y}年是[不是闰年|闰年还是平年]",
        ),
        ("Is {y} a leap year?", "Was {y} a leap year?", "Tell me if {y} is a leap year[.|]", "{y}: leap year or not?"),
        y=str(year),
    )
    if lang == "zh":
        answer = f"{year}年{'是' if yes else '不是'}闰年。"
        return _draft(
            lang, 1, question, answer, lines, ["是闰年"] if yes else ["不是闰年"], ["不是闰年"] if yes else []
        )
    answer = f"{year} is {'' if yes else 'not '}a leap year."
    return _draft(lang, 1, question, answer, lines, ["is a leap year"] if yes else ["not a leap year"])


def _month_length(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    year, month = compose(rng, "datetime.month", lambda r: (r.randint(2000, 2040), r.randint(1, 12)), split)
    named = month == 2 or split != "train" or rng.random() < 0.6
    days = month_days(year, month)
    zh = (
        "{y}{m}月[有|一共有]多少天?",
        "{y}{m}月有几天?",
        "{y}{m}月[份|]是[大月还是小月,有|]几天?".replace("[大月还是小月,有|]几", "几"),
    )
    en = (
        "How many days [are in|does] {m}{y}[ have|]?".replace("[are in|does] {m}{y}[ have|]", "are [there |]in {m}{y}"),
        "How many days does {m}{y} have?",
        "{m}{y} has how many days?",
    )
    question = _ask(
        rng,
        "month",
        lang,
        split,
        unseen,
        zh,
        en,
        y=(f"{year}年" if lang == "zh" else f" {year}") if named else "",
        m=str(month) if lang == "zh" else MONTHS[month - 1],
    )
    lines = [f"{year % 100}÷4={year % 100 // 4}r{year % 4}"] if month == 2 else []
    answer = f"有 {days} 天。" if lang == "zh" else f"It has {days} days."
    return _numeric(lang, 0, question, answer, lines, [str(days)])


_KINDS: tuple[tuple[Kind, int], ...] = (
    (_weekday_of, 3), (_weekday_after, 3), (_between, 3), (_date_after, 3), (_time_plus, 4), (_time_between, 3), (_zone, 2), (_leap, 1), (_month_length, 1),
)  # fmt: skip
_DEALT = tuple(kind for kind, weight in _KINDS for _ in range(weight))


def build(rng: random.Random, split: Split, unseen: bool) -> Draft:
    lang: Lang = "zh" if rng.random() < 0.5 else "en"
    return rng.choice(_DEALT)(rng, split, unseen, lang)


BUILDERS = {"datetime": build}
