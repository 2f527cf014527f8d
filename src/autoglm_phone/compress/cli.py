"""`autoglm-phone compress …`: make a checkpoint small, look at what that cost, export it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Make a checkpoint small.", invoke_without_command=True, no_args_is_help=True)


@app.callback()
def compress(
    ctx: typer.Context,
    model: Annotated[str, typer.Option(help="model folder, or 'mini' for the bundled model")] = "mini",
    recipe: Annotated[Path | None, typer.Option(help="recipe file, such as recipes/int4.yaml")] = None,
    out: Annotated[Path | None, typer.Option(help="folder for the compressed model")] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="JSONL of conversations, instead of the recipe's samples")
    ] = None,
    samples: Annotated[int | None, typer.Option(help="calibration samples, instead of the recipe's number")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    shard_size: Annotated[str, typer.Option(help="largest weight file, such as 1GB or 15MB")] = "1GB",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only print the size by module")] = False,
) -> None:
    """Compress a model as a recipe says. An interrupted call goes on where it stopped when it is repeated."""
    if ctx.invoked_subcommand is not None:
        return
    from autoglm_phone.compress import pipeline
    from autoglm_phone.compress import recipe as recipes
    from autoglm_phone.compress.plan import table
    from autoglm_phone.errors import ConfigError

    if recipe is None:
        raise ConfigError("give a recipe: --recipe recipes/int4.yaml", param="recipe")
    shard_bytes = recipes.read_size(shard_size)
    if shard_bytes is None:
        raise ConfigError(f"--shard-size {shard_size!r} is no size; write it as 1GB or 15MB", param="shard_size")
    parsed = recipes.load(recipe)
    if samples is not None:
        parsed = parsed.calibrated(samples=samples)
    if calibration is not None:
        parsed = parsed.calibrated(path=calibration)
    if dry_run:
        opened = pipeline.open_model(model)
        plan = pipeline.plan_for(opened, parsed)
        _print_sizes(table(plan))
        budget = parsed.budget_bytes(plan.float_bytes)
        if budget is not None:
            typer.echo(
                f"budget {budget / 1e6:.2f} MB: modules with bits: auto are shown at their most and get what fits"
            )
        return
    if out is None:
        raise ConfigError("give a folder for the result: --out", param="out")
    check_device(device)
    pipeline.compress(model, parsed, out, device=device, max_shard_bytes=shard_bytes, say=typer.echo)
    typer.echo(f"wrote {out}; `autoglm-phone compress report --model {out}` says what it cost")


@app.command()
def report(
    model: Annotated[Path, typer.Option(help="folder of the compressed model")],
    base: Annotated[str, typer.Option(help="the float model it was made from")] = "mini",
    out: Annotated[Path, typer.Option(help="folder for report.md, report.json and plots")] = Path("runs/compression"),
    samples: Annotated[int, typer.Option(help="held-out conversations whose predictions are compared")] = 60,
    count: Annotated[int, typer.Option(help="answers a category of the world, by both models; 0: none")] = 8,
    rounds: Annotated[int, typer.Option(help="rounds in which both models are timed")] = 5,
    sensitive: Annotated[int, typer.Option(help="conversations for the sensitivity of each layer")] = 24,
    calibration: Annotated[Path | None, typer.Option(help="JSONL of conversations instead of the world's")] = None,
    only: Annotated[
        str, typer.Option(help="comma-separated parts: size, predictions, sensitivity, latency, quality")
    ] = "",
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    workers: Annotated[int, typer.Option(help="processes that draw samples")] = 1,
) -> None:
    """What compression cost: sizes, predictions, exits, sensitivity, latency and quality by category, with plots.

    A report that was stopped goes on where it was when it is asked for again.
    """
    from autoglm_phone.compress import report as reports

    check_device(device)
    settings = reports.Settings(
        samples=samples,
        count=count,
        rounds=rounds,
        sensitive=sensitive,
        calibration=calibration,
        device=device,
        workers=workers,
        parts=tuple(only.split(",")) if only else reports.PARTS,
    )
    path = reports.write(base, model, out, settings, say=typer.echo)
    typer.echo(f"wrote {path}")


@app.command()
def export(
    model: Annotated[Path, typer.Option(help="folder of a compressed model (master format)")],
    out: Annotated[Path, typer.Option(help="folder for the exported model")],
    format: Annotated[str, typer.Option(help="compressed-tensors, awq or gptq")] = "compressed-tensors",
) -> None:
    """Write a master in a public format that other programs load."""
    from autoglm_phone.compress.formats.export import export as run

    run(model, out, format)
    typer.echo(f"wrote {out}")


def _print_sizes(rows: list[tuple[str, str, int, int, int]]) -> None:
    before, after = sum(row[3] for row in rows), sum(row[4] for row in rows)
    width = max(len(row[0]) for row in rows)
    how = max(len(row[1]) for row in rows)
    for part, way, parameters, old, new in rows:
        typer.echo(f"{part:<{width}}  {way:<{how}}  {parameters:>14,}  {old / 1e6:>10.2f} MB -> {new / 1e6:>10.2f} MB")
    typer.echo(f"{'all':<{width}}  {'':<{how}}  {'':>14}  {before / 1e6:>10.2f} MB -> {after / 1e6:>10.2f} MB")
    typer.echo(f"{after / before:.1%} of the bytes")


def check_device(device: str) -> None:
    """Raises ConfigError where the device is not there."""
    import torch

    from autoglm_phone.errors import ConfigError

    if device != "cpu" and not (device.startswith("cuda") and torch.cuda.is_available()):
        raise ConfigError(f"device {device!r} is not usable here; use cpu, or cuda on a machine with a GPU")
