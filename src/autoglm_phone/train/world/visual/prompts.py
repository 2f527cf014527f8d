"""How an instruction reaches the model: bare, or as phone agents send it, with system prompt, screen info and history.

The agent's shape follows Open-AutoGLM: a string system message; user content is the picture and then the text
`{task}\\n\\n** Screen Info **\\n\\n{"current_app": …}`; only the newest turn keeps its picture. The words are our own.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass

from autoglm_phone.train.world.sample import Lang, Split, Turn
from autoglm_phone.train.world.visual.actions import tap
from autoglm_phone.train.world.visual.system_prompts import system_prompt
from autoglm_phone.train.world.visual.tasks import Task


@dataclass(frozen=True)
class Frame:
    """The surroundings of one instruction: how much of the agent's protocol is around it."""

    system: str
    info: bool
    steps: int  # earlier steps in the history


def pick_frame(rng: random.Random, lang: Lang, unseen: bool) -> Frame:
    """45 % bare, the rest with a system prompt and screen info; some of these are at a later step."""
    if rng.random() < 0.45:
        return Frame("", rng.random() < 0.15, 0)
    steps = 0 if rng.random() < 0.65 else rng.randint(1, 3)
    return Frame(system_prompt(rng, lang, unseen), rng.random() < 0.9, steps)


def _info(app: str) -> str:
    return json.dumps({"current_app": app or "unknown"}, ensure_ascii=False)


_EARLIER = {
    "zh": (
        ("Launch", "先打开{app}。"),
        ("Tap", "进入下一个页面。"),
        ("Wait", "页面还在加载，先等一会儿。"),
        ("Swipe", "要看下面的内容，手指向上滑。"),
    ),
    "en": (
        ("Launch", "Open {app} first."),
        ("Tap", "Go to the next page."),
        ("Wait", "The page is still loading, so wait."),
        ("Swipe", "To see more below, swipe up."),
    ),
}


def _earlier(rng: random.Random, lang: Lang, app: str, first: bool) -> Turn:
    """A plausible step that was done before."""
    name, thought = _EARLIER[lang][0] if first else rng.choice(_EARLIER[lang][1:])
    answer = {
        "Launch": f'do(action="Launch", app="{app}")',
        "Tap": tap(rng.randrange(1000), rng.randrange(1000)),
        "Wait": 'do(action="Wait", duration="2 seconds")',
        "Swipe": 'do(action="Swipe", start=[500,750], end=[500,250])',
    }[name]
    return Turn("assistant", answer, thought.format(app=app))


def wrap(rng: random.Random, lang: Lang, task: Task, app: str, split: Split, frame: Frame) -> tuple[Turn, ...]:
    """The conversation whose last turn is the step that `task` asks for."""
    answer = Turn("assistant", task.answer, task.thought)
    turns: list[Turn] = [Turn("system", frame.system)] if frame.system else []
    text = task.question
    if not frame.steps:
        if frame.info:
            text = f"{text}\n\n** Screen Info **\n\n{_info(app)}" if rng.random() < 0.5 else f"{text}\n\n{_info(app)}"
        return (*turns, Turn("user", f"<image>{text}"), answer)
    home = _info("System Home")
    turns += [Turn("user", f"{text}\n\n** Screen Info **\n\n{home}"), _earlier(rng, lang, app, True)]
    for _ in range(frame.steps - 1):
        turns += [Turn("user", f"** Screen Info **\n\n{_info(app)}"), _earlier(rng, lang, app, False)]
    return (*turns, Turn("user", f"<image>** Screen Info **\n\n{_info(app)}"), answer)


def as_alternative(rng: random.Random, lang: Lang, task: Task, app: str, frame: Frame) -> tuple[Turn, ...]:
    """The user and assistant turns that ask `task` in place of the sample's own question.

    After earlier steps this is a new instruction in the middle of a conversation: the newest one counts.
    """
    text = task.question
    if frame.info:
        text = f"{text}\n\n** Screen Info **\n\n{_info(app)}" if rng.random() < 0.5 else f"{text}\n\n{_info(app)}"
    return Turn("user", f"<image>{text}"), Turn("assistant", task.answer, task.thought)
