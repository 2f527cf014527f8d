"""Keys and values in a byte a number: int8 or fp8 codes in the bytes of the float pages, and scales beside them.

A page of the pool is a number of bytes. In a narrow format they hold the codes of `pack` times as many tokens (four in
a float32 page, two in one of 16 bits): a frame. Scales are one bfloat16 (float16 has no room for small ones) a token
and head, keys and values apart (as
KIVI, Liu et al. 2024, does for values; for keys it takes channels, which would need whole pages before anything can be
written). They lie in a tensor of their own, made at the first narrow page: 4 Hk bytes a token and layer.

A token is encoded once, when it is written, and never again.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

LARGEST = {"int8": 127.0, "fp8": 448.0}  # of float8_e4m3fn
LEAST_SCALE = 1e-30  # of a head that is zero


def encode(x: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """x [..., heads, D] → codes int8 [..., heads, D] (fp8: its bits), scales bfloat16 [..., heads]."""
    wide = x.float()
    most = LARGEST[kind]
    scales = (wide.abs().amax(-1) / most).clamp_min_(LEAST_SCALE).to(torch.bfloat16)
    scaled = wide / scales.float()[..., None]
    if kind == "int8":
        return scaled.round_().clamp_(-most, most).to(torch.int8), scales
    return scaled.clamp_(-most, most).to(torch.float8_e4m3fn).view(torch.int8), scales


def decode(codes: Tensor, scales: Tensor, kind: str, dtype: torch.dtype) -> Tensor:
    """What `encode` stored. Bytes that nobody wrote give something finite."""
    if kind == "fp8":
        return codes.view(torch.float8_e4m3fn).to(dtype).nan_to_num_().mul_(scales[..., None].to(dtype))
    return codes.to(dtype).mul_(scales[..., None].to(dtype))


class NarrowPages:
    """The narrow view of a pool of pages.

    Args:
        pages: [layers, pages, page_size, 2 R]. heads: of keys and values together (2 Hk).
        zeros: makes a tensor of zeros (size, dtype) on the right device.

    Attributes:
        used: something narrow was ever written, so float pages may hold bytes that are no floats.
    """

    def __init__(self, pages: Tensor, heads: int, zeros: Callable[[tuple[int, ...], torch.dtype], Tensor]):
        layers, count, self.page_size, self.width = pages.shape
        self.dtype = pages.dtype
        self.heads = heads
        self.pack = pages.dtype.itemsize
        self.frame = self.page_size * self.pack  # tokens
        self.used = False
        self._pages = pages
        self._codes = pages.view(torch.int8).view(layers, count, self.frame, heads, self.width // heads)
        self._zeros = zeros
        self._scales: Tensor | None = None

    @property
    def scale_bytes(self) -> int:
        """Of the scales beside one page of the pool."""
        return self._codes[:, 0, :, :, 0].numel() * torch.bfloat16.itemsize

    @property
    def scales(self) -> Tensor:
        """bfloat16 [layers, frames, frame, heads]"""
        if self._scales is None:
            self._scales = self._zeros(tuple(self._codes.shape[:-1]), torch.bfloat16)
            self.used = True
        return self._scales

    def write(self, layer: int, slots: Tensor, fresh: Tensor, kind: str) -> None:
        """fresh [n, 2 R] of n tokens; slots: frame * tokens a frame + place."""
        codes, scales = encode(fresh.unflatten(-1, (self.heads, -1)), kind)
        self.scales[layer].view(-1, self.heads).index_copy_(0, slots, scales)
        self._codes[layer].view(-1, self.heads, codes.shape[-1]).index_copy_(0, slots, codes)

    def read(self, layer: int, frames: Tensor, kind: str) -> Tensor:
        """[frames * tokens a frame, 2 R] in the dtype of the float pages."""
        codes = self._codes[layer].index_select(0, frames)
        scales = self.scales[layer].index_select(0, frames)
        return decode(codes, scales, kind, self.dtype).view(-1, self.width)

    def narrow(self, pages: list[int], frame: int, kind: str) -> None:
        """Float pages → the first places of a frame, which may be one of them."""
        codes, scales = encode(self._pages[:, pages].unflatten(-1, (self.heads, -1)).flatten(1, 2), kind)
        self._codes[:, frame, : codes.shape[1]] = codes
        self.scales[:, frame, : codes.shape[1]] = scales

    def widen(self, frame: int, pages: list[int], kind: str) -> None:
        """A frame → float pages; a negative number leaves its page's tokens out."""
        for place, page in enumerate(pages):
            if page >= 0:
                here = slice(place * self.page_size, (place + 1) * self.page_size)
                values = decode(self._codes[:, frame, here], self.scales[:, frame, here], kind, self.dtype)
                self._pages[:, page] = values.flatten(-2)

    def convert(self, frame: int, before: str, after: str) -> None:
        """A frame from one narrow format to another."""
        values = decode(self._codes[:, frame], self.scales[:, frame], before, torch.float32)
        codes, scales = encode(values, after)
        self._codes[:, frame] = codes
        self.scales[:, frame] = scales

    def clear(self, layer: int, slots: Tensor) -> None:
        """Zero the float pages that begin with these writes: what is left of a frame is no float."""
        begun = slots[slots % self.page_size == 0] // self.page_size
        if begun.shape[0]:
            self._pages[layer].index_fill_(0, begun, 0)
