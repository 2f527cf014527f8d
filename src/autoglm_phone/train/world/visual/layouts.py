"""The table of screen layouts. Layouts register themselves; some are kept for unseen test samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autoglm_phone.train.world.visual.stage import Stage

Draw = Callable[[Stage], None]


@dataclass(frozen=True)
class Layout:
    """wide: looks right in landscape and on tablets, too. unseen: kept out of training. training: drawn only there."""

    id: str
    draw: Draw
    wide: bool
    unseen: bool
    weight: float
    training: bool = False


LAYOUTS: dict[str, Layout] = {}


def layout(
    name: str, wide: bool = False, unseen: bool = False, weight: float = 1.0, training: bool = False
) -> Callable[[Draw], Draw]:
    def register(draw: Draw) -> Draw:
        LAYOUTS[name] = Layout(name, draw, wide, unseen, weight, training)
        return draw

    return register
