"""The session of a market: its time zone, hours and days, and the calendar that follows from them.

A session is named for the local date on which it closes, its trading day: that of a future which opens on Sunday
evening is Monday's. Daylight saving is that of the time zone. Times are milliseconds UTC.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Annotated, ClassVar, Literal, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from tapedeck_crds.base import Model, Rule, TimeZone

Weekday = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
WEEKDAYS: tuple[Weekday, ...] = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MIDNIGHT = "24:00"  # the end of a day
_ONE_DAY = timedelta(days=1)


def _each_once(days: list[Weekday]) -> list[Weekday]:
    if len(set(days)) < len(days):
        raise ValueError("expected each day once")
    return days


class TradingDay(NamedTuple):
    """One session: its date, its open and its close."""

    date: date
    open: int
    close: int


class Session(Model):
    """When a market trades; by default without a break, with days in UTC."""

    timezone: TimeZone = Field(default="UTC", description="Time zone of the IANA database, such as America/New_York.")
    open: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", max_length=5)] = Field(
        default="00:00", description="Local time at which a session opens, HH:MM."
    )
    close: Annotated[str, Field(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$", max_length=5)] = Field(
        default=MIDNIGHT,
        description="Local time at which a session closes, HH:MM; 24:00 is the end of the day. A close that is not "
        "later than the open is that of the next day.",
    )
    days: Annotated[
        list[Weekday],
        Field(min_length=1, max_length=7, json_schema_extra={"x-kubernetes-list-type": "set"}),
        AfterValidator(_each_once),
    ] = Field(
        default_factory=lambda: list(WEEKDAYS),
        description="Local days on which sessions close.",
        json_schema_extra={"default": list(WEEKDAYS)},
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.close != '00:00'",
            message="expected close: '24:00' for the end of the day",
            holds=lambda new, _old: new.close != "00:00",
        ),
    )

    def __eq__(self, other: object) -> bool:
        """As in CEL: days are a set."""
        return isinstance(other, Session) and self._meaning() == other._meaning()

    def __hash__(self) -> int:
        return hash(self._meaning())

    def _meaning(self) -> tuple[object, ...]:
        return (self.timezone, self.open, self.close, frozenset(self.days))

    @cached_property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.timezone)

    @cached_property
    def is_continuous(self) -> bool:
        """Whether each session opens at the close of the one before: the market never closes."""
        return self._hours[1] - self._hours[0] == _ONE_DAY and len(self.days) == len(WEEKDAYS)

    @cached_property
    def length_ms(self) -> int:
        """Length of a session on a day without a change of the clock."""
        return (self._hours[1] - self._hours[0]) // timedelta(milliseconds=1)

    def local(self, ts: int) -> datetime:
        """The local time of ``ts``, with its offset."""
        return datetime.fromtimestamp(ts / 1000, self.zone)

    def day_of(self, ts: int) -> date:
        """The trading day of ``ts``: its local date, or the next one from the open on the evening before."""
        day = self.local(ts).date()
        return day + _ONE_DAY if ts >= self.on(day + _ONE_DAY).open else day

    def on(self, day: date) -> TradingDay:
        """The session of a date, whatever its weekday."""
        opens, closes = self._hours
        return TradingDay(day, self._ms(day, opens), self._ms(day, closes))

    def between(self, first: int, last: int) -> Iterator[TradingDay]:
        """The sessions of the market's days that overlap [first, last), in order."""
        day, end = self.local(first).date() - _ONE_DAY, self.local(last).date() + _ONE_DAY
        while day <= end:
            if WEEKDAYS[day.weekday()] in self.days:
                session = self.on(day)
                if session.open < last and session.close > first:
                    yield session
            day += _ONE_DAY

    @cached_property
    def _hours(self) -> tuple[timedelta, timedelta]:
        """Open and close, counted from the midnight at which the trading day begins."""
        opens, closes = (timedelta(hours=int(text[:2]), minutes=int(text[3:])) for text in (self.open, self.close))
        return (opens, closes) if opens < closes else (opens - _ONE_DAY, closes)

    def _ms(self, day: date, hours: timedelta) -> int:
        local = datetime(day.year, day.month, day.day, tzinfo=self.zone) + hours  # in local wall-clock time
        return round(local.astimezone(UTC).timestamp() * 1000)


ALWAYS_OPEN = Session()
"""The session of a market that never closes, with days in UTC."""
