"""One loaded model and everything around it that turns requests into answers: no HTTP here, `LLM` uses it too.

A `Generation` is a prepared request. `run` sends it to the engine, n times if n answers are wanted, and yields what is
new for each choice as it comes. Leaving the iterator early aborts what is still running in the engine.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from autoglm_phone.chat.grammar import GrammarCompiler
from autoglm_phone.chat.present import Delta, Presenter, Style
from autoglm_phone.chat.prompt import Prompt, PromptBuilder
from autoglm_phone.chat.stream import OutputParser, PlainParser
from autoglm_phone.chat.tokenizer import Tokenizer
from autoglm_phone.chat.tools import ToolCall, ToolSet
from autoglm_phone.engine.request import EngineRequest, SamplingParams, StepOutput, ThinkingBudget, TokenLogprob
from autoglm_phone.errors import EngineError, OverloadedError
from autoglm_phone.graph.plan import GraphRequest

THOUGHT_END = "</think><answer>"  # what the engine writes when a thought's budget is spent


class EngineClient(Protocol):
    """What the front end needs of an engine (engine.loop.AsyncEngine is one)."""

    def start(self) -> None: ...
    def check(self, request: EngineRequest) -> None: ...
    def abort(self, request_id: str) -> None: ...
    def generate(self, request: EngineRequest) -> AsyncIterator[StepOutput]: ...
    def stats(self) -> Any: ...
    def shutdown(self) -> None: ...


@dataclass(frozen=True)
class ModelInfo:
    """names: what clients may call it; the first is its own. defaults: sampling fields of generation_config.json."""

    names: tuple[str, ...]
    max_model_len: int
    vocab_size: int
    eos_ids: frozenset[int]
    defaults: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Generation:
    """A request ready for the engine. raw: plain completion, nothing is parsed out of the text.

    adapter: name of the adapter to run with; None: the base model.
    graph: what the client asks of the dynamic graph; its `trace` makes each answer carry what really ran.
    """

    request_id: str
    prompt: Prompt
    sampling: SamplingParams
    n: int = 1
    style: Style = "separate"
    tools: ToolSet = field(default_factory=ToolSet)
    raw: bool = False
    skip_special: bool = True
    include_stop: bool = False
    cache_salt: str = ""
    adapter: str | None = None
    graph: GraphRequest | None = None

    @property
    def wants_trace(self) -> bool:
        return self.graph is not None and self.graph.trace

    def request(self, index: int) -> EngineRequest:
        """The engine's request of one choice. With a seed, choice i is drawn with seed + i."""
        sampling = self.sampling
        if index and sampling.seed is not None:
            sampling = replace(sampling, seed=(sampling.seed + index) % 2**63)
        return EngineRequest(
            f"{self.request_id}-{index}",
            self.prompt.ids,
            sampling,
            self.prompt.media,
            cache_salt=self.cache_salt,
            adapter=self.adapter,
            graph=self.graph,
        )


@dataclass
class Update:
    """What is new for one choice. The counters are totals of that choice. graph: the trace, on the last update."""

    index: int
    delta: Delta
    logprobs: list[TokenLogprob] = field(default_factory=list)
    token_ids: tuple[int, ...] = ()
    prompt_logprobs: tuple[TokenLogprob | None, ...] | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    graph: dict[str, Any] | None = None


@dataclass
class Answer:
    """A whole choice, gathered from its updates."""

    index: int
    content: str = ""
    reasoning: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)
    prompt_logprobs: tuple[TokenLogprob | None, ...] | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    graph: dict[str, Any] | None = None

    def add(self, update: Update) -> None:
        self.content += update.delta.content
        self.reasoning += update.delta.reasoning
        self.calls += update.delta.calls
        self.logprobs += update.logprobs
        self.token_ids += update.token_ids
        self.prompt_logprobs = self.prompt_logprobs or update.prompt_logprobs
        self.finish_reason, self.stop_reason = update.finish_reason, update.stop_reason
        self.completion_tokens, self.reasoning_tokens = update.completion_tokens, update.reasoning_tokens
        self.cached_tokens = update.cached_tokens
        self.graph = update.graph or self.graph


