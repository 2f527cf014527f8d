"""Grammars: masks that only let valid output through, and schemas that want to burn the server don't."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from typing import Any

import jsonschema
import numpy as np
import pytest

from autoglm_phone.chat.grammar import Grammar, GrammarCompiler
from autoglm_phone.chat.tokenizer import Tokenizer
from autoglm_phone.chat.tools import read_tools
from autoglm_phone.engine.request import ThinkingBudget
from autoglm_phone.errors import GrammarError

EOS = frozenset({17, 0, 5, 7})
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "kind": {"enum": ["cat", "dog"]},
        "tags": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3},
    },
    "required": ["name", "age", "kind"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def compiler(tokenizer: Tokenizer) -> Iterator[GrammarCompiler]:
    made = GrammarCompiler(tokenizer, EOS, seconds=5.0)
    yield made
    made.close()


def sample(grammar: Grammar, seed: int, limit: int = 400) -> list[int]:
    """Draws allowed tokens at random until the end, as a model without any sense would."""
    rng = random.Random(seed)
    matcher = grammar.new()
    out: list[int] = []
    while not matcher.finished and len(out) < limit:
        mask = matcher.fill_mask()
        assert mask is not None
        allowed = np.flatnonzero(mask)
        assert len(allowed)
        token = int(rng.choice(list(allowed)))
        if token in EOS:
            break
        assert matcher.accept(token)
        out.append(token)
    return out


@pytest.mark.parametrize("seed", range(8))
def test_random_tokens_make_valid_json(compiler: GrammarCompiler, tokenizer: Tokenizer, seed: int) -> None:
    text = tokenizer.decode(sample(compiler.json_schema(SCHEMA), seed))
    jsonschema.validate(json.loads(text), SCHEMA)


def test_the_grammar_waits_for_the_answer(compiler: GrammarCompiler, tokenizer: Tokenizer) -> None:
    matcher = compiler.json_schema(SCHEMA, thinks=True).new()
    for token in tokenizer.encode("free words"):
        mask = matcher.fill_mask()
        assert mask is not None
        assert mask[token]
        assert not any(mask[i] for i in EOS)
        assert matcher.accept(token)
    assert matcher.accept(15)  # </think>
    assert np.flatnonzero(matcher.fill_mask()).tolist() == [16]  # only <answer>
    assert matcher.accept(16)
    mask = matcher.fill_mask()
    assert mask is not None
    assert mask[tokenizer.encode("{")[0]]
    assert not mask[tokenizer.encode("x")[0]]
    assert not matcher.finished


@pytest.mark.parametrize(
    ("budget", "words"),
    [(ThinkingBudget((15, 16), 2), "abc"), (ThinkingBudget((15, 16), None, 1, frozenset({218})), "\nab")],
)
def test_the_thought_keeps_its_budget(
    compiler: GrammarCompiler, tokenizer: Tokenizer, budget: ThinkingBudget, words: str
) -> None:
    matcher = compiler.json_schema(SCHEMA, thinks=True, budget=budget).new()
    for _ in range(10):
        mask = matcher.fill_mask()
        assert mask is not None
        if np.flatnonzero(mask).tolist() == [15]:
            return
        matcher.accept(218)
    pytest.fail("the thought went on over its budget")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "tap"}}])
def test_a_forced_call_is_a_call(compiler: GrammarCompiler, tokenizer: Tokenizer, choice: Any, seed: int) -> None:
    from autoglm_phone.chat.stream import OutputParser

    point = {
        "type": "object",
        "properties": {"x": {"type": "integer"}},
        "required": ["x"],
        "additionalProperties": False,
    }
    tools = read_tools(
        [
            {"type": "function", "function": {"name": "tap", "parameters": point}},
            {"type": "function", "function": {"name": "back", "parameters": {"type": "object", "maxProperties": 0}}},
        ],
        choice,
        parallel=False,
    )
    parser = OutputParser(tokenizer, "answer", tools=tools.names)
    pieces = parser.feed(sample(compiler.forced_call(tools), seed)) + parser.finish()
    assert [p.channel for p in pieces] == ["call"]
    call = pieces[0].call
    assert call is not None
    assert call.name in (("tap",) if isinstance(choice, dict) else ("tap", "back"))
    if call.name == "tap":
        jsonschema.validate(json.loads(call.arguments), point)


BOMBS: list[Any] = [
    "not an object",
    {"type": "nonsense"},
    {"$ref": "#"},
    {"$ref": "http://example.com/schema.json"},
    {"type": "string", "pattern": "(((a{1,200}){1,200}){1,200}){1,200}"},
    {"type": "string", "pattern": "^(.*a.{40}|.*b.{41}|.*c.{42}|.*d.{43})$"},
    {"anyOf": [{"type": "string", "pattern": f"^.{{0,{i}}}x.{{{i}}}$"} for i in range(200)]},
    {"type": "array", "minItems": 10**9, "items": {"type": "string"}},
    {"enum": ["x" * 70_000]},
    {"allOf": [{"anyOf": [{"type": "object", "properties": {f"p{i}{j}": {}}} for j in range(9)]} for i in range(9)]},
]


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize("schema", [*BOMBS, deep(40)], ids=lambda s: str(s)[:40])
def test_schema_bombs_end_soon(compiler: GrammarCompiler, schema: Any) -> None:
    """Either refused, or compiled within bounds and cheap to use."""
    began = time.monotonic()
    with contextlib.suppress(GrammarError):
        matcher = compiler.json_schema(schema).new()
        matcher.fill_mask()
    assert time.monotonic() - began < 8


def test_a_hanging_child_is_killed_and_replaced(tokenizer: Tokenizer) -> None:
    compiler = GrammarCompiler(tokenizer, EOS, seconds=1.0)
    try:
        compiler.json_schema({"type": "integer"})
        child = compiler._worker._child
        assert child is not None
        os.kill(child.pid, signal.SIGSTOP)
        with pytest.raises(GrammarError, match="too complex"):
            compiler.json_schema({"type": "boolean"})
        assert child.poll() is not None
        compiler.json_schema({"type": "null"})
    finally:
        compiler.close()


def test_the_same_bomb_costs_its_time_once(compiler: GrammarCompiler) -> None:
    bomb = {"anyOf": [{"type": "string", "pattern": f"^.{{0,{i}}}y.{{{i}}}$"} for i in range(220)]}
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(GrammarError):
            compiler.json_schema(bomb)
    assert time.monotonic() - began < 0.1


def test_the_cache_is_bounded(tokenizer: Tokenizer) -> None:
    compiler = GrammarCompiler(tokenizer, EOS, cache_size=2)
    try:
        for value in ("a", "b", "c", "a"):
            compiler.json_schema({"const": value})
        assert len(compiler._cache) == 2
    finally:
        compiler.close()


def test_ordinary_schemas_are_not_refused(compiler: GrammarCompiler) -> None:
    for count in (10, 60):
        properties = {f"field_{i}": {"type": ["string", "null"], "description": "x" * 50} for i in range(count)}
        compiler.json_schema({"type": "object", "properties": properties, "required": list(properties)})
