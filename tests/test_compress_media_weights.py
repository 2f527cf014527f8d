"""Weights of positions from gradients: those of a whole-model backward pass, kept means, and what a recipe may say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import compress_cases
from autoglm_phone.compress import calibrate, media_weights, pipeline, recipe
from autoglm_phone.compress.opening import open_model
from autoglm_phone.errors import ConfigError

CPU = torch.device("cpu")
RECIPE = """
calibration: {samples: 4, max_tokens: 64, gradients: RULE, path: PATH}
steps:
  - gptq: {targets: [attention, mlp], bits: 3, group_size: 16}
"""


@pytest.fixture(scope="module")
def native(tiny_model: Path, tmp_path_factory) -> Path:
    return compress_cases.lively(tiny_model, tmp_path_factory.mktemp("native") / "model")


@pytest.fixture(scope="module")
def talk(tmp_path_factory) -> Path:
    return compress_cases.conversations(tmp_path_factory.mktemp("talk"))


@pytest.fixture(scope="module")
def samples(native: Path, talk: Path) -> list[calibrate.Sample]:
    return calibrate.load(native, calibrate.Calibration(samples=6, path=talk))


@pytest.mark.parametrize("squared", [True, False])
def test_against_a_backward_pass_through_the_whole_model(native: Path, samples, squared: bool) -> None:
    from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration

    text = [sample for sample in samples if not sample.media][:1]
    found = media_weights.sensitivities(open_model(native), text, CPU, squared=squared, seed=5)[0]
    model = AutoGLMPhoneForConditionalGeneration.from_pretrained(native, dtype=torch.float32).eval()
    states: list[torch.Tensor] = []
    for layer in model.model.layers:
        # In front of a layer: before its cross-attention, which text does not use.
        layer.register_forward_pre_hook(lambda module, inputs: (inputs[0].retain_grad(), states.append(inputs[0]))[0])
    embedded = model.model.embed_tokens.weight.requires_grad_()
    logits = model(torch.tensor([text[0].ids])).logits[0, [p - 1 for p in text[0].answer_positions]]
    drawn = torch.multinomial(logits.detach().softmax(-1), 1, generator=torch.Generator().manual_seed(5))
    logits.log_softmax(-1).gather(1, drawn).sum().backward()
    assert embedded.grad is not None
    sizes = [(s.grad[0].square() if squared else s.grad[0].abs()).mean(-1) for s in states if s.grad is not None]
    expected = torch.stack([size / size.mean() for size in sizes]).mean(0)
    assert len(sizes) == 4
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert float(found.mean()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("rule", [r for r in calibrate.GRADIENTS if r not in media_weights.BY_UNIT])
def test_weights_keep_their_mean_and_follow_the_rule(native: Path, samples, rule: str) -> None:
    made = media_weights.weigh(open_model(native), samples, rule, CPU)
    before, after = (torch.cat([torch.tensor(s.weights) for s in group]) for group in (samples, made))
    assert float(after.mean()) == pytest.approx(float(before.mean()), rel=1e-4)
    assert not torch.allclose(before, after)
    kinds = torch.tensor([kind for sample in samples for kind in sample.kinds])
    text = (after / before)[kinds == calibrate.KINDS.index("text")]
    assert (float(text.std()) > 1e-3) == (rule == "positions"), "one factor a kind, or one a position"


def test_recipes_ask_for_it(native: Path, talk: Path, tmp_path: Path) -> None:
    text = RECIPE.replace("PATH", str(talk))
    lines: list[str] = []
    out = pipeline.compress(native, recipe.parse(text.replace("RULE", "squares")), tmp_path / "o", say=lines.append)
    assert any("weight of positions by gradient (squares)" in line for line in lines)
    plain = pipeline.compress(native, recipe.parse(text.replace("RULE", "''")), tmp_path / "p")
    shards = [next(folder.glob("*.safetensors")).read_bytes() for folder in (out, plain)]
    assert shards[0] != shards[1]
    with pytest.raises(ConfigError, match="gradients must be one of"):
        recipe.parse(text.replace("RULE", "hunches"))
