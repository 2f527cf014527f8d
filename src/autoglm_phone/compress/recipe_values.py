"""What single values of a recipe may be. Each function returns what is wrong with one in words, or None."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from autoglm_phone.compress.calibrate import GRADIENTS, KINDS
from autoglm_phone.compress.formats.packing import BITS

MEASURED = "measured"  # instead of numbers for `weights`
MIXED = KINDS[:3]  # what the world's samples may be drawn of
# Least and most of an option, where they are not 0 and infinity.
_LIMITS: dict[str, tuple[float, float]] = {
    "damping": (0, 1),  # of the mean of the Hessian's diagonal
    "compensate": (0, 1),  # share of the earlier layers' error that a layer makes good
    "points": (1, 1000),
    "block": (1, math.inf),
    "iterations": (1, math.inf),
    "batch": (1, math.inf),
    "batches": (0.01, 100),
    "top_k": (1, math.inf),
}


def is_whole(value: Any, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_number(value: Any, least: float = 0.0) -> bool:
    """A finite one, of either type."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= least


def option_fault(name: str, value: Any, default: Any, words: Sequence[str] | None = None) -> str | None:
    """Of an option of a step; its type is that of its default, None for bits and group sizes.

    Args:
        words: what a text may be; None: any name.
    """
    if name == "bits":
        known = value == "auto" or (is_whole(value) and value in BITS)
        return None if known else f"bits must be one of {', '.join(map(str, BITS))} or auto, not {value!r}"
    if name == "group_size":
        sizes = value if isinstance(value, list) else [value]
        known = bool(sizes) and all(size == "row" or is_whole(size, 8) for size in sizes)
        return None if known else f"group_size must be a number of at least 8, 'row', or a list, not {value!r}"
    if name == "activations":
        known = is_whole(value) and value in (0, 8)
        return None if known else f"activations must be 8, or 0 for floats, not {value!r}"
    if isinstance(default, str):
        if isinstance(value, str) and (words is None or value in words):
            return None
        return f"{name} must be {' or '.join(word for word in words or ('a name',) if word)}, not {value!r}"
    if isinstance(default, bool):
        return None if isinstance(value, bool) else f"{name} must be true or false, not {value!r}"
    least, most = _LIMITS.get(name, (0, math.inf))
    whole = isinstance(default, int)
    if (is_whole(value) if whole else is_number(value)) and least <= value <= most:
        return None
    span = f"from {least:g} to {most:g}" if most < math.inf else f"of at least {least:g}"
    return f"{name} must be a {'whole number' if whole else 'number'} {span}, not {value!r}"


def calibration_fault(name: str, value: Any) -> str | None:
    """Of an entry of `calibration`."""
    if name == "weights" and value == MEASURED:
        return None
    if name in ("mix", "weights"):
        kinds = MIXED if name == "mix" else KINDS
        if not isinstance(value, Mapping) or set(value) - set(kinds) or not value:
            measured = f", or is '{MEASURED}'" if name == "weights" else ""
            return f"{name} maps {', '.join(kinds)} to numbers{measured}"
        if not all(is_number(share) for share in value.values()):
            return f"{name} holds numbers that are not negative"
        return None if any(value.values()) else f"{name} is 0 for everything, so nothing would be measured"
    if name in ("samples", "max_tokens"):
        return None if is_whole(value, 1) else f"{name} must be a whole number above 0, not {value!r}"
    if name == "seed":
        return None if is_whole(value) else f"seed must be a whole number that is not negative, not {value!r}"
    if name == "answer_weight":
        return None if is_number(value) else f"answer_weight must be a number that is not negative, not {value!r}"
    if name == "gradients":
        return None if value in ("", *GRADIENTS) else f"gradients must be one of {', '.join(GRADIENTS)}"
    return None if isinstance(value, str) and value else f"{name} must be the name of a file, not {value!r}"


def choices_fault(value: Any) -> str | None:
    """Of `choices`, the bits among which a budget chooses."""
    if isinstance(value, list) and value and all(is_whole(bits) and bits in BITS for bits in value):
        return None
    return f"choices must be a list of some of {', '.join(map(str, BITS))}, not {value!r}"
