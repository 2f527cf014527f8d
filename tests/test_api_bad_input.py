"""Whatever a client sends: OpenAI's error shape, the right status, a message that says what to do, and no harm done."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from conftest import Running
from test_media_decode import RED, encode, png_header

CHAT = "/v1/chat/completions"
ASK = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
def api(serve: Callable[..., Running]) -> Running:
    return serve("hm</think><answer>ok", fail_on="explode", max_body_bytes=8 << 20)


def check(answer: httpx.Response, status: int, *words: str) -> dict[str, Any]:
    """OpenAI's error shape, and nothing of the server's inside in it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["x-request-id"]
    error = answer.json()["error"]
    assert set(answer.json()) == {"error"}
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert 5 < len(error["message"]) < 600
    for word in words:
        assert word in error["message"], error["message"]
    for leak in ("Traceback", "/usr", ".py", "0x", "object at", "secret"):
        assert leak not in answer.text
    return dict(error)


def chat(api: Running, status: int, *words: str, messages: Any = ASK, **fields: Any) -> dict[str, Any]:
    body = {"model": "autoglm-phone-9b", "messages": messages, **fields}
    return check(httpx.post(api.url + CHAT, json=body, timeout=30), status, *words)


def picture(data: bytes | str) -> list[dict[str, Any]]:
    text = data if isinstance(data, str) else base64.b64encode(data).decode()
    url = f"data:image/png;base64,{text}"
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


def clip(data: bytes) -> list[dict[str, Any]]:
    audio = {"data": base64.b64encode(data).decode(), "format": "wav"}
    return [{"role": "user", "content": [{"type": "input_audio", "input_audio": audio}]}]


def flac(seconds: int) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, np.zeros(seconds * 8000, np.int16), 8000, format="FLAC")
    return out.getvalue()


def test_broken_pictures(api: Running) -> None:
    assert chat(api, 400, "Base64", messages=picture("!!!not base64"))["param"] == "messages[0].content[0].image_url"
    chat(api, 400, "truncated", messages=picture(encode(RED.resize((400, 400)))[:300]))
    assert chat(api, 400, "too large", messages=picture(png_header(30_000, 30_000)))["code"] == "image_too_large"
    chat(api, 400, "known format", messages=picture(b"hello, I am a text"))
    chat(api, 400, "Base64", images=["???"])
    chat(
        api,
        403,
        "data URL",
        messages=[
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}}]}
        ],
    )
    chat(
        api,
        400,
        "data URLs",
        messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}],
    )


