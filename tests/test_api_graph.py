"""The dynamic graph as a client sees it, over HTTP on the bundled model: depths, traces, refusals, flags, metrics."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api_cases import bundled, picture_part, sound_part, wav
from autoglm_phone.api.app import create_app
from autoglm_phone.api.config import ServeConfig
from autoglm_phone.api.serve import load
from autoglm_phone.graph.graph_file import GraphFile, weights_digest
from autoglm_phone.models.registry import locate
from conftest import Running, run_server
from test_api_streams import wait_until

pytestmark = pytest.mark.skipif(not bundled(), reason="the bundled model is not there")
QUESTIONS = (
    "What is 12 * 3?",
    "你是谁?",
    "Translate into Chinese: The weather is fine today.",
    "把下面的句子翻译成英文：我想喝咖啡。",
    "What can you do for me?",
    "3 小时是多少分钟?",
)
Start = Callable[..., Running]


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    running = []

    def begin(model: str = "mini", **options: Any) -> Running:
        app = create_app(ServeConfig(model=model, max_num_seqs=4, **options), load)
        url, server, thread = run_server(app)
        running.append((server, thread))
        state = app.state.server
        assert wait_until(lambda: state.service is not None or state.failed, 60)
        assert not state.failed
        return Running(url, app, "mini", state.service, server)

    yield begin
    for server, thread in running:
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="module")
def api(start: Start) -> Running:
    return start()


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The bundled model with exits that look certified, and a short thought: what a calibration would write."""
    folder = tmp_path_factory.mktemp("calibrated")
    source = locate("mini")
    for file in source.iterdir():
        if file.name not in ("graph.json", "graph"):
            (folder / file.name).symlink_to(file.resolve())
    thresholds = {0.01: {6: 0.99, 12: 0.99, 18: 0.9}}
    GraphFile(weights_digest(folder), (6, 12, 18, 24), thresholds, {}, thought=5).save(folder)
    return str(folder)


def ask(api: Running, content: Any = QUESTIONS[0], status: int = 200, **fields: Any) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": 60, "temperature": 0, **fields}
    answer = httpx.post(f"{api.url}/v1/chat/completions", json=body, timeout=120)
    assert answer.status_code == status, answer.text
    return answer.json()


def events(api: Running, path: str = "chat/completions", **body: Any) -> list[dict[str, Any]]:
    with httpx.stream("POST", f"{api.url}/v1/{path}", json={"stream": True, **body}, timeout=120) as answer:
        assert answer.status_code == 200, answer.read()
        lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def test_lossless_answers_are_those_of_the_whole_decoder(api: Running) -> None:
    drafted = 0
    for question in QUESTIONS:
        full = ask(api, question, graph={"policy": "full"}, return_graph=True)
        lossless = ask(api, question, graph={"policy": "lossless", "draft_length": 3}, return_graph=True)
        assert lossless["choices"][0]["message"] == full["choices"][0]["message"]
        assert lossless["usage"]["completion_tokens"] == full["usage"]["completion_tokens"]
        traces = [made["choices"][0]["graph"] for made in (full, lossless)]
        for trace in traces:
            assert set(trace["depths"]) == {24}
            assert len(trace["depths"]) == full["usage"]["completion_tokens"]
        assert traces[0]["drafted"] == 0
        assert sum(tokens for tokens, _, _ in traces[1]["drafts"]) == len(traces[1]["depths"])
        drafted += traces[1]["drafted"]
    assert drafted > 0


def test_a_depth_cap_is_kept(api: Running) -> None:
    trace = ask(api, graph={"max_depth": 6}, return_graph=True)["choices"][0]["graph"]
    assert set(trace["depths"]) == {6}
    assert trace["prompt_depth"] == 6
    assert set(trace["segment_ms"]) == {"0"}
    assert trace["layers"] == [6, 12, 18, 24]
    full = ask(api, graph={"policy": "full"}, return_graph=True)["choices"][0]["graph"]
    assert trace["peak_kv_bytes"] * 4 <= full["peak_kv_bytes"] * 1.5  # a quarter of the segments own pages
    assert ask(api, graph={"max_depth": 7}, return_graph=True)["choices"][0]["graph"]["mean_depth"] == 12


def test_without_the_wish_there_is_no_trace(api: Running) -> None:
    assert "graph" not in ask(api)["choices"][0]
    assert "graph" not in ask(api, graph={"max_depth": 6}, return_graph=False)["choices"][0]
    chunks = events(api, messages=[{"role": "user", "content": "hi"}], max_tokens=5)
    assert not any("graph" in choice for chunk in chunks for choice in chunk["choices"])


def test_each_choice_of_a_stream_ends_with_its_trace(api: Running) -> None:
    messages = [{"role": "user", "content": QUESTIONS[0]}]
    chunks = events(
        api, messages=messages, n=2, temperature=1, seed=3, max_tokens=30, return_graph=True, graph={"max_depth": 12}
    )
    ends = [choice for chunk in chunks for choice in chunk["choices"] if choice["finish_reason"]]
    assert sorted(choice["index"] for choice in ends) == [0, 1]
    assert all(set(choice["graph"]["depths"]) == {12} for choice in ends)
    others = [choice for chunk in chunks for choice in chunk["choices"] if not choice["finish_reason"]]
    assert others
    assert not any("graph" in choice for choice in others)


