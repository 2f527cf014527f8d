"""Translation zh↔en of sentences from a parallel grammar: one best translation each, combinations held out for the test.

Chinese order is subject, time, place, verb, object; English is subject, verb, object, place, time.
"""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

import random
from collections.abc import Callable

from autoglm_phone.train.world.fillings import compose
from autoglm_phone.train.world.lexicon_parallel import (
    ADJECTIVES,
    CAUSES,
    CONDITIONS,
    EXIST,
    FUTURE,
    GO_TO,
    HABIT,
    MOODS,
    NOUNS,
    OFTEN,
    ON_THINGS,
    PAST,
    PEOPLE,
    PHRASES,
    PLACES,
    STATIVE,
    SUBJECT_THINGS,
    VERBS,
    Person,
    Verb,
)
from autoglm_phone.train.world.registry import Draft
from autoglm_phone.train.world.sample import Lang, Split, Turn
from autoglm_phone.train.world.text.grammar import full_width, say_one
from autoglm_phone.train.world.text.reply import reply

Pair = tuple[str, str]


def _object(rng: random.Random, verb: Verb, subject: Person | None = None) -> Pair:
    kind = rng.choice(verb.objects)
    if kind != "person":
        return rng.choice(NOUNS[kind])
    person = rng.choice(PEOPLE)
    while subject is not None and (
        person.zh == subject.zh
        or {person.zh, subject.zh} <= {"我", "我们"}
        or (person.en in ("he", "she") and subject.third)
    ):
        person = rng.choice(PEOPLE)
    return person.zh, person.obj


def _place(rng: random.Random, verb: Verb, chance: float = 0.4) -> Pair:
    if verb.place_ok and rng.random() < chance:
        zh, en = rng.choice(PLACES)
        return zh, " " + en
    return "", ""


def _verb(rng: random.Random, progressive: bool = False) -> Verb:
    while True:
        verb = rng.choice(VERBS)
        if not (progressive and verb.zh in STATIVE):
            return verb


def _past(rng: random.Random) -> Pair:
    s, v = rng.choice(PEOPLE), _verb(rng, progressive=True)
    (oz, oe), (pz, pe), (tz, te) = _object(rng, v, s), _place(rng, v), rng.choice(PAST)
    return f"{s.zh}{tz}{pz}{v.zh}了{oz}。", f"{s.en} {v.past} {oe}{pe} {te}."


def _past_not(rng: random.Random) -> Pair:
    s, v = rng.choice(PEOPLE), _verb(rng, progressive=True)
    (oz, oe), (pz, pe), (tz, te) = _object(rng, v, s), _place(rng, v), rng.choice(PAST)
    return f"{s.zh}{tz}没有{pz}{v.zh}{oz}。", f"{s.en} did not {v.base} {oe}{pe} {te}."


def _past_question(rng: random.Random) -> Pair:
    s, v = rng.choice(PEOPLE[1:]), _verb(rng, progressive=True)
    (oz, oe), (pz, pe), (tz, te) = _object(rng, v, s), _place(rng, v), rng.choice(PAST)
    return f"{s.zh}{tz}{pz}{v.zh}{oz}了吗?", f"did {s.en} {v.base} {oe}{pe} {te}?"


def _future(rng: random.Random) -> Pair:
    s, v = rng.choice(PEOPLE), _verb(rng, progressive=True)
    (oz, oe), (pz, pe), (tz, te) = _object(rng, v, s), _place(rng, v), rng.choice(FUTURE)
    no = rng.random() < 0.3
    return (
        f"{s.zh}{tz}{'不' if no else ''}会{pz}{v.zh}{oz}。",
        f"{s.en} will {'not ' if no else ''}{v.base} {oe}{pe} {te}.",
    )


def _future_question(rng: random.Random) -> Pair:
    s, v = rng.choice(PEOPLE[1:]), _verb(rng, progressive=True)
    (oz, oe), (pz, pe), (tz, te) = _object(rng, v, s), _place(rng, v), rng.choice(FUTURE)
    return f"{s.zh}{tz}会{pz}{v.zh}{oz}吗?", f"will {s.en} {v.base} {oe}{pe} {te}?"


def _habit(rng: random.Random) -> Pair:
    s, v = rng.choice(PEOPLE), _verb(rng, progressive=True)
    (oz, oe), (pz, pe), (tz, te) = _object(rng, v, s), _place(rng, v), rng.choice(HABIT)
    return f"{s.zh}{tz}{pz}{v.zh}{oz}。", f"{s.en} {v.third if s.third else v.base} {oe}{pe} {te}."


def _often(rng: random.Random) -> Pair:
    s, v = rng.choice(PEOPLE), _verb(rng, progressive=True)
    (oz, oe), (pz, pe), (tz, te) = _object(rng, v, s), _place(rng, v), rng.choice(OFTEN)
    return f"{s.zh}{tz}{pz}{v.zh}{oz}。", f"{s.en} {te} {v.third if s.third else v.base} {oe}{pe}."


