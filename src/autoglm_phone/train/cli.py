"""`autoglm-phone train …`: prepare, run, score, bundle."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoglm_phone.errors import CheckpointError, ConfigError
from autoglm_phone.train.adapters_cli import merge, qlora

if TYPE_CHECKING:
    from autoglm_phone.train.trainer import TrainConfig

app = typer.Typer(help="Train the native family on the world.", invoke_without_command=True, no_args_is_help=False)

Folder = Annotated[Path, typer.Option()]
_LEAST_TOKENS = 512  # 256 bytes, the special tokens, and something to merge


@app.callback()
def run(
    ctx: typer.Context,
    preset: Annotated[str, typer.Option(help="mini or pro")] = "mini",
    prepared: Folder = Path("runs/prepared"),
    out: Folder = Path("runs/mini"),
    minutes: Annotated[float, typer.Option(help="length of the whole schedule")] = 45.0,
    steps: Annotated[int | None, typer.Option(help="let the schedule run on steps, not on --minutes")] = None,
    call_seconds: Annotated[float, typer.Option(help="stop after this long, leaving a checkpoint")] = 1e9,
    resume: Annotated[bool, typer.Option(help="go on from the checkpoint in --out")] = False,
    init_from: Annotated[
        Path | None, typer.Option(help="new schedule from the weights of a run or model folder")
    ] = None,
    grow_from: Annotated[
        Path | None, typer.Option(help="new schedule from a narrower run or model folder, grown to --preset")
    ] = None,
    teacher: Annotated[Path | None, typer.Option(help="model folder or run to distil from")] = None,
    kl: Annotated[float, typer.Option(help="weight of the teacher's predictions")] = 1.0,
    hidden: Annotated[float, typer.Option(help="weight of the teacher's boundary states")] = 0.5,
    top_k: Annotated[int, typer.Option(help="the teacher's tokens that count one by one")] = 64,
    workers: Annotated[int, typer.Option(help="data processes per GPU; 0: the trainer draws")] = max(
        1, (os.cpu_count() or 2) - 1
    ),
    plan: Annotated[
        str, typer.Option(help="micro-batches of a step, comma-separated")
    ] = "image,text/2,audio/2+1,joint/4",
    warmup_steps: Annotated[int, typer.Option(help="steps over which the learning rate rises")] = 150,
    muon_lr: float = 0.015,
    adam_lr: float = 2e-3,
    decay_from: Annotated[float, typer.Option(help="fraction of the schedule where the decay begins")] = 0.55,
    floor: Annotated[float, typer.Option(help="last learning rate over the peak")] = 0.02,
    reuse: Annotated[float, typer.Option(help="mean uses of a rendered batch")] = 3.0,
    batch_scale: Annotated[float, typer.Option(help="size of the batches; 1 suits the mini on 140 GB")] = 1.0,
    repeatable: Annotated[bool, typer.Option(help="what a step reads follows from its number, not from time")] = False,
    compile: Annotated[bool, typer.Option(help="compile the blocks")] = True,
    lessons: Annotated[bool, typer.Option(help="learn what lies under patches; its heads are in runs alone")] = True,
    small: Annotated[bool, typer.Option(help="tiny batches, to try the path on a CPU")] = False,
) -> None:
    """Train (without a sub-command). `autoglm-phone train prepare` comes first; torchrun starts it on several GPUs."""
    if ctx.invoked_subcommand is not None:
        return
    from autoglm_phone.train.distill import DistillConfig
    from autoglm_phone.train.mixture import BatchSizes
    from autoglm_phone.train.muon import OptimConfig
    from autoglm_phone.train.trainer import TrainConfig, Trainer

    if not 0 < batch_scale < math.inf:
        raise ConfigError(f"--batch-scale must be above 0, not {batch_scale:g}", param="batch_scale")
    sizes = BatchSizes(2048, 2, 3, 4, 2) if small else BatchSizes().scaled(batch_scale)
    kinds = ("text", "image", "audio", "joint")
    config = TrainConfig(
        preset=preset, prepared=prepared, out=out, minutes=minutes, call_seconds=call_seconds, resume=resume,
        steps=steps, init_from=init_from, grow_from=grow_from, repeatable=repeatable, workers=workers,
        plan=tuple(plan.split(",")), compile=compile, warmup_steps=warmup_steps, decay_from=decay_from, floor=floor,
        teacher=teacher, distill=DistillConfig(kl, hidden, top_k),
        reuse={k: min(reuse, 1.5) if k == "text" else reuse for k in kinds},
        lessons=lessons, sizes=sizes, optim=OptimConfig(muon_lr=muon_lr, adam_lr=adam_lr), log_every=1 if small else 20,
    )  # fmt: skip
    _check_start(config)
    _ready(prepared)
    state = Trainer(config).run()
    typer.echo(f"step {state.step}, {state.elapsed:.0f} s, {state.tokens:,} tokens, {state.samples:,} samples → {out}")


def _check_start(config: TrainConfig) -> None:
    """Everything that a run starts from, looked at before minutes of preparing. Raises ConfigError, CheckpointError."""
    starts = {"--init-from": config.init_from, "--grow-from": config.grow_from}
    given = [flag for flag, folder in starts.items() if folder is not None]
    if config.resume and given:
        raise ConfigError(f"--resume goes on with the run's own weights; leave {given[0]} out", param="resume")
    if len(given) > 1:
        raise ConfigError("--init-from and --grow-from both say where to start; give one of them", param="grow_from")
    if config.resume and not (config.out / "progress.json").exists():
        raise CheckpointError(
            f"{config.out} holds no checkpoint to resume from; start without --resume", param="resume"
        )
    for flag, folder in (*starts.items(), ("--teacher", config.teacher)):
        if folder is not None and not (folder / "progress.json").exists() and not any(folder.glob("*.safetensors")):
            raise CheckpointError(f"{flag}: {folder} holds neither a training run nor a model's safetensors")
    if config.grow_from is not None:
        from autoglm_phone.models.native.configuration import preset
        from autoglm_phone.train.distill import config_of
        from autoglm_phone.train.grow import check_growth

        check_growth(config_of(config.grow_from, ""), preset(config.preset))


def _ready(prepared: Path) -> None:
    """Prepares the folder if nothing is in it yet."""
    from autoglm_phone.train.vocabularies import TOKENIZER, read_vocabularies

    if (prepared / TOKENIZER).exists():
        read_vocabularies(prepared)
        return
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # each process would write the same files
        raise ConfigError(
            f"{prepared} holds no tokenizer; run `autoglm-phone train prepare --out {prepared}` once before torchrun",
            param="prepared",
        )
    typer.echo(f"{prepared} holds no tokenizer; preparing it first (a few minutes)")
    from autoglm_phone.train.prepare import prepare as look_through

    look_through(prepared)


@app.command()
def prepare(
    out: Folder = Path("runs/prepared"),
    base: Annotated[Path | None, typer.Option(help="keep this folder's tokenizer and CTC characters")] = None,
    text_samples: int = 4000,
    media_samples: int = 400,
    vocab_size: int = 8192,
) -> None:
    """Look through the world once: tokenizer, CTC characters, glyph inventory."""
    from autoglm_phone.train.prepare import prepare as look_through
    from autoglm_phone.train.vocabularies import CTC, TOKENIZER, require

    for name, value in (("text-samples", text_samples), ("media-samples", media_samples)):
        if value < 1:
            raise ConfigError(f"--{name} must be at least 1, not {value}", param=name)
    if vocab_size < _LEAST_TOKENS:
        raise ConfigError(f"--vocab-size must be at least {_LEAST_TOKENS}, not {vocab_size}", param="vocab_size")
    if base is not None:
        require(base, (TOKENIZER, CTC))
    sizes = look_through(out, base=base, text_samples=text_samples, media_samples=media_samples, vocab_size=vocab_size)
    typer.echo(f"wrote {out}: {sizes}")


@app.command()
def score(
    run: Folder = Path("runs/mini"),
    prepared: Folder = Path("runs/prepared"),
    count: int = 100,
    categories: Annotated[str, typer.Option(help="comma-separated; empty = all")] = "",
    split: str = "test",
    workers: int = max(1, (os.cpu_count() or 2) - 1),
    out: Annotated[Path | None, typer.Option(help="folder for scores.json and the wrong answers")] = None,
) -> None:
    """Score a run (of any preset) or a model folder on held-out samples with the reference model."""
    import torch

    from autoglm_phone.train.distill import load_model
    from autoglm_phone.train.evaluate import evaluate
    from autoglm_phone.train.mixture import KINDS
    from autoglm_phone.train.vocabularies import read_vocabularies

    every = [c for table in KINDS.values() for c in table]
    names = categories.split(",") if categories else every
    if unknown := [name for name in names if name not in every]:
        raise ConfigError(f"unknown category {unknown[0]!r}; known are {', '.join(every)}", param="categories")
    if split not in ("train", "val", "test"):
        raise ConfigError(f"--split {split!r} is unknown; use train, val or test", param="split")
    for flag, value in (("count", count), ("workers", workers)):
        if value < 1:
            raise ConfigError(f"--{flag} must be at least 1, not {value}", param=flag)
    vocabularies = read_vocabularies(prepared)
    model = load_model(run, vocabularies.ctc)
    if torch.cuda.is_available():
        model.to(torch.device("cuda"))  # type: ignore[arg-type]
    typer.echo(f"{run}: {count} {split} samples a category")
    table = evaluate(
        model, vocabularies.tokenizer_json, names, count=count, split=split, workers=workers,  # type: ignore[arg-type]
        dump=None if out is None else out / "wrong.txt",
    )  # fmt: skip
    if out is not None:
        (out / "scores.json").write_text(json.dumps({name: vars(row) for name, row in table.items()}, indent=1))


@app.command("bundle")
def bundle_command(
    run: Folder = Path("runs/mini"), prepared: Folder = Path("runs/prepared"), out: Folder = Path("runs/bundle")
) -> None:
    """Write the model folder of a finished run (of any preset): bf16 shards of at most 15 MiB, configs, tokenizer."""
    from autoglm_phone.train.bundle import bundle, preset_of
    from autoglm_phone.train.vocabularies import require

    require(prepared)
    for path in bundle(run, prepared, out, preset_of(run)):
        typer.echo(f"wrote {path} ({path.stat().st_size / 2**20:.1f} MiB)")


app.command("qlora")(qlora)
app.command("merge")(merge)


if __name__ == "__main__":
    from autoglm_phone.cli import one_line

    one_line(lambda: typer.main.get_command(app)(prog_name="autoglm-phone train", standalone_mode=False))
