"""From what a client sent to a bounded picture or bounded samples: every medium enters through `MediaLoader`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from autoglm_phone.errors import InvalidRequestError, MediaError
from autoglm_phone.media import audio, decode
from autoglm_phone.media.fetch import FetchPolicy, fetch


@dataclass(frozen=True)
class MediaLimits:
    """max_images, max_audios: per request. max_pixels: of the encoded picture, before the model's own resizing."""

    max_images: int = 10
    max_audios: int = 10
    max_pixels: int = decode.MAX_PIXELS
    max_bytes: int = decode.MAX_BYTES
    max_seconds: float = 120.0  # of one clip in a chat
    fetch: FetchPolicy = field(default_factory=FetchPolicy)


class MediaLoader:
    """`trusted`: offline use by the machine's own user, who may also name files."""

    def __init__(self, limits: MediaLimits, *, trusted: bool = False):
        self.limits = limits
        self._trusted = trusted

    def check_counts(self, kinds: Sequence[str]) -> None:
        """Raises InvalidRequestError when a request holds more media than allowed; looks at nothing else."""
        for kind, limit, name in (
            ("image", self.limits.max_images, "pictures"),
            ("audio", self.limits.max_audios, "audio clips"),
        ):
            count = sum(k == kind for k in kinds)
            if count > limit:
                raise InvalidRequestError(
                    f"the request holds {count} {name}; this server allows {limit} (--limit-mm-per-prompt)",
                    param="messages",
                    code="too_many_media",
                )

    def image(self, source: Any, param: str) -> Image.Image:
        """RGB picture of a data URL, bare Base64, allowed URL; offline also of a path, bytes or PIL image."""
        if isinstance(source, Image.Image):  # no request can hold one: it comes from this process
            return source.convert("RGB")
        return decode.decode_image(self.bring(source, param), param=param, max_pixels=self.limits.max_pixels)

    def audio(self, source: Any, param: str) -> np.ndarray:
        """Mono float32 [T] at 16 kHz; offline also of a path, bytes or samples (16 kHz, or a (samples, rate) pair)."""
        if isinstance(source, np.ndarray):
            audio.check_finite(source, param)
            return source.astype(np.float32, copy=False)
        if self._trusted and isinstance(source, tuple):
            samples = np.asarray(source[0], np.float32)
            audio.check_finite(samples, param)
            return audio.resample(samples, int(source[1]))
        data = self.bring(source, param)
        return audio.decode_audio(data, param=param, max_seconds=self.limits.max_seconds)

    def bring(self, source: Any, param: str) -> Any:
        """The encoded file of a source, over the network if need be; objects in memory as they are."""
        if isinstance(source, bytes | Image.Image | np.ndarray):  # no request can hold one
            return source
        if self._trusted and isinstance(source, tuple):
            return source
        if self._trusted and isinstance(source, Path):
            return _read(source, param)
        if not isinstance(source, str):
            raise MediaError("media must be a data URL or Base64 text", param=param)
        if "://" in source[:16]:
            if source[:7].lower() != "http://" and source[:8].lower() != "https://":
                raise MediaError("only data URLs, Base64 and http(s) URLs are understood", param=param)
            return fetch(source, self.limits.fetch, param=param)
        if self._trusted and not source.startswith("data:") and len(source) < 4096 and Path(source).is_file():
            return _read(Path(source), param)
        return decode.decode_base64(source, param=param, max_bytes=self.limits.max_bytes)


def _read(path: Path, param: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise MediaError(f"cannot read the file {path}", param=param) from exc
