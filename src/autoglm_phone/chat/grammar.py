"""Constrained decoding: a JSON schema or a tool grammar becomes a mask over the next token (llguidance).

A grammar is first compiled in a child process with a time limit and a memory cap; only one that passed there is
compiled here, with the same limits. Results are kept in a bounded LRU cache. A matcher starts to constrain where the
answer starts; before that it only forbids the end of the output.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from autoglm_phone.chat.grammar_worker import GrammarWorker, build_tokenizer, limits
from autoglm_phone.chat.tokenizer import Tokenizer
from autoglm_phone.chat.tools import JSON_STYLE, ToolSet, forced_call_lark
from autoglm_phone.engine.request import ThinkingBudget
from autoglm_phone.errors import GrammarError, OverloadedError

MAX_SCHEMA_CHARS = 64 * 1024
MAX_DEPTH = 32
MAX_NODES = 4096
FAILURE_SECONDS = 60.0  # a failure is remembered this long: it may have come from a busy machine
MAX_WAITING = 16  # grammars that compile or wait for it; more would hold the threads that all requests share


class Grammar:
    """A compiled grammar; `new()` gives each sequence a matcher of its own. This is SamplingParams.grammar."""

    def __init__(self, prototype: Any, frame: Frame):
        self._prototype = prototype
        self._frame = frame

    def new(self) -> Matcher:
        return Matcher(self._prototype.deep_copy(), self._frame)


@dataclass(frozen=True)
class Frame:
    """What surrounds the constrained answer: a thought, if the request thinks, and the end of the output.

    close, answer: the tokens `</think>` and `<answer>`; None if the tokenizer has no such token.
    budget: of the thought. It is kept here, because the engine keeps budgets only for free text.
    """

    vocab_size: int
    eos_ids: tuple[int, ...]
    close: int | None
    answer: int | None
    thinks: bool = False
    budget: ThinkingBudget | None = None


class Matcher:
    """One sequence's place in the grammar.

    `fill_mask()`: bool [vocab_size], True where the next token may lie; None where nothing is forbidden.
    `accept(id)`: moves on by a token, sampled or forced; False if the grammar does not allow it.
    `finished`: nothing may follow but the end; the engine ends the request with "stop".
    """

    def __init__(self, inner: Any, frame: Frame):
        self._inner = inner
        self._frame = frame
        self._phase = "thought" if frame.thinks and frame.close is not None else "grammar"
        self._tokens = 0
        self._steps = 0

    @property
    def finished(self) -> bool:
        return self._phase == "grammar" and (self._inner.is_stopped() or self._inner.is_error())

    def fill_mask(self) -> np.ndarray | None:
        frame = self._frame
        if self._phase == "thought" and not self._spent():
            mask = np.ones(frame.vocab_size, dtype=bool)
            mask[list(frame.eos_ids)] = False
            return mask
        if self._phase != "grammar":
            mask = np.zeros(frame.vocab_size, dtype=bool)
            mask[frame.close if self._phase == "thought" else frame.answer] = True
            return mask
        return np.frombuffer(self._inner.compute_logit_bias(), dtype=np.uint8)[: frame.vocab_size] != 0

    def accept(self, token_id: int) -> bool:
        frame = self._frame
        if self._phase == "thought":
            self._tokens += 1
            self._steps += frame.budget is not None and token_id in frame.budget.step_ids
            if token_id == frame.close:
                self._phase = "open" if frame.answer is not None else "grammar"
            elif token_id == frame.answer:
                self._phase = "grammar"
            return True
        if self._phase == "open":
            self._phase = "grammar"
            return token_id == frame.answer
        return bool(self._inner.consume_token(token_id))

    def _spent(self) -> bool:
        budget = self._frame.budget
        return budget is not None and (
            (budget.max_tokens is not None and self._tokens >= budget.max_tokens)
            or (budget.max_steps is not None and self._steps >= budget.max_steps)
        )


@dataclass(frozen=True)
class _Failure:
    message: str
    until: float  # time.monotonic()


class GrammarCompiler:
    """Compiles grammars for one tokenizer. Safe to call from several threads (it blocks: never call it on the loop)."""

    def __init__(self, tokenizer: Tokenizer, eos_ids: frozenset[int], *, cache_size: int = 64, seconds: float = 3.0):
        self._tokenizer = tokenizer
        self._eos_ids = eos_ids
        self._cache: OrderedDict[str, Any] = OrderedDict()
        self._cache_size = cache_size
        self._lock = threading.Lock()
        self._compile_lock = threading.Lock()
        self._places = threading.BoundedSemaphore(MAX_WAITING)
        self._ll_tokenizer: Any = None
        self._worker = GrammarWorker(tokenizer, eos_ids, seconds=seconds)

    def json_schema(self, schema: Any, *, thinks: bool = False, budget: ThinkingBudget | None = None) -> Grammar:
        """Grammar of a JSON schema's instances.

        Args:
            thinks: the model writes a thought first; the grammar starts behind it.

        Raises:
            GrammarError: no schema, too large, not supported, or too costly to compile.
        """
        text = check_schema(schema, "response_format")
        return self._grammar("json", text, thinks, budget)

    def forced_call(self, tools: ToolSet, *, thinks: bool = False, budget: ThinkingBudget | None = None) -> Grammar:
        """Grammar of one call (or several) of the tools that a request forces."""
        for name in tools.forced:
            check_schema(tools.schema(name), "tools")
        open_id, close_id = (self._tokenizer.special_id(t) for t in ("<tool_call>", "</tool_call>"))
        open_ref = f"<[{open_id}]>" if open_id is not None else '"<tool_call>"'
        close_ref = f"<[{close_id}]>" if close_id is not None else '"</tool_call>"'
        return self._grammar("lark", forced_call_lark(tools, open_ref, close_ref), thinks, budget)

    def close(self) -> None:
        self._worker.close()

    def _grammar(self, kind: str, text: str, thinks: bool, budget: ThinkingBudget | None) -> Grammar:
        key = hashlib.sha256(f"{kind}:{text}".encode()).hexdigest()
        with self._lock:
            prototype = self._cache.get(key)
            if isinstance(prototype, _Failure) and time.monotonic() > prototype.until:
                prototype = None
            elif prototype is not None:
                self._cache.move_to_end(key)
        if prototype is None:
            prototype = self._compile_once(key, kind, text)
        if isinstance(prototype, _Failure):
            raise GrammarError(prototype.message, param="response_format")
        frame = Frame(
            self._tokenizer.vocab_size,
            tuple(i for i in self._eos_ids if i < self._tokenizer.vocab_size),
            self._tokenizer.special_id("</think>"),
            self._tokenizer.special_id("<answer>"),
            thinks,
            budget,
        )
        return Grammar(prototype, frame)

    def _compile_once(self, key: str, kind: str, text: str) -> Any:
        """Compiles and remembers, failures included: the same bomb costs its time once."""
        if not self._places.acquire(blocking=False):
            raise OverloadedError("too many schemas are being compiled; try again in a moment")
        try:
            with self._compile_lock:
                made = self._compile(kind, text)
        except GrammarError as error:
            made = _Failure(error.message, time.monotonic() + FAILURE_SECONDS)
        finally:
            self._places.release()
        with self._lock:
            self._cache[key] = made
            while len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)
        return made

    def _compile(self, kind: str, text: str) -> Any:
        source = make_source(kind, text)
        self._worker.check(source)
        from llguidance import LLMatcher

        if self._ll_tokenizer is None:
            tokens = self._tokenizer.source_vocab
            special = sorted(self._tokenizer.specials.values())
            self._ll_tokenizer = build_tokenizer(tokens, special, sorted(self._eos_ids), self._tokenizer.encode)
        matcher = LLMatcher(self._ll_tokenizer, source, log_level=0, limits=limits())
        if matcher.is_error():
            raise GrammarError("the schema or grammar is not supported", param="response_format")
        return matcher


def make_source(kind: str, text: str) -> str:
    from llguidance import LLMatcher

    try:
        if kind == "json":
            return LLMatcher.grammar_from_json_schema(text)
        return LLMatcher.grammar_from_lark(text)
    except ValueError as exc:
        raise GrammarError("the JSON schema is invalid", param="response_format") from exc


def check_schema(schema: Any, param: str) -> str:
    """The schema as JSON text, if its size, depth and number of parts are within bounds.

    Raises:
        GrammarError: not an object, or out of bounds.
    """
    if not isinstance(schema, Mapping):
        raise GrammarError("a JSON schema must be an object", param=param)
    nodes, stack = 0, [(schema, 1)]
    while stack:
        value, depth = stack.pop()
        nodes += 1
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            raise GrammarError(
                f"the JSON schema is too complex: at most {MAX_DEPTH} levels and {MAX_NODES} parts", param=param
            )
        if isinstance(value, Mapping):
            stack.extend((v, depth + 1) for v in value.values())
        elif isinstance(value, list | tuple):
            stack.extend((v, depth + 1) for v in value)
    text = json.dumps({**schema, "x-guidance": JSON_STYLE}, ensure_ascii=False)  # never a client's own options
    if len(text) > MAX_SCHEMA_CHARS:
        raise GrammarError(f"the JSON schema is larger than {MAX_SCHEMA_CHARS // 1024} KiB", param=param)
    return text
