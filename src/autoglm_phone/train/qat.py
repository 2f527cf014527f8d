"""Training that already computes as int8 will: torchao's fake quantization in the linears that are to be quantized.

Weights get a step a row, inputs a step a token, both symmetric: what the master's `activation_bits: 8` promises and the
engine multiplies in integers. Rounding passes gradients straight through (Bengio et al. 2013).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from autoglm_phone.errors import ConfigError, NotBuiltError


class TokenQuantizer(nn.Module):
    """x [..., C] rounded to int8, one group a token. torchao's own per-token rounding is asymmetric only."""

    def __init__(self, quantizer: nn.Module):
        super().__init__()
        self.quantizer = quantizer

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.quantizer(x.reshape(-1, x.shape[-1]))
        return made.view(x.shape)


def fake_quantize(model: nn.Module, names: Collection[str]) -> int:
    """Swap the named linears for fake-quantized ones, in place; parameter names stay. Returns how many.

    Raises:
        NotBuiltError: torchao is not installed. ConfigError: a name is no linear of the model.
    """
    try:
        from torchao.quantization import quantize_
        from torchao.quantization.qat import IntxFakeQuantizeConfig, QATConfig
        from torchao.quantization.qat.fake_quantizer import IntxFakeQuantizer
    except ImportError as error:
        raise NotBuiltError("qat needs torchao; install the extra 'train'", param="recipe") from error
    linears = {name for name, child in model.named_modules() if isinstance(child, nn.Linear)}
    if not names or set(names) - linears:
        raise ConfigError(f"qat found no linear {sorted(set(names) - linears)[:3]} in the model", param="recipe")
    weight = IntxFakeQuantizeConfig(torch.int8, "per_channel", is_symmetric=True)
    config = QATConfig(weight_config=weight, step="prepare")
    quantize_(model, config, filter_fn=lambda module, name: name in names)
    for name in names:
        linear: Any = model.get_submodule(name)
        inputs = IntxFakeQuantizeConfig(torch.int8, group_size=linear.in_features, is_symmetric=True)
        linear.activation_fake_quantizer = TokenQuantizer(IntxFakeQuantizer(inputs))
    return len(names)
