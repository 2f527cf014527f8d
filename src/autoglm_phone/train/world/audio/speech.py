"""Speech alone: write down what is said (`asr`), or do it (`spoken_task`).

`Clip.text` is the CTC target: the transcript in lower case without punctuation (`spoken.bare`). `asr` answers with the
same words as a sentence. `spoken_task` takes a question of a text category, speaks it, and keeps its answer and judge.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import replace

from autoglm_phone.errors import ConfigError
from autoglm_phone.media.speech import TRANSCRIBE_PROMPT, detect_language, language_runs
from autoglm_phone.train.world import registry
from autoglm_phone.train.world.audio import patterns, voices
from autoglm_phone.train.world.audio.asked_aloud import asked_aloud
from autoglm_phone.train.world.audio.composed import taught
from autoglm_phone.train.world.audio.sentences import UNDECIDABLE, finished, sentence
from autoglm_phone.train.world.audio.spoken import bare, canonical, spoken
from autoglm_phone.train.world.audio.vocabulary import known
from autoglm_phone.train.world.audio.wishes_sound import OBEY, ONLY_ANSWER, ONLY_WORDS, SCRIBE, TRANSCRIBE
from autoglm_phone.train.world.fillings import held_out, template
from autoglm_phone.train.world.phrasing import Ask, ask, rich
from autoglm_phone.train.world.registry import Draft
from autoglm_phone.train.world.sample import Clip, Lang, Split, Turn
from autoglm_phone.train.world.text.grammar_parse import say

_TRANSCRIBE: dict[Lang, tuple[str, ...]] = {
    "zh": (
        TRANSCRIBE_PROMPT["zh"],
        TRANSCRIBE_PROMPT["zh"],
        "转写这段语音。",
        "这段录音说了什么?",
        "把语音转成文字",
        "请听写。",
        "语音里说的是什么?请原样写下来。",
        "请转录音频内容。",
        "听一听,写出原话。",
        "帮我把录音转成文字。",
        "写下你听到的话。",
        "请逐字记录这段音频。",
    ),
    "en": (
        TRANSCRIBE_PROMPT["en"],
        TRANSCRIBE_PROMPT["en"],
        "Transcribe this recording.",
        "What does the recording say?",
        "Write down what is said.",
        "Please transcribe the speech.",
        "Convert this speech to text.",
        "What was said? Write it down word for word.",
        "Give me a transcript.",
        "Listen and write it down.",
        "Type out the audio for me.",
        "I need this clip in writing.",
    ),
}
_OBEY: dict[Lang, tuple[str, ...]] = {
    "zh": ("请按语音里说的做。", "听录音并回答。", "请回答语音中的问题。", "回答这段语音。", "照录音说的做。"),
    "en": (
        "Do what the recording says.",
        "Listen and answer.",
        "Please answer the question in the audio.",
        "Reply to this voice message.",
        "Follow the spoken request.",
    ),
}
# Text categories whose questions can be asked aloud, with their share. Those with steps think about what they heard.
_SPOKEN = {
    "identity": 0.12,
    "help": 0.08,
    "smalltalk": 0.14,
    "oos": 0.16,
    "arith": 0.16,
    "datetime": 0.08,
    "units": 0.08,
    "price": 0.06,
    "translate": 0.12,
}
_THOUGHTFUL = frozenset({"arith", "datetime", "units", "price", "translate"})
_LIMIT: dict[Lang, int] = {"zh": 60, "en": 150}  # characters of a spoken question: about 15 s
_LONGEST: dict[Lang, int] = {"zh": 75, "en": 230}  # characters of a recording: 25 s at the slowest
_SAYABLE = re.compile(r"[A-Za-zÀ-ÿ0-9\u4e00-\u9fff\s.,:;'’?!，。？！：；、（）()°%$¥+\-−×÷*/=~…\"“”‘’「」《》—–·&]+")
_TYPED = re.compile(r"\b(pls|thx|plz|btw)\b|[:;]-?\)|[\U0001f000-\U0001ffff]", re.IGNORECASE)


def clip_of(rng: random.Random, text: str, split: Split, lang: Lang | None = None) -> Clip:
    """A recording of `text` (canonical form) by a speaker of this split."""
    lang = lang or detect_language(text)
    runs = language_runs(text)
    speaker = voices.draw(rng, split, lang, english_only=detect_language(text) == "en")
    said = "".join(spoken(run, code) for run, code in runs)
    samples = voices.record(rng, said, speaker, split)
    return Clip(samples, bare(text, lang), lang, speaker.id)


def sayable(text: str, lang: Lang) -> str | None:
    """The canonical form of a typed question, or None if it is too long or holds what nobody says aloud."""
    text = _TYPED.sub(" ", text).strip()
    if not text or "\n" in text or not _SAYABLE.fullmatch(text) or len(text) > _LIMIT[lang] or set(text) & UNDECIDABLE:
        return None
    return "".join(_run_form(run, code) for run, code in language_runs(text)).strip()


def _run_form(run: str, lang: Lang) -> str:
    """A run's canonical form; a space stays where an English run meets another."""
    tail = " " if lang == "en" and run.endswith(" ") else ""
    return canonical(run, lang) + tail


