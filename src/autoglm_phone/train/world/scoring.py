"""Judges an answer by its sample's `truth`, and sums up a test run per category.

`truth["kind"]` names the scorer. Generic kinds live here; a category's own kind is registered by its module with
`@scorer("tap")` and found by importing that module. A scorer gets (sample, answer text, reasoning text).

| kind       | truth                                    | correct when                                  |
|------------|------------------------------------------|-----------------------------------------------|
| exact      | value, or accept: [values]               | normalised texts are equal                    |
| number     | value or values: [decimal strings]       | the last numbers of the answer are the values |
| contains   | must: [text or [options]], must_not      | all of must, none of must_not                 |
| bleu       | reference                                | normalised equal; corpus BLEU is the score    |
| facts      | facts: as must, forbid: [text], reference | all facts are kept                           |
| transcript | text                                     | no edit at all; CER / WER is the score        |
| honest     | missing: [words] or nothing              | see text/oos.py                               |
| rule       | must, must_not, min_chars, max_chars     | as contains, and of a fitting length          |
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from autoglm_phone.edits import edit_distance
from autoglm_phone.errors import ConfigError
from autoglm_phone.train.world.sample import Sample


@dataclass(frozen=True)
class Score:
    """correct: counts for accuracy. value: partial credit in [0, 1]. detail: why, and what corpus scores need."""

    correct: bool
    value: float
    detail: dict[str, Any] = field(default_factory=dict)


Scorer = Callable[[Sample, str, str], Score]
_SCORERS: dict[str, Scorer] = {}


def scorer(kind: str) -> Callable[[Scorer], Scorer]:
    """Registers a function as the judge of samples whose truth has this kind."""

    def register(function: Scorer) -> Scorer:
        if kind in _SCORERS and _SCORERS[kind].__module__ != function.__module__:
            raise ConfigError(f"two scorers for kind {kind!r}: {_SCORERS[kind].__module__} and {function.__module__}")
        _SCORERS[kind] = function
        return function

    return register


def score(sample: Sample, answer_text: str, reasoning_text: str = "") -> Score:
    """Judge what a model answered to `sample` (the text inside <answer>, and the thought before it)."""
    kind = sample.truth.get("kind")
    if kind not in _SCORERS:
        from autoglm_phone.train.world import registry

        registry.load(sample.category)
        for other in registry.CATEGORIES:  # a spoken task is judged by the category that it borrowed its question from
            if kind in _SCORERS:
                break
            registry.load(other)
    if kind not in _SCORERS:
        raise ConfigError(f"sample {sample.id} has truth kind {kind!r}; known: {', '.join(sorted(_SCORERS))}")
    return _SCORERS[kind](sample, answer_text, reasoning_text)


# --- normal forms -------------------------------------------------------------------------------------------------


def normalise(text: str) -> str:
    """NFKC (full-width to ASCII), lower case, one space between words, no closing punctuation."""
    text = unicodedata.normalize("NFKC", text).lower().replace("。", ".")
    return re.sub(r"\s+", " ", text).strip().strip(".!?… ")


_NUMBER = re.compile(r"(?<![\d.])[-−]?\d[\d,]*(?:\.\d+)?")


def numbers(text: str) -> list[Decimal]:
    """The numbers of a text in order; a comma inside a number groups thousands."""
    found = []
    for match in _NUMBER.finditer(unicodedata.normalize("NFKC", text)):
        digits = match.group().replace("−", "-")
        at = match.start()
        if digits.startswith("-") and at > 0 and (text[at - 1].isalnum()):
            digits = digits[1:]  # a hyphen, not a sign
        try:
            found.append(Decimal(digits.replace(",", "")))
        except InvalidOperation:
            continue
    return found


def holds(text: str, wanted: str) -> bool:
    """Whether `wanted` stands in `text` (both normalised), not as a part of a longer number or Latin word."""
    text, wanted = normalise(text), normalise(wanted)
    if not wanted:
        return True
    start = 0
    while (at := text.find(wanted, start)) >= 0:
        before, after = text[at - 1 : at], text[at + len(wanted) : at + len(wanted) + 1]
        if not (_joins(before, wanted[0]) or _joins(wanted[-1], after)):
            return True
        start = at + 1
    return False


def _joins(left: str, right: str) -> bool:
    if not left or not right:
        return False
    return (left.isdigit() and right.isdigit()) or (
        left.isascii() and right.isascii() and left.isalpha() and right.isalpha()
    )


def missing(text: str, must: Iterable[str | Sequence[str]]) -> list[str]:
    """The entries of `must` (a text, or a list of which one suffices) that `text` does not hold."""
    lost = []
    for wanted in must:
        options = [wanted] if isinstance(wanted, str) else list(wanted)
        if not any(holds(text, option) for option in options):
            lost.append(options[0])
    return lost


def spoken_units(text: str, lang: str) -> list[str]:
    """What CER / WER count: characters for zh, words for en; case, punctuation and spacing are ignored."""
    text = unicodedata.normalize("NFKC", text).lower()
    kept = "".join(c if unicodedata.category(c)[0] in "LNM" else ("" if c == "'" else " ") for c in text)
    return list(kept.replace(" ", "")) if lang == "zh" else kept.split()


# --- generic scorers ----------------------------------------------------------------------------------------------


@scorer("exact")
def _exact(sample: Sample, answer: str, reasoning: str) -> Score:
    accept = sample.truth.get("accept") or [sample.truth["value"]]
    correct = normalise(answer) in {normalise(str(value)) for value in accept}
    return Score(correct, float(correct))


@scorer("number")
def _number(sample: Sample, answer: str, reasoning: str) -> Score:
    truth = sample.truth
    values = [Decimal(str(value)) for value in truth.get("values", [truth.get("value")])]
    found = numbers(answer)
    correct = len(found) >= len(values) and found[-len(values) :] == values
    return Score(correct, float(correct), {"found": [str(value) for value in found]})


@scorer("contains")
@scorer("rule")
def _contains(sample: Sample, answer: str, reasoning: str) -> Score:
    truth = sample.truth
    must = truth.get("must", [])
    lost = missing(answer, must)
    wrong = [text for text in truth.get("must_not", []) if holds(answer, text)]
    too_long = len(answer) > truth.get("max_chars", 10_000)
    value = 1.0 - len(lost) / max(1, len(must))
    too_short = len(answer.strip()) < truth.get("min_chars", 1)
    correct = not (lost or wrong or too_long or too_short)
    return Score(
        correct, value if not wrong else 0.0, {"missing": lost, "wrong": wrong, "bad_length": too_long or too_short}
    )


@scorer("bleu")
def _bleu(sample: Sample, answer: str, reasoning: str) -> Score:
    reference = sample.truth["reference"]
    correct = normalise(answer) == normalise(reference)
    units = spoken_units(reference, sample.truth.get("lang", sample.lang))
    edits = edit_distance(units, spoken_units(answer, sample.truth.get("lang", sample.lang)))
    return Score(correct, max(0.0, 1.0 - edits / max(1, len(units))))


@scorer("facts")
def _facts(sample: Sample, answer: str, reasoning: str) -> Score:
    truth = sample.truth
    facts = truth["facts"]
    lost = missing(answer, facts)
    wrong = [text for text in truth.get("forbid", []) if holds(answer, text)]
    kept = len(facts) - len(lost)
    detail = {"kept": kept, "facts": len(facts), "missing": lost, "wrong": wrong}
    return Score(not lost and not wrong, kept / max(1, len(facts)), detail)


@scorer("transcript")
def _transcript(sample: Sample, answer: str, reasoning: str) -> Score:
    lang = sample.truth.get("lang", sample.lang)
    reference = spoken_units(sample.truth["text"], lang)
    edits = edit_distance(reference, spoken_units(answer, lang))
    rate = edits / max(1, len(reference))
    return Score(edits == 0, max(0.0, 1.0 - rate), {"edits": edits, "units": len(reference), "lang": lang})


# --- a whole test run ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CategoryScore:
    """accuracy in [0, 1] with its Wilson 95 % interval; the others are None where they do not apply.

    bleu: corpus BLEU-4 (0–100), the mean over languages weighted by samples. facts: share of facts kept.
    cer, wer: edits / reference characters (zh) or words (en) of the whole run. unseen: accuracy on held-out templates.
    """

    category: str
    count: int
    accuracy: float
    low: float
    high: float
    value: float
    unseen: float | None = None
    bleu: float | None = None
    facts: float | None = None
    cer: float | None = None
    wer: float | None = None


def wilson(correct: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927)."""
    if count == 0:
        return 0.0, 1.0
    share = correct / count
    centre = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def corpus_bleu(pairs: Sequence[tuple[str, str, str]]) -> float | None:
    """BLEU-4 of (language, answer, reference) triples; sacrebleu with tokenize zh / 13a, weighted by samples."""
    if not pairs:
        return None
    try:
        from sacrebleu.metrics import BLEU
    except ModuleNotFoundError as error:
        raise ConfigError("BLEU needs the package sacrebleu; install the extra 'train'") from error
    by_lang: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for lang, answer, reference in pairs:
        by_lang[lang].append((answer, reference))
    total = 0.0
    for lang, items in by_lang.items():
        metric = BLEU(tokenize="zh" if lang == "zh" else "13a")
        result = metric.corpus_score([answer for answer, _ in items], [[reference for _, reference in items]])
        total += result.score * len(items)
    return total / len(pairs)


