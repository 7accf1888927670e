"""The equity curve as it is recorded: figures of each step, and which steps of a long run are kept.

The figures of a chunk follow from the steps before it alone, so a repeated run records the same, however it is cut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite, nan

import numpy as np

from tapedeck_backtest.report.metrics import RETURNS_MIN, Returns
from tapedeck_backtest.report.trading_days import has_return_without_bars, periods_a_year, trading_days
from tapedeck_common.records import RunEquity
from tapedeck_common.store.bars import Floats, Ints
from tapedeck_crds.session import ALWAYS_OPEN, Session

POINTS_MAX = 100_000
ROLLING = 126  # daily returns of the rolling Sharpe ratio: half a year of a market with five days a week
KEPT = 9  # of a stretch: the least and the greatest of four figures, and the last


def stride(steps: int) -> int:
    """Steps per stretch of a run of this length, so that at most about POINTS_MAX are kept; 1 keeps all."""
    return 1 if steps <= POINTS_MAX else -(-steps * KEPT // POINTS_MAX)


@dataclass
class EquityCurve:
    """``start`` is the account's value before the first step, in quote currency.

    Of each ``every`` steps those with the least and the greatest value, cash, drawdown and rolling Sharpe ratio are
    kept, and the last.
    """

    run_id: str
    start: float
    interval_ms: int
    every: int = 1
    session: Session = ALWAYS_OPEN
    _last_value: float = 0.0
    _peak: float = 0.0
    _period_close: float = 0.0  # value at the end of the last complete period
    _period: int | None = None  # number of the current trading day
    _returns: deque[float] = field(default_factory=lambda: deque(maxlen=ROLLING))
    _sharpe: float = nan

    def __post_init__(self) -> None:
        self._peak = self._period_close = self._last_value = self.start

    def extend(self, seq: int, ts: Ints, value: Floats, cash: Floats) -> RunEquity:
        """The record of steps ``seq``, ``seq``+1, …, which must follow the previous chunk without a gap."""
        before = np.concatenate(([self._last_value], value[:-1]))
        peaks = np.maximum.accumulate(np.maximum(value, self._peak))
        sharpe = self._rolling_sharpe(ts, value, before)
        self._last_value, self._peak = float(value[-1]), float(peaks[-1])
        drawdown = _percents(peaks - value, peaks)
        kept = kept_steps(seq, self.every, (value, cash, drawdown, sharpe))
        return RunEquity(
            self.run_id,
            seq,
            ts[kept].tolist(),
            value[kept].tolist(),
            cash[kept].tolist(),
            [] if self.every == 1 else kept.tolist(),
            _or_none(_percents(value - before, before)[kept]),
            _or_none(drawdown[kept]),
            _or_none(sharpe[kept]),
        )

    def _rolling_sharpe(self, ts: Ints, value: Floats, before: Floats) -> Floats:
        """For each step, the Sharpe ratio of the last ROLLING complete trading days before its own."""
        periods = trading_days(self.session, self.interval_ms, ts)
        if self._period is None:
            self._period = int(periods[0])
        result = np.full(len(ts), self._sharpe)
        for first in np.flatnonzero(np.diff(periods, prepend=self._period)).tolist():
            self._close_period(int(periods[first]), float(before[first]))
            result[first:] = self._sharpe
        return result

    def _close_period(self, next_period: int, value: float) -> None:
        """The current period ended at ``value``; the next one with bars is ``next_period``."""
        self._returns.append(value / self._period_close - 1 if self._period_close > 0 else nan)
        if has_return_without_bars(self.session, self.interval_ms):
            self._returns.extend([0.0] * min(next_period - (self._period or 0) - 1, ROLLING))
        self._period, self._period_close, self._sharpe = next_period, value, nan
        if len(self._returns) >= RETURNS_MIN:
            a_year = periods_a_year(self.session, self.interval_ms)
            rolling = Returns(np.array(self._returns), a_year).sharpe()
            self._sharpe = nan if rolling is None else rolling


def kept_steps(seq: int, every: int, figures: Sequence[Floats]) -> Ints:
    """Indices of the first step of a run, and of each stretch's last and least and greatest of each figure."""
    steps = len(figures[0])
    if every == 1:
        return np.arange(steps)
    firsts = np.arange(0, steps, every)
    kept = [np.minimum(firsts + every, steps) - 1, firsts[:1] if seq == 0 else firsts[:0]]
    for figure in figures:
        for sign in (1.0, -1.0):
            # An undefined figure is no extreme; the last stretch is filled up.
            ranked = np.full(len(firsts) * every, np.inf)
            ranked[:steps] = np.where(np.isnan(figure), np.inf, sign * figure)
            kept.append(firsts + np.argmin(ranked.reshape(-1, every), axis=1))
    return np.unique(np.concatenate(kept))


def _percents(part: Floats, whole: Floats) -> Floats:
    """part / whole × 100; NaN if whole is not positive."""
    percents: Floats = np.divide(100 * part, whole, out=np.full(len(part), nan), where=whole > 0)
    return percents


def _or_none(figures: Floats) -> list[float | None]:
    return [each if isfinite(each) else None for each in figures.tolist()]
