"""The command line of calibration, from the bundled model's answers to graph.json and the probe."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autoglm_phone.errors import ConfigError
from autoglm_phone.graph.cli import app
from autoglm_phone.graph.graph_file import weights_digest
from autoglm_phone.graph.records import RecordStore
from autoglm_phone.models.registry import locate
from autoglm_phone.train.world import registry
from test_graph_probe import DEPTHS, record

CATEGORIES = ("identity", "oos", "arith", "units")


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.skipif(not registry.is_available("identity"), reason="needs the extra 'train'")
def test_calibrating_the_bundled_model_answers_resumes_and_writes(tmp_path: Path):
    options = ("--out", str(tmp_path), "--categories", "oos", "--count")
    output = run("calibrate", *options, "2")
    assert "oos" in output
    assert "fixed at  6 layers" in output
    lines = (tmp_path / "records.jsonl").read_text().splitlines()
    assert len(lines) == 3
    written = json.loads((tmp_path / "graph.json").read_text())
    assert written["model"] == weights_digest(locate("mini"))
    assert written["depths"] == [6, 12, 18, 24]
    assert written["thresholds"]["0.01"] == {}  # two requests certify nothing
    one = RecordStore(tmp_path / "records.jsonl", written["model"]).records["oos/val/0"]
    assert len(one.confidence[6]) == len(one.agrees[18]) == one.tokens[24] > 0
    assert all(0 < c <= 1 for c in one.confidence[12])
    run("calibrate", *options, "2")
    assert (tmp_path / "records.jsonl").read_text().splitlines() == lines  # nothing was answered again


def test_probe_and_check_work_from_records_alone(tmp_path: Path):
    store = RecordStore(tmp_path / "records.jsonl", weights_digest(locate("mini")))
    rng = random.Random(5)
    for split, count in (("val", 100), ("test", 20)):
        for category in CATEGORIES:
            for i in range(count):
                store.add(replace(record(rng, i), id=f"{category}/{split}/{i}", category=category))
    options = ("--out", str(tmp_path), "--categories", ",".join(CATEGORIES))
    tokens = ("--measure", "token", "--count", "100", "--risks", "0.05,0.1")
    assert "risk 0.1: measured" in run("calibrate", *options, *tokens)
    output = run("probe", *options, "--count", "100", "--risks", "0.1,0.2")
    assert "least sufficient depth right in" in output
    assert "remaining length: off by" in output
    written = json.loads((tmp_path / "graph.json").read_text())
    assert written["thresholds"]["0.1"]  # kept beside the new bars
    assert written["bars"]["0.2"] > 0
    assert written["length"]["error"]["tokens"] > 0
    assert (tmp_path / "graph" / "probe.safetensors").stat().st_size < 300_000
    assert "fresh requests" in run("check", *options, "--count", "20")
    assert tuple(written["depths"]) == DEPTHS


@pytest.mark.parametrize(
    "arguments",
    [("--risks", "0"), ("--risks", "x"), ("--measure", "best"), ("--split", "exam"), ("--count", "0")],
)
def test_bad_options_are_refused(tmp_path: Path, arguments):
    with pytest.raises(ConfigError):
        CliRunner().invoke(app, ["calibrate", "--out", str(tmp_path), *arguments], catch_exceptions=False)
    assert not (tmp_path / "graph.json").exists()


def test_another_models_records_are_refused(tmp_path: Path):
    RecordStore(tmp_path / "records.jsonl", "another")
    with pytest.raises(ConfigError, match="another"):
        CliRunner().invoke(app, ["calibrate", "--out", str(tmp_path), "--count", "1"], catch_exceptions=False)
