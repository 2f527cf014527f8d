"""Phone actions as text, and the judges of screens: a tap inside the target, the right step, the right words."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from autoglm_phone.train.world.sample import Sample
from autoglm_phone.train.world.scoring import Score, normalise, scorer

_CALL = re.compile(r"\A\s*(do|finish)\((.*)\)\s*\Z", re.DOTALL)
_FIELD = re.compile(r'\s*(\w+)\s*=\s*("(?:[^"\\]|\\.)*"|\[[^\]]*\])\s*(?:,|\Z)', re.DOTALL)
_POINT_ACTIONS = frozenset({"Tap", "Long Press", "Double Tap"})


@dataclass(frozen=True)
class Action:
    """A parsed reply; fields hold str, or list[float] for points in 0–999."""

    name: str
    fields: dict[str, Any]


def parse(text: str) -> Action | None:
    """Reads `do(action="Tap", element=[x,y])` or `finish(message="…")`; None where an agent's client could not."""
    call = _CALL.match(text)
    if call is None:
        return None
    fields: dict[str, Any] = {}
    body, at = call[2], 0
    while at < len(body):
        part = _FIELD.match(body, at)
        if part is None:
            return None
        raw = part[2]
        if raw.startswith('"'):
            fields[part[1]] = raw[1:-1]
        else:
            try:
                fields[part[1]] = [float(v) for v in raw[1:-1].split(",")]
            except ValueError:
                return None
        at = part.end()
    if call[1] == "finish":
        return Action("finish", fields) if "message" in fields else None
    name = fields.pop("action", None)
    if not isinstance(name, str):
        return None
    needed = {"Swipe": ("start", "end"), "Type": ("text",), "Launch": ("app",)}.get(
        name, ("element",) if name in _POINT_ACTIONS else ()
    )
    points = [fields.get(key) for key in needed if key in {"start", "end", "element"}]
    if any(key not in fields for key in needed) or any(not isinstance(p, list) or len(p) != 2 for p in points):
        return None
    return Action(name, fields)


def tap(x: int, y: int, name: str = "Tap") -> str:
    return f'do(action="{name}", element=[{x},{y}])'


@scorer("tap")
def _tap(sample: Sample, answer: str, reasoning: str) -> Score:
    """truth: box [x0, y0, x1, y1] in 0–999, action (default Tap). distance: from the box's middle, in 0–999 units."""
    truth = sample.truth
    action = parse(answer)
    if action is None:
        return Score(False, 0.0, {"parsed": False, "distance": None})
    if action.name != truth.get("action", "Tap"):
        return Score(False, 0.0, {"parsed": True, "distance": None, "action": action.name})
    x, y = action.fields["element"]
    x0, y0, x1, y1 = truth["box"]
    distance = math.hypot(x - (x0 + x1) / 2, y - (y0 + y1) / 2)
    inside = x0 <= x <= x1 and y0 <= y <= y1
    return Score(inside, float(inside), {"parsed": True, "distance": round(distance, 1)})


@scorer("action")
def _action(sample: Sample, answer: str, reasoning: str) -> Score:
    """truth: action, and for Swipe `direction` (of the finger), for Type `text`, for Launch `app`.

    A finish is right whatever its words, as people read them; a swipe must go at least 15 % of the screen that way.
    """
    truth = sample.truth
    action = parse(answer)
    if action is None:
        return Score(False, 0.0, {"parsed": False})
    right = action.name == truth["action"]
    if right and action.name == "Swipe":
        right = direction(action.fields["start"], action.fields["end"]) == truth["direction"]
    elif right and action.name in {"Type", "Launch"}:
        key = "text" if action.name == "Type" else "app"
        right = normalise(action.fields[key]) == normalise(truth[key])
    return Score(right, float(right), {"parsed": True, "action": action.name})


def direction(start: list[float], end: list[float]) -> str:
    """Way of the finger: up, down, left, right, or "" for a move that is too short."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    if max(abs(dx), abs(dy)) < 150:
        return ""
    if abs(dx) > abs(dy):
        return "right" if dx > 0 else "left"
    return "down" if dy > 0 else "up"
