"""`autoglm-phone bench graph`: the dynamic graph against the static one, in one run."""

from __future__ import annotations

import json
import os
import platform
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer


def bench_graph(
    suite: Annotated[str, typer.Option(help="world-100 (the fixed set) or world (its test mix)")] = "world-100",
    model: Annotated[str, typer.Option(help="model folder, or 'mini' for the bundled model")] = "mini",
    count: Annotated[int, typer.Option(help="samples a category, for --suite world")] = 10,
    limit: Annotated[int | None, typer.Option(help="samples in all, to try it out")] = None,
    categories: Annotated[str, typer.Option(help="comma-separated; empty = all")] = "",
    exit_risk: Annotated[float, typer.Option(help="share of answers that leaving early may turn wrong")] = 0.01,
    curve: Annotated[bool, typer.Option(help="also measure other risks and fixed depths")] = True,
    threads: Annotated[int, typer.Option(help="of each engine; they never compute at the same time")] = 1,
    tower_memory: Annotated[
        int,
        typer.Option(help="MB of towers that the dynamic engine keeps; -1: those in use, 0: each is dropped after it"),
    ] = -1,
    mix: Annotated[int, typer.Option(help="requests of the text-heavy load whose memory is measured; 0: none")] = 64,
    concurrency: Annotated[int, typer.Option(help="of the text-heavy load")] = 16,
    modes_only: Annotated[str, typer.Option("--modes", help="comma-separated; empty = all; static always runs")] = "",
    max_tokens: Annotated[int, typer.Option(help="tokens of an answer at most")] = 512,
    seed: Annotated[int, typer.Option(help="of the order of samples and of the intervals")] = 0,
    out: Annotated[Path, typer.Option(help="folder for measurements (kept between runs), summary and plots")] = Path(
        "runs/graph"
    ),
) -> None:
    """Answer the same requests with the static engine, the dynamic one, and each of its mechanisms alone."""
    from autoglm_phone.bench import graph, graph_memory, graph_plots, graph_table
    from autoglm_phone.bench.graph_modes import DYNAMIC, LEAN, LOSSLESS, STATIC, choose_modes, make_modes
    from autoglm_phone.bench.graph_summary import summarize
    from autoglm_phone.bench.world import model_digest
    from autoglm_phone.errors import ConfigError
    from autoglm_phone.models.registry import locate
    from autoglm_phone.train.mixture import KINDS
    from autoglm_phone.train.world.registry import CATEGORIES

    if suite not in ("world", "world-100"):
        raise ConfigError(f"unknown suite {suite!r}; choose world or world-100", param="suite")
    if min(count, threads, max_tokens, concurrency, 1 if limit is None else limit) < 1:
        raise ConfigError("--count, --limit, --threads, --concurrency and --max-tokens are at least 1", param="count")
    if not 0 <= exit_risk < 1:
        raise ConfigError(f"--exit-risk {exit_risk} must lie in [0, 1)", param="exit-risk")
    chosen = categories.split(",") if categories else [c for table in KINDS.values() for c in table]
    unknown = [c for c in chosen if c not in CATEGORIES]
    if unknown:
        raise ConfigError(f"unknown categories: {', '.join(unknown)}", param="categories")
    samples = graph.choose_samples(suite, chosen, count, seed)[:limit]
    if not samples:
        raise ConfigError(f"{suite} has no samples of {categories}", param="categories")
    folder = locate(model)
    base = {
        "model": str(folder),
        "threads": threads,
        "risk": exit_risk,
        "tower_memory": None if tower_memory < 0 else tower_memory * 1_000_000,
        "max_tokens": max_tokens,
    }
    with ExitStack() as stack:
        arms = ("dynamic", "static")
        workers = {arm: stack.enter_context(graph.Worker({**base, "arm": arm})) for arm in arms}
        facts = workers["dynamic"].facts
        modes, remarks = make_modes(graph.read_facts(facts), exit_risk, curve=curve)
        modes = choose_modes(modes, modes_only.split(",") if modes_only else ())
        for arm in {mode.arm for mode in modes} - set(arms):
            workers[arm] = stack.enter_context(graph.Worker({**base, "arm": arm}))
        machine = (
            f"{platform.machine()}, {os.cpu_count()} CPUs, torch {facts['torch']} on {facts['device']} in "
            f"{facts['dtype']}, {threads} thread(s), load average {os.getloadavg()[0]:.1f}"
        )
        typer.echo(f"machine: {machine}")
        typer.echo(
            f"suite {suite}: {len(samples)} samples in {len(modes)} modes, greedy, at most {max_tokens} tokens; model "
            f"{folder.name} {model_digest(folder)}; risk {exit_risk:g}; seed {seed}; concurrency 1; no prompt or tower "
            f"output is cached; towers kept: {'while in use' if tower_memory < 0 else f'{tower_memory} MB'}"
        )
        for remark in remarks:
            typer.echo(f"note: {remark}")
        setting = {
            "suite": suite,
            "digest": model_digest(folder),
            "modes": [mode.as_dict() for mode in modes],
            **{key: base[key] for key in ("threads", "risk", "tower_memory", "max_tokens")},
            "seed": seed,
        }
        store = graph.MeasurementStore(out / f"measured-{suite}.jsonl", setting)
        measured = graph.measure(workers, modes, samples, store, say=typer.echo)
        load = graph_memory.text_heavy(samples, mix)
        mixes = {
            mode.name: workers[mode.arm].answer_together(load, concurrency, mode)
            for mode in modes
            if load and (mode.name in (STATIC, DYNAMIC, LOSSLESS) or mode.arm == LEAN)
        }
    summaries = summarize(measured, modes, seed)
    for line in graph_table.tables(summaries, f"energy a request: {facts['energy']}"):
        typer.echo(line)
    for line in graph_memory.describe(mixes, concurrency) if DYNAMIC in mixes else ():
        typer.echo(line)
    memory = {"definition": graph_memory.DEFINITION, "concurrency": concurrency, "modes": mixes}
    whole = {"machine": machine, "facts": facts, **setting, "samples": len(samples), "notes": remarks}
    path = out / f"graph-{suite}.json"
    path.write_text(
        json.dumps({**whole, "text_heavy": memory, "summaries": [s.as_dict() for s in summaries]}, indent=1) + "\n"
    )
    title = f"{suite}, {len(samples)} requests, {folder.name}, risk {exit_risk:g}, {threads} thread(s), seed {seed}"
    for drawn in (path, *graph_plots.draw(summaries, measured, title, out / suite)):
        typer.echo(f"wrote {drawn}")
