"""What a model did on one held-out request at every depth: the raw material of calibration, a JSON line each."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoglm_phone.errors import ConfigError
from autoglm_phone.graph.calibrate import Exits
from autoglm_phone.graph.groups import Group, group_of

VERSION = 2
# Confidences with which a token may leave at any exit, the most cautious first: settings whose own answers a record
# judges. They are fixed before a sample is seen, so all of it may test them.
DIALS = (0.995, 0.99, 0.98, 0.97, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4)


@dataclass(frozen=True)
class Dialled:
    """The answer that a request gets where tokens leave at this confidence. layers: mean of its tokens."""

    value: float
    correct: bool
    layers: float


@dataclass(frozen=True)
class Record:
    """confidence, agrees: per exit depth and token of full depth's greedy answer (the token that ended it included).

    tokens: of each depth's own answer. values, correct: the score of each depth's own answer, the full one among them.
    thought: tokens of full depth's thought. state: boundary state [H] of the prompt's last token after the first
    segment. dialled: by the confidence of DIALS, the request's own answer there.
    """

    id: str
    category: str
    prompt: int
    images: int
    audios: int
    thought: int
    tokens: Mapping[int, int]
    values: Mapping[int, float]
    correct: Mapping[int, bool]
    confidence: Mapping[int, Sequence[float]]
    agrees: Mapping[int, Sequence[bool]]
    state: Sequence[float]
    dialled: Mapping[float, Dialled] = field(default_factory=dict)

    @property
    def full(self) -> int:
        return max(self.values)

    @property
    def group(self) -> Group:
        return group_of(kind for kind, count in (("image", self.images), ("audio", self.audios)) if count)

    @property
    def exits(self) -> Exits:
        return Exits(self.confidence, self.agrees)

    @property
    def least_depth(self) -> int:
        """The least depth from which on no answer is worse than full depth's."""
        whole = self.values[self.full]
        least = self.full
        for depth in sorted(self.values, reverse=True):
            if self.values[depth] < whole - 1e-9:
                break
            least = depth
        return least

    def to_json(self) -> str:
        packed = base64.b64encode(struct.pack(f"<{len(self.state)}f", *self.state)).decode()
        raw = {
            **vars(self),
            "confidence": {d: [round(c, 6) for c in row] for d, row in self.confidence.items()},
            "agrees": {d: "".join("01"[a] for a in row) for d, row in self.agrees.items()},
            "state": packed,
            "dialled": {dial: [d.value, d.correct, round(d.layers, 4)] for dial, d in self.dialled.items()},
        }
        return json.dumps(raw, ensure_ascii=False)


def read_record(line: str) -> Record:
    """Raises ConfigError for a line that is no record."""
    try:
        raw = json.loads(line)
        packed = base64.b64decode(raw["state"])
        return Record(
            id=raw["id"],
            category=raw["category"],
            prompt=raw["prompt"],
            images=raw["images"],
            audios=raw["audios"],
            thought=raw["thought"],
            tokens=_by_depth(raw["tokens"]),
            values=_by_depth(raw["values"]),
            correct=_by_depth(raw["correct"]),
            confidence=_by_depth(raw["confidence"]),
            agrees={depth: [c == "1" for c in row] for depth, row in _by_depth(raw["agrees"]).items()},
            state=struct.unpack(f"<{len(packed) // 4}f", packed),
            dialled={
                float(dial): Dialled(float(value), bool(correct), float(layers))
                for dial, (value, correct, layers) in raw.get("dialled", {}).items()
            },
        )
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise ConfigError(f"not a calibration record: {error}") from error


def _by_depth(raw: Mapping[str, Any]) -> dict[int, Any]:
    return {int(depth): value for depth, value in raw.items()}


class RecordStore:
    """Records of one model in a file that grows; a run that was stopped goes on where it was.

    Raises:
        ConfigError: the file holds another model's records.
    """

    def __init__(self, path: Path, model: str):
        self.path = path
        self.records: dict[str, Record] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        header = {"version": VERSION, "model": model}
        if not path.exists():
            path.write_text(json.dumps(header) + "\n", encoding="utf-8")
            return
        text = path.read_text(encoding="utf-8")
        whole, _, cut = text.rpartition("\n")
        if cut:  # the run was stopped in the middle of a line: that record is made again
            path.write_text(whole + "\n", encoding="utf-8")
        lines = whole.splitlines()
        found = _header(lines)
        if found != header:
            raise ConfigError(
                f"{path} holds records of model {found.get('model')}, version {found.get('version')}; these weights "
                f"are {model}, version {VERSION}: choose another --out or delete the file"
            )
        for line in lines[1:]:
            record = read_record(line)
            self.records[record.id] = record

    def add(self, record: Record) -> None:
        self.records[record.id] = record
        with self.path.open("a", encoding="utf-8") as file:
            file.write(record.to_json() + "\n")


def _header(lines: Sequence[str]) -> dict[str, Any]:
    try:
        found = json.loads(lines[0])
    except (ValueError, IndexError):
        return {}
    return found if isinstance(found, dict) else {}
