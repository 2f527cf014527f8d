"""Dense copies of contexts hold what the pages hold, whatever was appended, taken back or written elsewhere."""

from __future__ import annotations

import random

import pytest
import torch

from autoglm_phone.backends.base import ContextIdentity, DecodeGroup
from autoglm_phone.backends.contexts import DenseContexts

PAGE, WIDTH, PAGES = 4, 3, 64


class Rows:
    """Sequences that write to pages, and now and then take tokens back."""

    def __init__(self, count: int):
        self.flat = torch.zeros(PAGES, PAGE * WIDTH)
        self.tables = [list(range(i * 16, i * 16 + 16)) for i in range(count)]
        self.lengths = [5] * count
        self.cuts: list[list[int]] = [[] for _ in range(count)]
        for i in range(count):
            self.write(i, 0, 5)

    def write(self, row: int, start: int, end: int) -> torch.Tensor:
        fresh = torch.rand(end - start, WIDTH)
        for nth, position in enumerate(range(start, end)):
            page = self.tables[row][position // PAGE]
            self.flat.view(-1, WIDTH)[page * PAGE + position % PAGE] = fresh[nth]
        return fresh

    def truth(self, row: int, end: int) -> torch.Tensor:
        return self.flat[self.tables[row]].view(-1, WIDTH)[:end]

    def take_back(self, row: int, right: int) -> None:
        self.cuts[row].append(right)
        self.lengths[row] = right


@pytest.mark.parametrize("seed", range(8))
def test_copies_are_what_the_pages_hold(seed):
    dice = random.Random(seed)
    rows, contexts = Rows(3), DenseContexts(1, 2, WIDTH, PAGE, torch.float32, 1 << 16)
    for step in range(40):
        chosen = [i for i in range(3) if dice.random() < 0.95] or [0]
        starts = [rows.lengths[i] for i in chosen]
        ends = [min(start + dice.randint(1, 4), 60) for start in starts]
        if min(e - s for s, e in zip(starts, ends, strict=True)) < 1:
            break
        fresh = torch.cat([rows.write(i, s, e) for i, s, e in zip(chosen, starts, ends, strict=True)])
        if dice.random() < 0.85:  # otherwise the pass goes past the copies
            identity = ContextIdentity(
                tuple((i, 1) for i in chosen),
                tuple(ends),
                tuple(starts),
                tuple((len(rows.cuts[i]), rows.cuts[i]) for i in chosen),
            )

            def pages(count: int, chosen: list[int] = chosen) -> torch.Tensor:
                return torch.tensor([(rows.tables[i] * 2)[:count] for i in chosen]).reshape(-1)  # padded

            group = DecodeGroup(0, fresh.shape[0], max(ends), None, -(-max(ends) // PAGE), pages, identity)
            layers = 1 if dice.random() < 0.1 else 2  # a pass that fails reaches the first layer only
            for layer in range(layers):
                read = contexts.read(0, layer, group, rows.flat, fresh)
                assert read is not None
                for place, (i, end) in enumerate(zip(chosen, ends, strict=True)):
                    assert torch.equal(read[place, :end], rows.truth(i, end)), (step, layer, i)
        for i, start, end in zip(chosen, starts, ends, strict=True):
            rows.lengths[i] = end
            while dice.random() < 0.5 and rows.lengths[i] - start > 1:
                rows.take_back(i, dice.randint(start + 1, rows.lengths[i]))
    assert contexts.appends > 0
