"""Integer codes of 2, 3, 4 or 8 bits in bytes without a bit lost, and back to floats: the truth for runtimes' tests.

A code q is signed: -2^(b-1) … 2^(b-1)-1. It is stored as u = q + 2^(b-1) in b bits. Each row is a bit stream of its
own, least significant bit first: code j lies in bits [j*b, (j+1)*b) of the row's bytes, and the row is padded with
zero bits to a whole byte. So a 4-bit byte holds code 2j in its low and 2j+1 in its high nibble, and eight 3-bit codes
lie in three bytes. Any number of columns is valid.
"""

from __future__ import annotations

import torch
from torch import Tensor

from autoglm_phone.errors import CheckpointError, ConfigError

BITS = (2, 3, 4, 8)
# The smallest run of whole bytes that holds whole codes: bits → (bytes, codes).
_RUN = {2: (1, 4), 3: (3, 8), 4: (1, 2), 8: (1, 1)}
_CHUNK = 1 << 24  # codes unpacked at once: the int32 intermediates stay below 64 MB


def packed_width(columns: int, bits: int) -> int:
    """Bytes of a packed row."""
    return -(-columns * bits // 8)


def pack_codes(codes: Tensor, bits: int) -> Tensor:
    """Signed codes int8 [R, C] → uint8 [R, packed_width(C, bits)].

    Raises:
        ConfigError: bits that we do not store, or codes outside their range.
    """
    _check_bits(bits)
    half = 1 << (bits - 1)
    if codes.numel() and (int(codes.min()) < -half or int(codes.max()) >= half):
        raise ConfigError(f"{bits}-bit codes must lie in {-half}…{half - 1}, not {int(codes.min())}…{int(codes.max())}")
    rows, columns = codes.shape
    width = packed_width(columns, bits)
    out = torch.empty(rows, width, dtype=torch.uint8, device=codes.device)
    for start, end in row_chunks(rows, columns):
        out[start:end] = _pack(codes[start:end], bits)[:, :width]
    return out


def unpack_codes(packed: Tensor, bits: int, columns: int) -> Tensor:
    """uint8 [R, packed_width(C, bits)] → signed codes int8 [R, C].

    Raises:
        CheckpointError: rows of another width.
    """
    _check_bits(bits)
    rows = packed.shape[0]
    if packed.dim() != 2 or packed.shape[1] != packed_width(columns, bits):
        raise CheckpointError(
            f"packed {bits}-bit rows of {columns} codes take {packed_width(columns, bits)} bytes, not "
            f"{tuple(packed.shape)[1:]}: the file does not fit its configuration"
        )
    out = torch.empty(rows, columns, dtype=torch.int8, device=packed.device)
    for start, end in row_chunks(rows, columns):
        out[start:end] = _unpack(packed[start:end], bits)[:, :columns]
    return out


def dequantize(
    packed: Tensor, scales: Tensor, zeros: Tensor | None, *, bits: int, columns: int, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Packed codes to weights [R, C]: (q - z) * scale of its group, computed in float32 and cast once.

    Args:
        packed: uint8 [R, packed_width(C, bits)].
        scales: float [R, G]; group g holds columns g*C/G … (g+1)*C/G - 1. Scales may be negative.
        zeros: uint8 [R, packed_width(G, bits)], zero points packed like codes; None: all zero (symmetric).
    """
    codes = unpack_codes(packed, bits, columns)
    points = None if zeros is None else unpack_codes(zeros, bits, scales.shape[1])
    return dequantize_codes(codes, scales, points).to(dtype)


def dequantize_codes(codes: Tensor, scales: Tensor, zeros: Tensor | None = None) -> Tensor:
    """Signed codes int8 [R, C], scales [R, G] and signed zero points int8 [R, G] → float32 [R, C]."""
    rows, columns = codes.shape
    groups = scales.shape[1]
    values = codes.view(rows, groups, columns // groups).float()
    if zeros is not None:
        values = values - zeros[..., None].float()
    return (values * scales.float()[..., None]).view(rows, columns)


def _check_bits(bits: int) -> None:
    if bits not in BITS:
        raise ConfigError(f"codes have 2, 3, 4 or 8 bits, not {bits}")


def row_chunks(rows: int, columns: int) -> list[tuple[int, int]]:
    """(first, behind the last) row of each part that is unpacked at once."""
    step = max(1, _CHUNK // max(1, columns))
    return [(start, min(rows, start + step)) for start in range(0, rows, step)]


def _pack(codes: Tensor, bits: int) -> Tensor:
    num_bytes, num_codes = _RUN[bits]
    rows, columns = codes.shape
    runs = -(-columns // num_codes)
    raw = torch.zeros(rows, runs * num_codes, dtype=torch.int32, device=codes.device)
    raw[:, :columns] = codes.to(torch.int32) + (1 << (bits - 1))
    shifts = torch.arange(num_codes, device=codes.device, dtype=torch.int32) * bits
    words = (raw.view(rows, runs, num_codes) << shifts).sum(-1, dtype=torch.int32)
    bytes_of = torch.arange(num_bytes, device=codes.device, dtype=torch.int32) * 8
    return ((words[..., None] >> bytes_of) & 0xFF).to(torch.uint8).view(rows, runs * num_bytes)


def _unpack(packed: Tensor, bits: int) -> Tensor:
    num_bytes, num_codes = _RUN[bits]
    rows, width = packed.shape
    runs = -(-width // num_bytes)
    raw = packed.to(torch.int32)
    if runs * num_bytes != width:
        raw = torch.nn.functional.pad(raw, (0, runs * num_bytes - width))
    bytes_of = torch.arange(num_bytes, device=packed.device, dtype=torch.int32) * 8
    words = (raw.view(rows, runs, num_bytes) << bytes_of).sum(-1, dtype=torch.int32)
    shifts = torch.arange(num_codes, device=packed.device, dtype=torch.int32) * bits
    codes = ((words[..., None] >> shifts) & ((1 << bits) - 1)) - (1 << (bits - 1))
    return codes.to(torch.int8).view(rows, runs * num_codes)
