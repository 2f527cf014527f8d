"""The words of a transcription's `prompt`, and where a transcript may have misheard them. Plain text, no model.

A term of the prompt is laid over every stretch of the transcript that is written nearly alike; each is a candidate
that `chat.transcription` lets the model judge on the sound. Chinese has no blanks between words: a short run between
punctuation marks is a term as it stands, a longer one (a sentence) gives all its pieces of 2 to 4 characters.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from autoglm_phone.edits import edit_distance

MAX_TERMS = 256
MAX_PAIRS = 1024
MAX_CANDIDATES = 16  # a window; each costs the model one reading of the prompt and the transcript
CLOSE = 0.5  # edits, as a share of the longer text's letters, up to which two texts may be the same sound
_LISTED = 6  # characters: a Chinese run up to this length is a term, a longer one a sentence
_PIECES = (4, 3, 2)
_PHRASE_WORDS = 4
_CJK = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_CHINESE = re.compile(f"[{_CJK}]")
_MARK = re.compile(r"[，。；：！？、]|[,.;:!?](?=\s)")
_UNIT = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+(?:['’.\-_][^\W_{_CJK}]+)*")  # a Chinese character or a word
_ENTRY = re.compile(r"[,;:，、；：。.!?！？\n\t|/()（）\"“”«»\[\]]+(?=\s|[^\w]|$)|[，、；：。！？\n\t（）“”]")


@dataclass(frozen=True)
class Term:
    """text: as the prompt writes it. letters: what is compared, one entry a letter. listed: stood by itself."""

    text: str
    letters: str
    units: int
    chinese: bool
    listed: bool

    @property
    def unusual(self) -> bool:
        """Written in a way that a plain transcript would not find: McDonald, 5G, Wi-Fi."""
        return any(c.isupper() for c in self.text[1:]) or not all(c.isalpha() or c.isspace() for c in self.text)


@dataclass(frozen=True)
class Stretch:
    """text[start:end] of a transcript. units: words, or Chinese characters."""

    start: int
    end: int
    units: int
    letters: str
    chinese: bool


@dataclass(frozen=True)
class Candidate:
    """text[start:end] may be `term`. distance: 0 for the same letters, up to 1."""

    start: int
    end: int
    term: Term
    distance: float

    def apply(self, text: str) -> str:
        return text[: self.start] + self.term.text + text[self.end :]


def terms(prompt: str) -> list[Term]:
    """The words and phrases of a prompt, each once; the last MAX_TERMS of them, as Whisper keeps a prompt's end."""
    found: dict[str, Term] = {}
    for entry in _ENTRY.split(prompt):
        for term in _entry_terms(entry.strip()):
            if term.letters not in found or (term.listed and not found[term.letters].listed):
                found[term.letters] = term
    return list(found.values())[-MAX_TERMS:]


def respell(text: str, wanted: Sequence[Term]) -> str:
    """The transcript with words that the prompt writes unusually written like there; the letters stay."""
    unusual = {term.letters: term for term in wanted if not term.chinese and term.unusual}
    changes = [s for s in _stretches(text) if not s.chinese and s.letters in unusual] if unusual else []
    end = len(text)
    for stretch in sorted(changes, key=lambda s: (-s.end, s.start)):  # from the back; the longest where they overlap
        if stretch.end <= end:
            text = text[: stretch.start] + unusual[stretch.letters].text + text[stretch.end :]
            end = stretch.start
    return text


def candidates(text: str, wanted: Sequence[Term]) -> list[Candidate]:
    """Stretches of a transcript that may be a term of the prompt, the likeliest MAX_CANDIDATES first.

    Exact distances are worked out for the MAX_PAIRS pairs of a term and a stretch with most letters in common: the
    letters that one of them lacks bound the distance from below.
    """
    stretches = _stretches(text)
    if not stretches or not wanted:
        return []
    names = {term.letters for term in wanted}
    present = np.zeros(len(text) + 1, dtype=np.int64)  # how many characters before each are in a word that is there
    for stretch in stretches:
        if stretch.letters in names:
            present[stretch.start + 1 : stretch.end + 1] = 1
    present = present.cumsum()
    free = np.array([present[s.end] == present[s.start] for s in stretches])
    chinese = np.array([s.chinese for s in stretches])
    units = np.array([s.units for s in stretches])
    bags = np.stack([_bag(s.letters) for s in stretches])
    lengths = bags.sum(-1)
    pairs: list[tuple[float, int, int]] = []  # (at least so far apart, term, stretch)
    for which, term in enumerate(wanted):
        size = len(term.letters)
        limit = _limit(term, text)
        fits = free & (chinese == term.chinese) & (np.abs(units - term.units) <= 1)
        places = np.flatnonzero(fits & (lengths == size) if limit == 1.0 else fits)
        common = np.minimum(bags[places], _bag(term.letters)).sum(-1)
        least = 1 - common / np.maximum(lengths[places], size)
        near = least <= limit
        pairs += [(bound, which, place) for bound, place in zip(least[near], places[near], strict=True)]
    found: list[Candidate] = []
    for _, which, place in heapq.nsmallest(MAX_PAIRS, pairs):
        term, stretch = wanted[which], stretches[place]
        distance = edit_distance(stretch.letters, term.letters) / max(len(stretch.letters), len(term.letters))
        if 0 < distance <= _limit(term, text):
            found.append(Candidate(stretch.start, stretch.end, term, distance))
    found.sort(key=lambda c: (c.distance, -len(c.term.letters), c.start))
    return found[:MAX_CANDIDATES]


def _entry_terms(entry: str) -> Iterator[Term]:
    runs = re.findall(rf"[{_CJK}]+|[^{_CJK}]+", entry)
    for run in runs:
        if _CHINESE.match(run):
            if len(run) <= _LISTED:
                if len(run) > 1:
                    yield Term(run, run, len(run), chinese=True, listed=True)
                continue
            for size in _PIECES:
                for at in range(len(run) - size + 1):
                    yield Term(run[at : at + size], run[at : at + size], size, chinese=True, listed=False)
            continue
        words = [m.group() for m in _UNIT.finditer(run)]
        for word in words:
            if len(word) > 2 or any(c.isupper() for c in word[1:]):
                yield Term(word, _letters(word), 1, chinese=False, listed=len(words) == 1)
        if 1 < len(words) <= _PHRASE_WORDS:
            yield Term(" ".join(words), _letters("".join(words)), len(words), chinese=False, listed=True)


def _limit(term: Term, text: str) -> float:
    """How far from a term its stretch may be written. A listed Chinese word may have been heard as a homophone, with no
    character in common: the model decides alone."""
    return 1.0 if term.chinese and term.listed and term.text not in text else CLOSE


def _stretches(text: str) -> list[Stretch]:
    """Neighbouring units without a mark between them, as many as a term can have and one more."""
    spans = [m.span() for m in _UNIT.finditer(text)]
    found = []
    for first, (start, _) in enumerate(spans):
        for units, (_, end) in enumerate(spans[first : first + max(_LISTED, _PHRASE_WORDS) + 1], 1):
            stretch = text[start:end]
            if _MARK.search(stretch):
                break
            letters = _letters(stretch)
            if letters:
                found.append(Stretch(start, end, units, letters, bool(_CHINESE.search(stretch))))
    return found


def _bag(letters: str) -> np.ndarray:
    """How often each letter occurs, int16 [32]; letters that share a place only make texts look more alike."""
    return np.bincount([ord(c) % 32 for c in letters], minlength=32).astype(np.int16)


def _letters(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())
