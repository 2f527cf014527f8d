"""Price questions: totals, change, discounts, unit prices, tips, splitting a bill, comparing offers."""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

import random
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from autoglm_phone.errors import ConfigError
from autoglm_phone.train.world.fillings import split_of
from autoglm_phone.train.world.lexicon import GOODS, person_name
from autoglm_phone.train.world.registry import Draft
from autoglm_phone.train.world.sample import Lang, Split, Turn
from autoglm_phone.train.world.text.grammar import say_one, vary
from autoglm_phone.train.world.text.phrases import held_out
from autoglm_phone.train.world.text.reply import MAX_REASONING, reply
from autoglm_phone.train.world.text.steps import NotWritable, compare, parse, places, show, work_out


@dataclass(frozen=True)
class Deal:
    """A price story. Letters of the formula: p q r prices, m a round banknote sum, n k l counts, d discount in tenths,
    t percent. `zh` / `en` may use {g} {gu} {h} {hu} goods with their measure words, {who}, and the letters."""

    level: int
    formula: str
    zh: str
    en: str
    percent: bool = False


DEALS: tuple[Deal, ...] = (
    Deal(1, "p*n", "一{gu}{g}{p}元,[买|要]{n}{gu}[一共|要|共]多少[钱|元]?", "One {g1} costs ${p}. How much [do|are] {n} {gs}[ cost|]?"),
    Deal(1, "p+q", "{g}{p}元,{h}{q}元,[一共|总共|加起来]多少[钱|元]?", "A {g1} costs ${p} and a {h1} ${q}. How much [together|in total|for both]?"),
    Deal(1, "m-p", "[买|付]{g}花了{p}元,付{m}元,[找|该找|应找][回|]多少[钱|元]?", "A {g1} costs ${p}. I pay with ${m}. How much change do I get?"),
    Deal(1, "p-q", "{g}[原价|以前]{p}元,[现价|现在]{q}元,便宜了多少[钱|元]?", "The price of a {g1} fell from ${p} to ${q}. How much [cheaper is it|do I save]?"),
    Deal(1, "s/n", "买{n}{gu}{g}花了{s}元,[单价|一{gu}]是多少[钱|元]?", "I paid ${s} for {n} {gs}. What is the price of one?"),
    Deal(1, "p*n", "{who}买{n}{gu}{g},单价{p}元,[要付|花了]多少[钱|元]?", "{who} buys {n} {gs} at ${p} each. How much does {who} pay?"),
    Deal(1, "m-p", "{who}带{m}元去买{p}元的{g},还剩多少[钱|元]?", "{who} has ${m} and buys a {g1} for ${p}. How much is left?"),
    Deal(1, "s/n", "{n}{gu}{g}[一共|共]{s}元,[一|每]{gu}多少[钱|元]?", "{n} {gs} cost ${s}. How much is one {g1}?"),
    Deal(2, "p*n+q", "{g}{p}元一{gu},买{n}{gu},再买一{hu}{q}元的{h},[一共|总共]多少[钱|元]?", "A {g1} costs ${p}. I buy {n} of them and a {h1} for ${q}. What is the total?"),
    Deal(2, "m-p*n", "{g}每{gu}{p}元,{who}买了{n}{gu},付了{m}元,[应|该|要]找[回|]多少[钱|元]?", "{who} buys {n} {gs} at ${p} each and pays ${m}. How much change does {who} get?"),
    Deal(2, "m-p-q", "{who}[带|有]{m}元,买{g}[用|花]了{p}元,买{h}[用|花]了{q}元,还剩多少[钱|元]?", "{who} has ${m}, spends ${p} on a {g1} and ${q} on a {h1}. How much is left?"),
    Deal(2, "p*d/10", "{g}原价{p}元,[打|现在打]{d}折[后|],[要|现价]多少[钱|元]?", "A {g1} costs ${p} and is sold at {D}% off. What is the price now?"),
    Deal(2, "p+q+r", "{g}{p}元,{h}{q}元,[运费|包装费|配送费]{r}元,[一共|总共]要多少[钱|元]?", "A {g1} is ${p}, a {h1} ${q} and delivery ${r}. What is the total?"),
    Deal(2, "(p+q)/n", "{n}个人[吃饭|AA],[菜|主食]{p}元,[饮料|酒水]{q}元,[平均|]每人[付|出]多少[钱|元]?", "{n} people share a bill: food ${p}, drinks ${q}. How much does each pay?"),
    Deal(2, "s/n*k", "{n}{gu}{g}卖{s}元,买{k}{gu}要多少[钱|元]?", "If {n} {gs} cost ${s}, what do {k} {gs} cost?"),
    Deal(2, "m-p*n", "用{m}元买{n}{gu}单价{p}元的{g},剩多少[钱|元]?", "From ${m}, {n} {gs} at ${p} each are paid. How much remains?"),
    Deal(2, "p*d/10", "{d}折买一{gu}{p}元的{g},[要付|花]多少[钱|元]?", "There is {D}% off a {g1} of ${p}. How much is it now?"),
    Deal(2, "s/n*k", "{n}{gu}{g}{s}元,[照这个价|这样算|那么]{k}{gu}多少[钱|元]?", "{n} {gs} cost ${s}. How much do {k} {gs} cost at that price?"),
    Deal(3, "p*n+q*k", "{g}{p}元一{gu},{h}{q}元一{hu},买{n}{gu}{g}和{k}{hu}{h}[一共|总共]多少[钱|元]?", "A {g1} costs ${p}, a {h1} ${q}. What do {n} {gs} and {k} {hs} cost?"),
    Deal(3, "p*n*d/10", "{g}每{gu}{p}元,买{n}{gu}打{d}折,[一共|总共|要]多少[钱|元]?", "One {g1} is ${p}. Buying {n} gives {D}% off the total. What do I pay?"),
    Deal(3, "m-(p*n+q)", "{who}付{m}元,买了{n}{gu}{p}元[一{gu}|]的{g}和一{hu}{q}元的{h},找[回|]多少[钱|元]?", "{who} pays ${m} for {n} {gs} at ${p} each and a {h1} for ${q}. How much change?"),
    Deal(3, "p*n-r", "{g}每{gu}{p}元,买{n}{gu},[用|有]一张{r}元[优惠券|代金券|红包],[实付|要付]多少[钱|元]?", "{n} {gs} at ${p} each, with a coupon of ${r}. How much do I pay?"),
    Deal(3, "m-p*d/10", "{g}原价{p}元,打{d}折,[付|给][了|]{m}元,找[回|]多少[钱|元]?", "A {g1} of ${p} is {D}% off. I pay with ${m}. How much change do I get?"),
    Deal(3, "(p*n+r)/k", "[订|点]了{n}{gu}{p}元的{g},配送费{r}元,{k}个人平分,每人多少[钱|元]?", "We order {n} {gs} at ${p} each, delivery ${r}. {k} people share it. How much does each pay?"),
    Deal(3, "p*n-q*n", "{g}甲店每{gu}{p}元,乙店每{gu}{q}元,买{n}{gu},[在乙店|去乙店]能省多少[钱|元]?", "A {g1} costs ${p} in one shop and ${q} in another. How much do I save on {n} in the cheaper one?"),
    Deal(3, "p+p*t/100", "吃饭花了{p}元,另付{t}%小费,共付多少[钱|元]?", "A meal costs ${p} and {who} adds {t}% as a tip. How much does {who} pay?", True),
    Deal(3, "p*n*d/10", "{n}{gu}单价{p}元的{g}打{d}折,[要付|实付]多少[钱|元]?", "{who} buys {n} {gs} at ${p} each with {D}% off. How much does {who} pay?"),
    Deal(3, "p*n+q*k", "{who}买了{n}{gu}{p}元的{g}和{k}{hu}{q}元的{h},[共花|要付]多少[钱|元]?", "{who} buys {n} {gs} at ${p} and {k} {hs} at ${q}. What is the total?"),
    Deal(3, "p+p*t/100", "[餐费|账单]{p}元,加{t}%[服务费|小费],[一共|总共]多少[钱|元]?", "The bill is ${p}. With a {t}% tip, what is the total?", True),
    Deal(4, "(p*n+q*k)*d/10", "{g}{p}元一{gu},{h}{q}元一{hu},买{n}{gu}{g}和{k}{hu}{h},[全部|一起]打{d}折,[要付|实付]多少[钱|元]?", "{n} {gs} at ${p} and {k} {hs} at ${q}, all {D}% off. How much do I pay?"),
    Deal(4, "m-p*n-q*k", "{who}[带|有]{m}元,买{n}{gu}{p}元的{g}和{k}{hu}{q}元的{h},还剩多少[钱|元]?", "{who} has ${m} and buys {n} {gs} at ${p} and {k} {hs} at ${q}. How much is left?"),
    Deal(4, "p*n*d/10-r", "{g}每{gu}{p}元,买{n}{gu}打{d}折,再减{r}元,[实付|最后]多少[钱|元]?", "{n} {gs} at ${p} each, {D}% off, then another ${r} off. How much do I pay?"),
    Deal(4, "(p*n+q)/k+r", "{n}{gu}{p}元的{g}和一{hu}{q}元的{h}由{k}人平摊,每人另交{r}元,每人共交多少[钱|元]?", "{n} {gs} at ${p} and a {h1} of ${q} are split by {k} people, and each adds ${r}. What does each pay?"),
    Deal(4, "p*n*d/10-r", "{n}{gu}单价{p}元的{g}打{d}折,再用{r}元券,[要付|实付]多少[钱|元]?", "{who} buys {n} {gs} at ${p} with {D}% off and a ${r} coupon. How much does {who} pay?"),
    Deal(4, "m-p*n-q*k", "用{m}元买{n}{gu}{p}元的{g}和{k}{hu}{q}元的{h},剩多少[钱|元]?", "From ${m}, {n} {gs} at ${p} and {k} {hs} at ${q} are paid. How much remains?"),
    Deal(4, "(p*n+q)/k+r", "{k}个人[合买|平分]{n}{gu}{p}元的{g}和{q}元的{h},每人再[付|加]{r}元[打车费|路费],每人[一共|]多少[钱|元]?", "{k} people share {n} {gs} at ${p} and a {h1} for ${q}; each also pays ${r} for the ride. How much does each pay?"),
)  # fmt: skip


