"""Summaries of message lists, calendars and short chats: one or two sentences in one fixed style with all key facts."""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

import random

from autoglm_phone.train.world.fillings import compose
from autoglm_phone.train.world.registry import Draft
from autoglm_phone.train.world.sample import Lang, Split, Turn
from autoglm_phone.train.world.text import invented
from autoglm_phone.train.world.text.grammar import full_width, say_one, vary
from autoglm_phone.train.world.text.inbox import Message, clock, entries, message, messages, show_entries, show_messages
from autoglm_phone.train.world.text.reply import reply

_ASK: dict[str, dict[Lang, tuple[str, ...]]] = {
    "messages": {
        "zh": ("[请|帮我|麻烦|][总结|概括|归纳]一下[这些|以下|][消息|通知][。|]", "[总结|概括]这些[消息|通知]", "[用一两句话|简单|简短][总结|概括][这些消息|这些通知|一下]", "这些[消息|通知]说了什么?", "[消息|通知][摘要|总结|小结]", "[帮我|]把[这些|]消息[总结|归纳]成一句话", "我错过了什么[消息|]?", "给我这些消息的要点"),
        "en": ("[Please |]summarize [these|the|my] [messages|notifications][.|]", "Give [me |]a [short |]summary[.|]", "What do these [messages|notifications] say?", "Sum up the messages[.|]", "[Summary|Short summary] please", "What did I miss?", "Tell me the main points of the messages"),
    },
    "chat": {
        "zh": ("[请|帮我|][总结|概括]一下[这段|以下|][对话|聊天][记录|][。|]", "这段[对话|聊天]说了什么?", "[总结|概括]这段[对话|聊天]", "[对话|聊天][摘要|总结]", "他们[约定|说]了什么?", "给我这段聊天的要点"),
        "en": ("[Please |]summarize [this|the] [chat|conversation][.|]", "What is this [chat|conversation] about?", "Sum up the [chat|conversation][.|]", "Give [me |]a summary of the chat[.|]", "What did they agree on?", "Tell me the main points of the chat"),
    },
    "calendar": {
        "zh": ("[请|帮我|][总结|概括]一下[我的|这个|][日程|安排][。|]", "[总结|概括]我的[日程|安排]", "[简单|][说说|讲讲]我[今天|]的安排", "[日程|安排][摘要|总结]", "我[今天|]有哪些安排?", "给我日程的要点"),
        "en": ("[Please |]summarize [my|this|the] [calendar|day|schedule][.|]", "Sum up my [day|calendar|schedule][.|]", "What is planned[ today|]?", "Give [me |]a summary of my [day|schedule][.|]", "Tell me my plans in short"),
    },
}  # fmt: skip


def _clause(m: Message, lang: Lang) -> str:
    """What one message says, told in the third person."""
    who = m.sender
    if lang == "zh":
        return {
            "meet": f"{who}约你{m.at}在{m.place}见面", "bring": f"{who}让你带{m.item}", "late": f"{who}会晚到{m.minutes}分钟",
            "call": f"{who}要和你{m.at}通电话", "done": f"{who}说{m.item}已准备好",
        }[m.kind]  # fmt: skip
    return {
        "meet": f"{who} wants to meet at {m.at} at {m.place}", "bring": f"{who} asks you to bring {m.item}", "late": f"{who} will be {m.minutes} minutes late",
        "call": f"{who} wants to talk by phone at {m.at}", "done": f"{who} has {m.item} ready",
    }[m.kind]  # fmt: skip


def _facts(m: Message) -> list[str]:
    return [m.sender, *(value for value in (m.at, m.place, m.item, str(m.minutes) if m.minutes else "") if value)]


def _join(clauses: list[str], lang: Lang) -> str:
    if lang == "zh":
        return ";".join(clauses) + "。"
    return "; ".join(clauses) + "."


def _draft(rng: random.Random, split: Split, unseen: bool, lang: Lang, kind: str, listing: str, text: str, facts: list[str], level: int) -> Draft:  # fmt: skip
    ask = say_one(rng, _ASK[kind][lang], split, unseen)
    ask = vary(rng, ask, lang, level=0.6, framed=False)
    prompt = (
        f"{listing}\n\n{ask}"
        if rng.random() < 0.5
        else f"{ask}\n{listing}"
        if rng.random() < 0.6
        else f"{ask}\n\n{listing}"
    )
    answer = reply(lang, text)
    truth = {"kind": "facts", "facts": facts, "reference": answer.text}
    return Draft(lang, level, (Turn("user", prompt), answer), truth)


