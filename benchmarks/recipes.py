"""What recipes cost the mini: each is run at size, and its answers are set beside the float model's, paired.

    python benchmarks/recipes.py --recipes int4,int8,int8-w8a8,int8-qat,pruned,shared [--out runs/recipes] [--count 100]
    python benchmarks/recipes.py --recipes pruned --trained steps=400,batches=0.75,workers=7

1. `compress`: every recipe of `recipes/`, one after the other, into <out>/<name>;
2. `ask`: the float model and each result answer --count held-out samples a category through the engine, greedily. The
   float model answers once: its replies are taken from the first store that has them;
3. `table`: Markdown and JSON, accuracy and change in points with paired 95 % intervals, by category and modality.

What is done is not done again, and a call that was killed goes on where it stopped; recipes may also run side by side
(one --recipes each, one --out). --trained changes options of the recipe's training steps (`distill`, `qat`).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from autoglm_phone.compress import pipeline, quality, recipe
from autoglm_phone.compress.quality import Pair
from autoglm_phone.compress.quality_tables import Row, by_modality, rows
from autoglm_phone.errors import ConfigError
from autoglm_phone.models.registry import locate

STAGES = ("compress", "ask", "table")
RECIPES = Path(__file__).parent.parent / "recipes"
TRAINED = ("distill", "qat")


def changed(parsed: recipe.Recipe, options: Mapping[str, float]) -> recipe.Recipe:
    """The recipe with other options in its training steps of native models.

    Raises:
        ConfigError: such steps have no such option.
    """
    steps = []
    for step in parsed.steps:
        if step.kind in TRAINED and step.concerns("native"):
            unknown = set(options) - set(step.options)
            if unknown:
                raise ConfigError(f"--trained: {step.kind} has no {', '.join(sorted(unknown))}", param="trained")
            fitting = {name: type(step.options[name])(value) for name, value in options.items()}
            step = replace(step, options={**step.options, **fitting})
        steps.append(step)
    return replace(parsed, steps=tuple(steps))


def read_options(text: str) -> dict[str, float]:
    """ "steps=400,batches=0.75" as numbers. Raises ConfigError."""
    found = {}
    for entry in filter(None, text.split(",")):
        name, _, value = entry.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise ConfigError(f"--trained: {entry!r} must be name=number", param="trained") from None
    return found


def make(name: str, args: argparse.Namespace) -> None:
    """Stage 1 for one recipe; seconds go to <out>/<name>.seconds, summed over calls."""
    out, spent = args.out / name, args.out / f"{name}.seconds"
    began = time.monotonic()
    parsed = changed(recipe.load(args.folder / f"{name}.yaml"), read_options(args.trained))
    if args.samples:
        parsed = parsed.calibrated(samples=args.samples)
    try:
        pipeline.compress(
            args.model, parsed, out, device=args.device, say=lambda line: print(f"{name}: {line}", flush=True)
        )
    finally:
        before = float(spent.read_text()) if spent.exists() else 0.0
        spent.write_text(f"{before + time.monotonic() - began:.0f}\n")


def ask(name: str, args: argparse.Namespace) -> list[Pair]:
    """Stage 2 for one recipe."""
    stores = [args.out / f"{other}.jsonl" for other in args.beside.split(",") if other and other != name]
    beside = next((store for store in stores if store.exists()), None)
    return quality.gather(
        locate(args.model), args.out / name, args.out / f"{name}.jsonl", count=args.count, device=args.device,
        categories=args.categories.split(",") if args.categories else quality.CATEGORIES,
        workers=args.draw_workers, beside=beside, say=lambda line: print(f"{name}: {line}", flush=True),
    )  # fmt: skip


def weight_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def report(names: Sequence[str], args: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Stage 3: Markdown and figures."""
    made = {name: ask(name, args) for name in names}
    whole = weight_bytes(locate(args.model))
    chip = torch.cuda.get_device_name() if args.device.startswith("cuda") else platform.machine()
    lines = [
        f"{chip}, torch {torch.__version__}, {args.count} test samples a category, greedy, full depth; points, change "
        "with its paired 95 % interval (Agresti and Min). lost, won: samples that turned wrong, and right.",
        "",
        "| recipe | bytes | seconds | all | change | text | picture | speech | lost | won |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    facts: dict[str, Any] = {}
    for name, pairs in made.items():
        spent = args.out / f"{name}.seconds"
        share = weight_bytes(args.out / name) / whole
        total, *kinds = by_modality(pairs)
        seconds = spent.read_text().strip() if spent.exists() else ""
        by_kind = {row.name: points(row) for row in kinds}
        lines.append(
            f"| {name} | {share:.1%} | {seconds} | {100 * total.accuracy.after:.1f} | {points(total)} | "
            + " | ".join(by_kind.get(kind, "") for kind in ("text", "picture", "speech"))
            + f" | {total.lost} | {total.won} |"
        )
        facts[name] = {"share": share, "seconds": seconds, "rows": [asdict(r) for r in (total, *kinds, *rows(pairs))]}
    categories = [row.name for row in rows(made[names[0]])]
    table = {name: {row.name: row for row in rows(pairs)} for name, pairs in made.items()}
    before = {row.name: row.accuracy.before for row in rows(made[names[0]])}
    lines += ["", f"| category | float | {' | '.join(names)} |", f"|---|---:|{'---:|' * len(names)}"]
    for category in categories:
        cells = (points(table[name][category]) for name in names)
        lines.append(f"| {category} | {100 * before[category]:.0f} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n", facts


def points(row: Row) -> str:
    """−1.0 [−2.5, +0.5], bold where the interval leaves zero out."""
    change = row.accuracy
    text = f"{100 * (change.after - change.before):+.1f} [{100 * change.low:+.1f}, {100 * change.high:+.1f}]"
    text = text.replace("-", "−")
    return f"**{text}**" if change.low > 0 or change.high < 0 else text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", default="int4,int8,int8-w8a8,int8-qat,pruned,shared", help="names in --folder")
    parser.add_argument("--folder", type=Path, default=RECIPES)
    parser.add_argument("--stage", choices=("all", *STAGES), default="all")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--out", type=Path, default=Path("runs/recipes"))
    parser.add_argument("--trained", default="", help="options of training steps: steps=400,batches=0.75,workers=7")
    parser.add_argument("--samples", type=int, help="calibration samples, instead of the recipes' numbers")
    parser.add_argument("--count", type=int, default=100, help="test samples a category")
    parser.add_argument("--categories", default="", help="comma-separated; empty = all")
    parser.add_argument("--beside", default="int8,int8-w8a8,int4", help="recipes whose stores may know float replies")
    parser.add_argument("--draw-workers", type=int, default=max(1, (os.cpu_count() or 2) // 2))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    names = args.recipes.split(",")
    args.out.mkdir(parents=True, exist_ok=True)
    for name in names:
        if args.stage in ("all", "compress"):
            make(name, args)
        if args.stage in ("all", "ask"):
            ask(name, args)
    if args.stage in ("all", "table"):
        text, facts = report(names, args)
        (args.out / "table.md").write_text(text)
        (args.out / "table.json").write_text(json.dumps(facts, indent=1) + "\n")
        print(text)
        print(f"wrote {args.out / 'table.md'} and table.json")


if __name__ == "__main__":
    main()
