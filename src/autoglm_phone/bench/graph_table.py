"""What `bench graph` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from autoglm_phone.bench.graph_modes import CONTROL, DYNAMIC, LEAN, LOSSLESS, STATIC
from autoglm_phone.bench.graph_summary import Summary

MB = 1e6
# (mode, what, attribute or sub-attribute, bound): the goals that one run on one machine can judge.
LATENCY_GOALS = ((DYNAMIC, 0.45), (LOSSLESS, 0.70))
MEMORY_GOAL = 0.60
LOSS_GOAL, CATEGORY_LOSS_GOAL = 0.01, 0.02


def tables(summaries: Sequence[Summary], energy: str) -> Iterator[str]:
    """All lines of the report."""
    by_name = {s.name: s for s in summaries}
    static = by_name[STATIC]
    yield ""
    yield (
        f"{'mode':20s} {'mean ms':>8s} {'P50':>7s} {'P99':>8s} {'first':>7s} {'tok/s':>6s} {'layers':>6s} "
        f"{'latency / static':>21s} {'CPU':>5s} {'first':>5s} {'tokens':>6s} {'same':>5s} {'right':>6s} {'lost':>6s}"
    )
    for s in summaries:
        low, high = s.ratio_interval
        yield (
            f"{s.name:20s} {s.mean_ms:8.0f} {s.p50_ms:7.0f} {s.p99_ms:8.0f} {s.first_ms:7.0f} {s.tokens_per_s:6.0f} "
            f"{s.layers:6.1f} {s.ratio:7.3f} ({low:.3f}–{high:.3f}) {s.cpu_ratio:5.2f} {s.first_ratio:5.2f} "
            f"{s.output_tokens:6.1f} {100 * s.identical:4.0f}% {100 * s.quality.correct:5.1f}% "
            f"{100 * s.quality.loss:+5.1f}%"
        )
    yield (f"`{CONTROL}` is the static engine a second time: its ratio's distance from 1 is this machine's noise.")
    yield ""
    yield (
        f"{'mode':20s} {'live MB, text':>14s} {'all: mean':>10s} {'peak':>7s} {'/ static':>15s} {'KV peak':>8s} "
        f"{'RSS':>7s} {'J':>7s}"
    )
    for s in summaries:
        if s.group == "curve":
            continue
        joules = "–" if s.joules is None else f"{s.joules:.2f}"
        yield (
            f"{s.name:20s} {s.live_peak_text / MB:14.1f} {s.live_mean / MB:10.1f} {s.live_peak / MB:7.1f} "
            f"{_over(s.live_peak_text, static.live_peak_text)} {_over(s.live_peak, static.live_peak)} "
            f"{s.kv_peak / MB:8.2f} {s.rss_peak / MB:7.0f} {joules:>7s}"
        )
    yield (
        "live: decoder weights with the buffers they are read into, loaded towers and pages in use, but not the "
        "system's page cache; `/ static` is its peak on text requests, then on all. RSS: of the process, which all "
        "dynamic modes share, and all lean ones."
    )
    yield energy
    yield from _towers(by_name[DYNAMIC], static)
    yield ""
    yield from _categories(by_name)
    yield ""
    yield from goals(by_name)


def _over(value: float, base: float) -> str:
    return f"{value / base:7.2f}" if base else f"{'–':>7s}"


def _towers(dynamic: Summary, static: Summary) -> Iterator[str]:
    if dynamic.cold_first_ms is not None and static.warm_first_ms is not None:
        warm = "–" if dynamic.warm_first_ms is None else f"{dynamic.warm_first_ms:.0f} ms"
        yield (
            f"first token of requests with media: dynamic {dynamic.cold_first_ms:.0f} ms where a tower had to be "
            f"loaded, {warm} where not; static {static.warm_first_ms:.0f} ms"
        )


def _categories(by_name: Mapping[str, Summary]) -> Iterator[str]:
    shown = [by_name[name] for name in (STATIC, DYNAMIC, LOSSLESS, LEAN) if name in by_name]
    yield f"{'right, 95 % interval':20s} {'n':>4s} " + " ".join(f"{s.name:>20s}" for s in shown) + f" {'lost':>7s}"
    for category in (*shown[0].categories, ""):
        rows = [s.categories[category] if category else s.quality for s in shown]
        cells = " ".join(f"{100 * q.correct:6.1f} ({100 * q.low:4.0f}–{100 * q.high:4.0f}) " for q in rows)
        yield f"{category or 'all':20s} {rows[0].count:4d} {cells} {100 * rows[1].loss:+6.1f}%"


def goals(by_name: Mapping[str, Summary]) -> Iterator[str]:
    """Reached or missed, and by how much."""
    for name, bound in LATENCY_GOALS:
        yield _verdict(f"{name}: mean latency / static", by_name[name].ratio, bound)
        yield _verdict(f"{name}: CPU time / static", by_name[name].cpu_ratio, bound)
    dynamic, static = by_name[DYNAMIC], by_name[STATIC]
    yield _verdict(f"{DYNAMIC}: answers lost overall", dynamic.quality.loss, LOSS_GOAL)
    worst = max(dynamic.categories, key=lambda c: dynamic.categories[c].loss)
    count = dynamic.categories[worst].count
    yield _verdict(
        f"{DYNAMIC}: answers lost in the worst category ({worst}, n = {count})",
        dynamic.categories[worst].loss,
        CATEGORY_LOSS_GOAL,
    )
    for name in (DYNAMIC, LEAN):
        if static.live_peak_text and name in by_name:
            ratio = by_name[name].live_peak_text / static.live_peak_text
            yield _verdict(f"{name}: peak live memory / static, text requests", ratio, MEMORY_GOAL)
    if LEAN in by_name:
        yield _verdict(f"{LEAN}: answers lost overall", by_name[LEAN].quality.loss, LOSS_GOAL)
    lossless = by_name[LOSSLESS]
    same = round(lossless.identical * lossless.requests)
    yield f"{LOSSLESS}: {same} of {lossless.requests} outputs identical to static's"


def _verdict(what: str, value: float, bound: float) -> str:
    return f"{what}: {value:.3f} (goal ≤ {bound:g}): {'reached' if value <= bound else 'missed'}"
