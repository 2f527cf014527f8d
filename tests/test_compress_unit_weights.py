"""Weights of positions by modality and unit: against plain autograd, in the statistics, over kills, and in recipes."""

from __future__ import annotations

import base64
import io
import json
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import compress_cases
from autoglm_phone.compress import calibrate, media_weights, pipeline, recipe, statistics
from autoglm_phone.compress.formats import master
from autoglm_phone.compress.opening import open_model
from autoglm_phone.compress.plan import ModuleInfo, ModulePlan
from autoglm_phone.compress.quantize_unit import quantize_unit
from autoglm_phone.compress.unit_weights import GROUPS, MEMORY, UnitWeights
from autoglm_phone.compress.units import Fold, State, Unit, container
from autoglm_phone.compress.walk import Visit, walk
from autoglm_phone.errors import CheckpointError, ConfigError
from autoglm_phone.models.glm4v.model import Glm4vModel, Prompt
from autoglm_phone.models.glm4v.reference import make_tiny_checkpoint

CPU = torch.device("cpu")
RECIPE = """
calibration: {samples: 7, max_tokens: 96, weights: measured, path: PATH}
steps:
  - awq: {targets: [attention, mlp, TOO], bits: 3, group_size: [32, 16, 8], points: 4}
  - gptq: {targets: [attention, mlp, TOO], compensate: 0.5}
"""
Means = dict[str, dict[str, float]]


@pytest.fixture(scope="module")
def glm4v(tmp_path_factory) -> Path:
    return make_tiny_checkpoint(tmp_path_factory.mktemp("glm") / "model", dtype=torch.float32)


@pytest.fixture(scope="module")
def native(tiny_model: Path, tmp_path_factory) -> Path:
    return compress_cases.lively(tiny_model, tmp_path_factory.mktemp("native") / "model")


@pytest.fixture(scope="module")
def pictured(tmp_path_factory) -> Path:
    return compress_cases.conversations(tmp_path_factory.mktemp("talk"))


@pytest.fixture(scope="module")
def talk(pictured: Path) -> Path:
    """With a picture, a sound, and both."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((np.random.default_rng(0).normal(size=8000) * 3000).astype("<i2").tobytes())
    data = base64.b64encode(buffer.getvalue()).decode()
    sound = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    lines = pictured.read_text().splitlines()
    both = json.loads(lines[1])
    for turns in (json.loads(lines[0]), both):
        turns["messages"][0]["content"].insert(0, sound)
        lines.insert(1, json.dumps(turns))
    path = pictured.with_name("all.jsonl")
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def samples(native: Path, talk: Path) -> list[calibrate.Sample]:
    made = calibrate.load(native, calibrate.Calibration(samples=7, path=talk))
    assert {sample.modality for sample in made} == {"text", "picture", "speech"}
    return made


def means(parts: list[tuple[list[str], Tensor]]) -> dict[str, float]:
    """{group: mean |g| of its rows over the mean |g| of all}, from (groups, gradients [N, H]) of each sample."""
    every = torch.cat([gradient for _, gradient in parts]).abs().mean(-1)
    groups = np.array([group for names, _ in parts for group in names])
    return {g: float(every[torch.from_numpy(groups == g)].mean() / every.mean()) for g in sorted(set(groups))}


def names_of(sample: calibrate.Sample, replies: bool) -> list[str]:
    predict = {p - 1 for p in sample.answer_positions} if replies else set()
    return [calibrate.KINDS[kind] + (" reply" if i in predict else "") for i, kind in enumerate(sample.kinds)]


def close(found: Means, expected: Means) -> None:
    assert found.keys() == expected.keys()
    for unit, groups in expected.items():
        assert found[unit] == pytest.approx(groups, rel=2e-3), unit


def loss(logits: Tensor, sample: calibrate.Sample) -> Tensor:
    """Of the reply's own tokens, logits [S, V]."""
    targets = torch.tensor([sample.ids[p] for p in sample.answer_positions])
    rows = [p - 1 for p in sample.answer_positions]
    return torch.nn.functional.cross_entropy(logits[rows], targets, reduction="sum")


