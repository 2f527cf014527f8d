"""Adapters as models of the server, and offline."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from adapter_cases import ALL, write_adapter
from autoglm_phone.api.app import create_app
from autoglm_phone.api.config import ServeConfig
from autoglm_phone.api.serve import load
from autoglm_phone.engine.request import SamplingParams
from autoglm_phone.errors import InvalidRequestError
from autoglm_phone.llm import LLM
from conftest import Running, run_server
from test_api_audio import wav
from test_api_streams import wait_until


@pytest.fixture(scope="module")
def api(tiny_model: Path, tmp_path_factory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("adapters")
    modules = {name: str(write_adapter(folder / name, tiny_model, seed)) for seed, name in enumerate(("mine", "other"))}
    config = ServeConfig(
        model=str(tiny_model), served_model_names=("base", "alias"), lora_modules=modules, response_cache_mb=4
    )
    made = create_app(config, load)
    url, server, thread = run_server(made)
    state = made.state.server
    assert wait_until(lambda: state.service is not None or state.failed, 60)
    assert not state.failed
    yield Running(url, made, None, state.service, server)
    server.should_exit = True
    thread.join(20)


def ask(api: Running, model: str, **options) -> str:
    answer = api.openai().chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "hi"}],
        max_tokens=12,
        temperature=0,
        logprobs=True,
        extra_body={"ignore_eos": True},
        **options,
    )
    assert answer.model == model
    return str([entry.logprob for entry in answer.choices[0].logprobs.content])


def test_adapters_are_models(api: Running) -> None:
    client = api.openai()
    listed = {card.id: card for card in client.models.list()}
    assert list(listed) == ["base", "alias", "mine", "other"]
    assert [card.parent for card in listed.values()] == [None, None, "base", "base"]
    assert client.models.retrieve("mine").parent == "base"
    answers = {name: ask(api, name) for name in listed}
    assert answers["base"] == answers["alias"]
    assert len(set(answers.values())) == 3
    assert {name: ask(api, name) for name in listed} == answers, "the response cache keeps them apart"
    texts = [
        client.completions.create(model=m, prompt="hello", max_tokens=8, temperature=0).choices[0].text for m in listed
    ]
    assert texts[0] == texts[1]
    assert len(set(texts)) >= 2
    with pytest.raises(openai.NotFoundError, match="there is no model 'theirs'"):
        ask(api, "theirs")


def test_every_endpoint_takes_an_adapters_name(serve) -> None:
    api = serve(lora_modules={"mine": "folder"})
    client = api.openai()
    talk = [{"role": "user", "content": "hi"}]
    for name in ("mine", "autoglm-phone-9b"):
        client.chat.completions.create(model=name, messages=talk, max_tokens=4)
        client.completions.create(model=name, prompt=["hi", "you"], max_tokens=4)
        client.audio.transcriptions.create(model=name, file=wav(2))
    assert [request.adapter for request in api.engine.requests] == ["mine"] * 4 + [None] * 4


def test_many_clients_of_many_models(api: Running) -> None:
    expected = {name: ask(api, name, seed=1) for name in ("base", "mine", "other")}
    found: list[tuple[str, str]] = []

    def work(name: str, seed: int) -> None:
        found.append((name, ask(api, name, seed=seed)))  # another seed: not from the response cache

    threads = [threading.Thread(target=work, args=(n, s)) for s in (2, 3) for n in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    for name, answer in found:
        pairs = zip(json.loads(answer), json.loads(expected[name]), strict=True)
        assert max(abs(one - other) for one, other in pairs) < 1e-3


def test_offline(tiny_model: Path, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "a", tiny_model, 1, ALL)
    llm = LLM(str(tiny_model), lora_modules={"mine": adapter})
    try:
        params = SamplingParams(max_tokens=8, temperature=0.0, ignore_eos=True)
        talk = [{"role": "user", "content": "hi"}]
        assert (
            llm.chat(talk, params)[0].outputs[0].token_ids
            != llm.chat(talk, params, lora="mine")[0].outputs[0].token_ids
        )
        base, mine = (llm.generate("hi", params, lora=name)[0].outputs[0].token_ids for name in (None, "mine"))
        assert base != mine
        with pytest.raises(InvalidRequestError, match="no adapter 'yours'"):
            llm.chat(talk, params, lora="yours")
    finally:
        llm.close()
