"""`autoglm-phone graph show`: what it reads, what the picture holds, what it refuses."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from autoglm_phone.errors import ConfigError
from autoglm_phone.graph.picture import Rect, Text
from autoglm_phone.graph.show import CHANGE, LAYERS, SKIPPED, draw, find_trace
from autoglm_phone.graph.trace import Trace

CLI = [sys.executable, "-m", "autoglm_phone.cli", "graph", "show"]


def trace(**fields: Any) -> dict[str, Any]:
    made = Trace(layers=(6, 12, 18, 24), prompt_depth=24, depths=[6, 24, 12], peak_kv_bytes=98304)
    made.towers.append(("image", "ran", 205.2, True, 548))
    made.rewrites.append((2, "depth full → fixed(12)", "<enough> & done"))
    made.pages += [(1, 4), (2, 8)]
    made.segment_ms = {0: 30.0, 1: 10.0, 2: 5.0, 3: 5.0}
    made.reasons.append("Activating confidence exits after 6, 12 of 24 layers (risk 0.01)")
    return {**made.as_dict(), **fields}


def words(made: dict[str, Any]) -> str:
    return "\n".join(shape.text for shape in draw(made).shapes if isinstance(shape, Text))


def test_each_token_has_the_layers_that_it_ran() -> None:
    shapes = [shape for shape in draw(trace()).shapes if isinstance(shape, Rect)]
    columns = sorted({shape.x for shape in shapes if shape.fill == SKIPPED})
    assert len(columns) == 4  # the prompt and three tokens
    painted = [[s for s in shapes if s.x == x and s.fill in LAYERS and s.y < 380] for x in columns]
    whole = next(s.height for s in shapes if s.fill == SKIPPED)
    depths = [round(24 * sum(s.height for s in part) / whole) for part in painted]
    assert depths == [24, 6, 24, 12]
    assert sum(shape.fill == CHANGE for shape in shapes) == 2  # at its token, and in the notes


def test_the_words_are_those_of_the_trace() -> None:
    text = words(trace())
    for part in (
        "3 output tokens",
        "mean depth 14.0 of 24 layers",
        "vision tower: 548 states, 205 ms, loaded",
        "token 2: depth full → fixed(12) (<enough> & done)",
        "Activating confidence exits",
        "50 ms in all",
    ):
        assert part in text
    assert "none: text only" in words(trace(towers=[]))


def test_verified_tokens_share_their_pass() -> None:
    made = trace(depths=[24] * 5, drafts=[[3, 4, 2], [2, 1, 1]], drafted=5, accepted=3, rewrites=[])
    shapes = [s for s in draw(made).shapes if isinstance(s, Rect) and s.y < 380]
    first = [s for s in shapes if s.fill == LAYERS[0]]
    deep = [s for s in shapes if s.fill == LAYERS[3]]
    assert len(first) == 1 + 5
    assert len(deep) == 1 + 2
    assert "3 of 5 drafts accepted" in words(made)
    assert "−2" in words(made)


def test_it_finds_the_trace_in_answers_and_streams() -> None:
    made = trace()
    choices = [{"index": 0, "graph": trace(depths=[6])}, {"index": 1, "graph": made}]
    assert find_trace(json.dumps(made)) == made
    assert find_trace(json.dumps({"choices": choices}), 1) == made
    lines = [{"choices": [{"index": 0, "delta": {}}]}, {"choices": choices}]
    text = "".join(f"data: {json.dumps(line)}\n\n" for line in lines) + "data: [DONE]\n"
    assert find_trace(text, 1) == made


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "not json",
        '{"choices": [{"index": 0}]}',
        '{"depths": ["x"]}',
        '{"depths": [-1]}',
        '{"depths": [99999999]}',
        '{"depths": [6], "drafts": [[1]]}',
        '{"depths": [6], "pages": [{}]}',
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="trace"):
        find_trace(text)


@settings(deadline=None, max_examples=40)
@given(
    depths=st.lists(st.sampled_from([6, 12, 18, 24]), max_size=300),
    pages=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 5000)), max_size=20),
    drafts=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), max_size=20),
    rewrites=st.lists(st.integers(0, 300), max_size=5),
)
def test_any_trace_gives_valid_svg(depths: Any, pages: Any, drafts: Any, rewrites: Any) -> None:
    made = trace(
        depths=depths,
        pages=[{"token": at, "pages": n} for at, n in sorted(pages)],
        drafts=[list(step) for step in drafts],
        rewrites=[{"token": at, "change": "a<b", "reason": '"&"'} for at in rewrites],
    )
    picture = draw(find_trace(json.dumps(made)))
    root = ElementTree.fromstring(picture.svg())
    assert float(root.attrib["height"]) == picture.height
    for shape in picture.shapes:
        if isinstance(shape, Rect):
            assert shape.width >= 0
            assert shape.height >= 0


def test_the_command(tmp_path: Path) -> None:
    source = tmp_path / "trace.json"
    source.write_text(json.dumps({"choices": [{"index": 0, "graph": trace()}]}), encoding="utf-8")
    for name in ("a.svg", "a.png"):
        done = subprocess.run(
            [*CLI, "--trace", str(source), "--out", str(tmp_path / name)], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.svg").read_text(encoding="utf-8").startswith("<svg")
    image = Image.open(io.BytesIO((tmp_path / "a.png").read_bytes()))
    assert image.size[0] == 2240
    assert len(image.getcolors(1 << 20) or ()) > 6
    piped = subprocess.run(
        [*CLI, "--trace", "-", "--out", str(tmp_path / "b.svg")],
        input=source.read_text(encoding="utf-8"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert piped.returncode == 0, piped.stderr
    for args in (["--trace", "/nowhere"], ["--trace", str(source), "--out", "x.gif"]):
        refused = subprocess.run([*CLI, *args], capture_output=True, text=True, timeout=60, cwd=tmp_path)
        assert refused.returncode == 2
        assert refused.stderr.startswith("autoglm-phone: error: ")
