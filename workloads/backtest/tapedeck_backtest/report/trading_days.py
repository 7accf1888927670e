"""The trading days of a run: the periods whose returns are measured, and how many of them a year has."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tapedeck_common.store.bars import Ints
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.session import WEEKDAYS, Session

DAY_MS = 86_400_000
DAYS_A_YEAR = 365  # of a market that trades on seven days a week
MONTHS_A_YEAR = 12
_ORDINAL_OF_1970 = date(1970, 1, 1).toordinal()
Dates: TypeAlias = npt.NDArray[np.datetime64]
SESSIONS_A_YEAR = 252  # of a market that trades on five days a week: without holidays


def trading_days(session: Session, interval_ms: int, ts: Ints) -> Ints:
    """The number of the trading day of each event time, ascending. Bars longer than a day are a period each.

    An event time on a close belongs to the session that ends there; one between two sessions, to the later.
    """
    if interval_ms > DAY_MS or not len(ts):
        return ts
    closes, days = _sessions(session, int(ts[0]), int(ts[-1]))
    return days[np.searchsorted(closes, ts, side="left")]


def trading_dates(session: Session, interval_ms: int, ts: Ints) -> Dates:
    """The date of the trading day of each event time, ascending. Bars of a day or longer close at midnight UTC."""
    if interval_ms >= DAY_MS or not len(ts):
        return (ts - 1).astype("datetime64[ms]").astype("datetime64[D]")
    return (trading_days(session, interval_ms, ts) - _ORDINAL_OF_1970).astype("datetime64[D]")


def has_return_without_bars(session: Session, interval_ms: int) -> bool:
    """Whether a day without bars returns 0. In a market that rests, such a day is a holiday and has no return."""
    return interval_ms <= DAY_MS and len(session.days) == len(WEEKDAYS)


def periods_a_year(session: Session, interval_ms: int) -> float:
    """Trading days a year: 365 for seven days a week, 252 for five, others in proportion; the number of longer bars."""
    if interval_ms == BAR_LENGTHS["1M"].ms:
        return MONTHS_A_YEAR
    if interval_ms > DAY_MS:
        return DAYS_A_YEAR * DAY_MS / interval_ms
    if len(session.days) == len(WEEKDAYS):
        return DAYS_A_YEAR
    return SESSIONS_A_YEAR * len(session.days) / 5


@lru_cache(maxsize=64)
def _sessions(session: Session, first: int, last: int) -> tuple[Ints, Ints]:
    """Closes and dates (as ordinals) of the sessions from ``first`` to beyond ``last``."""
    week_later = last + 8 * DAY_MS  # whatever the days of the market, its next session closes before
    found = [(each.close, each.date.toordinal()) for each in session.between(first - 1, week_later)]
    columns = np.array(found, dtype=np.int64).T
    return columns[0].copy(), columns[1].copy()
