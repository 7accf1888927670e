"""Backtrader's commonest indicators over a stored range, computed by whole arrays instead of value by value.

Each indicator computes its values once, before the first bar. Instances of exactly Backtrader's own classes get an
array version with bit-identical values; subclasses and the user's own indicators keep their own ``once``.
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

# Values [start, end) of an indicator; None if only its own ``once`` can compute them.
_Compute = Callable[[Any, int, int], Floats | None]

# Without division, which raises in Python where numpy warns, and without powers, which Python computes with libm.
_EXACT_IN_NUMPY: dict[Any, Callable[[Any, Any], Any]] = {
    operator.__add__: np.add,
    operator.__sub__: np.subtract,
    operator.__mul__: np.multiply,
    operator.__lt__: np.less,
    operator.__le__: np.less_equal,
    operator.__gt__: np.greater,
    operator.__ge__: np.greater_equal,
}
_INT_MAX = 2**53  # ints up to here are exact as floats
_NAN = array("d", [float("nan")])


def use_bulk_indicators(strategy: Any) -> None:
    """Replace ``once`` of the strategy's indicators, where an array version exists. Call before they are computed."""
    for indicator in _all_indicators(strategy.getindicators()):
        if (compute := _COMPUTE.get(type(indicator))) is not None:
            indicator.once = partial(_once, indicator, compute)
        for line in [indicator] if isinstance(indicator, LineBuffer) else indicator.lines:
            if type(line).forward is LineBuffer.forward and line.mode == line.UnBounded:
                line.forward = partial(_forward, line)


def _all_indicators(indicators: list[Any]) -> Iterator[Any]:
    for indicator in indicators:
        yield indicator
        yield from _all_indicators(indicator.getindicators())


def _forward(line: Any, value: float = float("nan"), size: int = 1) -> None:
    """Equal to LineBuffer.forward, without a loop over the values."""
    line._idx += size
    line.lencount += size
    line.array.extend((_NAN if value != value else array("d", [value])) * size)


def _once(indicator: Any, compute: _Compute, start: int, end: int) -> None:
    values = compute(indicator, start, end) if 0 < start < end <= len(indicator.array) else None
    if values is None or len(values) != end - start:
        type(indicator).once(indicator, start, end)
    else:
        indicator.array[start:end] = array("d", values.astype(np.float64).tobytes())


def _values(line: Any, start: int, end: int) -> Floats | None:
    """The line's values [start, end); None if it does not have all of them, or is no line."""
    values = getattr(line, "array", None)
    if not isinstance(values, array) or start < 0 or len(values) < end:
        return None
    return np.frombuffer(values)[start:end]


def _average(indicator: Any, start: int, end: int) -> Floats | None:
    period = indicator.p.period
    source = _values(indicator.data, start - period + 1, end)
    if source is None or not np.isfinite(source).all():
        return None
    return np.asarray(rolling_fsum(source, period) / period)


def _exponential_smoothing(indicator: Any, start: int, end: int) -> Floats | None:
    source = _values(indicator.data, start, end)
    if source is None or not isinstance(indicator.alpha, float):
        return None
    value, rest, values = indicator.array[start - 1], indicator.alpha1, []
    for weighted in (source * indicator.alpha).tolist():
        value = value * rest + weighted
        values.append(value)
    return np.array(values)


def _nonzero_difference(indicator: Any, start: int, end: int) -> Floats | None:
    first, second = (_values(each, start - 1, end) for each in (indicator.data0, indicator.data1))
    if first is None or second is None:
        return None
    difference = first - second
    difference[0] = indicator.array[start - 1]
    last_nonzero = np.where(difference != 0, np.arange(len(difference)), 0)
    return np.asarray(difference[np.maximum.accumulate(last_nonzero)][1:])


def _delay(indicator: Any, start: int, end: int) -> Floats | None:
    return _values(indicator.a, start + indicator.ago, end + indicator.ago)


def _operation(indicator: Any, start: int, end: int) -> Floats | None:
    numpy_operation = _EXACT_IN_NUMPY.get(indicator.operation)
    operands = [_operand(each, start, end) for each in (indicator.a, indicator.b)]
    if numpy_operation is None or any(operand is None for operand in operands):
        return None
    with np.errstate(all="ignore"):
        return np.asarray(numpy_operation(*operands))


def _operand(operand: Any, start: int, end: int) -> Floats | float | None:
    if isinstance(operand, LineBuffer):
        return _values(operand, start, end)
    exact_int = type(operand) is int and abs(operand) <= _INT_MAX
    return float(operand) if exact_int or isinstance(operand, float) else None


def _and(indicator: Any, start: int, end: int) -> Floats | None:
    if len(indicator.args) != 2 or indicator.flogic.keywords:
        return None
    first, second = (_values(each, start, end) for each in indicator.args)
    if first is None or second is None:
        return None
    return np.asarray((first != 0) & (second != 0))


_COMPUTE: dict[type[Any], _Compute] = {
    Average: _average,
    ExponentialSmoothing: _exponential_smoothing,
    NonZeroDifference: _nonzero_difference,
    _LineDelay: _delay,
    LinesOperation: _operation,
    And: _and,
}
