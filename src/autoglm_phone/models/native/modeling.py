"""Reference model of the native family, the Hugging Face way: training, compression and parity tests use it.

A GLM decoder (four RMSNorms a layer, GQA, partial interleaved RoPE, fused gate_up SwiGLU) whose middle layers look at
pictures and sound through gated cross-attention, with exit heads between its segments.

Which token sees which medium: a medium's states belong to its placeholder token, and a token sees every medium whose
placeholder stands at or before it. Media are matched to placeholders in the order of the flattened batch.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from autoglm_phone.errors import InvalidRequestError
from autoglm_phone.models.native.audio import AudioTower
from autoglm_phone.models.native.blocks import FAR, CrossAttention, DecoderLayer, ExitHead, Memory
from autoglm_phone.models.native.configuration import AutoGLMPhoneConfig
from autoglm_phone.models.native.layers import RMSNorm, rotary_tables
from autoglm_phone.models.native.vision import VisionTower


class AutoGLMPhonePreTrainedModel(PreTrainedModel):
    config_class = AutoGLMPhoneConfig
    base_model_prefix = "model"
    _supports_sdpa = True
    _no_split_modules = ["DecoderLayer", "VisionBlock", "AudioBlock"]  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        std = self.config.initializer_range if hasattr(self.config, "initializer_range") else 0.02
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=std)
            else:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=std)
        elif isinstance(module, RMSNorm):
            nn.init.ones_(module.weight)
        elif isinstance(module, nn.GroupNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, CrossAttention):
            nn.init.zeros_(module.gate)
        elif isinstance(module, ExitHead):
            nn.init.zeros_(module.up.weight)


class AutoGLMPhoneModel(AutoGLMPhonePreTrainedModel):
    """Embedding, decoder layers, towers, exit heads. `forward` runs the decoder; `memory_for` runs the towers."""

    def __init__(self, config: AutoGLMPhoneConfig):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=None)
        self.layers = nn.ModuleList(DecoderLayer(config, i) for i in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.exits = nn.ModuleDict({str(depth): ExitHead(config) for depth in config.exit_layers})
        self.vision = VisionTower(config.vision_config, config.hidden_size)
        self.audio = AudioTower(config.audio_config, config.hidden_size)
        self.media_embed = nn.Embedding(2 * config.max_media, config.hidden_size)  # kind * max_media + ordinal
        self.post_init()

    def encode_images(
        self, pixels: Tensor, grids: Tensor | None = None, kept: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Pictures [I, 3, H, W] → states [I, P, H] without their ordinal, and validity [I, P] or None; kept: patches
        that shall have a state."""
        return self.vision(pixels, grids, kept)

    def encode_audio(self, mel: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None, Tensor]:
        """Clips [A, bins, T] → states [A, S, H] without their ordinal, validity, CTC logits."""
        return self.audio(mel, lengths)

    def memory_for(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = None,
        image_grids: Tensor | None = None,
        input_features: Tensor | None = None,
        feature_lengths: Tensor | None = None,
    ) -> Memory | None:
        """Run the towers and lay their states out along the rows of input_ids [B, L], in prompt order.

        Raises:
            InvalidRequestError: the number of placeholders differs from the number of pictures or clips.
        """
        parts: dict[int, list[tuple[int, Tensor]]] = {row: [] for row in range(input_ids.shape[0])}
        for kind, token, media in (
            ("image", self.config.image_token_id, self._image_states(pixel_values, image_grids)),
            ("audio", self.config.audio_token_id, self._audio_states(input_features, feature_lengths)),
        ):
            places = (input_ids == token).nonzero().tolist()
            if len(places) != len(media):
                raise InvalidRequestError(
                    f"the prompt has {len(places)} {kind} placeholders and the request {len(media)} of them; "
                    f"put one <|{kind}|> token in the prompt for each"
                )
            for (row, position), states in zip(places, media, strict=True):
                parts[row].append((position, states))
        if not any(parts.values()):
            return None
        rows = []
        for row in range(input_ids.shape[0]):
            pieces, starts = [], []
            seen = {0: 0, 1: 0}
            for position, states in sorted(parts[row], key=lambda item: item[0]):
                kind_index = int(input_ids[row, position] == self.config.audio_token_id)
                ordinal = min(seen[kind_index], self.config.max_media - 1)
                seen[kind_index] += 1
                pieces.append(states + self.media_embed.weight[kind_index * self.config.max_media + ordinal])
                starts += [position] * states.shape[0]
            rows.append((pieces, starts))
        size = max(len(starts) for _, starts in rows)
        dtype = self.embed_tokens.weight.dtype
        memory = torch.zeros(len(rows), size, self.config.hidden_size, dtype=dtype, device=input_ids.device)
        where = torch.full((len(rows), size), FAR, device=input_ids.device)
        for row, (pieces, starts) in enumerate(rows):
            if starts:
                memory[row, : len(starts)] = torch.cat(pieces)
                where[row, : len(starts)] = torch.tensor(starts, device=input_ids.device)
        return Memory(memory, where)

    def _image_states(self, pixels: Tensor | None, grids: Tensor | None) -> list[Tensor]:
        if pixels is None:
            return []
        states, valid = self.encode_images(pixels.to(self.embed_tokens.weight.dtype), grids)
        return [
            s if valid is None else s[v] for s, v in zip(states, valid if valid is not None else states, strict=True)
        ]

    def _audio_states(self, mel: Tensor | None, lengths: Tensor | None) -> list[Tensor]:
        if mel is None:
            return []
        states, valid, _ = self.encode_audio(mel.to(self.embed_tokens.weight.dtype), lengths)
        return [
            s if valid is None else s[v] for s, v in zip(states, valid if valid is not None else states, strict=True)
        ]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: DynamicCache | None = None,
        memory: Memory | None = None,
        skip_layers: frozenset[int] = frozenset(),
        depth: int | None = None,
    ) -> dict[int, Tensor]:
        """Boundary states by depth: {6: [B, L, H], 12: …, 18: …, 24: …}, before the exit heads and the final norm.

        Args:
            input_ids: long [B, L]. attention_mask: [B, past + L] of 0/1, or None when nothing is padded.
            position_ids: long [B, L]; counted from the attention mask when absent.
            memory: cross-attention memory, whose starts index the whole prompt (padding included).
            skip_layers: layers left out this time (layer dropout). depth: stop after this many layers.
        """
        hidden = self.embed_tokens(input_ids)
        batch, length = input_ids.shape
        past = past_key_values.get_seq_length() if past_key_values is not None else 0
        slots = torch.arange(past, past + length, device=input_ids.device)[None].expand(batch, -1)
        if position_ids is None:
            if attention_mask is not None and attention_mask.dim() == 2:
                position_ids = (attention_mask.long().cumsum(-1) - 1).clamp_min(0)[:, -length:]
            else:
                position_ids = slots
        rope_dim = int(self.config.head_dim * self.config.partial_rotary_factor)
        cos, sin = rotary_tables(position_ids, rope_dim, self.config.rope_theta)
        cos, sin = cos.to(hidden.dtype), sin.to(hidden.dtype)
        full = self._mask(attention_mask, slots, past + length, window=None)
        window = self._mask(attention_mask, slots, past + length, self.config.sliding_window)
        boundaries: dict[int, Tensor] = {}
        for index, layer in enumerate(self.layers[:depth]):
            if index not in skip_layers:
                cross = layer.cross_attn
                if memory is not None and isinstance(cross, CrossAttention):
                    hidden = cross(hidden, memory, slots)
                sliding = self.config.layer_types[index] == "sliding_attention"
                hidden = layer(hidden, cos, sin, window if sliding else full, past_key_values)
            if index + 1 in self.config.exit_layers or index + 1 == len(self.layers):
                boundaries[index + 1] = hidden
        return boundaries

    def _mask(self, attention_mask: Tensor | None, slots: Tensor, keys: int, window: int | None) -> Tensor | None:
        """Boolean [B, 1, L, K], True = attend; None when plain causal attention is the same."""
        length = slots.shape[1]
        if "sliding_attention" not in self.config.layer_types:
            window = None
        if attention_mask is None and window is None and length == keys:
            return None
        key = torch.arange(keys, device=slots.device)[None, None, :]
        query = slots[:, :, None]
        mask = key <= query
        if window is not None:
            mask = mask & ((key > query - window) | (key < self.config.attention_sinks))
        if attention_mask is not None:
            # A padded query row attends to itself alone: its output is unused but must be finite.
            mask = mask & (attention_mask[:, None, :keys].bool() | (key == query))
        return mask[:, None]

    def head_state(self, boundary: Tensor, depth: int) -> Tensor:
        """The state that the output head reads at this depth: exit head below full depth, final norm at the end."""
        return self.norm(boundary) if depth == len(self.layers) else self.exits[str(depth)](boundary)