@pytest.mark.parametrize("replies", [False, True])
def test_against_autograd_through_the_whole_native_model(native: Path, samples, replies: bool) -> None:
    from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration

    model = AutoGLMPhoneForConditionalGeneration.from_pretrained(native, dtype=torch.float32).eval()
    hidden: dict[str, Tensor] = {}
    memories: dict[str, Tensor] = {}

    def front(name: str):
        def hook(module: torch.nn.Module, inputs: tuple) -> tuple | None:
            if name not in hidden:  # cross-attention comes before the layer
                hidden[name] = inputs[0]
                inputs[0].retain_grad()
            if len(inputs) > 1 and hasattr(inputs[1], "starts"):
                memories[name] = inputs[1].states * 1  # of its own, to see this layer's share alone
                memories[name].retain_grad()
                return inputs[0], replace(inputs[1], states=memories[name]), *inputs[2:]
            return None

        return hook

    for index, layer in enumerate(model.model.layers):
        for module in (layer.cross_attn, layer):
            if module is not None:
                module.register_forward_pre_hook(front(f"model.layers.{index}"))
    model.model.norm.register_forward_pre_hook(front("lm_head"))
    parts: dict[str, list] = {}
    read: dict[str, list] = {}
    for sample in samples:
        hidden.clear(), memories.clear()
        ids = torch.tensor([sample.ids])
        pixels = [torch.from_numpy(m.data["pixels"].copy()) for m in sample.media if m.kind == "image"]
        sounds = [torch.from_numpy(m.data["mel"]) for m in sample.media if m.kind == "audio"]
        logits = model(
            ids,
            pixel_values=torch.stack(pixels).permute(0, 3, 1, 2) / 127.5 - 1 if pixels else None,
            input_features=torch.stack(sounds) if sounds else None,
        ).logits[0]
        loss(logits, sample).backward()
        names = names_of(sample, replies)
        for name, state in hidden.items():
            rows = [p - 1 for p in sample.answer_positions] if name == "lm_head" else range(len(names))
            parts.setdefault(name, []).append(([names[i] for i in rows], state.grad[0, list(rows)]))
        for name, state in memories.items():
            towers = {"image": model.model.encode_images, "audio": model.model.encode_audio}
            kinds = []
            for medium in sample.media:
                given = pixels[0].permute(2, 0, 1) / 127.5 - 1 if medium.kind == "image" else sounds[0]
                made = towers[medium.kind](given[None])[0][0]
                kinds += ["picture" if medium.kind == "image" else "speech"] * len(made)
            read.setdefault(name, []).append((kinds, state.grad[0]))
    lines: list[str] = []
    found = media_weights.by_unit(open_model(native), samples, CPU, replies=replies, say=lines.append)
    expected = {name: means(rows) for name, rows in parts.items()}
    for depth in (1, 2, 3):  # an exit stands in front of the layer behind it
        expected[f"model.exits.{depth}"] = expected[f"model.layers.{depth}"]
    close(found.positions, expected)
    close(found.memory, {name: means(rows) for name, rows in read.items()})
    assert found.memory.keys() == {"model.layers.1", "model.layers.2"}
    assert set(found.memory["model.layers.1"]) == {"picture", "speech"}
    assert len(lines) == len(found.positions)


def test_against_autograd_through_the_whole_glm4v(glm4v: Path, pictured: Path) -> None:
    class Watched(Glm4vModel):
        def _layer(self, x: Tensor, name: str, *rest) -> Tensor:
            return super()._layer(self.watch(x, name.removesuffix(".")), name, *rest)

        def _norm(self, x: Tensor, name: str) -> Tensor:
            return super()._norm(self.watch(x, "lm_head") if name == "model.norm" else x, name)

        def watch(self, x: Tensor, name: str) -> Tensor:
            x = x if x.requires_grad else x.requires_grad_()
            x.retain_grad()
            seen[name] = x
            return x

    seen: dict[str, Tensor] = {}
    samples = calibrate.load(glm4v, calibrate.Calibration(samples=4, path=pictured))
    model = Watched.from_folder(glm4v, torch.float32)
    parts: dict[str, list] = {}
    for sample in samples:
        (logits,) = Glm4vModel.__call__.__wrapped__(model, [Prompt(sample.ids, [m.data for m in sample.media])])
        loss(logits, sample).backward()
        names = names_of(sample, False)
        for name, state in seen.items():
            rows = [p - 1 for p in sample.answer_positions] if name == "lm_head" else range(len(names))
            parts.setdefault(name, []).append(([names[i] for i in rows], state.grad[list(rows)]))
    found = media_weights.by_unit(open_model(glm4v), samples, CPU)
    close(found.positions, {name: means(rows) for name, rows in parts.items()})
    assert set(found.positions["model.layers.0"]) == {"text", "picture", "media"}
    assert not found.memory


def visit_of(folder: Path, samples: list[calibrate.Sample], name: str) -> Visit:
    opened = open_model(folder)
    return next(v for v in walk(opened.architecture, opened.source, samples, CPU) if v.unit.name == name)


def states_without(visit: Visit, kind: str) -> list[State]:
    """The states with weights of their own that leave one kind out, as a reference for the factors."""
    index = calibrate.KINDS.index(kind)
    return [{**s, "by_unit": None, "weight": s["weight"] * (s["kind"] != index)} for s in visit.states]


