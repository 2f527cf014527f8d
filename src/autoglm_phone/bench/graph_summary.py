"""Measurements of `bench graph` → figures of each mode, each with its ratio to the static engine in the same run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from autoglm_phone.bench.graph import Measured
from autoglm_phone.bench.graph_modes import STATIC, Mode
from autoglm_phone.train.world.scoring import wilson

DRAWS = 2000  # of the bootstrap
Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Quality:
    """correct: share of right answers, with its Wilson 95 % interval. value: mean score, which counts partial credit.
    loss: how much less right than static, with a bootstrap interval over requests; lost_value: the same of the score.
    """

    count: int
    correct: float
    low: float
    high: float
    value: float
    loss: float
    loss_interval: Interval
    lost_value: float


@dataclass(frozen=True)
class Summary:
    """Milliseconds, bytes, joules. ratio: mean latency over static's, paired by request, 95 % bootstrap interval.

    layers: mean depth at which output tokens were read. caught_up: tokens that deeper segments processed later, an
    output token. live: decoder, loaded towers and pages at most; peak over requests and mean. identical: share of
    requests with the very tokens of static.
    """

    name: str
    group: str
    requests: int
    mean_ms: float
    p50_ms: float
    p99_ms: float
    first_ms: float
    first_p50_ms: float
    tokens_per_s: float
    decode_tokens_per_s: float
    layers: float
    caught_up: float
    accepted: float | None
    output_tokens: float
    ratio: float
    ratio_interval: Interval
    cpu_ratio: float
    first_ratio: float
    live_peak: int
    live_mean: float
    live_peak_text: int
    live_mean_text: float
    kv_peak: int
    kv_mean: float
    rss_peak: int
    joules: float | None
    cold_first_ms: float | None
    warm_first_ms: float | None
    identical: float
    quality: Quality
    categories: dict[str, Quality] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def summarize(measured: Sequence[Measured], modes: Sequence[Mode], seed: int) -> list[Summary]:
    """One summary a mode, in their order."""
    generator = np.random.default_rng(seed)
    draws = generator.integers(0, len(measured), (DRAWS, len(measured)))
    static = [m.modes[STATIC] for m in measured]
    return [_summary(mode, [m.modes[mode.name] for m in measured], static, measured, draws) for mode in modes]


def _summary(
    mode: Mode,
    rows: Sequence[Mapping[str, Any]],
    static: Sequence[Mapping[str, Any]],
    measured: Sequence[Measured],
    draws: npt.NDArray[np.int64],
) -> Summary:
    ms, base = _column(rows, "ms"), _column(static, "ms")
    first, tokens = _column(rows, "first_ms"), _column(rows, "tokens")
    cpu = _column(rows, "cpu_ms").sum() / max(1e-9, _column(static, "cpu_ms").sum())
    ratios = ms[draws].sum(1) / base[draws].sum(1)
    depths: dict[int, int] = defaultdict(int)
    for row in rows:
        for depth, count in row["depths"].items():
            depths[int(depth)] += count
    read = sum(depths.values())
    drafted = sum(row["drafted"] for row in rows)
    live = np.array([row["decoder_bytes"] + row["tower_bytes"] + row["kv_bytes"] for row in rows])
    text = np.array([not row["media"] for row in rows])
    joules = [row["joules"] for row in rows]
    cold = [row["first_ms"] for row in rows if row["media"] and row["cold"]]
    warm = [row["first_ms"] for row in rows if row["media"] and not row["cold"]]
    groups: dict[str, list[int]] = defaultdict(list)
    for index, m in enumerate(measured):
        groups[m.where[1]].append(index)
    return Summary(
        name=mode.name,
        group=mode.group,
        requests=len(rows),
        mean_ms=float(ms.mean()),
        p50_ms=float(np.percentile(ms, 50)),
        p99_ms=float(np.percentile(ms, 99)),
        first_ms=float(first.mean()),
        first_p50_ms=float(np.percentile(first, 50)),
        tokens_per_s=float(1000 * tokens.sum() / ms.sum()),
        decode_tokens_per_s=float(1000 * np.maximum(0, tokens - 1).sum() / max(1e-9, (ms - first).sum())),
        layers=sum(depth * count for depth, count in depths.items()) / max(1, read),
        caught_up=sum(sum(row["caught_up"].values()) for row in rows) / max(1, read),
        accepted=sum(row["accepted"] for row in rows) / drafted if drafted else None,
        output_tokens=float(tokens.mean()),
        ratio=float(ms.sum() / base.sum()),
        ratio_interval=_interval(ratios),
        cpu_ratio=float(cpu),
        first_ratio=float(first.sum() / _column(static, "first_ms").sum()),
        live_peak=int(live.max()),
        live_mean=float(live.mean()),
        live_peak_text=int(live[text].max()) if text.any() else 0,
        live_mean_text=float(live[text].mean()) if text.any() else 0.0,
        kv_peak=int(_column(rows, "kv_bytes").max()),
        kv_mean=float(_column(rows, "kv_bytes").mean()),
        rss_peak=int(_column(rows, "rss").max()),
        joules=None if any(j is None for j in joules) else float(np.mean(joules)),
        cold_first_ms=float(np.mean(cold)) if cold else None,
        warm_first_ms=float(np.mean(warm)) if warm else None,
        identical=sum(a["digest"] == b["digest"] for a, b in zip(rows, static, strict=True)) / len(rows),
        quality=_quality(rows, static, draws),
        categories={
            name: _quality([rows[i] for i in group], [static[i] for i in group], None)
            for name, group in sorted(groups.items())
        },
    )


def _quality(
    rows: Sequence[Mapping[str, Any]], static: Sequence[Mapping[str, Any]], draws: npt.NDArray[np.int64] | None
) -> Quality:
    right, base = _column(rows, "correct"), _column(static, "correct")
    low, high = wilson(int(right.sum()), len(rows))
    if draws is None:  # a category
        draws = np.random.default_rng(0).integers(0, len(rows), (DRAWS, len(rows)))
    lost = base - right
    return Quality(
        count=len(rows),
        correct=float(right.mean()),
        low=low,
        high=high,
        value=float(_column(rows, "value").mean()),
        loss=float(lost.mean()),
        loss_interval=_interval(lost[draws].mean(1)),
        lost_value=float((_column(static, "value") - _column(rows, "value")).mean()),
    )


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> Floats:
    return np.array([row[name] for row in rows], dtype=np.float64)


def _interval(values: Floats) -> Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
