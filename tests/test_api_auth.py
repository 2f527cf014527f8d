"""Keys: every path needs one unless it is on the open list, however the path or the header is written."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import openai
import pytest

from autoglm_phone.api.config import read_keys
from autoglm_phone.errors import ConfigError
from conftest import Running


@pytest.fixture(scope="module")
def api(serve: Callable[..., Running]) -> Running:
    return serve(api_keys=("first-key", "second-key"))


PATHS = [
    "/v1/models",
    "/v1/chat/completions",
    "/metrics",
    "/version",
    "/docs",
    "/openapi.json",
    "/tokenize",
    "/nothing",
    "/",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_key_no_answer(api: Running, path: str) -> None:
    for method in ("GET", "POST", "OPTIONS", "HEAD", "PUT"):
        answer = httpx.request(method, api.url + path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        if method != "HEAD":
            assert answer.json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize(
    "path",
    [
        "//v1/models",
        "/health/../v1/models",
        "/health%2f..%2fv1/models",
        "/v1//models",
        "/Health",
        "/health/",
        "/%68ealth/x",
        "/v1/models?x=/health",
        "/v1/models;/health",
    ],
)
def test_crooked_paths_need_a_key_too(api: Running, path: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(api.url).netloc)
    connection.request("GET", path)  # as it is: httpx would straighten it
    assert connection.getresponse().status == 401


def test_health_is_open(api: Running) -> None:
    assert httpx.get(f"{api.url}/health").json() == {"status": "ok"}


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer wrong",
        "first-key",
        "Basic first-key",
        "Bearer first-key-and-more",
        "Bearer first",
        "Bearer FIRST-KEY",
    ],
)
def test_wrong_keys(api: Running, header: str) -> None:
    assert httpx.get(f"{api.url}/v1/models", headers={"Authorization": header}).status_code == 401


def test_two_headers_are_not_one(api: Running) -> None:
    headers = [("Authorization", "Bearer first-key"), ("Authorization", "Bearer x")]
    assert httpx.get(f"{api.url}/v1/models", headers=headers).status_code == 401


def test_each_key_opens_and_salts_its_own_cache(api: Running) -> None:
    for key in ("first-key", "second-key"):
        answer = api.openai(api_key=key).chat.completions.create(
            model="autoglm-phone-9b", messages=[{"role": "user", "content": "x"}]
        )
        assert answer.choices
    first, second = (r.cache_salt for r in api.engine.requests[-2:])
    assert first
    assert second
    assert first != second
    assert "key" not in first
    with pytest.raises(openai.AuthenticationError):
        api.openai(api_key="EMPTY").models.list()


def test_key_sources(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# comment\none\n\n two \n")
    assert read_keys(["zero"], file, "three") == ("zero", "one", "two", "three")
    file.write_text("# nothing\n")
    with pytest.raises(ConfigError, match="no key"):
        read_keys([], file)
    with pytest.raises(ConfigError, match="cannot read"):
        read_keys([], tmp_path / "missing")


@pytest.mark.parametrize(("keys", "environment"), [([""], None), (["good", "  "], None), ([], ""), (["good"], " ")])
def test_an_empty_key_is_refused_instead_of_serving_everybody(keys: list[str], environment: str | None) -> None:
    with pytest.raises(ConfigError, match="empty"):
        read_keys(keys, None, environment)


def test_a_key_is_what_a_header_can_hold_of_it() -> None:
    """Blanks around a key never arrive: the header's are taken off."""
    assert read_keys([" k\n"], None, " e ") == ("k", "e")
    assert read_keys([], None, None) == ()
