"""Bounds on what a request may be: size of the body, shape of the JSON, every number.

A rule lives here, never on a route.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autoglm_phone.api.errors import error_response
from autoglm_phone.errors import InvalidRequestError, NotBuiltError, OverloadedError, PayloadTooLargeError

MAX_N = 16
MAX_PROMPTS = 64  # of one completions request
MAX_SEQUENCES = 64  # n times prompts
MAX_STOPS = 16
MAX_STOP_CHARS = 256
MAX_LOGPROBS = 20
MAX_BIASES = 1024
MAX_TOKENS = 10_000_000  # a sanity bound; the context window is the real one
MAX_JSON_DEPTH = 64
MAX_JSON_NODES = 2_000_000
MAX_SPEECH_CHARS = 4096
MAX_TRANSCRIPT_PROMPT = 2048  # characters

# Fields of later releases and of other servers that change what a client gets: refused by name, not ignored.
NOT_BUILT_FIELDS = {
    "best_of": "ask for 'n' answers and choose among them",
    "use_beam_search": "beam search is not available",
    "suffix": "this model can't fill in the middle",
    "functions": "use 'tools'",
    "function_call": "use 'tool_choice'",
    "guided_json": "use 'response_format' with type json_schema",
    "guided_regex": "use 'response_format' with type json_schema",
    "guided_choice": "use 'response_format' with an enum in a json_schema",
    "guided_grammar": "use 'response_format' with type json_schema",
    "structured_outputs": "use 'response_format' with type json_schema",
    "audio": "spoken answers are not available; send the text to /v1/audio/speech",
    "prediction": "predicted outputs are not available",
    "web_search_options": "this server has no web search",
    "chat_template": "the server's own template is always used",
    "documents": "put the documents into the messages",
    "mm_processor_kwargs": "it is a flag of the server (--mm-processor-kwargs)",
    "truncate_prompt_tokens": "shorten the prompt instead",
    "continue_final_message": "use /v1/completions to continue a text",
    "prompt_logprobs": "use /v1/completions with 'echo' and 'logprobs'",
    "allowed_token_ids": "use 'logit_bias' or 'response_format'",
    "bad_words": "use 'logit_bias'",
    "logits_processors": "requests can't bring code",
    "regex": "use 'response_format' with type json_schema",
    "ebnf": "use 'response_format' with type json_schema",
    "json_schema": "use 'response_format' with type json_schema",
}
_HARMLESS: tuple[Any, ...] = (None, False, [], {}, "")

T = TypeVar("T")


def refuse_unbuilt(extra: dict[str, Any] | None) -> None:
    """Unknown fields are ignored, as OpenAI does; known ones whose part does not exist are refused.

    Raises:
        NotBuiltError: one of them is set.
    """
    for name, value in (extra or {}).items():
        if name in NOT_BUILT_FIELDS and value not in _HARMLESS and not (name == "best_of" and value == 1):
            raise NotBuiltError(f"{name!r} is not available on this server: {NOT_BUILT_FIELDS[name]}", param=name)


def check_json(value: Any) -> None:
    """A decoded body: bounded depth and size, finite numbers, text that UTF-8 can hold.

    Raises:
        InvalidRequestError: the first thing that is out of bounds.
    """
    stack: list[tuple[Any, int]] = [(value, 1)]
    nodes = 0
    while stack:
        item, depth = stack.pop()
        nodes += 1
        if depth > MAX_JSON_DEPTH or nodes > MAX_JSON_NODES:
            raise InvalidRequestError("the body is nested too deeply or has too many parts", code="invalid_json")
        if isinstance(item, dict):
            stack.extend((k, depth) for k in item)
            stack.extend((v, depth + 1) for v in item.values())
        elif isinstance(item, list):
            stack.extend((v, depth + 1) for v in item)
        elif isinstance(item, str):
            if not item.isascii() and any("\ud800" <= c <= "\udfff" for c in item):
                raise InvalidRequestError("a text holds half a surrogate pair; send valid Unicode", code="invalid_json")
        elif isinstance(item, float) and not math.isfinite(item):
            raise InvalidRequestError("NaN and Infinity are not JSON numbers", code="invalid_json")
        elif isinstance(item, int) and abs(item) >= 2**64:
            raise InvalidRequestError("a number is far too large; integers have at most 64 bits", code="invalid_json")


class BodyLimitMiddleware:
    """Refuses bodies above a size: by Content-Length at once, without one as soon as they pass it.

    All bodies together are bounded as well, so that many large requests can't exhaust the memory before they queue.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, max_total: int | None = None):
        self._app = app
        self._max_bytes = max_bytes
        self._max_total = max_total or 8 * max_bytes
        self._total = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        too_large = PayloadTooLargeError(
            f"the request's body is larger than {self._max_bytes // 2**20} MiB; send smaller media"
        )
        lengths = [v for k, v in scope["headers"] if k == b"content-length"]
        if lengths and (not lengths[0].isdigit() or int(lengths[0]) > self._max_bytes):
            await error_response(too_large)(scope, receive, send)
            return
        size = 0
        started = False

        async def bounded() -> Message:
            nonlocal size
            message = await receive()
            count = len(message.get("body", b""))
            size += count
            self._total += count
            if size > self._max_bytes:
                raise too_large
            if self._total > self._max_total:
                raise OverloadedError("too much data is on its way into the server; try again in a moment")
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, bounded, watched)
        except (PayloadTooLargeError, OverloadedError) as exc:
            if started:
                raise
            await error_response(exc)(scope, receive, send)
        finally:
            self._total -= size


class ClientGoneError(Exception):
    """The client closed the connection before its answer was ready; nobody reads what is sent now."""


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Runs `work`, but cancels it when the client disconnects.

    Raises:
        ClientGoneError: it did.
    """
    task = asyncio.ensure_future(work)
    watcher = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientGoneError
    finally:
        for job in (task, watcher):
            job.cancel()
        await asyncio.gather(task, watcher, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
