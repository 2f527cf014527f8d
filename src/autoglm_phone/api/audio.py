"""POST /v1/audio/transcriptions and /v1/audio/speech."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from autoglm_phone.api.body import error_docs, json_doc, read_json
from autoglm_phone.api.limits import MAX_TRANSCRIPT_TOKENS, unless_gone
from autoglm_phone.api.schema import SpeechBody
from autoglm_phone.api.state import cache_salt, model_for, server
from autoglm_phone.chat.service import Generation, Service
from autoglm_phone.engine.request import SamplingParams
from autoglm_phone.errors import InvalidRequestError, NotBuiltError, PayloadTooLargeError
from autoglm_phone.media import audio as sound
from autoglm_phone.media import espeak
from autoglm_phone.media.speech import TRANSCRIBE_PROMPT, synthesize


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    """The speaking process starts with the first request and ends with the server."""
    yield
    espeak.child.close()


router = APIRouter(lifespan=_lifespan)
WINDOW_SECONDS = 30.0
MAX_FILE_BYTES = 64 * 1024 * 1024
_FORMATS = ("json", "text", "verbose_json")
_DOC = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "model": {"type": "string"},
                        "language": {"type": "string", "enum": ["zh", "en"]},
                        "prompt": {"type": "string", "maxLength": 2048},
                        "response_format": {"type": "string", "enum": list(_FORMATS)},
                        "temperature": {"type": "number", "minimum": 0, "maximum": 1},
                    },
                }
            }
        },
    }
}


@dataclass(frozen=True)
class _Job:
    """A recording cut into windows. starts: seconds."""

    generations: list[Generation]
    starts: list[float]
    seconds: float


@router.post("/v1/audio/transcriptions", openapi_extra=_DOC, responses=error_docs(400, 401, 404, 413, 415, 500, 503))
async def transcriptions(request: Request) -> Response:
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise HTTPException(415)
    async with request.form(max_files=1, max_fields=32, max_part_size=64 * 1024) as form:
        upload = form.get("file")
        if not isinstance(upload, UploadFile):
            raise InvalidRequestError("the form must hold a sound file named 'file'", param="file")
        service, _ = model_for(request, _text(form, "model"))
        response_format, language, temperature = _options(form)
        if (upload.size or 0) > MAX_FILE_BYTES:
            raise PayloadTooLargeError(f"a sound file may have at most {MAX_FILE_BYTES >> 20} MiB", param="file")
        data = await upload.read()
    limit = server(request).config.max_audio_seconds
    with service.admit(1):
        job = await asyncio.to_thread(_prepare, service, data, language, temperature, limit, cache_salt(request))
        del data
        texts = await unless_gone(request, _transcribe(service, job))
    text = _join(texts)
    if response_format == "text":
        return PlainTextResponse(text + "\n")
    if response_format == "json":
        return JSONResponse({"text": text, "usage": {"type": "duration", "seconds": round(job.seconds, 3)}})
    ends = [*job.starts[1:], job.seconds]
    segments = [
        {"id": i, "start": round(start, 3), "end": round(end, 3), "text": part}
        for i, (start, end, part) in enumerate(zip(job.starts, ends, texts, strict=True))
    ]
    spoken = language or ("zh" if any("\u4e00" <= c <= "\u9fff" for c in text) else "en")
    return JSONResponse(
        {
            "task": "transcribe",
            "language": {"zh": "chinese", "en": "english"}[spoken],
            "duration": round(job.seconds, 3),
            "text": text,
            "segments": segments,
        }
    )


def _text(form: FormData, name: str) -> str | None:
    value = form.get(name)
    return value if isinstance(value, str) and value else None


def _options(form: FormData) -> tuple[str, str | None, float]:
    response_format = _text(form, "response_format") or "json"
    if response_format not in _FORMATS:
        raise InvalidRequestError(f"'response_format' must be one of {', '.join(_FORMATS)}", param="response_format")
    language = (_text(form, "language") or "").lower().split("-")[0] or None
    if language is not None and language not in TRANSCRIBE_PROMPT:
        known = ", ".join(TRANSCRIBE_PROMPT)
        raise InvalidRequestError(f"'language' must be one of {known}, or be left out", param="language")
    try:
        temperature = float(_text(form, "temperature") or 0.0)
    except ValueError as exc:
        raise InvalidRequestError("'temperature' must be a number", param="temperature") from exc
    if not 0 <= temperature <= 2:
        raise InvalidRequestError("'temperature' must lie between 0 and 2", param="temperature")
    if (_text(form, "stream") or "false").lower() in ("true", "1"):
        raise NotBuiltError("streaming transcriptions are not available; leave 'stream' out", param="stream")
    if form.getlist("timestamp_granularities[]") == ["word"]:
        raise NotBuiltError("word timestamps are not available", param="timestamp_granularities")
    return response_format, language, temperature


def _prepare(
    service: Service, data: bytes, language: str | None, temperature: float, max_seconds: float, salt: str
) -> _Job:
    """Decodes the file, cuts it at quiet places into windows, and makes a request of each. Runs in a thread."""
    samples = sound.decode_audio(data, param="file", max_seconds=max_seconds)
    windows = sound.split(samples, WINDOW_SECONDS)
    request_id = "transcribe-" + secrets.token_hex(16)
    question = TRANSCRIBE_PROMPT[language or "zh"]
    generations, starts, at = [], [], 0
    for i, window in enumerate(windows):
        prompt = service.prompts.recording(window, question)
        budget = min(MAX_TRANSCRIPT_TOKENS, service.info.max_model_len - len(prompt.ids))
        sampling = SamplingParams(max_tokens=budget, temperature=temperature)
        generations.append(Generation(f"{request_id}-{i}", prompt, sampling, style="answer_only", cache_salt=salt))
        starts.append(at / sound.SAMPLE_RATE)
        at += len(window)
    return _Job(generations, starts, len(samples) / sound.SAMPLE_RATE)


async def _transcribe(service: Service, job: _Job) -> list[str]:
    """All windows; they share the engine's batch, four at a time so that one recording can't fill it."""
    gate = asyncio.Semaphore(4)

    async def one(generation: Generation) -> str:
        async with gate:
            return (await service.collect(generation))[0].content.strip()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(g)) for g in job.generations]
    return [t.result() for t in tasks]


def _join(texts: Sequence[str]) -> str:
    """Windows one behind the other: a blank between them only where both sides are written with blanks."""
    out = ""
    for text in texts:
        blank = out and text and ord(out[-1]) < 0x2E80 and ord(text[0]) < 0x2E80
        out += (" " if blank else "") + text
    return out


@router.post(
    "/v1/audio/speech",
    openapi_extra=json_doc(SpeechBody),
    responses={
        200: {"description": "the sound", "content": {"audio/wav": {}}},
        **error_docs(400, 401, 404, 413, 500, 503),
    },
    response_class=Response,
)
async def speech(request: Request) -> Response:
    body = await read_json(request, SpeechBody)
    service, _ = model_for(request, body.model)
    if body.response_format not in sound.ENCODINGS:
        raise NotBuiltError(
            f"speech comes as {', '.join(sound.ENCODINGS)}; set 'response_format' to one of them",
            param="response_format",
        )
    if body.stream_format == "sse":
        raise NotBuiltError("speech is sent as one file; leave 'stream_format' out", param="stream_format")
    with service.admit(1):
        data = await asyncio.to_thread(_speak, body)
    return Response(data, media_type=sound.ENCODINGS[body.response_format])


def _speak(body: SpeechBody) -> bytes:
    wave = synthesize(body.input, voice=body.voice, speed=body.speed)
    return sound.encode(wave, body.response_format)
