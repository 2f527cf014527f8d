"""The towers' pass for serving against the modules themselves, and keys and values that are made on demand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from autoglm_phone.models.native.audio import AudioTower
from autoglm_phone.models.native.shape import AudioShape, VisionShape
from autoglm_phone.models.native.vision import VisionTower
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


def near(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= NEAR * expected.abs().max()


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
