"""What a family's processor makes of a picture or a clip, and where it stands in the prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from autoglm_phone.engine.request import MediaItem
from autoglm_phone.errors import InvalidRequestError

Kind = Literal["image", "audio"]


@dataclass(frozen=True)
class Processed:
    """A medium ready for its tower.

    data: dict of numpy arrays, read by the runner alone.
    num_tokens: how many media tokens stand for it in the prompt.
    content_hash: SHA-256 of the processed content, kind and shape included.
    """

    kind: Kind
    data: Any
    num_tokens: int
    content_hash: str


class Processor(Protocol):
    """One family's preprocessing. Stateless."""

    def image(self, picture: Image.Image, /) -> Processed: ...

    def audio(self, samples: npt.NDArray[np.float32], /) -> list[Processed]: ...


def place_media(
    prompt_ids: Sequence[int], media: Sequence[Processed], token_ids: Mapping[Kind, int | None]
) -> tuple[tuple[int, ...], tuple[MediaItem, ...]]:
    """Widen the template's one token a medium to `num_tokens`, and say where each medium stands.

    Args:
        prompt_ids: the rendered prompt, one media token for each medium, in the order of `media`.
        token_ids: the token of each kind (`ModelFacts.media_token_ids`).

    Raises:
        InvalidRequestError: the prompt's media tokens and the media differ in number or kind.
    """
    kinds = {token: kind for kind, token in token_ids.items() if token is not None}
    ids: list[int] = []
    items: list[MediaItem] = []
    for token in prompt_ids:
        kind = kinds.get(token)
        if kind is None:
            ids.append(token)
            continue
        medium = media[len(items)] if len(items) < len(media) else None
        if medium is None or medium.kind != kind:
            raise InvalidRequestError(
                f"the prompt has a place for {kind} {len(items) + 1} but the request has "
                f"{'no more media' if medium is None else f'{medium.kind} there'}; "
                "send media as parts, not as special tokens in the text"
            )
        items.append(MediaItem(kind, medium.content_hash, len(ids), medium.num_tokens, medium.data))
        ids.extend([token] * medium.num_tokens)
    if len(items) != len(media):
        raise InvalidRequestError(
            f"the request has {len(media)} media but the prompt has places for {len(items)}; "
            "this model's chat template dropped some"
        )
    return tuple(ids), tuple(items)
