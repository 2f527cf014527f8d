"""Questions about a list that stands in the prompt: messages and notifications, or a day's calendar."""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

import itertools
import random

from autoglm_phone.train.world.fillings import compose
from autoglm_phone.train.world.registry import Draft
from autoglm_phone.train.world.sample import Lang, Split, Turn
from autoglm_phone.train.world.text import invented
from autoglm_phone.train.world.text.grammar import full_width, say_one, vary
from autoglm_phone.train.world.text.inbox import Entry, Message, clock, entries, messages, show_entries, show_messages
from autoglm_phone.train.world.text.more_asks import NOTIFY
from autoglm_phone.train.world.text.reply import reply

_HEAD_MESSAGES = {
    "zh": (
        "[以下是|这是|下面是]我的[通知|消息|未读消息]:",
        "通知[列表|]:",
        "[我|手机][收到|上有]这些[消息|通知]:",
        "消息:",
        "[看一下|看看]这些[消息|通知]:",
        "",
    ),
    "en": (
        "[These are|Here are] my [notifications|messages]:",
        "Notifications:",
        "[I got|My phone shows] these messages:",
        "Messages:",
        "[Look at|Read] these [messages|notifications]:",
        "",
    ),
}
_HEAD_CALENDAR = {
    "zh": ("[以下是|这是]我[今天|明天]的[日程|安排]:", "日程[表|]:", "[今天|明天]的[安排|日历]:", "日历:", "[看看|看一下]我的日程:", ""),
    "en": ("[This is|Here is] my [calendar|schedule][ for today| for tomorrow|]:", "Calendar:", "[Today|Tomorrow]:", "Schedule:", "[Look at|Read] my calendar:", ""),
}  # fmt: skip

