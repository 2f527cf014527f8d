"""Dynamic depth on a GPU: CUDA graphs per segment and bucket, replaying a recorded depth mix, against static depth.

    python benchmarks/segment_replay.py [--batches 1 8 32] [--seconds 4] [--exit-vocab 0] [--out DIR]
    python benchmarks/segment_replay.py --device cpu --layers 8 --hidden 64 --ffn 128 --heads 4 --vocab 512 --context 64
    python benchmarks/segment_replay.py --record [--mini DIR] [--risk 0.01]

GLM-4.1V-9B's text decoder with random weights; exits after a quarter, a half and three quarters of the layers. Only the
outcome of an exit comes from the mix (benchmarks/data/depth_mix.json, made by --record from the mini model's traces);
logits and confidences are computed and read back at each boundary where somebody is asked. Both sides use the same
graphs, begin with the same contexts (of random keys and values) and count emitted tokens.

static: every token runs all segments. confidence: tokens leave where the trace says; of several ways of letting rows
wait for company at a boundary (`hold`), the one whose passes cost least is taken, at 0 none waits. lossless: the first
segment drafts, the others check.

A step is a token of every row. due: layers really run / all layers, times the static step. due+: the same with every
read of logits counted as the layers that have as many weights, on both sides. host: time that no graph ran.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autoglm_phone.backends.cuda_graphs import BUCKETS, SCRATCH_ROW, ZERO_ROW, DecodeRows, SegmentGraphs
from autoglm_phone.bench.power import gpu_meter
from autoglm_phone.bench.replay import Layout, Program, Replay, choose_hold
from autoglm_phone.bench.replay_mix import DepthMix, read_mix, record
from autoglm_phone.bench.replay_model import ShortHead, Size, check, random_decoder, weight_bytes
from autoglm_phone.errors import AutoGLMError

DATA = Path(__file__).parent / "data" / "depth_mix.json"
BUNDLED = Path(__file__).parents[1] / "src" / "autoglm_phone" / "models" / "mini"
BANDWIDTH = 4.3e12  # bytes a second that an H200 was measured to read
MORE_BUCKETS = (96, 128, 192, 256)  # for many lanes with tokens that catch up
PAGE = 16
Costs = dict[tuple[str, int, int], float]


def pick_buckets(batches: list[int]) -> tuple[int, ...]:
    most = max(batches)
    return BUCKETS if most <= 8 else (*BUCKETS, *MORE_BUCKETS)


def make_layout(args: argparse.Namespace, spec: Any, mix: DepthMix, lanes: int) -> Layout:
    """Pages of all lanes, scattered over the pool as they would be after a while."""
    longest = max(max(map(len, mix.confidence)), max(sum(d + 1 for _, d in r) for r in mix.lossless))
    pages = -(-(args.context * 11 // 10 + longest + 16) // PAGE)
    segments = len(spec.segments)
    numbers = np.random.default_rng(args.seed).permutation(lanes * segments * pages) + 1  # page 0 is scratch
    tables = numbers.reshape(lanes, segments, pages).astype(np.int64)
    ends = tuple(end for _, end in spec.segments)
    return Layout(ends, spec.head_in_layers, tables, PAGE, lanes * (longest + 16), 3, args.context)


def time_graphs(graphs: SegmentGraphs, layout: Layout, device: torch.device) -> Costs:
    """ms of every pass alone, with full contexts; its rows read zeros and write to the scratch row and page."""
    costs: Costs = {}
    lanes = layout.tables.shape[0]
    for bucket in graphs.buckets:
        nothing = np.zeros(bucket, dtype=np.int64)
        tables = layout.tables[np.arange(bucket) % lanes, 0]
        lengths = np.full(bucket, layout.context)
        graphs.load(
            bucket,
            DecodeRows(nothing + ZERO_ROW, nothing + SCRATCH_ROW, nothing, np.tile(lengths, (3, 1)), tables, lengths),
        )
        for kind, count in (("run", range(graphs.num_segments)), ("read", range(1, graphs.num_segments + 1))):
            for index in count:
                costs[kind, index, bucket] = _time(lambda k=kind, i=index, b=bucket: graphs.replay(k, i, b), device)
    return costs


def _time(call: Callable[[], None], device: torch.device, rounds: int = 5) -> float:
    with torch.inference_mode():
        call()
        if device.type != "cuda":
            start = time.perf_counter()
            call()
            return 1000 * (time.perf_counter() - start)
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        for _ in range(rounds):
            call()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / rounds


class Side:
    """One way to run, warmed up and measured."""

    def __init__(self, name: str, replay: Replay, step: Callable[[], None]):
        self.name, self.replay, self.step = name, replay, step

    def measure(self, seconds: float, device: torch.device, joules: Callable[[], float] | None) -> dict[str, float]:
        def wait() -> None:
            if device.type == "cuda":
                torch.cuda.synchronize(device)

        until = time.perf_counter() + seconds / 8
        while time.perf_counter() < until:
            self.step()
        wait()
        # A new tally, so that what was only warm-up does not count.
        self.replay.tally = type(self.replay.tally)()
        before, start = joules() if joules else 0.0, time.perf_counter()
        while time.perf_counter() - start < seconds or not self.replay.tally.tokens:
            self.step()
        wait()
        took = time.perf_counter() - start
        return {"seconds": took, "joules": joules() - before if joules else float("nan")}


def graph_ms(replay: Replay, costs: Costs) -> float:
    tally = replay.tally
    runs = sum(costs["run", segment, bucket] * n for (segment, bucket), n in tally.passes.items())
    return runs + sum(costs["read", boundary, bucket] * n for (boundary, bucket), n in tally.reads.items())


def summarize(
    side: Side, measured: dict[str, float], batch: int, layout: Layout, costs: Costs, tokens_a_request: float
) -> dict[str, Any]:
    tally, whole = side.replay.tally, layout.ends[-1]
    steps = tally.tokens / batch  # a token of every row
    layers, reads = tally.layers(layout.ends) / steps, tally.num_reads / steps
    wall = 1000 * measured["seconds"] / steps
    return {
        "name": side.name,
        "step_ms": wall,
        "layers": layers,
        "layers_share": layers / whole,
        "reads": reads,
        "rows": tally.rows / tally.tokens,
        "riders": tally.riders / tally.tokens,
        "host_ms": wall - graph_ms(side.replay, costs) / steps,
        "joules_a_request": measured["joules"] / tally.tokens * tokens_a_request,
        "watts": measured["joules"] / measured["seconds"],
        "tokens_s": tally.tokens / measured["seconds"],
    }


def compare(row: dict[str, Any], static: dict[str, Any], layout: Layout) -> None:
    """Add what the row is to be judged by."""
    whole, head = layout.ends[-1], layout.head
    row["of_static"] = row["step_ms"] / static["step_ms"]
    row["of_due"] = row["step_ms"] / (row["layers_share"] * static["step_ms"])
    weighed = (row["layers"] + head * row["reads"]) / (whole + head * static["reads"])
    row["of_due_plus"] = row["step_ms"] / (weighed * static["step_ms"])
    row["energy_of_static"] = row["joules_a_request"] / static["joules_a_request"]


def run_batch(
    args: argparse.Namespace, graphs: SegmentGraphs, layout: Layout, mix: DepthMix, costs: Costs, batch: int, meter: Any
) -> dict[str, Any]:
    device, seed = graphs.model.backend.device, args.seed
    whole = layout.num_segments
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(mix.confidence)).tolist()
    shallow: list[Program] = [tuple((n, 1) for n in mix.confidence[i]) for i in order]
    deep: list[Program] = [tuple((whole, 1) for _ in program) for program in shallow]
    drafted: list[Program] = [tuple((drafts, tokens) for tokens, drafts in mix.lossless[i]) for i in order]
    mean = statistics.mean(map(len, shallow))
    expected = choose_hold(costs, graphs.buckets, layout, shallow, batch, seed=seed)
    hold = min(expected, key=lambda share: expected[share])
    sides = []
    for name, programs, share in (
        ("static", deep, 0.0), ("confidence", shallow, 0.0), ("confidence, hold", shallow, hold),
        ("lossless", drafted, 0.0),
    ):  # fmt: skip
        if name == "confidence, hold" and not hold:
            continue
        replay = Replay(graphs, layout, programs, batch, hold=share, seed=seed, asks=name != "static")
        sides.append(Side(name, replay, replay.lossless_step if name == "lossless" else replay.turn))
    rows = []
    for side in sides:
        measured = side.measure(args.seconds, device, meter.joules)
        rows.append(summarize(side, measured, batch, layout, costs, mean))
        compare(rows[-1], rows[0], layout)
    return {"batch": batch, "hold": hold, "expected_ms": {str(k): v for k, v in expected.items()}, "rows": rows}


def show(result: dict[str, Any], limit_ms: float) -> None:
    print(f"\nbatch {result['batch']} (hold {result['hold']:g}; weights alone {limit_ms:.2f} ms a static step)")
    print(
        f"{'':>17} {'step ms':>8} {'tok/s':>8} {'of static':>9} {'layers':>7} {'/all':>6} {'of due':>7} {'of due+':>8} "
        f"{'reads':>6} {'riders':>7} {'host ms':>8} {'J/req':>7} {'of static':>9}"
    )
    for row in result["rows"]:
        print(
            f"{row['name']:>17} {row['step_ms']:8.3f} {row['tokens_s']:8.0f} {row['of_static']:9.3f} "
            f"{row['layers']:7.2f} {row['layers_share']:6.3f} {row['of_due']:7.3f} {row['of_due_plus']:8.3f} "
            f"{row['reads']:6.2f} {row['riders']:7.2f} {row['host_ms']:8.3f} {row['joules_a_request']:7.2f} "
            f"{row['energy_of_static']:9.3f}"
        )


def _finite(tree: Any) -> Any:
    """JSON has no NaN: what was not measured is null."""
    if isinstance(tree, dict):
        return {key: _finite(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_finite(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree


def plot(results: list[dict[str, Any]], path: Path) -> None:
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError:
        print("no plot: matplotlib is not installed")
        return
    figure, axes = plt.subplots(1, 2, figsize=(11, 4))
    modes = list(dict.fromkeys(row["name"] for result in results for row in result["rows"][1:]))
    for number, mode in enumerate(modes):
        found = [(result, row) for result in results for row in result["rows"] if row["name"] == mode]
        xs, ys = [row["layers_share"] for _, row in found], [row["of_static"] for _, row in found]
        axes[0].scatter(xs, ys, label=mode)
        for (result, _), x, y in zip(found, xs, ys, strict=True):
            axes[0].annotate(str(result["batch"]), (x, y), textcoords="offset points", xytext=(-4, 6), fontsize=8)
        batches = [[r["batch"] for r in results].index(result["batch"]) for result, _ in found]
        width = 0.8 / len(modes)
        energy = [row["joules_a_request"] / result["rows"][0]["joules_a_request"] for result, row in found]
        axes[1].bar([b + (number - (len(modes) - 1) / 2) * width for b in batches], energy, width, label=mode)
    axes[0].plot([0, 1], [0, 1], "k--", label="due")
    axes[0].plot([0, 1], [0, 1.1], "k:", label="due + 10 %")
    axes[0].set(
        xlabel="layers run / all layers", ylabel="step time / static step time", title="batch beside each point"
    )
    axes[0].legend()
    axes[1].axhline(1.0, color="k", linestyle="--", linewidth=1)
    axes[1].axhline(0.6, color="k", linestyle=":", linewidth=1, label="target")
    axes[1].set_xticks(range(len(results)), [f"batch {result['batch']}" for result in results])
    axes[1].set(ylabel="J per request / static", title="energy")
    axes[1].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def replay(args: argparse.Namespace) -> int:
    mix = read_mix(args.mix)
    device = torch.device("cuda", 0) if args.device == "cuda" else torch.device(args.device)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    size = Size(args.layers, args.hidden, args.ffn, args.heads, args.kv_heads, args.vocab)
    if len(size.spec().segments) != mix.num_segments:
        raise SystemExit(f"--layers {args.layers} gives no {mix.num_segments} segments, as the mix has")
    layout = make_layout(args, size.spec(), mix, max(args.batches))
    start = time.perf_counter()
    decoder = random_decoder(size, device, dtype, layout.tables.size + 1, PAGE, args.seed)
    if device.type == "cuda":
        torch.cuda.synchronize()
    built = time.perf_counter() - start
    bytes_static = weight_bytes(decoder)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    print(
        f"machine: {name}, {os.cpu_count()} CPUs, torch {torch.__version__}; seed {args.seed}\n"
        f"model: {args.layers} layers, hidden {args.hidden}, vocabulary {args.vocab}, {dtype}, exits after "
        f"{', '.join(map(str, layout.ends[:-1]))}; {bytes_static / 1e9:.2f} GB read by a static step, "
        f"made in {built:.1f} s\n"
        f"mix: {len(mix.confidence)} requests of {mix.model}, risk {mix.risk:g} "
        f"({'certified' if mix.certified else 'thresholds of other weights'}), tokens leaving after each segment "
        f"{', '.join(f'{share:.0%}' for share in mix.shares)}; context {args.context}; "
        f"output head = {layout.head:.2f} layers"
    )
    graphs = SegmentGraphs(
        decoder,
        rows=layout.rows,
        max_pages=layout.tables.shape[2],
        buckets=pick_buckets(args.batches),
        page_size=PAGE,
        exit_head=ShortHead(decoder, args.exit_vocab) if args.exit_vocab else None,
    )
    if graphs.captures:
        before = torch.cuda.mem_get_info(device)[0]
        graphs.capture_all()
        used = before - torch.cuda.mem_get_info(device)[0]
        print(
            f"{graphs.num_graphs} graphs captured in {graphs.capture_seconds:.1f} s, {used / 1e6:.0f} MB more; "
            f"{torch.cuda.max_memory_allocated(device) / 1e9:.2f} GB allocated at most"
        )
    captured = graphs.num_graphs
    found = check(decoder, graphs, layout, seed=args.seed)
    waiting = check(decoder, graphs, layout, hold=1.0, seed=args.seed)
    for what, one in (("rows go on at once", found), ("rows wait for company", waiting)):
        print(
            f"check, {what}: {one.rows} boundary states, up to {one.largest_pass} rows a pass, relative error "
            f"{one.graphs:.2e} (a plain eager pass: {one.plain:.2e}): {'passed' if one.passed else 'FAILED'}"
        )
    costs = time_graphs(graphs, layout, device)
    widest = graphs.buckets[-1]
    for bucket in graphs.buckets:
        runs = "  ".join(f"{costs['run', s, bucket]:.3f}" for s in range(graphs.num_segments))
        exits = "  ".join(f"{costs['read', b, bucket]:.3f}" for b in range(1, graphs.num_segments + 1))
        print(f"  {bucket:>{len(str(widest))}} rows: segments {runs} ms, reads {exits} ms")
    meter = gpu_meter() if device.type == "cuda" else gpu_meter(None)
    print(f"energy: {meter.source}")
    results = []
    for batch in args.batches:
        results.append(run_batch(args, graphs, layout, mix, costs, batch, meter))
        show(results[-1], 1000 * bytes_static / BANDWIDTH)
    recaptured = graphs.num_graphs - captured
    print(f"\ngraphs captured while replaying: {recaptured if graphs.captures else 'none, there is no GPU'}")
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        report = {
            "machine": name,
            "torch": torch.__version__,
            "seed": args.seed,
            "size": vars(size),
            "mix": {"model": mix.model, "risk": mix.risk, "certified": mix.certified, "shares": mix.shares},
            "weight_bytes": bytes_static,
            "limit_ms": 1000 * bytes_static / BANDWIDTH,
            "graphs": graphs.num_graphs,
            "capture_seconds": graphs.capture_seconds,
            "check": [vars(found) | {"passed": found.passed}, vars(waiting) | {"passed": waiting.passed}],
            "costs_ms": {f"{kind} {index} {bucket}": ms for (kind, index, bucket), ms in costs.items()},
            "energy": meter.source,
            "results": results,
        }
        (args.out / "segment_replay.json").write_text(json.dumps(_finite(report), indent=1) + "\n", encoding="utf-8")
        plot(results, args.out / "segment_replay.png")
    return 0 if found.passed and waiting.passed and not recaptured else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Size()
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--context", type=int, default=1024, help="tokens before the answer, give or take a tenth")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--layers", type=int, default=default.layers)
    parser.add_argument("--hidden", type=int, default=default.hidden)
    parser.add_argument("--ffn", type=int, default=default.ffn)
    parser.add_argument("--heads", type=int, default=default.heads)
    parser.add_argument("--kv-heads", type=int, default=default.kv_heads)
    parser.add_argument("--vocab", type=int, default=default.vocab)
    parser.add_argument("--exit-vocab", type=int, default=0, help="tokens that exits can say; 0: all")
    parser.add_argument("--mix", type=Path, default=DATA)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for segment_replay.json and .png")
    parser.add_argument("--record", action="store_true", help="make --mix from the mini model, on the CPU")
    parser.add_argument("--mini", type=Path, default=BUNDLED, help="model folder to record, with its graph.json")
    parser.add_argument("--risk", type=float, default=0.01)
    parser.add_argument("--thresholds", type=Path, help="another graph.json, even if made for other weights")
    parser.add_argument("--limit", type=int, help="record so many samples only")
    args = parser.parse_args()
    try:
        if args.record:
            mix = record(args.mini, args.risk, args.thresholds, args.limit)
            mix.save(args.mix)
            print(f"wrote {args.mix}: {len(mix.confidence)} requests, leaving after each segment {mix.shares}")
            return 0
        return replay(args)
    except AutoGLMError as error:
        raise SystemExit(error.message) from error


if __name__ == "__main__":
    raise SystemExit(main())
