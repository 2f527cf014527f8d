"""`autoglm-phone eval …`: quality suites. `autoglm-phone bench …`: measurements."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

eval_app = typer.Typer(help="Score a model.", invoke_without_command=True, no_args_is_help=False)
app = typer.Typer(help="Measure.", no_args_is_help=True)


@eval_app.callback()
def evaluate(
    suite: Annotated[str, typer.Option(help="world")] = "world",
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

    if suite != "world":
        raise ConfigError(f"unknown suite {suite!r}; the suite is 'world'", param="suite")
    if split not in ("val", "test"):
        raise ConfigError(f"--split {split!r} is unknown; use val or test", param="split")
    if count < 1:
        raise ConfigError("--count must be at least 1", param="count")
    names = categories.split(",") if categories else [c for table in KINDS.values() for c in table]
    folder = locate(model)
    llm = LLM(str(folder), max_num_seqs=16)
    typer.echo(f"suite world, model {folder.name}, {split} split, first {count} samples a category, greedy")
    table = world.run(
        llm,
        names,
        count,
        split=split,  # type: ignore[arg-type]
        store=out / "answers.jsonl",
        digest=world.model_digest(folder),
        thinking=thinking,
        say=typer.echo,
    )
    for verdict in world.verdicts(table):
        typer.echo(verdict)
    path = out / "scores.json"
    path.write_text(json.dumps({name: vars(row) for name, row in table.items()}, indent=1) + "\n")
    typer.echo(f"wrote {path} and {out / 'answers.jsonl'}")
