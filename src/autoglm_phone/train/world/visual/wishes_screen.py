"""What training asks of phone screens and of written text, as cores for `phrasing`: touches, goals, reading.

{x} is the thing to touch or, for a goal, a verb phrase ("turn on Wi-Fi").
"""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

import re

from autoglm_phone.train.world.phrasing import Ask
from autoglm_phone.train.world.sample import Lang

TOUCHES: dict[str, dict[Lang, Ask]] = {
    "Tap": {
        "zh": Ask(
            "screen",
            order=("[点|点击|点一下|点按|轻点|按|按一下|戳一下|碰一下|选|选中|选一下|单击|轻点一下|按下|触摸]{x}", "[在屏幕上|在页面上|在界面里|在这里][找出|找|定位]{x}[，|再|然后][点它|点一下|按下去|点下去]", "把{x}[点一下|按一下|点了|按下]", "[对着|朝|往]{x}[点一下|按一下|点下去]", "用手指[点|碰|按]一下{x}", "[手指|]点在{x}上"),
        ),
        "en": Ask(
            "screen",
            order=("[tap|click|press|touch|hit|select|choose|push|tap on|click on|press on|pick] {x}", "[give {x} a tap|put a finger on {x}|put your finger on {x}|do a tap on {x}|make a tap on {x}]", "[look for|locate|spot|search for|see] {x} and [press it|touch it|click it|press there|click on it]", "[use|activate|trigger|go for|move to] {x}"),
        ),
    },
    "Long Press": {
        "zh": Ask("screen", order=("[长按|按住|一直按着|久按|用手指按住]{x}[|不松手|一会儿|别松开|几秒]", "对{x}[长按|做个长按|按久一点]", "[把|]手指按在{x}上[不动|别松开|停一会儿]")),
        "en": Ask("screen", order=("[long-press|hold down|long press on|touch and hold|press for long|do a long press on] {x}", "[keep a finger|leave your finger|rest a finger] on {x}", "press {x} [and don't let go|for a few seconds|for a while|for long]")),
    },
    "Double Tap": {
        "zh": Ask("screen", order=("[双击{x}|连续点击{x}两次|点两下{x}|快速双击{x}|点{x}两下]", "对{x}[双击|点两下|做双击]")),
        "en": Ask("screen", order=("[double-tap {x}|double tap on {x}|double-click {x}|do a double tap on {x}|tap on {x} twice|touch {x} twice|give {x} two quick taps|hit {x} twice in a row]",)),
    },
}  # fmt: skip
WISH: dict[Lang, Ask] = {lang: Ask("screen", order=("{x}",)) for lang in ("zh", "en")}
# Whole messages about a goal that a single touch serves.
GOALS: dict[Lang, tuple[str, ...]] = {
    "zh": (
        "[怎么|如何|怎样]{x}？",
        "[点哪里|按哪里|碰哪里|按什么][可以|能|才能]{x}？",
        "[我打算|我准备|我需要|我得|我现在要|接下来要|我正要|我希望]{x}。",
        "[目标|目的|任务|下一步][是|：]{x}。",
        "[想办法|试着|这就|马上|赶快]{x}[吧|。|]",
        "{x}，[该点哪里|点哪儿|要按哪里|怎么操作|怎么弄|下一步点哪]？",
        "{x}[吧|一下吧|，谢谢|，快点|，麻烦了]",
    ),
    "en": (
        "How [do I|can I|would I] {x}?",
        "[Where do I touch|What do I press|Which spot do I touch|What should I press] to {x}?",
        "[I have to|I need to|I am trying to|I'd love to|I am about to|I would like to|I plan to] {x}.",
        "[Let's|Let us|It is time to|The goal is to|My goal is to|The next step is to] {x}.",
        "In order to {x}, [what do I touch|where do I press|what is the next step]?",
        "{x}: [where do I press|what next|which step is that|how]?",
        "{x}, [thanks|thank you|and quickly|if you can|now].",
    ),
}

