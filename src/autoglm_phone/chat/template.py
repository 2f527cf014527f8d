"""Renders a conversation with the model's own Jinja template, in a sandbox with caps.

Only the template of the model folder is ever used, never one from a request. It still runs in a sandbox: a downloaded
checkpoint is not trusted more than its author. Caps: wall time, output length, sizes of intermediate values; filters
are allowed by name.
"""

from __future__ import annotations

import json
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from autoglm_phone.errors import AutoGLMError, CheckpointError, InvalidRequestError

MAX_SECONDS = 2.0
MAX_CHARS = 8_000_000
MAX_NUMBER = 1_000_000
MAX_TEMPLATE_CHARS = 1_000_000

_FILTERS = frozenset(
    [
        "capitalize",
        "count",
        "d",
        "default",
        "dictsort",
        "e",
        "escape",
        "first",
        "float",
        "int",
        "items",
        "join",
        "last",
        "length",
        "list",
        "lower",
        "map",
        "reject",
        "rejectattr",
        "replace",
        "reverse",
        "safe",
        "select",
        "selectattr",
        "sort",
        "string",
        "title",
        "tojson",
        "trim",
        "unique",
        "upper",
    ]
)


class _TemplateRefusalError(TemplateError):
    """The template called raise_exception: its words are meant for the client."""


class _Caps(ImmutableSandboxedEnvironment):
    """Every attribute, item, call and product passes one of these hooks, and each looks at the clock and at sizes."""

    intercepted_binops = frozenset({"*", "**"})
    clock = threading.local()  # .deadline: of the render that this thread is in

    def _check(self, value: Any) -> Any:
        if time.monotonic() > self.clock.deadline:
            raise SecurityError("the template ran too long")
        if isinstance(value, str | list | tuple) and len(value) > MAX_CHARS:
            raise SecurityError("the template made a value that is too large")
        return value

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self._check(super().getattr(obj, attribute))

    def getitem(self, obj: Any, argument: Any) -> Any:
        return self._check(super().getitem(obj, argument))

    def call(self, context: Any, obj: Any, *args: Any, **kwargs: Any) -> Any:
        if any(isinstance(a, int) and abs(a) > MAX_NUMBER for a in (*args, *kwargs.values())):
            raise SecurityError("the template passed a number that is too large")
        return self._check(super().call(context, obj, *args, **kwargs))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" or not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise SecurityError("the template used an operator that is not allowed")
        return self._check(super().call_binop(context, operator, left, right))


class ChatTemplate:
    """A compiled chat template. `render` may be called from several threads at once."""

    def __init__(self, source: str):
        if len(source) > MAX_TEMPLATE_CHARS:
            raise CheckpointError("the chat template is larger than 1 MB")
        self.source = source
        self.knows_reasoning = "reasoning_content" in source
        self.knows_thinking = "enable_thinking" in source
        self.knows_tools = "tools" in source
        try:
            self._template = self._compile()
        except TemplateError as exc:
            raise CheckpointError("chat_template.jinja has a syntax error", param="model") from exc

    @classmethod
    def load(cls, model_dir: str | Path) -> ChatTemplate:
        """chat_template.jinja of the folder, else the `chat_template` of tokenizer_config.json, else the native one."""
        folder = Path(model_dir)
        path = folder / "chat_template.jinja"
        if path.is_file():
            return cls(path.read_text(encoding="utf-8"))
        config = folder / "tokenizer_config.json"
        if config.is_file():
            try:
                found = json.loads(config.read_text(encoding="utf-8")).get("chat_template")
            except ValueError as exc:
                raise CheckpointError(f"{config.name} is not valid JSON", param="model") from exc
            if isinstance(found, str):
                return cls(found)
        return cls.native()

    @classmethod
    def native(cls) -> ChatTemplate:
        return cls(Path(__file__).with_name("native_template.jinja").read_text(encoding="utf-8"))

    def _compile(self) -> Any:
        env = _Caps(trim_blocks=True, lstrip_blocks=True, autoescape=False, extensions=["jinja2.ext.loopcontrols"])
        env.filters = {k: v for k, v in env.filters.items() if k in _FILTERS}
        env.filters["tojson"] = _tojson
        env.globals["raise_exception"] = _refuse
        env.globals["strftime_now"] = lambda form: datetime.now().strftime(str(form)[:64])
        return env.from_string(self.source)

    def render(self, messages: list[dict[str, Any]], **variables: Any) -> str:
        """The prompt's text.

        Raises:
            InvalidRequestError: the template refuses these messages, or a cap was reached.
        """
        _Caps.clock.deadline = time.monotonic() + MAX_SECONDS
        parts: list[str] = []
        total = 0
        try:
            for part in self._template.generate(messages=messages, **variables):
                parts.append(part)
                total += len(part)
                if total > MAX_CHARS:
                    raise SecurityError("the prompt is too long")
        except _TemplateRefusalError as exc:
            raise InvalidRequestError(
                f"the model's chat template refuses these messages: {str(exc.message)[:200]}", param="messages"
            ) from exc
        except AutoGLMError:
            raise
        except SecurityError as exc:
            raise InvalidRequestError(
                "rendering the chat template went over its limits of time or size; send fewer or shorter messages",
                param="messages",
            ) from exc
        except Exception as exc:  # a template is foreign code: whatever it raises is about these messages
            raise InvalidRequestError(
                "the model's chat template can't render these messages; check roles and contents", param="messages"
            ) from exc
        return "".join(parts)


def _refuse(message: Any) -> str:
    raise _TemplateRefusalError(str(message))


def _tojson(value: Any, indent: int | None = None, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=min(indent, 8) if indent else None)
