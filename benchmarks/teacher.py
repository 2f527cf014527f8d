"""Does a larger teacher help the mini? The same steps on the same data, once with it and once without.

    python benchmarks/teacher.py --gpus 2 --minutes 12 --steps 600 [--start mini] [--out runs/teacher] [--count 100]

1. `teacher`: `pro` is grown from the start (`train --grow-from`: the same function, four times the weights) and trained
   for --minutes;
2. `pupils`: two minis start from the same weights and take --steps with equal batches in equal order (`--repeatable`),
   `without` and `with` the teacher;
3. `ask`: all four models answer held-out samples of the world through the engine;
4. `table`: Markdown with paired 95 % intervals by category, and for the hard ones together: those in which the start
   gets less than --hard-below. Neither pupil has a say in which these are.

What is done is not done again, and a run that was cut goes on. --call-seconds ends training and asking about then
(starting, compiling and saving come on top: give a minute less than there is; preparing is not cut). --stage takes one
part alone, --pupil and --asked a half of one, so that halves may run side by side. --small tries the path on a CPU; its
figures mean nothing. Logs lie beside the runs.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from autoglm_phone.compress import quality
from autoglm_phone.compress.quality import Pair
from autoglm_phone.compress.quality_tables import Change, Row, by_modality, rows
from autoglm_phone.models.registry import locate
from autoglm_phone.train.bundle import bundle, preset_of
from autoglm_phone.train.prepare import prepare
from autoglm_phone.train.vocabularies import TOKENIZER, write_of_model

STAGES = ("teacher", "pupils", "ask", "table")
PATIENCE = 330.0  # seconds without a line after which a run counts as stuck: compiling takes up to half of it
LIVES = 3  # starts of a run that gets stuck
ASKED = {"teacher": ("start", "teacher"), "pupils": ("without", "with")}  # replies are paired by sample


class TimeIsUpError(Exception):
    """The call's time is up; the next call goes on."""


@dataclass(frozen=True)
class Study:
    """Where everything lies, and until when this call may last (`time.monotonic`)."""

    args: argparse.Namespace
    until: float

    @property
    def prepared(self) -> Path:
        return Path(self.args.prepared or self.args.out / "prepared")

    @property
    def start(self) -> Path:
        return locate(self.args.start)

    @property
    def weights(self) -> Path:
        """What training begins with: a run also holds the heads that only training has, a model folder does not."""
        return Path(self.args.weights or self.start)

    def run_of(self, name: str) -> Path:
        return Path(self.args.out / name)

    def model_of(self, name: str) -> Path:
        return self.start if name == "start" else Path(self.args.out / f"{name}-model")

    def left(self) -> float:
        """Seconds of this call. Raises TimeIsUpError if there are none."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeIsUpError
        return left


def train(study: Study, name: str, start: Sequence[str], steps: int | None, options: str) -> None:
    """Train one run to the end of its schedule, or raise TimeIsUpError."""
    args, out = study.args, study.run_of(name)
    for _ in range(LIVES):
        if finished(out, args.minutes, steps):
            return
        resume = (out / "progress.json").exists()
        length = ["--minutes", str(args.minutes)] if steps is None else ["--steps", str(steps)]
        command = [
            sys.executable, "-m", "autoglm_phone.train.cli", "--prepared", str(study.prepared), "--out", str(out),
            "--workers", str(args.workers), *length, *(["--resume"] if resume else []),
            *(start[:2] if resume else start), "--call-seconds", f"{study.left():.0f}", *shlex.split(options),
            *(["--small", "--no-compile"] if args.small else []),
        ]  # fmt: skip
        print(f"$ {shlex.join(command[1:])}  ({args.gpus} processes)", flush=True)
        began = time.monotonic()
        log = out.with_name(f"{name}.{int(time.time())}.log")
        stuck = not together(command, args.gpus, log, math.inf if args.small else PATIENCE)
        print(f"  {name}: {time.monotonic() - began:.0f} s{', stuck' if stuck else ''}", flush=True)
        if not stuck and not finished(out, args.minutes, steps):
            raise TimeIsUpError
    if not finished(out, args.minutes, steps):
        raise SystemExit(f"{name} got stuck {LIVES} times; its logs are in {args.out}")


def finished(run: Path, minutes: float, steps: int | None) -> bool:
    """Whether a run has come to the end of its schedule."""
    path = run / "progress.json"
    if not path.exists():
        return False
    progress = json.loads(path.read_text())
    return bool(progress["elapsed"] >= 60 * minutes if steps is None else progress["step"] >= steps)


def together(command: list[str], processes: int, log: Path, patience: float) -> bool:
    """Run a command once a GPU, as `torchrun` would on one host. False if it fell silent and was ended.

    Raises:
        SystemExit: one of the processes failed; the others are ended, since they would wait for it for ever.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    near = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo", "PYTORCH_ALLOC_CONF": "expandable_segments:True",
            "OMP_NUM_THREADS": "4"}  # fmt: skip
    log.parent.mkdir(parents=True, exist_ok=True)
    running = []
    with log.open("w") as file:
        for rank in range(processes):
            place = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            running.append(
                subprocess.Popen(command, env={**near, **os.environ, **shared, **place}, stdout=file, stderr=file)
            )
    try:
        while any(child.poll() is None for child in running):
            time.sleep(0.5)
            if any(child.poll() not in (None, 0) for child in running):
                raise SystemExit(f"a trainer failed; the end of {log}:\n{log.read_text()[-2000:]}")
            if time.time() - log.stat().st_mtime > patience:
                return False
    finally:
        for child in running:
            if child.poll() is None:
                child.kill()
            child.wait()
    print("  " + "\n  ".join(log.read_text().splitlines()[-3:])[-1500:], flush=True)
    if any(child.returncode for child in running):
        raise SystemExit(f"a trainer failed; see {log}")
    return True


