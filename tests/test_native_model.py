"""The native reference model against itself: padding, batching, media visibility, generation, exits, presets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoConfig, AutoModelForCausalLM

from autoglm_phone.errors import ConfigError, InvalidRequestError
from autoglm_phone.models.info import native_table, preset_table
from autoglm_phone.models.native.configuration import AutoGLMPhoneConfig, preset
from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration
from autoglm_phone.models.native.processing import NativeProcessor, patch_grid, split_quiet

TINY = {
    "hidden_size": 64,
    "head_dim": 16,
    "intermediate_size": 96,
    "exit_rank": 4,
    "num_hidden_layers": 8,
    "exit_layers": (2, 4, 6),
    "cross_attention_layers": (1, 3, 5),
    "vocab_size": 320,
    "vision_config": {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 64, "stem_channels": [8, 16, 32]},
    "audio_config": {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "intermediate_size": 64,
        "stem_channels": 64,
        "ctc_vocab": "ab",
    },
}
IMAGE, AUDIO = 9, 12


def tiny(**fields) -> AutoGLMPhoneForConditionalGeneration:
    torch.manual_seed(0)
    model = AutoGLMPhoneForConditionalGeneration(AutoGLMPhoneConfig(**{**TINY, **fields})).eval()
    for layer in model.model.layers:
        if layer.cross_attn is not None:
            torch.nn.init.constant_(layer.cross_attn.gate, 0.7)
    for head in model.model.exits.values():
        torch.nn.init.normal_(head.up.weight, std=0.02)
    return model


@pytest.fixture(scope="module")
def model():
    return tiny()


@pytest.fixture
def ids():
    return torch.randint(20, 320, (2, 14), generator=torch.Generator().manual_seed(1))


def test_mini_weighs_at_most_60_mb_and_9b_has_nine_billion_parameters():
    mini = sum(row.parameters for row in preset_table("mini"))
    # The bundled model's CTC head covers the world's characters, about 1,500 of them.
    with_ctc = mini + 1500 * (preset("mini").audio_config.hidden_size + 1)
    assert 2 * with_ctc <= 60e6
    assert 8.5e9 <= sum(row.parameters for row in preset_table("9b")) <= 9.5e9


def test_table_counts_every_parameter_once(model):
    total = sum(row.parameters for row in native_table(model.config))
    assert total == sum(p.numel() for p in model.parameters())


@torch.no_grad()
def test_padded_pictures_and_clips_give_what_each_alone_gives(model, ids):
    ids[0, 3] = ids[1, 2] = IMAGE
    ids[0, 6] = ids[1, 9] = AUDIO
    pixels = torch.randn(2, 3, 64, 96)
    grids = torch.tensor([[4, 6], [3, 4]])
    mel, lengths = torch.randn(2, 80, 60), torch.tensor([60, 37])
    both = model(ids, pixel_values=pixels, image_grids=grids, input_features=mel, feature_lengths=lengths).logits
    for row, (height, width, frames) in enumerate(((64, 96, 60), (48, 64, 37))):
        alone = model(
            ids[row : row + 1],
            pixel_values=pixels[row : row + 1, :, :height, :width],
            input_features=mel[row : row + 1, :, :frames],
        ).logits
        assert (both[row] - alone[0]).abs().max() < 1e-4


@torch.no_grad()
def test_left_padding_changes_nothing(model, ids):
    ids[0, 3] = IMAGE
    pixels = torch.randn(1, 3, 32, 48)
    alone = model(ids[:1], pixel_values=pixels).logits
    padded = torch.cat((torch.ones(1, 5, dtype=torch.long), ids[:1]), 1)
    mask = torch.ones_like(padded)
    mask[:, :5] = 0
    assert (model(padded, attention_mask=mask, pixel_values=pixels).logits[:, 5:] - alone).abs().max() < 1e-4


@torch.no_grad()
def test_tokens_before_a_picture_do_not_see_it_and_later_ones_do(model, ids):
    ids[0, 6] = IMAGE
    one = model(ids[:1], pixel_values=torch.randn(1, 3, 32, 48)).logits
    other = model(ids[:1], pixel_values=torch.randn(1, 3, 32, 48)).logits
    assert torch.equal(one[:, :6], other[:, :6])
    assert (one[:, 6:] - other[:, 6:]).abs().amax(-1).min() > 0


@torch.no_grad()
def test_second_picture_is_told_from_the_first(model, ids):
    ids[0, 3] = ids[0, 8] = IMAGE
    pixels = torch.randn(2, 3, 32, 48)
    one = model(ids[:1], pixel_values=pixels).logits
    swapped = model(ids[:1], pixel_values=pixels.flip(0)).logits
    assert (one[0, -1] - swapped[0, -1]).abs().max() > 1e-4


def test_placeholder_counts_are_checked(model, ids):
    ids[0, 3] = IMAGE
    with pytest.raises(InvalidRequestError, match="1 image placeholders and the request 2"):
        model(ids[:1], pixel_values=torch.randn(2, 3, 32, 48))


@torch.no_grad()
@pytest.mark.parametrize("layer_types", [None, ["full_attention", "sliding_attention"] * 4])
def test_generate_equals_the_full_forward(layer_types):
    model = tiny(layer_types=layer_types, sliding_window=6, attention_sinks=2)
    ids = torch.randint(20, 320, (1, 12))
    ids[0, 4] = IMAGE
    pixels = torch.randn(1, 3, 32, 48)
    out = model.generate(ids, attention_mask=torch.ones_like(ids), pixel_values=pixels, max_new_tokens=8,
                         do_sample=False, eos_token_id=None)  # fmt: skip
    full = model(out, pixel_values=pixels).logits
    assert torch.equal(full[0, 11:-1].argmax(-1), out[0, 12:])


@torch.no_grad()
def test_sliding_layers_forget_all_but_window_and_sinks():
    model = tiny(layer_types=["sliding_attention"] * 8, sliding_window=2, attention_sinks=1, num_hidden_layers=8)
    ids = torch.randint(20, 320, (1, 30))
    changed = ids.clone()
    changed[0, 5] = (ids[0, 5] + 1) % 300 + 20
    difference = (model(ids).logits - model(changed).logits).abs().amax(-1)[0]
    # Eight layers of window 2 reach 8 tokens back, and the sink is token 0.
    assert difference[5] > 0
    assert difference[14:].max() == 0


@torch.no_grad()
def test_exits_read_their_own_boundary(model, ids):
    states = model.model(ids)
    assert sorted(states) == [2, 4, 6, 8]
    for depth in (2, 4, 6, 8):
        expected = model.lm_head(model.model.head_state(states[depth], depth))
        assert torch.equal(model(ids, depth=depth).logits, expected)


def test_saves_and_loads_through_the_auto_classes(model, tmp_path, ids):
    model.save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert config.exit_layers == [2, 4, 6]
    assert config.vision_config.stem_channels == [8, 16, 32]
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(loaded(ids).logits, model(ids).logits)


def test_bad_configurations_are_refused():
    with pytest.raises(ConfigError, match="exit_layers"):
        AutoGLMPhoneConfig(exit_layers=(6, 6, 18))
    with pytest.raises(ConfigError, match="multiple"):
        AutoGLMPhoneConfig(num_attention_heads=4, num_key_value_heads=3)
    with pytest.raises(ConfigError, match="unknown preset"):
        preset("huge")


@pytest.mark.parametrize("size", [(28, 28), (1, 1), (1080, 2400), (2400, 1080), (3, 9000), (640, 480), (6000, 6000)])
def test_grids_keep_the_patch_budget(size):
    rows, cols = patch_grid(size[1], size[0], 1120)
    assert 1 <= rows * cols <= 1120


def test_processor_hashes_content():
    processor = NativeProcessor(preset("mini"))
    picture = Image.fromarray(np.full((60, 90, 3), 7, np.uint8))
    one, two = processor.image(picture), processor.image(picture.copy())
    assert one.content_hash == two.content_hash
    assert one.data["pixels"].shape[0] % 16 == 0
    other = Image.fromarray(np.full((60, 90, 3), 8, np.uint8))
    assert processor.image(other).content_hash != one.content_hash


def test_long_recordings_are_cut_where_it_is_quiet():
    samples = np.ones(16000 * 70, np.float32)
    samples[25 * 16000 : 26 * 16000] = 0
    pieces = split_quiet(samples, 30 * 16000)
    assert sum(map(len, pieces)) == len(samples)
    assert all(len(p) <= 30 * 16000 for p in pieces)
    assert 25 * 16000 <= len(pieces[0]) <= 26 * 16000
