"""POST /v1/audio/transcriptions and /v1/audio/speech."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from autoglm_phone.api import transcripts
from autoglm_phone.api.body import error_docs, json_doc, read_json
from autoglm_phone.api.limits import unless_gone
from autoglm_phone.api.schema import SpeechBody
from autoglm_phone.api.state import adapter_of, cache_salt, model_for, server
from autoglm_phone.chat import transcription
from autoglm_phone.errors import InvalidRequestError, NotBuiltError, PayloadTooLargeError
from autoglm_phone.media import audio as sound
from autoglm_phone.media import espeak
from autoglm_phone.media.speech import synthesize


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    """The speaking process starts with the first request and ends with the server."""
    yield
    espeak.child.close()


router = APIRouter(lifespan=_lifespan)
MAX_FILE_BYTES = 64 * 1024 * 1024
_ANSWERS = {200: transcripts.ANSWER_DOC, **error_docs(400, 401, 404, 413, 415, 500, 503)}


@router.post("/v1/audio/transcriptions", openapi_extra=transcripts.DOC, responses=_ANSWERS)
async def transcriptions(request: Request) -> Response:
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise HTTPException(415)
    async with request.form(max_files=1, max_fields=32, max_part_size=64 * 1024) as form:
        upload = form.get("file")
        if not isinstance(upload, UploadFile):
            raise InvalidRequestError("the form must hold a sound file named 'file'", param="file")
        options = transcripts.read_options(form)
        service, name = model_for(request, options.model)
        if (upload.size or 0) > MAX_FILE_BYTES:
            raise PayloadTooLargeError(f"a sound file may have at most {MAX_FILE_BYTES >> 20} MiB", param="file")
        data = await upload.read()
    limit = server(request).config.max_audio_seconds
    with service.admit(1):
        recording = await asyncio.to_thread(
            transcription.prepare,
            service,
            data,
            options.wish,
            limit,
            cache_salt(request),
            adapter_of(request, name),
        )
        del data
        segments = await unless_gone(request, transcription.transcribe(service, recording))
    return transcripts.answer(segments, options)


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
