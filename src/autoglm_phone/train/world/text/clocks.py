"""Times of day: adding and subtracting hours and minutes, spans, time zones."""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

import random
from decimal import Decimal

from autoglm_phone.train.world.fillings import compose
from autoglm_phone.train.world.registry import Draft
from autoglm_phone.train.world.sample import Lang, Split
from autoglm_phone.train.world.text import steps
from autoglm_phone.train.world.text.date_reply import ask, fact, numeric


def _clock(minutes: int) -> str:
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"


def _duration(rng: random.Random, minutes: int, lang: Lang) -> str:
    h, m = divmod(minutes, 60)
    if lang == "zh":
        return (f"{h}[小时|个小时]" if h else "") + (f"{m}分钟" if m else "")
    parts = ([f"{h} hour{'s' * (h > 1)}"] if h else []) + ([f"{m} minute{'s' * (m > 1)}"] if m else [])
    return " and ".join(parts)


def time_plus(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
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
    question = ask(rng, lang, split, unseen, zh, en, a=a, n=duration)
    answer = f"是 {end}。" if lang == "zh" else f"It is {end}."
    return fact(
        lang,
        1 if len(lines) < 4 else 2,
        question,
        answer,
        lines,
        [[end, end.lstrip("0") if end[0] == "0" and end[1] != "0" else end]],
    )


def time_between(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
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
    question = ask(rng, lang, split, unseen, zh, en, a=_clock(start), b=_clock(end))
    if in_minutes:
        question = question.rstrip() + ("请用分钟回答。" if lang == "zh" else " Answer in minutes.")
        answer = f"一共 {end - start} 分钟。" if lang == "zh" else f"It is {end - start} minutes."
        return numeric(lang, 3, question, answer, lines, [str(end - start)])
    values = [str(v) for v in (h, m) if v]
    if lang == "zh":
        answer = "一共 " + (f"{h} 小时" if h else "") + (" " if h and m else "") + (f"{m} 分钟" if m else "") + "。"
    else:
        answer = f"It is {_duration(rng, end - start, 'en')}."
    return numeric(lang, 2, question, answer, lines, values)


# City, zh and en, and its standard offset from UTC in hours; the question always states the offsets or the difference.
_CITIES = (
    ("北京", "Beijing", 8), ("东京", "Tokyo", 9), ("伦敦", "London", 0), ("纽约", "New York", -5), ("巴黎", "Paris", 1), ("莫斯科", "Moscow", 3),
    ("迪拜", "Dubai", 4), ("悉尼", "Sydney", 10), ("洛杉矶", "Los Angeles", -8), ("新加坡", "Singapore", 8), ("曼谷", "Bangkok", 7), ("芝加哥", "Chicago", -6),
    ("首尔", "Seoul", 9), ("柏林", "Berlin", 1), ("开罗", "Cairo", 2), ("丹佛", "Denver", -7), ("圣保罗", "Sao Paulo", -3), ("奥克兰", "Auckland", 12),
)  # fmt: skip


def zone(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
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
        question = ask(rng, lang, split, unseen,
            ("{b}比{a}%s{n}小时,{a}[时间|]{t}时,{b}是几点?" % ("早" if later else "晚"), "{a}现在{t},{b}比{a}%s{n}小时,{b}几点?" % ("早" if later else "晚"), "已知{b}时间比{a}%s{n}小时。{a}{t},{b}是几点?" % ("早" if later else "晚")),
            ("{b} is {n} hours %s {a}. It is {t} in {a}. What time is it in {b}?" % ("ahead of" if later else "behind"), "It is {t} in {a}, and {b} is {n} hours %s. What time is it in {b}?" % ("ahead" if later else "behind"), "When it is {t} in {a}, what time is it in {b}, {n} hours %s?" % ("ahead" if later else "behind")),
            a=a, b=b, n=str(abs(shift)), t=clock)  # fmt: skip
    else:
        question = ask(rng, lang, split, unseen,
            ("{a}(UTC{x})[现在|]{t},{b}(UTC{y})是几点?", "{a}是UTC{x},{b}是UTC{y}。{a}时间{t},{b}几点?", "当{a}(UTC{x})是{t}时,{b}(UTC{y})是几点?"),
            ("It is {t} in {a} (UTC{x}). What time is it in {b} (UTC{y})?", "{a} is UTC{x}, {b} is UTC{y}. At {t} in {a}, what time is it in {b}?", "What time is it in {b} (UTC{y}) when it is {t} in {a} (UTC{x})?"),
            a=a, b=b, t=clock, x=f"{from_offset:+d}", y=f"{to_offset:+d}")  # fmt: skip
    if lang == "zh":
        answer = f"{b}是{('前一天', '', '第二天')[day + 1]} {end}。"
    else:
        answer = f"It is {end}{(' on the day before', '', ' on the next day')[day + 1]} in {b}."
    return fact(lang, 3, question, answer, lines, [end])
