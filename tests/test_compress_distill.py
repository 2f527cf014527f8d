"""Distillation: the loss is the divergence that it says, a teacher pulls the pupil, and a cut run goes on."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from autoglm_phone.errors import CheckpointError, ConfigError
from autoglm_phone.models.native.configuration import preset
from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration
from autoglm_phone.train.bundle import bundle_like, preset_of, write_model
from autoglm_phone.train.distill import DistillConfig, Matching, Teacher, load_model
from autoglm_phone.train.state import save_run
from autoglm_phone.train.trainer import Progress, Trainer
from test_train_path import TINY, prepared, tiny_config  # noqa: F401  (a fixture)

WIDE = {**TINY, "hidden_size": 96, "intermediate_size": 128, "num_attention_heads": 6, "num_key_value_heads": 2}


def teacher_of(**fields) -> Teacher:
    return Teacher(AutoGLMPhoneForConditionalGeneration(preset("mini", **{**TINY, **fields})), DistillConfig(top_k=3))


def test_divergence_over_all_tokens_is_the_kl() -> None:
    torch.manual_seed(0)
    teacher = teacher_of()
    teacher.config = DistillConfig(top_k=9)
    own, aim = torch.randn(5, 10), torch.randn(5, 10)
    expected = (aim.softmax(-1) * (aim.log_softmax(-1) - own.log_softmax(-1))).sum(-1).mean()
    assert torch.allclose(teacher.divergence(own, aim), expected, atol=1e-5)
    teacher.config = DistillConfig(top_k=3)
    assert 0 < teacher.divergence(own, aim) < expected  # merging outcomes can only lose information
    assert teacher.divergence(aim, aim) == pytest.approx(0, abs=1e-6)


def test_states_of_other_widths_are_projected() -> None:
    where = torch.arange(4)
    own, aim = {2: torch.randn(1, 4, 8)}, {2: torch.randn(1, 4, 12)}
    matching = Matching([2], 8, 12)
    assert matching(own, aim, where) > 0
    assert len(list(Matching([2], 8, 8).parameters())) == 0
    assert Matching([2], 8, 8)(own, own, where) == 0


def test_teachers_of_another_vocabulary_are_refused() -> None:
    with pytest.raises(ConfigError, match="tokenizer"):
        teacher_of(vocab_size=500).matching(preset("mini", **TINY))


def test_a_teacher_pulls_the_pupil_and_a_cut_run_goes_on(prepared, tmp_path) -> None:  # noqa: F811
    torch.manual_seed(1)
    wide = AutoGLMPhoneForConditionalGeneration(preset("mini", **WIDE))
    weights = {n: t for n, t in wide.state_dict().items() if n != "lm_head.weight"}
    write_model(weights, prepared, tmp_path / "teacher", "mini", {**WIDE})
    config = tiny_config(
        prepared, tmp_path / "run", steps=6, teacher=tmp_path / "teacher", layer_dropout=0.0, plan=("text", "image/2"),
    )  # fmt: skip
    first = Trainer(dataclasses.replace(config, call_steps=3))
    assert first.objective.matching is not None
    assert not any(name.startswith("teacher") for name, _ in first.named)
    losses, _ = first._step(1.0)
    assert {"text/kl", "text/hidden", "image/kl"} <= set(losses)
    assert first.run().step == 3
    second = Trainer(dataclasses.replace(config, resume=True))
    assert second.progress.step == 3
    saved = first.objective.matching.state_dict()
    for name, tensor in second.objective.matching.state_dict().items():
        assert torch.equal(tensor, saved[name])
    assert second.run().step == 6  # the schedule's end


def test_runs_of_every_preset_are_told_by_their_shapes(tmp_path) -> None:
    table = torch.zeros(8, 512)
    save_run(tmp_path / "run", {"model.model.embed_tokens.weight": table}, {}, Progress(step=1))
    assert preset_of(tmp_path / "run") == "pro"
    with pytest.raises(CheckpointError, match="does not fit"):
        load_model(tmp_path / "run", "")


def test_a_healed_model_keeps_its_folder(prepared, tmp_path) -> None:  # noqa: F811
    torch.manual_seed(1)
    model = AutoGLMPhoneForConditionalGeneration(preset("mini", **TINY))
    weights = {n: t.bfloat16() for n, t in model.state_dict().items() if n != "lm_head.weight"}
    write_model(weights, prepared, tmp_path / "base", "mini", TINY)
    config = tiny_config(
        prepared, tmp_path / "run", steps=1, model=tmp_path / "base", init_from=tmp_path / "base",
        teacher=tmp_path / "base", plan=("text",), layer_dropout=0.0,
    )  # fmt: skip
    trainer = Trainer(config)
    losses = trainer.objective(trainer.feeder.next("text")[0], None)
    assert float(losses["kl"].detach()) < 1e-6
    assert float(losses["hidden"].detach()) < 1e-9
    trainer.run()
    bundle_like(tmp_path / "run", tmp_path / "base", tmp_path / "out")
    assert (tmp_path / "out" / "tokenizer.json").exists()
    again, before = load_model(tmp_path / "out", ""), load_model(tmp_path / "base", "")
    moved = [n for n, p in again.named_parameters() if not torch.equal(p, before.get_parameter(n))]
    assert moved
