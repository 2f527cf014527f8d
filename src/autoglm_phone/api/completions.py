"""POST /v1/completions: plain text continuation, without a chat template."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncGenerator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from autoglm_phone.api import format, limits, response_cache, sse
from autoglm_phone.api.body import error_docs, json_doc, read_json
from autoglm_phone.api.limits import unless_gone
from autoglm_phone.api.response_cache import Visit, mark
from autoglm_phone.api.sampling import read_graph, read_sampling
from autoglm_phone.api.schema import CompletionBody
from autoglm_phone.api.state import adapter_of, cache_salt, model_for, server
from autoglm_phone.chat.service import Answer, Generation, Service
from autoglm_phone.errors import InvalidRequestError, NotBuiltError

router = APIRouter()


@router.post(
    "/v1/completions",
    openapi_extra=json_doc(CompletionBody),
    responses=error_docs(400, 401, 404, 413, 415, 500, 503),
)
async def completions(request: Request) -> Response:
    body = await read_json(request, CompletionBody)
    service, name = model_for(request, body.model)
    for field in ("response_format", "tools", "images", "audios"):
        if (body.model_extra or {}).get(field):
            raise NotBuiltError(f"{field!r} is available on /v1/chat/completions only", param=field)
    prompts = _prompts(body.prompt)
    count = len(prompts) * (body.n or 1)
    if count > limits.MAX_SEQUENCES:
        raise InvalidRequestError(f"'n' times the number of prompts may be at most {limits.MAX_SEQUENCES}", param="n")
    with sse.handed_over(held := service.admit(count)) as kept:
        salt, adapter = cache_salt(request), adapter_of(request, name)
        generations = await asyncio.to_thread(_prepare, service, body, prompts, salt, adapter)
        for generation in generations:
            server(request).metrics.request(generation.n, generation.sampling.max_tokens, [])
        state = server(request)
        model = state.config.model
        visits = [Visit(state.responses, body, g, "completion", model, service.engine) for g in generations]
        headers = response_cache.headers(visits)
        if body.stream:
            kept[0] = True
            return sse.stream(_chunks(service, visits, body, name), held, headers)
        groups = await unless_gone(request, _collect(service, visits))
    choices = [
        _choice(service, generation, answer, body, g * generation.n + answer.index)
        for g, (generation, answers) in enumerate(zip(generations, groups, strict=True))
        for answer in answers
    ]
    return JSONResponse(
        {
            "id": generations[0].request_id,
            "object": "text_completion",
            "created": int(time.time()),
            "model": name,
            "choices": choices,
            "usage": _usage(visits, groups),
        },
        headers=headers,
    )


def _prompts(prompt: Any) -> list[str | list[int]]:
    if isinstance(prompt, str) or (prompt and isinstance(prompt[0], int)):
        return [prompt]
    return list(prompt)


def _prepare(
    service: Service, body: CompletionBody, prompts: list[str | list[int]], salt: str, adapter: str | None
) -> list[Generation]:
    request_id = "cmpl-" + secrets.token_hex(16)
    graph = read_graph(body)
    out = []
    for i, prompt in enumerate(prompts):
        made = service.prompts.plain(prompt)
        sampling = read_sampling(
            body,
            service.info,
            len(made.ids),
            body.max_tokens,
            logprobs=body.logprobs,
            prompt_logprobs=body.logprobs if body.echo else None,
        )
        out.append(
            Generation(
                f"{request_id}-{i}" if len(prompts) > 1 else request_id,
                made,
                sampling,
                n=body.n or 1,
                raw=True,
                skip_special=body.skip_special_tokens is not False,
                include_stop=bool(body.include_stop_str_in_output),
                cache_salt=salt,
                adapter=adapter,
                graph=graph,
            )
        )
        service.check(out[-1])
    return out


async def _collect(service: Service, visits: list[Visit]) -> list[list[Answer]]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(visit.collect(service)) for visit in visits]
    return [t.result() for t in tasks]


def _choice(
    service: Service, generation: Generation, answer: Answer, body: CompletionBody, index: int
) -> dict[str, Any]:
    text = answer.content
    prompt = generation.prompt.ids
    echoed = service.tokenizer.decode(prompt, skip_special=generation.skip_special) if body.echo else ""
    logprobs = None
    if body.logprobs is not None:
        ids = [p.token_id for p in answer.logprobs]
        if body.echo:
            before = answer.prompt_logprobs or (None,) * len(prompt)
            logprobs = format.completion_logprobs(service.tokenizer, [*before, *answer.logprobs], [*prompt, *ids])
        else:
            logprobs = format.completion_logprobs(service.tokenizer, answer.logprobs, ids)
    choice = {
        "index": index,
        "text": echoed + text,
        "logprobs": logprobs,
        "finish_reason": answer.finish_reason,
        "stop_reason": answer.stop_reason,
    }
    return {**choice, "graph": answer.graph} if generation.wants_trace else choice


def _usage(visits: list[Visit], groups: list[list[Answer]]) -> dict[str, Any]:
    prompt_tokens = sum(len(visit.generation.prompt.ids) for visit in visits)
    return mark(format.usage(prompt_tokens, [a for group in groups for a in group]), visits)


async def _chunks(
    service: Service, visits: list[Visit], body: CompletionBody, model: str
) -> AsyncGenerator[dict[str, Any], None]:
    generations = [visit.generation for visit in visits]
    created = int(time.time())
    with_usage = body.stream_options is not None and body.stream_options.include_usage

    def chunk(choices: list[dict[str, Any]], usage: Any = None) -> dict[str, Any]:
        data = {
            "id": generations[0].request_id,
            "object": "text_completion",
            "created": created,
            "model": model,
            "choices": choices,
        }
        return {**data, "usage": usage} if with_usage else data

    groups = [[Answer(i) for i in range(g.n)] for g in generations]
    for g, generation in enumerate(generations):  # one prompt after the other, all its choices at once
        if body.echo:
            text = service.tokenizer.decode(generation.prompt.ids, skip_special=generation.skip_special)
            for i in range(generation.n):
                yield chunk([{"index": g * generation.n + i, "text": text, "logprobs": None, "finish_reason": None}])
        async with contextlib.aclosing(visits[g].run(service)) as updates:
            async for update in updates:
                groups[g][update.index].add(update)
                if not update.delta and update.finish_reason is None:
                    continue
                part = {
                    "index": g * generation.n + update.index,
                    "text": update.delta.content,
                    "logprobs": None,
                    "finish_reason": update.finish_reason,
                }
                if body.logprobs is not None:
                    ids = [p.token_id for p in update.logprobs]
                    part["logprobs"] = format.completion_logprobs(service.tokenizer, update.logprobs, ids)
                if update.finish_reason is not None:
                    part["stop_reason"] = update.stop_reason
                    if generation.wants_trace:
                        part["graph"] = update.graph
                yield chunk([part])
    if with_usage:
        yield chunk([], _usage(visits, groups))
