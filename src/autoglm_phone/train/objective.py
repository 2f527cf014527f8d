"""The training loss of one micro-batch: next token at full depth and at one exit, CTC for speech, glyphs for pictures.

Three further losses are supervision that only a renderer can give; the first two have heads of their own, which are
thrown away after training.
- Glyphs: it knows which character it drew in which patch. This teaches the vision tower to read within minutes.
- Regions: it knows the name and the box of everything that one can point at. Patches are told to look like the words of
  their region (contrastively, as CLIP does for whole pictures: Radford et al. 2021), and where its box is. That is what
  the decoder's cross-attention searches for: which patches are called so, and where their thing is.
- Looks: it knows which thing a word or coordinate of the answer is about. One head of each later cross-attention is
  told to look there (see `looks`); the head's own scores are the supervised ones, so that inference profits as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoglm_phone.errors import EngineError
from autoglm_phone.models.native.audio import state_lengths
from autoglm_phone.models.native.blocks import FAR, CrossAttention, Memory
from autoglm_phone.models.native.mel import FFT, HOP, SAMPLE_RATE, WINDOW, mel_filters
from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration
from autoglm_phone.models.native.vision import kept_patches
from autoglm_phone.train.batches import PAD, Batch
from autoglm_phone.train.distill import Teacher, lay_out

_WHOLE = 0.15  # of the training pictures show their blank patches


@dataclass(frozen=True)
class Senses:
    """What the towers get: pixels float [I, 3, H, W], mel [A, bins, T] and its frame counts, and which patches have
    states, bool [I, P]; teacher and pupil see the same, augmentation included."""

    pixels: Tensor | None
    mel: Tensor | None
    counts: Tensor | None
    kept: Tensor | None = None


@dataclass(frozen=True)
class LossWeights:
    """Weights relative to the full-depth next-token loss."""

    exit: float = 0.4
    ctc: float = 0.5
    glyph: float = 0.5
    region: float = 0.15
    box: float = 1.0
    look: float = 0.15


def batched_log_mel(wave: Tensor, lengths: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """`mel.log_mel` for a padded batch on the GPU: wave [A, T], lengths in samples → [A, bins, T/160], frames."""
    window = torch.hann_window(WINDOW, periodic=True, device=wave.device)
    padded = F.pad(wave[:, None], (WINDOW // 2, WINDOW // 2), mode="reflect")[:, 0]
    frames = padded.unfold(-1, WINDOW, HOP)[:, : wave.shape[1] // HOP]
    power = torch.fft.rfft(frames * window, FFT).abs().square()
    filters = torch.from_numpy(mel_filters(bins)).to(wave.device)
    logged = (power @ filters.T).clamp_min(1e-10).log10().transpose(1, 2)
    count = lengths // HOP
    inside = torch.arange(logged.shape[-1], device=wave.device)[None] < count[:, None]
    peak = logged.masked_fill(~inside[:, None], -math.inf).amax((1, 2), keepdim=True)
    return (torch.maximum(logged, peak - 8.0) + 4.0) / 4.0, count


def augment_pixels(pixels: Tensor) -> Tensor:
    """uint8 [I, 3, H, W] → float in about [-1, 1] with random contrast, brightness, tint and noise per picture."""
    count, device = pixels.shape[0], pixels.device
    x = pixels.float() / 127.5 - 1.0
    gain = 1.0 + 0.15 * torch.randn(count, 1, 1, 1, device=device).clamp(-2, 2)
    tint = 0.08 * torch.randn(count, 3, 1, 1, device=device).clamp(-2, 2)
    noise = 0.04 * torch.rand(count, 1, 1, 1, device=device)
    return (x * gain + tint + noise * torch.randn_like(x)).clamp(-1.2, 1.2)


def augment_mel(mel: Tensor, counts: Tensor) -> Tensor:
    """SpecAugment (Park et al. 2019), light: one band and two stretches a clip, plus a random offset (loudness)."""
    clips, bins, frames = mel.shape
    device = mel.device
    mel = mel + 0.1 * torch.randn(clips, 1, 1, device=device)
    rows = torch.arange(bins, device=device)[None]
    start, width = torch.rand(clips, 1, device=device) * bins, torch.rand(clips, 1, device=device) * 12
    mel = mel.masked_fill(((rows >= start) & (rows < start + width))[:, :, None], 0.0)
    cols = torch.arange(frames, device=device)[None]
    for _ in range(2):
        start, width = torch.rand(clips, 1, device=device) * counts[:, None], torch.rand(clips, 1, device=device) * 12
        mel = mel.masked_fill(((cols >= start) & (cols < start + width))[:, None, :], 0.0)
    return mel


class RegionHead(nn.Module):
    """Patch states [S, D] against region texts: contrastive loss over all regions of the batch, and box regression."""

    def __init__(self, dim: int, text_dim: int, width: int = 128):
        super().__init__()
        self.patch = nn.Linear(dim, width, bias=False)
        self.text = nn.Linear(text_dim, width, bias=False)
        self.box = nn.Linear(dim, 4)
        self.scale = nn.Parameter(torch.full((1,), 2.0))
        for layer in (self.patch, self.text, self.box):
            nn.init.normal_(layer.weight, std=0.02)
        nn.init.zeros_(self.box.bias)

    def forward(self, patches: Tensor, batch: Batch, embedding: nn.Embedding) -> tuple[Tensor, Tensor]:
        """(contrastive loss, mean absolute error of the boxes)."""
        spots, ids, boxes, same = batch.spots, batch.region_ids, batch.region_boxes, batch.region_text
        if spots is None or ids is None or boxes is None or same is None:
            raise EngineError("a batch without labelled regions has no region loss")
        region = spots[:, 1]
        keep = (ids != PAD)[..., None].to(patches.dtype)
        words = (embedding(ids) * keep).sum(1) / keep.sum(1).sqrt()
        texts = F.normalize(self.text(words).float(), dim=-1)  # [R, W]
        found = F.normalize(self.patch(patches).float(), dim=-1)  # [S, W]
        scores = found @ texts.T * self.scale.clamp(max=4.0).exp()
        # Regions of the same text are the same answer.
        alike = same[region][:, None] == same[None]
        own = scores.masked_fill(~alike, -math.inf).logsumexp(-1)
        names = (scores.logsumexp(-1) - own).mean()
        box = self.box(patches).float().sigmoid()
        return names, F.l1_loss(box, boxes[region])


@dataclass(frozen=True)
class Gaze:
    """What one cross-attention was given in a forward pass. hidden: [R, L, H], part of the graph."""

    cross: CrossAttention
    hidden: Tensor
    memory: Memory


@contextmanager
def watched(model: AutoGLMPhoneForConditionalGeneration, batch: Batch) -> Iterator[list[Gaze]]:
    """The gazes of the supervised cross-attentions, all but the first, while the decoder runs on a batch with looks.

    The hooks go with the context: none is left that a copy or a compiler could meet. The modules run outside compiled
    code, which therefore stays as it is; a layer that is dropped leaves no gaze.
    """
    gazes: list[Gaze] = []

    def note(module: nn.Module, given: tuple[object, ...]) -> None:
        cross, (hidden, memory) = module, given[:2]
        if isinstance(cross, CrossAttention) and isinstance(hidden, Tensor) and isinstance(memory, Memory):
            gazes.append(Gaze(cross, hidden, memory))

    layers = model.model.layers
    supervised = model.config.cross_attention_layers[1:] if batch.look_at is not None else ()
    crosses = [cross for i in supervised if isinstance(cross := layers[i].cross_attn, CrossAttention)]
    handles = [cross.register_forward_pre_hook(note) for cross in dict.fromkeys(crosses)]  # pruned models may share
    try:
        yield gazes
    finally:
        for handle in handles:
            handle.remove()


def look_loss(gazes: list[Gaze], look_at: Tensor, look_hits: Tensor) -> tuple[Tensor, Tensor]:
    """(nats by which the first head misses the patches that are right, share of looks whose best patch is right).

    Means over looks and layers. The head's scores are computed again, only where a look is due: [I, K, P] in float32.
    """
    if not gazes:
        raise EngineError("no cross-attention ran, so there is no look loss")
    pictures, size = gazes[0].memory.states.shape[:2]
    due = look_at >= 0
    right = torch.zeros(*look_at.shape, size, dtype=torch.bool, device=look_at.device)
    right.index_put_(look_hits.unbind(1), torch.ones((), dtype=torch.bool, device=right.device))
    right &= (gazes[0].memory.starts < FAR)[:, None]  # a patch without a state can't be looked at
    due &= right.any(-1)
    right = right | ~due[..., None]  # a place without a look is right everywhere: no loss, and no shape to wait for
    count = due.sum().clamp_min(1)
    losses, found = [], []
    for gaze in gazes:
        cross, width = gaze.cross, gaze.hidden.shape[-1]
        own = gaze.hidden.reshape(pictures, -1, width)
        own = own.gather(1, look_at.clamp_min(0)[..., None].expand(-1, -1, width))
        head = width // cross.heads
        q = F.linear(cross.norm(own), cross.q_proj.weight[:head])
        k = F.linear(gaze.memory.states, cross.k_proj.weight[:head])
        with torch.autocast(q.device.type, enabled=False):
            scores = q.float() @ k.float().transpose(1, 2) / math.sqrt(head)
        scores = scores.masked_fill((gaze.memory.starts >= FAR)[:, None], -math.inf)
        missed = scores.logsumexp(-1) - scores.masked_fill(~right, -math.inf).logsumexp(-1)
        losses.append((missed * due).sum() / count)
        best = right.gather(-1, scores.detach().argmax(-1, keepdim=True))[..., 0]
        found.append((best & due).sum() / count)
    return torch.stack(losses).mean(), torch.stack(found).mean()


class Objective(nn.Module):
    """The model together with its training-only heads. forward(batch, exit_depth, skip) → losses by name.

    With a teacher also "kl" (its most likely tokens) and "hidden" (its boundary states), see `distill`.
    """

    def __init__(
        self,
        model: AutoGLMPhoneForConditionalGeneration,
        glyphs: int,
        weights: LossWeights | None = None,
        teacher: Teacher | None = None,
    ):
        super().__init__()
        self.model = model
        self.ocr_head = nn.Linear(model.config.vision_config.hidden_size, 1 + glyphs)
        nn.init.normal_(self.ocr_head.weight, std=0.02)
        nn.init.zeros_(self.ocr_head.bias)
        self.regions = RegionHead(model.config.vision_config.hidden_size, model.config.hidden_size)
        self.weights = weights or LossWeights()
        self.teacher = teacher  # no module: its weights are not ours to train or save
        self.matching = None if teacher is None else teacher.matching(model.config)

    def forward(
        self, batch: Batch, exit_depth: int | None, skip: frozenset[int] = frozenset(), augment: bool = True
    ) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = {}
        senses = self._senses(batch, augment)
        memory = self._memory(batch, losses, senses)
        with watched(self.model, batch) as gazes:
            boundaries = self.model.model(batch.ids, memory=memory, skip_layers=skip)
        if gazes and batch.look_at is not None and batch.look_hits is not None:
            losses["look"], losses["found"] = look_loss(gazes, batch.look_at, batch.look_hits)
        assert batch.where is not None  # internal: every batch finds its labels when it is made
        targets = batch.labels.flatten()[batch.where]
        full = len(self.model.model.layers)
        for depth in (full, exit_depth):
            if depth is None:
                continue
            state = self.model.model.head_state(boundaries[depth].flatten(0, 1)[batch.where], depth)
            logits = self.model.lm_head(state)
            losses["text" if depth == full else "exit"] = F.cross_entropy(logits.float(), targets)
            if depth == full:
                with torch.no_grad():
                    losses["accuracy"] = (logits.argmax(-1) == targets).float().mean()
                if self.teacher is not None and self.matching is not None:
                    seen = self.teacher.look(batch, senses)
                    losses["kl"] = self.teacher.divergence(logits, seen.logits)
                    losses["hidden"] = self.matching(boundaries, seen.boundaries, batch.where)
        weights = self.weights
        losses["total"] = losses["text"] + sum(
            getattr(weights, name) * losses[name]
            for name in ("exit", "ctc", "glyph", "region", "box", "look")
            if name in losses
        )
        if self.teacher is not None:
            losses["total"] = losses["total"] + self.teacher.total(losses)
        return losses

    def _senses(self, batch: Batch, augment: bool) -> Senses:
        pixels = mel = counts = None
        if batch.pixels is not None and batch.grids is not None:
            pixels = augment_pixels(batch.pixels) if augment else batch.pixels.float() / 127.5 - 1.0
            pixels = pixels.to(torch.bfloat16) if torch.is_autocast_enabled() else pixels
        if batch.wave is not None and batch.wave_lengths is not None:
            bins = self.model.config.audio_config.num_mel_bins
            mel, counts = batched_log_mel(batch.wave, batch.wave_lengths, bins)
            mel = augment_mel(mel, counts) if augment else mel
        return Senses(pixels, mel, counts, self._kept(batch))

    def _memory(self, batch: Batch, losses: dict[str, Tensor], senses: Senses) -> Memory | None:
        images = valid = clips = keep = None
        core = self.model.model
        if senses.pixels is not None:
            hidden, place, valid = core.vision.features(senses.pixels, batch.grids, senses.kept)
            images = core.vision.project(hidden) + core.vision.out_position(place)
            if batch.glyphs is not None and len(batch.glyphs):
                losses["glyph"] = self._glyph_loss(hidden, batch)
            if batch.spots is not None and len(batch.spots):
                patches = hidden.flatten(0, 1)[batch.spots[:, 0]]
                losses["region"], losses["box"] = self.regions(patches, batch, core.embed_tokens)
        if senses.mel is not None:
            clips, keep, logits = core.audio(senses.mel, senses.counts)
            if batch.ctc is not None and batch.ctc_sizes is not None and batch.frames is not None:
                lengths = torch.tensor([int(state_lengths(n)) for n in batch.frames])  # both lengths on the CPU
                losses["ctc"] = F.ctc_loss(
                    logits.float().log_softmax(-1).transpose(0, 1), batch.ctc, lengths, torch.tensor(batch.ctc_sizes),
                    zero_infinity=True,
                )  # fmt: skip
        return lay_out(core, batch, images, valid, clips, keep)

    def _kept(self, batch: Batch) -> Tensor | None:
        """Which patches have states; some training pictures keep all of them, so that both ways work."""
        kept = None if batch.pixels is None else kept_patches(batch.pixels, self.model.config.vision_config)
        if kept is None or not self.training:
            return kept
        return kept | (torch.rand(len(kept), 1, device=kept.device) < _WHOLE)

    def _glyph_loss(self, hidden: Tensor, batch: Batch) -> Tensor:
        flat = hidden.flatten(0, 1)
        assert batch.glyphs is not None  # internal: checked by the caller
        patches, chars = batch.glyphs.unbind(1)
        loss = F.cross_entropy(self.ocr_head(flat[patches]).float(), chars)
        if batch.blanks is None or not len(batch.blanks):
            return loss
        blanks = self.ocr_head(flat[batch.blanks]).float()
        return loss + 0.25 * F.cross_entropy(blanks, torch.zeros_like(batch.blanks))


def speech_seconds(batch: Batch) -> float:
    """Seconds of sound in a batch, for the progress line."""
    return 0.0 if batch.wave_lengths is None else float(batch.wave_lengths.sum()) / SAMPLE_RATE
