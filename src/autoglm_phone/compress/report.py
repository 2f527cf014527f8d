"""`compress report`: what compression cost, as Markdown with plots. All figures come from running both models here."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from autoglm_phone.compress import calibrate, measure
from autoglm_phone.compress.formats import master
from autoglm_phone.compress.opening import Opened, open_model
from autoglm_phone.compress.plan import modules_of, part_of
from autoglm_phone.errors import CheckpointError
from autoglm_phone.models.registry import locate

_KINDS = {"all": "all", "text": "text", "picture": "picture-conditioned", "speech": "speech-conditioned"}


@dataclass(frozen=True)
class Size:
    """A part of the model. bytes of the float model's tensors and of the compressed model's."""

    part: str
    how: str
    before: int
    after: int


def write(
    base: str,
    model: Path,
    out: Path,
    *,
    samples: int = 240,
    calibration: Path | None = None,
    quality: int = 0,
    device: str = "cpu",
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Measure a master against its float model and write report.md, report.json and plots.

    Args:
        samples: held-out conversations, a third of each modality.
        quality: answers a category to score through the engine with both models; 0 leaves that part out.

    Returns:
        the path of report.md.

    Raises:
        CheckpointError: `model` is no master, or the two are different models.
    """
    first, second = open_model(base), open_model(locate(model))
    config = master.read_config(second.folder)
    if config is None:
        raise CheckpointError(f"{model} is no compressed model of ours; give the folder that compress wrote")
    master.verify(second.folder, config)
    sizes = size_table(first, second, config)
    drawn = calibrate.load(
        first.folder,
        calibrate.Calibration(samples=samples, mix={"text": 1, "picture": 1, "speech": 1}, path=calibration),
        split="val",
    )
    say(f"{len(drawn)} held-out conversations")
    where = torch.device(device)
    table = measure.compare(measure.predictions(first, drawn, where), measure.predictions(second, drawn, where), drawn)
    for kind, row in table.items():
        say(f"{kind}: KL {row.kl_mean:.5f}, top-1 {row.top1:.4f}")
    scores = _quality(first.folder, second.folder, out, quality, say) if quality else {}
    out.mkdir(parents=True, exist_ok=True)
    losses = _losses(second.folder)
    plots = _plots(out, sizes, losses)
    facts = {
        "model": second.folder.name,
        "base": first.folder.name,
        "samples": len(drawn),
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {device}",
        "sizes": [asdict(size) for size in sizes],
        "divergence": {kind: asdict(row) for kind, row in table.items()},
        "quality": scores,
        "losses": losses,
    }
    (out / "report.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    path = out / "report.md"
    path.write_text(_markdown(facts, sizes, table, scores, plots), encoding="utf-8")
    return path


def size_table(first: Opened, second: Opened, config: master.MasterConfig) -> list[Size]:
    """Bytes of the tensors by part and by how they are stored; their sums are the two models' weights."""
    infos = modules_of(first.architecture)
    disk = {first.source.disk[name + ".weight"].removesuffix(".weight"): name for name in infos}
    rows: dict[tuple[str, str], list[int]] = {}

    def add(part: str, how: str, before: int, after: int) -> None:
        entry = rows.setdefault((part, how), [0, 0])
        entry[0] += before
        entry[1] += after

    done = set()
    for stored, spec in config.modules.items():
        name = disk[stored]
        side = "symmetric" if spec.symmetric else "asymmetric"
        how = f"{spec.bits} bit, {side}, group {spec.group_size}"
        add(part_of(name), how, first.sizes[name + ".weight"][1], spec.num_bytes)
        done.add(name + ".weight")
    for name, (_, size) in first.sizes.items():
        if name not in done:
            module = name.rsplit(".", 1)[0]
            known = module in infos and name.endswith(".weight")
            add(part_of(name) if known else "norms, biases, small tensors", "as it was", size, size)
    return [Size(part, how, *counts) for (part, how), counts in sorted(rows.items())]


def _losses(folder: Path) -> dict[str, list[float]]:
    path = folder / "compression.json"
    return json.loads(path.read_text(encoding="utf-8"))["losses"] if path.exists() else {}


def _quality(base: Path, model: Path, out: Path, count: int, say: Callable[[str], None]) -> dict[str, dict[str, Any]]:
    """Accuracy by category of both models on the same held-out samples, greedy, through the engine."""
    from autoglm_phone.bench import world
    from autoglm_phone.llm import LLM
    from autoglm_phone.train.mixture import KINDS

    samples = world.world_samples([c for kind in KINDS.values() for c in kind], count, "test")
    tables = {}
    for name, folder in (("float", base), ("compressed", model)):
        say(f"{name}: {folder}")
        tables[name] = world.run(
            LLM(str(folder), max_num_seqs=16),
            samples,
            store=out / f"answers-{name}.jsonl",
            digest=world.model_digest(folder),
            say=say,
        )
    return {c: {name: vars(table[c]) for name, table in tables.items()} for c in samples}


def _markdown(
    facts: Mapping[str, Any],
    sizes: Sequence[Size],
    table: Mapping[str, measure.Divergence],
    scores: Mapping[str, Mapping[str, Any]],
    plots: Sequence[str],
) -> str:
    before, after = sum(s.before for s in sizes), sum(s.after for s in sizes)
    lines = [
        f"# {facts['model']}: what compression cost",
        "",
        f"Against {facts['base']}, on {facts['samples']} held-out conversations ({facts['machine']}, torch "
        f"{facts['torch']}). KL divergence of the float model's next-token distribution from the compressed one's, in "
        "nats, at the tokens of the reference reply; intervals are 95 %, by bootstrap over conversations.",
        "",
        "## Size",
        "",
        "| part | stored as | before, MB | after, MB | share |",
        "|---|---|---:|---:|---:|",
    ]
    for s in sizes:
        lines.append(f"| {s.part} | {s.how} | {s.before / 1e6:.2f} | {s.after / 1e6:.2f} | {s.after / s.before:.1%} |")
    lines += [
        f"| **all weights** | | **{before / 1e6:.2f}** | **{after / 1e6:.2f}** | **{after / before:.1%}** |",
        "",
        "## Predictions",
        "",
        "| reply conditioned by | tokens | KL mean | interval | median | 99.9 % | top-1 agreement | perplexity ratio |",
        "|---|---:|---:|---|---:|---:|---:|---:|",
    ]
    for kind in _KINDS:
        if kind in table:
            d = table[kind]
            lines.append(
                f"| {_KINDS[kind]} | {d.tokens} | {d.kl_mean:.4f} | {d.kl_low:.4f} – {d.kl_high:.4f} | "
                f"{d.kl_median:.6f} | {d.kl_999:.3f} | {d.top1:.2%} | {d.perplexity:.4f} |"
            )
    if scores:
        lines += ["", "## Quality", "", "| category | n | float | compressed | interval | BLEU float | BLEU |"]
        lines.append("|---|---:|---:|---:|---|---:|---:|")
        for category, pair in scores.items():
            f, c = pair["float"], pair["compressed"]
            bleu = ["" if row.get("bleu") is None else f"{row['bleu']:.1f}" for row in (f, c)]
            accuracy = ["" if row.get("accuracy") is None else f"{row['accuracy']:.1%}" for row in (f, c)]
            lines.append(
                f"| {category} | {f['count']} | {accuracy[0]} | {accuracy[1]} | {c['low']:.1%} – {c['high']:.1%} | "
                f"{bleu[0]} | {bleu[1]} |"
            )
    lines += [""]
    for name in plots:
        lines += [f"![{name.removesuffix('.png').replace('-', ' ')}]({name})", ""]
    return "\n".join(lines).rstrip() + "\n"


def _plots(out: Path, sizes: Sequence[Size], losses: Mapping[str, Sequence[float]]) -> list[str]:
    """Size by part, and output error by layer with round-to-nearest beside it."""
    try:
        import matplotlib
    except ImportError:
        return []
    matplotlib.use("agg")
    from matplotlib import pyplot

    parts = sorted({s.part for s in sizes})
    figure, axes = pyplot.subplots(figsize=(8, 3.5))
    for shift, which in ((-0.2, "before"), (0.2, "after")):
        heights = [sum(getattr(s, which) for s in sizes if s.part == part) / 1e6 for part in parts]
        axes.barh([i + shift for i in range(len(parts))], heights, 0.38, label=which)
    axes.set_yticks(range(len(parts)), parts)
    axes.set_xlabel("MB")
    axes.legend()
    figure.tight_layout()
    figure.savefig(out / "size-by-part.png", dpi=120)
    pyplot.close(figure)
    made = ["size-by-part.png"]
    if losses:
        figure, axes = pyplot.subplots(figsize=(8, 3.5))
        places = range(len(losses))
        axes.semilogy(places, [pair[0] for pair in losses.values()], ".", label="round to nearest")
        axes.semilogy(places, [pair[1] for pair in losses.values()], ".", label="this recipe")
        axes.set_xlabel("module, from the first tower block to the head")
        axes.set_ylabel("relative output error")
        axes.legend()
        figure.tight_layout()
        figure.savefig(out / "error-by-layer.png", dpi=120)
        pyplot.close(figure)
        made.append("error-by-layer.png")
    return made
