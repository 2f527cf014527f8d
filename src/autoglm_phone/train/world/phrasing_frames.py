"""The sentences around a wish, by language and by the shape of its core. Slots: {core}, {this} and {a} thing.

Nothing here says what is wanted: each frame fits every task (`phrasing.Ask`).
"""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

from autoglm_phone.train.world.sample import Lang

# What a wish is about: with "this", and as something new. In sentences the patterns are expanded first.
THINGS: dict[Lang, dict[str, tuple[str, str]]] = {
    "zh": {
        "chart": ("[这张|这个|该|这幅|上面的|][图|图表|统计图|数据图]", "一张[图表|统计图|图|数据图|报表的图]"),
        "scene": ("[这张|这幅|该|上面的][图|图片|画|图像|插图]", "一张[图片|画|图|插图|小图]"),
        "text": ("[这张|该|上面的][图|图片|图像|照片]", "一张[图片|照片|图|有字的图]"),
        "screen": ("[这个|当前|现在的|我的|][屏幕|手机屏幕|界面|截图|页面]", "一张[手机截图|截图|屏幕截图]"),
        "sound": ("[这段|这条|该][录音|语音|音频]", "一段[录音|语音|音频]"),
    },
    "en": {
        "chart": ("[this|the|my|the attached] [chart|graph|diagram|figure|plot]", "a [chart|graph|diagram|plot]"),
        "scene": ("[this|the|the attached] [picture|image|drawing|illustration|scene]", "[a picture|a drawing|a small scene|an image]"),
        "text": ("[this|the|the attached] [picture|image|photo|scan]", "[a picture|a photo|an image] with [some |]text"),
        "screen": ("[this|the|my] [screen|screenshot|phone screen|display|page]", "[a screenshot|my screen|a screenshot of my phone]"),
        "sound": ("[this|the|my] [recording|clip|audio|voice message|sound file]", "a [recording|clip|voice message|sound file]"),
    },
}  # fmt: skip

_ZH_BEFORE = (
    "[这是|这里有|我有|发你|给你]{a}[，|。]",
    "[看|看看|看一下|请看|参照|对照]{this}[，|：]",
    "[根据|按照|依据|按|就]{this}[，|来说，]",
    "从{this}[来看|看|上看][，|：]",
    "[你好|您好|嗨|对了|那个|嗯|好|哎]，",
    "[有个问题|问个问题|小问题|问题|我的问题]：",
)
_ZH_AFTER = (
    "[谢谢|多谢|辛苦了|拜托了|麻烦了]",
    "[简短回答|简单说就行|直接说|直接回答|一句话就行|不用解释|答案就行]",
    "[我看不清|我没看明白|我拿不准|我要写报告|我赶时间|同事在问|我等着用]",
)
_EN_BEFORE = (
    "[here is|this is|I have|I got|I am sending you|take] {a}. ",
    "[look at|see|have a look at|take a look at|consider] {this}[.|:] ",
    "[looking at|judging by|going by|according to|based on|with regard to|from] {this}, ",
    "[so|OK|now|well|hi|hello|hey|right|alright], ",
    "[question|quick question|one question|my question|small question|next question|again]: ",
)
_EN_AFTER = (
    "[thanks|thank you|thanks a lot|many thanks|cheers].",
    "[a short answer is enough|keep it short|be brief|no explanation needed|answer briefly|briefly please|short answer please].",
    "[I can't make it out|I am not sure|my eyes are bad|I need it for a report|my boss asked|I am in a hurry|it matters to me].",
)


def _with_heads(plain: tuple[str, ...], mark: str, lang: Lang) -> tuple[str, ...]:
    """The plain frames (thrice, as most people say nothing around), then each opening and each end with the bare core."""
    if lang == "zh":
        heads = tuple(f"{head}{{core}}{mark}" for head in _ZH_BEFORE)
        ends = tuple(f"{{core}}{mark}{end}[。|]" for end in _ZH_AFTER)
    else:
        heads = tuple(f"{head}{{core}}{mark}" for head in _EN_BEFORE)
        ends = tuple(f"{{core}}{mark} {end}" for end in _EN_AFTER)
    return (f"{{core}}{mark}",) * 3 + plain * 2 + heads + ends


