"""The report: figures from known answers, parts that are kept, models that do not belong together."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import compress_cases
import public_cases
from autoglm_phone.compress import calibrate, measure, pipeline, quality, quality_tables, recipe, report
from autoglm_phone.compress.formats.export import export
from autoglm_phone.compress.opening import open_model
from autoglm_phone.compress.quality import Pair, Reply
from autoglm_phone.errors import CheckpointError, ConfigError
from autoglm_phone.models.glm4v.reference import make_tiny_checkpoint
from quantized_cases import Widths, write_quantized

RECIPE = """
calibration: {samples: 4, max_tokens: 64}
steps:
  - rtn: {targets: [attention, mlp, cross-attention, towers], skip: ["*position"], bits: 4, group_size: [32, 16, 8]}
  - rtn: {targets: [embedding, head], bits: 3, group_size: 16}
"""


@pytest.fixture(scope="module")
def native(tiny_model: Path, tmp_path_factory) -> Path:
    return compress_cases.lively(tiny_model, tmp_path_factory.mktemp("native") / "model")


@pytest.fixture(scope="module")
def talk(tmp_path_factory) -> Path:
    return compress_cases.conversations(tmp_path_factory.mktemp("talk"))


@pytest.fixture(scope="module")
def compressed(native: Path, talk: Path, tmp_path_factory) -> Path:
    samples = calibrate.load(native, calibrate.Calibration(samples=4, path=talk))
    return pipeline.compress(native, recipe.parse(RECIPE), tmp_path_factory.mktemp("c") / "out", samples=samples)


def test_a_report_of_all_but_quality_and_what_is_kept_of_it(
    native: Path, compressed: Path, talk: Path, tmp_path: Path
) -> None:
    settings = report.Settings(samples=6, count=0, rounds=2, sensitive=3, calibration=talk)
    path = report.write(str(native), compressed, tmp_path, settings)
    facts = json.loads((tmp_path / "report.json").read_text())
    tensors = sum(row["before"] for row in facts["size"]["disk"])
    assert tensors == sum(size for _, size in open_model(native).sizes.values())
    assert sum(facts["size"]["resident"]["after"].values()) < sum(facts["size"]["resident"]["before"].values())
    assert set(facts["predictions"]["divergence"]) == {"all", "text", "picture"}
    assert facts["predictions"]["divergence"]["all"]["kl_mean"] > 0
    assert sum(facts["predictions"]["exits"]["all"]["before"]) == pytest.approx(1)
    assert all(table["2"] > table["8"] for table in facts["sensitivity"]["cost"].values())
    assert {row["what"] for row in facts["latency"]["rows"]} >= {
        "decode step, 1 sequence",
        "first token, prompt of 128",
    }
    words = path.read_text()
    for heading in ("Size on disk", "Size in memory", "Predictions", "Exits", "Latency", "Sensitivity"):
        assert f"## {heading}" in words
    for picture in ("size-by-part.png", "sensitivity-by-layer.png", "exits.png"):
        assert (tmp_path / picture).stat().st_size > 1000
        assert picture in words
    lines: list[str] = []
    report.write(str(native), compressed, tmp_path, replace(settings, sensitive=2), say=lines.append)
    kept = {line.split(":")[0] for line in lines if "kept from" in line}
    assert kept == {"size", "predictions", "latency", "quality"}, "only what changed is measured again"


def test_a_model_compared_with_itself(native: Path, talk: Path) -> None:
    samples = calibrate.load(native, calibrate.Calibration(samples=4, path=talk))
    opened = open_model(native)
    made = measure.predictions(opened, samples, torch.device("cpu"), exits=True)
    assert sorted(made.exits) == [1, 2, 3]
    found = measure.compare(made, made, samples)["all"]
    assert found.kl_mean == pytest.approx(0, abs=1e-7)
    assert (found.top1, found.perplexity) == (1.0, 1.0)
    mix = measure.exit_mixes(made, made, samples)["all"]
    assert mix.shift == 0
    assert mix.agree == 1
    # Exits that are the full depth's own state suffice everywhere; states of noise suffice (nearly) nowhere.
    head = made.head.get_submodule("model.norm")
    full = [head(state["hidden"][0, state["predict"]]) for state in made.states]
    noise = [torch.randn_like(states) for states in full]
    least = measure.least_depths(replace(made, exits={1: noise, 2: full, 3: noise}))
    assert torch.cat(least).float().mean() > 0.8
    assert torch.cat(least).max() == 1


@pytest.mark.parametrize("format", ["compressed-tensors", "gptq"])
def test_models_in_public_formats_are_measured_like_masters(
    native: Path, talk: Path, tmp_path: Path, format: str
) -> None:
    layers = write_quantized(native, tmp_path / "master", Widths(4, 3, True), lambda name: ".layers." in name)
    if format == "compressed-tensors":  # the embedding too: its head becomes a tensor of its own
        layers = write_quantized(native, tmp_path / "all", Widths(4, 3, True))
    public = export(layers, tmp_path / "public", format)
    settings = report.Settings(samples=4, calibration=talk, parts=("size", "predictions"))
    made = {}
    for name, folder in (("master", layers), ("public", public)):
        report.write(str(native), folder, tmp_path / f"report-{name}", settings)
        made[name] = json.loads((tmp_path / f"report-{name}" / "report.json").read_text())
    ours, theirs = (made[name]["predictions"]["divergence"]["all"]["kl_mean"] for name in ("master", "public"))
    assert theirs == pytest.approx(ours, rel=0.05 if format == "gptq" else 0.5)
    stored = {row["part"]: row["how"] for row in made["public"]["size"]["disk"]}
    assert stored["decoder MLP"].startswith("4 bit, symmetric")
    assert ("output head" in stored) == (format == "compressed-tensors")


@pytest.mark.parametrize("method", ["awq", "gptq", "compressed-tensors"])
@pytest.mark.parametrize("split", [False, True], ids=["fused", "apart"])
def test_a_public_glm4v_is_measured_against_its_base(tmp_path: Path, talk: Path, method: str, split: bool) -> None:
    """Its vision tower has gate and up apart by itself; the decoder's may be apart or joined."""
    base = make_tiny_checkpoint(tmp_path / "base", dtype=torch.bfloat16)
    if method == "compressed-tensors":
        if split:
            pytest.skip("our export joins them")
        layers = write_quantized(base, tmp_path / "master", Widths(4, 3, True), lambda name: ".layers." in name)
        public = export(layers, tmp_path / "public", method)
    else:
        public, _ = public_cases.write_folders(base, tmp_path, public_cases.Recipe(method, split=split))
    settings = report.Settings(samples=4, sensitive=2, calibration=talk, parts=("size", "predictions", "sensitivity"))
    report.write(str(base), public, tmp_path / "report", settings)
    facts = json.loads((tmp_path / "report" / "report.json").read_text())
    rows = {row["part"]: row["how"] for row in facts["size"]["disk"]}
    assert rows["decoder MLP"].startswith("4 bit")
    assert 0 < facts["predictions"]["divergence"]["all"]["kl_mean"] < 0.1
    assert facts["sensitivity"]["cost"]


