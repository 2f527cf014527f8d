"""Live memory under a text-heavy load: several requests at once, nine of ten of them text. No tensors.

All engines are measured alike, at the fullest moments of every step: decoder weights in memory with the buffers that
they are read into, towers in memory, and the pages that sequences own. The static one has everything loaded, and full
keys and values of every running sequence in every layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autoglm_phone.bench.graph import Where
from autoglm_phone.bench.graph_modes import DYNAMIC, LEAN
from autoglm_phone.train.mixture import AUDIO, IMAGE, TEXT

GOAL = 0.60  # of static's peak
EVERY = 10  # one request in so many brings a picture or speech, in turn
MB = 1e6
DEFINITION = (
    "live memory: decoder weights and the buffers they are read into + loaded towers + pages owned by sequences, at "
    "the fullest moment of each step; static: all weights, and full keys and values in all layers; counted on no side: "
    "activations, the dense copies of contexts that the CPU backend reads, cross-attention states of running requests, "
    "and the system's page cache, from which layers and towers are read again and which it may take back"
)


def text_heavy(samples: Sequence[Where], count: int) -> list[Where]:
    """`count` requests drawn in turn from these samples; without media in them, all are text. Empty without text."""
    pools = [[where for where in samples if where[1] in table] for table in (TEXT, IMAGE, AUDIO)]
    text, media = pools[0], [pool for pool in pools[1:] if pool]
    out: list[Where] = []
    for index in range(count if text else 0):
        turn = index // EVERY
        if index % EVERY == EVERY // 2 and media:
            pool = media[turn % len(media)]
            out.append(pool[turn // len(media) % len(pool)])
        else:
            out.append(text[index % len(text)])
    return out


def describe(mixes: Mapping[str, Mapping[str, Any]], concurrency: int) -> Iterator[str]:
    """What is printed: a line a mode, with its ratio to `static`, and what was counted."""
    static = mixes["static"]
    yield ""
    yield (
        f"{static['requests']} requests, {static['text']} of them text, {concurrency} at once; live memory in MB "
        f"at the peak (= weights + towers + pages) and on average"
    )
    heads = ("peak", "/ static", "weights", "towers", "pages", "mean", "s")
    yield f"{'mode':12s} " + " ".join(f"{head:>8s}" for head in heads)
    for name, mix in mixes.items():
        yield (
            f"{name:12s} {mix['peak'] / MB:8.1f} {mix['peak'] / static['peak']:8.3f} {mix['decoder_bytes'] / MB:8.1f} "
            f"{mix['tower_bytes'] / MB:8.1f} {mix['kv_bytes'] / MB:8.1f} {mix['mean'] / MB:8.1f} {mix['seconds']:8.1f}"
        )
    yield DEFINITION
    for name in (DYNAMIC, LEAN):
        if name in mixes:
            ratio = mixes[name]["peak"] / static["peak"]
            verdict = "reached" if ratio <= GOAL else "missed"
            yield f"{name}: peak live memory / static, text-heavy mix: {ratio:.3f} (goal ≤ {GOAL:g}): {verdict}"
