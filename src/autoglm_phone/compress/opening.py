"""A checkpoint opened for compression, whole or as shapes alone, and written again with some tensors changed."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from autoglm_phone.backends.quantized import PackedWeight, floats, stack
from autoglm_phone.compress.formats import master
from autoglm_phone.compress.units import Architecture, MasterSource, Source
from autoglm_phone.errors import CheckpointError
from autoglm_phone.models import registry
from autoglm_phone.models.glm4v.configuration import read_json
from autoglm_phone.models.shared import FIELD
from autoglm_phone.runner.public_formats import declared
from autoglm_phone.runner.quantized import open_weights, read_quantization

COPIED = ("*.json", "*.jinja", "*.txt", "*.model")


@dataclass(frozen=True)
class Opened:
    """A plain checkpoint, ready to be planned for. sizes: (elements, bytes) of each tensor, by engine name."""

    folder: Path
    source: Source
    architecture: Architecture
    sizes: Mapping[str, tuple[int, int]]


class ShapeSource(Source):
    """Names without tensors: for planning on config.json alone."""

    def __init__(self, folder: Path, names: Iterable[str]):
        self.folder = folder
        self.disk = {name: name for name in names}
        self.shared = {}

    def get(self, name: str) -> Tensor:
        raise CheckpointError(f"{self.folder} has no weights here, only shapes; this needs the whole checkpoint")


class PublicSource(MasterSource):
    """A checkpoint in another program's quantized format as float tensors, by engine names.

    The decoder's gate and up are joined where they come apart; GLM-4.1V's vision tower has them apart by itself.
    """

    def __init__(self, folder: Path, rename: Callable[[str], str] = str):
        self.folder, self.shared = folder, {}
        self._packed = open_weights(folder, read_quantization(folder), rename)
        names = set(self._packed.names())
        gates = {n for n in names if n.startswith("model.layers.") and n.endswith(".mlp.gate_proj.weight")}
        self._split = {n.replace("gate_proj", "gate_up_proj") for n in gates}
        self._split -= names
        halves = {n.replace("gate_up_proj", half) for n in self._split for half in ("gate_proj", "up_proj")}
        self.disk = {name: name for name in names - halves | self._split}

    def weight(self, name: str) -> Any:
        """The tensor, or the packed weight (`PackedWeight`, or `Stacked` ones)."""
        if name not in self.disk:
            raise CheckpointError(f"{self.folder} has no tensor {name}: it is incomplete or of another kind")
        if name in self._split:
            return stack([self._packed.get(name.replace("gate_up_proj", half)) for half in ("gate_proj", "up_proj")])
        return self._packed.get(name)

    def get(self, name: str) -> Tensor:
        return floats(self.weight(name))

    def modules(self) -> dict[str, master.ModuleSpec]:
        """What the quantized modules would be called in a master. Reads all of them."""
        found = {}
        for name in self.disk:
            weight = self.weight(name)
            if isinstance(weight, PackedWeight):
                spec = (weight.bits, weight.group_size, weight.zeros is None, weight.shape)
                kind: master.Kind = "embedding" if "embed_tokens" in name else "linear"
                module = name.removesuffix(".weight")
                found[module] = master.ModuleSpec(kind, *spec, activation_bits=weight.activation_bits)
        return found


def open_model(model: str | Path) -> Opened:
    """A plain checkpoint, or a quantized one (a master, or any format that the engine reads), whose weights then come
    as floats.

    Raises:
        CheckpointError: there is no such model, or it is quantized in a format that nothing here reads.
    """
    folder = registry.locate(model)
    raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config = master.read_config(folder)
    make: Callable[..., Source] = Source if config is None else MasterSource
    if config is None and declared(folder) is not None:
        make = PublicSource
    if raw.get("model_type") == "glm4v":
        from autoglm_phone.models.glm4v.weights import engine_name

        source = make(folder, engine_name)
    else:
        source = make(folder, str)
    plain = not isinstance(source, MasterSource)
    return Opened(folder, source, _architecture(folder, source, raw), source.sizes() if plain else {})


def open_shape(folder: Path, raw: Mapping[str, Any] | None = None) -> Opened:
    """A checkpoint as its config.json describes it, with 2 bytes an element; no weights are needed.

    Args:
        raw: the configuration, where it is not the folder's.

    Raises:
        CheckpointError: no readable configuration.
    """
    raw = read_json(folder / "config.json") if raw is None else raw
    text = raw.get("text_config") or raw
    tied = bool(raw.get("tie_word_embeddings", text.get("tie_word_embeddings", raw.get("model_type") != "glm4v")))
    source = ShapeSource(folder, () if tied else ("lm_head.weight",))
    architecture = _architecture(folder, source, raw)
    sizes = {}
    for unit in (u for stage in architecture.stages() for u in stage.units):
        for name, shape in unit.parameters().items():
            sizes[name] = (math.prod(shape), 2 * math.prod(shape))
    if raw.get("model_type") != "glm4v":
        size = 2 * int(raw["max_media"]) * int(raw["hidden_size"])
        sizes["model.media_embed.weight"] = (size, 2 * size)
    source.disk = {name: name for name in sizes}
    return Opened(folder, source, architecture, sizes)


def _architecture(folder: Path, source: Source, raw: Mapping[str, Any]) -> Architecture:
    made: Architecture
    if raw.get("model_type") == "glm4v":
        from autoglm_phone.compress.glm4v import Glm4vArchitecture

        made = Glm4vArchitecture(folder, source, raw)
    else:
        from autoglm_phone.compress.native import NativeArchitecture

        made = NativeArchitecture(folder, source, raw)
    if raw.get(FIELD):
        from autoglm_phone.compress.share import SharedArchitecture

        made = SharedArchitecture(made, raw[FIELD])
    return made


def rewrite(
    opened: Opened,
    out: Path,
    config: Mapping[str, Any],
    change: Callable[[str], Tensor | None],
    drop: Iterable[str] = (),
    max_shard_bytes: int = 1 << 30,
) -> Path:
    """Write the checkpoint again, tensor by tensor, into a folder that appears only when it is complete.

    Args:
        change: engine name → the tensor to write instead, or None for the one there is. drop: names left out.
    """
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    writer = master.ShardWriter(part, max_shard_bytes)
    gone = set(drop)
    for name in sorted(opened.source.names()):
        if name not in gone:
            tensor = change(name)
            writer.add(opened.source.disk[name], opened.source.get(name) if tensor is None else tensor)
    writer.close()
    for pattern in COPIED:
        for file in sorted(opened.folder.glob(pattern)):
            if file.name not in ("config.json", master.INDEX):
                shutil.copy(file, part / file.name)
    (part / "config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(out)
    return out
