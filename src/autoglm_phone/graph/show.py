"""`autoglm-phone graph show`: a request's trace (`return_graph`) as a picture. Standard library alone, for SVG."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer

from autoglm_phone.errors import ConfigError
from autoglm_phone.graph.picture import Line, Picture, Rect, Text

app = typer.Typer(help="Draw what ran for a request.", no_args_is_help=True)

WIDTH, LEFT, RIGHT = 1120.0, 96.0, 24.0
DEPTH_HEIGHT, PAGES_HEIGHT, PROMPT_WIDTH = 240.0, 90.0, 46.0
LAYERS = ("#0b4f8a", "#2a7fc1", "#6db1e0", "#b5d8f0", "#d7eaf8")  # of the segments, the first one darkest
SKIPPED, INK, FAINT, GRID = "#f1f3f5", "#1f2933", "#6b7785", "#ffffff"
ACCEPTED, REJECTED, VERIFIED, CHANGE = "#2f9e5b", "#d9822b", "#0b4f8a", "#c0392b"
MOST_TOKENS = 100_000  # of a picture


@app.callback()
def graph() -> None:
    """Draw what ran for a request."""


@app.command()
def show(
    trace: Annotated[str, typer.Option(help="file with a trace or with an answer that holds one; - reads stdin")],
    out: Annotated[Path, typer.Option(help="picture to write: .svg or .png")] = Path("graph.svg"),
    choice: Annotated[int, typer.Option(help="which of the answer's choices")] = 0,
) -> None:
    """Draw layers per token, drafts, towers, rewrites and pages of one request."""
    if out.suffix.lower() not in (".svg", ".png"):
        raise ConfigError(f"--out {out}: give a name that ends in .svg or .png", param="out")
    try:
        text = sys.stdin.read() if trace == "-" else Path(trace).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--trace {trace} can't be read", param="trace") from error
    picture = draw(find_trace(text, choice))
    try:
        if out.suffix.lower() == ".svg":
            out.write_text(picture.svg(), encoding="utf-8")
        else:
            out.write_bytes(picture.png())
    except OSError as error:
        raise ConfigError(f"--out {out} can't be written", param="out") from error
    typer.echo(f"wrote {out}")


def find_trace(text: str, choice: int = 0) -> dict[str, Any]:
    """The trace in a text: a trace itself, an answer of the API, or the lines of a stream.

    Raises:
        ConfigError: there is none.
    """
    for value in _documents(text):
        choices = value.get("choices")
        if isinstance(choices, list):
            graphs = [c.get("graph") for c in choices if isinstance(c, dict) and c.get("index", 0) == choice]
            value = next((g for g in graphs if isinstance(g, dict)), {})
        if isinstance(value.get("depths"), list):
            return _checked(value)
    raise ConfigError(
        'no trace in it: give a trace, or an answer to a request with "return_graph": true', param="trace"
    )


def draw(trace: Mapping[str, Any]) -> Picture:
    """A picture of a trace (`graph.trace.Trace.as_dict`)."""
    depths: list[int] = trace["depths"]
    ends = _ends(trace)
    picture = Picture(WIDTH)
    y = _title(picture, trace, ends)
    y = _towers(picture, trace, y)
    axis = _Axis(len(depths))
    top, y = y + 22, y + 22 + DEPTH_HEIGHT
    _layers(picture, trace, ends, axis, top)
    y = _ticks(picture, axis, y)
    y = _drafts(picture, trace, axis, y)
    y = _pages(picture, trace, axis, y)
    _changes(picture, trace, axis, top, y)
    y = _times(picture, trace, ends, y + 30)
    picture.height = _notes(picture, trace, y + 6)
    return picture


class _Axis:
    """Output tokens from left to right, behind a column for the prompt."""

    def __init__(self, count: int):
        self.count = count
        self.start = LEFT + PROMPT_WIDTH + 6
        self.end = WIDTH - RIGHT
        self.step = min(48.0, (self.end - self.start) / max(1, count))
        self.gap = 1.0 if self.step >= 6 else 0.0
        self.end = self.start + self.step * max(1, count)

    def at(self, token: float) -> float:
        return self.start + self.step * token


def _title(picture: Picture, trace: Mapping[str, Any], ends: Sequence[int]) -> float:
    depths = trace["depths"]
    mean = f"{sum(depths) / len(depths):.1f}" if depths else "–"
    facts = [f"{len(depths)} output tokens", f"mean depth {mean} of {ends[-1]} layers"]
    if trace.get("drafted"):
        facts.append(f"{trace.get('accepted', 0)} of {trace['drafted']} drafts accepted")
    if trace.get("drafts"):
        facts.append(f"{len(trace['drafts'])} passes of the deep layers")
    if trace.get("peak_kv_bytes"):
        facts.append(f"KV peak {trace['peak_kv_bytes'] / 1e6:.2f} MB")
    picture.add(Text(24, 36, "What ran for this request", 19, bold=True), Text(24, 58, "  ·  ".join(facts), 13, FAINT))
    return 74


def _towers(picture: Picture, trace: Mapping[str, Any], y: float) -> float:
    """A box for each picture and clip."""
    names = {"image": "vision tower", "audio": "audio tower"}
    picture.add(Text(LEFT - 10, y + 16, "towers", 12, FAINT, "end"))
    if not trace.get("towers"):
        picture.add(Text(LEFT, y + 16, "none: text only", 12, FAINT))
    x = LEFT
    for tower in trace.get("towers", ()):
        ran = tower.get("how") == "ran"
        states = f"{tower['states']:,} states, " if tower.get("states") else ""
        loaded = ", loaded" if tower.get("cold") else ""
        what = f"{states}{tower.get('ms', 0):.0f} ms{loaded}" if ran else "from the cache"
        label = f"{names.get(str(tower.get('tower')), str(tower.get('tower'))[:16])}: {what}"
        width = 18 + 6.6 * len(label)
        if x + width > WIDTH - RIGHT and x > LEFT:
            x, y = LEFT, y + 28
        picture.add(Rect(x, y, width, 23, "#dff1e6" if ran else "#eef1f4"), Text(x + 9, y + 16, label, 12))
        x += width + 8
    return y + 28


def _layers(picture: Picture, trace: Mapping[str, Any], ends: Sequence[int], axis: _Axis, top: float) -> None:
    """A column of layers for the prompt and for each token; what did not run is pale. Tokens that one pass of the deep
    layers verified together share a wide block there."""
    bottom = top + DEPTH_HEIGHT
    scale = DEPTH_HEIGHT / ends[-1]

    def column(x: float, width: float, depth: int, first: int = 0, last: int = len(ends)) -> None:
        """Segments [first, last) of a column."""
        for index, (low, high) in enumerate(pairwise((0, *ends))):
            if depth > low and first <= index < last:
                reached = min(high, depth)
                color = LAYERS[min(index, len(LAYERS) - 1)]
                picture.add(Rect(x, bottom - reached * scale, width, (reached - low) * scale, color))

    picture.add(Rect(LEFT, top, PROMPT_WIDTH, DEPTH_HEIGHT, SKIPPED))
    column(LEFT, PROMPT_WIDTH, int(trace.get("prompt_depth") or 0))
    shared = _verified(trace)
    for first, end, depth in _runs(trace["depths"]) if not axis.gap else _each(trace["depths"]):
        x, width = axis.at(first), axis.step * (end - first) - axis.gap
        picture.add(Rect(x, top, width, DEPTH_HEIGHT, SKIPPED))
        column(x, width, depth, last=1 if shared else len(ends))
    for first, end, depth in shared:
        column(axis.at(first), axis.step * (end - first) - axis.gap, depth, first=1)
    for end in ends[:-1]:
        height = bottom - end * scale
        picture.add(Line(((LEFT, height), (axis.end, height)), GRID, 1.5))
    picture.add(Text(LEFT + PROMPT_WIDTH / 2, top - 6, "prompt", 11, FAINT, "middle"))
    picture.add(Text(axis.start, top - 6, "output tokens →", 11, FAINT))
    for end in (0, *ends):
        picture.add(Text(LEFT - 10, bottom - end * scale + 4, str(end), 11, FAINT, "end"))
    picture.add(Text(24, top - 6, "layers", 12, FAINT))
    used = max([*trace["depths"], int(trace.get("prompt_depth") or 0)], default=0)
    if 0 < used < ends[-1] and axis.end - axis.start > 150:
        middle = bottom - (used + ends[-1]) / 2 * scale
        picture.add(
            Text((axis.start + axis.end) / 2, middle + 4, "not run: no weights read, no KV pages", 12, FAINT, "middle")
        )


def _drafts(picture: Picture, trace: Mapping[str, Any], axis: _Axis, y: float) -> float:
    """Which tokens were accepted drafts, and how many drafts each verification threw away."""
    steps = trace.get("drafts") or ()
    if not any(step[1] for step in steps):
        return y
    picture.add(Text(LEFT - 10, y + 17, "drafts", 12, FAINT, "end"))
    token = 0
    for tokens, drafted, accepted in steps:
        good = min(accepted, tokens)
        x = axis.at(token)
        for first, count, color in ((0, good, ACCEPTED), (good, tokens - good, VERIFIED)):
            for nth in range(first, first + count):
                picture.add(Rect(axis.at(token + nth), y + 6, max(0.5, axis.step - axis.gap), 12, color))
        if drafted > accepted and axis.step >= 6:
            picture.add(
                Text(axis.at(token + tokens) - axis.step / 2, y + 30, f"−{drafted - accepted}", 10, REJECTED, "middle")
            )
        if axis.step >= 3:
            picture.add(Line(((x, y + 3), (x, y + 21)), INK, 1.2))
        token += tokens
    legend = (
        (ACCEPTED, "draft, confirmed"),
        (VERIFIED, "from the whole decoder"),
        (REJECTED, "−n: drafts thrown away"),
    )
    x = LEFT
    for color, label in legend:
        picture.add(Rect(x, y + 36, 10, 10, color), Text(x + 15, y + 45, label, 11, FAINT))
        x += 32 + 6.4 * len(label)
    picture.add(Text(x, y + 45, "|  one verification", 11, FAINT))
    return y + 52


def _ticks(picture: Picture, axis: _Axis, y: float) -> float:
    """Numbers of tokens under the columns."""
    every = next(n for size in range(7) for n in (10**size, 2 * 10**size, 5 * 10**size) if n * axis.step >= 34)
    for token in range(every, axis.count + 1, every):
        picture.add(Text(axis.at(token - 0.5), y + 16, str(token), 10, FAINT, "middle"))
    return y + 22


def _pages(picture: Picture, trace: Mapping[str, Any], axis: _Axis, y: float) -> float:
    """Live KV pages over the output, as steps."""
    pages = [(int(entry["token"]), int(entry["pages"])) for entry in trace.get("pages") or ()]
    if not pages:
        return y
    top, bottom = y + 26, y + 26 + PAGES_HEIGHT
    most = max(1, *(count for _, count in pages))
    picture.add(Text(LEFT - 10, top - 6, "KV pages", 12, FAINT, "end"))
    picture.add(
        Text(LEFT - 10, top + 8, str(most), 11, FAINT, "end"), Text(LEFT - 10, bottom + 3, "0", 11, FAINT, "end")
    )
    for (token, count), (following, _) in pairwise((*pages, (axis.count, 0))):
        left = LEFT if token == pages[0][0] else axis.at(max(0, token - 1))
        right = axis.end if following == axis.count else axis.at(max(0, following - 1))
        height = PAGES_HEIGHT * count / most
        picture.add(Rect(left, bottom - height, max(0.0, right - left), height, "#cfe3d6"))
        picture.add(Line(((left, bottom - height), (max(left, right), bottom - height)), ACCEPTED, 1.6))
    picture.add(Line(((LEFT, bottom), (axis.end, bottom)), FAINT, 1))
    return bottom


def _changes(picture: Picture, trace: Mapping[str, Any], axis: _Axis, top: float, bottom: float) -> None:
    """A numbered line where the plan was rewritten."""
    for number, entry in enumerate(trace.get("rewrites") or (), 1):
        x = axis.at(min(int(entry["token"]), axis.count)) - axis.gap / 2
        picture.add(Line(((x, top - 2), (x, bottom)), CHANGE, 1.4, 4))
        picture.add(Rect(x - 8, top - 20, 16, 16, CHANGE), Text(x, top - 8, str(number), 11, "#ffffff", "middle", True))


def _times(picture: Picture, trace: Mapping[str, Any], ends: Sequence[int], y: float) -> float:
    """Milliseconds of each segment, side by side."""
    times = {int(index): float(ms) for index, ms in (trace.get("segment_ms") or {}).items()}
    total = sum(times.values())
    if not total:
        return y
    picture.add(Text(LEFT - 10, y + 16, "time", 12, FAINT, "end"))
    x, width = LEFT, WIDTH - RIGHT - LEFT - 120
    for index, ms in sorted(times.items()):
        part = width * ms / total
        color = LAYERS[min(index, len(LAYERS) - 1)]
        picture.add(Rect(x, y, part, 23, color))
        low = ends[index - 1] if 0 < index <= len(ends) else 0
        short = f"{low + 1}–{ends[min(index, len(ends) - 1)]}: {ms:.0f} ms"
        label = next((label for label in (f"layers {short}", short, "") if part > 6.6 * len(label) + 16), "")
        if label:
            picture.add(Text(x + 8, y + 16, label, 12, "#ffffff" if index < 2 else INK))
        x += part
    picture.add(Text(x + 8, y + 16, f"{total:.0f} ms in all", 12))
    return y + 34


def _notes(picture: Picture, trace: Mapping[str, Any], y: float) -> float:
    """Rewrites and reasons in words."""
    for number, entry in enumerate(trace.get("rewrites") or (), 1):
        words = f"token {entry['token']}: {entry.get('change', '')}" + (
            f" ({entry['reason']})" if entry.get("reason") else ""
        )
        picture.add(Rect(24, y, 16, 16, CHANGE), Text(32, y + 12, str(number), 11, "#ffffff", "middle", True))
        picture.add(Text(48, y + 13, words[:150], 12))
        y += 22
    for reason in trace.get("reasons") or ():
        picture.add(Text(24, y + 13, "•", 12, FAINT), Text(38, y + 13, str(reason)[:150], 12))
        y += 20
    caught = trace.get("caught_up") or {}
    if caught:
        words = ", ".join(f"{count} at depth {depth}" for depth, count in caught.items())
        picture.add(
            Text(24, y + 13, "•", 12, FAINT), Text(38, y + 13, f"Tokens processed later by deeper layers: {words}", 12)
        )
        y += 20
    return y + 16


def _ends(trace: Mapping[str, Any]) -> tuple[int, ...]:
    """Depths of the exits and of the whole decoder, as far as the trace tells them."""
    seen = {*trace["depths"], int(trace.get("prompt_depth") or 0), *trace.get("layers", ())}
    return tuple(sorted(depth for depth in seen if depth > 0)) or (1,)


def _verified(trace: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    """(first, end, depth) of the tokens of each verification; none unless the steps tell of all tokens."""
    depths, spans, first = trace["depths"], [], 0
    for tokens, _, _ in trace.get("drafts") or ():
        if tokens and first + tokens <= len(depths):
            spans.append((first, first + tokens, depths[first]))
        first += tokens
    return spans if first == len(depths) else []


def _each(depths: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    return ((place, place + 1, depth) for place, depth in enumerate(depths))


def _runs(depths: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """(first, end, depth) of runs of equal depths: one shape for many thin columns."""
    first = 0
    for place in range(1, len(depths) + 1):
        if place == len(depths) or depths[place] != depths[first]:
            yield first, place, depths[first]
            first = place


def _documents(text: str) -> Iterator[dict[str, Any]]:
    """JSON objects: the text as a whole, or the `data:` lines of a stream."""
    try:
        values = [json.loads(text)]
    except ValueError:
        values = []
        for line in text.splitlines():
            try:
                values.append(json.loads(line.removeprefix("data:")))
            except ValueError:
                continue
    return (value for value in values if isinstance(value, dict))


def _checked(trace: dict[str, Any]) -> dict[str, Any]:
    """Raises ConfigError for a trace that no engine wrote."""
    try:
        numbers = [*trace["depths"], *trace.get("layers", ()), *(n for step in trace.get("drafts", ()) for n in step)]
        sound = all(isinstance(n, int) and 0 <= n <= MOST_TOKENS for n in numbers) and len(numbers) <= 4 * MOST_TOKENS
        sound = sound and all(len(step) == 3 for step in trace.get("drafts", ()))
        sound = sound and all("token" in entry for kind in ("rewrites", "pages") for entry in trace.get(kind, ()))
    except (TypeError, AttributeError):
        sound = False
    if not sound:
        raise ConfigError("the trace is damaged: its lists hold other things than the engine writes", param="trace")
    return trace
