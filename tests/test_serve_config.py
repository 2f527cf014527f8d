"""Flags that contradict one another or make no sense are refused before anything starts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from autoglm_phone import cli
from autoglm_phone.api import serve as serve_module
from autoglm_phone.api.config import ServeConfig, read_processor_kwargs
from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.request import SamplingParams
from autoglm_phone.errors import AutoGLMError, ConfigError, InvalidRequestError
from readme_commands import READMES, ROOT


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[ServeConfig]:
    """Configurations that would have been served."""
    seen: list[ServeConfig] = []
    monkeypatch.setattr(serve_module, "serve", seen.append)
    return seen


def serve(*args: str) -> AutoGLMError | None:
    made = CliRunner().invoke(cli.app, ["serve", *args])
    if made.exception is not None:
        assert isinstance(made.exception, AutoGLMError), made.exception
    return made.exception


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--max-num-seqs 4 --max-batch-size 8", "two names"),
        ("--no-dynamic-graph --exit-policy confidence", "exit_policy"),
        ("--no-dynamic-graph --exit-policy lossless", "--no-dynamic-graph"),
        ("--no-dynamic-graph --low-memory", "low_memory"),
        ("--offload-segments --decoder-memory 1000", "decoder_memory"),
        ("--offload-segments --decoder-memory auto", "decoder_memory"),
        ("--max-audio-seconds -5", "max-audio-seconds"),
        ("--max-audio-seconds nan", "max-audio-seconds"),
        ("--served-model-name=", "--served-model-name"),
        ("--seed 100000000000000000000000000", "seed"),
        ("--api-key=", "--api-key"),
    ],
)
def test_refused(flags: str, words: str, started: list[ServeConfig]) -> None:
    failure = serve(*flags.split())
    assert isinstance(failure, ConfigError)
    assert words in failure.message
    assert not started


@pytest.mark.parametrize(
    "flags",
    [
        "--max-num-seqs 8 --max-batch-size 8",
        "--max-batch-size 8",
        "--no-dynamic-graph --exit-policy full --seed -3",
        "--offload-segments --decoder-memory 0",
        "--no-dynamic-graph --no-low-memory",
        "--no-dynamic-graph --decoder-memory 9",
    ],
)
def test_what_agrees_starts(flags: str, started: list[ServeConfig]) -> None:
    assert serve(*flags.split()) is None
    assert started[0].max_num_seqs == (8 if "8" in flags else 32)


def test_the_environment_contradicts_as_a_flag_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENABLE_DYNAMIC_GRAPH", "False")
    with pytest.raises(ConfigError, match="ENABLE_DYNAMIC_GRAPH"):
        EngineConfig(exit_policy="lossless")
    monkeypatch.setenv("ENABLE_LOW_MEMORY", "True")
    with pytest.raises(ConfigError, match="ENABLE_LOW_MEMORY"):
        EngineConfig()


def test_offloading_is_not_undone_by_low_memory() -> None:
    assert EngineConfig(offload_segments=True, low_memory=True).decoder_budget == 0


def test_max_pixels_is_a_number() -> None:
    assert read_processor_kwargs('{"max_pixels": 5000000}') == {"max_pixels": 5000000}
    assert read_processor_kwargs("{}") == {}
    for value in ("null", "true", "1.5", '"9999"', "3"):
        with pytest.raises(ConfigError, match="max_pixels"):
            read_processor_kwargs(f'{{"max_pixels": {value}}}')


@pytest.mark.parametrize("file", READMES)
def test_the_table_of_flags_tells_which_exit_policies_a_server_takes(file: str) -> None:
    """Words of the table that start a server, and none that does not."""
    row = next(line for line in (ROOT / file).read_text(encoding="utf-8").splitlines() if "| `--exit-policy`" in line)
    values = re.findall(r"`(\w+)`", row.split("|")[3].split(";")[0])
    assert sorted(values) == ["auto", "confidence", "full", "lossless"]
    for value in values:
        assert ServeConfig(exit_policy=value).exit_policy == value


@pytest.mark.parametrize("file", READMES)
def test_the_table_names_every_flag(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    table = "\n".join(line for line in text.splitlines() if line.startswith("| `--"))
    command = cli.typer.main.get_command(cli.app).commands["serve"]  # type: ignore[attr-defined]
    flags = {flag for p in command.params for flag in p.opts[:1] if not p.opts[0].startswith("--help")}
    named = {f"--{flag.removeprefix('no-')}" for flag in re.findall(r"`--([\w-]+)`", table)}
    assert not flags - named


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"temperature": 9}, "temperature must be a number from 0 to 2, not 9"),
        ({"temperature": float("nan")}, "temperature"),
        ({"max_tokens": -1}, "max_tokens must be a whole number of at least 0, not -1"),
        ({"max_tokens": None}, "whole number"),
        ({"top_p": 0}, "top_p must be above 0"),
        ({"n": 0}, "n must be"),
        ({"top_k": 1.5}, "top_k"),
        ({"logprobs": True}, "logprobs"),
    ],
)
def test_sampling_parameters_say_what_they_must_be(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        SamplingParams(**fields)


def test_numbers_of_numpy_are_numbers() -> None:
    import numpy as np

    assert SamplingParams(seed=np.int64(3), temperature=np.float32(0.5)).seed == 3  # type: ignore[arg-type]


def test_chat_in_the_terminal_has_the_same_bounds() -> None:
    for flags in (["--temperature", "9"], ["--temperature", "nan"], ["--max-tokens", "0"]):
        failure = CliRunner().invoke(cli.app, ["chat", "--model", "/nowhere", *flags, "x"]).exception
        assert isinstance(failure, ConfigError)
        assert flags[0] in failure.message


@pytest.mark.parametrize("longest", [None, 1000])
def test_too_small_a_kv_cache_says_how_many_bytes_are_enough(tiny_model: Path, longest: int | None) -> None:
    """The number in the message is one that works, and a page less is refused."""
    options: dict[str, Any] = {"max_model_len": longest, "threads": 1}
    with pytest.raises(ConfigError, match=r"^1 bytes .* hold 0 tokens") as failure:
        load_engine(tiny_model, EngineConfig(kv_cache_memory=1, **options))
    enough = int(re.findall(r"at least ([\d,]+) bytes", failure.value.message)[0].replace(",", ""))
    with pytest.raises(ConfigError, match=f"at least {enough:,} bytes"):
        load_engine(tiny_model, EngineConfig(kv_cache_memory=enough - 1, **options))
    assert load_engine(tiny_model, EngineConfig(kv_cache_memory=enough, **options)).runner.max_model_len >= (
        longest or 1
    )


def test_a_preset_says_that_its_count_lacks_the_alphabet() -> None:
    """29,285,159 for the preset, 29,628,768 for the bundled model: 1,337 CTC characters of 257 parameters each."""

    def count(*args: str) -> tuple[int, str]:
        shown = CliRunner().invoke(cli.app, ["model", "info", *args]).stdout
        return int(shown.split("mini: ")[1].split()[0].replace(",", "")), shown

    (preset, said), (bundled, silent) = count("--preset", "mini"), count("--model", "mini")
    assert bundled - preset == 1337 * 257
    assert "1,337" in said
    assert "1,337" not in silent
