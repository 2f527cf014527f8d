"""The real server, as a user starts it: ready time, first tokens, tokens a second and memory, over HTTP.

    python benchmarks/server_speed.py [--model mini] [--dtype auto] [--rounds 5] [--streams 16] [--out speed.json]

Starts `autoglm-phone serve` as a subprocess and talks to it over streaming HTTP. The baseline is transformers'
`generate` on the same weights in this process, in whichever of float32 and bfloat16, with one thread or all, a short
trial finds quickest (with all threads it may crawl when something else wants a core). A round measures each of
them in turn while the others rest, so that what else the machine does hits them alike; best and median are printed.
Lengths are fixed (ignore_eos, token prompts), every prompt, picture and clip is new, so no cache helps.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import soundfile
from PIL import Image, ImageDraw

MIB = 1 << 20
READY = re.compile(r"Server listening on http://[^ ]*:(\d+)")
SCREEN = (1080, 2400)
CLIP_SECONDS = 3


@dataclass
class Line:
    """One row of the table. target: what the best value is held against; below says which side is good."""

    name: str
    unit: str
    best: float
    median: float
    target: float | None = None
    below: bool = True

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        good = self.best <= self.target if self.below else self.best >= self.target
        return f"{'≤' if self.below else '≥'} {self.target:g} {'met' if good else 'MISSED'}"


def line(name: str, unit: str, values: list[float], target: float | None = None, below: bool = True) -> Line:
    best = min(values) if below else max(values)
    return Line(name, unit, best, statistics.median(values), target, below)


@dataclass
class Server:
    url: str
    process: subprocess.Popen[str]
    ready: float  # seconds from command to the first healthy answer

    def rss(self) -> float:
        """MiB of the server and all its children."""
        root = psutil.Process(self.process.pid)
        return sum(p.memory_info().rss for p in (root, *root.children(recursive=True))) / MIB


@contextmanager
def started(args: argparse.Namespace) -> Iterator[Server]:
    command = [str(Path(sys.executable).with_name("autoglm-phone")), "serve", "--host", "127.0.0.1", "--port", "0"]
    command += ["--model", args.model, "--dtype", args.dtype]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    seen = ""
    try:
        for text in process.stderr:
            seen += text
            found = READY.search(text)
            if found:
                break
        else:
            raise SystemExit(f"the server did not start:\n{seen}")
        url = f"http://127.0.0.1:{found[1]}"
        httpx.get(f"{url}/health").raise_for_status()
        ready = time.perf_counter() - begin
        # Keep the pipe empty: a server whose log nobody reads stops at its 65th kilobyte.
        with open(os.devnull, "w") as sink:
            drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=sink)
            yield Server(url, process, ready)
    finally:
        process.terminate()
        process.wait(20)
        if "drain" in locals():
            drain.wait(5)


# What is asked


def screenshot(rng: np.random.Generator) -> str:
    """A list screen such as phones show, 1080x2400, as a PNG data URL."""
    image = Image.new("RGB", SCREEN, "white")
    draw = ImageDraw.Draw(image)
    colour = lambda: tuple(int(c) for c in rng.integers(0, 200, 3))  # noqa: E731
    draw.rectangle((0, 0, 1080, 200), fill=colour())
    draw.text((40, 110), "Messages", fill="white", font_size=64)
    for y in range(240, 2240, 160):
        draw.ellipse((40, y, 150, y + 110), fill=colour())
        draw.text((190, y + 5), f"Contact {rng.integers(1000)}", fill="black", font_size=44)
        draw.text((190, y + 62), f"See you at {rng.integers(24)}:{rng.integers(10, 60)}", fill="gray", font_size=36)
        draw.line((190, y + 140, 1080, y + 140), fill="lightgray", width=2)
    out = io.BytesIO()
    image.save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def clip(rng: np.random.Generator) -> str:
    """Three seconds of tones and noise, 16 kHz wav, Base64. What is said costs the tower nothing."""
    time_axis = np.arange(CLIP_SECONDS * 16_000) / 16_000
    tone = 0.3 * np.sin(2 * np.pi * rng.uniform(120, 400) * time_axis) + rng.normal(0, 0.02, time_axis.shape)
    out = io.BytesIO()
    soundfile.write(out, tone, 16_000, format="WAV", subtype="PCM_16")
    return base64.b64encode(out.getvalue()).decode()


def question(kind: str, rng: np.random.Generator) -> list[dict[str, Any]]:
    text = {"type": "text", "text": f"Number {rng.integers(10**6)}: what do you see and hear, and what is to be done?"}
    if kind == "picture":
        return [{"type": "image_url", "image_url": {"url": screenshot(rng)}}, text]
    if kind == "speech":
        return [{"type": "input_audio", "input_audio": {"data": clip(rng), "format": "wav"}}, text]
    return [text]


def prompt(length: int, vocab: int, rng: np.random.Generator) -> list[int]:
    return [int(i) for i in rng.integers(20, vocab, length)]


# Measurements


def first_token(client: httpx.Client, kind: str, rng: np.random.Generator) -> float:
    """Milliseconds from sending a chat request to the first event with text in it."""
    body = {
        "messages": [{"role": "user", "content": question(kind, rng)}],
        "stream": True,
        "temperature": 0.0,
        "max_tokens": 8,
        "min_tokens": 8,
        "return_reasoning": True,
    }
    content = json.dumps(body).encode()
    taken = None
    begin = time.perf_counter()
    with client.stream("POST", "/v1/chat/completions", content=content, headers=_JSON) as answer:
        answer.raise_for_status()
        for text in answer.iter_lines():
            if taken is None and text.startswith("data: {"):
                choices = json.loads(text[6:])["choices"]
                delta = choices[0]["delta"] if choices else {}
                if delta.get("content") or delta.get("reasoning_content"):
                    taken = time.perf_counter() - begin
    if taken is None:
        raise SystemExit(f"a {kind} request gave no text at all")
    return 1000 * taken


_JSON = {"content-type": "application/json"}


async def _stream(client: httpx.AsyncClient, ids: list[int], tokens: int) -> None:
    body = {"prompt": ids, "max_tokens": tokens, "temperature": 0.0, "ignore_eos": True, "stream": True}
    body |= {"stream_options": {"include_usage": True}}
    made, tail = 0, b""
    async with client.stream("POST", "/v1/completions", json=body) as answer:
        answer.raise_for_status()
        async for piece in answer.aiter_raw():
            tail = (tail + piece)[-2000:]
    found = re.findall(rb'"completion_tokens":\s*(\d+)', tail)
    made = int(found[-1]) if found else 0
    if made != tokens:
        raise SystemExit(f"asked for {tokens} tokens, got {made}")


def engine_rate(url: str, streams: int, args: argparse.Namespace, rng: np.random.Generator) -> float:
    """Tokens a second of all streams together, what one token takes (prompt, HTTP) taken off."""

    async def run(tokens: int) -> float:
        limits = httpx.Limits(max_connections=streams)
        async with httpx.AsyncClient(base_url=url, timeout=300, limits=limits) as client:
            begin = time.perf_counter()
            ids = [prompt(args.prompt, args.vocab, rng) for _ in range(streams)]
            await asyncio.gather(*(_stream(client, i, tokens) for i in ids))
            return time.perf_counter() - begin

    short = min(asyncio.run(run(1)) for _ in range(2))
    return streams * (args.output - 1) / (asyncio.run(run(args.output)) - short)


class Baseline:
    """transformers' generate with its KV cache, one stream, in this process."""

    def __init__(self, folder: Path, dtype: str, threads: int):
        import torch

        from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration

        self.torch = torch
        self.name = f"{dtype}, {threads} threads"
        self.threads = threads
        self.model = AutoGLMPhoneForConditionalGeneration.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()

    def rate(self, args: argparse.Namespace, rng: np.random.Generator, output: int) -> float:
        """Tokens a second, the first token taken off."""
        self.torch.set_num_threads(self.threads)
        times = []
        for tokens in (1, output):
            ids = self.torch.tensor([prompt(args.prompt, args.vocab, rng)])
            begin = time.perf_counter()
            with self.torch.inference_mode():
                self.model.generate(
                    ids,
                    attention_mask=self.torch.ones_like(ids),
                    max_new_tokens=tokens,
                    min_new_tokens=tokens,
                    do_sample=False,
                )
            times.append(time.perf_counter() - begin)
        return (output - 1) / (times[1] - times[0])