def corpus_scores(results: Iterable[tuple[Sample, str]]) -> dict[str, CategoryScore]:
    """Per category: accuracy with interval, and BLEU / facts / CER / WER where the truth asks for them."""
    groups: dict[str, list[tuple[Sample, str, Score]]] = defaultdict(list)
    for sample, answer in results:
        groups[sample.category].append((sample, answer, score(sample, answer)))
    return {name: _category_score(name, rows) for name, rows in groups.items()}


def _category_score(name: str, rows: list[tuple[Sample, str, Score]]) -> CategoryScore:
    right = sum(judged.correct for _, _, judged in rows)
    low, high = wilson(right, len(rows))
    unseen = [judged.correct for sample, _, judged in rows if sample.unseen_template]
    pairs = [
        (sample.truth.get("lang", sample.lang), answer, sample.truth["reference"])
        for sample, answer, _ in rows
        if isinstance(sample.truth.get("reference"), str)
    ]
    facts = [judged.detail for _, _, judged in rows if "facts" in judged.detail]
    return CategoryScore(
        category=name,
        count=len(rows),
        accuracy=right / len(rows),
        low=low,
        high=high,
        value=sum(judged.value for _, _, judged in rows) / len(rows),
        unseen=sum(unseen) / len(unseen) if unseen else None,
        bleu=corpus_bleu(pairs),
        facts=sum(d["kept"] for d in facts) / max(1, sum(d["facts"] for d in facts)) if facts else None,
        cer=_error_rate(rows, "zh"),
        wer=_error_rate(rows, "en"),
    )


def _error_rate(rows: list[tuple[Sample, str, Score]], lang: str) -> float | None:
    details = [judged.detail for _, _, judged in rows if judged.detail.get("lang") == lang and "edits" in judged.detail]
    if not details:
        return None
    return sum(d["edits"] for d in details) / max(1, sum(d["units"] for d in details))
