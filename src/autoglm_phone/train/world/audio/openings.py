"""Sentences of unlike build for training: questions that start with any question word, with a verb or with a clause,
orders, conditions, lists, things said of things. A transcript must not lean on how a sentence usually begins.

Slots come from the vocabulary of `words`; a pattern that is near to a held-out command is never used (`BUILDS`).
"""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

import random
from functools import lru_cache

from autoglm_phone.train.world.audio import patterns
from autoglm_phone.train.world.audio import words as w
from autoglm_phone.train.world.audio.vocabulary import known, unknown
from autoglm_phone.train.world.fillings import held_out
from autoglm_phone.train.world.lexicon import NAMES_EN
from autoglm_phone.train.world.phrasing import too_near
from autoglm_phone.train.world.sample import Lang
from autoglm_phone.train.world.text.grammar_parse import say
from autoglm_phone.train.world.text.phrases import expansions

# {s} subject, {do} base verb phrase, {does} third person, {v} task, {pl} place, {pl2}, {g} goods, {c} city, {nm} name,
# {wd} weekday, {d} day, {n} number, {k} small number, {adj}, {noun}, {noun2}.
_EN = (
    "[why|when|where|how] [did|will|could|should|would] {s} {do}",
    "[has|had] {nm} ever [been to|seen|left|lived in] {c}",
    "[is|was] {nm} [at|near|in front of|behind|far from] {pl} [now|again|{d}|on {wd}|]",
    "[who|which of you|what kind of person] {does}",
    "whose {noun} [is|was] [this|that|in {pl}|behind {pl}|next to the {noun2}]",
    "[does|did|will|can|could|would|should|must|may|might] {s} {do}",
    "[are|were] the {noun}s [in|near|behind|on the way to] {pl}",
    "[haven't|didn't|won't|can't|shouldn't] you {v} {d}",
    "[if|when|before|after|because|although|until|while|since|unless] {nm} {does}, {s2} [will|must|may|can] {do}",
    "{wd} is the day when {s} will {do}",
    "[yesterday|last week|in summer|at noon|after work|before breakfast|in {c}|near {pl}|at {n} degrees|on {wd}] {s} {past}",
    "[never|always|please never|do not|don't ever|try not to] {v} [on {wd}|{d}|without {nm}|]",
    "[there is|there was|there might be|is there] [a|another|no|one] {adj} {noun} [in|behind|near|under] {pl}",
    "[let's|let us|shall we|we could|why not|how about we] {v} [in {c}|on {wd}|with {nm}|{d}|]",
    "[between|behind|under|above|beside] the {noun} and the {noun2} [is|stands|lies] [a|the] {adj} {noun3}",
    "[both|neither|either|most|half|some|none|all] of the {noun}s [are|were|look|seem] {adj}",
    "[how many|how much|which|what|whose] {g} [did|will|should|could] {s} [buy|sell|bring|need|carry|eat]",
    "[as soon as|the moment|once|whenever] {s} [arrive|stop|call|leave|listen], the {noun} [opens|begins|stops|falls]",
    "[{nm}|{nm} and {nm2}], [come here|wait for me|look at the {noun}|bring {g}|listen|sit down] [now|please|again|]",
    "[{n}|{k}] {g} and {k} {noun}s, [please|nothing else|that is all|for {nm}|from {pl}]",
    "[nobody|somebody|everybody|anyone|few people] in {c} [knows|likes|wants|heard|remembers] the {adj} {noun}",
    "[what a|such a|quite a|not a] {adj} {noun}",
    "[his|her|their|our|your|its|my] {noun} [will|would|might|should|could] [go|move|come|fly|return] to {pl} in {k} [days|weeks|months|hours|years]",
    "[his|her|their|our|your|my] [uncle|aunt|cousin|neighbor|partner|guest|doctor|husband|wife] [will|would|may|could] {do}",
    "the {adj} {noun} [of|from|in] {c} [is|was|costs|weighs|holds] {n} [dollars|meters|kilograms|pages|]",
    "[more|less|no more] {g}, [more|less|no more] {g2}",
    "[from|since|until|by|before] {wd} [to|until|and] {wd2} {s} [will|can|must] {do}",
    "[{nm}|{s}] [said|thinks|hopes|forgot|believes] that the {noun} [is|was|will be] {adj}",
    "[under|over|without|against|through|around|beyond] the {adj} {noun}, {s} {past}",
    "{n} [people|students|cars|trees|boxes|years|miles] [is|are|were] [too many|enough|not much|a lot] for {pl}",
)
_ZH = (
    "[为什么|什么时候|怎么|在哪里]{s}[会|要|能|想]{a}",
    "[难道|莫非|是不是]{s}{a}",
    "[谁|哪位|哪个人|什么人]{a}",
    "[如果|要是|假如|只要|既然|即使|虽然|因为]{s}{a}，{s2}[就|也|还是|便]{a2}",
    "[不要|千万别|别再|请不要|最好别]{v}",
    "[在|离|到|从]{pl}[的|]{pos}[有|没有|放着|站着]{k}[个|位]{noun}",
    "{wd}[以前|以后|那天|晚上|早上]{s}{a}",
    "[这些|那些|所有的|大部分|一半的]{noun}[都|]很{adj}",
    "[多么|真是|好一个]{adj}的{noun}",
    "[除了|关于|对于|至于]{noun}，{s}{a}",
    "[一边|先]{v}[一边|再]{v2}",
    "{k}[个|份|盒]{g}和{k2}[个|份|盒]{g2}",
    "[听说|据说|原来|看来|其实|好像]{s}{a}",
    "{s}[说|认为|希望|相信|以为]{noun}[很|不|太|最]{adj}",
    "[哪怕|不管|无论]{noun}[多|怎么|是否]{adj}，{s}也{a}",
    "{c}[到|和|离]{c2}[之间|中间]有{k}座{noun}",
    "[终于|突然|果然|居然|已经]{s}{a}",
    "[何必|何不|不如|要不要]{v}",
    "把{noun}[和|跟]{noun2}[放到|搬到|送到|拿到]{pl}",
    "被{noun}[吵醒|吓到|挡住|打断]的是{s}",
    "[越是|越来越]{adj}的{noun}",
    "[请|麻烦][让|叫|通知]{s}{v}",
    "{pl}{pos}的{noun}[是|不是]{adj}的",
    "[只有|除非]{s}{a}，[才|否则]{noun}会{adj}",
)  # fmt: skip
_ADJ_EN = ("big", "cold", "dark", "deep", "dirty", "dry", "empty", "fast", "fresh", "heavy", "high", "hot", "large", "light", "long", "narrow", "new", "old", "quiet", "round", "sharp", "short", "silver", "slow", "small", "soft", "strange", "strong", "sweet", "thick", "thin", "tiny", "warm", "wet", "wide", "wooden", "yellow", "young", "bright", "broken", "cheap", "clean", "ancient", "modern", "purple", "rough", "smooth")  # fmt: skip
_NOUN_EN = ("animal", "apple", "bag", "ball", "basket", "bear", "bell", "bicycle", "bird", "boat", "book", "bottle", "bowl", "bridge", "building", "button", "cake", "camera", "candle", "car", "castle", "chair", "clock", "cloud", "coat", "cup", "desk", "dog", "door", "dream", "elephant", "engine", "farm", "field", "flag", "flower", "forest", "fork", "friend", "garden", "gate", "guitar", "hammer", "hat", "house", "island", "jacket", "key", "king", "kitchen", "lake", "lamp", "letter", "lion", "machine", "map", "mirror", "mountain", "museum", "needle", "orange", "oven", "parcel", "pencil", "piano", "picture", "pillow", "planet", "pocket", "queen", "rabbit", "river", "road", "roof", "room", "school", "ship", "shirt", "shop", "snake", "soldier", "spoon", "station", "stone", "storm", "street", "sweater", "table", "teacher", "temple", "ticket", "tiger", "tower", "town", "toy", "train", "tree", "truck", "umbrella", "valley", "village", "violin", "voice", "wall", "wheel", "window", "wing")  # fmt: skip
_ADJ_ZH = ("漂亮", "干净", "新鲜", "古老", "年轻", "重要", "简单", "困难", "方便", "危险", "安全", "便宜", "快速", "缓慢", "明亮", "黑暗", "温暖", "寒冷", "炎热", "潮湿", "干燥", "柔软", "坚硬", "安静", "热闹", "聪明", "勇敢")  # fmt: skip
_NOUN_ZH = ("月亮", "森林", "河流", "石头", "窗户", "桌子", "椅子", "镜子", "冰箱", "照片", "颜色", "文章", "报纸", "信封", "号码", "节日", "行李", "飞机", "司机", "桥梁", "城市", "学生", "警察", "歌手", "邻居", "朋友", "老人", "眼睛", "药片", "比赛", "钢琴", "电影", "玩具", "故事", "机器", "工厂", "银行", "合同", "广告", "老虎", "熊猫", "蝴蝶", "雨伞", "屏幕", "按钮", "文件", "声音", "地图", "语言", "季节", "草莓", "火锅")  # fmt: skip
_POS_ZH = ("左边", "右边", "前面", "后面", "上面", "下面", "里面", "外面", "旁边", "附近")
_OBJECTS_EN = ("he", "she", "they", "we", "you", "your brother", "my mother", "the doctor", "the students", "everyone")
_PAST_EN = tuple(base for base, third in w.ACTIONS_EN if base == third)
_BASE_EN = tuple(base for base, third in w.ACTIONS_EN if base != third)
_THIRD_EN = tuple(third for base, third in w.ACTIONS_EN if base != third)


