"""The probe: the prompt's boundary state after the first segment → how deep and how long this request will be.

A small network (RMS-normed state, standardized, one hidden layer) that train.probe makes; it runs once a request.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from autoglm_phone.graph.graph_file import PROBE, weights_digest

logger = logging.getLogger(__name__)

SHAPES = {"mean": 1, "std": 1, "w1": 2, "b1": 1, "w2": 2, "b2": 1}


def normed(states: Tensor) -> Tensor:
    """States [..., H] of length sqrt(H): their size grows with depth and says little."""
    return F.rms_norm(states.float(), states.shape[-1:])


@dataclass(frozen=True)
class DepthProbe:
    """Float32: mean, std [H]; w1 [H, D], b1 [D]; w2 [D, depths + 1], b2: logits of the least sufficient depth, then
    log(1 + output tokens)."""

    depths: tuple[int, ...]
    mean: Tensor
    std: Tensor
    w1: Tensor
    b1: Tensor
    w2: Tensor
    b2: Tensor

    def forward(self, states: Tensor) -> Tensor:
        """[N, H] → [N, depths + 1], the first columns as logits."""
        hidden = F.gelu(((normed(states) - self.mean) / self.std) @ self.w1 + self.b1)
        return hidden @ self.w2 + self.b2

    @torch.inference_mode()
    def __call__(self, state: Tensor) -> tuple[float, ...]:
        """[H] → the probability that each depth is the least sufficient one, then log(1 + output tokens)."""
        out = self.forward(state[None])[0]
        return (*torch.softmax(out[: len(self.depths)], dim=-1).tolist(), float(out[-1]))

    def save(self, folder: Path, model: str) -> Path:
        path = folder / PROBE
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: getattr(self, name).contiguous().cpu() for name in SHAPES}
        save_file(tensors, path, metadata={"model": model, "depths": ",".join(map(str, self.depths))})
        path.chmod(0o644)  # the library writes for the owner alone; a server may run as another user
        return path


def load_probe(
    folder: Path, depths: tuple[int, ...], hidden_size: int, device: torch.device, exits: str | None = None
) -> DepthProbe | None:
    """The probe of a model folder if it has one that fits its weights; a log line says why one is not used.

    exits: as for `graph_file.find_exits`.
    """
    path = folder / PROBE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name).float().to(device) for name in SHAPES}
    except (SafetensorError, OSError) as error:
        logger.warning("[DYNAMIC GRAPH] the probe is not used: %s can't be read (%s)", path.name, error)
        return None
    problem = _mismatch(about, tensors, depths, hidden_size)
    if problem is None and about.get("model") != weights_digest(folder, exits):
        problem = "it was trained on other weights; run `autoglm-phone exits probe` again"
    if problem is not None:
        logger.warning("[DYNAMIC GRAPH] the probe is not used: %s", problem)
        return None
    return DepthProbe(depths, **tensors)


def _mismatch(
    about: dict[str, str], tensors: dict[str, Tensor], depths: tuple[int, ...], hidden_size: int
) -> str | None:
    if about.get("depths") != ",".join(map(str, depths)):
        return f"it knows the depths {about.get('depths')}, the model has {depths}"
    width = tensors["b1"].shape[0] if tensors["b1"].dim() == 1 else 0
    expected = {
        "mean": (hidden_size,),
        "std": (hidden_size,),
        "w1": (hidden_size, width),
        "b1": (width,),
        "w2": (width, len(depths) + 1),
        "b2": (len(depths) + 1,),
    }
    for name, shape in expected.items():
        if tuple(tensors[name].shape) != shape:
            return f"its tensor {name} has shape {tuple(tensors[name].shape)}, not {shape}"
    return None
