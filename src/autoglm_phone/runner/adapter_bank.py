"""Adapters that are served beside the base: fitted to the decoder's handles at load, told to each pass by its rows.

What a backend folded into a linear's weight (a norm's weight into its columns, tanh(gate) into a cross-attention's
output) is folded into the adapters beside it too; linears that are fused have their adapters fused, block by block.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autoglm_phone.backends.adapters import AdapterRows, LowRank, SegmentAdapters
from autoglm_phone.backends.base import Backend, SegmentMeta
from autoglm_phone.backends.quantized import stack
from autoglm_phone.errors import CheckpointError, ConfigError
from autoglm_phone.runner.adapters import Adapter, read_adapter
from autoglm_phone.runner.batch import Batch
from autoglm_phone.runner.checkpoint import Checkpoint
from autoglm_phone.runner.quantized import QuantizedCheckpoint
from autoglm_phone.runner.spec import DecoderSpec

logger = logging.getLogger(__name__)

Source = Checkpoint | QuantizedCheckpoint
_SERVED = re.compile(
    r"model\.layers\.(\d+)\.(?:self_attn\.[qkvo]_proj|mlp\.(?:gate_up|gate|up|down)_proj|cross_attn\.[qkvo]_proj)\.weight"
)


@dataclass(frozen=True)
class _Part:
    """A linear of a layer as the decoder holds it. name: as in SegmentAdapters. modules: fused into it, one above the
    other. norm: before it. gated: tanh of the layer's gate is folded into it."""

    name: str
    modules: tuple[str, ...]
    norm: str | None = None
    gated: bool = False


_PARTS = (
    _Part("qkv", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), "input_layernorm"),
    _Part("out", ("self_attn.o_proj",)),
    _Part("gate_up", ("mlp.gate_proj", "mlp.up_proj"), "post_attention_layernorm"),
    _Part("down", ("mlp.down_proj",)),
    _Part("cross_q", ("cross_attn.q_proj",), "cross_attn.norm"),
    _Part("cross_out", ("cross_attn.o_proj",), gated=True),
    _Part("cross_k", ("cross_attn.k_proj",)),
    _Part("cross_v", ("cross_attn.v_proj",)),
)
_GATE_UP = "mlp.gate_up_proj"


class AdapterBank:
    """All adapters of an engine. digests: name → SHA-256 of its files.

    Attributes:
        numbers: name → the adapter's number in the low-rank weights.
    """

    def __init__(self, adapters: Mapping[str, Adapter], layers: list[dict[str, LowRank]], spec: DecoderSpec):
        self.numbers = {name: number for number, name in enumerate(adapters)}
        self.digests = {name: adapter.digest for name, adapter in adapters.items()}
        self._segments = [layers[first:end] for first, end in spec.segments]
        self._cross = [layers[index] for index in spec.cross_layers]

    @property
    def nbytes(self) -> int:
        return sum(low.nbytes for segment in self._segments for layer in segment for low in layer.values())

    def meta(self, meta: SegmentMeta, segment: int, batch: Batch) -> SegmentMeta:
        """A pass as the segment sees it, with the adapters of its rows; the same object if no row has one."""
        rows = batch.adapter_rows(self.numbers)
        return meta if rows is None else replace(meta, adapters=SegmentAdapters(rows, self._segments[segment]))

    def remembers(self, name: str) -> bool:
        """Whether this adapter changes the keys or values of cross-attention."""
        number = self.numbers[name]
        lows = [layer[part] for layer in self._cross for part in ("cross_k", "cross_v") if part in layer]
        return any(low.pairs[number] is not None for low in lows)

    def add_memory(self, name: str, layer: int, part: str, states: Tensor, made: Tensor) -> None:
        """made += the adapter of `cross_k` or `cross_v` on tower states [M, H]. layer: among those that cross."""
        whole = AdapterRows([(0, states.shape[0], self.numbers[name])], states.device)
        whole.add(self._cross[layer].get(part), states, made)


def load_adapters(
    modules: Mapping[str, str | Path],
    max_rank: int,
    folder: Path,
    source: Source,
    spec: DecoderSpec,
    backend_of: Callable[[int], Backend],
) -> AdapterBank | None:
    """Read the adapters of a configuration and fit them to this base; None if there are none.

    Args:
        backend_of: what packed the base's layer of this number.

    Raises:
        CheckpointError: an adapter can't be read, or is not for this base. ConfigError: its rank is above max_rank.
    """
    if not modules:
        return None
    adapters: dict[str, Adapter] = {}
    for name, path in modules.items():
        where = f"adapter {name!r}"
        with _blaming(name):
            adapter = read_adapter(Path(path).expanduser())
            _check(adapter, spec)
        if adapter.rank > max_rank:
            raise ConfigError(
                f"{where} has rank {adapter.rank}, above --max-lora-rank {max_rank}; raise it", param="max_lora_rank"
            )
        if adapter.base and Path(adapter.base).name != folder.name:
            logger.warning(
                "%s was trained on %s and is served on %s: exact only if their weights are the same",
                where,
                adapter.base,
                folder.name,
            )
        adapters[name] = adapter
    layers = [_layer(index, adapters, source, spec, backend_of(index)) for index in range(spec.num_layers)]
    bank = AdapterBank(adapters, layers, spec)
    logger.info("adapters beside the base: %s (%.1f MB)", ", ".join(adapters), bank.nbytes / 1e6)
    return bank


