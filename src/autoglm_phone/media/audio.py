"""Bytes to bounded 16 kHz mono samples. The header's duration is checked first, then the samples as they come."""

from __future__ import annotations

import io
from math import gcd
from typing import Literal

import numpy as np
import soundfile

from autoglm_phone.errors import MediaError

SAMPLE_RATE = 16_000
FORMATS = ("WAV", "WAVEX", "FLAC", "OGG", "MP3")
MAX_CHANNELS = 8
MIN_RATE, MAX_RATE = 4_000, 384_000
ENCODINGS = {"wav": "audio/wav", "flac": "audio/flac", "mp3": "audio/mpeg"}  # what `encode` makes, and its MIME type
_BLOCK = 1 << 16  # frames read at a time: bounds what a small, dense file can unfold to
_STREAMED = 0x7FFF_0000  # a WAV of unknown length says nearly 2 or 4 GiB, or 0; no file that is accepted has as much
_SLACK = 64  # bytes that may be missing: encoders that miscount by a header's length lose 2 ms, not words
_ZEROS = 16  # zero crossings of the resampling kernel on each side


def decode_audio(data: bytes, *, param: str | None = None, max_seconds: float = 120.0) -> np.ndarray:
    """Mono samples at 16 kHz, float32 [T] in [-1, 1].

    Raises:
        MediaError: not a sound file of a known format, broken, empty, or longer than `max_seconds`.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(_whole_wav(data, param))) as sound:
            return _read(sound, param, max_seconds)
    except MediaError:
        raise
    except Exception as exc:  # libsndfile raises its own errors, and others on hostile headers
        raise MediaError(
            "the data is not a sound file that can be read; send WAV, FLAC, OGG or MP3", param=param
        ) from exc


def _read(sound: soundfile.SoundFile, param: str | None, max_seconds: float) -> np.ndarray:
    rate, channels = sound.samplerate, sound.channels
    if sound.format not in FORMATS:
        raise MediaError(f"sound format {sound.format} is not allowed; send WAV, FLAC, OGG or MP3", param=param)
    if not MIN_RATE <= rate <= MAX_RATE or not 1 <= channels <= MAX_CHANNELS:
        raise MediaError(
            f"{channels} channels at {rate} Hz: at most {MAX_CHANNELS} channels and {MIN_RATE}–{MAX_RATE} Hz are read",
            param=param,
        )
    if 0 < sound.frames < 2**62 and sound.frames > max_seconds * rate:  # some streams don't know their length
        raise _too_long(sound.frames / rate, param, max_seconds)
    resampler = Resampler(rate)
    parts: list[np.ndarray] = []
    frames = 0
    while True:
        block = sound.read(_BLOCK, dtype="float32", always_2d=True)
        if not len(block):
            break
        frames += len(block)
        if frames > max_seconds * rate:
            raise _too_long(None, param, max_seconds)
        check_finite(block, param)
        parts.append(resampler.push(block.mean(axis=1)))
    if not frames:
        raise MediaError("the sound file holds no samples", param=param)
    if sound.format == "FLAC" and frames < sound.frames < 2**62:
        raise _truncated(f"{sound.frames - frames:,} of its {sound.frames:,} samples are missing", param)
    parts.append(resampler.flush())
    return np.clip(np.concatenate(parts), -1.0, 1.0).astype(np.float32, copy=False)


def check_finite(samples: np.ndarray, param: str | None) -> None:
    """Raises MediaError for samples that are no numbers: whatever were heard instead of them would be made up."""
    if not np.isfinite(samples).all():
        raise MediaError("the sound holds samples that are NaN or infinite; encode it again", param=param)


def _whole_wav(data: bytes, param: str | None) -> bytes:
    """A WAV file as libsndfile reads it to its end.

    Raises:
        MediaError: its `data` chunk is shorter than the header says, and the header does not say "of unknown length".
    """
    order: Literal["little", "big"] = "big" if data[:4] == b"RIFX" else "little"
    at = 12
    while data[:4] in (b"RIFF", b"RIFX") and at + 8 <= len(data):
        size, here = int.from_bytes(data[at + 4 : at + 8], order), len(data) - at - 8
        if data[at : at + 4] != b"data":
            at += 8 + size + size % 2  # chunks begin at even places
            continue
        if (
            size == 0 and int.from_bytes(data[4:8], order) != len(data) - 8
        ):  # a stream's; libsndfile takes it by its word
            return data[: at + 4] + here.to_bytes(4, order) + data[at + 8 :]
        if here + _SLACK < size < _STREAMED:
            raise _truncated(f"{size - here:,} bytes of its sound are missing", param)
        break
    return data


def _truncated(what: str, param: str | None) -> MediaError:
    return MediaError(f"the sound file is cut off: {what}; send the complete file", param=param)


def _too_long(seconds: float | None, param: str | None, limit: float) -> MediaError:
    shown = f"{seconds:.0f} s of sound are" if seconds else "the recording is"
    return MediaError(
        f"{shown} too long: at most {limit:g} s are allowed; cut it into pieces", param=param, code="audio_too_long"
    )


class Resampler:
    """Streaming polyphase resampler to 16 kHz: a Kaiser-windowed sinc, cut off at 0.95 of the lower Nyquist rate.

    Output n lies at input time n * down / up; its fraction picks one of `up` filters ("phases").
    """

    def __init__(self, rate: int, target: int = SAMPLE_RATE):
        common = gcd(rate, target)
        self.up, self.down = target // common, rate // common
        cutoff = min(1.0, target / rate) * 0.95
        self.half = int(np.ceil(_ZEROS / cutoff))  # input samples on each side
        self._cutoff = cutoff
        # With an odd rate there may be thousands of phases: a table of 512 is then interpolated to the nearest.
        self.phases = min(self.up, 512)
        offsets = np.arange(-self.half + 1, self.half + 1)[None, :] - np.arange(self.phases)[:, None] / self.phases
        window = np.i0(12.0 * np.sqrt(np.clip(1 - (offsets / self.half) ** 2, 0, 1))) / np.i0(12.0)
        bank = cutoff * np.sinc(cutoff * offsets) * window
        self.bank = (bank / bank.sum(axis=1, keepdims=True)).astype(np.float32)  # [phases, 2 * half]
        self._buffer = np.zeros(self.half - 1, np.float32)  # starts half-1 zeros before input sample 0
        self._start = 0  # input index of output taps that the buffer's first sample serves
        self._next = 0  # next output's number
        self._seen = 0  # input samples so far

    def push(self, samples: np.ndarray) -> np.ndarray:
        """float32 [T] in → as many output samples as are settled."""
        self._seen += len(samples)
        if self.up == self.down:
            return samples.astype(np.float32, copy=False)
        self._buffer = np.concatenate([self._buffer, samples.astype(np.float32, copy=False)])
        ready = len(self._buffer) - 2 * self.half + 1 + self._start  # first input index whose taps are not all here
        last = -(-ready * self.up // self.down) if ready > 0 else 0  # outputs n with floor(n * down / up) < ready
        return self._emit(last)

    def flush(self) -> np.ndarray:
        """The rest: the input is continued with silence up to ceil(T * 16000 / rate) outputs."""
        if self.up == self.down:
            return np.zeros(0, np.float32)
        self._buffer = np.concatenate([self._buffer, np.zeros(2 * self.half, np.float32)])
        return self._emit(-(-self._seen * self.up // self.down))

    def _emit(self, last: int) -> np.ndarray:
        out: list[np.ndarray] = []
        while self._next < last:
            n = np.arange(self._next, min(last, self._next + 16_384), dtype=np.int64)
            at = n * self.down
            base = at // self.up - self._start
            phase = (at % self.up) * self.phases // self.up
            windows = np.lib.stride_tricks.sliding_window_view(self._buffer, 2 * self.half)[base]
            out.append(np.einsum("nt,nt->n", windows, self.bank[phase]))
            self._next += len(n)
        keep = self._next * self.down // self.up - self._start
        if keep > 0:
            self._buffer = self._buffer[keep:]
            self._start += keep
        return np.concatenate(out) if out else np.zeros(0, np.float32)


def resample(samples: np.ndarray, rate: int) -> np.ndarray:
    """Mono float32 [T] at `rate` Hz → float32 at 16 kHz, ceil(T * 16000 / rate) samples."""
    resampler = Resampler(rate)
    return np.concatenate([resampler.push(samples), resampler.flush()])


def split(samples: np.ndarray, seconds: float = 30.0, search: float = 3.0) -> list[np.ndarray]:
    """Cuts a recording into windows of at most `seconds`, at the quietest 50 ms of each window's last `search` s."""
    size, hop = int(seconds * SAMPLE_RATE), SAMPLE_RATE // 20
    windows: list[np.ndarray] = []
    while len(samples) > size:
        tail = samples[size - int(search * SAMPLE_RATE) : size]
        energy = (tail[: len(tail) // hop * hop].reshape(-1, hop) ** 2).mean(axis=1)
        # Ties (digital silence) go to the latest cut, so that windows stay long.
        quiet = len(energy) - 1 - int(np.argmin(energy[::-1]))
        cut = size - int(search * SAMPLE_RATE) + quiet * hop + hop // 2
        windows.append(samples[:cut])
        samples = samples[cut:]
    windows.append(samples)
    return windows


def encode(wave: bytes, kind: str) -> bytes:
    """A WAV file as one of ENCODINGS."""
    if kind == "wav":
        return wave
    samples, rate = soundfile.read(io.BytesIO(wave), dtype="int16")
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=kind.upper())
    return out.getvalue()
