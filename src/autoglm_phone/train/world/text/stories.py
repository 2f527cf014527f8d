"""Word problems: a formula over drawn numbers and how it is told in both languages; the last telling is held out.

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
    zh: tuple[str, ...]
    en: tuple[str, ...]


def _story(level: int, formula: str, ranges: str, zh: tuple[str, ...], en: tuple[str, ...]) -> Story:
    """ranges as `a10-90 b2-9`."""
    bounds = {}
    for part in ranges.split():
        low, high = part[1:].split("-")
        bounds[part[0]] = (int(low), int(high))
    return Story(level, formula, bounds, zh, en)


STORIES: tuple[Story, ...] = (
    _story(1, "a+b", "a5-90 b3-60",
        ("{who}有{a}{unit}{thing},[又买了|又得到|妈妈又给了他]{b}{unit},[现在|]一共有[多少|几]{unit}?", "{who}[原来|本来]有{a}{unit}{thing},后来[多了|增加了]{b}{unit},现在有[多少|几]{unit}{thing}?", "{thing}{a}{unit},再[加|添]{b}{unit},共[几|多少]{unit}?", "桌上放着{a}{unit}{thing},{who}又放上{b}{unit},现在桌上有多少{unit}?"),
        ("{who} has {a} {thing} and [buys|gets|finds] {b} more. How many {thing} [does {who} have|are there] now?", "{who} had {a} {thing}. Then {who} [bought|got|found] {b} more. How many {thing} [is that|are there]?", "There are {a} {thing} and {b} more are added. How many [altogether|in all]?", "On the table are {a} {thing}; {who} puts {b} more there. How many are on the table?")),
    _story(1, "a-b", "a12-99 b3-60",
        ("{who}有{a}{unit}{thing},[送给{other}|给了{other}|卖掉|用掉]{b}{unit},还剩[多少|几]{unit}?", "{a}{unit}{thing},[拿走|吃掉|丢了|少了]{b}{unit},[还有|剩下][多少|几]{unit}?", "{who}原来有{a}{unit}{thing},[弄丢了|送人]{b}{unit},现在有几{unit}?", "盒子里有{a}{unit}{thing},取出{b}{unit}后,盒里还有多少{unit}?"),
        ("{who} has {a} {thing} and [gives {other} {b}|gives {b} to {other}|loses {b}]. How many are left?", "There are {a} {thing}. {b} are [taken away|sold|eaten|lost]. How many remain?", "{who} had {a} {thing} and [used|sold|lost] {b}. How many does {who} have now?", "A box holds {a} {thing}; {b} are taken out. How many are still in the box?")),
    _story(1, "a*b", "a2-9 b3-60",
        ("[每盒|每袋|每箱]有{b}{unit}{thing},{a}[盒|袋|箱][一共|总共|]有多少{unit}?", "{a}[盒|袋|箱]{thing},每[盒|袋|箱]{b}{unit},共[多少|几]{unit}?", "{who}每天[做|买]{b}{unit}{thing},{a}天[一共|]多少{unit}?", "{who}有{a}排{thing},每排{b}{unit},一共多少{unit}?"),
        ("[There are {a} boxes|{who} has {a} boxes] with {b} {thing} each. How many {thing} [in all|in total|altogether]?", "Each [box|bag] holds {b} {thing}. How many {thing} are in {a} [boxes|bags]?", "{who} makes {b} {thing} a day. How many in {a} days?", "{who} sees {a} rows of {b} {thing}. How many {thing} is that?")),
    _story(1, "a/b", "a12-99 b2-9",
        ("把{a}{unit}{thing}平均分给{b}个[人|孩子|同学|朋友],每人[分到|得到|有]几{unit}?", "{a}{unit}{thing}[平均|]分成{b}[份|堆|组],每[份|堆|组]几{unit}?", "{b}个[人|孩子]平分{a}{unit}{thing},每人几{unit}?", "{a}{unit}{thing}平均放进{b}个盒子,每盒放几{unit}?"),
        ("{a} {thing} are shared equally by {b} [children|friends|people]. How many does each get?", "{who} splits {a} {thing} into {b} equal [parts|groups]. How many in each?", "{b} [people|children] share {a} {thing} equally. How many for each?", "{a} {thing} go equally into {b} boxes. How many in each box?")),
    _story(1, "a-b", "a20-99 b5-60",
        ("{who}有{a}{unit}{thing},{other}有{b}{unit},{who}比{other}多[多少|几]{unit}?", "{who}{a}{unit}{thing},{other}{b}{unit},[相差|差]几{unit}?", "{other}有{b}{unit}{thing},{who}有{a}{unit},{other}比{who}少几{unit}?", "{who}有{thing}{a}{unit},比有{b}{unit}的{other}多几{unit}?"),
        ("{who} has {a} {thing}, {other} has {b}. How many more does {who} have?", "{who} has {a} {thing} and {other} {b}. What is the difference?", "{other} has {b} {thing}, {who} has {a}. How many fewer does {other} have?", "With {a} {thing}, how many more has {who} than {other}, who has {b}?")),
    _story(1, "a+b", "a100-700 b50-290",
        ("[学校|图书馆|仓库|商店]原来有{a}{unit}{thing},[今天|上午|这周]又[运来|送来|买了]{b}{unit},现在有多少{unit}?", "[学校|图书馆|仓库|商店][上午|昨天]有{a}{unit}{thing},又增加{b}{unit},[一共|现在]多少{unit}?", "第一批{thing}{a}{unit},第二批{b}{unit},两批共多少{unit}?", "甲仓库有{a}{unit}{thing},乙仓库有{b}{unit},合起来多少{unit}?"),
        ("A [school|store|library] had {a} {thing} and got {b} more. How many are there now?", "A [shop|library] with {a} {thing} gets {b} more. How many in total?", "The first load has {a} {thing}, the second {b}. How many together?", "One store has {a} {thing}, another {b}. How many have both together?")),
    _story(2, "a+b-c", "a20-300 b10-200 c5-150",
        ("{who}有{a}{unit}{thing},[又买了|又得到]{b}{unit},[后来|然后|又]送出{c}{unit},[现在|]还有多少{unit}?", "[原有|先有]{a}{unit}{thing},[增加|多了]{b}{unit},[又|再]减少{c}{unit},现在多少{unit}?", "{who}有{a}{unit}{thing},{other}给他{b}{unit},他用掉{c}{unit},还剩多少{unit}?", "车上有{a}{unit}{thing},装上{b}{unit},又卸下{c}{unit},车上还有多少{unit}?"),
        ("{who} had {a} {thing}, [bought|got] {b} more and gave away {c}. How many are left?", "There were {a} {thing}; {b} came and {c} went. How many are there now?", "{who} has {a} {thing}. {other} gives {who} {b} more and {c} get lost. How many remain?", "A truck has {a} {thing}. {b} are loaded and {c} unloaded. How many are on it?")),
    _story(2, "a*b-c", "a2-9 b5-40 c3-60",
        ("{who}买了{a}[盒|箱|袋]{thing},每[盒|箱|袋]{b}{unit},[吃了|用了|送人]{c}{unit},还剩多少{unit}?", "{a}[盒|箱]{thing}每[盒|箱]{b}{unit},[卖出|拿走|坏了]{c}{unit},[还有|剩]多少{unit}?", "{who}做了{a}天{thing},每天{b}{unit},送出{c}{unit},剩几{unit}?", "{a}排{thing},每排{b}{unit},搬走{c}{unit}后还有多少{unit}?"),
        ("{who} buys {a} boxes of {b} {thing} and [uses|gives away|loses] {c}. How many are left?", "There are {a} [bags|boxes] with {b} {thing} each. {c} are [sold|broken]. How many remain?", "{who} makes {b} {thing} a day for {a} days and sells {c}. How many are left?", "From {a} rows of {b} {thing}, {c} are carried away. How many stay?")),
    _story(2, "a*b+c", "a2-9 b5-40 c3-80",
        ("[货架上有|这里有|{who}有]{a}[箱|盒]{thing},每[箱|盒]{b}{unit},另外还有{c}{unit},[一共|总共]多少{unit}?", "{a}[袋|箱]{thing}每[袋|箱]{b}{unit},[又加|再加]{c}{unit},共多少{unit}?", "{who}每天做{b}{unit}{thing},做了{a}天,原来有{c}{unit},现在多少{unit}?", "{a}排{thing},每排{b}{unit},外加{c}{unit},合计多少{unit}?"),
        ("There are {a} boxes with {b} {thing} each and {c} loose ones. How many {thing} in total?", "{who} has {a} [bags|boxes] of {b} {thing} and {c} more. How many altogether?", "{who} had {c} {thing} and makes {b} a day for {a} days. How many now?", "{a} rows of {b} {thing} and another {c}: how many is that?")),
    _story(2, "(a-b)/c", "a20-120 b2-40 c2-9",
        ("{who}有{a}{unit}{thing},自己留下{b}{unit},其余平均分给{c}个[朋友|同学|孩子],每人[分到|得到]几{unit}?", "{a}{unit}{thing},[坏了|拿走]{b}{unit},剩下的平均分成{c}份,每份几{unit}?", "{a}{unit}{thing}先用掉{b}{unit},再平分给{c}个人,每人几{unit}?", "除去{b}{unit},{a}{unit}{thing}中其余的平均装{c}盒,每盒几{unit}?"),
        ("{who} has {a} {thing}, keeps {b} and shares the rest equally among {c} friends. How many does each friend get?", "Of {a} {thing}, {b} are [bad|lost]; the rest is split into {c} equal parts. How many in each?", "{who} uses {b} of {a} {thing} and shares the others equally among {c} people. How many for each?", "Without {b}, the {a} {thing} go equally into {c} boxes. How many in a box?")),
    _story(2, "(a+b)*c", "a3-30 b3-30 c2-9",
        ("{who}每天[做|折|画]{a}{unit}{thing},{other}每天{b}{unit},两人{c}天一共多少{unit}?", "每天上午[做|卖]{a}{unit}{thing},下午{b}{unit},{c}天共多少{unit}?", "每[箱|盒]有{a}{unit}大{thing}和{b}{unit}小{thing},{c}[箱|盒]共多少{unit}?", "{who}一天看{a}{unit}{thing},{other}一天看{b}{unit},{c}天两人合计多少{unit}?"),
        ("Each day {who} makes {a} {thing} and {other} makes {b}. How many do they make together in {c} days?", "Every day {a} {thing} are sold in the morning and {b} in the afternoon. How many in {c} days?", "Each box has {a} big {thing} and {b} small ones. How many are in {c} boxes?", "{who} counts {a} {thing} a day and {other} {b}. How many do both count in {c} days?")),
    _story(2, "a-b*c", "a60-400 b2-9 c5-40",
        ("一共有{a}{unit}{thing},[每天|每次][用掉|卖出|吃掉]{c}{unit},{b}[天|次]后还剩多少{unit}?", "{who}有{a}{unit}{thing},给{b}个人每人{c}{unit},还剩多少{unit}?", "{a}{unit}{thing},装了{b}[盒|袋],每[盒|袋]{c}{unit},[剩|还剩]几{unit}?", "仓库里{a}{unit}{thing},运走{b}车,每车{c}{unit},还有多少{unit}?"),
        ("There are {a} {thing}. {c} are used each day. How many are left after {b} days?", "{who} has {a} {thing} and gives {c} to each of {b} people. How many are left?", "Of {a} {thing}, {b} boxes with {c} each are filled. How many remain?", "A store has {a} {thing}; {b} cars take away {c} each. How many stay?")),
    _story(2, "a*b/c", "a2-9 b10-60 c2-9",
        ("{a}[箱|盒]{thing},每[箱|盒]{b}{unit},平均分给{c}[个班|个组|家店],每[班|组|家]多少{unit}?", "每[箱|盒]{b}{unit}{thing},{a}[箱|盒]平均分给{c}个人,每人几{unit}?", "{who}做了{a}天{thing},每天{b}{unit},平均装{c}盒,每盒几{unit}?", "把{a}袋{thing}(每袋{b}{unit})平分成{c}份,每份多少{unit}?"),
        ("{a} boxes of {b} {thing} are shared equally by {c} [classes|teams|shops]. How many does each get?", "{a} bags with {b} {thing} each are split equally among {c} people. How many for each?", "{who} makes {b} {thing} a day for {a} days and packs them equally into {c} boxes. How many in a box?", "{c} groups share {a} packs of {b} {thing} equally. How many has each group?")),
    _story(2, "a-b-c", "a100-900 b20-300 c20-300",
        ("[商店|仓库|{who}家]有{a}{unit}{thing},[上午|昨天]卖出{b}{unit},[下午|今天]卖出{c}{unit},还剩多少{unit}?", "{a}{unit}{thing},[先|第一次]用去{b}{unit},[又|第二次]用去{c}{unit},剩多少{unit}?", "{who}有{a}{unit}{thing},给{other}{b}{unit},丢了{c}{unit},还有多少{unit}?", "一本账上有{a}{unit}{thing},划去{b}{unit},再划去{c}{unit},余下多少{unit}?"),
        ("A shop has {a} {thing}. It sells {b} in the morning and {c} in the afternoon. How many are left?", "Of {a} {thing}, first {b} and then {c} are used. How many remain?", "{who} has {a} {thing}, gives {b} to {other} and loses {c}. How many are left?", "From {a} {thing}, {b} are taken on Monday and {c} on Tuesday. How many stay?")),
    _story(3, "a*b+c*d", "a2-9 b5-40 c2-9 d5-40",
        ("{who}买了{a}盒{thing},每盒{b}{unit};又买了{c}袋,每袋{d}{unit}。一共有多少{unit}?", "{thing}:{a}箱每箱{b}{unit},{c}盒每盒{d}{unit},[共|总共]多少{unit}?", "{who}前{a}天每天做{b}{unit}{thing},后{c}天每天做{d}{unit},一共做了多少{unit}?", "有{a}排每排{b}{unit}和{c}排每排{d}{unit}的{thing},合计多少{unit}?"),
        ("{who} buys {a} boxes with {b} {thing} each and {c} bags with {d} each. How many {thing} in total?", "There are {a} boxes of {b} {thing} and {c} boxes of {d}. How many altogether?", "{who} makes {b} {thing} a day for {a} days, then {d} a day for {c} days. How many in all?", "{a} rows of {b} {thing} and {c} rows of {d}: how many is that together?")),
    _story(3, "(a+b)*c-d", "a5-40 b5-40 c2-9 d5-60",
        ("{who}每天[做|摘|捡]{a}{unit}{thing},{other}每天{b}{unit},{c}天后[送出|卖掉]{d}{unit},两人还剩多少{unit}?", "每[箱|盒]有{a}{unit}大{thing}和{b}{unit}小{thing},{c}[箱|盒]里坏了{d}{unit},还剩多少{unit}?", "上午卖{a}{unit}{thing},下午卖{b}{unit},卖了{c}天,退回{d}{unit},实际卖了多少{unit}?", "{who}一天折{a}{unit}{thing},{other}一天折{b}{unit},{c}天的成果送人{d}{unit},余下几{unit}?"),
        ("Each day {who} picks {a} {thing} and {other} picks {b}. After {c} days they sell {d}. How many are left?", "Each box has {a} big and {b} small {thing}. In {c} boxes {d} are broken. How many are good?", "A shop sells {a} {thing} in the morning and {b} in the afternoon for {c} days; {d} come back. How many were really sold?", "{who} folds {a} {thing} a day, {other} {b}. Of what they fold in {c} days they give away {d}. How many stay?")),
    _story(3, "(a*b-c)/d", "a2-9 b10-60 c2-40 d2-9",
        ("{a}[箱|盒]{thing},每[箱|盒]{b}{unit},[坏了|丢了]{c}{unit},剩下的平均分给{d}个人,每人几{unit}?", "{who}买了{a}袋{thing},每袋{b}{unit},自己留{c}{unit},其余平分给{d}个同学,每人几{unit}?", "每天做{b}{unit}{thing},做了{a}天,卖掉{c}{unit},剩下的平均装{d}盒,每盒几{unit}?", "{a}排{thing}每排{b}{unit},搬走{c}{unit},余下的平分成{d}堆,每堆几{unit}?"),
        ("There are {a} boxes of {b} {thing}; {c} are lost and the rest is shared equally by {d} people. How many does each get?", "{who} buys {a} bags of {b} {thing}, keeps {c} and shares the rest equally among {d} friends. How many for each?", "{b} {thing} are made a day for {a} days, {c} are sold, and the others go equally into {d} boxes. How many in a box?", "From {a} rows of {b} {thing}, {c} are taken; the rest makes {d} equal heaps. How many in a heap?")),
    _story(3, "a-b*c+d", "a80-400 b2-9 c5-40 d5-90",
        ("[店里|仓库|{who}]原有{a}{unit}{thing},每天[卖出|用去]{c}{unit},{b}天后又[进了|买了]{d}{unit},现在有多少{unit}?", "{who}有{a}{unit}{thing},给{b}个人每人{c}{unit},又得到{d}{unit},现在有多少{unit}?", "{a}{unit}{thing}装了{b}盒,每盒{c}{unit},剩下的再加{d}{unit},是多少{unit}?", "仓库{a}{unit}{thing},运走{b}车每车{c}{unit},又运来{d}{unit},现存多少{unit}?"),
        ("A shop has {a} {thing}, sells {c} a day for {b} days and then gets {d} more. How many are there now?", "{who} has {a} {thing}, gives {c} to each of {b} people and then gets {d}. How many does {who} have now?", "Of {a} {thing}, {b} boxes with {c} each are filled, and {d} are added to the rest. How many is that?", "A store has {a} {thing}; {b} cars take {c} each and {d} new ones come. How many are there?")),
    _story(3, "(a-b)*c", "a60-200 b20-59 c2-9",
        ("原计划每天[生产|做]{a}{unit}{thing},实际每天少{b}{unit},{c}天[做了|生产了]多少{unit}?", "每箱{a}{unit}{thing},每箱取出{b}{unit},{c}箱还有多少{unit}?", "{who}每天做{a}{unit}{thing},卖掉{b}{unit},{c}天攒下多少{unit}?", "每天进{a}{unit}{thing},卖{b}{unit},{c}天后多了几{unit}?"),
        ("The plan was {a} {thing} a day, but {b} fewer were made each day. How many were made in {c} days?", "Each box has {a} {thing}; {b} are taken out of each. How many are in {c} boxes?", "{who} makes {a} {thing} a day and sells {b} of them. How many does {who} save in {c} days?", "Every day {a} {thing} come in and {b} go out. How many more are there after {c} days?")),
    _story(3, "a+(a+b)", "a20-400 b5-200",
        ("{who}有{a}{unit}{thing},{other}比{who}多{b}{unit},两人一共有多少{unit}?", "{who}做了{a}{unit}{thing},{other}多做{b}{unit},[两人|]共做多少{unit}?", "第一天卖{a}{unit}{thing},第二天多卖{b}{unit},两天共卖多少{unit}?", "甲有{a}{unit}{thing},乙比甲多{b}{unit},甲乙合计多少{unit}?"),
        ("{who} has {a} {thing}; {other} has {b} more than {who}. How many do they have together?", "{who} makes {a} {thing} and {other} makes {b} more than that. How many together?", "On the first day {a} {thing} are sold, on the second {b} more. How many in both days?", "{who} owns {a} {thing}, and {other} owns {b} more than {who} does. What is their total?")),
    _story(3, "a+a*b", "a10-90 b2-8",
        ("{who}有{a}{unit}{thing},{other}的[数量|个数]是{who}的{b}倍,两人一共有多少{unit}?", "{who}有{a}{unit}{thing},{other}有他的{b}倍,[两人|]共多少{unit}?", "第一天卖{a}{unit}{thing},第二天卖的是第一天的{b}倍,两天共卖多少{unit}?", "甲有{a}{unit}{thing},乙是甲的{b}倍,甲乙合计多少{unit}?"),
        ("{who} has {a} {thing}; {other} has {b} times as many. How many do they have together?", "{who} makes {a} {thing} and {other} makes {b} times as many. How many together?", "On the first day {a} {thing} are sold, on the second {b} times as many. How many in both days?", "{who} owns {a} {thing} and {other} {b} times that. What is their total?")),
    _story(4, "a*b+c*d-e", "a2-9 b5-30 c2-9 d5-30 e5-60",
        ("{who}买{a}盒{thing},每盒{b}{unit},{other}买{c}盒,每盒{d}{unit},一共[用掉|吃掉|送出]{e}{unit},还剩多少{unit}?", "{thing}:{a}箱每箱{b}{unit},{c}箱每箱{d}{unit},[坏了|卖出]{e}{unit},[剩|还有]多少{unit}?", "{who}前{a}天每天做{b}{unit}{thing},后{c}天每天做{d}{unit},卖掉{e}{unit},还剩多少{unit}?", "{a}排每排{b}{unit}和{c}排每排{d}{unit}的{thing},搬走{e}{unit},余下多少{unit}?"),
        ("{who} buys {a} boxes of {b} {thing}, {other} buys {c} boxes of {d}. They use {e}. How many are left?", "There are {a} boxes of {b} {thing} and {c} boxes of {d}; {e} are [sold|broken]. How many remain?", "{who} makes {b} {thing} a day for {a} days, then {d} a day for {c} days, and sells {e}. How many are left?", "From {a} rows of {b} {thing} and {c} rows of {d}, {e} are taken. How many stay?")),
    _story(4, "(a+b)*c/d", "a5-40 b5-40 c2-9 d2-9",
        ("{who}每天[做|折]{a}{unit}{thing},{other}每天{b}{unit},{c}天的成果平均装进{d}个盒子,每盒几{unit}?", "每[箱|盒]有{a}{unit}大{thing}和{b}{unit}小{thing},{c}[箱|盒]平均分给{d}个人,每人几{unit}?", "上午做{a}{unit}{thing},下午做{b}{unit},{c}天做的平均分成{d}份,每份几{unit}?", "{who}一天摘{a}{unit}{thing},{other}一天摘{b}{unit},{c}天摘的平分给{d}家,每家几{unit}?"),
        ("Each day {who} makes {a} {thing} and {other} {b}. What they make in {c} days goes equally into {d} boxes. How many in each box?", "Each box has {a} big and {b} small {thing}. {c} boxes are shared equally by {d} people. How many does each get?", "{a} {thing} are made in the morning and {b} in the afternoon, for {c} days, then split into {d} equal parts. How many in each?", "{who} picks {a} {thing} a day, {other} {b}. What they pick in {c} days goes equally to {d} shops. How many to each?")),
    _story(4, "a-(b+c)*d", "a200-900 b5-40 c5-40 d2-9",
        ("[仓库|店里]有{a}{unit}{thing},每天上午[卖出|用掉]{b}{unit},下午{c}{unit},{d}天后还剩多少{unit}?", "共有{a}{unit}{thing},{who}每天用{b}{unit},{other}每天用{c}{unit},{d}天后剩多少{unit}?", "{a}{unit}{thing},给{d}个人每人{b}{unit},后来每人再给{c}{unit},还剩多少{unit}?", "仓库存{a}{unit}{thing},每天发甲店{b}{unit}、乙店{c}{unit},{d}天后存多少{unit}?"),
        ("A shop has {a} {thing}. Each day it sells {b} in the morning and {c} in the afternoon. How many are left after {d} days?", "There are {a} {thing}; {who} uses {b} a day and {other} {c}. How many are left after {d} days?", "{who} has {a} {thing} and gives {d} people {b} each, and later {c} more each. How many are left?", "A store with {a} {thing} sends {b} to one shop and {c} to another every day. How many has it after {d} days?")),
    _story(4, "(a*b+c)/d", "a2-9 b10-50 c5-60 d2-9",
        ("{who}有{a}[盒|袋]{thing},每[盒|袋]{b}{unit},又[得到|买了]{c}{unit},平均分成{d}份,每份几{unit}?", "{a}箱{thing}每箱{b}{unit},另有{c}{unit},平均分给{d}个人,每人几{unit}?", "{who}每天做{b}{unit}{thing},做了{a}天,加上原有{c}{unit},平均装{d}盒,每盒几{unit}?", "{a}排{thing}每排{b}{unit},外加{c}{unit},平分成{d}堆,每堆几{unit}?"),
        ("{who} has {a} bags of {b} {thing} and gets {c} more, then splits them into {d} equal parts. How many in each part?", "{a} boxes of {b} {thing} and {c} loose ones are shared equally by {d} people. How many does each get?", "{who} had {c} {thing}, makes {b} a day for {a} days and packs all equally into {d} boxes. How many in a box?", "{a} rows of {b} {thing} and another {c} make {d} equal heaps. How many in a heap?")),
    _story(4, "a*b-c-d", "a3-9 b20-90 c5-90 d5-90",
        ("{a}箱{thing},每箱{b}{unit},[第一天|上午]卖出{c}{unit},[第二天|下午]卖出{d}{unit},还剩多少{unit}?", "{who}买了{a}盒{thing},每盒{b}{unit},给{other}{c}{unit},[用掉|丢了]{d}{unit},还有多少{unit}?", "{who}做了{a}天{thing},每天{b}{unit},先卖{c}{unit},又卖{d}{unit},剩多少{unit}?", "{a}排{thing}每排{b}{unit},先搬走{c}{unit},再搬走{d}{unit},余下多少{unit}?"),
        ("There are {a} crates of {b} {thing}. {c} are sold on the first day and {d} on the second. How many are left?", "{who} buys {a} boxes of {b} {thing}, gives {c} to {other} and loses {d}. How many are left?", "{who} makes {b} {thing} a day for {a} days, sells {c} and then {d}. How many remain?", "From {a} rows of {b} {thing}, first {c} and then {d} are taken. How many stay?")),
    _story(4, "(a+a*b)/c", "a10-60 b2-6 c2-9",
        ("{who}有{a}{unit}{thing},{other}有它的{b}倍,合在一起平均分给{c}个人,每人几{unit}?", "{who}做{a}{unit}{thing},{other}做的是{who}的{b}倍,两人的平均装{c}盒,每盒几{unit}?", "第一天摘{a}{unit}{thing},第二天摘的是第一天的{b}倍,两天的平均分成{c}份,每份几{unit}?", "甲有{a}{unit}{thing},乙是甲的{b}倍,合起来平分成{c}堆,每堆几{unit}?"),
        ("{who} has {a} {thing}, {other} has {b} times as many. Together they share them equally among {c} people. How many does each get?", "{who} makes {a} {thing} and {other} {b} times as many; all go equally into {c} boxes. How many in a box?", "{a} {thing} are picked on the first day, {b} times as many on the second, and all are split into {c} equal parts. How many in each?", "{who} owns {a} {thing}, {other} {b} times that; all make {c} equal heaps. How many in a heap?")),
)  # fmt: skip
