"""Pictures: every format comes out as RGB, everything hostile is refused before it costs memory."""

from __future__ import annotations

import base64
import contextlib
import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autoglm_phone.errors import MediaError, PayloadTooLargeError
from autoglm_phone.media.decode import decode_base64, decode_image


def encode(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG whose header claims a size that its data never delivers."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


RED = Image.new("RGB", (40, 20), (255, 0, 0))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_formats(kind: str) -> None:
    picture = decode_image(encode(RED, kind))
    assert picture.mode == "RGB"
    assert picture.size == (40, 20)
    assert np.abs(np.asarray(picture).astype(int) - [255, 0, 0]).max() < 8


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_modes(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert decode_image(encode(RED.convert("L" if mode == "I;16" else mode), kind)).mode == "RGB"


def test_sixteen_bit_grey_is_scaled() -> None:
    grey = Image.fromarray(np.full((4, 4), 0x8080, np.uint16))
    assert abs(int(np.asarray(decode_image(encode(grey)))[0, 0, 0]) - 0x80) <= 1


def test_transparency_lies_over_white() -> None:
    clear = Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    assert np.asarray(decode_image(encode(clear))).min() == 255


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode_image(encode(RED, "JPEG", exif=exif)).size == (20, 40)


def test_only_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (8, 8), c) for c in ("red", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.asarray(decode_image(data))[0, 0].tolist() == [254, 0, 0] or np.asarray(decode_image(data))[0, 0, 0] > 200


@pytest.mark.parametrize("size", [(30_000, 30_000), (20_000, 10), (1, 17_000), (2**31 - 1, 2**31 - 1)])
def test_sizes_are_checked_before_decoding(size: tuple[int, int]) -> None:
    with pytest.raises(MediaError, match=r"too large|header"):
        decode_image(png_header(*size))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_truncated_files(kind: str) -> None:
    rng = np.random.default_rng(0)
    data = encode(Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)), kind)
    with pytest.raises(MediaError):
        decode_image(data[: len(data) // 2])


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"%PDF-1.4", b"\x89PNG\r\n\x1a\n", b"<svg/>", encode(RED, "TIFF"), encode(RED, "PPM")]
)
def test_other_files(data: bytes) -> None:
    with pytest.raises(MediaError):
        decode_image(data)


def test_random_damage_never_escapes() -> None:
    rng = np.random.default_rng(1)
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP"):
        good = np.frombuffer(encode(RED, kind), np.uint8)
        for _ in range(60):
            bad = good.copy()
            bad[rng.integers(0, len(bad), 4)] = rng.integers(0, 255, 4)
            with contextlib.suppress(MediaError):
                assert decode_image(bad.tobytes()).mode == "RGB"


def test_base64_forms() -> None:
    data = bytes(range(256))
    plain = base64.b64encode(data).decode()
    for text in (plain, plain.rstrip("="), base64.urlsafe_b64encode(data).decode(), f"data:image/png;base64,{plain}"):
        assert decode_base64(text) == data
    assert decode_base64("data:audio/wav;codecs=1;base64," + plain) == data
    assert decode_base64("data:;base64,\n" + plain[:76] + "\r\n" + plain[76:]) == data


@pytest.mark.parametrize(
    "text", ["", "!!!", "data:image/png,abc", "data:image/png;base64,", "ab=c", "中文", "data:" + "x" * 9999]
)
def test_broken_base64(text: str) -> None:
    with pytest.raises(MediaError):
        decode_base64(text)


def test_large_base64_is_refused_before_decoding() -> None:
    with pytest.raises(PayloadTooLargeError):
        decode_base64("A" * 10_000, max_bytes=1000)
