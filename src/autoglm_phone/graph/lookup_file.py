"""`graph/lookup.json` beside a model's weights: which token followed the last few in replies. No tensors.

Made by `autoglm-phone exits lookup`. It belongs to a tokenizer, not to weights: guesses are checked, so what a table of
another model costs is time. Three arrays, Base64 of little-endian numbers, in rising order of the contexts' numbers
(`ngrams.keys_of`): these (4 bytes), the tokens (4), their chances (1).
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import sys
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from autoglm_phone.errors import ConfigError
from autoglm_phone.graph.ngrams import CHANCES, ORDER, NgramTable, keys_of

logger = logging.getLogger(__name__)

NAME = "graph/lookup.json"
VERSION = 1
ENTRIES = 24_000  # 290 KB
COUNT = 3  # times that a context must have come up
LEAST = 0.25  # chance of the token that followed most often
NEWS = 0.1  # by which a longer context must change the chance, where it says the same token
_PARTS = (("contexts", "I"), ("tokens", "I"), ("chances", "B"))


def tokenizer_digest(folder: Path) -> str:
    """Tells one tokenizer from another; "" where there is none."""
    path = folder / "tokenizer.json"
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else ""


def count_ngrams(
    replies: Iterable[tuple[Sequence[int], int]], entries: int = ENTRIES, order: int = ORDER
) -> NgramTable:
    """Learn a table of at most so many entries: those that came up most often.

    Args:
        replies: (tokens, index of the reply's first): what stands before it is context.
    """
    seen: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for tokens, first in replies:
        for place in range(max(1, first), len(tokens)):
            for length in range(1, min(order, place) + 1):
                seen[tuple(tokens[place - length : place])][tokens[place]] += 1
    said: dict[tuple[int, ...], tuple[int, float]] = {}
    weights: dict[tuple[int, ...], int] = {}
    for context in sorted(seen, key=len):
        (token, most), total = seen[context].most_common(1)[0], seen[context].total()
        chance = most / (total + 1)
        if total < COUNT or chance < LEAST:
            continue
        shorter = next((said[context[cut:]] for cut in range(1, len(context)) if context[cut:] in said), None)
        if shorter is not None and shorter[0] == token and chance - shorter[1] < NEWS:
            continue
        said[context], weights[context] = (token, chance), most
    kept = sorted(said, key=lambda context: (-weights[context], context))[:entries]
    values: dict[int, int] = {}
    for context in sorted(kept, key=len, reverse=True):  # of two with one number, the shorter stays
        token, chance = said[context]
        values[keys_of(context, order)[len(context) - 1]] = token * CHANCES + min(CHANCES - 1, int(chance * CHANCES))
    return NgramTable(values, order)


def save_table(folder: Path, table: NgramTable, tokenizer: str, data: Mapping[str, Any]) -> Path:
    """Write it into a folder. tokenizer: digest of its tokens' tokenizer. data: what it was made of, for people."""
    contexts = sorted(table.entries)
    values = [divmod(table.entries[context], CHANCES) for context in contexts]
    columns = (contexts, [token for token, _ in values], [chance for _, chance in values])
    parts = {name: _packed(kind, column) for (name, kind), column in zip(_PARTS, columns, strict=True)}
    raw = {"version": VERSION, "tokenizer": tokenizer, "order": table.order, "data": dict(data)}
    raw |= {"sha256": _digest(parts.values())}
    raw |= {name: base64.b64encode(part).decode() for name, part in parts.items()}
    path = folder / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
    return path


def read_table(path: Path, tokenizer: str) -> NgramTable:
    """Raises ConfigError for a file that is broken, of another version, or of another tokenizer."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["version"] != VERSION:
            raise ConfigError(f"it has version {raw['version']!r}, not {VERSION}")
        if raw["tokenizer"] != tokenizer:
            raise ConfigError(f"it was made for another tokenizer ({raw['tokenizer']}, this is {tokenizer})")
        parts = {name: base64.b64decode(raw[name], validate=True) for name, _ in _PARTS}
        if _digest(parts.values()) != raw["sha256"]:
            raise ConfigError("its checksum is wrong")
        contexts, tokens, chances = (_unpacked(kind, parts[name]) for name, kind in _PARTS)
        values = (token * CHANCES + chance for token, chance in zip(tokens, chances, strict=True))
        return NgramTable(dict(zip(contexts, values, strict=True)), int(raw["order"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"it can't be read: {error}") from error


def load_table(folder: Path) -> NgramTable | None:
    """The table of a model folder if it has one that fits its tokenizer; a log line says why one is not used."""
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        return read_table(path, tokenizer_digest(folder))
    except ConfigError as error:
        logger.warning(
            "[DYNAMIC GRAPH] %s is not used: %s; run `autoglm-phone exits lookup` again", NAME, error.message
        )
        return None


def _packed(kind: str, values: Sequence[int]) -> bytes:
    numbers = array(kind, values)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def _unpacked(kind: str, data: bytes) -> array[int]:
    numbers = array(kind)
    numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
