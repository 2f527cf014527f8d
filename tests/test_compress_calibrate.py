"""Calibration samples: how many of what, which of a user's conversations is wrong, and compression from Python."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

import compress_cases
from autoglm_phone.cli import app
from autoglm_phone.compress import calibrate, compress, pipeline, recipe
from autoglm_phone.errors import ConfigError
from autoglm_phone.models.glm4v.reference import make_tiny_checkpoint

RTN = "steps:\n  - gptq: {targets: [mlp], bits: 4, group_size: 32}\n"


@pytest.fixture(scope="module")
def glm4v(tmp_path_factory) -> Path:
    return make_tiny_checkpoint(tmp_path_factory.mktemp("glm") / "model")


@pytest.fixture(scope="module")
def talk(tmp_path_factory) -> Path:
    return compress_cases.conversations(tmp_path_factory.mktemp("talk"))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 128])
def test_the_samples_drawn_are_as_many_as_asked_for(count: int) -> None:
    shares = {"text": 0.4, "picture": 0.35, "speech": 0.25}
    made = calibrate.apportion(count, shares)
    assert sum(made.values()) == count
    assert all(abs(made[name] - count * share) < 1 for name, share in shares.items())


def test_one_sample_of_the_world_is_one(tiny_model: Path) -> None:
    pytest.importorskip("PIL")
    found = calibrate.load(tiny_model, calibrate.Calibration(samples=1))
    assert len(found) == 1


def test_every_category_of_the_world_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("PIL")
    from autoglm_phone.train.world import registry

    monkeypatch.setattr(registry, "is_available", lambda name: True)
    drawn: Counter[str] = Counter()
    monkeypatch.setattr(calibrate, "_conversation", lambda name, index, split: drawn.update([name]) or [])
    list(calibrate._draw_world(calibrate.Calibration(), {"text", "picture", "speech"}, "train", 1))
    assert drawn.total() == 128
    assert drawn.keys() == registry.CATEGORIES.keys()
    assert min(drawn.values()) >= 4  # of 4.7


def test_a_long_file_is_read_from_end_to_end(glm4v: Path, tmp_path: Path) -> None:
    path = tmp_path / "talks.jsonl"
    path.write_text("\n\n".join(json.dumps(asked(f"topic {n // 10}")) for n in range(30)))
    found = list(calibrate._read_jsonl(path, 3))
    assert [number for number, _ in found] == [1, 21, 41]  # every other line is empty
    assert [talk[0]["content"] for _, talk in found] == ["topic 0", "topic 1", "topic 2"]
    assert len(list(calibrate._read_jsonl(path, 99))) == 30


@pytest.mark.parametrize("count", [0, -1])
def test_no_samples_are_refused_before_any_work(count: int, glm4v: Path, talk: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="samples must be a whole number above 0"):
        calibrate.Calibration(samples=count)
    (tmp_path / "r.yaml").write_text(RTN)
    asked = ["compress", "--model", str(glm4v), "--recipe", str(tmp_path / "r.yaml"), "--calibration", str(talk)]
    told = CliRunner().invoke(app, [*asked, "--out", str(tmp_path / "out"), "--samples", str(count)])
    assert told.exit_code != 0
    assert not (tmp_path / "out").exists()


GOOD = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}


def asked(content: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": content}, {"role": "assistant", "content": "ho"}]}


@pytest.mark.parametrize(
    "bad",
    [
        asked([{"type": "image_url", "image_url": {"url": "/nonexist.png"}}]),
        asked([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]),
        asked([{"type": "image_url"}]),
        asked(5),
        {"messages": [{"role": "assistant", "content": "ho"}]},
        {"messages": ["hi", "ho"]},
        {"messages": GOOD["messages"][:1]},
        ["hi"],
        7,
    ],
)
def test_a_bad_conversation_is_named_by_its_place(glm4v: Path, tmp_path: Path, bad: object) -> None:
    path = tmp_path / "talks.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in (GOOD, bad, GOOD)))
    with pytest.raises(ConfigError, match=r"talks\.jsonl:2 ") as told:
        calibrate.load(glm4v, calibrate.Calibration(samples=9, path=path))
    assert "\n" not in told.value.message
    if isinstance(bad, dict):
        with pytest.raises(ConfigError, match="conversation 2 "):
            calibrate.encode(glm4v, [GOOD, bad], calibrate.Calibration())


def test_a_line_separator_inside_a_text_is_no_new_line(glm4v: Path, tmp_path: Path) -> None:
    path = tmp_path / "talks.jsonl"
    path.write_text(json.dumps(asked("one\u2028two"), ensure_ascii=False) + "\r\n", encoding="utf-8")
    assert len(calibrate.load(glm4v, calibrate.Calibration(path=path))) == 1


def test_python_compresses_as_the_command_does(glm4v: Path, talk: Path, tmp_path: Path) -> None:
    text = "calibration: {samples: 6}\n" + RTN
    (tmp_path / "r.yaml").write_text(text)
    told = [json.loads(line) for line in talk.read_text().splitlines()]
    samples = calibrate.load(glm4v, calibrate.Calibration(samples=6, path=talk))
    made = [
        compress(str(glm4v), str(tmp_path / "r.yaml"), talk, out=tmp_path / "a"),
        compress(glm4v, text, str(talk), out=str(tmp_path / "b")),
        compress(glm4v, recipe.parse(text), told, out=tmp_path / "c"),
        compress(glm4v, tmp_path / "r.yaml", (line["messages"] for line in told), out=tmp_path / "d"),
        compress(glm4v, text, samples, out=tmp_path / "e"),
        pipeline.compress(glm4v, recipe.parse(text), tmp_path / "f", samples=samples),
    ]
    weights = [[shard.read_bytes() for shard in sorted(folder.glob("*.safetensors"))] for folder in made]
    assert weights[0]
    assert all(one == weights[0] for one in weights)


def test_python_refuses_what_the_command_refuses(glm4v: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no conversations"):
        compress(glm4v, RTN, [], out=tmp_path / "o")
    with pytest.raises(ConfigError, match="is not there"):
        compress(glm4v, RTN, tmp_path / "none.jsonl", out=tmp_path / "o")
    with pytest.raises(ConfigError, match="not usable"):
        compress(glm4v, RTN, out=tmp_path / "o", device="abacus")
    with pytest.raises(ConfigError, match="can't be read"):
        compress(glm4v, "none.yaml", out=tmp_path / "o")
    assert not (tmp_path / "o").exists()