# Other ways to say what the English tellings share.
_WIDER = (
    ("How much do I pay?", "[How much do I pay|What do I pay|How much do I have to pay]?"),
    ("What do I pay?", "[How much do I pay|What do I pay|How much do I have to pay]?"),
    ("How much does {who} pay?", "[How much does {who} pay|What does {who} pay|How much does {who} have to pay]?"),
    ("How much does each pay?", "[How much does each pay|What does each pay|How much does each have to pay]?"),
    ("What does each pay?", "[How much does each pay|What does each pay|How much does each have to pay]?"),
    ("What is the total?", "[What is the total|How much is the total|How much is that in total]?"),
    ("what is the total?", "[what is the total|how much is the total|how much is that in total]?"),
    ("How much is left?", "[How much is left|What is left|How much money is left]?"),
    ("How much remains?", "[How much remains|What remains|How much money is left]?"),
    ("How much change do I get?", "[How much change do I get|What change do I get|How much change is that]?"),
    ("How much change does {who} get?", "[How much change does {who} get|What change does {who} get]?"),
    ("How much change?", "[How much change is that|What is the change|How much change]?"),
    ("What is the price now?", "[What is the price now|How much is it now|What does it cost now]?"),
    ("How much is it now?", "[What is the price now|How much is it now|What does it cost now]?"),
    ("What is the price of one?", "[What is the price of one|How much is one|What does one cost]?"),
    ("How much is one {g1}?", "[How much is one {g1}|What does one {g1} cost|What is the price of one {g1}]?"),
    (" costs ${p}", " [costs|is] ${p}"),
    (" buys ", " [buys|takes] "),
)


