"""Our quantization against llm-compressor, GPTQModel and AutoRound: same bits, calibration, model and evaluator.

    python benchmarks/compress_peers.py --install                   # each tool into .build/peers/<tool>, once
    python benchmarks/compress_peers.py --run ours:default:4:128:sym autoround:autoround:4:128:sym …
    python benchmarks/compress_peers.py                             # all of RUNS: hours on one core; resumes

The mini's text decoder is exported as transformers' Glm4ForCausalLM (checked: logits equal the native model's to 1e-4).
Every tool gets that folder and the same token sequences, quantizes attention and MLP linears (embedding and head stay
float) in its own environment, and writes its own dequantized weights back. One evaluator then measures KL(float ‖ tool)
in nats on the replies of held-out test conversations, with a 95 % bootstrap interval over conversations, top-1
agreement and perplexity ratio; before that it checks that no group has more values than its bits allow, so "same bits"
holds by the weights themselves. A tool that is not installed or fails is in the table, with its error.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file

HERE = Path(__file__).parent / "peers"
sys.path.insert(0, str(HERE))
import conversations  # noqa: E402
import glm4_text  # noqa: E402
import judge  # noqa: E402

BUNDLED = Path(__file__).parents[1] / "src" / "autoglm_phone" / "models" / "mini"
TOOLS = {  # environment, what is installed into it, worker
    "ours": (None, (), "worker_ours.py"),
    "llmcompressor": ("llmcompressor", ("llmcompressor==0.14.0.1",), "worker_llmcompressor.py"),
    "gptqmodel": ("gptqmodel", ("gptqmodel==7.6.0",), "worker_gptqmodel.py"),
    "autoround": ("autoround", ("auto-round==0.15.1",), "worker_autoround.py"),
}
COMMON = ("torch==2.13.0", "transformers==5.17.0")
OURS_4 = ("rtn", "awq", "gptq", "awq-gptq", "default", "round", "tune", "tune-codes")
RUNS = [
    *(f"ours:{method}:4:128:sym" for method in OURS_4),
    "llmcompressor:awq:4:128:sym",
    "llmcompressor:gptq:4:128:sym",
    "llmcompressor:gptq-mse:4:128:sym",
    "gptqmodel:gptq:4:128:sym",
    "gptqmodel:gptq-act-mse:4:128:sym",
    "autoround:autoround:4:128:sym",
    "ours:default:4:128:asym",
    "llmcompressor:gptq:4:128:asym",
    "gptqmodel:gptq:4:128:asym",
    "autoround:autoround:4:128:asym",
    *(f"ours:{method}:3:128:sym" for method in ("rtn", "default", "round")),
    "llmcompressor:gptq:3:128:sym",
    "gptqmodel:gptq:3:128:sym",
    "autoround:autoround:3:128:sym",
]


@dataclass(frozen=True)
class Run:
    """One tool with one setting."""

    tool: str
    method: str
    bits: int
    group: int
    symmetric: bool

    @classmethod
    def parse(cls, text: str) -> Run:
        """tool:method:bits:group:sym|asym. Raises SystemExit with what is wrong."""
        parts = text.split(":")
        if len(parts) != 5 or parts[0] not in TOOLS or parts[4] not in ("sym", "asym"):
            raise SystemExit(f"{text!r} is not tool:method:bits:group:sym|asym; tools are {', '.join(TOOLS)}")
        return cls(parts[0], parts[1], int(parts[2]), int(parts[3]), parts[4] == "sym")

    @property
    def name(self) -> str:
        return f"{self.tool}-{self.method}-{self.bits}bit-g{self.group}-{'sym' if self.symmetric else 'asym'}"

    def command(self, python: Path, work: Path, seed: int) -> list[str]:
        return [
            str(python), str(HERE / TOOLS[self.tool][2]), "--model", str(work / "glm4"),
            "--native", str(work / "native"), "--calibration", str(work / "calibration.json"),
            "--method", self.method, "--bits", str(self.bits), "--group", str(self.group),
            "--symmetric" if self.symmetric else "--no-symmetric", "--seed", str(seed),
            "--out", str(work / self.name),
        ]  # fmt: skip


def python_of(tool: str, environments: Path) -> Path:
    folder = TOOLS[tool][0]
    return Path(sys.executable) if folder is None else environments / folder / "bin" / "python"


def install(environments: Path) -> None:
    """Make each tool's environment with pip; a failure is printed and the others go on."""
    for tool, (folder, packages, _) in TOOLS.items():
        if folder is None or python_of(tool, environments).exists():
            continue
        python = python_of(tool, environments)
        subprocess.run([sys.executable, "-m", "venv", str(environments / folder)], check=True)
        for wanted in ((COMMON[0], "numpy", "setuptools", "wheel", "packaging", "ninja"), (*packages, *COMMON)):
            command = [str(python), "-m", "pip", "install", "-q", "--no-build-isolation", *wanted]
            if subprocess.run(command, check=False).returncode:
                print(f"{tool}: {shlex.join(command)} failed", flush=True)
                break


