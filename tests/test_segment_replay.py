"""Replaying recorded depths: the order of passes, what waiting is worth, the file of depths, the benchmark itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_phone.backends.cuda_graphs import BUCKETS, FIRST_ROW, DecodeRows
from autoglm_phone.bench.replay import CostExecutor, Replay, choose_hold
from autoglm_phone.bench.replay_mix import DepthMix, read_mix
from autoglm_phone.errors import CheckpointError
from replay_cases import LANES, SIZE, layout_of

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


class Free(CostExecutor):
    def __init__(self):
        super().__init__({}, BUCKETS, 0.0)
        self.seen: list[tuple[int, DecodeRows]] = []

    def run(self, segment, rows):
        self.seen.append((segment, rows))
        return [self.bucket(len(rows))]

    def read(self, boundary, places):
        return [1] * len(places), [1.0] * len(places)


@settings(max_examples=30, deadline=None)
@given(
    programs=st.lists(
        st.lists(st.integers(0, 4).flatmap(lambda d: st.tuples(st.just(d), st.integers(1, d + 1))), min_size=1,
                 max_size=6),
        min_size=1, max_size=4,
    ),
    seed=st.integers(0, 100),
)  # fmt: skip
def test_lossless_steps_write_each_position_in_order_and_share_no_rows(programs, seed):
    layout = layout_of(SIZE.spec(), seed=seed)
    executor = Free()
    replay = Replay(executor, layout, [tuple(p) for p in programs], 3, seed=seed)
    for _ in range(8):
        before = {lane.index: (lane, lane.frontiers[0], lane.want) for lane in replay.lanes}
        executor.seen.clear()
        replay.lossless_step()
        for lane, start, drafts in before.values():
            for segment in range(layout.num_segments):
                mine = [rows for s, rows in executor.seen if s == segment]
                own = layout.tables[lane.index, segment, 0]
                lengths = [
                    int(n) for rows in mine for n, t in zip(rows.lengths, rows.tables, strict=True) if t[0] == own
                ]
                assert lengths == list(range(start + 1, start + drafts + 2))
        written = {}  # arena row → its token, of all that live in this step
        for _, rows in executor.seen:
            for table, length, place in zip(rows.tables, rows.lengths, rows.places, strict=True):
                lane = next(n for n in range(3) if table[0] in layout.tables[n, :, 0])
                assert written.setdefault(int(place), (lane, int(length))) == (lane, int(length))
        assert all(FIRST_ROW <= place < FIRST_ROW + layout.rows for place in written)


def test_waiting_for_company_is_chosen_only_where_it_pays():
    layout = layout_of(SIZE.spec())
    shallow = [tuple((4 if n % 6 == phase else 1, 1) for n in range(24)) for phase in range(6)]

    def costs(deep: float, read: float) -> dict[tuple[str, int, int], float]:
        runs = {("run", s, b): (1.0 if s == 0 else deep) for s in range(4) for b in BUCKETS}
        return runs | {("read", r, b): read for r in range(1, 5) for b in BUCKETS}

    dear = choose_hold(costs(10.0, 0.1), BUCKETS, layout, shallow, LANES, turns=100)
    cheap = choose_hold(costs(0.01, 0.0), BUCKETS, layout, shallow, LANES, turns=100, wait=0.0)
    assert min(dear, key=lambda hold: dear[hold]) > 0
    assert min(cheap, key=lambda hold: cheap[hold]) == 0


def test_a_depth_mix_survives_its_file(tmp_path):
    mix = DepthMix(
        "abc", (6, 12, 18, 24), 0.01, {"text": {6: 0.9}}, True, ((1, 4, 2), (3,)), (((2, 3), (1, 0)), ((5, 4),))
    )
    path = tmp_path / "mix.json"
    mix.save(path)
    assert read_mix(path) == mix
    assert mix.shares == [0.25, 0.25, 0.25, 0.25]
    for old, new in (('"142"', '"152"'), ('"2/3 1/0"', '"9/3"'), ('"version": 2', '"version": 7'), ('"142"', '""')):
        path.write_text(path.read_text().replace(old, new))
        with pytest.raises(CheckpointError, match="depth mix"):
            read_mix(path)
        mix.save(path)


def test_the_recorded_mix_is_there():
    mix = read_mix(BENCHMARKS / "data" / "depth_mix.json")
    assert mix.num_segments == 4
    assert len(mix.confidence) >= 90


def test_the_benchmark_runs_at_a_small_shape(tmp_path):
    script = BENCHMARKS / "segment_replay.py"
    shape = [
        "--layers",
        "4",
        "--hidden",
        "32",
        "--ffn",
        "32",
        "--heads",
        "4",
        "--vocab",
        "128",
        "--context",
        "24",
        "--seconds",
        "0.05",
        "--batches",
        "1",
        "3",
    ]
    command = [sys.executable, str(script), "--device", "cpu", *shape, "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "segment_replay.json").read_text())
    assert all(one["passed"] for one in report["check"])
    for result in report["results"]:
        rows = {row["name"]: row for row in result["rows"]}
        assert rows["static"]["layers_share"] == 1
        assert rows["confidence"]["layers_share"] < 1
        assert rows["static"]["joules_a_request"] is None
