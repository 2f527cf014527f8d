"""Whether a recipe can meet its budget, from shapes alone. What to spend it on is measured in `sensitivity`."""

from __future__ import annotations

from autoglm_phone.compress.plan import CompressionPlan
from autoglm_phone.compress.recipe import Recipe


def check_budget(recipe: Recipe, plan: CompressionPlan) -> None:
    """With the fewest bits that the recipe may choose, the model must fit its budget.

    Raises:
        ConfigError: it does not; names the line.
    """
    budget = recipe.budget_bytes(plan.float_bytes)
    least = min(recipe.choices)
    size = plan.num_bytes - sum(
        made.spec.num_bytes - made.with_bits(least).spec.num_bytes for made in plan.modules.values() if made.auto
    )
    if budget is not None and size > budget:
        how = f"with {least} bits wherever they are auto" if any(m.auto for m in plan.modules.values()) else "as it is"
        raise recipe.error(
            recipe.line_of("budget"),
            f"the budget of {budget / 1e6:.1f} MB can't be met: {how}, the recipe takes {size / 1e6:.1f} MB",
        )