_ASK: dict[str, dict[Lang, tuple[str, ...]]] = {
    "who_wrote": {"zh": ("谁[说|发来|告诉我][|消息说]“{t}”?", "“{t}”是谁[发的|说的|写的]?", "[哪个人|是谁]发了“{t}”?", "“{t}”这条[消息|]来自谁?"), "en": ('Who [wrote|said|sent] "{t}"?', '"{t}" is from whom?', 'Who is the sender of "{t}"?', 'Which person sent "{t}"?')},
    "what_said": {"zh": ("{who}[说了什么|发了什么|说什么|发来什么][消息|]?", "{who}的消息[是什么|内容是什么|]?", "[看看|告诉我]{who}[发了什么|说了什么]", "{who}找我[什么事|干什么]?"), "en": ("What did {who} [say|write|send]?", "What is {who}'s message?", "[Read|Tell me] the message from {who}", "What does {who} want?")},
    "which_app": {"zh": ("{who}用[什么|哪个](应用|软件)发的[消息|]?".replace("(应用|软件)", "[应用|软件|App]"), "{who}的消息来自哪个[应用|App]?", "{who}是在哪[里|个应用]联系我的?", "{who}的消息在哪个App里?"), "en": ("Which app did {who} use?", "In which app is {who}'s message?", "Which app is the message from {who} in?", "Where did {who} write to me?")},
    "how_many": {"zh": ("[一共|总共|][有|收到][几|多少]条[消息|通知]?", "我有[几|多少]条[消息|通知|未读消息]?", "[消息|通知]有几条?", "[数一下|数数]有多少条[消息|通知]"), "en": ("How many [messages|notifications] [are there|do I have]?", "[Count|Number of] [the |]messages", "What is the number of [messages|notifications]?", "How many people wrote to me?")},
    "how_many_app": {"zh": ("{app}有[几|多少]条[消息|通知]?", "来自{app}的[消息|通知]有几条?", "[一共|]收到几条{app}[消息|通知]?", "{app}来了几条?"), "en": ("How many [messages|notifications] are from {app}?", "How many came [from|through] {app}?", "[Count|Number of] {app} messages", "How many {app} messages do I have?")},
    "meet_when": {"zh": ("我和{who}[几点|什么时候]见[面|]?", "{who}约我几点[见面|]?", "几点[去|]见{who}?", "和{who}见面是几点?"), "en": ("When do I meet {who}?", "What time [is the meeting with|does] {who}[ want to meet|]?".replace("[is the meeting with|does] {who}[ want to meet|]", "does {who} want to meet"), "At what time do I see {who}?", "When does {who} meet me?")},
    "meet_where": {"zh": ("我[在哪里|在哪儿|去哪]见{who}?", "{who}约我在哪[里|儿|]见?", "和{who}在哪[里|]见面?", "{who}约在什么地方?"), "en": ("Where do I meet {who}?", "Where does {who} want to meet?", "[At which|At what] place do I see {who}?", "Where is the meeting with {who}?")},
    "bring_what": {"zh": ("{who}[让|叫|要]我带什么?", "我要给{who}带什么?", "{who}要我拿什么?", "{who}提醒我带[什么|什么东西]?"), "en": ("What should I bring for {who}?", "What does {who} want me to bring?", "What did {who} ask [me |]to bring?", "What am I to bring for {who}?")},
    "late_by": {"zh": ("{who}要晚[到|]几分钟?", "{who}[迟到|晚到]多久?", "{who}会晚多少分钟?", "{who}迟几分钟?"), "en": ("How late is {who}?", "How many minutes late is {who}?", "By how many minutes is {who} late?", "How long must I wait for {who}?")},
    "call_when": {"zh": ("[几点|什么时候]和{who}[通|打]电话?", "{who}说几点打电话?", "我和{who}几点通话?", "跟{who}的电话是几点?"), "en": ("When is the call with {who}?", "What time do {who} and I talk?", "At what time is {who}'s call?", "When do {who} and I talk by phone?")},
    "last": {"zh": ("[最后|最新|最近]一条[消息|通知]是谁发的?", "[最后|最新]的[消息|通知]来自谁?", "谁[最后|最晚]发消息?", "最近给我发消息的是谁?"), "en": ("Who sent the [last|latest|newest] message?", "Who wrote last?", "The [latest|last] message is from whom?", "Whose message is the newest?")},
    "first": {"zh": ("第一条[消息|通知]是谁发的?", "最早的[消息|通知]来自谁?", "谁最[先|早]发消息?", "最先给我发消息的是谁?"), "en": ("Who sent the first message?", "Who wrote first?", "The earliest message is from whom?", "Whose message is the oldest?")},
    "nobody": {"zh": ("{who}[说了什么|发了什么]?", "{who}的消息[是什么|内容是什么]?", "{who}找我什么事?", "{who}有没有发消息?"), "en": ("What did {who} [say|write]?", "What is {who}'s message?", "What does {who} want?", "Did {who} write to me?")},
    "event_when": {"zh": ("{e}[是|]几点[开始|]?", "{e}[什么时候|何时][开始|]?", "几点[有|开始]{e}?", "{e}的[开始|]时间是?"), "en": ("When [is|does] {e}[ start|]?".replace("[is|does] {e}[ start|]", "is the {e}"), "What time does the {e} start?", "At what time is the {e}?", "The {e} starts when?")},
    "event_end": {"zh": ("{e}几点结束?", "{e}[什么时候|何时]结束?", "{e}到几点[结束|]?", "{e}的结束时间是?"), "en": ("When does the {e} end?", "What time is the {e} over?", "Until when is the {e}?", "The {e} ends when?")},
    "event_where": {"zh": ("{e}在哪[里|儿|]?", "{e}的地点[是哪里|在哪|]?", "{e}[在|去]什么地方?", "去哪里参加{e}?"), "en": ("Where is the {e}?", "What is the place of the {e}?", "Where does the {e} take place?", "Where do I go for the {e}?")},
    "event_count": {"zh": ("[今天|一共|]有[几|多少]个[安排|日程|活动]?", "[日程|安排]有几项?", "我[一共|]有几个[安排|日程]?", "数一下有多少个日程"), "en": ("How many [events|entries|appointments] are there?", "How many [events|appointments] do I have?", "[Count|Number of] [the |]events", "What is the number of entries?")},
    "event_next": {"zh": ("现在{t},[下一个|接下来的][安排|日程|活动]是什么?", "{t}之后[的|]下一个[安排|日程]是什么?", "现在是{t},接下来[有什么|做什么]?", "现在{t}了,下一项是什么?"), "en": ("It is {t}. What is my next [event|appointment]?", "What comes next after {t}?", "It's {t} now, what is next?", "Now it is {t}. Which event follows?")},
    "event_first": {"zh": ("第一个[安排|日程|活动]是什么?", "最早的[安排|日程|活动]是什么?", "[今天|]先做什么?", "一开始有什么安排?"), "en": ("What is [the|my] first [event|appointment]?", "What is the earliest event?", "What comes first?", "Which event opens the day?")},
    "event_last": {"zh": ("最后一个[安排|日程|活动]是什么?", "最晚的[安排|日程|活动]是什么?", "[今天|]最后做什么?", "结尾的安排是什么?"), "en": ("What is [the|my] last [event|appointment]?", "What is the latest event?", "What comes last?", "Which event closes the day?")},
    "conflict": {"zh": ("[日程|安排|时间]有[冲突|没有冲突|重叠]吗?".replace("[冲突|没有冲突|重叠]", "[冲突|重叠]"), "有没有[冲突|时间重叠]的[安排|日程]?", "[哪些|哪两个]安排[冲突|重叠]?", "我的[日程|安排][会冲突|撞车]吗?"), "en": ("Is there a conflict[ in my calendar|]?", "Do any events [overlap|clash|conflict]?", "Are there [overlaps|conflicts|clashes]?", "Which events clash?")},
    "free": {"zh": ("[我|]{t}有空吗?", "{t}[有没有|有]安排[吗|]?".replace("[有没有|有]安排[吗|]", "有没有安排"), "{t}我[在忙|有事]吗?", "{t}能约我吗?"), "en": ("Am I free at {t}?", "Do I have time at {t}?", "Is anything planned at {t}?", "Could we meet at {t}?")},
}  # fmt: skip


