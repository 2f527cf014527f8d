"""Bytes to a bounded RGB picture: header, format and pixel count are checked before anything is decoded."""

from __future__ import annotations

import base64
import binascii
import io
import re
import warnings

from PIL import Image, ImageOps, UnidentifiedImageError

from autoglm_phone.errors import MediaError, PayloadTooLargeError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
MAX_PIXELS = 50_000_000
MAX_SIDE = 16_384
MAX_BYTES = 32 * 1024 * 1024  # of one encoded file

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w.+-]+=[^;,]{0,64}){0,4});base64,", re.ASCII | re.IGNORECASE)
_BLANKS = str.maketrans("", "", "\r\n\t ")


def decode_base64(text: str, *, param: str | None = None, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes of a Base64 data URL or of bare Base64 (standard or URL-safe alphabet, line breaks allowed).

    Raises:
        MediaError: not valid Base64, or empty.
        PayloadTooLargeError: more than `max_bytes`.
    """
    found = _DATA_URL.match(text[:512])
    if found is None and text[:5].lower() == "data:":
        raise MediaError("a data URL must look like 'data:image/png;base64,…'", param=param)
    start = found.end() if found else 0
    if (len(text) - start) * 3 // 4 > max_bytes + 1024:
        raise PayloadTooLargeError(f"one file may have at most {max_bytes // 2**20} MiB", param=param)
    body = text[start:].translate(_BLANKS)
    if "-" in body or "_" in body:
        body = body.replace("-", "+").replace("_", "/")
    try:
        data = base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise MediaError(
            "the data is not valid Base64; send the file's bytes in standard Base64, or as a data URL", param=param
        ) from exc
    if not data:
        raise MediaError("the data is empty", param=param)
    return data


def decode_image(data: bytes, *, param: str | None = None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The picture as RGB: first frame, EXIF orientation applied, transparency over white.

    Raises:
        MediaError: unknown format, broken or truncated, or larger than `max_pixels` or MAX_SIDE.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as exc:
        raise _too_large(None, param, max_pixels) from exc
    except UnidentifiedImageError as exc:
        raise MediaError(f"the file is not a picture of a known format ({', '.join(FORMATS)})", param=param) from exc
    except Exception as exc:  # decoders raise anything on hostile headers
        raise MediaError("the picture's header is broken", param=param) from exc
    width, height = picture.size
    if width < 1 or height < 1 or width * height > max_pixels or max(width, height) > MAX_SIDE:
        raise _too_large((width, height), param, max_pixels)
    try:
        picture.load()
        return _to_rgb(_upright(picture))
    except MediaError:
        raise
    except Exception as exc:  # truncated or corrupt data, out of memory inside a decoder
        raise MediaError("the picture is truncated or broken; send the complete file", param=param) from exc


def _too_large(size: tuple[int, int] | None, param: str | None, max_pixels: int) -> MediaError:
    shown = f" of {size[0]}x{size[1]} pixels" if size else ""
    return MediaError(
        f"the picture{shown} is too large: at most {max_pixels / 1e6:g} megapixels and {MAX_SIDE} pixels a side; "
        "scale it down",
        param=param,
        code="image_too_large",
    )


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # a broken EXIF block does not spoil the pixels
        return picture


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        # 16-bit grey: Pillow's own conversion would clip instead of scaling.
        picture = picture.convert("F").point(lambda v: v * (1 / 257) + 0).convert("L")
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        ground.alpha_composite(layer)
        picture = ground
    return picture.convert("RGB")
