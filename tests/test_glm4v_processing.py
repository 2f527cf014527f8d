"""Pictures against transformers' image processors: equal to the last bit, grid and token count included.

The torchvision-based processor needs torchvision, which is no dependency of ours; its tests are skipped without it.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.glm4v.image_processing_pil_glm4v import Glm4vImageProcessorPil
from transformers.models.glm4v.image_processing_pil_glm4v import smart_resize as their_smart_resize

from autoglm_phone.errors import CheckpointError, ConfigError, InvalidRequestError, MediaError
from autoglm_phone.models import registry
from autoglm_phone.models.glm4v.processing import (
    Glm4vProcessor,
    ImageConfig,
    load_image_config,
    pixel_values,
    smart_resize,
)
from glm4v_cases import SIZES, picture

needs_torchvision = pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="needs torchvision")


def compare(theirs: Any, ours: Glm4vProcessor, image: Image.Image) -> None:
    expected = theirs(image, return_tensors="pt")
    result = ours.image(image)
    assert result.data["grid_thw"].tolist() == expected["image_grid_thw"][0].tolist()
    assert torch.equal(torch.from_numpy(pixel_values(result.data)), expected["pixel_values"].float())
    assert (
        result.num_tokens == int(expected["image_grid_thw"].prod()) // 4 == ours.num_tokens(image.height, image.width)
    )


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_against_transformers_pil(height: int, width: int) -> None:
    compare(Glm4vImageProcessorPil(), Glm4vProcessor(resampler="pil"), picture(height, width))


@needs_torchvision
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_against_transformers_torchvision(height: int, width: int) -> None:
    from transformers.models.glm4v.image_processing_glm4v import Glm4vImageProcessor

    compare(Glm4vImageProcessor(), Glm4vProcessor(), picture(height, width))


@pytest.mark.parametrize(("height", "width"), [(333, 517), (1080, 1920)])
def test_resamplers_differ_by_rounding_alone(height: int, width: int) -> None:
    image = picture(height, width)
    a, b = (Glm4vProcessor(resampler=name).image(image).data["patches"].astype(int) for name in ("torchvision", "pil"))
    gap = np.abs(a - b)
    assert gap.max() <= 2
    assert (gap > 0).mean() < 0.005


@pytest.mark.parametrize("longest_edge", [5_000_000, 28 * 28 * 15000, 9_633_792])
def test_smart_resize_against_transformers(longest_edge: int) -> None:
    rng = np.random.default_rng(0)
    config = ImageConfig(max_pixels=longest_edge)
    for height, width in rng.integers(1, 4000, (400, 2)).tolist():
        bounds = {"min_pixels": config.min_pixels, "max_pixels": config.max_pixels}
        try:
            expected = their_smart_resize(2, height, width, **bounds)
        except ValueError:
            with pytest.raises(MediaError, match="200 times"):
                smart_resize(height, width, config)
        else:
            assert smart_resize(height, width, config) == expected


def test_known_token_counts() -> None:
    """Figures of the real checkpoints, at their own bound and with max_pixels 5,000,000."""
    full, capped = Glm4vProcessor(), Glm4vProcessor(ImageConfig(max_pixels=5_000_000))
    assert (full.num_tokens(2400, 1080), full.num_tokens(3200, 1440)) == (3354, 5814)
    assert (capped.num_tokens(2400, 1080), capped.num_tokens(3200, 1440)) == (3108, 3108)


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "1", "CMYK", "LA"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = picture(60, 90).convert(mode)
    compare(Glm4vImageProcessorPil(), Glm4vProcessor(resampler="pil"), image.convert("RGB"))
    assert Glm4vProcessor().image(image).content_hash == Glm4vProcessor().image(image.convert("RGB")).content_hash


def test_content_hash_tells_pictures_apart() -> None:
    processor = Glm4vProcessor()
    image = picture(100, 60)
    changed = image.copy()
    changed.putpixel((30, 50), (1, 2, 3))
    hashes = {
        processor.image(item).content_hash for item in (image, changed, image.transpose(Image.Transpose.ROTATE_90))
    }
    assert len(hashes) == 3
    assert processor.image(image.copy()).content_hash in hashes


def test_audio_is_refused() -> None:
    with pytest.raises(MediaError, match="no audio"):
        Glm4vProcessor().audio(np.zeros(100, dtype=np.float32))


def write(folder: Path, name: str, value: dict[str, Any]) -> Path:
    (folder / name).write_text(json.dumps(value))
    return folder


def test_config_of_transformers_4(tmp_path: Path) -> None:
    raw = {"size": {"shortest_edge": 12544, "longest_edge": 9633792}, "image_mean": [0.5, 0.5, 0.5], "do_rescale": True}
    config = load_image_config(write(tmp_path, "preprocessor_config.json", raw))
    assert (config.min_pixels, config.max_pixels, config.image_mean) == (12544, 9633792, (0.5, 0.5, 0.5))


def test_config_of_transformers_5_wins(tmp_path: Path) -> None:
    write(tmp_path, "preprocessor_config.json", {"size": {"shortest_edge": 1, "longest_edge": 2}})
    nested = {"image_processor": {"size": {"shortest_edge": 3000, "longest_edge": 4000}}}
    assert load_image_config(write(tmp_path, "processor_config.json", nested)).max_pixels == 4000


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"max_pixels": 5_000_000}, (12544, 5_000_000)),
        ({"min_pixels": 20000}, (20000, 9633792)),
        ({"size": {"shortest_edge": 3136, "longest_edge": 6272}}, (3136, 6272)),
    ],
)
def test_overrides(tmp_path: Path, overrides: dict[str, Any], expected: tuple[int, int]) -> None:
    raw = {"size": {"shortest_edge": 12544, "longest_edge": 9633792}}
    config = load_image_config(write(tmp_path, "preprocessor_config.json", raw), overrides)
    assert (config.min_pixels, config.max_pixels) == expected


@pytest.mark.parametrize(
    "overrides", [{"max_pixel": 1}, {"max_pixels": -1}, {"max_pixels": "5"}, {"max_pixels": 100}, {"size": 7}]
)
def test_senseless_overrides(tmp_path: Path, overrides: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        load_image_config(write(tmp_path, "preprocessor_config.json", {}), overrides)


@pytest.mark.parametrize(
    "raw",
    [
        {"do_normalize": False},
        {"resample": 0},
        {"patch_size": "x"},
        {"merge_size": 0},
        {"image_std": [1, 0, 1]},
        {"image_mean": [0.5]},
    ],
)
def test_unknown_preprocessing_is_refused(tmp_path: Path, raw: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError):
        load_image_config(write(tmp_path, "preprocessor_config.json", raw))


def test_missing_config(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"preprocessor_config\.json is missing"):
        load_image_config(tmp_path)


def test_place_media_widens_each_token() -> None:
    media = [Glm4vProcessor().image(picture(h, w)) for h, w in [(112, 112), (60, 300)]]
    ids, items = registry.place_media([1, 9, 2, 9, 3], media, {"image": 9, "audio": None})
    first, second = (item.num_tokens for item in media)
    assert ids == (1, *[9] * first, 2, *[9] * second, 3)
    assert [(item.position, item.length) for item in items] == [(1, first), (2 + first, second)]


@pytest.mark.parametrize("prompt", [[1, 9], [9, 9, 9], [9, 8]])
def test_place_media_checks_the_count(prompt: list[int]) -> None:
    media = [Glm4vProcessor().image(picture(60, 60))] * 2
    with pytest.raises(InvalidRequestError):
        registry.place_media(prompt, media, {"image": 9, "audio": 8})
