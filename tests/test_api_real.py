"""The whole server with the real engine: a tiny random checkpoint always, the bundled model when it is there."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import soundfile

from api_cases import MODEL, bundled, picture_part, sound_part, wav
from autoglm_phone.api.app import create_app
from autoglm_phone.api.config import ServeConfig
from autoglm_phone.api.serve import load
from conftest import Running, run_server
from test_api_agent import agent_messages
from test_api_streams import leave, wait_until


@pytest.fixture(scope="session")
def tiny_glm4v(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from autoglm_phone.models.glm4v.reference import make_tiny_checkpoint

    return make_tiny_checkpoint(tmp_path_factory.mktemp("glm4v"))


@pytest.fixture(scope="module", params=["tiny", "glm4v", *bundled()])
def api(request: pytest.FixtureRequest) -> Iterator[Running]:
    fixtures = {"tiny": "tiny_model", "glm4v": "tiny_glm4v"}
    model = str(request.getfixturevalue(fixtures[request.param])) if request.param in fixtures else request.param
    config = ServeConfig(model=model, served_model_names=(MODEL,), max_num_seqs=8)
    app = create_app(config, load)
    url, server, thread = run_server(app)
    state = app.state.server
    assert wait_until(lambda: state.service is not None or state.failed, 60)
    assert not state.failed
    yield Running(url, app, request.param, state.service, server)
    server.should_exit = True
    thread.join(20)


@pytest.fixture(autouse=True)
def nothing_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test no request runs and no page is held."""
    yield
    if "api" not in request.fixturenames:
        return
    api = request.getfixturevalue("api")
    engine = api.service.engine
    assert wait_until(lambda: api.service.pending == 0 and engine.stats().running == engine.stats().waiting == 0)
    engine.engine.pool.check()
    assert wait_until(lambda: engine.stats().kv_usage == 0.0), engine.stats().kv_usage


def create(api: Running, text: str = "hi", **options: Any) -> Any:
    options = {"max_tokens": 16, "temperature": 0.0, **options}
    messages = options.pop("messages", [{"role": "user", "content": text}])
    return api.openai().chat.completions.create(model=MODEL, messages=messages, **options)


def test_langchain_script(api: Running) -> None:
    from langchain_openai import ChatOpenAI

    llm = ChatOpenAI(
        model="autoglm-phone-9b",
        temperature=0.5,
        base_url=f"{api.url}/v1",
        api_key="EMPTY",
        extra_body={"enable_thinking": True, "return_reasoning": True},
        streaming=True,
        max_tokens=200,
    )
    assert isinstance(llm.invoke("你是谁?").content, str)


def test_stream_and_whole_answer_agree(api: Running) -> None:
    whole = create(api, extra_body={"return_reasoning": True})
    content, reasoning, usage = "", "", None
    for chunk in create(
        api, stream=True, stream_options={"include_usage": True}, extra_body={"return_reasoning": True}
    ):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            content += choice.delta.content or ""
            reasoning += getattr(choice.delta, "reasoning_content", None) or ""
    message = whole.choices[0].message
    assert (content, reasoning) == (message.content, getattr(message, "reasoning_content", None) or "")
    assert usage is not None
    assert usage.completion_tokens == whole.usage.completion_tokens


def test_seeds(api: Running) -> None:
    draw = lambda seed: create(api, temperature=1.0, seed=seed, n=2).model_dump()["choices"]  # noqa: E731
    assert draw(1) == draw(1)


def test_agent_request(api: Running) -> None:
    answer = create(api, messages=agent_messages(), top_p=0.85, frequency_penalty=0.2)
    assert answer.usage.prompt_tokens > 10


def test_pictures_change_the_prompt_and_equal_ones_share_the_cache(api: Running) -> None:
    messages = [
        {"role": "user", "content": [picture_part((300, 500)), {"type": "text", "text": "what is there? " * 10}]}
    ]
    first, second = create(api, messages=messages), create(api, messages=messages)
    assert first.choices[0].message.content == second.choices[0].message.content
    assert second.usage.prompt_tokens_details.cached_tokens > 0


def test_sound(api: Running) -> None:
    part = sound_part(wav())
    if api.engine == "glm4v":
        with pytest.raises(openai.BadRequestError, match="audio"):
            create(api, messages=[{"role": "user", "content": [part]}])
        return
    assert create(api, messages=[{"role": "user", "content": [part]}]).choices
    files = {"file": ("a.wav", wav())}
    answer = httpx.post(f"{api.url}/v1/audio/transcriptions", files=files, timeout=60)
    assert answer.status_code == 200
    assert isinstance(answer.json()["text"], str)


def test_speak_then_transcribe(api: Running) -> None:
    pytest.importorskip("espeakng_loader")
    client = api.openai()
    spoken = client.audio.speech.create(
        model=MODEL, voice="alloy", input="Open the weather app.", response_format="wav"
    )
    samples, rate = soundfile.read(io.BytesIO(spoken.content))
    assert 0.5 < len(samples) / rate < 5
    if api.engine == "glm4v":
        with pytest.raises(openai.BadRequestError, match="audio"):
            client.audio.transcriptions.create(model=MODEL, file=("a.wav", spoken.content))
        return
    text = client.audio.transcriptions.create(model=MODEL, file=("a.wav", spoken.content), language="en").text
    if api.engine == "mini":  # README's example
        assert text.strip() == "Open the weather app."


