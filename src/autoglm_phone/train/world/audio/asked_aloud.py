"""What people ask of a picture, said aloud with no picture there: for recordings that are to be written down.

A recording that asks for a trend, a tap or a count is transcribed all the same when transcribing is what is wanted.
"""

from __future__ import annotations

import random

from autoglm_phone.train.world.audio import words as w
from autoglm_phone.train.world.phrasing import Ask, ask
from autoglm_phone.train.world.sample import Lang
from autoglm_phone.train.world.visual import wishes_chart, wishes_scene, wishes_screen

_MEASURES = {
    "zh": ("销量", "收入", "利润", "用电量", "降雨量", "产量", "订单数", "支出", "阅读量", "步数"),
    "en": ("sales", "revenue", "profit", "power", "rainfall", "output", "orders", "users", "spending", "visitors"),
}
_TIMES = {
    "zh": ("1月", "2月", "3月", "5月", "6月", "8月", "9月", "10月", "11月", "12月", "2019年", "2023年"),
    "en": ("January", "February", "March", "May", "June", "July", "August", "October", "November", "2019", "2023"),
}
_NOUNS = {"zh": ("汽车", "猫", "树", "杯子", "花", "鱼"), "en": ("cars", "cats", "trees", "cups", "flowers", "boats")}
_WISHES: tuple[dict[Lang, Ask], ...] = (
    wishes_chart.VALUE,
    wishes_chart.TREND,
    wishes_chart.TREND_MORE,
    wishes_chart.BEST_TIME,
    wishes_chart.GAP,
    wishes_chart.FORECAST,
    wishes_scene.COUNT,
    wishes_scene.CAPTION,
    wishes_screen.TOUCHES["Tap"],
    wishes_screen.TOUCHES["Tap"],
)


def asked_aloud(rng: random.Random, lang: Lang, held: tuple[str, ...]) -> str | None:
    """One such question or order as a sentence; None if no wording far enough from the held-out ones was found."""
    zh, pick = lang == "zh", rng.choice
    wish = pick(_WISHES)
    time, later = rng.sample(_TIMES[lang], 2)
    x = pick(_MEASURES[lang])
    if wish is wishes_chart.VALUE:
        x = f"{time}的{x}" if zh else f"{x} in {time}"
    elif wish is _WISHES[-1]:
        x = pick((*w.SETTINGS_ZH, *w.APPS_ZH)) if zh else pick((*w.SETTINGS_EN, *w.APPS_EN))
    way = pick(("高", "低")) if zh else pick(("highest", "lowest"))
    return ask(
        rng, wish[lang], lang, held, x=x, way=way, was="was", at="in", period="month", high=time, low=later, next=time,
        n=pick(_NOUNS[lang]), m="个",
    )  # fmt: skip
