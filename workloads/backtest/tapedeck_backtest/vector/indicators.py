"""Backtrader's indicators over whole arrays, bit-identical; NaN before the first value.

Powers use Python's own function as Backtrader does, because numpy's differ from libm's in the last bit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tapedeck_backtest.bars.rolling import rolling_fsum
from tapedeck_common.store.bars import Floats

Mask = NDArray[np.bool_]


def shifted(values: Floats, count: int) -> Floats:
    """The values after ``count`` bars of NaN."""
    return np.concatenate([np.full(count, np.nan), values])


def _first(values: Floats) -> int:
    """Index of the first value. No value after it is NaN."""
    return int(np.argmax(~np.isnan(values)))


def sma(values: Floats, period: int) -> Floats:
    """Simple moving average."""
    first = _first(values)
    return shifted(rolling_fsum(values[first:], period) / period, first + period - 1)


def smoothed(values: Floats, period: int, alpha: float) -> Floats:
    """Exponential smoothing, seeded with the mean of the first ``period`` values."""
    start = _first(values) + period
    rest = 1.0 - alpha
    value = float(rolling_fsum(values[start - period : start], period)[0] / period)
    result = [value]
    for weighted in (values[start:] * alpha).tolist():
        value = value * rest + weighted
        result.append(value)
    return shifted(np.array(result), start - 1)


def ema(values: Floats, period: int) -> Floats:
    """Exponential moving average."""
    return smoothed(values, period, 2.0 / (1.0 + period))


def rsi(values: Floats, period: int) -> Floats:
    """Wilder's relative strength index; 100 without any loss, 50 without any change."""
    changes = shifted(values[1:] - values[:-1], 1)
    gains = smoothed(np.maximum(changes, 0.0), period, 1.0 / period)
    losses = smoothed(np.maximum(shifted(values[:-1] - values[1:], 1), 0.0), period, 1.0 / period)
    with np.errstate(divide="ignore", invalid="ignore"):
        strength = np.where(losses == 0.0, np.where(gains == 0.0, 1.0, np.inf), gains / losses)
    strength[np.isnan(gains)] = np.nan
    index: Floats = 100.0 - 100.0 / (1.0 + strength)
    return index


def bollinger(values: Floats, period: int, deviations: float) -> tuple[Floats, Floats]:
    """The middle and the lower Bollinger band."""
    middle = sma(values, period)
    squares = sma(_map(lambda value: value**2, values), period)
    spread = _map(lambda value: value**0.5, np.abs(squares - _map(lambda value: value**2, middle)))
    return middle, middle - deviations * spread


def _map(function: Callable[[float], float], values: Floats) -> Floats:
    return np.array([function(value) for value in values.tolist()])


def macd(values: Floats, fast: int, slow: int, signal: int) -> tuple[Floats, Floats]:
    """Moving average convergence/divergence and its signal line."""
    line = ema(values, fast) - ema(values, slow)
    return line, ema(line, signal)


def crossings(first: Floats, second: Floats) -> tuple[Mask, Mask]:
    """Masks of the bars on which ``first`` crosses above and below ``second``. Bars with equal values are skipped."""
    difference = first - second
    start = _first(difference)
    nonzero = np.where(difference != 0, np.arange(len(difference)), start)
    last_nonzero = difference[np.maximum.accumulate(np.maximum(nonzero, start))]
    previous = shifted(last_nonzero[:-1], 1)
    return (previous < 0) & (first > second), (previous > 0) & (first < second)
