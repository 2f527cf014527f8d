"""Our GLM-4.1V against transformers' own class on tiny random checkpoints: float32, largest logit difference 1e-4."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Glm4vForConditionalGeneration

from autoglm_phone.errors import InvalidRequestError
from autoglm_phone.models.glm4v.model import Glm4vModel, Prompt
from autoglm_phone.models.glm4v.processing import pixel_values
from autoglm_phone.models.glm4v.reference import make_tiny_checkpoint
from glm4v_cases import CASES, CheckpointUnderTest, build_prompts, picture, reference_logits, rewrite

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> CheckpointUnderTest:
    return CheckpointUnderTest(make_tiny_checkpoint(tmp_path_factory.mktemp("glm4v") / "tiny", seed=1))


def difference(checkpoint: CheckpointUnderTest, case: str, padding: str = "none") -> float:
    prompts = build_prompts(checkpoint, case)
    ours = checkpoint.model(prompts)
    theirs = reference_logits(checkpoint, prompts, padding)
    return max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("case", [case for case in CASES if case != "mixed batch"])
def test_against_transformers_single(checkpoint: CheckpointUnderTest, case: str) -> None:
    assert difference(checkpoint, case) <= TOLERANCE


@pytest.mark.parametrize("padding", ["left", "right"])
def test_against_transformers_padded_mixed_batch(checkpoint: CheckpointUnderTest, padding: str) -> None:
    assert difference(checkpoint, "mixed batch", padding) <= TOLERANCE


@pytest.mark.parametrize("id_shift", [20, 43])
def test_image_token_id_is_read_from_the_config(tmp_path: Path, id_shift: int) -> None:
    shifted = CheckpointUnderTest(make_tiny_checkpoint(tmp_path, seed=2, id_shift=id_shift))
    assert shifted.model.shape.image_token_id == 270 + id_shift
    assert difference(shifted, "two images") <= TOLERANCE


def test_tied_head_and_odd_shapes(tmp_path: Path) -> None:
    folder = make_tiny_checkpoint(
        tmp_path,
        seed=3,
        tie_word_embeddings=True,
        text_config={"num_hidden_layers": 3, "num_attention_heads": 2, "num_key_value_heads": 1, "hidden_size": 64},
        vision_config={"depth": 1, "hidden_size": 96, "num_heads": 3, "image_size": 70, "attention_bias": True},
    )
    assert difference(CheckpointUnderTest(folder), "two images") <= TOLERANCE


def test_pictures_move_the_logits(checkpoint: CheckpointUnderTest) -> None:
    """A parity test is worth nothing if the picture does not matter."""
    one, two = (checkpoint.prompt([{"image": picture(90, 150, seed=s)}, "what is it?"]) for s in (1, 2))
    a, b = checkpoint.model([one, two])
    assert float((a[-1] - b[-1]).abs().max()) > 0.1


def test_positions_move_the_logits(checkpoint: CheckpointUnderTest) -> None:
    """The trap of early transformers 5: without mm_token_type_ids positions were 1-D in silence (5.17 refuses)."""
    prompts = build_prompts(checkpoint, "one image")
    flat = reference_logits(checkpoint, prompts, "none", flat_positions=True)
    ours = checkpoint.model(prompts)
    assert float((ours[0] - flat[0]).abs().max()) > 100 * TOLERANCE


def test_greedy_generation_against_transformers(checkpoint: CheckpointUnderTest) -> None:
    """transformers decodes with a KV cache and its position delta; we run the whole sequence again for each token."""
    prompt = build_prompts(checkpoint, "multi-turn, image in the second turn")[0]
    ids = torch.tensor([list(prompt.ids)])
    theirs = checkpoint.theirs.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        pixel_values=torch.from_numpy(pixel_values(prompt.images[0])),
        image_grid_thw=torch.from_numpy(prompt.images[0]["grid_thw"])[None],
        mm_token_type_ids=(ids == checkpoint.model.shape.image_token_id).int(),
        max_new_tokens=12,
        eos_token_id=-1,
        do_sample=False,
    )
    ours = list(prompt.ids)
    for _ in range(12):
        ours.append(int(checkpoint.model([Prompt(ours, prompt.images)])[0][-1].argmax()))
    assert ours == theirs[0].tolist()


def test_batched_pictures_equal_single_ones(checkpoint: CheckpointUnderTest) -> None:
    processed = [checkpoint.processor.image(picture(h, w, seed=h)) for h, w in [(60, 60), (140, 84), (84, 200)]]
    tower = checkpoint.model.tower
    single = torch.cat([tower.encode(item.data) for item in processed])
    pixels = torch.from_numpy(np.concatenate([pixel_values(item.data) for item in processed]))
    grids = torch.from_numpy(np.stack([item.data["grid_thw"] for item in processed]))
    assert torch.allclose(tower(pixels, grids), single, atol=1e-5)


def test_picture_count_is_checked(checkpoint: CheckpointUnderTest) -> None:
    prompt = checkpoint.prompt([{"image": picture(60, 60)}, "hm"])
    with pytest.raises(InvalidRequestError, match="image tokens"):
        checkpoint.model([Prompt(prompt.ids, ())])


@pytest.mark.parametrize("layout", ["transformers 4", "first release", "llava", "split mlp"])
def test_old_layouts_give_the_same_logits(checkpoint: CheckpointUnderTest, tmp_path: Path, layout: str) -> None:
    folder = rewrite(checkpoint.folder, tmp_path, layout)
    prompts = build_prompts(checkpoint, "one image")
    assert torch.equal(checkpoint.model(prompts)[0], Glm4vModel.from_folder(folder)(prompts)[0])


@pytest.mark.parametrize("layout", ["transformers 4", "first release"])
def test_old_configs_mean_the_same_to_transformers(
    checkpoint: CheckpointUnderTest, tmp_path: Path, layout: str
) -> None:
    """The rewritten configs of the test above are real: transformers reads them to the same rope parameters."""
    folder = rewrite(checkpoint.folder, tmp_path, layout)
    config = Glm4vForConditionalGeneration.config_class.from_pretrained(folder)
    assert config.text_config.rope_parameters["partial_rotary_factor"] == 0.5
    assert config.text_config.rope_parameters["mrope_section"] == [2, 3, 3]
    assert config.text_config.hidden_size == 128
