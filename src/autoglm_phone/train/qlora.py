"""QLoRA: low-rank adapters trained on a quantized base that stays packed (Dettmers et al. 2023), with peft.

The base is any model folder that the engine reads; conversations come from the world or from a JSONL file, through the
model's own chat template, and only the assistant's last reply is learned. Adapters are saved as peft saves them.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from autoglm_phone.compress import calibrate
from autoglm_phone.compress.calibrate import Sample
from autoglm_phone.compress.recipe import ALIASES
from autoglm_phone.errors import ConfigError, NotBuiltError
from autoglm_phone.models import registry
from autoglm_phone.models.glm4v.weights import engine_name
from autoglm_phone.train.frozen import load_frozen

_IGNORED = -100
_HELD_OUT = 0.1
_MIX = {"text": 0.4, "picture": 0.35, "speech": 0.25}


@dataclass(frozen=True)
class QLoraConfig:
    """steps of `batch` conversations each; lr falls linearly to zero after a tenth of warm-up. path: a JSONL file
    instead of the world. samples: how many conversations to draw; targets: parts or patterns as recipes name them."""

    steps: int = 100
    batch: int = 8
    samples: int = 256
    path: Path | None = None
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    lr: float = 5e-4
    targets: tuple[str, ...] = ("attention", "mlp", "cross-attention")
    max_tokens: int = 1024
    device: str = "cpu"
    workers: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "samples", "rank", "alpha", "max_tokens", "workers"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name.replace('_', '-')} must be at least 1", param=name)
        if not 0 <= self.dropout < 1 or self.lr <= 0:
            raise ConfigError("--dropout must lie in [0, 1) and --lr above 0", param="lr")


@dataclass(frozen=True)
class Trained:
    """losses: of each step. before, after: held-out loss, nats a token. trainable: parameters of the adapters."""

    losses: tuple[float, ...]
    before: float
    after: float
    trainable: int
    seconds: float


def train(model: str | Path, out: Path, config: QLoraConfig, say: Callable[[str], None] = lambda line: None) -> Trained:
    """Train adapters and save them to `out` (adapter_model.safetensors, adapter_config.json, training.json).

    Raises:
        ConfigError: no usable data, or targets that name no linear. NotBuiltError: peft is not installed.
    """
    folder = registry.locate(model)
    if (out / "adapter_config.json").exists():
        raise ConfigError(f"{out} already holds adapters; choose another folder", param="out")
    torch.manual_seed(config.seed)
    device = torch.device(config.device)
    base = load_frozen(folder, torch.bfloat16 if device.type == "cuda" else torch.float32)
    adapted = adapt(base, folder, config).to(device)
    drawn = calibrate.load(
        folder,
        calibrate.Calibration(config.samples, config.max_tokens, _MIX, seed=config.seed, path=config.path),
        workers=config.workers,
    )
    rng = random.Random(config.seed)
    rng.shuffle(drawn)
    held = drawn[: max(1, int(_HELD_OUT * len(drawn)))]
    learned = drawn[len(held) :] or held
    trainable = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    say(f"{len(learned)} conversations to learn from, {len(held)} held out; {trainable:,} parameters to train")
    began = time.monotonic()
    before = evaluate(adapted, held, device)
    say(f"held-out loss before: {before:.4f}")
    losses = _run(adapted, learned, config, device, rng, say)
    after = evaluate(adapted, held, device)
    say(f"held-out loss after: {after:.4f}")
    made = Trained(tuple(losses), before, after, trainable, time.monotonic() - began)
    adapted.save_pretrained(str(out), safe_serialization=True, save_embedding_layers=False)
    (out / "README.md").unlink(missing_ok=True)  # peft's is a form to fill in
    facts = {**asdict(made), "model": str(model), "config": {**asdict(config), "path": str(config.path or "world")}}
    (out / "training.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return made


def adapt(base: nn.Module, folder: Path, config: QLoraConfig) -> Any:
    """The base with fresh adapters on its targets.

    Raises:
        ConfigError: targets that name no linear. NotBuiltError: peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise NotBuiltError("training adapters needs peft; install the extra 'train'") from error
    wanted = [glob for target in config.targets for glob in ALIASES.get(target, (target,))]
    names = [
        name
        for name, module in base.named_modules()
        if isinstance(module, nn.Linear) and any(fnmatchcase(engine_name(name + "."), glob + ".") for glob in wanted)
    ]
    if not names:
        raise ConfigError(
            f"targets {', '.join(config.targets)} name no linear of {folder.name}; use attention, mlp, "
            "cross-attention, towers, head or patterns such as model.layers.*.self_attn.q_proj",
            param="targets",
        )
    settings = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=names,
        task_type="CAUSAL_LM",
    )
    adapted = get_peft_model(base, settings)  # type: ignore[arg-type]
    adapted.peft_config["default"].base_model_name_or_path = str(folder)
    return adapted


