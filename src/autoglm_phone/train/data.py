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
from torch import Tensor

from autoglm_phone.models.native.audio import state_lengths
from autoglm_phone.models.native.blocks import FAR
from autoglm_phone.models.native.mel import HOP
from autoglm_phone.train.encode import IGNORE, Encoder, Row
from autoglm_phone.train.looks import Box, Sights
from autoglm_phone.train.mixture import KINDS, BatchSizes
from autoglm_phone.train.views import REGION_TOKENS, View, find_regions, patches_in, shrink
from autoglm_phone.train.world import registry
from autoglm_phone.train.world.sample import Sample, Split, Turn

log = logging.getLogger(__name__)
PAD = 1
ROW_LENGTHS = (96, 160, 320)  # tokens; rows of media batches wait for their like, and those past the last are few
LOOKS = 160  # of one picture, over all its rows


@dataclass
class Batch:
    """One micro-batch. Text rows are right-padded, so causal attention needs no mask.

    ids, labels: long [R, L]. where: long [N], the flat positions in [R * L] that have a label, found here because the
        trainer would have to wait for the GPU to find them.
    first: long [R], index of the row's first medium (or past the end).
    pixels uint8 [I, 3, H, W] with grids [I, 2]; wave float32 [A, T] with wave_lengths [A] in samples.
    memory: for kind "joint", long [R, M, 3]: which state (an index into all picture states, then all clip states,
        then one row of zeros), which ordinal embedding, from which token on it is seen. See `modeling.Memory`.
    glyphs: long [N, 2] of (flat patch index in [I, H/16 * W/16], character id); blanks: patches without a glyph.
    spots: long [S, 2] of (flat patch index, region index): patches that lie in a labelled region; region_ids long
        [R, REGION_TOKENS] (PAD after the text), region_boxes float32 [R, 4] (center x, center y, width, height as
        fractions of the picture), region_text long [R]: equal for equal texts.
    look_at: for kind "image" long [I, K], tokens that should look somewhere as row-within-picture * L + token (-1:
        none); look_hits long [N, 3] of (picture, which of its K, patch in the padded grid): where it is right to look.
    ctc: characters of all clips. frames, ctc_sizes: mel frames and characters of each clip; not tensors, because the
        CTC loss wants them on the CPU.
    """

    kind: str
    ids: Tensor
    labels: Tensor
    categories: list[str]
    where: Tensor | None = None
    first: Tensor | None = None
    pixels: Tensor | None = None
    grids: Tensor | None = None
    wave: Tensor | None = None
    wave_lengths: Tensor | None = None
    memory: Tensor | None = None
    glyphs: Tensor | None = None
    blanks: Tensor | None = None
    spots: Tensor | None = None
    region_ids: Tensor | None = None
    region_boxes: Tensor | None = None
    region_text: Tensor | None = None
    look_at: Tensor | None = None
    look_hits: Tensor | None = None
    ctc: Tensor | None = None
    frames: list[int] | None = None
    ctc_sizes: list[int] | None = None
    index: int = 0  # how far this worker has come, for resuming

    tokens: int = 0  # labels, as many as `where` has

    def __post_init__(self) -> None:
        if self.where is None:
            self.where = (self.labels.flatten() != IGNORE).nonzero()[:, 0]
            self.tokens = len(self.where)

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                yield name, value

    def to(self, device: torch.device) -> Batch:
        moved = {name: value.to(device, non_blocking=True) for name, value in self.tensors()}
        return Batch(**{**vars(self), **moved})

    def pin_memory(self) -> Batch:
        return Batch(**{**vars(self), **{name: value.pin_memory() for name, value in self.tensors()}})


@dataclass(frozen=True)
class Item:
    """A sample after tokenization: the text rows that share its media."""

    category: str
    rows: list[Row]
    pictures: list[View]
    clips: list[tuple[np.ndarray, np.ndarray]]  # wave float32 [T], characters