def vocabularies(study: Study) -> None:
    """The prepared folder, if there is none. Halves of the study may do this at the same time: the first one counts."""
    if (study.prepared / TOKENIZER).exists():
        return
    if not (study.start / TOKENIZER).exists():
        raise SystemExit(f"{study.start} holds no {TOKENIZER}; give --prepared")
    own = study.prepared.with_name(f"{study.prepared.name}.{os.getpid()}")
    bare = "--no-lessons" in study.args.teacher_options
    alphabet = own if bare else study.run_of("start-vocabularies")
    write_of_model(study.start, alphabet)
    if not bare:
        prepare(own, base=alphabet)
    try:
        own.rename(study.prepared)
    except OSError:
        if not (study.prepared / TOKENIZER).exists():
            raise
        shutil.rmtree(own)


def make_teacher(study: Study) -> None:
    """Stage 1."""
    args = study.args
    vocabularies(study)
    train(study, "teacher", ["--preset", "pro", "--grow-from", str(study.weights)], args.teacher_steps,
          f"--batch-scale {args.teacher_scale} {args.teacher_options}")  # fmt: skip


def make_pupils(study: Study) -> None:
    """Stage 2."""
    args = study.args
    names = ASKED["pupils"] if args.pupil == "both" else (args.pupil,)
    if "with" in names and not finished(study.run_of("teacher"), args.minutes, args.teacher_steps):
        raise SystemExit("the teacher is not trained; run the stage `teacher` first")
    vocabularies(study)
    for name in names:
        taught = f"--teacher {shlex.quote(str(study.run_of('teacher')))}" if name == "with" else ""
        train(study, name, ["--preset", "mini", "--init-from", str(study.weights)], args.steps,
              f"--repeatable --batch-scale {args.pupil_scale} {args.pupil_options} {taught}")  # fmt: skip


def ask(study: Study) -> None:
    """Stage 3."""
    args = study.args
    wanted = tuple(ASKED) if args.asked == "both" else (args.asked,)
    for name in (name for asked in wanted for name in ASKED[asked] if name != "start"):
        run, folder = study.run_of(name), study.model_of(name)
        if not finished(run, args.minutes, args.teacher_steps if name == "teacher" else args.steps):
            raise SystemExit(f"{name} is not trained; run the stages before `ask` first")
        if not (folder / "config.json").exists():
            part = folder.with_name(folder.name + ".part")
            shutil.rmtree(part, ignore_errors=True)
            bundle(run, study.prepared, part, preset_of(run))
            part.replace(folder)
    for asked in wanted:
        study.left()
        began = time.monotonic()
        gather(study, asked)
        print(f"  {asked}: asked, {time.monotonic() - began:.0f} s", flush=True)


def gather(study: Study, asked: str) -> list[Pair]:
    """Replies of two models to the same samples, made where they are missing. Raises TimeIsUpError."""

    def say(line: str) -> None:
        print(line, flush=True)
        study.left()

    args, (first, second) = study.args, (study.model_of(name) for name in ASKED[asked])
    categories = args.categories.split(",") if args.categories else quality.CATEGORIES
    return quality.gather(
        first, second, args.out / f"{asked}.jsonl", count=args.count, categories=categories, device=args.device,
        workers=args.draw_workers, say=say,
    )  # fmt: skip


