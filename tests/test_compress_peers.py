"""The comparison with other tools: the exported model says what ours says, and broken rules are seen."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import compress_cases
from autoglm_phone.compress import recipe

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks" / "peers"))
import glm4_text
import judge
import worker_ours


def test_the_export_gives_the_native_models_logits(tiny_model: Path, tmp_path: Path) -> None:
    native = compress_cases.lively(tiny_model, tmp_path / "native")
    exported = glm4_text.export(native, tmp_path / "glm4")
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randint(20, 200, (length,), generator=generator).tolist() for length in (5, 40)]
    assert glm4_text.largest_difference(native, exported, rows) <= 1e-4
    # A change of one weight is seen, so the comparison is not of a model with itself.
    tensors = load_file(exported / "model.safetensors")
    tensors["model.layers.0.mlp.down_proj.weight"][0] += 0.5
    glm4_text.save_file(tensors, str(exported / "model.safetensors"), {"format": "pt"})
    assert glm4_text.largest_difference(native, exported, rows) > 1e-4


def test_more_values_than_bits_allow_are_seen() -> None:
    codes = torch.arange(32).remainder(16).float().repeat(4, 1)
    base = {"a_proj.weight": torch.randn(4, 32), "embed.weight": torch.ones(4, 4), "norm.weight": torch.ones(4)}
    fair = {**base, "a_proj.weight": codes * 0.013, "norm.weight": torch.zeros(4)}
    assert glm4_text.changed_grid(base, fair, 4, lambda name: 32) == []
    assert "16 values" in glm4_text.changed_grid(base, fair, 3, lambda name: 32)[0]
    foul = {"a_proj.weight": fair["a_proj.weight"], "embed.weight": torch.zeros(4, 4)}
    assert len(glm4_text.changed_grid(base, foul, 4, lambda name: 32)) == 2  # the embedding, and no norm


def test_paired_differences_ignore_what_conversations_share() -> None:
    hard = torch.linspace(0, 100, 50)
    here = {"kl": hard.tolist(), "tokens": [10.0] * 50}
    there = {"kl": (hard + 1).tolist(), "tokens": [10.0] * 50}
    mean, low, high = judge.paired(here, there)
    assert (mean, low, high) == pytest.approx((-0.1, -0.1, -0.1))


@pytest.mark.parametrize("method", worker_ours.RECIPES)
def test_our_recipes_are_valid(method: str) -> None:
    made = recipe.parse(worker_ours.steps(method, 3, 64, False))
    assert made.steps[0].options["bits"] == 3
    assert made.steps[0].options["symmetric"] is False
