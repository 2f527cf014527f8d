"""What travels between the front end and the engine. Plain data: no tensors, no HTTP, no tokenizer.

Token ids below are bounded by the model's vocabulary before a request is built; the engine checks again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, Literal

from autoglm_phone.errors import InvalidRequestError
from autoglm_phone.graph.plan import GraphRequest

FinishReason = Literal["stop", "length", "abort", "error"]
MAX_LOGPROBS = 100  # alternatives a token; the API's bound is 20

# field of SamplingParams: (kind, least, most, may be None); both bounds included, those of the API where it has some
_NUMBERS: dict[str, tuple[type, float, float, bool]] = {
    "max_tokens": (Integral, 0, math.inf, False),
    "min_tokens": (Integral, 0, math.inf, False),
    "temperature": (Real, 0, 2, False),
    "top_p": (Real, 0, 1, False),
    "top_k": (Integral, -1, math.inf, False),
    "min_p": (Real, 0, 1, False),
    "seed": (Integral, -(2**63), 2**64 - 1, True),
    "frequency_penalty": (Real, -2, 2, False),
    "presence_penalty": (Real, -2, 2, False),
    "repetition_penalty": (Real, 0, 10, False),
    "logprobs": (Integral, 0, MAX_LOGPROBS, True),
    "prompt_logprobs": (Integral, 0, MAX_LOGPROBS, True),
    "n": (Integral, 1, 256, False),
}


@dataclass(frozen=True)
class ThinkingBudget:
    """Ends a thought cleanly: when it is spent, the engine emits `end_ids` instead of sampling.

    The request is thinking from its first generated token until the last of `end_ids` appears.
    """

    end_ids: tuple[int, ...]  # e.g. </think><answer>
    max_tokens: int | None = None
    max_steps: int | None = None
    step_ids: frozenset[int] = frozenset()  # tokens that end a step (those whose text ends in a newline)


@dataclass(frozen=True)
class SamplingParams:
    """How tokens are drawn. Names, meaning and order of the filters are vLLM's.

    Penalties apply to greedy decoding too. temperature 0 is greedy. top_k 0 or -1 is off.

    Raises:
        InvalidRequestError: a number of the wrong kind or out of its bounds (NaN is).
    """

    max_tokens: int = 256
    min_tokens: int = 0
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: dict[int, float] = field(default_factory=dict)
    logprobs: int | None = None  # None: none; k: the chosen token's and the k most likely tokens'
    prompt_logprobs: int | None = None
    stop: tuple[str, ...] = ()  # text stops: applied by the front end's detokenizer, which aborts the request
    stop_token_ids: frozenset[int] = frozenset()
    ignore_eos: bool = False
    thinking: ThinkingBudget | None = None
    grammar: Any = None  # a chat.grammar matcher factory: `.new()` -> object with fill_mask(), accept(id), finished
    n: int = 1  # answers to one prompt. For LLM, which makes as many requests of it: a request is one sequence

    def __post_init__(self) -> None:
        for name, (kind, least, most, optional) in _NUMBERS.items():
            value = getattr(self, name)
            if value is None and optional:
                continue
            number = isinstance(value, kind) and not isinstance(value, bool)
            if not number or not least <= value <= most:
                noun = "a whole number" if kind is Integral else "a number"
                bounds = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
                raise InvalidRequestError(f"{name} must be {noun} {bounds}, not {value!r}", param=name)
        for name in ("top_p", "repetition_penalty"):
            if getattr(self, name) == 0:
                raise InvalidRequestError(f"{name} must be above 0", param=name)


@dataclass(frozen=True)
class MediaItem:
    """A picture or clip of the prompt.

    position, length: which prompt tokens stand for it ([position, position+length)); native models use one
    token a medium, GLM-4.1V as many `<|image|>` tokens as the grid has merged patches.
    content_hash: SHA-256 of the processed content (shape and kind included); keys the tower-output and prefix caches.
    data: what the tower eats (dict of numpy arrays); opaque to the engine, read by the runner alone.
    """

    kind: Literal["image", "audio"]
    content_hash: str
    position: int
    length: int
    data: Any


@dataclass(frozen=True)
class EngineRequest:
    request_id: str
    prompt_ids: tuple[int, ...]
    sampling: SamplingParams
    media: tuple[MediaItem, ...] = ()
    cache_salt: str = ""  # separates prefix caches between API keys
    priority: int = 0  # lower runs first
    prefix_caching: bool = True
    adapter: str | None = None  # name of the low-rank adapter to run with; None: the base alone
    graph: GraphRequest | None = None  # what the client asks of the graph; None: all is the planner's


@dataclass(frozen=True)
class TokenLogprob:
    """A token's log-probability and rank, and the most likely alternatives (id, logprob), best first."""

    token_id: int
    logprob: float
    rank: int
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class StepOutput:
    """What one engine step gave one request. `error` is set when finish_reason is "error"."""

    request_id: str
    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...] | None = None
    prompt_logprobs: tuple[TokenLogprob | None, ...] | None = None
    finish_reason: FinishReason | None = None
    stop_token_id: int | None = None  # the EOS or stop token that ended it, if one did (it is not in token_ids)
    error: str | None = None  # a message fit for the client
    cached_tokens: int = 0  # prompt tokens taken from the prefix cache
    graph: dict[str, Any] | None = None  # the trace, on the last output of a request that asked for it
