"""Rolling sums, maxima and minima of an array, each value rounded exactly as Backtrader rounds it."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tapedeck_common.store.bars import Floats

_BLOCK = 2_048  # values per prefix sum: short prefix sums keep rounding errors small
_CHUNK = 131_072  # sums per pass: the intermediate arrays take ten times their memory
_HALF_ULP = 2.0**-53


def rolling_fsum(values: Floats, period: int) -> Floats:
    """math.fsum, which rounds correctly, of each ``period`` consecutive values. Returns ``period`` - 1 fewer values."""
    sums = np.empty(len(values) - period + 1)
    for start in range(0, len(sums), _CHUNK):
        sums[start : start + _CHUNK] = _fsums(values[start : start + _CHUNK + period - 1], period)
    return sums


def _fsums(values: Floats, period: int) -> Floats:
    """A window's sum is the difference of two prefix sums.

    The rounding error of each addition is computed exactly (Knuth's TwoSum) and accumulated beside the sums, with an
    error below ``bound``. Every sum is a multiple of ``grain``, the unit in the last place of the smallest value: where
    ``grain`` is well above ``bound``, rounding to it removes the error. Elsewhere math.fsum computes those sums that
    ``bound`` leaves between two doubles.
    """
    count = len(values) - period + 1
    block = max(_BLOCK, 4 * period)
    rows = -(-count // block)
    padded = np.zeros(rows * block + period - 1)
    padded[: len(values)] = values
    parts = sliding_window_view(padded, block + period - 1)[::block]
    prefix, error = np.zeros((rows, block + period)), np.zeros((rows, block + period))
    np.cumsum(parts, axis=1, out=prefix[:, 1:])
    np.cumsum(_rounding_error(prefix[:, :-1], parts, prefix[:, 1:]), axis=1, out=error[:, 1:])
    upper, lower = prefix[:, period:], prefix[:, :-period]
    high = (upper - lower).ravel()[:count]
    low = _rounding_error(upper, -lower, upper - lower).ravel()[:count]
    low = low + (error[:, period:] - error[:, :-period]).ravel()[:count]
    bound = 4 * prefix.shape[1] ** 2 * _HALF_ULP**2 * float(np.abs(prefix).max())
    grain = float(np.spacing(np.min(np.abs(values), where=values != 0, initial=np.inf)))
    if 4 * bound < grain < np.inf:
        return np.asarray(high + np.rint(low / grain) * grain)
    sums: Floats = high + low
    for i in np.flatnonzero(high + (low - bound) != high + (low + bound)).tolist():
        sums[i] = math.fsum(values[i : i + period].tolist())
    return sums


def _rounding_error(a: Floats, b: Floats, total: Floats) -> Floats:
    """The exact difference between a + b and the rounded ``total`` (Knuth's TwoSum)."""
    second = total - a
    error: Floats = (a - (total - second)) + (b - second)
    return error


def rolling_max(values: Floats, period: int) -> Floats:
    """The maximum of each ``period`` consecutive values. Returns ``period`` - 1 fewer values."""
    width, result = 1, values
    while 2 * width <= period:
        result = np.maximum(result[:-width], result[width:])
        width *= 2
    if width < period:
        rest = period - width
        result = np.maximum(result[:-rest], result[rest:])
    return result


def rolling_min(values: Floats, period: int) -> Floats:
    """The minimum of each ``period`` consecutive values. Returns ``period`` - 1 fewer values."""
    return -rolling_max(-values, period)
