"""Adapters on disk: peft's LoRA folders, read and checked, by the engine's names of the weights that they adapt."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from autoglm_phone.errors import CheckpointError
from autoglm_phone.models.glm4v.configuration import read_json
from autoglm_phone.models.glm4v.weights import engine_name

_PREFIX = "base_model.model."
# Options of peft that make an adapter something else than W + factor * B A, or only for some tokens.
_REFUSED = (
    "use_dora",
    "use_qalora",
    "use_bdlora",
    "modules_to_save",
    "lora_bias",
    "trainable_token_indices",
    "target_parameters",
    "fan_in_fan_out",
    "layer_replication",
    "alora_invocation_tokens",
    "arrow_config",
)
_CHANGE_THE_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")  # ways to begin that leave another base behind


@dataclass(frozen=True)
class Adapter:
    """deltas: engine name of a weight → (A [r, in], B [out, r], factor). base: what it was trained on, as peft noted
    it. digest: SHA-256 of its files."""

    base: str
    deltas: dict[str, tuple[Tensor, Tensor, float]]
    digest: str = ""

    @property
    def rank(self) -> int:
        """The largest."""
        return max(a.shape[0] for a, _, _ in self.deltas.values())

    def apply(self, name: str, weight: Tensor) -> Tensor:
        """weight + factor * B A, in float32."""
        a, b, factor = self.deltas[name]
        self.check(name, (weight.shape[0], weight.shape[1]))
        return weight.float() + factor * (b.float() @ a.float())

    def check(self, name: str, shape: tuple[int, int]) -> None:
        """Raises CheckpointError if the adapter of this weight is for one of another shape."""
        a, b, _ = self.deltas[name]
        if shape != (b.shape[0], a.shape[1]):
            raise CheckpointError(
                f"the adapter of {name} is for a weight {[b.shape[0], a.shape[1]]}, not {list(shape)}"
            )


def read_adapter(folder: Path) -> Adapter:
    """peft's folder: adapter_config.json and adapter_model.safetensors.

    Raises:
        CheckpointError: no such files, or adapters that are not plain LoRA; says what they are.
    """
    config_path, weights = folder / "adapter_config.json", folder / "adapter_model.safetensors"
    if not config_path.is_file() or not weights.is_file():
        raise CheckpointError(
            f"{folder} holds no adapters: adapter_config.json and adapter_model.safetensors are needed"
        )
    raw = read_json(config_path)
    odd = [name for name in _REFUSED if raw.get(name)]
    if str(raw.get("init_lora_weights")).lower().startswith(_CHANGE_THE_BASE):
        odd.append(f"init_lora_weights={raw['init_lora_weights']}")
    if raw.get("peft_type") != "LORA" or odd or raw.get("bias", "none") != "none":
        raise CheckpointError(
            f"{config_path}: only plain LoRA is supported, not {raw.get('peft_type')} with {odd or 'biases'}"
        )
    try:
        tensors = load_file(weights)
        digest = hashlib.sha256(config_path.read_bytes())
        with weights.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{weights} is damaged ({error}); copy it again") from error
    deltas = {}
    for key, a in tensors.items():
        if not key.endswith(".lora_A.weight"):
            continue
        module = key.removeprefix(_PREFIX).removesuffix(".lora_A.weight")
        b = tensors.get(key.replace(".lora_A.", ".lora_B."))
        if b is None or a.dim() != 2 or b.dim() != 2 or b.shape[1] != a.shape[0]:
            raise CheckpointError(f"{weights}: the two halves of {module} do not fit together")
        if not bool(torch.isfinite(a).all()) or not bool(torch.isfinite(b).all()):
            raise CheckpointError(f"{weights}: the adapter of {module} holds values that are no numbers")
        deltas[engine_name(module + ".weight")] = (a, b, _factor(raw, config_path, module, a.shape[0]))
    if not deltas or len(tensors) != 2 * len(deltas):
        raise CheckpointError(f"{weights} holds other tensors than LoRA's two halves")
    return Adapter(str(raw.get("base_model_name_or_path") or ""), deltas, digest.hexdigest())


def _factor(raw: dict[str, Any], path: Path, module: str, rank: int) -> float:
    if raw.get("rank_pattern") or raw.get("alpha_pattern"):
        raise CheckpointError(f"{path}: ranks of their own by module ({module}) are not supported")
    alpha = raw.get("lora_alpha")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha) or rank < 1:
        raise CheckpointError(f"{path}: lora_alpha must be a number, not {alpha!r}, and ranks at least 1")
    return float(alpha) / (math.sqrt(rank) if raw.get("use_rslora") else rank)
