"""Samples to token rows, in exactly the form that the chat template gives at inference (tests compare the two).

Loss falls on what the assistant says last: from after the generation prompt to </answer>. Earlier turns are context,
often with their thought removed as clients send them, and must not teach an empty thought.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from autoglm_phone.errors import ConfigError
from autoglm_phone.train.tokenizer import SPECIAL_TOKENS
from autoglm_phone.train.world.sample import Turn

ID = {token: index for index, token in enumerate(SPECIAL_TOKENS)}
IGNORE = -100
_MARK = re.compile(r"(<image>|<audio>)")
_MEDIA = {
    "<image>": (ID["<|begin_of_image|>"], ID["<|image|>"], ID["<|end_of_image|>"]),
    "<audio>": (ID["<|begin_of_audio|>"], ID["<|audio|>"], ID["<|end_of_audio|>"]),
}
_ROLE = {"system": ID["<|system|>"], "user": ID["<|user|>"], "assistant": ID["<|assistant|>"]}


@dataclass(frozen=True)
class Row:
    """One conversation as tokens. labels[i] is the id to predict AT i (not shifted), IGNORE where none is.

    media: (kind, index of the placeholder token), in prompt order.
    """

    ids: list[int]
    labels: list[int]
    media: tuple[tuple[str, int], ...]


class Encoder:
    """Tokenizes turns. `no_think` is the share of thoughtful turns that are trained as direct answers."""

    def __init__(self, tokenizer: Tokenizer, no_think: float = 0.08):
        self.tokenizer = tokenizer
        self.no_think = no_think
        missing = [t for t, i in ID.items() if tokenizer.token_to_id(t) != i]
        if missing:
            raise ConfigError(f"the tokenizer lacks GLM's special tokens at their ids: {', '.join(missing)}")

    def text(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids if text else []

    def row(self, turns: Sequence[Turn], rng: random.Random) -> Row:
        """The whole conversation, its last assistant turn labelled."""
        ids = [ID["[gMASK]"], ID["<sop>"]]
        labels = [IGNORE, IGNORE]
        media: list[tuple[str, int]] = []
        for index, turn in enumerate(turns):
            if turn.role == "assistant":
                last = index == len(turns) - 1
                thinking = not (last and turn.reasoning and rng.random() < self.no_think)
                head, said = self._assistant(turn, thinking)
                ids += head + said
                labels += [IGNORE] * len(head) + (said if last else [IGNORE] * len(said))
            else:
                piece, marks = self._listen(turn)
                media += [(kind, len(ids) + offset) for kind, offset in marks]
                ids += piece
                labels += [IGNORE] * len(piece)
        return Row(ids, labels, tuple(media))

    def prompt(self, turns: Sequence[Turn], thinking: bool = True) -> Row:
        """The conversation up to the last assistant turn, ready for generation."""
        ids = [ID["[gMASK]"], ID["<sop>"]]
        media: list[tuple[str, int]] = []
        for turn in turns[:-1]:
            if turn.role == "assistant":
                head, said = self._assistant(turn, True)
                ids += head + said
            else:
                piece, marks = self._listen(turn)
                media += [(kind, len(ids) + offset) for kind, offset in marks]
                ids += piece
        head, _ = self._assistant(turns[-1], thinking)
        ids += head
        return Row(ids, [], tuple(media))

    def _listen(self, turn: Turn) -> tuple[list[int], list[tuple[str, int]]]:
        ids = [_ROLE[turn.role]]
        marks = []
        pieces = _MARK.split("\n" + turn.text)
        for piece in pieces:
            if piece in _MEDIA:
                marks.append((piece[1:-1], len(ids) + 1))
                ids += _MEDIA[piece]
            else:
                ids += self.text(piece)
        return ids, marks

    def _assistant(self, turn: Turn, thinking: bool) -> tuple[list[int], list[int]]:
        """(generation prompt, what the assistant says)."""
        head = [_ROLE["assistant"], *self.text("\n"), ID["<think>"]]
        content = self.content(turn.text)
        if thinking:
            return head, [*self.text(turn.reasoning), ID["</think>"], ID["<answer>"], *content, ID["</answer>"]]
        return [*head, ID["</think>"], ID["<answer>"]], [*content, ID["</answer>"]]

    def content(self, text: str) -> list[int]:
        """Answer text, in which the tool-call marks are special tokens."""
        ids: list[int] = []
        for piece in re.split(r"(</?tool_call>)", text):
            ids += [ID[piece]] if piece in ID else self.text(piece)
        return ids
