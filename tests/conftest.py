"""Shared by the tests: a tiny tokenizer with the special tokens in their order, and servers on real sockets."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers

from autoglm_phone.chat.tokenizer import Tokenizer
from autoglm_phone.train.tokenizer import SPECIAL_TOKENS

SPECIALS = list(SPECIAL_TOKENS)
TEXTS = [
    "你是谁? 我是手机助手。",
    "the quick brown fox jumps over the lazy dog",
    'do(action="Tap", element=[500,500])',
] * 8


def make_tokenizer_json(vocab_size: int = 512) -> str:
    """A byte-level BPE tokenizer trained on a few lines."""
    tokenizer = FastTokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIALS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False)


@pytest.fixture(scope="session")
def tokenizer_json() -> str:
    return make_tokenizer_json()


@pytest.fixture(scope="session")
def tokenizer(tokenizer_json: str) -> Tokenizer:
    return Tokenizer(tokenizer_json)


@dataclass
class Running:
    """A server on a real socket. engine: the fake one, for what it saw; None with a real engine."""

    url: str
    app: Any
    engine: Any
    service: Any
    server: Any

    def openai(self, **options: Any) -> Any:
        import openai

        options = {"api_key": "EMPTY", "max_retries": 0, "timeout": 30, **options}
        return openai.OpenAI(base_url=f"{self.url}/v1", **options)


def run_server(app: Any) -> tuple[str, Any, threading.Thread]:
    """Starts uvicorn in a thread on a free port; returns (url, server, thread) once it listens."""
    import uvicorn

    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    return f"http://127.0.0.1:{sock.getsockname()[1]}", server, thread


@pytest.fixture(scope="module")
def serve(tokenizer: Tokenizer) -> Iterator[Callable[..., Running]]:
    """Factory of servers around the fake engine: serve(script, delay=…, **config)."""
    from autoglm_phone.api.app import create_app
    from autoglm_phone.api.config import ServeConfig
    from fake_engine import FakeEngine, FakeProcessor, make_service

    running: list[tuple[Any, threading.Thread]] = []

    def start(
        script: Callable[[str], str] | str = "hm</think><answer>ok", *, wait: bool = True, **options: Any
    ) -> Running:
        reply = script if callable(script) else (lambda _: script)
        engine_options = {k: options.pop(k) for k in ("delay", "fail_on", "likes") if k in options}
        load_delay = options.pop("load_delay", 0.0)
        engine = FakeEngine(tokenizer, reply, **engine_options)
        config = ServeConfig(served_model_names=("autoglm-phone-9b",), **options)
        service = make_service(engine, FakeProcessor(), config)

        def load(_: ServeConfig) -> Any:
            time.sleep(load_delay)
            return service

        app = create_app(config, load)
        url, server, thread = run_server(app)
        running.append((server, thread))
        deadline = time.monotonic() + 20
        while wait and app.state.server.service is None and time.monotonic() < deadline:
            time.sleep(0.01)
        return Running(url, app, engine, service, server)

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(10)


def write_tiny_model(folder: Path, tokenizer_json: str) -> Path:
    """A random native checkpoint, small enough to load in a moment, as a model folder."""
    import torch

    from autoglm_phone.models.native.configuration import AutoGLMPhoneConfig
    from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration

    config = AutoGLMPhoneConfig(
        vocab_size=384,
        hidden_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        intermediate_size=128,
        max_position_embeddings=2048,
        exit_layers=(1, 2, 3),
        exit_rank=4,
        cross_attention_layers=(1, 2),
        vision_config={
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "stem_channels": [8, 8, 16],
            "max_patches": 64,
        },
        audio_config={
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "stem_channels": 16,
            "ctc_vocab": "ab",
        },
    )
    torch.manual_seed(0)
    model = AutoGLMPhoneForConditionalGeneration(config)
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, tokenizer_json: str) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"), tokenizer_json)
