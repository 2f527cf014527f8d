"""Exit heads in a file of their own: trained onto a finished checkpoint (train.exit_tuning), which stays as it is.

One safetensors file. Tensors `exits.N.norm.weight` [H], `exits.N.down.weight` [R, H] and `exits.N.up.weight` [H, R] of
an exit after layer N; the header says for which checkpoint they were made, and how. They belong to exactly these
weights: with any other, an exit would say nonsense with confidence, so a file that does not fit is refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from autoglm_phone.errors import CheckpointError
from autoglm_phone.graph.graph_file import backbone_digest, find_exits

FORMAT, VERSION = "autoglm-phone exits", 1
Head = dict[str, Tensor]  # "norm.weight", "down.weight", "up.weight"


@dataclass(frozen=True)
class ExitAddon:
    """The header. backbone: digest of the checkpoint. layers: after which the exits are. training: how it was made."""

    path: Path
    backbone: str
    layers: tuple[int, ...]
    rank: int
    hidden_size: int
    training: Mapping[str, Any] = field(default_factory=dict)

    def tensors(self) -> dict[int, Head]:
        """The heads by depth, on the CPU.

        Raises:
            CheckpointError: a tensor is missing, of another shape, or unreadable.
        """
        heads: dict[int, Head] = {}
        try:
            with safe_open(self.path, framework="pt") as file:
                names = set(file.keys())
                for depth in self.layers:
                    heads[depth] = {}
                    for part, shape in head_shapes(self.hidden_size, self.rank).items():
                        name = f"exits.{depth}.{part}"
                        if name not in names:
                            raise CheckpointError(f"{self.path} lacks {name}: it is incomplete", param="exits")
                        heads[depth][part] = file.get_tensor(name)
                        if tuple(heads[depth][part].shape) != shape:
                            raise CheckpointError(
                                f"tensor {name} in {self.path} has shape {tuple(heads[depth][part].shape)}; its header "
                                f"asks for {shape}",
                                param="exits",
                            )
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{self.path} can't be read as exit heads: {error}", param="exits") from error
        return heads


def head_shapes(hidden_size: int, rank: int) -> dict[str, tuple[int, ...]]:
    """The tensors of one head."""
    return {"norm.weight": (hidden_size,), "down.weight": (rank, hidden_size), "up.weight": (hidden_size, rank)}


def save_addon(path: Path, backbone: str, heads: Mapping[int, Head], training: Mapping[str, Any]) -> ExitAddon:
    """Write the file; readers see the old one or the new one, never a half of it."""
    layers = tuple(sorted(heads))
    rank, hidden_size = heads[layers[0]]["down.weight"].shape
    header = {
        "format": FORMAT,
        "version": str(VERSION),
        "backbone": backbone,
        "layers": ",".join(map(str, layers)),
        "rank": str(rank),
        "hidden_size": str(hidden_size),
        "training": json.dumps(training, sort_keys=True),
    }
    tensors = {
        f"exits.{depth}.{part}": tensor.detach().cpu().contiguous()
        for depth, head in heads.items()
        for part, tensor in head.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    save_file(tensors, part, metadata=header)
    part.chmod(0o644)  # the library writes for the owner alone; a server may run as another user
    os.replace(part, path)
    return ExitAddon(path, backbone, layers, rank, hidden_size, training)


def read_addon(path: Path) -> ExitAddon:
    """The header of a file.

    Raises:
        CheckpointError: it is no such file, damaged, or of a later version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
        if about.get("format") != FORMAT:
            raise CheckpointError(f"{path} holds no exit heads of `autoglm-phone exits tune`", param="exits")
        if about.get("version") != str(VERSION):
            raise CheckpointError(
                f"{path} has version {about.get('version')} of the format, not {VERSION}: tune again", param="exits"
            )
        return ExitAddon(
            path,
            about["backbone"],
            tuple(int(layer) for layer in about["layers"].split(",")),
            int(about["rank"]),
            int(about["hidden_size"]),
            json.loads(about.get("training", "{}")),
        )
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path} can't be read as exit heads: {error}", param="exits") from error


def load_addon(folder: Path, chosen: str | None, num_layers: int, hidden_size: int) -> ExitAddon | None:
    """The add-on of a model folder, if it has one. chosen: as for `find_exits`.

    Raises:
        CheckpointError: it was made for another checkpoint. ConfigError: the chosen file does not exist.
    """
    path = find_exits(folder, chosen)
    if path is None:
        return None
    addon = read_addon(path)
    remedy = "tune again with `autoglm-phone exits tune`, or leave it out with --exits none"
    if addon.hidden_size != hidden_size:
        raise CheckpointError(
            f"{path} is for a model of hidden size {addon.hidden_size}; {folder.name} has {hidden_size}: {remedy}",
            param="exits",
        )
    check_layers(addon.layers, num_layers, f"{path}: ")
    digest = backbone_digest(folder)
    if addon.backbone != digest:
        raise CheckpointError(
            f"{path} was trained onto other weights ({addon.backbone}) than {folder.name} has ({digest}): {remedy}",
            param="exits",
        )
    return addon


def check_layers(layers: Sequence[int], num_layers: int, place: str = "") -> None:
    """Raises CheckpointError unless these are depths between 0 and the last layer, rising."""
    cuts = [0, *layers, num_layers]
    if not layers or any(a >= b for a, b in pairwise(cuts)):
        raise CheckpointError(
            f"{place}exits after layers {', '.join(map(str, layers)) or '(none)'} must rise and lie strictly between 0 "
            f"and {num_layers}",
            param="layers",
        )