class Service:
    """The model as the routes see it. `max_pending`: sequences that may be inside at once, running or queued."""

    def __init__(
        self,
        info: ModelInfo,
        tokenizer: Tokenizer,
        prompts: PromptBuilder,
        engine: EngineClient,
        grammars: GrammarCompiler,
        *,
        max_pending: int = 256,
    ):
        self.info = info
        self.tokenizer = tokenizer
        self.prompts = prompts
        self.engine = engine
        self.grammars = grammars
        self.max_pending = max_pending
        self.pending = 0

    def close(self) -> None:
        self.grammars.close()
        self.engine.shutdown()

    @contextlib.contextmanager
    def admit(self, count: int) -> Any:
        """Holds `count` places from before the prompt is built until the answer is out.

        Raises:
            OverloadedError: the places are taken.
        """
        if self.pending + count > self.max_pending:
            raise OverloadedError("the server's queue is full; try again in a moment")
        self.pending += count
        try:
            yield
        finally:
            self.pending -= count

    def check(self, generation: Generation) -> None:
        """What the engine would refuse, before a stream has begun.

        Raises:
            InvalidRequestError: the model, its graph or its calibration does not have what the request asks for.
        """
        self.engine.check(generation.request(0))

    def thinking_budget(self, max_tokens: int | None, max_steps: int | None) -> ThinkingBudget | None:
        """A bound on the thought; None if the request sets none."""
        if max_tokens is None and max_steps is None:
            return None
        end = tuple(self.tokenizer.encode_prompt(THOUGHT_END))
        return ThinkingBudget(end, max_tokens, max_steps, self.tokenizer.newline_ids if max_steps else frozenset())

    async def run(self, generation: Generation) -> AsyncGenerator[Update, None]:
        """Updates of all choices, in the order in which they come."""
        choices = [self._choice(generation, i) for i in range(generation.n)]
        if len(choices) == 1:
            async with contextlib.aclosing(choices[0]) as updates:
                async for update in updates:
                    yield update
            return
        queue: asyncio.Queue[Update | BaseException | None] = asyncio.Queue()
        tasks = [asyncio.create_task(_pump(choice, queue)) for choice in choices]
        try:
            left = len(tasks)
            while left:
                item = await queue.get()
                if isinstance(item, BaseException):
                    raise item
                if item is None:
                    left -= 1
                else:
                    yield item
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def collect(self, generation: Generation) -> list[Answer]:
        """All choices, complete."""
        answers = [Answer(i) for i in range(generation.n)]
        async with contextlib.aclosing(self.run(generation)) as updates:
            async for update in updates:
                answers[update.index].add(update)
        return answers

    async def _choice(self, generation: Generation, index: int) -> AsyncGenerator[Update, None]:
        request = generation.request(index)
        choice = ChoiceStream(self.tokenizer, generation, index)
        steps = self.engine.generate(request)
        try:
            async for step in steps:
                if step.finish_reason == "error":
                    raise EngineError(step.error or "the engine failed on this request; the server goes on")
                if step.finish_reason == "abort":
                    raise EngineError("the request was aborted by the server")
                update = choice.push(step)
                if update.finish_reason is not None and step.finish_reason is None and generation.wants_trace:
                    update.graph = await self._last_trace(request.request_id, steps)
                yield update
                if update.finish_reason is not None:
                    return
            raise EngineError("the engine ended the request without a reason")
        finally:
            close = getattr(steps, "aclose", None)
            if close is not None:
                await close()  # aborts the request if it still runs (a stop string was found, the client went away)

    async def _last_trace(self, request_id: str, steps: AsyncIterator[StepOutput]) -> dict[str, Any] | None:
        """Ends a request whose answer the front end found complete (a stop string), and waits for its trace."""
        self.engine.abort(request_id)
        async for step in steps:
            if step.finish_reason is not None:
                return step.graph
        return None


class ChoiceStream:
    """Engine steps of one choice to updates."""

    def __init__(self, tokenizer: Tokenizer, generation: Generation, index: int):
        self._index = index
        self._parser: OutputParser | PlainParser
        if generation.raw:
            self._parser = PlainParser(
                tokenizer,
                stop=generation.sampling.stop,
                include_stop=generation.include_stop,
                skip_special=generation.skip_special,
            )
        else:
            self._parser = OutputParser(
                tokenizer,
                generation.prompt.opening,
                stop=generation.sampling.stop,
                tools=generation.tools.names,
                include_stop=generation.include_stop,
            )
        self._presenter = Presenter(generation.style)
        self._show_all = generation.raw or generation.style == "inline"
        self._stop_ids = generation.sampling.stop_token_ids
        self._logprobs: list[TokenLogprob] = []
        self._completion_tokens = 0
        self._cached_tokens = 0

    def push(self, step: StepOutput) -> Update:
        self._cached_tokens = max(self._cached_tokens, step.cached_tokens)
        delta = Delta()
        parser = self._parser
        used = 0  # a step of several tokens may go past the end of the answer
        for i, token in enumerate(step.token_ids):
            if parser.stopped is not None or parser.closed:
                break
            used += 1
            shown = self._show_all or parser.channel == "answer"
            _extend(delta, self._presenter.present(parser.feed([token])))
            if step.logprobs and i < len(step.logprobs) and shown and not parser.is_tag(token):
                self._logprobs.append(step.logprobs[i])
        whole = used == len(step.token_ids)
        self._completion_tokens += used + (whole and step.stop_token_id is not None)
        reason: str | None = step.finish_reason
        by_client = step.stop_token_id in self._stop_ids  # the model's own EOS is no news to the client
        stop_reason: str | int | None = step.stop_token_id if by_client else None
        if parser.stopped is not None or parser.closed:
            reason, stop_reason = "stop", parser.stopped
        if reason is not None:
            _extend(delta, self._presenter.present(parser.finish()))
            if parser.calls and reason == "stop":
                reason = "tool_calls"
        update = Update(
            self._index,
            delta,
            token_ids=step.token_ids[:used],
            prompt_logprobs=step.prompt_logprobs,
            finish_reason=reason,
            stop_reason=stop_reason,
            completion_tokens=self._completion_tokens,
            reasoning_tokens=parser.reasoning_tokens,
            cached_tokens=self._cached_tokens,
            graph=step.graph if reason is not None else None,
        )
        if delta or reason is not None:
            update.logprobs, self._logprobs = self._logprobs, []
        return update


def _extend(delta: Delta, more: Delta) -> None:
    delta.content += more.content
    delta.reasoning += more.reasoning
    delta.calls += more.calls


async def _pump(updates: AsyncGenerator[Update, None], queue: asyncio.Queue[Update | BaseException | None]) -> None:
    try:
        async with contextlib.aclosing(updates):
            async for update in updates:
                queue.put_nowait(update)
        queue.put_nowait(None)
    except Exception as exc:
        queue.put_nowait(exc)