def prepare(args: argparse.Namespace) -> None:
    """The exported model, calibration and held-out tokens, once a work folder; prints what they are."""
    work: Path = args.work
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "native").exists():  # a copy: the bundled weights may change while this runs
        import shutil

        shutil.copytree(args.model, work / "native", symlinks=False)
    if not (work / "glm4" / "config.json").exists():
        glm4_text.export(work / "native", work / "glm4")
    if not (work / "calibration.json").exists():
        conversations.write_calibration(
            work / "native", work / "calibration.json", sequences=args.sequences, length=args.length, seed=args.seed
        )
    if not (work / "held_out.json").exists():
        conversations.write_held_out(
            work / "native", work / "held_out.json", conversations=args.held_out, seed=args.seed + 1
        )
    rows = json.loads((work / "held_out.json").read_text())["conversations"]
    gap = glm4_text.largest_difference(work / "native", work / "glm4", [row["ids"] for row in rows[:16]])
    if gap > 1e-4:
        raise SystemExit(f"the exported model's logits differ by {gap:.1e} from the native model's")
    sequences = json.loads((work / "calibration.json").read_text())["sequences"]
    predicted = sum(len(row["ids"]) - row["reply"] for row in rows)
    print(
        f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, "
        f"transformers {transformers.__version__}, seed {args.seed}\n"
        f"Glm4ForCausalLM export: largest logit difference {gap:.1e}\n"
        f"calibration: {len(sequences)} sequences of {len(sequences[0])} tokens; held out: {len(rows)} conversations, "
        f"{predicted} reply tokens\n",
        flush=True,
    )


def work_on(run: Run, args: argparse.Namespace) -> dict[str, Any]:
    """Run a worker unless its folder is there; what it noted, or why it failed."""
    out: Path = args.work / run.name
    python = python_of(run.tool, args.environments)
    command = run.command(python, args.work, args.seed)
    if not (out / "worker.json").exists():
        if not python.exists():
            return {"error": f"not installed ({python} is missing; --install)", "command": shlex.join(command)}
        offline = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        began = time.monotonic()
        with (args.work / f"{run.name}.log").open("w") as log:
            code = subprocess.run(
                command, stdout=log, stderr=log, env={**os.environ, **offline}, check=False
            ).returncode
        if code or not (out / "worker.json").exists():
            lines = (args.work / f"{run.name}.log").read_text(errors="replace").strip().splitlines()
            last = lines[-1][:200] if lines else "no output"
            return {"error": f"exit status {code} after {time.monotonic() - began:.0f} s: {last}",
                    "command": shlex.join(command)}  # fmt: skip
    return {**json.loads((out / "worker.json").read_text()), "command": shlex.join(command)}


def evaluate(run: Run, judged: judge.Judge, args: argparse.Namespace) -> dict[str, Any]:
    """The scores of a finished run; kept in its folder."""
    out: Path = args.work / run.name
    tensors = load_file(out / "model.safetensors")
    wrong = glm4_text.changed_grid(judged.original, tensors, run.bits, lambda name: run.group)
    scores = judged(tensors)
    made = {"broken": wrong, **scores.summary(), "conversations": judge.as_json(scores)}
    (out / "scores.json").write_text(json.dumps(made) + "\n")
    return made