@pytest.mark.parametrize("kind", ["text", "picture", "speech", "media"])
def test_a_kind_of_weight_0_has_no_influence(native: Path, samples, kind: str) -> None:
    """Neither on H nor on what AWQ and GPTQ make of it, whatever those positions hold; in its unit alone."""
    unit = "model.layers.2"
    measured = UnitWeights({unit: {kind: 0.0}})
    weighed = [replace(sample, by_unit=measured) for sample in samples]
    visit = visit_of(native, weighed, unit)
    targets = ("self_attn.q_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj")
    made = statistics.observe(visit.unit, visit.module, visit.states, targets, CPU).moments
    expected = statistics.observe(visit.unit, visit.module, states_without(visit, kind), targets, CPU).moments
    plain = [{**state, "by_unit": None} for state in visit.states]
    others = statistics.observe(visit.unit, visit.module, plain, targets, CPU).moments
    for name in targets:
        assert torch.allclose(made[name].hessian, expected[name].hessian, rtol=1e-5, atol=1e-7)
        assert not torch.allclose(made[name].hessian, others[name].hessian, rtol=1e-3)
    elsewhere = visit_of(native, weighed, "model.layers.1")
    first = statistics.observe(elsewhere.unit, elsewhere.module, elsewhere.states, targets, CPU).moments
    plain = [{**state, "by_unit": None} for state in elsewhere.states]
    same = statistics.observe(elsewhere.unit, elsewhere.module, plain, targets, CPU).moments
    assert all(torch.equal(first[name].hessian, same[name].hessian) for name in targets)


def linear_unit(factor: float, loud: float) -> tuple[Unit, torch.nn.Module, list[State]]:
    """A norm and a linear on positions of two kinds; those of the second are `loud`, and weighed by `factor`."""
    generator = torch.Generator().manual_seed(1)
    module = container(norm=torch.nn.LayerNorm(32, bias=False), linear=torch.nn.Linear(32, 48, bias=False))
    module.requires_grad_(False)
    module.linear.weight.copy_(torch.randn(48, 32, generator=generator))
    directions = torch.randn(32, generator=generator).exp(), torch.randn(32, generator=generator).exp()
    text = torch.randn(1, 64, 32, generator=generator) * directions[0]
    other = torch.randn(1, 64, 32, generator=generator) * directions[1] + loud
    kinds = torch.tensor([0] * 64 + [1] * 64)
    state = {"hidden": torch.cat([text, other], 1), "weight": torch.ones(128), "kind": kinds}
    state |= {"predict": torch.tensor([127]), "by_unit": UnitWeights({"u": {"text": 1.0, "picture": factor}})}

    def run(module: torch.nn.Module, state: State) -> State:
        return {"hidden": module.linear(module.norm(state["hidden"]))}

    unit = Unit("u", "u.", lambda: module, run, (Fold("norm", ("linear",)),))
    return unit, module, [state]


def quantized(factor: float, loud: float) -> tuple[Tensor, Tensor]:
    """(scale that AWQ folded, codes that GPTQ rounded)."""
    unit, module, states = linear_unit(factor, loud)
    info = ModuleInfo("u.linear", "u", "linear", (48, 32))
    gptq = dict(recipe.STEPS["gptq"])
    plan = ModulePlan(info, 3, 16, True, 0, scale=True, points=8, clip=True, gptq=gptq)
    result = quantize_unit(unit, module, {"linear": plan}, states, CPU, stored={"norm.weight": torch.float32})
    return result.folded["linear"], result.weights["linear"].codes


def test_scale_search_and_codes_follow_the_weights() -> None:
    scale, codes = quantized(0.0, loud=0.0)
    changed = quantized(0.0, loud=3.0)
    assert torch.allclose(scale, changed[0])
    assert torch.equal(codes, changed[1]), "positions of weight 0 may hold anything"
    weighed = quantized(1.0, loud=0.0)
    assert not torch.allclose(scale, weighed[0])
    assert not torch.equal(codes, weighed[1])


def test_memory_is_weighed_by_whose_states_it_is(native: Path, samples) -> None:
    unit, name = "model.layers.1", "cross_attn.k_proj"
    measured = UnitWeights({}, {unit: {"picture": 0.0, "speech": 2.0}})
    visit = visit_of(native, [replace(sample, by_unit=measured) for sample in samples], unit)
    made = statistics.observe(visit.unit, visit.module, visit.states, [name], CPU).moments[name]
    heard = [s["memory"][0, s["memory_kind"] == calibrate.KINDS.index("speech")] for s in visit.states if MEMORY in s]
    rows = torch.cat(heard)
    assert 0 < len(rows) < sum(s["memory"].shape[1] for s in visit.states if MEMORY in s)
    assert torch.allclose(made.hessian, rows.T @ rows / len(rows), rtol=1e-4, atol=1e-5)


