"""Statistics of series of closes: pure functions over arrays. Times are milliseconds UTC of a bar's open."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tapedeck_common.store.bars import Floats, Ints
from tapedeck_crds.intervals import DAY_MS, BarLength
from tapedeck_crds.session import Session

YEAR_DAYS, TRADING_YEAR_DAYS, TRADING_WEEK_DAYS = 365, 252, 5
COMMON_MIN = 3  # returns below which a pair has no correlation


@dataclass(frozen=True)
class ClosePrices:
    """The closes of one symbol's bars, by their opens, in order."""

    ts: Ints
    close: Floats


def log_returns(close: Floats) -> Floats:
    """The logarithmic return of each close from the one before, without those of a price of 0 or below."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.diff(np.log(close))
    return found[np.isfinite(found)]


def changes(close: Floats) -> list[float | None]:
    """The change of each close from the one before, 0.01 being 1 %; None for the first and after one of 0 or below."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = close[1:] / close[:-1] - 1
    return [None, *(float(each) if before > 0 else None for each, before in zip(found, close[:-1], strict=True))][
        : len(close)
    ]


def volatility(returns: Floats) -> float | None:
    """The standard deviation (n - 1) of returns; None of fewer than two."""
    return float(np.std(returns, ddof=1)) if len(returns) > 1 else None


def periods_of_year(length: BarLength, session: Session) -> float:
    """How many bars a year has: of 365 days, or of the session's days, five days a week being 252 a year."""
    if session.is_continuous:
        return YEAR_DAYS * DAY_MS / length.ms
    days = YEAR_DAYS if len(session.days) == 7 else TRADING_YEAR_DAYS * len(session.days) / TRADING_WEEK_DAYS
    return days * (session.length_ms / length.ms if length.ms < DAY_MS else DAY_MS / length.ms)


def annualised(deviation: float | None, length: BarLength, session: Session) -> float | None:
    """A deviation of one bar's return as that of a year's."""
    return None if deviation is None else deviation * math.sqrt(periods_of_year(length, session))


def correlation(series: Sequence[ClosePrices]) -> tuple[list[list[float | None]], list[list[int]]]:
    """Pearson's correlation of the logarithmic returns of each pair, and the number of these returns.

    Returns are those between the times that both have. None of fewer than COMMON_MIN, of prices of 0 or below, and
    where one of both does not vary.
    """
    size = len(series)
    matrix: list[list[float | None]] = [[None] * size for _ in range(size)]
    counts = [[0] * size for _ in range(size)]
    for i, mine in enumerate(series):
        for j, other in enumerate(series[: i + 1]):
            _, of_mine, of_other = np.intersect1d(mine.ts, other.ts, assume_unique=True, return_indices=True)
            counts[i][j] = counts[j][i] = max(0, len(of_mine) - 1)
            matrix[i][j] = matrix[j][i] = _pearson(mine.close[of_mine], other.close[of_other])
    return matrix, counts


def _pearson(mine: Floats, other: Floats) -> float | None:
    if len(mine) <= COMMON_MIN or min(mine.min(), other.min()) <= 0:
        return None
    a, b = np.diff(np.log(mine)), np.diff(np.log(other))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(min(1.0, max(-1.0, np.corrcoef(a, b)[0, 1])))
