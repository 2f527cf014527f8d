"""Exit heads trained onto a frozen GLM-4.1V checkpoint: they learn, nothing else moves, and the engine runs them."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from typer.testing import CliRunner

from autoglm_phone.compress import calibrate
from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.request import EngineRequest, SamplingParams
from autoglm_phone.errors import CheckpointError, ConfigError
from autoglm_phone.graph.cli import app
from autoglm_phone.graph.graph_file import EXITS, GraphFile, backbone_digest, load_graph_file, weights_digest
from autoglm_phone.graph.plan import GraphRequest
from autoglm_phone.models.glm4v.model import Prompt, rotary
from autoglm_phone.models.glm4v.reference import make_tiny_checkpoint
from autoglm_phone.models.registry import locate
from autoglm_phone.runner.exit_addon import read_addon, save_addon
from autoglm_phone.runner.spec import read_spec
from autoglm_phone.train import exit_records
from autoglm_phone.train.boundary_states import BoundaryReader, run
from autoglm_phone.train.exit_heads import Losses
from autoglm_phone.train.exit_tuning import TuneConfig, Tuning, tune
from autoglm_phone.train.questions import listen
from autoglm_phone.train.world import registry
from glm4v_cases import CheckpointUnderTest, picture
from quantized_cases import Widths, write_quantized

LAYERS = (1, 3)
SENTENCE = "tap the red button then open settings and find a photo of my cat in the list please"
WORDS = SENTENCE.split()


def talks(path: Path, count: int = 24) -> Path:
    lines = []
    for i in range(count):
        question = " ".join(WORDS[(i * k) % len(WORDS)] for k in range(1, 6))
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": WORDS[i % len(WORDS)] * 2}]
        lines.append(json.dumps({"messages": messages}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def silent(line: str) -> None: ...


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_checkpoint(tmp_path_factory.mktemp("exits") / "tiny", seed=1)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TuneConfig:
    path = talks(tmp_path_factory.mktemp("talks") / "talks.jsonl")
    return TuneConfig(layers=LAYERS, rank=16, steps=40, batch=4, samples=24, path=path, max_answer=12, lr=1e-2)


def head(size: int, rank: int = 2) -> dict[str, torch.Tensor]:
    return {
        "norm.weight": torch.ones(size),
        "down.weight": torch.ones(rank, size),
        "up.weight": torch.ones(size, rank),
    }


def bits(folder: Path) -> dict[str, str]:
    files = [p for p in folder.rglob("*") if p.is_file() and "graph" not in p.parts]
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def tuned(folder: Path, config: TuneConfig) -> Path:
    """The folder with a trained add-on beside its weights."""
    before = bits(folder)
    made = tune(folder, folder / EXITS, config, say=silent)
    assert bits(folder) == before
    for depth in LAYERS:
        assert made.after[depth]["kl"] < 0.9 * made.before[depth]["kl"]
    assert made.after[4] == made.before[4]  # full depth is what it was
    assert not list((folder / "graph").glob("*.st*"))  # neither start nor state is left
    return folder


def test_tuning_leaves_the_loaded_backbone_alone_and_follows_its_loss(folder: Path, config: TuneConfig, tmp_path: Path):
    spec = read_spec(folder, "none")
    samples = calibrate.load(folder, config.calibration())
    run_ = Tuning(folder, tmp_path / "a.safetensors", spec, config, samples, silent)
    weights = run_.reader.decoder.weights
    held = [weights.head.weight, weights.segments[0][0].qkv.weight, weights.segments[-1][-1].down.weight]
    copies = [w.clone() for w in held]
    norm = run_.heads["1"].norm.weight.clone()
    run_.step()
    assert all(torch.equal(a, b) for a, b in zip(held, copies, strict=True))
    assert all(w.grad is None and not w.requires_grad for w in held)
    assert not torch.equal(run_.heads["1"].norm.weight, norm)
    # What a step adds up over chunks is the gradient of the plain formula.
    states = [run_._states(i) for i in run_._batch(0)]
    x = torch.cat([s[0][1] for s in states])
    full = torch.cat([s[0][4] for s in states])
    targets = torch.cat([s[1] for s in states])
    run_.optimizer.zero_grad()
    losses = Losses(ce=0.3, kl=0.7)
    run_.config = replace(config, chunk=5)
    run_._look({1: x, 3: torch.cat([s[0][3] for s in states]), 4: full}, targets, losses)
    got = [p.grad.clone() for p in run_.heads["1"].parameters() if p.grad is not None]
    first = run_.heads["1"]
    plain = load_file(folder / "model.safetensors")
    said = first(x) @ plain["lm_head.weight"].T
    wide = full.float() * torch.rsqrt(full.float().square().mean(-1, keepdim=True) + spec.eps)
    aim = (wide * plain["model.language_model.norm.weight"]) @ plain["lm_head.weight"].T
    kl = F.kl_div(said.log_softmax(-1), aim.log_softmax(-1), log_target=True, reduction="batchmean")
    wanted = torch.autograd.grad(0.3 * F.cross_entropy(said, targets) + 0.7 * kl, list(first.parameters()))
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_a_stopped_run_goes_on_to_the_same_bits(folder: Path, config: TuneConfig, tmp_path: Path):
    short = replace(config, steps=9, own=False)
    tune(folder, tmp_path / "whole.safetensors", short, say=silent)
    out = tmp_path / "cut.safetensors"
    samples = calibrate.load(folder, short.calibration())
    first = Tuning(folder, out, read_spec(folder, "none"), short, samples, silent)
    first.before = first.measure()
    for _ in range(4):
        first.step()
    first.save()
    first.step()  # lost
    with pytest.raises(ConfigError, match="other options"):
        tune(folder, out, replace(short, lr=1e-3), resume=True, say=silent)
    tune(folder, out, short, resume=True, say=silent)
    whole, cut = load_file(tmp_path / "whole.safetensors"), load_file(out)
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    assert whole["exits.1.up.weight"].abs().max() > 0
    with pytest.raises(ConfigError, match="exists already"):
        tune(folder, out, short, say=silent)


def test_states_and_exit_logits_against_the_plain_model(tuned: Path):
    checkpoint = CheckpointUnderTest(tuned)
    ids, media = checkpoint.place([{"role": "user", "content": [{"image": picture(180, 84, 1)}, "Tap the button."]}])
    model, prompt = checkpoint.model, Prompt(ids, tuple(item.data for item in media))
    x, places = model._embed(prompt)
    cos, sin = rotary(places, model.shape.text, x.dtype)
    plain = {}
    for layer in range(4):
        x = model._layer(x, f"model.layers.{layer}.", cos, sin, [len(ids)])
        plain[layer + 1] = x
    small = EngineConfig(max_num_batched_tokens=16, dynamic_graph=False, enable_prefix_caching=False)
    reader = BoundaryReader(load_engine(tuned, small))
    where = [0, 3, 15, 16, len(ids) - 1]
    states = reader.read(ids, media, where)
    assert tuple(states) == (1, 3, 4)
    heads = load_file(tuned / EXITS)
    for segment, depth in enumerate(states):
        torch.testing.assert_close(states[depth], plain[depth][where], rtol=1e-3, atol=1e-3)
        if depth in LAYERS:
            state = model._norm(plain[depth][where], "model.norm") / model.text["model.norm.weight"]
            state = state * heads[f"exits.{depth}.norm.weight"]
            state = state + state @ heads[f"exits.{depth}.down.weight"].T @ heads[f"exits.{depth}.up.weight"].T
            wanted = state @ model.text["lm_head.weight"].T
            torch.testing.assert_close(reader.decoder.logits(states[depth], segment), wanted, rtol=1e-3, atol=2e-3)


def answers(folder: Path, graph: GraphRequest, **sampling: Any) -> dict[str, tuple[list[int], dict[str, Any]]]:
    """Tokens and trace of a few prompts, served together."""
    checkpoint = CheckpointUnderTest(folder)
    engine = load_engine(folder, EngineConfig(max_num_seqs=4, threads=1))
    out: dict[str, list[int]] = {}
    traces: dict[str, dict[str, Any]] = {}
    for i in range(6):
        content: list[Any] = [" ".join(WORDS[i : i + 5])]
        content += [{"image": picture(84 + 28 * i, 84, i)}] if i % 2 else []
        ids, media = checkpoint.place([{"role": "user", "content": content}])
        params = SamplingParams(max_tokens=24, ignore_eos=True, **{"temperature": 0.0, **sampling})
        out[str(i)] = []
        engine.add_request(EngineRequest(str(i), ids, params, media, graph=replace(graph, trace=True)))
    for step in run(engine):
        assert step.error is None
        out[step.request_id] += step.token_ids
        if step.graph is not None:
            traces[step.request_id] = step.graph
    return {name: (tokens, traces[name]) for name, tokens in out.items()}


@pytest.mark.parametrize("sampling", [{}, {"temperature": 0.8, "seed": 3}])
def test_lossless_with_tuned_exits_equals_full(tuned: Path, sampling: dict[str, Any]):
    full = answers(tuned, GraphRequest(policy="full"), **sampling)
    drafted = answers(tuned, GraphRequest(policy="lossless", draft_length=3), **sampling)
    assert {n: t for n, (t, _) in drafted.items()} == {n: t for n, (t, _) in full.items()}
    assert sum(trace["drafted"] for _, trace in drafted.values()) > 0


def test_fixed_and_confidence_run_on_a_glm4v_checkpoint(tuned: Path, tmp_path: Path):
    fixed = answers(tuned, GraphRequest(policy="fixed", max_depth=2))
    assert all(set(trace["depths"]) == {3} for _, trace in fixed.values())
    copy = Path(shutil.copytree(tuned, tmp_path / "calibrated"))
    found = GraphFile(weights_digest(copy), (*LAYERS, 4), thresholds={0.01: {1: 0.0, 3: 0.0}})
    found.save(copy)
    early = answers(copy, GraphRequest(policy="confidence"))
    assert min(min(trace["depths"]) for _, trace in early.values()) == 1
    # Other heads: the calibration is for these no longer.
    save_addon(copy / EXITS, backbone_digest(copy), {depth: head(128) for depth in LAYERS}, {})
    assert load_graph_file(copy) is None


def test_an_addon_that_does_not_fit_is_refused(tuned: Path, tmp_path: Path):
    other = make_tiny_checkpoint(tmp_path / "other", seed=2)
    with pytest.raises(CheckpointError, match="other weights"):
        load_engine(other, EngineConfig(exits=str(tuned / EXITS)))
    with pytest.raises(ConfigError, match="there is no file"):
        load_engine(tuned, EngineConfig(exits=str(tmp_path / "nothing.safetensors")))
    with pytest.raises(CheckpointError, match="no exit heads"):
        load_engine(tuned, EngineConfig(exits=str(tuned / "model.safetensors")))
    (other / "graph").mkdir()
    (other / EXITS).write_bytes((tuned / EXITS).read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="can't be read"):
        load_engine(other)
    digest = backbone_digest(other)
    for layers, size, match in ((LAYERS, 64, "hidden size"), ((2, 4), 128, "strictly between")):
        save_addon(other / EXITS, digest, {depth: head(size) for depth in layers}, {})
        with pytest.raises(CheckpointError, match=match):
            load_engine(other)
    save_addon(other / EXITS, digest, {depth: {**head(128), "up.weight": torch.ones(128, 3)} for depth in LAYERS}, {})
    with pytest.raises(CheckpointError, match="shape"):
        load_engine(other)
    assert load_engine(other, EngineConfig(exits="none")).runner.layout.exits == frozenset()  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="among the model's own weights"):
        tune(other, other / "exits.safetensors", TuneConfig(), say=silent)


@pytest.mark.skipif(not registry.is_available("identity"), reason="needs the extra 'train'")
def test_calibrating_and_showing_a_glm4v_folder(tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exit_records, "MAX_TOKENS", 24)
    options = ("--model", str(tuned), "--out", str(tmp_path), "--categories", "identity,scene_count", "--count", "2")
    result = CliRunner().invoke(app, ["calibrate", *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "fixed at  3 layers" in result.output
    written = json.loads((tmp_path / "graph.json").read_text())
    assert written["depths"] == [1, 3, 4]
    assert written["model"] == weights_digest(tuned) != weights_digest(tuned, "none") == backbone_digest(tuned)
    record = json.loads((tmp_path / "records.jsonl").read_text().splitlines()[-1])
    assert record["images"] == 1
    assert len(record["confidence"]["1"]) == record["tokens"]["4"]
    with pytest.raises(ConfigError, match="no exit heads"):
        CliRunner().invoke(app, ["calibrate", *options, "--exits", "none", "--out", str(tmp_path / "n")],
                           catch_exceptions=False)  # fmt: skip
    shown = CliRunner().invoke(app, ["show", "--model", str(tuned)], catch_exceptions=False).output
    assert "after layers (1, 3), rank 16" in shown


def test_the_command_tunes_the_native_family_anew(tmp_path: Path):
    out = tmp_path / "mini.safetensors"
    options = ("--model", "mini", "--out", str(out), "--data", str(talks(tmp_path / "t.jsonl", 4)), "--layers", "4,20")
    result = CliRunner().invoke(
        app, ["tune", *options, "--steps", "2", "--samples", "4", "--batch", "2", "--max-answer", "4"],
        catch_exceptions=False,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "held out, after:  20 layers" in result.output
    spec = read_spec(locate("mini"), str(out))
    assert spec.segments == ((0, 4), (4, 20), (20, 24))
    assert read_addon(out).rank == 64
    assert read_spec(locate("mini")).segments[0] == (0, 6)
    with pytest.raises(ConfigError, match="whole numbers"):
        CliRunner().invoke(app, ["tune", *options, "--layers", "x"], catch_exceptions=False)


def test_heads_learn_on_packed_weights_too(folder: Path, config: TuneConfig, tmp_path: Path):
    packed = write_quantized(folder, tmp_path / "packed", Widths(4, 3, symmetric=True))
    shutil.rmtree(packed / "graph", ignore_errors=True)  # heads for the plain weights
    made = tune(packed, packed / EXITS, replace(config, own=False), say=silent)
    assert all(made.after[depth]["kl"] < 0.9 * made.before[depth]["kl"] for depth in LAYERS)
    assert load_engine(packed).runner.layout.exits == set(LAYERS)  # type: ignore[attr-defined]
    with pytest.raises(CheckpointError, match="other weights"):
        load_engine(folder, EngineConfig(exits=str(packed / EXITS)))


def test_generated_text_of_a_glm4v_model_is_heard(folder: Path):
    tokenizer = CheckpointUnderTest(folder).tokenizer
    hear = listen(folder)

    def said(text: str) -> tuple[str, str, int]:
        heard = hear(tokenizer(text, add_special_tokens=False).input_ids)
        return heard.thought, heard.answer, heard.thought_tokens

    assert said("a b</think><answer>c</answer>") == ("a b", "c", 3)
    assert said("<think>a</think>c") == ("a", "c", 2)
    assert said("<answer>c") == ("", "c", 0)
    assert said("still thinking") == ("still thinking", "", 0)
