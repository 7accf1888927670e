"""What a run comes to. Pure functions over arrays; a year has 365 days, for these markets never close.

``value`` is the account's value after each step (quote currency), ``ts`` the step's event time in
milliseconds UTC, ascending; both have one length. None means: not defined for so short a run.
"""

from __future__ import annotations

import math

import numpy as np

from tapedeck.store.bars import Floats, Ints

HOUR_MS = 3_600_000
YEAR_MS = 365 * 24 * HOUR_MS


def return_percent(start: float, final: float) -> float:
    """Total return: (final / start - 1) × 100."""
    return (final / start - 1) * 100


def max_drawdown_percent(start: float, value: Floats) -> float:
    """Largest fall from a peak: max over t of (peak_t - value_t) / peak_t × 100, peak_0 = ``start``."""
    if not len(value):
        return 0.0
    peak = np.maximum.accumulate(np.maximum(value, start))
    return float(np.max((peak - value) / peak) * 100)


def sharpe(start: float, ts: Ints, value: Floats, interval_ms: int) -> float | None:
    """Sharpe ratio, risk-free rate 0: mean / standard deviation (n - 1) of period returns × √(periods a year).

    A period is an hour (UTC), or a bar where bars are longer. A period's return runs from the last
    value of the period before (``start`` before the first) to its own; one without bars returns 0.
    None with fewer than two periods or no deviation.
    """
    if not len(value):
        return None
    period = max(HOUR_MS, interval_ms)
    # An event time on a boundary closes the period that ends there.
    index = (ts - 1) // period
    last = np.flatnonzero(np.append(index[1:] != index[:-1], True))
    closing = np.full(int(index[-1] - index[0]) + 2, np.nan)
    closing[0] = start
    closing[index[last] - index[0] + 1] = value[last]
    filled = closing[np.maximum.accumulate(np.where(np.isnan(closing), 0, np.arange(len(closing))))]
    returns = filled[1:] / filled[:-1] - 1
    if len(returns) < 2:
        return None
    deviation = float(np.std(returns, ddof=1))
    if not math.isfinite(deviation) or deviation == 0:
        return None
    return float(np.mean(returns)) / deviation * math.sqrt(YEAR_MS / period)


def win_rate_percent(pnl_net: Floats) -> float | None:
    """Share of closed trades whose profit after commission is above 0, percent."""
    return float(np.mean(pnl_net > 0) * 100) if len(pnl_net) else None


def profit_factor(pnl_net: Floats) -> float | None:
    """Sum of the winners' profits / sum of the losers' losses, after commission. None without a loss."""
    losses = -float(pnl_net[pnl_net < 0].sum())
    return float(pnl_net[pnl_net > 0].sum()) / losses if losses else None


def average_trade(pnl_net: Floats) -> float | None:
    """Mean profit of a closed trade after commission, quote currency."""
    return float(np.mean(pnl_net)) if len(pnl_net) else None


def exposure_percent(value: Floats, cash: Floats) -> float | None:
    """Share of steps that end with an open position (value other than cash), percent."""
    return float(np.mean(value != cash) * 100) if len(value) else None
