"""Entry and exit signals of the built-in strategies: bars on which they would buy if flat, and sell if long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tapedeck_backtest.bars.arrays import BarArrays
from tapedeck_backtest.bars.rolling import rolling_max, rolling_min
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_backtest.vector import indicators
from tapedeck_backtest.vector.indicators import Mask
from tapedeck_common.store.bars import Floats

CACHE_BYTES = 64 * 2**20  # of averages per symbol, shared by the trials of a grid


@dataclass(frozen=True)
class Signals:
    """Masks of the bars to enter and to exit on, and the reasons that the strategy gives for its orders."""

    enter: Mask
    exit: Mask
    enter_reason: str
    exit_reason: str


@dataclass
class VectorSeries:
    """One symbol's bars with a cache of its averages, which evicts the least recently used."""

    columns: BarArrays
    _averages: dict[tuple[Any, ...], Floats] = field(default_factory=dict)

    def average(self, function: Callable[[Floats, int], Floats], period: int) -> Floats:
        """``function`` of the closes and the period, computed or from the cache."""
        key = (function, period)
        average = self._averages.pop(key, None)
        if average is None:
            average = function(self.columns.close, period)
            while self._averages and (len(self._averages) + 1) * average.nbytes > CACHE_BYTES:
                del self._averages[next(iter(self._averages))]
        self._averages[key] = average
        return average


def _crossover(average: Callable[[Floats, int], Floats]) -> Callable[[VectorSeries, Any], Signals]:
    def signals(series: VectorSeries, params: Any) -> Signals:
        fast, slow = series.average(average, params.fast), series.average(average, params.slow)
        above, below = indicators.crossings(fast, slow)
        return Signals(above, below, "fast over slow", "fast under slow")

    return signals


def _macd(series: VectorSeries, params: Any) -> Signals:
    line = series.average(indicators.ema, params.fast) - series.average(indicators.ema, params.slow)
    above, below = indicators.crossings(line, indicators.ema(line, params.signal))
    return Signals(above, below, "over its signal", "under its signal")


def _rsi(series: VectorSeries, params: Any) -> Signals:
    strength = series.average(indicators.rsi, params.period)
    return Signals(strength < params.lower, strength > params.upper, "oversold", "overbought")


def _bollinger(series: VectorSeries, params: Any) -> Signals:
    close = series.columns.close
    middle, lower = indicators.bollinger(close, params.period, params.deviations)
    return Signals(close < lower, close > middle, "below the lower band", "above the middle")


def _donchian(series: VectorSeries, params: Any) -> Signals:
    bars, min_period = series.columns, max(params.entry, params.exit)
    tops = indicators.shifted(rolling_max(bars.high, params.entry)[:-1], params.entry)
    bottoms = indicators.shifted(rolling_min(bars.low, params.exit)[:-1], params.exit)
    enter, leave = bars.close > tops, bars.close < bottoms
    enter[:min_period] = leave[:min_period] = False
    return Signals(enter, leave, "above the channel", "below the channel")


@dataclass(frozen=True)
class VectorStrategy:
    """The vectorised form of a built-in strategy.

    ``accepts`` says whether it accepts the params; ``min_bars`` is how many bars it needs for its first signal.
    """

    signals: Callable[[VectorSeries, Any], Signals]
    accepts: Callable[[Any], bool]
    min_bars: Callable[[Any], int]


# Without buy-and-hold, which has no params to search.
VECTOR_STRATEGIES: dict[type[Any], VectorStrategy] = {
    BUILTINS["sma-cross"]: VectorStrategy(
        _crossover(indicators.sma), lambda p: 0 < p.fast < p.slow, lambda p: p.slow + 1
    ),
    BUILTINS["ema-cross"]: VectorStrategy(
        _crossover(indicators.ema), lambda p: 0 < p.fast < p.slow, lambda p: p.slow + 1
    ),
    BUILTINS["rsi"]: VectorStrategy(
        _rsi, lambda p: p.period >= 1 and 0 <= p.lower < p.upper <= 100, lambda p: p.period + 1
    ),
    BUILTINS["bollinger"]: VectorStrategy(_bollinger, lambda p: p.period >= 2 and p.deviations > 0, lambda p: p.period),
    BUILTINS["donchian"]: VectorStrategy(
        _donchian, lambda p: p.entry >= 1 and p.exit >= 1, lambda p: max(p.entry, p.exit) + 1
    ),
    BUILTINS["macd"]: VectorStrategy(
        _macd, lambda p: 0 < p.fast < p.slow and p.signal >= 1, lambda p: p.slow + p.signal
    ),
}
