"""Offline use: `LLM("mini").generate(...)` and `.chat(...)`, with results shaped as vLLM's."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from autoglm_phone.chat.load import load_service
from autoglm_phone.chat.present import choose_style
from autoglm_phone.chat.prompt import Prompt
from autoglm_phone.chat.service import Answer, ChoiceStream, Generation
from autoglm_phone.chat.tools import ToolCall, read_tools
from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.core import Engine
from autoglm_phone.engine.request import EngineRequest, SamplingParams, TokenLogprob
from autoglm_phone.errors import ContextLengthError, EngineError, InvalidRequestError
from autoglm_phone.graph.plan import GraphRequest
from autoglm_phone.graph.request import read_graph_request
from autoglm_phone.media.load import MediaLimits

_NO_LIMITS = MediaLimits(max_images=256, max_audios=256, max_seconds=3600.0)


@dataclass(frozen=True)
class CompletionOutput:
    """One answer. reasoning: the thought of a chat, "" if there was none. graph: the trace, if it was asked for."""

    index: int
    text: str
    token_ids: tuple[int, ...]
    finish_reason: str | None
    stop_reason: str | int | None = None
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[TokenLogprob, ...] | None = None
    graph: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class RequestOutput:
    """All answers to one prompt. prompt is None for chats and token prompts."""

    request_id: str
    prompt: str | None
    prompt_token_ids: tuple[int, ...]
    outputs: tuple[CompletionOutput, ...]
    finished: bool = True
    num_cached_tokens: int = 0
    prompt_logprobs: tuple[TokenLogprob | None, ...] | None = None


@dataclass
class _Job:
    generation: Generation
    prompt: str | None
    answers: list[Answer] = field(default_factory=list)


class LLM:
    """A model for batch use in this process.

    Args:
        model: a model folder, or "mini" for the bundled model.
        engine: further fields of EngineConfig (max_model_len, max_num_seqs, kv_cache_memory, seed, dynamic_graph,
            low_memory, …); lora_modules={name: folder} loads adapters for the `lora` of a call.

    Raises:
        CheckpointError, ConfigError, NotBuiltError: the model or an option can't be used.
    """

    def __init__(
        self,
        model: str = "mini",
        *,
        quantization: str | None = None,
        dtype: str = "auto",
        tensor_parallel_size: int = 1,
        mm_processor_kwargs: Mapping[str, Any] | None = None,
        **engine: Any,
    ):
        try:
            config = EngineConfig(
                dtype=dtype, quantization=quantization, tensor_parallel_size=tensor_parallel_size, **engine
            )
        except TypeError as exc:
            raise InvalidRequestError(f"LLM knows no option {', '.join(engine)}; see EngineConfig") from exc
        self._service = load_service(
            model,
            config,
            wrap=_SyncEngine,
            media_limits=_NO_LIMITS,
            trusted_media=True,
            mm_processor_kwargs=mm_processor_kwargs,
        )
        client: Any = self._service.engine
        self._engine: Engine = client.engine
        self._numbers = itertools.count()

    def generate(
        self,
        prompts: str | Sequence[int] | Sequence[str] | Sequence[Sequence[int]],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        n: int = 1,
        lora: str | None = None,
        graph: Mapping[str, Any] | None = None,
        return_graph: bool = False,
    ) -> list[RequestOutput]:
        """Continues plain text (or token ids), without a chat template. n, lora, graph, return_graph: as in `chat`."""
        single = isinstance(prompts, str) or (len(prompts) > 0 and isinstance(prompts[0], int))
        many: list[Any] = [prompts] if single else list(prompts)
        params = self._params(sampling_params, len(many))
        wish = _graph(graph, return_graph)
        jobs = []
        for prompt, sampling in zip(many, params, strict=True):
            made = self._service.prompts.plain(prompt)
            count, sampling = _answers(n, self._fit(sampling, made))
            generation = Generation(self._id(), made, sampling, n=count, raw=True, adapter=lora, graph=wish)
            jobs.append(_Job(generation, prompt if isinstance(prompt, str) else None))
        return self._run(jobs)

    def chat(
        self,
        messages: Sequence[Any],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        n: int = 1,
        enable_thinking: bool | None = None,
        return_reasoning: bool | None = True,
        tools: Sequence[Mapping[str, Any]] | None = None,
        max_thinking_tokens: int | None = None,
        max_reasoning_steps: int | None = None,
        lora: str | None = None,
        graph: Mapping[str, Any] | None = None,
        return_graph: bool = False,
    ) -> list[RequestOutput]:
        """Answers one conversation, or a list of them.

        Parts of user messages may also hold objects: {"type": "image", "image": PIL image, path or bytes},
        {"type": "audio", "audio": float32 samples at 16 kHz, (samples, rate), path or bytes}.

        Args:
            n: answers to each prompt; may be said in SamplingParams instead.
            lora: name of an adapter of `lora_modules` to answer with; None: the base.
            graph: what to ask of the dynamic graph, such as {"policy": "fixed", "max_depth": 12}.
            return_graph: give each output its trace: what really ran.
        """
        many = [messages] if messages and isinstance(messages[0], Mapping) else list(messages)
        params = self._params(sampling_params, len(many))
        toolset = read_tools(tools, None)
        wish = _graph(graph, return_graph)
        jobs = []
        for conversation, sampling in zip(many, params, strict=True):
            made = self._service.prompts.chat(conversation, tools=toolset.definitions, enable_thinking=enable_thinking)
            if made.opening == "reasoning":
                budget = self._service.thinking_budget(max_thinking_tokens, max_reasoning_steps)
                sampling = replace(sampling, thinking=budget)
            style = choose_style(return_reasoning, structured=bool(tools))
            count, sampling = _answers(n, self._fit(sampling, made))
            made_of = Generation(
                self._id(), made, sampling, n=count, style=style, tools=toolset, adapter=lora, graph=wish
            )
            jobs.append(_Job(made_of, None))
        return self._run(jobs)

    def get_tokenizer(self) -> Any:
        return self._service.tokenizer

    def close(self) -> None:
        self._service.close()

    def _id(self) -> str:
        return str(next(self._numbers))

    def _params(self, given: SamplingParams | Sequence[SamplingParams] | None, count: int) -> list[SamplingParams]:
        if given is None:
            defaults = dict(self._service.info.defaults)
            if "top_k" in defaults:
                defaults["top_k"] = int(defaults["top_k"])
            given = SamplingParams(**defaults)  # type: ignore[arg-type]
        params = [given] * count if isinstance(given, SamplingParams) else list(given)
        if len(params) != count:
            raise InvalidRequestError(f"{count} prompts need {count} sampling_params (or one), not {len(params)}")
        return params

    def _fit(self, sampling: SamplingParams, prompt: Prompt) -> SamplingParams:
        """Cuts max_tokens to what the context leaves: offline there is no client to tell."""
        left = self._service.info.max_model_len - len(prompt.ids)
        if left < 1:
            raise ContextLengthError("the prompt fills the whole context; shorten it", param="prompt")
        return replace(sampling, max_tokens=min(sampling.max_tokens, left))

    def _run(self, jobs: list[_Job]) -> list[RequestOutput]:
        """Steps the engine until every choice of every job has ended."""
        streams: dict[str, tuple[ChoiceStream, Answer]] = {}
        waiting: list[EngineRequest] = []
        for job in jobs:
            job.answers = [Answer(i) for i in range(job.generation.n)]
            for answer in job.answers:
                request = job.generation.request(answer.index)
                streams[request.request_id] = (
                    ChoiceStream(self._service.tokenizer, job.generation, answer.index),
                    answer,
                )
                waiting.append(request)
        waiting.reverse()
        try:
            while streams:
                while waiting and self._engine.stats().waiting < self._engine.config.max_num_seqs:
                    self._engine.add_request(waiting.pop())
                for step in self._engine.step():
                    if step.request_id in streams:
                        self._take(step, streams)
        finally:
            for request_id in streams:
                self._engine.abort(request_id)
        return [_output(job) for job in jobs]

    def _take(self, step: Any, streams: dict[str, tuple[ChoiceStream, Answer]]) -> None:
        if step.finish_reason == "error":
            raise EngineError(step.error or "the engine failed on this request")
        stream, answer = streams[step.request_id]
        update = stream.push(step)
        if update.finish_reason is not None and step.finish_reason is None:
            update.graph = self._engine.trace(step.request_id)
        answer.add(update)
        if update.finish_reason is not None:
            del streams[step.request_id]
            if step.finish_reason is None:  # a stop string was found: the engine does not know yet
                self._engine.abort(step.request_id)


class _SyncEngine:
    """Holds the engine where a server holds its asynchronous client."""

    def __init__(self, engine: Engine):
        self.engine = engine

    def start(self) -> None: ...

    def shutdown(self) -> None: ...

    def check(self, request: EngineRequest) -> None:
        self.engine.check_request(request)

    def abort(self, request_id: str) -> None:
        self.engine.abort(request_id)

    def stats(self) -> Any:
        return self.engine.stats()

    def generate(self, request: EngineRequest) -> Any:
        raise EngineError("LLM steps its engine itself")


def _answers(n: int, sampling: SamplingParams) -> tuple[int, SamplingParams]:
    """How many answers to a prompt, and the parameters of each: vLLM's users say n in SamplingParams."""
    if n != 1 and sampling.n not in (1, n):
        raise InvalidRequestError(f"n is {n}, and {sampling.n} in sampling_params; say it once", param="n")
    if n < 1:
        raise InvalidRequestError(f"n must be at least 1, not {n}", param="n")
    return max(n, sampling.n), replace(sampling, n=1)


def _graph(wish: Mapping[str, Any] | None, trace: bool) -> GraphRequest | None:
    return None if wish is None and not trace else read_graph_request(wish, trace=trace)


def _output(job: _Job) -> RequestOutput:
    wants_logprobs = job.generation.sampling.logprobs is not None
    outputs = tuple(
        CompletionOutput(
            a.index,
            a.content,
            tuple(a.token_ids),
            a.finish_reason,
            a.stop_reason,
            a.reasoning,
            tuple(a.calls),
            tuple(a.logprobs) if wants_logprobs else None,
            a.graph,
        )
        for a in job.answers
    )
    return RequestOutput(
        job.generation.request_id,
        job.prompt,
        job.generation.prompt.ids,
        outputs,
        num_cached_tokens=max((a.cached_tokens for a in job.answers), default=0),
        prompt_logprobs=job.answers[0].prompt_logprobs,
    )