def _run(
    model: Any,
    learned: Sequence[Sample],
    config: QLoraConfig,
    device: torch.device,
    rng: random.Random,
    say: Callable[[str], None],
) -> list[float]:
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=config.lr, weight_decay=0.0)
    warm = max(1, config.steps // 10)
    losses: list[float] = []
    order: list[Sample] = []
    began = told = time.monotonic()
    model.train()
    for step in range(config.steps):
        while len(order) < config.batch:
            order += rng.sample(list(learned), len(learned))
        batch, order = order[: config.batch], order[config.batch :]
        share = min((step + 1) / warm, (config.steps - step) / max(1, config.steps - warm))
        for group in optimizer.param_groups:
            group["lr"] = config.lr * share
        tokens = sum(len(sample.answer_positions) for sample in batch)
        total = 0.0
        for part in _micro_batches(batch):
            loss = loss_sum(model, part, device) / tokens
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(total)
        if not math.isfinite(total):
            raise ConfigError(f"the loss is no number after {step + 1} steps; lower --lr", param="lr")
        now = time.monotonic()
        if now - told > 5 or step + 1 == config.steps:
            left = (now - began) / (step + 1) * (config.steps - step - 1)
            say(f"step {step + 1}/{config.steps}: loss {total:.4f}, about {left:.0f} s left")
            told = now
    return losses


@torch.no_grad()
def evaluate(model: Any, samples: Sequence[Sample], device: torch.device) -> float:
    """Mean loss in nats a token of the replies."""
    was = model.training
    model.eval()
    total = sum(float(loss_sum(model, part, device)) for part in _micro_batches(samples))
    model.train(was)
    return total / sum(len(sample.answer_positions) for sample in samples)


def _micro_batches(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Text four at a time, like lengths together; what holds media one by one."""
    text = sorted((s for s in samples if not s.media), key=lambda s: len(s.ids))
    return [text[i : i + 4] for i in range(0, len(text), 4)] + [[s] for s in samples if s.media]


def loss_sum(model: Any, samples: Sequence[Sample], device: torch.device) -> Tensor:
    """Sum of the cross-entropies of the replies' tokens. Rows are padded at their ends: causal attention ignores it."""
    longest = max(len(sample.ids) for sample in samples)
    ids = torch.zeros(len(samples), longest, dtype=torch.long)
    labels = torch.full_like(ids, _IGNORED)
    for row, sample in enumerate(samples):
        ids[row, : len(sample.ids)] = torch.tensor(sample.ids)
        places = torch.tensor(sample.answer_positions)
        labels[row, places] = ids[row, places]
    given = {name: tensor.to(device) for name, tensor in media_inputs(samples, ids).items()}
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        logits = model(input_ids=ids.to(device), use_cache=False, **given).logits
    wanted = labels[:, 1:].flatten().to(device)
    return nn.functional.cross_entropy(
        logits[:, :-1].float().flatten(0, 1), wanted, ignore_index=_IGNORED, reduction="sum"
    )


def media_inputs(samples: Sequence[Sample], ids: Tensor) -> dict[str, Tensor]:
    """What either family's model takes for the samples' pictures and clips; one sample with media at a time."""
    images = [m.data for s in samples for m in s.media if m.kind == "image"]
    clips = [m.data["mel"] for s in samples for m in s.media if m.kind == "audio"]
    made: dict[str, Tensor] = {}
    if images and "grid_thw" in images[0]:
        from autoglm_phone.models.glm4v.processing import pixel_values

        places = [(m.position, m.position + m.length) for s in samples for m in s.media if m.kind == "image"]
        kinds = torch.zeros_like(ids, dtype=torch.int)
        for start, end in places:
            kinds[0, start:end] = 1
        return {
            "pixel_values": torch.from_numpy(np.concatenate([pixel_values(image) for image in images])),
            "image_grid_thw": torch.from_numpy(np.stack([image["grid_thw"] for image in images])),
            "mm_token_type_ids": kinds,
        }
    if images:
        height, width = (max(image["pixels"].shape[axis] for image in images) for axis in (0, 1))
        pixels = torch.zeros(len(images), 3, height, width)
        for index, image in enumerate(images):
            shown = torch.from_numpy(image["pixels"].copy()).permute(2, 0, 1) / 127.5 - 1.0
            pixels[index, :, : shown.shape[1], : shown.shape[2]] = shown
        grids = [[image["pixels"].shape[0] // 16, image["pixels"].shape[1] // 16] for image in images]
        made |= {"pixel_values": pixels, "image_grids": torch.tensor(grids)}
    if clips:
        features = torch.zeros(len(clips), clips[0].shape[0], max(clip.shape[1] for clip in clips))
        for index, clip in enumerate(clips):
            features[index, :, : clip.shape[1]] = torch.from_numpy(clip)
        made |= {"input_features": features, "feature_lengths": torch.tensor([clip.shape[1] for clip in clips])}
    return made
