"""`autoglm-phone exits …`: train exit heads, calibrate them for a stated risk, and train the depth probe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from autoglm_phone.graph.lookup_cli import lookup
from autoglm_phone.graph.tune_cli import tune

app = typer.Typer(help="Train and calibrate early exits, and the depth probe.", no_args_is_help=True)
app.command()(tune)
app.command()(lookup)

Model = Annotated[str, typer.Option(help="model folder, or 'mini' for the bundled model")]
Out = Annotated[Path, typer.Option(help="folder for records.jsonl (kept between runs), graph.json and the probe")]
Count = Annotated[int, typer.Option(help="samples a category, at least")]
GroupCount = Annotated[
    int,
    typer.Option(
        help="samples a group (text, picture, speech, picture+speech) at least; a risk needs about 4.4 / risk of them "
        "or more; 0: as --count gives"
    ),
]
Categories = Annotated[str, typer.Option(help="comma-separated; empty = all")]
Split = Annotated[str, typer.Option(help="train, val or test; the model must not have learned from it")]
Batch = Annotated[int, typer.Option(help="samples at a time")]
Workers = Annotated[int, typer.Option(help="processes that draw samples")]
Seed = Annotated[int, typer.Option(help="of the split into halves, and of the probe")]
Risks = Annotated[str, typer.Option(help="comma-separated bounds to certify")]
Delta = Annotated[float, typer.Option(help="chance that a stated risk does not hold")]
Exits = Annotated[
    str | None,
    typer.Option(help="file with exit heads, or 'none'; default: graph/exits.safetensors of the model, if there"),
]
Install = Annotated[bool, typer.Option("--install", help="also write the result beside the model's weights")]
MEASURE_HELP = "score: a right answer becomes wrong; answer: any token differs; token: share of tokens that differ"
DEFAULT_RISKS = "0.002,0.005,0.01,0.02,0.05,0.1"


@app.callback()
def main() -> None:
    """Train and calibrate early exits, and the depth probe."""


@app.command()
def calibrate(
    model: Model = "mini",
    out: Out = Path("runs/exits"),
    count: Count = 40,
    categories: Categories = "",
    split: Split = "val",
    batch: Batch = 16,
    workers: Workers = 1,
    seed: Seed = 0,
    risks: Risks = DEFAULT_RISKS,
    delta: Delta = 0.05,
    measure: Annotated[str, typer.Option(help=MEASURE_HELP)] = "score",
    exits: Exits = None,
    install: Install = False,
    group_count: GroupCount = 0,
    fallback: Annotated[
        str,
        typer.Option(help="groups that certify nothing: none (no early exit; the risk holds in every group) or pooled"),
    ] = "none",
) -> None:
    """Thresholds of the exits for each risk and group, certified on held-out samples of the world. Resumable."""
    from autoglm_phone.errors import ConfigError
    from autoglm_phone.graph.calibrate import MEASURES
    from autoglm_phone.graph.fit import fit_exits

    if measure not in MEASURES:
        raise ConfigError(f"--measure {measure!r} is unknown; use {', '.join(MEASURES)}", param="measure")
    if fallback not in ("none", "pooled"):
        raise ConfigError(f"--fallback {fallback!r} is unknown; use none or pooled", param="fallback")
    bounds = _shares(risks)
    folder, records, base = _records(model, out, count, categories, split, batch, workers, seed, exits, group_count)
    typer.echo(f"{len(records)} requests, each risk holds with a chance of {1 - delta:.0%}:")
    result = fit_exits(
        base,
        records,
        bounds,
        seed=seed,
        measure=measure,  # type: ignore[arg-type]
        delta=delta,
        fallback=fallback,  # type: ignore[arg-type]
        say=typer.echo,
    )
    _save(result, out, folder if install else None)


@app.command()
def probe(
    model: Model = "mini",
    out: Out = Path("runs/exits"),
    count: Count = 40,
    categories: Categories = "",
    split: Split = "val",
    batch: Batch = 16,
    workers: Workers = 1,
    seed: Seed = 0,
    risks: Risks = DEFAULT_RISKS,
    delta: Delta = 0.05,
    exits: Exits = None,
    install: Install = False,
    group_count: GroupCount = 0,
) -> None:
    """Train the probe (least sufficient depth, length) on half of the records; certify depth bars on the other half."""
    from dataclasses import replace

    from autoglm_phone.graph.fit import fit_bars, halves, thought_factor
    from autoglm_phone.train.probe import expected_tokens, judge_probe, probabilities, train_length, train_probe

    bounds = _shares(risks)
    folder, records, base = _records(model, out, count, categories, split, batch, workers, seed, exits, group_count)
    train, test = halves(records, seed)
    made = train_probe(train, base.depths, seed)
    judged = judge_probe(made, train, test)
    typer.echo(
        f"probe, {judged.bytes / 1024:.0f} KB: least sufficient depth right in {judged.accuracy:.3f} of "
        f"{judged.requests} held-out requests (always the most frequent: {judged.majority:.3f}); "
        f"log-loss {judged.nll:.3f} (frequencies alone: {judged.prior_nll:.3f})"
    )
    length = train_length(train, test, made, seed)
    error = length.error
    typer.echo(
        f"remaining length: off by {error['tokens']} tokens on average (as long again: "
        f"{error['tokens_as_long_again']}, the median: {error['tokens_median_guess']}), median factor "
        f"{error['median_factor']}"
    )
    result = fit_bars(base, probabilities(made, test), bounds, delta=delta, say=typer.echo)
    factor = thought_factor(expected_tokens(made, test))
    report = {**result.report, "probe": vars(judged)}
    result = replace(result, length=length, thought_factor=factor, report=report)
    for target in (out, folder) if install else (out,):
        typer.echo(f"wrote {made.save(target, base.model)}")
    _save(result, out, folder if install else None)


@app.command()
def check(
    model: Model = "mini",
    out: Out = Path("runs/exits"),
    count: Count = 20,
    categories: Categories = "",
    split: Split = "test",
    batch: Batch = 16,
    workers: Workers = 1,
    seed: Seed = 0,
    exits: Exits = None,
    group_count: GroupCount = 0,
) -> None:
    """Measure the risk of graph.json in --out on samples that calibration did not see."""
    from autoglm_phone.errors import ConfigError
    from autoglm_phone.graph.fit import check_exits

    _, records, base = _records(model, out, count, categories, split, batch, workers, seed, exits, group_count)
    if not base.thresholds:
        raise ConfigError(f"{out} holds no thresholds for these weights; run `autoglm-phone exits calibrate` first")
    if not check_exits(base, records, say=typer.echo):
        raise typer.Exit(1)


@app.command()
def show(model: Model = "mini", exits: Exits = None) -> None:
    """Print what is known of a model's exits."""
    from autoglm_phone.graph.graph_file import NAME, load_graph_file
    from autoglm_phone.models.registry import locate
    from autoglm_phone.runner.spec import read_spec

    folder = locate(model)
    addon = read_spec(folder, exits).addon
    if addon is not None:
        typer.echo(f"exit heads of {addon.path}: after layers {addon.layers}, rank {addon.rank}")
    found = load_graph_file(folder, exits)
    if found is None:
        typer.echo(f"{folder / NAME}: no calibration that fits these weights; run `autoglm-phone exits calibrate`")
        raise typer.Exit(1)
    typer.echo(f"depths {found.depths}, measure {found.measure}, delta {found.delta}, data {dict(found.data)}")
    for risk, thresholds in sorted(found.thresholds.items()):
        bar = found.bars.get(risk)
        typer.echo(f"risk {risk:g}: thresholds {thresholds or 'none'}, bar {'none' if bar is None else f'{bar:.3f}'}")
        for group, rules in found.groups.items():
            bar = (rules.bars or {}).get(risk)
            typer.echo(
                f"  {group}: thresholds {rules.thresholds.get(risk) or 'none'}, "
                f"bar {'none' if bar is None else f'{bar:.3f}'}"
            )
    if found.length is not None:
        typer.echo(f"length model: {dict(found.length.error)}")


