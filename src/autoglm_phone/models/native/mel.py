"""Log-mel spectrogram in numpy: 25 ms Hann windows every 10 ms, Whisper's compression (Radford et al. 2022)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

SAMPLE_RATE = 16_000
HOP = 160  # samples: 100 frames a second
WINDOW = 400  # samples
FFT = 512
MIN_SAMPLES = 1600  # shorter clips are padded to 0.1 s


@lru_cache(maxsize=4)
def mel_filters(bins: int) -> np.ndarray:
    """Triangular filters, float32 [bins, FFT/2 + 1], on the HTK mel scale from 20 Hz to 7.6 kHz, unit peak."""

    def to_mel(hz: np.ndarray | float) -> np.ndarray:
        return 2595.0 * np.log10(1.0 + np.asarray(hz) / 700.0)

    points = 700.0 * (10.0 ** (np.linspace(to_mel(20.0), to_mel(7600.0), bins + 2) / 2595.0) - 1.0)
    freqs = np.linspace(0.0, SAMPLE_RATE / 2, FFT // 2 + 1)
    rising = (freqs[None] - points[:-2, None]) / (points[1:-1] - points[:-2])[:, None]
    falling = (points[2:, None] - freqs[None]) / (points[2:] - points[1:-1])[:, None]
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


def log_mel(samples: np.ndarray, bins: int = 80) -> np.ndarray:
    """float32 [T] at 16 kHz in [-1, 1] → float32 [bins, T // 160], about -1…1, floored 80 dB below the peak."""
    samples = np.asarray(samples, dtype=np.float32)
    if samples.shape[0] < MIN_SAMPLES:
        samples = np.pad(samples, (0, MIN_SAMPLES - samples.shape[0]))
    frames = samples.shape[0] // HOP
    padded = np.pad(samples, (WINDOW // 2, WINDOW // 2), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:frames]
    spectrum = np.fft.rfft(windows * np.hanning(WINDOW + 1)[:-1].astype(np.float32), FFT, axis=-1)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    logged = np.log10(np.maximum(mel_filters(bins) @ power.T, 1e-10))
    logged = np.maximum(logged, logged.max() - 8.0)
    return ((logged + 4.0) / 4.0).astype(np.float32)
