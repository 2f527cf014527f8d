"""Records, fitting, the probe and the length model: they learn what is there, and know their weights."""

from __future__ import annotations

import json
import logging
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autoglm_phone.config import EngineConfig
from autoglm_phone.errors import ConfigError
from autoglm_phone.graph.fit import by_depth, fit_bars, fit_exits, halves, thought_budget, thought_factor
from autoglm_phone.graph.graph_file import GraphFile, load_graph_file, weights_digest
from autoglm_phone.graph.plan import GraphRequest
from autoglm_phone.graph.planner import RequestFacts
from autoglm_phone.graph.records import Record, RecordStore, read_record
from autoglm_phone.graph.setup import planner_for
from autoglm_phone.runner.probe import load_probe
from autoglm_phone.train.probe import expected_tokens, judge_probe, probabilities, train_length, train_probe

DEPTHS = (6, 12, 18, 24)
H = 16


def record(rng: random.Random, index: int) -> Record:
    """Depth and length are written into the state, with noise; confidence tells how likely an exit agrees."""
    kind = rng.randrange(4)
    least = DEPTHS[kind]
    count = rng.randint(4, 12) * (1 + 4 * (kind % 2))
    state = [3 * (i == kind) + rng.gauss(0, 0.5) for i in range(H)]
    confidence: dict[int, list[float]] = {d: [] for d in DEPTHS[:-1]}
    agrees: dict[int, list[bool]] = {d: [] for d in DEPTHS[:-1]}
    for _ in range(count):
        ease = rng.random() ** 0.2
        for depth in DEPTHS[:-1]:
            sure = ease ** (6 / depth)
            confidence[depth].append(round(sure, 6))
            agrees[depth].append(rng.random() < sure**0.5)
    return Record(
        id=f"made/val/{index}",
        category=f"kind{kind}",
        prompt=rng.randint(5, 50),
        images=kind % 2,
        audios=0,
        thought=count // 2,
        tokens=dict.fromkeys(DEPTHS, count),
        values={d: float(d >= least) for d in DEPTHS},
        correct={d: d >= least for d in DEPTHS},
        confidence=confidence,
        agrees=agrees,
        state=tuple(torch.tensor(state).tolist()),
    )


@pytest.fixture(scope="module")
def records() -> list[Record]:
    rng = random.Random(1)
    return [record(rng, i) for i in range(700)]


def test_records_survive_the_file_and_a_cut_line(tmp_path: Path, records):
    path = tmp_path / "deep" / "records.jsonl"
    store = RecordStore(path, "abc")
    for one in records[:5]:
        store.add(one)
    assert read_record(records[0].to_json()) == records[0]
    with path.open("a") as file:
        file.write(records[5].to_json()[:100])  # the run was stopped here
    again = RecordStore(path, "abc")
    assert [again.records[r.id] for r in records[:5]] == records[:5]
    assert len(again.records) == 5
    again.add(records[5])
    assert RecordStore(path, "abc").records[records[5].id] == records[5]
    with pytest.raises(ConfigError, match="other"):
        RecordStore(path, "other")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "{}", *lines[1:3]]))
    with pytest.raises(ConfigError, match="not a calibration record"):
        RecordStore(path, "abc")


def test_the_least_depth_is_the_one_from_which_nothing_is_lost(records):
    one = records[0]
    assert replace(one, values={6: 0.5, 12: 1.0, 18: 0.9, 24: 1.0}).least_depth == 24  # 18 would lose
    assert replace(one, values={6: 0.5, 12: 1.0, 18: 1.0, 24: 1.0}).least_depth == 12
    assert replace(one, values={6: 0.0, 12: 0.0, 18: 0.0, 24: 0.0}).least_depth == 6  # nothing to lose


def test_fitting_certifies_exits_and_reports_fixed_depths(records):
    lines: list[str] = []
    found = fit_exits(GraphFile("abc", DEPTHS), records, (0.02, 0.1), say=lines.append)
    assert found.thresholds[0.1]
    report = found.report["exits"]["0.1"]
    assert report["loss"] <= 0.1
    assert report["depth"] < 24
    assert found.report["fixed"]["all"]["24"]["accuracy"] == 1.0
    assert found.report["fixed"]["kind3"]["18"]["accuracy"] == 0.0
    assert found.thought is not None
    assert found.thought >= max(r.thought for r in records)
    assert any("risk 0.1: measured" in line for line in lines)
    assert json.loads(json.dumps(found.as_dict()))["thresholds"]["0.1"]
    assert by_depth(records[:1])["all"]["24"]["value"] == 1.0
    assert thought_budget([]) is None
    with pytest.raises(ConfigError):
        fit_exits(GraphFile("abc", DEPTHS), [])


