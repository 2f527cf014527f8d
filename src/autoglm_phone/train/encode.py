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
from autoglm_phone.train.looks import Box, Look
from autoglm_phone.train.tokenizer import SPECIAL_TOKENS
from autoglm_phone.train.world.sample import Turn

ID = {token: index for index, token in enumerate(SPECIAL_TOKENS)}
IGNORE = -100
_MARK = re.compile(r"(<image>|<audio>)")
_TOOL_CALL = re.compile(r"(</?tool_call>)")
_MEDIA = {
    "<image>": (ID["<|begin_of_image|>"], ID["<|image|>"], ID["<|end_of_image|>"]),
    "<audio>": (ID["<|begin_of_audio|>"], ID["<|audio|>"], ID["<|end_of_audio|>"]),
}
_ROLE = {"system": ID["<|system|>"], "user": ID["<|user|>"], "assistant": ID["<|assistant|>"]}


@dataclass(frozen=True)
class Row:
    """One conversation as tokens. labels[i] is the id to predict AT i (not shifted), IGNORE where none is.

    media: (kind, index of the placeholder token), in prompt order.
    looks: (index of the token whose state predicts one that is about a place, boxes of which any is right).
    """

    ids: list[int]
    labels: list[int]
    media: tuple[tuple[str, int], ...]
    looks: tuple[tuple[int, tuple[Box, ...]], ...] = ()


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

    def row(self, turns: Sequence[Turn], rng: random.Random, looks: Sequence[Look] = ()) -> Row:
        """The whole conversation, its last assistant turn labelled. looks: of that turn."""
        ids = [ID["[gMASK]"], ID["<sop>"]]
        labels = [IGNORE, IGNORE]
        media: list[tuple[str, int]] = []
        found: list[tuple[int, tuple[Box, ...]]] = []
        for index, turn in enumerate(turns):
            if turn.role == "assistant":
                last = index == len(turns) - 1
                thinking = not (last and turn.reasoning and rng.random() < self.no_think)
                head, said = self._assistant(turn, thinking)
                if last and looks:
                    found = self._looks(turn, thinking, len(ids) + len(head), looks)
                ids += head + said
                labels += [IGNORE] * len(head) + (said if last else [IGNORE] * len(said))
            else:
                piece, marks = self._listen(turn)
                media += [(kind, len(ids) + offset) for kind, offset in marks]
                ids += piece
                labels += [IGNORE] * len(piece)
        return Row(ids, labels, tuple(media), tuple(found))

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

    def _looks(
        self, turn: Turn, thinking: bool, start: int, looks: Sequence[Look]
    ) -> list[tuple[int, tuple[Box, ...]]]:
        """`Row.looks` of a turn of which the first said token has the index `start`.

        A token that touches several spans may look at what any of them shows.
        """
        found = []
        thought = self._spans(turn.reasoning) if thinking else []
        parts = {
            "reasoning": (start, thought),
            # After a thought come the tokens that end it and begin the answer.
            "answer": (start + len(thought) + 2 * thinking, self._spans(turn.text, content=True)),
        }
        for part, (base, spans) in parts.items():
            own = [look for look in looks if look.part == part]
            for index, (begin, end) in enumerate(spans if own else ()):
                boxes = dict.fromkeys(box for k in own if k.start < end and begin < k.end for box in k.boxes)
                if boxes:
                    found.append((base + index - 1, tuple(boxes)))
        return found

    def _spans(self, text: str, content: bool = False) -> list[tuple[int, int]]:
        """The characters that each token of a text stands for. content: tool-call marks are tokens of their own."""
        spans: list[tuple[int, int]] = []
        base = 0
        for piece in _TOOL_CALL.split(text) if content else [text]:
            if content and piece in ID:
                spans.append((base, base + len(piece)))
            elif piece:
                own = self.tokenizer.encode(piece, add_special_tokens=False).offsets
                spans += [(base + begin, base + end) for begin, end in own]
            base += len(piece)
        return spans

    def content(self, text: str) -> list[int]:
        """Answer text, in which the tool-call marks are special tokens."""
        ids: list[int] = []
        for piece in _TOOL_CALL.split(text):
            ids += [ID[piece]] if piece in ID else self.text(piece)
        return ids