def _present(rng: random.Random) -> Pair:
    """Likes and needs."""
    s, v = rng.choice(PEOPLE), rng.choice([verb for verb in VERBS if verb.zh in STATIVE])
    oz, oe = _object(rng, v, s)
    form = rng.randrange(3)
    do = "does" if s.third else "do"
    if form == 0:
        return f"{s.zh}{v.zh}{oz}。", f"{s.en} {v.third if s.third else v.base} {oe}."
    if form == 1:
        return f"{s.zh}不{v.zh}{oz}。", f"{s.en} {do} not {v.base} {oe}."
    return f"{s.zh}{v.zh}{oz}吗?", f"{do} {s.en} {v.base} {oe}?"


def _progressive(rng: random.Random) -> Pair:
    s, v = rng.choice(PEOPLE), _verb(rng, progressive=True)
    (oz, oe), (pz, pe) = _object(rng, v, s), _place(rng, v)
    if rng.random() < 0.25 and s.zh != "我":
        return f"{s.zh}正{pz or '在'}{v.zh}{oz}吗?", f"{s.be} {s.en} {v.ing} {oe}{pe}?"
    return f"{s.zh}正{pz or '在'}{v.zh}{oz}。", f"{s.en} {s.be} {v.ing} {oe}{pe}."


def _modal(rng: random.Random) -> Pair:
    s, v = rng.choice(PEOPLE), _verb(rng, progressive=True)
    (oz, oe), (pz, pe) = _object(rng, v, s), _place(rng, v, 0.25)
    want = "wants to" if s.third else "want to"
    do = "does" if s.third else "do"
    zh, en = rng.choice((
        ("想", want), ("不想", f"{do} not want to"), ("必须", "must"), ("可以", "can"), ("不能", "cannot"), ("应该", "should"), ("不应该", "should not"), ("打算", "plans to" if s.third else "plan to"),
    ))  # fmt: skip
    return f"{s.zh}{zh}{pz}{v.zh}{oz}。", f"{s.en} {en} {v.base} {oe}{pe}."


def _can_question(rng: random.Random) -> Pair:
    s, v = rng.choice(PEOPLE), _verb(rng, progressive=True)
    oz, oe = _object(rng, v, s)
    do = "does" if s.third else "do"
    zh, en = rng.choice((("能", "can"), ("应该", "should")))
    if rng.random() < 0.4:
        return f"{s.zh}想{v.zh}{oz}吗?", f"{do} {s.en} want to {v.base} {oe}?"
    return f"{s.zh}{zh}{v.zh}{oz}吗?", f"{en} {s.en} {v.base} {oe}?"


def _request(rng: random.Random) -> Pair:
    v = _verb(rng, progressive=True)
    oz, oe = _object(rng, v, PEOPLE[1])
    if oz == "你":
        oz, oe = "他", "him"
    form = rng.randrange(5)
    if form == 0:
        return f"请{v.zh}{oz}。", f"please {v.base} {oe}."
    if form == 1:
        return f"不要{v.zh}{oz}。", f"do not {v.base} {oe}."
    if form == 2:
        return f"我们{v.zh}{oz}吧。", f"let us {v.base} {oe}."
    if form == 3:
        return f"别忘了{v.zh}{oz}。", f"do not forget to {v.base} {oe}."
    return f"你能帮我{v.zh}{oz}吗?", f"can you help me {v.base} {oe}?"


def _wh(rng: random.Random) -> Pair:
    s, v = rng.choice(PEOPLE[1:]), _verb(rng, progressive=True)
    oz, oe = _object(rng, v, s)
    form = rng.randrange(4)
    if form == 0:
        return f"{s.zh}什么时候{v.zh}{oz}?", f"when {'does' if s.third else 'do'} {s.en} {v.base} {oe}?"
    if form == 1:
        return f"{s.zh}为什么{v.zh}{oz}?", f"why {'does' if s.third else 'do'} {s.en} {v.base} {oe}?"
    if form == 2:
        tz, te = rng.choice(PAST)
        return f"谁{tz}{v.zh}了{oz}?", f"who {v.past} {oe} {te}?"
    return f"{s.zh}怎么{v.zh}{oz}?", f"how {'does' if s.third else 'do'} {s.en} {v.base} {oe}?"


def _where(rng: random.Random) -> Pair:
    zh, en = rng.choice(NOUNS["item"])
    plural = (en.endswith("s") and not en.endswith("ss")) or en.endswith("glasses")
    return f"{zh}在哪里?", f"where {'are' if plural else 'is'} {en}?"


