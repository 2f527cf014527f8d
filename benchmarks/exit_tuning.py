"""Exits for a checkpoint that has none: a tiny GLM-4.1V-shaped model, trained here, gets its exit heads.

    python benchmarks/exit_tuning.py [--out runs/exit_tuning] [--train-minutes 5] [--samples 240] [--steps 150]

1. trains transformers' own GLM-4.1V class (10 layers, hidden 128, a tower of 2 blocks, the mini's tokenizer and
   template) on the world's text and pictures for some minutes of CPU time, and saves it as a checkpoint;
2. `autoglm-phone exits tune` with the backbone frozen, and checks that no bit of it changed;
3. `autoglm-phone exits calibrate` and `exits probe` on held-out samples;
4. answers fresh prompts through the engine under each policy: same tokens as `full`, layers per token, CPU time.

--ablate instead of 3 and 4 tunes again with other losses, ranks and data, and compares agreement with full depth on the
same held-out conversations. What is already in --out is not made again. Times are
CPU time, since other processes share these cores.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import platform
import random
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import typer
from torch import Tensor
from transformers import Glm4vConfig, Glm4vForConditionalGeneration

from autoglm_phone.bench.world import messages
from autoglm_phone.compress import calibrate
from autoglm_phone.compress.calibrate import Calibration, Sample
from autoglm_phone.engine.request import SamplingParams
from autoglm_phone.graph.cli import app
from autoglm_phone.llm import LLM
from autoglm_phone.models.glm4v.processing import pixel_values
from autoglm_phone.models.glm4v.reference import tiny_config, write_preprocessor
from autoglm_phone.models.registry import locate
from autoglm_phone.runner.spec import read_spec
from autoglm_phone.train import exit_records
from autoglm_phone.train.encode import ID
from autoglm_phone.train.exit_heads import Losses
from autoglm_phone.train.exit_tuning import TuneConfig, Tuning
from autoglm_phone.train.muon import MuonAdam, OptimConfig
from autoglm_phone.train.world import registry

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json")
MIX = {"text": 0.7, "picture": 0.3}
IMAGE_TOKENS = 48
EXITS = "2,5,8"
FRESH = (
    "identity",
    "smalltalk",
    "oos",
    "units",
    "translate",
    "arith",
    "price",
    "scene_count",
    "scene_caption",
    "screen",
)


def make_config() -> Glm4vConfig:
    """Ten layers of the tiny shape, with the mini's tokens. It has no video: these ids are never written."""
    video = {"<|video|>": 8191, "<|begin_of_video|>": 8190, "<|end_of_video|>": 8189}
    text = {
        "intermediate_size": 320,
        "num_hidden_layers": 10,
        "tie_word_embeddings": True,
        "pad_token_id": ID["<|pad|>"],
    }
    return tiny_config(
        {**ID, **video}.__getitem__,
        8192,
        text_config=text,
        vision_config={"intermediate_size": 192, "image_size": 168},
        tie_word_embeddings=True,
    )


def copy_tokenizer(folder: Path) -> None:
    """The mini's, with its template and the tokens that end an answer."""
    for name in TOKENIZER:
        shutil.copy(locate("mini") / name, folder / name)


def new_checkpoint(folder: Path, seed: int) -> Glm4vForConditionalGeneration:
    """An untrained model folder."""
    torch.manual_seed(seed)
    model = Glm4vForConditionalGeneration(make_config()).float()
    # transformers starts the four norms of a layer at one; small outputs first let ten layers learn within minutes.
    for layer in model.model.language_model.layers:
        for norm in (layer.post_self_attn_layernorm, layer.post_mlp_layernorm):
            torch.nn.init.constant_(norm.weight, 0.3)
    model.save_pretrained(folder)
    copy_tokenizer(folder)
    write_preprocessor(folder, IMAGE_TOKENS)
    return model


def batches(samples: Sequence[Sample], tokens: int, rng: random.Random) -> list[list[Sample]]:
    """Samples of like length together, about so many tokens each."""
    groups: list[list[Sample]] = []
    for sample in sorted(samples, key=lambda s: (len(s.ids), rng.random())):
        if not groups or (len(groups[-1]) + 1) * len(sample.ids) > tokens:
            groups.append([])
        groups[-1].append(sample)
    rng.shuffle(groups)
    return groups


def loss_of(model: Glm4vForConditionalGeneration, batch: list[Sample]) -> tuple[Tensor, float]:
    """(mean loss over the replies' tokens, share of them that are right)."""
    longest = max(len(s.ids) for s in batch)
    ids = torch.full((len(batch), longest), ID["<|pad|>"])
    mask = torch.zeros_like(ids)
    rows, targets = [], []
    for row, sample in enumerate(batch):
        ids[row, : len(sample.ids)] = torch.tensor(sample.ids)
        mask[row, : len(sample.ids)] = 1
        rows += [row * longest + at - 1 for at in sample.answer_positions]
        targets += [sample.ids[at] for at in sample.answer_positions]
    media = [item.data for sample in batch for item in sample.media]
    extra = {}
    if media:
        extra = {
            "pixel_values": torch.from_numpy(np.concatenate([pixel_values(data) for data in media])),
            "image_grid_thw": torch.from_numpy(np.stack([data["grid_thw"] for data in media])),
            "mm_token_type_ids": (ids == ID["<|image|>"]).int(),
        }
    states = model.model(input_ids=ids, attention_mask=mask, use_cache=False, **extra).last_hidden_state
    logits = model.lm_head(states.flatten(0, 1)[torch.tensor(rows)])
    wanted = torch.tensor(targets)
    return F.cross_entropy(logits, wanted), float((logits.argmax(-1) == wanted).float().mean())


