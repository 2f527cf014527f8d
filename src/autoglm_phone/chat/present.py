"""Decides what a client sees of the pieces: thoughts apart, dropped, or inline as agents expect them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from autoglm_phone.chat.stream import Piece
from autoglm_phone.chat.tools import ToolCall

# inline: content is `<think>…</think><answer>…` as the model wrote it; the closing `</answer>` never leaves the server
Style = Literal["inline", "separate", "answer_only"]


@dataclass
class Delta:
    """What is new for the client."""

    content: str = ""
    reasoning: str = ""
    calls: list[ToolCall] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.content or self.reasoning or self.calls)


def choose_style(return_reasoning: bool | None, *, structured: bool) -> Style:
    """structured: the request has tools or a response format, so that the content must be the answer alone."""
    if return_reasoning is None:
        return "separate" if structured else "inline"
    return "separate" if return_reasoning else "answer_only"


class Presenter:
    """Turns pieces into deltas. Inline, tags are written only around a thought that is not empty."""

    def __init__(self, style: Style):
        self._style = style
        self._thought_open = False
        self._tags = ""  # tags passed since the thought, written in front of the answer's first text

    def present(self, pieces: Iterable[Piece]) -> Delta:
        delta = Delta()
        for piece in pieces:
            if piece.channel == "call" and piece.call is not None:
                delta.calls.append(piece.call)
            elif piece.channel == "reasoning":
                self._reason(piece.text, delta)
            elif piece.channel == "answer":
                delta.content += self._tags + piece.text
                self._tags = ""
            elif self._style == "inline" and self._thought_open and piece.text in ("</think>", "<answer>"):
                self._tags += piece.text
        return delta

    def _reason(self, text: str, delta: Delta) -> None:
        if self._style == "separate":
            delta.reasoning += text
        elif self._style == "inline":
            if not self._thought_open:
                self._thought_open = True
                text = "<think>" + text
            delta.content += text