def pad_rows(rows: list[Row], length: int) -> tuple[Tensor, Tensor]:
    """ids and next-token labels, both [R, length]: labels[i] is what position i must predict."""
    ids = np.full((len(rows), length), PAD, dtype=np.int64)
    labels = np.full((len(rows), length), IGNORE, dtype=np.int64)
    for i, row in enumerate(rows):
        size = min(len(row.ids), length)
        ids[i, :size] = row.ids[:size]
        labels[i, : size - 1] = row.labels[1:size]
    return torch.from_numpy(ids), torch.from_numpy(labels)


def memory_layout(batch: Batch, media: list[tuple[tuple[str, int], ...]], max_media: int) -> Tensor:
    """`Batch.memory` for rows with these media as (kind, token index), whose pictures and clips lie in order."""
    patches = (batch.pixels.shape[2] // 16) * (batch.pixels.shape[3] // 16) if batch.pixels is not None else 0
    cols = batch.pixels.shape[3] // 16 if batch.pixels is not None else 0
    clip_base = patches * (len(batch.pixels) if batch.pixels is not None else 0)
    steps = int(state_lengths(batch.wave.shape[1] // HOP)) if batch.wave is not None else 0
    zero = clip_base + steps * (len(batch.wave) if batch.wave is not None else 0)
    rows, counter = [], {"image": 0, "audio": 0}
    for marks in media:
        pieces, seen = [], {"image": 0, "audio": 0}
        for kind, place in marks:
            index, ordinal = counter[kind], min(seen[kind], max_media - 1)
            counter[kind] += 1
            seen[kind] += 1
            if kind == "image":
                assert batch.grids is not None  # internal: the batch holds this picture
                high, wide = batch.grids[index].tolist()
                states = (np.arange(high)[:, None] * cols + np.arange(wide)).reshape(-1) + index * patches
            else:
                assert batch.wave_lengths is not None  # internal: the batch holds this clip
                length = int(state_lengths(int(batch.wave_lengths[index]) // HOP))
                states = np.arange(length) + clip_base + index * steps
                ordinal += max_media
            pieces.append(np.stack((states, np.full_like(states, ordinal), np.full_like(states, place)), 1))
        rows.append(np.concatenate(pieces))
    out = np.full((len(rows), max(map(len, rows)), 3), (zero, 0, FAR), dtype=np.int64)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return torch.from_numpy(out)


def thin_looks(rows: list[Row], most: int, rng: random.Random) -> list[Row]:
    """The rows of one picture with at most `most` of their looks, drawn evenly."""
    every = [(i, look) for i, row in enumerate(rows) for look in row.looks]
    if len(every) <= most:
        return rows
    kept = rng.sample(every, most)
    return [replace(row, looks=tuple(look for j, look in kept if j == i)) for i, row in enumerate(rows)]


def look_targets(batch: Batch, rows: list[list[Row]]) -> tuple[Tensor | None, Tensor | None]:
    """`Batch.look_at` and `Batch.look_hits` of an image batch, given each picture's rows; None where none looks."""
    counts = [sum(len(row.looks) for row in own) for own in rows]
    if batch.pixels is None or batch.grids is None or not any(counts):
        return None, None
    length, cols = batch.ids.shape[1], batch.pixels.shape[3] // 16
    at = np.full((len(rows), -(-max(counts) // 32) * 32), -1, dtype=np.int64)
    hits: list[np.ndarray] = []
    whose: list[tuple[int, int]] = []
    for i, (own, (high, wide)) in enumerate(zip(rows, batch.grids.tolist(), strict=True)):
        places: dict[tuple[Box, ...], np.ndarray] = {}  # neighbouring tokens look at the same
        looks = [(r * length + token, boxes) for r, row in enumerate(own) for token, boxes in row.looks]
        for k, (token, boxes) in enumerate(looks):
            if boxes not in places:
                within = {y * cols + x for box in boxes for y, x in patches_in(box, high, wide)}
                places[boxes] = np.fromiter(within, dtype=np.int64)
            at[i, k] = token
            hits.append(places[boxes])
            whose.append((i, k))
    owners = np.repeat(np.array(whose, dtype=np.int64), [len(patches) for patches in hits], axis=0)
    return torch.from_numpy(at), torch.from_numpy(np.concatenate((owners, np.concatenate(hits)[:, None]), 1))


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
            self._pictures(batch, pictures)
        if clips:
            self._clips(batch, clips)
        if kind == "image":
            batch.look_at, batch.look_hits = look_targets(batch, [item.rows for item in items])
        if kind == "joint":
            batch.memory = memory_layout(batch, [row.media for row in rows], self.max_media)
        return batch

    @staticmethod
    def _pictures(batch: Batch, pictures: list[View]) -> None:
        height = max(p.pixels.shape[0] for p in pictures)
        width = max(p.pixels.shape[1] for p in pictures)
        pixels = np.full((len(pictures), height, width, 3), 128, dtype=np.uint8)
        grids = np.zeros((len(pictures), 2), dtype=np.int64)
        glyphs: list[np.ndarray] = []
        spots: list[tuple[int, int]] = []
        texts: list[str] = []
        ids: list[list[int]] = []
        boxes: list[tuple[float, float, float, float]] = []
        cols = width // 16
        for i, view in enumerate(pictures):
            pixels[i, : view.pixels.shape[0], : view.pixels.shape[1]] = view.pixels
            grids[i] = (view.pixels.shape[0] // 16, view.pixels.shape[1] // 16)
            own, base = int(grids[i, 1]), i * (height // 16) * cols
            marks = view.glyphs
            glyphs.append(np.stack((base + marks[:, 0] // own * cols + marks[:, 0] % own, marks[:, 1]), 1))
            for text, tokens, (x0, y0, x1, y1), patches in view.regions:
                spots += [(base + patch // own * cols + patch % own, len(texts)) for patch in patches]
                texts.append(text)
                ids.append(tokens + [PAD] * (REGION_TOKENS - len(tokens)))
                boxes.append(((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0))
        batch.pixels = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
        batch.grids = torch.from_numpy(grids)
        batch.glyphs = torch.from_numpy(np.concatenate(glyphs))
        if texts:
            places = {text: i for i, text in enumerate(dict.fromkeys(texts))}
            batch.spots, batch.region_ids = torch.tensor(spots), torch.tensor(ids)
            batch.region_boxes = torch.tensor(boxes, dtype=torch.float32)
            batch.region_text = torch.tensor([places[text] for text in texts])
        taken = np.zeros((len(pictures), height // 16, cols), dtype=bool)
        taken.reshape(-1)[batch.glyphs[:, 0].numpy()] = True
        for i, (rows, wide) in enumerate(grids):
            taken[i, rows:] = True
            taken[i, :, wide:] = True
        empty = np.flatnonzero(~taken)
        # A quarter as many patches without a glyph as with one: enough for the head to learn "nothing here".
        batch.blanks = torch.from_numpy(empty[:: max(1, 4 * len(empty) // max(1, len(batch.glyphs)))])

    @staticmethod
    def _clips(batch: Batch, clips: list[tuple[np.ndarray, np.ndarray]]) -> None:
        lengths = [len(w) // 160 * 160 for w, _ in clips]
        wave = np.zeros((len(clips), max(lengths)), dtype=np.float32)
        for i, (samples, _) in enumerate(clips):
            wave[i, : lengths[i]] = samples[: lengths[i]]
        batch.wave = torch.from_numpy(wave)
        batch.wave_lengths = torch.tensor(lengths)
        batch.ctc = torch.from_numpy(np.concatenate([c for _, c in clips]))
        batch.ctc_sizes = [len(c) for _, c in clips]
        batch.frames = [size // HOP for size in lengths]
