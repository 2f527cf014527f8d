"""Word problems: a formula over drawn numbers and how it is told in both languages.

Slots: a–f numbers, {who} {other} names, {thing} a plural noun with its Chinese measure word {unit}.
"""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Story:
    """ranges: inclusive bounds of each letter of the formula. level: difficulty 1–4."""

    level: int
    formula: str
    ranges: dict[str, tuple[int, int]]
    zh: str
    en: str


def _story(level: int, formula: str, ranges: str, zh: str, en: str) -> Story:
    """ranges as `a10-90 b2-9`."""
    bounds = {}
    for part in ranges.split():
        low, high = part[1:].split("-")
        bounds[part[0]] = (int(low), int(high))
    return Story(level, formula, bounds, zh, en)


STORIES: tuple[Story, ...] = (
    _story(1, "a+b", "a5-90 b3-60", "{who}有{a}{unit}{thing},[又买了|又得到|妈妈又给了他]{b}{unit},[现在|]一共有[多少|几]{unit}?",
           "{who} has {a} {thing} and [buys|gets|finds] {b} more. How many {thing} [does {who} have|are there] now?"),
    _story(1, "a-b", "a12-99 b3-60", "{who}有{a}{unit}{thing},[送给{other}|给了{other}|卖掉|用掉]{b}{unit},还剩[多少|几]{unit}?",
           "{who} has {a} {thing} and [gives {other} {b}|gives {b} to {other}|loses {b}]. How many are left?"),
    _story(1, "a*b", "a2-9 b3-60", "[每盒|每袋|每箱]有{b}{unit}{thing},{a}[盒|袋|箱][一共|总共|]有多少{unit}?",
           "[There are {a} boxes|{who} has {a} boxes] with {b} {thing} each. How many {thing} [in all|in total|altogether]?"),
    _story(1, "a/b", "a12-99 b2-9", "把{a}{unit}{thing}平均分给{b}个[人|孩子|同学|朋友],每人[分到|得到|有]几{unit}?",
           "{a} {thing} are shared equally by {b} [children|friends|people]. How many does each get?"),
    _story(1, "a-b", "a20-99 b5-60", "{who}有{a}{unit}{thing},{other}有{b}{unit},{who}比{other}多[多少|几]{unit}?",
           "{who} has {a} {thing}, {other} has {b}. How many more does {who} have?"),
    _story(1, "a+b", "a100-700 b50-290", "[学校|图书馆|仓库|商店]原来有{a}{unit}{thing},[今天|上午|这周]又[运来|送来|买了]{b}{unit},现在有多少{unit}?",
           "A [school|store|library] had {a} {thing} and got {b} more. How many are there now?"),
    _story(2, "a+b-c", "a20-300 b10-200 c5-150", "{who}有{a}{unit}{thing},[又买了|又得到]{b}{unit},[后来|然后|又]送出{c}{unit},[现在|]还有多少{unit}?",
           "{who} had {a} {thing}, [bought|got] {b} more and gave away {c}. How many are left?"),
    _story(2, "a*b-c", "a2-9 b5-40 c3-60", "{who}买了{a}[盒|箱|袋]{thing},每[盒|箱|袋]{b}{unit},[吃了|用了|送人]{c}{unit},还剩多少{unit}?",
           "{who} buys {a} boxes of {b} {thing} and [uses|gives away|loses] {c}. How many are left?"),
    _story(2, "a*b+c", "a2-9 b5-40 c3-80", "[货架上有|这里有|{who}有]{a}[箱|盒]{thing},每[箱|盒]{b}{unit},另外还有{c}{unit},[一共|总共]多少{unit}?",
           "There are {a} boxes with {b} {thing} each and {c} loose ones. How many {thing} in total?"),
    _story(2, "(a-b)/c", "a20-120 b2-40 c2-9", "{who}有{a}{unit}{thing},自己留下{b}{unit},其余平均分给{c}个[朋友|同学|孩子],每人[分到|得到]几{unit}?",
           "{who} has {a} {thing}, keeps {b} and shares the rest equally among {c} friends. How many does each friend get?"),
    _story(2, "(a+b)*c", "a3-30 b3-30 c2-9", "{who}每天[做|折|画]{a}{unit}{thing},{other}每天{b}{unit},两人{c}天一共多少{unit}?",
           "Each day {who} makes {a} {thing} and {other} makes {b}. How many do they make together in {c} days?"),
    _story(2, "a-b*c", "a60-400 b2-9 c5-40", "一共有{a}{unit}{thing},[每天|每次][用掉|卖出|吃掉]{c}{unit},{b}[天|次]后还剩多少{unit}?",
           "There are {a} {thing}. {c} are used each day. How many are left after {b} days?"),
    _story(2, "a*b/c", "a2-9 b10-60 c2-9", "{a}[箱|盒]{thing},每[箱|盒]{b}{unit},平均分给{c}[个班|个组|家店],每[班|组|家]多少{unit}?",
           "{a} boxes of {b} {thing} are shared equally by {c} [classes|teams|shops]. How many does each get?"),
    _story(2, "a-b-c", "a100-900 b20-300 c20-300", "[商店|仓库|{who}家]有{a}{unit}{thing},[上午|昨天]卖出{b}{unit},[下午|今天]卖出{c}{unit},还剩多少{unit}?",
           "A shop has {a} {thing}. It sells {b} in the morning and {c} in the afternoon. How many are left?"),
    _story(3, "a*b+c*d", "a2-9 b5-40 c2-9 d5-40", "{who}买了{a}盒{thing},每盒{b}{unit};又买了{c}袋,每袋{d}{unit}。一共有多少{unit}?",
           "{who} buys {a} boxes with {b} {thing} each and {c} bags with {d} each. How many {thing} in total?"),
    _story(3, "(a+b)*c-d", "a5-40 b5-40 c2-9 d5-60", "{who}每天[做|摘|捡]{a}{unit}{thing},{other}每天{b}{unit},{c}天后[送出|卖掉]{d}{unit},两人还剩多少{unit}?",
           "Each day {who} picks {a} {thing} and {other} picks {b}. After {c} days they sell {d}. How many are left?"),
    _story(3, "(a*b-c)/d", "a2-9 b10-60 c2-40 d2-9", "{a}[箱|盒]{thing},每[箱|盒]{b}{unit},[坏了|丢了]{c}{unit},剩下的平均分给{d}个人,每人几{unit}?",
           "There are {a} boxes of {b} {thing}; {c} are lost and the rest is shared equally by {d} people. How many does each get?"),
    _story(3, "a-b*c+d", "a80-400 b2-9 c5-40 d5-90", "[店里|仓库|{who}]原有{a}{unit}{thing},每天[卖出|用去]{c}{unit},{b}天后又[进了|买了]{d}{unit},现在有多少{unit}?",
           "A shop has {a} {thing}, sells {c} a day for {b} days and then gets {d} more. How many are there now?"),
    _story(3, "(a-b)*c", "a60-200 b20-59 c2-9", "原计划每天[生产|做]{a}{unit}{thing},实际每天少{b}{unit},{c}天[做了|生产了]多少{unit}?",
           "The plan was {a} {thing} a day, but {b} fewer were made each day. How many were made in {c} days?"),
    _story(3, "a+(a+b)", "a20-400 b5-200", "{who}有{a}{unit}{thing},{other}比{who}多{b}{unit},两人一共有多少{unit}?",
           "{who} has {a} {thing}; {other} has {b} more than {who}. How many do they have together?"),
    _story(3, "a+a*b", "a10-90 b2-8", "{who}有{a}{unit}{thing},{other}的[数量|个数]是{who}的{b}倍,两人一共有多少{unit}?",
           "{who} has {a} {thing}; {other} has {b} times as many. How many do they have together?"),
    _story(4, "a*b+c*d-e", "a2-9 b5-30 c2-9 d5-30 e5-60", "{who}买{a}盒{thing},每盒{b}{unit},{other}买{c}盒,每盒{d}{unit},一共[用掉|吃掉|送出]{e}{unit},还剩多少{unit}?",
           "{who} buys {a} boxes of {b} {thing}, {other} buys {c} boxes of {d}. They use {e}. How many are left?"),
    _story(4, "(a+b)*c/d", "a5-40 b5-40 c2-9 d2-9", "{who}每天[做|折]{a}{unit}{thing},{other}每天{b}{unit},{c}天的成果平均装进{d}个盒子,每盒几{unit}?",
           "Each day {who} makes {a} {thing} and {other} {b}. What they make in {c} days goes equally into {d} boxes. How many in each box?"),
    _story(4, "a-(b+c)*d", "a200-900 b5-40 c5-40 d2-9", "[仓库|店里]有{a}{unit}{thing},每天上午[卖出|用掉]{b}{unit},下午{c}{unit},{d}天后还剩多少{unit}?",
           "A shop has {a} {thing}. Each day it sells {b} in the morning and {c} in the afternoon. How many are left after {d} days?"),
    _story(4, "(a*b+c)/d", "a2-9 b10-50 c5-60 d2-9", "{who}有{a}[盒|袋]{thing},每[盒|袋]{b}{unit},又[得到|买了]{c}{unit},平均分成{d}份,每份几{unit}?",
           "{who} has {a} bags of {b} {thing} and gets {c} more, then splits them into {d} equal parts. How many in each part?"),
    _story(4, "a*b-c-d", "a3-9 b20-90 c5-90 d5-90", "{a}箱{thing},每箱{b}{unit},[第一天|上午]卖出{c}{unit},[第二天|下午]卖出{d}{unit},还剩多少{unit}?",
           "There are {a} crates of {b} {thing}. {c} are sold on the first day and {d} on the second. How many are left?"),
    _story(4, "(a+a*b)/c", "a10-60 b2-6 c2-9", "{who}有{a}{unit}{thing},{other}有它的{b}倍,合在一起平均分给{c}个人,每人几{unit}?",
           "{who} has {a} {thing}, {other} has {b} times as many. Together they share them equally among {c} people. How many does each get?"),
)  # fmt: skip