def test_replies_stand_for_themselves_where_they_were_measured() -> None:
    state = {"kind": torch.tensor([0, 0, 3, 1, 1]), "predict": torch.tensor([3]), "weight": torch.ones(5)}
    apart = UnitWeights({"u": {"text": 1.0, "media": 0.25, "picture": 2.0, "picture reply": 5.0}})
    assert apart.of("u", "weight", state).tolist() == [1.0, 1.0, 0.25, 5.0, 2.0]
    together = UnitWeights({"u": {"text": 1.0, "picture": 2.0}})
    assert together.of("u", "weight", state).tolist() == [1.0, 1.0, 1.0, 2.0, 2.0], "what was not measured is average"
    assert together.of("v", "weight", state) is None
    assert len(GROUPS) == 2 * len(calibrate.KINDS)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("family", ["native", "glm4v"])
def test_a_killed_run_reads_its_weights_again(family: str, talk, pictured, tmp_path, request, monkeypatch) -> None:
    model = request.getfixturevalue(family)
    text = RECIPE.replace("PATH", str(talk if family == "native" else pictured))
    parsed = recipe.parse(text.replace("TOO", "cross-attention" if family == "native" else "vision"))
    lines: list[str] = []
    whole = pipeline.compress(model, parsed, tmp_path / "whole", say=lines.append)
    reported = json.loads((whole / "compression.json").read_text())["weights"]
    assert reported["rule"] == "layers"
    assert "model.layers.1" in reported["positions"]
    assert bool(reported["memory"]) == (family == "native")
    assert any(line.startswith("weights of positions in model.layers.1: text ") for line in lines)
    measured = media_weights.by_unit
    asked = []
    monkeypatch.setattr(media_weights, "by_unit", lambda *a, **k: (asked.append(1), measured(*a, **k))[1])
    kept = tmp_path / "torn" / pipeline.WORK / media_weights.FILE
    for stop in (4, 16):  # while weights are measured, and among the units
        left = iter(range(stop))

        def die(line: str, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise KilledError

        with pytest.raises(KilledError):
            pipeline.compress(model, parsed, tmp_path / "torn", say=die)
        assert kept.exists() == (stop == 16)
    assert not list(kept.parent.glob("states/*"))
    torn = pipeline.compress(model, parsed, tmp_path / "torn")
    assert len(asked) == 2, "measured anew only where it had not been finished"
    first, second = (master.read_config(folder) for folder in (whole, torn))
    assert first is not None
    assert first == second
    assert first.checksums


def test_what_was_kept_is_what_counts(native: Path, samples, tmp_path) -> None:
    opened = open_model(native)
    for rule in calibrate.GRADIENTS:
        path = tmp_path / f"{rule}.json"
        first = media_weights.weigh(opened, samples, rule, CPU, kept=path)
        assert media_weights.weigh(opened, samples, rule, CPU, seed=99, kept=path) == first
        assert media_weights.report(path)["weights"]["samples"] == len(samples)
    assert media_weights.report(tmp_path / "none.json") == {}


def test_conversations_at_hand_are_weighed_too(native: Path, samples, talk, tmp_path) -> None:
    text = RECIPE.replace("PATH", str(talk)).replace("TOO", "cross-attention")
    out = pipeline.compress(native, recipe.parse(text), tmp_path / "out", samples=samples)
    assert "weights" in json.loads((out / "compression.json").read_text())


def test_recipes_say_it() -> None:
    text = RECIPE.replace("PATH", "a.jsonl").replace("TOO", "vision")
    made = recipe.parse(text).calibration
    assert made.gradients == "layers"
    assert set(made.weights.values()) == {1.0}
    both = text.replace("weights: measured", "gradients: kinds,\n  weights: measured")
    with pytest.raises(ConfigError, match=r"^r\.yaml:3: weights: measured .* leave out 'gradients'"):
        recipe.parse(both, "r.yaml")
    with pytest.raises(ConfigError, match=r"^r\.yaml:2: weights maps .* to numbers, or is 'measured'"):
        recipe.parse(text.replace("measured", "guessed"), "r.yaml")
    with pytest.raises(ConfigError, match=r"^r\.yaml:2: mix maps .* to numbers$"):
        recipe.parse(text.replace("weights: measured", "mix: measured"), "r.yaml")


def test_gradients_that_are_not_finite_are_refused(native: Path, samples, monkeypatch) -> None:
    real = media_weights.differentiate

    def broken(visit, state, gradient, generator):
        made = real(visit, state, gradient, generator)
        return made._replace(hidden=made.hidden * float("nan")) if visit.unit.name == "model.layers.2" else made

    monkeypatch.setattr(media_weights, "differentiate", broken)
    with pytest.raises(CheckpointError, match=r"in front of model\.layers\.2 are not finite"):
        media_weights.by_unit(open_model(native), samples, CPU)
