"""The master format: what this project writes, and the only one that holds true 3-bit tensors.

A folder is safetensors plus config.json, whose `quantization_config` is ours:

    {"quant_method": "autoglm", "version": 1,
     "modules": {"model.layers.0.mlp.down_proj": {"kind": "linear", "bits": 4, "group_size": 128, "symmetric": true,
                                                  "scale_dtype": "float16", "shape": [256, 640]}, …},
     "checksums": {"model-00001-of-00001.safetensors": "<sha256>", …}}

A module M of the table has no `M.weight`. In its place stand, with R rows, C columns and G = C / group_size groups:

- `M.qweight` uint8 [R, ceil(C * bits / 8)]: the codes, packed as `packing` says;
- `M.scales`  float16 or bfloat16 [R, G]: may be negative (a symmetric range has one more negative code: the sign picks
  the side that needs it);
- `M.zeros`   uint8 [R, ceil(G * bits / 8)]: zero points in as many bits as the codes; absent if symmetric.

The weight is (q - z) * scale in float32 (`packing.dequantize`). Columns keep their order: act-order GPTQ chooses the
order in which columns are rounded, never where they lie, so there is no permutation to load. Everything else (norms,
biases, small tensors) is stored as it was, under its own name. Activation scales of AWQ are folded into the weights
before: nothing of them is left in the file.

Kinds: `linear` [out, in]; `embedding` [vocabulary, H], also read by the output head where config.json ties the two;
`conv` a convolution whose `shape` is the kernel's and whose rows are [out, in * kernel…] (small: expand on loading).
Where config.json has `shared_weights` (tensor → the tensor that it is), a module that shares its weight stands in
`modules` with the same entry and has no tensors: those of the module that it points to are its own.
`group_size` divides C; a group of a whole row is written as C itself. `activation_bits: 8`, where it stands, says that
the module was trained for inputs quantized per token to symmetric int8.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from autoglm_phone.compress.formats import packing
from autoglm_phone.errors import CheckpointError, ConfigError
from autoglm_phone.models.shared import shared_weights

METHOD = "autoglm"
VERSION = 1
INDEX = "model.safetensors.index.json"
Kind = Literal["linear", "embedding", "conv"]
_KINDS = ("linear", "embedding", "conv")
SCALE_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}
PARTS = ("qweight", "scales", "zeros")
_SUMS = "sha256"  # in the metadata of an index


@dataclass(frozen=True)
class ModuleSpec:
    """How one module's weight is stored. shape: the float weight's. group_size: columns that share a scale."""

    kind: Kind
    bits: int
    group_size: int
    symmetric: bool
    shape: tuple[int, ...]
    scale_dtype: str = "float16"
    activation_bits: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in _KINDS or self.bits not in packing.BITS or self.scale_dtype not in SCALE_DTYPES:
            raise ConfigError(f"a module can't be stored as {self}")
        if self.group_size < 1 or self.columns % self.group_size:
            raise ConfigError(f"groups of {self.group_size} do not divide {self.columns} columns")

    @property
    def rows(self) -> int:
        return self.shape[0]

    @property
    def columns(self) -> int:
        return math.prod(self.shape[1:])

    @property
    def groups(self) -> int:
        return self.columns // self.group_size

    @property
    def num_bytes(self) -> int:
        """Bytes of codes, scales and zero points."""
        zeros = 0 if self.symmetric else packing.packed_width(self.groups, self.bits)
        return self.rows * (packing.packed_width(self.columns, self.bits) + 2 * self.groups + zeros)

    def to_json(self) -> dict[str, Any]:
        made: dict[str, Any] = {
            "kind": self.kind,
            "bits": self.bits,
            "group_size": self.group_size,
            "symmetric": self.symmetric,
            "scale_dtype": self.scale_dtype,
            "shape": list(self.shape),
        }
        return made if self.activation_bits is None else {**made, "activation_bits": self.activation_bits}

    @classmethod
    def from_json(cls, name: str, raw: Any) -> ModuleSpec:
        """Raises CheckpointError where the entry is not one of ours."""
        try:
            return cls(
                kind=raw["kind"],
                bits=int(raw["bits"]),
                group_size=int(raw["group_size"]),
                symmetric=bool(raw["symmetric"]),
                shape=tuple(int(size) for size in raw["shape"]),
                scale_dtype=raw["scale_dtype"],
                activation_bits=raw.get("activation_bits"),
            )
        except (KeyError, TypeError, ValueError, ConfigError) as error:
            raise CheckpointError(f"quantization_config.modules[{name!r}] is not readable: {error}") from error


@dataclass(frozen=True)
class QuantizedWeight:
    """One weight as integers. codes: int8 [R, C]; scales: [R, G] in the stored dtype; zeros: int8 [R, G] or None."""

    spec: ModuleSpec
    codes: Tensor
    scales: Tensor
    zeros: Tensor | None = None

    def dequantize(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """The weight in its own shape."""
        return packing.dequantize_codes(self.codes, self.scales, self.zeros).to(dtype).view(self.spec.shape)

    def regrouped(self, group_size: int) -> QuantizedWeight:
        """The same weight in smaller groups, which divide its own: scales and zero points repeat."""
        repeat = self.spec.group_size // group_size
        if repeat == 1:
            return self
        zeros = None if self.zeros is None else self.zeros.repeat_interleave(repeat, 1)
        spec = replace(self.spec, group_size=group_size)
        return QuantizedWeight(spec, self.codes, self.scales.repeat_interleave(repeat, 1), zeros)

    def write_into(self, parameter: Tensor) -> None:
        """Dequantize over a float weight of the same shape, some rows at a time."""
        flat = parameter.data.view(self.codes.shape)
        for start, end in packing.row_chunks(*self.codes.shape):
            zeros = None if self.zeros is None else self.zeros[start:end]
            flat[start:end] = packing.dequantize_codes(self.codes[start:end], self.scales[start:end], zeros)

    def tensors(self, name: str) -> dict[str, Tensor]:
        """What the file holds for a module of this name, on the device of the codes."""
        made = {
            f"{name}.qweight": packing.pack_codes(self.codes, self.spec.bits),
            f"{name}.scales": self.scales.to(SCALE_DTYPES[self.spec.scale_dtype]).contiguous(),
        }
        if self.zeros is not None:
            made[f"{name}.zeros"] = packing.pack_codes(self.zeros, self.spec.bits)
        return made


@dataclass(frozen=True)
class MasterConfig:
    """A master's `quantization_config`. modules: by the module's name on disk."""

    modules: Mapping[str, ModuleSpec]
    checksums: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "quant_method": METHOD,
            "version": VERSION,
            "modules": {name: spec.to_json() for name, spec in self.modules.items()},
            "checksums": dict(self.checksums),
        }


def read_config(folder: Path) -> MasterConfig | None:
    """The master configuration of a model folder; None if it holds no master (plain, or quantized in another format).

    Raises:
        CheckpointError: a master of a version that we do not read, or one that is damaged.
    """
    try:
        raw = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("quantization_config")
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{folder}/config.json is missing or no JSON object") from error
    if not isinstance(raw, Mapping) or raw.get("quant_method") != METHOD:
        return None
    if raw.get("version") != VERSION:
        raise CheckpointError(
            f"{folder} is a master of version {raw.get('version')!r} and this release reads version {VERSION}; "
            "compress the original again, or update autoglm-phone"
        )
    modules, sums = raw.get("modules"), raw.get("checksums")
    if not isinstance(modules, Mapping) or not isinstance(sums, Mapping):
        raise CheckpointError(f"{folder}/config.json: quantization_config lacks its modules or checksums")
    return MasterConfig({name: ModuleSpec.from_json(name, spec) for name, spec in modules.items()}, dict(sums))


def verify(folder: Path, config: MasterConfig) -> None:
    """Compare every shard with its checksum (reads the whole checkpoint, about 1 GB/s).

    Raises:
        CheckpointError: names the shard that is missing or differs.
    """
    verify_sums(folder, config.checksums, "config.json")


def verify_sums(folder: Path, sums: Mapping[str, str], source: str) -> None:
    """As `verify`, with {shard: sha256} from `source`, a file of the folder."""
    for shard, expected in sums.items():
        path = folder / shard
        if Path(shard).name != shard or not path.is_file():
            raise CheckpointError(f"{path} is missing; {source} lists it: copy it into the folder")
        if sha256(path) != expected:
            raise CheckpointError(f"{path} is damaged: its SHA-256 is not the one in {source}; copy it again")


def index_sums(folder: Path) -> dict[str, str]:
    """{shard: sha256} of a folder in a public format that was written here; empty for one of another program.

    They lie in the index's metadata, which other readers pass over.
    """
    try:
        found = json.loads((folder / INDEX).read_text(encoding="utf-8"))["metadata"][_SUMS]
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    return {str(shard): str(total) for shard, total in found.items()} if isinstance(found, Mapping) else {}


def weight_from(tensors: Mapping[str, Tensor], name: str, spec: ModuleSpec) -> QuantizedWeight:
    """A module's weight from its stored tensors (`{name}.qweight` and so on).

    Raises:
        CheckpointError: a tensor is missing or of another shape or type than the configuration says.
    """
    wanted = {
        "qweight": (torch.uint8, (spec.rows, packing.packed_width(spec.columns, spec.bits))),
        "scales": (SCALE_DTYPES[spec.scale_dtype], (spec.rows, spec.groups)),
    }
    if not spec.symmetric:
        wanted["zeros"] = (torch.uint8, (spec.rows, packing.packed_width(spec.groups, spec.bits)))
    for part, (dtype, shape) in wanted.items():
        found = tensors.get(f"{name}.{part}")
        if found is None:
            raise CheckpointError(f"tensor {name}.{part} is missing: the checkpoint is incomplete")
        if found.dtype != dtype or tuple(found.shape) != shape:
            raise CheckpointError(
                f"tensor {name}.{part} is {found.dtype} {tuple(found.shape)}; config.json asks for {dtype} {shape}"
            )
    zeros = None
    if not spec.symmetric:
        zeros = packing.unpack_codes(tensors[f"{name}.zeros"], spec.bits, spec.groups)
    codes = packing.unpack_codes(tensors[f"{name}.qweight"], spec.bits, spec.columns)
    return QuantizedWeight(spec, codes, tensors[f"{name}.scales"], zeros)


class MasterReader:
    """A master's tensors, read lazily.

    Raises:
        CheckpointError: the folder is no master, or a shard is missing or no safetensors file (truncated, for one).
    """

    def __init__(self, folder: Path):
        config = read_config(folder)
        if config is None:
            raise CheckpointError(f"{folder} is no master checkpoint of autoglm-phone")
        self.folder, self.config = folder, config
        self._files: dict[str, Any] = {}
        self._where: dict[str, str] = {}
        for shard in config.checksums:
            try:
                handle = safe_open(folder / shard, framework="pt")
            except (SafetensorError, OSError) as error:
                raise CheckpointError(f"{folder / shard} is damaged or missing ({error}); copy it again") from error
            self._files[shard] = handle
            self._where.update(dict.fromkeys(handle.keys(), shard))
        self._stored: dict[str, str] = {}  # tensor of a place that shares its weight → the tensor that is stored
        for name, stored in shared_weights(folder).items():
            parts = ("weight", *PARTS)
            for old, new in ((name.removesuffix("weight") + p, stored.removesuffix("weight") + p) for p in parts):
                if new in self._where and old not in self._where:
                    self._stored[old] = new

    def names(self) -> Iterable[str]:
        """Every stored tensor; shared ones once."""
        return self._where.keys()

    def tensor(self, name: str) -> Tensor:
        name = self._stored.get(name, name)
        if name not in self._where:
            raise CheckpointError(f"{self.folder} has no tensor {name}: it is incomplete or of another kind")
        return self._files[self._where[name]].get_tensor(name)

    def module(self, name: str) -> QuantizedWeight:
        """The quantized weight of a module in the table."""
        known = self._where.keys() | self._stored.keys()
        parts = {f"{name}.{p}": self.tensor(f"{name}.{p}") for p in PARTS if f"{name}.{p}" in known}
        return weight_from(parts, name, self.config.modules[name])

    def float_weights(self, dtype: torch.dtype | None = None) -> Iterable[tuple[str, Tensor]]:
        """(name, tensor) of the float model: every module dequantized, the rest as stored. dtype None: float32."""
        for name in self.config.modules:
            yield f"{name}.weight", self.module(name).dequantize(dtype or torch.float32)
        hidden = {f"{name}.{part}" for name in self.config.modules for part in PARTS}
        for name in self._where:
            if name not in hidden:
                tensor = self.tensor(name)
                yield name, tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor


class ShardWriter:
    """Writes tensors into shards of at most `max_bytes` as they come; holds no more than one shard.

    Shards get their final names in `close`, when their number is known.
    """

    def __init__(self, folder: Path, max_bytes: int = 1 << 30):
        self.folder, self.max_bytes = folder, max_bytes
        folder.mkdir(parents=True, exist_ok=True)
        self._held: dict[str, Tensor] = {}
        self._size = 0
        self._done: list[tuple[Path, list[str], Future[str]]] = []
        self._hashing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="shard-sums")
        self.total = 0

    def add(self, name: str, tensor: Tensor) -> None:
        size = tensor.numel() * tensor.element_size()
        if self._held and self._size + size > self.max_bytes:
            self._flush()
        self._held[name] = tensor.contiguous()
        self._size += size
        self.total += size

    def close(self, *, sums_in_index: bool = False) -> dict[str, str]:
        """Name the shards, write the index; returns {shard: sha256}.

        Args:
            sums_in_index: for formats whose configuration has no place for them (`index_sums`).
        """
        if self._held:
            self._flush()
        names: dict[str, str] = {}
        sums: dict[str, str] = {}
        for number, (path, tensors, total) in enumerate(self._done, 1):
            shard = f"model-{number:05d}-of-{len(self._done):05d}.safetensors"
            sums[shard] = total.result()
            path.replace(self.folder / shard)
            names.update(dict.fromkeys(tensors, shard))
        self._hashing.shutdown()
        metadata: dict[str, Any] = {"total_size": self.total} | ({_SUMS: sums} if sums_in_index else {})
        index = {"metadata": metadata, "weight_map": dict(sorted(names.items()))}
        (self.folder / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
        return sums

    def _flush(self) -> None:
        path = self.folder / f".shard-{len(self._done):05d}.safetensors"
        save_file(self._held, path, metadata={"format": "pt"})
        self._done.append((path, list(self._held), self._hashing.submit(sha256, path)))
        self._held, self._size = {}, 0


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
