"""`autoglm-phone eval …`: quality suites. `autoglm-phone bench …`: measurements."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from autoglm_phone.bench.graph_cli import bench_graph

eval_app = typer.Typer(help="Score a model.", invoke_without_command=True, no_args_is_help=False)
app = typer.Typer(help="Measure.", no_args_is_help=True)


_PAGES = 1 << 30  # bytes: room for 16 answers, and for other processes on the same GPU


@eval_app.callback()
def evaluate(
    suite: Annotated[str, typer.Option(help="world, or world-100 for the fixed set")] = "world",
    model: Annotated[str, typer.Option(help="model folder, or 'mini' for the bundled model")] = "mini",
    count: Annotated[int, typer.Option(help="samples a category")] = 100,
    categories: Annotated[str, typer.Option(help="comma-separated; empty = all")] = "",
    split: Annotated[str, typer.Option(help="val or test")] = "test",
    thinking: Annotated[bool, typer.Option(help="let the model think")] = True,
    out: Annotated[Path, typer.Option(help="folder for answers.jsonl and scores.json")] = Path("runs/eval"),
) -> None:
    """Answer held-out samples greedily through the engine and print the table of scores with 95 % intervals."""
    from autoglm_phone.bench import world
    from autoglm_phone.errors import ConfigError
    from autoglm_phone.llm import LLM
    from autoglm_phone.models.registry import locate
    from autoglm_phone.train.mixture import KINDS

    if suite not in ("world", "world-100"):
        raise ConfigError(f"unknown suite {suite!r}; choose world or world-100", param="suite")
    if split not in ("val", "test"):
        raise ConfigError(f"--split {split!r} is unknown; use val or test", param="split")
    if count < 1:
        raise ConfigError("--count must be at least 1", param="count")
    chosen = categories.split(",") if categories else []
    if suite == "world":
        every = [c for table in KINDS.values() for c in table]
        samples = world.world_samples(chosen or every, count, split)  # type: ignore[arg-type]
    else:
        samples = world.fixed_samples(chosen)
    folder = locate(model)
    llm = LLM(str(folder), max_num_seqs=16, kv_cache_memory=_PAGES)
    total = sum(map(len, samples.values()))
    typer.echo(f"suite {suite}, model {folder.name}, {total} samples, greedy")
    table = world.run(
        llm,
        samples,
        store=out / f"answers-{suite}-{split}.jsonl",
        digest=world.model_digest(folder),
        thinking=thinking,
        say=typer.echo,
    )
    for verdict in world.verdicts(table):
        typer.echo(verdict)
    path = out / f"scores-{suite}-{split}.json"
    path.write_text(json.dumps({name: vars(row) for name, row in table.items()}, indent=1) + "\n")
    typer.echo(f"wrote {path} and the answers beside it")


@app.callback()
def bench() -> None:
    """Measure."""


app.command("graph")(bench_graph)


@app.command("write-fixed")
def write_fixed(out: Annotated[Path | None, typer.Option(help="folder; default: the repository's")] = None) -> None:
    """Draw the fixed benchmark set of 100 samples anew and write it as data."""
    from autoglm_phone.bench import fixed

    folder = out or fixed.FOLDER
    size = fixed.write(folder)
    typer.echo(f"wrote {folder}: {sum(fixed.PLAN.values())} samples, {size / 2**20:.1f} MiB")
