"""/v1/chat/completions and /v1/completions through the openai client, against the scripted engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from conftest import Running

MODEL = "autoglm-phone-9b"
ASK = [{"role": "user", "content": "你是谁?"}]


def script(prompt: str) -> str:
    """A model that thinks first, unless the prompt says otherwise."""
    if prompt.endswith("<answer>"):
        return "我是手机助手。"
    if "call" in prompt.rsplit("<|user|>")[-1]:
        calls = [f'<tool_call>weather\n{{"city": "{city}"}}</tool_call>' for city in ("北京", "X")]
        return "查</think><answer>" + "".join(calls)
    if "nothought" in prompt:
        return "</think><answer>直接回答"
    if "count" in prompt:
        return "</think><answer>one two three four five"
    return "想一想</think><answer>我是手机助手。"


@pytest.fixture(scope="module")
def api(serve: Callable[..., Running]) -> Running:
    return serve(script)


def create(api: Running, messages: Any = ASK, **options: Any) -> Any:
    return api.openai().chat.completions.create(model=MODEL, messages=messages, **options)


def joined(stream: Any) -> tuple[str, str, Any]:
    """(content, reasoning, last choice's finish_reason) of a stream."""
    content, reasoning, reason = "", "", None
    for chunk in stream:
        for choice in chunk.choices:
            content += choice.delta.content or ""
            reasoning += getattr(choice.delta, "reasoning_content", None) or ""
            reason = choice.finish_reason or reason
    return content, reasoning, reason


def test_models(api: Running) -> None:
    assert [m.id for m in api.openai().models.list()] == [MODEL]
    assert api.openai().models.retrieve(MODEL).max_model_len == 2048


@pytest.mark.parametrize(
    ("extra", "content", "reasoning"),
    [
        ({}, "<think>想一想</think><answer>我是手机助手。", ""),
        ({"return_reasoning": True}, "我是手机助手。", "想一想"),
        ({"return_reasoning": False}, "我是手机助手。", ""),
        ({"enable_thinking": False}, "我是手机助手。", ""),
        ({"chat_template_kwargs": {"enable_thinking": False}}, "我是手机助手。", ""),
        ({"enable_thinking": True, "return_reasoning": True}, "我是手机助手。", "想一想"),
        ({"max_reasoning_steps": 0}, "我是手机助手。", ""),
    ],
)
def test_thoughts(api: Running, extra: dict[str, Any], content: str, reasoning: str) -> None:
    message = create(api, extra_body=extra).choices[0].message
    assert message.content == content
    assert (getattr(message, "reasoning_content", None) or "") == reasoning
    assert (getattr(message, "reasoning", None) or "") == reasoning
    assert joined(create(api, extra_body=extra, stream=True)) == (content, reasoning, "stop")


def test_an_empty_thought_leaves_no_tags(api: Running) -> None:
    messages = [{"role": "user", "content": "nothought"}]
    assert create(api, messages).choices[0].message.content == "直接回答"
    assert joined(create(api, messages, stream=True))[0] == "直接回答"


def test_thinking_budget_reaches_the_engine(api: Running) -> None:
    message = create(api, extra_body={"max_thinking_tokens": 3, "return_reasoning": True}).choices[0].message
    assert message.content == "我是手机助手。"
    assert len(message.reasoning_content) <= 1
    create(api, extra_body={"max_reasoning_steps": 2})
    budget = api.engine.requests[-1].sampling.thinking
    assert budget.max_steps == 2
    assert budget.end_ids == (15, 16)
    assert budget.step_ids


def test_usage(api: Running) -> None:
    whole = create(api).usage
    assert whole.total_tokens == whole.prompt_tokens + whole.completion_tokens
    assert 0 < whole.completion_tokens_details.reasoning_tokens < whole.completion_tokens
    chunks = list(create(api, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole
    assert all(c.usage is None for c in chunks[:-1])
    assert all(c.usage is None for c in create(api, stream=True))


def test_several_answers(api: Running) -> None:
    answer = create(api, n=3, seed=7, temperature=1.0)
    assert [c.index for c in answer.choices] == [0, 1, 2]
    assert len({r.sampling.seed for r in api.engine.requests[-3:]}) == 3
    indices = {c.index for chunk in create(api, n=3, stream=True) for c in chunk.choices}
    assert indices == {0, 1, 2}


def test_stop_strings(api: Running) -> None:
    messages = [{"role": "user", "content": "count"}]
    before = len(api.engine.aborted)
    choice = create(api, messages, stop=["three", "nine"]).choices[0]
    assert choice.message.content == "one two "
    assert choice.finish_reason == "stop"
    assert choice.stop_reason == "three"
    assert len(api.engine.aborted) == before + 1  # the engine was told
    content, _, reason = joined(create(api, messages, stop="three", stream=True))
    assert (content, reason) == ("one two ", "stop")


def test_length(api: Running) -> None:
    assert create(api, max_tokens=2).choices[0].finish_reason == "length"
    assert create(api, max_completion_tokens=2, max_tokens=100).usage.completion_tokens == 2


def test_sampling_fields_reach_the_engine(api: Running) -> None:
    create(
        api,
        temperature=0.0,
        top_p=0.85,
        frequency_penalty=0.2,
        presence_penalty=-0.5,
        seed=-3,
        max_tokens=30,
        logit_bias={"5": -100},
        user="u",
        extra_body={
            "top_k": 5,
            "min_p": 0.1,
            "repetition_penalty": 1.1,
            "min_tokens": 2,
            "ignore_eos": False,
            "stop_token_ids": [33],
        },
    )
    got = api.engine.requests[-1].sampling
    assert (got.temperature, got.top_p, got.frequency_penalty, got.presence_penalty) == (0.0, 0.85, 0.2, -0.5)
    assert (got.top_k, got.min_p, got.repetition_penalty, got.min_tokens) == (5, 0.1, 1.1, 2)
    assert got.logit_bias == {5: -100}
    assert got.stop_token_ids == {33}
    assert got.seed is not None
    assert got.seed >= 0


def test_logprobs(api: Running) -> None:
    choice = create(api, logprobs=True, top_logprobs=2, extra_body={"return_reasoning": True}).choices[0]
    assert b"".join(bytes(t.bytes) for t in choice.logprobs.content).decode() == "我是手机助手。"
    assert all(len(t.top_logprobs) == 2 for t in choice.logprobs.content)
    streamed = create(api, logprobs=True, stream=True, extra_body={"return_reasoning": True})
    tokens = [t for c in streamed for x in c.choices if x.logprobs for t in x.logprobs.content]
    assert b"".join(bytes(t.bytes) for t in tokens).decode() == "我是手机助手。"


TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


def test_tool_calls(api: Running) -> None:
    messages = [{"role": "user", "content": "call"}]
    choice = create(api, messages, tools=TOOLS).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert [json.loads(c.function.arguments)["city"] for c in choice.message.tool_calls] == ["北京", "X"]
    assert choice.message.reasoning_content == "查"
    calls: dict[int, str] = {}
    for chunk in create(api, messages, tools=TOOLS, stream=True):
        for call in chunk.choices[0].delta.tool_calls or []:
            calls[call.index] = call.function.name + call.function.arguments
    assert calls == {0: 'weather{"city": "北京"}', 1: 'weather{"city": "X"}'}
    none = create(api, messages, tools=TOOLS, tool_choice="none").choices[0]
    assert none.message.tool_calls is None


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
def test_forced_tool_calls(api: Running, choice: Any) -> None:
    made = create(api, tools=TOOLS, tool_choice=choice, max_tokens=200).choices[0]
    assert made.finish_reason == "tool_calls"
    jsonschema.validate(json.loads(made.message.tool_calls[0].function.arguments), TOOLS[0]["function"]["parameters"])


def test_json_answers(api: Running) -> None:
    schema = {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"], "additionalProperties": False}
    made = create(api, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    assert json.loads(made.choices[0].message.content) == {"a": 1}
    assert made.choices[0].message.reasoning_content == "想一想"
    made = create(api, response_format={"type": "json_object"}, max_tokens=50)
    assert made.choices[0].message.content.startswith("{")
    made = create(
        api,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
        extra_body={"max_thinking_tokens": 2},
    )
    assert json.loads(made.choices[0].message.content) == {"a": 1}


def test_history_and_developer_role(api: Running) -> None:
    create(api, [{"role": "developer", "content": "be brief"}, *ASK, {"role": "assistant", "content": "hi"}, *ASK])
    prompt = api.engine.tokenizer.decode(api.engine.requests[-1].prompt_ids, skip_special=False)
    assert "<|system|>\nbe brief<|user|>" in prompt
    assert "</think><answer>hi</answer>" in prompt


def test_completions(api: Running) -> None:
    client = api.openai()
    made = client.completions.create(model=MODEL, prompt="count", max_tokens=40)
    assert made.choices[0].text.endswith("one two three four five")
    made = client.completions.create(model=MODEL, prompt=["a", "b"], n=2, max_tokens=3)
    assert [c.index for c in made.choices] == [0, 1, 2, 3]
    ids = api.engine.tokenizer.encode("hello")
    made = client.completions.create(model=MODEL, prompt=ids, max_tokens=3, echo=True, logprobs=1)
    assert made.choices[0].text.startswith("hello")
    assert made.choices[0].logprobs.token_logprobs[0] is None
    text = "".join(
        c.choices[0].text for c in client.completions.create(model=MODEL, prompt="count", stream=True, max_tokens=40)
    )
    assert text.endswith("one two three four five")


def test_tokenize_and_back(api: Running) -> None:
    import httpx

    made = httpx.post(f"{api.url}/tokenize", json={"prompt": "hi <think>", "return_token_strs": True}).json()
    assert made["count"] == len(made["tokens"])
    assert made["token_strs"][-1] == "<think>"
    assert httpx.post(f"{api.url}/detokenize", json={"tokens": made["tokens"]}).json() == {"prompt": "hi <think>"}
    made = httpx.post(f"{api.url}/tokenize", json={"messages": ASK}).json()
    assert made["tokens"][:2] == [2, 3]
    assert made["max_model_len"] == 2048


def test_request_ids(api: Running) -> None:
    import httpx

    assert httpx.get(f"{api.url}/health", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    made = httpx.get(f"{api.url}/health", headers={"x-request-id": "a b;c"}).headers["x-request-id"]
    assert len(made) == 32


def test_metrics(api: Running) -> None:
    import httpx

    create(api)
    text = httpx.get(f"{api.url}/metrics").text
    for name in (
        "num_requests_running",
        "num_requests_waiting",
        "kv_cache_usage_perc",
        "prompt_tokens_total",
        "generation_tokens_total",
        "time_to_first_token_seconds_bucket",
        "inter_token_latency_seconds_bucket",
        "e2e_request_latency_seconds_bucket",
        "request_success_total",
        "prefix_cache_hits_total",
        "reasoning_tokens_total",
        "http_requests_total",
    ):
        assert f"autoglm_phone:{name}" in text, name
    for path in ("/a", "/b/c", "/v1/chat/nope"):
        httpx.get(api.url + path)
    lines = [line for line in httpx.get(f"{api.url}/metrics").text.splitlines() if "http_requests_total{" in line]
    assert not any("/b/c" in line for line in lines)
    assert any('route="unknown"' in line for line in lines)
