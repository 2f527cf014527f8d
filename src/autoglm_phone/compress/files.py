"""Files of finished units in a work folder: written aside and renamed, so that a killed run leaves whole files only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor


def write_tensors(path: Path, tensors: Mapping[str, Tensor], losses: Mapping[str, Any]) -> None:
    """Tensors with their losses in the metadata."""
    aside = path.with_suffix(".part")
    plain = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    if len({tensor.data_ptr() for tensor in plain.values()}) < len(plain):  # safetensors refuses shared memory
        plain = {name: tensor.clone() for name, tensor in plain.items()}
    save_file(plain, aside, metadata={"format": "pt", "losses": json.dumps(dict(losses))})
    aside.replace(path)


class BackgroundWriter:
    """`write_tensors` in a thread of its own, one file after another in the order given, none but one in waiting.

    A file that can't be written ends the run at the next `put` or at the end. Used as a context, which waits for all.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="unit-files")
        self._last: Future[None] | None = None

    def __enter__(self) -> BackgroundWriter:
        return self

    def __exit__(self, *failure: object) -> None:
        self._pool.shutdown(wait=True)
        if self._last is not None and failure[0] is None:
            self._last.result()

    def put(self, path: Path, tensors: Mapping[str, Tensor], losses: Mapping[str, Any]) -> None:
        """The tensors are the writer's from here on: nobody may change them."""
        self.wait()
        self._last = self._pool.submit(write_tensors, path, tensors, losses)

    def wait(self) -> None:
        """Until every file that was put is there."""
        if self._last is not None:
            last, self._last = self._last, None
            last.result()


def write_text(path: Path, text: str) -> None:
    aside = path.with_name(path.name + ".part")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def readable(path: Path) -> bool:
    """Is it there, and whole?"""
    try:
        with safe_open(path, framework="pt"):
            return True
    except (OSError, SafetensorError):
        return False


def note_of(path: Path) -> dict[str, Any]:
    """The losses that `write_tensors` was given."""
    with safe_open(path, framework="pt") as file:
        made: dict[str, Any] = json.loads(file.metadata()["losses"])
        return made
