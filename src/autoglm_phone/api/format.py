"""Pieces of OpenAI's answers: usage, tool calls, log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autoglm_phone.chat.service import Answer
from autoglm_phone.chat.tokenizer import Tokenizer
from autoglm_phone.chat.tools import ToolCall
from autoglm_phone.engine.request import TokenLogprob

LOWEST = -9999.0  # stands for minus infinity, which JSON can't hold


def usage(prompt_tokens: int, answers: Sequence[Answer]) -> dict[str, Any]:
    completion = sum(a.completion_tokens for a in answers)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": prompt_tokens + completion,
        "prompt_tokens_details": {"cached_tokens": max((a.cached_tokens for a in answers), default=0)},
        "completion_tokens_details": {"reasoning_tokens": sum(a.reasoning_tokens for a in answers)},
    }


def tool_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _token(tokenizer: Tokenizer, token_id: int, logprob: float) -> dict[str, Any]:
    raw = tokenizer.token_bytes(token_id) or (tokenizer.name(token_id) or "").encode()
    return {"token": tokenizer.token_text(token_id), "logprob": max(logprob, LOWEST), "bytes": list(raw)}


def chat_logprobs(tokenizer: Tokenizer, logprobs: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
    return [
        {
            **_token(tokenizer, item.token_id, item.logprob),
            "top_logprobs": [_token(tokenizer, i, value) for i, value in item.top],
        }
        for item in logprobs
    ]


def completion_logprobs(
    tokenizer: Tokenizer, logprobs: Sequence[TokenLogprob | None], ids: Sequence[int], start: int = 0
) -> dict[str, Any]:
    """The older format of /v1/completions. ids: the tokens; a None among `logprobs` is the prompt's first token."""
    texts = [tokenizer.token_text(i) for i in ids]
    offsets, at = [], start
    for text in texts:
        offsets.append(at)
        at += 0 if text.startswith("bytes:\\x") else len(text)
    return {
        "tokens": texts,
        "token_logprobs": [None if p is None else max(p.logprob, LOWEST) for p in logprobs],
        "top_logprobs": [
            None if p is None else {tokenizer.token_text(i): max(v, LOWEST) for i, v in p.top} for p in logprobs
        ],
        "text_offset": offsets,
    }
