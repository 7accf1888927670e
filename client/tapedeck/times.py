"""Times and spans as people write them, as integer milliseconds UTC."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TypeAlias

from tapedeck.errors import BadRequest

TimeLike: TypeAlias = str | int | datetime | date
"""ISO 8601 text, a datetime or a date (in UTC where they name no zone), or milliseconds UTC."""
SpanLike: TypeAlias = str | timedelta
"""A number with a unit (s, m, h, d, w), such as 30d, or a timedelta."""

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_SPAN = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([smhdw])\s*")
_INTERVAL = re.compile(r"([1-9][0-9]*)([smhdwM])")
_MONTH_DAYS = 31


def to_ms(value: TimeLike, name: str) -> int:
    """The time in milliseconds UTC. ``name`` is the parameter that an error names. Raises BadRequest."""
    if isinstance(value, bool) or not isinstance(value, str | int | date):
        raise BadRequest(f"{name}: got {value!r}, expected a time: ISO 8601 text, a datetime, or milliseconds UTC")
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise BadRequest(f"{name}: got {value!r}, expected ISO 8601 such as 2018-04-04T12:00:00Z") from None
    elif not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value
    return round(moment.timestamp() * 1000)


def to_iso(value: TimeLike, name: str) -> str:
    """The time as RFC 3339 text in UTC. Raises BadRequest."""
    return iso_of(to_ms(value, name))


def iso_of(ms: int) -> str:
    """Milliseconds UTC as RFC 3339 text, with milliseconds only where they are not 0."""
    precision = "milliseconds" if ms % 1000 else "seconds"
    return datetime_of(ms).isoformat(timespec=precision).replace("+00:00", "Z")


def datetime_of(ms: int) -> datetime:
    """Milliseconds UTC as an aware datetime. Raises BadRequest for one beyond the years 1 to 9999."""
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    except OverflowError:
        raise BadRequest(f"time: got {ms} ms, expected a time in the years 1 to 9999") from None


def span_ms(value: SpanLike, name: str) -> int:
    """A span in milliseconds. Raises BadRequest."""
    if isinstance(value, timedelta):
        ms = round(value / timedelta(milliseconds=1))
    else:
        match = _SPAN.fullmatch(value)
        if match is None:
            raise BadRequest(f"{name}: got {value!r}, expected a number with s, m, h, d or w, such as 30d")
        ms = round(float(match[1]) * _UNITS_MS[match[2]])
    if ms <= 0:
        raise BadRequest(f"{name}: got {value!r}, expected a span above 0")
    return ms


def close_of(ts: int, interval: str) -> int:
    """The close of the bar that opens at ``ts``: its event time, milliseconds UTC. Raises BadRequest."""
    count, unit = _parsed(interval)
    if unit != "M":
        return ts + count * _UNITS_MS[unit]
    opened = datetime_of(ts)
    months = opened.year * 12 + opened.month - 1 + count
    return round(datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC).timestamp() * 1000)


def longest_ms(interval: str) -> int:
    """The length of a bar of this interval, of a month the longest, milliseconds. Raises BadRequest."""
    count, unit = _parsed(interval)
    return count * (_MONTH_DAYS * _UNITS_MS["d"] if unit == "M" else _UNITS_MS[unit])


def consists_of(interval: str, stored: str) -> bool:
    """Whether bars of an interval are these stored ones, or are made of whole ones of them. Raises BadRequest."""
    if interval == stored:
        return True
    unit, finer_unit = _parsed(interval)[1], _parsed(stored)[1]
    if finer_unit in "wM":  # weeks begin on Mondays, and months have no fixed length
        return False
    return (_UNITS_MS["d"] if unit == "M" else longest_ms(interval)) % longest_ms(stored) == 0


def _parsed(interval: str) -> tuple[int, str]:
    match = _INTERVAL.fullmatch(interval)
    if match is None:
        raise BadRequest(f"interval: got {interval!r}, expected a number with s, m, h, d, w or M, such as 1m or 1d")
    return int(match[1]), match[2]
