"""The response cache: what counts as the same request, what is never kept, and that a hit looks like the answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_cases import picture_part
from autoglm_phone.api.response_cache import ResponseCache
from autoglm_phone.chat.service import Answer
from conftest import Running

ASK = [{"role": "user", "content": "hello"}]
TOOLS = [{"type": "function", "function": {"name": "tap", "parameters": {"type": "object", "properties": {}}}}]


@pytest.fixture
def api(serve: Callable[..., Running]) -> Running:
    return serve("想</think><answer>好的 ok", response_cache_mb=1)


def post(api: Running, path: str = "chat/completions", key: str | None = None, **body: Any) -> httpx.Response:
    if path == "chat/completions":
        body = {"messages": ASK, **body}
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.post(f"{api.url}/v1/{path}", json={"temperature": 0, **body}, headers=headers, timeout=30)


def runs(api: Running) -> int:
    return len(api.engine.requests)


def without_ids(answer: httpx.Response) -> dict[str, Any]:
    made = {k: v for k, v in answer.json().items() if k not in ("id", "created", "usage")}
    for choice in made["choices"]:
        for call in choice.get("message", {}).get("tool_calls", ()):
            del call["id"]
    return made


def test_the_second_of_two_equal_requests_does_not_run(api: Running) -> None:
    first, second = post(api), post(api)
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "hit")
    assert runs(api) == 1
    assert without_ids(first) == without_ids(second)
    assert first.json()["id"] != second.json()["id"]
    assert "response_cached" not in first.json()["usage"]
    usage = second.json()["usage"]
    assert usage["response_cached"] is True
    assert usage["completion_tokens"] == first.json()["usage"]["completion_tokens"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == usage["prompt_tokens"]


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "user", "content": "hello "}]},
        {"messages": [{"role": "system", "content": "x"}, *ASK]},
        {"messages": [{"role": "user", "content": [picture_part((64, 64)), {"type": "text", "text": "hello"}]}]},
        {"max_tokens": 3},
        {"stop": ["o"]},
        {"n": 2},
        {"logprobs": True},
        {"return_reasoning": True},
        {"enable_thinking": False},
        {"max_thinking_tokens": 40},
        {"min_tokens": 1},
        {"repetition_penalty": 1.1},
        {"logit_bias": {"40": 1}},
        {"ignore_eos": True, "max_tokens": 9},
        {"response_format": {"type": "json_object"}, "max_tokens": 40},
        {"tools": TOOLS},
        {"graph": {"max_depth": 6}},
        {"include_stop_str_in_output": True},
    ],
    ids=lambda f: str(f)[:50],
)
def test_any_other_field_is_another_request(api: Running, fields: dict[str, Any]) -> None:
    post(api)
    before = runs(api)
    other = post(api, **fields)
    assert other.status_code == 200, other.text
    assert other.headers["x-cache"] == "miss"
    assert runs(api) == before + fields.get("n", 1)
    assert post(api, **fields).headers["x-cache"] == "hit"


def test_what_does_not_change_the_answer_does_not_count(api: Running) -> None:
    post(api)
    for fields in ({"user": "me"}, {"model": "autoglm-phone-9b"}, {"metadata": {"a": 1}}, {"stream": False}):
        assert post(api, **fields).headers["x-cache"] == "hit", fields
    picture = picture_part((80, 60))["image_url"]["url"]
    parts = [{"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": "x"}]
    post(api, messages=[{"role": "user", "content": parts}])
    bare = picture.partition(",")[2]
    assert post(api, messages=[{"role": "user", "content": "x"}], images=[bare]).headers["x-cache"] == "hit"
    other = picture_part((60, 80))["image_url"]["url"].partition(",")[2]
    assert post(api, messages=[{"role": "user", "content": "x"}], images=[other]).headers["x-cache"] == "miss"


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0.5},
        {"temperature": 0.5, "seed": 1},
        {"temperature": 1e-9},
        {"return_graph": True},
        {"graph": {"policy": "confidence"}},  # the engine says that its answer may depend on the crowd
        {"graph": {"kv": "evict"}},
    ],
    ids=str,
)
def test_requests_that_are_not_greedy_or_want_a_trace_always_run(api: Running, fields: dict[str, Any]) -> None:
    assert "x-cache" not in post(api, **fields).headers
    assert "x-cache" not in post(api, **fields).headers
    assert runs(api) == 2
    assert len(api.app.state.server.responses) == 0


def stream(api: Running, **body: Any) -> tuple[httpx.Headers, list[dict[str, Any]]]:
    body = {"messages": ASK, "temperature": 0, "stream": True, "stream_options": {"include_usage": True}, **body}
    with httpx.stream("POST", f"{api.url}/v1/chat/completions", json=body, timeout=30) as answer:
        lines = list(answer.iter_lines())
        assert [line for line in lines if line][-1] == "data: [DONE]"
        return answer.headers, [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def text_of(chunks: list[dict[str, Any]]) -> str:
    return "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"])


def test_streams_hit_what_answers_left_and_the_other_way_round(api: Running) -> None:
    headers, chunks = stream(api)
    assert headers["x-cache"] == "miss"
    again, replayed = stream(api)
    assert again["x-cache"] == "hit"
    assert runs(api) == 1
    assert text_of(replayed) == text_of(chunks)
    assert len(replayed) < len(chunks)
    assert replayed[-1]["usage"]["response_cached"] is True
    assert replayed[-1]["usage"]["completion_tokens"] == chunks[-1]["usage"]["completion_tokens"]
    assert [c["finish_reason"] for chunk in replayed for c in chunk["choices"]][-1] == "stop"
    whole = post(api)
    assert whole.headers["x-cache"] == "hit"
    assert whole.json()["choices"][0]["message"]["content"] == text_of(chunks)


def test_tool_calls_come_back_with_new_ids(serve: Callable[..., Running]) -> None:
    api = serve('</think><answer><tool_call>tap\n{"x": 1}</tool_call>', response_cache_mb=1)
    first, second = post(api, tools=TOOLS), post(api, tools=TOOLS)
    assert second.headers["x-cache"] == "hit"
    assert without_ids(first) == without_ids(second)
    ids = [answer.json()["choices"][0]["message"]["tool_calls"][0]["id"] for answer in (first, second)]
    assert ids[0] != ids[1]


def test_text_completions_hit_when_all_their_prompts_do(api: Running) -> None:
    ask = lambda prompt, **fields: post(api, "completions", prompt=prompt, **fields)  # noqa: E731
    one = ask("abc", logprobs=1, echo=True)
    assert ask("abc", logprobs=1, echo=True).headers["x-cache"] == "hit"
    assert without_ids(one) == without_ids(ask("abc", logprobs=1, echo=True))
    assert ask(["abc", "xyz"]).headers["x-cache"] == "miss"
    before = runs(api)
    assert ask(["abc", "xyz"]).headers["x-cache"] == "hit"
    assert ask("xyz").headers["x-cache"] == "hit"
    assert runs(api) == before


def test_keys_do_not_share(serve: Callable[..., Running]) -> None:
    api = serve("x</think><answer>y", response_cache_mb=1, api_keys=("one", "two"))
    assert [post(api, key=key).headers["x-cache"] for key in ("one", "two", "one", "two")] == [
        "miss",
        "miss",
        "hit",
        "hit",
    ]
    assert post(api, key="three").status_code == 401


def test_errors_and_answers_that_nobody_waited_for_are_not_kept(serve: Callable[..., Running]) -> None:
    api = serve("long " * 40 + "</think><answer>y", response_cache_mb=1, fail_on="boom", delay=0.01)
    for _ in range(2):
        failed = post(api, messages=[{"role": "user", "content": "boom"}])
        assert failed.status_code == 500
    assert runs(api) == 2
    body = {"messages": ASK, "temperature": 0, "stream": True}
    with httpx.stream("POST", f"{api.url}/v1/chat/completions", json=body, timeout=30) as answer:
        for _ in answer.iter_bytes():
            break
    assert post(api).headers["x-cache"] == "miss"
    assert len(api.app.state.server.responses) == 1


def test_off_by_default(serve: Callable[..., Running]) -> None:
    api = serve("x</think><answer>y")
    post(api)
    assert "x-cache" not in post(api).headers
    assert runs(api) == 2
    assert "response_cache" not in httpx.get(f"{api.url}/metrics").text


def test_metrics_count_hits(api: Running) -> None:
    for _ in range(3):
        post(api)
    text = httpx.get(f"{api.url}/metrics").text
    assert "autoglm_phone:response_cache_queries_total 3.0" in text
    assert "autoglm_phone:response_cache_hits_total 2.0" in text
    assert "autoglm_phone:response_cache_entries 1.0" in text


def answers(size: int, reason: str = "stop") -> list[Answer]:
    return [Answer(0, content="x" * size, finish_reason=reason)]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 9000)), max_size=60))
def test_the_cache_never_grows_beyond_its_bytes_and_forgets_the_least_recently_used(steps: list[Any]) -> None:
    cache, recent = ResponseCache(20_000), []
    for name, size in steps:
        key = hashlib.sha256(str(name).encode()).hexdigest()
        found = cache.get(key)
        if found is None:
            cache.put(key, answers(size))
            assert cache.get(key) is not None  # 9,000 bytes always fit
        recent = [key, *(k for k in recent if k != key)]
        assert cache.bytes <= cache.max_bytes
        kept = [k for k in recent if k in cache._entries]
        assert kept == recent[: len(kept)]
        assert set(kept) == set(cache._entries)


def test_what_is_too_large_or_unfinished_is_not_kept() -> None:
    cache = ResponseCache(5000)
    cache.put("a", answers(6000))
    cache.put("b", answers(10, "error"))
    cache.put("c", [Answer(0, content="half")])
    assert (len(cache), cache.bytes) == (0, 0)
    cache.put("d", answers(100))
    cache.put("d", answers(200))
    assert len(cache) == 1
    assert 1200 <= cache.bytes <= 1300