def table(study: Study) -> str:
    """Stage 4: Markdown."""
    args = study.args
    taught, pupils = gather(study, "teacher"), gather(study, "pupils")
    hard = [row.name for row in rows(taught) if row.accuracy.before < args.hard_below]
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    progress = {name: json.loads((study.run_of(name) / "progress.json").read_text())
                for name in ("teacher", *ASKED["pupils"])}  # fmt: skip
    spent = "; ".join(
        f"{name} {p['step']:,} steps, {p['elapsed']:.0f} s, {p['tokens']:,} tokens" for name, p in progress.items()
    )
    lines = [
        f"{args.gpus} × {gpu}, torch {torch.__version__}, start `{args.start}`, batches × {args.teacher_scale:g} "
        f"(teacher) and × {args.pupil_scale:g} (pupils). {spent}. {args.count} test samples a category, greedy. "
        "Differences in points with paired 95 % intervals: accuracy after Agresti and Min, all else by bootstrap.",
    ]
    for asked, pairs in (("pupils", pupils), ("teacher", taught)):
        together = [replace(pair, category=f"hard ({len(hard)} categories)") for pair in pairs if pair.category in hard]
        found = [*rows(pairs), *(rows(together) if together else []), *by_modality(pairs)]
        lines += ["", *markdown(found, *ASKED[asked])]
    lines += ["", f"Hard, where the start is below {args.hard_below:.0%}: {', '.join(hard) or 'none'}."]
    return "\n".join(lines) + "\n"


def markdown(found: Sequence[Row], before: str, after: str) -> list[str]:
    """One line a row. lost, won: samples that turned from right to wrong, and back."""
    lines = [f"| category | n | {before} | {after} | difference | lost | won | BLEU | character and word errors |",
             "|---|---:|---:|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    for row in found:
        accuracy = row.accuracy
        cells = (row.name, str(row.count), f"{100 * accuracy.before:.1f}", f"{100 * accuracy.after:.1f}",
                 difference(accuracy, 100), str(row.lost), str(row.won),
                 *("" if change is None else f"{scale * change.before:.1f} → {scale * change.after:.1f}, "
                   f"{difference(change, scale)}" for change, scale in ((row.bleu, 1), (row.error, 100))))  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def difference(change: Change, scale: float) -> str:
    """+1.0 [−0.5, +2.5], bold where the interval leaves zero out."""
    text = (f"{scale * (change.after - change.before):+.1f} "
            f"[{scale * change.low:+.1f}, {scale * change.high:+.1f}]").replace("-", "−")  # fmt: skip
    return f"**{text}**" if change.low > 0 or change.high < 0 else text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=("all", *STAGES), default="all")
    parser.add_argument("--start", default="mini", help="model folder that teacher and pupils start from")
    parser.add_argument("--weights", type=Path, help="run of the start, to train on from; default: the start itself")
    parser.add_argument("--out", type=Path, default=Path("runs/teacher"))
    parser.add_argument("--prepared", type=Path, help="default: made from the start's vocabularies, in --out")
    parser.add_argument("--gpus", type=int, default=max(1, torch.cuda.device_count()))
    parser.add_argument("--workers", type=int, default=max(1, min(9, (os.cpu_count() or 2) // 2 - 2)), help="a GPU")
    parser.add_argument("--minutes", type=float, default=12.0, help="of the teacher")
    parser.add_argument("--teacher-steps", type=int, help="the teacher's schedule runs on steps, not on --minutes")
    parser.add_argument("--steps", type=int, default=600, help="of each pupil")
    parser.add_argument("--teacher-scale", type=float, default=0.5, help="batches, of the mini's usual ones")
    parser.add_argument("--pupil-scale", type=float, default=0.5, help="batches, of the mini's usual ones")
    parser.add_argument("--teacher-options", default="--warmup-steps 60 --decay-from 0.3", help="further, of `train`")
    parser.add_argument("--pupil-options", default="--warmup-steps 60 --decay-from 0.3", help="further, of `train`")
    parser.add_argument("--count", type=int, default=100, help="test samples a category")
    parser.add_argument("--pupil", choices=("both", *ASKED["pupils"]), default="both", help="train it alone")
    parser.add_argument(
        "--asked", choices=("both", *ASKED), default="both", help="ask start and teacher, or the pupils"
    )
    parser.add_argument("--categories", default="", help="comma-separated; empty = all")
    parser.add_argument("--draw-workers", type=int, default=max(1, (os.cpu_count() or 2) // 2))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="that answers")
    parser.add_argument("--hard-below", type=float, default=0.9, help="accuracy of the start in a hard category")
    parser.add_argument("--call-seconds", type=float, default=1e9)
    parser.add_argument("--small", action="store_true")
    args = parser.parse_args()
    study = Study(args, time.monotonic() + args.call_seconds)
    work = {"teacher": make_teacher, "pupils": make_pupils, "ask": ask}
    try:
        for stage in STAGES if args.stage == "all" else (args.stage,):
            if stage == "table":
                report = table(study)
                (args.out / "table.md").write_text(report)
                print(report)
            else:
                work[stage](study)
    except TimeIsUpError:
        print("this call's time is up; the same command goes on", flush=True)
        raise SystemExit(75) from None


if __name__ == "__main__":
    main()
