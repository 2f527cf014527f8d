"""The other ways in: the library without a server, the deploy script as it stands, and what serving imports."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import openai
import pytest
from PIL import Image

from api_cases import MODEL, bundled
from autoglm_phone.errors import InvalidRequestError
from test_api_streams import wait_until

SCRIPT = Path(__file__).parents[1] / "deploy" / "run_autoglm_server.sh"


def test_offline_use(tiny_model: Path) -> None:
    from autoglm_phone import LLM, SamplingParams

    llm = LLM(str(tiny_model))
    made = llm.generate(["abc", "the quick"], SamplingParams(max_tokens=8, temperature=0.7, seed=1, logprobs=1), n=2)
    assert [len(r.outputs) for r in made] == [2, 2]
    again = llm.generate(["abc", "the quick"], SamplingParams(max_tokens=8, temperature=0.7, seed=1, logprobs=1, n=2))
    assert [[o.token_ids for o in r.outputs] for r in again] == [[o.token_ids for o in r.outputs] for r in made]
    with pytest.raises(InvalidRequestError, match="say it once"):
        llm.generate("abc", SamplingParams(n=2), n=3)
    assert made[0].prompt == "abc"
    assert made[0].outputs[0].token_ids != made[0].outputs[1].token_ids
    picture = {"type": "image", "image": Image.new("RGB", (64, 48), "red")}
    clip = {"type": "audio", "audio": (np.zeros(8000, np.float32), 8000)}
    chats = [
        [{"role": "user", "content": [picture, clip, {"type": "text", "text": "?"}]}],
        [{"role": "user", "content": "hi"}],
    ]
    made = llm.chat(chats, SamplingParams(max_tokens=8, temperature=0.0))
    assert len(made) == 2
    assert all(r.outputs[0].finish_reason in ("length", "stop") for r in made)
    stopped = llm.generate(
        "abc",
        SamplingParams(
            max_tokens=64,
            temperature=0.0,
            stop=(llm.generate("abc", SamplingParams(max_tokens=3, temperature=0.0))[0].outputs[0].text[-1:],),
        ),
    )
    assert stopped[0].outputs[0].finish_reason == "stop"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.mark.skipif(not bundled(), reason="the bundled model is not there")
def test_the_script_serves_langchain_as_it_stands(tmp_path: Path) -> None:
    """A newcomer's whole way: the deploy script from any folder, then LangChain's own example."""
    from langchain_openai import ChatOpenAI

    port = free_port()
    log = tmp_path / "log"
    with log.open("w") as sink:
        server = subprocess.Popen(
            [SCRIPT], cwd=tmp_path, stderr=sink, env={**os.environ, "PORT": str(port), "HOST": "127.0.0.1"}
        )
    try:
        listening = f"Server listening on http://127.0.0.1:{port}"
        assert wait_until(lambda: listening in log.read_text() or server.poll() is not None, 90), log.read_text()
        base_url = f"http://127.0.0.1:{port}/v1"
        llm = ChatOpenAI(
            model="autoglm-phone-9b",
            temperature=0.5,
            base_url=base_url,
            api_key="EMPTY",
            extra_body={"enable_thinking": True, "return_reasoning": True},
            streaming=True,
        )
        assert llm.invoke("你是谁?").content
        assert next(m.id for m in openai.OpenAI(base_url=base_url, api_key="EMPTY").models.list()) == MODEL
    finally:
        server.terminate()
        assert server.wait(20) in (0, -15, 143)
    seen = log.read_text()
    for said in ("Initializing", "Tokenizer", "Device", listening):
        assert said in seen
    assert "Traceback" not in seen


def test_serving_does_not_import_transformers(tiny_model: Path) -> None:
    """It takes a second of the start and memory for nothing: its classes are for training and for users."""
    code = (
        "import sys; from autoglm_phone.api.config import ServeConfig; from autoglm_phone.api.serve import load; "
        f"load(ServeConfig(model={str(tiny_model)!r})).close(); sys.exit('transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0
