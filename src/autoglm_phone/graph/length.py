"""How many tokens will still come: a small regression on what the host knows, and on the probe's look at the prompt.

The target is log(1 + remaining), because errors of lengths are factors. Inputs are counts that the engine has anyway,
and what the probe's second head read from the prompt's boundary state. `LengthModel.error` carries the held-out error
beside that of a guess that knows only how long the output already is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autoglm_phone.errors import ConfigError

FEATURES = ("one", "output", "prompt", "left", "thinking", "image", "audio", "probe", "probe_left", "overdue")


@dataclass(frozen=True)
class LengthFacts:
    """output: tokens so far. max_left: tokens until max_tokens or the context's end. thinking: the thought is open.
    probe: log(1 + output tokens) that the probe expected after the prompt; None without a probe."""

    output: int
    prompt: int
    max_left: int
    thinking: bool = False
    images: int = 0
    audios: int = 0
    probe: float | None = None


def features(facts: LengthFacts) -> tuple[float, ...]:
    """Inputs of the regression, in the order of FEATURES."""
    output = math.log1p(facts.output)
    expected = facts.probe if facts.probe is not None else 0.0
    left = math.log1p(max(0.0, math.expm1(min(expected, 20.0)) - facts.output))
    return (
        1.0,
        output,
        math.log1p(facts.prompt),
        math.log1p(facts.max_left),
        float(facts.thinking),
        float(facts.images > 0),
        float(facts.audios > 0),
        expected,
        left,
        max(0.0, output - expected) if facts.probe is not None else 0.0,
    )


@dataclass(frozen=True)
class LengthModel:
    """weights: of FEATURES. longest: output tokens beyond which nothing was learned; there the guess without a model
    holds. error: held-out errors in tokens, by the names that train.probe gives them."""

    weights: tuple[float, ...]
    longest: int = 1 << 20
    error: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.weights) != len(FEATURES) or not all(math.isfinite(w) for w in self.weights):
            raise ConfigError(f"a length model needs {len(FEATURES)} finite weights, not {list(self.weights)!r}")

    def remaining(self, facts: LengthFacts) -> float:
        """Tokens still expected, between 0 and max_left."""
        if facts.output > self.longest:
            return as_long_again(facts)
        value = sum(w * x for w, x in zip(self.weights, features(facts), strict=True))
        return min(float(facts.max_left), max(0.0, math.expm1(min(value, 20.0))))

    def as_dict(self) -> dict[str, Any]:
        return {
            "features": list(FEATURES),
            "weights": list(self.weights),
            "longest": self.longest,
            "error": dict(self.error),
        }


def read_length_model(raw: Mapping[str, Any]) -> LengthModel:
    """From graph.json.

    Raises:
        ConfigError: made for other features than these.
    """
    if tuple(raw.get("features", ())) != FEATURES:
        raise ConfigError("the length model was fitted to other features; run `autoglm-phone exits probe` again")
    weights = raw.get("weights")
    if not isinstance(weights, Sequence) or not all(isinstance(w, (int, float)) for w in weights):
        raise ConfigError("the length model has no weights; run `autoglm-phone exits probe` again")
    return LengthModel(tuple(float(w) for w in weights), int(raw.get("longest", 0)), dict(raw.get("error", {})))


def as_long_again(facts: LengthFacts) -> float:
    """The guess without a model: as much again as there is already, which is the median for lengths that follow a power
    law with exponent 1 (the principle is Gott's, 1993)."""
    return min(float(facts.max_left), float(facts.output))
