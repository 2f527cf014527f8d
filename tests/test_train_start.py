"""What `train` refuses, it refuses before it prepares anything, and in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autoglm_phone.errors import AutoGLMError, CheckpointError
from autoglm_phone.train import prepare as prepare_module
from autoglm_phone.train.cli import app
from autoglm_phone.train.trainer import TrainConfig
from autoglm_phone.train.vocabularies import Vocabularies, read_vocabularies, write_of_model


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Whole files; to prepare anything fails the test."""
    monkeypatch.setattr(prepare_module, "prepare", lambda *a, **k: pytest.fail("it prepared before it looked"))
    folder = tmp_path / "prepared"
    folder.mkdir()
    for name, text in (("tokenizer.json", "{}"), ("ctc_vocab.txt", "打开\n"), ("glyph_vocab.json", '{"打": 1}')):
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def refusal(*args: str) -> str:
    """The typed error's message."""
    failure = CliRunner().invoke(app, list(args)).exception
    assert isinstance(failure, AutoGLMError), failure
    return failure.message


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--preset", "9c"], "mini or pro"),
        (["--preset", "9b"], "mini or pro"),
        (["--plan", "foo"], "'foo'"),
        (["--plan", "image,text/0"], "'text/0'"),
        (["--plan", ""], "--plan"),
        (["--minutes", "-1"], "--minutes"),
        (["--minutes", "nan"], "--minutes"),
        (["--call-seconds", "0"], "--call-seconds"),
        (["--workers", "-1"], "--workers"),
        (["--decay-from", "1.5"], "--decay-from"),
        (["--reuse", "0"], "--reuse"),
        (["--muon-lr", "-0.1"], "--muon-lr"),
        (["--top-k", "0"], "--top-k"),
        (["--resume"], "no checkpoint"),
        (["--resume", "--init-from", "x"], "--init-from"),
        (["--init-from", "nope"], "nope"),
        (["--grow-from", "nope"], "nope"),
        (["--grow-from", "x", "--init-from", "y"], "one of them"),
        (["--resume", "--grow-from", "x"], "--grow-from"),
        (["--steps", "0"], "--steps"),
        (["--batch-scale", "0"], "--batch-scale"),
        (["--warmup-steps", "0"], "--warmup-steps"),
        (["--teacher", "nope"], "nope"),
    ],
)
def test_a_run_is_refused_before_anything_is_prepared(
    args: list[str], words: str, prepared: Path, tmp_path: Path
) -> None:
    for folder in (prepared, tmp_path / "empty"):
        assert words in refusal("--prepared", str(folder), "--out", str(tmp_path / "run"), *args)


@pytest.mark.parametrize("missing", ["ctc_vocab.txt", "glyph_vocab.json"])
def test_a_folder_that_is_not_whole_is_named(missing: str, prepared: Path, tmp_path: Path) -> None:
    (prepared / missing).unlink()
    place = ["--prepared", str(prepared)]
    for args in ([*place, "--out", str(tmp_path)], ["score", *place, "--run", "nope"], ["bundle", *place]):
        message = refusal(*args)
        assert missing in message
        assert "train prepare" in message


def test_score_and_prepare_look_first(prepared: Path) -> None:
    score = ["score", "--prepared", str(prepared), "--run", "nope"]
    assert "nope" in refusal(*score)
    assert "count" in refusal(*score, "--count", "0")
    assert "workers" in refusal(*score, "--workers", "0")
    assert "'poetry'" in refusal(*score, "--categories", "arith,poetry")
    assert "'exam'" in refusal(*score, "--split", "exam")
    assert "nope" in refusal("prepare", "--base", "nope")
    assert "text-samples" in refusal("prepare", "--text-samples", "0")
    assert "vocab-size" in refusal("prepare", "--vocab-size", "3")


def test_of_several_processes_none_prepares(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would all write the same files; one command before torchrun does it."""
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert "before torchrun" in refusal("--prepared", str(tmp_path / "empty"), "--out", str(tmp_path))


def test_the_files_are_read_as_they_are(prepared: Path) -> None:
    read = read_vocabularies(prepared)
    assert (read.tokenizer_json, read.ctc, read.glyphs) == ("{}", "打开", {"打": 1})
    (prepared / "glyph_vocab.json").write_text("{", encoding="utf-8")
    with pytest.raises(AutoGLMError, match="can't be read"):
        read_vocabularies(prepared)


def test_the_defaults_are_valid() -> None:
    assert json.dumps(TrainConfig().plan)
    assert TrainConfig(preset="pro", plan=("image", "text/12+3"), workers=0).workers == 0


def test_a_model_alone_prepares_training_without_lessons(tmp_path: Path) -> None:
    model, out = tmp_path / "model", tmp_path / "out"
    model.mkdir()
    (model / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"config\.json"):
        write_of_model(model, out)
    (model / "config.json").write_text('{"audio_config": {}}', encoding="utf-8")
    with pytest.raises(CheckpointError, match="no native model"):
        write_of_model(model, out)
    (model / "config.json").write_text('{"audio_config": {"ctc_vocab": "打开"}}', encoding="utf-8")
    write_of_model(model, out)
    assert read_vocabularies(out) == Vocabularies("{}", "打开", {})
