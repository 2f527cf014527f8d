"""Boundary states of tokens while the engine computes them for an answer: no pass is needed only to ask the exits.

With deferred depth an exit meets exactly the states that a full-depth pass has for the same tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from autoglm_phone.errors import EngineError
from autoglm_phone.runner.batch import Batch
from autoglm_phone.runner.decoder import Decoder


@dataclass
class Kept:
    """States [H] of the tokens at positions `start` and after, by depth in layers and position.

    A position that is computed again, with another token, is overwritten.
    """

    start: int
    states: dict[int, dict[int, Tensor]] = field(default_factory=dict)

    def has(self, start: int, count: int) -> bool:
        """Whether the positions from `start` on were seen at every depth."""
        return all(position in known for known in self.states.values() for position in range(start, start + count))

    def rows(self, depth: int, start: int, count: int) -> Tensor:
        """[count, H] of the positions from `start` on.

        Raises:
            EngineError: one of them did not pass this boundary.
        """
        known = self.states[depth]
        try:
            return torch.stack([known[position] for position in range(start, start + count)])
        except KeyError as error:
            raise EngineError(f"token {error.args[0]} was not seen behind layer {depth}") from error


class BoundaryWatch:
    """Keeps boundary states of the requests that it is told of."""

    def __init__(self, decoder: Decoder):
        self.decoder = decoder
        self.ends = [end for _, end in decoder.spec.segments]
        self._kept: dict[str, Kept] = {}

    def watch(self, request_id: str, kept: Kept) -> None:
        """Put the request's states into `kept`, at the depths that it has."""
        self._kept[request_id] = kept

    def forget(self, request_id: str) -> None:
        del self._kept[request_id]

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Watch the passes that run inside the block."""
        plain = self.decoder.run_batch

        def run_batch(segment: int, hidden: Tensor, batch: Batch) -> Tensor:
            hidden = plain(segment, hidden, batch)
            self._note(self.ends[segment], hidden, batch)
            return hidden

        self.decoder.run_batch = run_batch  # type: ignore[method-assign]
        try:
            yield
        finally:
            del self.decoder.run_batch

    def _note(self, depth: int, hidden: Tensor, batch: Batch) -> None:
        rows: list[int] = []
        places: list[tuple[dict[int, Tensor], int]] = []
        for placed in batch.placed:
            kept = self._kept.get(placed.state.sequence.request_id)
            if kept is None or depth not in kept.states:
                continue
            for position in range(max(placed.start, kept.start), placed.end):
                rows.append(placed.first + position - placed.start)
                places.append((kept.states[depth], position))
        if rows:
            # A copy: the next pass may write over what this one gave.
            states = hidden[torch.tensor(rows, device=hidden.device)]
            for (known, position), state in zip(places, states, strict=True):
                known[position] = state
