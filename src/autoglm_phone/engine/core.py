"""The engine: requests in, tokens out, one step at a time. Synchronous; imports no tensor library.

Every request has its own error boundary: whatever one of them does, it ends in StepOutput(error) and the others go on.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import replace
from typing import Any

from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.blocks import PagePool
from autoglm_phone.engine.checks import check_graph, check_prompt, check_sampling
from autoglm_phone.engine.following import PlanFollower
from autoglm_phone.engine.interface import Progress, Row, RowResult, Runner
from autoglm_phone.engine.planning import PlannerLike, Planning
from autoglm_phone.engine.prefix_cache import PrefixCache
from autoglm_phone.engine.request import EngineRequest, FinishReason, MediaItem, StepOutput
from autoglm_phone.engine.scheduler import Scheduler
from autoglm_phone.engine.sequence import Sequence, Status, Times
from autoglm_phone.engine.stats import EngineStats
from autoglm_phone.errors import AutoGLMError, ConfigError, EngineError, InvalidRequestError, OverloadedError
from autoglm_phone.graph.plan import Plan
from autoglm_phone.graph.rewrite import label as kv_label

logger = logging.getLogger(__name__)

INTERNAL = "the engine failed on this request; the other requests are not affected"


class Engine:
    """Scheduler and runner put together.

    Not thread-safe (engine.loop.AsyncEngine is), except `check_request`. Its methods `extend` and `refine` are what a
    runner may ask for in the middle of a step (engine.interface.Steering).

    Args:
        planner: makes the plan of each request; None: what the configuration and the client say.
        facts_of: what the planner is told of a request; None: graph.planner's facts.
        thought_end: tokens that end a thought, for plans that bound one where the client did not; () bounds none.
    """

    def __init__(
        self,
        config: EngineConfig,
        runner: Runner,
        planner: PlannerLike | None = None,
        facts_of: Callable[[EngineRequest], Any] | None = None,
        thought_end: tuple[int, ...] = (),
    ):
        self.config = config
        self.runner = runner
        self.planning = Planning(config, planner, facts_of)
        self.pool = PagePool(runner.num_pages, runner.page_size)
        self.scheduler = Scheduler(
            self.pool,
            PrefixCache(self.pool) if config.enable_prefix_caching else None,
            num_segments=runner.num_segments,
            max_num_seqs=config.max_num_seqs,
            max_num_batched_tokens=config.max_num_batched_tokens,
            dynamic_batching=config.dynamic_batching,
            namespace=runner.cache_namespace,
            drafts=self._draft_lengths if runner.drafting is not None else None,
        )
        self._stats = EngineStats(num_pages=runner.num_pages, page_size=runner.page_size)
        self._plans = PlanFollower(
            runner, self.scheduler, self._stats, thought_end, lambda request: self.planning.opens_thought(request)
        )
        if config.kv_policy != "auto":
            try:
                self._plans.check_kv(config.kv_policy)
            except InvalidRequestError as error:
                raise ConfigError(error.message, param="kv_policy") from None
        self._late: list[StepOutput] = []  # of requests that failed outside of their step
        self._sequences: dict[str, Sequence] = {}
        self._order = itertools.count()

    @property
    def thought_end(self) -> tuple[int, ...]:
        """Tokens that end a thought; a tokenizer may tell them after the engine was made."""
        return self._plans.thought_end

    @thought_end.setter
    def thought_end(self, tokens: tuple[int, ...]) -> None:
        self._plans.thought_end = tokens

    def check_request(self, request: EngineRequest) -> None:
        """Can this request run at all? Reads nothing that changes, so any thread may call it.

        Raises:
            InvalidRequestError, ContextLengthError: it can't; the message says why.
        """
        check_prompt(request, self.runner.vocab_size, self.runner.max_model_len)
        check_sampling(request.sampling, self.runner.vocab_size)
        check_graph(request.graph)
        self.planning.check(request)
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
        if request.adapter is not None:
            sequence.variant = self.runner.adapters[request.adapter]
        plan = self.planning.plan(request)
        provisional = self.runner.probes and self.planning.may_refine(request)
        self._plans.follow(sequence, plan, provisional=provisional)
        sequence.rewriter = self.planning.rewriter(request)
        self._sequences[request.request_id] = sequence
        self.scheduler.add(sequence)

    def abort(self, request_id: str) -> bool:
        """End a request without output; False if there is none of this id (it may just have finished)."""
        sequence = self._sequences.get(request_id)
        if sequence is None:
            return False
        self._end(sequence, "abort", sequence.num_output)
        return True

    def trace(self, request_id: str) -> dict[str, Any] | None:
        """What ran so far for a request that asked for its trace: for one that is ended from outside."""
        sequence = self._sequences.get(request_id)
        return None if sequence is None else self._trace(sequence)

    def rewrite(self, request_id: str, plan: Plan) -> bool:
        """Change the plan of a request between two steps; False if there is none of this id.

        Segments that the new plan leaves out give their pages back; those that it adds are computed when the next
        token comes. What its KV policy does not keep goes back to the pool at once, and what it keeps in another format
        is copied. If copying fails, the request ends with an error, which the next step delivers.

        Raises:
            EngineError: the KV policy can't be followed from here on, or not with the pages that are free
                (OutOfPagesError); InvalidRequestError: the runner does not have it. The request goes on as it was.
        """
        sequence = self._sequences.get(request_id)
        if sequence is None:
            return False
        before = sequence.plan.kv.kind
        moves = self._plans.keep_by(sequence, plan)
        if moves:
            try:
                self.runner.recode(moves, before, plan.kv.kind)
            except Exception as error:
                self._late.append(self._fail(sequence, _client_message(error, sequence)))
                return True
        self._plans.follow(sequence, plan)
        return True

    def has_work(self) -> bool:
        return bool(self._late) or self.scheduler.has_work()

    def step(self) -> list[StepOutput]:
        """Run one batch. At most one output a request; prompts in the middle of their prefill give none."""
        outputs, self._late = self._late, []
        rows = self.scheduler.schedule()
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

    def rest(self) -> None:
        """Call when there has been nothing to do for a while: the runner may give memory back."""
        self.runner.rest()

    def stats(self) -> EngineStats:
        """A snapshot that the caller may keep."""
        stats = self._stats
        stats.running, stats.waiting = len(self.scheduler.running), len(self.scheduler.waiting)
        stats.kv_usage = self.pool.usage
        stats.prefix_queries, stats.prefix_hits = self.scheduler.prefix_queries, self.scheduler.prefix_hits
        stats.preemptions = self.scheduler.num_preemptions
        self.runner.report(stats)
        return stats.snapshot()

    def extend(self, sequence: Sequence, segment: int, end: int) -> int:
        return self.scheduler.extend(sequence, segment, end)

    def refine(self, sequence: Sequence, scores: tuple[float, ...]) -> None:
        if sequence.rewriter is not None and scores:
            sequence.rewriter.probe = scores[-1]
        plan = self.planning.refine(sequence.plan, scores)
        self._plans.follow(sequence, replace(plan, kv=sequence.plan.kv))  # pages don't change in the middle of a step

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

    def _look(self, sequence: Sequence) -> None:
        """Let the request's rewriter look at how far it has come."""
        plan = self._plans.proposal(sequence, self.pool.usage)
        if plan is None:
            return
        try:
            self.rewrite(sequence.request_id, plan)
        except EngineError as error:
            logger.info("[DYNAMIC GRAPH] KV policy stays %s: %s", kv_label(sequence.plan.kv), error.message)
        else:
            if sequence.rewriter is not None and sequence.status is not Status.FINISHED:
                sequence.rewriter.took(plan, sequence.num_output)

    def _draft_lengths(self, sequences: Seq[Sequence]) -> list[int]:
        """How many tokens each of them should draft in the next step."""
        assert self.runner.drafting is not None  # internal: only a runner that drafts is asked
        by_depth: dict[int, list[Sequence]] = {}
        for sequence in sequences:
            by_depth.setdefault(sequence.rule.draft, []).append(sequence)
        lengths: dict[int, int] = {}
        for depth, group in by_depth.items():
            seen = [(s.drafts_judged, s.trace.accepted) for s in group]
            chosen = self.runner.drafting.choose(depth, seen)
            lengths.update({s.order: n for s, n in zip(group, chosen, strict=True)})
        result = []
        for sequence in sequences:
            # The verifier's own token comes on top.
            left = min(
                sequence.sampling.max_tokens - sequence.num_output, self.runner.max_model_len - len(sequence.tokens)
            )
            result.append(min(sequence.rule.draft_length or lengths[sequence.order], left - 1))
        return result

    def _execute(self, rows: list[Row]) -> list[RowResult]:
        try:
            return self.runner.execute(rows, self)
        except Exception as error:
            if len(rows) == 1:
                return [RowResult(error=_client_message(error, rows[0].sequence))]
            logger.warning(
                "a batch of %d rows failed (%s); running its rows one by one", len(rows), type(error).__name__
            )
        return [self._execute([row])[0] for row in rows]

    def _absorb(self, row: Row, result: RowResult) -> StepOutput | None:
        sequence, progress = row.sequence, result.progress
        if result.error is not None:
            return self._fail(sequence, result.error)
        if sequence.prompt_logprobs is not None:
            sequence.prompt_logprobs.extend(result.prompt_logprobs)
        emitted: list[int] = []
        reason: FinishReason | None = None
        stop_token = None
        done = row.samples if progress is None else progress.done
        if done and sequence.sampling.max_tokens == 0:
            reason = "length"
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
        prompt_logprobs = sequence.prompt_logprobs
        if done:
            sequence.prompt_logprobs = None
        if progress is not None and progress.masses and sequence.scores is not None:
            sequence.scores.observe(*zip(*progress.masses, strict=True))
        self.scheduler.advance(row, progress)
        if progress is not None:
            self._note_progress(sequence, progress, len(emitted) + (stop_token is not None))
        if not done:
            return None
        if reason is None:
            self._look(sequence)
        if result.token_ids:
            self._stats.note_tokens(sequence, len(result.token_ids))
        trace = None
        if reason is not None:
            if sequence.rewriter is not None:
                sequence.trace.length_error = sequence.rewriter.error(sequence.num_output)
            trace = self._trace(sequence)
            self._end(sequence, reason, sequence.num_output)
        return StepOutput(
            request_id=sequence.request_id,
            token_ids=tuple(emitted),
            logprobs=None if sequence.sampling.logprobs is None else result.logprobs[: len(emitted)],
            prompt_logprobs=None if prompt_logprobs is None else tuple(prompt_logprobs),
            finish_reason=reason,
            stop_token_id=stop_token,
            cached_tokens=sequence.cached_tokens,
            graph=trace,
        )

    def _note_progress(self, sequence: Sequence, progress: Progress, produced: int) -> None:
        """Trace and statistics of a row that gave so many tokens."""
        trace, ends = sequence.trace, self.runner.layout.ends
        trace.depths += progress.depths_of(produced)
        trace.drafted += progress.drafted
        trace.accepted += progress.accepted
        trace.looked_up += progress.looked_up
        trace.found += progress.found
        if produced and sequence.rule.draft:
            trace.drafts.append((produced, progress.drafted, progress.accepted))
        sequence.drafts_judged += min(progress.drafted, progress.accepted + 1)
        for depth, count in progress.caught_up:
            trace.caught_up[depth] += count
        for segment, seconds in enumerate(progress.seconds):
            if seconds:
                trace.segment_ms[segment] = trace.segment_ms.get(segment, 0.0) + 1000 * seconds
        for segment, frontier in enumerate(sequence.frontiers):
            if frontier >= sequence.prompt_length:
                trace.prompt_depth = max(trace.prompt_depth, ends[segment])
        self._stats.note_progress(progress, produced, ends[-1])
        graph = sequence.request.graph
        if graph is not None and graph.trace:
            pages = sequence.num_pages
            if not trace.pages or trace.pages[-1][1] != pages:
                trace.pages.append((sequence.num_output, pages))

    def _trace(self, sequence: Sequence) -> dict[str, Any] | None:
        """What ran, for a client that asked."""
        if sequence.request.graph is None or not sequence.request.graph.trace:
            return None
        trace = sequence.trace
        trace.peak_kv_bytes = sequence.peak_pages * self.runner.page_bytes
        trace.reasons = list(sequence.plan.reasons)
        trace.blocked = 0 if sequence.rewriter is None else sequence.rewriter.blocked
        trace.layers = self.runner.layout.ends
        return trace.as_dict()

    def _check_end(self, sequence: Sequence, token: int) -> tuple[FinishReason | None, int | None]:
        """Why the request ends with this token, if it does, and the EOS or stop token that ended it."""
        sampling = sequence.sampling
        if sequence.thought is not None:
            self._plans.observe_thought(sequence, sequence.thought, token)
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
        trace = self._trace(sequence)
        self._end(sequence, "error", sequence.num_output)
        return StepOutput(sequence.request_id, (), finish_reason="error", error=message, graph=trace)

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