def train(folder: Path, minutes: float, count: int, seed: int) -> None:
    """Train from nothing and save into the folder."""
    part = folder.with_name(folder.name + ".part")
    model = new_checkpoint(part, seed)
    began = time.process_time()
    drawn = calibrate.load(part, Calibration(count, 256, MIX, seed=seed))
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters; drew {len(drawn)} conversations in "
          f"{time.process_time() - began:.0f} s", flush=True)  # fmt: skip
    optimizer = MuonAdam(
        [(n, p) for n, p in model.named_parameters() if p.requires_grad], OptimConfig(muon_lr=0.02, adam_lr=3e-3)
    )
    rng, budget, began, step, shown = random.Random(seed), 60 * minutes, time.process_time(), 0, 0.0
    model.train()
    while (spent := time.process_time() - began) < budget:
        for batch in batches(drawn, 1536, rng):
            spent = time.process_time() - began
            if spent >= budget:
                break
            loss, right = loss_of(model, batch)
            model.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            left = 1 - spent / budget
            optimizer.step(min(1.0, (step + 1) / 20, left / 0.5 + 0.02))
            step += 1
            if spent - shown > 20:
                shown = spent
                print(
                    f"step {step}, {spent:.0f} of {budget:.0f} s, loss {float(loss):.3f}, right {right:.2f}", flush=True
                )
    model.eval().save_pretrained(part)
    copy_tokenizer(part)  # transformers has just written its own idea of how answers end
    part.replace(folder)