def test_broken_sound(api: Running) -> None:
    chat(api, 400, "WAV", messages=clip(b"this is a text file called .wav"))
    assert chat(api, 400, "7200 s", messages=clip(flac(7200)))["code"] == "audio_too_long"
    whole = io.BytesIO()
    soundfile.write(whole, np.zeros(16_000, np.int16), 16_000, format="WAV")
    assert chat(api, 400, "cut off", messages=clip(whole.getvalue()[:3000]))["code"] == "invalid_media"
    transcribe = f"{api.url}/v1/audio/transcriptions"
    check(httpx.post(transcribe, files={"file": ("a.wav", whole.getvalue()[:3000])}), 400, "cut off")
    odd = clip(whole.getvalue())
    odd[0]["content"][0]["input_audio"]["format"] = "exe"
    assert chat(api, 400, "format", messages=odd)["param"] == "messages[0].content[0].input_audio.format"
    for name in ("WAV", "mp3", "audio/x-wav", None):
        odd[0]["content"][0]["input_audio"]["format"] = name
        assert httpx.post(api.url + CHAT, json={"messages": odd}).status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 10**9},
        {"n": 0},
        {"n": True},
        {"n": 1.5},
        {"max_tokens": -1},
        {"max_tokens": 0},
        {"max_tokens": 10**30},
        {"max_completion_tokens": -5},
        {"temperature": -1},
        {"temperature": 1e9},
        {"temperature": "hot"},
        {"top_p": 0},
        {"top_p": 2},
        {"top_k": -2},
        {"min_p": 2},
        {"frequency_penalty": 3},
        {"repetition_penalty": 0},
        {"top_logprobs": 21, "logprobs": True},
        {"top_logprobs": 2},
        {"logit_bias": {"x": 1}},
        {"logit_bias": {"99999999": 1}},
        {"logit_bias": {"5": 101}},
        {"seed": 2**80},
        {"stop": ["x"] * 99},
        {"stop": ["x" * 9999]},
        {"stop": 5},
        {"stop": ""},
        {"stop": ["x", ""]},
        {"stream_options": {"include_usage": True}},
        {"stream_options": {"include_usage": True}, "stream": False},
        {"enable_thinking": True, "chat_template_kwargs": {"enable_thinking": False}},
        {"stop_token_ids": [-1]},
        {"stop_token_ids": [10**9]},
        {"min_tokens": 100, "max_tokens": 5},
        {"stream": "maybe"},
        {"stream_options": 5},
        {"messages": []},
        {"messages": "hi"},
        {"messages": None},
        {"messages": [5]},
        {"messages": [{"role": "wizard", "content": "x"}]},
        {"messages": [{"content": "x"}]},
        {"messages": [{"role": "user", "content": 5}]},
        {"messages": [{"role": "user", "content": "\ud800"}]},
        {"images": "x"},
        {"messages": [{"role": "user", "content": "x"}] * 2000},
        {"chat_template_kwargs": {"chat_template": "x"}},
        {"chat_template_kwargs": 5},
        {"tools": "x"},
        {"tools": [{}]},
        {"tools": [{"type": "function", "function": {"name": "a b"}}]},
        {"tool_choice": "required"},
        {"tools": [{"type": "function", "function": {"name": "a"}}], "tool_choice": {"function": {"name": "b"}}},
        {"tools": [{"type": "function", "function": {"name": "a"}}], "tool_choice": "sometimes"},
        {"response_format": {"type": "xml"}},
        {"response_format": {"type": "json_schema"}},
        {"response_format": 5},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}}},
        {"max_reasoning_steps": -1},
        {"max_thinking_tokens": 1e400},
        {"modalities": ["audio"]},
    ],
    ids=lambda f: str(f)[:60],
)
def test_bad_fields(api: Running, fields: dict[str, Any]) -> None:
    body = {"model": "autoglm-phone-9b", "messages": ASK, **fields}
    check(httpx.post(api.url + CHAT, content=json.dumps(body), headers={"content-type": "application/json"}), 400)


@pytest.mark.parametrize(
    "fields",
    [
        {"best_of": 4},
        {"functions": [{}]},
        {"guided_json": {"a": 1}},
        {"use_beam_search": True},
    ],
)
def test_known_fields_that_are_not_built(api: Running, fields: dict[str, Any]) -> None:
    error = chat(api, 400, "not available", **fields)
    assert error["param"] == next(iter(fields))


def test_unknown_fields_are_ignored(api: Running) -> None:
    body = {
        "model": "autoglm-phone-9b",
        "messages": ASK,
        "store": True,
        "metadata": {"a": "b"},
        "xyz": 1,
        "graph": None,
    }
    assert httpx.post(api.url + CHAT, json=body).status_code == 200


def test_context_length(api: Running) -> None:
    assert (
        chat(api, 400, "shorten", messages=[{"role": "user", "content": "字" * 5000}])["code"]
        == "context_length_exceeded"
    )
    assert chat(api, 400, "at most", max_tokens=5000)["code"] == "context_length_exceeded"
    assert (
        chat(api, 400, "shorten", messages=[{"role": "user", "content": "x" * 5_000_000}])["code"]
        == "context_length_exceeded"
    )


def test_unknown_model_route_and_method(api: Running) -> None:
    assert chat(api, 404, "gpt-4", "autoglm-phone-9b", model="gpt-4")["code"] == "model_not_found"
    assert check(httpx.get(f"{api.url}/v1/models/gpt-4"), 404)["code"] == "model_not_found"
    assert check(httpx.get(f"{api.url}/v1/nothing"), 404)["code"] == "not_found"
    answer = httpx.get(api.url + CHAT)
    assert check(answer, 405)["code"] == "method_not_allowed"
    assert answer.headers["allow"] == "POST"
    check(httpx.request("TRACE", f"{api.url}/health"), 405)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"n": NaN}',
        b'{"n": ' + b"9" * 5000 + b"}",
    ],
)
def test_broken_json(api: Running, raw: bytes) -> None:
    for path in (CHAT, "/v1/completions", "/tokenize", "/detokenize", "/v1/audio/speech"):
        check(httpx.post(api.url + path, content=raw, headers={"content-type": "application/json"}), 400)