def _facts(m: Message) -> list[str]:
    return {
        "meet": ["meet_when", "meet_where"],
        "bring": ["bring_what"],
        "late": ["late_by"],
        "call": ["call_when"],
        "done": [],
    }[m.kind]


def _seek(at: int, starts: list[int]) -> str:
    """The starts in order up to the first one after `at`."""
    passed = [start for start in starts if start <= at]
    following = next(start for start in starts if start > at)
    return ", ".join([*(f"{clock(start)}<={clock(at)}" for start in passed), f"{clock(following)}>{clock(at)}"])


def _overlaps(items: list[Entry]) -> str:
    """Each start against the end before it, up to the first that is too early."""
    lines = []
    for before, after in itertools.pairwise(items):
        lines.append(f"{clock(after.start)}{'<' if after.start < before.end else '>='}{clock(before.end)}")
        if after.start < before.end:
            break
    return ", ".join(lines)


def _look_up(items: list[Message], who: str) -> str:
    """The senders down to the one that is sought; then what they wrote, or "-" where nobody of that name did."""
    passed = list(itertools.takewhile(lambda item: item.sender != who, items))
    found = items[len(passed) : len(passed) + 1]
    names = ", ".join(item.sender for item in [*passed, *found])
    return f"{names}: {found[0].text if found else '-'}"


_MESSAGE_KINDS = (
    "who_wrote",
    "what_said",
    "which_app",
    "how_many",
    "how_many_app",
    "last",
    "first",
    "nobody",
    "detail",
    "detail",
    "detail",
)