def _shares(text: str) -> tuple[float, ...]:
    """Raises ConfigError unless these are numbers between 0 and 1."""
    from autoglm_phone.errors import ConfigError

    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if not values or not all(0 < value < 1 for value in values):
        raise ConfigError(f"--risks {text!r}: give numbers between 0 and 1, separated by commas", param="risks")
    return values


def _records(
    model: str,
    out: Path,
    count: int,
    categories: str,
    split: str,
    batch: int,
    workers: int,
    seed: int,
    exits: str | None,
    group_count: int,
) -> tuple[Path, list[Any], Any]:
    """(model folder, records, graph.json of --out so far)"""
    from autoglm_phone.errors import ConfigError
    from autoglm_phone.graph.graph_file import NAME, GraphFile, read_graph_file, weights_digest
    from autoglm_phone.graph.records import RecordStore
    from autoglm_phone.models.registry import family, locate
    from autoglm_phone.runner.spec import read_spec
    from autoglm_phone.train.exit_records import gather
    from autoglm_phone.train.mixture import KINDS

    if split not in ("train", "val", "test"):
        raise ConfigError(f"--split {split!r} is unknown; use train, val or test", param="split")
    if min(count, batch, workers) < 1 or group_count < 0:
        raise ConfigError("--count, --batch and --workers must be at least 1", param="count")
    folder = locate(model)
    digest = weights_digest(folder, exits)
    kinds = ("text", "image") if family(folder) == "glm4v" else tuple(KINDS)
    chosen = categories.split(",") if categories else [c for kind in kinds for c in KINDS[kind]]
    store = RecordStore(out / "records.jsonl", digest)
    options = {"split": split, "batch": batch, "workers": workers, "exits": exits}
    counts = _counts(chosen, count, group_count)
    records = gather(folder, store, counts, **options, say=typer.echo)  # type: ignore[arg-type]
    spec = read_spec(folder, exits)
    base = GraphFile(digest, (*spec.exit_layers, spec.num_layers))
    if (out / NAME).exists():
        before = read_graph_file(out / NAME)
        base = before if before.model == digest else base
    data = {"suite": "world", "split": split, "categories": chosen, "count": count, "seed": seed}
    if group_count:
        data["group_count"] = group_count
    return folder, records, _with_data(base, data)


def _counts(categories: list[str], count: int, group_count: int) -> dict[str, int]:
    """Samples of each category: `count`, and more where its group would have fewer than `group_count`."""
    from collections import Counter

    from autoglm_phone.train.mixture import KINDS

    kind_of = {name: kind for kind, table in KINDS.items() for name in table}  # the kinds are graph.groups' groups
    sizes = Counter(kind_of.get(name) for name in categories)
    return {name: max(count, -(-group_count // sizes[kind_of.get(name)])) for name in categories}


def _with_data(base: Any, data: dict[str, Any]) -> Any:
    from dataclasses import replace

    return replace(base, data=data)


def _save(result: Any, out: Path, folder: Path | None) -> None:
    for target in (out,) if folder is None else (out, folder):
        typer.echo(f"wrote {result.save(target)}")
