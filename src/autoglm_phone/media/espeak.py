"""espeak-ng in this process, through ctypes and the library that `espeakng_loader` ships.

espeak keeps the state of its wave generator (flutter phase, noise, echo) from one utterance to the next, so the same
call gives other samples the second time. Here the library is unloaded after each utterance (0.6 ms to load again):
an utterance depends on its arguments alone, bit for bit, in any process. One lock guards it; a fork renews the lock.
(espeak itself loses about 3 KB of heap per voice that is set: renew a process that speaks millions of times.)
Audio comes out at 22.05 kHz, 16-bit mono.
"""

from __future__ import annotations

import _ctypes
import ctypes
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from autoglm_phone.errors import ConfigError

ESPEAK_RATE = 22_050  # Hz
_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: speak inside the call, samples through the callback
_DONT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT: report missing data instead of ending the process
_UTF8 = 1
_PARAMETERS = {"rate": 1, "volume": 2, "pitch": 3, "pitch_range": 4, "word_gap": 7}
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_lock = threading.Lock()


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


@dataclass(frozen=True)
class EspeakVoice:
    """name: language, or language+variant ("en-us+f2"). rate: words/min. pitch, pitch_range: 0–99. volume: 0–200.

    word_gap: extra pause between words, in units of 10 ms. volume 60 keeps every variant below full scale.
    """

    name: str
    rate: int = 175
    pitch: int = 50
    pitch_range: int = 50
    volume: int = 60
    word_gap: int = 0


def _paths() -> tuple[str, bytes]:
    try:
        import espeakng_loader
    except ImportError as error:
        raise ConfigError(
            "speech needs espeak-ng, and `espeakng_loader` is not installed; run: pip install 'autoglm-phone[speech]'"
        ) from error
    return espeakng_loader.get_library_path(), os.fsencode(espeakng_loader.get_data_path())


@contextmanager
def _library() -> Iterator[ctypes.CDLL]:
    """A freshly loaded and initialised espeak; unloaded at the end, and with it all its static state."""
    path, data = _paths()
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise ConfigError(
            "the espeak-ng library can't be loaded; reinstall it: pip install --force-reinstall espeakng_loader"
        ) from error
    try:
        if library.espeak_Initialize(_SYNCHRONOUS, 0, data, _DONT_EXIT) != ESPEAK_RATE:
            raise ConfigError(
                "espeak-ng found no voice data; reinstall it: pip install --force-reinstall espeakng_loader"
            )
        yield library
    finally:
        library.espeak_Terminate()
        _ctypes.dlclose(library._handle)


def _set_voice(library: ctypes.CDLL, voice: EspeakVoice) -> None:
    if library.espeak_SetVoiceByName(voice.name.encode()) != 0:
        raise ConfigError(f"espeak-ng has no voice {voice.name!r}; use a language with an optional +variant")
    for name, number in _PARAMETERS.items():
        library.espeak_SetParameter(number, int(getattr(voice, name)), 0)


def speak(segments: Sequence[tuple[str, EspeakVoice]], seed: int = 1) -> np.ndarray:
    """Speak the segments one after the other. Returns int16 [T] at 22.05 kHz; `seed` drives breath noise."""
    chunks: list[bytes] = []

    @_CALLBACK
    def receive(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            chunks.append(ctypes.string_at(samples, count * 2))
        return 0

    with _lock, _library() as library:
        library.espeak_SetSynthCallback(receive)
        library.espeak_ng_SetRandSeed(ctypes.c_long(seed & 0x7FFFFFFF))
        for text, voice in segments:
            _set_voice(library, voice)
            encoded = text.replace("\0", " ").encode()
            library.espeak_Synth(encoded, ctypes.c_size_t(len(encoded) + 1), 0, 1, 0, _UTF8, None, None)
    return np.frombuffer(b"".join(chunks), np.int16)


def phonemes(text: str, name: str) -> str:
    """The phonemes that espeak speaks for this text, in its ASCII notation."""
    with _lock, _library() as library:
        _set_voice(library, EspeakVoice(name))
        translate = library.espeak_TextToPhonemes
        translate.restype = ctypes.c_char_p
        translate.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int]
        buffer = ctypes.create_string_buffer(text.encode())
        cursor = ctypes.c_void_p(ctypes.addressof(buffer))
        clauses = []
        while cursor.value:
            clauses.append((translate(ctypes.byref(cursor), _UTF8, 0) or b"").decode())
    return " ".join(clause for clause in clauses if clause)
