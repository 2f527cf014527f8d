"""Bodies of the endpoints, with the bounds of every number. Unknown fields are ignored or refused (api.limits)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from autoglm_phone.api import limits
from autoglm_phone.errors import InvalidRequestError
from autoglm_phone.graph.plan import EXIT_KINDS, KV_KINDS


def _no_bool(value: Any) -> Any:
    """JSON's true is not the number 1."""
    if isinstance(value, bool):
        raise ValueError("Input should be a number, not true or false")
    return value


Number = Annotated[float, BeforeValidator(_no_bool, json_schema_input_type=float)]
Whole = Annotated[int, BeforeValidator(_no_bool, json_schema_input_type=int)]
Tokens = Annotated[Whole, Field(ge=1, le=limits.MAX_TOKENS)]
Text = Annotated[str, Field(max_length=64 * 1024 * 1024)]


_MESSAGE = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {
        "role": {"type": "string", "enum": ["system", "developer", "user", "assistant", "tool"]},
        "content": {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["type"],
                        "properties": {
                            "type": {"type": "string", "enum": ["text", "image_url", "input_audio"]},
                            "text": {"type": "string"},
                            "image_url": {"type": "object", "properties": {"url": {"type": "string"}}},
                            "input_audio": {
                                "type": "object",
                                "properties": {"data": {"type": "string"}, "format": {"type": "string"}},
                            },
                        },
                    },
                },
            ]
        },
    },
}
Message = Annotated[dict[str, Any], WithJsonSchema(_MESSAGE)]  # read in full by chat.messages


_GRAPH = {
    "type": ["object", "null"],
    "properties": {
        "policy": {"type": "string", "enum": ["auto", *EXIT_KINDS]},
        "max_depth": {"type": "integer", "minimum": 1},
        "risk": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
        "draft_length": {"type": "integer", "minimum": 0, "maximum": 64},
        "kv": {"type": "string", "enum": ["auto", *KV_KINDS]},
        "kv_window": {"type": "integer", "minimum": 1},
        "kv_budget": {"type": "integer", "minimum": 1},
    },
}
Graph = Annotated[Any, WithJsonSchema(_GRAPH)]  # read in full by graph.request


class Body(BaseModel):
    model_config = ConfigDict(extra="allow", allow_inf_nan=False, protected_namespaces=())


class StreamOptions(Body):
    include_usage: bool = False


class SamplingBody(Body):
    """What chat and text completions share. None stands for the default."""

    model: Annotated[str, Field(max_length=256)] | None = None
    n: Annotated[Whole, Field(ge=1, le=limits.MAX_N)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(gt=0, le=1)] | None = None
    top_k: Annotated[Whole, Field(ge=-1, le=1_000_000)] | None = None
    min_p: Annotated[Number, Field(ge=0, le=1)] | None = None
    frequency_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    repetition_penalty: Annotated[Number, Field(gt=0, le=10)] | None = None
    logit_bias: dict[str, Number] | None = None
    seed: Annotated[Whole, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: str | list[str] | None = None
    stop_token_ids: Annotated[list[Whole], Field(max_length=limits.MAX_STOPS)] | None = None
    include_stop_str_in_output: bool | None = None
    min_tokens: Annotated[Whole, Field(ge=0, le=limits.MAX_TOKENS)] | None = None
    ignore_eos: bool | None = None
    user: Annotated[str, Field(max_length=1024)] | None = None
    # Ours.
    graph: Graph = None
    return_graph: bool | None = None

    @model_validator(mode="after")
    def _agree(self) -> SamplingBody:
        if self.stream_options is not None and not self.stream:
            raise InvalidRequestError("'stream_options' needs 'stream' to be true", param="stream_options")
        return self


class ChatBody(SamplingBody):
    """POST /v1/chat/completions. Messages are checked where they are read (chat.messages)."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=1024)]
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[Whole, Field(ge=0, le=limits.MAX_LOGPROBS)] | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    modalities: list[str] | None = None
    # Ours.
    images: Annotated[list[Text], Field(max_length=256)] | None = None
    audios: Annotated[list[Text], Field(max_length=256)] | None = None
    enable_thinking: bool | None = None
    return_reasoning: bool | None = None
    max_reasoning_steps: Annotated[Whole, Field(ge=0, le=10_000)] | None = None
    max_thinking_tokens: Annotated[Whole, Field(ge=0, le=limits.MAX_TOKENS)] | None = None
    max_reasoning_tokens: Annotated[Whole, Field(ge=0, le=limits.MAX_TOKENS)] | None = None
    thinking_budget: Annotated[Whole, Field(ge=0, le=limits.MAX_TOKENS)] | None = None
    chat_template_kwargs: dict[str, Any] | None = None

    @property
    def thought_tokens(self) -> int | None:
        """The bound on the thought: one field under three names, of which the smallest counts."""
        given = (self.max_thinking_tokens, self.max_reasoning_tokens, self.thinking_budget)
        return min((value for value in given if value is not None), default=None)


TokenList = Annotated[list[Whole], Field(min_length=1)]


class CompletionBody(SamplingBody):
    """POST /v1/completions."""

    prompt: (
        Text | TokenList | Annotated[list[Text] | list[TokenList], Field(min_length=1, max_length=limits.MAX_PROMPTS)]
    )
    max_tokens: Annotated[Whole, Field(ge=0, le=limits.MAX_TOKENS)] | None = 16  # OpenAI's default
    logprobs: Annotated[Whole, Field(ge=0, le=limits.MAX_LOGPROBS)] | None = None
    echo: bool | None = None
    skip_special_tokens: bool | None = None


class TokenizeBody(Body):
    """POST /tokenize: a prompt, or messages as in a chat."""

    model: Annotated[str, Field(max_length=256)] | None = None
    prompt: Text | None = None
    messages: Annotated[list[Message], Field(min_length=1, max_length=1024)] | None = None
    add_generation_prompt: bool = True
    enable_thinking: bool | None = None
    return_token_strs: bool = False
    tools: list[dict[str, Any]] | None = None
    chat_template_kwargs: dict[str, Any] | None = None


class DetokenizeBody(Body):
    """POST /detokenize."""

    model: Annotated[str, Field(max_length=256)] | None = None
    tokens: Annotated[list[Whole], Field(max_length=1_000_000)]


class SpeechBody(Body):
    """POST /v1/audio/speech."""

    model: Annotated[str, Field(max_length=256)] | None = None
    input: Annotated[str, Field(min_length=1, max_length=limits.MAX_SPEECH_CHARS)]
    voice: Annotated[str, Field(max_length=64)] = "alloy"
    response_format: Literal["wav", "flac", "mp3", "opus", "aac", "pcm"] = "wav"
    speed: Annotated[Number, Field(ge=0.25, le=4.0)] = 1.0
    stream_format: str | None = None
