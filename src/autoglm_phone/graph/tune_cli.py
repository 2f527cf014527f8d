"""`autoglm-phone exits tune`: exit heads for a checkpoint whose weights stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def tune(
    model: Annotated[str, typer.Option(help="model folder of either family, quantized or plain, or a bundled name")],
    out: Annotated[
        Path,
        typer.Option(help="file for the heads; the engine finds it by itself at graph/exits.safetensors of the model"),
    ],
    layers: Annotated[
        str, typer.Option(help="comma-separated: exits after these layers; default: where the engine cuts the decoder")
    ] = "",
    rank: Annotated[int | None, typer.Option(help="of the adapters; default: hidden size / 4")] = None,
    steps: Annotated[int, typer.Option(help="updates")] = 400,
    minutes: Annotated[float | None, typer.Option(help="as many steps as fit, instead of --steps")] = None,
    batch: Annotated[int, typer.Option(help="conversations a step")] = 8,
    samples: Annotated[int, typer.Option(help="conversations to draw; an eighth is held out")] = 512,
    data: Annotated[str, typer.Option(help="world, or a JSONL file of conversations")] = "world",
    answers: Annotated[
        str, typer.Option(help="own: the model answers the prompts itself first; given: the conversations' replies")
    ] = "own",
    max_answer: Annotated[int, typer.Option(help="tokens of an own answer")] = 256,
    max_tokens: Annotated[int, typer.Option(help="longer conversations lose their middle")] = 1024,
    kl: Annotated[float, typer.Option(help="weight of the divergence from full depth")] = 1.0,
    ce: Annotated[float, typer.Option(help="weight of the token that follows")] = 0.0,
    lr: Annotated[float, typer.Option(help="highest learning rate; wide matrices get less")] = 1e-2,
    chunk: Annotated[int, typer.Option(help="tokens whose logits exist at once")] = 128,
    cache_mb: Annotated[int, typer.Option(help="MiB of boundary states to keep between epochs")] = 4096,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    dtype: Annotated[str, typer.Option(help="of the frozen backbone; auto: as it is served")] = "auto",
    workers: Annotated[int, typer.Option(help="processes that draw samples of the world")] = 1,
    seed: Annotated[int, typer.Option(help="of the adapters' start and of the order")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="go on where a stopped run was")] = False,
    probe: Annotated[
        int,
        typer.Option(
            help="then calibrate the exits and train the probe on so many samples of the world a category, into a "
            "folder named as --out; 0: leave that to `exits calibrate` and `exits probe`"
        ),
    ] = 0,
) -> None:
    """Train exit heads with the backbone frozen."""
    from autoglm_phone.errors import ConfigError
    from autoglm_phone.graph import cli
    from autoglm_phone.graph.graph_file import EXITS
    from autoglm_phone.models.registry import locate
    from autoglm_phone.train.exit_heads import Losses
    from autoglm_phone.train.exit_tuning import TuneConfig
    from autoglm_phone.train.exit_tuning import tune as run

    if answers not in ("own", "given"):
        raise ConfigError(f"--answers {answers!r} is unknown; use own or given", param="answers")
    config = TuneConfig(
        layers=_layers(layers),
        rank=rank,
        steps=steps,
        minutes=minutes,
        batch=batch,
        samples=samples,
        path=None if data == "world" else Path(data),
        own=answers == "own",
        max_tokens=max_tokens,
        max_answer=max_answer,
        losses=Losses(ce, kl),
        lr=lr,
        chunk=chunk,
        cache=cache_mb << 20,
        device=device,
        dtype=dtype,
        workers=workers,
        seed=seed,
    )
    made = run(model, out, config, resume=resume, say=typer.echo)
    typer.echo(f"wrote {out}: {made.steps} steps, {made.seconds:.0f} s, {out.stat().st_size / 1024:.0f} KiB")
    if probe > 0:
        beside = out.resolve() == locate(model) / EXITS
        for command in (cli.calibrate, cli.probe):
            command(model, out.with_suffix(""), probe, workers=workers, seed=seed, exits=str(out), install=beside)


def _layers(text: str) -> tuple[int, ...]:
    """Raises ConfigError unless these are whole numbers."""
    from autoglm_phone.errors import ConfigError

    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise ConfigError(f"--layers {text!r}: give whole numbers, separated by commas", param="layers") from None
