"""The classic layouts of AWQ (AutoAWQ's "gemm") and GPTQ (AutoGPTQ), which many programs read, to and from ours.

Both store linears [out, in] transposed, in int32 words, with scales float16 [G, out] and codes u = q + 2^(b-1):

- AWQ, 4 bits: `qweight` [in, out / 8], `qzeros` [G, out / 8]; a word holds eight outputs in the order 0 2 4 6 1 3 5 7.
- GPTQ, 2, 3, 4 or 8 bits: `qweight` [in * b / 32, out], a bit stream down each column; `qzeros` [G, out * b / 32], zero
  points less one (checkpoint_format "gptq") or as they are ("gptq_v2"); `g_idx` [in], the group of each input.

Our rows are the same bit stream as GPTQ's columns, so that layout is a transposed view of ours.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from autoglm_phone.compress.formats import packing
from autoglm_phone.compress.formats.master import ModuleSpec, QuantizedWeight
from autoglm_phone.errors import CheckpointError, ConfigError

_AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # nibble k of a word holds output _AWQ_ORDER[k] of its eight
_AWQ_PLACE = tuple(_AWQ_ORDER.index(output) for output in range(8))


def fits(method: str, spec: ModuleSpec) -> bool:
    """Whether the layout can hold a module of this kind."""
    if spec.kind != "linear":
        return False
    if method == "awq":
        return spec.bits == 4 and spec.rows % 8 == 0
    words_whole = spec.columns * spec.bits % 32 == 0 and spec.rows * spec.bits % 32 == 0
    return words_whole and spec.rows % 32 == 0 and spec.columns % 32 == 0


def write_awq(weight: QuantizedWeight) -> dict[str, Tensor]:
    """{"qweight", "qzeros", "scales"} of a linear.

    Raises:
        ConfigError: not 4 bits, or a number of outputs that words of eight do not divide.
    """
    _check("awq", weight.spec)
    half = 1 << (weight.spec.bits - 1)
    codes = weight.codes.to(torch.int32).T + half  # [in, out]
    return {
        "qweight": _awq_pack(codes),
        "qzeros": _awq_pack(_points(weight).to(torch.int32).T + half),
        "scales": weight.scales.T.to(torch.float16).contiguous(),
    }


def read_awq(tensors: Mapping[str, Tensor]) -> QuantizedWeight:
    """The linear behind "qweight", "qzeros" and "scales" of an AWQ checkpoint."""
    qweight, qzeros, scales = _parts(tensors, "qweight", "qzeros", "scales")
    codes = _awq_unpack(qweight)
    zeros = _awq_unpack(qzeros)
    if codes.shape[1] != scales.shape[1] or codes.shape[0] % scales.shape[0] or zeros.shape != scales.shape:
        raise CheckpointError("the tensors of an AWQ linear do not fit together; the file is damaged")
    return _made(codes.T - 8, scales, zeros.T - 8, 4)


def write_gptq(weight: QuantizedWeight, *, version: int = 1) -> dict[str, Tensor]:
    """{"qweight", "qzeros", "scales", "g_idx"} of a linear. version 2 stores zero points as they are.

    Raises:
        ConfigError: a shape that does not fill whole words, or a zero point that version 1 can't hold.
    """
    spec = weight.spec
    _check("gptq", spec)
    points = _points(weight)
    if version == 1:
        if int(points.min()) == -(1 << (spec.bits - 1)):
            raise ConfigError(
                'a zero point of 0 does not exist in GPTQ\'s first layout; write checkpoint_format "gptq_v2"'
            )
        points = points - 1
    return {
        "qweight": packing.pack_codes(weight.codes, spec.bits).view(torch.int32).T.contiguous(),
        "qzeros": packing.pack_codes(points.T.contiguous(), spec.bits).view(torch.int32),
        "scales": weight.scales.T.to(torch.float16).contiguous(),
        "g_idx": torch.arange(spec.columns, dtype=torch.int32) // spec.group_size,
    }


def read_gptq(tensors: Mapping[str, Tensor], bits: int, *, version: int = 1) -> QuantizedWeight:
    """The linear behind "qweight", "qzeros", "scales" and "g_idx" of a GPTQ checkpoint.

    Raises:
        CheckpointError: tensors that do not fit together, or columns whose groups are scattered (desc_act without
            static groups), which no format of ours holds.
    """
    qweight, qzeros, scales = _parts(tensors, "qweight", "qzeros", "scales")
    columns, groups, outputs = qweight.shape[0] * 32 // bits, *scales.shape
    if qweight.shape[1] != outputs or columns % groups or qzeros.shape[0] != groups:
        raise CheckpointError("the tensors of a GPTQ linear do not fit together; the file is damaged")
    index = tensors.get("g_idx")
    if index is not None and not torch.equal(index.long(), torch.arange(columns) // (columns // groups)):
        raise CheckpointError("this GPTQ checkpoint scatters its groups (desc_act); quantize it with static groups")
    codes = packing.unpack_codes(qweight.T.contiguous().view(torch.uint8), bits, columns)
    points = packing.unpack_codes(qzeros.contiguous().view(torch.uint8), bits, outputs).T.to(torch.int32)
    if version == 1:
        half = 1 << (bits - 1)
        points = (points + half + 1) % (2 * half) - half
    return _made(codes.to(torch.int32), scales, points, bits)


def _made(codes: Tensor, scales: Tensor, points: Tensor, bits: int) -> QuantizedWeight:
    rows, columns = codes.shape
    symmetric = not bool(points.any())
    spec = ModuleSpec("linear", bits, columns // scales.shape[0], symmetric, (rows, columns))
    zeros = None if symmetric else points.to(torch.int8).contiguous()
    return QuantizedWeight(spec, codes.to(torch.int8).contiguous(), scales.T.to(torch.float16).contiguous(), zeros)


def _points(weight: QuantizedWeight) -> Tensor:
    """Signed zero points int8 [out, G]."""
    return torch.zeros_like(weight.scales, dtype=torch.int8) if weight.zeros is None else weight.zeros


def _awq_pack(codes: Tensor) -> Tensor:
    order = codes.view(codes.shape[0], -1, 8)[..., list(_AWQ_ORDER)]
    shifts = torch.arange(0, 32, 4, dtype=torch.int64)
    words = (order.to(torch.int64) << shifts).sum(-1)
    return torch.where(words >= 1 << 31, words - (1 << 32), words).to(torch.int32)


def _awq_unpack(words: Tensor) -> Tensor:
    shifts = torch.arange(0, 32, 4, dtype=torch.int32)
    codes = (words[..., None] >> shifts) & 15
    return codes[..., list(_AWQ_PLACE)].reshape(words.shape[0], -1)


def _parts(tensors: Mapping[str, Tensor], *names: str) -> list[Tensor]:
    missing = [name for name in names if name not in tensors]
    if missing:
        raise CheckpointError(f"a quantized linear lacks {', '.join(missing)}; the checkpoint is incomplete")
    return [tensors[name] for name in names]


def _check(method: str, spec: ModuleSpec) -> None:
    if not fits(method, spec):
        raise ConfigError(
            f"the classic {method} format can't hold {spec.bits}-bit {spec.kind}s of shape {list(spec.shape)}; "
            "use the master format"
        )


def config(method: str, specs: Mapping[str, ModuleSpec], floats: Sequence[str]) -> dict[str, Any]:
    """`quantization_config` of a classic checkpoint. Its group_size is what all modules must be written with.

    Neither format has group sizes by module that every reader honours: transformers and the AWQ loaders know one for
    all, so it is the largest that divides each module's own. Bits by module are GPTQModel's `dynamic`, which vLLM reads
    as well; the model's own are those of most weights.

    Args:
        floats: linears that stay as they were.
    """
    group = math.gcd(*(spec.group_size for spec in specs.values()))
    if method == "awq":
        made = {"quant_method": "awq", "version": "gemm", "bits": 4, "group_size": group, "zero_point": True}
        return {**made, "modules_to_not_convert": list(floats) or None}
    volumes: Counter[int] = Counter()
    for spec in specs.values():
        volumes[spec.bits] += spec.rows * spec.columns
    bits = volumes.most_common(1)[0][0]
    symmetric = all(spec.symmetric for spec in specs.values())
    own = {name: spec.bits for name, spec in specs.items() if spec.bits != bits}
    dynamic: dict[str, dict[str, int]] = {f"-:{pattern(name)}": {} for name in floats}
    dynamic |= {f"+:{pattern(name)}": {"bits": width} for name, width in (own | _fused(own)).items()}
    form = "gptq" if symmetric else "gptq_v2"
    made = {"quant_method": "gptq", "bits": bits, "group_size": group, "sym": symmetric, "desc_act": False}
    return {**made, "checkpoint_format": form, "pack_dtype": "int32", "dynamic": dynamic}


def pattern(name: str) -> str:
    """A regular expression of one module that also finds it where a program has put the decoder elsewhere.

    vLLM's names begin with `language_model.model.` where a GLM-4.1V's begin with `model.language_model.`.
    """
    inner = name.removeprefix("model.").removeprefix("language_model.")
    return rf"(.*\.)?{re.escape(inner)}$"


def _fused(bits: Mapping[str, int]) -> dict[str, int]:
    """vLLM fuses q, k and v, and looks for the fused name: it is added where all three have the same width."""
    found = {}
    for name, width in bits.items():
        stem, _, last = name.rpartition(".")
        if last == "q_proj" and all(bits.get(f"{stem}.{other}") == width for other in ("k_proj", "v_proj")):
            found[f"{stem}.qkv_proj"] = width
    return found
