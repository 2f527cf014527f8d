"""A finished checkpoint from the work folder to where it was asked for.

Whenever a run is killed, either the work folder still holds all that a rerun needs, or the result is a whole model:
files are linked, never moved, and config.json, with which a folder is a model, comes last. What is left of the work
folder then goes, now or in the next call (`delivered`).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoglm_phone.compress.files import write_text
from autoglm_phone.errors import ConfigError

STATE, REPORT, CONFIG = "run.json", "compression.json", "config.json"


def deliver(made: Path, out: Path, work: Path, report: Mapping[str, Any]) -> Path:
    """Put a checkpoint of the work folder into `out` with its report, and remove the work folder.

    Args:
        made: a whole model folder inside `work`.
    """
    for file in sorted(made.iterdir()):
        if file.name not in (CONFIG, REPORT):
            _link(file, out / file.name)
    run = json.loads((work / STATE).read_text(encoding="utf-8"))["run"]
    write_text(out / REPORT, json.dumps({**report, "run": run}, indent=1) + "\n")
    _link(made / CONFIG, out / CONFIG)
    shutil.rmtree(work)
    return out


def delivered(out: Path, work: Path, run: str) -> bool:
    """Did this run reach its end, but for the work folder? What is left of that is removed.

    Raises:
        ConfigError: `out` holds another model, or the finished one of a run that ended as it should.
    """
    if not (out / CONFIG).exists():
        return False
    if work.exists() and _run_of(out) == run:
        shutil.rmtree(work)
        return True
    raise ConfigError(f"{out} already holds a model; remove it or choose another --out", param="out")


def _run_of(out: Path) -> str | None:
    try:
        found = json.loads((out / REPORT).read_text(encoding="utf-8")).get("run")
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None


def _link(file: Path, target: Path) -> None:
    """The same bytes under another name; a copy where the file system has no links."""
    aside = target.with_name(target.name + ".part")
    aside.unlink(missing_ok=True)
    try:
        os.link(file, aside)
    except OSError:
        shutil.copyfile(file, aside)
    aside.replace(target)
    aside.unlink(missing_ok=True)  # renaming one link to another of the same file leaves both
