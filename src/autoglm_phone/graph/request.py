"""What a client writes under `graph` in its request → GraphRequest, every mistake named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from autoglm_phone.errors import InvalidRequestError
from autoglm_phone.graph.plan import EXIT_KINDS, KV_KINDS, GraphRequest

_CHOICES = {"policy": ("auto", *EXIT_KINDS), "kv": ("auto", *KV_KINDS)}
_LEAST = {"max_depth": 1, "draft_length": 0, "kv_window": 1, "kv_budget": 1}
MOST = 1 << 20  # bound of every count: no field can make anything grow without limit
_MOST = {"draft_length": 64}  # tokens: a longer draft would hold up the other requests of its step


def read_graph_request(raw: Any, *, trace: bool = False) -> GraphRequest:
    """The `graph` field of a request body; None and {} leave everything to the planner.

    Raises:
        InvalidRequestError: not an object, an unknown field, a value of the wrong kind or size, or two that do not go
            together; `param` names it.
    """
    if raw is None:
        return GraphRequest(trace=trace)
    if not isinstance(raw, Mapping):
        raise InvalidRequestError('graph must be an object, such as {"policy": "lossless"}', param="graph")
    known = [f.name for f in fields(GraphRequest)]
    values: dict[str, Any] = {"trace": trace}
    for name, value in raw.items():
        where = f"graph.{str(name)[:40]}"
        shown = repr(value)[:60]  # the client's own text, which may be long
        if name not in known:
            raise InvalidRequestError(f"graph has no field {str(name)[:40]!r}; it has {', '.join(known)}", param=where)
        if value is None:
            continue
        if name in _CHOICES:
            if value not in _CHOICES[name]:
                raise InvalidRequestError(f"{where} is {shown}; choose {', '.join(_CHOICES[name])}", param=where)
        elif name == "trace":
            if not isinstance(value, bool):
                raise InvalidRequestError(f"{where} must be true or false, not {shown}", param=where)
            value = value or trace
        elif name == "risk":
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
                raise InvalidRequestError(f"{where} is {shown}; it must be a number in [0, 1)", param=where)
            value = float(value)
        elif isinstance(value, bool) or not isinstance(value, int) or not _LEAST[name] <= value <= _most(name):
            raise InvalidRequestError(
                f"{where} is {shown}; it must be an integer from {_LEAST[name]} to {_most(name)}", param=where
            )
        values[name] = value
    policy = values.get("policy")
    if values.get("draft_length") and policy not in (None, "auto", "lossless"):
        raise InvalidRequestError(
            f"graph.draft_length is for policy lossless, and this request asks for {policy}; leave one of them out",
            param="graph.draft_length",
        )
    return GraphRequest(**values)


def _most(name: str) -> int:
    return _MOST.get(name, MOST)
