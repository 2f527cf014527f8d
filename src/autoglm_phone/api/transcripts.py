"""The form of /v1/audio/transcriptions, read field by field, and the formats of its answer.

Every field of OpenAI's form works, or is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.datastructures import FormData

from autoglm_phone.api.limits import MAX_TRANSCRIPT_PROMPT
from autoglm_phone.chat.transcription import Segment, Wish, join
from autoglm_phone.errors import InvalidRequestError, NotBuiltError

FORMATS = ("json", "text", "verbose_json", "srt", "vtt")
CUE_SECONDS = 8.0  # longest window where the windows become subtitles
_LANGUAGES = {"zh": "chinese", "en": "english"}
_REFUSED = {
    "include": "log-probabilities of a transcript are not available",
    "known_speaker_names": "speakers are not told apart",
    "known_speaker_references": "speakers are not told apart",
    "to_language": "a recording is written down in the language that it is in; translate the text with a chat",
}
_GRANULARITIES = "timestamp_granularities"

DOC: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "WAV, FLAC, OGG or MP3",
                        },
                        "model": {"type": "string"},
                        "language": {
                            "type": "string",
                            "enum": list(_LANGUAGES),
                            "description": "language of the recording; left out, the model writes what it hears",
                        },
                        "prompt": {
                            "type": "string",
                            "maxLength": MAX_TRANSCRIPT_PROMPT,
                            "description": (
                                "Names, words and spellings to expect, as a list or as the text before. Where the "
                                "transcript has something written nearly alike, the model weighs the word of the "
                                "prompt against the sound and takes it if it fits; words with capitals or signs "
                                "inside (Wi-Fi, McDonald) are written as here. Tone and punctuation are not taken "
                                "from it."
                            ),
                        },
                        "response_format": {
                            "type": "string",
                            "enum": list(FORMATS),
                            "default": "json",
                            "description": f"srt and vtt: subtitles of at most {CUE_SECONDS:g} s, cut at quiet places",
                        },
                        "temperature": {"type": "number", "minimum": 0, "maximum": 1, "default": 0},
                        "timestamp_granularities[]": {
                            "type": "array",
                            "items": {"type": "string", "enum": ["segment"]},
                            "description": "needs verbose_json; word timestamps are refused",
                        },
                    },
                }
            }
        },
    }
}
ANSWER_DOC: dict[str, Any] = {
    "description": "the transcript in the format asked for",
    "content": {"application/json": {}, "text/plain": {}, "application/x-subrip": {}, "text/vtt": {}},
}


@dataclass(frozen=True)
class Options:
    model: str | None
    response_format: str
    wish: Wish


def read_options(form: FormData) -> Options:
    """The form without its file.

    Raises:
        InvalidRequestError, NotBuiltError: a value out of bounds, or a field whose part does not exist.
    """
    response_format = _text(form, "response_format") or "json"
    if response_format not in FORMATS:
        raise InvalidRequestError(f"'response_format' must be one of {', '.join(FORMATS)}", param="response_format")
    _check_granularities(form, response_format)
    _refuse_unbuilt(form)
    prompt = _text(form, "prompt") or ""
    if len(prompt) > MAX_TRANSCRIPT_PROMPT:
        raise InvalidRequestError(
            f"'prompt' has {len(prompt)} characters; the limit is {MAX_TRANSCRIPT_PROMPT}. Keep the words that matter",
            param="prompt",
        )
    window = CUE_SECONDS if response_format in ("srt", "vtt") else Wish.window
    wish = Wish(_language(form), _temperature(form), prompt, window)
    return Options(_text(form, "model"), response_format, wish)


def answer(segments: Sequence[Segment], options: Options) -> Response:
    """The transcript in the format that was asked for."""
    text = join([s.text for s in segments])
    seconds = segments[-1].end
    match options.response_format:
        case "text":
            return PlainTextResponse(text + "\n")
        case "srt":
            return Response(_subtitles(segments, ","), media_type="application/x-subrip; charset=utf-8")
        case "vtt":
            return Response("WEBVTT\n\n" + _subtitles(segments, "."), media_type="text/vtt; charset=utf-8")
        case "json":
            return JSONResponse({"text": text, "usage": {"type": "duration", "seconds": round(seconds, 3)}})
    spoken = options.wish.language or ("zh" if any("\u4e00" <= c <= "\u9fff" for c in text) else "en")
    return JSONResponse(
        {
            "task": "transcribe",
            "language": _LANGUAGES[spoken],
            "duration": round(seconds, 3),
            "text": text,
            "segments": [
                {"id": i, "start": round(s.start, 3), "end": round(s.end, 3), "text": s.text}
                for i, s in enumerate(segments)
            ],
            "usage": {"type": "duration", "seconds": round(seconds, 3)},
        }
    )


def _text(form: FormData, name: str) -> str | None:
    value = form.get(name)
    return value if isinstance(value, str) and value else None


def _language(form: FormData) -> str | None:
    given = (_text(form, "language") or "").lower()
    code = next((c for c, name in _LANGUAGES.items() if given == name), given.replace("_", "-").split("-")[0])
    if code and code not in _LANGUAGES:
        raise InvalidRequestError(
            f"'language' must be one of {', '.join(_LANGUAGES)}, or be left out", param="language"
        )
    return code or None


def _temperature(form: FormData) -> float:
    try:
        temperature = float(_text(form, "temperature") or 0.0)
    except ValueError as exc:
        raise InvalidRequestError("'temperature' must be a number", param="temperature") from exc
    if not (math.isfinite(temperature) and 0 <= temperature <= 1):
        raise InvalidRequestError("'temperature' must lie between 0 and 1", param="temperature")
    return temperature


def _check_granularities(form: FormData, response_format: str) -> None:
    wanted = [*form.getlist(_GRANULARITIES + "[]"), *form.getlist(_GRANULARITIES)]
    if not wanted:
        return
    if "word" in wanted:
        raise NotBuiltError("word timestamps are not available; ask for 'segment'", param=_GRANULARITIES)
    if any(value != "segment" for value in wanted):
        raise InvalidRequestError(f"'{_GRANULARITIES}' may hold 'segment'", param=_GRANULARITIES)
    if response_format != "verbose_json":
        raise InvalidRequestError(
            f"'{_GRANULARITIES}' needs 'response_format' verbose_json; srt and vtt have times by themselves",
            param=_GRANULARITIES,
        )


def _refuse_unbuilt(form: FormData) -> None:
    if (_text(form, "stream") or "false").lower() in ("true", "1"):
        raise NotBuiltError("streaming transcriptions are not available; leave 'stream' out", param="stream")
    if (_text(form, "chunking_strategy") or "auto") != "auto":
        raise NotBuiltError(
            "recordings are always cut at quiet places; leave 'chunking_strategy' out, or say auto",
            param="chunking_strategy",
        )
    for name, why in _REFUSED.items():
        if form.getlist(name) or form.getlist(name + "[]"):
            raise NotBuiltError(f"{name!r} is not available on this server: {why}", param=name)


def _subtitles(segments: Sequence[Segment], point: str) -> str:
    """Numbered cues, as SubRip and WebVTT both write them; silence has none. point: before the milliseconds."""
    spoken = [s for s in segments if s.text]
    return "".join(
        f"{i}\n{_clock(s.start, point)} --> {_clock(s.end, point)}\n{s.text}\n\n" for i, s in enumerate(spoken, 1)
    )


def _clock(seconds: float, point: str) -> str:
    whole, ms = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{ms:03}"