def test_an_answer_that_a_stop_string_ends_has_its_trace(api: Running) -> None:
    made = ask(api, stop=["3"], return_graph=True, n=2)
    for choice in made["choices"]:
        assert choice["stop_reason"] == "3"
        assert choice["graph"]["depths"]


def test_text_completions_take_the_same_fields(api: Running) -> None:
    body = {
        "prompt": ["The quick brown", "One two three"],
        "max_tokens": 6,
        "temperature": 0,
        "graph": {"policy": "fixed", "max_depth": 18},
    }
    made = httpx.post(f"{api.url}/v1/completions", json={**body, "return_graph": True}, timeout=60).json()
    assert [set(choice["graph"]["depths"]) for choice in made["choices"]] == [{18}, {18}]
    ends = [
        choice
        for chunk in events(api, "completions", **body, return_graph=True)
        for choice in chunk["choices"]
        if choice["finish_reason"]
    ]
    assert [set(choice["graph"]["depths"]) for choice in ends] == [{18}, {18}]


@pytest.mark.parametrize(
    ("graph", "param"),
    [
        ({"max_depth": 0}, "graph.max_depth"),
        ({"max_depth": 25}, "graph.max_depth"),
        ({"max_depth": "12"}, "graph.max_depth"),
        ({"max_depth": True}, "graph.max_depth"),
        ({"policy": "fixed"}, "graph.max_depth"),
        ({"policy": "deep"}, "graph.policy"),
        ({"risk": 1}, "graph.risk"),
        ({"draft_length": 1000}, "graph.draft_length"),
        ({"draft_length": 3, "policy": "confidence"}, "graph.draft_length"),
        ({"kv": "fp8"}, "graph.kv"),
        ({"depth": 3}, "graph.depth"),
        ([], "graph"),
        ("full", "graph"),
    ],
)
def test_bad_wishes_are_400_before_a_stream_begins(api: Running, graph: Any, param: str) -> None:
    for path, extra in (
        ("chat/completions", {"messages": [{"role": "user", "content": "x"}]}),
        ("completions", {"prompt": "x"}),
    ):
        for stream in (False, True):
            body = {"graph": graph, "stream": stream, "max_tokens": 4, **extra}
            answer = httpx.post(f"{api.url}/v1/{path}", json=body, timeout=30)
            assert answer.status_code == 400, answer.text
            assert answer.json()["error"]["param"] == param
            assert answer.json()["error"]["type"] == "invalid_request_error"


def test_thoughts_end_in_an_answer_whatever_the_budget_is_called(api: Running) -> None:
    for field in ("max_thinking_tokens", "max_reasoning_tokens", "thinking_budget"):
        made = ask(api, QUESTIONS[0], return_reasoning=True, **{field: 3})
        assert made["usage"]["completion_tokens_details"]["reasoning_tokens"] <= 5, field
        assert made["choices"][0]["message"]["content"], field
    assert ask(api, thinking_budget=0, return_reasoning=True)["choices"][0]["message"].get("reasoning") is None
    ask(api, thinking_budget=-1, status=400)


def test_towers_load_when_they_are_needed_and_the_log_says_so(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="autoglm_phone"):
        api = start()
        towers = api.service.engine.engine.runner.towers
        assert towers.loaded == frozenset()
        ask(api, graph={"policy": "full"})
        assert towers.loaded == frozenset()
        seen = ask(
            api, [picture_part((200, 300)), {"type": "text", "text": "Tap OK."}], return_graph=True, max_tokens=8
        )
        again = ask(
            api, [picture_part((200, 300)), {"type": "text", "text": "Tap Back."}], return_graph=True, max_tokens=8
        )
        assert towers.loaded == {"image"}
        heard = ask(
            api, [sound_part(wav()), {"type": "text", "text": "Transcribe the audio."}], return_graph=True, max_tokens=8
        )
    first, second, third = (made["choices"][0]["graph"]["towers"] for made in (seen, again, heard))
    assert [(t["tower"], t["how"], t["cold"]) for t in first] == [("image", "ran", True)]
    assert [(t["tower"], t["how"], t["cold"]) for t in second] == [("image", "cached", False)]
    assert [(t["tower"], t["how"], t["cold"]) for t in third] == [("audio", "ran", True)]
    assert first[0]["states"] == 12 * 19  # noise: no patch is blank
    assert second[0]["states"] == 0
    for line in (
        "[DYNAMIC GRAPH] Activating full inference path (24 layers)",
        "[DYNAMIC GRAPH] Loading ViT encoder for image processing",
        "[DYNAMIC GRAPH] Loading Whisper-Lite encoder for audio processing",
        "[DYNAMIC GRAPH] Enabling multi-step reasoning with CoT",
    ):
        assert line in caplog.text


