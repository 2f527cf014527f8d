"""The report's pictures, PNG. Needs matplotlib (the `bench` extra); without it there are none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoglm_phone.compress.plan import part_of
from autoglm_phone.compress.report_markdown import KINDS

_BEFORE, _AFTER, _GREY = "#94a3b8", "#c2410c", "#475569"
_PARTS = {"self_attn": "#1d4ed8", "cross_attn": "#f59e0b", "mlp": "#0f766e", "lm_head": "#6b7280"}
_LAYER = re.compile(r"layers\.(\d+)\.(\w+)\.")


def draw(facts: Mapping[str, Any], out: Path) -> list[str]:
    """Draw what the facts hold; returns the files' names."""
    try:
        import matplotlib
    except ImportError:
        return []
    matplotlib.use("Agg")
    matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figures: dict[str, Any] = {}
    if "size" in facts:
        figures["size-by-part"] = _size(facts["size"])
    if facts["losses"]:
        figures["error-by-module"] = _losses(facts["losses"])
    if "sensitivity" in facts:
        figures["sensitivity-by-layer"] = _sensitivity(facts["sensitivity"])
    if "predictions" in facts and "exits" in facts["predictions"]:
        figures["exits"] = _exits(facts["predictions"]["exits"])
    if facts.get("quality"):
        figures["quality-by-category"] = _quality(facts["quality"])
    for name, figure in figures.items():
        figure.savefig(out / f"{name}.png", dpi=130)
    return [f"{name}.png" for name in figures]


def _figure(width: float, height: float, columns: int = 1, **options: Any) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, columns, **options)


def _size(size: Mapping[str, Any]) -> Any:
    figure, (left, right) = _figure(10, 3.6, 2, sharey=True)
    disk: dict[str, list[float]] = {}
    for row in size["disk"]:
        entry = disk.setdefault(row["part"], [0.0, 0.0])
        entry[0] += row["before"] / 1e6
        entry[1] += row["after"] / 1e6
    held = size["resident"]
    parts = sorted(disk.keys() | held["before"].keys(), key=lambda part: disk.get(part, [0.0])[0])
    memory = {part: [held[key].get(part, 0) / 1e6 for key in ("before", "after")] for part in parts}
    for axes, table, title in ((left, disk, "on disk, MB"), (right, memory, "in memory, MB")):
        for index, (shift, colour, label) in enumerate(((0.2, _BEFORE, "float"), (-0.2, _AFTER, "compressed"))):
            bars = axes.barh(
                [place + shift for place in range(len(parts))],
                [table.get(part, [0.0, 0.0])[index] for part in parts],
                0.38,
                color=colour,
                label=label,
            )
            axes.bar_label(bars, fmt=lambda value: f"{value:.1f}" if value >= 0.05 else "", padding=2, fontsize=7)
        axes.set_xlabel(title)
        axes.margins(x=0.12)
    left.set_yticks(range(len(parts)), parts)
    right.legend(frameon=False, loc="lower right")
    return figure


def _losses(losses: Mapping[str, Any]) -> Any:
    figure, axes = _figure(10, 3.6)
    places = range(len(losses))
    axes.semilogy(places, [pair[0] for pair in losses.values()], ".", color=_BEFORE, label="round to nearest")
    axes.semilogy(places, [pair[1] for pair in losses.values()], ".", color=_AFTER, label="this recipe")
    names = list(losses)
    starts: dict[str, int] = {}
    for place, name in enumerate(names):
        starts.setdefault(_region(name), place)
    for label, place in starts.items():
        axes.axvline(place - 0.5, color="#cbd5e1", linewidth=0.8, zorder=0)
        axes.text(place, 1.01, label, transform=axes.get_xaxis_transform(), fontsize=7, color=_GREY, ha="left")
    axes.set_xlabel("module, in the order of the model")
    axes.set_ylabel("relative output error")
    axes.legend(frameon=False)
    return figure


def _region(name: str) -> str:
    part = part_of(name)
    return "decoder" if part.startswith("decoder") or part == "exit heads" else part


