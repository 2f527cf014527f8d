"""Rows of a pass through a segment → what the backend needs to know of them, as explicit arguments.

What does not depend on the segment is made once a pass; the rest is page numbers. Index arithmetic is numpy or, for a
token a row, plain integers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from autoglm_phone.backends.adapters import NONE, AdapterRows
from autoglm_phone.backends.base import Backend, CrossGroup, NarrowRows, SegmentMeta
from autoglm_phone.runner.layout import Layout, PassFacts
from autoglm_phone.runner.placed import FEW, Ints, Placed, positions
from autoglm_phone.runner.spec import DecoderSpec


class Batch:
    """The metadata of a pass, per segment on demand."""

    def __init__(self, placed: Sequence[Placed], spec: DecoderSpec, backend: Backend, page_size: int):
        self.placed = placed
        self.spec = spec
        self.device = backend.device
        self.page_size = page_size
        self.rotary = backend.rotary(
            torch.from_numpy(positions(placed, 3 if spec.mrope_section else 1)).to(self.device)
        )
        self.cross = self._cross()
        self._facts = PassFacts(placed, spec, backend.device, backend.dtype, page_size)
        self._viewed = [p for p in placed if p.keeping[0] in (1, 2)]
        self._narrow = any(p.keeping[1] is not None for p in placed)
        self._slides = bool(spec.sliding_layers) and any(p.end > spec.sliding_window for p in placed)
        self._layouts: dict[tuple[int | None, bytes], Layout] = {}
        self._adapter_rows: AdapterRows | None = None
        # Per sequence: its page and the place in it of its only token, or those of all its tokens.
        self._where: list[tuple[int, int] | list[tuple[int, int]] | tuple[Ints, Ints]] = []
        for p in placed:
            size = self._facts.page_tokens(p)
            if p.count == 1:
                self._where.append(divmod(p.start, size))
            elif p.count <= FEW:
                self._where.append([divmod(at, size) for at in range(p.start, p.end)])
            else:
                where = np.arange(p.start, p.end)
                self._where.append((where // size, where % size))

    @property
    def adapted(self) -> bool:
        """Some rows' requests have an adapter."""
        return any(p.state.sequence.request.adapter is not None for p in self.placed)

    def adapter_rows(self, numbers: Mapping[str, int]) -> AdapterRows | None:
        """Which rows belong to which adapter; made once. numbers: of the adapters, by name."""
        if self._adapter_rows is None and self.adapted:
            runs = [
                (p.first, p.first + p.count, numbers.get(p.state.sequence.request.adapter or "", NONE))
                for p in self.placed
            ]
            self._adapter_rows = AdapterRows(runs, self.device)
        return self._adapter_rows

    def segment(self, index: int) -> SegmentMeta:
        """The pass as this segment sees it (its pages differ from other segments')."""
        slots = self._slots(index)
        written: list[NarrowRows] = []
        plain = None
        if self._narrow:
            slots, plain, written = self._split(slots)
        full = self._layout(index, None).plan(index, written, plain)
        window = self._layout(index, self.spec.sliding_window).plan(index, written, plain) if self._slides else None
        return SegmentMeta(self._tensor(slots), full, window, self.rotary, self.cross)

    def _slots(self, segment: int) -> Ints:
        """int64 [T]: where each row's keys and values are written, page (or frame) * its tokens + place."""
        last = self.placed[-1]
        slots = np.empty(last.first + last.count, dtype=np.int64)
        for p, where in zip(self.placed, self._where, strict=True):
            size = self._facts.page_tokens(p)
            if isinstance(where, list):
                table = p.state.sequence.page_tables[segment]
                slots[p.first : p.first + p.count] = [table[page] * size + place for page, place in where]
                continue
            page, place = where
            if isinstance(page, int):
                slots[p.first] = p.state.sequence.page_tables[segment][page] * size + place
            else:
                slots[p.first : p.first + p.count] = p.state.pages(segment)[page] * size + place
        return slots

    def _split(self, slots: Ints) -> tuple[Ints, torch.Tensor, list[NarrowRows]]:
        """(slots of the rows in the backend's own format, these rows, the others by format)"""
        wide: list[Ints] = []
        narrow: dict[str, list[Ints]] = {}
        for p in self.placed:
            rows = np.arange(p.first, p.first + p.count)
            (wide if p.keeping[1] is None else narrow.setdefault(p.keeping[1], [])).append(rows)
        plain = _joined(wide)
        written = []
        for kind, parts in narrow.items():
            rows = _joined(parts)
            written.append(NarrowRows(kind, self._tensor(rows), self._tensor(slots[rows])))
        return slots[plain], self._tensor(plain), written

    def _tensor(self, values: Ints) -> torch.Tensor:
        return torch.from_numpy(values).to(self.device)

    def _layout(self, segment: int, window: int | None) -> Layout:
        """Made once for all segments in which the same pages were given back."""
        gaps = b""
        if self._viewed:
            gaps = b"".join((p.state.pages(segment) < 0).tobytes() + b"|" for p in self._viewed)
        key = (window, gaps)
        if key not in self._layouts:
            self._layouts[key] = Layout(self._facts, segment, window)
        return self._layouts[key]

    def _cross(self) -> list[CrossGroup]:
        groups = []
        for p in self.placed:
            if p.state.memory is not None:
                group = p.state.memory.group(p.first, p.start, p.end, self.device)
                if group is not None:
                    groups.append(group)
        return groups


def _joined(parts: Sequence[Ints]) -> Ints:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
