"""Splits a stream of output tokens into thought, answer and tool calls, and stops it at stop strings.

Tags that are single tokens are recognized as tokens, so a text that merely spells `</think>` is text. For tokenizers
whose tags are ordinary text they are recognized in the text, with a possible beginning of a tag held back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from autoglm_phone.chat.prompt import Opening
from autoglm_phone.chat.tokenizer import Detokenizer, Tokenizer
from autoglm_phone.chat.tools import ToolCall, parse_call

Channel = Literal["reasoning", "answer", "mark", "call"]
TAGS = ("<think>", "</think>", "<answer>", "</answer>", "<tool_call>", "</tool_call>")
MAX_CALL_CHARS = 1 << 16


@dataclass(frozen=True)
class Piece:
    """Some output. channel "mark": `text` is a tag that was passed; "call": `call` is set."""

    channel: Channel
    text: str = ""
    call: ToolCall | None = None


class OutputParser:
    """One choice's output.

    Args:
        opening: where the prompt left the model (see chat.prompt).
        stop: stop strings; they apply to the answer, not to the thought.
        tools: names of the callable tools; empty: tool tags are plain text.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        opening: Opening,
        *,
        stop: Sequence[str] = (),
        tools: frozenset[str] = frozenset(),
        include_stop: bool = False,
    ):
        self._tokenizer = tokenizer
        self._detokenizer = Detokenizer(tokenizer)
        self._tags = {i: tag for tag in TAGS if (i := tokenizer.special_id(tag)) is not None}
        self._text_tags = _TagScanner([t for t in TAGS if tokenizer.special_id(t) is None])
        self._stop = StopStrings(stop, include_stop)
        self._tools = tools
        self.channel: Literal["reasoning", "answer"] = "reasoning" if opening == "reasoning" else "answer"
        self._call: list[str] | None = None
        self._call_chars = 0
        self._blank = ""  # white space of the answer that waits for more text (between the tags it is dropped)
        self._fresh = True  # nothing of this channel has been emitted yet
        self._thought_blank = ""
        self.reasoning_tokens = 0
        self.calls = 0
        self.stopped: str | None = None  # the stop string that was found
        self.closed = False  # `</answer>` was passed

    def is_tag(self, token_id: int) -> bool:
        return token_id in self._tags

    def feed(self, token_ids: Iterable[int]) -> list[Piece]:
        """The pieces that these tokens settle."""
        out: list[Piece] = []
        for token in token_ids:
            if self.stopped is not None or self.closed:
                break
            if self.channel == "reasoning":
                self.reasoning_tokens += 1
            tag = self._tags.get(token)
            if tag is not None:
                self._detokenizer.flush()
                out.extend(self._take(self._text_tags.flush()))
                out.extend(self._mark(tag))
            else:
                out.extend(self._take(self._text_tags.push(self._detokenizer.push(token))))
        return out

    def finish(self) -> list[Piece]:
        """What was held back, at the end of the output."""
        out: list[Piece] = []
        if self.stopped is None and not self.closed:
            out.extend(self._take(self._text_tags.flush()))
            if self._call is not None:  # a call that never ended is text
                out.extend(self._answer("<tool_call>" + "".join(self._call)))
                self._call = None
            out.extend(self._emit(self._stop.flush()))
        return out

    def _take(self, items: Iterable[str]) -> Iterator[Piece]:
        for text in items:
            if self.stopped is not None or self.closed:
                return
            if text in TAGS and self._text_tags.is_tag(text):
                yield from self._mark(text)
            elif self._call is not None:
                yield from self._buffer_call(text)
            elif self.channel == "reasoning":
                yield from self._reason(text)
            else:
                yield from self._answer(text)

    def _mark(self, tag: str) -> Iterator[Piece]:
        if self._call is not None:
            if tag == "</tool_call>":
                yield from self._end_call()
            else:
                yield from self._buffer_call(tag)
            return
        thinking = self.channel == "reasoning"
        if tag in ("<tool_call>", "</tool_call>"):
            if tag == "<tool_call>" and self._tools and not thinking:
                yield from self._emit(self._stop.flush())
                self._call, self._call_chars = [], 0
            elif thinking:
                yield from self._reason(tag)
            else:
                yield from self._answer(tag)
        elif tag == "<think>" and not thinking:
            self._switch("reasoning")
            yield Piece("mark", tag)
        elif tag in ("</think>", "<answer>") and (thinking or self._fresh):
            self._switch("answer")
            yield Piece("mark", tag)
        elif tag == "</answer>":
            yield from self._emit(self._stop.flush())
            self.closed = True

    def _switch(self, channel: Literal["reasoning", "answer"]) -> None:
        self.channel = channel
        self._fresh, self._blank, self._thought_blank = True, "", ""

    def _reason(self, text: str) -> Iterator[Piece]:
        # Blanks around the thought are dropped: the leading ones now, the trailing ones by waiting for more.
        text = self._thought_blank + text
        if self._fresh:
            text = text.lstrip()
        body = text.rstrip()
        self._thought_blank = text[len(body) :]
        if body:
            self._fresh = False
            yield Piece("reasoning", body)

    def _answer(self, text: str) -> Iterator[Piece]:
        settled, found = self._stop.push(text)
        yield from self._emit(settled)
        if found is not None:
            self.stopped = found

    def _emit(self, text: str) -> Iterator[Piece]:
        if self._fresh:
            text = self._blank + text
            if not text.strip():
                self._blank = text  # only blanks so far: they vanish if a tag follows
                return
            text, self._blank = text.lstrip(), ""
        if text:
            self._fresh = False
            yield Piece("answer", text)

    def _buffer_call(self, text: str) -> Iterator[Piece]:
        if self._call is None:
            return
        self._call.append(text)
        self._call_chars += len(text)
        if self._call_chars > MAX_CALL_CHARS:
            buffered, self._call = "".join(self._call), None
            yield from self._answer("<tool_call>" + buffered)

    def _end_call(self) -> Iterator[Piece]:
        text, self._call = "".join(self._call or []), None
        call = parse_call(text, self._tools)
        if call is None:
            yield from self._answer(f"<tool_call>{text}</tool_call>")
            return
        self.calls += 1
        self._fresh, self._blank = True, ""  # blanks between calls are dropped
        yield Piece("call", call=call)


