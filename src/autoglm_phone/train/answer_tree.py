"""All answers that a request can get under different exit thresholds, each computed once.

Full depth's greedy continuation of a prefix, and what every exit would have said at each of its tokens, make a branch.
Under some thresholds the answer follows a branch up to the first token that leaves early with another word than full
depth's; from there it follows the branch behind that word. Thresholds that diverge alike share their branches, and
thresholds under which nothing diverges need none but the first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

Prefix = tuple[int, ...]
MOST_FORKS = 12  # of one answer; one that leaves full depth's words more often is not followed to its end


@dataclass(frozen=True)
class Branch:
    """tokens: full depth's greedy continuation, the stop token included. confidence, said: per exit depth and token,
    its top-1 probability and its token."""

    tokens: Prefix
    confidence: Mapping[int, Sequence[float]]
    said: Mapping[int, Sequence[int]]


@dataclass(frozen=True)
class Followed:
    """An answer under thresholds. layers: mean of its tokens. complete: False if it was given up."""

    tokens: Prefix
    layers: float
    complete: bool = True


@dataclass(frozen=True)
class Wanted:
    """A branch that has to be computed. guess: what the branch that it leaves says behind the same place."""

    prefix: Prefix
    guess: Prefix


@dataclass
class AnswerTree:
    """stops: tokens that end an answer. longest: tokens of an answer at most. full: layers at full depth."""

    stops: Collection[int]
    longest: int
    full: int
    branches: dict[Prefix, Branch] = field(default_factory=dict)

    def ended(self, prefix: Prefix) -> bool:
        """Nothing comes behind this prefix."""
        return bool(prefix) and (prefix[-1] in self.stops or len(prefix) >= self.longest)

    def follow(self, thresholds: Mapping[int, float]) -> Followed | Wanted:
        """The answer under these thresholds, or the branch that has to be computed first."""
        prefix: Prefix = ()
        guess: Prefix = ()
        order = sorted(thresholds)
        layers = forks = 0
        while True:
            branch = self.branches.get(prefix)
            if branch is None:
                return Wanted(prefix, guess)
            for place, token in enumerate(branch.tokens):
                depth = next((d for d in order if branch.confidence[d][place] >= thresholds[d]), self.full)
                layers += depth
                if depth != self.full and branch.said[depth][place] != token:
                    prefix = (*prefix, *branch.tokens[:place], branch.said[depth][place])
                    guess = branch.tokens[place + 1 :]
                    break
            else:
                prefix = (*prefix, *branch.tokens)
                return Followed(prefix, layers / max(1, len(prefix)))
            forks += 1
            if self.ended(prefix) or forks == MOST_FORKS:
                return Followed(prefix, layers / len(prefix), self.ended(prefix))

    def first_other(self, depth: int) -> Wanted | None:
        """What the answer at this fixed depth begins with: full depth's up to the first token at which the exit says
        another, and that token. None if all agree."""
        root = self.branches[()]
        for place, (token, said) in enumerate(zip(root.tokens, root.said[depth], strict=True)):
            if said != token:
                return Wanted((*root.tokens[:place], said), root.tokens[place + 1 :])
        return None
