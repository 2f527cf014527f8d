"""Clients as they are: LangChain's script, and the Open-AutoGLM phone agent's requests and parser."""

from __future__ import annotations

import ast
import base64
import io
from collections.abc import Callable
from typing import Any

import pytest

from api_cases import screenshot
from conftest import Running

ACTION = 'do(action="Tap", element=[123,456])'


@pytest.fixture(scope="module")
def api(serve: Callable[..., Running]) -> Running:
    return serve(
        lambda prompt: f"看到按钮</think><answer>{ACTION}" if "<|image|>" in prompt else "想</think><answer>我是助手"
    )


def test_langchain_script(api: Running) -> None:
    from langchain_openai import ChatOpenAI

    llm = ChatOpenAI(
        model="autoglm-phone-9b",
        temperature=0.5,
        base_url=f"{api.url}/v1",
        api_key="EMPTY",
        extra_body={"enable_thinking": True, "return_reasoning": True},
        streaming=True,
    )
    answer = llm.invoke("你是谁?")
    assert answer.content == "我是助手"
    assert api.engine.requests[-1].sampling.temperature == 0.5


def test_langchain_structured_output(api: Running) -> None:
    from langchain_openai import ChatOpenAI

    llm = ChatOpenAI(model="autoglm-phone-9b", base_url=f"{api.url}/v1", api_key="EMPTY")
    schema = {
        "title": "pick",
        "type": "object",
        "properties": {"kind": {"type": "string", "enum": ["cat"]}},
        "required": ["kind"],
        "additionalProperties": False,
    }
    assert llm.with_structured_output(schema, method="json_schema").invoke("cat?") == {"kind": "cat"}


def agent_messages(history: int = 1) -> list[dict[str, Any]]:
    """As the agent builds them: the newest picture only, thoughts and answers of earlier steps as text."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "今天的日期是: 2026年11月20日\n你是一个智能体分析专家"}
    ]
    for step in range(history):
        messages.append({"role": "user", "content": [{"type": "text", "text": f"** Screen Info **\n\nstep {step}"}]})
        messages.append({"role": "assistant", "content": f"<think>步骤</think><answer>{ACTION}</answer>"})
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{screenshot()}"}}
    text = {"type": "text", "text": '打开微信\n\n{"current_app": "System Home"}'}
    messages.append({"role": "user", "content": [image, text]})
    return messages


def old_parse(content: str) -> tuple[str, str]:
    """The rules that most installed agents use: the action's marker first, so a trailing tag would spoil it."""
    for marker in ("finish(message=", "do(action="):
        if marker in content:
            thought, action = content.split(marker, 1)
            return thought.strip(), marker + action
    return "", content


def new_parse(content: str) -> tuple[str, str]:
    """The rules of the agent's newer versions: the answer's tag first."""
    thought, action = content.split("<answer>", 1)
    return thought.replace("<think>", "").replace("</think>", "").strip(), action.replace("</answer>", "").strip()


@pytest.mark.parametrize("history", [0, 3])
def test_agent_step_streams(api: Running, history: int) -> None:
    stream = api.openai().chat.completions.create(
        messages=agent_messages(history),
        model="autoglm-phone-9b",
        max_tokens=1000,
        temperature=0.0,
        top_p=0.85,
        frequency_penalty=0.2,
        extra_body={},
        stream=True,
    )
    raw = ""
    for chunk in stream:
        if len(chunk.choices) == 0:
            continue
        if chunk.choices[0].delta.content is not None:
            raw += chunk.choices[0].delta.content
    for parse in (old_parse, new_parse):
        thought, action = parse(raw)
        assert "看到按钮" in thought
        call = ast.parse(action, mode="eval").body
        assert isinstance(call, ast.Call)
        assert {k.arg: ast.literal_eval(k.value) for k in call.keywords} == {"action": "Tap", "element": [123, 456]}
    request = api.engine.requests[-1]
    assert len(request.media) == 1
    assert request.media[0].data["size"] == (1080, 2400)
    assert request.sampling.frequency_penalty == 0.2
    assert request.sampling.temperature == 0.0
    names = [api.engine.tokenizer.name(i) for i in request.prompt_ids]
    assert names.count("</answer>") == history


def test_agent_check_script_prints_usage(api: Running) -> None:
    answer = api.openai().chat.completions.create(
        messages=agent_messages(), model="autoglm-phone-9b", max_tokens=1000, temperature=0.0, stream=False
    )
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens > 0
    assert ACTION in answer.choices[0].message.content


def test_ten_pictures_and_not_eleven(api: Running) -> None:
    import openai

    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{screenshot((40, 80))}"}}
    ask = lambda count: api.openai().chat.completions.create(  # noqa: E731
        model="autoglm-phone-9b",
        messages=[{"role": "user", "content": [part] * count + [{"type": "text", "text": "?"}]}],
    )
    ask(10)
    assert len(api.engine.requests[-1].media) == 10
    with pytest.raises(openai.BadRequestError, match="11 pictures"):
        ask(11)


def test_audio_parts_and_top_level_media(api: Running) -> None:
    import numpy as np
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, np.zeros(8000, np.float32), 16_000, format="WAV")
    wav = base64.b64encode(out.getvalue()).decode()
    part = {"type": "input_audio", "input_audio": {"data": wav, "format": "wav"}}
    client = api.openai()
    client.chat.completions.create(
        model="autoglm-phone-9b",
        messages=[{"role": "user", "content": [part, {"type": "text", "text": "?"}]}],
        extra_body={"images": [screenshot((40, 80))], "audios": [f"data:audio/wav;base64,{wav}"]},
    )
    assert [m.kind for m in api.engine.requests[-1].media] == ["image", "audio", "audio"]
