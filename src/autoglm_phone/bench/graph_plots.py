"""Plots of `bench graph`, SVG and PNG. Needs matplotlib (the `bench` extra)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autoglm_phone.bench.graph import Measured
from autoglm_phone.bench.graph_modes import CONTROL, DYNAMIC, LEAN, LOSSLESS, STATIC
from autoglm_phone.bench.graph_summary import Summary

COLOURS = {STATIC: "#6b7280", CONTROL: "#b6bcc6", DYNAMIC: "#c2410c", LOSSLESS: "#1d4ed8", LEAN: "#15803d"}
ABLATION, FIXED = "#0f766e", "#7c3aed"
PARTS = (("decoder", "#94a3b8"), ("towers", "#f59e0b"), ("KV pages", "#dc2626"))


def draw(summaries: Sequence[Summary], measured: Sequence[Measured], title: str, out: Path) -> list[Path]:
    """Draw everything into a folder; returns the files."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    out.mkdir(parents=True, exist_ok=True)
    figures = {
        "graph-latency": _latency(summaries, measured),
        "graph-curve": _curve(summaries),
        "graph-memory": _memory(summaries, measured),
        "graph-quality": _quality(summaries),
    }
    paths = []
    for name, figure in figures.items():
        figure.suptitle(title, fontsize=8, color="#475569")
        for kind in ("svg", "png"):
            paths.append(out / f"{name}.{kind}")
            figure.savefig(paths[-1], dpi=140)
    return paths


def _figure(columns: int, width: float, height: float, **options: Any) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, columns, **options)


def _colour(summary: Summary) -> str:
    return COLOURS.get(summary.name, ABLATION if summary.group == "ablation" else FIXED)


def _latency(summaries: Sequence[Summary], measured: Sequence[Measured]) -> Any:
    """Ratios with intervals; the distribution of latencies; first token and speed."""
    from matplotlib.ticker import LogLocator

    shown = [s for s in summaries if s.group != "curve"]
    figure, (left, middle, right) = _figure(3, 13, 3.2 + 0.18 * len(shown), width_ratios=(1.25, 1, 1))
    places = list(range(len(shown)))[::-1]
    for place, s in zip(places, shown, strict=True):
        low, high = s.ratio_interval
        left.barh(place, s.ratio, color=_colour(s), height=0.62)
        left.plot([low, high], [place, place], color="black", linewidth=1)
        label = f"{s.ratio:.2f}× (CPU time {s.cpu_ratio:.2f}×), {s.mean_ms:.0f} ms"
        plain = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # the line at 1 must not cross words
        left.text(max(high, s.ratio) + 0.02, place, label, va="center", fontsize=8, bbox=plain)
    left.axvline(1, color="black", linewidth=0.8, linestyle=":", zorder=1)
    left.set_yticks(places, [s.name for s in shown])
    left.set_xlim(0, max(1.0, *(s.ratio_interval[1] for s in shown)) * 1.95)
    left.set_xlabel("mean latency / static, 95 % interval")
    for s in shown:
        if s.name not in (STATIC, DYNAMIC, LOSSLESS):
            continue
        values = sorted(m.modes[s.name]["ms"] for m in measured)
        shares = [(i + 1) / len(values) for i in range(len(values))]
        label = f"{s.name}: P50 {s.p50_ms:.0f}, P99 {s.p99_ms:.0f} ms"
        middle.step(values, shares, where="post", color=_colour(s), label=label)
    middle.set_xscale("log")
    middle.xaxis.set_major_formatter("{x:.0f}")
    middle.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))  # a name at each of nine would overlap
    middle.xaxis.set_minor_formatter("{x:.0f}")
    middle.tick_params(axis="x", which="both", labelsize=7)
    middle.set_xlabel("latency, ms")
    middle.set_ylabel("share of requests")
    middle.legend(frameon=False, fontsize=7.5, loc="upper left")
    middle.set_ylim(0, 1.35)
    middle.set_yticks([0, 0.25, 0.5, 0.75, 1])
    main = [s for s in shown if s.name in (STATIC, DYNAMIC, LOSSLESS)]
    static = main[0]
    measures = (
        ("time to first\ntoken", lambda s: s.first_ms, "{:.0f} ms"),
        ("ms an\noutput token", lambda s: 1000 / s.decode_tokens_per_s, "{:.2f} ms"),
        ("layers a\ntoken", lambda s: s.layers, "{:.1f}"),
        ("output\ntokens", lambda s: s.output_tokens, "{:.0f}"),
    )
    for index, (_, value, form) in enumerate(measures):
        for offset, s in enumerate(main):
            height = value(s) / max(1e-9, value(static))
            at = index + 0.27 * (offset - 1)
            right.bar(at, height, width=0.25, color=_colour(s), label=s.name if not index else None)
            right.text(at, height + 0.02, form.format(value(s)), ha="center", va="bottom", fontsize=7, rotation=90)
    right.set_xticks(range(len(measures)), [name for name, _, _ in measures])
    right.set_ylabel("relative to static")
    right.set_ylim(0, 1.45 * max(1.0, *(value(s) / max(1e-9, value(static)) for s in main for _, value, _ in measures)))
    right.legend(frameon=False, fontsize=7.5, ncols=3, loc="upper center")
    return figure