def _sensitivity(made: Mapping[str, Any]) -> Any:
    """Left: by layer and kind of module at the bits stored. Right: what each width would cost by layer."""
    figure, (left, right) = _figure(11, 3.8, 2)
    widths = sorted({int(bits) for table in made["cost"].values() for bits in table})
    stored: dict[str, dict[int, float]] = {}
    uniform: dict[int, dict[int, float]] = {bits: {} for bits in widths}
    last = 1 + max((int(m[1]) for name in made["cost"] if (m := _LAYER.search(name))), default=-1)
    for name, table in made["cost"].items():
        match = _LAYER.search(name)
        layer, kind = (int(match[1]), match[2]) if match else (last, "lm_head")
        row = stored.setdefault(kind, {})
        row[layer] = row.get(layer, 0.0) + table[str(made["bits"][name])]
        for bits in widths:
            uniform[bits][layer] = uniform[bits].get(layer, 0.0) + table[str(bits)]
    layers = sorted(uniform[widths[0]])
    labels = [str(layer) if layer < last else "head" for layer in layers]
    bottom = [0.0] * len(layers)
    for kind, row in sorted(stored.items()):
        heights = [row.get(layer, 0.0) for layer in layers]
        left.bar(
            range(len(layers)), heights, bottom=bottom, color=_PARTS.get(kind, _GREY), label=kind.replace("_", " ")
        )
        bottom = [a + b for a, b in zip(bottom, heights, strict=True)]
    left.set_ylabel("nats a token, at the bits stored")
    left.legend(frameon=False, fontsize=8)
    shades = ("#7f1d1d", "#c2410c", "#f59e0b", "#0f766e")
    for bits, colour in zip(widths, shades, strict=False):
        heights = [uniform[bits][layer] for layer in layers]
        right.semilogy(range(len(layers)), heights, ".-", color=colour, label=f"{bits} bits", linewidth=1)
    right.set_ylabel("nats a token, all modules of the layer")
    right.legend(frameon=False, fontsize=8, ncols=2)
    for axes in (left, right):
        step = max(1, len(layers) // 12)
        axes.set_xticks(range(0, len(layers), step), labels[::step])
        axes.set_xlabel("decoder layer")
    return figure


def _exits(mixes: Mapping[str, Any]) -> Any:
    kinds = [kind for kind in KINDS if kind in mixes]
    figure, axes = _figure(8, 0.9 + 0.75 * len(kinds))
    names = mixes["all"]["depths"]
    colours = ("#1d4ed8", "#0f766e", "#f59e0b", "#94a3b8", "#7c3aed", "#b6bcc6")
    ticks = []
    for place, kind in enumerate(reversed(kinds)):
        for shift, key, label in ((0.2, "before", "float"), (-0.2, "after", "compressed")):
            start = 0.0
            for index, share in enumerate(mixes[kind][key]):
                axes.barh(
                    place + shift,
                    share,
                    0.36,
                    left=start,
                    color=colours[index % len(colours)],
                    label=(f"depth {names[index]}" if names[index] != "full" else "full depth")
                    if place == 0 and key == "before"
                    else None,
                )
                if share > 0.04:
                    middle = start + share / 2
                    axes.text(
                        middle, place + shift, f"{share:.0%}", ha="center", va="center", color="white", fontsize=7
                    )
                start += share
            ticks.append((place + shift, f"{KINDS[kind]}, {label}"))
    axes.set_yticks([tick[0] for tick in ticks], [tick[1] for tick in ticks])
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of tokens, by the least depth that suffices")
    figure.legend(frameon=False, ncols=len(names), loc="outside upper center", fontsize=8)
    return figure


def _quality(made: Mapping[str, Any]) -> Any:
    rows = made["categories"][::-1]
    figure, (left, right) = _figure(10, 1.2 + 0.24 * len(rows), 2, sharey=True)
    places = range(len(rows))
    before, after = ([100 * row["accuracy"][key] for row in rows] for key in ("before", "after"))
    left.plot(before, places, "o", markerfacecolor="none", color=_GREY, label="float", markersize=8)
    left.plot(after, places, "o", color=_AFTER, label="compressed", markersize=4)
    for place, row in zip(places, rows, strict=True):
        change = row["accuracy"]
        difference = 100 * (change["after"] - change["before"])
        right.plot([100 * change["low"], 100 * change["high"]], [place, place], color=_BEFORE, linewidth=2)
        right.plot([difference], [place], "o", color=_AFTER, markersize=4)
    left.set_yticks(places, [row["name"] for row in rows])
    left.set_xlabel("accuracy, %")
    left.grid(axis="y", color="#e2e8f0", linewidth=0.6)
    figure.legend(frameon=False, loc="outside upper left", ncols=2, fontsize=8)
    right.axvline(0, color=_GREY, linewidth=0.8)
    right.set_xlabel(f"change in points, with 95 % interval ({made['count']} samples each)")
    return figure
