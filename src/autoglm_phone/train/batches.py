"""One micro-batch as tensors: padded rows, media of different sizes, memory, and where each loss finds its truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autoglm_phone.models.native.audio import state_lengths
from autoglm_phone.models.native.blocks import FAR
from autoglm_phone.models.native.mel import HOP
from autoglm_phone.train.encode import IGNORE, Row
from autoglm_phone.train.looks import Box
from autoglm_phone.train.views import REGION_TOKENS, View, patches_in

PAD = 1


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


def pad_rows(rows: list[Row], length: int) -> tuple[Tensor, Tensor]:
    """ids and next-token labels, both [R, length]: labels[i] is what position i must predict."""
    ids = np.full((len(rows), length), PAD, dtype=np.int64)
    labels = np.full((len(rows), length), IGNORE, dtype=np.int64)
    for i, row in enumerate(rows):
        size = min(len(row.ids), length)
        ids[i, :size] = row.ids[:size]
        labels[i, : size - 1] = row.labels[1:size]
    return torch.from_numpy(ids), torch.from_numpy(labels)


def put_pictures(batch: Batch, pictures: list[View]) -> None:
    """Fill `pixels`, `grids` and what lies in them: glyphs, blanks and regions. Smaller pictures are padded."""
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


def put_clips(batch: Batch, clips: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Fill `wave` and `ctc` with clips as (wave float32 [T], characters), cut to whole mel frames and padded."""
    lengths = [len(w) // 160 * 160 for w, _ in clips]
    wave = np.zeros((len(clips), max(lengths)), dtype=np.float32)
    for i, (samples, _) in enumerate(clips):
        wave[i, : lengths[i]] = samples[: lengths[i]]
    batch.wave = torch.from_numpy(wave)
    batch.wave_lengths = torch.tensor(lengths)
    batch.ctc = torch.from_numpy(np.concatenate([c for _, c in clips]))
    batch.ctc_sizes = [len(c) for _, c in clips]
    batch.frames = [size // HOP for size in lengths]


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
