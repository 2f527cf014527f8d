"""The compositional grammar of phrases: text with `[a|b|]` (one of; may nest, may be empty) and `{slot}`."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Union

from autoglm_phone.errors import ConfigError

# A parsed pattern: plain text, a slot name (1-tuple) or a list of branches, each a sequence of nodes.
Node = Union[str, tuple[str], list[list["Node"]]]  # noqa: UP007 (recursive alias needs Union at run time)


@lru_cache(maxsize=1 << 16)
def parse(pattern: str) -> list[Node]:
    nodes, end = _parse_sequence(pattern, 0, depth=0)
    if end != len(pattern):
        raise ConfigError(f"pattern {pattern!r}: unexpected {pattern[end]!r} at {end}")
    return nodes


def _parse_sequence(pattern: str, at: int, depth: int) -> tuple[list[Node], int]:
    nodes: list[Node] = []
    text = ""
    while at < len(pattern):
        char = pattern[at]
        if char in "|]" and depth:
            break
        if char == "[":
            if text:
                nodes.append(text)
                text = ""
            branches: list[list[Node]] = []
            while True:
                branch, at = _parse_sequence(pattern, at + 1, depth + 1)
                branches.append(branch)
                if at >= len(pattern):
                    raise ConfigError(f"pattern {pattern!r}: '[' without ']'")
                if pattern[at] == "]":
                    break
            nodes.append(branches)
        elif char == "{":
            if text:
                nodes.append(text)
                text = ""
            close = pattern.index("}", at)
            nodes.append((pattern[at + 1 : close],))
            at = close
        else:
            text += char
        at += 1
    if text:
        nodes.append(text)
    return nodes, at


def _expand(rng: random.Random, nodes: list[Node], slots: dict[str, str] | None, out: list[str]) -> None:
    for node in nodes:
        if isinstance(node, str):
            out.append(node)
        elif isinstance(node, tuple):
            out.append(f"{{{node[0]}}}" if slots is None else slots[node[0]])
        else:
            _expand(rng, node[int(rng.random() * len(node))], slots, out)


def say(rng: random.Random, pattern: str, **slots: str) -> str:
    """One expansion of the pattern."""
    out: list[str] = []
    _expand(rng, parse(pattern), slots, out)
    return "".join(out)


def say_open(rng: random.Random, pattern: str) -> str:
    """One expansion of the pattern whose slots stay as `{name}`."""
    out: list[str] = []
    _expand(rng, parse(pattern), None, out)
    return "".join(out)
