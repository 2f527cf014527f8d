"""schemathesis drives every endpoint from the OpenAPI document: no server errors, and one shape for all others.

Around the fake engine with many examples, and around the bundled model with a few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from autoglm_phone.api.app import create_app
from autoglm_phone.api.config import ServeConfig
from autoglm_phone.api.serve import load
from conftest import Running, run_server
from test_api_streams import wait_until

ENDPOINTS = [
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{model}"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/audio/transcriptions"),
    ("POST", "/v1/audio/speech"),
    ("POST", "/tokenize"),
    ("POST", "/detokenize"),
    ("GET", "/health"),
    ("GET", "/version"),
    ("GET", "/metrics"),
]


@pytest.fixture(scope="module")
def api(serve: Callable[..., Running]) -> Running:
    return serve("hm</think><answer>ok", max_body_bytes=1 << 20)


@pytest.fixture(scope="module")
def document(api: Running) -> schemathesis.schemas.BaseSchema:
    return schemathesis.openapi.from_url(f"{api.url}/openapi.json")


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_no_server_errors(api: Running, document: schemathesis.schemas.BaseSchema, method: str, path: str) -> None:
    """Good and bad data alike, made from the document's schemas."""
    drive(document[path][method], 25)
    assert httpx.get(f"{api.url}/health").status_code == 200
    assert api.service.pending == 0
    assert api.engine.running == 0


@pytest.fixture(scope="module")
def mini() -> Iterator[Running]:
    """The bundled model in a context so short that an answer without a limit ends soon."""
    app = create_app(ServeConfig(threads=1, max_num_seqs=8, max_model_len=192, max_audio_seconds=5), load)
    url, server, thread = run_server(app)
    state = app.state.server
    assert wait_until(lambda: state.service is not None or state.failed, 60)
    assert not state.failed
    yield Running(url, app, None, state.service, server)
    server.should_exit = True
    thread.join(20)


@pytest.mark.parametrize(("method", "path"), [e for e in ENDPOINTS if e[0] == "POST" and e[1] != "/v1/audio/speech"])
def test_no_server_errors_of_the_bundled_model(mini: Running, method: str, path: str) -> None:
    drive(schemathesis.openapi.from_url(f"{mini.url}/openapi.json")[path][method], 6)
    assert wait_until(lambda: mini.service.engine.stats().running == 0, 30)
    assert mini.service.pending == 0
    answer = httpx.post(f"{mini.url}/v1/chat/completions", json={"messages": [{"role": "user", "content": "你是谁?"}]})
    assert answer.json()["choices"][0]["message"]["content"]


def drive(operation: schemathesis.schemas.APIOperation, examples: int) -> None:
    """Sends that many requests to one endpoint; each answer is a success or has the one shape of errors."""

    @given(case=st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode)))
    @settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    def send(case: schemathesis.Case) -> None:
        answer = case.call(timeout=60)
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}

    send()


def test_the_document_names_every_endpoint(document: schemathesis.schemas.BaseSchema) -> None:
    paths = set(document.raw_schema["paths"])
    assert {
        "/v1/models",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/audio/transcriptions",
        "/v1/audio/speech",
        "/tokenize",
        "/detokenize",
        "/health",
        "/version",
        "/metrics",
    } <= paths
