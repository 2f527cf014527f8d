"""An engine without a model: replies by script, one token a step, and remembers what was asked and aborted."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autoglm_phone.chat.grammar import GrammarCompiler
from autoglm_phone.chat.prompt import PromptBuilder
from autoglm_phone.chat.service import ModelInfo, Service
from autoglm_phone.chat.template import ChatTemplate
from autoglm_phone.chat.tokenizer import Tokenizer
from autoglm_phone.engine.request import EngineRequest, FinishReason, StepOutput, TokenLogprob
from autoglm_phone.engine.stats import EngineStats
from autoglm_phone.media.load import MediaLimits, MediaLoader
from autoglm_phone.models.processed import Processed

EOS_IDS = frozenset({17, 0, 5, 7})
MAX_MODEL_LEN = 2048


class FakeProcessor:
    """One token a medium; a recording becomes one clip a 30 s."""

    def image(self, picture: Any) -> Processed:
        digest = hashlib.sha256(picture.tobytes()).hexdigest()
        return Processed("image", {"size": picture.size}, 1, digest)

    def audio(self, samples: Any) -> list[Processed]:
        pieces = [samples[i : i + 480_000] for i in range(0, len(samples), 480_000)]
        return [Processed("audio", {"samples": len(p)}, 1, hashlib.sha256(p.tobytes()).hexdigest()) for p in pieces]


def make_service(engine: Any, processor: Any, config: Any, template: ChatTemplate | None = None) -> Service:
    """A service around an engine, without any model folder."""
    tokenizer = engine.tokenizer
    limits = MediaLimits(max_images=config.limit_mm_per_prompt["image"], max_audios=config.limit_mm_per_prompt["audio"])
    media_tokens: dict[Any, Any] = {"image": 9, "audio": 12}
    template = template or ChatTemplate.native()
    prompts = PromptBuilder(tokenizer, template, MediaLoader(limits), processor, MAX_MODEL_LEN, media_tokens)
    info = ModelInfo(("autoglm-phone-9b",), MAX_MODEL_LEN, tokenizer.vocab_size, EOS_IDS)
    grammars = GrammarCompiler(tokenizer, EOS_IDS)
    return Service(info, tokenizer, prompts, engine, grammars, max_pending=config.max_pending)


@dataclass
class FakeEngine:
    """script: prompt text (special tokens by name) → the reply's text, special tokens by name."""

    tokenizer: Tokenizer
    script: Callable[[str], str]
    delay: float = 0.0  # seconds a token
    eos_ids: frozenset[int] = EOS_IDS
    fail_on: str | None = None  # a prompt that holds this text ends in an engine error
    likes: Callable[[str], float] = lambda _: 0.0  # log-probability of a whole prompt, for requests that ask for it
    requests: list[EngineRequest] = field(default_factory=list)
    aborted: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    running: int = 0

    def start(self) -> None: ...

    def shutdown(self) -> None: ...

    def check(self, request: EngineRequest) -> None: ...

    def repeats(self, request: EngineRequest) -> bool:
        graph = request.graph
        return graph is None or (graph.policy != "confidence" and graph.kv != "evict")

    def abort(self, request_id: str) -> None: ...

    def stats(self) -> EngineStats:
        return EngineStats(running=self.running)

    async def generate(self, request: EngineRequest) -> AsyncIterator[StepOutput]:
        self.requests.append(request)
        self.running += 1
        done = False
        try:
            async for output in self._steps(request):
                yield output
            done = True
            self.finished.append(request.request_id)
        finally:
            self.running -= 1
            if not done:
                self.aborted.append(request.request_id)

    async def _steps(self, request: EngineRequest) -> AsyncIterator[StepOutput]:
        prompt = self.tokenizer.decode(request.prompt_ids, skip_special=False)
        if self.fail_on and self.fail_on in prompt:
            raise RuntimeError("secret: /etc/passwd at 0xdeadbeef")
        params = request.sampling
        wanted = self.tokenizer.encode_prompt(self.script(prompt))
        matcher = params.grammar.new() if params.grammar is not None else None
        forced: list[int] = []
        thinking = params.thinking
        for count in range(params.max_tokens):
            await asyncio.sleep(self.delay)
            if thinking is not None and count == thinking.max_tokens:
                forced, thinking = list(thinking.end_ids), None
                end = next((i for i, t in enumerate(wanted) if self.tokenizer.name(t) == "<answer>"), -1)
                wanted = wanted[end + 1 :]
            token = forced.pop(0) if forced else (wanted.pop(0) if wanted else 17)
            if matcher is not None:
                token = self._constrain(matcher, token)
                if matcher.finished or token < 0:
                    yield StepOutput(request.request_id, (), finish_reason="stop")
                    return
                if token not in self.eos_ids:
                    matcher.accept(token)
            ended = (token in self.eos_ids and not params.ignore_eos) or token in params.stop_token_ids
            reason: FinishReason | None = "stop" if ended else "length" if count + 1 == params.max_tokens else None
            logprobs = None
            if params.logprobs is not None and not ended:
                top = tuple((token + i, -0.5 - i) for i in range(params.logprobs))
                logprobs = (TokenLogprob(token, -0.5, 1, top),)
            ids = () if ended else (token,)
            read = self._read(request, prompt) if count == 0 and params.prompt_logprobs is not None else None
            yield StepOutput(request.request_id, ids, logprobs, read, reason, token if ended else None)
            if reason:
                return

    def _read(self, request: EngineRequest, prompt: str) -> tuple[TokenLogprob | None, ...]:
        """The prompt's log-probabilities: all on its last token."""
        ids = request.prompt_ids
        return (None, *(TokenLogprob(t, 0.0, 1) for t in ids[1:-1]), TokenLogprob(ids[-1], self.likes(prompt), 1))

    def _constrain(self, matcher: Any, token: int) -> int:
        mask = matcher.fill_mask()
        if matcher.finished:
            return -1
        if mask is None or mask[token]:
            return token
        eos = [i for i in self.eos_ids if mask[i]]
        if eos:
            return eos[0]
        allowed = np.flatnonzero(mask)
        # Closers first, so that open-ended grammars come to an end.
        for text in ('"', "}", "]", "a", "1", ":", ","):
            ids = self.tokenizer.encode(text)
            if len(ids) == 1 and mask[ids[0]]:
                return ids[0]
        return int(allowed[0])
