"""Sharing: the best common matrix, tensors stored once, and the same logits from every loader."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from autoglm_phone.compress import calibrate, measure, pipeline, recipe
from autoglm_phone.compress.formats import master
from autoglm_phone.compress.opening import open_model
from autoglm_phone.compress.share import Known, _fewest_across, merge, part
from autoglm_phone.errors import CheckpointError, ConfigError
from autoglm_phone.models.glm4v.reference import make_tiny_checkpoint
from autoglm_phone.models.native.configuration import preset
from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration
from autoglm_phone.models.shared import shared_weights
from autoglm_phone.runner.checkpoint import Checkpoint
from autoglm_phone.train.bundle import bundle_like, write_model
from autoglm_phone.train.distill import load_model
from autoglm_phone.train.trainer import Trainer
from compress_cases import conversations, lively
from test_train_path import TINY, prepared, tiny_config  # noqa: F401  (a fixture)

CPU = torch.device("cpu")
RECIPES = Path(__file__).parent.parent / "recipes"


def known(weight: torch.Tensor, x: torch.Tensor) -> Known:
    return Known(weight, x.T @ x / len(x))


def test_merging_equal_matrices_changes_nothing() -> None:
    torch.manual_seed(0)
    weight = torch.randn(6, 12)
    made, losses = merge(known(weight, torch.randn(50, 12)), known(weight, torch.randn(40, 12)))
    assert torch.allclose(made, weight, atol=1e-4)
    assert max(losses) < 1e-6


def test_matrices_that_read_different_inputs_merge_without_loss() -> None:
    torch.manual_seed(0)
    first, second = torch.randn(100, 12), torch.randn(100, 12)
    first[:, 6:], second[:, :6] = 0, 0  # each uses its own half of the columns
    a, b = known(torch.randn(6, 12), first), known(torch.randn(6, 12), second)
    made, losses = merge(a, b)
    assert max(losses) < 1e-3
    mean = (a.weight + b.weight) / 2
    assert float((mean - a.weight).square().sum()) > 1  # averaging would have lost much
    assert torch.allclose(made[:, :6], a.weight[:, :6], atol=0.02)


@pytest.fixture(scope="module")
def folder(tiny_model: Path, tmp_path_factory) -> Path:
    return lively(tiny_model, tmp_path_factory.mktemp("share") / "model")


@pytest.fixture(scope="module")
def samples(folder: Path, tmp_path_factory) -> list[calibrate.Sample]:
    talk = conversations(tmp_path_factory.mktemp("talk"))
    return calibrate.load(folder, calibrate.Calibration(samples=6, path=talk))


def logits(model: Path, sample: calibrate.Sample) -> torch.Tensor:
    made = measure.predictions(open_model(model), [sample], CPU)
    return made.unit.run(made.head, made.states[0])["logits"][0]


def test_shared_tensors_are_stored_once_and_load_everywhere(
    folder: Path, samples: list[calibrate.Sample], tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    parsed = recipe.parse("steps:\n  - share: {volume: 0.15}\n")
    made = pipeline.compress(folder, parsed, tmp_path / "out", samples=samples)
    ties = shared_weights(made)
    stored = {name for shard in made.glob("*.safetensors") for name in load_file(shard)}
    assert ties
    assert not stored & set(ties)
    assert set(ties.values()) <= stored
    before = sum(size for _, size in open_model(folder).sizes.values())
    after = sum(size for _, size in open_model(made).sizes.values())
    assert 0.15 <= 1 - after / before < 0.22
    report = json.loads((made / "compression.json").read_text())["steps"]["0-share"]
    assert report["saved_bytes"] == before - after
    engine = Checkpoint(made)  # what the runner reads
    one = next(iter(ties))
    assert torch.equal(engine.get(one), engine.get(ties[one]))
    mine = logits(made, samples[0])
    trained = load_model(made, "").eval()
    theirs = AutoModelForCausalLM.from_pretrained(made, dtype=torch.float32).eval()
    for model in (trained, theirs):
        places = [p - 1 for p in samples[0].answer_positions]
        with torch.no_grad():
            got = model(torch.tensor([samples[0].ids])).logits[0, places]
        assert torch.allclose(got, mine, atol=1e-3)
    names = {id(p) for p in trained.parameters()}
    assert len(names) == len(stored)  # one parameter a stored tensor: the optimizer sees it once


def test_shared_matrices_are_quantized_once(folder: Path, samples: list[calibrate.Sample], tmp_path: Path) -> None:
    text = """
steps:
  - share: {volume: 0.15}
  - awq: {targets: [attention, mlp, towers, cross-attention], skip: ["*position"], bits: 8, group_size: row}
  - gptq: {targets: [attention, mlp, towers, cross-attention], skip: ["*position"]}
