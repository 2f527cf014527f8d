"""The engine: requests in, tokens out, one step at a time. Synchronous; imports no tensor library.

Every request has its own error boundary: whatever one of them does, it ends in StepOutput(error) and the others go on.
"""

from __future__ import annotations

import itertools
import logging
import time

from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.blocks import PagePool
from autoglm_phone.engine.checks import check_prompt, check_sampling
from autoglm_phone.engine.interface import Row, RowResult, Runner
from autoglm_phone.engine.prefix_cache import PrefixCache
from autoglm_phone.engine.request import EngineRequest, FinishReason, MediaItem, StepOutput
from autoglm_phone.engine.scheduler import Scheduler
from autoglm_phone.engine.sequence import Sequence, Times
from autoglm_phone.engine.stats import EngineStats
from autoglm_phone.errors import AutoGLMError, EngineError, InvalidRequestError, OverloadedError

logger = logging.getLogger(__name__)

INTERNAL = "the engine failed on this request; the other requests are not affected"


class Engine:
    """Scheduler and runner put together.

    Not thread-safe (engine.loop.AsyncEngine is), except `check_request`.
    """

    def __init__(self, config: EngineConfig, runner: Runner):
        self.config = config
        self.runner = runner
        self.pool = PagePool(runner.num_pages, runner.page_size)
        self.scheduler = Scheduler(
            self.pool,
            PrefixCache(self.pool) if config.enable_prefix_caching else None,
            max_num_seqs=config.max_num_seqs,
            max_num_batched_tokens=config.max_num_batched_tokens,
            dynamic_batching=config.dynamic_batching,
            namespace=runner.cache_namespace,
        )
        self._sequences: dict[str, Sequence] = {}
        self._order = itertools.count()
        self._stats = EngineStats(num_pages=runner.num_pages, page_size=runner.page_size)

    def check_request(self, request: EngineRequest) -> None:
        """Can this request run at all? Reads nothing that changes, so any thread may call it.

        Raises:
            InvalidRequestError, ContextLengthError: it can't; the message says why.
        """
        check_prompt(request, self.runner.vocab_size, self.runner.max_model_len)
        check_sampling(request.sampling, self.runner.vocab_size)
        self.runner.validate(request)

    def add_request(self, request: EngineRequest) -> None:
        """Queue a request.

        Raises:
            InvalidRequestError: it can't run. OverloadedError: the queue is full.
        """
        self.check_request(request)
        if request.request_id in self._sequences:
            raise InvalidRequestError(f"request id {request.request_id!r} is in use", param="request_id")
        if len(self.scheduler.waiting) >= self.config.max_queue:
            raise OverloadedError(f"{self.config.max_queue} requests are waiting already; try again later")
        sequence = Sequence(request, next(self._order), self.runner.num_segments, Times(time.perf_counter()))
        self._sequences[request.request_id] = sequence
        self.scheduler.add(sequence)

    def abort(self, request_id: str) -> bool:
        """End a request without output; False if there is none of this id (it may just have finished)."""
        sequence = self._sequences.get(request_id)
        if sequence is None:
            return False
        self._end(sequence, "abort", sequence.num_output)
        return True

    def has_work(self) -> bool:
        return self.scheduler.has_work()

    def step(self) -> list[StepOutput]:
        """Run one batch. At most one output a request; prompts in the middle of their prefill give none."""
        rows = self.scheduler.schedule()
        outputs: list[StepOutput] = []
        ready = [row for row in rows if self._prepare(row.sequence, outputs)]
        if not ready:
            return outputs
        self._stats.steps += 1
        self._stats.step_tokens.observe(sum(row.count for row in ready))
        for row, result in zip(ready, self._execute(ready), strict=True):
            output = self._absorb(row, result)
            if output is not None:
                outputs.append(output)
        return outputs

    def stats(self) -> EngineStats:
        """A snapshot that the caller may keep."""
        stats = self._stats
        stats.running, stats.waiting = len(self.scheduler.running), len(self.scheduler.waiting)
        stats.kv_usage = self.pool.usage
        stats.prefix_queries, stats.prefix_hits = self.scheduler.prefix_queries, self.scheduler.prefix_hits
        stats.preemptions = self.scheduler.num_preemptions
        return stats.snapshot()

    def transcript(self, item: MediaItem) -> str:
        """The audio tower's own reading (CTC) of a clip, without the decoder."""
        return self.runner.transcript(item)

    def _prepare(self, sequence: Sequence, outputs: list[StepOutput]) -> bool:
        if sequence.prepared:
            return True
        try:
            self.runner.prepare(sequence)
        except Exception as error:
            outputs.append(self._fail(sequence, _client_message(error, sequence)))
            return False
        sequence.prepared = True
        return True

    def _execute(self, rows: list[Row]) -> list[RowResult]:
        try:
            return self.runner.execute(rows)
        except Exception as error:
            if len(rows) == 1:
                return [RowResult(error=_client_message(error, rows[0].sequence))]
            logger.warning(
                "a batch of %d rows failed (%s); running its rows one by one", len(rows), type(error).__name__
            )
        return [self._execute([row])[0] for row in rows]

    def _absorb(self, row: Row, result: RowResult) -> StepOutput | None:
        sequence = row.sequence
        if result.error is not None:
            return self._fail(sequence, result.error)
        self.scheduler.advance(row)
        if sequence.prompt_logprobs is not None:
            sequence.prompt_logprobs.extend(result.prompt_logprobs)
        if not row.samples:
            return None
        emitted: list[int] = []
        reason: FinishReason | None = "length" if sequence.sampling.max_tokens == 0 else None
        stop_token = None
        for token in result.token_ids if reason is None else ():
            sequence.tokens.append(token)
            try:
                reason, stop_token = self._check_end(sequence, token)
            except Exception as error:
                return self._fail(sequence, _client_message(error, sequence))
            if stop_token is None:
                emitted.append(token)
            if reason is not None:
                break
        if result.token_ids:
            self._stats.note_tokens(sequence, len(result.token_ids))
        prompt_logprobs, sequence.prompt_logprobs = sequence.prompt_logprobs, None
        if reason is not None:
            self._end(sequence, reason, sequence.num_output)
        return StepOutput(
            request_id=sequence.request_id,
            token_ids=tuple(emitted),
            logprobs=None if sequence.sampling.logprobs is None else result.logprobs[: len(emitted)],
            prompt_logprobs=None if prompt_logprobs is None else tuple(prompt_logprobs),
            finish_reason=reason,
            stop_token_id=stop_token,
            cached_tokens=sequence.cached_tokens,
        )

    def _check_end(self, sequence: Sequence, token: int) -> tuple[FinishReason | None, int | None]:
        """Why the request ends with this token, if it does, and the EOS or stop token that ended it."""
        sampling = sequence.sampling
        if sequence.thought is not None:
            sequence.thought.observe(token)
        is_eos = not sampling.ignore_eos and token in self.runner.eos_token_ids
        if is_eos or token in sampling.stop_token_ids:
            return "stop", token
        if sequence.matcher is not None:
            if not sequence.matcher.accept(token):
                raise EngineError("the output left the requested grammar; try again or relax the schema")
            if sequence.matcher.finished:
                return "stop", None
        if sequence.num_output >= sampling.max_tokens or len(sequence.tokens) >= self.runner.max_model_len:
            return "length", None
        return None, None

    def _fail(self, sequence: Sequence, message: str) -> StepOutput:
        self._end(sequence, "error", sequence.num_output)
        return StepOutput(sequence.request_id, (), finish_reason="error", error=message)

    def _end(self, sequence: Sequence, reason: FinishReason, num_output: int) -> None:
        self.scheduler.remove(sequence)
        del self._sequences[sequence.request_id]
        self.runner.release(sequence.request_id)
        self._stats.note_finish(sequence, reason, num_output)


def _client_message(error: Exception, sequence: Sequence) -> str:
    """Typed errors speak to the client; the text of any other stays in the log."""
    if isinstance(error, AutoGLMError):
        return error.message
    logger.error("request %s failed", sequence.request_id, exc_info=error)
    return INTERNAL
