"""Records → graph.json: thresholds for each risk, what fixed depths cost, how long thoughts are. No tensors."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from autoglm_phone.errors import ConfigError
from autoglm_phone.graph.calibrate import (
    Certified,
    Depths,
    Measure,
    calibrate_bar,
    calibrate_exits,
    choose_depth,
    depth_loss,
    outcome,
    split,
)
from autoglm_phone.graph.graph_file import GraphFile
from autoglm_phone.graph.records import Record
from autoglm_phone.graph.risk import CONFIDENCE

RISKS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
THOUGHT_SHARE, THOUGHT_SLACK = 0.995, 1.5  # a budget that hardly ever cuts a thought that would have ended well
Say = Callable[[str], None]


def fit_exits(
    base: GraphFile,
    records: Sequence[Record],
    risks: Sequence[float] = RISKS,
    *,
    seed: int = 0,
    measure: Measure = "token",
    delta: float = CONFIDENCE,
    say: Say = print,
) -> GraphFile:
    """The base with thresholds, thought budget and the report of both.

    Raises:
        ConfigError: no records.
    """
    if not records:
        raise ConfigError("there are no records to calibrate on")
    full, exits = base.depths[-1], base.depths[:-1]
    requests = [r.exits for r in records]
    thresholds: dict[float, dict[int, float]] = {}
    report: dict[str, Any] = {}
    for risk in risks:
        found = calibrate_exits(requests, exits, full, risk, seed=seed, measure=measure, delta=delta)
        thresholds[risk] = {} if found is None else found.thresholds
        report[str(risk)] = None if found is None else _certified(found, full)
        say(_line(risk, found, full))
    depths = by_depth(records)
    for depth, row in depths["all"].items():
        say(f"  fixed at {depth:>2} layers: accuracy {row['accuracy']:.3f}, score {row['value']:.3f}")
    return replace(
        base,
        thresholds=thresholds,
        measure=measure,
        delta=delta,
        thought=thought_budget(records),
        report={**base.report, "exits": report, "fixed": depths},
    )


def by_depth(records: Sequence[Record]) -> dict[str, dict[str, dict[str, float]]]:
    """Category ("all" among them) → depth → accuracy and mean score of answers at that fixed depth."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups["all"].append(record)
        groups[record.category].append(record)
    return {
        name: {
            str(depth): {
                "accuracy": round(sum(r.correct[depth] for r in rows) / len(rows), 4),
                "value": round(sum(r.values[depth] for r in rows) / len(rows), 4),
            }
            for depth in sorted(rows[0].values)
        }
        for name, rows in groups.items()
    }


def thought_budget(records: Sequence[Record]) -> int | None:
    """Tokens within which nearly all thoughts of right answers end; None without thoughts."""
    lengths = sorted(r.thought for r in records if r.correct[r.full] and r.thought > 0)
    if not lengths:
        return None
    return math.ceil(THOUGHT_SLACK * lengths[min(len(lengths) - 1, math.floor(THOUGHT_SHARE * len(lengths)))])


def thought_factor(expected: Sequence[tuple[Record, float]]) -> float | None:
    """Multiple of the expected output within which nearly all thoughts of right answers end; None without thoughts.

    expected: records that the probe has not seen, with the output tokens that it expected.
    """
    ratios = sorted(r.thought / max(1.0, tokens) for r, tokens in expected if r.correct[r.full] and r.thought > 0)
    if not ratios:
        return None
    return round(THOUGHT_SLACK * ratios[min(len(ratios) - 1, math.floor(THOUGHT_SHARE * len(ratios)))], 3)


def fit_bars(
    base: GraphFile,
    held_out: Sequence[tuple[Record, Mapping[int, float]]],
    risks: Sequence[float] = RISKS,
    *,
    delta: float = CONFIDENCE,
    say: Say = print,
) -> GraphFile:
    """The base with the bars of planned depth.

    held_out: records that the probe has not seen, with its probabilities.
    """
    requests = [Depths(probabilities, record.values) for record, probabilities in held_out]
    bars: dict[float, float] = {}
    report: dict[str, Any] = {}
    for risk in risks:
        bar = calibrate_bar(requests, risk, delta=delta)
        if bar is None:
            report[str(risk)] = None
            say(f"  risk {risk:g}: no planned depth certified on {len(requests)} requests")
            continue
        bars[risk] = bar
        loss = sum(depth_loss(r, bar) for r in requests) / len(requests)
        depth = sum(choose_depth(r.probabilities, bar) for r in requests) / len(requests)
        report[str(risk)] = {"bar": bar, "loss": round(loss, 5), "depth": round(depth, 2), "requests": len(requests)}
        say(f"  risk {risk:g}: bar {bar:.3f}, lost score {loss:.4f}, mean planned depth {depth:.1f}")
    return replace(base, bars=bars, report={**base.report, "bars": report})


def check_exits(found: GraphFile, records: Sequence[Record], *, say: Say = print) -> bool:
    """Prints measured against stated risks on these records; False if one is exceeded beyond what chance explains."""
    full, holds = found.depths[-1], True
    for risk, thresholds in sorted(found.thresholds.items()):
        if not thresholds:
            continue
        results = [
            outcome(r.exits, thresholds, full, "answer" if found.measure == "answer" else "token") for r in records
        ]
        losses = [r.loss for r in results]
        mean = sum(losses) / len(losses)
        spread = math.sqrt(sum((loss - mean) ** 2 for loss in losses)) / len(losses)
        depth = sum(r.depth for r in results) / len(results)
        broken = mean - 2 * spread > risk
        holds &= not broken
        say(
            f"  risk {risk:g}: measured {mean:.4f} ± {2 * spread:.4f} on {len(records)} fresh requests, {depth:.1f} of "
            f"{full} layers a token{': EXCEEDED' if broken else ''}"
        )
    return holds


def halves(records: Sequence[Record], seed: int) -> tuple[list[Record], list[Record]]:
    """(to train the probe on, to test it and certify bars on)"""
    return split(sorted(records, key=lambda r: r.id), seed)


def _certified(found: Certified, full: int) -> dict[str, float]:
    return {
        "loss": round(found.loss, 5),
        "depth": round(found.depth, 2),
        "share_of_layers": round(found.depth / full, 4),
        "requests": found.requests,
    }


def _line(risk: float, found: Certified | None, full: int) -> str:
    if found is None:
        return f"  risk {risk:g}: no exit certified (more records, or a larger risk, would be needed)"
    shown = ", ".join(f"{depth}: {threshold:.4f}" for depth, threshold in found.thresholds.items())
    return (
        f"  risk {risk:g}: measured {found.loss:.4f} on {found.requests} requests, {found.depth:.1f} of {full} layers "
        f"a token; thresholds {shown}"
    )