@cache
def _tellings(formula: str, lang: Lang) -> tuple[str, ...]:
    """All patterns that tell a deal of this formula."""
    told = [deal.zh if lang == "zh" else deal.en for deal in DEALS if deal.formula == formula]
    if lang == "en":
        for words, wider in _WIDER:
            told = [text.replace(words, wider) if wider not in text else text for text in told]
    return tuple(told)


def _price(rng: random.Random, low: int, high: int, cents: bool) -> Decimal:
    """An amount; with cents it ends in .50, .90, .80 or any two digits."""
    whole = rng.randint(low, high)
    if not cents:
        return Decimal(whole)
    tail = rng.choice((50, 90, 80, 20, 99, 25, 75, rng.randint(1, 99)))
    return Decimal(whole * 100 + tail).scaleb(-2)


def _draw(rng: random.Random, deal: Deal) -> dict[str, Decimal]:
    cents = rng.random() < (0.35 if deal.level < 4 and "/" not in deal.formula else 0.0)
    top = rng.choice((20, 60, 99, 300 if deal.level <= 2 else 99))
    values: dict[str, Decimal] = {}
    for letter in "pqrsmnkdt":
        if letter not in deal.formula:
            continue
        if letter in "pq":
            values[letter] = _price(rng, 2, top, cents and rng.random() < 0.8)
        elif letter == "r":
            values[letter] = Decimal(rng.randint(2, 20))
        elif letter == "m":
            values[letter] = Decimal(rng.choice((10, 20, 50, 100, 100, 150, 200, 300, 500, 1000)))
        elif letter in "nk":
            values[letter] = Decimal(rng.randint(2, 9))
        elif letter == "d":
            values[letter] = Decimal(rng.randint(5, 9))
        elif letter == "t":
            values[letter] = Decimal(rng.choice((5, 10, 10, 15, 20)))
    if values.get("n") == values.get("k") and "n" in values:
        values["k"] += 1
    if "d" in values and rng.random() < 0.7:
        values["p"] = Decimal(rng.randint(1, 60) * 10) if deal.level < 4 else Decimal(rng.randint(2, 40) * 5)
    if "t" in values:
        values["p"] = Decimal(rng.randint(2, 40) * 10)
    if "s" in deal.formula:
        values["s"] = values["n"] * _price(rng, 2, 60, cents)
    return values


