"""Speech and a picture together: the recording asks, the picture holds the answer.

A sample of a visual category gives its question to a speaker; `<audio>` takes the place of the words. The thought
starts with what was heard. One alternative asks for the transcript of the same recording, picture or not.
"""

from __future__ import annotations

import random
from dataclasses import replace

from autoglm_phone.errors import ConfigError
from autoglm_phone.media.speech import TRANSCRIBE_PROMPT
from autoglm_phone.train.world import registry
from autoglm_phone.train.world.audio.sentences import finished
from autoglm_phone.train.world.audio.speech import clip_of, heard, obey_prompt, sayable, transcribe_prompt
from autoglm_phone.train.world.audio.vocabulary import known
from autoglm_phone.train.world.registry import Draft
from autoglm_phone.train.world.sample import Split, Turn

_CHARTS = {"chart_value": 0.34, "chart_compare": 0.28, "chart_trend": 0.26, "chart_forecast": 0.12}
_TRIES = 60
_LONG = {"zh": 20, "en": 50}  # characters of a question


def _ask_aloud(rng: random.Random, draft: Draft, question: str, split: Split) -> Draft | None:
    """The draft with `question`, which stands in one of its user messages, spoken; None if it can't be said aloud."""
    text = sayable(question, draft.lang)
    at = next((i for i, turn in enumerate(draft.turns) if turn.role == "user" and question in turn.text), None)
    if text is None or at is None or (split == "test" and not known(text)):
        return None
    text = finished(text, draft.lang)
    clip = clip_of(rng, text, split, draft.lang)
    message = draft.turns[at].text.replace(question, "<audio>", 1)
    if message.startswith("<image><audio>") and rng.random() < 0.4:
        message = message.replace("<image><audio>", "<audio><image>", 1)
    if split != "test" and "\n" not in message and rng.random() < 0.15:
        message += "\n" + obey_prompt(rng, draft.lang, split, unseen=False)
    turns = list(draft.turns)
    turns[at] = replace(turns[at], text=message)
    turns[-1] = replace(turns[-1], reasoning=heard(text, draft.lang, turns[-1].reasoning))
    wanted = TRANSCRIBE_PROMPT[draft.lang] if split == "test" else transcribe_prompt(rng, draft.lang, split, False)
    transcript = (Turn("user", f"<image><audio>\n{wanted}"), Turn("assistant", text))
    return replace(
        draft,
        turns=tuple(turns),
        clips=(clip,),
        difficulty=min(4, draft.difficulty + 1),
        alternatives=(transcript,) if at == len(turns) - 2 and len(draft.pictures) == 1 else (),
    )


def _speech_screen(rng: random.Random, split: Split, unseen: bool) -> Draft:
    from autoglm_phone.train.world.visual.prompts import pick_frame, wrap
    from autoglm_phone.train.world.visual.screen import render

    for _ in range(_TRIES):
        shown = render(rng, split, unseen)
        tasks = shown.taps if rng.random() < 0.75 else shown.actions if rng.random() < 0.5 else shown.reads
        for task in rng.sample(tasks, min(len(tasks), 4)):
            if split != "test" and len(task.question) > _LONG[shown.lang] and rng.random() < 0.7:
                continue  # seconds of speech cost more than another task of the same screen
            if task.step == "read":
                turns: tuple[Turn, ...] = (
                    Turn("user", f"<image>{task.question}"),
                    Turn("assistant", task.answer, task.thought),
                )
            else:
                turns = wrap(rng, shown.lang, task, shown.app, split, pick_frame(rng, shown.lang, unseen))
            draft = Draft(shown.lang, task.difficulty, turns, task.truth, (shown.picture,))
            spoken = _ask_aloud(rng, draft, task.question, split)
            if spoken is not None:
                return spoken
    raise ConfigError(f"no screen with an instruction that can be said aloud in {_TRIES} draws for split {split!r}")


def _speech_chart(rng: random.Random, split: Split, unseen: bool) -> Draft:
    from autoglm_phone.train.world.visual.chart import ALOUD

    for _ in range(_TRIES):
        name = rng.choices(list(_CHARTS), list(_CHARTS.values()))[0]
        draft = ALOUD[name](rng, split, unseen)
        if not isinstance(draft, Draft) or len(draft.turns) != 2 or "<image>" not in draft.turns[0].text:
            continue
        question = draft.turns[0].text.replace("<image>", "").strip()
        spoken = _ask_aloud(rng, draft, question, split)
        if spoken is not None:
            return spoken
    raise ConfigError(f"no chart question that can be said aloud in {_TRIES} draws for split {split!r}")


BUILDERS: dict[str, registry.Builder] = {"speech_screen": _speech_screen, "speech_chart": _speech_chart}
