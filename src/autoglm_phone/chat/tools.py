"""Tool definitions checked, tool calls read, and the grammar of a forced call.

A call is `<tool_call>name\n{"arg": …}</tool_call>` inside the answer.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autoglm_phone.errors import InvalidRequestError

MAX_TOOLS = 128
# llguidance's options for JSON: some white space is allowed, so little that a weak model can't lose itself in it.
JSON_STYLE = {"whitespace_flexible": True, "whitespace_pattern": r"[\x20\x0A\x0D\x09]{0,4}"}
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True)
class ToolCall:
    """arguments: JSON text, as the OpenAI API wants it."""

    name: str
    arguments: str
    id: str = field(default_factory=lambda: "call_" + secrets.token_hex(12))


@dataclass(frozen=True)
class ToolSet:
    """The tools of a request and what the model must do with them.

    forced: empty unless a call is required; then the names that may be called.
    """

    definitions: tuple[Mapping[str, Any], ...] = ()
    names: frozenset[str] = frozenset()
    forced: tuple[str, ...] = ()
    parallel: bool = True

    def schema(self, name: str) -> Mapping[str, Any]:
        for tool in self.definitions:
            if tool["function"]["name"] == name:
                return tool["function"].get("parameters") or {"type": "object"}
        raise KeyError(name)


def read_tools(tools: Any, choice: Any, parallel: bool = True) -> ToolSet:
    """The request's `tools` and `tool_choice`.

    Raises:
        InvalidRequestError: wrong shape, unusable or repeated names, a choice that names no tool.
    """
    if not tools:
        if choice not in (None, "none", "auto"):
            raise InvalidRequestError("'tool_choice' asks for a tool but 'tools' is empty", param="tool_choice")
        return ToolSet()
    if not isinstance(tools, Sequence) or len(tools) > MAX_TOOLS:
        raise InvalidRequestError(f"'tools' must be a list of at most {MAX_TOOLS} tools", param="tools")
    names: list[str] = []
    for i, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, Mapping) and tool.get("type") == "function" else None
        name = function.get("name") if isinstance(function, Mapping) else None
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidRequestError(
                "a tool must look like {'type': 'function', 'function': {'name': …, 'parameters': …}} with a name "
                "of up to 64 letters, digits, '_', '-' or '.'",
                param=f"tools[{i}]",
            )
        parameters = function.get("parameters") if isinstance(function, Mapping) else None
        if parameters is not None and not isinstance(parameters, Mapping):
            raise InvalidRequestError(
                "'parameters' must be a JSON schema object", param=f"tools[{i}].function.parameters"
            )
        if name in names:
            raise InvalidRequestError(f"the tool name {name!r} is used twice", param=f"tools[{i}].function.name")
        names.append(name)
    if choice == "none":
        return ToolSet()
    forced: tuple[str, ...] = ()
    if choice == "required":
        forced = tuple(names)
    elif isinstance(choice, Mapping):
        function = choice.get("function")
        wanted = function.get("name") if isinstance(function, Mapping) else None
        if wanted not in names:
            raise InvalidRequestError("'tool_choice' names a tool that is not in 'tools'", param="tool_choice")
        forced = (wanted,)
    elif choice not in (None, "auto"):
        raise InvalidRequestError(
            "'tool_choice' must be auto, none, required or {'type': 'function', 'function': {'name': …}}",
            param="tool_choice",
        )
    return ToolSet(tuple(tools), frozenset(names), forced, parallel)


def parse_call(text: str, names: frozenset[str]) -> ToolCall | None:
    """What stands between the tool-call tags, or None if it is no call of a known tool."""
    head, _, body = text.strip().partition("\n")
    name, body = head.strip(), body.strip() or "{}"
    if name not in names:
        return None
    try:
        arguments = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return ToolCall(name, body) if isinstance(arguments, dict) else None


def forced_call_lark(tools: ToolSet, open_ref: str, close_ref: str) -> str:
    """llguidance grammar of one forced call (or several, if parallel calls are allowed).

    Args:
        open_ref, close_ref: how the grammar names the two tags: `<[18]>` for a token id, or a quoted text.
    """
    many = len(tools.forced) > 1 and tools.parallel
    lines = ["start: call" + ("+" if many else "")]
    lines.append("call: " + " | ".join(f"call{i}" for i in range(len(tools.forced))))
    for i, name in enumerate(tools.forced):
        schema = {**tools.schema(name), "type": "object", "x-guidance": JSON_STYLE}
        head = json.dumps(name + "\n")
        lines.append(f"call{i}: {open_ref} {head} args{i} {close_ref}")
        lines.append(f"args{i}: %json {json.dumps(schema)}")
    return "\n".join(lines) + "\n"
