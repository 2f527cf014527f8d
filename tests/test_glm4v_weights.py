"""Folders, shards and configs that are incomplete, corrupt or of another kind; sizes of the real shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Glm4vConfig, Glm4vForConditionalGeneration

from autoglm_phone.errors import CheckpointError, ConfigError
from autoglm_phone.models import registry
from autoglm_phone.models.glm4v.configuration import load_shape, parse_shape
from autoglm_phone.models.glm4v.processing import Glm4vProcessor
from autoglm_phone.models.glm4v.reference import make_tiny_checkpoint
from autoglm_phone.models.glm4v.shape import GLM_9B, folder_table, kv_bytes_per_token, parameter_table
from autoglm_phone.models.glm4v.weights import disk_name, expected_shapes, load_weights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_tiny_checkpoint(tmp_path / "tiny", seed=5, text_config={"num_hidden_layers": 2})


def drop(folder: Path, *names: str) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({k: v for k, v in tensors.items() if k not in names}, folder / "model.safetensors")


def edit(folder: Path, name: str = "config.json", **changes: Any) -> None:
    raw = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**raw, **changes}))


def test_every_tensor_of_transformers_is_expected(folder: Path) -> None:
    shapes = {disk_name(name): size for name, size in expected_shapes(load_shape(folder)).items()}
    theirs = {name: tuple(t.shape) for name, t in load_file(folder / "model.safetensors").items()}
    assert shapes == theirs


def test_shards_with_index(tmp_path: Path) -> None:
    one = make_tiny_checkpoint(tmp_path / "one", seed=6)
    many = make_tiny_checkpoint(tmp_path / "many", seed=6, max_shard_size="300KB")
    assert len(list(many.glob("*.safetensors"))) > 3
    a, b = load_weights(one), load_weights(many)
    assert all(torch.equal(a.text[name], b.text[name]) for name in a.text)
    assert all(torch.equal(a.vision[name], b.vision[name]) for name in a.vision)


def test_missing_tensors_are_named(folder: Path) -> None:
    drop(folder, "model.language_model.layers.1.mlp.down_proj.weight", "model.visual.merger.proj.weight")
    with pytest.raises(CheckpointError, match=r"2 tensors are missing.*layers\.1\.mlp\.down_proj.*merger\.proj"):
        load_weights(folder)


def test_missing_head_is_only_allowed_when_tied(folder: Path) -> None:
    drop(folder, "lm_head.weight")
    with pytest.raises(CheckpointError, match=r"lm_head\.weight"):
        load_weights(folder)
    edit(folder, tie_word_embeddings=True)
    weights = load_weights(folder)
    assert weights.text["lm_head.weight"] is weights.text["model.embed_tokens.weight"]


def test_half_of_a_split_mlp_is_missing(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    name = "model.language_model.layers.0.mlp.gate_up_proj.weight"
    tensors[name.replace("gate_up", "gate")] = tensors.pop(name).chunk(2)[0].contiguous()
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"gate_up_proj"):
        load_weights(folder)


def test_wrong_shape(folder: Path) -> None:
    edit(folder, text_config={**json.loads((folder / "config.json").read_text())["text_config"], "vocab_size": 384})
    with pytest.raises(CheckpointError, match=r"has shape \[320, 128\], config.json asks for \[384, 128\]"):
        load_weights(folder)


def test_missing_shard(tmp_path: Path) -> None:
    folder = make_tiny_checkpoint(tmp_path / "many", seed=6, max_shard_size="300KB")
    sorted(folder.glob("*.safetensors"))[1].unlink()
    with pytest.raises(CheckpointError, match="lacks shards"):
        load_weights(folder)


def test_index_that_leaves_the_folder(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "../../etc/x.safetensors"}}))
    with pytest.raises(CheckpointError, match="outside its folder"):
        load_weights(folder)


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", b"\xff" * 64])
def test_corrupt_shard(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        load_weights(folder)


def test_truncated_shard(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        load_weights(folder)


def test_pickles_are_not_read(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="safetensors"):
        load_weights(folder)


def test_quantized_weights_are_refused(folder: Path) -> None:
    edit(folder, quantization_config={"quant_method": "awq"})
    with pytest.raises(CheckpointError, match="awq"):
        load_weights(folder)


def test_dtype(folder: Path) -> None:
    weights = load_weights(folder, dtype=torch.bfloat16)
    assert {t.dtype for t in [*weights.text.values(), *weights.vision.values()]} == {torch.bfloat16}


def test_partial_rotary_factor_is_never_guessed(folder: Path) -> None:
    """transformers 5 falls back to 1.0 in silence; then mrope_section does not fit the head."""
    raw = json.loads((folder / "config.json").read_text())
    del raw["text_config"]["rope_parameters"]["partial_rotary_factor"]
    with pytest.raises(CheckpointError, match="partial_rotary_factor"):
        parse_shape(raw)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "qwen2_vl"}, "model_type"),
        ({"image_token_id": None}, "image_token_id"),
        ({"image_token_id": 10**6}, "outside the vocabulary"),
        ({"vision_config": None}, "vision_config"),
        ({"vision_config": {"out_hidden_size": 64}}, "out_hidden_size"),
        ({"vision_config": {"num_heads": 0}}, "num_heads"),
        ({"vision_config": {"rope_parameters": [1]}}, "type"),
        ({"eos_token_id": ["a"]}, "type"),
        ({"text_config": {"hidden_size": 64, "num_attention_heads": 3}}, "divide"),
        ({"text_config": [1]}, "text_config"),
    ],
)
def test_contradictory_configs(folder: Path, changes: dict[str, Any], message: str) -> None:
    raw = {**json.loads((folder / "config.json").read_text()), **changes}
    with pytest.raises(CheckpointError, match=message):
        parse_shape(raw)


def test_registry_facts(folder: Path) -> None:
    facts = registry.facts(registry.locate(folder))
    assert (facts.family, facts.vocab_size, facts.max_length, facts.image_token_id) == ("glm4v", 320, 4096, 270)
    assert len(facts.eos_token_ids) == 4  # generation_config.json's list, `</answer>` among them
    assert facts.audio_token_id is None
    processor = registry.load_processor(folder, {"max_pixels": 2 * 28 * 28 * 9})
    assert isinstance(processor, Glm4vProcessor)
    assert processor.num_tokens(2400, 1080) <= 9


@pytest.mark.parametrize("name", ["9b", "no/such-model", "./nowhere"])
def test_registry_says_what_to_do(name: str) -> None:
    with pytest.raises(CheckpointError):
        registry.locate(name)


def test_registry_unknown_architecture(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(CheckpointError, match="llama"):
        registry.facts(tmp_path)
    with pytest.raises(ConfigError):
        registry.load_processor(tmp_path)


def test_real_shape_has_the_known_size() -> None:
    table = {row.part: row.parameters for row in parameter_table(GLM_9B)}
    total = sum(table.values())
    assert round(total / 1e9, 3) == 10.293
    assert round(2 * total / 1e9, 2) == 20.59
    assert len(expected_shapes(GLM_9B)) == 704
    assert (round(table["vision tower"] / 1e9, 3), round(table["embedding"] / 1e9, 3)) == (0.892, 0.621)
    assert round((table["decoder self-attention"] + table["decoder MLP"]) / 1e9, 3) == 8.158
    assert kv_bytes_per_token(GLM_9B) == 40 * 1024


def test_real_shape_against_transformers_on_meta() -> None:
    """transformers' default config is the 9B's, except for the partial factor; built on the meta device."""
    with torch.device("meta"):
        model = Glm4vForConditionalGeneration(Glm4vConfig())
    theirs = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    assert {disk_name(name): size for name, size in expected_shapes(GLM_9B).items()} == theirs


def test_folder_table_counts_the_file(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    assert sum(row.parameters for row in folder_table(folder)) == sum(t.numel() for t in tensors.values())