def _curve(summaries: Sequence[Summary]) -> Any:
    """Quality over cost: answers and score, over mean latency."""
    figure, axes = _figure(2, 11, 4.4)
    by_name = {s.name: s for s in summaries}
    for axis, value, label in (
        (axes[0], lambda s: 100 * s.quality.correct, "right answers, %"),
        (axes[1], lambda s: 100 * s.quality.value, "score (counts partial credit), %"),
    ):
        fixed = sorted((s for s in summaries if s.name.startswith("fixed ")), key=lambda s: s.ratio)
        risks = sorted((s for s in summaries if s.name.startswith("risk ")), key=lambda s: s.ratio)
        if DYNAMIC in by_name and risks:
            risks = sorted([*risks, by_name[DYNAMIC]], key=lambda s: s.ratio)
        static = by_name[STATIC]
        if fixed:
            line = [*fixed, static]
            axis.plot([s.ratio for s in line], [value(s) for s in line], color=FIXED, alpha=0.4, linewidth=1, zorder=1)
        if risks:
            axis.plot([s.ratio for s in risks], [value(s) for s in risks], color=COLOURS[DYNAMIC], alpha=0.5, zorder=1)
        points = [(s, FIXED, "s", s.name + " layers") for s in fixed]
        points += [(s, COLOURS[DYNAMIC], "o", s.name) for s in risks]
        points += [(s, ABLATION, "^", s.name) for s in summaries if s.group == "ablation"]
        points += [(by_name[n], COLOURS[n], "D", n) for n in (STATIC, LOSSLESS)]
        if not risks:
            points.append((by_name[DYNAMIC], COLOURS[DYNAMIC], "o", DYNAMIC))
        for s, colour, marker, _ in points:
            axis.scatter(s.ratio, value(s), color=colour, marker=marker, s=42, zorder=3)
        if axis is axes[0]:
            for s, colour, _, _ in points:
                axis.plot([s.ratio] * 2, [100 * s.quality.low, 100 * s.quality.high], color=colour, alpha=0.18, lw=3)
        _name_points(axis, [(s.ratio, value(s), name, colour) for s, colour, _, name in points])
        axis.set_xlabel("mean latency / static")
        axis.set_ylabel(label)
        axis.grid(alpha=0.2)
    return figure


def _name_points(axis: Any, points: Sequence[tuple[float, float, str, str]]) -> None:
    """Names in a column at the right, each as near to its point's height as the others let it, and tied to it."""
    left, right = axis.get_xlim()
    bottom, top = axis.get_ylim()
    axis.set_xlim(left, right + 0.42 * (right - left))
    ordered = sorted(points, key=lambda p: (p[1], -p[0]))
    step = (top - bottom) / max(14, len(ordered))
    heights = [y for _, y, _, _ in ordered]
    for index in range(1, len(heights)):
        heights[index] = max(heights[index], heights[index - 1] + step)
    # So far they were only pushed up: down again by what they moved on average, and into the frame.
    shift = sum(h - p[1] for h, p in zip(heights, ordered, strict=True)) / max(1, len(heights))
    shift = max(shift, heights[-1] - (top - step / 2)) if heights else 0.0
    shift = min(shift, heights[0] - (bottom + step / 2)) if heights else 0.0
    for height, (x, y, name, colour) in zip(heights, ordered, strict=True):
        axis.annotate(
            name, (x, y), (right + 0.06 * (right - left), height - shift), fontsize=7.5, color=colour, va="center",
            arrowprops={"arrowstyle": "-", "color": colour, "alpha": 0.25, "linewidth": 0.6},
        )  # fmt: skip


