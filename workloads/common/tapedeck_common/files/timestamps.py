"""The times of a file: their unit, declared or inferred from their magnitude, is the same in the whole file."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from tapedeck_common.files.errors import InvalidFiles
from tapedeck_common.files.field_parsing import whole
from tapedeck_common.files.layouts.reading import TimeReading
from tapedeck_common.files.layouts.time_text import parser
from tapedeck_crds.base import format_ms
from tapedeck_crds.files import TimeUnit
from tapedeck_crds.session import Session

if TYPE_CHECKING:
    import numpy as np

PER_SECOND: dict[TimeUnit, int] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
NAMES: dict[TimeUnit, str] = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
TIME_END = 4_102_444_800  # 2100, seconds: a later time is in another unit, or wrong
YEAR_2000 = 946_684_800  # seconds
_DECIMAL = re.compile(r"-?[0-9]+\.[0-9]*")
_EXPONENT = re.compile(r"[0-9](\.[0-9]+)?[eE]\+?(0?[0-9]|1[0-9])")
_COMPACT_DATE = re.compile(r"(19|20)[0-9]{6}")
_ANY_TEXT = parser("ymd")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Int64s: TypeAlias = "np.typing.NDArray[np.int64]"
Stamp: TypeAlias = tuple[int, int]
"""A row's time in microseconds, and that of its record in milliseconds UTC."""


