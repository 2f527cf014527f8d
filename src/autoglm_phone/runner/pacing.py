"""What a step's pieces cost here and now, and the controllers that judge by it."""

from __future__ import annotations

import time

import torch

from autoglm_phone.graph.ahead import AheadController
from autoglm_phone.graph.controller import CostTable, seed
from autoglm_phone.graph.costs import SegmentCosts
from autoglm_phone.graph.drafting import DraftController
from autoglm_phone.graph.exits import Experience
from autoglm_phone.graph.gate import ExitGate
from autoglm_phone.graph.lookup import LookupController


class Pacing:
    """costs: of each pass, by rows. drafting, ahead, lookup, draft_lookup, gate: when drafts, writing ahead, guesses
    from n-grams (behind tokens of `confidence`, behind drafts) and exits pay. experience: what requests that are over
    found at their exits. passes: seconds of all of them so far.

    Args:
        device: "cpu" or "cuda".
    """

    def __init__(self, num_segments: int, device: str):
        self._num_segments = num_segments
        self._device = device
        self._start: CostTable | None = None
        self.costs = SegmentCosts()
        self.passes = 0.0
        self.drafting = DraftController(num_segments, self.costs)
        self.ahead = AheadController(num_segments, self.costs, self.drafting)
        self.lookup = LookupController(self.costs)
        self.draft_lookup = LookupController(self.costs)
        self.gate = ExitGate(num_segments, self.costs)
        self.experience = Experience()

    def clock(self) -> float:
        """Seconds, for what the controllers compare. Where one thread computes, its own: other processes on the core
        make every choice slower, not this one."""
        alone = self._device == "cpu" and torch.get_num_threads() == 1
        return time.thread_time() if alone else time.perf_counter()

    def note(self, part: int, rows: int, seconds: float) -> None:
        """What a pass took. Not on a GPU, which works on while the host's clock has stopped: there the costs stay what
        they were at start, measured with the device waited for."""
        if self._device == "cpu":
            self.passes += seconds
            self.costs.note(part, rows, seconds)

    def learn(self, table: CostTable) -> None:
        """What passes cost, measured at start."""
        self._start = table
        seed(self.costs, table)

    def forget(self) -> None:
        """Begin again with what the costs are and what pays, as after a start (whoever holds them keeps them)."""
        self.costs.clear()
        if self._start is not None:
            seed(self.costs, self._start)
        self.drafting.forget()
        self.ahead.forget()
        self.lookup.forget()
        self.draft_lookup.forget()
        self.gate = ExitGate(self._num_segments, self.costs)
        self.experience = Experience()
