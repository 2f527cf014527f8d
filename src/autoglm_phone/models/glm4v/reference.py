"""Tiny random GLM-4.1V checkpoints, written by transformers' own class, for tests of every part above the model.

    folder = make_tiny_checkpoint(tmp_path / "tiny", seed=0)

writes what a real folder has: config.json, generation_config.json, tokenizer.json (byte-level, so any text
round-trips), chat_template.jinja, preprocessor_config.json and model.safetensors. Weights are drawn so that layers
and pictures really move the logits; the default initialization (0.02) would let parity tests pass by accident.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import Glm4vConfig, Glm4vForConditionalGeneration, PreTrainedTokenizerFast

SPECIAL_TOKENS = (
    *("<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>"),
    *("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
    *("<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>"),
    *("<|image|>", "<|video|>", "<think>", "</think>", "<answer>", "</answer>", "<tool_call>", "</tool_call>"),
)

# The conventions of the public GLM-4.1V template: text as it is, each picture between its two marks.
CHAT_TEMPLATE = """[gMASK]<sop>
{%- for message in messages %}
    {%- if message.role == 'tool' -%}<|observation|>{%- else -%}<|{{ message.role }}|>{%- endif -%}
    {{- '\\n' -}}
    {%- if message.content is string -%}{{- message.content -}}
    {%- else -%}
        {%- for part in message.content -%}
            {%- if part.type in ('image', 'image_url') -%}<|begin_of_image|><|image|><|end_of_image|>
            {%- elif part.type == 'text' -%}{{- part.text -}}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{{- '\\n' -}}{%- endif -%}
"""


def make_tiny_tokenizer(id_shift: int = 0) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer: ids 0-255 are bytes, then `id_shift` unused tokens, then GLM's special tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE(vocab={symbol: i for i, symbol in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([f"<|unused_{i}|>" for i in range(id_shift)])
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|endoftext|>", pad_token="<|endoftext|>", padding_side="left"
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def tiny_config(token: Callable[[str], Any], vocab_size: int, **overrides: Any) -> Glm4vConfig:
    """A config with every oddity of the real one: half of each head rotated, three unequal M-RoPE sections, GQA.

    Args:
        token: the id of a special token of GLM's.
        overrides: see `make_tiny_checkpoint`.
    """
    text = {
        "vocab_size": vocab_size,
        "hidden_size": 128,
        "intermediate_size": 160,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "pad_token_id": token("<|endoftext|>"),
        # transformers 5 falls back to a partial factor of 1.0, which no real checkpoint has: always say it.
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.5,
            "mrope_section": [2, 3, 3],
        },
        **overrides.pop("text_config", {}),
    }
    vision = {
        "depth": 2,
        "hidden_size": 64,
        "num_heads": 2,
        "out_hidden_size": text["hidden_size"],
        "intermediate_size": 144,
        "image_size": 84,
        **overrides.pop("vision_config", {}),
    }
    ids = {
        "image_token_id": token("<|image|>"),
        "video_token_id": token("<|video|>"),
        "image_start_token_id": token("<|begin_of_image|>"),
        "image_end_token_id": token("<|end_of_image|>"),
        "video_start_token_id": token("<|begin_of_video|>"),
        "video_end_token_id": token("<|end_of_video|>"),
    }
    return Glm4vConfig(text_config=text, vision_config=vision, **{**ids, **overrides})


def tiny_model(config: Glm4vConfig, seed: int) -> Glm4vForConditionalGeneration:
    """transformers' model, float32, evaluated, with seeded weights of unit gain."""
    model = Glm4vForConditionalGeneration(config).float().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in name:
                parameter.copy_(0.1 * noise + (0.0 if name.endswith("bias") else 1.0))
            elif parameter.ndim == 1:
                parameter.copy_(0.1 * noise)
            elif "embed" in name and parameter.ndim == 2:
                parameter.copy_(noise)
            else:
                parameter.copy_(noise / parameter[0].numel() ** 0.5)
    return model


def make_tiny_checkpoint(
    folder: Path,
    seed: int = 0,
    *,
    id_shift: int = 0,
    max_image_tokens: int = 48,
    dtype: torch.dtype = torch.float32,
    max_shard_size: str = "5GB",
    **overrides: Any,
) -> Path:
    """Write a tiny random checkpoint.

    Args:
        id_shift: moves every special token, `<|image|>` among them, as between real checkpoints (151343, 151363).
        max_image_tokens: upper bound of the tokens a picture takes (through the preprocessor's longest_edge).
        max_shard_size: e.g. "200KB" for several shards and an index.
        overrides: fields of Glm4vConfig; `text_config` and `vision_config` are merged into the tiny ones.

    Returns:
        The folder.
    """
    tokenizer = make_tiny_tokenizer(id_shift)
    wider = -(-len(tokenizer) // 64) * 64  # than the tokenizer, like the real one
    config = tiny_config(tokenizer.convert_tokens_to_ids, wider, **overrides)
    model = tiny_model(config, seed)
    torch.nn.Module.to(model, dtype)
    names = ("<|endoftext|>", "<|user|>", "<|observation|>", "</answer>")
    model.generation_config.eos_token_id = [tokenizer.convert_tokens_to_ids(name) for name in names]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    tokenizer.save_pretrained(folder)
    write_preprocessor(folder, max_image_tokens)
    return folder


def write_preprocessor(folder: Path, max_image_tokens: int) -> None:
    """preprocessor_config.json with the public constants and a bound on the tokens of a picture."""
    preprocessor = {
        "image_processor_type": "Glm4vImageProcessor",
        "do_rescale": True,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "size": {"shortest_edge": 2 * 28 * 28, "longest_edge": 2 * 28 * 28 * max_image_tokens},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2) + "\n", encoding="utf-8")
