"""The fixed benchmark set is whole, judged right by its own references, and read back as it was written."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from autoglm_phone.bench import fixed
from autoglm_phone.bench.world import messages
from autoglm_phone.errors import CheckpointError
from autoglm_phone.train.world import scoring

FOLDER = Path(__file__).parent.parent / "benchmarks" / "data" / "world-100"


@pytest.fixture(scope="module")
def samples():
    return fixed.load(FOLDER)


def test_holds_a_hundred_samples_of_the_planned_mix(samples):
    assert len(samples) == 100 == sum(fixed.PLAN.values())
    assert Counter(s.category for s in samples) == Counter(fixed.PLAN)
    assert {s.lang for s in samples} == {"zh", "en"}


def test_references_are_judged_right(samples):
    wrong = [s.id for s in samples if not scoring.score(s, s.answer.text, s.answer.reasoning).correct]
    assert wrong == []


def test_messages_carry_every_medium(samples):
    for sample in samples:
        parts = [p for m in messages(sample) if isinstance(m["content"], list) for p in m["content"]]
        assert sum(p["type"] == "image" for p in parts) == len(sample.pictures)
        assert sum(p["type"] == "audio" for p in parts) == len(sample.clips)


def test_a_changed_file_is_named(tmp_path):
    copy = tmp_path / "set"
    shutil.copytree(FOLDER, copy)
    victim = next(copy.glob("*.png"))
    victim.write_bytes(victim.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=victim.name):
        fixed.load(copy)
