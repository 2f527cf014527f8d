"""/v1/audio: transcriptions of short and long recordings, and speech."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import pairwise
from typing import Any

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


def test_subtitles(api: Running) -> None:
    """Cues of a few seconds, one after the other; OpenAI's client hands them out as text."""
    create = api.openai().audio.transcriptions.create
    srt = create(model=MODEL, file=wav(20), response_format="srt", language="en")
    blocks = [block.split("\n") for block in srt.strip().split("\n\n")]
    assert [b[0] for b in blocks] == ["1", "2", "3"]
    assert all(b[2] == "hello there" for b in blocks)
    times = [b[1].split(" --> ") for b in blocks]
    assert times[0][0] == "00:00:00,000"
    assert "00:00:05" <= times[0][1] <= "00:00:08,000"
    assert times[-1][1] == "00:00:20,000"
    assert all(before[1] == after[0] for before, after in pairwise(times))
    vtt = create(model=MODEL, file=wav(20), response_format="vtt", language="en")
    assert vtt.startswith("WEBVTT\n\n1\n00:00:00.000 --> ")
    assert vtt.removeprefix("WEBVTT\n\n").replace(".", ",") == srt


def test_segment_times_are_what_verbose_json_has(api: Running) -> None:
    made = api.openai().audio.transcriptions.create(
        model=MODEL, file=wav(2), response_format="verbose_json", timestamp_granularities=["segment"], language="en-GB"
    )
    assert [(s.start, s.end, s.text) for s in made.segments] == [(0.0, 2.0, "hello there")]
    assert made.language == "english"


def test_the_prompts_words_are_weighed_against_the_sound(serve: Callable[..., Running]) -> None:
    """A misheard name is put right where the model finds it likely enough, and only there."""
    likes = lambda prompt: -8.0 if "Shevaun" in prompt else -30.0 if "Shevron" in prompt else -5.0  # noqa: E731
    api = serve("call Shevaan on wifi now", likes=likes)
    create = api.openai().audio.transcriptions.create
    assert create(model=MODEL, file=wav(1)).text == "call Shevaan on wifi now"
    assert len(api.engine.requests) == 1
    assert create(model=MODEL, file=wav(1), prompt="Shevaun, Wi-Fi").text == "call Shevaun on Wi-Fi now"
    assert {r.sampling.prompt_logprobs for r in api.engine.requests[2:]} == {0}
    assert create(model=MODEL, file=wav(1), prompt="Shevron, Kuala Lumpur").text == "call Shevaan on wifi now"


@pytest.mark.parametrize(
    ("data", "fields", "match"),
    [
        (b"this is a text file", {}, "sound file"),
        (b"", {}, ""),
        (None, {"response_format": "docx"}, "response_format"),
        (None, {"language": "xx"}, "language"),
        (None, {"temperature": "1.1"}, "temperature"),
        (None, {"temperature": "nan"}, "temperature"),
        (None, {"temperature": "warm"}, "temperature"),
        (None, {"prompt": "x" * 2049}, "prompt"),
        (None, {"timestamp_granularities[]": ["word", "segment"], "response_format": "verbose_json"}, "word"),
        (None, {"timestamp_granularities[]": "line", "response_format": "verbose_json"}, "granularities"),
        (None, {"timestamp_granularities[]": "segment"}, "verbose_json"),
        (None, {"include[]": "logprobs"}, "include"),
        (None, {"chunking_strategy": '{"type": "server_vad"}'}, "chunking_strategy"),
        (None, {"stream": "true"}, "streaming"),
        (None, {"model": "whisper-1"}, "no model"),
    ],
)
def test_bad_transcriptions(api: Running, data: bytes | None, fields: dict[str, Any], match: str) -> None:
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