def _about_messages(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    count, alike = rng.choice((1, 2, 3, 3, 4, 4, 5, 6)), 0.0
    if split == "train":  # longer lists, and names that are easily taken for each other
        count = rng.choice((7, 8, 9, 10)) if rng.random() < 0.3 else count
        alike = rng.choice((0.0, 0.3, 0.7))
    items = compose(rng, "notify.messages", lambda r: messages(r, lang, split, count, alike), split)
    m = rng.choice(items)
    kind = rng.choice((*_MESSAGE_KINDS, "nobody", "what_said", "detail") if split == "train" else _MESSAGE_KINDS)
    if kind == "who_wrote" and sum(other.text.lower() == m.text.lower() for other in items) > 1:
        kind = "what_said"
    if kind == "detail":
        options = [(other, fact) for other in items for fact in _facts(other)]
        if not options:
            kind = "what_said"
        else:
            m, kind = rng.choice(options)
    zh = lang == "zh"
    who, text = m.sender, m.text
    truth: dict = {"kind": "contains"}
    thought = ""
    app = m.app
    if kind == "who_wrote":
        answer, truth["must"] = (f"是{who}。" if zh else f"It is from {who}."), [who]
    elif kind == "what_said":
        answer, truth["must"] = (f"{who}说:“{text}”。" if zh else f'{who} wrote: "{text}".'), [text]
    elif kind == "which_app":
        answer, truth["must"] = (f"来自{app}。" if zh else f"It is in {app}."), [app]
    elif kind == "how_many":
        answer = f"一共 {count} 条。" if zh else f"There {'is' if count == 1 else 'are'} {count}."
        truth = {"kind": "number", "value": str(count)}
    elif kind == "how_many_app":
        if rng.random() < 0.3:
            others = [other.app for other in items if other.app != app]
            app = rng.choice(others) if others else app
        number = sum(other.app == app for other in items)
        thought = ", ".join(f"{i} {other.app}" for i, other in enumerate(items, 1))
        answer = f"{app}有 {number} 条。" if zh else f"There {'is' if number == 1 else 'are'} {number} from {app}."
        truth = {"kind": "contains", "must": [str(number)], "must_not": [str(n) for n in range(1, 8) if n != number]}
    elif kind in ("last", "first"):
        m = items[-1] if kind == "last" else items[0]
        answer, truth["must"] = (f"是{m.sender}。" if zh else f"It is from {m.sender}."), [m.sender]
        truth["must_not"] = [other.sender for other in items if other is not m]
    elif kind == "nobody":
        present = {other.sender for other in items}
        if split == "train" and rng.random() < 0.5:
            who = invented.near(rng, who, lang, split)
        while any(who in other for other in present) if split == "train" else who in present:
            who = invented.name(rng, lang, split)
        answer = f"没有{who}的消息。" if zh else f"There is no message from {who}."
        truth["must"] = [who, ["没有", "没"]] if zh else [who, ["no", "not", "nothing"]]
    else:
        value = {
            "meet_when": m.at,
            "meet_where": m.place,
            "bring_what": m.item,
            "late_by": str(m.minutes),
            "call_when": m.at,
        }[kind]
        answer = {
            "meet_when": f"{m.at}。" if zh else f"At {m.at}.",
            "meet_where": f"在{m.place}。" if zh else f"At {m.place}.",
            "bring_what": f"带{m.item}。" if zh else f"Bring {m.item}.",
            "late_by": f"{m.minutes} 分钟。" if zh else f"{m.minutes} minutes.",
            "call_when": f"{m.at}。" if zh else f"At {m.at}.",
        }[kind]
        truth["must"] = [value]
    if kind == "who_wrote":
        thought = f"{text}: {who}"
    elif kind == "which_app":
        thought = f"{who}: {app}"
    elif kind not in ("how_many", "how_many_app", "last", "first"):
        thought = _look_up(items, who)
    # Order by time only when the list shows times in order; the lists always are.
    question = say_one(rng, _ASK[kind][lang], split, unseen, NOTIFY[kind][lang], who=who, t=text, app=app)
    return _assemble(
        rng,
        split,
        unseen,
        lang,
        "messages",
        _HEAD_MESSAGES[lang],
        show_messages(rng, items, lang),
        question,
        answer,
        thought,
        truth,
        min(4, count // 2 + 1),
    )


def _about_calendar(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    count = rng.choice((2, 3, 3, 4, 4, 5))
    kind = rng.choice(
        (
            "event_when",
            "event_end",
            "event_where",
            "event_count",
            "event_next",
            "event_next",
            "event_first",
            "event_last",
            "conflict",
            "conflict",
            "free",
        )
    )
    clash = kind == "conflict" and rng.random() < 0.5
    items: list[Entry] = compose(rng, "notify.calendar", lambda r: entries(r, lang, split, count, clash), split)
    zh = lang == "zh"
    e = rng.choice(items)
    now = thought = ""
    truth: dict = {"kind": "contains"}
    if kind == "event_when":
        answer, truth["must"] = (
            (f"{clock(e.start)}开始。" if zh else f"It starts at {clock(e.start)}."),
            [clock(e.start)],
        )
    elif kind == "event_end":
        answer, truth["must"] = (f"{clock(e.end)}结束。" if zh else f"It ends at {clock(e.end)}."), [clock(e.end)]
    elif kind == "event_where":
        answer, truth["must"] = (f"在{e.place}。" if zh else f"At {e.place}."), [e.place]
    elif kind == "event_count":
        answer, truth = (
            (f"一共 {len(items)} 个。" if zh else f"There are {len(items)}."),
            {"kind": "number", "value": str(len(items))},
        )
    elif kind == "event_next":
        at = (
            rng.randrange(max(0, items[0].start - 60), items[-1].start - 1, 5)
            if items[-1].start > items[0].start
            else items[0].start - 10
        )
        now = clock(at)
        e = next(item for item in items if item.start > at)
        thought = _seek(at, [item.start for item in items])
        answer = f"下一个是{clock(e.start)}的{e.title}。" if zh else f"Next is {e.title} at {clock(e.start)}."
        truth["must"] = [e.title, clock(e.start)]
    elif kind in ("event_first", "event_last"):
        e = items[0] if kind == "event_first" else items[-1]
        answer = f"是{clock(e.start)}的{e.title}。" if zh else f"It is {e.title} at {clock(e.start)}."
        truth["must"] = [e.title]
        truth["must_not"] = [other.title for other in items if other is not e and other.title not in e.title]
    elif kind == "conflict":
        pair = next(((a, b) for a, b in itertools.pairwise(items) if b.start < a.end), None)
        thought = _overlaps(items)
        if pair:
            answer = (
                f"有冲突:{pair[0].title}和{pair[1].title}。"
                if zh
                else f"Yes, {pair[0].title} and {pair[1].title} overlap."
            )
            truth["must"] = [pair[0].title, pair[1].title]
            truth["must_not"] = ["没有冲突"] if zh else ["no conflict"]
        else:
            answer = "没有冲突。" if zh else "No, there is no conflict."
            truth["must"] = ["没有"] if zh else ["no"]
    else:
        at = rng.randrange(items[0].start, items[-1].end, 15)
        busy = next((item for item in items if item.start <= at < item.end), None)
        now = clock(at)
        thought = ", ".join(f"{clock(item.start)}-{clock(item.end)}" for item in items)
        thought += f": {now} {clock(busy.start)}-{clock(busy.end)}" if busy else f": {now} -"
        if busy:
            answer = f"没空,有{busy.title}。" if zh else f"No, you have {busy.title}."
            truth["must"] = [["没空", "没有空"] if zh else "no", busy.title]
        else:
            answer = "有空。" if zh else "Yes, you are free."
            truth["must"] = ["有空"] if zh else ["free"]
            truth["must_not"] = ["没空", "没有空"] if zh else ["not free"]
    if kind in ("event_when", "event_end", "event_where"):
        thought = f"{e.title}: {clock(e.start)}-{clock(e.end)} {e.place}"
    question = say_one(rng, _ASK[kind][lang], split, unseen, NOTIFY[kind][lang], e=e.title, t=now)
    return _assemble(
        rng,
        split,
        unseen,
        lang,
        "calendar",
        _HEAD_CALENDAR[lang],
        show_entries(rng, items, lang),
        question,
        answer,
        thought,
        truth,
        min(4, len(items) - 1),
    )


def _assemble(
    rng: random.Random, split: Split, unseen: bool, lang: Lang, name: str, heads: tuple[str, ...], listing: str, question: str,
    answer: str, thought: str, truth: dict, level: int,
) -> Draft:  # fmt: skip
    head = say_one(rng, heads, split, False)
    if lang == "zh":
        head, question = full_width(head), full_width(question)
    question = vary(rng, question, lang, level=0.6, framed=False)
    block = f"{head}\n{listing}" if head else listing
    prompt = (
        f"{block}\n\n{question}"
        if rng.random() < 0.5
        else f"{block}\n{question}"
        if rng.random() < 0.6
        else f"{question}\n\n{block}"
    )
    return Draft(lang, level, (Turn("user", prompt), reply(lang, answer, thought)), truth)


def build(rng: random.Random, split: Split, unseen: bool) -> Draft:
    lang: Lang = "zh" if rng.random() < 0.5 else "en"
    return (_about_messages if rng.random() < 0.6 else _about_calendar)(rng, split, unseen, lang)


BUILDERS = {"notify": build}
