"""Live memory of an engine while it runs: what is there at the fullest moments of each step.

A step has two: when the towers of its new requests ran, and when its rows went through the decoder. What shares memory
takes turns in them, so the sum of each part's own peak would be of a moment that never was.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from autoglm_phone.engine.core import Engine
from autoglm_phone.runner.model_runner import ModelRunner
from autoglm_phone.runner.weights import weight_bytes


class Live(NamedTuple):
    """Bytes of decoder weights with the buffers that they are read into, of loaded towers, and of owned pages."""

    decoder: int
    towers: int
    pages: int


@contextmanager
def watch(engine: Engine, runner: ModelRunner, *, narrow: bool = False) -> Iterator[list[Live]]:
    """A list that grows while the block runs, two entries a step.

    narrow: pages are of a byte a number, and have scales beside them.
    """
    seen: list[Live] = []
    store, pool = runner.towers.store, engine.pool
    page = runner.page_bytes + (runner.decoder.pages.narrow.scale_bytes if narrow else 0)

    def look() -> None:
        used = pool.num_pages - pool.num_free
        seen.append(Live(weight_bytes(runner.decoder.weights), store.peak_bytes, used * page))
        store.peak_bytes = store.loaded_bytes

    def prepare(sequence: Any) -> None:
        try:
            ModelRunner.prepare(runner, sequence)
        finally:
            look()

    def execute(rows: Any, steering: Any) -> Any:
        runner.rest()
        store.peak_bytes = store.loaded_bytes  # what went with it was seen before
        try:
            return ModelRunner.execute(runner, rows, steering)
        finally:  # pages are only added inside, and given back after it
            look()

    store.peak_bytes = store.loaded_bytes
    runner.prepare, runner.execute = prepare, execute  # type: ignore[method-assign]
    try:
        yield seen
    finally:
        del runner.prepare, runner.execute