def test_content_types_and_sizes(api: Running) -> None:
    check(httpx.post(api.url + CHAT, content=b"a=b", headers={"content-type": "text/plain"}), 415)
    big = b'{"messages": "' + b"x" * (9 << 20) + b'"}'
    for body in (big, iter([big[: 4 << 20], big[4 << 20 :]])):  # with a Content-Length, and chunked without one
        assert check(httpx.post(api.url + CHAT, content=body), 413)["code"] == "payload_too_large"
    check(httpx.post(f"{api.url}/v1/audio/transcriptions", json={}), 415)
    check(httpx.post(f"{api.url}/v1/audio/transcriptions", files={"nofile": b"x"}), 400, "file")


def test_what_says_the_same_twice_is_fine(api: Running) -> None:
    for fields in (
        {"enable_thinking": False, "chat_template_kwargs": {"enable_thinking": False}},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"stream_options": None, "stop": []},
    ):
        assert httpx.post(api.url + CHAT, json={"messages": ASK, **fields}).status_code == 200
    both = {"messages": ASK, "enable_thinking": True, "chat_template_kwargs": {"enable_thinking": False}}
    assert check(httpx.post(f"{api.url}/tokenize", json=both), 400, "once")["param"] == "enable_thinking"


def test_media_are_not_dropped_in_silence(api: Running) -> None:
    for field in ("images", "audios"):
        body = {"prompt": "x", field: ["QUJD"]}
        answer = httpx.post(f"{api.url}/v1/completions", json=body)
        assert check(answer, 400, "/v1/chat/completions")["param"] == field
        assert httpx.post(f"{api.url}/v1/completions", json={"prompt": "x", field: []}).status_code == 200


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "integer"}, "minItems": 10**7},
        {"type": "string", "minLength": 10**8},
        {"type": "object", "properties": {"x": {"$ref": "#/$defs/long"}}, "required": ["x"],
         "$defs": {"long": {"type": "array", "items": {}, "minItems": 10**8}}},
    ],
)  # fmt: skip
def test_a_schema_that_no_answer_in_the_context_satisfies(api: Running, schema: dict[str, Any]) -> None:
    wish = {"type": "json_schema", "json_schema": {"name": "b", "schema": schema}}
    error = chat(api, 400, "can fit", response_format=wish)
    assert (error["code"], error["param"]) == ("invalid_grammar", "response_format")


def test_completion_fields(api: Running) -> None:
    def post(status: int, **fields: Any) -> None:
        check(httpx.post(f"{api.url}/v1/completions", json={"prompt": "x", **fields}), status)

    post(400, prompt=None)
    post(400, prompt=[])
    post(400, prompt="")
    post(400, prompt=[[]])
    post(400, prompt=[10**9])
    post(400, prompt=[-1])
    post(400, prompt="<|image|>")
    post(400, prompt=["x"] * 100)
    post(400, prompt=["x"] * 60, n=16)
    post(400, suffix="x")
    post(400, logprobs=99)
    post(400, prompt=[5] * 5000)


def test_an_engine_failure_stays_inside_its_request(api: Running) -> None:
    error = chat(api, 500, messages=[{"role": "user", "content": "explode"}])
    assert error["type"] == "server_error"
    body = {"messages": [{"role": "user", "content": "explode"}], "stream": True}
    lines = httpx.post(api.url + CHAT, json=body).text.split("\n\n")
    assert '"error"' in lines[-3]
    assert "secret" not in lines[-3]
    assert lines[-2] == "data: [DONE]"
    assert httpx.post(api.url + CHAT, json={"messages": ASK}).status_code == 200


def test_a_schema_bomb_leaves_other_streams_alone(api: Running) -> None:
    bomb = {"anyOf": [{"type": "string", "pattern": f"^.{{0,{i}}}x.{{{i}}}$"} for i in range(200)]}
    chat(api, 400, "simplify", response_format={"type": "json_schema", "json_schema": {"name": "b", "schema": bomb}})
    assert httpx.post(api.url + CHAT, json={"messages": ASK}).status_code == 200
