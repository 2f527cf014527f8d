"""What two models' replies to the same samples say: accuracy and its change, flips, BLEU, error rates, tap errors.

Changes have paired 95 % intervals: of proportions after Agresti and Min (2005), of everything else by bootstrap over
the samples (for BLEU: Koehn 2004).
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from autoglm_phone.compress.quality import Pair, Reply, distance
from autoglm_phone.train.world import scoring

_BLEU_DRAWS = 200
_DRAWS = 1000


@dataclass(frozen=True)
class Change:
    """A figure of the float model, of the compressed one, and the interval of the difference (after − before)."""

    before: float
    after: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """A category, a modality, or all samples. accuracy in [0, 1]; bleu 0–100; error: CER (zh) and WER (en) together.
    lost: right → wrong. won: wrong → right. same: share of equal answers."""

    name: str
    count: int
    accuracy: Change
    lost: int
    won: int
    same: float
    bleu: Change | None = None
    error: Change | None = None


@dataclass(frozen=True)
class Taps:
    """Samples that want a tap. before, after: median pixels from the target's middle, of the taps that were made.
    shift: median and 95 % quantile of the pixels between the two models' taps; missing: no tap (float, compressed)."""

    name: str
    count: int
    before: float
    after: float
    difference: Change
    shift: float
    shift_95: float
    missing: tuple[int, int]


def rows(pairs: Sequence[Pair]) -> list[Row]:
    """One row a category, in order of first appearance."""
    return [_row(name, [p for p in pairs if p.category == name]) for name in dict.fromkeys(p.category for p in pairs)]


def by_modality(pairs: Sequence[Pair]) -> list[Row]:
    """All samples, then text, picture and speech."""
    kinds = [kind for kind in ("text", "picture", "speech") if any(p.modality == kind for p in pairs)]
    return [_row("all", pairs), *(_row(kind, [p for p in pairs if p.modality == kind]) for kind in kinds)]


def taps(pairs: Sequence[Pair]) -> list[Taps]:
    """Tap errors over all samples that want one, and by modality."""
    found = [pair for pair in pairs if pair.target is not None]
    kinds = [kind for kind in ("picture", "speech") if any(p.modality == kind for p in found)]
    groups = [("all", found), *((kind, [p for p in found if p.modality == kind]) for kind in kinds)]
    return [row for row in (_taps(name, group) for name, group in groups) if row is not None]


def paired_change(first: Sequence[bool], second: Sequence[bool]) -> Change:
    """Two proportions of the same samples."""
    count = len(first)
    before, after = sum(first) / count, sum(second) / count
    won = sum(b and not a for a, b in zip(first, second, strict=True)) + 0.5
    lost = sum(a and not b for a, b in zip(first, second, strict=True)) + 0.5
    size = count + 2
    middle = (won - lost) / size
    spread = 1.959964 * math.sqrt(max(0.0, won + lost - (won - lost) ** 2 / size)) / size
    return Change(before, after, max(-1.0, middle - spread), min(1.0, middle + spread))


def bootstrap(
    pairs: Sequence[Pair], figure: Callable[[Sequence[Pair], str], float | None], draws: int = _DRAWS
) -> Change | None:
    """A figure of (samples, "first" or "second"), with the interval of its difference; None if it has no value."""
    before, after = figure(pairs, "first"), figure(pairs, "second")
    if before is None or after is None:
        return None
    rng, found = random.Random(0), []
    for _ in range(draws):
        drawn = rng.choices(pairs, k=len(pairs))
        one, other = figure(drawn, "first"), figure(drawn, "second")
        if one is not None and other is not None:
            found.append(other - one)
    found.sort()
    return Change(before, after, found[int(0.025 * len(found))], found[min(len(found) - 1, int(0.975 * len(found)))])


def _row(name: str, pairs: Sequence[Pair]) -> Row:
    first, second = [p.first.correct for p in pairs], [p.second.correct for p in pairs]
    written = [p for p in pairs if p.reference is not None]
    enough = name == "all" or 2 * len(written) >= len(pairs)  # a category that now and then has one is no BLEU corpus
    return Row(
        name=name,
        count=len(pairs),
        accuracy=paired_change(first, second),
        lost=sum(a and not b for a, b in zip(first, second, strict=True)),
        won=sum(b and not a for a, b in zip(first, second, strict=True)),
        same=sum(p.first.answer == p.second.answer for p in pairs) / len(pairs),
        bleu=bootstrap(written, _bleu, _BLEU_DRAWS) if enough else None,
        error=bootstrap([p for p in pairs if "edits" in p.first.detail], _error_rate),
    )


def _reply(pair: Pair, which: str) -> Reply:
    return pair.first if which == "first" else pair.second


def _bleu(pairs: Sequence[Pair], which: str) -> float | None:
    return scoring.corpus_bleu([(p.lang, _reply(p, which).answer, p.reference or "") for p in pairs])


def _error_rate(pairs: Sequence[Pair], which: str) -> float | None:
    details = [_reply(p, which).detail for p in pairs]
    units = sum(d["units"] for d in details)
    return sum(d["edits"] for d in details) / units if units else None


def _tap_error(pairs: Sequence[Pair], which: str) -> float | None:
    found = [d for p in pairs if (d := distance(_reply(p, which).tap, p.target)) is not None]
    return statistics.median(found) if found else None


def _taps(name: str, pairs: Sequence[Pair]) -> Taps | None:
    both = [p for p in pairs if p.first.tap is not None and p.second.tap is not None]
    difference = bootstrap(both, _tap_error) if both else None
    if difference is None:
        return None
    shifts = sorted(d for p in both if (d := distance(p.first.tap, p.second.tap)) is not None)
    return Taps(
        name=name,
        count=len(pairs),
        before=difference.before,
        after=difference.after,
        difference=difference,
        shift=statistics.median(shifts),
        shift_95=shifts[min(len(shifts) - 1, int(0.95 * len(shifts)))],
        missing=(sum(p.first.tap is None for p in pairs), sum(p.second.tap is None for p in pairs)),
    )
