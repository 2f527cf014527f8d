"""The report's words: report.json's facts as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

KINDS = {"all": "all", "text": "text", "picture": "picture-conditioned", "speech": "speech-conditioned"}
SHIFT_TARGET = 0.05


def text(facts: Mapping[str, Any], plots: Sequence[str]) -> str:
    """report.md. plots: names of pictures beside it."""
    lines = [
        f"# {facts['model']}: what compression cost",
        "",
        f"Against {facts['base']}, both run here ({facts['machine']}, torch {facts['torch']}). Intervals are 95 %.",
    ]
    if "size" in facts:
        lines += _size(facts["size"])
    if "predictions" in facts:
        lines += _predictions(facts["predictions"])
        if "exits" in facts["predictions"]:
            lines += _exits(facts["predictions"]["exits"])
    if facts.get("quality"):
        lines += _quality(facts["quality"])
    if "latency" in facts:
        lines += _latency(facts["latency"])
    if "sensitivity" in facts:
        lines += _sensitivity(facts["sensitivity"])
    for name in plots:
        lines += ["", f"![{name.removesuffix('.png').replace('-', ' ')}]({name})"]
    return "\n".join(lines) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> list[str]:
    """words: leading columns that hold words."""
    marks = ["---" if i < words else "---:" for i in range(len(head))]
    return [f"| {' | '.join(cells)} |" for cells in (head, marks, *rows)]


def _mb(count: float) -> str:
    return f"{count / 1e6:.2f}"


def _size(size: Mapping[str, Any]) -> list[str]:
    rows = [
        (
            s["part"],
            s["how"],
            _mb(s["before"]),
            _mb(s["after"]),
            f"{s['after'] / s['before']:.1%}" if s["before"] else "new",
        )
        for s in size["disk"]
    ]
    before, after = (sum(s[key] for s in size["disk"]) for key in ("before", "after"))
    rows.append(("**all tensors**", "", f"**{_mb(before)}**", f"**{_mb(after)}**", f"**{after / before:.1%}**"))
    files = size["files"]
    rows.append(
        ("weight files", "", _mb(files["before"]), _mb(files["after"]), f"{files['after'] / files['before']:.1%}")
    )
    lines = ["", "## Size on disk", "", *_table(("part", "stored as", "before, MB", "after, MB", "share"), rows, 2)]
    held = size["resident"]
    parts = sorted(held["before"].keys() | held["after"].keys())
    made = []
    for part in parts:
        old, new = (held[key].get(part, 0) for key in ("before", "after"))
        made.append((part, _mb(old), _mb(new), f"{new / old:.1%}" if old else ""))
    old, new = (sum(held[key].values()) for key in ("before", "after"))
    made.append(("**all weights**", f"**{_mb(old)}**", f"**{_mb(new)}**", f"**{new / old:.1%}**"))
    return [
        *lines,
        "",
        "## Size in memory",
        "",
        f"Of the loaded engine, towers included; what it keeps as floats it keeps in {size['dtype']}. A packed output "
        "head that is tied to the embedding is the embedding's memory.",
        "",
        *_table(("part", "float, MB", "compressed, MB", "share"), made),
    ]


def _predictions(made: Mapping[str, Any]) -> list[str]:
    rows = []
    for kind, words in KINDS.items():
        d = made["divergence"].get(kind)
        if d is not None:
            rows.append(
                (
                    words,
                    str(d["tokens"]),
                    f"{d['kl_mean']:.4f}",
                    f"{d['kl_low']:.4f} – {d['kl_high']:.4f}",
                    f"{d['kl_median']:.6f}",
                    f"{d['kl_999']:.3f}",
                    f"{d['top1']:.2%} ({d['top1_low']:.1%} – {d['top1_high']:.1%})",
                    f"{d['perplexity']:.4f} ({d['perplexity_low']:.4f} – {d['perplexity_high']:.4f})",
                )
            )
    head = ("reply conditioned by", "tokens", "KL mean", "interval", "KL median", "KL 99.9 %", "top-1 agreement")
    return [
        "",
        "## Predictions",
        "",
        f"At the tokens of the reference reply in {made['samples']} held-out conversations: Kullback–Leibler "
        "divergence of the float model's next-token distribution from the compressed one's, in nats; perplexity of the "
        "reference, compressed over float. Intervals by bootstrap over conversations.",
        "",
        *_table((*head, "perplexity ratio"), rows),
    ]


def _exits(mixes: Mapping[str, Any]) -> list[str]:
    rows = []
    for kind, words in KINDS.items():
        mix = mixes.get(kind)
        if mix is not None:
            shares = [f"{a:.1%} → {b:.1%}" for a, b in zip(mix["before"], mix["after"], strict=True)]
            moved = f"{mix['shift']:.1%} ({mix['shift_low']:.1%} – {mix['shift_high']:.1%})"
            rows.append((words, *shares, moved, f"{mix['agree']:.1%}"))
    verdict = "reached" if mixes["all"]["shift"] <= SHIFT_TARGET else "missed"
    depths = [f"depth {name}" if name != "full" else "full" for name in mixes["all"]["depths"]]
    return [
        "",
        "## Exits",
        "",
        "The least depth at which a token is what full depth of the same model makes it, at the same tokens: share of "
        "each depth, float → compressed. Shift: half the sum of the changes (an interval of a distance has a floor "
        f"above zero). Target: a shift of at most {SHIFT_TARGET:.0%}: {verdict}.",
        "",
        *_table(("reply conditioned by", *depths, "shift", "same depth"), rows),
    ]


def _change(change: Mapping[str, float] | None, style: str, scale: float = 1.0) -> tuple[str, str, str]:
    """(before, after, interval of the difference)."""
    if change is None:
        return "", "", ""
    before, after, low, high = (f"{scale * change[key]:{style}}" for key in ("before", "after", "low", "high"))
    signs = [value if value.startswith("-") else f"+{value}" for value in (low, high)]
    return before, after, f"{signs[0]} … {signs[1]}"


def _quality(made: Mapping[str, Any]) -> list[str]:
    head = ("", "n", "float", "compressed", "change, points", "right → wrong", "wrong → right", "same answer")
    blocks = []
    for name, table in (("conditioned by", made["modalities"]), ("category", made["categories"])):
        rows = []
        for row in table:
            before, after, change = _change(row["accuracy"], ".1f", 100)
            name_of = KINDS.get(row["name"], row["name"])
            counts = (str(row["lost"]), str(row["won"]), f"{row['same']:.0%}")
            rows.append((name_of, str(row["count"]), before, after, change, *counts))
        blocks += ["", *_table((name, *head[1:]), rows)]
    lines = [
        "",
        "## Quality",
        "",
        f"Accuracy in percent on the first {made['count']} test samples of each category of the world, answered "
        "greedily by the engine at full depth. The change's interval is of the paired difference (Agresti and Min "
        "2005).",
        *blocks,
    ]
    texts: list[tuple[str, ...]] = []
    for row in made["categories"]:
        if row["bleu"] is not None:
            texts.append((row["name"], "BLEU-4", *_change(row["bleu"], ".1f")))
        if row["error"] is not None:
            texts.append((row["name"], "CER (zh) and WER (en), %", *_change(row["error"], ".1f", 100)))
    overall = made["modalities"][0]
    if overall["bleu"] is not None:
        texts.append(("**all with a reference**", "BLEU-4", *_change(overall["bleu"], ".1f")))
    if texts:
        lines += ["", "### Text", "", *_table(("category", "measure", "float", "compressed", "change"), texts, 2)]
    if made["taps"]:
        rows = []
        for row in made["taps"]:
            before, after, change = _change(row["difference"], ".1f")
            missing = f"{row['missing'][0]}, {row['missing'][1]}"
            shifted = (f"{row['shift']:.1f}", f"{row['shift_95']:.1f}")
            rows.append((KINDS[row["name"]], str(row["count"]), before, after, change, *shifted, missing))
        lines += [
            "",
            "### Taps",
            "",
            "Pixels between the tap and the middle of its target, median over samples in which both models tap; "
            "and between the two models' taps.",
            "",
            *_table(
                (
                    "conditioned by", "n", "float, px", "compressed, px", "change of the median, px",
                    "between taps: median", "95 %", "no tap (float, compressed)",
                ),
                rows,
            ),
        ]  # fmt: skip
    return lines


def _latency(made: Mapping[str, Any]) -> list[str]:
    rows = [
        (
            row["what"],
            f"{row['before']:.2f}",
            f"{row['after']:.2f}",
            f"{row['ratio']:.2f}",
            f"{row['low']:.2f} – {row['high']:.2f}",
        )
        for row in made["rows"]
    ]
    return [
        "",
        "## Latency",
        "",
        f"Milliseconds, medians of rounds that time both models turn by turn; float activations in {made['dtype']}, "
        f"{made['threads']} CPU threads. Ratio: compressed over float, median and quartiles of the rounds.",
        "",
        *_table(("measure", "float", "compressed", "ratio", "quartiles"), rows),
    ]


def _sensitivity(made: Mapping[str, Any]) -> list[str]:
    stored = {name: table[str(made["bits"][name])] for name, table in made["cost"].items()}
    worst = sorted(stored, key=lambda name: -stored[name])[:8]
    total = sum(stored.values())
    rows = [
        (f"`{name}`", str(made["bits"][name]), f"{stored[name]:.2e}", f"{stored[name] / total:.1%}") for name in worst
    ]
    return [
        "",
        "## Sensitivity",
        "",
        "Divergence in nats a token that rounding one linear of the decoder to the nearest code would cost, estimated "
        f"from gradients on {made['samples']} conversations; the most sensitive ones at the bits that they have. Sum "
        f"over all {len(stored)}: {total:.2e}.",
        "",
        *_table(("module", "bits", "nats a token", "share"), rows),
    ]
