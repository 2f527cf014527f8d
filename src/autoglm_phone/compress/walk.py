"""Calibration samples on their way through a model: unit after unit, with the model's own states in front of each.

What the caller does to a unit's module counts: the states go on through the module as it is then. One unit is in
memory at a time. `back` is the same way in the other direction, for gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from autoglm_phone.compress.calibrate import Sample
from autoglm_phone.compress.plan import EMBEDDING, HEAD
from autoglm_phone.compress.timing import stage
from autoglm_phone.compress.units import Architecture, Source, State, Unit, forward, move, num_bytes
from autoglm_phone.compress.waiting import WaitingStates


@dataclass
class Visit:
    """A unit with its weights in float32, and the state of every sample in front of it.

    room: bytes of the states behind it that may stay on the device.
    """

    unit: Unit
    source: Source
    states: list[State]
    device: torch.device
    room: int = 0
    _module: nn.Module | None = field(default=None, repr=False)
    _after: list[State] | None = field(default=None, repr=False)

    @property
    def module(self) -> nn.Module:
        """Read when it is first asked for."""
        if self._module is None:
            with stage("reading"):
                self._module = self.source.load(self.unit, self.device, torch.float32)
        return self._module

    def after(self) -> list[State]:
        """The states behind the unit; computed once, and the module is let go with that."""
        if self._after is None:
            module = self.module
            with stage("forward"):
                self._after = forward(self.unit, module, self.states, self.device, room=self.room)
            self._module = None
        return self._after


def walk(
    architecture: Architecture,
    source: Source,
    samples: Sequence[Sample],
    device: torch.device,
    *,
    head: bool = False,
    room: int = 0,
) -> Iterator[Visit]:
    """Every unit in order; the output head only if asked for, and nothing goes through it.

    Args:
        room: bytes of states that may stay on the device between units.
    """
    done: dict[str, list[State]] = {}
    for chain in architecture.stages():
        states = chain.begin(samples, done)
        if sum(map(num_bytes, states)) <= room:
            states = [move(state, device) for state in states]
        for unit in chain.units:
            visit = Visit(unit, source, states, device, room)
            if unit.name != HEAD:
                yield visit
                states = visit.after()
            elif head:
                yield visit
        done[chain.name] = [move(state, torch.device("cpu")) for state in states]


def back(
    architecture: Architecture,
    source: Source,
    samples: Sequence[Sample],
    device: torch.device,
    *,
    folder: Path | None = None,
    room: int | None = None,
) -> Iterator[Visit]:
    """The decoder's units from the output head to the one behind the embedding.

    The states in front of all of them wait for it, in memory up to a limit and then in files (`waiting`).

    Args:
        folder: for the files. room: bytes of waiting states in memory, instead of the limit there.
    """
    units = {unit.name for unit in architecture.stages()[-1].units} - {EMBEDDING}
    passed: list[Unit] = []
    with WaitingStates(folder, room) as waiting:
        for visit in walk(architecture, source, samples, device, head=True):
            if visit.unit.name in units:
                waiting.put(visit.states)
                passed.append(visit.unit)
        visit = None  # type: ignore[assignment]  # its states wait, too
        while passed:
            yield Visit(passed.pop(), source, waiting.take(), device)


class Passed(NamedTuple):
    """Gradients in front of a unit: of the hidden states [1, S, H], and by this unit alone of the memory [1, M, H] that
    its cross-attention reads; None where nothing depends on them."""

    hidden: Tensor | None
    memory: Tensor | None


def differentiate(visit: Visit, state: State, gradient: Tensor | None, generator: torch.Generator | None) -> Passed:
    """The gradients in front of a unit for one sample, given the hidden states' behind it; of Σ log p(y) at the head.

    y is drawn from the model itself at every predicting position; without a generator it is the reply's own token. A
    side unit, which leaves the hidden state alone, passes on what it got. Gradients of the module's own outputs are
    there for hooks that retain them.
    """
    here = move(state, visit.device)
    here["hidden"] = here["hidden"].detach().requires_grad_()
    if here.get("memory") is not None:
        here["memory"] = here["memory"].detach().requires_grad_()  # so that its keys and values get gradients
    with torch.enable_grad():
        made = visit.unit.run(visit.module, here)
        if visit.unit.name == HEAD:
            logits = made["logits"][0]
            if generator is None:
                read = here["ids"][0, here["predict"] + 1][:, None]
            else:
                read = torch.multinomial(logits.detach().softmax(-1), 1, generator=generator)
            logits.log_softmax(-1).gather(1, read).sum().backward()
        elif "hidden" in made and gradient is not None:
            made["hidden"].backward(gradient.to(visit.device))
    own: Tensor | None = here["hidden"].grad
    memory: Tensor | None = None if here.get("memory") is None else here["memory"].grad
    return Passed(gradient if own is None else own.cpu(), None if memory is None else memory.cpu())