def test_other_models_are_refused(native: Path, compressed: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no compressed model"):
        report.write(str(native), native, tmp_path)
    other = make_tiny_checkpoint(tmp_path / "glm")
    with pytest.raises(CheckpointError, match="give its --base"):
        report.write(str(other), compressed, tmp_path)
    with pytest.raises(ConfigError, match="--only knows"):
        report.Settings(parts=("speed",))
    with pytest.raises(ConfigError, match="samples"):
        report.Settings(samples=0)


def reply(correct: bool, answer: str = "a", tap: tuple[float, float] | None = None, **detail: int) -> Reply:
    return Reply(answer, correct, float(correct), detail, 3, tap)


def pair(index: int, first: Reply, second: Reply, **fields) -> Pair:
    base = {"category": "arith", "modality": "text", "lang": "en", "reference": None, "target": None}
    return Pair(id=f"arith/test/{index}", first=first, second=second, **{**base, **fields})


def test_flips_and_paired_intervals() -> None:
    outcomes = [(True, True)] * 60 + [(True, False)] * 12 + [(False, True)] * 4 + [(False, False)] * 24
    pairs = [pair(i, reply(a), reply(b, "a" if a == b else "b")) for i, (a, b) in enumerate(outcomes)]
    row = quality_tables.rows(pairs)[0]
    assert (row.count, row.lost, row.won, row.same) == (100, 12, 4, 0.84)
    assert row.accuracy.before == pytest.approx(0.72)
    assert row.accuracy.after == pytest.approx(0.64)
    # Agresti and Min: (b - c) / (n + 2) ± 1.96 sqrt(b + c - (b - c)² / (n + 2)) / (n + 2), with b = 4.5, c = 12.5.
    assert row.accuracy.low == pytest.approx(-8 / 102 - 1.959964 * (17 - 64 / 102) ** 0.5 / 102)
    assert row.accuracy.high == pytest.approx(-8 / 102 + 1.959964 * (17 - 64 / 102) ** 0.5 / 102)


def test_tap_errors_bleu_and_error_rates() -> None:
    pytest.importorskip("sacrebleu")
    near, far = (3.0, 4.0), (30.0, 40.0)
    tapping = [
        pair(i, reply(True, tap=near), reply(False, tap=far if i else None), modality="picture", target=(0.0, 0.0))
        for i in range(5)
    ]
    made = {row.name: row for row in quality_tables.taps(tapping)}
    assert set(made) == {"all", "picture"}
    assert (made["all"].before, made["all"].after, made["all"].shift) == (5.0, 50.0, 45.0)
    assert made["all"].missing == (0, 1)
    text = "the quick brown fox jumps over it"
    said = [pair(i, reply(True, text), reply(False, "no such thing was said"), reference=text) for i in range(3)]
    bleu = quality_tables.rows(said)[0].bleu
    assert bleu is not None
    assert bleu.before == pytest.approx(100)
    assert bleu.high < -90
    heard = [pair(0, reply(True, edits=0, units=10), reply(False, edits=3, units=10))]
    error = quality_tables.rows(heard)[0].error
    assert error is not None
    assert (error.before, error.after, error.low) == (0.0, 0.3, 0.3)


def test_answers_are_kept_and_belong_to_two_models(native: Path, compressed: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(quality.world, "MAX_TOKENS", 6)
    store = tmp_path / "answers.jsonl"
    made = quality.gather(native, compressed, store, count=2, categories=("arith", "identity"))
    assert [p.id for p in made] == ["arith/test/0", "arith/test/1", "identity/test/0", "identity/test/1"]
    assert all(p.first.tokens == 6 for p in made), "random weights do not stop"
    with store.open("a") as file:
        file.write('{"id": "arith/te')  # a line that a killed run left behind
    beside = tmp_path / "beside.jsonl"
    asked = quality._Asked.replies
    with monkeypatch.context() as only:
        only.setattr(
            quality._Asked,
            "replies",
            lambda self, which, drawn: asked(self, which, drawn) if which or not drawn else pytest.fail("known"),
        )
        known = quality.gather(native, native, beside, count=2, categories=("arith", "identity"), beside=store)
    assert [p.first for p in known] == [p.first for p in made] == [p.second for p in known]
    with pytest.raises(ConfigError, match="no answers of this first model"):
        quality.gather(compressed, native, tmp_path / "third.jsonl", count=2, categories=("arith",), beside=store)
    monkeypatch.setattr(quality._Asked, "replies", lambda *_: pytest.fail("nothing is left to answer"))
    assert quality.gather(native, compressed, store, count=2, categories=("arith", "identity")) == made
    assert store.read_text().endswith("\n"), "the next answer gets a line of its own"
    with pytest.raises(ConfigError, match="other models"):
        quality.gather(compressed, native, store, count=2, categories=("arith",))