def test_the_metrics_tell_of_depths_drafts_and_towers(start: Start) -> None:
    api = start(tower_memory=1)  # too little for any tower: each is dropped after its use
    made = ask(api, graph={"max_depth": 6})
    ask(api, [picture_part((64, 64)), {"type": "text", "text": "?"}], max_tokens=4, graph={"policy": "full"})
    text = httpx.get(f"{api.url}/metrics").text
    values = {k: float(v) for k, v in re.findall(r"^autoglm_phone:(\S+) (\S+)$", text, re.MULTILINE)}
    tokens = made["usage"]["completion_tokens"]
    assert values['exit_tokens_total{layers="6",model_name="mini"}'] == tokens
    assert values['layers_skipped_total{model_name="mini"}'] == 18 * tokens
    assert values['tower_loads_total{model_name="mini",tower="image"}'] == 1
    assert values['tower_unloads_total{model_name="mini",tower="image"}'] == 1
    assert values['tower_loads_total{model_name="mini",tower="audio"}'] == 0
    assert values['tower_loaded_bytes{model_name="mini"}'] == 0
    for name in ("draft_tokens_total", "draft_accepted_tokens_total", "layers_caught_up_total"):
        assert f'{name}{{model_name="mini"}}' in values
    assert {k for k in values if k.startswith("graph_rewrites")} == {
        f'graph_rewrites_total{{model_name="mini",what="{what}"}}' for what in ("depth", "kv", "thought")
    }


def test_the_environment_turns_the_graph_off(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENABLE_DYNAMIC_GRAPH", "False")
    api = start()
    assert api.service.engine.engine.runner.towers.loaded == {"image", "audio"}
    trace = ask(api, return_graph=True, graph={"policy": "fixed", "max_depth": 6})["choices"][0]["graph"]
    assert set(trace["depths"]) == {24}
    assert trace["drafted"] == 0
    monkeypatch.setenv("ENABLE_DYNAMIC_GRAPH", "maybe")
    with pytest.raises(Exception, match="ENABLE_DYNAMIC_GRAPH"):
        ServeConfig()


def test_flags_reach_the_engine() -> None:
    config = ServeConfig(exit_policy="lossless", exit_risk=0.05, tower_memory=7, offload_segments=True).engine_config()
    assert not ServeConfig(dynamic_graph=False, exit_policy="full").engine_config().dynamic_graph
    assert (config.exit_policy, config.exit_risk, config.tower_memory) == ("lossless", 0.05, 7)
    assert config.offload_segments
    assert ServeConfig().engine_config().dynamic_graph


def test_a_server_policy_holds_unless_the_client_has_one(start: Start) -> None:
    api = start(exit_policy="full", offload_segments=True)
    trace = ask(api, return_graph=True)["choices"][0]["graph"]
    assert (trace["drafted"], trace["drafts"]) == (0, [])
    assert any("full inference path" in reason for reason in trace["reasons"])
    assert set(ask(api, return_graph=True, graph={"max_depth": 12})["choices"][0]["graph"]["depths"]) == {12}


def test_calibrated_exits_and_thoughts(start: Start, calibrated: str) -> None:
    api = start(calibrated, exit_risk=0.02)
    made = ask(api, QUESTIONS[0], return_graph=True, return_reasoning=True)
    trace = made["choices"][0]["graph"]
    assert any("confidence exits after 6, 12, 18" in reason for reason in trace["reasons"])
    assert min(trace["depths"]) < 24
    assert sum(trace["depths"]) == pytest.approx(trace["mean_depth"] * len(trace["depths"]), abs=len(trace["depths"]))
    # The plan's budget of five tokens, then the two that end a thought, then an answer.
    assert made["usage"]["completion_tokens_details"]["reasoning_tokens"] <= 7
    assert made["choices"][0]["message"]["content"]
    longer = ask(api, QUESTIONS[0], return_reasoning=True, max_thinking_tokens=50)
    assert longer["usage"]["completion_tokens_details"]["reasoning_tokens"] > 7  # the client's word counts
    assert ask(api, graph={"risk": 0.001}, status=400)["error"]["param"] == "graph.risk"


def test_confidence_without_a_calibration_is_refused_at_the_start(tmp_path: Path) -> None:
    from autoglm_phone.errors import ConfigError

    for file in locate("mini").iterdir():
        if not file.name.startswith("graph"):
            (tmp_path / file.name).symlink_to(file.resolve())
    with pytest.raises(ConfigError, match="calibrate"):
        load(ServeConfig(model=str(tmp_path), exit_policy="confidence"))


def test_offline_traces() -> None:
    from autoglm_phone import LLM, SamplingParams
    from autoglm_phone.errors import InvalidRequestError

    llm = LLM("mini")
    chat = [{"role": "user", "content": QUESTIONS[0]}]
    params = SamplingParams(max_tokens=20, temperature=0.0)
    output = llm.chat(chat, params, graph={"max_depth": 12}, return_graph=True)[0].outputs[0]
    assert output.graph is not None
    assert set(output.graph["depths"]) == {12}
    assert llm.generate("One two", params)[0].outputs[0].graph is None
    with pytest.raises(InvalidRequestError, match="max_depth"):
        llm.generate("One two", params, graph={"max_depth": 99})
    llm.close()
