"""A decode pass's own way through a segment against the general one, with everything else of the engine alike."""

from __future__ import annotations

import pytest
import torch

from autoglm_phone.backends import torch_backend
from autoglm_phone.backends.base import SegmentMeta
from autoglm_phone.graph.plan import ExitPolicy
from autoglm_phone.runner.exits import confidences
from depth_cases import FixedPlans, drive, make_agreeing
from depth_cases import check as check_depths
from depth_cases import engine_for as depths_engine
from native_cases import TOLERANCE, Case, Run, clip, engine_for, make_request, picture, run, save_case


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Case:
    return save_case(tmp_path_factory.mktemp("plain"))


def by_token(result: Run) -> dict[tuple[str, int], torch.Tensor]:
    return {(name, first + row): logits for name, first, rows in result.logits for row, logits in enumerate(rows)}


@pytest.mark.parametrize("together", [1, 4])
def test_it_gives_what_the_general_way_gives(plain, monkeypatch, together):
    requests = [
        make_request("text", [30] * 9, [], max_tokens=40),
        make_request("long", [31, 35] * 30, [], max_tokens=12),
        make_request("picture", [32] * 7, [picture(2, 3, 0, 2)], max_tokens=20),
        make_request("both", [33] * 20, [picture(1, 2, 0, 3), clip(20, 1, 8)], max_tokens=20),
    ]
    quick = torch_backend.run_rows
    calls = 0

    def counted(*args):
        nonlocal calls
        calls += 1
        return quick(*args)

    def answers(**patches):
        with monkeypatch.context() as patch:
            for name, value in patches.items():
                patch.setattr(torch_backend, name, value)
            return run(engine_for(plain, 2000, max_num_seqs=together), requests)

    found = answers(run_rows=counted)
    assert calls > 50
    expected = answers(only_group=lambda meta, pages: None)
    assert all(found.tokens(name) == expected.tokens(name) for name in expected.outputs)
    ours, theirs = by_token(found), by_token(expected)
    assert ours.keys() == theirs.keys()
    for place, logits in theirs.items():
        torch.testing.assert_close(ours[place], logits, atol=TOLERANCE, rtol=0)


def test_drafts_are_checked_by_it(tmp_path, monkeypatch):
    """Several tokens of a sequence in one pass, and sequences that bring more of them than others."""
    reference = make_agreeing(save_case(tmp_path))
    planner = FixedPlans()
    requests = [make_request(f"r{i}", [30 + i] * (12 + i), [], max_tokens=(24, 9, 5)[i]) for i in range(3)]
    planner.policies = {r.request_id: ExitPolicy("lossless", draft_length=3) for r in requests}
    quick = torch_backend.run_rows
    padded: set[bool] = set()

    def watched(backend, layers, hidden, meta, group, pages, shape):
        if group.queries is not None:
            padded.add(group.queries.take is not None)
        return quick(backend, layers, hidden, meta, group, pages, shape)

    monkeypatch.setattr(torch_backend, "run_rows", watched)
    check_depths(reference, requests, drive(depths_engine(reference, planner), requests))
    assert padded >= {False}


def test_the_state_it_is_given_stays(plain):
    """What waits at a boundary is a view of the pass's state."""
    engine = engine_for(plain, 2000)
    engine.add_request(make_request("a", [30] * 9, [], max_tokens=6))
    engine.step()
    backend = engine.runner.decoder.backend
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []
    general = type(backend).run_segment

    def watched(layers, hidden: torch.Tensor, meta: SegmentMeta, pages, shape):
        assert torch_backend.only_group(meta, pages) is not None
        kept.append((hidden, hidden.clone()))
        return general(backend, layers, hidden, meta, pages, shape)

    backend.run_segment = watched
    engine.step()
    assert kept
    assert all(torch.equal(now, before) for now, before in kept)


def test_rotary_tables_grow(plain):
    backend = engine_for(plain, 2000).runner.decoder.backend
    for positions in ([0], [3, 5], [255, 256, 1], [1000]):
        index = torch.tensor(positions)
        expected = backend._turns(index.float()[:, None] * backend._inverse)
        assert torch.equal(backend.rotary(index), expected)


def test_confidence_is_the_largest_probability():
    logits = torch.randn(5, 300) * 20
    logits[2, 7] = float("-inf")
    expected = torch.softmax(logits.double(), -1).amax(-1)
    torch.testing.assert_close(torch.tensor(confidences(logits)).double(), expected, atol=1e-6, rtol=1e-5)
