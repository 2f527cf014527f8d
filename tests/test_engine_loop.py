"""The asyncio bridge: streaming, closing early, shutting down, and a thread that dies."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from autoglm_phone.engine.core import Engine
from autoglm_phone.engine.loop import AsyncEngine
from autoglm_phone.engine.request import EngineRequest, MediaItem, SamplingParams, StepOutput
from autoglm_phone.errors import EngineError, InvalidRequestError, OverloadedError
from test_scheduler import expected, make, request, tokens_of


class SlowRunner:
    """Wraps a runner: a step takes a while, and may kill the thread."""

    def __init__(self, inner, seconds: float):
        self.__dict__.update(inner.__dict__)
        self.inner, self.seconds, self.lethal = inner, seconds, False

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def execute(self, rows, steering):
        time.sleep(self.seconds)
        if self.lethal:
            raise SystemExit("out of memory")
        return self.inner.execute(rows, steering)

    def transcript(self, item: MediaItem) -> str:
        if item.kind == "image":
            raise InvalidRequestError("not a sound")
        return "heard"


@pytest.fixture
def served():
    engine, inner = make(num_pages=200, limit=64, max_num_seqs=8, max_num_batched_tokens=64)
    runner = SlowRunner(inner, 0.002)
    engine.runner = runner
    loop = AsyncEngine(engine)
    loop.start()
    yield loop, engine, runner
    loop.shutdown()


async def collect(loop: AsyncEngine, item: EngineRequest) -> list[StepOutput]:
    return [output async for output in loop.generate(item)]


async def quiet(engine: Engine) -> None:
    for _ in range(500):
        if not engine.has_work():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("the engine still works")


async def test_many_streams_at_once(served):
    loop, engine, _ = served
    prompts = [[i % 40 + 1] * (i % 17 + 1) for i in range(40)]
    results = await asyncio.gather(*(collect(loop, request(f"r{i}", p, 10)) for i, p in enumerate(prompts)))
    for prompt, outputs in zip(prompts, results, strict=True):
        tokens, reason = expected(prompt, 10, 64)
        assert tokens_of(outputs) == tokens
        assert outputs[-1].finish_reason == reason
    assert engine.pool.num_free == 200
    assert sum(loop.stats().finished.values()) == 40
    assert loop.healthy


async def test_closing_the_iterator_aborts_and_frees_pages(served):
    loop, engine, _ = served
    stream = loop.generate(request("r", [3, 4], 60))
    first = await anext(stream)
    assert first.finish_reason is None
    await stream.aclose()
    await quiet(engine)
    assert engine.pool.num_free == 200
    assert engine.stats().finished["abort"] == 1


async def test_cancelling_the_task_aborts_and_others_go_on(served):
    loop, engine, _ = served
    other = asyncio.create_task(collect(loop, request("other", [5, 6], 40)))
    task = asyncio.create_task(collect(loop, request("r", [3, 4], 60)))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tokens_of(await other) == expected([5, 6], 40, 64)[0]
    await quiet(engine)
    assert engine.pool.num_free == 200


async def test_abort_from_outside_ends_the_stream(served):
    loop, _, _ = served
    stream = loop.generate(request("r", [3, 4], 60))
    await anext(stream)
    loop.abort("r")
    rest = [output async for output in stream]
    assert rest[-1].finish_reason == "abort"


async def test_bad_requests_raise_before_they_are_queued(served):
    loop, engine, _ = served
    with pytest.raises(InvalidRequestError):
        await anext(loop.generate(request("r", [])))
    assert not engine.has_work()
    one = asyncio.create_task(collect(loop, request("same", [3, 4], 60)))
    await asyncio.sleep(0.01)
    with pytest.raises(InvalidRequestError, match="in use"):
        await collect(loop, request("same", [3, 4], 60))
    assert tokens_of(await one) == expected([3, 4], 60, 64)[0]


async def test_a_full_queue_is_refused(served):
    loop, engine, runner = served
    engine.config = replace(engine.config, max_queue=1)
    runner.seconds = 0.2
    tasks = [asyncio.create_task(collect(loop, request(f"r{i}", [i + 1], 3))) for i in range(12)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [result for result in results if isinstance(result, OverloadedError)]
    served_ones = [result for result in results if isinstance(result, list)]
    assert refused
    assert len(refused) + len(served_ones) == 12
    assert all(outputs[-1].finish_reason in ("stop", "length") for outputs in served_ones)


async def test_a_dying_thread_fails_every_request_and_health(served):
    loop, _, runner = served
    tasks = [asyncio.create_task(collect(loop, request(f"r{i}", [i + 1], 60))) for i in range(3)]
    await asyncio.sleep(0.02)
    runner.lethal = True
    for outputs in await asyncio.wait_for(asyncio.gather(*tasks), 5):
        assert outputs[-1].finish_reason == "error"
        assert "memory" not in outputs[-1].error
    assert not loop.healthy
    with pytest.raises(EngineError):
        await anext(loop.generate(request("late", [1])))


async def test_shutdown_ends_what_runs(served):
    loop, _, _ = served
    task = asyncio.create_task(collect(loop, request("r", [3, 4], 60)))
    await asyncio.sleep(0.01)
    await asyncio.to_thread(loop.shutdown)
    outputs = await asyncio.wait_for(task, 5)
    assert outputs[-1].finish_reason == "error"
    assert not loop.healthy


async def test_transcript_goes_through_the_thread(served):
    loop, _, _ = served
    assert await loop.transcript(MediaItem("audio", "h", 0, 1, None)) == "heard"
    with pytest.raises(InvalidRequestError, match="not a sound"):
        await loop.transcript(MediaItem("image", "h", 0, 1, None))


def test_sampling_is_checked_on_the_callers_side(served):
    loop, _, _ = served

    async def ask():
        await anext(loop.generate(EngineRequest("r", (1,), SamplingParams(max_tokens=-5))))

    with pytest.raises(InvalidRequestError):
        asyncio.run(ask())


async def test_an_idle_engine_gives_back_what_it_does_not_use(monkeypatch, served):
    from autoglm_phone.engine import loop as loop_module

    monkeypatch.setattr(loop_module, "REST_EVERY", 0.01)
    rested = asyncio.Event()
    here = asyncio.get_running_loop()
    _, engine, _ = served
    monkeypatch.setattr(engine, "rest", lambda: here.call_soon_threadsafe(rested.set))
    await asyncio.wait_for(rested.wait(), 5)
