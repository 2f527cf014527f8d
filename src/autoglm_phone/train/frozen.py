"""A checkpoint of either family as a PyTorch model whose quantized weights stay packed, for training adapters on it.

Gradients pass through the packed linears to what lies before them: a block of rows becomes floats, is multiplied, and
is forgotten, forwards and backwards (as QLoRA does for NF4: Dettmers et al. 2023). The float model never exists.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoglm_phone.backends.quantized import PackedWeight, Stacked, block_of, stack
from autoglm_phone.backends.quantized_blocks import round_rows
from autoglm_phone.errors import CheckpointError, NotBuiltError
from autoglm_phone.models import registry
from autoglm_phone.models.glm4v.weights import engine_name
from autoglm_phone.runner.quantized import open_weights, read_quantization

_GATE_UP = "gate_up_proj.weight"


class _Packed(nn.Module):
    """Holds a PackedWeight's tensors, so that they move with the model."""

    codes: Tensor
    scales: Tensor
    zeros: Tensor | None
    order: Tensor | None

    def _hold(self, weight: PackedWeight) -> None:
        self._template = replace(weight, codes=weight.codes[:0], scales=weight.scales[:0], zeros=None, order=None)
        for name in ("scales", "zeros", "order"):
            self.register_buffer(name, getattr(weight, name))

    def packed(self, codes: Tensor) -> PackedWeight:
        return replace(self._template, codes=codes, scales=self.scales, zeros=self.zeros, order=self.order)


class PackedLinear(nn.Linear, _Packed):
    """y = x W^T + b with W packed; trains nothing of its own. `weight` holds the codes, uint8: peft looks there for the
    device and leaves types that are not floats alone."""

    def __init__(self, weight: PackedWeight, bias: Tensor | None):
        nn.Module.__init__(self)
        self.out_features, self.in_features = weight.shape
        self.weight = nn.Parameter(weight.codes, requires_grad=False)
        self.register_parameter("bias", None if bias is None else nn.Parameter(bias, requires_grad=False))
        self._hold(weight)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = _Product.apply(x.flatten(0, -2), self.packed(self.weight))
        y = y.unflatten(0, x.shape[:-1])
        return y if self.bias is None else y + self.bias.to(y.dtype)


class PackedEmbedding(_Packed):
    """Rows of a packed table. `weight` is empty: it only tells others the table's type and device."""

    weight: Tensor

    def __init__(self, weight: PackedWeight, dtype: torch.dtype):
        super().__init__()
        self.num_embeddings, self.embedding_dim = weight.shape
        self.register_buffer("codes", weight.codes)
        self.register_buffer("weight", torch.empty(0, weight.columns, dtype=dtype))
        self._hold(weight)

    def forward(self, ids: Tensor) -> Tensor:
        rows = self.packed(self.codes).take(ids.flatten()).dequantize(self.weight.dtype)
        return rows.view(*ids.shape, -1)


class _Product(torch.autograd.Function):
    """x [T, columns] times the packed weight [rows, columns]: [T, rows]. Keeps the codes, never the floats."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: PackedWeight) -> Tensor:
        ctx.held = weight
        if weight.activation_bits == 8:  # as the engine runs it; gradients go straight through the rounding
            x = round_rows(x).to(x.dtype)
        y = x.new_empty(x.shape[0], weight.shape[0])
        for rows in _blocks(weight):
            y[:, rows] = F.linear(x, weight.take(rows).dequantize(x.dtype))
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None]:
        (g,) = gradients
        if not ctx.needs_input_grad[0]:
            return None, None
        weight: PackedWeight = ctx.held
        total = g.new_zeros(g.shape[0], weight.columns)
        for rows in _blocks(weight):
            total.addmm_(g[:, rows], weight.take(rows).dequantize(g.dtype))
        return total, None


def _blocks(weight: PackedWeight) -> list[slice]:
    rows, columns = weight.shape
    step = max(1, block_of(weight.codes.device) // columns)
    return [slice(start, min(rows, start + step)) for start in range(0, rows, step)]


def load_frozen(folder: Path, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The reference model (native) or transformers' own (GLM-4.1V) with this folder's weights, on the CPU, frozen.

    Raises:
        CheckpointError: weights that are missing or do not fit. NotBuiltError: accelerate is not installed.
    """
    try:
        from accelerate import init_empty_weights
    except ImportError as error:
        raise NotBuiltError("training adapters needs accelerate and peft; install the extra 'train'") from error
    glm = registry.family(folder) == "glm4v"
    name_of: Callable[[str], str] = engine_name if glm else str
    checkpoint = open_weights(folder, read_quantization(folder), engine_name if glm else None)
    with init_empty_weights(include_buffers=False):
        model = _empty(folder, glm)
    model.eval()

    def read(name: str) -> Any:
        wanted = name_of(name)
        if wanted not in checkpoint and wanted.endswith(_GATE_UP):
            stem = wanted.removesuffix(_GATE_UP)
            return stack([checkpoint.get(f"{stem}{half}_proj.weight") for half in ("gate", "up")])
        if wanted == "lm_head.weight" and wanted not in checkpoint:
            wanted = "model.embed_tokens.weight"
        return checkpoint.get(wanted)

    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear | nn.Embedding):
            weight = read(f"{name}.weight")
            if isinstance(weight, Stacked):
                raise CheckpointError(
                    f"gate and up of {name} are quantized differently; adapters can't be trained on it"
                )
            if isinstance(weight, PackedWeight):
                bias = read(f"{name}.bias").to(dtype) if getattr(module, "bias", None) is not None else None
                embeds = isinstance(module, nn.Embedding)
                made = PackedEmbedding(weight, dtype) if embeds else PackedLinear(weight, bias)
                parent, _, last = name.rpartition(".")
                setattr(model.get_submodule(parent) if parent else model, last, made)
    for name, parameter in list(model.named_parameters()):
        if parameter.device.type != "meta":
            continue
        tensor = read(name)
        if tuple(tensor.shape) != tuple(parameter.shape):
            raise CheckpointError(
                f"tensor {name} has shape {tuple(tensor.shape)}; config.json: {tuple(parameter.shape)}"
            )
        parent, _, last = name.rpartition(".")
        held = nn.Parameter(tensor.to(dtype, copy=True), requires_grad=False)
        setattr(model.get_submodule(parent) if parent else model, last, held)
    return model.requires_grad_(False)


def _empty(folder: Path, glm: bool) -> nn.Module:
    raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    raw.pop("quantization_config", None)
    if glm:
        from transformers import Glm4vConfig, Glm4vForConditionalGeneration

        return Glm4vForConditionalGeneration(Glm4vConfig(**raw))
    from autoglm_phone.models.native.configuration import AutoGLMPhoneConfig
    from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration

    return AutoGLMPhoneForConditionalGeneration(AutoGLMPhoneConfig(**raw))
