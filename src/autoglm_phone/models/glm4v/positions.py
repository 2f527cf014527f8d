"""3-D M-RoPE positions of a prompt with pictures, and how they go on while tokens are generated.

Imports no tensor library beyond numpy: the scheduler may call this. Equal to transformers' `Glm4vModel.get_rope_index`.

A text token has the same position in all three axes (time, height, width). A picture whose grid is (t, h, w) patches
stands for t * h/m * w/m tokens (m: merge size, 2); its tokens have time = start + frame and height/width = start + row/
column after merging. The token after the picture starts at start + max(h, w)/m: positions grow more slowly than tokens,
so a sequence has a `delta` <= 0 and its i-th token after the prompt has position i + delta in all axes.

What a runner does:

    plan = mrope_positions(len(prompt_ids), [(item.position, item.data["grid_thw"]) for item in media])
    plan.slice(start, end)   # [3, end - start], any rows: a prefill chunk, a decode step, a recomputation
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autoglm_phone.errors import InvalidRequestError

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MRopePlan:
    """The positions of one sequence.

    prompt: [3, prompt length] int64, rows (time, height, width).
    delta: what to add to a token's index to get its position, for every token after the prompt.
    """

    prompt: Positions
    delta: int

    def slice(self, start: int, end: int) -> Positions:
        """Positions [3, end - start] of tokens [start, end) of the sequence, prompt and generated ones alike."""
        length = self.prompt.shape[1]
        inside = self.prompt[:, start : min(end, length)] if start < length else self.prompt[:, :0]
        if end <= length:
            return inside
        tail = np.arange(max(start, length), end, dtype=np.int64) + self.delta
        return np.concatenate([inside, np.broadcast_to(tail, (3, tail.size))], axis=1)


def tokens_of_grid(grid_thw: Iterable[int], merge_size: int = 2) -> int:
    """How many `<|image|>` tokens a picture of this patch grid stands for."""
    t, h, w = (int(n) for n in np.asarray(grid_thw).reshape(3))
    return t * (h // merge_size) * (w // merge_size)


def mrope_positions(length: int, images: Iterable[tuple[int, Iterable[int]]] = (), *, merge_size: int = 2) -> MRopePlan:
    """Positions of a prompt.

    Args:
        length: number of prompt tokens.
        images: (index of the first `<|image|>` token, grid (t, h, w) in patches) of each picture, in prompt order.
        merge_size: patches a token has along each side (`vision_config.spatial_merge_size`).

    Raises:
        InvalidRequestError: pictures overlap, or one does not fit into the prompt.
    """
    prompt = np.empty((3, length), dtype=np.int64)
    token = position = 0
    for start, grid in images:
        t, h, w = (int(n) for n in np.asarray(grid).reshape(3))
        rows, columns = h // merge_size, w // merge_size
        end = start + t * rows * columns
        if start < token or end > length:
            raise InvalidRequestError(
                f"a picture's tokens [{start}, {end}) overlap another picture or leave the prompt of {length} tokens; "
                "pass pictures in prompt order, one run of image tokens each"
            )
        prompt[:, token:start] = np.arange(position, position + start - token)
        position += start - token
        grids = np.meshgrid(np.arange(t), np.arange(rows), np.arange(columns), indexing="ij")
        prompt[:, start:end] = np.stack(grids).reshape(3, -1) + position
        position += max(h, w) // merge_size
        token = end
    prompt[:, token:] = np.arange(position, position + length - token)
    # transformers continues from the largest position of the prompt, which is `position` less one unless a picture
    # with more frames than rows or columns ends the prompt.
    following = int(prompt.max()) + 1 if length else 0
    return MRopePlan(prompt=prompt, delta=following - length)
