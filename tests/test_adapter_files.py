"""Adapters that are no adapters of this base, and what the flag takes: one line each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from adapter_cases import ATTENTION, PROMPT, of, write_adapter
from autoglm_phone.api.config import ServeConfig, read_lora_modules
from autoglm_phone.cli import app
from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.errors import AutoGLMError, CheckpointError, ConfigError, InvalidRequestError
from native_cases import save_case


def _config(folder: Path, **fields) -> Path:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    return folder


def _tensors(folder: Path, change) -> Path:
    path = folder / "adapter_model.safetensors"
    save_file(change(load_file(path)), path)
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    return save_case(tmp_path_factory.mktemp("plain")).folder


REFUSED = {
    "missing": (lambda f: f.joinpath("adapter_model.safetensors").unlink(), "holds no adapters"),
    "dora": (lambda f: _config(f, use_dora=True), "use_dora"),
    "bias": (lambda f: _config(f, bias="all"), "biases"),
    "saved": (lambda f: _config(f, modules_to_save=["lm_head"]), "modules_to_save"),
    "pissa": (lambda f: _config(f, init_lora_weights="pissa_niter_4"), "pissa"),
    "method": (lambda f: _config(f, peft_type="IA3"), "IA3"),
    "ranks": (lambda f: _config(f, rank_pattern={"q_proj": 2}), "ranks of their own"),
    "alpha": (lambda f: _config(f, lora_alpha=None), "lora_alpha"),
    "damaged": (lambda f: f.joinpath("adapter_model.safetensors").write_bytes(b"no"), "damaged"),
    "half": (lambda f: _tensors(f, lambda t: {k: v for k, v in t.items() if "lora_B" not in k}), "two halves"),
    "nan": (lambda f: _tensors(f, lambda t: {k: v * torch.nan for k, v in t.items()}), "no numbers"),
    "shape": (
        lambda f: _tensors(f, lambda t: {k: v[:, :-1].clone() if "lora_A" in k else v for k, v in t.items()}),
        r"self_attn.q_proj.weight is for a weight \[64, 63\], not \[64, 64\]",
    ),
    "layer": (
        lambda f: _tensors(f, lambda t: {k.replace("layers.0.", "layers.9."): v for k, v in t.items()}),
        "another one",
    ),
    "head": (
        lambda f: _tensors(
            f, lambda t: {k.replace("model.layers.0.self_attn.q_proj", "lm_head"): v for k, v in t.items()}
        ),
        "lm_head can't be adapted while serving.*train merge",
    ),
    "tower": (
        lambda f: _tensors(
            f, lambda t: {k.replace("model.layers.0.", "model.vision.layers.0."): v for k, v in t.items()}
        ),
        "only linears of decoder layers",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_adapters_are_named(name: str, plain: Path, tmp_path: Path) -> None:
    spoil, message = REFUSED[name]
    folder = write_adapter(tmp_path / "a", plain, 1, ("model.layers.0.self_attn.[qk]_proj",))
    spoil(folder)
    with pytest.raises(CheckpointError, match=f"(?s)'mine'.*{message}"):
        load_engine(plain, EngineConfig(device="cpu", lora_modules={"mine": folder}))


def test_ranks_and_names(plain: Path, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a", plain, 1, ATTENTION, rank=9)
    with pytest.raises(ConfigError, match="'mine' has rank 9, above --max-lora-rank 8"):
        load_engine(plain, EngineConfig(device="cpu", lora_modules={"mine": folder}, max_lora_rank=8))
    engine = load_engine(plain, EngineConfig(device="cpu", lora_modules={"mine": folder}))
    with pytest.raises(InvalidRequestError, match="no adapter 'other'; this engine has 'mine'"):
        engine.add_request(of("other", "r", PROMPT))
    with pytest.raises(ConfigError, match="name of the base model"):
        ServeConfig(model=str(plain), served_model_names=("base",), lora_modules={"base": str(folder)})
    with pytest.raises(ConfigError, match="lora_modules must map"):
        EngineConfig(lora_modules={"": "folder"})


def test_what_the_flag_takes() -> None:
    items = ["a=x/y=z", '{"name": "b", "path": "q", "base_model_name": "mini"}']
    assert read_lora_modules(items) == {"a": "x/y=z", "b": "q"}
    bad = {
        "a": "must look like",
        "=x": "must look like",
        "{": "not valid JSON",
        '{"name": 3, "path": "x"}': "must look",
    }
    for item, message in {**bad, '{"nmae": "a"}': "may hold"}.items():
        with pytest.raises(ConfigError, match=message):
            read_lora_modules([item])
    with pytest.raises(ConfigError, match="'a' comes twice"):
        read_lora_modules(["a=x", "a=y"])


def test_the_command_line(monkeypatch, plain: Path) -> None:
    seen: list[ServeConfig] = []
    monkeypatch.setattr("autoglm_phone.api.serve.serve", seen.append)

    def serve(*args: str):
        return CliRunner().invoke(app, ["serve", "--model", str(plain), *args])

    assert (
        serve("--enable-lora", "--lora-modules", "a=x", "b=y", '{"name": "c", "path": "z"}', "--port", "1").exit_code
        == 0
    )
    assert seen[0].lora_modules == {"a": "x", "b": "y", "c": "z"}
    assert seen[0].engine_config().max_lora_rank == 64
    assert serve("--lora-modules", "a=x", "--lora-modules", "b=y", "--max-lora-rank", "8").exit_code == 0
    assert (dict(seen[1].lora_modules), seen[1].max_lora_rank) == ({"a": "x", "b": "y"}, 8)
    for args, message in (
        (("--enable-lora",), "needs --lora-modules"),
        (("a=x",), "unexpected argument"),
        (("--lora-modules", "a=x", "b"), "unexpected argument"),
        (("--lora-modules", "a=x", "a=y"), "comes twice"),
    ):
        result = serve(*args)
        assert isinstance(result.exception, AutoGLMError)
        assert message in str(result.exception)
