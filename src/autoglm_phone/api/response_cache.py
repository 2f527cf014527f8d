"""Whole answers to whole requests, kept for the next client that asks exactly the same (`--response-cache-mb`).

Only greedy requests are kept, and only those whose plan gives one answer whatever else runs (`AsyncEngine.repeats`:
full depth, a fixed one, or lossless, and no eviction): theirs is the one answer that the model gives. A request that
asks for its trace always runs, since a trace says what ran. Each API key has entries of its own. Answers that ended in
an error, or that nobody waited for, are never kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from pydantic import BaseModel

from autoglm_phone.chat.present import Delta
from autoglm_phone.chat.service import Answer, Generation, Service, Update
from autoglm_phone.chat.tools import ToolCall

# Fields that change how an answer travels, not what it is; or whose content the prompt and its media hold already.
_LEFT_OUT = {"model", "stream", "stream_options", "user", "return_graph", "messages", "prompt", "images", "audios"}
_BASE_BYTES = 1024  # of an answer's objects
_LOGPROB_BYTES = 160  # of a token's log-probability, and of each alternative


class ResponseCache:
    """Answers by request digest; the least recently used go when `max_bytes` (estimated) are full.

    Lives on the event loop's thread.
    """

    def __init__(self, max_bytes: int):
        self.max_bytes = max_bytes
        self.bytes = 0
        self.queries = 0
        self.hits = 0
        self._entries: OrderedDict[str, tuple[tuple[Answer, ...], int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> tuple[Answer, ...] | None:
        self.queries += 1
        found = self._entries.get(key)
        if found is None:
            return None
        self.hits += 1
        self._entries.move_to_end(key)
        return found[0]

    def put(self, key: str, answers: Sequence[Answer]) -> None:
        """Keep complete answers; one that is larger than the whole cache is not kept."""
        if any(answer.finish_reason not in ("stop", "length", "tool_calls") for answer in answers):
            return
        size = sum(map(_size, answers))
        if size > self.max_bytes:
            return
        if key in self._entries:
            self.bytes -= self._entries.pop(key)[1]
        while self.bytes + size > self.max_bytes:
            self.bytes -= self._entries.popitem(last=False)[1][1]
        self._entries[key] = (tuple(answers), size)
        self.bytes += size


class Visit:
    """One prompt's way past the cache: looked up once, then `run` in place of Service.run.

    Args:
        cache: None: there is none. kind: of endpoint. model: the folder that is served. engine: that would answer.
    """

    def __init__(
        self, cache: ResponseCache | None, body: BaseModel, generation: Generation, kind: str, model: str, engine: Any
    ):
        self.generation = generation
        self._cache = cache
        self._key = None if cache is None else request_key(body, generation, kind, model)
        if self._key is not None and not engine.repeats(generation.request(0)):
            self._key = None
        self._found = None if cache is None or self._key is None else cache.get(self._key)

    @property
    def hit(self) -> bool:
        return self._found is not None

    @property
    def asked(self) -> bool:
        """The cache could have had it."""
        return self._key is not None

    async def run(self, service: Service) -> AsyncGenerator[Update, None]:
        """Updates of all choices: each whole and at once from the cache, else as the engine gives them."""
        generation = self.generation
        if self._found is not None:
            for answer in self._found:
                yield _replay(answer, len(generation.prompt.ids))
            return
        answers = [Answer(i) for i in range(generation.n)]
        async with contextlib.aclosing(service.run(generation)) as updates:
            async for update in updates:
                if self._key is not None:
                    answers[update.index].add(update)
                yield update
        if self._cache is not None and self._key is not None:
            self._cache.put(self._key, answers)

    async def collect(self, service: Service) -> list[Answer]:
        """All choices, complete."""
        answers = [Answer(i) for i in range(self.generation.n)]
        async with contextlib.aclosing(self.run(service)) as updates:
            async for update in updates:
                answers[update.index].add(update)
        return answers


def headers(visits: Sequence[Visit]) -> dict[str, str]:
    """What the answer says of the cache: nothing where it had no part."""
    if not visits or not all(visit.asked for visit in visits):
        return {}
    return {"X-Cache": "hit" if all(visit.hit for visit in visits) else "miss"}


def mark(usage: dict[str, Any], visits: Sequence[Visit]) -> dict[str, Any]:
    """`usage` of an answer that came from the cache says so."""
    return {**usage, "response_cached": True} if headers(visits).get("X-Cache") == "hit" else usage


def request_key(body: BaseModel, generation: Generation, kind: str, model: str) -> str | None:
    """SHA-256 of everything that the answer depends on; None for a request whose answer is not kept.

    Media count by the hash of their processed content, so that the same picture from two places is one.
    """
    if generation.sampling.temperature != 0 or generation.wants_trace:
        return None
    fields = body.model_dump(mode="json", exclude=_LEFT_OUT | set(body.model_extra or ()), exclude_none=True)
    prompt = generation.prompt
    whole = {
        "kind": kind,
        "model": model,
        "adapter": generation.adapter,
        "salt": generation.cache_salt,
        "fields": fields,
        "prompt": prompt.ids,
        "opening": prompt.opening,
        "media": [(item.kind, item.content_hash, item.position, item.length) for item in prompt.media],
        "n": generation.n,
        "max_tokens": generation.sampling.max_tokens,
    }
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _replay(answer: Answer, prompt_tokens: int) -> Update:
    calls = [ToolCall(call.name, call.arguments) for call in answer.calls]  # new ids: they must not come twice
    return Update(
        answer.index,
        Delta(answer.content, answer.reasoning, calls),
        logprobs=list(answer.logprobs),
        token_ids=tuple(answer.token_ids),
        prompt_logprobs=answer.prompt_logprobs,
        finish_reason=answer.finish_reason,
        stop_reason=answer.stop_reason,
        completion_tokens=answer.completion_tokens,
        reasoning_tokens=answer.reasoning_tokens,
        cached_tokens=prompt_tokens,
    )


def _size(answer: Answer) -> int:
    """Bytes that an answer takes, about."""
    texts = len(answer.content.encode()) + len(answer.reasoning.encode())
    texts += sum(len(call.arguments.encode()) + _LOGPROB_BYTES for call in answer.calls)
    logprobs = [*answer.logprobs, *(p for p in answer.prompt_logprobs or () if p is not None)]
    return _BASE_BYTES + texts + 36 * len(answer.token_ids) + sum(_LOGPROB_BYTES * (1 + len(p.top)) for p in logprobs)
