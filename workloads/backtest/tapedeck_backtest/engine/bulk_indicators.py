"""Backtrader's commonest indicators over a range by whole arrays, where it goes value by value.

Each indicator computes itself once, before the first bar. Those of exactly Backtrader's own classes get another way to
do so, value for value the same; what is derived from them, or written by the user, keeps its own.
"""

from __future__ import annotations

import operator
from array import array
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from backtrader.functions import And
from backtrader.indicators.basicops import Average, ExponentialSmoothing
from backtrader.indicators.crossover import NonZeroDifference
from backtrader.linebuffer import LineBuffer, LinesOperation, _LineDelay

from tapedeck_backtest.bars.rolling import rolling_fsum
from tapedeck_common.store.bars import Floats

# Not the division, which raises where numpy warns, nor the powers, which are libm's.
_SAME_IN_NUMPY: dict[Any, Callable[[Any, Any], Any]] = {
    operator.__add__: np.add,
    operator.__sub__: np.subtract,
    operator.__mul__: np.multiply,
    operator.__lt__: np.less,
    operator.__le__: np.less_equal,
    operator.__gt__: np.greater,
    operator.__ge__: np.greater_equal,
}
_WHOLE = 2**53  # up to here an int is a float
_NAN = array("d", [float("nan")])


def in_bulk(strategy: Any) -> None:
    """Have the strategy's indicators computed by whole arrays where that is the same; to be called before they are."""
    for indicator in _all(strategy.getindicators()):
        if (way := _WAYS.get(type(indicator))) is not None:
            indicator.once = partial(_once, indicator, way)
        for line in [indicator] if isinstance(indicator, LineBuffer) else indicator.lines:
            if type(line).forward is LineBuffer.forward and line.mode == line.UnBounded:
                line.forward = partial(_forward, line)


def _all(indicators: list[Any]) -> Iterator[Any]:
    for indicator in indicators:
        yield indicator
        yield from _all(indicator.getindicators())


def _forward(line: Any, value: float = float("nan"), size: int = 1) -> None:
    """As LineBuffer.forward, without a turn for each value."""
    line._idx += size
    line.lencount += size
    line.array.extend((_NAN if value != value else array("d", [value])) * size)


def _once(indicator: Any, way: Callable[[Any, int, int], Floats | None], start: int, end: int) -> None:
    values = way(indicator, start, end) if 0 < start < end <= len(indicator.array) else None
    if values is None or len(values) != end - start:
        type(indicator).once(indicator, start, end)
    else:
        indicator.array[start:end] = array("d", values.astype(np.float64).tobytes())


def _part(line: Any, start: int, end: int) -> Floats | None:
    """The line's values from ``start`` to ``end``; None where it has not all of them, or is no line."""
    values = getattr(line, "array", None)
    if not isinstance(values, array) or start < 0 or len(values) < end:
        return None
    return np.frombuffer(values)[start:end]


def _average(indicator: Any, start: int, end: int) -> Floats | None:
    period = indicator.p.period
    source = _part(indicator.data, start - period + 1, end)
    if source is None or not np.isfinite(source).all():
        return None
    return np.asarray(rolling_fsum(source, period) / period)


def _smoothing(indicator: Any, start: int, end: int) -> Floats | None:
    source = _part(indicator.data, start, end)
    if source is None or not isinstance(indicator.alpha, float):
        return None
    each, rest, line = indicator.array[start - 1], indicator.alpha1, []
    for part in (source * indicator.alpha).tolist():
        each = each * rest + part
        line.append(each)
    return np.array(line)


def _nonzero(indicator: Any, start: int, end: int) -> Floats | None:
    first, second = (_part(each, start - 1, end) for each in (indicator.data0, indicator.data1))
    if first is None or second is None:
        return None
    apart = first - second
    apart[0] = indicator.array[start - 1]
    at = np.where(apart != 0, np.arange(len(apart)), 0)
    return np.asarray(apart[np.maximum.accumulate(at)][1:])


def _delay(indicator: Any, start: int, end: int) -> Floats | None:
    return _part(indicator.a, start + indicator.ago, end + indicator.ago)


def _operation(indicator: Any, start: int, end: int) -> Floats | None:
    same = _SAME_IN_NUMPY.get(indicator.operation)
    sides = [_side(each, start, end) for each in (indicator.a, indicator.b)]
    if same is None or any(side is None for side in sides):
        return None
    with np.errstate(all="ignore"):
        return np.asarray(same(*sides))


def _side(operand: Any, start: int, end: int) -> Floats | float | None:
    if isinstance(operand, LineBuffer):
        return _part(operand, start, end)
    whole = type(operand) is int and abs(operand) <= _WHOLE
    return float(operand) if whole or isinstance(operand, float) else None


def _and(indicator: Any, start: int, end: int) -> Floats | None:
    if len(indicator.args) != 2 or indicator.flogic.keywords:
        return None
    first, second = (_part(each, start, end) for each in indicator.args)
    if first is None or second is None:
        return None
    return np.asarray((first != 0) & (second != 0))


_WAYS: dict[type[Any], Callable[[Any, int, int], Floats | None]] = {
    Average: _average,
    ExponentialSmoothing: _smoothing,
    NonZeroDifference: _nonzero,
    _LineDelay: _delay,
    LinesOperation: _operation,
    And: _and,
}