def bits(folder: Path) -> str:
    """SHA-256 of every file of the backbone."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.is_file() and p.name != "graph.json"):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def command(*arguments: str) -> None:
    """A sub-command of `autoglm-phone exits`, in this process."""
    print(f"$ autoglm-phone exits {' '.join(arguments)}", flush=True)
    began = time.process_time()
    typer.main.get_command(app)(list(arguments), standalone_mode=False)
    print(f"({time.process_time() - began:.0f} s of CPU time)", flush=True)


def ablate(folder: Path, out: Path, base: TuneConfig) -> None:
    """What full depth itself says is the measure, on conversations that were held out; steps and data are equal."""
    cases = {
        "KL": base,
        "CE alone": replace(base, losses=Losses(ce=1.0, kl=0.0)),
        "CE + KL": replace(base, losses=Losses(ce=1.0, kl=1.0)),
        "KL, lr 1e-3": replace(base, lr=1e-3),
        "KL, lr 3e-3": replace(base, lr=3e-3),
        "KL, norm alone": replace(base, rank=1),
        "KL, rank 8": replace(base, rank=8),
        "KL, rank 128": replace(base, rank=128),
        "KL, learned from given replies": base,
    }
    spec, given = read_spec(folder, "none"), calibrate.load(folder, base.calibration())
    first: Tuning | None = None
    for name, config in cases.items():
        began = time.process_time()
        run = Tuning(folder, out / "ablation.safetensors", spec, replace(config, own=first is None),
                     given if first is None else first.samples, silent)  # fmt: skip
        if first is None:
            first = run
        run.kept = first.kept  # the states are the same
        if name.endswith("given replies"):
            run.samples = list(run.samples)
            for index in run.learned:
                run.samples[index] = given[index]
            run.kept = {index: kept for index, kept in first.kept.items() if index in run.held}
        if name.endswith("norm alone"):
            for head in run.heads.values():
                head.up.weight.requires_grad_(False)
        before = run.measure() if run is first else {}
        for depth in config.layers if before else ():
            print(f"  before: {depth} layers, agreement {before[depth]['agrees']:.3f}, KL {before[depth]['kl']:.3f}")
        while run.done < config.steps:
            run.step()
        shown = "  ".join(
            f"{d}: {r['agrees']:.3f}/{r['kl']:.3f}" for d, r in run.measure().items() if d in config.layers
        )
        print(f"  {name:32s} agreement/KL by exit  {shown}  ({time.process_time() - began:.0f} s)", flush=True)


def silent(line: str) -> None: ...


def passed(traces: Sequence[Mapping[str, Any]]) -> float:
    """Layers passed one after another for a token of `lossless`: each draft, and the token before them, goes through
    the first segment by itself, then all of them through the rest together."""
    layers = tokens = 0
    for trace in traces:
        first, last = trace["layers"][0], trace["layers"][-1]
        for made, drafts, _ in trace["drafts"]:
            layers += (drafts + 1) * first + last - first
            tokens += made
    return layers / max(1, tokens)


def serve(folder: Path, count: int, risk: float, max_tokens: int) -> None:
    """Fresh test prompts under each policy, one at a time."""
    samples = [registry.generate(c, "test", i) for c in FRESH for i in range(count)]
    talks = [messages(sample) for sample in samples]
    llm = LLM(str(folder), max_num_seqs=1, enable_prefix_caching=False, threads=1, exit_risk=risk)
    params = SamplingParams(temperature=0.0, max_tokens=max_tokens)
    layers = [int(depth) for depth in EXITS.split(",")]
    wishes = {"full": {"policy": "full"}, "lossless": {"policy": "lossless"}, "confidence": {"policy": "confidence"}}
    wishes |= {f"fixed {depth}": {"policy": "fixed", "max_depth": depth} for depth in layers}
    whole: list[tuple[int, ...]] = []
    seconds = 0.0
    for name, graph in wishes.items():
        try:
            llm.chat(talks[:2], params, graph=graph)  # warm
        except Exception as error:
            print(f"  {name:12s} not available: {error}")
            continue
        start = time.process_time()
        outputs = [llm.chat([talk], params, graph=graph, return_graph=True)[0].outputs[0] for talk in talks]
        spent = time.process_time() - start
        tokens = [o.token_ids for o in outputs]
        if name == "full":
            whole, seconds = tokens, spent
        depths = [d for o in outputs for d in (o.graph or {}).get("depths", [])]
        drafted = sum((o.graph or {}).get("drafted", 0) for o in outputs)
        accepted = sum((o.graph or {}).get("accepted", 0) for o in outputs)
        same = sum(a == b for a, b in zip(tokens, whole, strict=True))
        alike = [
            sum(x == y for x, y in zip(a, b, strict=False)) / max(len(a), len(b), 1)
            for a, b in zip(tokens, whole, strict=True)
        ]
        drafts = f", drafts accepted {accepted / drafted:.3f} of {drafted}" if drafted else ""
        if drafted:
            drafts += f", {passed([o.graph for o in outputs if o.graph]):.2f} layers' weights read a token"
        print(
            f"  {name:12s} same answers {same}/{len(talks)}, tokens alike {sum(alike) / len(alike):.3f}, read after "
            f"{sum(depths) / max(1, len(depths)):.2f} layers a token, {sum(map(len, tokens))} tokens, CPU time "
            f"{spent:.1f} s ({spent / seconds:.2f} of full){drafts}",
            flush=True,
        )
        if name == "lossless" and same != len(talks):
            raise SystemExit("lossless changed an answer")
    llm.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/exit_tuning"))
    parser.add_argument("--train-minutes", type=float, default=5.0)
    parser.add_argument("--train-samples", type=int, default=2400)
    parser.add_argument("--samples", type=int, default=240, help="conversations to tune on")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--records", type=int, default=8, help="samples a category to calibrate on")
    parser.add_argument("--fresh", type=int, default=3, help="prompts a category to answer")
    parser.add_argument("--max-tokens", type=int, default=48, help="longest answer: a model this young seldom ends")
    parser.add_argument("--risk", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ablate", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    folder = args.out / "model"
    args.out.mkdir(parents=True, exist_ok=True)
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, 1 thread, seed {args.seed}", flush=True
    )
    if not (folder / "model.safetensors").exists():
        train(folder, args.train_minutes, args.train_samples, args.seed)
    before, addon = bits(folder), folder / "graph" / "exits.safetensors"
    if not addon.exists():
        command("tune", "--model", str(folder), "--out", str(addon), "--layers", EXITS, "--steps", str(args.steps),
                "--samples", str(args.samples), "--max-answer", str(args.max_tokens),
                "--seed", str(args.seed))  # fmt: skip
    if args.ablate:
        print(f"losses, ranks and data after {args.steps} steps:", flush=True)
        layers = tuple(int(depth) for depth in EXITS.split(","))
        ablate(
            folder,
            args.out,
            TuneConfig(
                layers=layers,
                rank=32,
                steps=args.steps,
                samples=args.samples,
                max_answer=args.max_tokens,
                seed=args.seed,
            ),
        )
        return
    exit_records.MAX_TOKENS = args.max_tokens
    options = ("--model", str(folder), "--out", str(args.out / "exits"), "--count", str(args.records), "--install",
               "--categories", ",".join(FRESH), "--risks", f"{args.risk / 2},{args.risk},{2 * args.risk}")  # fmt: skip
    command("calibrate", *options)
    command("probe", *options)
    print(f"backbone unchanged: {bits(folder) == before}")
    print(f"fresh test prompts, risk {args.risk}, one at a time:")
    serve(folder, args.fresh, args.risk, args.max_tokens)
    if bits(folder) != before or math.isnan(args.risk):
        raise SystemExit("the backbone changed")


if __name__ == "__main__":
    main()
