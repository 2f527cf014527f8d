"""Trains the native family on the world: bf16 autocast, Muon + AdamW, exits with layer dropout, resumable, many GPUs.

Each optimizer step takes micro-batches of every kind (text, pictures, sound, both) and, following LayerSkip (Elhoushi
et al. 2024), adds the loss of one exit in turn and drops layers with a probability that grows with depth.
The schedule runs on time, not steps (`minutes`): warm-up, plateau, linear decay; a run may be cut into several calls.
"""

from __future__ import annotations

import logging
import math
import os
import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from autoglm_phone.errors import ConfigError
from autoglm_phone.models.native.configuration import preset
from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration
from autoglm_phone.train.batches import Batch
from autoglm_phone.train.crew import Crew
from autoglm_phone.train.distill import DistillConfig, config_of, load_teacher
from autoglm_phone.train.draws import Draws, TimedFeeder, Timetable
from autoglm_phone.train.feeder import Feeder
from autoglm_phone.train.grow import grown_weights
from autoglm_phone.train.mixture import KINDS, BatchSizes, due
from autoglm_phone.train.muon import MuonAdam, OptimConfig
from autoglm_phone.train.objective import Objective, speech_seconds
from autoglm_phone.train.state import Progress, load_run, load_weights, save_run
from autoglm_phone.train.stream import WorldStream
from autoglm_phone.train.vocabularies import read_vocabularies
from autoglm_phone.train.world.fillings import WORLD_SEED

log = logging.getLogger(__name__)
AGREE_EVERY = 10  # steps between looks at the clock
TRAINED = ("mini", "pro")  # the presets with a recipe; 9b is a shape to measure with
_ENTRY = re.compile(r"(\w+)(/[1-9]\d{0,3}(\+\d{1,4})?)?")  # of a plan


@dataclass(frozen=True)
class TrainConfig:
    """One training run. `minutes` is the length of the whole schedule, `call_seconds` that of this call.

    Raises:
        ConfigError: an unknown preset, or a value out of its bounds.
    """

    preset: str = "mini"
    prepared: Path = Path("runs/prepared")  # tokenizer.json, ctc_vocab.txt, glyph_vocab.json
    out: Path = Path("runs/mini")
    minutes: float = 45.0
    call_seconds: float = 1e9
    call_steps: int = 1 << 60
    overrides: dict[str, Any] = field(default_factory=dict)  # fields of the preset's configuration
    resume: bool = False
    init_from: Path | None = None  # weights only, a new schedule
    grow_from: Path | None = None  # the same, of a narrower model: see `grow`
    model: Path | None = None  # take the configuration (not the weights) of this model folder, instead of the preset
    steps: int | None = None  # the schedule runs on steps, not minutes
    teacher: Path | None = None  # model folder or run to learn from
    distill: DistillConfig = field(default_factory=DistillConfig)
    qat: tuple[str, ...] = ()  # linears that train with fake int8, by their names in the model
    workers: int = max(1, (os.cpu_count() or 2) - 1)  # 0: the trainer's own process draws
    seed: int = WORLD_SEED
    # Micro-batches of one optimizer step on one GPU, see `due`. The GPUs of a run take turns: with two or more, every
    # step holds every kind.
    plan: tuple[str, ...] = ("image", "text/2", "audio/2+1", "joint/4")
    reuse: dict[str, float] = field(default_factory=lambda: {"text": 1.5, "image": 3.0, "audio": 3.0, "joint": 3.0})
    capacity: dict[str, int] = field(default_factory=lambda: {"text": 64, "image": 400, "audio": 400, "joint": 200})
    warmup_steps: int = 150
    # The same bits however often the run is cut: what a step reads and draws follows from seed and step (`draws`).
    repeatable: bool = False
    decay_from: float = 0.55  # fraction of the schedule after which the learning rate falls linearly
    floor: float = 0.02
    layer_dropout: float = 0.06  # of the deepest layer; the first is never dropped
    clip: float = 1.0
    compile: bool = True
    # Glyphs and labelled regions of pictures. Their heads are in runs, not in model folders, and fresh ones pull the
    # vision tower their own way.
    lessons: bool = True
    save_every: float = 240.0  # seconds
    log_every: int = 20
    sizes: BatchSizes = field(default_factory=BatchSizes)
    optim: OptimConfig = field(default_factory=OptimConfig)

    def __post_init__(self) -> None:
        if self.preset not in TRAINED:
            raise ConfigError(f"unknown preset {self.preset!r} to train; use {' or '.join(TRAINED)}", param="preset")
        for entry in self.plan:
            found = _ENTRY.fullmatch(entry)
            if found is None or found[1] not in KINDS:
                raise ConfigError(
                    f"--plan: {entry!r} must be one of {', '.join(KINDS)}, with /n or /n+k behind it if it does not "
                    "come in every step",
                    param="plan",
                )
        optim, teaching = self.optim, self.distill
        above_zero = {
            "minutes": self.minutes, "call-seconds": self.call_seconds, "muon-lr": optim.muon_lr,
            "adam-lr": optim.adam_lr, **{f"reuse of {kind}": uses for kind, uses in self.reuse.items()},
        }  # fmt: skip
        for name, value in above_zero.items():
            if not 0 < value < math.inf:
                raise ConfigError(f"--{name} must be above 0, not {value:g}", param=name)
        for name, value in (("decay-from", self.decay_from), ("floor", self.floor)):
            if not 0 <= value <= 1:
                raise ConfigError(f"--{name} must lie between 0 and 1, not {value:g}", param=name)
        kl, hidden, top_k = teaching.kl, teaching.hidden, teaching.top_k
        steps = 1 if self.steps is None else self.steps
        least_of = (
            ("workers", self.workers, 0), ("kl", kl, 0), ("hidden", hidden, 0), ("top-k", top_k, 1),
            ("steps", steps, 1), ("warmup-steps", self.warmup_steps, 1),
        )  # fmt: skip
        for name, value, least in least_of:
            if not least <= value < math.inf:
                raise ConfigError(f"--{name} must be at least {least}, not {value:g}", param=name)


