"""Backtrader's indicators over whole arrays, bit for bit: NaN where it has no value yet.

Where it calls Python's own functions so does this: numpy's powers differ from libm's in the last bit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tapedeck_backtest.bars.rolling import rolling_fsum
from tapedeck_common.store.bars import Floats

Mask = NDArray[np.bool_]


def late(values: Floats, before: int) -> Floats:
    """The values behind ``before`` bars that have none."""
    return np.concatenate([np.full(before, np.nan), values])


def _first(values: Floats) -> int:
    """Index of the first value; nothing is missing behind it."""
    return int(np.argmax(~np.isnan(values)))


def sma(values: Floats, period: int) -> Floats:
    """Simple moving average."""
    first = _first(values)
    return late(rolling_fsum(values[first:], period) / period, first + period - 1)


def smoothed(values: Floats, period: int, alpha: float) -> Floats:
    """Exponential smoothing that starts at the mean of the first ``period`` values."""
    start = _first(values) + period
    rest = 1.0 - alpha
    each = float(rolling_fsum(values[start - period : start], period)[0] / period)
    line = [each]
    for part in (values[start:] * alpha).tolist():
        each = each * rest + part
        line.append(each)
    return late(np.array(line), start - 1)


def ema(values: Floats, period: int) -> Floats:
    """Exponential moving average."""
    return smoothed(values, period, 2.0 / (1.0 + period))


def rsi(values: Floats, period: int) -> Floats:
    """Wilder's relative strength index; 100 where nothing fell, 50 where nothing moved."""
    moves = late(values[1:] - values[:-1], 1)
    ups = smoothed(np.maximum(moves, 0.0), period, 1.0 / period)
    falls = smoothed(np.maximum(late(values[:-1] - values[1:], 1), 0.0), period, 1.0 / period)
    with np.errstate(divide="ignore", invalid="ignore"):
        strength = np.where(falls == 0.0, np.where(ups == 0.0, 1.0, np.inf), ups / falls)
    strength[np.isnan(ups)] = np.nan
    index: Floats = 100.0 - 100.0 / (1.0 + strength)
    return index


def bollinger(values: Floats, period: int, deviations: float) -> tuple[Floats, Floats]:
    """Middle and lower band."""
    middle = sma(values, period)
    squares = sma(_each(lambda value: value**2, values), period)
    spread = _each(lambda value: value**0.5, np.abs(squares - _each(lambda value: value**2, middle)))
    return middle, middle - deviations * spread


def _each(of: Callable[[float], float], values: Floats) -> Floats:
    return np.array([of(value) for value in values.tolist()])


def macd(values: Floats, fast: int, slow: int, signal: int) -> tuple[Floats, Floats]:
    """Moving average convergence/divergence and its signal line."""
    line = ema(values, fast) - ema(values, slow)
    return line, ema(line, signal)


def crossings(first: Floats, second: Floats) -> tuple[Mask, Mask]:
    """Where ``first`` comes above and below ``second``, as masks; times at which both are equal are passed over."""
    apart = first - second
    start = _first(apart)
    at = np.where(apart != 0, np.arange(len(apart)), start)
    last = apart[np.maximum.accumulate(np.maximum(at, start))]
    before = late(last[:-1], 1)
    return (before < 0) & (first > second), (before > 0) & (first < second)
