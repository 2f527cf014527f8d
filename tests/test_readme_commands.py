"""What the READMEs tell a newcomer to type exists: commands, flags, files, endpoints, snippets, links."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from autoglm_phone.api.app import create_app
from autoglm_phone.api.config import ServeConfig
from readme_commands import READMES, ROOT, Block, Command, blocks, commands, parse

COMMANDS = [command for block in blocks("bash") for command in commands(block)]
SNIPPETS = blocks("python")
BENCHMARKS = sorted({word for c in COMMANDS for word in c.words if word.startswith("benchmarks/")} | {
    path for file in READMES for path in re.findall(r"benchmarks/\w+\.py", (ROOT / file).read_text(encoding="utf-8"))
})  # fmt: skip
OURS = {"deploy", "recipes", "benchmarks", "scripts", "docs", "src", "tests"}  # folders whose files must be there
ELSEWHERE = {".venv/bin/hf": "huggingface_hub's program", "python main.py": "in a checkout of Open-AutoGLM"}


def text_of(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def test_the_shell_is_read_as_a_shell_does() -> None:
    text = """A=1 run --x "a b" 'it''s' <folder>/f > out.txt  # said; so
two \\
  --y && three | four {"a": 1} # rest
curl http://h:1/p -d '{
 "k": "#;|"
}'; five
"""
    read = [(c.variables, c.words) for c in commands(Block("x", 1, "bash", text))]
    assert read == [
        (("A=1",), ("run", "--x", "a b", "its", "PLACEHOLDER/f")),
        ((), ("two", "--y")),
        ((), ("three",)),
        ((), ("four", "{a:", "1}")),
        ((), ("curl", "http://h:1/p", "-d", '{\n "k": "#;|"\n}')),
        ((), ("five",)),
    ]


@pytest.mark.parametrize(
    "words", [["serve", "--frobnicate"], ["serve", "--port", "many"], ["exits", "nope"], ["nope"], ["train", "--x"]]
)
def test_a_command_that_does_not_exist_is_noticed(words: list[str]) -> None:
    with pytest.raises(Exception, match=r"No such|valid integer"):
        parse(words)


def test_there_are_commands_and_snippets() -> None:
    assert len(COMMANDS) > 40
    assert len(SNIPPETS) > 8
    assert BENCHMARKS


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_command(command: Command) -> None:
    program, *words = command.words
    for word in command.words:
        folder = word.removeprefix("./").split("/")[0]
        if "/" in word and folder in OURS:
            assert (ROOT / word).exists(), f"{word} does not exist"
    if program in (".venv/bin/autoglm-phone", "autoglm-phone"):
        parse(words)
    elif program in (".venv/bin/python", "python") and words[0] != "main.py":
        assert (ROOT / words[0]).exists(), f"{words[0]} does not exist"
    elif program == "deploy/run_autoglm_server.sh":
        script = (ROOT / program).read_text()
        for variable in command.variables:
            assert "${" + variable.partition("=")[0] in script, f"{program} does not read {variable}"
        parse(["serve", *words])
    elif program.startswith("./"):
        assert os.access(ROOT / program, os.X_OK), f"{program} can't be run"
    elif program == "curl":
        check_curl(words)
    else:
        assert any(" ".join(command.words).startswith(known) for known in ELSEWHERE), f"unknown program {program}"


def check_curl(words: list[str]) -> None:
    """The endpoint exists, a JSON body is JSON, and form and body name only fields that the endpoint has."""
    url = next(word for word in words if word.startswith("http"))
    document = create_app(ServeConfig(), lambda _: None).openapi()  # type: ignore[arg-type,return-value]
    operation = document["paths"][url.removeprefix("http://localhost:8000")]["post"]
    ((kind, content),) = operation["requestBody"]["content"].items()
    fields = [b.partition("=")[0] for a, b in pairwise(words) if a == "-F"]
    for a, b in pairwise(words):
        fields += json.loads(b) if a == "-d" else []
    assert fields
    assert ("-d" in words) == (kind == "application/json")
    assert set(fields) <= set(content["schema"]["properties"])


@pytest.mark.parametrize("file", READMES)
def test_flags_of_the_tables_exist(file: str) -> None:
    """The first column of the table of flags, and the flags named in the text."""
    rows = re.findall(r"^\| (`--.*?) \|", text_of(file), re.MULTILINE)
    flags = [flag for row in rows for flag in re.findall(r"--[\w-]+", row)]
    assert len(flags) > 20
    serve = subprocess.run(
        [sys.executable, "-m", "autoglm_phone.cli", "serve", "--help"],
        capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "400"}, cwd=ROOT,
    ).stdout  # fmt: skip
    for flag in flags:
        assert re.search(rf"(?<![\w-]){flag}(?![\w-])", serve), f"serve has no {flag}"


def test_both_languages_tell_the_same_commands() -> None:
    """The same programs, flags and code in the same order; texts and comments may differ."""

    def shape(file: str) -> list[list[str]]:
        return [[w for w in c.words if w.isascii()] for c in COMMANDS if c.block.file == file]

    assert shape("README.md") == shape("README.zh.md")
    trees = {file: [_shape(b) for b in SNIPPETS if b.file == file] for file in READMES}
    assert trees["README.md"] == trees["README.zh.md"]


def _shape(block: Block) -> str:
    return ast.dump(ast.parse(block.text))


@pytest.mark.parametrize("file", READMES)
def test_links_lead_somewhere(file: str) -> None:
    links = re.findall(r"\]\(([^)]+)\)", text_of(file))
    headings = {
        re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-")
        for h in re.findall(r"^#+ (.*)$", text_of(file), re.MULTILINE)
    }
    assert links
    for link in links:
        if link.startswith("#"):
            assert link[1:] in headings, link
        elif "://" not in link:
            assert (ROOT / link.partition("#")[0]).exists(), link


@pytest.mark.parametrize("block", SNIPPETS, ids=str)
def test_snippet_compiles_and_imports_what_exists(block: Block) -> None:
    tree = ast.parse(block.text, str(block))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "autoglm_phone":
            import autoglm_phone

            for name in node.names:
                assert hasattr(autoglm_phone, name.name), f"autoglm_phone has no {name.name}"


@pytest.mark.parametrize("block", [b for b in SNIPPETS if "LLM(" in b.text and b.file == "README.md"], ids=str)
def test_offline_snippet_runs(block: Block, tmp_path: Path) -> None:
    if not (ROOT / "src/autoglm_phone/models/mini/model-00001-of-00004.safetensors").exists():
        pytest.skip("the bundled model is not there")
    done = subprocess.run([sys.executable, "-c", block.text], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "→" in done.stdout
    assert done.stdout.partition("→")[2].strip()


@pytest.mark.parametrize("script", BENCHMARKS)
def test_benchmark_says_how_it_is_used(script: str) -> None:
    done = subprocess.run([sys.executable, ROOT / script, "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout
