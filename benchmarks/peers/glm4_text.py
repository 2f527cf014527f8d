"""The native mini's text decoder as a folder of transformers' `Glm4ForCausalLM`, a class that the peers can quantize.

Without media the mini's cross-attention is silent, its exits are side branches, and what is left is GLM-4's block:
four RMSNorms, GQA, partial interleaved RoPE, fused gate_up SwiGLU, attention bias. Tensor names are the same.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from autoglm_phone.compress.opening import Opened, open_model
from autoglm_phone.errors import CheckpointError
from autoglm_phone.models.native.configuration import AutoGLMPhoneConfig

_SIDE = ("model.vision.", "model.audio.", "model.exits.", "model.media_embed.")
_COPIED = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json")


def is_text(name: str) -> bool:
    """Is this tensor of the native model part of its text decoder?"""
    return not name.startswith(_SIDE) and ".cross_attn." not in name


def export(folder: Path, out: Path) -> Path:
    """Write a native checkpoint (plain, or our compressed master as floats) as a float32 Glm4ForCausalLM folder.

    Raises:
        CheckpointError: not a native model, or one whose decoder Glm4 can't express (windows, uneven MLP widths).
    """
    opened = open_model(folder)
    config = _config(opened)
    out.mkdir(parents=True, exist_ok=True)
    names = [name for name in opened.source.names() if is_text(name)]
    tensors = {name: opened.source.get(name).float().contiguous().clone() for name in sorted(names)}
    save_file(tensors, str(out / "model.safetensors"), {"format": "pt"})
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    for name in _COPIED:
        if (opened.folder / name).exists():
            shutil.copy(opened.folder / name, out / name)
    return out


def _config(opened: Opened) -> dict[str, object]:
    if opened.architecture.family != "native":
        raise CheckpointError(f"{opened.folder} is no native model; transformers knows the other family by itself")
    config: AutoGLMPhoneConfig = opened.architecture.config  # type: ignore[attr-defined]
    if set(config.layer_types) != {"full_attention"} or getattr(config, "intermediate_sizes", None):
        raise CheckpointError(f"{opened.folder} has windowed layers or uneven MLP widths, which Glm4 can't express")
    same = (
        "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
        "intermediate_size", "max_position_embeddings", "rms_norm_eps", "attention_bias",
    )  # fmt: skip
    return {
        "architectures": ["Glm4ForCausalLM"],
        "model_type": "glm4",
        "dtype": "float32",
        **{name: getattr(config, name) for name in same},
        "tie_word_embeddings": opened.architecture.tied,
        "hidden_act": "silu",
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": config.rope_theta,
            "partial_rotary_factor": config.partial_rotary_factor,
        },
        "eos_token_id": config.eos_token_id,
        "bos_token_id": None,
        "pad_token_id": config.pad_token_id,
    }


@torch.no_grad()
def largest_difference(native: Path, exported: Path, sequences: Iterable[Sequence[int]]) -> float:
    """Largest difference of the two models' logits on token sequences, both in float32."""
    from transformers import Glm4ForCausalLM

    from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration

    ours = AutoGLMPhoneForConditionalGeneration.from_pretrained(native, dtype=torch.float32).eval()
    theirs = Glm4ForCausalLM.from_pretrained(exported, dtype=torch.float32).eval()
    worst = 0.0
    for ids in sequences:
        batch = torch.tensor([list(ids)])
        worst = max(worst, float((ours(batch).logits - theirs(batch).logits).abs().max()))
    return worst


def changed_grid(
    base: Mapping[str, Tensor], made: Mapping[str, Tensor], bits: int, group: Callable[[str], int]
) -> list[str]:
    """What a tool's output breaks of the rules: matrices with more values a group than bits allow, others quantized.

    Args:
        group: columns that share a scale, by tensor name.

    Returns:
        sentences; empty if everything is as agreed.
    """
    wrong = []
    for name, tensor in made.items():
        if tensor.shape != base[name].shape:
            wrong.append(f"{name} has shape {tuple(tensor.shape)}")
        elif not name.endswith("_proj.weight"):
            if tensor.dim() > 1 and not torch.equal(tensor, base[name]):
                wrong.append(f"{name} should have stayed as it was")
        elif (most := _values(tensor, group(name))) > 1 << bits:
            wrong.append(f"{name} has {most} values in a group of {group(name)}, {bits} bits allow {1 << bits}")
    wrong += [f"{name} is missing" for name in base.keys() - made.keys()]
    return wrong


def _values(tensor: Tensor, group: int) -> int:
    """The largest number of different values in a group."""
    ordered = tensor.float().reshape(-1, group).sort(-1).values
    # Dequantized twice along different paths, equal codes may differ by a rounding.
    near = 1e-5 * ordered.abs().amax(-1, keepdim=True)
    return int(((ordered[:, 1:] - ordered[:, :-1]) > near).sum(-1).max()) + 1
