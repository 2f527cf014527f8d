"""Shared by the tests of the whole server: its name, pictures and sound as clients send them, the bundled model."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import soundfile
from PIL import Image

from autoglm_phone.errors import CheckpointError
from autoglm_phone.models.registry import locate

MODEL = "autoglm-phone-9b"


def bundled() -> list[str]:
    try:
        return ["mini"] if any(locate("mini").glob("*.safetensors")) else []
    except CheckpointError:
        return []


def wav(seed: int = 0) -> bytes:
    """A second of noise."""
    out = io.BytesIO()
    soundfile.write(out, np.random.default_rng(seed).normal(0, 0.1, 16_000), 16_000, format="WAV")
    return out.getvalue()


def sound_part(data: bytes) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": base64.b64encode(data).decode(), "format": "wav"}}


def screenshot(size: tuple[int, int] = (1080, 2400)) -> str:
    out = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def picture_part(size: tuple[int, int]) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{screenshot(size)}"}}
