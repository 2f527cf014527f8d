"""Replies as tokens, for `exits lookup` to count what follows what."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path

from autoglm_phone.compress import calibrate
from autoglm_phone.models.registry import family
from autoglm_phone.train.world.sample import Split

Reply = tuple[list[int], int]  # tokens, and the index of the reply's first among them
BEFORE = 2  # tokens of the prompt that a reply's beginning is known by
MAX_TOKENS = 4096  # longer conversations lose their middle


def of_file(folder: Path, path: Path, most: int) -> Iterator[Reply]:
    """The last replies of at most so many conversations of a JSONL file, through the model's own template.

    Raises:
        ConfigError: the file holds no usable conversations.
    """
    setting = calibrate.Calibration(samples=most, max_tokens=MAX_TOKENS, path=path)
    for sample in calibrate.load(folder, setting):
        first = sample.answer_positions[0]
        yield list(sample.ids[max(0, first - BEFORE) :]), min(BEFORE, first)


def of_world(folder: Path, counts: Mapping[str, int], split: Split) -> Iterator[Reply]:
    """Reference replies of the world's first samples of each category. Nothing is drawn or spoken for native models."""
    from autoglm_phone.train.encode import IGNORE, Encoder
    from autoglm_phone.train.world import registry

    for category in counts:
        registry.category(category)
    if family(folder) != "native":
        total = sum(counts.values())
        setting = calibrate.Calibration(samples=total, max_tokens=MAX_TOKENS)
        for sample in calibrate.load(folder, setting, split=split):
            first = sample.answer_positions[0]
            yield list(sample.ids[max(0, first - BEFORE) :]), min(BEFORE, first)
        return
    from tokenizers import Tokenizer

    encoder = Encoder(Tokenizer.from_file(str(folder / "tokenizer.json")), no_think=0.0)
    for category, count in counts.items():
        for index in range(count):
            row = encoder.row(registry.generate(category, split, index).turns, random.Random(0))
            first = next(place for place, label in enumerate(row.labels) if label != IGNORE)
            yield row.ids[first - BEFORE :], BEFORE
