"""Makes checkpoints small: recipes, calibration, quantization, file formats and the report on what it cost.

from autoglm_phone.compress import compress

compress("mini", "recipes/int4.yaml", calibration="talks.jsonl", out="runs/mini-int4")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoglm_phone.compress.recipe import Recipe

__all__ = ["compress"]


def compress(
    model: str | Path,
    recipe: str | Path | Recipe,
    calibration: str | Path | Iterable[Any] | None = None,
    *,
    out: str | Path,
    device: str = "cpu",
    max_shard_bytes: int = 1 << 30,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Compress a model as a recipe says; what `autoglm-phone compress` does. A killed call goes on when repeated.

    Args:
        model: a model folder, or "mini" for the bundled model.
        recipe: a recipe's file, its YAML as text (several lines), or one that is read already.
        calibration: a JSONL of conversations, the conversations themselves (each a list of messages, or
            {"messages": [...]}, ending with the assistant's reply), or samples that are encoded already. None: what
            the recipe says.
        out: folder for the result. device: "cpu", "cuda" or "cuda:1". max_shard_bytes: of one weight file.
        say: gets lines of progress.

    Returns:
        `out`.

    Raises:
        ConfigError, CheckpointError, NotBuiltError: before any work, if recipe, calibration, model and folder do not
            fit together. What is wrong with a recipe is named with its line.
    """
    from autoglm_phone.compress import calibrate, pipeline
    from autoglm_phone.compress import recipe as recipes
    from autoglm_phone.compress.cli import check_device

    if isinstance(recipe, str) and "\n" in recipe:
        recipe = recipes.parse(recipe)
    elif isinstance(recipe, str | Path):
        recipe = recipes.load(Path(recipe))
    check_device(device)
    samples = None
    if isinstance(calibration, str | Path):
        recipe = recipe.calibrated(path=Path(calibration))
    elif calibration is not None:
        given = list(calibration)
        pipeline.plan_for(pipeline.open_model(model), recipe)  # a recipe that can't be is refused before any encoding
        encoded = [one for one in given if isinstance(one, calibrate.Sample)]
        if len(encoded) < len(given) or not given:
            encoded = calibrate.encode(pipeline.open_model(model).folder, given, recipe.calibration)
        samples = encoded
    return pipeline.compress(
        model, recipe, Path(out), samples=samples, device=device, max_shard_bytes=max_shard_bytes, say=say
    )
