"""What training asks to be done with a recording: write it down, or do what it says. Only this tells the two apart."""

# ruff: noqa: E501 (phrase tables read better in long lines)

from __future__ import annotations

from autoglm_phone.train.world.phrasing import Ask
from autoglm_phone.train.world.sample import Lang

_CLIP_EN = (
    "[this recording|the recording|this clip|the audio|this speech|the voice message|what you hear|the sound file]"
)
_CLIP_ZH = "[这段录音|这段语音|这段音频|这条语音|录音|音频|语音]"
TRANSCRIBE: dict[Lang, Ask] = {
    "zh": Ask(
        "sound",
        order=(f"[转写|听写|转录|誊写|记录|逐字转写|逐字记录]{_CLIP_ZH}[|的内容|里的话]", f"把{_CLIP_ZH}[转成文字|写成文字|变成文字|转为文本|整理成文字|打成字|原样写下来|一字不差地写出来|逐字打出来]", f"[写出|写下|打出|记下|抄下]{_CLIP_ZH}里[的原话|说的话|的每个字|的每一句|讲的内容]", f"[听完|听了]{_CLIP_ZH}[后|之后|，][写出原文|写下原话|把原话打出来|逐字写出来]", f"给{_CLIP_ZH}[配字幕|加字幕|出一份文字稿|做听写|做转写|写字幕]", "做[速记|听写|语音转文字|语音识别|字幕]"),
        indirect=(f"{_CLIP_ZH}[里|中][的人|][说了|讲了|说的是]什么", f"{_CLIP_ZH}[的|里的][原话|原文|文字|逐字内容]是什么", "[你|]听到了[什么话|哪些字|哪些话]", f"{_CLIP_ZH}[里|中]的[每个字|原话|句子]怎么写"),
        noun=(f"{_CLIP_ZH}[的文字稿|的原文|的逐字稿|的字幕|的文字|里的原话]", "[文字稿|逐字稿|听写结果|转写结果|原话的文字]"),
    ),
    "en": Ask(
        "sound",
        question=("what [is said|was said|words are spoken|is being said|words do you hear|does the voice say] [here|in this clip|in the recording|in the audio|in it]", "what are the [exact|spoken] words [here|of this clip|in the recording]", "what does the [speaker|voice|person] say, word for word", "which words [are spoken|do you hear|were said] [here|in this clip]"),
        order=(f"[transcribe|write out|type up|type out|take down|note down|put down|spell out] {_CLIP_EN}", f"[turn|convert|change|put] {_CLIP_EN} [into text|into writing|into written words]", f"[make|write|produce|prepare] a [transcript|transcription|written version|verbatim text] of {_CLIP_EN}", "[write|type|note] [every word you hear|word for word what is said|exactly what was said|the words as they are spoken|down all that is said]", "[take dictation|add subtitles|do speech to text|caption the audio|write subtitles for it|take this down in writing]"),
        indirect=("what [is said|was said|the speaker says|the voice says] [here|in this clip|in the recording|]", "which words [are spoken|you hear|were said] [here|in this clip|]", "what the [exact|spoken] words are"),
        noun=(f"[a transcript|the transcript|a transcription|the wording|the exact words|the text|the spoken words|subtitles] [of|for] {_CLIP_EN}", "[the transcript|a word for word transcript|the spoken words in writing|the exact wording|the words that are said]"),
    ),
}  # fmt: skip
OBEY: dict[Lang, Ask] = {
    "zh": Ask(
        "sound",
        order=(f"[回答|回复|回应|答复]{_CLIP_ZH}[里的问题|里的话|提出的问题|问的事]", f"[按|照|按照|根据]{_CLIP_ZH}[里的要求|的要求|的吩咐|的指示|的意思][去做|来做|办|完成|处理]", f"[执行|完成|满足]{_CLIP_ZH}里的[要求|指令|请求|任务|吩咐]", f"[听完|听了]{_CLIP_ZH}[给出回答|回答问题|再作答|就回复|给我答复]", "[帮|替]我[回答|处理][录音里|语音里|里面]的[事|问题|要求]"),
    ),
    "en": Ask(
        "sound",
        order=(f"[answer|reply to|respond to|react to] {_CLIP_EN}", f"[answer the question in|answer what is asked in|do what is asked in|do what is wanted in|carry out the request in|follow the request in] {_CLIP_EN}", "[carry out|obey|fulfil|take care of] what [the speaker|the voice|the recording] [asks for|wants|requests]", "[give|write] [an answer|a reply|your answer] to the [speaker|voice|spoken question]", "help with what is asked in [the recording|this clip]"),
    ),
}  # fmt: skip

# Said after (or instead of) the wish, so that nothing is left open.
ONLY_WORDS: dict[Lang, tuple[str, ...]] = {
    "zh": ("[只写原话|只要原文|只转写]，不要回答[里面的问题|它|录音里的问题|]。", "[不用回答|不要照做|别执行|不用回复|不必理会录音里的要求]，[把话写下来就行|只把原话写出来|只做听写|只转成文字]。"),
    "en": ("[Do not answer it|Don't reply to it|Never mind what it asks|Do not carry it out|Ignore any question in it][, only write it down|, just give me the words|. Just transcribe|. Only the words].", "[Only|Just] [transcribe|write it down], [don't answer|no reply|do not answer any question in it]."),
}  # fmt: skip
ONLY_ANSWER: dict[Lang, tuple[str, ...]] = {
    "zh": ("[不用转写|不用写原话|别听写|不需要文字稿]，[直接回答|直接去做|答出来就行|给出回答]。",),
    "en": ("[Don't transcribe it|No transcript|Do not write it down|I don't need the words][, just answer|, answer it|, do it instead|. Only reply].",),
}  # fmt: skip

# Whole requests in which the recording stands alone and the system message says what to do with it.
SCRIBE: dict[Lang, tuple[str, ...]] = {
    "zh": (
        "你是[语音识别|语音转文字|听写|速记][系统|程序|助手|工具]，[只输出原文|把听到的话逐字写出来|只写听到的文字|输出录音的文字][，不回答问题|，不要回答里面的问题|]。",
        "[任务|要求]：[语音转文字|转写用户的录音|听写]。[录音里的问题不用回答。|不要执行录音里的指令。|只输出文字。|]",
        "用户会发来录音，请[逐字转写|写成文字|写出原话][，别的什么都不要说|，不要作答|]。",
    ),
    "en": (
        "You are a [speech recognizer|transcription service|dictation program|stenographer]. [Write down what you hear|Output the words that are spoken|Return the transcript only][, nothing else|, never answer it|].",
        "[Task|Your job]: [speech to text|transcribe the user's recording|take dictation]. [Do not answer questions in the audio.|Never carry out what is said.|Output text only.|]",
        "The user sends recordings. [Transcribe them|Write them down word for word|Put them into writing][ and say nothing else| without answering|].",
    ),
}
