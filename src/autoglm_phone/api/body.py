"""Reads and checks a JSON body, and describes it in the OpenAPI document."""

from __future__ import annotations

import asyncio
import json
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from autoglm_phone.api.limits import check_json, refuse_unbuilt
from autoglm_phone.errors import InvalidRequestError

M = TypeVar("M", bound=BaseModel)
LARGE = 1 << 20  # bytes


async def read_json(request: Request, model: type[M]) -> M:
    """The body as `model`.

    Raises:
        InvalidRequestError, NotBuiltError, RequestValidationError: not JSON, out of bounds, or of the wrong shape.
    """
    content_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if content_type != "application/json" and not content_type.endswith("+json"):
        raise HTTPException(415)
    raw = await request.body()
    if len(raw) > LARGE:  # parsing it would hold up every stream
        return await asyncio.to_thread(_parse, raw, model)
    return _parse(raw, model)


def _parse(raw: bytes, model: type[M]) -> M:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as exc:  # UnicodeDecodeError is a ValueError
        raise InvalidRequestError("the body is not valid JSON", code="invalid_json") from exc
    if not isinstance(value, dict):
        raise InvalidRequestError("the body must be a JSON object", code="invalid_json")
    check_json(value)
    refuse_unbuilt({k: v for k, v in value.items() if k not in model.model_fields})
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        raise RequestValidationError(exc.errors(include_url=False, include_input=False, include_context=False)) from exc


def json_doc(model: type[BaseModel]) -> dict[str, Any]:
    """`openapi_extra` of a route that takes this body."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _inline(schema, definitions)}},
        }
    }


def _inline(value: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        ref = value.get("$ref")
        if isinstance(ref, str):
            return _inline(definitions[ref.rsplit("/", 1)[-1]], definitions)
        return {k: _inline(v, definitions) for k, v in value.items()}
    if isinstance(value, list):
        return [_inline(v, definitions) for v in value]
    return value


_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}


def error_docs(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route: every error has the one shape."""
    return {
        status: {"description": "error", "content": {"application/json": {"schema": _ERROR}}} for status in statuses
    }
