"""The bound on the shortest answer of a schema: reached by a real answer where it is exact, and never above one."""

from __future__ import annotations

import json
from math import inf
from typing import Any

import jsonschema
import pytest

from autoglm_phone.chat.shortest import shortest

ITSELF = {"$defs": {"t": {"type": "object", "properties": {"t": {"$ref": "#/$defs/t"}}, "required": ["t"]}}}


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        ({"type": "object"}, {}),
        ({"type": "integer"}, 7),
        ({"type": ["string", "null"]}, ""),
        ({"type": "string", "minLength": 5}, "aaaaa"),
        ({"type": "string", "pattern": "^(ab){7}c?$"}, "ab" * 7),
        ({"type": "array", "minItems": 4, "items": {"type": "string"}}, ["", "", "", ""]),
        ({"type": "array", "prefixItems": [{"const": "xyz"}], "minItems": 2, "items": {"type": "number"}}, ["xyz", 1]),
        ({"type": "object", "properties": {"a": {"enum": ["long", "me"]}}, "required": ["a"]}, {"a": "me"}),
        ({"anyOf": [{"const": "a long one"}, {"const": 1}]}, 1),
        ({"allOf": [{"type": "string"}, {"type": "string", "minLength": 3}]}, "abc"),
        ({"$defs": {"x": {"const": "ref"}}, "$ref": "#/$defs/x"}, "ref"),
        ({"type": "array", "minItems": 2, "items": {"$ref": "#/$defs/x"}, "$defs": {"x": {"const": 12}}}, [12, 12]),
    ],
)
def test_exact(schema: dict[str, Any], answer: Any) -> None:
    jsonschema.validate(answer, schema)
    assert shortest(schema) == len(json.dumps(answer, separators=(",", ":")))


@pytest.mark.parametrize(
    "schema",
    [{}, True, {"pattern": "(", "type": "string"}, {"$ref": "#/nowhere"}, {"not": {"type": "string"}}, {"type": 5},
     {"type": "string", "pattern": "\\p{L}{3}"}, {"$ref": "#"}],
)  # fmt: skip
def test_what_is_not_understood_counts_as_little(schema: Any) -> None:
    assert shortest(schema) <= 5


def test_nothing_is_allowed() -> None:
    assert shortest(False) == shortest({"enum": []}) == inf


def test_a_schema_that_contains_itself_ends() -> None:
    assert shortest({**ITSELF, "$ref": "#/$defs/t"}) == len('{"t":}')


def test_a_large_one_is_quick() -> None:
    wide = {
        "type": "object",
        "properties": {str(i): {"type": "array", "minItems": 10**6, "items": {}} for i in range(900)},
    }
    assert shortest({**wide, "required": [str(i) for i in range(900)]}) > 9e8