class PlainParser:
    """A bare completion's output: all of it is answer; stop strings apply."""

    channel: Literal["answer"] = "answer"
    closed = False
    reasoning_tokens = 0
    calls = 0

    def __init__(
        self, tokenizer: Tokenizer, *, stop: Sequence[str] = (), include_stop: bool = False, skip_special: bool = True
    ):
        self._detokenizer = Detokenizer(tokenizer, skip_special=skip_special)
        self._stop = StopStrings(stop, include_stop)
        self.stopped: str | None = None

    def is_tag(self, token_id: int) -> bool:
        return False

    def feed(self, token_ids: Iterable[int]) -> list[Piece]:
        out = []
        for token in token_ids:
            if self.stopped is not None:
                break
            text, self.stopped = self._stop.push(self._detokenizer.push(token))
            if text:
                out.append(Piece("answer", text))
        return out

    def finish(self) -> list[Piece]:
        text = "" if self.stopped is not None else self._stop.flush()
        return [Piece("answer", text)] if text else []


class StopStrings:
    """Finds the first stop string in a text that comes in pieces; holds back what may become one."""

    def __init__(self, stops: Sequence[str], include: bool = False):
        self._stops = [s for s in stops if s]
        self._pattern = re.compile("|".join(map(re.escape, sorted(self._stops, key=len, reverse=True))))
        self._include = include
        self._held = ""

    def push(self, text: str) -> tuple[str, str | None]:
        """(text that is settled, the stop string that was found)"""
        if not self._stops:
            return text, None
        text = self._held + text
        found = self._pattern.search(text)
        if found:
            self._held = ""
            return text[: found.end() if self._include else found.start()], found.group()
        keep = max((_overlap(text, s) for s in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], None

    def flush(self) -> str:
        held, self._held = self._held, ""
        return held


class _TagScanner:
    """Cuts tags out of plain text that comes in pieces."""

    def __init__(self, tags: Sequence[str]):
        self._tags = list(tags)
        self._pattern = re.compile("(" + "|".join(map(re.escape, tags)) + ")") if tags else None
        self._held = ""

    def is_tag(self, text: str) -> bool:
        return text in self._tags

    def push(self, text: str) -> list[str]:
        if self._pattern is None or not (text or self._held):
            return [text] if text else []
        text = self._held + text
        keep = max(_overlap(text, tag) for tag in self._tags)
        self._held = text[len(text) - keep :]
        return [piece for piece in self._pattern.split(text[: len(text) - keep]) if piece]

    def flush(self) -> list[str]:
        held, self._held = self._held, ""
        return [held] if held else []


def _overlap(text: str, word: str) -> int:
    """Characters at the end of `text` that begin `word` without completing it."""
    for size in range(min(len(word) - 1, len(text)), 0, -1):
        if text.endswith(word[:size]):
            return size
    return 0