# --- questions about what a screen shows ----------------------------------------------------------------------------

_THIRD = {"write": "wrote", "send": "sent", "say": "said", "come": "came", "ask": "asked"}
_SHAPES: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern), indirect, noun)
    for pattern, indirect, noun in (
        (r"what is (the .+|.+'s .+)", r"what \1 is", r"\1"),
        (r"what is ((?:shown|filled in) .+)", r"what is \1", ""),
        (r"what does (.+) (say|ask|show)", r"what \1 \2s", ""),
        (r"how much is (.+)", r"how much \1 is", r"the price of \1"),
        (r"how much does (.+) cost", r"how much \1 costs", r"the price of \1"),
        (r"(how many .+ (?:are|were|saved) .+)", r"\1", ""),
        (r"who is (the .+)", r"who \1 is", r"the name of \1"),
        (r"(who (?:sings|made|is calling|is on) .+|who is calling|which .+ is .+)", r"\1", ""),
        (r"when does (.+) (leave|arrive|start)", r"when \1 \2s", ""),
        (r"how long is (.+)", r"how long \1 is", r"the length of \1"),
        (r"how (large|old|far|late) is (.+)", r"how \1 \2 is", ""),
        (r"(how much .+ is left|how many .+ (?:fit|exist|liked|came))", r"\1", ""),
        (r"what time does (.+) show", r"what time \1 shows", r"the time that \1 shows"),
        (r"is (.+) (selected|checked)", r"whether \1 is \2", ""),
    )
)
_WHAT_DID = re.compile(r"(what|when) did (.+) (write|send|say|come)")
_ZH_NOUN = re.compile(r"(.+?)(?:是多少|是什么|是几点|是哪天|是谁|是哪个)")


def reading(question: str, lang: Lang) -> tuple[Ask, dict[str, str]]:
    """A question about a screen in the shapes that can be made of it, and its slots."""
    core = question.rstrip("？?。.")
    if lang == "zh":
        if core.endswith("吗"):
            return _READ["zh", False, False], {"q": core}
        named = _ZH_NOUN.fullmatch(core)
        return _READ["zh", True, named is not None], {"q": core, "i": core, "n": named[1] if named else ""}
    core = core[:1].lower() + core[1:]
    did = _WHAT_DID.fullmatch(core)
    if did:
        return _READ["en", True, False], {"q": core, "i": f"{did[1]} {did[2]} {_THIRD[did[3]]}", "n": ""}
    for pattern, indirect, noun in _SHAPES:
        if match := pattern.fullmatch(core):
            said = match.expand(indirect)
            return _READ["en", True, bool(noun)], {"q": core, "i": said, "n": match.expand(noun)}
    return _READ["en", False, False], {"q": core}


_READ: dict[tuple[str, bool, bool], Ask] = {
    (lang, embeds, named): Ask(
        "screen",
        question=("{q}",),
        indirect=("{i}",) if embeds else (),
        noun=("{n}",) if named else (),
        order=()
        if not embeds
        else ("[读|念|查|看]一下{i}", "从屏幕上[读出|看出]{i}")
        if lang == "zh"
        else ("[read off|check|look up|read out|make out|see] {i}",),
    )
    for lang in ("zh", "en")
    for embeds in (False, True)
    for named in (False, True)
}

# --- pictures of text ------------------------------------------------------------------------------------------------