@contextmanager
def _blaming(name: str) -> Iterator[None]:
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"adapter {name!r}: {error.message}", param="lora_modules") from error


def _check(adapter: Adapter, spec: DecoderSpec) -> None:
    for name in adapter.deltas:
        found = _SERVED.fullmatch(name)
        if found is None:
            raise CheckpointError(
                f"{name.removesuffix('.weight')} can't be adapted while serving, only linears of decoder layers; write "
                "the adapter into the weights with `autoglm-phone train merge`"
            )
        layer = int(found[1])
        known = layer < spec.num_layers and (".cross_attn." not in name or layer in spec.cross_layers)
        if not known:
            raise CheckpointError(f"it adapts {name}, which this model does not have: it is for another one")


def _layer(
    index: int, adapters: Mapping[str, Adapter], source: Source, spec: DecoderSpec, backend: Backend
) -> dict[str, LowRank]:
    name = f"model.layers.{index}."
    made = {}
    for part in _PARTS:
        own = (*part.modules, _GATE_UP) if part.name == "gate_up" else part.modules
        if not any(f"{name}{module}.weight" in adapter.deltas for adapter in adapters.values() for module in own):
            continue
        weights = [source.get(f"{name}{module}.weight") for module in _stored(source, name, part)]
        fold = None
        if part.norm is not None:
            fold = backend.folded(source.get(f"{name}{part.norm}.weight"), stack(weights))
        gate = torch.tanh(source.get(f"{name}cross_attn.gate").float()) if part.gated else None
        made[part.name] = _low_rank(
            adapters, name, part, _rows(part, weights), weights[0].shape[1], fold, gate, backend
        )
    return made


def _stored(source: Source, name: str, part: _Part) -> tuple[str, ...]:
    """Gate and up lie in one tensor, or in two (GPTQModel)."""
    fused = part.name == "gate_up" and f"{name}{_GATE_UP}.weight" in source
    return (_GATE_UP,) if fused else part.modules


def _rows(part: _Part, weights: list[Any]) -> dict[str, tuple[int, int]]:
    """[first, end) of the output of each module that an adapter may name."""
    sizes = [weight.shape[0] for weight in weights]
    if part.name == "gate_up" and len(sizes) == 1:
        sizes = [sizes[0] // 2, sizes[0] - sizes[0] // 2]
    rows, first = {}, 0
    for module, size in zip(part.modules, sizes, strict=True):
        rows[module] = (first, first + size)
        first += size
    return {**rows, _GATE_UP: (0, first)} if part.name == "gate_up" else rows


def _low_rank(
    adapters: Mapping[str, Adapter],
    name: str,
    part: _Part,
    rows: dict[str, tuple[int, int]],
    columns: int,
    fold: Tensor | None,
    gate: Tensor | None,
    backend: Backend,
) -> LowRank:
    """The adapters of one linear [out, in]; fused modules are blocks of its output."""
    outputs = max(end for _, end in rows.values())
    pairs: list[tuple[Tensor, Tensor] | None] = []
    for served, adapter in adapters.items():
        downs, ups = [], []
        for module, (first, end) in rows.items():
            key = f"{name}{module}.weight"
            if key not in adapter.deltas:
                continue
            with _blaming(served):
                adapter.check(key, (end - first, columns))
            a, b, factor = adapter.deltas[key]
            up = torch.zeros(a.shape[0], outputs)
            up[:, first:end] = factor * b.float().t()
            downs.append((a.float() if fold is None else a.float() * fold).t())
            ups.append(up if gate is None else up * gate)
        if not downs:
            pairs.append(None)
            continue
        device, dtype = backend.device, backend.dtype
        placed = torch.cat(downs, 1).to(device, dtype).contiguous(), torch.cat(ups).to(device, dtype)
        if not all(bool(torch.isfinite(tensor).all()) for tensor in placed):
            raise CheckpointError(
                f"adapter {served!r}: its factors of {name}{part.name} are too large for {backend.dtype}"
            )
        pairs.append(placed)
    return LowRank(tuple(pairs))
