"""Batches made on the fly: worker processes render, speak and tokenize; the trainer only moves tensors.

Each worker owns its own stretch of the world (index = worker + k * workers), so nothing is drawn twice before the world
starts over, and a run that resumes at `offset` goes on where it was. A batch holds one kind of sample (text, pictures,
sound, both), because their shapes differ; the trainer mixes kinds within each optimizer step.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from autoglm_phone.train.batches import Batch, look_targets, memory_layout, pad_rows, put_clips, put_pictures
from autoglm_phone.train.encode import IGNORE, Encoder, Row
from autoglm_phone.train.looks import Sights
from autoglm_phone.train.mixture import KINDS, BatchSizes
from autoglm_phone.train.views import View, find_regions, shrink
from autoglm_phone.train.world import registry
from autoglm_phone.train.world.sample import Sample, Split, Turn

log = logging.getLogger(__name__)
ROW_LENGTHS = (96, 160, 320)  # tokens; rows of media batches wait for their like, and those past the last are few
LOOKS = 160  # of one picture, over all its rows


@dataclass(frozen=True)
class Item:
    """A sample after tokenization: the text rows that share its media."""

    category: str
    rows: list[Row]
    pictures: list[View]
    clips: list[tuple[np.ndarray, np.ndarray]]  # wave float32 [T], characters


def thin_looks(rows: list[Row], most: int, rng: random.Random) -> list[Row]:
    """The rows of one picture with at most `most` of their looks, drawn evenly."""
    every = [(i, look) for i, row in enumerate(rows) for look in row.looks]
    if len(every) <= most:
        return rows
    kept = rng.sample(every, most)
    return [replace(row, looks=tuple(look for j, look in kept if j == i)) for i, row in enumerate(rows)]


class WorldStream:
    """Endless micro-batches of one split: stream(worker, lives) gives a worker its batches; see the module's docstring.

    workers: lanes on this machine. lives: workers that have died in this lane; each successor starts elsewhere.
    """

    def __init__(
        self,
        tokenizer_json: str,
        ctc_vocab: str,
        glyph_vocab: dict[str, int],
        max_patches: int,
        sizes: BatchSizes,
        *,
        split: Split = "train",
        seed: int,
        rank: int = 0,
        world: int = 1,
        offset: int = 0,
        workers: int = 1,
        max_media: int = 16,
        kinds: tuple[str, ...] = ("text", "image", "audio", "joint"),
    ):
        self.tokenizer_json = tokenizer_json
        self.ctc = {char: i + 1 for i, char in enumerate(ctc_vocab)}
        self.glyph_vocab = glyph_vocab
        self.max_patches = max_patches
        self.sizes = sizes
        self.split = split
        self.seed = seed
        self.rank, self.world, self.offset = rank, world, offset
        self.workers = max(1, workers)
        self.max_media = max_media
        self.kinds = kinds

    def __call__(self, worker: int = 0, lives: int = 0) -> Iterator[Batch]:
        lane, lanes = self.rank * self.workers + worker, self.world * self.workers
        rng = random.Random(f"{self.seed}/{lane}/{self.offset}/{lives}")
        encoder = self.encoder()
        spent = dict.fromkeys(self.kinds, 0.0)
        pending: dict[Any, list[Item]] = {}
        index = self.offset + lane + lives * 1_000_003 * lanes
        failures = 0
        while True:
            share = {k: self.sizes.worker_share[k] for k in self.kinds}
            kind = min(self.kinds, key=lambda k: spent[k] / share[k])
            began = time.perf_counter()
            item = None
            try:
                item = self.draw(kind, index, encoder, rng)
            except Exception:
                failures += 1
                if failures > 100 + index // 50:
                    raise
                log.exception("sample %s/%s of %s was left out", self.split, index, kind)
            index += lanes
            batch = None if item is None else self.gather(kind, item, pending)
            if batch is not None:
                batch.index = index
                yield batch
            spent[kind] += time.perf_counter() - began

    def encoder(self) -> Encoder:
        return Encoder(Tokenizer.from_str(self.tokenizer_json))

    def draw(self, kind: str, index: int, encoder: Encoder, rng: random.Random) -> Item:
        """Sample number `index` of a category of this kind, which `rng` chooses."""
        table = KINDS[kind]
        category = rng.choices(list(table), list(table.values()))[0]
        return self._item(registry.generate(category, self.split, index, self.seed), encoder, rng)

    def gather(self, kind: str, item: Item, pending: dict[Any, list[Item]]) -> Batch | None:
        """Put a sample with its like; the batch, if that makes one. It may be of another kind than its category is."""
        key = self._bucket(kind, item)
        if key is None:
            return None
        pending.setdefault(key, []).append(item)
        return self._emit(kind, key, pending)

    def _item(self, sample: Sample, encoder: Encoder, rng: random.Random) -> Item:
        sights = Sights(sample.pictures[0]) if len(sample.pictures) == 1 and not sample.clips else None

        def encode(turns: tuple[Turn, ...]) -> Row:
            said, asked = turns[-1], turns[-2].text if len(turns) > 1 else ""
            return encoder.row(turns, rng, sights.looks(said.reasoning, said.text, asked) if sights else ())

        rows = [encode(sample.turns)]
        if sample.alternatives:
            count = min(len(sample.alternatives), self.sizes.rows_per_image - 1)
            for turns in rng.sample(list(sample.alternatives), count):
                rows.append(encode((*sample.turns[:-2], *turns)))
        rows = thin_looks(rows, LOOKS, rng)
        pictures = [
            find_regions(p, shrink(p, self.max_patches, self.glyph_vocab), encoder.text, self.sizes.regions, rng)
            for p in sample.pictures
        ]
        clips = [
            (c.samples, np.array([self.ctc[ch] for ch in c.text if ch in self.ctc], dtype=np.int64))
            for c in sample.clips
        ]
        return Item(sample.category, rows, pictures, clips)

    def _bucket(self, kind: str, item: Item) -> tuple[Any, ...] | None:
        longest = max(len(row.ids) for row in item.rows)
        if kind == "text":
            size = next((b for b in self.sizes.text_buckets if longest <= b), None)
            return None if size is None else (kind, size)
        if longest > self.sizes.text_buckets[-1]:
            return None
        long = sum(longest > bound for bound in ROW_LENGTHS)
        if kind == "image" and len(item.pictures) == 1 and not item.clips:
            height, width = (n // 16 for n in item.pictures[0].pixels.shape[:2])
            shape = 0 if height > 1.5 * width else 1 if height * width > 500 else 2
            return (kind, shape, long)
        if kind == "audio" and len(item.clips) == 1 and not item.pictures:
            return (kind, int(len(item.clips[0][0]) > 8 * 16000), long)
        return ("joint", long) if "joint" in self.kinds else None

    def _emit(self, kind: str, key: tuple[Any, ...], pending: dict[Any, list[Item]]) -> Batch | None:
        items = pending[key]
        sizes = self.sizes
        if kind == "text":
            if len(items) * key[1] < sizes.text_tokens:
                return None
            take = items
            batch = self._text(take, key[1])
        else:
            limit = {"image": sizes.images, "audio": sizes.clips, "joint": sizes.joint}[key[0]]
            if key[-1] == len(ROW_LENGTHS):
                limit = max(4, limit // 4)
            if key[0] == "audio" and key[1]:
                limit = max(4, limit // 3)
            if len(items) < limit:
                return None
            take = items
            batch = self._media(key[0], take)
        pending[key] = []
        return batch

    def _text(self, items: list[Item], length: int) -> Batch:
        ids, labels = pad_rows([item.rows[0] for item in items], length)
        return Batch("text", ids, labels, [item.category for item in items])

    def _media(self, kind: str, items: list[Item]) -> Batch:
        per = self.sizes.rows_per_image if kind == "image" else 1
        rows: list[Row] = []
        for item in items:
            blank = Row(item.rows[0].ids, [IGNORE] * len(item.rows[0].ids), item.rows[0].media)
            rows += (item.rows + [blank] * per)[:per]
        length = -(-max(len(row.ids) for row in rows) // 32) * 32
        ids, labels = pad_rows(rows, length)
        first = torch.tensor([min((p for _, p in row.media), default=1 << 20) for row in rows])
        batch = Batch(kind, ids, labels, [item.category for item in items], first=first)
        pictures = [p for item in items for p in item.pictures]
        clips = [c for item in items for c in item.clips]
        if pictures:
            put_pictures(batch, pictures)
        if clips:
            put_clips(batch, clips)
        if kind == "image":
            batch.look_at, batch.look_hits = look_targets(batch, [item.rows for item in items])
        if kind == "joint":
            batch.memory = memory_layout(batch, [row.media for row in rows], self.max_media)
        return batch
