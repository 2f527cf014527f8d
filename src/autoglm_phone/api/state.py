"""What the routes share: configuration, the loaded model, metrics. Lives on `app.state.server`."""

from __future__ import annotations

import time
from typing import Any

from fastapi import Request

from autoglm_phone.api.config import ServeConfig
from autoglm_phone.api.metrics import Metrics
from autoglm_phone.api.response_cache import ResponseCache
from autoglm_phone.chat.service import Service
from autoglm_phone.errors import NotFoundError, OverloadedError


class ServerState:
    """service is None until the model is loaded. responses: the response cache, if there is one."""

    def __init__(self, config: ServeConfig):
        self.config = config
        self.service: Service | None = None
        self.failed = False
        self.created = int(time.time())
        self.responses = ResponseCache(config.response_cache_mb << 20) if config.response_cache_mb else None
        self.metrics = Metrics(self.names[0], self._stats, self.responses)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the base model."""
        return self.config.names

    def ready(self, service: Service) -> None:
        self.service = service

    @property
    def healthy(self) -> bool:
        return self.service is not None and bool(getattr(self.service.engine, "healthy", True))

    def _stats(self) -> Any:
        return self.service.engine.stats() if self.service is not None else None


def server(request: Request) -> ServerState:
    state: ServerState = request.app.state.server
    return state


def loaded(request: Request) -> Service:
    """The model.

    Raises:
        OverloadedError: it is still loading.
    """
    service = server(request).service
    if service is None:
        raise OverloadedError("the model is still loading; try again in a moment", code="loading")
    return service


def model_for(request: Request, name: str | None) -> tuple[Service, str]:
    """The model of that name (an adapter's is one), and the name to answer with. No name: the first.

    Raises:
        NotFoundError: another name than those served.
    """
    service, state = loaded(request), server(request)
    names = (*state.names, *state.config.lora_modules)
    if name is not None and name not in names:
        raise NotFoundError(
            f"there is no model {name[:64]!r} here; this server has {', '.join(map(repr, names))}", param="model"
        )
    return service, name or names[0]


def adapter_of(request: Request, name: str) -> str | None:
    """The adapter that a served name stands for; None for the base model."""
    return name if name in server(request).config.lora_modules else None


def cache_salt(request: Request) -> str:
    return str(request.scope.get("state", {}).get("cache_salt", ""))
