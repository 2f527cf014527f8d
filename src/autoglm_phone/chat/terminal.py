"""The dialogue in the terminal, with a model in this process or with a server."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from autoglm_phone.errors import AutoGLMError, ConfigError, EngineError, MediaError

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


@dataclass(frozen=True)
class Settings:
    """What the command's flags say. images, audios: for the first message."""

    model: str = "mini"
    url: str | None = None
    api_key: str = "EMPTY"
    images: tuple[Path, ...] = ()
    audios: tuple[Path, ...] = ()
    system: str | None = None
    thinking: bool = True
    max_tokens: int = 512
    temperature: float = 0.0


Delta = tuple[str, str]  # (thought, answer)


def run(settings: Settings, text: str | None) -> None:
    """One question and its answer, or a dialogue until the input ends."""
    media = _media_parts(settings)
    backend = _Remote(settings) if settings.url else _Local(settings)
    try:
        _dialogue(settings, backend, text, media)
    finally:
        backend.close()


def _dialogue(settings: Settings, backend: _Local | _Remote, text: str | None, media: list[dict[str, Any]]) -> None:
    messages: list[dict[str, Any]] = []
    if settings.system:
        messages.append({"role": "system", "content": settings.system})
    interactive = text is None
    while True:
        if interactive:
            try:
                text = input("> ").strip()
            except EOFError:
                print()
                return
            if text in ("/exit", "/quit"):
                return
            if not text and not media:
                continue
        content: Any = [*media, {"type": "text", "text": text}] if media else text
        media = []
        messages.append({"role": "user", "content": content})
        try:
            reasoning, answer = _show(backend.reply(messages))
        except AutoGLMError as exc:
            if not interactive:
                raise
            print(f"error: {exc.message}", file=sys.stderr)
            messages.pop()
            continue
        messages.append({"role": "assistant", "content": answer, "reasoning_content": reasoning})
        if not interactive:
            return


def _show(deltas: Iterator[Delta]) -> Delta:
    colour = sys.stdout.isatty()
    reasoning, answer = "", ""
    for thought, text in deltas:
        if thought:
            sys.stdout.write(f"{_DIM}{thought}{_PLAIN}" if colour else thought)
        if text:
            if reasoning and not answer:
                sys.stdout.write("\n")
            sys.stdout.write(text)
        reasoning, answer = reasoning + thought, answer + text
        sys.stdout.flush()
    print()
    return reasoning, answer


def _media_parts(settings: Settings) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for path in settings.images:
        parts.append({"type": "image_url", "image_url": {"url": "data:image/png;base64," + _encode(path)}})
    for path in settings.audios:
        parts.append(
            {"type": "input_audio", "input_audio": {"data": _encode(path), "format": path.suffix[1:] or "wav"}}
        )
    return parts


def _encode(path: Path) -> str:
    try:
        return base64.b64encode(path.read_bytes()).decode()
    except OSError as exc:
        raise MediaError(f"cannot read the file {path}") from exc


class _Local:
    """A model in this process."""

    def __init__(self, settings: Settings):
        from autoglm_phone.chat.load import load_service
        from autoglm_phone.config import EngineConfig
        from autoglm_phone.engine.loop import AsyncEngine

        self._settings = settings
        self._loop = asyncio.new_event_loop()
        self._service = load_service(settings.model, EngineConfig(), wrap=AsyncEngine)
        self._service.engine.start()

    def reply(self, messages: list[dict[str, Any]]) -> Iterator[Delta]:
        deltas = self._deltas(messages)
        while True:
            try:
                yield self._loop.run_until_complete(anext(deltas))
            except StopAsyncIteration:
                return

    async def _deltas(self, messages: list[dict[str, Any]]) -> AsyncIterator[Delta]:
        from autoglm_phone.chat.service import Generation
        from autoglm_phone.engine.request import SamplingParams

        prompt = self._service.prompts.chat(messages, enable_thinking=self._settings.thinking)
        budget = min(self._settings.max_tokens, self._service.info.max_model_len - len(prompt.ids))
        sampling = SamplingParams(max_tokens=budget, temperature=self._settings.temperature)
        async for update in self._service.run(Generation("terminal", prompt, sampling)):
            yield update.delta.reasoning, update.delta.content

    def close(self) -> None:
        self._service.close()
        self._loop.close()


class _Remote:
    """A server, over its HTTP API."""

    def __init__(self, settings: Settings):
        self._settings = settings
        parts = urlsplit(settings.url or "")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("--url must look like http://localhost:8000")
        self._parts = parts
        self._prefix = parts.path.rstrip("/").removesuffix("/v1")

    def reply(self, messages: list[dict[str, Any]]) -> Iterator[Delta]:
        body = {
            "messages": messages,
            "stream": True,
            "max_tokens": self._settings.max_tokens,
            "temperature": self._settings.temperature,
            "enable_thinking": self._settings.thinking,
            "return_reasoning": True,
        }
        secure = self._parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(self._parts.hostname or "", self._parts.port, timeout=300)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._settings.api_key}"}
        try:
            connection.request("POST", f"{self._prefix}/v1/chat/completions", json.dumps(body).encode(), headers)
            answer = connection.getresponse()
            if answer.status != 200:
                raise EngineError(_server_error(answer.read()))
            for line in answer:
                data = line.decode().strip().removeprefix("data: ")
                if data and data != "[DONE]":
                    yield from _read_chunk(json.loads(data))
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise ConfigError(f"no answer from {self._settings.url}; is the server running?") from exc
        finally:
            connection.close()

    def close(self) -> None: ...


def _read_chunk(chunk: dict[str, Any]) -> Iterator[Delta]:
    if "error" in chunk:
        raise EngineError(str(chunk["error"].get("message", "the server failed")))
    for choice in chunk.get("choices", ()):
        delta = choice.get("delta", {})
        yield delta.get("reasoning_content") or "", delta.get("content") or ""


def _server_error(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return "the server answered with an error"
