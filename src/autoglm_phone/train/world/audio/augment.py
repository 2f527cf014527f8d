"""Rooms, microphones, lines and noise: what happens to a voice before a model hears it.

All filters are gains in the frequency domain (the microphone's ride on the resampling); arrays are float32 mono at
16 kHz. Each step is drawn from the sample's generator and repeatable.
"""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np

from autoglm_phone.train.world.sample import SAMPLE_RATE

Response = tuple[tuple[float, float], ...]  # (Hz, dB) points of a frequency response


@lru_cache(maxsize=8192)
def fast_length(n: int) -> int:
    """The smallest even 2^a·3^b·5^c >= n: a length that FFTs like."""
    best = 1 << max(1, (n - 1).bit_length())
    five = 1
    while five < best:
        three = five
        while three < best:
            two = three
            while two < n or two % 2:
                two *= 2
            best = min(best, two)
            three *= 3
        five *= 5
    return best


def noise_generator(rng: random.Random) -> np.random.Generator:
    """numpy's generator for this sample. SFC64 draws float32 normals quickly and is stable across versions."""
    return np.random.Generator(np.random.SFC64(rng.getrandbits(63)))


def resample(samples: np.ndarray, rate: float, response: Response = ()) -> np.ndarray:
    """Band-limited resampling from `rate` Hz to 16 kHz through the spectrum; lengths are rounded up to
    FFT-friendly ones, which moves the tempo by up to 3 %.

    Passing a `rate` other than the true one moves pitch and formants together: another vocal tract. `response` is a
    microphone's, applied on the way.
    """
    pad = int(0.02 * rate)
    n = fast_length(len(samples) + 2 * pad)
    m = fast_length(round(n * SAMPLE_RATE / rate))
    padded = np.zeros(n, np.float32)
    padded[pad : pad + len(samples)] = samples
    spectrum = np.fft.rfft(padded)
    keep = min(n, m) // 2 + 1
    shaped = np.zeros(m // 2 + 1, spectrum.dtype)
    shaped[:keep] = spectrum[:keep]
    # A soft edge instead of a wall at the new Nyquist frequency: no ringing.
    edge = max(2, keep // 24)
    shaped[keep - edge : keep] *= np.linspace(1, 0, edge, dtype=np.float32)
    if response:
        shaped *= _gains(m, response)
    out = np.fft.irfft(shaped, m).astype(np.float32) * np.float32(m / n)
    return out[: min(m, round((len(samples) + 2 * pad) * m / n))]


def _gains(m: int, points: Response) -> np.ndarray:
    """Smooth gains [m//2+1] through (Hz, dB) points, linear on a logarithmic frequency axis."""
    hz = np.fft.rfftfreq(m, 1 / SAMPLE_RATE).astype(np.float32)
    frequencies, levels = zip(*points, strict=True)
    db = np.interp(np.log(hz + 20), np.log(np.asarray(frequencies) + 20), levels)
    return (10 ** (db / 20)).astype(np.float32)


def microphone(rng: random.Random) -> Response:
    """A frequency response: flat, bumpy, sometimes the narrow band of a telephone line or a laptop speaker."""
    kind = rng.random()
    if kind < 0.1:
        return ()
    if kind < 0.22:
        low, high = rng.uniform(200, 400), rng.uniform(3000, 3800)
        return ((0, -40), (low * 0.6, -24), (low, 0), (high, 0), (high * 1.25, -30), (8000, -45))
    tilt = rng.uniform(-6, 4)
    points = [(0.0, rng.uniform(-20, 0)), (120.0, rng.uniform(-6, 2))]
    points += [(hz, tilt * hz / 8000 + rng.uniform(-3, 3)) for hz in (300.0, 800.0, 1800.0, 3500.0, 6000.0)]
    return (*points, (8000.0, tilt + rng.uniform(-8, 2)))


def room(rng: random.Random, noise: np.random.Generator, n_fft: int) -> np.ndarray:
    """The spectrum of a synthetic impulse response: direct path, a few early reflections, an exponential tail."""
    rt60 = rng.uniform(0.08, 0.6)  # s, time to fall by 60 dB
    length = int(rt60 * 0.7 * SAMPLE_RATE)
    decay = np.exp(-6.9 * np.arange(length, dtype=np.float32) / (rt60 * SAMPLE_RATE))
    tail = noise.standard_normal(length, dtype=np.float32) * decay
    tail[: int(0.004 * SAMPLE_RATE)] = 0
    for _ in range(rng.randint(2, 6)):
        tail[rng.randint(30, min(length - 1, 800))] += rng.uniform(2, 8) * rng.choice((-1, 1))
    tail *= rng.uniform(0.08, 0.7) / (np.sqrt(np.sum(tail * tail)) + 1e-9)
    tail[0] = 1.0
    return np.fft.rfft(tail, n_fft)


_NOISES = ("white", "pink", "pink", "pink", "brown", "brown", "band", "band", "band", "band", "hum", "hum")
_NOISE_SECONDS = 12


@lru_cache(maxsize=64)
def _noise_tape(kind: str, number: int) -> np.ndarray:
    """12 s of one noise, unit variance, the same in every process: made once, then cut from."""
    rng = random.Random(f"noise/{kind}/{number}")
    noise = noise_generator(rng)
    n = fast_length(_NOISE_SECONDS * SAMPLE_RATE)
    if kind == "white":
        return noise.standard_normal(n, dtype=np.float32)
    if kind == "hum":
        t = np.arange(n, dtype=np.float32) / SAMPLE_RATE
        base = rng.choice((50.0, 60.0, rng.uniform(80, 240)))
        out = 0.1 * noise.standard_normal(n, dtype=np.float32)
        for k in range(1, 7):
            out += np.float32(rng.uniform(0.1, 1) / k) * np.sin(2 * np.pi * base * k * t + rng.uniform(0, 6))
    else:
        half = n // 2 + 1
        spectrum = noise.standard_normal(2 * half, dtype=np.float32).view(np.complex64)
        k_hz = np.arange(1, half + 1, dtype=np.float32)
        if kind == "band":
            centre, width = rng.uniform(0.05, 0.8) * half, rng.uniform(0.03, 0.3) * half
            spectrum *= np.exp(-(((k_hz - centre) / width) ** 2)) + np.float32(0.02)
        else:
            spectrum *= k_hz ** (-0.5 if kind == "pink" else -1.0)
        out = np.fft.irfft(spectrum, n).astype(np.float32)
    return (out / (out.std() + 1e-9)).astype(np.float32)


def _coloured(rng: random.Random, n: int) -> np.ndarray:
    """n samples of white, pink, brown, band or hum noise, unit variance."""
    number = rng.randrange(len(_NOISES))
    return excerpt(rng, _noise_tape(_NOISES[number], number), n)


def excerpt(rng: random.Random, tape: np.ndarray, n: int) -> np.ndarray:
    """n samples from a random place of a tape, forwards or backwards, around its end if need be."""
    start = rng.randrange(len(tape))
    cut = np.take(tape, np.arange(start, start + n), mode="wrap")
    return cut[::-1] if rng.random() < 0.5 else cut


def _degrade(samples: np.ndarray, rng: random.Random) -> np.ndarray:
    """Clipping, few bits, mu-law or a lossy codec's missing top: at most one of them, mostly none."""
    draw = rng.random()
    if draw < 0.05:
        peak = float(np.abs(samples).max()) * rng.uniform(0.3, 0.8)
        return np.clip(samples, -peak, peak)
    if draw < 0.09:
        steps = 2 ** rng.randint(6, 9)
        return np.round(samples * steps) / np.float32(steps)
    if draw < 0.14:
        magnitude = np.log1p(255 * np.abs(samples)) / np.log(256.0)
        magnitude = np.round(magnitude * 127) / 127
        return (np.sign(samples) * (256.0**magnitude - 1) / 255).astype(np.float32)
    if draw < 0.22:  # a low bit rate: the weak bins of each 32 ms frame are dropped
        frame = 512
        n = len(samples) // frame * frame
        spectrum = np.fft.rfft(samples[:n].reshape(-1, frame))
        power = np.abs(spectrum)
        spectrum[power < rng.uniform(0.01, 0.05) * power.max(axis=1, keepdims=True)] = 0
        return np.concatenate([np.fft.irfft(spectrum).reshape(-1).astype(np.float32), samples[n:]])
    return samples


def apply(samples: np.ndarray, rng: random.Random, babble: np.ndarray | None = None) -> np.ndarray:
    """Put a clip into the world: room, noise, line, level, silence around. float32 in [-1, 1].

    babble: other voices [T'], mixed in if given. A tenth of the clips stay clean.
    """
    noise = noise_generator(rng)
    clean = rng.random() < 0.1
    lead = int(rng.uniform(0.02, 0.5) * SAMPLE_RATE)
    trail = int(rng.uniform(0.05, 0.5) * SAMPLE_RATE)
    out = np.zeros(lead + len(samples) + trail, np.float32)
    out[lead : lead + len(samples)] = samples
    n = len(out)
    if not clean and rng.random() < 0.5:
        m = fast_length(n + 4000)
        spectrum = np.fft.rfft(out, m) * room(rng, noise, m)
        out = np.fft.irfft(spectrum, m)[:n].astype(np.float32)
    out = out / np.float32(np.sqrt(np.mean(out[lead : lead + len(samples)] ** 2)) + 1e-9)
    if not clean:
        if babble is not None:
            out += excerpt(rng, babble, n) * np.float32(10 ** (-rng.uniform(10, 35) / 20))
        if rng.random() < 0.75:
            level = 10 ** (-rng.uniform(5, 40) / 20)
            out += _coloured(rng, n) * np.float32(level)
        out = _degrade(out, rng)
    peak = float(np.abs(out).max()) + 1e-9
    # Loudness as recordings have it: from a whisper across the room to full scale.
    target = 10 ** (rng.uniform(-22, -0.2) / 20)
    return (out * np.float32(target / peak)).astype(np.float32)
