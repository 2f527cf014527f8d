"""The native family as units: both towers, then decoder, exits and head, on the reference model's own layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autoglm_phone.compress.calibrate import KINDS, Sample, after
from autoglm_phone.compress.unit_weights import MEMORY
from autoglm_phone.compress.units import Fold, Source, Stage, State, Unit, container
from autoglm_phone.models.glm4v.configuration import read_json
from autoglm_phone.models.native.audio import OCTAVES as AUDIO_OCTAVES
from autoglm_phone.models.native.audio import STATES_PER_SECOND, AudioTower
from autoglm_phone.models.native.blocks import DecoderLayer, ExitHead, Memory
from autoglm_phone.models.native.configuration import AutoGLMPhoneConfig
from autoglm_phone.models.native.layers import RMSNorm, fourier_features, rotary_tables
from autoglm_phone.models.native.vision import OCTAVES as VISION_OCTAVES
from autoglm_phone.models.native.vision import VisionTower, kept_patches


class NativeArchitecture:
    """See units.Architecture."""

    family = "native"

    def __init__(self, folder: Path, source: Source, raw: Mapping[str, Any] | None = None):
        self.config = AutoGLMPhoneConfig(**(read_json(folder / "config.json") if raw is None else raw))
        self.source = source
        self.tied = bool(self.config.tie_word_embeddings) or "lm_head.weight" not in source

    def stages(self) -> list[Stage]:
        return [
            Stage("vision", self._vision(), lambda samples, _: _pictures(samples)),
            Stage("audio", self._audio(), lambda samples, _: _clips(samples)),
            Stage("text", self._text(), self._begin_text),
        ]

    # Towers.

    def _vision(self) -> list[Unit]:
        config, hidden = self.config.vision_config, self.config.hidden_size
        prefix = "model.vision."

        def tower() -> VisionTower:
            with torch.device("meta"):
                return VisionTower(config, hidden)

        def enter(module: Any, state: State) -> State:
            pixels = state["pixels"]
            rows, cols = pixels.shape[-2] // 16, pixels.shape[-1] // 16
            y, x = torch.arange(rows, device=pixels.device), torch.arange(cols, device=pixels.device)
            units = (((y + 0.5) / rows)[:, None].expand(rows, cols), ((x + 0.5) / cols)[None].expand(rows, cols))
            states = module.stem(pixels, None).flatten(2).transpose(1, 2)
            place = fourier_features(torch.stack(units, -1).flatten(0, 1)[None], VISION_OCTAVES).to(states.dtype)
            quarter = config.hidden_size // config.num_attention_heads // 2
            grids = (y[:, None].expand(rows, cols).flatten(), x[None].expand(rows, cols).flatten())
            tables = [rotary_tables(axis, quarter, config.rope_theta) for axis in grids]
            hidden = states + module.position(place)
            cos, sin = (torch.cat([table[i] for table in tables], -1)[None] for i in (0, 1))
            if (kept := kept_patches(pixels.float(), config)) is not None:
                hidden, place, cos, sin = (x[:, kept[0]] for x in (hidden, place, cos, sin))
            weight = torch.ones(hidden.shape[1], device=pixels.device)
            return {"hidden": hidden, "place": place, "cos": cos, "sin": sin, "weight": weight, "pixels": None}

        def leave(module: Any, state: State) -> State:
            states = module.project(module.norm(state["hidden"])) + module.out_position(state["place"])
            return {"hidden": states, "place": None, "cos": None, "sin": None}

        def block(module: nn.Module, state: State) -> State:
            return {"hidden": module(state["hidden"], state["cos"], state["sin"], None)}

        blocks = [
            Unit(
                f"{prefix}blocks.{i}",
                f"{prefix}blocks.{i}.",
                lambda: tower().blocks[0],
                block,
                self._tower_folds(config),
            )
            for i in range(config.num_hidden_layers)
        ]
        first = Unit(prefix + "stem", prefix, lambda: _children(tower(), "stem", "position"), enter)
        last = Unit(
            prefix + "project",
            prefix,
            lambda: _children(tower(), "norm", "project", "out_position"),
            leave,
            (Fold("norm", ("project",)),),
        )
        return [first, *blocks, last]

    def _audio(self) -> list[Unit]:
        config, hidden = self.config.audio_config, self.config.hidden_size
        prefix = "model.audio."

        def tower() -> AudioTower:
            with torch.device("meta"):
                return AudioTower(config, hidden)

        def enter(module: Any, state: State) -> State:
            x = nn.functional.silu(module.norm1(module.conv1(state["mel"])))
            x = nn.functional.silu(module.norm2(module.conv2(x))).transpose(1, 2)
            time = torch.arange(x.shape[1], device=x.device)
            cos, sin = rotary_tables(time[None], config.hidden_size // config.num_attention_heads, config.rope_theta)
            return {"hidden": x, "cos": cos, "sin": sin, "weight": torch.ones(x.shape[1], device=x.device), "mel": None}

        def leave(module: Any, state: State) -> State:
            x = module.norm(state["hidden"])
            module.ctc_head(x)  # called for its inputs' statistics
            steps = torch.arange(x.shape[1], device=x.device) / (config.max_seconds * STATES_PER_SECOND)
            place = fourier_features(steps[None, :, None], AUDIO_OCTAVES).to(x.dtype)
            return {"hidden": module.project(x) + module.out_position(place), "cos": None, "sin": None}

        def block(module: nn.Module, state: State) -> State:
            return {"hidden": module(state["hidden"], state["cos"], state["sin"], None, None)}

        blocks = [
            Unit(
                f"{prefix}blocks.{i}",
                f"{prefix}blocks.{i}.",
                lambda: tower().blocks[0],
                block,
                self._tower_folds(config),
            )
            for i in range(config.num_hidden_layers)
        ]
        first = Unit(prefix + "stem", prefix, lambda: _children(tower(), "conv1", "norm1", "conv2", "norm2"), enter)
        last = Unit(
            prefix + "project",
            prefix,
            lambda: _children(tower(), "norm", "project", "out_position", "ctc_head"),
            leave,
            (Fold("norm", ("project", "ctc_head")),),
        )
        return [first, *blocks, last]

    @staticmethod
    def _tower_folds(config: Any) -> tuple[Fold, ...]:
        dim = config.hidden_size
        return (
            Fold("norm1", ("attn.qkv",)),
            Fold("attn.qkv", ("attn.proj",), first=2 * dim, width=dim),
            Fold("norm2", ("mlp.gate_up_proj",)),
            Fold(
                "mlp.gate_up_proj", ("mlp.down_proj",), first=config.intermediate_size, width=config.intermediate_size
            ),
        )

    # Decoder.

    def _text(self) -> list[Unit]:
        config = self.config

        def embedding() -> nn.Module:
            with torch.device("meta"):
                return container(embed_tokens=nn.Embedding(config.vocab_size, config.hidden_size))

        def exit_head() -> nn.Module:
            with torch.device("meta"):
                return ExitHead(config)

        def head() -> nn.Module:
            with torch.device("meta"):
                linear = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
                return container(model=container(norm=RMSNorm(config.hidden_size, config.rms_norm_eps)), lm_head=linear)

        def look_at_exit(module: nn.Module, state: State) -> State:
            module(state["hidden"])
            return {}

        units = [Unit("model.embed_tokens", "model.", embedding, _embed)]
        for index in range(config.num_hidden_layers):
            units.append(decoder_unit(f"model.layers.{index}", config, index))
            if index + 1 in config.exit_layers:
                name = f"model.exits.{index + 1}"
                units.append(Unit(name, name + ".", exit_head, look_at_exit))
        alias = {"lm_head.weight": "model.embed_tokens.weight"} if self.tied else {}
        units.append(Unit("lm_head", "", head, read_out, aliases=alias))
        return units

    def _begin_text(self, samples: Sequence[Sample], earlier: Mapping[str, list[State]]) -> list[State]:
        pictures, clips = iter(earlier["vision"]), iter(earlier["audio"])
        ordinals = self.source.get("model.media_embed.weight").float()
        states = []
        for sample in samples:
            state = text_state(sample)
            rope = int(self.config.head_dim * self.config.partial_rotary_factor)
            position = torch.arange(len(sample.ids))[None]
            state["cos"], state["sin"] = rotary_tables(position, rope, self.config.rope_theta)
            pieces: list[Tensor] = []
            starts: list[int] = []
            kinds: list[int] = []
            seen = {"image": 0, "audio": 0}
            for medium in sample.media:
                tower = next(pictures if medium.kind == "image" else clips)["hidden"][0]
                base = self.config.max_media if medium.kind == "audio" else 0
                ordinal = base + min(seen[medium.kind], self.config.max_media - 1)
                seen[medium.kind] += 1
                pieces.append(tower + ordinals[ordinal].to(tower))
                starts += [medium.position] * tower.shape[0]
                kinds += [KINDS.index(after(medium.kind))] * tower.shape[0]
            if pieces:
                state["memory"], state["starts"] = torch.cat(pieces)[None], torch.tensor([starts])
                state[MEMORY], state["memory_kind"] = torch.ones(len(starts)), torch.tensor(kinds)
            states.append(state)
        return states


def decoder_unit(name: str, config: Any, index: int, run: Any = None) -> Unit:
    """A GLM decoder layer; `config` needs the fields that the native layer reads (GLM-4.1V has the same layer)."""

    def build() -> nn.Module:
        with torch.device("meta"):
            return DecoderLayer(config, index)

    heads, kv, dim = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    widths = getattr(config, "intermediate_sizes", None)
    width = widths[index] if widths else config.intermediate_size
    folds = [
        Fold("input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
        Fold("self_attn.v_proj", ("self_attn.o_proj",), repeat=heads // kv, head_dim=dim),
        Fold("post_attention_layernorm", ("mlp.gate_up_proj",)),
        Fold("mlp.gate_up_proj", ("mlp.down_proj",), first=width, width=width),
    ]
    if index in config.cross_attention_layers:
        # The memory that k and v read comes straight from the towers and is shared by all layers: nothing to fold into.
        folds += [
            Fold("cross_attn.norm", ("cross_attn.q_proj",)),
            Fold("cross_attn.v_proj", ("cross_attn.o_proj",)),
        ]
    weight_of = {"cross_attn.k_proj": MEMORY, "cross_attn.v_proj": MEMORY}
    return Unit(name, name + ".", build, run or _layer, tuple(folds), weight_of=weight_of)


def _layer(module: Any, state: State) -> State:
    hidden = state["hidden"]
    if module.cross_attn is not None and state.get("memory") is not None:
        slots = torch.arange(hidden.shape[1], device=hidden.device)[None]
        hidden = module.cross_attn(hidden, Memory(state["memory"].to(hidden.dtype), state["starts"]), slots)
    cos, sin = state["cos"].to(hidden.dtype), state["sin"].to(hidden.dtype)
    return {"hidden": module(hidden, cos, sin, None, None)}


def _embed(module: Any, state: State) -> State:
    return {"hidden": module.embed_tokens(state["ids"])}


def read_out(module: Any, state: State) -> State:
    """The logits of the positions that count (state["predict"]), which are many bytes: only those."""
    hidden = module.model.norm(state["hidden"][:, state["predict"]])
    return {"logits": module.lm_head(hidden), "weight": state["weight"][state["predict"]]}


def text_state(sample: Sample) -> State:
    """What every decoder's state begins with. predict: positions whose next token is the assistant's."""
    return {
        "ids": torch.tensor([sample.ids]),
        "weight": torch.tensor(sample.weights),
        "predict": torch.tensor([p - 1 for p in sample.answer_positions]),
        "kind": torch.tensor(sample.kinds),
        "by_unit": sample.by_unit,
    }


def _pictures(samples: Sequence[Sample]) -> list[State]:
    media = [m for sample in samples for m in sample.media if m.kind == "image"]
    return [
        {"pixels": torch.from_numpy(m.data["pixels"].copy()).permute(2, 0, 1)[None].float() / 127.5 - 1} for m in media
    ]


def _clips(samples: Sequence[Sample]) -> list[State]:
    return [
        {"mel": torch.from_numpy(m.data["mel"])[None].float()} for s in samples for m in s.media if m.kind == "audio"
    ]


def _children(module: nn.Module, *names: str) -> nn.Module:
    return container(**{name: getattr(module, name) for name in names})
