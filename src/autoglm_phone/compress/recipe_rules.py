"""What the steps of a recipe rule out among each other, and what its format can't hold. Errors name the line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from autoglm_phone.errors import ConfigError

if TYPE_CHECKING:
    from autoglm_phone.compress.recipe import Step

CLASSIC_BITS = {"awq": (4,), "gptq": (2, 3, 4, 8)}  # what the classic formats hold


def check_order(source: str, steps: Sequence[Step]) -> None:
    """Steps that change float weights come before those that round them, and nothing fills a pattern's zeros.

    Args:
        source: the recipe's file, for messages.

    Raises:
        ConfigError: the first step that is out of place.
    """
    quantized: Step | None = None
    masked: Step | None = None
    for index, step in enumerate(steps):
        if masked is not None and step.kind != "rtn":
            # What changes float weights may come first; what rounds them may not, for the pattern needs floats itself.
            earlier = step.transforms and step.kind != "qat"
            advice = f"put {step.kind} before it" if earlier else f"use rtn instead of {step.kind}"
            raise _error(
                source,
                step.line,
                f"{step.kind} would fill the zeros of the 2:4 pattern (line {masked.line}), which only rtn keeps: "
                f"{advice}, or leave one of them out",
            )
        if step.kind == "distill" and not step.options["teacher"] and not index:
            raise _error(
                source,
                step.line,
                "distill has nothing to heal: without 'teacher' the model would learn from itself; put it after prune "
                "or share",
            )
        masked = step if step.options.get("pattern") else masked
        if not step.transforms:
            quantized = quantized or step
        elif quantized is None:
            quantized = step if step.kind == "qat" else None
        else:
            raise _error(
                source,
                step.line,
                f"{step.kind} comes after {quantized.kind} (line {quantized.line}), but it changes float weights; put "
                "it before all quantizing steps",
            )


def check_format(source: str, kind: str, steps: Sequence[Step]) -> None:
    """What the classic AWQ and GPTQ formats hold: linears of some widths, without quantized inputs.

    Raises:
        ConfigError: the first step that the format has no place for.
    """
    if kind not in CLASSIC_BITS:
        return
    allowed = CLASSIC_BITS[kind]
    for step in steps:
        if step.kind == "qat":
            raise _error(
                source,
                step.line,
                f"the classic {kind} format knows no quantized inputs, for which qat trains; use format: master",
            )
        if step.options.get("activations"):
            raise _error(
                source,
                step.line_of("activations"),
                f"the classic {kind} format knows no quantized inputs; use format: master",
            )
        bits = step.options.get("bits")
        if bits is not None and bits not in allowed:
            raise _error(
                source,
                step.line_of("bits"),
                f"the classic {kind} format holds {' or '.join(map(str, allowed))} bits, not {bits}; use format: "
                "master",
            )
        marks = [p for p in step.targets if p.text in ("embedding", "convolutions")]
        if marks:
            raise _error(
                source,
                marks[0].line,
                f"the classic {kind} format holds linears only, not {marks[0].text}; use format: master",
            )


def _error(source: str, line: int, message: str) -> ConfigError:
    return ConfigError(f"{source}:{line}: {message}", param="recipe")
