"""The process that runs espeak-ng for `media.espeak`: native code that may crash, kept where it takes nobody along.

Run as a script of the standard library alone (`python -I espeak_child.py LIBRARY DATA`), so that nothing else lives in
its heap: no forked locks, no other native library, no half-finished fork. Requests come on stdin as a big-endian uint32
length and JSON; replies go to stdout as one byte of kind, a uint32 length and the payload: "A" 16-bit samples,
"T" UTF-8 text, "E" a code that `media.espeak` puts into words. It ends with its parent.

espeak keeps the state of its wave generator (flutter phase, noise, echo) from one utterance to the next. The library is
unloaded after each utterance (0.6 ms to load again): an utterance depends on its arguments alone, bit for bit.

A voice comes by name or as the text of a voice file. espeak reads voices from files alone, so the text goes into a file
in memory that nobody else sees and that ends with the call (a temporary one where the system has no such files).
"""

from __future__ import annotations

import _ctypes
import ctypes
import json
import os
import resource
import select
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

RATE = 22_050  # Hz
SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: speak inside the call, samples through the callback
DONT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT: report missing data instead of ending the process
UTF8 = 1
PARAMETERS = (1, 3, 4, 2, 7)  # rate, pitch, pitch range, volume, word gap: the order of `EspeakVoice`'s fields
MAX_BYTES = 2 * RATE * 3600  # an hour of sound: 4096 characters at the slowest speed take about 20 minutes
MEMORY = 1 << 30  # bytes of address space
LOOK_SECONDS = 5.0  # how often an idle child looks whether its parent still lives

_chunks: list[bytes] = []
_size = 0


class FaultError(Exception):
    """Its message is the code that goes to the parent."""


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
def _receive(samples: int | None, count: int, _events: int | None) -> int:
    """One callback for the life of the process, never freed. Nonzero stops espeak."""
    global _size
    if samples and count > 0:
        _size += count * 2
        if _size > MAX_BYTES:
            return 1
        _chunks.append(ctypes.string_at(samples, count * 2))
    return 0


@contextmanager
def _library(path: str, data: bytes) -> Iterator[ctypes.CDLL]:
    """A freshly loaded and initialised espeak; unloaded at the end, and with it all its static state."""
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise FaultError("library") from error
    try:
        if library.espeak_Initialize(SYNCHRONOUS, 0, data, DONT_EXIT) != RATE:
            raise FaultError("data")
        yield library
    finally:
        library.espeak_Terminate()
        _ctypes.dlclose(library._handle)


@contextmanager
def _voice_file(definition: str) -> Iterator[str]:
    """A path to a file of this content. espeak puts paths in lower case and cuts them at 59 characters."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("voice")
        try:
            os.write(descriptor, definition.encode())
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        from tempfile import TemporaryDirectory

        with TemporaryDirectory() as folder:
            before = os.getcwd()
            with open(os.path.join(folder, "voice"), "w", encoding="utf-8") as file:
                file.write(definition)
            os.chdir(folder)  # a relative path is short and lower-case wherever the system keeps its temporary files
            try:
                yield "voice"
            finally:
                os.chdir(before)


def _choose(library: ctypes.CDLL, name: str, definition: str) -> None:
    """The voice of this definition, or of this name if there is none."""
    if definition:
        with _voice_file(definition) as path:
            status = library.espeak_ng_SetVoiceByFile(path.encode())
    else:
        status = library.espeak_SetVoiceByName(name.encode())
    if status != 0:
        raise FaultError("voice")


def _set_voice(library: ctypes.CDLL, name: str, definition: str, values: list[int]) -> None:
    _choose(library, name, definition)
    for number, value in zip(PARAMETERS, values, strict=True):
        library.espeak_SetParameter(number, value, 0)


def _speak(library: ctypes.CDLL, segments: list[list[Any]], seed: int) -> bytes:
    """segments: [text, voice name, voice file's text or "", *values of PARAMETERS]."""
    global _size
    _chunks.clear()
    _size = 0
    library.espeak_SetSynthCallback(_receive)
    library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
    synth = library.espeak_Synth
    word = ctypes.c_uint
    synth.argtypes = [
        ctypes.c_char_p, ctypes.c_size_t, word, ctypes.c_int, word, word, ctypes.c_void_p, ctypes.c_void_p
    ]  # fmt: skip
    for text, name, definition, *values in segments:
        _set_voice(library, name, definition, values)
        encoded = text.encode("utf-8", "replace")
        synth(encoded, len(encoded) + 1, 0, 1, 0, UTF8, None, None)
    if _size > MAX_BYTES:
        raise FaultError("long")
    return b"".join(_chunks)


def _phonemes(library: ctypes.CDLL, text: str, name: str, definition: str) -> bytes:
    _choose(library, name, definition)
    translate = library.espeak_TextToPhonemes
    translate.restype = ctypes.c_char_p
    translate.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int]
    buffer = ctypes.create_string_buffer(text.encode("utf-8", "replace"))
    cursor = ctypes.c_void_p(ctypes.addressof(buffer))
    clauses = []
    while cursor.value:
        clauses.append(translate(ctypes.byref(cursor), UTF8, 0) or b"")
    return b" ".join(clause for clause in clauses if clause)


def _answer(path: str, data: bytes, request: dict[str, Any]) -> tuple[bytes, bytes]:
    try:
        with _library(path, data) as library:
            if "segments" in request:
                return b"A", _speak(library, request["segments"], request["seed"])
            return b"T", _phonemes(library, request["text"], request["name"], request.get("definition", ""))
    except FaultError as fault:
        return b"E", str(fault).encode()


def _read(parent: int, count: int) -> bytes:
    """Exactly `count` bytes; ends the process with its parent (siblings may hold the pipe open)."""
    out = b""
    while len(out) < count:
        while not select.select([0], [], [], LOOK_SECONDS)[0]:
            if os.getppid() != parent:
                os._exit(0)
        part = os.read(0, count - len(out))
        if not part:
            os._exit(0)
        out += part
    return out


def main() -> None:
    path, data, parent = sys.argv[1], os.fsencode(sys.argv[2]), int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    replies = os.dup(1)
    os.dup2(2, 1)  # what native code prints must not get between the replies
    while True:
        (length,) = struct.unpack(">I", _read(parent, 4))
        kind, payload = _answer(path, data, json.loads(_read(parent, length)))
        reply = memoryview(kind + struct.pack(">I", len(payload)) + payload)
        while reply:
            reply = reply[os.write(replies, reply) :]


if __name__ == "__main__":
    main()
