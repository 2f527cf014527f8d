"""A picture as GLM-4.1V wants it: smart resize, bicubic resampling, normalization, patch order, number of tokens.

Own implementation in numpy and PIL/torch, without torchvision. Two resamplers, each equal to the last bit to one of
transformers' two image processors:

* "torchvision" (default): `Glm4vImageProcessor`, what transformers, vLLM and SGLang run when torchvision is installed,
  as it is in a real serving stack. torchvision resizes uint8 pictures with `torch.nn.functional.interpolate` (bicubic,
  antialias), which we call directly.
* "pil": `Glm4vImageProcessorPil`, what transformers falls back to without torchvision. PIL's fixed-point weights are
  rounded otherwise: on screens and blocks under 0.3 % of the bytes differ, by one level and now and then by two.

The result stays uint8 (7.9 MB for a 1080x2400 screen, where float pixels with the frame doubled are 63 MB);
`levels` says what each byte stands for after normalization, and the tower looks it up on its own device.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from autoglm_phone.errors import CheckpointError, ConfigError, MediaError
from autoglm_phone.models.glm4v.configuration import read_json
from autoglm_phone.models.processed import Processed

Resampler = Literal["torchvision", "pil"]
_FILTERS = {2: ("bilinear", Image.Resampling.BILINEAR), 3: ("bicubic", Image.Resampling.BICUBIC)}
_MAX_ASPECT = 200  # transformers' bound: beyond it a side would vanish


@dataclass(frozen=True)
class ImageConfig:
    """preprocessor_config.json. `min_pixels` and `max_pixels` bound frames * height * width, so twice the area."""

    min_pixels: int = 112 * 112
    max_pixels: int = 28 * 28 * 15000
    patch_size: int = 14
    temporal_patch_size: int = 2
    merge_size: int = 2
    resample: int = 3
    rescale_factor: float = 1 / 255
    image_mean: tuple[float, ...] = (0.48145466, 0.4578275, 0.40821073)
    image_std: tuple[float, ...] = (0.26862954, 0.26130258, 0.27577711)

    @property
    def factor(self) -> int:
        """Sides are multiples of this many pixels: a patch times the merge block."""
        return self.patch_size * self.merge_size


def load_image_config(folder: Path, overrides: Mapping[str, Any] | None = None) -> ImageConfig:
    """The preprocessing of a checkpoint, changed by `--mm-processor-kwargs`.

    transformers 4 writes preprocessor_config.json, transformers 5 may put the same under "image_processor" in
    processor_config.json.

    Raises:
        CheckpointError: no such file, or a step switched off that the tower needs.
        ConfigError: an unknown or senseless override.
    """
    nested = folder / "processor_config.json"
    raw = read_json(nested).get("image_processor") if nested.exists() else None
    if not isinstance(raw, dict):
        raw = read_json(folder / "preprocessor_config.json")
    for step in ("do_resize", "do_rescale", "do_normalize"):
        if raw.get(step, True) is not True:
            raise CheckpointError(f"{folder}: preprocessor {step} is off, which glm4v pictures need on")
    known: dict[str, Any] = {}
    try:
        for name in ("patch_size", "temporal_patch_size", "merge_size", "resample"):
            if raw.get(name) is not None:
                known[name] = int(raw[name])
        for name in ("image_mean", "image_std"):
            if raw.get(name) is not None:
                known[name] = tuple(map(float, raw[name]))
        if raw.get("rescale_factor") is not None:
            known["rescale_factor"] = float(raw["rescale_factor"])
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{folder}: preprocessor field {name} is not what glm4v has: {error}") from error
    if known.get("resample", 3) not in _FILTERS:
        raise CheckpointError(f"{folder}: preprocessor resample {known['resample']} is unknown; 2 and 3 are built")
    if not all(
        known.get(name, 1) > 0 for name in ("patch_size", "temporal_patch_size", "merge_size", "rescale_factor")
    ):
        raise CheckpointError(f"{folder}: preprocessor sizes and rescale_factor must be above 0")
    if any(len(known.get(name, "rgb")) != 3 for name in ("image_mean", "image_std")) or 0 in known.get("image_std", ()):
        raise CheckpointError(f"{folder}: image_mean and image_std must have 3 values, image_std none of them 0")
    return _with_pixels(ImageConfig(**known), {**_bounds(raw), **_bounds(overrides or {}, strict=True)})


def smart_resize(height: int, width: int, config: ImageConfig) -> tuple[int, int]:
    """The size in pixels to which a picture is resized (transformers' `smart_resize` with one doubled frame).

    Raises:
        MediaError: the picture is more than 200 times as long as wide.
    """
    factor, frames = config.factor, config.temporal_patch_size
    if height < factor or width < factor:
        scale = max(factor / height, factor / width)
        height, width = int(height * scale), int(width * scale)
    if max(height, width) / min(height, width) > _MAX_ASPECT:
        raise MediaError(f"a picture of {width}x{height} is more than {_MAX_ASPECT} times as long as wide; crop it")
    rows, columns = round(height / factor) * factor, round(width / factor) * factor  # ties to even, as in transformers
    if frames * rows * columns > config.max_pixels:
        beta = math.sqrt(frames * height * width / config.max_pixels)
        rows = max(factor, math.floor(height / beta / factor) * factor)
        columns = max(factor, math.floor(width / beta / factor) * factor)
    elif frames * rows * columns < config.min_pixels:
        beta = math.sqrt(config.min_pixels / (frames * height * width))
        rows = math.ceil(height * beta / factor) * factor
        columns = math.ceil(width * beta / factor) * factor
    return rows, columns


@dataclass(frozen=True)
class Glm4vProcessor:
    """Turns pictures into what the vision tower eats. Stateless: any thread may call it."""

    config: ImageConfig = field(default_factory=ImageConfig)
    resampler: Resampler = "torchvision"

    @classmethod
    def from_folder(cls, folder: Path, overrides: Mapping[str, Any] | None = None) -> Glm4vProcessor:
        return cls(load_image_config(folder, overrides))

    def num_tokens(self, height: int, width: int) -> int:
        """How many `<|image|>` tokens a picture of this size (pixels) takes, without opening it."""
        rows, columns = smart_resize(height, width, self.config)
        return (rows // self.config.factor) * (columns // self.config.factor)

    def image(self, picture: Image.Image) -> Processed:
        """Preprocess one picture.

        Returns:
            data: `patches` uint8 [N, C, 14, 14], `levels` float32 [C, 256], `grid_thw` int64 [3];
            num_tokens = N / merge_size**2.
        """
        config = self.config
        picture = picture if picture.mode == "RGB" else picture.convert("RGB")
        rows, columns = smart_resize(picture.height, picture.width, config)
        patches = patchify(self._resize(picture, rows, columns), config)
        grid = np.array([1, rows // config.patch_size, columns // config.patch_size], dtype=np.int64)
        levels = self._levels()
        digest = hashlib.sha256(b"glm4v image")
        for part in (grid, levels, patches):
            digest.update(part.tobytes())
        return Processed(
            kind="image",
            data={"patches": patches, "levels": levels, "grid_thw": grid},
            num_tokens=patches.shape[0] // config.merge_size**2,
            content_hash=digest.hexdigest(),
        )

    def audio(self, samples: npt.NDArray[np.float32]) -> list[Processed]:
        """GLM-4.1V has no ears.

        Raises:
            MediaError: always.
        """
        raise MediaError("this model takes no audio; send text and pictures, or serve a native model")

    def _resize(self, picture: Image.Image, rows: int, columns: int) -> npt.NDArray[np.uint8]:
        """uint8 [rows, columns, C]."""
        mode, pil_filter = _FILTERS[self.config.resample]
        if (rows, columns) == (picture.height, picture.width):
            return np.array(picture)
        if self.resampler == "pil":
            return np.array(picture.resize((columns, rows), resample=pil_filter))
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
        resized = torch.nn.functional.interpolate(
            pixels, size=(rows, columns), mode=mode, align_corners=False, antialias=True
        )
        return resized[0].permute(1, 2, 0).numpy()

    def _levels(self) -> npt.NDArray[np.float32]:
        """[C, 256] what a byte of a channel is after rescaling and normalizing, in the reference's own arithmetic."""
        config = self.config
        if self.resampler == "torchvision":  # transformers fuses both steps in float32
            bytes_ = torch.arange(256, dtype=torch.float32)
            mean = torch.tensor(config.image_mean)[:, None] * (1.0 / config.rescale_factor)
            std = torch.tensor(config.image_std)[:, None] * (1.0 / config.rescale_factor)
            return ((bytes_ - mean) / std).numpy()
        scaled = (np.arange(256, dtype=np.float64) * config.rescale_factor).astype(np.float32)
        mean32, std32 = (np.array(x, dtype=np.float32)[:, None] for x in (config.image_mean, config.image_std))
        return (scaled - mean32) / std32


def patchify(pixels: npt.NDArray[np.uint8], config: ImageConfig) -> npt.NDArray[np.uint8]:
    """[H, W, C] → [N, C, 14, 14], the four patches of each 2x2 block next to each other."""
    p, m = config.patch_size, config.merge_size
    height, width, channels = pixels.shape
    blocks = pixels.reshape(height // (m * p), m, p, width // (m * p), m, p, channels)
    return np.ascontiguousarray(blocks.transpose(0, 3, 1, 4, 6, 2, 5)).reshape(-1, channels, p, p)


def pixel_values(data: Mapping[str, Any], temporal_patch_size: int = 2) -> npt.NDArray[np.float32]:
    """transformers' `pixel_values` [N, C*T*14*14] of a processed picture: looked up, the frame repeated."""
    patches, levels = data["patches"], data["levels"]
    frame = levels[np.arange(patches.shape[1])[:, None, None], patches]
    clip = np.broadcast_to(frame[:, :, None], (*frame.shape[:2], temporal_patch_size, *frame.shape[2:]))
    return clip.reshape(patches.shape[0], -1)


def _bounds(raw: Mapping[str, Any], *, strict: bool = False) -> dict[str, Any]:
    """min_pixels and max_pixels from either spelling (`size` edges, or by name)."""
    if strict and (unknown := set(raw) - {"size", "min_pixels", "max_pixels"}):
        raise ConfigError(
            f"mm_processor_kwargs: unknown {sorted(unknown)}; max_pixels, min_pixels and size are known",
            param="mm_processor_kwargs",
        )
    size = raw.get("size") or {}
    if not isinstance(size, Mapping):
        raise ConfigError('size must be {"shortest_edge": …, "longest_edge": …} in pixels', param="mm_processor_kwargs")
    found = {
        "min_pixels": raw.get("min_pixels") or size.get("shortest_edge"),
        "max_pixels": raw.get("max_pixels") or size.get("longest_edge"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _with_pixels(config: ImageConfig, bounds: Mapping[str, Any]) -> ImageConfig:
    for name, value in bounds.items():
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            raise ConfigError(f"{name} must be a positive number of pixels, not {value!r}", param="mm_processor_kwargs")
    config = replace(config, **bounds)
    if config.min_pixels > config.max_pixels:
        raise ConfigError(
            f"max_pixels {config.max_pixels} is below min_pixels {config.min_pixels}", param="mm_processor_kwargs"
        )
    return config
