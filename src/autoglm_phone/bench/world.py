"""Quality on held-out samples of the world, answered greedily by the engine: the table of the model card.

Answers are appended to a file as they come, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from autoglm_phone.bench import fixed
from autoglm_phone.engine.request import SamplingParams
from autoglm_phone.errors import ConfigError
from autoglm_phone.train.world import registry, scoring
from autoglm_phone.train.world.sample import SAMPLE_RATE, Sample, Split

MAX_TOKENS = 512

# What the categories must reach: (categories, measure, bound, direction). Measures are fields of CategoryScore.
TARGETS: tuple[tuple[tuple[str, ...], str, float, str], ...] = (
    (("identity", "help", "smalltalk"), "accuracy", 0.98, ">="),
    (("oos",), "accuracy", 0.95, ">="),
    (("arith", "datetime", "units", "price"), "accuracy", 0.90, ">="),
    (("translate", "summary"), "bleu", 60.0, ">="),
    (("summary",), "facts", 0.95, ">="),
    (("screen",), "accuracy", 0.95, ">="),
    (("screen",), "unseen", 0.85, ">="),
    (("chart_trend",), "accuracy", 0.95, ">="),
    (("chart_value",), "accuracy", 0.85, ">="),
    (("scene_match",), "accuracy", 0.95, ">="),
    (("scene_count",), "accuracy", 0.90, ">="),
    (("scene_caption",), "bleu", 40.0, ">="),
    (("asr",), "cer", 0.05, "<="),
    (("asr",), "wer", 0.05, "<="),
    (("speech_screen", "speech_chart"), "accuracy", 0.90, ">="),
)


def messages(sample: Sample) -> list[dict[str, Any]]:
    """The sample's conversation up to the answer, as `LLM.chat` takes it."""
    pictures, clips = iter(sample.pictures), iter(sample.clips)
    out: list[dict[str, Any]] = []
    for turn in sample.turns[:-1]:
        if turn.role == "assistant":
            out.append({"role": "assistant", "content": turn.text, "reasoning_content": turn.reasoning})
        elif turn.role == "system":
            out.append({"role": "system", "content": turn.text})
        else:
            out.append({"role": "user", "content": list(_parts(turn.text, pictures, clips))})
    return out


def _parts(text: str, pictures: Iterator[Any], clips: Iterator[Any]) -> Iterator[dict[str, Any]]:
    rest = text
    while rest:
        marks = [(rest.find(m), m) for m in ("<image>", "<audio>") if m in rest]
        if not marks:
            yield {"type": "text", "text": rest}
            return
        at, mark = min(marks)
        if at:
            yield {"type": "text", "text": rest[:at]}
        if mark == "<image>":
            yield {"type": "image", "image": Image.fromarray(next(pictures).pixels)}
        else:
            yield {"type": "audio", "audio": (next(clips).samples, SAMPLE_RATE)}
        rest = rest[at + len(mark) :]


@dataclass(frozen=True)
class Answered:
    """What a model said to one sample."""

    id: str
    answer: str
    reasoning: str
    tokens: int


