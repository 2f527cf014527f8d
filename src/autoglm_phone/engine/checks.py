"""What a request must satisfy before it may enter the engine. The front end checks too and explains better; this is
the last line: nothing below these bounds can make the engine allocate without limit or divide by zero."""

from __future__ import annotations

import math

from autoglm_phone.engine.request import EngineRequest, SamplingParams
from autoglm_phone.errors import ContextLengthError, InvalidRequestError
from autoglm_phone.graph.plan import EXIT_KINDS, GraphRequest


def check_prompt(request: EngineRequest, vocab_size: int, max_model_len: int) -> None:
    """Raises ContextLengthError or InvalidRequestError if the prompt or its media can't be run."""
    length = len(request.prompt_ids)
    if length == 0:
        raise InvalidRequestError("the prompt is empty; send at least one token", param="prompt")
    if length > max_model_len or (length == max_model_len and request.sampling.max_tokens > 0):
        raise ContextLengthError(
            f"the prompt has {length} tokens and the context window {max_model_len}, output included; shorten the "
            "prompt (pictures count with their tokens)"
        )
    if min(request.prompt_ids) < 0 or max(request.prompt_ids) >= vocab_size:
        raise InvalidRequestError(f"prompt token ids must lie in [0, {vocab_size})", param="prompt")
    end = 0
    for item in request.media:
        if item.position < end or item.length < 1 or item.position + item.length > length:
            raise InvalidRequestError("media must be in prompt order, inside the prompt and not overlap")
        end = item.position + item.length


def check_sampling(sampling: SamplingParams, vocab_size: int) -> None:
    """Raises InvalidRequestError for a token id outside the vocabulary; SamplingParams checked its numbers itself."""
    if sampling.n != 1:
        raise InvalidRequestError("a request is one sequence; send one for each of the n answers", param="n")
    if any(math.isnan(bias) for bias in sampling.logit_bias.values()):
        raise InvalidRequestError("logit_bias must hold numbers", param="logit_bias")
    ids = {"logit_bias": sampling.logit_bias, "stop_token_ids": sampling.stop_token_ids}
    if sampling.thinking is not None:
        ids["thinking"] = sampling.thinking.end_ids
    for name, tokens in ids.items():
        if any(not 0 <= token < vocab_size for token in tokens):
            raise InvalidRequestError(f"{name} holds a token id outside [0, {vocab_size})", param=name)


def check_graph(graph: GraphRequest | None) -> None:
    """Raises InvalidRequestError for a policy that does not exist or a number out of its range."""
    if graph is None:
        return
    if graph.policy not in (None, "auto", *EXIT_KINDS):
        raise InvalidRequestError(
            f"graph.policy is {graph.policy!r}; choose auto, {', '.join(EXIT_KINDS)}", param="graph"
        )
    for name, value, least in (("max_depth", graph.max_depth, 1), ("draft_length", graph.draft_length, 0)):
        if value is not None and value < least:
            raise InvalidRequestError(f"graph.{name} is {value}; it must be at least {least}", param="graph")
    if graph.risk is not None and not 0 <= graph.risk <= 1:
        raise InvalidRequestError(f"graph.risk is {graph.risk}; it must lie between 0 and 1", param="graph")
