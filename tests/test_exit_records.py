"""Records made with guesses, shared pages and forks hold what plain answering at every depth gives."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.request import EngineRequest, SamplingParams
from autoglm_phone.graph.plan import GraphRequest
from autoglm_phone.graph.records import DIALS, Record
from autoglm_phone.models.registry import locate
from autoglm_phone.train import exit_records
from autoglm_phone.train.boundary_states import BoundaryReader, run
from autoglm_phone.train.exit_records import RecordMaker
from autoglm_phone.train.questions import Question, draw
from autoglm_phone.train.world import registry

pytestmark = pytest.mark.skipif(not registry.is_available("chart_value"), reason="needs the extra 'train'")
LONGEST = 14
LOOSE = 0.3


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    folder = str(locate("mini"))
    wanted = (("units", 0), ("units", 1), ("translate", 0), ("oos", 0), ("chart_value", 0))
    return [draw((folder, category, "val", index)) for category, index in wanted]


@pytest.fixture(scope="module")
def made(questions) -> dict[str, Record]:
    patch = pytest.MonkeyPatch()
    patch.setattr(exit_records, "MAX_TOKENS", LONGEST)
    patch.setattr(exit_records, "DIALS", (*DIALS, LOOSE))
    maker = RecordMaker(locate("mini"), 3)
    right = {record.id: record for record in maker.stream(questions)}
    assert set(right) == {q.sample.id for q in questions}

    # The same prompts again: their pages are cached now, and other guesses must not change anything.
    misled = [replace(q, reference=(*q.reference[:4], 5, 6, *q.reference[5:])) for q in questions]
    for others in (misled, [replace(q, reference=()) for q in questions], list(questions)):
        for record in maker.make(others):
            assert_same(record, right[record.id])
    patch.undo()
    return right


def assert_same(one: Record, other: Record) -> None:
    """Equal, but for the rounding of floats."""
    for depth, row in one.confidence.items():
        assert row == pytest.approx(other.confidence[depth], abs=1e-3)
    assert one.state == pytest.approx(other.state, abs=1e-2)
    dialled = {dial: replace(d, layers=other.dialled[dial].layers) for dial, d in one.dialled.items()}
    assert replace(one, confidence=other.confidence, state=other.state, dialled=dialled) == replace(
        other, dialled=dialled
    )


def test_answers_and_readings_are_those_of_plain_runs(questions, made):
    engine = load_engine(locate("mini"), EngineConfig(dtype="float32", enable_prefix_caching=False))
    reader = BoundaryReader(engine)
    for item in questions:
        record = made[item.sample.id]
        answers: dict[int, list[int]] = {}
        for depth in (6, 12, 18, 24):
            graph = GraphRequest(policy="full" if depth == 24 else "fixed", max_depth=depth)
            params = SamplingParams(max_tokens=LONGEST, temperature=0.0)
            engine.add_request(EngineRequest("x", item.ids, params, item.media, graph=graph))
            answers[depth] = []
            for step in run(engine):
                answers[depth] += [*step.token_ids, *([] if step.stop_token_id is None else [step.stop_token_id])]
            assert len(answers[depth]) == record.tokens[depth], (item.sample.id, depth)
        tokens = answers[24]
        start = len(item.ids) - 1
        states = reader.read((*item.ids, *tokens[:-1]), item.media, range(start, start + len(tokens)))
        with torch.inference_mode():
            for segment, depth in enumerate((6, 12, 18)):
                chances = torch.softmax(reader.decoder.logits(states[depth], segment), dim=-1)
                best, said = chances.max(dim=-1)
                assert list(record.confidence[depth]) == pytest.approx(best.tolist(), abs=1e-3)
                assert list(record.agrees[depth]) == [a == b for a, b in zip(said.tolist(), tokens, strict=True)]
        assert list(record.state) == pytest.approx(states[6][0].tolist(), abs=1e-2)


def test_an_answer_under_thresholds_is_what_leaving_token_by_token_gives(questions, made):
    """Each token decided by a full pass over all before it, with nothing guessed, cached or shared."""
    engine = load_engine(locate("mini"), EngineConfig(dtype="float32", enable_prefix_caching=False))
    reader = BoundaryReader(engine)
    stops = engine.runner.eos_token_ids
    for item in questions[1:4]:
        tokens: list[int] = []
        layers = 0
        while len(tokens) < LONGEST and not (tokens and tokens[-1] in stops):
            ids = (*item.ids, *tokens)
            states = reader.read(ids, item.media, [len(ids) - 1])
            for segment, depth in enumerate((6, 12, 18, 24)):
                with torch.inference_mode():
                    best, said = torch.softmax(reader.decoder.logits(states[depth], segment), dim=-1).max(dim=-1)
                if float(best) >= LOOSE or depth == 24:
                    break
            tokens.append(int(said))
            layers += depth
        assert made[item.sample.id].dialled[LOOSE].layers == pytest.approx(layers / len(tokens))


def test_cautious_thresholds_keep_the_answer(made):
    for record in made.values():
        assert set(record.dialled) == {*DIALS, LOOSE}
        if all(all(row) for row in record.agrees.values()):
            assert all(d.correct == record.correct[24] for d in record.dialled.values())
        assert all(6 <= d.layers <= 24 for d in record.dialled.values())
