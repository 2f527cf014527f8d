"""`autoglm-phone exits lookup`: which token follows which others in a model's replies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autoglm_phone.graph.lookup_file import ENTRIES


def lookup(
    model: Annotated[str, typer.Option(help="model folder, or 'mini' for the bundled model")] = "mini",
    out: Annotated[Path, typer.Option(help="folder for graph/lookup.json")] = Path("runs/exits"),
    data: Annotated[
        str, typer.Option(help="world, or a JSONL file of conversations that end with a reply as the model gives it")
    ] = "world",
    count: Annotated[int, typer.Option(help="samples a category of the world, or conversations of a file")] = 400,
    categories: Annotated[str, typer.Option(help="of the world, comma-separated; empty = all")] = "",
    split: Annotated[str, typer.Option(help="of the world: train or val")] = "train",
    entries: Annotated[int, typer.Option(help="of the table at most; 12 bytes each")] = ENTRIES,
    install: Annotated[
        bool, typer.Option("--install", help="also write the result beside the model's weights")
    ] = False,
) -> None:
    """Count what follows what in replies: guesses behind tokens that an exit is sure of. They change no token."""
    from autoglm_phone.errors import ConfigError
    from autoglm_phone.graph.lookup_file import count_ngrams, save_table, tokenizer_digest
    from autoglm_phone.models.registry import family, locate
    from autoglm_phone.train import lookup_replies
    from autoglm_phone.train.mixture import KINDS

    if split not in ("train", "val"):
        raise ConfigError(f"--split {split!r} is unknown; use train or val, as test is for measuring", param="split")
    if min(count, entries) < 1:
        raise ConfigError("--count and --entries must be at least 1", param="count")
    folder = locate(model)
    if data == "world":
        kinds = ("text", "image") if family(folder) == "glm4v" else tuple(KINDS)
        chosen = categories.split(",") if categories else [c for kind in kinds for c in KINDS[kind]]
        replies = list(lookup_replies.of_world(folder, dict.fromkeys(chosen, count), split))  # type: ignore[arg-type]
        made_of = {"suite": "world", "split": split, "categories": chosen, "count": count}
    else:
        replies = list(lookup_replies.of_file(folder, Path(data).expanduser(), count))
        made_of = {"file": Path(data).name, "count": len(replies)}
    table = count_ngrams(replies, entries)
    typer.echo(f"{len(table)} contexts of {len(replies)} replies")
    for target in (out, folder) if install else (out,):
        typer.echo(f"wrote {save_table(target, table, tokenizer_digest(folder), made_of)}")
