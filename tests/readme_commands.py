"""Reads commands out of a Markdown file: code blocks, a shell's words, and a parse of our own by the real CLI."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import typer

from autoglm_phone import cli

ROOT = Path(__file__).parent.parent
READMES = ("README.md", "README.zh.md")
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_PLACEHOLDER = re.compile(r"<[^<>\s|&;]+>")  # <folder>: a word for the reader, not a redirection


@dataclass(frozen=True)
class Block:
    """A fenced code block. line: of its first line, from 1."""

    file: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:  # the name of a parametrized test
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One simple command: its variables (`A=b cmd`) apart, redirections gone."""

    block: Block
    words: tuple[str, ...]
    variables: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.block}:{shlex.join(self.words)[:60]}"


def blocks(language: str, files: tuple[str, ...] = READMES) -> list[Block]:
    found = []
    for file in files:
        text = (ROOT / file).read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            if match[2] == language:
                found.append(Block(file, text.count("\n", 0, match.start()) + 2, language, match[3]))
    return found


def commands(block: Block) -> Iterator[Command]:
    """The block's commands, taken apart as a shell does: continued lines, quotes, comments, lists and redirections."""
    text = _PLACEHOLDER.sub("PLACEHOLDER", block.text).replace("\\\n", " ")
    lexer = shlex.shlex(text, posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace_split = True
    lexer.whitespace = " \t"
    lexer.commenters = ""
    words: list[str] = []
    skipping = redirected = False
    for token in [*lexer, "\n"]:
        ends = bool(token) and not token.strip("();|&\n")
        if token.startswith("#") and not skipping:
            skipping = True
        if ends:
            if words:
                count = next((i for i, w in enumerate(words) if not re.match(r"\w+=", w)), len(words))
                yield Command(block, tuple(words[count:]), tuple(words[:count]))
            words, redirected = [], False
            skipping = skipping and "\n" not in token
        elif skipping:
            continue
        elif token and not token.strip("<>"):
            redirected = True
        elif redirected:
            redirected = False
        else:
            words.append(token)


def parse(words: list[str]) -> None:
    """Parses the arguments of `autoglm-phone` as the program would, and runs nothing.

    Raises:
        Exception: click's UsageError for an unknown command or flag, or a value of the wrong type.
    """
    command: Any = typer.main.get_command(cli.app)
    if words and words[0] in cli.LAZY:
        module, attribute, _, _ = cli.LAZY[words[0]]
        command = typer.main.get_command(getattr(import_module(module), attribute))
        words = words[1:]
    context = None
    while True:
        # Some commands take unknown flags, to refuse them with a message of their own; here nothing may be left over.
        group = hasattr(command, "resolve_command")
        command.ignore_unknown_options, command.allow_extra_args = False, group
        command.context_settings = {}
        context = command.make_context(command.name, list(words), parent=context)
        rest = [*context._protected_args, *context.args] if group else []
        if not rest:
            return
        _, command, words = command.resolve_command(context, rest)