def trained_exit(exits: Sequence[int], step: int) -> int:
    """The exit whose loss counts at this step: the first, which saves most, every other time; the rest take turns."""
    first, *rest = exits
    return rest[step // 2 % len(rest)] if rest and step % 2 else first


def schedule(progress: float, step: int, config: TrainConfig) -> float:
    """Learning-rate factor at a fraction of the schedule: warm-up, plateau, linear decay to the floor."""
    warm = min(1.0, (step + 1) / config.warmup_steps)
    if progress <= config.decay_from:
        return warm
    left = max(0.0, (1.0 - progress) / (1.0 - config.decay_from))
    return warm * (config.floor + (1.0 - config.floor) * left)


class Trainer:
    """Owns the model, optimizer, data and progress of one run on one GPU (or CPU) of possibly several."""

    def __init__(self, config: TrainConfig):
        self.config = config
        self.rank = int(os.environ.get("RANK", "0"))
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        local = int(os.environ.get("LOCAL_RANK", "0"))
        cuda = torch.cuda.is_available()
        self.device = torch.device(f"cuda:{local}" if cuda else "cpu")
        if cuda:
            torch.cuda.set_device(self.device)
            torch.backends.cuda.matmul.allow_tf32 = True
            torch.backends.cudnn.allow_tf32 = True
        self.control = None
        if self.world > 1:
            if not dist.is_initialized():
                dist.init_process_group("nccl" if cuda else "gloo")
            self.control = dist.new_group(backend="gloo")  # on the CPU: asking it does not wait for the GPU
        vocabularies = read_vocabularies(config.prepared)
        self.tokenizer_json, ctc_vocab, self.glyphs = vocabularies.tokenizer_json, vocabularies.ctc, vocabularies.glyphs
        if not config.lessons:
            self.glyphs = {}
        torch.manual_seed(config.seed)
        if config.model is not None:
            model_config = config_of(config.model, ctc_vocab)
        else:
            model_config = preset(config.preset, **{"audio_config": self._audio(ctc_vocab), **config.overrides})
        teacher = None
        if config.teacher is not None:
            teacher = load_teacher(config.teacher, ctc_vocab, config.distill).to(self.device)
        pupil = AutoGLMPhoneForConditionalGeneration(model_config)
        pupil.tie_weights()  # shared weights become one parameter before the optimizer counts them
        if config.qat:
            from autoglm_phone.train.qat import fake_quantize

            fake_quantize(pupil, config.qat)
        self.objective = Objective(pupil, len(self.glyphs), teacher=teacher).to(self.device)
        self.named = list(self.objective.named_parameters())  # tied tensors appear once
        self.optimizer = MuonAdam(self.named, config.optim)
        self.progress = Progress()
        if config.resume:
            weights, state, self.progress = load_run(config.out)
            self._load(weights)
            self.optimizer.load_state_dict(state)
        elif config.init_from is not None:
            self._load(load_weights(config.init_from))
        elif config.grow_from is not None:
            self._load(grown_weights(config.grow_from, model_config, config.seed))
        self._share_weights()
        if config.compile and cuda:
            # One code object serves all layers, with and without memory, at many shapes, of pupil and teacher.
            torch._dynamo.config.recompile_limit = 64
            for core in [self.objective.model.model, *([] if teacher is None else [teacher.model.model])]:
                stem = core.vision.stem
                for block in [*core.layers, *core.vision.blocks, *core.audio.blocks, *stem.down, *stem.mix]:
                    block.compile(dynamic=True)
        self.feeder = self._feeder(ctc_vocab, model_config.vision_config.max_patches)

    def _audio(self, ctc_vocab: str) -> dict[str, Any]:
        from autoglm_phone.models.native.configuration import PRESETS

        return {**PRESETS[self.config.preset].get("audio_config", {}), "ctc_vocab": ctc_vocab}

    def _load(self, weights: dict[str, Tensor]) -> None:
        """Take over weights; of tensors that have grown since (a larger CTC alphabet) the rows that exist."""
        own = self.objective.state_dict()
        filled = set()  # by address: a shared tensor has several names and is filled under one
        for name, tensor in weights.items():
            if name not in own or own[name].shape[1:] != tensor.shape[1:] or len(own[name]) < len(tensor):
                log.warning("weights %s %s do not fit and were left out", name, tuple(tensor.shape))
                continue
            own[name][: len(tensor)] = tensor.to(own[name].device)
            filled.add(own[name].data_ptr())
        missing = [name for name in own if own[name].data_ptr() not in filled]
        if missing:
            log.warning("%d tensors start from scratch: %s", len(missing), ", ".join(missing[:4]))

    def _share_weights(self) -> None:
        if self.world > 1:
            for _, p in self.named:
                dist.broadcast(p.data, 0)

    def _feeder(self, ctc_vocab: str, max_patches: int) -> Feeder:
        config = self.config
        kinds = tuple(dict.fromkeys(entry.partition("/")[0] for entry in config.plan))
        sizes = config.sizes if config.lessons else replace(config.sizes, regions=0)
        stream = WorldStream(
            self.tokenizer_json, ctc_vocab, self.glyphs, max_patches, sizes,
            seed=config.seed, rank=self.rank, world=self.world, offset=self.progress.data_offset,
            workers=config.workers, max_media=self.objective.model.config.max_media, kinds=kinds,
        )  # fmt: skip
        if config.repeatable:
            times = {kind: max(1, round(config.reuse[kind])) for kind in kinds}
            draws = Draws(stream, Timetable(config.plan, times, self.rank), self.progress.step)
            self.crew = Crew(draws, config.workers, lost=draws.lost) if config.workers else None
            return TimedFeeder(iter(self.crew) if self.crew else draws(), self.device, draws)
        self.crew = Crew(stream, config.workers) if config.workers else None
        return Feeder(
            iter(self.crew) if self.crew else stream(), self.device, kinds,
            capacity=config.capacity, reuse=config.reuse, seed=config.seed + self.rank,
        )  # fmt: skip

    def run(self) -> Progress:
        """Train until the schedule or this call ends; leaves a checkpoint and returns the progress."""
        config, state = self.config, self.progress
        started = time.monotonic()
        before, first_step = state.elapsed, state.step
        saved = before  # by the clock that all ranks share: who saves alone waits for the others for ever
        window: dict[str, list[Tensor]] = {}
        waits = 0.0
        mark, mark_tokens = started, state.tokens
        fraction = 0.0
        while True:
            if (state.step - first_step) % AGREE_EVERY == 0 or config.call_steps < 1 << 60:
                now = time.monotonic()
                spent = now - started >= config.call_seconds or state.step - first_step >= config.call_steps
                state.elapsed, stop = self._agree(before + now - started, spent)
                fraction = self._fraction()
                if stop or fraction >= 1.0:
                    break
            if config.steps is not None and (fraction := self._fraction()) >= 1.0:
                break
            scale = schedule(fraction, state.step, config)
            losses, waited = self._step(scale)
            waits += waited
            for name, value in losses.items():
                window.setdefault(name, []).append(value)
            state.step += 1
            state.data_offset = max(state.data_offset, self.feeder.last_index)
            if state.step % config.log_every == 0 and self.rank == 0:
                now = time.monotonic()
                self._report(window, scale, fraction, (state.tokens - mark_tokens) / (now - mark), waits / (now - mark))
                window, waits, mark, mark_tokens = {}, 0.0, now, state.tokens
            if state.elapsed - saved > config.save_every:
                self.save()
                saved = state.elapsed
        self.save()
        self.feeder.stop()
        if self.crew:
            self.crew.close()
        return state

    def _fraction(self) -> float:
        """How much of the schedule is done."""
        if self.config.steps is not None:
            return self.progress.step / self.config.steps
        return self.progress.elapsed / (60.0 * self.config.minutes)

    def _agree(self, elapsed: float, stop: bool) -> tuple[float, bool]:
        """The first rank's clock and decision, which all ranks follow: the schedule must be the same everywhere."""
        if self.control is None:
            return elapsed, stop
        word = torch.tensor([elapsed, float(stop)], dtype=torch.float64)
        dist.broadcast(word, 0, group=self.control)
        return float(word[0]), bool(word[1])

    def _step(self, scale: float) -> tuple[dict[str, Tensor], float]:
        config = self.config
        depth = trained_exit(self.objective.model.config.exit_layers, self.progress.step)
        layers = self.objective.model.config.num_hidden_layers
        # The same layers for all micro-batches and ranks of a step: dropped work is then really saved.
        drop = random.Random(config.seed * 1000003 + self.progress.step)
        skip = frozenset(i for i in range(1, layers) if drop.random() < config.layer_dropout * scale * i / (layers - 1))
        out: dict[str, Tensor] = {}
        waited = 0.0
        kinds = due(config.plan, self.progress.step, self.rank)
        if config.repeatable:  # augmentation
            torch.manual_seed(random.Random(f"{config.seed}/{self.rank}/{self.progress.step}").getrandbits(62))
        timed = self.device.type == "cuda" and (self.progress.step + 1) % config.log_every == 0
        for kind in kinds:
            began = self._clock(timed)
            batch, seconds = self.feeder.next(kind)
            waited += seconds
            losses = self._forward(batch, depth, skip)
            (losses["total"] / len(kinds)).backward()
            for name, value in losses.items():
                if name != "total":
                    out[f"{kind}/{name}"] = value.detach()
            if timed:
                out[f"{kind}/ms"] = torch.tensor(1000 * (self._clock(timed) - began - seconds))
            self.progress.tokens += batch.tokens * self.world
            self.progress.samples += len(batch.categories) * self.world
            self.progress.speech_seconds += speech_seconds(batch) * self.world
        began = self._clock(timed)
        norm = self._collect()
        self.optimizer.step(scale)
        for _, p in self.named:
            p.grad = None
        if timed:
            out["optimizer/ms"] = torch.tensor(1000 * (self._clock(timed) - began))
        out["norm"] = norm
        return out, waited

    def _clock(self, timed: bool) -> float:
        """Seconds, after the device has caught up where the time is reported."""
        if timed:
            torch.cuda.synchronize()
        return time.monotonic()

    def _forward(self, batch: Batch, depth: int, skip: frozenset[int]) -> dict[str, Tensor]:
        if self.device.type != "cuda":
            return self.objective(batch, depth, skip)
        with torch.autocast("cuda", torch.bfloat16):
            return self.objective(batch, depth, skip)

    @torch.no_grad()
    def _collect(self) -> Tensor:
        """Mean of the gradients over the GPUs in one message, clipped; returns their norm. Never waits for the GPU.

        A gradient that is not finite counts as zero (its norm shows in the log).
        """
        grads = [p.grad if p.grad is not None else torch.zeros_like(p) for _, p in self.named]
        flat = torch.cat([g.flatten() for g in grads])
        if self.world > 1:
            dist.all_reduce(flat)
            flat /= self.world
        norm = flat.norm()
        factor = (self.config.clip / (norm + 1e-6)).clamp(max=1.0)
        flat = torch.where(norm.isfinite(), flat * factor, torch.zeros_like(flat))
        offset = 0
        for (_, p), g in zip(self.named, grads, strict=True):
            p.grad = flat[offset : offset + g.numel()].view_as(g)
            offset += g.numel()
        return norm

    def _report(
        self, window: dict[str, list[Tensor]], scale: float, fraction: float, rate: float, waiting: float
    ) -> None:
        state = self.progress
        mean = {name: float(torch.stack(values).float().mean()) for name, values in window.items()}
        parts = " ".join(f"{name.replace('accuracy', 'acc')} {value:.3f}" for name, value in sorted(mean.items()))
        shelves = " ".join(f"{k}:{s.arrived}/{s.taken}" for k, s in self.feeder.shelves.items())
        length = self.config.minutes * 60.0 if self.config.steps is None else state.elapsed / max(fraction, 1e-6)
        eta = (1.0 - fraction) * length
        memory = torch.cuda.max_memory_allocated() / 2**30 if self.device.type == "cuda" else 0.0
        print(
            f"step {state.step} lr {scale:.3f} | {parts} | {rate:,.0f} tok/s wait {waiting:.0%} [{shelves}] "
            f"{memory:.0f} GiB elapsed {state.elapsed:.0f} s eta {eta:.0f} s",
            flush=True,
        )

    def save(self) -> None:
        """Write the run's checkpoint (rank 0)."""
        if self.rank == 0:
            save_run(self.config.out, dict(self.named), self.optimizer.state_dict(), self.progress)
            print(f"wrote checkpoint of step {self.progress.step} to {self.config.out}", flush=True)
        if self.world > 1:
            dist.barrier()
