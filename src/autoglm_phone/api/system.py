"""GET /v1/models, /health, /version, /metrics."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST

from autoglm_phone import __version__
from autoglm_phone.api.body import error_docs
from autoglm_phone.api.state import adapter_of, loaded, model_for, server
from autoglm_phone.errors import OverloadedError

router = APIRouter()


@router.get("/health", responses=error_docs(503))
async def health(request: Request) -> dict[str, str]:
    """200 when requests can be served; 503 while the model loads, or after the engine has died."""
    loaded(request)
    if not server(request).healthy:
        raise OverloadedError("the engine has stopped; restart the server", code="engine_dead")
    return {"status": "ok"}


@router.get("/version", responses=error_docs(401))
async def version() -> dict[str, str]:
    return {"version": __version__}


@router.get("/metrics", responses=error_docs(401))
async def metrics(request: Request) -> Response:
    return Response(server(request).metrics.render(), media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/models", responses=error_docs(401, 503))
async def models(request: Request) -> dict[str, Any]:
    state = server(request)
    return {"object": "list", "data": [_card(request, name) for name in (*state.names, *state.config.lora_modules)]}


@router.get("/v1/models/{model:path}", responses=error_docs(401, 404, 503))
async def model(request: Request, model: str) -> dict[str, Any]:
    _, name = model_for(request, model)
    return _card(request, name)


def _card(request: Request, name: str) -> dict[str, Any]:
    info = loaded(request).info
    state = server(request)
    return {
        "id": name,
        "object": "model",
        "created": state.created,
        "owned_by": "autoglm-phone",
        "root": state.names[0],
        "parent": None if adapter_of(request, name) is None else state.names[0],
        "max_model_len": info.max_model_len,
    }