def _go(rng: random.Random) -> Pair:
    s = rng.choice(PEOPLE)
    zh, en = rng.choice(GO_TO)
    form = rng.randrange(5)
    if form == 0:
        tz, te = rng.choice(PAST)
        return f"{s.zh}{tz}去了{zh}。", f"{s.en} went to {en} {te}."
    if form == 1:
        tz, te = rng.choice(FUTURE)
        return f"{s.zh}{tz}会去{zh}。", f"{s.en} will go to {en} {te}."
    if form == 2:
        return f"{s.zh}想去{zh}。", f"{s.en} {'wants' if s.third else 'want'} to go to {en}."
    if form == 3:
        bz, be = rng.choice(
            (
                ("坐公交车", "by bus"),
                ("坐火车", "by train"),
                ("坐飞机", "by plane"),
                ("坐地铁", "by subway"),
                ("骑自行车", "by bicycle"),
                ("开车", "by car"),
            )
        )
        tz, te = rng.choice(HABIT)
        return f"{s.zh}{tz}{bz}去{zh}。", f"{s.en} {'goes' if s.third else 'go'} to {en} {be} {te}."
    return f"去{zh}怎么走?", f"how do I get to {en}?"


def _adjective(rng: random.Random) -> Pair:
    (sz, se), (az, ae) = rng.choice(SUBJECT_THINGS), rng.choice(ADJECTIVES)
    form = rng.randrange(5)
    if form == 0:
        return f"{sz}很{az}。", f"{se} is very {ae}."
    if form == 1:
        return f"{sz}不{az}。", f"{se} is not {ae}."
    if form == 2:
        return f"{sz}太{az}了。", f"{se} is too {ae}."
    if form == 3:
        return f"{sz}{az}吗?", f"is {se} {ae}?"
    bz, be = rng.choice(ADJECTIVES)
    return f"{sz}很{az},但是不{bz}。", f"{se} is very {ae}, but not {be}."


def _mood(rng: random.Random) -> Pair:
    s = rng.choice(PEOPLE)
    az, ae = rng.choice([mood for mood in MOODS if mood[0] != "迟到"])
    form = rng.randrange(4)
    if form == 0:
        return f"{s.zh}很{az}。", f"{s.en} {s.be} very {ae}."
    if form == 1:
        return f"{s.zh}不{az}。", f"{s.en} {s.be} not {ae}."
    if form == 2:
        tz, te = rng.choice(PAST)
        return f"{s.zh}{tz}很{az}。", f"{s.en} {'were' if s.be == 'are' else 'was'} very {ae} {te}."
    return f"{s.zh}{az}吗?", f"{s.be} {s.en} {ae}?"


def _exist(rng: random.Random) -> Pair:
    (pz, pe), (oz, oe) = rng.choice(ON_THINGS), rng.choice(EXIST)
    plural = oe.split()[0] in ("two", "three", "four", "five", "many")
    be = "are" if plural else "is"
    if rng.random() < 0.3:
        return f"{pz}有{oz}吗?", f"{be} there {oe} {pe}?"
    return f"{pz}有{oz}。", f"there {be} {oe} {pe}."


def _because(rng: random.Random) -> Pair:
    (cz, ce), s, v = rng.choice(CAUSES), rng.choice(PEOPLE), _verb(rng, progressive=True)
    oz, oe = _object(rng, v, s)
    if rng.random() < 0.5:
        return f"因为{cz},所以{s.zh}不能{v.zh}{oz}。", f"{s.en} cannot {v.base} {oe} because {ce}."
    return (
        f"虽然{cz},但是{s.zh}想{v.zh}{oz}。",
        f"although {ce}, {s.en} {'wants' if s.third else 'want'} to {v.base} {oe}.",
    )


def _if(rng: random.Random) -> Pair:
    (cz, ce), s, v = rng.choice(CONDITIONS), rng.choice(PEOPLE), _verb(rng, progressive=True)
    oz, oe = _object(rng, v, s)
    if rng.random() < 0.3:
        if oz == "你":
            oz, oe = "他", "him"
        return f"如果{cz},请{v.zh}{oz}。", f"if {ce}, please {v.base} {oe}."
    return f"如果{cz},{s.zh}就会{v.zh}{oz}。", f"if {ce}, {s.en} will {v.base} {oe}."


def _two(rng: random.Random) -> Pair:
    """Two actions of one subject."""
    s = rng.choice(PEOPLE)
    v, w = _verb(rng, progressive=True), _verb(rng, progressive=True)
    (oz, oe), (qz, qe) = _object(rng, v, s), _object(rng, w, s)
    tz, te = rng.choice(PAST)
    if rng.random() < 0.5:
        return f"{s.zh}{tz}{v.zh}了{oz},然后{w.zh}了{qz}。", f"{s.en} {v.past} {oe} {te} and then {w.past} {qe}."
    return (
        f"{s.zh}想{v.zh}{oz},但是必须{w.zh}{qz}。",
        f"{s.en} {'wants' if s.third else 'want'} to {v.base} {oe} but must {w.base} {qe}.",
    )


