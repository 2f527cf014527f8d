"""CMU flite through ctypes: a diphone voice and three statistical ones for English, as a second way to make a voice.

Debian's `libflite1` (and so this module) is optional: `available()` is false without it and espeak speaks instead.
The statistical voices cost about 80 ms for 3 s of speech on one core, the diphone voice 5 ms.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from autoglm_phone.errors import ConfigError

DIPHONE = ("kal16", "kal")
STATISTICAL = ("awb", "rms", "slt")


class _Wave(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    )


class _Voice(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("features", ctypes.c_void_p))


@dataclass(frozen=True)
class FliteVoice:
    """stretch: duration factor (1.2 = slower). pitch: mean F0 in Hz."""

    name: str
    stretch: float = 1.0
    pitch: float = 110.0


@lru_cache(maxsize=1)
def _load() -> tuple[ctypes.CDLL, dict[str, Any]] | None:
    try:
        library = ctypes.CDLL("libflite.so.1", mode=ctypes.RTLD_GLOBAL)
        for dependency in ("libflite_usenglish.so.1", "libflite_cmulex.so.1"):
            ctypes.CDLL(dependency, mode=ctypes.RTLD_GLOBAL)
        library.flite_init()
        library.flite_text_to_wave.restype = ctypes.POINTER(_Wave)
        library.flite_text_to_wave.argtypes = [ctypes.c_char_p, ctypes.POINTER(_Voice)]
        library.flite_feat_set_float.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_float]
        library.delete_wave.argtypes = [ctypes.POINTER(_Wave)]
        voices = {}
        for name in DIPHONE + STATISTICAL:
            register = getattr(ctypes.CDLL(f"libflite_cmu_us_{name}.so.1"), f"register_cmu_us_{name}")
            register.restype = ctypes.POINTER(_Voice)
            register.argtypes = [ctypes.c_char_p]
            voices[name] = register(None)
    except (OSError, AttributeError):
        return None
    return library, voices


def available() -> bool:
    return _load() is not None


def speak(text: str, voice: FliteVoice, seed: int = 1) -> tuple[np.ndarray, int]:
    """Returns int16 [T] and its rate in Hz (8000 for kal, else 16000)."""
    loaded = _load()
    if loaded is None or voice.name not in loaded[1]:
        raise ConfigError(f"flite voice {voice.name!r} is not here; install Debian's libflite1 or use an espeak voice")
    library, voices = loaded
    handle = voices[voice.name]
    features = handle.contents.features
    library.flite_feat_set_float(features, b"duration_stretch", voice.stretch)
    library.flite_feat_set_float(features, b"int_f0_target_mean", voice.pitch)
    # The statistical voices excite their filter with the C library's rand(): seeding it makes a clip repeatable.
    ctypes.CDLL(None).srand(ctypes.c_uint(seed & 0x7FFFFFFF))
    wave = library.flite_text_to_wave(text.encode("ascii", "ignore"), handle)
    if not wave:
        raise ConfigError(f"flite could not speak {text[:40]!r}")
    samples = np.ctypeslib.as_array(wave.contents.samples, (wave.contents.num_samples,)).copy()
    rate = wave.contents.sample_rate
    library.delete_wave(wave)
    return samples, rate
