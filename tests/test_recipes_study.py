"""`benchmarks/recipes.py`: options reach the training steps alone, and the table says what is certain."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from autoglm_phone.compress import recipe
from autoglm_phone.compress.quality_tables import Change, Row
from autoglm_phone.errors import ConfigError

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import recipes


def test_options_reach_the_training_steps_of_native_models() -> None:
    made = recipes.changed(recipe.load(recipes.RECIPES / "pruned.yaml"), {"steps": 7, "batches": 0.5})
    native, public = (step for step in made.steps if step.kind == "distill")
    assert (native.options["steps"], native.options["batches"]) == (7, 0.5)
    assert isinstance(native.options["steps"], int)
    assert public.options["steps"] == 100, "that step is for another family"
    assert made.steps[0].options == recipe.load(recipes.RECIPES / "pruned.yaml").steps[0].options


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"distill has no step$"):
        recipes.changed(recipe.load(recipes.RECIPES / "pruned.yaml"), {"step": 7})
    with pytest.raises(ConfigError, match="name=number"):
        recipes.read_options("steps=many")
    assert recipes.read_options("steps=4,batches=0.5") == {"steps": 4.0, "batches": 0.5}


def test_only_what_is_certain_is_bold() -> None:
    def row(low: float, high: float) -> Row:
        return Row("arith", 100, Change(0.9, 0.88, low, high), 3, 1, 0.9)

    assert recipes.points(row(-0.05, 0.01)) == "−2.0 [−5.0, +1.0]"
    assert recipes.points(row(-0.05, -0.01)) == "**−2.0 [−5.0, −1.0]**"
