"""Sound: formats, resampling against the ideal, and recordings that are too long or not sound at all."""

from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc

import numpy as np
import pytest
import soundfile

from autoglm_phone.errors import MediaError
from autoglm_phone.media.audio import Resampler, decode_audio, encode, resample, split
from autoglm_phone.media.load import MediaLimits, MediaLoader


def tone(rate: int, seconds: float = 1.0, hertz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


def sound(rate: int = 16_000, seconds: float = 1.0, kind: str = "WAV", channels: int = 1, **options: str) -> bytes:
    out = io.BytesIO()
    samples = np.repeat(tone(rate, seconds)[:, None], channels, axis=1)
    soundfile.write(out, samples, rate, format=kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000, 12345])
def test_resampling_keeps_tones(rate: int) -> None:
    out = resample(tone(rate), rate)
    assert len(out) == 16_000
    ideal = tone(16_000)
    assert np.abs(out - ideal)[400:-400].max() < 1e-3


@pytest.mark.parametrize("rate", [44100, 48000, 22050])
def test_resampling_removes_what_16_khz_can_not_hold(rate: int) -> None:
    assert np.abs(resample(tone(rate, hertz=9_500), rate))[400:-400].max() < 1e-3


def test_resampling_in_pieces_is_the_same() -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 50_000).astype(np.float32)
    resampler = Resampler(44_100)
    pieces = [resampler.push(p) for p in np.split(samples, [1, 2, 700, 20_000])] + [resampler.flush()]
    np.testing.assert_array_equal(np.concatenate(pieces), resample(samples, 44_100))


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize("channels", [1, 2])
def test_formats(kind: str, channels: int) -> None:
    out = decode_audio(sound(44_100, 1.0, kind, channels))
    assert out.dtype == np.float32
    assert abs(len(out) - 16_000) < 2_000
    assert 0.3 < np.abs(out[4000:12000]).max() < 0.7


def test_opus() -> None:
    assert abs(len(decode_audio(sound(48_000, 1.0, "OGG", subtype="OPUS"))) - 16_000) < 2_000


def test_two_hours_are_refused_by_the_header() -> None:
    out = io.BytesIO()
    soundfile.write(out, np.zeros(2 * 3600 * 8000, np.int16), 8000, format="FLAC")
    tracemalloc.start()
    with pytest.raises(MediaError, match="7200 s of sound are too long"):
        decode_audio(out.getvalue(), max_seconds=600)
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_a_header_that_lies_about_its_length() -> None:
    data = bytearray(sound(8000, 20.0, "OGG"))
    with pytest.raises(MediaError):
        decode_audio(bytes(data), max_seconds=5)


def test_a_header_that_claims_too_much() -> None:
    data = bytearray(sound())
    data[40:44] = struct.pack("<I", 0xFFFFFFF0)
    with contextlib.suppress(MediaError):
        assert len(decode_audio(bytes(data))) <= 16_000


@pytest.mark.parametrize(
    "data", [b"", b"this is a text file called .wav", b"RIFF\0\0\0\0WAVE", sound()[:30], b"\0" * 10_000]
)
def test_what_is_not_sound(data: bytes) -> None:
    with pytest.raises(MediaError):
        decode_audio(data)


def test_other_containers_are_refused() -> None:
    for kind in ("AIFF", "AU", "CAF"):
        with pytest.raises(MediaError, match="not allowed"):
            decode_audio(sound(kind=kind))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused(bad: float) -> None:
    samples = tone(16_000)
    samples[5000] = bad
    out = io.BytesIO()
    soundfile.write(out, samples, 16_000, format="WAV", subtype="FLOAT")
    with pytest.raises(MediaError, match="NaN or infinite"):
        decode_audio(out.getvalue())
    loader = MediaLoader(MediaLimits(), trusted=True)
    for source in (samples, (samples, 16_000)):
        with pytest.raises(MediaError, match="NaN or infinite"):
            loader.audio(source, "x")


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "FLAC"])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_a_file_that_was_cut_off_is_refused(kind: str, subtype: str) -> None:
    whole = sound(kind=kind, subtype=subtype)
    assert len(decode_audio(whole)) == 16_000
    for size in (len(whole) // 10, len(whole) * 9 // 10):
        with pytest.raises(MediaError):
            decode_audio(whole[:size])
    if kind != "FLAC":
        with pytest.raises(MediaError, match=r"cut off: [\d,]+ bytes"):
            decode_audio(whole[:3000])
        assert len(decode_audio(whole[:-20])) > 15_980  # what a sloppy encoder miscounts does no harm


def test_a_wav_whose_header_says_more_than_there_is() -> None:
    data = bytearray(sound())
    data[40:44] = struct.pack("<I", 64_000)  # of 32,000 bytes
    with pytest.raises(MediaError, match="32,000 bytes of its sound are missing"):
        decode_audio(bytes(data))


@pytest.mark.parametrize("length", [0, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFF000])
def test_a_wav_that_was_streamed_says_no_length_and_is_read(length: int) -> None:
    """As ffmpeg, sox and arecord write into a pipe."""
    data = bytearray(sound())
    assert data[36:40] == b"data"
    data[4:8] = data[40:44] = struct.pack("<I", length)
    np.testing.assert_allclose(decode_audio(bytes(data)), decode_audio(sound()))


def test_chunks_before_the_sound_are_stepped_over() -> None:
    data = sound()
    odd = b"LIST" + struct.pack("<I", 5) + b"INFOx\0"  # padded to an even size
    assert len(decode_audio(data[:36] + odd + data[36:])) == 16_000
    with pytest.raises(MediaError, match="cut off"):
        decode_audio((data[:36] + odd + data[36:])[:9000])


def test_windows_cut_where_it_is_quiet() -> None:
    samples = tone(16_000, 70.0)
    samples[28 * 16_000 : 28 * 16_000 + 4000] = 0
    windows = split(samples)
    assert [round(len(w) / 16_000) for w in windows[:1]] == [28]
    assert sum(map(len, windows)) == len(samples)
    assert max(map(len, windows)) <= 30 * 16_000


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3"])
def test_encodings(kind: str) -> None:
    assert len(decode_audio(encode(sound(22_050), kind))) > 15_000
