"""schemathesis drives every endpoint from the OpenAPI document: no answer is a server error, every error has one shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
import schemathesis
from conftest import Running
from hypothesis import HealthCheck, settings

schema = schemathesis.pytest.from_fixture("document")


@pytest.fixture(scope="module")
def document(serve: Callable[..., Running]) -> Iterator[schemathesis.schemas.BaseSchema]:
    api = serve("hm</think><answer>ok", max_body_bytes=1 << 20)
    yield schemathesis.openapi.from_url(f"{api.url}/openapi.json")
    assert httpx.get(f"{api.url}/health").status_code == 200
    assert api.service.pending == 0 and api.engine.running == 0


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_server_errors(case: schemathesis.Case) -> None:
    answer = case.call(timeout=30)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_the_document_names_every_endpoint(document: schemathesis.schemas.BaseSchema) -> None:
    paths = set(document.raw_schema["paths"])
    assert {
        "/v1/models", "/v1/chat/completions", "/v1/completions", "/v1/audio/transcriptions", "/v1/audio/speech", "/tokenize",
        "/detokenize", "/health", "/version", "/metrics",
    } <= paths  # fmt: skip