def heard(text: str, lang: Lang, reasoning: str = "") -> str:
    """A thought that starts with the words of the recording: hearing and working out are two steps."""
    return f"{'听到' if lang == 'zh' else 'Heard'}: {text}\n{reasoning}".strip()


def around(rng: random.Random, text: str, markers: str = "<audio>") -> str:
    """A user message with the media before or after its text, as clients order them."""
    if not text:
        return markers
    return f"{markers}\n{text}" if rng.random() < 0.6 else f"{text}\n{markers}"


def spoken_question(
    rng: random.Random, name: str, split: Split, unseen: bool, lang: Lang | None = None
) -> tuple[Draft, str] | None:
    """A draft of a text category with the canonical text of its question, or None if it can't be said aloud."""
    draft = registry.category(name).build(rng, split, unseen)
    users = [turn for turn in draft.turns if turn.role == "user"]
    if len(users) != 1 or draft.turns[-2].role != "user" or (lang and draft.lang != lang):
        return None
    text = sayable(users[0].text, draft.lang)
    return (draft, text) if text is not None and known(text) and isinstance(draft, Draft) else None


def _sentence(rng: random.Random, lang: Lang, split: Split, unseen: bool) -> str:
    """A sentence of our own, all of whose words are taught by the training split."""
    for _ in range(200):
        text = finished(canonical(sentence(rng, lang, split, unseen), lang), lang)
        if taught(text) if split == "train" else known(text):
            return text
    raise ConfigError(f"no sentence of known words in 200 draws for split {split!r}")


def _content(rng: random.Random, lang: Lang, split: Split, unseen: bool) -> str:
    """What is said in a recording to transcribe: sentences of our own, or a question of another category."""
    if split == "train" and rng.random() < 0.14:
        pool = patterns.COMMANDS_ZH if lang == "zh" else patterns.COMMANDS_EN
        asked = asked_aloud(rng, lang, held_out(pool))
        text = sayable(asked, lang) if asked else None
        if text is not None and known(text):
            return finished(text, lang)
    if not unseen and rng.random() < (0.32 if split == "train" else 0.2):
        available = [name for name in _SPOKEN if registry.is_available(name)]
        if available:
            found = spoken_question(rng, rng.choice(available), split, False, lang)
            if found is not None and detect_language(found[1]) == lang:
                return finished(found[1], lang)
    count = rng.choices((1, 2, 3, 4, 5), (0.84, 0.07, 0.04, 0.03, 0.02))[0]
    text = _sentence(rng, lang, split, unseen)
    for _ in range(count - 1):
        more = _sentence(rng, lang, split, unseen)
        if len(text) + len(more) > _LONGEST[lang]:
            break
        text += more if lang == "zh" else f" {more}"
    return text


def transcribe_prompt(rng: random.Random, lang: Lang, split: Split, unseen: bool) -> str:
    """How someone asks for a transcript; in training mostly the grammar's words, and often the plain prompt.

    The plain one is what /v1/audio/transcriptions sends.
    """
    found = None
    if rich(rng, split):
        plain = rng.random() < 0.15
        found = TRANSCRIBE_PROMPT[lang] if plain else _worded(rng, TRANSCRIBE, ONLY_WORDS, _TRANSCRIBE, lang)
    return found or template(rng, f"speech.transcribe.{lang}", _TRANSCRIBE[lang], split, unseen)


def obey_prompt(rng: random.Random, lang: Lang, split: Split, unseen: bool) -> str:
    """How someone asks that a recording be answered."""
    found = _worded(rng, OBEY, ONLY_ANSWER, _OBEY, lang) if rich(rng, split) else None
    return found or template(rng, f"speech.obey.{lang}", _OBEY[lang], split, unseen)


