"""Dates as the datetime category writes and computes them."""

from __future__ import annotations

import datetime
import random

from autoglm_phone.train.world.sample import Lang

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December")  # fmt: skip
WEEKDAYS_ZH = ("一", "二", "三", "四", "五", "六", "日")
WEEKDAYS_EN = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
# Days before each month, modulo 7, in a common year; leap years add 1 from March on.
MONTH_OFFSET = (0, 3, 3, 6, 1, 4, 6, 2, 5, 0, 3, 5)


def is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def month_days(year: int, month: int) -> int:
    return 29 if month == 2 and is_leap(year) else (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]


def weekday_name(number: int, lang: Lang) -> str:
    """number: 1 = Monday … 7 = Sunday."""
    return f"星期{WEEKDAYS_ZH[number - 1]}" if lang == "zh" else WEEKDAYS_EN[number - 1]


def random_date(rng: random.Random, first: int = 2000, last: int = 2040) -> datetime.date:
    return datetime.date(first, 1, 1) + datetime.timedelta(days=rng.randrange((last - first + 1) * 365))


def date_text(rng: random.Random, date: datetime.date, lang: Lang, year: bool = True) -> str:
    """The date in one of the ways that people write it."""
    y, m, d = date.year, date.month, date.day
    if lang == "zh":
        forms = (
            [f"{y}年{m}月{d}日", f"{y}年{m}月{d}号", f"{y}-{m:02d}-{d:02d}", f"{y}/{m}/{d}"]
            if year
            else [f"{m}月{d}日", f"{m}月{d}号"]
        )
        return forms[min(len(forms) - 1, int(rng.random() * len(forms) * 1.3) % len(forms))]
    name = MONTHS[m - 1]
    forms = (
        [f"{name} {d}, {y}", f"{d} {name} {y}", f"{y}-{m:02d}-{d:02d}", f"{name[:3]} {d}, {y}"]
        if year
        else [f"{name} {d}", f"{d} {name}", f"{name[:3]} {d}"]
    )
    return rng.choice(forms)


def plain_date(date: datetime.date, lang: Lang) -> str:
    """Month and day as answers tell them."""
    return f"{date.month}月{date.day}日" if lang == "zh" else f"{MONTHS[date.month - 1]} {date.day}"
