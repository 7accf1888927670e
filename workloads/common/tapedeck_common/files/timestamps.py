"""The times of a file: their unit, declared or inferred from their magnitude, is the same in the whole file."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tapedeck_common.files.field_parsing import VALUE_MAX, whole
from tapedeck_common.files.source_files import InvalidFiles, SourceFile
from tapedeck_crds.base import Files, TimeUnit, format_ms, time_us

PER_SECOND: dict[TimeUnit, int] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
NAMES: dict[TimeUnit, str] = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
TIME_END = 4_102_444_800  # 2100, seconds: a later time is in another unit, or wrong
YEAR_2000 = 946_684_800  # seconds
_DECIMAL = re.compile(r"-?[0-9]+\.[0-9]+")


class FileTimes:
    """Reads the times of one file as microseconds UTC.

    The unit of numbers is the declared one. Without a declaration it is the one in which the first number is a time
    from 2000 to the end of next year, and the others must be such times in the same unit: no number is that in two.
    """

    def __init__(self, files: Files, file: SourceFile, today: datetime | None = None) -> None:
        self._file = file.name
        self._declared = None if files.time is None else files.time.unit
        self._last_year = (today or datetime.now(UTC)).year + 1
        self._latest = int(datetime(self._last_year + 1, 1, 1, tzinfo=UTC).timestamp())
        self._least: int | None = None
        self._greatest = 0
        self._unit: TimeUnit | None = None
        if self._declared is not None:
            self._set_unit(self._declared, 0, TIME_END)

    def of_text(self, name: str, text: str) -> int:
        """A number, or RFC 3339 text with an offset, as microseconds UTC. Raises ValueError."""
        if text.removeprefix("-").isdigit():
            return self.of_number(name, whole(name, text))
        if _DECIMAL.fullmatch(text):
            number, _, fraction = text.partition(".")
            start = self.of_number(name, whole(name, number))
            assert self._unit is not None
            return start + int(f"{fraction:0<6.6}") // PER_SECOND[self._unit]
        try:
            us = time_us(text)
        except ValueError as error:
            raise ValueError(f"{name}: got {text[:VALUE_MAX]!r}, {error} (or a number of s, ms, us or ns)") from None
        if not 0 <= us < TIME_END * 1_000_000:
            raise ValueError(f"{name}: got {text[:VALUE_MAX]!r}, expected a time between 1970 and 2100")
        return us

    def of_number(self, name: str, number: int) -> int:
        """A number of the file's unit as microseconds UTC; fractions of one are cut off. Raises ValueError."""
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
        """Raises InvalidFiles where every number of the file is a recent time in another unit than the declared one."""
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


def _year(number: int, unit: TimeUnit) -> str:
    ms = number * 1_000 // PER_SECOND[unit]
    return format_ms(ms)[:4] if 0 <= ms < TIME_END * 1_000 else "no year before 2100"
