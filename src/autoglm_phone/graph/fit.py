"""Records → graph.json: thresholds for each risk, what fixed depths cost, how long thoughts are. No tensors."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from autoglm_phone.errors import ConfigError
from autoglm_phone.graph.calibrate import (
    Certified,
    Depths,
    Measure,
    Outcome,
    calibrate_bar,
    calibrate_dials,
    calibrate_exits,
    choose_depth,
    depth_loss,
    outcome,
    split,
)
from autoglm_phone.graph.graph_file import GraphFile, GroupRules
from autoglm_phone.graph.groups import GROUPS, Group
from autoglm_phone.graph.records import DIALS, Record
from autoglm_phone.graph.risk import CONFIDENCE

RISKS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
THOUGHT_SHARE, THOUGHT_SLACK = 0.995, 1.5  # a budget that hardly ever cuts a thought that would have ended well
Say = Callable[[str], None]
Fallback = Literal["none", "pooled"]


def fit_exits(
    base: GraphFile,
    records: Sequence[Record],
    risks: Sequence[float] = RISKS,
    *,
    seed: int = 0,
    measure: Measure = "token",
    delta: float = CONFIDENCE,
    fallback: Fallback = "none",
    say: Say = print,
) -> GraphFile:
    """The base with thresholds, of all requests together and of each group, thought budget and the report of all.

    Args:
        fallback: what a group goes by in which nothing could be certified at any risk: `none`, no early exit, so that
            the risk holds in every group; or `pooled`, thresholds that keep the risk over the sample's own mixture.

    Raises:
        ConfigError: no records.
    """
    if not records:
        raise ConfigError("there are no records to calibrate on")
    full = base.depths[-1]
    by_group = {group: [r for r in records if r.group == group] for group in GROUPS}
    shares = sum(bool(rows) for rows in by_group.values())  # of delta: groups that are tested at all
    thresholds: dict[float, dict[int, float]] = {}
    tables: dict[Group, dict[float, dict[int, float]]] = {group: {} for group in GROUPS}
    report: dict[str, Any] = {}
    reports: dict[Group, dict[str, Any]] = {group: {} for group in GROUPS}
    for risk in risks:
        found = _calibrate(records, (), base.depths, risk, seed, measure, delta)
        thresholds[risk] = {} if found is None else found.thresholds
        report[str(risk)] = None if found is None else _certified(found, full)
        say(_line(risk, found, full))
        for group, rows in by_group.items():
            others = [r for r in records if r.group != group]
            found = None
            if len(rows) > 1:
                found = _calibrate(rows, others, base.depths, risk, seed, measure, delta / shares)
            tables[group][risk] = {} if found is None else found.thresholds
            reports[group][str(risk)] = None if found is None else _certified(found, full)
            if rows:
                say(f"    {group:14s}{_line(risk, found, full)}")
    groups: dict[str, GroupRules] = {}
    for group, table in tables.items():
        count = len(by_group[group])
        if any(table.values()) or fallback == "none":
            before = base.groups.get(group)
            groups[group] = GroupRules(table, None if before is None else before.bars)
        if not any(table.values()):
            does = "leave by the pooled thresholds" if fallback == "pooled" else "do not leave early"
            say(f"  {group}: {count} requests certify no exit at any of these risks; such requests {does}")
    depths = by_depth(records)
    for depth, row in depths["all"].items():
        say(f"  fixed at {depth:>2} layers: accuracy {row['accuracy']:.3f}, score {row['value']:.3f}")
    dials = by_dial(records)
    for name, rows_of in dials.items():
        for dial, told in rows_of.items():
            say(
                f"  {name:14s} leaving at {dial}: {told['depth']:.1f} layers a token, {told['turned_wrong']:.4f} of "
                f"the answers turned wrong, {told['turned_right']:.4f} right"
            )
    return replace(
        base,
        thresholds=thresholds,
        groups=groups,
        measure=measure,
        delta=delta,
        thought=thought_budget(records),
        report={**base.report, "exits": report, "groups": reports, "fixed": depths, "dials": dials},
    )


def _calibrate(
    rows: Sequence[Record],
    others: Sequence[Record],
    depths: Sequence[int],
    risk: float,
    seed: int,
    measure: Measure,
    delta: float,
) -> Certified | None:
    """others: requests that may make candidates, if the measure needs any made."""
    exits, full = depths[:-1], depths[-1]
    if measure != "score":
        made = [r.exits for r in others]
        return calibrate_exits(
            [r.exits for r in rows], exits, full, risk, seed=seed, measure=measure, delta=delta, others=made
        )
    dials = [dial for dial in DIALS if all(dial in r.dialled for r in rows)]
    return calibrate_dials(
        {dial: [loss_of(r, dict.fromkeys(exits, dial), full, measure) for r in rows] for dial in dials},
        exits,
        risk,
        delta=delta,
    )


def loss_of(record: Record, thresholds: Mapping[int, float], full: int, measure: str) -> Outcome:
    """What thresholds do to a request.

    Raises:
        ConfigError: the measure is `score`, and the record does not hold the answer under these thresholds.
    """
    if measure != "score":
        return outcome(record.exits, thresholds, full, "answer" if measure == "answer" else "token")
    found = record.dialled.get(next(iter(thresholds.values())))
    if found is None or len(set(thresholds.values())) != 1:
        raise ConfigError(f"the record {record.id} holds no answer under the thresholds {dict(thresholds)}")
    return Outcome(float(record.correct[full] and not found.correct), found.layers)


def by_dial(records: Sequence[Record]) -> dict[str, dict[str, dict[str, float]]]:
    """Group → confidence of DIALS → layers a token, and the shares of answers that it turns wrong, or right."""
    out: dict[str, dict[str, dict[str, float]]] = {}
    for group in GROUPS:
        rows = [r for r in records if r.group == group and r.dialled]
        if not rows:
            continue
        out[group] = {}
        for dial in rows[0].dialled:
            pairs = [(r.correct[r.full], r.dialled[dial]) for r in rows if dial in r.dialled]
            out[group][f"{dial:g}"] = {
                "depth": round(sum(d.layers for _, d in pairs) / len(pairs), 2),
                "turned_wrong": round(sum(right and not d.correct for right, d in pairs) / len(pairs), 5),
                "turned_right": round(sum(d.correct and not right for right, d in pairs) / len(pairs), 5),
            }
    return out


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
    bars, report = _bars(held_out, risks, delta, say, "")
    groups = dict(base.groups)
    reports: dict[str, Any] = {}
    shares = len({record.group for record, _ in held_out})
    for group in GROUPS:
        rows = [(record, chances) for record, chances in held_out if record.group == group]
        own: dict[float, float] = {}
        if rows:
            own, reports[group] = _bars(rows, risks, delta / shares, say, f"{group:15s}")
        before = groups.get(group)
        if before is not None or rows:
            # Pooled thresholds stay in force where a group has none of its own.
            groups[group] = GroupRules(base.thresholds if before is None else before.thresholds, own)
    return replace(base, bars=bars, groups=groups, report={**base.report, "bars": report, "group_bars": reports})


def _bars(
    held_out: Sequence[tuple[Record, Mapping[int, float]]], risks: Sequence[float], delta: float, say: Say, name: str
) -> tuple[dict[float, float], dict[str, Any]]:
    """(bar of each risk that could be certified, report)"""
    requests = [Depths(probabilities, record.values) for record, probabilities in held_out]
    bars: dict[float, float] = {}
    report: dict[str, Any] = {}
    for risk in risks:
        bar = calibrate_bar(requests, risk, delta=delta)
        if bar is None:
            report[str(risk)] = None
            say(f"  {name}risk {risk:g}: no planned depth certified on {len(requests)} requests")
            continue
        bars[risk] = bar
        loss = sum(depth_loss(r, bar) for r in requests) / len(requests)
        depth = sum(choose_depth(r.probabilities, bar) for r in requests) / len(requests)
        report[str(risk)] = {"bar": bar, "loss": round(loss, 5), "depth": round(depth, 2), "requests": len(requests)}
        say(f"  {name}risk {risk:g}: bar {bar:.3f}, lost score {loss:.4f}, mean planned depth {depth:.1f}")
    return bars, report


def check_exits(found: GraphFile, records: Sequence[Record], *, say: Say = print) -> bool:
    """Prints measured against stated risks on these records, in every group and overall, each request by the thresholds
    that it would be served with; False if one is exceeded beyond what chance explains."""
    full, holds = found.depths[-1], True
    for risk in sorted(found.thresholds):
        chosen = [(r, found.thresholds_for(risk, r.group)) for r in records]
        results = {
            r.id: Outcome(0.0, float(full)) if own is None else loss_of(r, own[1], full, found.measure)
            for r, own in chosen
        }
        if all(own is None for _, own in chosen):
            continue
        for group in (None, *GROUPS):
            rows = [r for r in records if group in (None, r.group)]
            if not rows or (group is not None and found.thresholds_for(risk, group) is None):
                continue
            losses = [results[r.id].loss for r in rows]
            mean = sum(losses) / len(losses)
            spread = math.sqrt(sum((loss - mean) ** 2 for loss in losses)) / len(losses)
            depth = sum(results[r.id].depth for r in rows) / len(rows)
            broken = mean - 2 * spread > risk
            holds &= not broken
            say(
                f"  risk {risk:g}{'' if group is None else f', {group}'}: measured {mean:.4f} ± {2 * spread:.4f} on "
                f"{len(rows)} fresh requests, {depth:.1f} of {full} layers a token{': EXCEEDED' if broken else ''}"
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
