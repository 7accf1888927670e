"""Rolling figures whose every value is rounded as Backtrader rounds it."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tapedeck_common.store.bars import Floats

_BLOCK = 2_048  # sums that start from one zero: short blocks keep the errors small
_SLAB = 131_072  # sums that are made at once: what lies between takes ten times their memory
_HALF_ULP = 2.0**-53


def rolling_fsum(values: Floats, period: int) -> Floats:
    """math.fsum of each ``period`` values in a row: correctly rounded. The result is ``period`` - 1 shorter."""
    sums = np.empty(len(values) - period + 1)
    for at in range(0, len(sums), _SLAB):
        sums[at : at + _SLAB] = _fsums(values[at : at + _SLAB + period - 1], period)
    return sums


def _fsums(values: Floats, period: int) -> Floats:
    """A window's sum is the difference of two prefix sums.

    What each addition of those lost is found exactly (Knuth's TwoSum) and added up beside them, with an error below
    ``doubt``. A sum is a multiple of the last place of the smallest value: where that is well above the doubt, rounding
    takes the error away. Where it is not, math.fsum is asked for the sums that could round either way.
    """
    count = len(values) - period + 1
    block = max(_BLOCK, 4 * period)
    rows = -(-count // block)
    padded = np.zeros(rows * block + period - 1)
    padded[: len(values)] = values
    parts = sliding_window_view(padded, block + period - 1)[::block]
    prefix, lost = np.zeros((rows, block + period)), np.zeros((rows, block + period))
    np.cumsum(parts, axis=1, out=prefix[:, 1:])
    np.cumsum(_lost(prefix[:, :-1], parts, prefix[:, 1:]), axis=1, out=lost[:, 1:])
    upper, lower = prefix[:, period:], prefix[:, :-period]
    high = (upper - lower).ravel()[:count]
    low = _lost(upper, -lower, upper - lower).ravel()[:count] + (lost[:, period:] - lost[:, :-period]).ravel()[:count]
    doubt = 4 * prefix.shape[1] ** 2 * _HALF_ULP**2 * float(np.abs(prefix).max())
    grain = float(np.spacing(np.min(np.abs(values), where=values != 0, initial=np.inf)))
    if 4 * doubt < grain < np.inf:
        return np.asarray(high + np.rint(low / grain) * grain)
    sums: Floats = high + low
    for i in np.flatnonzero(high + (low - doubt) != high + (low + doubt)).tolist():
        sums[i] = math.fsum(values[i : i + period].tolist())
    return sums


def _lost(a: Floats, b: Floats, total: Floats) -> Floats:
    """What rounding took from a + b = ``total``, exactly."""
    second = total - a
    lost: Floats = (a - (total - second)) + (b - second)
    return lost


def rolling_max(values: Floats, period: int) -> Floats:
    """The greatest of each ``period`` values in a row; ``period`` - 1 shorter."""
    width, found = 1, values
    while 2 * width <= period:
        found = np.maximum(found[:-width], found[width:])
        width *= 2
    if width < period:
        rest = period - width
        found = np.maximum(found[:-rest], found[rest:])
    return found


def rolling_min(values: Floats, period: int) -> Floats:
    """The least of each ``period`` values in a row; ``period`` - 1 shorter."""
    return -rolling_max(-values, period)
