"""POST /v1/chat/completions."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from autoglm_phone.api import format, response_cache, sse
from autoglm_phone.api.body import error_docs, json_doc, read_json
from autoglm_phone.api.limits import unless_gone
from autoglm_phone.api.response_cache import Visit, mark
from autoglm_phone.api.sampling import read_graph, read_sampling, read_thinking
from autoglm_phone.api.schema import ChatBody
from autoglm_phone.api.state import ServerState, adapter_of, cache_salt, model_for, server
from autoglm_phone.chat.present import choose_style
from autoglm_phone.chat.prompt import check_template_kwargs
from autoglm_phone.chat.service import Answer, Generation, Service
from autoglm_phone.chat.shortest import shortest
from autoglm_phone.chat.tools import ToolSet, read_tools
from autoglm_phone.engine.request import ThinkingBudget
from autoglm_phone.errors import GrammarError, InvalidRequestError, NotBuiltError

router = APIRouter()


@router.post(
    "/v1/chat/completions",
    openapi_extra=json_doc(ChatBody),
    responses=error_docs(400, 401, 403, 404, 413, 415, 500, 503),
)
async def chat_completions(request: Request) -> Response:
    body = await read_json(request, ChatBody)
    service, name = model_for(request, body.model)
    n = body.n or 1
    with sse.handed_over(held := service.admit(n)) as kept:
        # Not broken off when the client goes: the thread would go on, and its place in the queue must stay taken.
        generation = await asyncio.to_thread(prepare, service, body, cache_salt(request), adapter_of(request, name))
        state = server(request)
        state.metrics.request(n, generation.sampling.max_tokens, [m.kind for m in generation.prompt.media])
        visit = Visit(state.responses, body, generation, "chat", state.config.model, service.engine)
        headers = response_cache.headers([visit])
        if body.stream:
            kept[0] = True
            return sse.stream(_chunks(service, visit, body, name, state), held, headers)
        answers = await unless_gone(request, visit.collect(service))
    state.metrics.answered(sum(a.reasoning_tokens for a in answers), sum(len(a.calls) for a in answers))
    return JSONResponse(
        {
            "id": generation.request_id,
            "object": "chat.completion",
            "created": int(time.time()),
            "model": name,
            "choices": [_choice(service, a, generation, bool(body.logprobs)) for a in answers],
            "usage": mark(format.usage(len(generation.prompt.ids), answers), [visit]),
            "system_fingerprint": None,
        },
        headers=headers,
    )


def prepare(service: Service, body: ChatBody, salt: str, adapter: str | None = None) -> Generation:
    """Everything between the body and the engine. Decodes media and compiles grammars: runs in a thread."""
    tools = read_tools(body.tools, body.tool_choice, body.parallel_tool_calls is not False)
    kwargs = check_template_kwargs(body.chat_template_kwargs)
    thinking = read_thinking(body.enable_thinking, kwargs)
    if body.modalities and set(body.modalities) != {"text"}:
        raise NotBuiltError("only text answers are available; 'modalities' must be ['text']", param="modalities")
    if body.top_logprobs and not body.logprobs:
        raise InvalidRequestError("'top_logprobs' needs 'logprobs' to be true", param="top_logprobs")
    graph = read_graph(body)
    if body.thought_tokens == 0 or body.max_reasoning_steps == 0:
        thinking = False
    prompt = service.prompts.chat(
        body.messages,
        images=body.images or (),
        audios=body.audios or (),
        tools=tools.definitions,
        enable_thinking=thinking,
        template_kwargs=kwargs,
    )
    thinks = prompt.opening == "reasoning" or (prompt.opening == "undecided" and thinking is True)
    budget = service.thinking_budget(body.thought_tokens, body.max_reasoning_steps) if thinks else None
    grammar = _grammar(service, body.response_format, tools, thinks, budget)
    if grammar is not None:
        _check_fits(service, body.response_format, tools, service.info.max_model_len - len(prompt.ids))
    max_tokens = body.max_completion_tokens if body.max_completion_tokens is not None else body.max_tokens
    sampling = read_sampling(
        body,
        service.info,
        len(prompt.ids),
        max_tokens,
        logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        thinking=None if grammar is not None else budget,
        grammar=grammar,
    )
    structured = bool(tools.definitions) or grammar is not None
    generation = Generation(
        "chatcmpl-" + secrets.token_hex(16),
        prompt,
        sampling,
        n=body.n or 1,
        style=choose_style(body.return_reasoning, structured=structured),
        tools=tools,
        include_stop=bool(body.include_stop_str_in_output),
        cache_salt=salt,
        adapter=adapter,
        graph=graph,
    )
    service.check(generation)
    return generation


def _grammar(
    service: Service, response_format: Any, tools: ToolSet, thinks: bool, budget: ThinkingBudget | None
) -> Any:
    kind = (response_format or {}).get("type", "text")
    if kind not in ("text", "json_object", "json_schema"):
        raise InvalidRequestError(
            "'response_format.type' must be text, json_object or json_schema", param="response_format"
        )
    if tools.forced:
        if kind != "text":
            raise InvalidRequestError(
                "a forced tool call and a response format exclude each other", param="tool_choice"
            )
        return service.grammars.forced_call(tools, thinks=thinks, budget=budget)
    if kind == "json_object":
        return service.grammars.json_schema({"type": "object"}, thinks=thinks, budget=budget)
    if kind == "json_schema":
        wrapped = response_format.get("json_schema")
        schema = wrapped.get("schema") if isinstance(wrapped, dict) else None
        if schema is None:
            raise InvalidRequestError(
                "'response_format' must hold {'json_schema': {'name': …, 'schema': …}}", param="response_format"
            )
        return service.grammars.json_schema(schema, thinks=thinks, budget=budget)
    return None


def _check_fits(service: Service, response_format: Any, tools: ToolSet, left: int) -> None:
    """Refuses a schema whose shortest answer is longer than what the context leaves: it would only fill the context.

    Args:
        left: tokens.

    Raises:
        GrammarError: it is.
    """
    if tools.forced:
        least, param = min(shortest(tools.schema(name)) for name in tools.forced), "tools"
    else:
        least, param = shortest((response_format.get("json_schema") or {}).get("schema")), "response_format"
    room = left * service.tokenizer.longest_token
    if least > room:
        raise GrammarError(
            f"no answer that the JSON schema allows can fit: it has at least {least:,.0f} characters, and at most "
            f"{room:,} fit into the {left} tokens that the context leaves",
            param=param,
        )


def _choice(service: Service, answer: Answer, generation: Generation, logprobs: bool) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.content, "refusal": None}
    if answer.reasoning:
        message["reasoning_content"] = message["reasoning"] = answer.reasoning
    if answer.calls:
        message["content"] = answer.content or None
        message["tool_calls"] = [format.tool_call(c) for c in answer.calls]
    choice = {
        "index": answer.index,
        "message": message,
        "logprobs": {"content": format.chat_logprobs(service.tokenizer, answer.logprobs)} if logprobs else None,
        "finish_reason": answer.finish_reason,
        "stop_reason": answer.stop_reason,
    }
    return {**choice, "graph": answer.graph} if generation.wants_trace else choice


async def _chunks(
    service: Service, visit: Visit, body: ChatBody, model: str, state: ServerState
) -> AsyncGenerator[dict[str, Any], None]:
    generation = visit.generation
    created = int(time.time())
    with_usage = body.stream_options is not None and body.stream_options.include_usage

    def chunk(choices: list[dict[str, Any]], usage: Any = None) -> dict[str, Any]:
        data = {
            "id": generation.request_id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
            "choices": choices,
        }
        return {**data, "usage": usage} if with_usage else data

    def choice(index: int, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}

    yield chunk([choice(i, {"role": "assistant", "content": ""}) for i in range(generation.n)])
    answers = [Answer(i) for i in range(generation.n)]
    updates = visit.run(service)
    try:
        async for update in updates:
            answer = answers[update.index]
            delta: dict[str, Any] = {}
            if update.delta.reasoning:
                delta["reasoning_content"] = delta["reasoning"] = update.delta.reasoning
            if update.delta.content:
                delta["content"] = update.delta.content
            if update.delta.calls:
                first = len(answer.calls)
                delta["tool_calls"] = [
                    {"index": first + i, **format.tool_call(c)} for i, c in enumerate(update.delta.calls)
                ]
            answer.add(update)
            if delta or update.finish_reason is not None:
                part = choice(update.index, delta, update.finish_reason)
                if body.logprobs:
                    part["logprobs"] = {"content": format.chat_logprobs(service.tokenizer, update.logprobs)}
                if update.finish_reason is not None:
                    part["stop_reason"] = update.stop_reason
                    if generation.wants_trace:
                        part["graph"] = update.graph
                yield chunk([part])
    finally:
        await updates.aclose()
        state.metrics.answered(sum(a.reasoning_tokens for a in answers), sum(len(a.calls) for a in answers))
    if with_usage:
        yield chunk([], mark(format.usage(len(generation.prompt.ids), answers), [visit]))
