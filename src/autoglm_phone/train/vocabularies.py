"""What `train prepare` leaves in a folder and every later command reads: tokenizer, CTC characters, glyph inventory."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autoglm_phone.errors import CheckpointError

TOKENIZER, CTC, GLYPHS = "tokenizer.json", "ctc_vocab.txt", "glyph_vocab.json"


@dataclass(frozen=True)
class Vocabularies:
    """tokenizer_json: the tokenizer's file. ctc: the CTC head's characters. glyphs: character → class, from 1."""

    tokenizer_json: str
    ctc: str
    glyphs: dict[str, int]


def require(folder: Path, files: Sequence[str] = (TOKENIZER, CTC, GLYPHS)) -> None:
    """Raises CheckpointError if one of the files is not there."""
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{folder} lacks {' and '.join(missing)}; `autoglm-phone train prepare --out {folder}` writes it",
            param="prepared",
        )


def read_vocabularies(folder: Path) -> Vocabularies:
    """The three files of a prepared folder.

    Raises:
        CheckpointError: one is missing or can't be read.
    """
    require(folder)
    try:
        tokenizer, ctc, glyphs = ((folder / name).read_text(encoding="utf-8") for name in (TOKENIZER, CTC, GLYPHS))
        json.loads(tokenizer)
        return Vocabularies(tokenizer, ctc.rstrip("\n"), json.loads(glyphs))
    except (OSError, ValueError) as exc:
        raise CheckpointError(f"{folder}: the prepared files can't be read; prepare the folder again") from exc


def write_of_model(model: Path, out: Path) -> None:
    """A prepared folder from a model's own tokenizer and CTC alphabet, without glyphs: for training without lessons.

    Raises:
        CheckpointError: the model folder lacks one of them.
    """
    require(model, (TOKENIZER, "config.json"))
    out.mkdir(parents=True, exist_ok=True)
    try:
        alphabet = json.loads((model / "config.json").read_text(encoding="utf-8"))["audio_config"]["ctc_vocab"]
    except (ValueError, KeyError, TypeError) as exc:
        raise CheckpointError(f"{model}/config.json names no audio_config.ctc_vocab: no native model's folder") from exc
    for name in (TOKENIZER, "tokenizer_config.json"):
        if (model / name).exists():
            shutil.copy(model / name, out / name)
    (out / CTC).write_text(alphabet + "\n", encoding="utf-8")
    (out / GLYPHS).write_text("{}", encoding="utf-8")
