"""Pruning: the count at the 9B scale, exactness where nothing is lost, and smaller checkpoints that load everywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from autoglm_phone.compress import calibrate, measure, pipeline, recipe
from autoglm_phone.compress.opening import open_model, open_shape
from autoglm_phone.compress.prune import absorb, spend, two_of_four, width_after
from autoglm_phone.models.glm4v.reference import make_tiny_checkpoint
from compress_cases import conversations, lively

CPU = torch.device("cpu")
RECIPES = Path(__file__).parent.parent / "recipes"
GLM_9B = {
    "model_type": "glm4v", "image_token_id": 151343, "tie_word_embeddings": False,
    "text_config": {
        "vocab_size": 151552, "hidden_size": 4096, "intermediate_size": 13696, "num_hidden_layers": 40,
        "num_attention_heads": 32, "num_key_value_heads": 2, "max_position_embeddings": 65536,
        "rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5, "mrope_section": [8, 12, 12]},
    },
    "vision_config": {"depth": 24, "hidden_size": 1536, "num_heads": 12, "out_hidden_size": 4096,
                      "intermediate_size": 13696},
}  # fmt: skip


@pytest.fixture(scope="module")
def glm_9b(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shape")
    (folder / "config.json").write_text(json.dumps(GLM_9B))
    return folder


def test_the_9b_shape_loses_15_percent_and_fits_the_published_sizes(glm_9b: Path) -> None:
    opened = open_shape(glm_9b)
    count = sum(elements for elements, _ in opened.sizes.values())
    assert count == 10_292_777_472
    mobile = pipeline.plan_for(opened, recipe.load(RECIPES / "mobile.yaml"))
    assert mobile.away // 2 == 40 * 3 * 4096 * (13696 - 10496) == 1_572_864_000
    assert round(mobile.away / mobile.float_bytes, 3) == 0.153
    assert mobile.num_bytes == 4_383_753_216 <= 4.7e9
    assert pipeline.plan_for(opened, recipe.load(RECIPES / "int4.yaml")).num_bytes == 5_194_761_216 <= 5.4e9


def test_widths_are_multiples() -> None:
    assert width_after(13696, 0.234) == 10496 == 41 * 256
    assert width_after(640, 0.15) == 544 == 17 * 32
    assert width_after(640, 0.0) == 640
    assert width_after(4096, 0.99) == 256


def test_channels_that_others_span_are_absorbed_exactly() -> None:
    torch.manual_seed(0)
    x = torch.randn(500, 24, dtype=torch.float64)
    x = torch.cat([x, x @ torch.randn(24, 8, dtype=torch.float64)], -1)
    weight = torch.randn(10, 32, dtype=torch.float64)
    hessian, keep = x.T @ x / 500, torch.arange(24)
    made, error = absorb(weight, hessian, keep, {"compensate": True, "damping": 1e-9})
    assert error < 1e-8
    assert torch.allclose(x[:, :24] @ made.double().T, x @ weight.T, atol=1e-2)
    _, plain = absorb(weight, hessian, keep, {"compensate": False, "damping": 1e-9})
    assert plain > 0.1


def test_two_of_four_keeps_what_moves_the_output() -> None:
    weight = torch.tensor([[1.0, 2.0, 3.0, 4.0, -5.0, 0.1, 0.2, 0.3]])
    hessian = torch.diag(torch.tensor([100.0, 1, 1, 1, 1, 1, 1, 1]))
    made = two_of_four(weight, hessian)
    assert made.tolist() == [[1.0, 0.0, 0.0, 4.0, -5.0, 0.0, 0.0, pytest.approx(0.3)]]


def test_spending_gives_width_where_energy_is() -> None:
    flat, steep = torch.full((8,), 0.125), torch.tensor([0.9, 0.1, 0, 0, 0, 0, 0, 0.0])
    assert spend([flat, steep], 8, 2) == [6, 2]


def test_a_pruned_glm4v_is_a_checkpoint_that_transformers_loads(tmp_path: Path) -> None:
    from transformers import Glm4vForConditionalGeneration

    from autoglm_phone.models.glm4v.model import Glm4vModel, Prompt

    folder = make_tiny_checkpoint(tmp_path / "model")
    samples = calibrate.load(folder, calibrate.Calibration(samples=6, path=conversations(tmp_path / "talk")))
    lines: list[str] = []
    parsed = recipe.parse("steps:\n  - prune: {mlp: 0.4, compensate: false}\n  - distill: {steps: 20, lr: 0.05}\n")
    made = pipeline.compress(folder, parsed, tmp_path / "out", samples=samples, say=lines.append)
    config = json.loads((made / "config.json").read_text())
    assert config["text_config"]["intermediate_size"] == 96
    assert sum("output error" in line for line in lines) == 4
    healed = [list(map(float, line.split("error ")[1].split(" -> "))) for line in lines if line.startswith("heal ")]
    assert len(healed) == 4
    assert all(after <= before for before, after in healed)
    assert any(after < before for before, after in healed)
    theirs = Glm4vForConditionalGeneration.from_pretrained(made, dtype=torch.float32).eval()
    ours = Glm4vModel.from_folder(made, torch.float32)
    ids = list(samples[0].ids)
    with torch.no_grad():
        expected = theirs(input_ids=torch.tensor([ids])).logits[0]
    assert torch.allclose(ours([Prompt(ids, [])])[0], expected, atol=1e-3)
    report = json.loads((made / "compression.json").read_text())
    assert report["bytes"] < report["float_bytes"]


class KilledError(Exception):
    pass


def test_a_cut_run_goes_on_and_gives_the_same_bits(tmp_path: Path) -> None:
    folder = make_tiny_checkpoint(tmp_path / "model")
    samples = calibrate.load(folder, calibrate.Calibration(samples=4, path=conversations(tmp_path / "talk")))
    text = "steps:\n  - prune: {mlp: 0.4}\n  - distill: {steps: 3, lr: 0.02}\n"

    def run(out: str, stop: str) -> list[str]:
        lines: list[str] = []

        def say(line: str) -> None:
            lines.append(line)
            if stop and line.startswith(stop):
                raise KilledError

        pipeline.compress(folder, recipe.parse(text), tmp_path / out, samples=samples, say=say)
        return lines

    run("whole", "")
    for stop in ("prune model.layers.1", "step distill", "heal model.layers.2"):
        with pytest.raises(KilledError):
            run("cut", stop)
        assert not (tmp_path / "cut" / "config.json").exists()
    assert not any(line.startswith("prune ") for line in run("cut", ""))  # done, and not done again
    whole = sorted((tmp_path / "whole").glob("*.safetensors"))
    assert whole
    for shard in whole:
        assert shard.read_bytes() == (tmp_path / "cut" / shard.name).read_bytes()


def test_native_heads_and_uneven_widths(tiny_model: Path, tmp_path: Path) -> None:
    folder = lively(tiny_model, tmp_path / "model")
    samples = calibrate.load(folder, calibrate.Calibration(samples=6, path=conversations(tmp_path / "talk")))
    text = "steps:\n  - prune: {heads: 0.5, mlp: 0.5, multiple: 8, allocate: sensitivity}\n"
    made = pipeline.compress(folder, recipe.parse(text), tmp_path / "out", samples=samples)
    config = json.loads((made / "config.json").read_text())
    old = json.loads((folder / "config.json").read_text())
    assert config["num_key_value_heads"] * 2 == old["num_key_value_heads"]
    assert config["num_attention_heads"] * 2 == old["num_attention_heads"]
    assert sum(config["intermediate_sizes"]) == config["intermediate_size"] * config["num_hidden_layers"]
    from autoglm_phone.train.distill import load_model

    model = load_model(made, "")
    opened = open_model(made)
    first = measure.predictions(opened, samples[:1], CPU)
    logits = first.unit.run(first.head, first.states[0])["logits"][0]
    with torch.no_grad():
        expected = model(torch.tensor([samples[0].ids])).logits[0, [p - 1 for p in samples[0].answer_positions]]
    assert torch.allclose(logits, expected, atol=1e-3)


def test_two_of_four_then_rtn_keeps_its_zeros(tiny_model: Path, tmp_path: Path) -> None:
    folder = lively(tiny_model, tmp_path / "model")
    samples = calibrate.load(folder, calibrate.Calibration(samples=4, path=conversations(tmp_path / "talk")))
    text = "steps:\n  - prune: {pattern: '2:4'}\n  - rtn: {targets: [mlp], bits: 4, group_size: row}\n"
    made = open_model(pipeline.compress(folder, recipe.parse(text), tmp_path / "out", samples=samples))
    weight = made.source.get("model.layers.0.mlp.down_proj.weight")
    zeros = (weight.view(weight.shape[0], -1, 4) == 0).sum(-1)
    assert bool((zeros >= 2).all())