def test_mixed_requests_at_once_all_finish(api: Running) -> None:
    """Twice as many as run at once: text, pictures, sound, grammars and drawn answers, some of them streamed."""
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False}
    schema_format = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    heard = sound_part(wav(7)) if api.engine != "glm4v" else picture_part((64, 96))

    def ask(i: int) -> str:
        text = {"type": "text", "text": f"question {i}"}
        kind = i % 4
        if kind == 0:
            options: dict[str, Any] = {"messages": [{"role": "user", "content": [picture_part((200, 300)), text]}]}
        elif kind == 1:
            options = {"messages": [{"role": "user", "content": [heard, text]}]}
        elif kind == 2:
            options = {"response_format": schema_format, "max_tokens": 100, "extra_body": {"max_thinking_tokens": 10}}
        else:
            options = {"temperature": 1.0, "seed": i, "stream": True}
        made = create(api, f"question {i}", timeout=60, **options)
        if kind == 3:
            return [chunk.choices[0].finish_reason for chunk in made if chunk.choices][-1]
        if kind == 2:
            assert json.loads(made.choices[0].message.content)["n"] in (1, 2)
        return made.choices[0].finish_reason

    with ThreadPoolExecutor(16) as pool:
        reasons = list(pool.map(ask, range(16)))
    assert set(reasons) <= {"stop", "length"}


def test_metrics_count_what_was_done(api: Running) -> None:
    def read() -> dict[str, float]:
        lines = httpx.get(f"{api.url}/metrics").text.splitlines()
        return {k: float(v) for k, v in (x.rsplit(" ", 1) for x in lines if x and not x.startswith("#"))}

    def total(values: dict[str, float], name: str) -> float:
        return sum(v for k, v in values.items() if k.startswith(name))

    before = read()
    usage = create(api).usage
    after = read()
    for name, count in (("prompt", usage.prompt_tokens), ("generation", usage.completion_tokens)):
        name = f"autoglm_phone:{name}_tokens_total"
        assert total(after, name) - total(before, name) == count, name
    assert total(after, "autoglm_phone:num_requests_running") == 0


def test_json_schema(api: Running) -> None:
    schema = {
        "type": "object",
        "properties": {"kind": {"enum": ["cat", "dog"]}, "count": {"type": "integer", "minimum": 0, "maximum": 99}},
        "required": ["kind", "count"],
        "additionalProperties": False,
    }
    answer = create(
        api,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
        max_tokens=120,
        extra_body={"max_thinking_tokens": 20},
    )
    assert set(json.loads(answer.choices[0].message.content)) == {"kind", "count"}


def test_forced_tool_call(api: Running) -> None:
    parameters = {
        "type": "object",
        "properties": {"x": {"type": "integer", "maximum": 999, "minimum": 0}},
        "required": ["x"],
        "additionalProperties": False,
    }
    tools = [{"type": "function", "function": {"name": "tap", "parameters": parameters}}]
    if api.engine == "glm4v":
        with pytest.raises(openai.BadRequestError, match="knows no tools"):
            create(api, tools=tools)
        return
    answer = create(api, tools=tools, tool_choice="required", max_tokens=120, extra_body={"enable_thinking": False})
    assert answer.choices[0].finish_reason == "tool_calls"
    assert set(json.loads(answer.choices[0].message.tool_calls[0].function.arguments)) == {"x"}


def test_thinking_budget(api: Running) -> None:
    answer = create(api, max_tokens=40, extra_body={"max_thinking_tokens": 5, "return_reasoning": True})
    assert answer.usage.completion_tokens_details.reasoning_tokens <= 7


def test_completions_with_echo_and_logprobs(api: Running) -> None:
    made = api.openai().completions.create(
        model=MODEL, prompt="the quick", max_tokens=4, echo=True, logprobs=2, temperature=0
    )
    values = made.choices[0].logprobs.token_logprobs
    assert values[0] is None
    assert all(v <= 0 for v in values[1:])
    assert made.choices[0].text.startswith("the quick")


def test_good_streams_are_untouched_by_bad_ones(api: Running) -> None:
    alone = create(api, "count to ten", max_tokens=40).choices[0].message.content
    answers: list[str] = []
    workers = [
        threading.Thread(
            target=lambda: answers.append(create(api, "count to ten", max_tokens=40).choices[0].message.content)
        )
        for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    url = f"{api.url}/v1/chat/completions"
    ask = [{"role": "user", "content": "x"}]
    for _ in range(3):
        leave(api, {"messages": ask, "stream": True, "max_tokens": 500, "ignore_eos": True, "temperature": 1.0})
        assert httpx.post(url, json={"messages": ask, "n": 10**9}).status_code == 400
        assert httpx.post(url, json={"messages": ask, "images": ["!"]}).status_code == 400
        assert httpx.post(url, json={"messages": [{"role": "user", "content": "x" * 50_000}]}).status_code == 400
    for worker in workers:
        worker.join(60)
    assert answers == [alone] * 4


def test_hanging_up_frees_the_engine(api: Running) -> None:
    for stream in (True, False):
        body = {
            "messages": [{"role": "user", "content": "x"}],
            "stream": stream,
            "max_tokens": 1500,
            "ignore_eos": True,
            "n": 2,
        }
        done = threading.Event()

        def post(body: dict[str, Any] = body, done: threading.Event = done) -> None:
            try:
                with httpx.stream("POST", f"{api.url}/v1/chat/completions", json=body, timeout=0.3) as answer:
                    for _ in answer.iter_bytes():
                        break
            except httpx.TimeoutException:
                pass
            done.set()

        threading.Thread(target=post).start()
        done.wait(10)
        began = time.monotonic()
        assert wait_until(lambda: api.service.engine.stats().running == 0, 5), "the request went on"
        assert time.monotonic() - began < 5
