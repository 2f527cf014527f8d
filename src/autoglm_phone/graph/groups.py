"""The groups of requests that are calibrated apart: by the media of the prompt, which are known before anything runs.

What a model reads decides how early it knows its answer: words after a few layers, a picture's places after many.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

Group = Literal["text", "picture", "speech", "picture+speech"]
GROUPS: tuple[Group, ...] = ("text", "picture", "speech", "picture+speech")


def group_of(kinds: Iterable[str]) -> Group:
    """The group of a prompt with media of these kinds ("image", "audio")."""
    found = frozenset(kinds)
    if "image" in found:
        return "picture+speech" if "audio" in found else "picture"
    return "speech" if "audio" in found else "text"
