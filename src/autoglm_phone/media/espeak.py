"""espeak-ng in a child process that may crash, hang or leak without harm (`espeak_child` holds the native code).

The child starts with the first utterance and stays. It is replaced after a crash (the utterance is tried once more),
after a time-out, and after `RECYCLE` utterances, because espeak loses about 3 KB of heap per voice that is set. An
utterance depends on its arguments alone, bit for bit, so a new child changes nothing. One lock guards it; a forked
process starts a child of its own. Audio comes out at 22.05 kHz, 16-bit mono.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autoglm_phone.errors import ConfigError, EngineError, InvalidRequestError

ESPEAK_RATE = 22_050  # Hz
TIMEOUT = 20.0  # s for one utterance; 4096 characters at the slowest speed take about 5 s on one core
RECYCLE = 5_000  # utterances of one child: about 15 MB lost
_FAULTS = {
    "library": "the espeak-ng library can't be loaded; reinstall it: pip install --force-reinstall espeakng_loader",
    "data": "espeak-ng found no voice data; reinstall it: pip install --force-reinstall espeakng_loader",
    "voice": "espeak-ng has no voice {names}; use a language with an optional +variant",
}


@dataclass(frozen=True)
class EspeakVoice:
    """name: language, or language+variant ("en-us+f2"). rate: words/min. pitch, pitch_range: 0–99. volume: 0–200.

    word_gap: extra pause between words, in units of 10 ms. volume 60 keeps every variant below full scale.
    definition: the text of an espeak-ng voice file (language, phonemes, replace, formant, ... one a line), used
    instead of the voice that `name` finds; the name is then a label.
    """

    name: str
    rate: int = 175
    pitch: int = 50
    pitch_range: int = 50
    volume: int = 60
    word_gap: int = 0
    definition: str = ""

    def __post_init__(self) -> None:
        # espeak would speak English with the rest of the lines ignored.
        if self.definition and not self.definition.startswith("language "):
            raise ConfigError(
                f"the definition of voice {self.name!r} starts with {self.definition[:30]!r}; "
                "its first line has to be `language CODE`"
            )


def _paths() -> tuple[str, str]:
    try:
        import espeakng_loader
    except ImportError as error:
        raise ConfigError(
            "speech needs espeak-ng, and `espeakng_loader` is not installed; run: pip install 'autoglm-phone[speech]'"
        ) from error
    return espeakng_loader.get_library_path(), espeakng_loader.get_data_path()


class _DiedError(Exception):
    """The child's pipe closed in the middle of an utterance."""


class Child:
    """The speaking process and the pipes to it. `ask` is safe to call from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._spoken = 0
        self.starts = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def ask(self, request: dict[str, Any], timeout: float = TIMEOUT) -> tuple[bytes, bytes]:
        """The child's reply: its kind and its payload.

        Raises:
            EngineError: the child crashed twice on this request, or took longer than `timeout` seconds.
        """
        paths = _paths()
        data = json.dumps(request).encode()
        with self._lock:
            for _ in range(2):
                try:
                    return self._exchange(self._started(paths), struct.pack(">I", len(data)) + data, timeout)
                except _DiedError:
                    self._end()
                except BaseException:  # a reply may be under way: the next request must not read it
                    self._end()
                    raise
        raise EngineError("speech synthesis crashed on this text; change the text or the voice", code="speech_failed")

    def close(self) -> None:
        """End the child; the next request starts another."""
        with self._lock:
            self._end()

    def forget(self) -> None:
        """In a forked process: the child belongs to the parent, whose lock may be held."""
        process, self._process, self._lock = self._process, None, threading.Lock()
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                pipe.close()  # type: ignore[union-attr]
            process.returncode = 0  # not ours to wait for

    def _started(self, paths: tuple[str, str]) -> subprocess.Popen[bytes]:
        if self._process is not None and (self._spoken >= RECYCLE or self._process.poll() is not None):
            self._end()
        if self._process is None:
            script = str(Path(__file__).with_name("espeak_child.py"))
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", script, *paths, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is for the parent, which decides
            )
            os.set_blocking(self._process.stdin.fileno(), False)  # type: ignore[union-attr]
            self._spoken = 0
            self.starts += 1
        self._spoken += 1
        return self._process

    def _exchange(self, process: subprocess.Popen[bytes], data: bytes, timeout: float) -> tuple[bytes, bytes]:
        deadline = time.monotonic() + timeout
        to_child = process.stdin.fileno()  # type: ignore[union-attr]
        rest = memoryview(data)
        while rest:
            _wait(to_child, select.POLLOUT, deadline)
            try:
                rest = rest[os.write(to_child, rest) :]
            except BlockingIOError:
                continue
            except BrokenPipeError as error:
                raise _DiedError from error
        from_child = process.stdout.fileno()  # type: ignore[union-attr]
        head = _read(from_child, 5, deadline)
        return head[:1], _read(from_child, struct.unpack(">I", head[1:])[0], deadline)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            process.stdin.close()  # type: ignore[union-attr]
            process.stdout.close()  # type: ignore[union-attr]


def _wait(descriptor: int, event: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(descriptor, event)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise EngineError("speech synthesis took too long; send a shorter text", code="speech_timeout")


def _read(descriptor: int, count: int, deadline: float) -> bytes:
    out = bytearray()
    while len(out) < count:
        _wait(descriptor, select.POLLIN, deadline)
        part = os.read(descriptor, min(count - len(out), 1 << 20))
        if not part:
            raise _DiedError
        out += part
    return bytes(out)


child = Child()
atexit.register(child.close)
os.register_at_fork(after_in_child=child.forget)


def _ask(request: dict[str, Any], names: Sequence[str]) -> bytes:
    kind, payload = child.ask(request)
    if kind == b"E":
        fault = payload.decode()
        if fault in _FAULTS:
            raise ConfigError(_FAULTS[fault].format(names=", ".join(repr(name) for name in names)))
        raise InvalidRequestError("the speech is longer than an hour; send a shorter text", param="input")
    return payload


def speak(segments: Sequence[tuple[str, EspeakVoice]], seed: int = 1) -> np.ndarray:
    """Speak the segments one after the other. Returns int16 [T] at 22.05 kHz; `seed` drives breath noise."""
    parts = [
        [
            text.replace("\0", " "),
            v.name,
            v.definition,
            *(int(x) for x in (v.rate, v.pitch, v.pitch_range, v.volume, v.word_gap)),
        ]
        for text, v in segments
    ]
    names = sorted({voice.name for _, voice in segments})
    return np.frombuffer(_ask({"segments": parts, "seed": seed & 0x7FFFFFFF}, names), np.int16)


def phonemes(text: str, name: str, definition: str = "") -> str:
    """The phonemes that espeak speaks for this text, in its ASCII notation; name and definition as in `EspeakVoice`."""
    return _ask({"text": text.replace("\0", " "), "name": name, "definition": definition}, [name]).decode()
