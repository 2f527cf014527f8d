"""Changes of a finished voice that no synthesizer makes: formants without pitch, melody, tempo without pitch.

Formants: the spectral envelope of 32 ms frames (a cepstrum without its fine structure, as in Oppenheim & Schafer's
homomorphic analysis) is read at other frequencies. Tempo: WSOLA (Verhelst & Roelands 1993), frames laid down where they
fit the wave that they continue. Melody: a reading speed that wanders. Arrays are float32 mono at 16 kHz.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from autoglm_phone.train.world.sample import SAMPLE_RATE

FRAME = 512  # samples: 32 ms
HOP = 128
COEFFICIENTS = 28  # of the cepstrum: finer structure than 1.75 ms is the pitch's up to 570 Hz
SEARCH = 120  # samples that WSOLA looks to either side: half a period of 67 Hz


@dataclass(frozen=True)
class Reshape:
    """formants: factor on their frequencies. tempo: 1.2 = a fifth quicker. melody: semitones at equal distances."""

    formants: float = 1.0
    tempo: float = 1.0
    melody: tuple[float, ...] = ()

    def apply(self, samples: np.ndarray) -> np.ndarray:
        """The changed voice; clips shorter than two frames stay as they are."""
        if len(samples) < 2 * FRAME:
            return samples
        if self.formants != 1.0:
            samples = move_formants(samples, self.formants)
        if self.tempo != 1.0:
            samples = change_tempo(samples, self.tempo)
        return bend(samples, self.melody) if self.melody else samples


def draw(rng: random.Random) -> Reshape:
    """One change or more."""
    formants = rng.uniform(0.86, 1.18) if rng.random() < 0.7 else 1.0
    tempo = rng.uniform(0.84, 1.2) if rng.random() < 0.35 else 1.0
    melody: tuple[float, ...] = ()
    if rng.random() < 0.4 or formants == tempo == 1.0:
        middle = rng.uniform(-1.2, 1.2)
        melody = tuple(middle + rng.uniform(-1, 1) for _ in range(rng.randint(3, 9)))
    return Reshape(formants, tempo, melody)


@lru_cache(maxsize=1)
def _window() -> np.ndarray:
    return np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)).astype(np.float32)


@lru_cache(maxsize=1)
def _basis() -> np.ndarray:
    """Cosines [FRAME/2+1, COEFFICIENTS]: a log spectrum times this is its cepstrum."""
    return _cosines(np.arange(FRAME // 2 + 1))


def _cosines(bins: np.ndarray) -> np.ndarray:
    return np.cos(np.pi * np.outer(bins, np.arange(COEFFICIENTS)) / (FRAME // 2)).astype(np.float32)


def move_formants(samples: np.ndarray, factor: float) -> np.ndarray:
    """Formants at `factor` times their frequencies under the same pitch: float32 [T]."""
    frames = 1 + -(-(len(samples) + FRAME) // HOP)
    padded = np.zeros((frames - 1) * HOP + FRAME, np.float32)
    padded[FRAME // 2 : FRAME // 2 + len(samples)] = samples
    window = _window()
    spectrum = np.fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP] * window)
    power = np.abs(spectrum).astype(np.float32)
    floor = 1e-3 * power.max(axis=1, keepdims=True) + np.float32(1e-6)
    cepstrum = np.log(power + floor) @ _basis() * np.float32(4 / FRAME)  # [frames, COEFFICIENTS]
    bins = np.arange(FRAME // 2 + 1) / factor
    change = cepstrum @ (_cosines(np.minimum(bins, FRAME // 2)) - _basis()).T
    spectrum *= np.exp(np.clip(change, -4, 3))
    pieces = np.fft.irfft(spectrum, FRAME).astype(np.float32) * window
    out = np.zeros_like(padded)
    for k in range(FRAME // HOP):  # every fourth frame touches the one before: a whole lane is added at once
        lane = pieces[k :: FRAME // HOP].reshape(-1)
        out[k * HOP : k * HOP + len(lane)] += lane
    return out[FRAME // 2 : FRAME // 2 + len(samples)] * np.float32(2 * HOP / FRAME)


def change_tempo(samples: np.ndarray, factor: float) -> np.ndarray:
    """`factor` times as quick at the same pitch: float32 [about T/factor]."""
    step = FRAME // 2
    fade = _window() ** 2
    padded = np.concatenate([np.zeros(SEARCH, np.float32), samples, np.zeros(FRAME + step + 2 * SEARCH, np.float32)])
    count = int(len(samples) / factor / step) + 1
    out = np.zeros((count + 1) * step, np.float32)
    at = SEARCH
    for k in range(count):
        if k:
            wanted = padded[at + step : at + step + FRAME]  # what would follow naturally
            first = min(int(k * step * factor), len(padded) - FRAME - 2 * SEARCH)
            at = first + int(np.argmax(np.correlate(padded[first : first + FRAME + 2 * SEARCH], wanted)))
            at = min(at, len(padded) - FRAME - step)
        out[k * step : k * step + FRAME] += padded[at : at + FRAME] * fade
    return out[: round(len(samples) / factor)]


def bend(samples: np.ndarray, melody: tuple[float, ...]) -> np.ndarray:
    """Pitch moved by `melody` (semitones), smoothly: read quicker where it is higher. float32 [about T]."""
    points = np.linspace(0, len(samples), len(melody))
    coarse = np.arange(0, len(samples), SAMPLE_RATE // 100)
    speed = 2.0 ** (np.interp(coarse, points, melody) / 12)
    reached = np.concatenate([[0.0], np.cumsum(speed) * (SAMPLE_RATE // 100)])
    times = np.arange(len(reached)) * (SAMPLE_RATE // 100)
    length = int(np.interp(len(samples) - 2, reached, times))
    where = np.interp(np.arange(length), times, reached)
    whole = np.minimum(where.astype(np.int64), len(samples) - 2)
    rest = (where - whole).astype(np.float32)
    return samples[whole] * (1 - rest) + samples[whole + 1] * rest
