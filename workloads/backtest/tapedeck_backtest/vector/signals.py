"""On which bars a strategy that Tapedeck brings would buy if it held nothing, and sell if it held something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tapedeck_backtest.bars.rolling import rolling_max, rolling_min
from tapedeck_backtest.engine.feeds import Columns
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_backtest.vector import indicators
from tapedeck_backtest.vector.indicators import Mask
from tapedeck_common.store.bars import Floats

KEPT_BYTES = 64 * 2**20  # of averages of a market, which a grid's trials share


@dataclass(frozen=True)
class Marks:
    """Bars to enter on and to leave on, and the reasons that the strategy gives."""

    enter: Mask
    leave: Mask
    enter_reason: str
    leave_reason: str


@dataclass
class Market:
    """A symbol's bars, and the averages of their closes that were asked for last."""

    columns: Columns
    _averages: dict[tuple[Any, ...], Floats] = field(default_factory=dict)

    def average(self, of: Callable[[Floats, int], Floats], period: int) -> Floats:
        """A moving average of closes."""
        key = (of, period)
        found = self._averages.pop(key, None)
        if found is None:
            found = of(self.columns.close, period)
            while self._averages and (len(self._averages) + 1) * found.nbytes > KEPT_BYTES:
                del self._averages[next(iter(self._averages))]
        self._averages[key] = found
        return found


def _cross(of: Callable[[Floats, int], Floats]) -> Callable[[Market, Any], Marks]:
    def marks(market: Market, params: Any) -> Marks:
        up, down = indicators.crossings(market.average(of, params.fast), market.average(of, params.slow))
        return Marks(up, down, "fast over slow", "fast under slow")

    return marks


def _macd(market: Market, params: Any) -> Marks:
    line = market.average(indicators.ema, params.fast) - market.average(indicators.ema, params.slow)
    up, down = indicators.crossings(line, indicators.ema(line, params.signal))
    return Marks(up, down, "over its signal", "under its signal")


def _rsi(market: Market, params: Any) -> Marks:
    strength = market.average(indicators.rsi, params.period)
    return Marks(strength < params.lower, strength > params.upper, "oversold", "overbought")


def _bollinger(market: Market, params: Any) -> Marks:
    close = market.columns.close
    middle, lower = indicators.bollinger(close, params.period, params.deviations)
    return Marks(close < lower, close > middle, "below the lower band", "above the middle")


def _donchian(market: Market, params: Any) -> Marks:
    bars, warm = market.columns, max(params.entry, params.exit)
    tops = indicators.late(rolling_max(bars.high, params.entry)[:-1], params.entry)
    bottoms = indicators.late(rolling_min(bars.low, params.exit)[:-1], params.exit)
    enter, leave = bars.close > tops, bars.close < bottoms
    enter[:warm] = leave[:warm] = False
    return Marks(enter, leave, "above the channel", "below the channel")


@dataclass(frozen=True)
class Way:
    """``marks`` of a strategy with its params, whether it ``takes`` them, and how many bars it needs for the first."""

    marks: Callable[[Market, Any], Marks]
    takes: Callable[[Any], bool]
    bars: Callable[[Any], int]


# Not buy-and-hold: it has no params to try.
WAYS: dict[type[Any], Way] = {
    BUILTINS["sma-cross"]: Way(_cross(indicators.sma), lambda p: 0 < p.fast < p.slow, lambda p: p.slow + 1),
    BUILTINS["ema-cross"]: Way(_cross(indicators.ema), lambda p: 0 < p.fast < p.slow, lambda p: p.slow + 1),
    BUILTINS["rsi"]: Way(_rsi, lambda p: p.period >= 1 and 0 <= p.lower < p.upper <= 100, lambda p: p.period + 1),
    BUILTINS["bollinger"]: Way(_bollinger, lambda p: p.period >= 2 and p.deviations > 0, lambda p: p.period),
    BUILTINS["donchian"]: Way(_donchian, lambda p: p.entry >= 1 and p.exit >= 1, lambda p: max(p.entry, p.exit) + 1),
    BUILTINS["macd"]: Way(_macd, lambda p: 0 < p.fast < p.slow and p.signal >= 1, lambda p: p.slow + p.signal),
}