@lru_cache(maxsize=2)
def builds(lang: Lang) -> tuple[str, ...]:
    """The patterns, without those of which a wording is near to a command that only unseen test samples hold."""
    own, pool = (_ZH, patterns.COMMANDS_ZH) if lang == "zh" else (_EN, patterns.COMMANDS_EN)
    held = [text for pattern in held_out(pool) for text in expansions(pattern)]
    return tuple(p for p in own if not any(too_near(text, held) for text in expansions(p)))


@lru_cache(maxsize=1)
def _names() -> tuple[str, ...]:
    return tuple(name for name in NAMES_EN if known(name))


@lru_cache(maxsize=1)
def own_words() -> frozenset[str]:
    """Words that these English sentences bring in and repeat often enough to be learnt."""
    plural = " ".join(f"{noun}s" for noun in _NOUN_EN)
    return frozenset(unknown(" ".join((*(text for p in _EN for text in expansions(p)), plural))))


def teaches(text: str) -> bool:
    """Whether each word is known or one of `own_words`."""
    return unknown(text) <= own_words()


def unlike(rng: random.Random, lang: Lang) -> str:
    """One such sentence, without final punctuation."""
    pick, k = rng.choice, rng.randint
    pattern = pick(builds(lang))
    if lang == "zh":
        noun, noun2 = rng.sample(_NOUN_ZH, 2)
        return say(
            rng, pattern, s=pick(w.WHO_ZH), s2=pick(w.WHO_ZH), a=pick(w.ACTIONS_ZH), a2=pick(w.ACTIONS_ZH),
            v=pick(w.TASKS_ZH), v2=pick(w.TASKS_ZH), pl=pick(w.PLACES_ZH), pos=pick(_POS_ZH), noun=noun, noun2=noun2,
            adj=pick(_ADJ_ZH), wd=pick(w.WEEKDAYS_ZH), g=pick(w.GOODS_ZH), g2=pick(w.GOODS_ZH), c=pick(w.CITIES_ZH),
            c2=pick(w.CITIES_ZH), k=str(k(3, 30)), k2=str(k(3, 99)),
        )  # fmt: skip
    noun, noun2, noun3 = rng.sample(_NOUN_EN, 3)
    names = rng.sample(_names(), 2)
    return say(
        rng, pattern, s=pick(_OBJECTS_EN), s2=pick(_OBJECTS_EN), do=pick(_BASE_EN), does=pick(_THIRD_EN),
        past=pick(_PAST_EN), v=pick(w.TASKS_EN), pl=pick(w.PLACES_EN), g=pick(w.GOODS_EN), g2=pick(w.GOODS_EN),
        c=pick(w.CITIES_EN), nm=names[0], nm2=names[1], wd=pick(w.WEEKDAYS_EN), wd2=pick(w.WEEKDAYS_EN),
        d=pick(w.DAYS_EN), n=str(k(13, 999)), k=str(k(2, 30)), adj=pick(_ADJ_EN), noun=noun, noun2=noun2, noun3=noun3,
    ).strip()  # fmt: skip