class AutoGLMPhoneForConditionalGeneration(AutoGLMPhonePreTrainedModel, GenerationMixin):
    """The model with its output head, usable with transformers' `generate`.

    forward takes input_ids [B, L] and optionally pixel_values [I, 3, H, W] with image_grids [I, 2], input_features
    [A, bins, T] with feature_lengths [A], labels [B, L] (-100 ignored), and `depth` to leave at an exit.
    """

    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: AutoGLMPhoneConfig):
        super().__init__(config)
        self.model = AutoGLMPhoneModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self._tied_weights_keys = {**type(self)._tied_weights_keys, **(getattr(config, "shared_weights", None) or {})}
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.model.embed_tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.model.embed_tokens = value  # type: ignore[assignment]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: DynamicCache | None = None,
        memory: Memory | None = None,
        pixel_values: Tensor | None = None,
        image_grids: Tensor | None = None,
        input_features: Tensor | None = None,
        feature_lengths: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        depth: int | None = None,
        logits_to_keep: int = 0,
        **_: Any,
    ) -> CausalLMOutputWithPast:
        if memory is None and (pixel_values is not None or input_features is not None):
            memory = self.model.memory_for(input_ids, pixel_values, image_grids, input_features, feature_lengths)
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache()
        depth = depth or len(self.model.layers)
        states = self.model(input_ids, attention_mask, position_ids, past_key_values, memory, depth=depth)
        hidden = self.model.head_state(states[depth], depth)
        logits = self.lm_head(hidden[:, -logits_to_keep:])
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=past_key_values)  # type: ignore[arg-type]

    def _prepare_cache_for_generation(  # type: ignore[override]
        self, generation_config: Any, model_kwargs: dict[str, Any], *_: Any
    ) -> bool:
        # transformers' own choice for sliding layers drops keys that our attention sinks still need.
        if model_kwargs.get("past_key_values") is None:
            model_kwargs["past_key_values"] = DynamicCache()
        return False

    def prepare_inputs_for_generation(  # type: ignore[override]
        self,
        input_ids: Tensor,
        past_key_values: DynamicCache | None = None,
        attention_mask: Tensor | None = None,
        memory: Memory | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        past = past_key_values.get_seq_length() if past_key_values is not None else 0
        if memory is None and (kwargs.get("pixel_values") is not None or kwargs.get("input_features") is not None):
            media = ("pixel_values", "image_grids", "input_features", "feature_lengths")
            memory = self.model.memory_for(input_ids, **{name: kwargs.get(name) for name in media})
        return {
            "input_ids": input_ids[:, past:],
            "attention_mask": attention_mask,
            "past_key_values": past_key_values,
            "memory": memory,
            "use_cache": True,
            "logits_to_keep": 1,
        }


AutoConfig.register("autoglm_phone", AutoGLMPhoneConfig, exist_ok=True)
AutoModelForCausalLM.register(AutoGLMPhoneConfig, AutoGLMPhoneForConditionalGeneration, exist_ok=True)