def _phrase(rng: random.Random) -> Pair:
    zh, en = rng.choice(PHRASES)
    question = zh in ("多少钱", "请问洗手间在哪里")
    return zh + ("?" if question else "。"), en + ("?" if question else ".")


_CLAUSES: tuple[Callable[[random.Random], Pair], ...] = (
    _past, _past, _past_not, _past_question, _future, _future, _future_question, _habit, _often, _present, _progressive, _progressive, _modal, _modal,
    _can_question, _request, _request, _wh, _where, _go, _go, _adjective, _adjective, _mood, _exist, _because, _if, _two,
)  # fmt: skip

_ASK_TO_EN = {
    "zh": (
        "[请|帮我|麻烦|][把|将]下面[的句子|这句话|的话|][翻译|译]成英[文|语]:{x}",
        "[翻译|翻译一下|请翻译|帮我翻译]:{x}",
        "“{x}”用英[文|语]怎么说?",
        "{x} [翻译|译]成英[文|语]",
        "英[文|语]翻译:{x}",
        "[中译英|汉译英]:{x}",
        "[把|将]“{x}”[翻译|译]成英[文|语]",
        "{x}\n[请|][翻译|译]成英[文|语][。|]",
        "怎么用英[文|语]说“{x}”?",
        "这句话的英文是什么:{x}",
        "我想用英语说:{x}",
    ),
    "en": (
        "[Please |]translate [into|to] English: {x}",
        "Translate [this|the sentence] [into|to] English: {x}",
        'How do you say "{x}" in English?',
        "What does “{x}” mean?",
        "Chinese to English: {x}",
        "{x}\nTranslate [into|to] English[.|]",
        "What is the English for “{x}”?",
        "Give the English translation: {x}",
        "In English please: {x}",
    ),
}
_ASK_TO_ZH = {
    "zh": ("[请|帮我|麻烦|][把|将]下面[的句子|这句话|的话|][翻译|译]成中文:{x}", "[翻译|翻译一下|请翻译|帮我翻译]:{x}", "“{x}”用中文怎么说?", "“{x}”是什么意思?", "{x} [翻译|译]成[中文|汉语]", "中文翻译:{x}", "[英译中|英译汉]:{x}", "[把|将]“{x}”[翻译|译]成[中文|汉语]", "{x}\n[请|][翻译|译]成中文[。|]", "这句英文怎么说成中文:{x}", "这句话的中文是什么:{x}"),
    "en": ("[Please |]translate [into|to] Chinese: {x}", "Translate [this|the sentence] [into|to] Chinese: {x}", 'How do you say "{x}" in Chinese?', "English to Chinese: {x}", "{x}\nTranslate [into|to] Chinese[.|]", "What is the Chinese for “{x}”?", "Give the Chinese translation: {x}", "In Chinese please: {x}"),
}  # fmt: skip


def sentence(rng: random.Random) -> Pair:
    """A Chinese sentence and its translation."""
    zh, en = (_phrase if rng.random() < 0.02 else rng.choice(_CLAUSES))(rng)
    return full_width(zh), en[0].upper() + en[1:]


def build(rng: random.Random, split: Split, unseen: bool) -> Draft:
    zh, en = compose(rng, "translate.sentence", sentence, split)
    to_english = rng.random() < 0.5
    asked_in: Lang = "zh" if rng.random() < 0.5 else "en"
    source, target = (zh, en) if to_english else (en, zh)
    table = (_ASK_TO_EN if to_english else _ASK_TO_ZH)[asked_in]
    shown = source
    draw = rng.random()
    if draw < 0.15:
        shown = shown.rstrip("。.")
    elif draw < 0.22 and not to_english:
        shown = shown.lower()
    prompt = say_one(rng, table, split, unseen, x="\0")
    if asked_in == "zh":
        prompt = full_width(prompt)
        if "\0" in prompt and rng.random() < 0.7:
            prompt = prompt.replace(":\0", "\uff1a\0")
    if rng.random() < 0.15:
        prompt = prompt.replace("“", '"').replace("”", '"')
    if asked_in == "en" and rng.random() < 0.15:
        prompt = prompt.lower()
    prompt = prompt.replace("\0", shown)
    target_lang: Lang = "en" if to_english else "zh"
    level = 0 if len(zh) < 8 else 1 if len(zh) < 12 else 2 if len(zh) < 17 else 3
    answer = reply(target_lang, target)
    truth = {"kind": "bleu", "reference": answer.text, "lang": target_lang}
    return Draft(asked_in, level, (Turn("user", prompt), answer), truth)


BUILDERS = {"translate": build}
