"""Small checkpoints and conversations for the tests of compression's structural steps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def lively(tiny_model: Path, folder: Path) -> Path:
    """The tiny native model with weights of unit gain and open gates, so that every part moves the logits."""
    shutil.copytree(tiny_model, folder)
    shard = next(folder.glob("*.safetensors"))
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, tensor in sorted(load_file(shard).items()):
        noise = torch.randn(tensor.shape, generator=generator)
        if name.endswith("gate"):
            tensors[name] = torch.full_like(tensor, 0.7)
        elif tensor.dim() == 1:
            tensors[name] = 0.1 * noise + (1.0 if "norm" in name and name.endswith("weight") else 0.0)
        elif "embed" in name:
            tensors[name] = noise / 3
        else:
            tensors[name] = noise / tensor[0].numel() ** 0.5
    save_file(tensors, shard, metadata={"format": "pt"})
    return folder


def conversations(folder: Path) -> Path:
    """A JSONL of conversations, some with a picture."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    Image.effect_noise((64, 96), 60).convert("RGB").save(folder / "noise.png")
    lines = []
    for index in range(6):
        content = [{"type": "text", "text": f"number {index} of a few"}]
        if index % 2:
            content.insert(0, {"type": "image_url", "image_url": {"url": str(folder / "noise.png")}})
        turns = [{"role": "user", "content": content}, {"role": "assistant", "content": f"it is {index}" * 3}]
        lines.append(json.dumps({"messages": turns}))
    (folder / "talk.jsonl").write_text("\n".join(lines))
    return folder / "talk.jsonl"
