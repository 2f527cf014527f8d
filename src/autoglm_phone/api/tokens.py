"""POST /tokenize and /detokenize."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request

from autoglm_phone.api.body import error_docs, json_doc, read_json
from autoglm_phone.api.sampling import read_thinking
from autoglm_phone.api.schema import DetokenizeBody, TokenizeBody
from autoglm_phone.api.state import model_for
from autoglm_phone.chat.prompt import check_template_kwargs
from autoglm_phone.chat.service import Service
from autoglm_phone.chat.tools import read_tools
from autoglm_phone.errors import InvalidRequestError

router = APIRouter()
_ERRORS = error_docs(400, 401, 404, 413, 415, 500, 503)


@router.post("/tokenize", openapi_extra=json_doc(TokenizeBody), responses=_ERRORS)
async def tokenize(request: Request) -> dict[str, Any]:
    body = await read_json(request, TokenizeBody)
    service, _ = model_for(request, body.model)
    if (body.prompt is None) == (body.messages is None):
        raise InvalidRequestError("send either 'prompt' or 'messages'", param="prompt")
    with service.admit(1):
        ids = await asyncio.to_thread(_ids, service, body)
    answer: dict[str, Any] = {"tokens": ids, "count": len(ids), "max_model_len": service.info.max_model_len}
    if body.return_token_strs:
        answer["token_strs"] = [service.tokenizer.token_text(i) for i in ids]
    return answer


def _ids(service: Service, body: TokenizeBody) -> list[int]:
    if body.prompt is not None:
        service.tokenizer.check_length(body.prompt, service.info.max_model_len)
        return service.tokenizer.encode_prompt(body.prompt)
    kwargs = check_template_kwargs(body.chat_template_kwargs)
    thinking = read_thinking(body.enable_thinking, kwargs)
    prompt = service.prompts.chat(
        body.messages,
        tools=read_tools(body.tools, None).definitions,
        enable_thinking=thinking,
        add_generation_prompt=body.add_generation_prompt,
        template_kwargs=kwargs,
    )
    return list(prompt.ids)


@router.post("/detokenize", openapi_extra=json_doc(DetokenizeBody), responses=_ERRORS)
async def detokenize(request: Request) -> dict[str, Any]:
    body = await read_json(request, DetokenizeBody)
    service, _ = model_for(request, body.model)
    if any(not 0 <= i < service.info.vocab_size for i in body.tokens):
        raise InvalidRequestError(f"token ids must lie between 0 and {service.info.vocab_size - 1}", param="tokens")
    return {"prompt": service.tokenizer.decode(body.tokens, skip_special=False)}
