"""Exit thresholds and depth bars for a stated risk, from what a model did on held-out requests. No tensors.

Token exits follow CALM (Schuster et al. 2022, arXiv:2207.07061): one dial moves all exits' thresholds together, here an
error budget a candidate gives to each exit, turned into thresholds on requests that do not test it; `graph.risk` then
tests the candidates. Three risks can be stated:

- `token`: the expected share of a request's tokens that differ from what full depth would have said in their place.
- `answer`: the probability that any of them does.
- `score`: the probability that an answer which full depth gets right becomes wrong, as its checker judges the answer
  that really comes out. Words that differ and do not matter cost nothing.

Planned depths are certified likewise, with the loss in the answer's score as their risk.

By group. A mean over all requests can hide a group that does worse, so each group of requests that can be told apart
before anything runs gets thresholds of its own, tested on its own requests alone: the group-conditional ("Mondrian")
form of Vovk, Gammerman, Shafer 2005 (Algorithmic Learning in a Random World, section 4.5), with learn-then-test in each
group. Testing G groups at delta / G each (Bonferroni) makes all bounds hold together with probability 1 - delta; the
risk of any mixture of the groups is a mean of theirs, so it keeps the bound too, whatever the mixture.
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from autoglm_phone.errors import ConfigError
from autoglm_phone.graph.risk import CONFIDENCE, Method, certify

Measure = Literal["token", "answer", "score"]
MEASURES: tuple[Measure, ...] = ("token", "answer", "score")
TUNE_SHARE = 1 / 3  # of the requests makes candidates; how many are left to test them decides what can be certified
BUDGETS = tuple(1e-4 * 1.18**i for i in range(52))  # errors an exit may make per token of output: 0.01 % … 46 %
BARS = tuple(1 - 0.002 * 1.07**i for i in range(88))  # probability that a depth suffices: 0.998 … 0.28


@dataclass(frozen=True)
class Exits:
    """A request as its exits saw it: per depth below the full one, for each output token of full depth."""

    confidence: Mapping[int, Sequence[float]]  # top-1 probability
    agrees: Mapping[int, Sequence[bool]]  # its token is full depth's greedy one

    @property
    def num_tokens(self) -> int:
        return len(next(iter(self.confidence.values()), ()))


@dataclass(frozen=True)
class Outcome:
    """What thresholds do to a request: its loss, and the mean layers a token."""

    loss: float
    depth: float


def outcome(request: Exits, thresholds: Mapping[int, float], full: int, measure: Measure = "token") -> Outcome:
    """Each token leaves at the first exit whose confidence reaches its threshold, else runs to `full` layers."""
    order = sorted(thresholds)
    wrong = layers = 0
    for token in range(request.num_tokens):
        depth = next((d for d in order if request.confidence[d][token] >= thresholds[d]), full)
        layers += depth
        wrong += depth != full and not request.agrees[depth][token]
    count = request.num_tokens
    if count == 0:
        return Outcome(0.0, float(full))
    return Outcome(wrong / count if measure == "token" else float(wrong > 0), layers / count)


def thresholds_for_budgets(
    requests: Sequence[Exits], depths: Iterable[int], budgets: Sequence[float]
) -> list[dict[int, float]]:
    """For each budget and depth, the least confidence above which the exit's errors stay below `budget` per output
    token of the sample. A depth that never is that good is left out."""
    out: list[dict[int, float]] = [{} for _ in budgets]
    for depth in depths:
        pairs = sorted(
            ((c, a) for r in requests for c, a in zip(r.confidence[depth], r.agrees[depth], strict=True)), reverse=True
        )
        steps: list[tuple[int, float]] = []  # (errors at or above a confidence, it), one for each distinct confidence
        errors = 0
        for index, (confidence, agrees) in enumerate(pairs):
            errors += not agrees
            if index + 1 == len(pairs) or pairs[index + 1][0] < confidence:  # a threshold can't split equal ones
                steps.append((errors, confidence))
        counts = [count for count, _ in steps]
        for thresholds, budget in zip(out, budgets, strict=True):
            passing = bisect.bisect_right(counts, budget * len(pairs))
            if passing:
                thresholds[depth] = steps[passing - 1][1]
    return out


def split(items: Sequence[Any], seed: int, share: float = 0.5) -> tuple[list[Any], list[Any]]:
    """(to tune on, to test on), shuffled."""
    order = list(items)
    random.Random(seed).shuffle(order)
    cut = round(len(order) * share)
    return order[:cut], order[cut:]


@dataclass(frozen=True)
class Certified:
    """thresholds: by depth. On the requests that tested them: mean loss, layers a token, and their number."""

    thresholds: dict[int, float]
    loss: float
    depth: float
    requests: int


def calibrate_exits(
    requests: Sequence[Exits],
    depths: Sequence[int],
    full: int,
    risk: float,
    *,
    seed: int = 0,
    measure: Measure = "token",
    delta: float = CONFIDENCE,
    method: Method = "betting",
    others: Sequence[Exits] = (),
) -> Certified | None:
    """Thresholds whose risk is at most `risk` with probability 1 - delta over the draw of the sample.

    Returns None when the sample is too small, or the exits too poor, to certify any early exit.

    Args:
        others: requests of other groups that make the candidates, so that all of `requests` can test them: candidates
            need only be a path from cautious to careless, and where on it a group may stand is its own tests' business.
            Without them a third of `requests` makes the candidates.

    Raises:
        ConfigError: fewer than two requests.
    """
    if len(requests) < 2:
        raise ConfigError("calibration needs at least two requests, and hundreds to certify a small risk")
    tune, test = split(requests, seed, 0.0 if others else TUNE_SHARE)
    candidates = thresholds_for_budgets(others or tune, depths, BUDGETS)
    distinct = [c for i, c in enumerate(candidates) if c and (i == 0 or c != candidates[i - 1])]
    found = certify(
        distinct,
        lambda thresholds: [outcome(r, thresholds, full, measure).loss for r in test],
        risk,
        delta=delta,
        method=method,
    )
    if found is None:
        return None
    results = [outcome(r, found, full, measure) for r in test]
    loss = sum(r.loss for r in results) / len(results)
    depth = sum(r.depth for r in results) / len(results)
    return Certified(found, loss, depth, len(test))


def calibrate_dials(
    outcomes: Mapping[float, Sequence[Outcome]],
    depths: Sequence[int],
    risk: float,
    *,
    delta: float = CONFIDENCE,
    method: Method = "binomial",
) -> Certified | None:
    """One confidence for all exits, from what the answers under some of them really lost; None if none is certified.

    outcomes: by confidence, of every request. The confidences must have been fixed before the requests were seen.

    Raises:
        ConfigError: there are no outcomes.
    """
    if not outcomes or not all(outcomes.values()):
        raise ConfigError("these records hold no answers under thresholds; make them again in a new --out")
    found = certify(
        sorted(outcomes, reverse=True),
        lambda dial: [o.loss for o in outcomes[dial]],
        risk,
        delta=delta,
        method=method,
    )
    if found is None:
        return None
    rows = outcomes[found]
    loss, depth = (sum(values) / len(rows) for values in ((o.loss for o in rows), (o.depth for o in rows)))
    return Certified(dict.fromkeys(depths, found), loss, depth, len(rows))


@dataclass(frozen=True)
class Depths:
    """A request at fixed depths. probabilities: the probe's, that each depth is the least sufficient one; values: the
    answer's score in [0, 1] at each depth."""

    probabilities: Mapping[int, float]
    values: Mapping[int, float]


def choose_depth(probabilities: Mapping[int, float], bar: float) -> int:
    """The least depth that suffices with a probability of at least `bar`; the deepest if none does."""
    total = 0.0
    for depth in sorted(probabilities):
        total += probabilities[depth]
        if total >= bar:
            return depth
    return max(probabilities)


def depth_loss(request: Depths, bar: float) -> float:
    """How much of full depth's score the chosen depth loses."""
    values = request.values
    return max(0.0, values[max(values)] - values[choose_depth(request.probabilities, bar)])


def calibrate_bar(
    requests: Sequence[Depths], risk: float, *, delta: float = CONFIDENCE, method: Method = "betting"
) -> float | None:
    """The lowest bar whose expected loss of score is at most `risk` with probability 1 - delta; None if none is.

    `requests` must be other ones than those the probe was trained on, in an order that does not depend on them.
    """
    return certify(BARS, lambda bar: [depth_loss(r, bar) for r in requests], risk, delta=delta, method=method)
