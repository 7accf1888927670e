"""The datetime of a bar as the strategy reads it: Backtrader's axis, on the trading day that the bar is of.

A bar has the time at which it is known, its event time. Two kinds of bars would then be of another day, and are stamped
as Backtrader's CSV feeds stamp them:

- A daily or longer bar has the close of its last session. A bar that opens from 16:00 local time on is of the next day:
  so are those of futures and currencies, and days in UTC in American time zones.
- A bar that closes with its session at midnight has the last time before it, 23:59:59.999990 in UTC. In other zones
  Backtrader reads some of these times as midnight, so that they are 10 µs earlier.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tapedeck_backtest.bars.arrays import symbol_of
from tapedeck_backtest.bars.clock import DAY_MS, to_days, to_days_array
from tapedeck_common.store.bars import Floats, Ints
from tapedeck_crds.session import ALWAYS_OPEN, MIDNIGHT, WEEKDAYS, Session

Sessions: TypeAlias = Mapping[str, Session]
"""The session of each symbol; a symbol without one trades without a break."""

_ULP = 2.0**-33  # of a datetime, in days: 10 µs
_EVENING_MS = 8 * 3_600_000  # from 16:00 to the end of a day
_GRID_MS = 900_000  # of local midnights: offsets of time zones are multiples of 15 minutes
_ONE_DAY = datetime.timedelta(days=1)


def same_session(session: Session | None, symbols: Sequence[str]) -> dict[str, Session]:
    """The same session for all symbols; none without one."""
    return {} if session is None else dict.fromkeys(symbols, session)


def session_of(sessions: Sessions, feed: str) -> Session:
    """The session of the feed's symbol."""
    return sessions.get(symbol_of(feed), ALWAYS_OPEN)


def is_daily(interval: str) -> bool:
    """Whether bars of this interval are those of whole days."""
    return interval[-1] in "dwM"


@dataclass(frozen=True)
class BarDatetimes:
    """``interval`` is that of the run's bars; feeds that are resampled from them have events on the same grid."""

    session: Session
    interval: str

    def at(self, event: int) -> float:
        """The datetime of the bar with this event time (ms UTC)."""
        if is_daily(self.interval):
            return self._at_close(self.session.on(self.day(event)).close)
        if self.session.close == MIDNIGHT and event % _GRID_MS == 0:
            day = self.session.local(event - 1).date()
            return self._at_close(event) if self.session.on(day).close == event else to_days(event)
        return to_days(event)

    def at_all(self, events: Ints) -> Floats:
        """The datetimes of these event times, which ascend; equal to ``at`` of each."""
        if is_daily(self.interval):
            return np.array([self.at(event) for event in events.tolist()], dtype=np.float64)
        days = to_days_array(events)
        if self.session.close == MIDNIGHT and len(events):
            midnights = self._closes(int(events[0]), int(events[-1]))
            found = np.searchsorted(events, midnights)
            found = found[events[np.minimum(found, len(events) - 1)] == midnights]
            days[found] -= self._before_midnight
        return days

    def day(self, event: int) -> datetime.date:
        """The trading day of the bar with this event time (ms UTC)."""
        if not is_daily(self.interval):
            return self.session.local(event - 1).date()
        day = self.session.local(event - DAY_MS + _EVENING_MS).date()
        while self.interval != "1d" and WEEKDAYS[day.weekday()] not in self.session.days:
            day -= _ONE_DAY
        return day

    def _at_close(self, close: int) -> float:
        return to_days(close) - (self._before_midnight if self.session.close == MIDNIGHT else 0.0)

    @property
    def _before_midnight(self) -> float:
        return _ULP if self.session.timezone == "UTC" else 2 * _ULP

    def _closes(self, first: int, last: int) -> Ints:
        """The ends of all days from the first event time to the last."""
        day, end = self.session.local(first - 1).date(), self.session.local(last).date()
        count = (end - day).days + 1
        return np.array([self.session.on(day + n * _ONE_DAY).close for n in range(count)], dtype=np.int64)
