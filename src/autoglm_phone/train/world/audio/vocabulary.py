"""What a transcript may hold: the words of `words`, and the words and characters that other categories bring into at
least 20 of 100,000 training recordings.

Counted over 20,000 `asr` and 12,000 `spoken_task` training samples. A word that is never learnt can't be told from one
that sounds like it, and what people mistype nobody says: a text with any other word is not spoken, in any split.
"""

from __future__ import annotations

import re
from functools import lru_cache

from autoglm_phone.train.world.audio import words

_TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W\d_\u3400-\u9fff]+(?:'[a-z]+)*")
_ZH = """
    万丝严丹举久义乙也争些享亲什从仓代伙传估伴余佛使例倍值像元先党兴其内几击切列创券剩副办势勺勾区千升卖占印厉厘又
    双叠另只叫向吗吧吨启吵呀呃呢呵呼和咦哇响哎哲啊啥啦喂嗨嗯嘿噢圣块型基堆堵填奥如妻宫就层属岁崩差己币序库弄当往待
    忙态怎思急恤您情愉愿战截扣批折拜拨拿掉排控推描搞搬摄摊摘播操放整料斤断旦普暂替朗权杉材构析枚架染样根框案梨棒概
    橡次此段毒毫氏求江汤没泉泡洁活浆测浴涨溃滑满激烦犯琪瓶由甲留皮盏盒目着矶矿祝秀秒积称究竟第篇类粥精累组细绪维编
    翻耶舒般营落藏虽袋袜裹规触让训访诉译诗诞请谁谱贝资赞走趋趣距跟辆辛返迪述迷逗邀部配酸醒铺错闰阁阅队际隔页项顺颗
    题鹃麻
"""
_EN = """
    aaron adam added adds advance against ago ahead ai alarm alex alexa alice all aloud also although altogether
    am amy angeles anna any apps architecture are aren't asking asks assistant ate auckland audio autoglm b
    backpack backpacks badminton bags bailey bake baker balloons balls banned based bathroom beads beer bella
    ben bennett beth biography bistro bored borrows bot bottles boxes brooks bubble buddy built bulbs burger
    buttons buying buys bye c cable cafe cakes calculate calories can't cancel cancelled candies cannot cards
    carl cars cart carter carton case cases causes cedar celsius centimeters centimetres changed charger chart
    charts chat chatgpt cheaper cheer chen chinese christmas clark classmate claude click client cm code coffees
    coins cola colleague comes computation compute conditioner connected contact contacted convert copilot
    cortana costs could coupon craig created d daisy dates dear debug decimeters degrees delete deli delivery
    dial diana difference diner discussed divided dm does doing dollars done down downloaded dr drank dynamic e
    each ed edit eliza ella elm end ends envelopes equally equals er erasers eric evaluate evans eve everything
    eye f fahrenheit failed favourite faye feeling feelings fell fewer file filled fine flights forecast foster
    framework frank french friends from function g gary gave gb gemini george get gets gigabytes gives glasses
    glen goes going gpt gpu grace grams grandfather graph graphics graphs grateful great greetings grill grok
    groups had haha hannah has have headsets healthy hear heavier hehe helen helpful helping helps henry here
    hey hi higher highest hm hmm holds honestly hour hours how i'd i'm i've icon id if ill image images inner
    interesting into invites is ivan jack james jane jarvis jenny joel john jones k karl kb kelly kevin kg
    kilobytes kilograms kilometers kilometres kilos kim kimi l lab languages later latest launch laura leap lee
    lemonade lemons leo let's linda link liters litres loaded loaves local longer loose los loses lower lowest
    luck lucy m made maker makes manual maple mate max may mb me meet meets megabytes merry meters metres mg mia
    mike mill milliliters millimeters min minus mistakes mistral ml mm molly months more mr mrs ms mug mugs mute
    navigate neil nick nina no note notification numbers off oh ok olivia one ones opened or orders origin
    others output owns packs pages paid painting pair pairs pal parameter parameters parts passengers paul paula
    paulo pause pays pdf peaches pears pen pens percent perry peter picked pictures pizzas player plus pm
    policeman predict prepared previous prices profit programmed programming project q qwen rachel rainfall
    rains ralph rarely really recommend remain remains remind revenue rights rolls rosa rows royal s sales sam
    sao sarah saved say schedule schoolbag screenshot seconds secretary sell sells sends sent set shared shares
    shells shirts shoes shopping should simon siri smith snowing socks sold something sometimes son sophie
    speech spending spends split splits spoken sports st starts steps steve stickers stock stones summarize
    sunny sushi swipe t taken talking tap tara task taught tb teas tell text than thanks that's their them then
    theory there things tim time timer times tip tips tom tonnes too toothbrush toothbrushes trained translation
    trend turned turns uh um units unloaded urban us use used users usually utc victor views visiting visitors
    ward was washed watched watson way weaknesses web weekday weeks wendy were what what's where which who whom
    whose why will with wonderful workings wow write wrote x yay years yes yogurt yogurts your yourself zip
"""


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text.lower().replace("\u2019", "'"))


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    known = set("".join(_ZH.split())) | set(_EN.split())
    for name, pool in vars(words).items():
        if name.isupper() and name != "NAMES_ZH":
            known.update(_tokens(repr(pool)))
    return frozenset(known)


def unknown(text: str) -> set[str]:
    """The words and Chinese characters of the text that training's lists do not hold."""
    return set(_tokens(text)) - _known()


def known(text: str) -> bool:
    """Whether each word and each Chinese character of the text is one that training teaches."""
    return _known().issuperset(_tokens(text))
