"""Learn then test: settings whose risk is below a stated bound, with a stated confidence, from a finite sample.

Angelopoulos, Bates, Candès, Jordan, Lei 2021 (arXiv:2110.01052). Every candidate setting has the null hypothesis "its
risk exceeds the bound"; a p-value that holds for finitely many independent losses in [0, 1] tests it. Testing from the
most cautious candidate on, and stopping at the first that is not rejected (fixed-sequence testing), keeps the chance of
certifying any bad one below `delta` without correction for their number. One loss a request: its tokens are not
independent of one another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

from autoglm_phone.errors import ConfigError

Method = Literal["betting", "hoeffding-bentkus", "binomial"]
Candidate = TypeVar("Candidate")
CONFIDENCE = 0.05  # delta: chance of certifying a setting that is worse than stated


def binomial_tail(k: int, n: int, p: float) -> float:
    """P(Binomial(n, p) <= k)."""
    if k >= n:
        return 1.0
    if k < 0:
        return 0.0
    log_p, log_q = math.log(p), math.log1p(-p)
    logs = [
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * log_p + (n - i) * log_q
        for i in range(k + 1)
    ]
    top = max(logs)
    return min(1.0, math.exp(top) * sum(math.exp(value - top) for value in logs))


def hoeffding_bentkus(losses: Sequence[float], bound: float) -> float:
    """Bates, Angelopoulos, Lei, Malik, Jordan 2021 (arXiv:2101.02703): the better of a Chernoff-Hoeffding and a Bentkus
    bound; of losses in [0, 1] it looks at the mean alone."""
    n = len(losses)
    mean = sum(losses) / n
    if mean >= bound:
        return 1.0
    divergence = (0.0 if mean == 0 else mean * math.log(mean / bound)) + (1 - mean) * math.log((1 - mean) / (1 - bound))
    return min(1.0, math.exp(-n * divergence), math.e * binomial_tail(math.ceil(n * mean - 1e-9), n, bound))


def betting(losses: Sequence[float], bound: float, delta: float = CONFIDENCE) -> float:
    """Waudby-Smith and Ramdas 2024 (arXiv:2010.09686): a gambler who bets, each time by what was seen before, that the
    next loss is below the bound. If the risk exceeds the bound the game is unfair to them, and by Ville's inequality
    their capital ever reaches 1/p with probability at most p. Gains from small variance, unlike the mean's bounds.

    delta tunes the bets; the p-value holds whatever it is. Losses must come in an order that does not depend on them.
    """
    n = len(losses)
    capital = best = 0.0  # logarithms
    total, squares = 0.5, 0.25  # of a made-up first loss of 1/2, so that the first bet is defined
    for seen, loss in enumerate(losses, 1):
        variance = squares / seen
        bet = min(1.0, math.sqrt(2 * math.log(1 / delta) / (n * variance)))
        capital += math.log1p(-bet * (loss - bound)) if bet * (loss - bound) < 1 else -math.inf
        best = max(best, capital)
        total += loss
        mean = total / (seen + 1)
        squares += (loss - mean) ** 2
    return math.exp(-best)


def binomial(losses: Sequence[float], bound: float) -> float:
    """Exact, for losses of 0 and 1."""
    if any(loss not in (0, 1) for loss in losses):
        raise ConfigError("the binomial test takes losses of 0 and 1; use 'betting' or 'hoeffding-bentkus'")
    return binomial_tail(int(sum(losses)), len(losses), bound)


def p_value(losses: Sequence[float], bound: float, method: Method = "betting", delta: float = CONFIDENCE) -> float:
    """Small when losses like these would be a surprise if the risk exceeded the bound.

    Raises:
        ConfigError: no losses, one outside [0, 1], or a bound outside (0, 1).
    """
    if not losses or any(not 0 <= loss <= 1 for loss in losses):
        raise ConfigError("a risk is tested on at least one loss, each between 0 and 1")
    if not 0 < bound < 1:
        raise ConfigError(f"a risk bound of {bound} makes no sense; give one between 0 and 1", param="risk")
    if method == "betting":
        return betting(losses, bound, delta)
    return hoeffding_bentkus(losses, bound) if method == "hoeffding-bentkus" else binomial(losses, bound)


def certify(
    candidates: Sequence[Candidate],
    losses: Callable[[Candidate], Sequence[float]],
    bound: float,
    *,
    delta: float = CONFIDENCE,
    method: Method = "betting",
) -> Candidate | None:
    """The least cautious candidate that passes, testing from the first on until one fails; None if the first does.

    Args:
        candidates: from the most to the least cautious, chosen without looking at the losses that test them.
        losses: of every request of the sample under a candidate.
    """
    passed = None
    for candidate in candidates:
        if p_value(losses(candidate), bound, method, delta) > delta:
            break
        passed = candidate
    return passed