FRAMES: dict[Lang, dict[str, tuple[str, ...]]] = {
    "zh": {
        "question": _with_heads(
            (
                "请问{core}？",
                "[想问一下|问一下|麻烦问下|请教一下|我想问]，{core}？",
                "[帮忙看看|麻烦看看|帮我看下|你看看|请看看]，{core}？",
                "{core}？[你说说看|说说看|告诉我|请告诉我|请回答]。",
                "[你觉得|依你看|在你看来|你看]{core}？",
            ),
            "？",
            "zh",
        ),
        "order": _with_heads(
            (
                "请{core}。",
                "[请你|麻烦你|麻烦|帮我|帮忙|请帮我|劳驾|烦请]{core}。",
                "[能不能|可不可以|能否|可否|能帮我]{core}？",
                "[可以|能|方便]{core}吗？",
                "[我想让你|我需要你|我要你|希望你|你来|你负责|你要做的是]{core}。",
                "[任务|要求|指令|需求|待办]：{core}。",
                "[现在|接下来|下面|首先|先]{core}。",
            ),
            "。",
            "zh",
        ),
        "indirect": _with_heads(
            (
                "[告诉我|请告诉我|跟我说|说说|说一下|请说明|请说出|讲讲]{core}。",
                "[我想知道|我要知道|我想了解|我很好奇|我在想|我需要知道|我不确定]{core}。",
                "[能告诉我|能说说|你知道|你看得出|能看出|可以告诉我|看得出来]{core}吗？",
                "[帮我看看|帮我看下|看看|看一下|帮我查查|帮忙确认|麻烦看看|弄清楚]{core}。",
            ),
            "？",
            "zh",
        ),
        "noun": _with_heads(
            (
                "[告诉我|请告诉我|说出|说一下|报一下|给我|给出|请给出|请说出]{core}。",
                "[我想知道|我要|我需要|我想了解|我在找|我想要|我关心的是]{core}。",
                "[能告诉我|能给我|可以给出|能说出|能不能告诉我]{core}吗？",
                "[帮我看看|帮我找出|看看|帮我查一下|麻烦看看|查一下|找一下]{core}。",
                "[求|要找的是|问的是|只要|想要的是|待求]：{core}。",
            ),
            "？",
            "zh",
        ),
    },
    "en": {
        "question": _with_heads(
            (
                "please[,| tell me:| answer:] {core}?",
                "[can you tell me|tell me|I ask you|let me ask|I want to ask|I would like to ask]: {core}?",
                "{core}, [do you think|would you say|as far as you can see|if I may ask|please|in your view]?",
                "{core}? [tell me|let me know|please tell me|please answer|can you tell].",
            ),
            "?",
            "en",
        ),
        "order": _with_heads(
            (
                "please {core}.",
                "{core}[, please| for me| for me, please|, would you].",
                "[can|could|would|will] you [please |kindly |]{core}[ for me|]?",
                "[I want|I need|I would like|I'd like|I am asking] you to {core}.",
                "[your task is to|your job is to|the task is to|you have to|you are asked to|you should|try to|go ahead and|be so kind and|help me to|the idea is to] {core}.",
                "[task|to do|job|instruction|request|wanted]: {core}.",
                "[now|next|first|then|and now|once more,] {core}.",
            ),
            ".",
            "en",
        ),
        "indirect": (
            "[tell me|please tell me|say|let me know|find out|just tell me|kindly say] {core}.",
            "[can|could|would|will] you [please |][tell me|say|find out|let me know] {core}?",
            "[I want|I need|I would like|I'd like|I have] to know {core}.",
            "[I wonder|I am wondering|I ask myself|I was asked|I forgot to look|I can't tell|I don't see|I am not sure] {core}.",
            "[do you know|do you see|can you see|any idea|can you tell|is it clear to you] {core}?",
            "[here is|this is|I have|I am sending you] {a}. [tell me|please say|I want to know|let me know] {core}.",
            "[looking at|going by|judging by|from] {this}, [tell me|can you say|say|please tell me] {core}.",
            "[tell me|say|find out|I need to know] {core}. [thanks|be brief|a short answer is enough|no explanation needed|thank you].",
            "[it would help to know|what I want to know is|the question is|what I am asking is|my question is] {core}.",
        ),
        "noun": (
            "{core}?",
            "{core}, please.",
            "{core}, [if you can|thanks|thank you|if possible|briefly].",
            "[give me|tell me|state|I need|find|find me|I want|report|look for|get me|determine] {core}.",
            "[please |kindly |][give|state|find|report|tell me|determine|provide] {core}.",
            "[can|could|would] you [please |][give me|tell me|state|find|get me] {core}?",
            "[I am looking for|I am interested in|I am asking for|I am after|I want to know|I would like to know|what I need is|what I want is] {core}.",
            "what [is|was|would you say is|do you make of] {core}?",
            "[here is|this is|I have|I am sending you] {a}. [I need|I want to know|give me|what is|find] {core}.",
            "[looking at|going by|judging by|from] {this}, [what is|tell me|give me|I need] {core}.",
            "[wanted|asked for|to find|needed|looking for|question]: {core}.",
            "{core}: [what is it|I need that|can you find it|please tell me]?",
        ),
    },
}

