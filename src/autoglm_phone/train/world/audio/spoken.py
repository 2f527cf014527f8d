"""Written text as people write it ("3点20分", "at 3:20 PM") and the words that are spoken for it.

`canonical` brings any text of the world to the one written form that transcripts use; `spoken` writes that form out in
words for the synthesizer, so that espeak's own reading of digits never matters; `bare` is what a CTC head learns and
what the scorer compares: lower case, no punctuation.
"""

from __future__ import annotations

import re

from autoglm_phone.train.world.sample import Lang

_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ORDINALS = {1: "first", 2: "second", 3: "third", 5: "fifth", 8: "eighth", 9: "ninth", 12: "twelfth"}
_DIGITS = "零一二三四五六七八九"
_MONTHS = [
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
]
_MONTH = "|".join(_MONTHS)
_WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_SHORT = {name[:3]: name for name in (*_MONTHS, *_WEEKDAYS) if len(name) > 3}
_SHORT_PATTERN = re.compile(rf"\b({'|'.join(_SHORT)})\b\.?")
# After these a quantity of two is 两, not 二.
_COUNTED = (
    "个|点|杯|张|只|条|本|件|天|小时|分钟|位|家|部|次|种|瓶|块|元|份|把|辆|岁|周|盒|袋|斤|公斤|公里|米|台|棵|双|"
    "篇|层楼|页|千|万|亿"
)
_UNITS_EN = {
    "km/h": "kilometers per hour",
    "km": "kilometers",
    "kg": "kilograms",
    "cm": "centimeters",
    "mm": "millimeters",
    "ml": "milliliters",
    "GB": "gigabytes",
    "MB": "megabytes",
    "m": "meters",
    "g": "grams",
    "h": "hours",
    "min": "minutes",
    "°C": "degrees Celsius",
    "°F": "degrees Fahrenheit",
    "%": "percent",
    "L": "liters",
}
_UNITS_ZH = {
    "km/h": "公里每小时",
    "km": "公里",
    "kg": "公斤",
    "cm": "厘米",
    "mm": "毫米",
    "ml": "毫升",
    "m": "米",
    "g": "克",
    "L": "升",
    "°C": "摄氏度",
    "℃": "摄氏度",
    "°F": "华氏度",
}
_SIGNS_EN = {"+": "plus", "-": "minus", "−": "minus", "×": "times", "*": "times", "÷": "divided by", "/": "divided by"}
_SIGNS_ZH = {"+": "加", "-": "减", "−": "减", "×": "乘以", "*": "乘以", "÷": "除以", "/": "除以"}
# Characters that espeak reads wrongly in these words, replaced (for the voice only) by ones of the right sound.
_RESPELL_ZH = {
    "东莞": "东馆",
    "哥哥": "歌歌",
    "弹": "谈",
    "便宜": "骈仪",
    "贾": "甲",
    "调": "条",
    "还信用卡": "环信用卡",
    "还书": "环书",
    "曾": "增",
    "第一": "第医",
    "相册": "像册",
    "倒计时": "到计时",
}
# Number words become digits: one written form for what sounds the same. "one" and 一 have other uses and stay.
_SMALL_EN = {word: str(n) for n, word in enumerate(_ONES) if 2 <= n <= 12}
_SMALL_EN_PATTERN = re.compile(rf"\b({'|'.join(_SMALL_EN)})\b(?! (?:hundred|thousand|million))", re.IGNORECASE)
_SMALL_ZH_PATTERN = re.compile(
    rf"(?<![星期周第几百千万零十\d])([两三四五六七八九]|十[一二三四五六七八九]?)(?={_COUNTED}|月|号|分钟)(?!点[儿心])"
)
_SIGN = re.compile(r"(?<=[\dA-Z])\s*([+\-−×*÷/])\s*(?=\d)")
_NEGATIVE = re.compile(r"(?<![\w.])[-−](?=\d)")
_EQUALS = re.compile(r"\s*=\s*([?？]+\s*$|(?:[?？]+(?=\s*\w)))?")