class FileTimes:
    """Reads the times of one table. One that is written without an offset is in the zone of the reading, else in UTC.

    Beside a ``session`` of another zone such a time could be local, and is refused. The unit of numbers is the declared
    one. Without a declaration it is the one in which the first number is a time from 2000 to the end of next year, and
    the others must be such times in the same unit: no number is that in two.
    """

    by_columns: ClassVar[bool] = True
    """Whether times are read many together, beside one by one."""

    def __init__(
        self, name: str, reading: TimeReading, session: Session | None = None, today: datetime | None = None
    ) -> None:
        self._file = name
        self._session = session
        self._zone: tzinfo | None = reading.zone
        self._parse = reading.parse or _ANY_TEXT
        self._declared = reading.unit
        self._last_year = (today or datetime.now(UTC)).year + 1
        self._latest = int(datetime(self._last_year + 1, 1, 1, tzinfo=UTC).timestamp())
        self._least: int | None = None
        self._greatest = 0
        self._unit: TimeUnit | None = None
        self._with_offset = self._without_offset = ""
        if self._declared is not None:
            self._set_unit(self._declared, 0, TIME_END)

    def of_text(self, name: str, text: str) -> Stamp:
        """A number, or a text such as 2018-04-04T00:00:00Z. Raises ValueError."""
        if text.removeprefix("-").isdigit() and not self._is_date(text):
            return self.of_number(name, whole(name, text))
        if _EXPONENT.fullmatch(text):
            return self.of_number(name, int(Decimal(text)))
        if _DECIMAL.fullmatch(text):
            number, _, fraction = text.partition(".")
            start = self._microseconds(name, whole(name, number))
            assert self._unit is not None
            return self._of_instant(start + int(f"{fraction:0<6.6}") // PER_SECOND[self._unit])
        try:
            moment = self._parse(text)
        except ValueError as error:
            others = " or a number of s, ms, us or ns" if self._parse is _ANY_TEXT else ""
            raise ValueError(f"{name}: {error}{others}") from None
        return self.of_moment(name, moment)

    def _is_date(self, text: str) -> bool:
        """Whether digits are a date such as 20180404: no recent time is a number of so few."""
        return self._declared is None and _COMPACT_DATE.fullmatch(text) is not None

    def of_number(self, name: str, number: int) -> Stamp:
        """A number of the file's unit; fractions of a microsecond are cut off. Raises ValueError."""
        return self._of_instant(self._microseconds(name, number))

    def of_numbers(self, numbers: Int64s) -> Int64s | None:
        """Microseconds UTC of numbers of the file's unit, shape (n,); None where one of them needs ``of_number``."""
        least, greatest = int(numbers.min()), int(numbers.max())
        try:
            self._microseconds("ts", int(numbers[0]))  # the first one tells the unit
            self._microseconds("ts", least)
            self._microseconds("ts", greatest)
        except ValueError:
            return None
        return numbers * self._multiplier // self._divisor

    def of_instants(self, us: Int64s) -> Int64s | None:
        """Times in microseconds UTC, shape (n,), as they are; None where one of them is out of range."""
        self._with_offset = self._with_offset or "as others"
        return us if us.min() >= 0 and us.max() < TIME_END * 1_000_000 else None

    def of_moment(self, name: str, moment: datetime) -> Stamp:
        """A time with or without an offset. Raises ValueError."""
        if moment.tzinfo is not None:
            self._with_offset = self._with_offset or str(moment)
            return self._of_instant(checked_us(name, moment))
        self._without_offset = self._without_offset or str(moment)
        if problem := self.unzoned_problem():
            raise ValueError(f"{name}: got {moment}, {problem}")
        return self._of_instant(checked_us(name, self._in_zone(name, moment)))

    def _in_zone(self, name: str, moment: datetime) -> datetime:
        """The time in the zone of the file; where clocks are set back, the first of two. Raises ValueError."""
        local = moment.replace(tzinfo=self._zone or UTC)
        if self._zone is not None and local.astimezone(UTC).astimezone(self._zone).replace(tzinfo=None) != moment:
            raise ValueError(f"{name}: got {moment}, which clocks in {self._zone} skip; expected another time or zone")
        return local

    def unzoned_problem(self) -> str | None:
        """What is wrong with a time without an offset; None if its zone is known."""
        if self._zone is not None or self._session is None or self._session.timezone == "UTC":
            return None
        zone = self._session.timezone
        return (
            f"a time without an offset, which may be UTC or {zone} (session.timezone); expected one with its offset, "
            "or time.zone"
        )

    def _of_instant(self, us: int) -> Stamp:
        return us, us // 1_000

    def _microseconds(self, name: str, number: int) -> int:
        if self._least is None:
            self._least = self._greatest = number
        elif number < self._least:
            self._least = number
        elif number > self._greatest:
            self._greatest = number
        if self._unit is None:
            if (unit := self._recent_in(number)) is None:
                raise ValueError(self._not_recent(name, number))
            self._set_unit(unit, YEAR_2000, self._latest)
        if not self._first <= number < self._end:
            raise ValueError(self._out_of_range(name, number))
        return number * self._multiplier // self._divisor

    def check(self) -> None:
        """Raises InvalidFiles where every number of the file is a recent time in another unit than the declared one,
        and where some times have an offset and the zone of the others is not known.
        """
        if self._zone is None and self._with_offset and self._without_offset:
            raise InvalidFiles(
                f"{self._file}: got times with an offset ({self._with_offset}) and without one "
                f"({self._without_offset}), expected one of both; declare time.zone for the latter"
            )
        declared, least = self._declared, self._least
        if declared is None or least is None:
            return
        unit = self._recent_in(least)
        if unit is not None and unit != declared and unit == self._recent_in(self._greatest):
            raise InvalidFiles(
                f"{self._file}: got times such as {least} with time.unit: {declared}, which are of "
                f"{_year(least, declared)}; expected {NAMES[declared]}. They are {NAMES[unit]} of "
                f"{_year(least, unit)}: set time.unit: {unit}"
            )

    def _set_unit(self, unit: TimeUnit, first: int, end: int) -> None:
        self._unit = unit
        self._first, self._end = first * PER_SECOND[unit], end * PER_SECOND[unit]
        self._multiplier = max(1, PER_SECOND["us"] // PER_SECOND[unit])
        self._divisor = max(1, PER_SECOND[unit] // PER_SECOND["us"])

    def _recent_in(self, number: int) -> TimeUnit | None:
        """The unit in which the number is a time from 2000 to the end of next year."""
        for unit, factor in PER_SECOND.items():
            if YEAR_2000 * factor <= number < self._latest * factor:
                return unit
        return None

    def _not_recent(self, name: str, number: int) -> str:
        return (
            f"{name}: got {number}, expected s, ms, us or ns from 2000 to {self._last_year}; for other times set "
            "time.unit"
        )

    def _out_of_range(self, name: str, number: int) -> str:
        assert self._unit is not None
        other = self._recent_in(number)
        if self._declared is not None:
            hint = f"; {NAMES[other]} of {_year(number, other)} need time.unit: {other}" if other else ""
            return f"{name}: got {number}, expected {NAMES[self._unit]} UTC between 1970 and 2100{hint}"
        if other is None:
            return self._not_recent(name, number)
        return (
            f"{name}: got {number}, which are {NAMES[other]}, expected {NAMES[self._unit]} as in the file's first row"
        )


def format_us(us: int) -> str:
    """Microseconds UTC as RFC 3339 text."""
    return (_EPOCH + timedelta(microseconds=us)).isoformat().replace("+00:00", "Z")


def checked_us(name: str, moment: datetime) -> int:
    """Microseconds UTC; of nanoseconds the rest is cut off. Raises ValueError."""
    us = (moment - _EPOCH) // timedelta(microseconds=1)
    if not 0 <= us < TIME_END * 1_000_000:
        raise ValueError(f"{name}: got {moment}, expected a time between 1970 and 2100")
    return us


def _year(number: int, unit: TimeUnit) -> str:
    ms = number * 1_000 // PER_SECOND[unit]
    return format_ms(ms)[:4] if 0 <= ms < TIME_END * 1_000 else "no year before 2100"
