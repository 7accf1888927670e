"""Conversion between milliseconds UTC and Backtrader's time axis: float days since 0001-01-01, plus one."""

from __future__ import annotations

import datetime

import numpy as np

from tapedeck_common.store.bars import Floats, Ints

EPOCH_DAYS = float(datetime.date(1970, 1, 1).toordinal())
DAY_MS = 86_400_000


def to_days(ms: int) -> float:
    """Milliseconds UTC to Backtrader days."""
    return EPOCH_DAYS + ms / DAY_MS


def to_days_array(ms: Ints) -> Floats:
    """Milliseconds UTC to Backtrader days, bit for bit equal to ``to_days``."""
    days: Floats = EPOCH_DAYS + ms.astype(np.float64) / DAY_MS
    return days


def to_ms(days: float) -> int:
    """Backtrader days to milliseconds UTC. Exact: doubles of this size are spaced 10 µs apart."""
    return round((days - EPOCH_DAYS) * DAY_MS)