def _memory(summaries: Sequence[Summary], measured: Sequence[Measured]) -> Any:
    """Live bytes by part, request by request in the order served, and their peaks."""
    figure, (left, right) = _figure(2, 12, 4.2, width_ratios=(1.5, 1))
    known = {s.name for s in summaries}
    for name in (name for name in (STATIC, DYNAMIC, LEAN) if name in known):
        rows = [m.modes[name] for m in measured]
        live = [(r["decoder_bytes"] + r["tower_bytes"] + r["kv_bytes"]) / 1e6 for r in rows]
        style = "--" if name == STATIC else "-"
        left.step(range(len(live)), live, style, where="mid", color=COLOURS[name], label=name, linewidth=1.2, zorder=3)
    left.set_xlabel("request, in the order served")
    left.set_ylabel("live memory, MB")
    left.set_ylim(0, None)
    left.legend(frameon=False, loc="lower right")
    bars = []
    for name in (name for name in (STATIC, DYNAMIC, LOSSLESS, LEAN) if name in known):
        for which in ("text", "all"):
            rows = [m.modes[name] for m in measured if which == "all" or not m.modes[name]["media"]]
            if rows:
                worst = max(rows, key=lambda r: r["decoder_bytes"] + r["tower_bytes"] + r["kv_bytes"])
                parts = [worst[key] / 1e6 for key in ("decoder_bytes", "tower_bytes", "kv_bytes")]
                bars.append((f"{name}, {which}", parts))
    for place, (_, parts) in enumerate(reversed(bars)):
        at = 0.0
        for (label, colour), size in zip(PARTS, parts, strict=True):
            right.barh(place, size, left=at, color=colour, height=0.6, label=label if place == 0 else None)
            at += size
        right.text(at + 2, place, f"{at:.0f}", va="center", fontsize=8)
    right.set_yticks(range(len(bars)), [name for name, _ in reversed(bars)])
    right.set_xlabel("peak live memory, MB (text requests; all requests)")
    right.set_xlim(0, 1.12 * max(sum(parts) for _, parts in bars))
    right.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def _quality(summaries: Sequence[Summary]) -> Any:
    """Right answers by category."""
    by_name = {s.name: s for s in summaries}
    categories = list(by_name[STATIC].categories)
    figure, axis = _figure(1, 8.5, 1.8 + 0.27 * len(categories))
    for offset, name in ((0.24, STATIC), (0.0, DYNAMIC), (-0.24, LOSSLESS)):
        for place, category in enumerate([*reversed(categories)], 1):
            _interval(axis, by_name[name].categories[category], place + offset, name)
        _interval(axis, by_name[name].quality, -0.3 + offset, name, label=name)
    counts = by_name[STATIC].categories
    labels = ["all", *(f"{c} ({counts[c].count})" for c in reversed(categories))]
    axis.set_yticks([-0.3, *range(1, len(categories) + 1)], labels)
    axis.axhline(0.35, color="#cbd5e1", linewidth=0.8)
    axis.set_xlim(-2, 102)
    axis.set_ylim(-0.9, len(categories) + 0.7)
    axis.grid(axis="x", alpha=0.2)
    axis.set_xlabel("right answers, %, with 95 % interval")
    axis.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def _interval(axis: Any, quality: Any, place: float, name: str, label: str | None = None) -> None:
    axis.plot([100 * quality.low, 100 * quality.high], [place, place], color=COLOURS[name], linewidth=1, alpha=0.5)
    axis.plot(100 * quality.correct, place, "o", color=COLOURS[name], markersize=4, label=label)