def _worded(
    rng: random.Random,
    wish: Mapping[Lang, Ask],
    only: Mapping[Lang, tuple[str, ...]],
    table: Mapping[Lang, tuple[str, ...]],
    lang: Lang,
) -> str | None:
    """The wish in the grammar's words; now and then with, or as, a sentence that says what not to do."""
    if rng.random() < 0.06:
        return say(rng, rng.choice(only[lang]))
    found = ask(rng, wish[lang], lang, held_out(table[lang]))
    if found and rng.random() < 0.1:
        found = joined(found, say(rng, rng.choice(only[lang])), lang)
    return found


def joined(first: str, second: str, lang: Lang) -> str:
    """Two sentences of one message."""
    ended = first if first[-1] in "。.?？" else first + ("。" if lang == "zh" else ".")
    return ended + second if lang == "zh" else f"{ended} {second}"


def _difficulty(clip: Clip) -> int:
    seconds = len(clip.samples) / 16_000
    return 0 if seconds < 2 else 1 if seconds < 4.5 else 2 if seconds < 8 else 3


def _asr(rng: random.Random, split: Split, unseen: bool) -> Draft:
    lang: Lang = rng.choice(("zh", "en"))
    asked: Lang = lang if rng.random() < 0.75 else ("en" if lang == "zh" else "zh")
    text = _content(rng, lang, split, unseen)
    clip = clip_of(rng, text, split, lang)
    clips: tuple[Clip, ...] = (clip,)
    prompt = transcribe_prompt(rng, asked, split, unseen)
    turns: tuple[Turn, ...] = (Turn("user", around(rng, prompt)), Turn("assistant", text))
    if split != "test" and rng.random() < 0.06:  # the system message says it all
        turns = (
            Turn("system", say(rng, rng.choice(SCRIBE[asked]))),
            Turn("user", "<audio>"),
            Turn("assistant", text),
        )
    draw = rng.random()
    if draw < 0.08 and len(clip.samples) < 8 * 16_000:
        other_text = _sentence(rng, lang, split, False)
        other = clip_of(rng, other_text, split, lang)
        if draw < 0.05:  # an earlier recording in the same conversation
            clips = (other, clip)
            at = 1 if turns[0].role == "system" else 0
            earlier = (Turn("user", around(rng, prompt)), Turn("assistant", other_text))
            turns = (*turns[:at], *earlier, *turns[at:])
        else:  # two recordings in one message, of which one is asked for
            second = rng.random() < 0.5
            clips = (other, clip) if second else (clip, other)
            which = {"zh": ("第一", "第二"), "en": ("first", "second")}[asked][second]
            ask = f"请写出{which}段语音的文字。" if asked == "zh" else f"Transcribe the {which} recording."
            turns = (Turn("user", around(rng, ask, "<audio>\n<audio>")), Turn("assistant", text))
    return Draft(lang, _difficulty(clip), turns, {"kind": "transcript", "text": text, "lang": lang}, clips=clips)


def _spoken_task(rng: random.Random, split: Split, unseen: bool) -> Draft:
    available = {name: share for name, share in _SPOKEN.items() if registry.is_available(name)}
    if not available:
        raise ConfigError("spoken_task needs the text categories; none of them is available")
    for _ in range(200):
        name = rng.choices(list(available), list(available.values()))[0]
        found = spoken_question(rng, name, split, unseen)
        if found is None:
            continue
        draft, text = found
        text = finished(text, draft.lang)
        hint_lang: Lang = draft.lang
        hint = obey_prompt(rng, hint_lang, split, unseen) if rng.random() < 0.3 else ""
        clip = clip_of(rng, text, split, draft.lang)
        answer = draft.turns[-1]
        if name in _THOUGHTFUL:
            answer = replace(answer, reasoning=heard(text, draft.lang, answer.reasoning))
        turns = (*draft.turns[:-2], Turn("user", around(rng, hint)), answer)
        return replace(draft, turns=turns, clips=(clip,), difficulty=min(4, draft.difficulty + 1), alternatives=())
    raise ConfigError(f"no question that can be said aloud in 200 draws for split {split!r}")


BUILDERS: dict[str, registry.Builder] = {"asr": _asr, "spoken_task": _spoken_task}
