"""`benchmarks/teacher.py`: runs that are done, stuck or failed are told apart, and the table says what is certain."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from autoglm_phone.compress.quality_tables import Change, Row

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import teacher


def script(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def test_a_run_is_done_at_the_end_of_its_schedule(tmp_path: Path) -> None:
    assert not teacher.finished(tmp_path, 1.0, None)
    (tmp_path / "progress.json").write_text(json.dumps({"step": 5, "elapsed": 59.0}))
    assert not teacher.finished(tmp_path, 1.0, None)
    assert teacher.finished(tmp_path, 0.5, None)
    assert teacher.finished(tmp_path, 1.0, 5)
    assert not teacher.finished(tmp_path, 1.0, 6)


def test_processes_know_their_rank_and_meet_at_one_port(tmp_path: Path) -> None:
    log = tmp_path / "log"
    said = "import os; print('|'.join(os.environ[n] for n in ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_PORT')))"
    assert teacher.together(script(said), 2, log, 60.0)
    first, second = sorted(line.split("|") for line in log.read_text().splitlines())
    assert (first[:3], second[:3]) == (["0", "0", "2"], ["1", "1", "2"])
    assert first[3] == second[3]


def test_when_one_fails_the_others_do_not_wait_for_it(tmp_path: Path) -> None:
    fails = (
        "import os, time\n"
        "if os.environ['RANK'] == '1': raise SystemExit('out of memory')\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        "time.sleep(60)"
    )
    began = time.monotonic()
    with pytest.raises(SystemExit, match="out of memory"):
        teacher.together(script(fails), 2, tmp_path / "log", 60.0)
    assert time.monotonic() - began < 50
    if (tmp_path / "pid").exists():
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_silent_run_is_ended(tmp_path: Path) -> None:
    assert not teacher.together(script("import time; time.sleep(60)"), 1, tmp_path / "log", 1.0)


def test_differences_are_bold_where_zero_is_outside() -> None:
    sure, unsure = Change(0.5, 0.6, 0.02, 0.18), Change(0.5, 0.45, -0.12, 0.02)
    assert teacher.difference(sure, 100) == "**+10.0 [+2.0, +18.0]**"
    assert teacher.difference(unsure, 100) == "−5.0 [−12.0, +2.0]"
    head, rule, line = teacher.markdown([Row("asr", 100, sure, 3, 13, 0.5, error=unsure)], "without", "with")
    assert head.count("|") == rule.count("|") == line.count("|")
    assert line.startswith("| asr | 100 | 50.0 | 60.0 | **+10.0 [+2.0, +18.0]** | 3 | 13 |  | 50.0 → 45.0, −5.0")
