"""Batched greedy generation with the reference model, for scoring during training. Serving is the engine's business."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer

from autoglm_phone.models.native.mel import log_mel
from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration
from autoglm_phone.models.native.processing import resize_picture
from autoglm_phone.train.encode import ID, Encoder
from autoglm_phone.train.world.sample import Sample


@dataclass(frozen=True)
class Prepared:
    """A sample ready for generation: prompt ids, pictures uint8 [H, W, 3], mels float32 [bins, T]."""

    sample: Sample
    ids: list[int]
    pictures: list[np.ndarray]
    mels: list[np.ndarray]


def prepare_sample(sample: Sample, encoder: Encoder, max_patches: int, bins: int = 80) -> Prepared:
    """Tokenize and process one sample (runs in data workers)."""
    pictures = [resize_picture(Image.fromarray(p.pixels), max_patches) for p in sample.pictures]
    mels = [log_mel(c.samples, bins) for c in sample.clips]
    return Prepared(sample, encoder.prompt(sample.turns).ids, pictures, mels)


def split_answer(tokenizer: Tokenizer, ids: Sequence[int]) -> tuple[str, str]:
    """(reasoning, answer) of generated ids; what never reached <answer> counts as reasoning."""
    ids = list(ids)
    for stop in (ID["</answer>"], ID["<|endoftext|>"], ID["<|user|>"], ID["<|pad|>"]):
        if stop in ids:
            ids = ids[: ids.index(stop)]
    if ID["<answer>"] in ids:
        cut = ids.index(ID["<answer>"])
        thought = [i for i in ids[:cut] if i != ID["</think>"]]
        return tokenizer.decode(thought), tokenizer.decode(ids[cut + 1 :], skip_special_tokens=False)
    return tokenizer.decode(ids), ""


def media_tensors(batch: Sequence[Prepared], device: torch.device) -> dict[str, torch.Tensor]:
    """What `memory_for` takes: padded pictures and mels of all samples, in their order; empty without media."""
    media: dict[str, torch.Tensor] = {}
    pictures = [p for item in batch for p in item.pictures]
    if pictures:
        height, width = max(p.shape[0] for p in pictures), max(p.shape[1] for p in pictures)
        pixels = torch.zeros(len(pictures), 3, height, width)
        for i, p in enumerate(pictures):
            pixels[i, :, : p.shape[0], : p.shape[1]] = torch.from_numpy(p.copy()).permute(2, 0, 1) / 127.5 - 1.0
        grids = torch.tensor([[p.shape[0] // 16, p.shape[1] // 16] for p in pictures])
        media |= {"pixel_values": pixels.to(device), "image_grids": grids.to(device)}
    mels = [m for item in batch for m in item.mels]
    if mels:
        features = torch.zeros(len(mels), mels[0].shape[0], max(m.shape[1] for m in mels))
        for i, m in enumerate(mels):
            features[i, :, : m.shape[1]] = torch.from_numpy(m)
        media |= {
            "input_features": features.to(device),
            "feature_lengths": torch.tensor([m.shape[1] for m in mels]).to(device),
        }
    return media


@torch.inference_mode()
def answer_batch(
    model: AutoGLMPhoneForConditionalGeneration, tokenizer: Tokenizer, batch: list[Prepared], max_new_tokens: int = 320
) -> list[tuple[str, str]]:
    """Greedy answers, as (reasoning, answer), of samples with left-padded prompts."""
    device = next(model.parameters()).device
    length = max(len(item.ids) for item in batch)
    ids = torch.full((len(batch), length), ID["<|pad|>"])
    mask = torch.zeros_like(ids)
    for row, item in enumerate(batch):
        ids[row, length - len(item.ids) :] = torch.tensor(item.ids)
        mask[row, length - len(item.ids) :] = 1
    media = media_tensors(batch, device)
    ids, mask = ids.to(device), mask.to(device)
    memory = model.model.memory_for(ids, **media) if media else None
    out: torch.Tensor = model.generate(  # type: ignore[misc, assignment]
        ids, attention_mask=mask, memory=memory, max_new_tokens=max_new_tokens, do_sample=False,
        eos_token_id=[ID["</answer>"], ID["<|endoftext|>"], ID["<|user|>"]], pad_token_id=ID["<|pad|>"],
    )  # fmt: skip
    return [split_answer(tokenizer, row[length:].tolist()) for row in out.cpu()]


def batches(items: list[Prepared], size: int) -> list[list[Prepared]]:
    """Items of like length together."""
    order = sorted(items, key=lambda item: (len(item.pictures), len(item.mels), len(item.ids)))
    return [order[i : i + size] for i in range(0, len(order), size)]
