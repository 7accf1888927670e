"""The dates of bars of a day or longer: such a bar opens at midnight UTC of the day that it is of, in any zone."""

from __future__ import annotations

from datetime import UTC, datetime

from tapedeck_common.files.layouts.reading import TimeReading
from tapedeck_common.files.timestamps import FileTimes, Stamp, checked_us
from tapedeck_crds.intervals import BAR_LENGTHS, DAY_MS, Interval
from tapedeck_crds.session import Session

_DAY_US = DAY_MS * 1_000


class FileDates(FileTimes):
    """Reads the dates of one file.

    A time is of the trading day that it has in the session; without one, of the date that the file writes, or that a
    number has in the files' zone. Midnight UTC keeps its date; without a zone a time in UTC stays as it is. The
    microseconds are those of the local time, so that days are equally long also where the clock changes.
    """

    by_columns = False

    def of_moment(self, name: str, moment: datetime) -> Stamp:
        """A time with or without an offset. Raises ValueError."""
        local = moment.replace(tzinfo=UTC)
        written = checked_us(name, local)
        if moment.tzinfo is None:
            return written, _midnight(local)
        us = checked_us(name, moment)
        if moment == local:
            return self._of_instant(us)
        if self._session is not None:
            return self._in_session(us, self._session)
        return (us, us // 1_000) if us % _DAY_US == 0 else (written, _midnight(local))

    def _of_instant(self, us: int) -> Stamp:
        if us % _DAY_US == 0:
            return us, us // 1_000
        if self._session is not None:
            return self._in_session(us, self._session)
        if self._zone is None:
            return us, us // 1_000
        local = datetime.fromtimestamp(us / 1_000_000, self._zone).replace(tzinfo=UTC)
        return round(local.timestamp() * 1_000_000), _midnight(local)

    def _in_session(self, us: int, session: Session) -> Stamp:
        ts = us // 1_000
        local = session.local(ts).replace(tzinfo=UTC)
        day = session.day_of(ts)
        return round(local.timestamp() * 1_000_000), _midnight(datetime(day.year, day.month, day.day, tzinfo=UTC))


def bar_times(name: str, reading: TimeReading, interval: Interval, session: Session | None) -> FileTimes:
    """The reader of a table's times, of bars of an interval."""
    kind = FileDates if BAR_LENGTHS[interval].ms >= DAY_MS else FileTimes
    return kind(name, reading, session)


def _midnight(local: datetime) -> int:
    """The midnight that begins the local time's day, as milliseconds UTC."""
    return int(local.timestamp()) // 86_400 * DAY_MS
