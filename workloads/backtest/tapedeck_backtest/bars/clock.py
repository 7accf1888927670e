"""Backtrader's time axis: float days since 0001-01-01 plus one, UTC.

The datetime of a bar is its event time (its close, ts + interval): what a strategy sees at a datetime
was known then.
"""

from __future__ import annotations

import datetime

import numpy as np

from tapedeck_common.store.bars import Floats, Ints

EPOCH_DAYS = float(datetime.date(1970, 1, 1).toordinal())
DAY_MS = 86_400_000


def to_days(ms: int) -> float:
    """Milliseconds UTC → Backtrader's number."""
    return EPOCH_DAYS + ms / DAY_MS


def to_days_array(ms: Ints) -> Floats:
    """The same for an array, with the same bits."""
    days: Floats = EPOCH_DAYS + ms.astype(np.float64) / DAY_MS
    return days


def to_ms(days: float) -> int:
    """Backtrader's number → milliseconds UTC; the number's 10 µs grid makes this exact."""
    return round((days - EPOCH_DAYS) * DAY_MS)
