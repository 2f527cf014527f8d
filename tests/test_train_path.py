"""The training path on a toy world: batches, losses, resuming, bundling. Small enough for a CPU in seconds."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from autoglm_phone.models.native import modeling  # noqa: F401  (registers the Auto classes)
from autoglm_phone.models.native.mel import log_mel
from autoglm_phone.train import stream as stream_module
from autoglm_phone.train.bundle import write_model
from autoglm_phone.train.encode import ID, IGNORE, Encoder
from autoglm_phone.train.mixture import BatchSizes
from autoglm_phone.train.muon import orthogonalize
from autoglm_phone.train.objective import batched_log_mel
from autoglm_phone.train.state import load_run
from autoglm_phone.train.tokenizer import save_tokenizer, train_tokenizer
from autoglm_phone.train.trainer import TrainConfig, Trainer, schedule
from autoglm_phone.train.world.sample import Clip, Glyph, Picture, Region, Sample, Turn

TEXTS = ['打开蓝牙 please open 12+34=46 do(action="Tap", element=[512,304])\n', "答案是 42。 The answer is 42."] * 50


def toy_sample(category: str, split: str, index: int, seed: int = 0) -> Sample:
    rng = np.random.default_rng(index)
    pictures: tuple[Picture, ...] = ()
    clips: tuple[Clip, ...] = ()
    marks = ""
    alternatives: tuple[tuple[Turn, ...], ...] = ()
    kind = next(k for k, table in stream_module.KINDS.items() if category in table)
    if kind in ("image", "joint"):
        height, width = 16 * int(rng.integers(3, 9)), 16 * int(rng.integers(3, 9))
        pictures = (
            Picture(
                rng.integers(0, 255, (height, width, 3), dtype=np.uint8),
                (Glyph("打", 1, 1, 9, 9),),
                (Region("打开", 1, 1, 30, 9),),
            ),
        )
        marks += "<image>"
        alternatives = ((Turn("user", "<image>open?"), Turn("assistant", "12")),)
    if kind in ("audio", "joint"):
        clips = (Clip((0.1 * rng.standard_normal(8000)).astype(np.float32), "打开", "zh"),)
        marks += "<audio>"
    turns = (Turn("user", marks + "打开蓝牙 please"), Turn("assistant", f"答案是 {index}。", "12+34=46\n"))
    return Sample(category, split, index, "zh", 0, turns, {"kind": "exact", "value": str(index)}, pictures, clips,
                  alternatives=alternatives)  # fmt: skip


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    monkeypatch.setattr(stream_module.registry, "generate", toy_sample)
    folder = tmp_path / "prepared"
    save_tokenizer(train_tokenizer(TEXTS, 400), folder)
    (folder / "ctc_vocab.txt").write_text("打开\n")
    (folder / "glyph_vocab.json").write_text(json.dumps({"打": 1}))
    return folder


TINY = {
    "hidden_size": 64, "head_dim": 16, "intermediate_size": 96, "exit_rank": 4, "num_hidden_layers": 8,
    "exit_layers": (2, 4, 6), "cross_attention_layers": (1, 3, 5), "vocab_size": 400,
    "vision_config": {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 64, "stem_channels": [8, 16, 32]},
    "audio_config": {
        "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 64, "stem_channels": 64, "ctc_vocab": "打开"
    },
}  # fmt: skip


def tiny_config(prepared, out, **fields) -> TrainConfig:
    return TrainConfig(
        prepared=prepared, out=out, workers=0, compile=False, log_every=1, sizes=BatchSizes(512, 2, 2, 3, 2), minutes=9,
        warmup_steps=2, overrides=TINY, **fields,
    )  # fmt: skip


def test_tokenizer_round_trips_any_text_and_splits_digits(prepared):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(prepared / "tokenizer.json"))
    for text in ("héllo 你好 🌍\n\t x", "\u0000\u2028", "𠮷野家 12345.67"):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert [tokenizer.decode([i]) for i in tokenizer.encode("120").ids] == ["1", "2", "0"]


def test_labels_cover_exactly_what_the_assistant_says(prepared):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(prepared / "tokenizer.json"))
    row = Encoder(tokenizer, no_think=0.0).row(toy_sample("arith", "train", 7).turns, random.Random(0))
    said = [i for i in row.labels if i != IGNORE]
    assert said[-1] == ID["</answer>"]
    assert tokenizer.decode(said, skip_special_tokens=False) == "12+34=46\n</think><answer>答案是 7。</answer>"


def test_batched_mel_on_padding_equals_the_numpy_one():
    rng = np.random.default_rng(0)
    waves = [(0.1 * rng.standard_normal(n)).astype(np.float32) for n in (8000, 4800)]
    padded = np.zeros((2, 8000), np.float32)
    for i, w in enumerate(waves):
        padded[i, : len(w)] = w
    mel, counts = batched_log_mel(torch.from_numpy(padded), torch.tensor([8000, 4800]), 80)
    for i, w in enumerate(waves):
        own = log_mel(w)
        assert own.shape[1] == counts[i]
        # The last frames differ: the batch pads with silence where the single clip is mirrored.
        assert np.abs(mel[i, :, : own.shape[1] - 2].numpy() - own[:, :-2]).max() < 2e-3


def test_orthogonalize_brings_singular_values_near_one():
    stack = torch.randn(3, 32, 48)
    values = torch.linalg.svdvals(orthogonalize(stack).float())
    assert values.min() > 0.5
    assert values.max() < 1.5


def test_schedule_warms_up_holds_and_decays():
    config = TrainConfig(warmup_steps=10)
    assert schedule(0.1, 0, config) == pytest.approx(0.1)
    assert schedule(0.3, 100, config) == 1.0
    assert schedule(1.0, 100, config) == pytest.approx(config.floor)


def test_a_run_trains_stops_resumes_and_bundles(prepared, tmp_path):
    torch.set_num_threads(2)
    out = tmp_path / "run"
    first = Trainer(tiny_config(prepared, out, call_steps=4)).run()
    assert first.step == 4
    weights, _, progress = load_run(out)
    assert progress.step == first.step
    second = Trainer(tiny_config(prepared, out, call_steps=2, resume=True))
    assert torch.equal(second.objective.model.model.norm.weight.cpu(), weights["model.model.norm.weight"])
    assert second.run().step == 6

    weights, _, _ = load_run(out)
    own = {k.removeprefix("model."): v for k, v in weights.items() if k.startswith("model.")}
    own = {k: v.bfloat16() for k, v in own.items() if "lm_head" not in k}
    paths = write_model(own, prepared, tmp_path / "model", "mini", TINY)
    assert all(p.stat().st_size <= 15 * 2**20 for p in paths)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    assert torch.equal(loaded.model.norm.weight, own["model.norm.weight"].float())
    assert loaded.lm_head.weight.data_ptr() == loaded.model.embed_tokens.weight.data_ptr()


def test_feeder_never_starves_one_kind_while_another_overflows():
    import time

    from autoglm_phone.train.batches import Batch
    from autoglm_phone.train.feeder import FRESH_LIMIT, Feeder

    def stream():
        for _ in range(4 * FRESH_LIMIT):
            yield Batch("text", torch.zeros(1, 2, dtype=torch.long), torch.zeros(1, 2, dtype=torch.long), ["a"])
        yield Batch("joint", torch.zeros(1, 2, dtype=torch.long), torch.zeros(1, 2, dtype=torch.long), ["b"])
        while True:
            time.sleep(0.01)
            yield Batch("text", torch.zeros(1, 2, dtype=torch.long), torch.zeros(1, 2, dtype=torch.long), ["a"])

    feeder = Feeder(stream(), torch.device("cpu"), ("text", "joint"), capacity={"text": 4, "joint": 4},
                    reuse={"text": 1.0, "joint": 2.0}, seed=0)  # fmt: skip
    assert feeder.next("joint", patience=10.0)[0].kind == "joint"
    assert feeder.next("joint", patience=10.0)[0].kind == "joint"  # a repeat
    feeder.stop()


def test_staging_keeps_every_tensor_and_grows():
    from autoglm_phone.train.batches import Batch
    from autoglm_phone.train.feeder import Staging

    staging = Staging(pinned=False)
    for size in (3, 40):
        ids = torch.arange(2 * size).reshape(2, size)
        batch = Batch("audio", ids, ids, ["a"], wave=torch.randn(3, 7 * size), frames=[1, 2], tokens=9)
        staged = staging.through(batch)
        assert (staged.frames, staged.categories, staged.tokens) == ([1, 2], ["a"], batch.tokens)
        for (name, want), (_, got) in zip(batch.tensors(), staged.tensors(), strict=True):
            assert torch.equal(want, got), name
            inside = got.data_ptr() - staging.memory.data_ptr()
            assert 0 <= inside < len(staging.memory), name


def _mortal(lane: int, lives: int):
    import os

    from autoglm_phone.train.batches import Batch

    ids = torch.full((1, 2), 10 * lane + lives)
    yield Batch("text", ids, ids, ["a"])
    if lane == 0 and lives == 0:
        os.kill(os.getpid(), 9)
    while True:
        yield Batch("text", ids, ids, ["a"])


def test_a_worker_that_crashes_is_replaced():
    from autoglm_phone.train.crew import Crew

    crew = Crew(_mortal, 2)
    seen = set()
    for count, batch in enumerate(crew):
        seen.add(int(batch.ids[0, 0]))
        if 1 in seen or count > 5000:
            break
    crew.close()
    assert 1 in seen  # lane 0 in its second life
    assert crew.deaths == 1


@torch.no_grad()
@pytest.mark.parametrize(
    ("kind", "blank_range"), [("image", 0), ("image", 8), ("audio", 0), ("joint", 0), ("joint", 8)]
)
def test_batches_give_the_loss_of_the_reference_forward(prepared, kind, blank_range):
    from autoglm_phone.models.native.configuration import preset
    from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration
    from autoglm_phone.train.objective import Objective
    from autoglm_phone.train.stream import WorldStream

    torch.manual_seed(0)
    config = preset("mini", **TINY)
    config.vision_config.blank_range = blank_range
    model = AutoGLMPhoneForConditionalGeneration(config).eval()
    for layer in model.model.layers:
        if layer.cross_attn is not None:
            torch.nn.init.constant_(layer.cross_attn.gate, 0.8)
    objective = Objective(model, 1).eval()
    sizes = BatchSizes(512, 3, 2, 3, 3)
    stream = WorldStream(
        (prepared / "tokenizer.json").read_text(), "打开", {"打": 1}, 1120, sizes, seed=0, kinds=(kind,)
    )
    batch = next(iter(stream(0)))
    losses = objective(batch, None, augment=False)

    per = len(batch.ids) // len(batch.categories)
    total, count = 0.0, 0
    for row in range(len(batch.ids)):
        media = {}
        if batch.pixels is not None:
            high, wide = batch.grids[row // per].tolist()
            media["pixel_values"] = batch.pixels[row // per][None, :, : 16 * high, : 16 * wide].float() / 127.5 - 1
        if batch.wave is not None:
            wave, length = batch.wave[row // per][None], batch.wave_lengths[row // per][None]
            mel, frames = batched_log_mel(wave, length, 80)
            media["input_features"] = mel[:, :, : int(frames)]
        logits = model(batch.ids[row : row + 1], **media).logits[0]
        chosen = batch.labels[row] != IGNORE
        total += float(torch.nn.functional.cross_entropy(logits[chosen], batch.labels[row][chosen], reduction="sum"))
        count += int(chosen.sum())
    assert abs(total / count - float(losses["text"])) < 1e-4


def _rank(rank: int, prepared, out, port: int) -> None:
    import os

    stream_module.registry.generate = toy_sample
    os.environ.update(
        RANK=str(rank), WORLD_SIZE="2", LOCAL_RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    torch.set_num_threads(1)
    trainer = Trainer(tiny_config(prepared, out / f"rank{rank}", call_steps=4, save_every=0.03))
    if rank == 1:  # a clock of its own must not make it save by itself
        from types import SimpleNamespace

        from autoglm_phone.train import trainer as module

        module.time = SimpleNamespace(monotonic=lambda: 1e6)
    trainer.run()
    from safetensors.torch import save_file

    save_file({n: p.detach().clone() for n, p in trainer.named}, out / f"rank{rank}.safetensors")
    torch.distributed.destroy_process_group()


def test_two_processes_see_different_data_and_keep_equal_weights(prepared, tmp_path):
    import socket

    import torch.multiprocessing as mp
    from safetensors.torch import load_file

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(_rank, args=(prepared, tmp_path, port), nprocs=2)
    one, two = (load_file(tmp_path / f"rank{r}.safetensors") for r in range(2))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_ranks_take_turns_so_that_every_step_holds_every_kind():
    from autoglm_phone.train.trainer import TrainConfig, due

    plan = TrainConfig().plan
    for step in range(8):
        assert {kind for rank in range(4) for kind in due(plan, step, rank)} == {"text", "image", "audio", "joint"}
    assert [due(("a", "b/2+1"), step) for step in range(3)] == [["a"], ["a", "b"], ["a"]]


def test_the_first_exit_is_trained_every_other_step():
    from autoglm_phone.train.trainer import trained_exit

    assert [trained_exit((6, 12, 18), step) for step in range(8)] == [6, 12, 6, 18, 6, 12, 6, 18]
    assert [trained_exit((4,), step) for step in range(2)] == [4, 4]


def test_a_patch_belongs_to_the_smallest_region_over_it():
    import random

    from autoglm_phone.train.views import View, find_regions

    regions = (Region("icon", 64, 16, 80, 32), Region("row", 0, 0, 160, 48), Region("", 0, 0, 160, 16),
               Region("dot", 100, 20, 101, 21))  # fmt: skip
    picture = Picture(np.zeros((48, 160, 3), np.uint8), (), regions)
    view = View(picture.pixels, np.zeros((0, 2), np.int64))
    for seed in range(8):
        found = {
            text: patches
            for text, _, _, patches in find_regions(
                picture, view, lambda t: [ord(c) for c in t], 9, random.Random(seed)
            ).regions
        }
        assert set(found) == {"icon", "row", "dot"}  # a region without a name is none
        assert found["icon"] == [10 + 4]
        assert found["dot"] == [10 + 6]
        assert not {14, 16} & set(found["row"])
        none = find_regions(picture, view, lambda t: [ord(c) for c in t], 0, random.Random(seed))
        assert none.regions == ()


def test_a_batch_survives_the_way_to_the_trainer(tmp_path):
    from autoglm_phone.train.batches import Batch
    from autoglm_phone.train.crew import pack, unpack

    ids = torch.arange(6).view(2, 3)
    batch = Batch("audio", ids, ids, ["asr", "asr"], wave=torch.rand(2, 5), glyphs=torch.zeros(0, 2, dtype=torch.long),
                  first=ids[:1, 0], frames=[3, 4], index=7)  # fmt: skip
    back = unpack(pack(batch, tmp_path / "batch"))
    assert not list(tmp_path.iterdir())
    assert vars(back).keys() == vars(batch).keys()
    for name, value in vars(batch).items():
        same = (
            torch.equal(getattr(back, name), value) if isinstance(value, torch.Tensor) else getattr(back, name) == value
        )
        assert same, name