# Around what is wanted of a recording nothing may speak of asking and answering: only the core says which it is.
SOUND_FRAMES: dict[Lang, dict[str, tuple[str, ...]]] = {
    "zh": {
        "question": ("{core}？", "请问{core}？", "{core}？[谢谢|多谢|我没听清|我听不清]。", "[听|听一下|听听]{this}，{core}？", "[这是|这里有|发你]{a}，{core}？"),
        "order": (
            "{core}。", "{core}", "请{core}。", "[请你|麻烦你|麻烦|帮我|帮忙|请帮我|劳驾]{core}。", "[能不能|可不可以|能否|能帮我]{core}？", "[可以|能|方便]{core}吗？",
            "[我想让你|我需要你|希望你|你来|你的任务是]{core}。", "[任务|要求|指令]：{core}。", "{core}，[谢谢|多谢|麻烦了|拜托]。", "[这是|这里有|发你]{a}，{core}。", "[现在|接下来|下面]{core}。",
        ),
        "indirect": ("{core}？", "[告诉我|请告诉我|说说|说一下]{core}。", "[我想知道|我要知道|我没听清]{core}。", "[能告诉我|你听得出|听得出来]{core}吗？"),
        "noun": ("{core}。", "[给我|请给出|给出|我要|我需要|请给我]{core}。", "[求|只要|需要|输出]：{core}", "[能给我|可以给出|能不能给我]{core}吗？"),
    },
    "en": {
        "question": ("{core}?", "{core}? [thanks|thank you|I could not hear it|my ears are bad].", "[listen to|take|here is] {this}. {core}?", "[please|so|OK|now], {core}?"),
        "order": (
            "{core}.", "{core}", "please {core}.", "{core}[, please| for me| for me, please|, thanks].", "[can|could|would|will] you [please |kindly |]{core}[ for me|]?",
            "[I want|I need|I would like|I'd like] you to {core}.", "[your task is to|your job is to|the task is to|you are asked to|you should|go ahead and] {core}.", "[task|to do|job|instruction]: {core}.",
            "[here is|this is|I have|I am sending you] {a}. {core}.", "[now|next|first|then] {core}.",
        ),
        "indirect": ("[tell me|please tell me|let me know|say] {core}.", "[can|could] you [please |][tell me|make out|hear] {core}?", "[I want|I need|I would like] to know {core}.", "[I could not hear|I missed|I did not get] {core}."),
        "noun": ("{core}.", "{core}, please.", "[give me|I need|I want|send me|produce|return] {core}.", "[can|could] you [please |]give me {core}?", "[wanted|needed|output]: {core}."),
    },
}  # fmt: skip