def _question(
    rng: random.Random, deal: Deal, values: dict[str, Decimal], lang: Lang, split: Split, unseen: bool
) -> str:
    (g, gu, g1, gs), (h, hu, h1, hs) = rng.sample(GOODS, 2)
    slots = {letter: show(value) for letter, value in values.items()}
    if "d" in values:
        slots["D"] = str(100 - int(values["d"]) * 10)
    who = person_name(rng, lang, split)
    text = say_one(
        rng,
        _tellings(deal.formula, lang),
        split,
        unseen,
        g=g,
        gu=gu,
        g1=g1,
        gs=gs,
        h=h,
        hu=hu,
        h1=h1,
        hs=hs,
        who=who,
        **slots,
    )
    if lang == "zh":
        if rng.random() < 0.25:
            text = text.replace("元", "块")
        return text
    for noun in (g1, h1):
        if noun[0] in "aeiou":
            text = text.replace(f"a {noun}", f"an {noun}").replace(f"A {noun}", f"An {noun}")
    return text


def _deal(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    level = rng.choice((1, 2, 2, 3, 3, 3, 4))
    # A formula told in one way only has no wording to hold out.
    deal = rng.choice([d for d in DEALS if d.level == level and (not unseen or held_out(_tellings(d.formula, lang)))])
    for _ in range(3000):
        values = _draw(rng, deal)
        if split_of("price.values", f"{deal.formula}{sorted(values.items())}") != split:
            continue
        try:
            lines, value = work_out(parse(deal.formula, values))
        except NotWritable:
            continue
        if value <= 0 or len("\n".join(lines)) > MAX_REASONING:
            continue
        amount = _money(value)
        if amount is None:
            continue
        if "d" in values and lang == "en":
            first = f"100-{100 - int(values['d']) * 10}={int(values['d'])}0"
            lines = [first, *lines]
        question = vary(rng, _question(rng, deal, values, lang, split, unseen), lang)
        text = show(amount)
        answer = f"答案是 {text} 元。" if lang == "zh" else f"The answer is ${text}."
        turns = (Turn("user", question), reply(lang, answer, "\n".join(lines)))
        return Draft(lang, level, turns, {"kind": "number", "value": text})
    raise ConfigError(f"price: {deal.formula!r} gives no numbers for split {split!r}")


def _money(value: Decimal) -> Decimal | None:
    """Whole, or with two places; more is not money."""
    if places(value) > 2:
        return None
    return Decimal(int(value)) if value == int(value) else value.quantize(Decimal("0.01"))


def _cheaper(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    """Two offers of the same thing: which is cheaper per piece?"""
    for _ in range(3000):
        n, k = rng.sample(range(2, 10), 2)
        p, q = rng.sample(range(2, 60), 2)
        if split_of("price.cheaper", f"{n},{k},{p},{q}") != split:
            continue
        zh, unit, _one, many = rng.choice(GOODS)
        lines = work_out(parse(f"{n * p}/{n}"))[0] + work_out(parse(f"{k * q}/{k}"))[0]
        lines.append(compare(p, q))
        zh_name, en_name = ("甲店", "乙店"), ("shop A", "shop B")
        patterns = (
            (
                "甲店{n}{u}{g}卖{s}元,乙店{k}{u}卖{t}元,哪[家|个店]更[便宜|划算]?",
                "{g}:甲店{s}元{n}{u},乙店{t}元{k}{u},哪家[便宜|划算]?",
                "在甲店{s}元能买{n}{u}{g},在乙店{t}元能买{k}{u},去哪家更划算?",
            )
            if lang == "zh"
            else (
                "Shop A sells {n} {g} for ${s}, shop B {k} for ${t}. Which is cheaper?",
                "{g}: shop A ${s} for {n}, shop B ${t} for {k}. Which shop is cheaper?",
                "In shop A {n} {g} cost ${s}; in shop B {k} cost ${t}. Which is the better deal?",
            )
        )
        question = say_one(rng, patterns, split, unseen,
                       n=str(n), k=str(k), s=str(n * p), t=str(k * q), g=zh if lang == "zh" else many, u=unit)  # fmt: skip
        winner = int(q < p)
        if lang == "zh":
            answer, must, wrong = (
                f"{zh_name[winner]}更便宜,每{unit} {min(p, q)} 元。",
                [zh_name[winner]],
                [zh_name[1 - winner]],
            )
        else:
            answer, must, wrong = (
                f"{en_name[winner].replace('s', 'S')} is cheaper, at ${min(p, q)} each.",
                [en_name[winner]],
                [en_name[1 - winner]],
            )
        truth = {"kind": "contains", "must": must, "must_not": wrong}
        return Draft(lang, 3, (Turn("user", vary(rng, question, lang)), reply(lang, answer, "\n".join(lines))), truth)
    raise ConfigError(f"price: no offers for split {split!r}")


def build(rng: random.Random, split: Split, unseen: bool) -> Draft:
    lang: Lang = "zh" if rng.random() < 0.5 else "en"
    return _cheaper(rng, split, unseen, lang) if rng.random() < 0.1 else _deal(rng, split, unseen, lang)


BUILDERS = {"price": build}
