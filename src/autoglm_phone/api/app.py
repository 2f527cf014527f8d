"""The HTTP application: middlewares from the outside in, routes, and the state that they share."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autoglm_phone import __version__
from autoglm_phone.api import audio, chat, completions, system, tokens
from autoglm_phone.api.auth import AuthMiddleware, KeyChecker
from autoglm_phone.api.config import ServeConfig
from autoglm_phone.api.errors import error_response, install
from autoglm_phone.api.limits import BodyLimitMiddleware, ClientGoneError
from autoglm_phone.api.state import ServerState
from autoglm_phone.chat.service import Service

log = logging.getLogger("autoglm_phone.api")
Loader = Callable[[ServeConfig], Service]
THREADS = 32
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def create_app(
    config: ServeConfig, loader: Loader, *, on_ready: Callable[[Exception | None], None] | None = None
) -> FastAPI:
    """The application. `loader` runs in a thread once the app has started; until it is done, requests get 503.

    Args:
        on_ready: called once with None when the model is loaded, or with what went wrong.
    """
    state = ServerState(config)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async def load() -> None:
            failure: Exception | None = None
            try:
                service = await asyncio.to_thread(loader, config)
                service.engine.start()
                state.ready(service)
            except Exception as exc:
                failure = exc
                state.failed = True
            if on_ready is not None:
                on_ready(failure)

        # Threads mostly wait (for a decoder's turn, the network, the grammar child): many are cheap, few would starve.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="prepare"))
        task = asyncio.create_task(load())
        yield
        await asyncio.gather(task, return_exceptions=True)
        if state.service is not None:
            await asyncio.to_thread(state.service.close)

    app = FastAPI(title="AutoGLM-Phone", version=__version__, lifespan=lifespan, redirect_slashes=False)
    app.state.server = state
    install(app)
    for module in (system, chat, completions, audio, tokens):
        app.include_router(module.router)
    app.add_middleware(BodyLimitMiddleware, max_bytes=config.max_body_bytes)
    app.add_middleware(AuthMiddleware, checker=KeyChecker(config.api_keys))
    app.add_middleware(OuterMiddleware, state=state)  # added last: outermost

    @app.exception_handler(ClientGoneError)
    async def gone(_: Request, exc: ClientGoneError):  # type: ignore[no-untyped-def]
        from fastapi.responses import Response

        return Response(status_code=499)  # nobody reads it; the log does

    return app


class OuterMiddleware:
    """Request id, access log and HTTP metrics, and the last error boundary."""

    def __init__(self, app: ASGIApp, state: ServerState):
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((v.decode("latin-1") for k, v in scope["headers"] if k == b"x-request-id"), "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
        status, began = 500, time.monotonic()
        started = False

        async def tagged(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                message = {**message, "headers": [*message["headers"], (b"x-request-id", request_id.encode())]}
            await send(message)

        try:
            await self._app(scope, receive, tagged)
        except Exception as exc:
            if not started:
                await error_response(exc)(scope, receive, tagged)
        finally:
            # The route's own pattern, never the path that a client made up: the label's values stay few.
            route = getattr(scope.get("route"), "path", "unknown")
            self._state.metrics.http(route, status)
            log.info(
                "%s %s %d %.0f ms %s", scope["method"], route, status, (time.monotonic() - began) * 1e3, request_id
            )