def quickest_baseline(folder: Path, args: argparse.Namespace, rng: np.random.Generator) -> Baseline:
    import torch

    kinds = [(dtype, threads) for dtype in ("float32", "bfloat16") for threads in (1, torch.get_num_threads())]
    trials = []
    for dtype, threads in kinds:
        baseline = Baseline(folder, dtype, threads)
        baseline.rate(args, rng, 2)
        trials.append((max(baseline.rate(args, rng, 9) for _ in range(2)), baseline))
    return max(trials, key=lambda trial: trial[0])[1]


def measure(args: argparse.Namespace) -> list[Line]:
    from autoglm_phone.models.registry import facts, locate

    folder = locate(args.model)
    args.vocab = facts(folder).vocab_size
    rng = np.random.default_rng(args.seed)
    starts = []
    for _ in range(args.starts - 1):
        with started(args) as server:
            starts.append(server.ready)
    with started(args) as server:
        starts.append(server.ready)
        idle = server.rss()
        client = httpx.Client(base_url=server.url, timeout=300)
        cold = {kind: first_token(client, kind, rng) for kind in ("text", "picture", "speech")}
        warm = {kind: [first_token(client, kind, rng) for _ in range(3 * args.rounds)] for kind in cold}
        # A grammar starts the child process that compiles it; its memory counts.
        schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "integer", "maximum": 9}}}
        body = {"messages": [{"role": "user", "content": "?"}], "response_format": schema, "max_tokens": 64}
        client.post("/v1/chat/completions", json=body).raise_for_status()

        engine_rate(server.url, args.streams, args, rng)  # warm up
        baseline = quickest_baseline(folder, args, rng)
        ones, manys, theirs = [], [], []
        peak = server.rss()
        for _ in range(args.rounds):
            ones.append(engine_rate(server.url, 1, args, rng))
            manys.append(engine_rate(server.url, args.streams, args, rng))
            peak = max(peak, server.rss())
            theirs.append(baseline.rate(args, rng, args.output))
    print(f"machine: {machine()}")
    print(
        f"model {args.model} ({folder.name}), server dtype {args.dtype}; seed {args.seed}; prompt {args.prompt} and "
        f"output {args.output} tokens; {args.rounds} rounds, {args.starts} starts; "
        f"baseline: transformers {baseline.name}"
    )
    speed = lambda name, values: line(name, "tok/s", values, None, below=False)  # noqa: E731
    return [
        Line("command to ready, first start", "s", starts[0], starts[0]),
        line("command to ready", "s", starts, 8),
        line("first token, text", "ms", warm["text"], 150),
        line("first token, 1080x2400 PNG", "ms", warm["picture"], 500),
        line("first token, 3 s of sound", "ms", warm["speech"]),
        *(Line(f"very first {kind} request", "ms", value, value) for kind, value in cold.items()),
        speed("decode, 1 stream", ones),
        speed(f"decode, {args.streams} streams", manys),
        speed("transformers generate, 1 stream", theirs),
        ratio("1 stream / transformers", ones, theirs, 1.5),
        ratio(f"{args.streams} streams / 1 stream", manys, ones, 4),
        Line("RSS idle, server and children", "MiB", idle, idle),
        Line("RSS after load, server and children", "MiB", peak, peak, 1.2e9 / MIB),
    ]


