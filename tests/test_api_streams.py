"""Loading, overload and clients that go away: others are not touched, nothing is left behind."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import pytest

from conftest import Running
from fake_engine import FakeEngine

BODY = {"messages": [{"role": "user", "content": "hi"}]}


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


@pytest.fixture(scope="module")
def slow(serve: Callable[..., Running]) -> Running:
    return serve("</think><answer>" + "word " * 100, delay=0.02, max_pending=4)


def leave(api: Running, body: dict[str, object], path: str = "/v1/chat/completions") -> None:
    """Sends a request, reads a little if it streams, and hangs up once the engine is at it."""
    connection = http.client.HTTPConnection(urlsplit(api.url).netloc)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    if body.get("stream"):
        connection.getresponse().read(200)
    if isinstance(api.engine, FakeEngine):
        assert wait_until(lambda: api.engine.running >= int(str(body.get("n", 1))))
    connection.close()
    if connection.sock is not None:
        connection.sock.close()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("n", [1, 3])
def test_hanging_up_aborts_in_the_engine(slow: Running, stream: bool, n: int) -> None:
    before = len(slow.engine.aborted)
    leave(slow, {**BODY, "stream": stream, "n": n})
    assert wait_until(lambda: slow.engine.running == 0)
    assert len(slow.engine.aborted) == before + n
    assert wait_until(lambda: slow.service.pending == 0)


def test_hanging_up_leaves_other_streams_alone(slow: Running) -> None:
    answers: list[str] = []

    def stay() -> None:
        answer = httpx.post(f"{slow.url}/v1/chat/completions", json={**BODY, "max_tokens": 40}, timeout=30)
        answers.append(answer.json()["choices"][0]["message"]["content"])

    thread = threading.Thread(target=stay)
    thread.start()
    assert wait_until(lambda: slow.engine.running == 1)
    for _ in range(3):
        leave(slow, {**BODY, "stream": True})
    thread.join()
    assert answers
    assert answers[0].startswith("word word")
    assert wait_until(lambda: slow.service.pending == 0)


def test_a_full_queue_answers_503_with_retry_after(slow: Running) -> None:
    with httpx.stream("POST", f"{slow.url}/v1/chat/completions", json={**BODY, "stream": True, "n": 4}) as busy:
        chunks = busy.iter_bytes()  # kept: httpx hangs up when its iterator goes
        next(chunks)
        answer = httpx.post(f"{slow.url}/v1/chat/completions", json=BODY)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.json()["error"]["code"] == "overloaded"
        assert httpx.get(f"{slow.url}/health").status_code == 200
    assert wait_until(lambda: slow.service.pending == 0)
    assert httpx.post(f"{slow.url}/v1/chat/completions", json={**BODY, "max_tokens": 2}).status_code == 200


def test_bad_requests_give_their_places_back(slow: Running) -> None:
    for _ in range(6):
        body = {**BODY, "n": 2, "logit_bias": {"x": 1}}
        assert httpx.post(f"{slow.url}/v1/chat/completions", json=body).status_code == 400
    assert slow.service.pending == 0


def test_503_while_loading(serve: Callable[..., Running]) -> None:
    api = serve(load_delay=1.0, wait=False)
    for method, path in (("GET", "/health"), ("GET", "/v1/models"), ("POST", "/v1/chat/completions")):
        answer = httpx.request(method, api.url + path, json=BODY if method == "POST" else None)
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "loading"
        assert answer.headers["retry-after"]
    assert httpx.get(f"{api.url}/version").status_code == 200
    assert httpx.get(f"{api.url}/metrics").status_code == 200
    assert wait_until(lambda: httpx.get(f"{api.url}/health").status_code == 200)


def test_events_have_the_usual_form(slow: Running) -> None:
    answer = httpx.post(f"{slow.url}/v1/chat/completions", json={**BODY, "stream": True, "max_tokens": 3})
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line for line in answer.text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    assert all(line.startswith("data: {") for line in lines[:-1])
    first = json.loads(lines[0][6:])
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