def english_number(n: int) -> str:
    """Cardinal in words, 0 <= n < 10^9."""
    if n < 20:
        return _ONES[n]
    if n < 100:
        return _TENS[n // 10] + (f" {_ONES[n % 10]}" if n % 10 else "")
    for size, name in ((1_000_000, "million"), (1000, "thousand"), (100, "hundred")):
        if n >= size:
            rest = f" {english_number(n % size)}" if n % size else ""
            return f"{english_number(n // size)} {name}{rest}"
    raise AssertionError("unreachable")


def english_ordinal(n: int) -> str:
    if n in _ORDINALS:
        return _ORDINALS[n]
    if n < 20:
        return _ONES[n] + "th"
    return _TENS[n // 10][:-1] + "ieth" if n % 10 == 0 else f"{_TENS[n // 10]} {english_ordinal(n % 10)}"


def chinese_number(n: int) -> str:
    """Cardinal in characters, 0 <= n < 10^8; 10…19 are 十…十九."""
    if n >= 10_000:
        high, low = divmod(n, 10_000)
        return chinese_number(high) + "万" + ("" if not low else ("零" if low < 1000 else "") + _thousands(low))
    return _thousands(n)


def _thousands(n: int) -> str:
    if n < 10:
        return _DIGITS[n]
    if n < 20:
        return "十" + (_DIGITS[n % 10] if n % 10 else "")
    out, gap = "", False
    for size, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = n // size % 10
        if digit:
            out += ("零" if gap and out else "") + _DIGITS[digit] + name
            gap = False
        elif out:
            gap = True
    return out


def _digit_by_digit(digits: str, lang: Lang) -> str:
    return " ".join(_ONES[int(d)] for d in digits) if lang == "en" else "".join(_DIGITS[int(d)] for d in digits)


def _number(match: re.Match[str], lang: Lang) -> str:
    """A bare number: a long or zero-led one digit by digit, a year as a year, a decimal with its point."""
    whole, _, fraction = match[0].replace(",", "").partition(".")
    if len(whole) >= 7 or (len(whole) > 1 and whole[0] == "0"):
        return _digit_by_digit(whole, lang)
    if lang == "zh":
        return chinese_number(int(whole)) + (f"点{_digit_by_digit(fraction, lang)}" if fraction else "")
    if len(whole) == 4 and not fraction and "," not in match[0] and 1900 <= int(whole) < 2100:
        century, year = divmod(int(whole), 100)
        if year == 0:
            return "two thousand" if century == 20 else "nineteen hundred"
        return f"{english_number(century)} {'oh ' if year < 10 else ''}{english_number(year)}"
    return english_number(int(whole)) + (f" point {_digit_by_digit(fraction, lang)}" if fraction else "")


def _english_clock(match: re.Match[str]) -> str:
    hour, minute, half = int(match[1]), int(match[2]), (match[3] or "").lower().replace(".", "").strip()
    suffix = f" {half[0]} m" if half else ""
    if minute == 0:
        return english_number(hour) + (suffix or " o'clock")
    return f"{english_number(hour)} {'oh ' if minute < 10 else ''}{english_number(minute)}{suffix}"


def _small_chinese(word: str) -> int:
    """两, 三 … 九, 十 … 十九 as a number."""
    if word == "两":
        return 2
    return 10 + _DIGITS.index(word[1:] or "零") if word[0] == "十" else _DIGITS.index(word)


def canonical(text: str, lang: Lang) -> str:
    """The written form of transcripts: arithmetic signs, units and money in words, numbers in digits."""
    text = re.sub(r"\s+", " ", text.replace("　", " ")).strip()
    text = re.sub(r"[“”\"「」『』《》*_`#]", "", text)
    text = re.sub(r"(?<!\w)[‘']|[’'](?!\w)", "", text)  # quotes, not apostrophes
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    signs, units = (_SIGNS_EN, _UNITS_EN) if lang == "en" else (_SIGNS_ZH, _UNITS_ZH)
    unit_pattern = r"(?<=\d)\s*(" + "|".join(re.escape(u) for u in units) + r")(?![A-Za-z])"
    if lang == "en":
        text = _SMALL_EN_PATTERN.sub(lambda m: _SMALL_EN[m[1].lower()], text)
        text = _SHORT_PATTERN.sub(lambda m: _SHORT[m[1]], text)
        text = re.sub(r"\$(\d+(?:\.\d+)?)", r"\1 dollars", text)
        text = re.sub(r"[¥￥](\d+(?:\.\d+)?)", r"\1 yuan", text)
        text = re.sub(r"\b(\d{4})-(\d{2})-(\d{2})\b", lambda m: f"{_MONTHS[int(m[2]) - 1]} {int(m[3])} {m[1]}", text)
        text = re.sub(unit_pattern, lambda m: " " + units[m[1]], text)
        text = _SIGN.sub(lambda m: f" {signs[m[1]]} ", text)
        text = _NEGATIVE.sub("minus ", text)
        text = _EQUALS.sub(lambda m: " equals what " if m[1] else " equals ", text)
        text = re.sub(r"\b0(\d:\d\d)", r"\1", text)
        text = re.sub(r"(?<=\d)(?:st|nd|rd|th)\b", "", text) if re.search(rf"({_MONTH}) \d", text) else text
        return re.sub(r"\s+", " ", text).strip()
    text = _SMALL_ZH_PATTERN.sub(lambda m: str(_small_chinese(m[1])), text)
    text = re.sub(r"\$(\d+(?:\.\d+)?)", r"\1美元", text)
    text = re.sub(r"[¥￥](\d+(?:\.\d+)?)", r"\1元", text)
    text = re.sub(r"(\d{4})-(\d{2})-(\d{2})", lambda m: f"{m[1]}年{int(m[2])}月{int(m[3])}日", text)
    text = re.sub(r"(\d{1,2})[::](\d{2})", lambda m: f"{int(m[1])}点" + (f"{int(m[2])}分" if int(m[2]) else ""), text)
    text = re.sub(r"(\d+(?:\.\d+)?)\s*%", r"百分之\1", text)
    text = re.sub(unit_pattern, lambda m: units[m[1]], text)
    text = _SIGN.sub(lambda m: signs[m[1]], text)
    text = _NEGATIVE.sub("负", text)
    text = _EQUALS.sub(lambda m: "等于多少" if m[1] else "等于", text)
    text = re.sub(r"(?<=[\u4e00-\u9fff]) (?=\d)|(?<=\d) (?=[\u4e00-\u9fff])", "", text)
    return text.replace(",", "，").replace("?", "？").replace("!", "！")


def respell(text: str) -> str:
    """Chinese text as espeak has to see it to say it rightly."""
    for wrong, right in _RESPELL_ZH.items():
        text = text.replace(wrong, right)
    return text


def spoken(text: str, lang: Lang) -> str:
    """The words for a `canonical` text, digits written out; punctuation stays (it makes the pauses)."""
    if lang == "en":
        text = re.sub(r"\b(\d{1,2}):(\d{2})(\s?[AaPp]\.?[Mm]\b\.?)?", _english_clock, text)
        text = re.sub(
            r"\b(\d{1,2})\s?([AaPp])\.?[Mm]\b", lambda m: f"{english_number(int(m[1]))} {m[2].lower()} m", text
        )
        text = re.sub(rf"\b({_MONTH}) (\d{{1,2}})\b", lambda m: f"{m[1]} {english_ordinal(int(m[2]))}", text)
        text = re.sub(r"\b(\d{1,2})(?:st|nd|rd|th)\b", lambda m: english_ordinal(int(m[1])), text)
    else:
        text = re.sub(r"(\d{4})(?=年)", lambda m: _digit_by_digit(m[1], lang), text)
        text = re.sub(rf"(?<![\d.第])2(?={_COUNTED})", "两", text)
    text = re.sub(r"\d[\d,]*\.\d+|\d+", lambda m: _number(m, lang), text)
    return respell(text) if lang == "zh" else text


def bare(text: str, lang: Lang) -> str:
    """Lower case without punctuation: "Set it to 3:20 PM." -> "set it to 3:20 pm"; Chinese also without spaces."""
    text = re.sub(r"\b([ap])\.m\.?", r"\1m", text.lower().replace("’", "'"))
    text = re.sub(r"(?<!\d)[.:,](?!\d)|(?<=\d)[.:,](?!\d)|(?<!\d)[.:,](?=\d)", " ", text)
    text = re.sub(r"\s+", " ", re.sub(r"[^\w\s.:'%]|_", " ", text)).strip()
    if lang == "zh":  # spaces stay between Latin words only
        text = re.sub(r" (?![a-z0-9])|(?<![a-z0-9]) ", "", text)
    return text
