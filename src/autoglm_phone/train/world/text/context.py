"""What may stand before the scored question: a system message, one or two earlier turns about something else.

The earlier assistant turns are context, not targets: some have lost their reasoning, as clients drop it.
Training belongs on `turns[-1]`.
"""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

import random
from dataclasses import replace

from autoglm_phone.train.world.sample import Lang, Split, Turn
from autoglm_phone.train.world.text.grammar import say

# Categories whose samples are short enough to stand before another question.
_EARLIER = ("identity", "smalltalk", "oos", "arith", "units", "translate", "help", "price")

_SYSTEM = {
    "zh": (
        "你是一个[有用的|友好的|可靠的|]助手。",
        "你是手机上的智能助手[,请简洁地回答|,请用中文回答|]。",
        "[请|]简短回答[用户的|]问题。",
        "今天是{year}年{month}月{day}日。",
        "你是一名[客服|老师|助理|管家],[说话要有礼貌|语气要亲切|回答要准确]。用户正在使用[手机|平板|电脑]。",
        "当前应用:[微信|设置|地图|日历|相册]。[电量|剩余电量]{n}%。[网络正常|已连接无线网络|当前没有网络]。",
        "[以下是|这是]一段[对话|聊天],请[认真|如实]回答。不知道的[事情|]不要编造。",
    ),
    "en": (
        "You are a [helpful|friendly|reliable|] assistant.",
        "You are a smart assistant on a phone. [Answer briefly.|Answer in English.|]",
        "[Please |]Answer [the user |][briefly|shortly|in one sentence].",
        "Today is {year}-{month}-{day}.",
        "You are a [tutor|customer agent|personal secretary]; be [polite|precise|kind]. The user is on a [phone|tablet|laptop].",
        "Current app: [Messages|Settings|Maps|Calendar|Photos]. Battery {n}%. [Network OK.|Connected to Wi-Fi.|Offline.]",
        "[Below is|This is] a conversation. Answer [honestly|carefully] and do not make things up.",
    ),
}


def add_context(rng: random.Random, name: str, lang: Lang, turns: tuple[Turn, ...], split: Split) -> tuple[Turn, ...]:
    """Prepend a system message (12 %) and one or two earlier exchanges (15 %) to a text sample's turns."""
    has_system = turns[0].role == "system"
    system = turns[:1] if has_system else ()
    rest = turns[1:] if has_system else turns
    if not has_system and rng.random() < 0.12:
        text = say(
            rng, rng.choice(_SYSTEM[lang]),
            year=str(rng.randint(2020, 2035)), month=str(rng.randint(1, 12)),
            day=str(rng.randint(1, 28)), n=str(rng.randint(5, 100)),
        ).replace(" .", ".").replace("a  ", "a ")  # fmt: skip
        # A date in the system message would answer some date questions: keep it away from them.
        if name not in ("datetime", "oos", "notify"):
            system = (Turn("system", text),)
    if rng.random() < 0.15:
        rest = _earlier(rng, name, lang, split) + rest
    return system + rest


def _earlier(rng: random.Random, name: str, lang: Lang, split: Split) -> tuple[Turn, ...]:
    from autoglm_phone.train.world.registry import category

    earlier: list[Turn] = []
    wanted = 1 if rng.random() < 0.7 else 2
    for _ in range(wanted * 6):
        other = rng.choice(_EARLIER)
        if other == name and name in ("identity", "help", "translate"):
            continue
        draft = category(other).build(rng, split, False)
        if len(draft.turns) != 2 or (draft.lang != lang and rng.random() < 0.85):
            continue
        if sum(len(turn.text) + len(turn.reasoning) for turn in draft.turns) > 260:
            continue
        user, answer = draft.turns
        keep = rng.random() < 0.7
        earlier += [user, answer if keep else replace(answer, reasoning="")]
        wanted -= 1
        if not wanted:
            break
    return tuple(earlier)