ALL_TEXT: dict[Lang, Ask] = {
    "zh": Ask(
        "text",
        order=("[识别|读出|抄下|抄写|提取|转写|打出|念出|誊写|录入]图[里|中|上|片里]的[文字|字|全部文字|所有字|文字内容|全部内容]", "把图[里|片里|中|上]的[文字|字|内容|所有文字][抄下来|写下来|打出来|念出来|读出来|转成文本|提取出来|原样写出]", "[把|]图[里|上]写的[|东西|内容]都[抄下来|打出来|读出来]", "逐[字|行][读出|抄写|转写]图[里|中|上]的[文字|字|内容]"),
        indirect=("图[里|上|中|片里][写着|写的是|印着|印的是|有]什么[字|文字]", "图[里|上|中][都|]写了些什么", "上面[写的|印的][都|]是[什么字|哪些字|什么文字]", "图[里|中|上]的[字|文字内容|字句][都|][怎么写|有哪些|写的什么]"),
        noun=("图[里|中|上]的[全部文字|所有字|文字内容|字]", "上面的[文字|字|全部文字]"),
    ),
    "en": Ask(
        "text",
        question=("what [does it say|words do you see|text do you see|can be read|text is there|letters do you see] [here|in this picture|in the image|on it|in the scan]", "what do the [lines|words|letters] [in the picture|in the image|here] say", "which [words|letters|lines] [are written|are printed|stand] [here|in the picture|in the image]"),
        order=("[copy|copy out|type out|type|read out|read aloud|reproduce|extract|write out|note down|take down|recognise|transcribe] [all |][the text|the words|the lines|the writing|the characters|the letters] [in|on|from] [the|this] [image|picture|scan|photo]", "[turn|convert] [the|this] [image|picture|scan] into [text|plain text]", "[read|copy|type] [everything|all] that [is written|stands] [here|in the image|in the picture]", "do OCR on [the|this] [image|picture|scan]"),
        indirect=("what [it says here|the image says|the words in the picture are|the lines say|is written in the image|text the picture holds]", "which [words|letters|lines] [stand in the picture|are written in the image]"),
        noun=("[all |][the text|the words|the writing] [in|on|from] [the|this] [image|picture|scan|photo]", "the [full|complete|written] text [of the image|of the picture|here]"),
    ),
}  # fmt: skip
# {k}: 3 or 三; {kth}: third.
LINE: dict[Lang, Ask] = {
    "zh": Ask(
        "text",
        order=("[读一下|念一下|抄下|抄写|识别|转写|只读|单独读出|提取]第{k}行[|的字|的文字|的内容]", "把第{k}行[抄下来|读出来|念出来|写出来|打出来]", "[只看|只要|就读]第{k}行[，写出内容|]"),
        indirect=("第{k}行[写着|写了|印着|是]什么", "第{k}行[的字|的内容|]是[什么|啥|哪些字]", "从上往下[数|]第{k}行[写的是|是|写着]什么", "[图里|图上|上面]第{k}行[写了|印了|有]什么字"),
        noun=("第{k}行的[字|内容|文字内容|全部内容]", "从上[往下|面]数第{k}行"),
    ),
    "en": Ask(
        "text",
        question=("what [stands|do you read|can be read|text is there|words are there] [in|on] [line {k}|the {kth} line|line number {k}]", "what [words|letters|text] [do you see in|can you read in] [line {k}|the {kth} line]", "line {k}: what does it say", "how does [line {k}|the {kth} line] read"),
        order=("[copy|type|type out|read out|transcribe|note down|write out|extract] [line {k}|the {kth} line|line number {k}|only line {k}|just the {kth} line]", "[go to|look at] [line {k}|the {kth} line] and [read it out|copy it|type it out]"),
        indirect=("what [line {k}|the {kth} line|line number {k}] [says|reads|holds|contains]", "which [words|letters] [are in|stand in] [line {k}|the {kth} line]", "how [line {k}|the {kth} line] reads"),
        noun=("the [words|wording|content|contents|characters] [of|in] [line {k}|the {kth} line]", "[line {k}|the {kth} line|line number {k}]", "the {kth} line from the top"),
    ),
}  # fmt: skip
NUMERALS_ZH = ("一", "二", "三", "四", "五", "六", "七", "八", "九", "十")
ORDINALS_EN = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
