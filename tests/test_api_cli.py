"""The command line and the start script: quick, clear refusals, and a server that says when it is ready."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from conftest import Running

ROOT = Path(__file__).parent.parent
CLI = [sys.executable, "-m", "autoglm_phone.cli"]


def run(*args: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CLI, *args], capture_output=True, text=True, timeout=timeout, cwd="/")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--quantization", "awq"], "autoglm-phone compress"),
        (["--quantization", "fp8"], "not built yet"),
        (["--quantized", "--model", "/nowhere"], "--quantized serves"),
        (["--tensor-parallel-size", "2"], "not built yet"),
        (["--exit-policy", "sometimes"], "exit_policy"),
        (["--exit-policy", "fixed"], "graph.max_depth"),
        (["--exit-risk", "1.5"], "exit_risk"),
        (["--tower-memory", "-1"], "tower_memory"),
        (["--decoder-memory", "12MB"], "bytes or auto"),
        (["--kv-policy", "fp8"], "fp8"),
        (["--kv-policy", "half"], "kv_policy"),
        (["--response-cache-mb", "-1"], "response-cache-mb"),
        (["--kv-cache-dtype", "fp8"], "later release"),
        (["--frobnicate"], "unknown flag"),
        (["--model", "/nowhere"], "no model folder"),
        (["--dtype", "float7"], "unknown dtype"),
        (["--port", "99999"], "port"),
        (["--limit-mm-per-prompt", "smell=3"], "smell"),
        (["--limit-mm-per-prompt", "{"], "must look like"),
        (["--mm-processor-kwargs", '{"x": 1}'], "max_pixels"),
        (["--mm-processor-kwargs", "["], "JSON"),
        (["--api-key-file", "/nowhere"], "cannot read"),
        (["--host", "203.0.113.7"], "cannot listen"),
        (["--log-level", "loud"], "log-level"),
    ],
)
def test_refusals_are_one_line(args: list[str], words: str) -> None:
    done = run("serve", "--port", "0", *args)
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("autoglm-phone: error: ")
    assert words in last
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["bogus"], "bogus"),
        (["serve", "--port", "abc"], "--port"),
        (["model", "info", "--frob"], "autoglm-phone model info --help"),
        (["train", "--foo"], "autoglm-phone train --help"),
        (["train", "qlora"], "--out"),
        (["bench", "bogus"], "bogus"),
        (["exits", "--risk", "much"], "autoglm-phone exits"),
    ],
)
def test_a_wrong_command_line_is_one_line(args: list[str], words: str) -> None:
    done = run(*args)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"autoglm-phone: error: [^\n]+\n", done.stderr), done.stderr
    assert words in done.stderr


def test_a_command_without_arguments_helps() -> None:
    for args in ([], ["model"], ["bench"]):
        done = run(*args)
        assert done.returncode in (0, 2)
        assert "Usage: autoglm-phone" in done.stdout + done.stderr
        assert "error" not in done.stderr


def test_the_trainer_under_torchrun_says_errors_in_one_line_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "autoglm_phone.train.cli", "prepare", "--text-samples", "0"],
        capture_output=True, text=True, timeout=60, cwd="/",
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == "autoglm-phone: error: --text-samples must be at least 1, not 0"


def test_exit_codes_of_lazily_mounted_commands_reach_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    import types

    import typer

    from autoglm_phone import cli

    ends = typer.Typer()

    @ends.command()
    def end(code: int) -> None:
        raise typer.Exit(code)

    module = types.ModuleType("ends_of_a_test")
    module.app = ends  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ends_of_a_test", module)
    monkeypatch.setitem(cli.LAZY, "train", ("ends_of_a_test", "app", "train", ""))
    for code in (0, 3):
        monkeypatch.setattr(sys, "argv", ["autoglm-phone", "train", str(code)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == code


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "fastapi", "numpy")
    code = f"import sys, autoglm_phone.cli; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
    assert "serve" in run("--help").stdout


def start(command: list[str], environment: dict[str, str]) -> tuple[subprocess.Popen[str], str, float]:
    """(process, url, seconds until it listened)"""
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/tmp",
        env={**os.environ, **environment},
        start_new_session=True,
    )
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        found = re.search(r"Server listening on http://[^:]+:(\d+)", line)
        if found:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            log = "".join(lines)
            assert "Initializing" in log
            assert "Tokenizer" in log
            assert "Device" in log
            return process, f"http://127.0.0.1:{found[1]}", time.monotonic() - began
    process.wait(5)
    pytest.fail("the server did not start: " + "".join(lines))


def test_the_start_script_serves_under_the_agents_name(tiny_model: Path) -> None:
    script = str(ROOT / "deploy" / "run_autoglm_server.sh")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    process, url, seconds = start(
        [script, "--max-num-seqs", "4"], {"MODEL": str(tiny_model), "PORT": "0", "PATH": path}
    )
    try:
        assert httpx.get(f"{url}/v1/models").json()["data"][0]["id"] == "autoglm-phone-9b"
        body = {"model": "autoglm-phone-9b", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
        assert httpx.post(f"{url}/v1/chat/completions", json=body, timeout=30).status_code == 200
        assert seconds < 60
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) in (0, 130, -signal.SIGINT)


def test_chat_in_the_terminal(tiny_model: Path, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    done = run(
        "chat", "--model", str(tiny_model), "--image", str(tmp_path / "a.png"), "--max-tokens", "5", "what", "is it?"
    )
    assert done.returncode == 0, done.stderr
    assert run("chat", "--image", "/nowhere.png", "x").returncode == 2


def test_chat_with_a_server(serve: Callable[..., Running]) -> None:
    api = serve("想</think><answer>好的", api_keys=("k",))
    done = run("chat", "--url", api.url, "--api-key", "k", "hello")
    assert done.stdout == "想\n好的\n"
    dialogue = subprocess.run(
        [*CLI, "chat", "--url", f"{api.url}/v1", "--api-key", "k"],
        input="one\ntwo\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert dialogue.stdout.count("好的") == 2
    prompt = api.engine.tokenizer.decode(api.engine.requests[-1].prompt_ids, skip_special=False)
    assert "one<|assistant|>\n<think>想</think><answer>好的</answer><|user|>\ntwo" in prompt
    wrong = run("chat", "--url", api.url, "--api-key", "wrong", "hello")
    assert wrong.returncode == 2
    assert "API key" in wrong.stderr
    assert run("chat", "--url", "http://127.0.0.1:9", "hello").returncode == 2
