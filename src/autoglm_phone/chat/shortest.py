"""How short an answer a JSON schema allows: a lower bound, in characters. With it, a schema is refused if no answer to
it fits into the context; such an answer would hold its place in the batch until the context is full.

Everything that is not understood counts as nothing: the bound may be too low, never too high.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from math import inf
from typing import Any

_WORDS = {"null": 4, "boolean": 4}
_MAX_REFERENCES = 8  # deeper ones count as nothing, as do schemas that contain themselves


def shortest(schema: Any) -> float:
    """Characters of the shortest JSON text that the schema allows, at least; inf if it allows none."""
    return _Reader(schema).least(schema, 0)


class _Reader:
    def __init__(self, root: Any):
        self._root = root
        self._known: dict[str, float] = {}

    def least(self, schema: Any, depth: int) -> float:
        """depth: references on the way here."""
        if schema is False:
            return inf
        if not isinstance(schema, Mapping):
            return 0
        bounds = [self._own(schema, depth)]
        bounds += [self.least(part, depth) for part in _list(schema.get("allOf"))]
        bounds += [
            min((self.least(part, depth) for part in options), default=0)
            for options in (_list(schema.get("anyOf")), _list(schema.get("oneOf")))
        ]
        if isinstance(schema.get("$ref"), str):
            bounds.append(self._reference(schema["$ref"], depth))
        return max(bounds)

    def _own(self, schema: Mapping[str, Any], depth: int) -> float:
        """What the schema itself says, without what it refers to and combines."""
        if "const" in schema:
            return _length(schema["const"])
        if isinstance(schema.get("enum"), list):
            return min((_length(value) for value in schema["enum"]), default=inf)
        kinds = schema.get("type")
        by_kind: dict[str, Callable[[Mapping[str, Any], int], float]]
        by_kind = {"array": self._array, "object": self._object, "string": lambda s, _: _text(s)}
        names = [k for k in _list(kinds) or [kinds] if isinstance(k, str)]
        return min((by_kind[k](schema, depth) if k in by_kind else _WORDS.get(k, 1) for k in names), default=0)

    def _array(self, schema: Mapping[str, Any], depth: int) -> float:
        count = _count(schema.get("minItems"))
        first = _list(schema.get("prefixItems"))[:count]
        rest = count - len(first)
        each = self.least(schema.get("items"), depth) if rest else 0
        inside = sum(self.least(item, depth) for item in first) + (rest * each if rest else 0)
        return 2 + inside + max(0, count - 1)

    def _object(self, schema: Mapping[str, Any], depth: int) -> float:
        named = {name for name in _list(schema.get("required")) if isinstance(name, str)}
        known = schema.get("properties")
        known = known if isinstance(known, Mapping) else {}
        inside = sum(_length(name) + 1 + self.least(known.get(name), depth) for name in named)
        others = max(0, _count(schema.get("minProperties")) - len(named))
        return 2 + inside + others * len('"":') + max(0, len(named) + others - 1)

    def _reference(self, name: str, depth: int) -> float:
        if name not in self._known:
            self._known[name] = 0  # of a schema that contains itself
            target = self._root
            for step in name.removeprefix("#").strip("/").split("/") if name != "#" else ():
                step = step.replace("~1", "/").replace("~0", "~")
                target = target.get(step) if isinstance(target, Mapping) else None
            if depth < _MAX_REFERENCES:
                self._known[name] = self.least(target, depth + 1)
        return self._known[name]


def _text(schema: Mapping[str, Any]) -> int:
    pattern = schema.get("pattern")
    return 2 + max(_count(schema.get("minLength")), _width(pattern) if isinstance(pattern, str) else 0)


def _width(pattern: str) -> int:
    """Characters that a text with the pattern in it has at least, as Python reads the pattern; 0 where it can't."""
    try:
        from re import _parser  # type: ignore[attr-defined]  # there is no public way to ask

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return int(_parser.parse(pattern).getwidth()[0])
    except Exception:  # a pattern of another dialect, or a Python without this module
        return 0


def _length(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _count(value: Any) -> int:
    return max(0, int(value)) if isinstance(value, int | float) and not isinstance(value, bool) else 0


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
