"""Request fields to the engine's SamplingParams, defaults filled in, everything checked against this model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autoglm_phone.api import limits
from autoglm_phone.api.schema import SamplingBody
from autoglm_phone.chat.service import ModelInfo
from autoglm_phone.engine.request import SamplingParams, ThinkingBudget
from autoglm_phone.errors import ContextLengthError, InvalidRequestError
from autoglm_phone.graph.plan import GraphRequest
from autoglm_phone.graph.request import read_graph_request


def read_sampling(
    body: SamplingBody,
    info: ModelInfo,
    prompt_length: int,
    max_tokens: int | None,
    *,
    logprobs: int | None = None,
    prompt_logprobs: int | None = None,
    thinking: ThinkingBudget | None = None,
    grammar: Any = None,
) -> SamplingParams:
    """SamplingParams of a request.

    Args:
        max_tokens: as the client gave it; None: all that the context leaves.

    Raises:
        InvalidRequestError, ContextLengthError: a field that does not fit this model.
    """
    left = info.max_model_len - prompt_length
    if max_tokens is not None and max_tokens > left:
        raise ContextLengthError(
            f"the context is {info.max_model_len} tokens; the prompt takes {prompt_length} and max_tokens asks for "
            f"{max_tokens} more: ask for at most {max(left, 0)}, or shorten the prompt",
            param="max_tokens",
        )
    limit = left if max_tokens is None else max_tokens
    min_tokens = body.min_tokens or 0
    if min_tokens > limit:
        raise InvalidRequestError(f"min_tokens is {min_tokens} but only {limit} tokens may come", param="min_tokens")
    return SamplingParams(
        max_tokens=limit,
        min_tokens=min_tokens,
        temperature=_default(body.temperature, info, "temperature", 1.0),
        top_p=_default(body.top_p, info, "top_p", 1.0),
        top_k=max(0, int(_default(body.top_k, info, "top_k", 0))),
        min_p=_default(body.min_p, info, "min_p", 0.0),
        seed=None if body.seed is None else body.seed % 2**63,
        frequency_penalty=body.frequency_penalty or 0.0,
        presence_penalty=body.presence_penalty or 0.0,
        repetition_penalty=_default(body.repetition_penalty, info, "repetition_penalty", 1.0),
        logit_bias=_bias(body.logit_bias, info.vocab_size),
        logprobs=logprobs,
        prompt_logprobs=prompt_logprobs,
        stop=read_stops(body.stop),
        stop_token_ids=frozenset(_ids(body.stop_token_ids or (), info.vocab_size, "stop_token_ids")),
        ignore_eos=bool(body.ignore_eos),
        thinking=thinking,
        grammar=grammar,
    )


def read_thinking(given: bool | None, kwargs: dict[str, Any]) -> bool | None:
    """Whether to think, said as a field or in chat_template_kwargs, from which it is taken out.

    Raises:
        InvalidRequestError: both, and not the same.
    """
    nested = kwargs.pop("enable_thinking", None)
    if given is not None and nested is not None and given != nested:
        raise InvalidRequestError(
            f"'enable_thinking' is {given} but {nested} in 'chat_template_kwargs'; say it once", param="enable_thinking"
        )
    return nested if given is None else given


def read_graph(body: SamplingBody) -> GraphRequest | None:
    """What the request asks of the dynamic graph; None: nothing.

    Raises:
        InvalidRequestError: a field under `graph` that does not exist or is out of its bounds; `param` names it.
    """
    if body.graph is None and not body.return_graph:
        return None
    return read_graph_request(body.graph, trace=bool(body.return_graph))


def read_stops(stop: str | Sequence[str] | None) -> tuple[str, ...]:
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if "" in stops:
        raise InvalidRequestError("'stop' holds an empty text, which would end every answer", param="stop")
    if len(stops) > limits.MAX_STOPS or any(len(s) > limits.MAX_STOP_CHARS for s in stops):
        raise InvalidRequestError(
            f"'stop' may hold at most {limits.MAX_STOPS} texts of {limits.MAX_STOP_CHARS} characters", param="stop"
        )
    return stops


def _default(value: float | None, info: ModelInfo, name: str, fallback: float) -> float:
    return float(info.defaults.get(name, fallback)) if value is None else float(value)


def _bias(given: dict[str, float] | None, vocab_size: int) -> dict[int, float]:
    if not given:
        return {}
    if len(given) > limits.MAX_BIASES:
        raise InvalidRequestError(f"'logit_bias' may hold at most {limits.MAX_BIASES} tokens", param="logit_bias")
    out: dict[int, float] = {}
    for key, value in given.items():
        if (
            not (key.isascii() and key.isdigit() and len(key) < 10 and int(key) < vocab_size)
            or not -100 <= value <= 100
        ):
            raise InvalidRequestError(
                f"'logit_bias' maps token ids below {vocab_size} to values between -100 and 100", param="logit_bias"
            )
        out[int(key)] = value
    return out


def _ids(ids: Sequence[int], vocab_size: int, param: str) -> Sequence[int]:
    if any(not 0 <= i < vocab_size for i in ids):
        raise InvalidRequestError(f"{param!r} must hold token ids between 0 and {vocab_size - 1}", param=param)
    return ids
