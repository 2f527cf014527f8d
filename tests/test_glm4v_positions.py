"""M-RoPE positions against transformers' get_rope_index, in chunks and while decoding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Glm4vConfig
from transformers.models.glm4v.modeling_glm4v import Glm4vModel as TheirModel

from autoglm_phone.errors import InvalidRequestError
from autoglm_phone.models.glm4v.positions import mrope_positions, tokens_of_grid

# A prompt as (text tokens before the picture, grid in merged rows and columns) pairs, then a tail of text.
PROMPTS = st.tuples(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 7), st.integers(1, 7)), max_size=4), st.integers(0, 9)
).filter(lambda prompt: bool(prompt[0]) or prompt[1] > 0)


class Rope:
    """Just enough of transformers' model to call its position arithmetic: no weights."""

    config = Glm4vConfig()
    get_rope_index = TheirModel.get_rope_index
    get_vision_position_ids = TheirModel.get_vision_position_ids


def layout(prompt: tuple[list[tuple[int, int, int]], int]) -> tuple[list[int], list[tuple[int, list[int]]]]:
    """(token types, images as mrope_positions takes them) of a generated prompt."""
    types: list[int] = []
    images = []
    for before, rows, columns in prompt[0]:
        types += [0] * before
        images.append((len(types), [1, 2 * rows, 2 * columns]))
        types += [1] * (rows * columns)
    return types + [0] * prompt[1], images


@settings(deadline=None, max_examples=60)
@given(PROMPTS, st.integers(0, 5), st.data())
def test_against_transformers(
    prompt: tuple[list[tuple[int, int, int]], int], generated: int, data: st.DataObject
) -> None:
    types, images = layout(prompt)
    grids = torch.tensor([grid for _, grid in images]) if images else None
    kinds = torch.tensor([types])
    theirs, delta = Rope().get_rope_index(kinds, kinds, image_grid_thw=grids)
    plan = mrope_positions(len(types), images)
    assert np.array_equal(plan.prompt, theirs[:, 0].numpy())
    assert plan.delta == int(delta)
    # Any chunk of prompt and generated tokens: transformers decodes at index + delta in all axes.
    total = len(types) + generated
    tail = np.broadcast_to(np.arange(len(types), total) + int(delta), (3, generated))
    whole = np.concatenate([theirs[:, 0].numpy(), tail], axis=1)
    start = data.draw(st.integers(0, total))
    end = data.draw(st.integers(start, total))
    assert np.array_equal(plan.slice(start, end), whole[:, start:end])


def test_image_geometry() -> None:
    """Time stands still, rows and columns count, the next token starts after the longer side."""
    plan = mrope_positions(12, [(3, (1, 4, 6))])
    assert plan.prompt[0].tolist() == [0, 1, 2, 3, 3, 3, 3, 3, 3, 6, 7, 8]
    assert plan.prompt[1].tolist() == [0, 1, 2, 3, 3, 3, 4, 4, 4, 6, 7, 8]
    assert plan.prompt[2].tolist() == [0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7, 8]
    assert plan.delta == -3
    assert plan.slice(11, 14).tolist() == [[8, 9, 10]] * 3


def test_text_only_is_one_dimensional() -> None:
    plan = mrope_positions(5)
    assert plan.delta == 0
    assert plan.slice(0, 7).tolist() == [list(range(7))] * 3


def test_tokens_of_grid() -> None:
    assert tokens_of_grid((1, 172, 78)) == 3354
    assert tokens_of_grid(np.array([[2, 4, 6]])) == 12


@pytest.mark.parametrize("images", [[(0, (1, 4, 4)), (2, (1, 4, 4))], [(8, (1, 4, 4))]])
def test_misplaced_pictures_are_refused(images: list[tuple[int, tuple[int, int, int]]]) -> None:
    with pytest.raises(InvalidRequestError, match="overlap"):
        mrope_positions(10, images)