"""
    whole = pipeline.compress(
        folder, recipe.parse("steps:\n  - share: {volume: 0.15}\n"), tmp_path / "float", samples=samples
    )
    made = pipeline.compress(folder, recipe.parse(text), tmp_path / "out", samples=samples)
    reader = master.MasterReader(made)
    for name, stored in shared_weights(made).items():
        one, two = name.removesuffix(".weight"), stored.removesuffix(".weight")
        assert reader.config.modules[one] == reader.config.modules[two]
        assert torch.equal(reader.module(one).codes, reader.module(two).codes)
        assert f"{one}.qweight" not in reader.names()
    first = measure.predictions(open_model(whole), samples, CPU)
    second = measure.predictions(open_model(made), samples, CPU)
    assert measure.compare(first, second, samples)["all"].kl_mean < 0.01


def test_pairs_across_are_of_two_parts(folder: Path, samples: list[calibrate.Sample], tmp_path: Path) -> None:
    lines: list[str] = []
    text = "steps:\n  - share: {volume: VOLUME, pairs: across}\n"
    made = pipeline.compress(
        folder, recipe.parse(text.replace("VOLUME", "0.02")), tmp_path / "out", samples=samples, say=lines.append
    )
    ties = shared_weights(made)
    assert ties
    assert all(part(one) != part(two) for one, two in ties.items())
    assert any("decoder with vision" in line or "audio with" in line for line in lines)
    mixed = pipeline.compress(
        folder, recipe.parse("steps:\n  - share: {volume: 0.15}\n"), tmp_path / "any", samples=samples
    )
    assert any(part(one) == part(two) for one, two in shared_weights(mixed).items())
    with pytest.raises(ConfigError, match=r":2: only .* with pairs: across; ask for less, or for pairs: any"):
        pipeline.plan_for(open_model(folder), recipe.parse(text.replace("VOLUME", "0.4")))


def test_what_the_plan_says_about_pairs_across_holds_in_any_order() -> None:
    """Against all orders of taking pairs, in small."""
    names = ["model.vision.a", "model.audio.a", "model.audio.b", "model.layers.a", "model.layers.b", "model.layers.c"]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :] if part(a) != part(b)]

    def fewest(used: frozenset[str]) -> int:
        free = [pair for pair in pairs if not used & set(pair)]
        return min((1 + fewest(used | set(pair)) for pair in free), default=0)

    promised = _fewest_across(names)
    assert len(promised) == fewest(frozenset()) == 2
    assert len({name for pair in promised for name in pair}) == 4
    assert all(part(a) != part(b) and names.index(a) < names.index(b) for a, b in promised)
    assert _fewest_across(names[3:]) == []


def test_recipes_that_do_nothing_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=":2: volume: 1e-07 is less than one parameter"):
        pipeline.plan_for(open_model(folder), recipe.parse("steps:\n  - share: {volume: 0.0000001}\n"))
    glm4v = open_model(make_tiny_checkpoint(tmp_path / "glm"))
    with pytest.raises(ConfigError, match="does anything to this model, which is of the family glm4v"):
        pipeline.plan_for(glm4v, recipe.load(RECIPES / "shared.yaml"))


def test_a_map_that_points_on_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"shared_weights": {"a": "b", "b": "c"}}))
    with pytest.raises(CheckpointError, match="shared_weights"):
        shared_weights(tmp_path)


def test_healing_goes_on_from_shared_tensors_and_finds_them_again(prepared, tmp_path, caplog) -> None:  # noqa: F811
    """A tower's matrix serves a layer that the model meets before it, and one layer's serves another."""
    torch.manual_seed(1)
    model = AutoGLMPhoneForConditionalGeneration(preset("mini", **TINY))
    weights = {n: t.bfloat16() for n, t in model.state_dict().items() if n != "lm_head.weight"}
    ties = {
        "model.layers.1.self_attn.q_proj.weight": "model.audio.blocks.0.attn.proj.weight",
        "model.layers.0.mlp.down_proj.weight": "model.layers.1.mlp.down_proj.weight",
    }
    stored = {name: tensor for name, tensor in weights.items() if name not in ties}
    assert all(weights[place].shape == weights[kept].shape for place, kept in ties.items())
    write_model(stored, prepared, tmp_path / "base", "mini", {**TINY, "shared_weights": ties})
    config = tiny_config(
        prepared, tmp_path / "run", steps=1, model=tmp_path / "base", init_from=tmp_path / "base",
        teacher=tmp_path / "base", plan=("text",), layer_dropout=0.0,
    )  # fmt: skip
    trainer = Trainer(config)
    assert not any(place in record.getMessage() for record in caplog.records for place in (*ties, *ties.values()))
    assert float(trainer.objective(trainer.feeder.next("text")[0], None)["kl"].detach()) < 1e-6
    trainer.run()
    bundle_like(tmp_path / "run", tmp_path / "base", tmp_path / "out")
    assert set(Checkpoint(tmp_path / "out").names()) >= set(stored)
    healed = Checkpoint(tmp_path / "out")
    assert any(not torch.equal(healed.get(kept), stored[kept]) for kept in ties.values())
    run = load_model(tmp_path / "out", "").get_parameter("model.layers.0.mlp.down_proj.weight")
    assert torch.equal(run.bfloat16(), healed.get("model.layers.1.mlp.down_proj.weight"))
