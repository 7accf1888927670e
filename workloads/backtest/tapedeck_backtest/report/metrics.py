"""Performance metrics of a run: pure functions over arrays.

``value`` is the account's value after each step (quote currency), ``ts`` the step's event time in
milliseconds UTC, ascending; both have one length. ``start`` is the value before the first step.
A result of None means that the metric is undefined, mostly because the run is too short (see report.undefined).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tapedeck_backtest.report.sharpe import probabilistic_sharpe, standard_error
from tapedeck_backtest.report.trading_days import DAY_MS, has_return_without_bars, periods_a_year, trading_days
from tapedeck_common.store.bars import Floats, Ints
from tapedeck_crds.session import Session

HOUR_MS = 3_600_000
YEAR_MS = 365 * DAY_MS
RETURNS_MIN = 30  # daily returns below which no figure is annualised
TRADES_MIN = 30  # closed trades below which there is no system quality number (Tharp)


def return_percent(start: float, final: float) -> float:
    """Total return: (final / start - 1) × 100."""
    return (final / start - 1) * 100


def cagr_percent(start: float, final: float, length_ms: int) -> float | None:
    """Compound annual growth rate: ((final / start) ^ (year of 365 days / length) - 1) × 100."""
    if final <= 0:
        return -100.0
    growth = math.log(final / start) * YEAR_MS / length_ms
    return math.expm1(growth) * 100 if growth < 100 else None


@dataclass(frozen=True)
class Returns:
    """Returns of trading days or longer bars (0.01 is 1 %), and the number of such periods per year."""

    each: Floats
    a_year: float

    def annual_percent(self) -> float | None:
        """Mean × periods per year × 100: the annual return without compounding."""
        return float(np.mean(self.each)) * self.a_year * 100 if len(self.each) else None

    def volatility_percent(self) -> float | None:
        """Standard deviation (n - 1) × √(periods per year) × 100."""
        return float(np.std(self.each, ddof=1)) * math.sqrt(self.a_year) * 100 if len(self.each) > 1 else None

    def sharpe(self) -> float | None:
        """Sharpe ratio (Sharpe 1994), risk-free rate 0: mean / standard deviation (n - 1) × √(periods per year)."""
        if len(self.each) < 2:
            return None
        return self._ratio(float(np.std(self.each, ddof=1)))

    def sortino(self) -> float | None:
        """Sortino ratio (Sortino and Price 1994), target 0: mean / √(mean of min(r, 0)²) × √(periods per year)."""
        if len(self.each) < 2:
            return None
        return self._ratio(math.sqrt(float(np.mean(np.minimum(self.each, 0) ** 2))))

    def sharpe_error(self) -> float | None:
        """Standard error of the annualised Sharpe ratio: √((1 - skewness × SR + (kurtosis - 1) / 4 × SR²) / (n - 1)).

        It holds for n returns that need not be normal (Mertens). SR in it is the ratio of one period; the result is
        multiplied by √(periods per year). Kurtosis is 3 for normal returns.
        """
        sharpe = self.sharpe()
        if sharpe is None:
            return None
        deviations = self.each - np.mean(self.each)
        second, third, fourth = (float(np.mean(deviations**power)) for power in (2, 3, 4))
        skewness, kurtosis = third / second**1.5, fourth / second**2
        scale = math.sqrt(self.a_year)
        return standard_error(sharpe / scale, skewness, kurtosis, len(self.each)) * scale

    def probabilistic_sharpe(self) -> float | None:
        """Probability that the true Sharpe ratio is above 0 (Bailey and López de Prado 2012): Φ(SR / its error)."""
        sharpe, error = self.sharpe(), self.sharpe_error()
        return None if sharpe is None or error is None else probabilistic_sharpe(sharpe, error)

    def _ratio(self, risk: float) -> float | None:
        if not math.isfinite(risk) or risk == 0:
            return None
        return float(np.mean(self.each)) / risk * math.sqrt(self.a_year)


def returns(start: float, ts: Ints, value: Floats, interval_ms: int, session: Session) -> Returns:
    """The returns of the trading days, or of bars if these are longer, from the first step's to the last's.

    A day's return runs from the last value of the day before (``start`` before the first) to its own. Empty if the
    account's value was ever 0 or less.
    """
    a_year = periods_a_year(session, interval_ms)
    if not len(value) or float(np.min(value)) <= 0:
        return Returns(np.empty(0), a_year)
    days = trading_days(session, interval_ms, ts)
    last = np.flatnonzero(np.append(days[1:] != days[:-1], True))
    closing = np.concatenate(([start], value[last]))
    each = closing[1:] / closing[:-1] - 1
    if not has_return_without_bars(session, interval_ms):
        return Returns(each, a_year)
    filled = np.zeros(int(days[-1] - days[0]) + 1)
    filled[days[last] - days[0]] = each
    return Returns(filled, a_year)


@dataclass(frozen=True)
class Drawdown:
    """A decline from a peak until the first step that reaches the peak again; times are milliseconds UTC.

    ``percent`` is relative to the peak, ``amount`` is in quote currency. If the peak is not reached again, ``end`` is
    None and the length counts to the last step.
    """

    percent: float
    amount: float
    peak: int
    trough: int
    end: int | None
    length_ms: int


def drawdowns(start: float, ts: Ints, value: Floats, interval_ms: int, count: int) -> list[Drawdown]:
    """The ``count`` deepest, deepest first: (peak_t - value_t) / peak_t × 100 with peak_0 = ``start``."""
    peaks = np.maximum.accumulate(np.maximum(value, start))
    share = (peaks - value) / peaks
    edges = np.flatnonzero(np.diff(share > 0, prepend=False, append=False))
    if not len(edges):
        return []
    firsts, ends = edges[::2], edges[1::2]
    depths = np.maximum.reduceat(share, edges[:-1] if edges[-1] == len(share) else edges)[::2]
    result = []
    for i in np.argsort(-depths, kind="stable")[:count].tolist():
        first, stop = int(firsts[i]), int(ends[i])
        trough = first + int(np.argmax(share[first:stop]))
        peak = int(ts[first - 1]) if first else int(ts[0]) - interval_ms
        end = int(ts[stop]) if stop < len(ts) else None
        amount = float(peaks[trough] - value[trough])
        length = (int(ts[-1]) if end is None else end) - peak
        result.append(Drawdown(float(depths[i] * 100), amount, peak, int(ts[trough]), end, length))
    return result


def calmar(cagr: float | None, drawdown_percent: float) -> float | None:
    """Calmar ratio (Young 1991) over the whole run: CAGR / maximum drawdown. None if either is missing or 0."""
    return cagr / drawdown_percent if cagr is not None and drawdown_percent else None


def exposure_percent(value: Floats, cash: Floats) -> float | None:
    """Percentage of steps that end with an open position (value differs from cash)."""
    return float(np.mean(value != cash) * 100) if len(value) else None


def hold_percent(closes: Iterable[tuple[float, float]]) -> float | None:
    """Return of buy-and-hold in equal parts: mean of (last close / first close - 1) × 100, without costs."""
    changes = [last / first - 1 for first, last in closes if first > 0]
    return sum(changes) / len(changes) * 100 if changes else None


def win_rate_percent(pnl_net: Floats) -> float | None:
    """Percentage of closed trades with a profit after commission."""
    return float(np.mean(pnl_net > 0) * 100) if len(pnl_net) else None


def profit_factor(pnl_net: Floats) -> float | None:
    """Gross profit / gross loss, after commission. None without a loss."""
    losses = -float(pnl_net[pnl_net < 0].sum())
    return float(pnl_net[pnl_net > 0].sum()) / losses if losses else None


def average_trade(pnl_net: Floats) -> float | None:
    """Mean profit of a closed trade after commission, quote currency.

    This equals the expectancy, win rate × average win - loss rate × average loss.
    """
    return float(np.mean(pnl_net)) if len(pnl_net) else None


def expectancy_ratio(pnl_net: Floats) -> float | None:
    """Expectancy per unit of risk (Tharp): mean profit / average loss, after commission. None without a loss."""
    losses = pnl_net[pnl_net < 0]
    return float(np.mean(pnl_net)) / -float(np.mean(losses)) if len(losses) else None


def sqn(pnl_net: Floats) -> float | None:
    """System quality number (Tharp): √n × mean profit / standard deviation (n - 1) of n closed trades' profits.

    None for fewer than 30 trades.
    """
    if len(pnl_net) < TRADES_MIN:
        return None
    deviation = float(np.std(pnl_net, ddof=1))
    return math.sqrt(len(pnl_net)) * float(np.mean(pnl_net)) / deviation if deviation else None
