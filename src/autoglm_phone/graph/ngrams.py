"""What token followed the last few, in a request's own context and in replies that the model was taught. No tensors.

Both know a token by a number made of those before it, so a look-up takes a few hundred nanoseconds whatever the length.
Two contexts may share a number: then a guess is wrong, which costs time and never a token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

ORDER = 5  # tokens of a context at most, in a table
OWN = (4, 3, 2)  # in a request's own context; one token alone says too little of the next
_STEP, _MASK = 0x9E3779B1, (1 << 32) - 1
CHANCES = 256  # steps of a chance


def keys_of(tokens: Sequence[int], most: int) -> list[int]:
    """Numbers of the contexts that end with the last of these tokens: of one token, of two, … of `most` at most."""
    keys, key = [], 0
    for place in range(len(tokens) - 1, max(-1, len(tokens) - 1 - most), -1):
        key = ((key ^ (tokens[place] + 1)) * _STEP) & _MASK
        key ^= key >> 15
        keys.append(key)
    return keys


class NgramTable:
    """What followed in replies: the number of a context → the token that followed most often, and how often it did.

    Args:
        entries: number → token * CHANCES + chance in steps of 1 / CHANCES. order: tokens of the longest context.
    """

    def __init__(self, entries: Mapping[int, int], order: int = ORDER):
        self.entries = entries
        self.order = order

    def __len__(self) -> int:
        return len(self.entries)

    def find(self, keys: Sequence[int]) -> tuple[int, float] | None:
        """(token, chance) behind the longest known context. keys: of `keys_of`."""
        for key in reversed(keys[: self.order]):
            value = self.entries.get(key)
            if value is not None:
                token, chance = divmod(value, CHANCES)
                return token, (chance + 0.5) / CHANCES
        return None


class OwnContext:
    """A sequence's tokens so far: what came the last time behind the same ones."""

    def __init__(self) -> None:
        self._next: dict[int, int] = {}
        self._keys: list[int] = []  # of the contexts that end with the newest token
        self._seen = 0

    def follow(self, tokens: Sequence[int]) -> None:
        """Learn the tokens that came since the last call. tokens: all of the sequence's, which only grow."""
        for place in range(self._seen, len(tokens)):
            token = tokens[place]
            for key in self._keys[1:]:
                self._next[key] = token
            self._keys = keys_of(tokens[max(0, place + 1 - OWN[0]) : place + 1], OWN[0])
        self._seen = len(tokens)

    def find(self, keys: Sequence[int]) -> tuple[int, int] | None:
        """(token, length of the context) behind the longest known one. keys: of `keys_of`."""
        for length in OWN:
            if length <= len(keys):
                token = self._next.get(keys[length - 1])
                if token is not None:
                    return token, length
        return None
