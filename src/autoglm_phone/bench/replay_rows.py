"""Rows of the passes to come, worked out while the device computes the one before.

Between a read at a boundary and the next pass the device waits for the host. What is read only says which lanes are in
that pass, so the rows of all that might be are there already, and the host picks. No tensors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autoglm_phone.backends.cuda_graphs import FIRST_ROW, DecodeRows
from autoglm_phone.errors import EngineError

Ints = npt.NDArray[np.int64]
_PLACE, _SLOT, _POSITION, _LENGTH = range(4)  # columns of rows


@dataclass(frozen=True)
class _Prepared:
    """Rows of lanes in a segment. rank: of each lane among them, -1: not there. counts, ends: rows of each, and up to
    its end. rows: [rows, 4]. lanes: of each row."""

    rank: Ints
    counts: Ints
    ends: Ints
    rows: Ints
    lanes: Ints


class RowSource:
    """Args:
    tables: [lanes, segments, P] pages. page_size: tokens of one.
    frontiers: [lanes, segments] tokens that each segment has processed; kept by the caller.
    span: rows of the state arena for each lane; its tokens take them in turn.
    axes: of positions, 3 for M-RoPE: all the same here.
    """

    def __init__(self, tables: Ints, page_size: int, frontiers: Ints, span: int, axes: int):
        self._frontiers = frontiers
        self._span, self._page_size, self._axes = span, page_size, axes
        self._tables = [np.ascontiguousarray(tables[: len(frontiers), segment]) for segment in range(tables.shape[1])]
        self._all = np.arange(len(frontiers))
        self._first = FIRST_ROW + self._all * span
        self._entering = np.zeros((len(frontiers), 4), dtype=np.int64)
        self._prepared: dict[int, _Prepared] = {}

    def prepare(self, segment: int, lanes: Ints) -> None:
        """The newest tokens of all lanes but those of a pass that goes to `segment` may enter next; `lanes` may go on
        there. Raises EngineError: a lane's rows of the arena are all taken."""
        if int((self._frontiers[:, 0] - self._frontiers[:, -1]).max()) > self._span:
            raise EngineError(f"a lane's {self._span} rows of the state arena are all taken")
        self._fill(0, self._all, self._frontiers[:, 0], self._entering)
        self._prepared.clear()
        if segment < len(self._tables):
            self._prepared[segment] = self._work_out(segment, lanes)

    def renew(self, lane: int, position: int) -> None:
        """Another request began in this lane; its next token is at this position."""
        page, offset = divmod(position, self._page_size)
        place = FIRST_ROW + lane * self._span + position % self._span
        slot = int(self._tables[0][lane, page]) * self._page_size + offset
        self._entering[lane] = place, slot, position, position + 1

    def enter(self, lanes: Ints, tokens: Ints) -> tuple[DecodeRows, Ints]:
        """The next token of each lane for the first segment; (rows, each lane's last row)."""
        rows = self._entering.take(lanes, axis=0)
        return self._decode_rows(0, lanes, rows, tokens), self._all[: len(lanes)]

    def follow(self, segment: int, lanes: Ints) -> tuple[DecodeRows, Ints]:
        """What of the lanes waits before a deeper segment; (rows, each lane's last row)."""
        known = self._prepared.get(segment)
        if known is None or (known.rank[lanes] < 0).any():
            known = self._work_out(segment, lanes)
        if len(lanes) == len(known.counts):
            owners, rows, ends = known.lanes, known.rows, known.ends
        else:
            kept = np.zeros(len(known.counts), dtype=bool)
            kept[known.rank[lanes]] = True
            chosen = np.repeat(kept, known.counts)
            owners, rows, ends = known.lanes[chosen], known.rows[chosen], known.counts[kept].cumsum()
        return self._decode_rows(segment, owners, rows, rows[:, _PLACE]), ends - 1

    def _work_out(self, segment: int, lanes: Ints) -> _Prepared:
        end = self._frontiers[lanes, segment - 1]
        counts = end - self._frontiers[lanes, segment]
        ends = counts.cumsum()
        total = int(ends[-1]) if len(ends) else 0
        owners = np.repeat(lanes, counts)
        rows = np.empty((total, 4), dtype=np.int64)
        self._fill(segment, owners, np.arange(total) - np.repeat(ends - end, counts), rows)
        rank = np.full(len(self._all), -1)
        rank[lanes] = self._all[: len(lanes)]
        return _Prepared(rank, counts, ends, rows, owners)

    def _fill(self, segment: int, lanes: Ints, position: Ints, into: Ints) -> None:
        """into: [n, 4]"""
        page = position // self._page_size
        into[:, _PLACE] = self._first[lanes] + position % self._span
        into[:, _SLOT] = self._tables[segment][lanes, page] * self._page_size + position - page * self._page_size
        into[:, _POSITION] = position
        into[:, _LENGTH] = position + 1

    def _decode_rows(self, segment: int, lanes: Ints, rows: Ints, sources: Ints) -> DecodeRows:
        position = rows[:, _POSITION]
        return DecodeRows(
            sources=sources,
            places=rows[:, _PLACE],
            slots=rows[:, _SLOT],
            positions=position if self._axes == 1 else position[None],
            tables=self._tables[segment].take(lanes, axis=0),
            lengths=rows[:, _LENGTH],
        )
