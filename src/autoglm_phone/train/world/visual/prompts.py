"""How an instruction reaches the model: bare, or as phone agents send it, with system prompt, screen info and history."""

from __future__ import annotations

import json
import random

from autoglm_phone.train.world.sample import Lang, Split, Turn
from autoglm_phone.train.world.visual.tasks import Task


def wrap(rng: random.Random, lang: Lang, task: Task, app: str, split: Split) -> tuple[Turn, ...]:
    """The conversation whose last turn is the step that `task` asks for."""
    answer = Turn("assistant", task.answer, task.thought)
    text = task.question
    if rng.random() < 0.5:
        info = json.dumps({"current_app": app or "unknown"}, ensure_ascii=False)
        text = f"{text}\n\n** Screen Info **\n\n{info}"
    return Turn("user", f"<image>{text}"), answer
