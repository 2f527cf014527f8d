"""Where compression's time goes: seconds by stage, for a benchmark that asks for them.

Nothing is measured, and no GPU is waited for, unless `recording` is on in the caller's context.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_SPENT: ContextVar[dict[str, float] | None] = ContextVar("compression_seconds", default=None)


@contextmanager
def recording() -> Iterator[dict[str, float]]:
    """The seconds of each stage that `stage` names while this lasts."""
    spent: dict[str, float] = {}
    token = _SPENT.set(spent)
    try:
        yield spent
    finally:
        _SPENT.reset(token)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """What runs in here counts under this name, and under no other: stages are not nested."""
    spent = _SPENT.get()
    if spent is None:
        yield
        return
    began = _now()
    try:
        yield
    finally:
        spent[name] = spent.get(name, 0.0) + _now() - began


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.monotonic()