def _messages(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    count = rng.choice((2, 2, 3, 3, 4))
    items = compose(rng, "summary.messages", lambda r: messages(r, lang, split, count), split)
    text = _join([_clause(m, lang) for m in items], lang)
    facts = [fact for m in items for fact in _facts(m)]
    return _draft(rng, split, unseen, lang, "messages", show_messages(rng, items, lang), text, facts, count - 1)


_SMALL_TALK = {
    "zh": (("在吗?", "在的"), ("嗨", "你好"), ("忙吗?", "还好"), ("有空吗?", "有"), ("吃了吗?", "吃了"), ("最近怎么样?", "挺好的")),
    "en": (("Are you there?", "Yes"), ("Hi", "Hello"), ("Busy?", "Not really"), ("Got a minute?", "Sure"), ("How are you?", "Fine, thanks"), ("Hey", "Hi!")),
}  # fmt: skip
_YES = {"zh": ("好的", "没问题", "可以", "行", "收到"), "en": ("OK", "Sure", "No problem", "Fine", "Sounds good")}
_NO = {
    "zh": ("不行,我没空", "抱歉,我去不了", "今天不行"),
    "en": ("Sorry, I can't", "I have no time", "Not today, sorry"),
}


def _chat(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    """Two people; one proposes, the other agrees or not."""

    def draw(r: random.Random) -> tuple[str, str, Message, bool]:
        a = invented.name(r, lang, split)
        b = invented.name(r, lang, split)
        while b == a:
            b = invented.name(r, lang, split)
        return a, b, message(r, lang, split, 600, kind=r.choice(("meet", "bring", "call")), sender=a), r.random() < 0.7

    a, b, m, agreed = compose(rng, "summary.chat", draw, split)
    lines = []
    if rng.random() < 0.6:
        hello, back = rng.choice(_SMALL_TALK[lang])
        lines += [f"{a}: {hello}", f"{b}: {back}"]
    lines += [f"{a}: {m.text}", f"{b}: {rng.choice((_YES if agreed else _NO)[lang])}"]
    if rng.random() < 0.3:
        lines.append(f"{a}: {'谢谢' if lang == 'zh' else 'Thanks'}")
    if lang == "zh":
        lines = [full_width(line) for line in lines]
        what = {"meet": f"约{b}{m.at}在{m.place}见面", "bring": f"让{b}带{m.item}", "call": f"要和{b}{m.at}通电话"}[
            m.kind
        ]
        text = f"{a}{what},{b}{'同意了' if agreed else '拒绝了'}。"
    else:
        what = {
            "meet": f"wants to meet {b} at {m.at} at {m.place}",
            "bring": f"asks {b} to bring {m.item}",
            "call": f"wants to talk with {b} by phone at {m.at}",
        }[m.kind]
        text = f"{a} {what}, and {b} {'agrees' if agreed else 'refuses'}."
    verdict = ("同意" if agreed else "拒绝") if lang == "zh" else ("agrees" if agreed else "refuses")
    return _draft(rng, split, unseen, lang, "chat", "\n".join(lines), text, [*_facts(m), b, verdict], 1)


def _calendar(rng: random.Random, split: Split, unseen: bool, lang: Lang) -> Draft:
    count = rng.choice((2, 3, 3, 4))
    items = compose(rng, "summary.calendar", lambda r: entries(r, lang, split, count), split)
    if lang == "zh":
        text = f"共有{len(items)}个安排:" + ";".join(f"{clock(e.start)}在{e.place}有{e.title}" for e in items) + "。"
    else:
        text = (
            f"There are {len(items)} events: "
            + "; ".join(f"{e.title} at {clock(e.start)} at {e.place}" for e in items)
            + "."
        )
    facts = [str(len(items)), *(fact for e in items for fact in (clock(e.start), e.title, e.place))]
    return _draft(rng, split, unseen, lang, "calendar", show_entries(rng, items, lang), text, facts, len(items) - 1)


def build(rng: random.Random, split: Split, unseen: bool) -> Draft:
    lang: Lang = "zh" if rng.random() < 0.5 else "en"
    return rng.choice((_messages, _messages, _chat, _calendar))(rng, split, unseen, lang)


BUILDERS = {"summary": build}
