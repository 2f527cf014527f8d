"""Checkpoints of a training run: safetensors and JSON, written whole or not at all."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from autoglm_phone.errors import CheckpointError

SHARD_BYTES = 15 * 1024 * 1024


@dataclass
class Progress:
    """How far a run has come. elapsed counts seconds of training over all its calls."""

    step: int = 0
    elapsed: float = 0.0
    tokens: int = 0
    samples: int = 0
    speech_seconds: float = 0.0
    data_offset: int = 0


def save_run(folder: Path, weights: dict[str, Tensor], optimizer: dict[str, Tensor], progress: Progress) -> None:
    """Replace the run's checkpoint atomically: a kill at any moment leaves the old one or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, tensors in (("model", weights), ("optimizer", optimizer)):
        part = folder / f"{name}.part"
        save_file(
            {k: v.detach().contiguous().cpu() for k, v in tensors.items()}, part, metadata={"step": str(progress.step)}
        )
        os.replace(part, folder / f"{name}.{progress.step}.safetensors")
    part = folder / "progress.part"
    part.write_text(json.dumps(asdict(progress)))
    os.replace(part, folder / "progress.json")  # from here on the new files are the checkpoint
    for old in folder.glob("*.safetensors"):
        if f".{progress.step}." not in old.name:
            old.unlink()


def load_run(folder: Path) -> tuple[dict[str, Tensor], dict[str, Tensor], Progress]:
    """Weights, optimizer state and progress of the newest checkpoint in a run's folder.

    Raises:
        CheckpointError: there is none, or a file is missing.
    """
    path = folder / "progress.json"
    if not path.exists():
        raise CheckpointError(f"{folder} holds no checkpoint to resume from; start without --resume")
    progress = Progress(**json.loads(path.read_text()))
    files = [folder / f"{name}.{progress.step}.safetensors" for name in ("model", "optimizer")]
    for file in files:
        if not file.exists():
            raise CheckpointError(f"{file.name} is missing in {folder}; the run can't be resumed from it")
    return load_file(files[0]), load_file(files[1]), progress


def load_weights(folder: Path) -> dict[str, Tensor]:
    """Weights of a run's checkpoint or of a model folder, named as `Objective` names them.

    Raises:
        CheckpointError: the folder holds neither.
    """
    if (folder / "progress.json").exists():
        return load_run(folder)[0]
    shards = sorted(folder.glob("*.safetensors"))
    if not shards:
        raise CheckpointError(f"{folder} holds neither a training run nor a model's safetensors")
    return {f"model.{name}": tensor.float() for shard in shards for name, tensor in load_file(shard).items()}


def save_sharded(
    weights: dict[str, Tensor], folder: Path, config: dict[str, Any], limit: int = SHARD_BYTES
) -> list[Path]:
    """safetensors shards of at most `limit` bytes each with transformers' index, beside config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name in sorted(weights):
        nbytes = weights[name].numel() * weights[name].element_size()
        if shards[-1] and size + nbytes > limit - 64 * 1024:  # room for the header
            shards.append({})
            size = 0
        shards[-1][name] = weights[name].contiguous()
        size += nbytes
    paths, where = [], {}
    for i, shard in enumerate(shards):
        path = folder / f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        save_file(shard, path, metadata={"format": "pt"})
        paths.append(path)
        where.update(dict.fromkeys(shard, path.name))
    total = sum(t.numel() * t.element_size() for t in weights.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(where.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")
    (folder / "config.json").write_text(json.dumps(config, ensure_ascii=False, indent=1) + "\n")
    return paths
