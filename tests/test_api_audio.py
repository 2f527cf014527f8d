"""/v1/audio: transcriptions of short and long recordings, and speech."""

from __future__ import annotations

import io
from collections.abc import Callable

import httpx
import numpy as np
import openai
import pytest
import soundfile

from autoglm_phone.media.audio import decode_audio
from conftest import Running

MODEL = "autoglm-phone-9b"


@pytest.fixture(scope="module")
def api(serve: Callable[..., Running]) -> Running:
    return serve(lambda prompt: "hello there" if "Transcribe" in prompt else "你好")


def wav(seconds: float, rate: int = 8000) -> io.BytesIO:
    out = io.BytesIO()
    rng = np.random.default_rng(0)
    soundfile.write(out, rng.normal(0, 0.1, int(seconds * rate)), rate, format="WAV")
    out.seek(0)
    out.name = "speech.wav"
    return out


def test_transcription(api: Running) -> None:
    client = api.openai()
    assert client.audio.transcriptions.create(model=MODEL, file=wav(2)).text == "你好"
    assert client.audio.transcriptions.create(model=MODEL, file=wav(2), language="en").text == "hello there"
    assert client.audio.transcriptions.create(model=MODEL, file=wav(2), response_format="text") == "你好\n"
    request = api.engine.requests[-1]
    assert [m.kind for m in request.media] == ["audio"]
    assert request.sampling.temperature == 0


def test_long_recordings_go_in_windows(api: Running) -> None:
    made = api.openai().audio.transcriptions.create(
        model=MODEL, file=wav(70), response_format="verbose_json", language="en"
    )
    assert made.text == "hello there hello there hello there"
    assert [s.id for s in made.segments] == [0, 1, 2]
    assert abs(made.duration - 70) < 0.1
    assert made.segments[0].end == made.segments[1].start
    assert made.segments[-1].end == pytest.approx(70, abs=0.1)


@pytest.mark.parametrize(
    ("data", "fields", "match"),
    [
        (b"this is a text file", {}, "sound file"),
        (b"", {}, ""),
        (None, {"response_format": "srt"}, "response_format"),
        (None, {"language": "xx"}, "language"),
        (None, {"temperature": "9"}, "temperature"),
        (None, {"stream": "true"}, "streaming"),
        (None, {"model": "whisper-1"}, "no model"),
    ],
)
def test_bad_transcriptions(api: Running, data: bytes | None, fields: dict[str, str], match: str) -> None:
    files = {"file": ("a.wav", wav(1).getvalue() if data is None else data)}
    answer = httpx.post(f"{api.url}/v1/audio/transcriptions", files=files, data={"model": MODEL, **fields})
    assert answer.status_code in (400, 404)
    assert match in answer.json()["error"]["message"]


def test_a_two_hour_recording(api: Running) -> None:
    out = io.BytesIO()
    soundfile.write(out, np.zeros(2 * 3600 * 8000, np.int16), 8000, format="FLAC")
    answer = httpx.post(f"{api.url}/v1/audio/transcriptions", files={"file": ("a.flac", out.getvalue())})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "audio_too_long"


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3"])
def test_speech(api: Running, kind: str) -> None:
    pytest.importorskip("espeakng_loader", reason="the `speech` extra is not installed")
    made = api.openai().audio.speech.create(model=MODEL, voice="alloy", input="你好, hello", response_format=kind)
    assert len(decode_audio(made.read())) > 8000


def test_bad_speech(api: Running) -> None:
    client = api.openai()
    for options in (
        {"input": ""},
        {"input": "x" * 5000},
        {"response_format": "opus"},
        {"voice": "nobody"},
        {"speed": 99},
    ):
        with pytest.raises(openai.BadRequestError):
            client.audio.speech.create(
                **{"model": MODEL, "voice": "alloy", "input": "hi", "response_format": "wav", **options}
            )
