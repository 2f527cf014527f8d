"""The one place that turns an exception into an HTTP answer: OpenAI's error shape, and never an unknown one's text."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from autoglm_phone.errors import AutoGLMError

log = logging.getLogger("autoglm_phone.api")
RETRY_SECONDS = 2

_HTTP = {
    400: ("the request can't be parsed; send valid JSON with Content-Type application/json", "bad_request"),
    404: ("there is no such route; see /v1/models and the README for the endpoints", "not_found"),
    405: ("this route does not allow the method", "method_not_allowed"),
    413: ("the request's body is too large", "payload_too_large"),
    415: ("this content type is not supported", "unsupported_media_type"),
}


def describe(exc: BaseException) -> tuple[int, dict[str, Any], dict[str, str]]:
    """(status, error body, headers) of any exception."""
    headers: dict[str, str] = {}
    if isinstance(exc, AutoGLMError):
        status, error = exc.status, _error(exc.message, exc.type, exc.param, exc.code)
    elif isinstance(exc, RequestValidationError):
        status, error = 400, _validation(exc)
    elif isinstance(exc, HTTPException):
        status = exc.status_code
        message, code = _HTTP.get(status, ("the request can't be served", "http_error"))
        error = _error(message, "invalid_request_error" if status < 500 else "server_error", None, code)
        headers |= {k: v for k, v in (exc.headers or {}).items() if k.lower() == "allow"}
    else:
        status = 500
        error = _error("the server failed on this request; its log says more", "server_error", None, "internal_error")
    if status == 503:
        headers["Retry-After"] = str(RETRY_SECONDS)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return status, {"error": error}, headers


def error_response(exc: BaseException) -> JSONResponse:
    status, body, headers = describe(exc)
    if status == 500 and not isinstance(exc, AutoGLMError):
        log.error("unexpected error", exc_info=exc)
    return JSONResponse(body, status, headers=headers)


def install(app: FastAPI) -> None:
    """Routes every exception of the app's here."""

    async def handle(_: Request, exc: Exception) -> JSONResponse:
        return error_response(exc)

    for kind in (AutoGLMError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, handle)


def _error(message: str, kind: str, param: str | None, code: str | None) -> dict[str, Any]:
    return {"message": message, "type": kind, "param": param, "code": code}


def _validation(exc: RequestValidationError) -> dict[str, Any]:
    """The first fault that pydantic found; its messages speak of types and bounds, never of the server."""
    errors = exc.errors()
    first: Mapping[str, Any] = errors[0] if errors else {}
    if first.get("type") == "json_invalid":
        return _error("the body is not valid JSON", "invalid_request_error", None, "invalid_json")
    where = [str(p)[:64] for p in first.get("loc", ()) if p not in ("body", "query", "path")]
    param = ".".join(where[:6]) or None
    reason = str(first.get("msg", "invalid value"))[:300]
    return _error(f"{param or 'body'}: {reason}", "invalid_request_error", param, "invalid_value")
