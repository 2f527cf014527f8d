"""The frozen ends of a checkpoint that exit heads learn with: its final norm, and its output head as a function."""

from __future__ import annotations

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from autoglm_phone.backends.quantized import PackedWeight
from autoglm_phone.backends.torch_backend import Linear
from autoglm_phone.models.glm4v.weights import engine_name
from autoglm_phone.runner.checkpoint import Checkpoint
from autoglm_phone.runner.decoder import Decoder
from autoglm_phone.runner.quantized import QuantizedCheckpoint, open_weights, read_quantization
from autoglm_phone.runner.spec import DecoderSpec
from autoglm_phone.train.exit_heads import Project
from autoglm_phone.train.frozen import PackedLinear


def final_norm(folder: Path, spec: DecoderSpec) -> Tensor:
    """Weight [H] of the norm before the output head, float32."""
    return _weights(folder, spec).get("model.norm.weight", (spec.hidden_size,)).float()


def head_of(decoder: Decoder, folder: Path) -> Project:
    """The engine's output head with gradients for its input: state [N, H] → float32 logits [N, V].

    A float head is the engine's own tensor. A quantized one, or one kept in halves, is read once more, since the
    engine's handles for these multiply forwards only.
    """
    handle = decoder.weights.head
    if isinstance(handle, Linear):
        weight = handle.weight
        return lambda state: (state @ weight).float()
    checkpoint = _weights(folder, decoder.spec)
    tied = decoder.spec.tied or "lm_head.weight" not in checkpoint
    stored = checkpoint.get("model.embed_tokens.weight" if tied else "lm_head.weight")
    if isinstance(stored, PackedWeight):
        module = PackedLinear(stored, None).to(decoder.backend.device)
        return lambda state: module(state).float()
    table = stored.float()
    return lambda state: F.linear(state.float(), table)


def _weights(folder: Path, spec: DecoderSpec) -> Checkpoint | QuantizedCheckpoint:
    return open_weights(folder, read_quantization(folder), engine_name if spec.family == "glm4v" else None)
