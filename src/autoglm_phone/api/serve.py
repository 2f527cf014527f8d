"""Runs the server: binds, listens with 503, loads the model, then says that it is ready."""

from __future__ import annotations

import logging
import socket
import sys

import uvicorn

from autoglm_phone.api.app import create_app
from autoglm_phone.api.config import ServeConfig
from autoglm_phone.chat.service import Service
from autoglm_phone.errors import AutoGLMError, ConfigError
from autoglm_phone.media.fetch import FetchPolicy
from autoglm_phone.media.load import MediaLimits

log = logging.getLogger("autoglm_phone")


def serve(config: ServeConfig) -> None:
    """Serves until it is told to stop.

    Raises:
        AutoGLMError: the port can't be had, or the model can't be loaded.
    """
    setup_logging(config.log_level)
    sock = bind(config.host, config.port)
    port = sock.getsockname()[1]
    failures: list[Exception] = []

    def on_ready(failure: Exception | None) -> None:
        if failure is None:
            shown = f"[{config.host}]" if ":" in config.host else config.host
            log.info("Server listening on http://%s:%d", shown, port)
        else:
            failures.append(failure)
            server.should_exit = True

    app = create_app(config, load, on_ready=on_ready)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=30,
            h11_max_incomplete_event_size=64 * 1024,
            ws="none",
            timeout_graceful_shutdown=10,
        )
    )
    try:
        server.run(sockets=[sock])
    finally:
        sock.close()
    if failures:
        if isinstance(failures[0], AutoGLMError):
            raise failures[0]
        log.error("loading the model failed", exc_info=failures[0])
        raise ConfigError("the model can't be loaded; the log above says why")


def load(config: ServeConfig) -> Service:
    """The model of a configuration, behind the asynchronous engine."""
    from autoglm_phone.chat.load import load_service
    from autoglm_phone.engine.loop import AsyncEngine

    limits = MediaLimits(
        max_images=config.limit_mm_per_prompt.get("image", 0),
        max_audios=config.limit_mm_per_prompt.get("audio", 0),
        max_pixels=config.max_image_pixels,
        max_seconds=config.max_chat_audio_seconds,
        fetch=FetchPolicy(config.allowed_media_domains),
    )
    return load_service(
        config.model_name,
        config.engine_config(),
        wrap=AsyncEngine,
        names=config.served_model_names,
        media_limits=limits,
        mm_processor_kwargs=config.mm_processor_kwargs,
        max_pending=config.max_pending,
    )


def bind(host: str, port: int) -> socket.socket:
    """A listening address, before anything slow happens.

    Raises:
        ConfigError: the address is taken or not this machine's.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as exc:
        raise ConfigError(
            f"cannot listen on {host}:{port} ({exc.strerror or 'unknown host'}); choose another --port or --host"
        ) from exc
    sock.set_inheritable(True)
    return sock


def setup_logging(level: str) -> None:
    logging.basicConfig(
        level=level.upper(),
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
        force=True,
    )
    for name in ("uvicorn", "uvicorn.error", "httpx", "PIL", "asyncio"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