def test_the_probe_learns_depth_and_length_and_its_bars_hold(records):
    train, test = halves(records, 0)
    probe = train_probe(train, DEPTHS)
    judged = judge_probe(probe, train, test)
    assert judged.accuracy > judged.majority + 0.4
    assert judged.nll < 0.5 * judged.prior_nll
    assert judged.bytes < 300 * 1024
    bars = fit_bars(GraphFile("abc", DEPTHS), probabilities(probe, test), (0.05, 0.1), say=lambda _: None).bars
    assert bars[0.05] >= bars[0.1]
    rng = random.Random(2)
    fresh = probabilities(probe, [record(rng, i) for i in range(600)])
    lost = shallow = 0
    for one, chances in fresh:
        total, depth = 0.0, 24
        for d in DEPTHS:
            total += chances[d]
            if total >= bars[0.05]:
                depth = d
                break
        lost += one.values[24] - one.values[depth]
        shallow += depth < 24
    assert lost / len(fresh) <= 0.05
    assert shallow > 0.3 * len(fresh)

    factor = thought_factor(expected_tokens(probe, test))
    assert factor is not None
    within = [r.thought <= factor * max(1.0, e) for r, e in expected_tokens(probe, [one for one, _ in fresh])]
    assert sum(within) / len(within) > 0.97  # few thoughts would be cut
    assert thought_factor([]) is None

    length = train_length(train, test, probe)
    assert length.error["tokens"] < 0.7 * length.error["tokens_median_guess"]
    assert length.error["tokens"] < length.error["tokens_as_long_again"]
    with pytest.raises(ConfigError):
        train_probe(train[:3], DEPTHS)


def test_states_without_information_are_called_by_their_frequencies(records):
    """The probe must not see what is not there."""
    rng = random.Random(3)
    blind = [replace(r, state=[rng.gauss(0, 1) for _ in range(H)]) for r in records]
    train, test = halves(blind, 0)
    judged = judge_probe(train_probe(train, DEPTHS), train, test)
    assert abs(judged.nll - judged.prior_nll) < 0.1
    assert abs(judged.accuracy - judged.majority) < 0.1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "tokenizer.json").write_text('{"added_tokens": [{"id": 18, "content": "<think>"}]}')
    return tmp_path


def test_the_probe_is_used_with_its_own_weights_alone(folder, records, caplog):
    probe = train_probe(records[:100], DEPTHS)
    probe.save(folder, weights_digest(folder))
    device = torch.device("cpu")
    loaded = load_probe(folder, DEPTHS, H, device)
    assert loaded is not None
    scores = loaded(torch.tensor(records[0].state))
    assert scores == probe(torch.tensor(records[0].state))
    assert len(scores) == 5
    assert sum(scores[:4]) == pytest.approx(1)
    assert load_probe(folder, (6, 24), H, device) is None
    assert load_probe(folder, DEPTHS, H + 1, device) is None
    (folder / "model.safetensors").write_bytes(b"others!")
    assert load_probe(folder, DEPTHS, H, device) is None
    assert "other weights" in caplog.text
    (folder / "graph" / "probe.safetensors").write_bytes(b"broken")
    assert load_probe(folder, DEPTHS, H, device) is None
    assert load_probe(folder / "nowhere", DEPTHS, H, device) is None


def test_the_planner_is_set_up_from_the_folder(folder, caplog):
    config = EngineConfig(dynamic_graph=True)
    GraphFile(weights_digest(folder), DEPTHS, {0.01: {6: 0.9}}, thought=99).save(folder)
    assert load_graph_file(folder) is not None
    made = planner_for(folder, config, DEPTHS, DEPTHS[:-1])
    assert made is not None
    plan = made.plan(RequestFacts(10, 10, last_token=18, graph=GraphRequest()))
    assert (plan.exit.kind, plan.thinking_tokens) == ("confidence", 99)
    with caplog.at_level(logging.WARNING):
        other = planner_for(folder, config, (10, 20, 30, 40), ())
    assert other is not None
    assert other.plan(RequestFacts(10, 10)).exit.kind == "full"
    assert "it knows exits" in caplog.text
    assert planner_for(folder, EngineConfig(dynamic_graph=False), DEPTHS, DEPTHS[:-1]) is None
