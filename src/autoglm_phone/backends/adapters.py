"""Low-rank adapters beside the weights: y = W x + B A x, with another pair (A, B) for each row or none, in one pass.

The base's product runs once over all rows; then each adapter that has rows among them adds its own two products to
these, through views where the rows are neighbours. Rows without an adapter are never touched.

Gathering a pair for each row, as Punica (arXiv 2310.18547) and S-LoRA (arXiv 2311.03285) do, needs a kernel of its own
to pay: as PyTorch's index_select and bmm on a CPU core it took two to three times as long for 16 rows of 2 or 4
adapters, and as long for 2 to 4 rows. One product with all adapters at once, what is not a row's own masked, took as
long for 16 rows of 4 adapters and longer for fewer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

NONE = -1  # the number of rows without an adapter


@dataclass(frozen=True, eq=False)
class LowRank:
    """The adapters of one linear (fused ones included), by number: A [in, r], and B [r, out] with the adapter's factor
    in it; None where it leaves this linear alone."""

    pairs: tuple[tuple[Tensor, Tensor] | None, ...]

    @property
    def nbytes(self) -> int:
        return sum(a.nbytes + b.nbytes for pair in self.pairs if pair is not None for a, b in (pair,))


class AdapterRows:
    """Which rows of a pass belong to which adapter. Made once a pass, for all its linears.

    Args:
        runs: (first, end, number) of neighbouring rows, all rows of the pass in order; NONE: no adapter.
    """

    def __init__(self, runs: Iterable[tuple[int, int, int]], device: torch.device):
        self._device = device
        self._numbers = [number for first, end, number in runs for _ in range(first, end)]
        by_number: dict[int, list[int]] = {}
        for row, number in enumerate(self._numbers):
            if number != NONE:
                by_number.setdefault(number, []).append(row)
        self._groups = [(number, self._select(rows)) for number, rows in sorted(by_number.items())]
        self._among: dict[tuple[tuple[int, int], ...], AdapterRows] = {}

    def among(self, ranges: Sequence[tuple[int, int]]) -> AdapterRows:
        """The same rows where only those of these [first, end) were taken, one range behind the other."""
        key = tuple(ranges)
        if key not in self._among:
            numbers = [number for first, end in key for number in self._numbers[first:end]]
            self._among[key] = AdapterRows(runs_of(numbers), self._device)
        return self._among[key]

    def add(self, low: LowRank | None, x: Tensor, y: Tensor) -> None:
        """y [T, out] += what each row's adapter makes of x [T, in]; in place."""
        if low is None:
            return
        for number, rows in self._groups:
            pair = low.pairs[number]
            if pair is None:
                continue
            a, b = pair
            if rows is None:
                y.addmm_(torch.mm(x, a), b)
            elif isinstance(rows, slice):
                y[rows].addmm_(torch.mm(x[rows], a), b)
            else:
                y.index_add_(0, rows, torch.mm(torch.mm(x.index_select(0, rows), a), b))

    def _select(self, rows: list[int]) -> slice | Tensor | None:
        """None for all rows of the pass; neighbours as a slice, as views cost next to nothing."""
        if len(rows) == len(self._numbers):
            return None
        if rows[-1] - rows[0] + 1 == len(rows):
            return slice(rows[0], rows[-1] + 1)
        return torch.tensor(rows, dtype=torch.long, device=self._device)


def runs_of(numbers: Sequence[int]) -> list[tuple[int, int, int]]:
    """(first, end, number) of each run of equal numbers."""
    runs, first = [], 0
    for number, group in groupby(numbers):
        end = first + sum(1 for _ in group)
        runs.append((first, end, number))
        first = end
    return runs


@dataclass(frozen=True)
class SegmentAdapters:
    """What a pass through one segment needs. layers: per layer, the adapters of its linears by the field of
    LayerWeights (`qkv`, `out`, `gate_up`, `down`) or, with `cross_` before it, of CrossWeights (`q`, `out`)."""

    rows: AdapterRows
    layers: Sequence[Mapping[str, LowRank]]

    def add(self, layer: int, part: str, x: Tensor, y: Tensor) -> None:
        """y += adapters of x, in place. layer: counts within the segment."""
        self.rows.add(self.layers[layer].get(part), x, y)

    def add_among(self, layer: int, part: str, ranges: Sequence[tuple[int, int]], x: Tensor, y: Tensor) -> None:
        """`add`, where x and y hold only these rows of the pass."""
        self.rows.among(ranges).add(self.layers[layer].get(part), x, y)
