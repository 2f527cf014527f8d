"""Batches that do not depend on time: which samples a step reads follows from seed and step alone.

The trainer's usual stream takes what its workers have ready. Healing must give the same bits however often it is killed
and with however many workers, so here batches have numbers, and a timetable says which one each step reads. They are
drawn in chunks, because rows and pictures wait for their like and what is left over at a chunk's end is thrown away;
each chunk has a stretch of the world to itself, and whoever needs it can draw it again. Every chunk is read `times`
over, with other augmentation. What it costs against the usual stream: the leftovers, the chunks in hand at a kill, and
waiting for a slow worker where the usual stream would repeat a batch. On a GPU, sums whose order is left open (the
embedding's gradient among them) still differ in their last bits.
"""

from __future__ import annotations

import itertools
import logging
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from autoglm_phone.train.batches import Batch
from autoglm_phone.train.encode import Encoder
from autoglm_phone.train.feeder import Feeder
from autoglm_phone.train.mixture import KINDS, due
from autoglm_phone.train.stream import Item, WorldStream

log = logging.getLogger(__name__)
CHUNK = 4  # batches
ROOM = 1 << 20  # samples that a chunk may look at, all its lives together
PATIENCE = 2  # deaths over one chunk after which it is drawn from elsewhere: a sample that kills would kill again
Key = tuple[str, int]  # kind and number of a batch


@dataclass(frozen=True)
class Timetable:
    """plan: the kinds of each step, see `due`. times: how often each batch of a kind is read."""

    plan: tuple[str, ...]
    times: Mapping[str, int]
    rank: int = 0

    def number(self, kind: str, use: int) -> int:
        """Of the batch that is read at this use of the kind (0, 1, …): chunk after chunk, each `times` over."""
        return use // (self.times[kind] * CHUNK) * CHUNK + use % CHUNK

    def last_use(self, kind: str, number: int) -> int:
        return (number // CHUNK * self.times[kind] + self.times[kind] - 1) * CHUNK + number % CHUNK

    def uses(self, step: int) -> Counter[str]:
        """How often each kind was read before a step."""
        return Counter(kind for earlier in range(step) for kind in due(self.plan, earlier, self.rank))

    def chunks(self, step: int) -> Iterator[Key]:
        """(kind, chunk) in the order in which steps from this one on need them. Endless."""
        uses, seen = self.uses(step), set()
        for later in itertools.count(step):
            for kind in due(self.plan, later, self.rank):
                key = (kind, self.number(kind, uses[kind]) // CHUNK)
                uses[kind] += 1
                if key not in seen:
                    seen.add(key)
                    yield key


class Draws:
    """The batches of the chunks from a step on: draws(lane, lives) gives a worker its share, chunk by chunk.

    A worker that takes over from a dead one goes on with the first chunk of its lane that has not arrived whole.
    """

    def __init__(self, stream: WorldStream, timetable: Timetable, step: int):
        self.stream, self.timetable, self.step = stream, timetable, step
        self.arrived: set[Key] = set()
        self.deaths: Counter[Key] = Counter()

    def __call__(self, lane: int = 0, lives: int = 0) -> Iterator[Batch]:
        encoder = self.stream.encoder()
        for kind, chunk in self._of_lane(lane):
            yield from self._chunk(kind, chunk, encoder)

    def lost(self, lane: int) -> None:
        """The worker of this lane died: over the first chunk that is not there."""
        self.deaths[next(self._of_lane(lane))] += 1

    def _of_lane(self, lane: int) -> Iterator[Key]:
        chunks = itertools.islice(self.timetable.chunks(self.step), lane, None, self.stream.workers)
        return (key for key in chunks if not self.arrived.issuperset(_numbers(*key)))

    def _chunk(self, kind: str, chunk: int, encoder: Encoder) -> Iterator[Batch]:
        stream, life = self.stream, self.deaths[kind, chunk] // PATIENCE
        rng = random.Random(f"{stream.seed}/{stream.rank}/{kind}/{chunk}/{life}")
        place = (chunk * stream.world + stream.rank) * len(KINDS) + list(KINDS).index(kind)
        first = place * ROOM + life * (ROOM >> 4)
        pending: dict[Any, list[Item]] = {}
        ready = iter(_numbers(kind, chunk))
        key = next(ready, None)
        failures = 0
        for index in itertools.count(first):
            if key is None:
                return
            try:
                item = stream.draw(kind, index, encoder, rng)
            except Exception:
                failures += 1
                if failures > 100:
                    raise
                log.exception("sample %s of %s was left out", index, kind)
                continue
            batch = stream.gather(kind, item, pending)
            if batch is not None and batch.kind == kind:
                batch.index = key[1]
                yield batch
                key = next(ready, None)


def _numbers(kind: str, chunk: int) -> list[Key]:
    return [(kind, chunk * CHUNK + place) for place in range(CHUNK)]


class TimedFeeder(Feeder):
    """A Feeder that gives the timetable's batches in its order, whenever they arrive."""

    AHEAD = 24  # batches that may wait for their first use, unless the one that is due is not among them

    def __init__(self, loader: Iterator[Batch], device: torch.device, draws: Draws):
        self.draws = draws
        self.held: dict[Key, Batch] = {}
        self.uses = draws.timetable.uses(draws.step)
        self.starved = False
        kinds = tuple(draws.timetable.times)
        unused = dict.fromkeys(kinds, 1)
        super().__init__(loader, device, kinds, capacity=unused, reuse=dict.fromkeys(kinds, 1.0), seed=0)

    def _wanted(self, batch: Batch) -> bool:
        key = (batch.kind, batch.index)
        if key in self.draws.arrived:  # its chunk was drawn again
            return False
        self.draws.arrived.add(key)
        # A batch of the first chunk may have been done with before the run was cut.
        return self.draws.timetable.last_use(*key) >= self.uses[batch.kind]

    def _keep(self, batch: Batch) -> None:
        self.held[batch.kind, batch.index] = batch
        self.shelves[batch.kind].arrived += 1
        self.starved = False

    def _full(self) -> bool:
        return len(self.held) >= self.AHEAD and not self.starved

    def _take(self, kind: str) -> Batch | None:
        use = self.uses[kind]
        number = self.draws.timetable.number(kind, use)
        batch = self.held.get((kind, number))
        if batch is None:
            self.starved = True
            self.lock.notify_all()
            return None
        self.uses[kind] += 1
        self.shelves[kind].taken += 1
        if use == self.draws.timetable.last_use(kind, number):
            del self.held[kind, number]
        return batch
