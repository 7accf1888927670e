"""How far a Sharpe ratio can be trusted: its standard error, and the probability that the true ratio is above another.

Sources: Lo, "The Statistics of Sharpe Ratios" (2002); Mertens, "Comments on Variance of the IID estimator in Lo (2002)"
(2002); Bailey and López de Prado, "The Sharpe Ratio Efficient Frontier" (2012) and "The Deflated Sharpe Ratio" (2014).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, variance

_NORMAL = NormalDist()
_EULER = 0.5772156649015329  # the Euler-Mascheroni constant


def standard_error(sharpe: float, skewness: float, kurtosis: float, returns: int) -> float:
    """√((1 - skewness × SR + (kurtosis - 1) / 4 × SR²) / (returns - 1)), for returns that need not be normal (Mertens).

    ``sharpe`` is that of one period, not annualised; ``kurtosis`` is 3 for normal returns.
    """
    spread = 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2
    return math.sqrt(max(spread, 0.0) / (returns - 1))


def probabilistic_sharpe(sharpe: float, error: float, benchmark: float = 0.0) -> float | None:
    """Probability that the true Sharpe ratio is above ``benchmark``: Φ((SR - benchmark) / error). None without error.

    All three are of one period, or all are annualised.
    """
    return _NORMAL.cdf((sharpe - benchmark) / error) if error > 0 else None


def expected_maximum(sharpe_variance: float, trials: int) -> float:
    """The highest Sharpe ratio to expect of this many trials without skill, given the variance of their ratios."""
    lower, upper = _NORMAL.inv_cdf(1 - 1 / trials), _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(sharpe_variance) * ((1 - _EULER) * lower + _EULER * upper)


def deflated_sharpe(sharpe: float, error: float, trials: Sequence[float]) -> float | None:
    """Probability that the best trial's true Sharpe ratio is above what the best of as many trials has by chance.

    ``trials`` are the Sharpe ratios of all trials, the best one included. None for fewer than two.
    """
    if len(trials) < 2:
        return None
    return probabilistic_sharpe(sharpe, error, expected_maximum(variance(trials), len(trials)))
