"""`bench graph` end to end on a handful of requests: what it writes is consistent with itself."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from autoglm_phone.bench import graph_memory
from autoglm_phone.bench.graph_modes import Facts, choose_modes, make_modes
from autoglm_phone.cli import app
from autoglm_phone.errors import ConfigError


@pytest.mark.parametrize("suite", ["world-100", "world"])
def test_what_it_writes_is_consistent(suite, tmp_path):
    args = ["bench", "graph", "--suite", suite, "--categories", "identity,arith", "--limit", "2", "--count", "1"]
    args += ["--modes", "static again,lean", "--no-curve", "--max-tokens", "6", "--mix", "3", "--concurrency", "2"]
    result = CliRunner().invoke(app, [*args, "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / f"graph-{suite}.json").read_text())
    by_name = {s["name"]: s for s in report["summaries"]}
    assert set(by_name) == {"static", "static again", "dynamic", "lossless", "lean"}
    assert report["samples"] == 2 == by_name["static"]["requests"]
    assert by_name["static"]["ratio"] == 1.0
    assert by_name["lossless"]["identical"] == 1.0
    assert by_name["static"]["layers"] == report["facts"]["depths"][-1]
    for summary in by_name.values():
        assert 0 < summary["first_ms"] <= summary["mean_ms"]
        assert summary["ratio"] == pytest.approx(summary["mean_ms"] / by_name["static"]["mean_ms"])
        assert 1 <= summary["output_tokens"] <= 6
    lines = (tmp_path / f"measured-{suite}.jsonl").read_text().splitlines()
    assert len(lines) == 3  # the setting, and a line a sample
    mixes = report["text_heavy"]["modes"]
    assert set(mixes) == {"static", "dynamic", "lossless", "lean"}
    assert mixes["lean"]["decoder_bytes"] < 0.7 * mixes["static"]["decoder_bytes"]
    assert mixes["dynamic"]["decoder_bytes"] == mixes["static"]["decoder_bytes"]
    assert by_name["lean"]["live_peak_text"] < by_name["dynamic"]["live_peak_text"]
    for mix in mixes.values():
        assert mix["peak"] == mix["decoder_bytes"] + mix["tower_bytes"] + mix["kv_bytes"]
        assert 0 < mix["mean"] <= mix["peak"]
        assert (mix["requests"], mix["text"]) == (3, 3)
        assert mix["kv_bytes"] > 0
    assert mixes["dynamic"]["tower_bytes"] == 0 < mixes["static"]["tower_bytes"]
    assert f"{mixes['dynamic']['peak'] / mixes['static']['peak']:.3f} (goal" in result.output


def test_the_load_is_mostly_text():
    samples = [("world", c, i) for c in ("arith", "help", "screen", "asr") for i in range(2)]
    mix = graph_memory.text_heavy(samples, 40)
    kinds = [where[1] for where in mix]
    assert len(mix) == 40
    assert (kinds.count("screen"), kinds.count("asr")) == (2, 2)
    assert graph_memory.text_heavy([("world", "screen", 0)], 10) == []
    assert {where[1] for where in graph_memory.text_heavy(samples[:2], 10)} == {"arith"}


def test_modes_are_chosen_by_name():
    modes, _ = make_modes(Facts((6, 24)), 0.01)
    chosen = choose_modes(modes, ["towers only"])
    assert [mode.name for mode in chosen] == ["static", "dynamic", "lossless", "towers only"]
    assert choose_modes(modes, []) == modes
    with pytest.raises(ConfigError, match="no mode"):
        choose_modes(modes, ["fastest"])
