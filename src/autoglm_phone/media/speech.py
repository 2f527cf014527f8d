"""Text to speech for `/v1/audio/speech`, and the prompt that `/v1/audio/transcriptions` asks the model with.

espeak-ng speaks, in a child process that may die (see `media.espeak`). Chinese and Latin runs of one text are spoken
in turn by the same variant. Needs numpy only.
"""

from __future__ import annotations

import io
import re
import struct
from typing import Literal

import numpy as np

from autoglm_phone.errors import InvalidRequestError
from autoglm_phone.media.espeak import ESPEAK_RATE, EspeakVoice, speak

TRANSCRIBE_PROMPT = {"zh": "请把这段语音写成文字。", "en": "Transcribe the audio."}
MAX_CHARACTERS = 4096  # OpenAI's bound
SPEEDS = (0.25, 4.0)  # OpenAI's bounds; espeak itself speaks 80–450 words/min
# OpenAI's voice names -> (espeak variant, base pitch 0–99)
VOICES: dict[str, tuple[str, int]] = {
    "alloy": ("f2", 45),
    "ash": ("m3", 40),
    "ballad": ("m7", 50),
    "cedar": ("m4", 42),
    "coral": ("f3", 55),
    "echo": ("m1", 45),
    "fable": ("klatt", 50),
    "marin": ("f1", 50),
    "nova": ("f5", 45),
    "onyx": ("m2", 25),
    "sage": ("f4", 45),
    "shimmer": ("Annie", 55),
    "verse": ("m5", 50),
}
_CJK = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
# A Latin phrase of three words or more is spoken by an English voice; a shorter one inside Chinese stays in the Chinese
# voice, which speaks it without a break.
_LATIN = re.compile(rf"[A-Za-z][^{_CJK}]*")
_ENGLISH_WORDS = 3
_NORMAL_RATE = 170  # words/min


def detect_language(text: str) -> Literal["zh", "en"]:
    """Chinese if there is any Chinese character, else English."""
    return "zh" if re.search(f"[{_CJK}]", text) else "en"


def language_runs(text: str) -> list[tuple[str, Literal["zh", "en"]]]:
    """The text cut into Chinese and English runs, in order."""
    if detect_language(text) == "en":
        return [(text, "en")]
    runs: list[tuple[str, Literal["zh", "en"]]] = []
    at = 0
    for match in _LATIN.finditer(text):
        if len(re.findall(r"[A-Za-z']+", match[0])) < _ENGLISH_WORDS:
            continue
        runs += [(text[at : match.start()], "zh"), (match[0], "en")]
        at = match.end()
    runs.append((text[at:], "zh"))
    return [(run, lang) for run, lang in runs if run.strip()]


def wave_bytes(samples: np.ndarray, rate: int) -> bytes:
    """int16 [T] as a 16-bit mono WAV file."""
    data = samples.astype("<i2").tobytes()
    out = io.BytesIO()
    out.write(
        struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
    )
    out.write(struct.pack("<4sI", b"data", len(data)))
    out.write(data)
    return out.getvalue()


def synthesize(text: str, *, voice: str = "alloy", speed: float = 1.0, lang: str | None = None) -> bytes:
    """Speak `text`. Returns a WAV file: 22.05 kHz, 16-bit, mono.

    Args:
        text: 1 to 4096 characters, Chinese, English or both.
        voice: one of OpenAI's names (`VOICES`).
        speed: 0.25 to 4; 1 is 170 words/min.
        lang: "zh" or "en" to read everything in one language; by default each run of characters decides.
    """
    if not text.strip():
        raise InvalidRequestError("`input` is empty; send the text to speak", param="input")
    if len(text) > MAX_CHARACTERS:
        raise InvalidRequestError(
            f"`input` has {len(text)} characters; the limit is {MAX_CHARACTERS}. Send it in parts", param="input"
        )
    if voice not in VOICES:
        raise InvalidRequestError(f"unknown voice {voice!r}; use one of {', '.join(VOICES)}", param="voice")
    if not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise InvalidRequestError(f"speed {speed} is out of range; use {SPEEDS[0]} to {SPEEDS[1]}", param="speed")
    if lang not in (None, "zh", "en"):
        raise InvalidRequestError(f"unknown language {lang!r}; use 'zh' or 'en'", param="language")
    variant, pitch = VOICES[voice]
    rate = max(80, min(450, round(_NORMAL_RATE * speed)))
    runs = language_runs(text) if lang is None else [(text, lang)]
    segments = [
        (run, EspeakVoice(f"{'cmn' if code == 'zh' else 'en-us'}+{variant}", rate, pitch, volume=70))
        for run, code in runs
    ]
    samples = speak(segments)
    if len(samples) == 0:
        raise InvalidRequestError("`input` holds nothing that can be spoken; send words or numbers", param="input")
    return wave_bytes(samples, ESPEAK_RATE)
