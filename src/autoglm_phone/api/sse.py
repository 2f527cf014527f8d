"""Server-sent events: JSON chunks as `data:` lines, errors in the OpenAI shape, `[DONE]` at the end."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any

from fastapi.responses import StreamingResponse

from autoglm_phone.api.errors import describe, log

HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def event(data: Any) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n\n"


def stream(
    chunks: AsyncGenerator[dict[str, Any], None],
    held: contextlib.AbstractContextManager[Any],
    headers: Mapping[str, str] | None = None,
) -> StreamingResponse:
    """Streams the chunks. `held` (places in the queue) is left when the stream ends, however it ends."""
    return _Stream(_events(chunks), held, headers or {})


async def _events(chunks: AsyncGenerator[dict[str, Any], None]) -> AsyncGenerator[bytes, None]:
    try:
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                yield event(chunk)
    except Exception as exc:
        status, body, _ = describe(exc)
        if status >= 500:
            log.error("a stream ended in an error", exc_info=exc)
        yield event(body)
    yield b"data: [DONE]\n\n"


class _Stream(StreamingResponse):
    """Closes its generator at once when the client goes away, instead of waiting for the garbage collector."""

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        held: contextlib.AbstractContextManager[Any],
        headers: Mapping[str, str],
    ):
        super().__init__(events, media_type="text/event-stream", headers={**HEADERS, **headers})
        self._events = events
        self._held = held

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._events.aclose()
            self._held.__exit__(None, None, None)


@contextlib.contextmanager
def handed_over(held: contextlib.AbstractContextManager[Any]) -> Iterator[list[bool]]:
    """Enters `held`; leaves it at the end unless the body sets the list's flag (a stream then leaves it)."""
    kept = [False]
    held.__enter__()
    try:
        yield kept
    finally:
        if not kept[0]:
            held.__exit__(None, None, None)
