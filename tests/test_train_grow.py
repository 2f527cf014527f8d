"""A grown model computes what the narrow one does, and its copies go ways of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from autoglm_phone.errors import CheckpointError, ConfigError
from autoglm_phone.models.native.configuration import AutoGLMPhoneConfig, preset
from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration
from autoglm_phone.train.batches import Batch
from autoglm_phone.train.bundle import write_model
from autoglm_phone.train.distill import Matching, Teacher
from autoglm_phone.train.grow import check_growth, grow
from autoglm_phone.train.muon import MuonAdam, OptimConfig
from autoglm_phone.train.objective import Objective
from autoglm_phone.train.trainer import Trainer
from test_train_path import TINY, prepared, tiny_config  # noqa: F401  (a fixture)

TWICE = {
    "hidden_size": 128, "num_attention_heads": 8, "num_key_value_heads": 4, "intermediate_size": 192,
    "cross_num_attention_heads": 8,
    "vision_config": {"hidden_size": 128, "num_attention_heads": 8, "intermediate_size": 128,
                      "stem_channels": [16, 32, 64]},
    "audio_config": {"hidden_size": 128, "num_attention_heads": 8, "intermediate_size": 128, "stem_channels": 128},
}  # fmt: skip
GROWTHS: dict[str, dict[str, Any]] = {
    "all twice": TWICE,
    "keys and values shared by more queries": {**TWICE, "num_key_value_heads": 2},
    "MLPs alone, three times": {
        "intermediate_size": 288,
        "vision_config": {"intermediate_size": 192},
        "audio_config": {"intermediate_size": 192},
    },
    "decoder alone": {name: value for name, value in TWICE.items() if not name.endswith("config")},
    "stems alone": {"vision_config": {"stem_channels": [8, 32, 32]}, "audio_config": {"stem_channels": 192}},
}


def shape(**widths: Any) -> AutoGLMPhoneConfig:
    towers = {place: {**TINY[place], **widths.get(place, {})} for place in ("vision_config", "audio_config")}
    return preset("mini", **{**TINY, **widths, **towers})


def objective_of(config: AutoGLMPhoneConfig) -> Objective:
    return Objective(AutoGLMPhoneForConditionalGeneration(config), glyphs=1).eval()


def narrow() -> Objective:
    """Every weight at random: fresh gates and exit heads are zero and would hide what reads them."""
    torch.manual_seed(3)
    objective = objective_of(shape())
    for parameter in objective.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return objective


def widened(objective: Objective, config: AutoGLMPhoneConfig) -> Objective:
    large = objective_of(config)
    weights = grow(objective.state_dict(), objective.model.config, config, seed=5)
    assert weights.keys() == large.state_dict().keys()
    large.load_state_dict(weights)
    return large


@pytest.fixture
def batches(prepared, tmp_path) -> dict[str, Batch]:  # noqa: F811
    feeder = Trainer(tiny_config(prepared, tmp_path / "run")).feeder
    found = {kind: feeder.next(kind)[0] for kind in ("text", "image", "audio", "joint")}
    found["image"].look_at = torch.tensor([[4, 6], [5, -1]])  # toy samples say nothing that one could look for
    found["image"].look_hits = torch.tensor([[0, 0, 1], [0, 1, 0], [0, 1, 3], [1, 0, 2]])  # [picture, look, patch]
    return found


def outputs(objective: Objective, batches: dict[str, Batch]) -> Iterator[tuple[str, Tensor]]:
    """Every loss at every exit, and the logits that cross entropy would forgive a shift."""
    for kind, batch in batches.items():
        for depth in (2, 4, 6):
            torch.manual_seed(0)
            for name, value in objective(batch, depth, augment=False).items():
                yield f"{kind} {name} at {depth}", value
    model = objective.model
    generator = torch.Generator().manual_seed(1)
    ids = torch.tensor([[30, model.config.image_token_id, 31, model.config.audio_token_id, 32, 33]])
    pixels = 2 * torch.rand(1, 3, 48, 64, generator=generator) - 1
    mel = torch.randn(1, 80, 61, generator=generator)
    memory = model.model.memory_for(ids, pixel_values=pixels, input_features=mel)
    yield "CTC logits", model.model.encode_audio(mel)[2]
    yield "text alone", model(ids).logits
    for depth in (2, 4, 6, 8):
        yield f"logits at {depth}", model(ids, memory=memory, depth=depth).logits


@pytest.mark.parametrize("growth", GROWTHS)
@torch.no_grad()
def test_it_computes_what_the_narrow_model_does(growth: str, batches: dict[str, Batch]) -> None:
    small = narrow()
    large = widened(small, shape(**GROWTHS[growth]))
    seen = set()
    for (name, before), (_, after) in zip(outputs(small, batches), outputs(large, batches), strict=True):
        seen.add(name.split(" ")[1])
        assert torch.allclose(before, after, atol=1e-4, rtol=1e-5), f"{name}: {(before - after).abs().max():.2g}"
    assert {"text", "exit", "ctc", "glyph", "region", "box", "look", "logits"} <= seen


@torch.no_grad()
def test_states_are_copies(batches: dict[str, Batch]) -> None:
    """What a projection that begins as copies (`Matching`) relies on."""
    small = narrow()
    large = widened(small, shape(**TWICE))
    batch = batches["image"]
    own, aim = (objective.model.model(batch.ids) for objective in (small, large))
    for depth, state in own.items():
        assert torch.allclose(state.repeat_interleave(2, -1), aim[depth], atol=1e-4)
    assert batch.where is not None
    assert Matching([2, 8], 64, 128)(own, aim, batch.where) < 1e-9
    losses = Objective(small.model, 1, teacher=Teacher(large.model)).eval()(batch, None, augment=False)
    assert losses["kl"] < 1e-6
    assert losses["hidden"] < 1e-6


# Tensors whose copies of rows start equal, by the size of what is copied whole; of each kind one.
ROWS = {
    "layers.0.input_layernorm.weight": 1, "layers.3.cross_attn.norm.weight": 1, "layers.5.post_mlp_layernorm.weight": 1,
    "layers.2.self_attn.q_proj.bias": 16, "layers.2.self_attn.k_proj.bias": 16, "layers.7.self_attn.v_proj.bias": 16,
    "vision.stem.down.0.conv.weight": 1, "vision.stem.mix.1.norm.bias": 1, "vision.stem.out.bias": 1,
    "vision.position.weight": 1, "vision.blocks.1.attn.qkv.bias": 16, "vision.project.bias": 1,
    "audio.conv1.weight": 1, "audio.norm2.weight": 1, "audio.blocks.0.conv.weight": 1, "audio.out_position.weight": 1,
}  # fmt: skip


def test_copies_part_with_the_first_step(batches: dict[str, Batch]) -> None:
    large = widened(narrow(), shape(**TWICE))
    core = large.model.model

    def copies(name: str) -> tuple[Tensor, Tensor]:
        one, other = core.get_parameter(name).detach().unflatten(0, (-1, 2, ROWS[name])).unbind(1)
        return one, other

    embedding = core.embed_tokens.weight.detach()
    assert torch.equal(embedding[:, 0::2], embedding[:, 1::2])
    for name in ROWS:
        assert torch.equal(*copies(name)), name
    optimizer = MuonAdam(list(large.named_parameters()), OptimConfig())
    for batch in batches.values():
        large(batch, 2)["total"].backward()
    optimizer.step(1.0)
    assert not torch.isclose(embedding[:, 0::2], embedding[:, 1::2], rtol=1e-3, atol=1e-7).all(0).any()
    for name in ROWS:
        one, other = copies(name)
        assert not torch.isclose(one, other, rtol=1e-4, atol=1e-7).all(), name


def test_every_row_divides_a_weight_in_shares_of_its_own() -> None:
    small = narrow()
    weights = small.state_dict()
    grown = grow(weights, small.model.config, shape(**TWICE))
    name = "model.model.layers.0.self_attn.q_proj.weight"
    parts = grown[name].unflatten(0, (-1, 2, 16)).unflatten(-1, (-1, 2))  # [heads, copies, 16, columns, copies]
    whole = weights[name].unflatten(0, (-1, 16))
    for copy in range(2):
        assert torch.allclose(parts.sum(-1)[:, copy], whole, atol=1e-6)
    share = parts[..., 0] / parts.sum(-1)
    assert 0.05 < share.min() < 0.2
    assert 0.8 < share.max() < 0.95
    assert share.std(0).min() > 1e-3
    again = grow(dict(reversed(weights.items())), small.model.config, shape(**TWICE))
    assert all(torch.equal(tensor, again[name]) for name, tensor in grown.items())
    other = grow(weights, small.model.config, shape(**TWICE), seed=1)
    assert not torch.equal(grown[name], other[name])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"hidden_size": 96}, "hidden_size 64 can't grow to 96"),
        ({"hidden_size": 32}, "hidden_size 64 can't grow to 32"),
        ({"hidden_size": 128}, "cross-attention would grow from 16 to 32 channels a head"),
        ({"vision_config": {"hidden_size": 128}}, "vision_config would grow"),
        ({"vision_config": {"stem_channels": [8, 16, 40]}}, "stem_channels 32 can't grow to 40"),
        ({"vision_config": {"stem_channels": [8, 32]}}, "as many entries"),
        ({"audio_config": {"num_hidden_layers": 3}}, "audio_config.num_hidden_layers is 3 and was 2"),
        ({"exit_layers": (2, 4)}, "exit_layers"),
        ({"rope_theta": 1e6}, "rope_theta"),
        ({"vocab_size": 500}, "vocab_size"),
        ({}, "--init-from"),
    ],
)
def test_what_no_copy_can_give_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_growth(shape(), shape(**fields))
    assert words in refused.value.message


def test_pro_grows_from_mini_at_four_times_its_size() -> None:
    check_growth(preset("mini"), preset("pro"))
    with torch.device("meta"):
        mini, pro = (
            sum(p.numel() for p in AutoGLMPhoneForConditionalGeneration(preset(name)).parameters())
            for name in ("mini", "pro")
        )
    assert 3.5 < pro / mini < 4


def test_tensors_that_nobody_knows_are_named() -> None:
    small = narrow()
    with pytest.raises(CheckpointError, match=r"model\.strange"):
        grow({"model.strange": torch.zeros(3)}, small.model.config, shape(**TWICE))
    with pytest.raises(CheckpointError, match="embed_tokens"):
        grow({"model.model.embed_tokens.weight": torch.zeros(400, 63)}, small.model.config, shape(**TWICE))


def test_a_run_starts_from_a_grown_folder(prepared, tmp_path) -> None:  # noqa: F811
    small = narrow()
    weights = {n: t for n, t in small.model.state_dict().items() if n != "lm_head.weight"}
    write_model(weights, prepared, tmp_path / "small", "mini", TINY)
    wide = {**TINY, **TWICE, "audio_config": {**TINY["audio_config"], **TWICE["audio_config"]},
            "vision_config": {**TINY["vision_config"], **TWICE["vision_config"]}}  # fmt: skip
    config = tiny_config(prepared, tmp_path / "run", steps=1, plan=("text",), grow_from=tmp_path / "small")
    trainer = Trainer(dataclasses.replace(config, overrides=wide))
    ids = torch.arange(20, 40)[None]
    with torch.no_grad():
        assert torch.allclose(small.model(ids).logits, trainer.objective.model.eval()(ids).logits, atol=1e-4)
    assert trainer.run().step == 1
