"""GLM-4.1V as units: the vision tower, then the decoder, whose layer is the native family's without cross-attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from autoglm_phone.compress.calibrate import Sample
from autoglm_phone.compress.native import decoder_unit, read_out, text_state
from autoglm_phone.compress.units import Fold, Source, Stage, State, Unit, container
from autoglm_phone.errors import CheckpointError
from autoglm_phone.models.glm4v import vision
from autoglm_phone.models.glm4v.configuration import load_shape, parse_shape
from autoglm_phone.models.glm4v.model import rotary
from autoglm_phone.models.glm4v.positions import mrope_positions, tokens_of_grid
from autoglm_phone.models.native.layers import RMSNorm


class Glm4vArchitecture:
    """See units.Architecture."""

    family = "glm4v"

    def __init__(self, folder: Path, source: Source, raw: Mapping[str, Any] | None = None):
        self.shape = load_shape(folder) if raw is None else parse_shape(raw)
        self.tied = self.shape.tie_word_embeddings or "lm_head.weight" not in source
        if "model.layers.0.mlp.gate_proj.weight" in source:
            raise CheckpointError(
                f"{folder} keeps gate and up projections apart; save it once with transformers 5, which fuses them"
            )

    def stages(self) -> list[Stage]:
        return [
            Stage("vision", self._vision(), lambda samples, _: self._pictures(samples)),
            Stage("text", self._text(), self._begin_text),
        ]

    def _vision(self) -> list[Unit]:
        shape = self.shape.vision
        prefix = "model.visual."

        def tower() -> vision.VisionTower:
            with torch.device("meta"):
                return vision.VisionTower(shape)

        def children(*names: str) -> nn.Module:
            made = tower()
            return container(**{name: getattr(made, name) for name in names})

        def enter(module: Any, state: State) -> State:
            grid = state["grid"]
            t, h, w = grid
            rows = vision._patch_coordinates(grid, shape.merge_size).to(state["patches"].device)
            sizes = torch.tensor([[h, w]], device=rows.device).expand(t * h * w, 2)
            x = module.post_conv_layernorm(module.patch_embed(state["patches"]))
            cos, sin = vision.VisionTower._rotary(SimpleNamespace(shape=shape), rows)  # type: ignore[arg-type]
            return {
                "hidden": x + module.embeddings(rows, sizes),
                "cos": cos,
                "sin": sin,
                "weight": torch.ones(t * h * w, device=x.device),
                "patches": None,
            }

        def block(module: nn.Module, state: State) -> State:
            t, h, w = state["grid"]
            return {"hidden": module(state["hidden"], state["cos"], state["sin"], [h * w] * t)}

        def leave(module: Any, state: State) -> State:
            x = module.post_layernorm(state["hidden"])
            x = module.downsample(x.view(-1, module.downsample.in_features))
            weight = torch.ones(x.shape[0], device=x.device)
            return {"hidden": module.merger(x), "cos": None, "sin": None, "weight": weight}

        dim = shape.hidden_size
        folds = (
            Fold("norm1", ("attn.qkv",)),
            Fold("attn.qkv", ("attn.proj",), first=2 * dim, width=dim),
            Fold("norm2", ("mlp.gate_proj", "mlp.up_proj")),
            Fold("mlp.up_proj", ("mlp.down_proj",)),
        )
        blocks = [
            Unit(f"{prefix}blocks.{i}", f"{prefix}blocks.{i}.", lambda: tower().blocks[0], block, folds)
            for i in range(shape.depth)
        ]
        first = Unit(
            prefix + "patch_embed",
            prefix,
            lambda: children("patch_embed", "embeddings", "post_conv_layernorm"),
            enter,
            convert={"patch_embed.proj.weight": lambda kernel: kernel.flatten(1)},
        )
        last = Unit(
            prefix + "merger",
            prefix,
            lambda: children("post_layernorm", "downsample", "merger"),
            leave,
            (Fold("merger.up_proj", ("merger.down_proj",)),),
            # [O, D, kh, kw] → [O, kh*kw*D]: the tower flattens a 2x2 block with its dims innermost.
            convert={"downsample.weight": lambda kernel: kernel.permute(0, 2, 3, 1).flatten(1)},
        )
        return [first, *blocks, last]

    def _text(self) -> list[Unit]:
        text = self.shape.text
        config = SimpleNamespace(
            hidden_size=text.hidden_size,
            rms_norm_eps=text.rms_norm_eps,
            num_attention_heads=text.num_heads,
            num_key_value_heads=text.num_kv_heads,
            head_dim=text.head_dim,
            intermediate_size=text.intermediate_size,
            attention_bias=True,
            cross_attention_layers=(),
        )

        def embedding() -> nn.Module:
            with torch.device("meta"):
                return container(embed_tokens=nn.Embedding(text.vocab_size, text.hidden_size))

        def head() -> nn.Module:
            with torch.device("meta"):
                linear = nn.Linear(text.hidden_size, text.vocab_size, bias=False)
                return container(model=container(norm=RMSNorm(text.hidden_size, text.rms_norm_eps)), lm_head=linear)

        def embed(module: Any, state: State) -> State:
            hidden = module.embed_tokens(state["ids"])
            if state.get("media") is not None:
                hidden = hidden.index_copy(1, state["where"], state["media"].to(hidden.dtype)[None])
            return {"hidden": hidden, "media": None}

        alias = {"lm_head.weight": "model.embed_tokens.weight"} if self.tied else {}
        layers = [decoder_unit(f"model.layers.{i}", config, i) for i in range(text.num_layers)]
        return [
            Unit("model.embed_tokens", "model.", embedding, embed),
            *layers,
            Unit("lm_head", "", head, read_out, aliases=alias),
        ]

    def _begin_text(self, samples: Sequence[Sample], earlier: Mapping[str, list[State]]) -> list[State]:
        pictures = iter(earlier["vision"])
        merge = self.shape.vision.merge_size
        states = []
        for sample in samples:
            state = text_state(sample)
            starts, parts = [], []
            for medium in sample.media:
                grid = medium.data["grid_thw"]
                starts.append((medium.position, grid))
                parts.append(next(pictures)["hidden"])
                if parts[-1].shape[0] != tokens_of_grid(grid, merge):
                    raise CheckpointError("the tower's states and the picture's tokens differ in number")
            plan = mrope_positions(len(sample.ids), starts, merge_size=merge)
            cos, sin = rotary(torch.from_numpy(plan.prompt), self.shape.text, torch.float32)
            state["cos"], state["sin"] = cos[None, :, 0, ::2], sin[None, :, 0, ::2]
            if parts:
                state["media"] = torch.cat(parts)
                where = [torch.arange(m.position, m.position + m.length) for m in sample.media]
                state["where"] = torch.cat(where)
            states.append(state)
        return states

    def _pictures(self, samples: Sequence[Sample]) -> list[State]:
        states: list[State] = []
        for medium in (m for sample in samples for m in sample.media):
            patches = torch.from_numpy(np.ascontiguousarray(medium.data["patches"]))  # uint8 [N, C, 14, 14]
            levels = torch.from_numpy(medium.data["levels"])
            channels = torch.arange(patches.shape[1])[:, None, None]
            frames = levels[channels, patches.long()][:, :, None]
            clip = frames.expand(-1, -1, self.shape.vision.temporal_patch_size, -1, -1)
            grid = tuple(int(n) for n in np.asarray(medium.data["grid_thw"]).reshape(3))
            states.append({"patches": clip.reshape(patches.shape[0], -1), "grid": grid})
        return states