def model_digest(folder: Path) -> str:
    """Tells one set of weights from another: SHA-256 over the names, sizes and first kilobytes of the model's files."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix != ".md":  # the card may change, the model does not
            digest.update(f"{path.name}:{path.stat().st_size}".encode())
            with path.open("rb") as file:
                digest.update(file.read(1 << 16))
                file.seek(max(0, path.stat().st_size - (1 << 16)))
                digest.update(file.read())
    return digest.hexdigest()[:16]


def run(
    llm: Any,
    samples: Mapping[str, Sequence[Callable[[], Sample]]],
    *,
    store: Path,
    digest: str,
    thinking: bool = True,
    batch: int = 16,
    say: Callable[[str], None] = print,
) -> dict[str, scoring.CategoryScore]:
    """Answer and score the samples of each category (drawn when they are needed); a line per category as it is done.

    Raises:
        ConfigError: a store that holds another model's answers.
    """
    known = _load(store, digest)
    table: dict[str, scoring.CategoryScore] = {}
    params = SamplingParams(temperature=0.0, max_tokens=MAX_TOKENS)
    say(header())
    with store.open("a") as file:
        for category, makers in samples.items():
            pairs: list[tuple[Sample, str]] = []
            for start in range(0, len(makers), batch):
                drawn = [make() for make in makers[start : start + batch]]
                new = [s for s in drawn if s.id not in known]
                outputs = llm.chat([messages(s) for s in new], params, enable_thinking=thinking) if new else []
                for sample, output in zip(new, outputs, strict=True):
                    best = output.outputs[0]
                    done = Answered(sample.id, with_calls(best), best.reasoning, len(best.token_ids))
                    known[sample.id] = done
                    file.write(json.dumps(vars(done), ensure_ascii=False) + "\n")
                file.flush()
                pairs += [(s, known[s.id].answer) for s in drawn]
            table[category] = scoring.corpus_scores(pairs)[category]
            say(line(table[category]))
    return table


def world_samples(categories: Sequence[str], count: int, split: Split) -> dict[str, list[Callable[[], Sample]]]:
    """The first `count` samples of each category.

    Raises:
        ConfigError: an unknown category.
    """
    unknown = [c for c in categories if c not in registry.CATEGORIES]
    if unknown:
        raise ConfigError(f"unknown categories: {', '.join(unknown)}; known: {', '.join(registry.CATEGORIES)}")
    return {c: [partial(registry.generate, c, split, i) for i in range(count)] for c in categories}


def fixed_samples(categories: Sequence[str]) -> dict[str, list[Callable[[], Sample]]]:
    """The fixed set of 100 samples, all or some categories."""
    table: dict[str, list[Callable[[], Sample]]] = {}
    for sample in fixed.load(fixed.FOLDER):
        if not categories or sample.category in categories:
            table.setdefault(sample.category, []).append(partial(_same, sample))
    return table


def _same(sample: Sample) -> Sample:
    return sample


def with_calls(output: Any) -> str:
    """The answer with its tool calls written out as the model wrote them."""
    calls = "".join(f"<tool_call>{call.name}\n{call.arguments}</tool_call>" for call in output.tool_calls)
    return str(output.text) + calls


def _load(store: Path, digest: str) -> dict[str, Answered]:
    store.parent.mkdir(parents=True, exist_ok=True)
    if not store.exists():
        store.write_text(json.dumps({"model": digest}) + "\n")
        return {}
    first, *rest = store.read_text().splitlines()
    if json.loads(first).get("model") != digest:
        raise ConfigError(f"{store} holds the answers of another model; remove it or choose another --out")
    return {record["id"]: Answered(**record) for record in map(json.loads, rest)}


def header() -> str:
    return (
        f"{'category':16s} {'n':>5s} {'accuracy':>9s} {'95 % interval':>16s} {'unseen':>7s} "
        f"{'BLEU':>6s} {'facts':>6s} {'CER':>6s} {'WER':>6s}"
    )


def line(score: scoring.CategoryScore) -> str:
    """One row of the table; accuracies in percent."""

    def percent(value: float | None) -> str:
        return "" if value is None else f"{100 * value:.1f}"

    interval = f"{100 * score.low:.1f} – {100 * score.high:.1f}"
    bleu = "" if score.bleu is None else f"{score.bleu:.1f}"
    return (
        f"{score.category:16s} {score.count:5d} {percent(score.accuracy):>9s} {interval:>16s} "
        f"{percent(score.unseen):>7s} {bleu:>6s} {percent(score.facts):>6s} {percent(score.cer):>6s} "
        f"{percent(score.wer):>6s}"
    )


def verdicts(table: dict[str, scoring.CategoryScore]) -> list[str]:
    """One line per target that the table can judge: reached, or missed by how much."""
    lines = []
    for categories, measure, bound, direction in TARGETS:
        for category in categories:
            value = getattr(table[category], measure) if category in table else None
            if value is None:
                continue
            reached = value >= bound if direction == ">=" else value <= bound
            scale = 1.0 if measure == "bleu" else 100.0
            verdict = "reached" if reached else f"missed by {scale * abs(value - bound):.1f}"
            lines.append(f"{category} {measure} {scale * value:.1f} (target {direction} {scale * bound:g}): {verdict}")
    return lines
