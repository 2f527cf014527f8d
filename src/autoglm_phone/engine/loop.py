"""Runs an engine in a thread of its own and bridges it to asyncio.

Commands (add, abort) go to the thread through a queue; outputs come back through each request's asyncio queue, one
wake-up of the event loop a step. Closing the iterator of `generate` early aborts the request. If the thread dies, every
request gets an error and `healthy` turns false.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.core import Engine
from autoglm_phone.engine.planning import PlannerLike
from autoglm_phone.engine.request import EngineRequest, MediaItem, StepOutput
from autoglm_phone.engine.stats import EngineStats
from autoglm_phone.errors import AutoGLMError, EngineError, OverloadedError

logger = logging.getLogger(__name__)

REST_EVERY = 1.0  # seconds between looks at what an idle engine can give back
STOPPED = "the engine is not running; restart the server"


@dataclass(frozen=True)
class _Stream:
    """Where a request's outputs go."""

    loop: asyncio.AbstractEventLoop
    queue: asyncio.Queue[StepOutput | AutoGLMError]


# A queue and what to put there; an error is raised where the request is awaited.
_Item = tuple[asyncio.Queue["StepOutput | AutoGLMError"], StepOutput | AutoGLMError]


class AsyncEngine:
    """Thread and asyncio bridge around an Engine. Call `start` before `generate`, `shutdown` at the end."""

    def __init__(self, engine: Engine):
        self.engine = engine
        self._commands: deque[Callable[[], None]] = deque()
        self._wake = threading.Condition()
        self._streams: dict[str, _Stream] = {}  # owned by the engine thread
        self._stopping = False
        self._closed = False  # the thread takes no more commands; guarded by _wake
        self._waiting = 0  # requests handed over, not yet finished
        self._thread: threading.Thread | None = None
        self._stats = engine.stats()

    @property
    def healthy(self) -> bool:
        """The engine thread is alive and takes requests."""
        return self._thread is not None and self._thread.is_alive() and not self._closed and not self._stopping

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
            self._thread.start()

    def shutdown(self, timeout: float | None = 10.0) -> None:
        """Stop the thread; requests that still run get an error. `timeout` in seconds."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def stats(self) -> EngineStats:
        """The engine's numbers as of its last step. Any thread may call this."""
        return self._stats

    def check(self, request: EngineRequest) -> None:
        """Raises InvalidRequestError for a request that can't run, before anything of its answer is sent."""
        self.engine.check_request(request)

    def repeats(self, request: EngineRequest) -> bool:
        """Whether a greedy answer to it is the same whatever else runs. Any thread may call this."""
        return self.engine.planning.repeats(request)

    async def generate(self, request: EngineRequest) -> AsyncIterator[StepOutput]:
        """Outputs of a request until one has a finish_reason. Closing the iterator early aborts the request.

        Raises:
            InvalidRequestError: the request can't run. OverloadedError: the queue is full.
            EngineError: the engine is not running.
        """
        self.engine.check_request(request)
        if not self.healthy:
            raise EngineError(STOPPED)
        if self._waiting >= self.engine.config.max_queue + self.engine.config.max_num_seqs:
            raise OverloadedError("too many requests are waiting already; try again later")
        stream = _Stream(asyncio.get_running_loop(), asyncio.Queue())
        finished = False
        if not self._submit(lambda: self._add(request, stream)):
            raise EngineError(STOPPED)
        try:
            while not finished:
                output = await stream.queue.get()
                finished = isinstance(output, AutoGLMError) or output.finish_reason is not None
                if isinstance(output, AutoGLMError):
                    raise output
                yield output
        finally:
            if not finished:
                self.abort(request.request_id)

    def abort(self, request_id: str) -> None:
        """End a request (thread-safe). Its iterator, if one still waits, gets an output with reason "abort"."""
        self._submit(lambda: self._abort(request_id))

    async def transcript(self, item: MediaItem) -> str:
        """The audio tower's own reading of a clip, computed between two steps."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()

        def work() -> None:
            try:
                text = self.engine.transcript(item)
            except Exception as error:
                known = error if isinstance(error, AutoGLMError) else EngineError("the clip could not be read")
                logger.error("transcript failed", exc_info=error)
                loop.call_soon_threadsafe(_settle, future, known)
            else:
                loop.call_soon_threadsafe(_settle, future, text)

        if not self.healthy or not self._submit(work):
            raise EngineError(STOPPED)
        return await future

    def _submit(self, command: Callable[[], None]) -> bool:
        """Hand a command to the engine thread; False if it has stopped for good."""
        with self._wake:
            if self._closed:
                return False
            self._commands.append(command)
            self._wake.notify()
        return True

    # From here on: the engine thread.

    def _run(self) -> None:
        try:
            while self._run_commands():
                outputs = self.engine.step() if self.engine.has_work() else []
                self._stats = self.engine.stats()  # first: who sees an output finds it counted
                self._deliver(outputs)
        except BaseException:
            logger.critical("the engine thread died", exc_info=True)
        with self._wake:
            self._closed = True
            commands = list(self._commands)
        for command in commands:  # so that the streams of late requests are known and get their error below
            with contextlib.suppress(Exception):
                command()
        self._deliver([StepOutput(name, (), finish_reason="error", error=STOPPED) for name in list(self._streams)])

    def _run_commands(self) -> bool:
        """Run what was submitted, waiting for something to do; False when it is time to stop."""
        with self._wake:
            while not (self._commands or self._stopping or self.engine.has_work()):
                if not self._wake.wait(REST_EVERY):
                    self.engine.rest()
            if self._stopping:
                return False
            commands = list(self._commands)
            self._commands.clear()
        for command in commands:
            command()
        return True

    def _add(self, request: EngineRequest, stream: _Stream) -> None:
        try:
            self.engine.add_request(request)
        except Exception as error:
            if not isinstance(error, AutoGLMError):
                logger.error("request %s could not be added", request.request_id, exc_info=error)
                error = EngineError("the engine failed on this request")
            _send({stream.loop: [(stream.queue, error)]})
            return
        self._streams[request.request_id] = stream
        self._waiting = len(self._streams)

    def _abort(self, request_id: str) -> None:
        trace = self.engine.trace(request_id)
        if self.engine.abort(request_id):
            self._deliver([StepOutput(request_id, (), finish_reason="abort", graph=trace)])

    def _deliver(self, outputs: list[StepOutput]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[_Item]] = {}
        for output in outputs:
            stream = self._streams.get(output.request_id)
            if stream is None:
                continue
            if output.finish_reason is not None:
                del self._streams[output.request_id]
            by_loop.setdefault(stream.loop, []).append((stream.queue, output))
        self._waiting = len(self._streams)
        _send(by_loop)


def _send(by_loop: dict[asyncio.AbstractEventLoop, list[_Item]]) -> None:
    for loop, items in by_loop.items():
        try:
            loop.call_soon_threadsafe(_put_all, items)
        except RuntimeError:  # the event loop is closed: nobody listens any more
            logger.debug("outputs of %d requests had no listener", len(items))


def _put_all(items: list[_Item]) -> None:
    for queue, output in items:
        queue.put_nowait(output)


def _settle(future: asyncio.Future[Any], result: Any) -> None:
    if future.cancelled():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


def load_engine(
    model_dir: str | Path, config: EngineConfig | None = None, planner: PlannerLike | None = None
) -> Engine:
    """Engine, runner and towers of either family from a model folder.

    planner: makes the plan of each request; None: the model's own (graph.setup), unless the dynamic graph is off.

    Raises:
        CheckpointError: the folder is missing, incomplete, corrupt or of an unknown architecture.
        ConfigError: the configuration does not fit the model or the machine.
    """
    from autoglm_phone.graph.setup import planner_for
    from autoglm_phone.runner.load import load_runner  # the tensor library comes in only here
    from autoglm_phone.runner.probe import load_probe

    config, folder = config or EngineConfig(), Path(model_dir)
    runner = load_runner(folder, config)
    if planner is None:
        planner = own = planner_for(folder, config, runner.layout.ends, runner.layout.exits, runner.kv_kinds)
        if own is not None:
            spec, device = runner.spec, runner.decoder.backend.device
            runner.cascade.depth_probe = load_probe(folder, own.settings.depths, spec.hidden_size, device, config.exits)
    if not config.dynamic_graph:
        runner.towers.load_all()
    return Engine(config, runner, planner)
