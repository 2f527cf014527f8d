"""schemathesis drives every endpoint from the OpenAPI document: no server errors, and one shape for all others."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from conftest import Running

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
    operation = document[path][method]

    @given(case=st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode)))
    @settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    def drive(case: schemathesis.Case) -> None:
        answer = case.call(timeout=30)
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}

    drive()
    assert httpx.get(f"{api.url}/health").status_code == 200
    assert api.service.pending == 0
    assert api.engine.running == 0


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
