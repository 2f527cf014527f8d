"""How large a model is, by part: the tensors of its files, and what an engine that has loaded it keeps in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoglm_phone.compress.formats import master
from autoglm_phone.compress.opening import Opened
from autoglm_phone.compress.plan import modules_of, part_of

SMALL = "norms, biases, small tensors"
_TOWERS = {"image": "vision tower", "audio": "audio tower"}


@dataclass(frozen=True)
class Size:
    """A part of the model. how: its storage. Bytes of the float model's tensors and of the compressed model's."""

    part: str
    how: str
    before: int
    after: int


def on_disk(first: Opened, second: Opened, config: master.MasterConfig) -> list[Size]:
    """Bytes of the tensors by part and by how they are stored; their sums are the two models' weights."""
    infos = modules_of(first.architecture)
    disk = {first.source.disk[name + ".weight"].removesuffix(".weight"): name for name in infos}
    rows: dict[tuple[str, str], list[int]] = {}

    def add(part: str, how: str, before: int, after: int) -> None:
        entry = rows.setdefault((part, how), [0, 0])
        entry[0] += before
        entry[1] += after

    done = set()
    for stored, spec in config.modules.items():
        name = disk.get(stored, stored)
        side = "symmetric" if spec.symmetric else "asymmetric"
        inputs = "" if spec.activation_bits is None else f", {spec.activation_bits}-bit inputs"
        how = f"{spec.bits} bit, {side}, group {spec.group_size}{inputs}"
        before = first.sizes.get(name + ".weight", (0, 0))[1]  # none: a head that was the embedding
        add(part_of(name), how, before, spec.num_bytes)
        done.add(name + ".weight")
    for name, (_, size) in first.sizes.items():
        if name not in done:
            module = name.rsplit(".", 1)[0]
            known = module in infos and name.endswith(".weight")
            add(part_of(name) if known else SMALL, "as it was", size, size)
    return [Size(part, how, *counts) for (part, how), counts in sorted(rows.items())]


def folder_bytes(folder: Path) -> int:
    """Bytes of the weight files."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def resident(runner: Any) -> dict[str, int]:
    """Bytes that a loaded model keeps, by part; towers are loaded for it. A tensor that two parts share counts once.

    Args:
        runner: a ModelRunner whose segments are all resident.
    """
    from autoglm_phone.runner.offload import storages

    found: dict[str, int] = {}
    seen: set[int] = set()
    for part, tree in _parts(runner.decoder.weights):
        for address, size in storages(tree).items():
            if address not in seen:
                seen.add(address)
                found[part] = found.get(part, 0) + size
    for kind in sorted(runner.towers.kinds):
        with runner.towers.store.use(kind) as (tower, _):
            found[_TOWERS[kind]] = sum(t.nbytes for t in [*tower.parameters(), *tower.buffers()])
    return found


def _parts(weights: Any) -> Iterator[tuple[str, Any]]:
    for layer in (layer for segment in weights.segments for layer in segment):
        yield "decoder self-attention", [layer.qkv, layer.out]
        yield "decoder MLP", [layer.gate_up, layer.down]
        if layer.cross is not None:
            yield "decoder cross-attention", [layer.cross.q, layer.cross.out]
            yield SMALL, layer.cross.norm
        yield SMALL, [layer.input_norm, layer.post_attention_norm, layer.mlp_norm, layer.post_mlp_norm]
    yield "embedding", weights.embedding
    yield "output head", weights.head
    yield "exit heads", weights.exits
    yield SMALL, weights.norm
    if weights.memory is not None:
        yield "decoder cross-attention", [weights.memory.keys, weights.memory.values]
        yield SMALL, weights.memory.media_embed
