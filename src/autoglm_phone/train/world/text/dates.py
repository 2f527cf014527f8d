"""Dates and times: weekdays, days between, adding days, hours and minutes, time zones, leap years, month lengths."""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

import datetime
import random
from collections.abc import Callable

from autoglm_phone.train.world.fillings import compose
from autoglm_phone.train.world.registry import Draft
from autoglm_phone.train.world.sample import Lang, Split
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
from autoglm_phone.train.world.text.clocks import time_between, time_plus, zone
from autoglm_phone.train.world.text.date_reply import ask, fact, numeric

Kind = Callable[[random.Random, Split, bool, Lang], Draft]


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
    question = ask(rng, lang, split, unseen,
        ("{d}是[星期几|周几|礼拜几]?", "[请问|]{d}[那天|这天|]是[星期几|周几]?", "[查|算][一下|]{d}是周几", "{d}[星期几|周几|礼拜几]", "[帮我|]看看{d}[是|]星期几", "[我想知道|告诉我]{d}是[星期几|周几]", "{d},[星期几|是周几]?", "{d}那天[该|]是[礼拜几|周几]呢?"),
        ("What day [of the week |]is {d}?", "What weekday is {d}?", "{d} is [which|what] [day of the week|weekday]?", "On what [day|weekday] does {d} fall?", "[Tell me|Find] the weekday of {d}[.|]", "Which day of the week [is|was|will be] {d}?", "{d}: what weekday?"),
        d=date_text(rng, date, lang))  # fmt: skip
    must, wrong = _weekday_truth(number, lang)
    return fact(lang, 3, question, _say_weekday(number, lang), lines, must, wrong)


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
    lines.insert(0, f"{name}={today}")
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
    question = ask(rng, lang, split, unseen, zh, en, w=name, n=str(days))
    must, wrong = _weekday_truth(number, lang)
    answer = (
        _say_weekday(number, lang)
        if lang == "zh"
        else f"It {'was' if back else 'will be'} a {weekday_name(number, lang)}."
    )
    return fact(lang, 2, question, answer, lines, must, wrong)


def _between(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    def draw(r: random.Random) -> tuple[datetime.date, int]:
        return random_date(r, 2020, 2032), r.randint(3, 120)

    start, days = compose(rng, "datetime.between", draw, split)
    end = start + datetime.timedelta(days=days)
    with_year = split != "train" or start.year != end.year or is_leap(start.year) or rng.random() < 0.4
    # Both dates in one form: when to stop is read off here.
    lines = (
        [f"{start.year}-{start.month}-{start.day},{end.year}-{end.month}-{end.day}"]
        if with_year
        else [f"{start.month}-{start.day},{end.month}-{end.day}"]
    )
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
    question = ask(rng, lang, split, unseen,
        ("从{a}到{b}[有|一共有|相隔|隔了|要经过]多少天?", "{a}到{b}[有|隔|相差][几|多少]天?", "{a}和{b}[相差|相隔|之间差]多少天?", "[算一下|请问]{a}距离{b}[还有|有]多少天?", "今天是{a},离{b}还有[几|多少]天?", "{a}距{b}[几天|多少天]?"),
        ("How many days [are there |]from {a} to {b}?", "How many days are between {a} and {b}?", "[Count|Find] the days from {a} to {b}[.|]", "What is the number of days from {a} until {b}?", "Today is {a}. How many days [until|till] {b}?", "Days from {a} to {b}?"),
        a=date_text(rng, start, lang, with_year), b=date_text(rng, end, lang, with_year))  # fmt: skip
    answer = f"相隔 {days} 天。" if lang == "zh" else f"There are {days} days."
    return numeric(lang, level, question, answer, lines, [str(days)])


def _date_after(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    def draw(r: random.Random) -> tuple[datetime.date, int]:
        return random_date(r, 2020, 2032), r.randint(2, 90)

    start, days = compose(rng, "datetime.plus", draw, split)
    back = rng.random() < 0.3
    end = start + datetime.timedelta(days=-days if back else days)
    year, month, day = start.year, start.month, start.day
    lines = [f"{year}-{month}-{day}"]
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
    level = 1 if len(lines) < 4 else 2 if len(lines) < 5 else 3
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
    question = ask(rng, lang, split, unseen, zh, en, a=a, n=n)
    answer = f"是{plain_date(end, lang)}。" if lang == "zh" else f"It is {plain_date(end, lang)}."
    return fact(lang, level, question, answer, lines, [plain_date(end, lang)])


def _leap(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    year = compose(rng, "datetime.leap", lambda r: r.choice((r.randint(1890, 2100), 100 * r.randint(16, 28))), split)
    century = year % 100 == 0
    part = year // 100 if century else year % 100
    lines = [str(year), f"{part}÷4={part // 4}r{part % 4}"]
    yes = is_leap(year)
    by_days = rng.random() < 0.35
    if by_days:
        question = ask(
            rng,
            lang,
            split,
            unseen,
            ("{y}年[有|一共有|是]多少天?", "{y}年[全年|一年][有|]几天?", "{y}年全年共几天?"),
            (
                "How many days does {y} have?",
                "How many days are [there |]in the year {y}?",
                "{y} has how many days in all?",
            ),
            y=str(year),
        )
        days = 366 if yes else 365
        answer = f"有 {days} 天。" if lang == "zh" else f"It has {days} days."
        return numeric(lang, 2, question, answer, lines, [str(days)])
    question = ask(
        rng,
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
        return fact(lang, 1, question, answer, lines, ["是闰年"] if yes else ["不是闰年"], ["不是闰年"] if yes else [])
    answer = f"{year} is {'' if yes else 'not '}a leap year."
    return fact(lang, 1, question, answer, lines, ["is a leap year"] if yes else ["not a leap year"])


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
    question = ask(
        rng,
        lang,
        split,
        unseen,
        zh,
        en,
        y=(f"{year}年" if lang == "zh" else f" {year}") if named else "",
        m=str(month) if lang == "zh" else MONTHS[month - 1],
    )
    lines = [f"{year % 100}÷4={year % 100 // 4}r{year % 4}"] if month == 2 else []
    lines.append(f"{month}:{days}")
    answer = f"有 {days} 天。" if lang == "zh" else f"It has {days} days."
    return numeric(lang, 0, question, answer, lines, [str(days)])


_KINDS: tuple[tuple[Kind, int], ...] = (
    (_weekday_of, 3), (_weekday_after, 3), (_between, 3), (_date_after, 3), (time_plus, 4), (time_between, 3), (zone, 2), (_leap, 1), (_month_length, 1),
)  # fmt: skip
_DEALT = tuple(kind for kind, weight in _KINDS for _ in range(weight))
_TRAINING = (*_DEALT, _leap, _leap, _month_length)


def build(rng: random.Random, split: Split, unseen: bool) -> Draft:
    lang: Lang = "zh" if rng.random() < 0.5 else "en"
    return rng.choice(_TRAINING if split == "train" else _DEALT)(rng, split, unseen, lang)


BUILDERS = {"datetime": build}