def ratio(name: str, ours: list[float], theirs: list[float], target: float) -> Line:
    """Best over best, and the median of the rounds' own ratios."""
    rounds = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Line(name, "x", max(ours) / max(theirs), statistics.median(rounds), target, below=False)


def machine() -> str:
    import torch

    try:
        text = Path("/proc/cpuinfo").read_text()
        name = re.search(r"model name\s*:\s*(.+)", text)
    except OSError:
        name = None
    return (
        f"{name[1] if name else platform.processor()}, {os.cpu_count()} CPUs, "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB, Python {platform.python_version()}, "
        f"torch {torch.__version__}, load average {os.getloadavg()[0]:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini", help="'mini' or a native model folder")
    parser.add_argument("--dtype", default="auto", help="of the server; auto is float32 on a CPU")
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--output", type=int, default=128)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--starts", type=int, default=3, help="how often the server is started for the ready time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    args = parser.parse_args()
    lines = measure(args)
    print(f"\n{'':36} {'best':>9} {'median':>9} {'':5} target")
    for row in lines:
        print(f"{row.name:36} {row.best:9.2f} {row.median:9.2f} {row.unit:5} {row.verdict}".rstrip())
    if args.out is not None:
        head = {"machine": machine(), **{k: v for k, v in vars(args).items() if k != "out"}}
        rows = [{**asdict(row), "verdict": row.verdict} for row in lines]
        args.out.write_text(json.dumps({**head, "lines": rows}, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
