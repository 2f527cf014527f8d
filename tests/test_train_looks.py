"""Looks: where the picture shows what a text says, from the world's samples to the loss."""

from __future__ import annotations

import json
import pickle
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

import autoglm_phone.models
from autoglm_phone.models.native.blocks import FAR
from autoglm_phone.models.native.configuration import preset
from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration
from autoglm_phone.train import stream as stream_module
from autoglm_phone.train.batches import Batch, look_targets
from autoglm_phone.train.encode import Encoder, Row
from autoglm_phone.train.looks import Look, Sights
from autoglm_phone.train.mixture import BatchSizes
from autoglm_phone.train.objective import LossWeights, Objective, look_loss, watched
from autoglm_phone.train.stream import WorldStream, thin_looks
from autoglm_phone.train.views import patches_in
from autoglm_phone.train.world import registry
from autoglm_phone.train.world.sample import Glyph, Picture, Region, Sample, Turn

TOKENIZER = Path(autoglm_phone.models.__file__).parent / "mini" / "tokenizer.json"
TINY = {
    "hidden_size": 64, "head_dim": 16, "intermediate_size": 96, "exit_rank": 4, "num_hidden_layers": 6,
    "exit_layers": (2, 4), "cross_attention_layers": (1, 3, 5), "vocab_size": 8192,
    "vision_config": {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 64, "stem_channels": [8, 16, 32]},
    "audio_config": {
        "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 64, "stem_channels": 64, "ctc_vocab": "打开"
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(Tokenizer.from_file(str(TOKENIZER)), no_think=0.0)


def drawn(category: str, count: int = 6) -> list[Sample]:
    return [registry.generate(category, "train", index, 3) for index in range(count)]


def turns_of(sample: Sample) -> list[tuple[Turn, ...]]:
    return [sample.turns, *((*sample.turns[:-2], *pair) for pair in sample.alternatives)]


def looks_of(turns: tuple[Turn, ...], picture: Picture) -> tuple[Look, ...]:
    return Sights(picture).looks(turns[-1].reasoning, turns[-1].text, turns[-2].text)


def words(turns: tuple[Turn, ...], look: Look) -> str:
    return (turns[-1].reasoning if look.part == "reasoning" else turns[-1].text)[look.start : look.end]


def box_of(shown: Region | Glyph, picture: Picture) -> tuple[float, ...]:
    height, width = picture.pixels.shape[:2]
    return (shown.x0 / width, shown.y0 / height, shown.x1 / width, shown.y1 / height)


def names_at(look: Look, picture: Picture) -> list[str]:
    return [r.text for r in picture.regions if any(np.allclose(box_of(r, picture), box) for box in look.boxes)]


def test_a_tap_looks_at_what_it_taps():
    taps = 0
    for sample in drawn("screen"):
        for turns in turns_of(sample):
            if "element=" not in turns[-1].text:
                assert not looks_of(turns, sample.pictures[0])
                continue
            taps += 1
            looks = looks_of(turns, sample.pictures[0])
            answer = [look for look in looks if look.part == "answer"]
            assert len(answer) == 1
            x, y = json.loads(words(turns, answer[0]))
            x0, y0, x1, y1 = answer[0].boxes[0]
            assert x0 - 0.001 <= x / 1000 <= x1 + 0.001
            assert y0 - 0.001 <= y / 1000 <= y1 + 0.001
            thought = [look for look in looks if look.part == "reasoning"]
            places = [look for look in thought if words(turns, look).startswith(("在屏幕", "at the "))]
            assert all(look.boxes == answer[0].boxes for look in places)
            counted = [look for look in thought if look not in places]
            assert all(words(turns, look) in names_at(look, sample.pictures[0]) for look in counted)
            if "在屏幕" in turns[-1].reasoning or "of the screen" in turns[-1].reasoning:
                assert len(places) == 1
    assert taps >= 10


def test_a_scene_is_walked_thing_by_thing():
    for sample in drawn("scene_count"):
        picture = sample.pictures[0]
        looks = looks_of(sample.turns, picture)
        assert sorted(box for look in looks for box in look.boxes) == sorted(
            box_of(r, picture) for r in picture.regions
        )
        for look in looks:
            assert len(look.boxes) == 1
            assert any(name in words(sample.turns, look) for name in names_at(look, picture))
        said = [words(sample.turns, look) for look in looks]
        middles = {phrase: [k.boxes[0][0] for k, w in zip(looks, said, strict=True) if w == phrase] for phrase in said}
        assert all(across == sorted(across) for across in middles.values())  # equal ones from left to right


def test_equal_things_in_one_place_take_turns_and_else_share():
    regions = (Region("red cat", 20, 5, 25, 9), Region("red cat", 5, 5, 9, 9), Region("red cat", 80, 80, 90, 90))
    picture = Picture(np.zeros((90, 90, 3), np.uint8), (), regions)
    twice = Sights(picture).looks("red cat top left, red cat top left.", "2", "")
    assert [look.boxes for look in twice] == [(box_of(regions[1], picture),), (box_of(regions[0], picture),)]
    once = Sights(picture).looks("red cat top left.", "2", "")
    assert [len(look.boxes) for look in once] == [2]


@pytest.mark.parametrize("category", ["chart_value", "chart_trend", "chart_compare", "chart_forecast"])
def test_readings_of_a_chart_look_at_their_marks(category):
    rows = with_looks = 0
    for sample in drawn(category):
        picture = sample.pictures[0]
        sights = Sights(picture)
        for turns in turns_of(sample):
            rows += 1
            looks = sights.looks(turns[-1].reasoning, turns[-1].text, turns[-2].text)
            with_looks += bool(looks)
            for look in looks:
                names = names_at(look, picture)
                assert names
                said = words(turns, look)
                for name in names:
                    assert name.rsplit(" ", 1)[-1].rstrip("%") in said or name.startswith(said)
            if category == "chart_value" and turns is sample.turns:
                [mark] = [mark for mark in sights.marks if mark.box in looks[0].boxes]
                assert re.split("找到|Find ", turns[-1].reasoning)[-1].startswith(mark.label)
    assert with_looks >= 0.9 * rows


def test_what_is_calculated_is_not_looked_for():
    regions = (Region("Mar", 0, 90, 9, 99), Region("Apr", 20, 90, 29, 99), Region("Mar Paris 40", 0, 50, 9, 90),
               Region("Apr Paris 70", 20, 20, 29, 90), Region("Mar Rome 40", 30, 50, 39, 90))  # fmt: skip
    picture = Picture(np.zeros((100, 100, 3), np.uint8), (), regions)
    thought = "Apr is about 70, Mar about 40. 70-40=30."
    looks = Sights(picture).looks(thought, "30", "How much higher is the sales of Paris on Apr than on Mar?")
    assert [(thought[look.start : look.end], names_at(look, picture)) for look in looks] == [
        ("Apr is about 70", ["Apr Paris 70"]), ("Mar about 40", ["Mar Paris 40"]),
    ]  # fmt: skip
    swipe = 'do(action="Swipe", start=[500,750], end=[500,250])'
    assert not Sights(picture).looks("", swipe, "")


@pytest.mark.parametrize("category", ["ocr", "screen_read"])
def test_what_is_read_looks_at_its_glyphs(category):
    rows = read = 0
    for sample in drawn(category):
        picture = sample.pictures[0]
        for turns in turns_of(sample):
            rows += 1
            looks = looks_of(turns, picture)
            read += bool(looks)
            for look in looks:
                if look.part == "answer" and look.end == look.start + 1:
                    char = words(turns, look)
                    assert any(
                        np.allclose(box_of(g, picture), look.boxes[0]) and g.char == char for g in picture.glyphs
                    )
    assert read >= (0.9 if category == "ocr" else 0.6) * rows  # a screen may show the same text twice


@pytest.mark.parametrize("category", ["screen", "scene_count", "chart_value", "ocr"])
def test_rows_stay_and_positions_predict_the_span(encoder, category):
    for sample in drawn(category, 3):
        for turns in turns_of(sample):
            looks = looks_of(turns, sample.pictures[0])
            plain, row = encoder.row(turns, random.Random(0)), encoder.row(turns, random.Random(0), looks)
            assert (plain.ids, plain.labels, plain.media) == (row.ids, row.labels, row.media)
            assert bool(looks) == bool(row.looks)
            said = "".join(words(turns, look) for look in looks)
            for position, boxes in row.looks:
                assert row.labels[position + 1] == row.ids[position + 1]
                text = encoder.tokenizer.decode([row.ids[position + 1]])
                assert set(text) & set(said) or "\ufffd" in text  # part of a character
                assert set(boxes) <= {box for look in looks for box in look.boxes}


def test_a_dropped_thought_takes_its_looks_along(encoder):
    silent = Encoder(encoder.tokenizer, no_think=1.0)
    turns = (Turn("user", "<image>tap"), Turn("assistant", "[12,345]", "At the top left <tool_call>."))
    looks = (Look("reasoning", 3, 15, ((0.0, 0.0, 0.1, 0.1),)), Look("answer", 0, 8, ((0.5, 0.5, 0.6, 0.6),)))
    thoughtful, direct = encoder.row(turns, random.Random(0), looks), silent.row(turns, random.Random(0), looks)
    assert {boxes for _, boxes in thoughtful.looks} == {looks[0].boxes, looks[1].boxes}
    assert {boxes for _, boxes in direct.looks} == {looks[1].boxes}
    for row in (thoughtful, direct):
        spoken = [row.ids[at + 1] for at, boxes in row.looks if boxes == looks[1].boxes]
        assert encoder.tokenizer.decode(spoken) == "[12,345]"


def test_patches_are_those_whose_centre_a_box_holds():
    assert patches_in((0.0, 0.0, 0.5, 0.5), 4, 4) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert patches_in((0.3, 0.6, 0.31, 0.61), 4, 4) == [(2, 1)]  # holds no centre
    assert patches_in((0.2, -0.2, 1.4, 0.02), 2, 4) == [(0, 1), (0, 2), (0, 3)]
    assert patches_in((0.99, 0.99, 1.01, 1.01), 4, 4) == [(3, 3)]


def test_thinning_keeps_at_most_so_many():
    rows = [Row([], [], (), tuple((i, ((0.0, 0.0, 1.0, 1.0),)) for i in range(n))) for n in (5, 0, 9)]
    assert thin_looks(rows, 14, random.Random(0)) is rows
    thin = thin_looks(rows, 6, random.Random(0))
    assert sum(len(row.looks) for row in thin) == 6
    assert all(set(a.looks) <= set(b.looks) for a, b in zip(thin, rows, strict=True))


def image_batch(monkeypatch, category: str = "scene_count", images: int = 3, seed: int = 0) -> Batch:
    monkeypatch.setattr(stream_module, "KINDS", {"image": {category: 1.0}})
    sizes = BatchSizes(512, images, 3, 3, 3)
    stream = WorldStream(TOKENIZER.read_text(), "打开", {"打": 1}, 80, sizes, seed=seed, kinds=("image",))
    return next(iter(stream(0)))


def tiny() -> Objective:
    torch.manual_seed(0)
    model = AutoGLMPhoneForConditionalGeneration(preset("mini", **TINY))
    for layer in model.model.layers:
        if layer.cross_attn is not None:
            torch.nn.init.constant_(layer.cross_attn.gate, 0.5)
    return Objective(model, 1)


def test_targets_lie_in_the_padded_grid(monkeypatch):
    batch = image_batch(monkeypatch)
    assert batch.look_at is not None
    assert batch.look_hits is not None
    rows = len(batch.ids) // len(batch.categories)
    due = batch.look_at >= 0
    assert due.any(1).all()
    assert int(batch.look_at.max()) < rows * batch.ids.shape[1]
    picture, k, patch = batch.look_hits.unbind(1)
    assert {(int(i), int(j)) for i, j in due.nonzero()} == set(zip(picture.tolist(), k.tolist(), strict=True))
    cols = batch.pixels.shape[3] // 16
    assert (patch // cols < batch.grids[picture, 0]).all()
    assert (patch % cols < batch.grids[picture, 1]).all()
    labels = batch.labels.view(len(batch.categories), -1).gather(1, batch.look_at.clamp_min(0))
    assert (labels[due] >= 0).all()  # looks are only where something is said
    assert look_targets(batch, [[Row([], [], ())]] * len(batch.categories)) == (None, None)


@torch.no_grad()
def test_the_loss_is_that_of_the_whole_attention(monkeypatch):
    batch, objective = image_batch(monkeypatch), tiny()
    objective.eval()
    losses = objective(batch, None, augment=False)
    layers = objective.model.model.layers
    given: dict[int, tuple] = {}
    handles = [
        layers[i].cross_attn.register_forward_pre_hook(lambda _, args, i=i: given.update({i: args})) for i in (1, 3, 5)
    ]
    objective(batch, None, augment=False)
    for handle in handles:
        handle.remove()
    per = len(batch.ids) // len(batch.categories)
    total = found = count = 0.0
    for i in (3, 5):
        cross, (hidden, memory, _) = layers[i].cross_attn, given[i]
        for picture, looks in enumerate(batch.look_at.tolist()):
            own = hidden[picture * per : (picture + 1) * per].flatten(0, 1)
            q = cross.q_proj(cross.norm(own)).view(len(own), cross.heads, -1)[:, 0]
            k = cross.k_proj(memory.states[picture]).view(memory.states.shape[1], cross.heads, -1)[:, 0]
            scores = (q @ k.T / k.shape[-1] ** 0.5)[:, memory.starts[picture] < FAR]
            kept = (memory.starts[picture] < FAR).nonzero()[:, 0].tolist()
            chances = F.softmax(scores, -1)
            for at, place in enumerate(looks):
                if place < 0:
                    continue
                hits = [p for b, j, p in batch.look_hits.tolist() if (b, j) == (picture, at)]
                columns = [kept.index(p) for p in hits]
                total -= float(chances[place, columns].sum().log())
                found += int(chances[place].argmax()) in columns
                count += 1
    assert float(losses["look"]) == pytest.approx(total / count, abs=1e-4)
    assert float(losses["found"]) == pytest.approx(found / count, abs=1e-6)


def test_it_can_be_learned_and_leaves_no_trace(monkeypatch):
    batch, objective = image_batch(monkeypatch, images=2), tiny()
    names = list(objective.state_dict())
    core = objective.model.model
    with torch.no_grad():  # as large as trained ones, so that a few steps show it
        core.embed_tokens.weight.mul_(15)
        for layer in core.layers:
            if layer.cross_attn is not None:
                layer.cross_attn.q_proj.weight.mul_(6)
                layer.cross_attn.k_proj.weight.mul_(6)
    optimizer = torch.optim.Adam(objective.parameters(), 1e-3)
    history = []
    for _ in range(30):
        losses = objective(batch, None, augment=False)
        history.append((float(losses["look"].detach()), float(losses["found"])))
        optimizer.zero_grad()
        losses["look"].backward()
        optimizer.step()
    assert history[-1][0] < 0.5 * history[0][0]
    assert history[-1][1] > history[0][1] + 0.3
    assert list(objective.state_dict()) == names
    assert not any(module._forward_pre_hooks for module in objective.modules())
    pickle.dumps(objective.state_dict())


def test_its_gradient_reaches_decoder_and_tower_through_the_total(monkeypatch):
    batch, objective = image_batch(monkeypatch, images=2), tiny()
    objective.weights = LossWeights(exit=0, glyph=0, region=0, box=0, look=1.0)
    losses = objective(batch, 2, augment=False)
    assert not losses["found"].requires_grad
    assert float((losses["total"] - losses["text"] - losses["look"]).detach()) == pytest.approx(0.0, abs=1e-5)
    losses["look"].backward()
    core = objective.model.model
    for weight in (core.layers[3].cross_attn.q_proj.weight, core.layers[0].mlp.gate_up_proj.weight,
                   core.vision.blocks[0].mlp.gate_up_proj.weight):  # fmt: skip
        assert weight.grad is not None
        assert weight.grad.isfinite().all()
        assert weight.grad.abs().sum() > 0
    last = core.layers[5].cross_attn
    width = TINY["hidden_size"] // last.heads
    assert last.q_proj.weight.grad[:width].any()
    assert not last.q_proj.weight.grad[width:].any()  # one head is told, the others are free
    assert last.v_proj.weight.grad is None


def test_dropped_layers_and_half_precision(monkeypatch):
    batch, objective = image_batch(monkeypatch, images=2), tiny()
    both = objective(batch, None, augment=False)
    one = objective(batch, None, frozenset({5}), augment=False)
    assert one["look"].isfinite()
    assert "look" not in objective(batch, None, frozenset({3, 5}), augment=False)
    with torch.autocast("cpu", torch.bfloat16):
        half = objective(batch, None, augment=False)
    assert half["look"].dtype == torch.float32
    assert float(half["look"].detach()) == pytest.approx(float(both["look"].detach()), rel=0.05)
    batch.look_at = None
    assert "look" not in objective(batch, None, augment=False)


def test_places_without_a_look_count_nothing(monkeypatch):
    batch, objective = image_batch(monkeypatch, images=2), tiny()
    memory = objective._memory(batch, {}, objective._senses(batch, False))
    with watched(objective.model, batch) as gazes:
        objective.model.model(batch.ids, memory=memory)
    assert len(gazes) == 2
    wider = F.pad(batch.look_at, (0, 7), value=-1)
    for a, b in zip(look_loss(gazes, batch.look_at, batch.look_hits), look_loss(gazes, wider, batch.look_hits),
                    strict=True):  # fmt: skip
        assert torch.allclose(a, b)
