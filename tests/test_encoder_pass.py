"""The towers' pass for serving against the modules themselves, and keys and values that are made on demand."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from autoglm_phone.errors import ConfigError
from autoglm_phone.models.native.audio import AudioTower
from autoglm_phone.models.native.shape import AudioShape, VisionShape, read_shape
from autoglm_phone.models.native.vision import VisionTower, drawn_on
from autoglm_phone.models.registry import locate
from autoglm_phone.runner import encoder_pass
from autoglm_phone.runner.checkpoint import Checkpoint
from autoglm_phone.runner.cross_memory import KeysValues
from autoglm_phone.runner.spec import read_spec
from autoglm_phone.runner.towers import NativeTowers

NEAR = 1e-5  # of the largest state


@pytest.fixture(scope="module")
def mini() -> NativeTowers:
    folder = locate("mini")
    return NativeTowers(read_spec(folder), Checkpoint(folder), torch.device("cpu"), torch.float32, 1 << 20)


def near(found: torch.Tensor, expected: torch.Tensor, share: float = NEAR) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= share * expected.abs().max()


@torch.inference_mode()
@pytest.mark.parametrize("size", [(16, 16), (16, 96), (208, 48), (800, 352)])
def test_pictures_are_seen_as_by_the_module(mini, size):
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8))
    with mini.store.use("image") as (tower, _):
        assert encoder_pass.serves(tower)
        picture = (pixels.permute(2, 0, 1).float() / 127.5 - 1)[None]
        expected, _ = tower(picture, None)
        for _ in range(2):  # the second time from the table of places
            near(encoder_pass.see(tower, pixels), expected[0])


def half_blank(height: int, width: int) -> torch.Tensor:
    """uint8 [height, width, 3]: noise in the left half, one colour with a faint grain in the right one."""
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    pixels[:, width // 2 :] = 200 + rng.integers(0, 7, (height, width - width // 2, 1))
    return torch.from_numpy(pixels)


@pytest.fixture
def sparse(mini):
    """The picture tower as one that has no states for blank patches."""
    with mini.store.use("image") as (tower, _):
        was = tower.config
        tower.config = replace(was, blank_range=8, blank_stride=3)
        yield tower
        tower.config = was


def normal(pixels: torch.Tensor) -> torch.Tensor:
    return (pixels.permute(2, 0, 1).float() / 127.5 - 1)[None]


@torch.inference_mode()
@pytest.mark.parametrize("size", [(16, 16), (16, 96), (208, 64), (800, 352)])
def test_blank_patches_have_no_states(sparse, size):
    pixels = half_blank(*size)
    expected, valid = sparse(normal(pixels), None)
    rows, cols = size[0] // 16, size[1] // 16
    kept = drawn_on(normal(pixels), 8, 3)[0].reshape(rows, cols)
    assert kept[:, : cols // 2].all()
    if cols > 1:
        assert int(kept[:, -(-cols // 2) :].sum()) == -(-rows // 3) * len(
            [c for c in range(-(-cols // 2), cols) if c % 3 == 0]
        )
    assert valid is None
    assert expected.shape[1] == int(kept.sum())
    near(encoder_pass.see(sparse, pixels), expected[0], 1e-4)  # flat areas: norms of nearly nothing
    # In a padded batch the same patches are masked: the states are those of the picture alone.
    grids = torch.tensor([[rows, cols], [rows + 2, cols + 3]])
    padded = torch.zeros(2, 3, size[0] + 32, size[1] + 48)
    padded[0, :, : size[0], : size[1]] = normal(pixels)
    padded[1] = normal(half_blank(size[0] + 32, size[1] + 48))
    states, valid = sparse(padded, grids)
    near(states[0][valid[0]], expected[0], 1e-4)


@torch.inference_mode()
def test_flat_areas_do_not_spoil_the_sums_of_a_large_picture(sparse):
    pixels = torch.full((800, 352, 3), 253, dtype=torch.uint8)
    pixels[:, 96:160] = half_blank(800, 64)
    exact = deepcopy(sparse).double()
    expected, _ = exact(pixels.permute(2, 0, 1)[None].double() / 127.5 - 1, kept=drawn_on(normal(pixels), 8, 3))
    near(encoder_pass.see(sparse, pixels).double(), expected[0])
    assert sparse.stem.out.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("blank_range", [1, 8, 40])
def test_eight_bits_and_any_layout_are_judged_alike(blank_range):
    pixels = torch.cat((half_blank(64, 96)[None], half_blank(64, 96).flip(1)[None] // 6)).permute(0, 3, 1, 2)
    floats = pixels.float() / 127.5 - 1
    patches = pixels.unfold(2, 16, 16).unfold(3, 16, 16).flatten(4)
    expected = ((patches.amax(-1) - patches.amin(-1)).amax(1) >= blank_range).flatten(1)
    expected[:, 0] = True  # of the lattice
    for given in (pixels, pixels.contiguous(), floats, floats.contiguous()):
        assert drawn_on(given, blank_range, 100).equal(expected)


def test_a_grain_below_the_range_is_blank_and_a_hairline_is_not():
    pixels = torch.full((1, 3, 48, 64), 0.5)
    pixels[0, :, :, 32:] += torch.randint(0, 7, (48, 32)) / 127.5
    assert not drawn_on(pixels, 8, 100)[0, 1:].any()
    pixels[0, 1, 20, 18] += 8 / 127.5
    assert drawn_on(pixels, 8, 100)[0].nonzero().flatten().tolist() == [0, 5]


@torch.inference_mode()
@pytest.mark.parametrize("frames", [1, 2, 57, 300])
def test_clips_are_heard_as_by_the_module(mini, frames):
    mel = torch.from_numpy(np.random.default_rng(1).standard_normal((80, frames)).astype(np.float32))
    with mini.store.use("audio") as (tower, _):
        assert encoder_pass.serves(tower)
        expected, _, _ = tower(mel[None], None)
        near(encoder_pass.hear(tower, mel), expected[0])


def test_other_weights_than_plain_float32_are_left_to_the_module():
    config = read_spec(locate("mini")).config
    assert isinstance(config.vision_config, VisionShape)
    assert isinstance(config.audio_config, AudioShape)
    with torch.device("meta"):
        assert not encoder_pass.serves(VisionTower(config.vision_config, 256))
    tower = AudioTower(config.audio_config, 256)
    assert encoder_pass.serves(tower)
    assert not encoder_pass.serves(tower.to(torch.bfloat16))
    tower = AudioTower(config.audio_config, 256)
    tower.blocks[2].mlp.down_proj = nn.Identity()  # where a checkpoint packs it
    assert not encoder_pass.serves(tower)
    assert not encoder_pass.serves(nn.Linear(2, 2))


def test_a_layer_is_made_when_it_is_asked_for_and_only_once():
    asked: list[int] = []

    def make(layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append(layer)
        return torch.full((1, 2, 3), float(layer)), torch.zeros(1, 2, 3)

    made = KeysValues(make, 4)
    assert (len(made), made.made, asked) == (4, 0, [])
    assert made[2][0].sum() == 12
    assert made[2][0] is made[2][0]
    assert (made.made, asked) == (1, [2])
    assert [k[0, 0, 0].item() for k, _ in made] == [0, 1, 2, 3]
    assert [k[0, 0, 0].item() for k, _ in made[1:3]] == [1, 2]
    assert asked == [2, 0, 1, 3]
    with pytest.raises(IndexError):
        made[4]


@pytest.mark.parametrize("field", [{"blank_range": -1}, {"blank_stride": 0}])
def test_a_lattice_that_makes_no_sense_is_refused(field):
    raw = json.loads((locate("mini") / "config.json").read_text())
    raw["vision_config"].update(field)
    with pytest.raises(ConfigError, match="blank_stride"):
        read_shape(raw, locate("mini"))
