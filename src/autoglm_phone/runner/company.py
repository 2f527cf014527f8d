"""Depth grouping: tokens that go deeper wait for one another behind the first segment, for a few steps at most.

The deeper segments read their weights once for all that come at the same time. How many are worth waiting for says
`graph.controller.best_company`; that the batch goes on without those who wait is DREX's rebatching.
A token that waits is in no other state than one that finds no room in a step's budget: its boundary state is kept, and
its sequence's next row enters there.
"""

from __future__ import annotations

from collections.abc import Sequence

from autoglm_phone.runner.lane import Lane

PATIENCE = 8  # steps that a token waits at most


class Company:
    """One step's.

    Args:
        size: sequences that should go on together; 1: nobody waits. lanes: of the step.

    Attributes:
        resting: those who waited when the step began go on waiting.
    """

    def __init__(self, size: int, lanes: Sequence[Lane]):
        self.size = size
        self.resting = False
        self._waiting = [lane for lane in lanes if lane.row.first == 1]

    def gather(self, lanes: Sequence[Lane], room: int, bytes_per_row: int) -> list[Lane]:
        """Those of the lanes at the first boundary who have to wait in this step: all who would go on, or none.

        Args:
            room: bytes that waiting states may still take.
        """
        if self.size <= 1:
            return []
        asking = [lane for lane in lanes if lane.complete and not lane.left and lane.sequence.cap > 1]
        patient = all(lane.state.waited < PATIENCE for lane in self._waiting)
        few = len(self._waiting) + len(asking) < self.size
        fits = sum(lane.end - lane.start for lane in asking) * bytes_per_row <= room
        self.resting = patient and few and fits
        for lane in self._waiting:
            lane.state.waited = lane.state.waited + 1 if self.resting else 0
        if not self.resting:
            return []
        # One whose earlier states were not kept has to begin again, and does so now.
        return [lane for lane in asking if lane.state.pending.covers(1, lane.frontiers[1], lane.start)]