def table(results: dict[str, dict[str, Any]]) -> str:
    """Markdown, best KL first within the same bits and symmetry, each with its difference to the best peer there."""
    lines = []
    shapes = sorted({(r["bits"], r["group"], r["symmetric"]) for r in results.values()}, reverse=True)
    for shape in shapes:
        rows = [r for r in results.values() if (r["bits"], r["group"], r["symmetric"]) == shape]
        good = sorted((r for r in rows if "kl" in r), key=lambda r: r["kl"])
        rival = next((r for r in good if r["tool"] != "ours"), None)
        side = "symmetric" if shape[2] else "asymmetric"
        lines += [
            f"\n{shape[0]} bits, groups of {shape[1]}, {side}\n",
            "| tool, method | KL, mean [95 %] | less best peer's [95 %] | all tokens | top-1 | perplexity | CPU s |",
            "|---|---|---|---|---|---|---|",
        ]
        for r in good:
            gap = "–"
            if rival is not None and r is not rival:
                mean, low, high = judge.paired(r["conversations"], rival["conversations"])
                gap = f"{mean:+.5f} [{low:+.5f}, {high:+.5f}]"
            spent = f"{r['cpu_seconds']:.0f}" if "cpu_seconds" in r else "–"
            broken = f" ({len(r['broken'])} tensors break the rules)" if r["broken"] else ""
            lines.append(
                f"| {r['tool']} {r['method']}{broken} | {r['kl']:.5f} [{r['kl_low']:.5f}, {r['kl_high']:.5f}] | "
                f"{gap} | {r['kl_all_tokens']:.5f} | {r['top1']:.2%} | × {r['perplexity_ratio']:.4f} | "
                f"{spent} |"
            )
        lines += [f"| {r['tool']} {r['method']} | failed: {r['error']} | | | | | |" for r in rows if "error" in r]
    versions = {n: v for r in results.values() for n, v in r.get("versions", {}).items()}
    lines.append("\n" + ", ".join(f"{name} {version}" for name, version in sorted(versions.items())))
    return "\n".join(lines)


def plot(results: dict[str, dict[str, Any]], path: Path) -> None:
    """KL with its interval, a bar a run, ours in another colour."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    good = sorted((r for r in results.values() if "kl" in r), key=lambda r: (-r["bits"], not r["symmetric"], r["kl"]))
    figure, axes = pyplot.subplots(figsize=(8, 0.4 * len(good) + 1.2))
    for place, r in enumerate(good):
        error = [[r["kl"] - r["kl_low"]], [r["kl_high"] - r["kl"]]]
        axes.barh(place, r["kl"], xerr=error, color="#2b6cb0" if r["tool"] == "ours" else "#a0aec0", capsize=2)
    names = [f"{r['bits']} bit {'sym' if r['symmetric'] else 'asym'}: {r['tool']} {r['method']}" for r in good]
    axes.set_yticks(range(len(good)), names)
    axes.invert_yaxis()
    axes.set_xlabel("mean KL(float ‖ quantized), nats, with 95 % interval")
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=BUNDLED, help="native checkpoint")
    parser.add_argument("--work", type=Path, default=Path(".build/peers-run"))
    parser.add_argument("--environments", type=Path, default=Path(".build/peers"))
    parser.add_argument("--install", action="store_true", help="only make the tools' environments")
    parser.add_argument("--run", nargs="*", default=RUNS, metavar="TOOL:METHOD:BITS:GROUP:SYM")
    parser.add_argument("--sequences", type=int, default=128)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--held-out", type=int, default=400, help="test conversations")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.work, args.environments = args.work.absolute(), args.environments.absolute()
    if args.install:
        install(args.environments)
        return 0
    runs = [Run.parse(text) for text in args.run]
    prepare(args)
    results: dict[str, dict[str, Any]] = {}
    judged: judge.Judge | None = None
    for run in runs:
        note = work_on(run, args)
        outcome = note["error"] if "error" in note else f"{note['seconds']:.0f} s"
        print(f"{run.name}: {note['command']}\n  {outcome}", flush=True)
        if "error" not in note:
            scores = args.work / run.name / "scores.json"
            if scores.exists():
                note |= json.loads(scores.read_text())
            else:
                judged = judged or judge.Judge(args.work / "glm4", args.work / "held_out.json")
                note |= evaluate(run, judged, args)
        results[run.name] = {**vars(run), **note}
        (args.work / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))
    plot(results, args.work / "compress_peers.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
